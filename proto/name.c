/* Names on the wire: see name.h. */
#include "proto/name.h"

#include "proto/wire.h"

#include <string.h>

enum { LOWER = 1, UPPER = 2, DIGIT = 4, UNDERSCORE = 8, DASH = 16 };

/* A table, because every byte of every name on the wire comes through here. */
/* clang-format off */
static const uint8_t class_of[256] = {
    ['a'] = LOWER, ['b'] = LOWER, ['c'] = LOWER, ['d'] = LOWER, ['e'] = LOWER, ['f'] = LOWER,
    ['g'] = LOWER, ['h'] = LOWER, ['i'] = LOWER, ['j'] = LOWER, ['k'] = LOWER, ['l'] = LOWER,
    ['m'] = LOWER, ['n'] = LOWER, ['o'] = LOWER, ['p'] = LOWER, ['q'] = LOWER, ['r'] = LOWER,
    ['s'] = LOWER, ['t'] = LOWER, ['u'] = LOWER, ['v'] = LOWER, ['w'] = LOWER, ['x'] = LOWER,
    ['y'] = LOWER, ['z'] = LOWER,
    ['A'] = UPPER, ['B'] = UPPER, ['C'] = UPPER, ['D'] = UPPER, ['E'] = UPPER, ['F'] = UPPER,
    ['G'] = UPPER, ['H'] = UPPER, ['I'] = UPPER, ['J'] = UPPER, ['K'] = UPPER, ['L'] = UPPER,
    ['M'] = UPPER, ['N'] = UPPER, ['O'] = UPPER, ['P'] = UPPER, ['Q'] = UPPER, ['R'] = UPPER,
    ['S'] = UPPER, ['T'] = UPPER, ['U'] = UPPER, ['V'] = UPPER, ['W'] = UPPER, ['X'] = UPPER,
    ['Y'] = UPPER, ['Z'] = UPPER,
    ['0'] = DIGIT, ['1'] = DIGIT, ['2'] = DIGIT, ['3'] = DIGIT, ['4'] = DIGIT, ['5'] = DIGIT,
    ['6'] = DIGIT, ['7'] = DIGIT, ['8'] = DIGIT, ['9'] = DIGIT,
    ['_'] = UNDERSCORE, ['-'] = DASH,
};
/* clang-format on */

static bool
only(struct span s, unsigned classes, size_t max)
{
    if (s.len == 0 || s.len > max) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if ((class_of[s.data[i]] & classes) == 0) {
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
        const struct span number = {slash + 1, s.len - (size_t)(slash + 1 - s.data)};
        t.worker.len = (size_t)(slash - s.data);
        t.one = true;
        if (!only(number, DIGIT, 3) || (number.len > 1 && number.data[0] == '0')) {
            return false;
        }
        for (size_t i = 0; i < number.len; i++) {
            t.index = t.index * 10 + (uint32_t)(number.data[i] - '0');
        }
    }
    if (!name_is_worker(t.worker)) {
        return false;
    }
    *out = t;
    return true;
}

bool
name_targets(struct span s, struct target *out)
{
    if (s.len < 2 || s.data[s.len - 1] != '*' || s.data[s.len - 2] != '/') {
        return name_target(s, out);
    }
    const struct target t = {.worker = {s.data, s.len - 2}, .each = true};
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
    return (struct span){(const uint8_t *)text, strlen(text)};
}

const char *
span_show(struct span bytes, char *out, size_t out_bytes)
{
    size_t i = 0;
    for (; i < bytes.len && i < out_bytes - 1; i++) {
        out[i] = (char)(bytes.data[i] >= 0x20 && bytes.data[i] < 0x7f ? bytes.data[i] : '?');
    }
    out[i] = '\0';
    return out;
}
