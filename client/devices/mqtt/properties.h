/* Properties of messages (MQTT 5) as maps, and back: pure. */
#ifndef PRONG_DEVICES_MQTT_PROPERTIES_H
#define PRONG_DEVICES_MQTT_PROPERTIES_H

#include <mosquitto.h>
#include <prong/value.h>

enum { MQTT_USER_MAX = 100 };

/* Whether a message has more user properties than MQTT_USER_MAX, with which nobody means well: each
 * is compared with all before it. */
bool mqtt_properties_are_many(const mosquitto_property *properties);
/* Whether a message has any that mqtt_properties_write would write. */
bool mqtt_properties_any(const mosquitto_property *properties);
/* Write them as one map. Of user properties with one name the first is taken. */
void mqtt_properties_write(const mosquitto_property *properties, prong_writer *out);
/* Read such a map. Owned, freed with mosquitto_property_free_all also after a failure. False with a
 * sentence in `why`. */
bool mqtt_properties_read(const prong_value *map, mosquitto_property **out, char *why,
                          size_t why_bytes);

#endif
