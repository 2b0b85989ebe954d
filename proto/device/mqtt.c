/* Names of MQTT: see mqtt.h. */
#include "proto/device/mqtt.h"

#include <stdio.h>
#include <string.h>

enum { TOPIC_BYTES_MAX = 65535 }; /* its length is a number of two bytes */

static const char shared[] = "$share/";

static bool
refuse(char *why, size_t why_bytes, const char *reason)
{
    snprintf(why, why_bytes, "%s", reason);
    return false;
}

bool
mqtt_is_topic(const char *topic, size_t len, char *why, size_t why_bytes)
{
    if (len == 0) {
        return refuse(why, why_bytes, "a topic has at least one character");
    }
    if (len > TOPIC_BYTES_MAX) {
        return refuse(why, why_bytes, "a topic has at most 65535 bytes");
    }
    if (memchr(topic, '\0', len) != NULL) {
        return refuse(why, why_bytes, "a topic has no NUL in it");
    }
    if (memchr(topic, '+', len) != NULL || memchr(topic, '#', len) != NULL) {
        return refuse(why, why_bytes,
                      "+ and # stand for several topics, and something is published at one");
    }
    return true;
}

bool
mqtt_check_topic(const char *text, char *why, size_t why_bytes)
{
    return mqtt_is_topic(text, strlen(text), why, why_bytes);
}

const char *
mqtt_unshared(const char *filter)
{
    if (strncmp(filter, shared, sizeof shared - 1) != 0) {
        return filter;
    }
    const char *group = filter + sizeof shared - 1;
    const char *slash = strchr(group, '/');
    return slash != NULL && slash > group ? slash + 1 : filter;
}

/* A wildcard is a level of its own, and # the last one. */
static bool
are_levels(const char *filter)
{
    for (const char *at = filter; *at != '\0'; at++) {
        const bool is_first = at == filter || at[-1] == '/';
        if ((*at == '#' && (!is_first || at[1] != '\0')) ||
            (*at == '+' && (!is_first || (at[1] != '\0' && at[1] != '/')))) {
            return false;
        }
    }
    return true;
}

bool
mqtt_check_filter(const char *text, char *why, size_t why_bytes)
{
    const char *filter = mqtt_unshared(text);
    const size_t prefix_len = sizeof shared - 1;
    if (text[0] == '\0') {
        return refuse(why, why_bytes, "a filter has at least one character");
    }
    if (strlen(text) > TOPIC_BYTES_MAX) {
        return refuse(why, why_bytes, "a filter has at most 65535 bytes");
    }
    if (strncmp(text, shared, prefix_len) == 0 &&
        (filter == text || filter[0] == '\0' ||
         strcspn(text + prefix_len, "+#") < (size_t)(filter - text) - prefix_len)) {
        return refuse(why, why_bytes, "a shared filter is $share/GROUP/FILTER");
    }
    if (!are_levels(filter)) {
        return refuse(why, why_bytes, "+ is a whole level, and # the whole last one");
    }
    return true;
}
