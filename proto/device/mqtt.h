/* Names of MQTT, as the device prong-mqtt takes them: topics, and the filters that stand for
 * several of them. Pure. */
#ifndef PRONG_PROTO_DEVICE_MQTT_H
#define PRONG_PROTO_DEVICE_MQTT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether `len` bytes are a topic to publish at; if not, `why` says the reason. */
bool mqtt_is_topic(const char *topic, size_t len, char *why, size_t why_bytes);
/* The same of texts, as checks of options. */
bool mqtt_check_topic(const char *text, char *why, size_t why_bytes);
bool mqtt_check_filter(const char *text, char *why, size_t why_bytes);
/* The filter itself in "$share/GROUP/FILTER"; every other one as it is. */
const char *mqtt_unshared(const char *filter);

#endif
