/* Names on the wire: see name.h. */
#include "proto/name.h"

#include "proto/wire.h"

#include <string.h>

enum { LOWER = 1, UPPER = 2, DIGIT = 4, UNDERSCORE = 8, DASH = 16, DOT = 32 };

static unsigned
class_of(uint8_t c)
{
    if (c >= 'a' && c <= 'z') {
        return LOWER;
    }
    if (c >= 'A' && c <= 'Z') {
        return UPPER;
    }
    if (c >= '0' && c <= '9') {
        return DIGIT;
    }
    return c == '_' ? UNDERSCORE : c == '-' ? DASH : c == '.' ? DOT : 0;
}

static bool
only(struct span s, unsigned classes, size_t max)
{
    if (s.len == 0 || s.len > max) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if ((class_of(s.data[i]) & classes) == 0) {
            return false;
        }
    }
    return true;
}

bool
name_is_worker(struct span s)
{
    return only(s, LOWER | DIGIT | UNDERSCORE | DASH, WIRE_NAME_BYTES_MAX);
}

bool
name_is_method(struct span s)
{
    return only(s, LOWER | UPPER | DIGIT | UNDERSCORE, WIRE_NAME_BYTES_MAX);
}

/* The token at the front of *rest, which moves past it and its dot. */
static struct span
next_token(struct span *rest)
{
    size_t n = 0;
    while (n < rest->len && rest->data[n] != '.') {
        n++;
    }
    const struct span token = {rest->data, n};
    const size_t step = n < rest->len ? n + 1 : n;
    rest->data += step;
    rest->len -= step;
    return token;
}

static bool
tokens_are(struct span s, bool wild)
{
    if (s.len == 0 || s.len > WIRE_TOPIC_BYTES_MAX || s.data[s.len - 1] == '.') {
        return false;
    }
    while (s.len > 0) {
        const struct span token = next_token(&s);
        const bool star = wild && span_is(token, "*");
        const bool rest = wild && s.len == 0 && span_is(token, ">");
        if (!star && !rest &&
            !only(token, LOWER | UPPER | DIGIT | UNDERSCORE | DASH, WIRE_TOPIC_BYTES_MAX)) {
            return false;
        }
    }
    return true;
}

bool
name_is_topic(struct span s)
{
    return tokens_are(s, false);
}

bool
name_is_filter(struct span s)
{
    return tokens_are(s, true);
}

bool
name_target(struct span s, struct target *out)
{
    struct target t = {.worker = s};
    const uint8_t *slash = s.len > 0 ? memchr(s.data, '/', s.len) : NULL;
    if (slash != NULL) {
        const struct span number = {slash + 1, s.len - (size_t) (slash + 1 - s.data)};
        t.worker.len = (size_t) (slash - s.data);
        t.one = true;
        if (!only(number, DIGIT, 3) || (number.len > 1 && number.data[0] == '0')) {
            return false;
        }
        for (size_t i = 0; i < number.len; i++) {
            t.index = t.index * 10 + (uint32_t) (number.data[i] - '0');
        }
    }
    if (!name_is_worker(t.worker)) {
        return false;
    }
    *out = t;
    return true;
}

bool
name_matches(struct span filter, struct span topic)
{
    while (filter.len > 0 && topic.len > 0) {
        const struct span want = next_token(&filter);
        if (filter.len == 0 && span_is(want, ">")) {
            return true;
        }
        const struct span got = next_token(&topic);
        if (!span_is(want, "*") && !span_equal(want, got)) {
            return false;
        }
    }
    return filter.len == 0 && topic.len == 0;
}

bool
span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool
span_is(struct span a, const char *text)
{
    return span_equal(a, span_text(text));
}

struct span
span_text(const char *text)
{
    return (struct span){(const uint8_t *) text, strlen(text)};
}
