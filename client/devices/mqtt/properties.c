/* Properties of messages as maps: see properties.h. */
#include "client/devices/mqtt/properties.h"

#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/device/mqtt.h"

enum { BYTES_MAX = 65535 };

static const char user_key[] = "user";

static const struct {
    const char *key;
    int id;
    enum { TEXT, BYTES, NUMBER } type;
} rows[] = {
    {"response_topic", MQTT_PROP_RESPONSE_TOPIC, TEXT},
    {"correlation_data", MQTT_PROP_CORRELATION_DATA, BYTES},
    {"content_type", MQTT_PROP_CONTENT_TYPE, TEXT},
    {"message_expiry", MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, NUMBER},
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

/* ---- of a message that came -------------------------------------------------------------------
 */

static const mosquitto_property *
find(const mosquitto_property *properties, int id)
{
    const mosquitto_property *p = properties;
    while (p != NULL && mosquitto_property_identifier(p) != id) {
        p = mosquitto_property_next(p);
    }
    return p;
}

/* The name and the value of a user property; false when memory is out. Both to be freed. */
static bool
read_pair(const mosquitto_property *p, char **name, char **value)
{
    *name = *value = NULL;
    return mosquitto_property_read_string_pair(p, MQTT_PROP_USER_PROPERTY, name, value, false) !=
           NULL;
}

/* Whether an earlier one has its name. */
static bool
was_there(const mosquitto_property *properties, const mosquitto_property *end, const char *name)
{
    bool is_there = false;
    const mosquitto_property *p = find(properties, MQTT_PROP_USER_PROPERTY);
    for (; p != end && !is_there; p = find(mosquitto_property_next(p), MQTT_PROP_USER_PROPERTY)) {
        char *other, *value;
        is_there = read_pair(p, &other, &value) && strcmp(other, name) == 0;
        free(other);
        free(value);
    }
    return is_there;
}

/* How many user properties there are; writes them, too, when `out` is not NULL. */
static uint32_t
walk_user(const mosquitto_property *properties, prong_writer *out)
{
    uint32_t count = 0;
    const mosquitto_property *p = find(properties, MQTT_PROP_USER_PROPERTY);
    for (; p != NULL; p = find(mosquitto_property_next(p), MQTT_PROP_USER_PROPERTY)) {
        char *name, *value;
        if (read_pair(p, &name, &value) && !was_there(properties, p, name)) {
            count++;
            if (out != NULL) {
                prong_writer_key(out, name);
                prong_writer_string(out, value);
            }
        }
        free(name);
        free(value);
    }
    return count;
}

static uint32_t
count_all(const mosquitto_property *properties)
{
    uint32_t count = find(properties, MQTT_PROP_USER_PROPERTY) != NULL ? 1 : 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        count += find(properties, rows[i].id) != NULL ? 1 : 0;
    }
    return count;
}

bool
mqtt_properties_are_many(const mosquitto_property *properties)
{
    uint32_t count = 0;
    const mosquitto_property *p = find(properties, MQTT_PROP_USER_PROPERTY);
    for (; p != NULL && count <= MQTT_USER_MAX;
         p = find(mosquitto_property_next(p), MQTT_PROP_USER_PROPERTY)) {
        count++;
    }
    return count > MQTT_USER_MAX;
}

bool
mqtt_properties_any(const mosquitto_property *properties)
{
    return count_all(properties) > 0;
}

static void
write_row(const mosquitto_property *p, size_t row, prong_writer *out)
{
    uint32_t number = 0;
    void *bytes = NULL;
    char *text = NULL;
    uint16_t len = 0;
    prong_writer_key(out, rows[row].key);
    switch (rows[row].type) {
    case TEXT:
        (void)mosquitto_property_read_string(p, rows[row].id, &text, false); /* NULL is empty */
        prong_writer_string(out, text != NULL ? text : "");
        break;
    case BYTES:
        (void)mosquitto_property_read_binary(p, rows[row].id, &bytes, &len, false);
        prong_writer_bin(out, bytes, bytes != NULL ? len : 0);
        break;
    case NUMBER:
        (void)mosquitto_property_read_int32(p, rows[row].id, &number, false); /* it is there */
        prong_writer_uint(out, number);
        break;
    }
    free(text);
    free(bytes);
}

