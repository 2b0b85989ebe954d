/* Names that are watched: see topic.h. Written once more beside proto/name.c, because there is
 * something to say about a wrong one here. */
#include "broker/config/topic.h"

#include <stdio.h>
#include <string.h>

#include "proto/name.h"
#include "proto/wire.h"

#define TOKEN_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

bool
config_topic_check(const char *text, char *why, size_t why_bytes)
{
    if (strlen(text) > WIRE_TOPIC_BYTES_MAX) {
        snprintf(why, why_bytes, "a topic has at most %d bytes", WIRE_TOPIC_BYTES_MAX);
        return false;
    }
    if (strpbrk(text, "*>") != NULL) {
        snprintf(why, why_bytes, "each topic has to be written out, * and > are not read here");
        return false;
    }
    for (const char *at = text;; at++) {
        const size_t token = strspn(at, TOKEN_LETTERS);
        at += token;
        if (token == 0 || (*at != '\0' && *at != '.')) {
            snprintf(why, why_bytes,
                     "a topic is tokens of letters, digits, _ and - with single dots between");
            return false;
        }
        if (*at == '\0') {
            return true;
        }
    }
}

bool
config_stream_check(const char *text, char *why, size_t why_bytes)
{
    if (name_is_worker(span_text(text))) {
        return true;
    }
    snprintf(why, why_bytes, "a stream is named with 1 to %d of a-z 0-9 _ -", WIRE_NAME_BYTES_MAX);
    return false;
}