void
mqtt_properties_write(const mosquitto_property *properties, prong_writer *out)
{
    prong_writer_map(out, count_all(properties));
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const mosquitto_property *p = find(properties, rows[i].id);
        if (p != NULL) {
            write_row(p, i, out);
        }
    }
    if (find(properties, MQTT_PROP_USER_PROPERTY) != NULL) {
        prong_writer_key(out, user_key);
        prong_writer_map(out, walk_user(properties, NULL));
        (void)walk_user(properties, out); /* as many as before */
    }
}

/* ---- of a message that is to go ---------------------------------------------------------------
 */

/* A text of at most BYTES_MAX bytes, as a copy to be freed with prong_free; NULL when it is none.
 */
static char *
short_text(const prong_value *value)
{
    const char *text;
    size_t len;
    return prong_value_text(value, &text, &len) && len <= BYTES_MAX ? prong_value_string(value)
                                                                    : NULL;
}

static bool
read_user(const prong_value *map, mosquitto_property **out)
{
    prong_iter it;
    prong_value key, value;
    bool is_good = prong_value_kind(map) == PRONG_KIND_MAP && prong_iter_begin(&it, map);
    while (is_good && prong_iter_next(&it, &key, &value)) {
        char *name = short_text(&key), *text = short_text(&value);
        is_good = name != NULL && text != NULL &&
                  mosquitto_property_add_string_pair(out, MQTT_PROP_USER_PROPERTY, name, text) ==
                      MOSQ_ERR_SUCCESS;
        prong_free(name);
        prong_free(text);
    }
    return is_good;
}

static bool
add_text(size_t row, const char *text, mosquitto_property **out)
{
    char why[1];
    return (rows[row].id != MQTT_PROP_RESPONSE_TOPIC || mqtt_check_topic(text, why, sizeof why)) &&
           mosquitto_property_add_string(out, rows[row].id, text) == MOSQ_ERR_SUCCESS;
}

static bool
read_row(size_t row, const prong_value *value, mosquitto_property **out)
{
    const uint8_t *bytes;
    char *text;
    size_t len;
    uint64_t number;
    bool is_good = false;
    switch (rows[row].type) {
    case TEXT:
        text = short_text(value);
        is_good = text != NULL && add_text(row, text, out);
        prong_free(text);
        break;
    case BYTES:
        is_good = prong_value_bin(value, &bytes, &len) && len <= BYTES_MAX &&
                  mosquitto_property_add_binary(out, rows[row].id, bytes, (uint16_t)len) == 0;
        break;
    case NUMBER:
        is_good = prong_value_uint(value, &number) && number <= UINT32_MAX &&
                  mosquitto_property_add_int32(out, rows[row].id, (uint32_t)number) == 0;
        break;
    }
    return is_good;
}

static bool
read_one(const prong_value *key, const prong_value *value, mosquitto_property **out)
{
    const char *text;
    size_t len;
    if (!prong_value_text(key, &text, &len)) {
        return false;
    }
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strlen(rows[i].key) == len && memcmp(rows[i].key, text, len) == 0) {
            return read_row(i, value, out);
        }
    }
    return len == sizeof user_key - 1 && memcmp(user_key, text, len) == 0 && read_user(value, out);
}

bool
mqtt_properties_read(const prong_value *map, mosquitto_property **out, char *why, size_t why_bytes)
{
    prong_iter it;
    prong_value key, value;
    bool is_good = prong_value_kind(map) == PRONG_KIND_MAP && prong_iter_begin(&it, map);
    while (is_good && prong_iter_next(&it, &key, &value)) {
        is_good = read_one(&key, &value, out);
    }
    if (!is_good || mosquitto_property_check_all(CMD_PUBLISH, *out) != MOSQ_ERR_SUCCESS) {
        snprintf(why, why_bytes,
                 "'properties' is a map of response_topic and content_type (texts), "
                 "correlation_data (bytes), message_expiry (seconds) and user (a map of texts)");
        return false;
    }
    return true;
}
