/* Records in a notation for people: see notation.h. */
#include "tests/unit/core/notation.h"

#include "proto/mp.h"
#include "proto/name.h"
#include "proto/write.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
die(const char *where)
{
    (void)fprintf(stderr, "notation: %s\n", where);
    abort();
}

static const char *
write_quoted(struct buf *b, const char *p, bool is_bin)
{
    const size_t len = strcspn(p, "'");
    const struct span bytes = {(const uint8_t *)p, len};
    if (is_bin) {
        write_bin(b, bytes);
    } else {
        write_str(b, bytes);
    }
    return p + len + 1;
}

static const char *
write_word(struct buf *b, const char *p)
{
    const size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz");
    const struct span word = {(const uint8_t *)p, len};
    if (span_is(word, "null")) {
        write_nil(b);
    } else if (span_is(word, "true") || span_is(word, "false")) {
        write_bool(b, *p == 't');
    } else {
        die(p);
    }
    return p + len;
}

static const char *
write_number(struct buf *b, const char *p)
{
    char *end;
    if (*p == '-') {
        write_int(b, strtoll(p, &end, 10));
    } else {
        write_uint(b, strtoull(p, &end, 10));
    }
    if (end == p) {
        die(p);
    }
    return end;
}

static const char *
write_zeros(struct buf *b, const char *p)
{
    char *end;
    const size_t len = strtoul(p, &end, 10);
    uint8_t *zeros = calloc(1, len + 1);
    if (zeros == NULL) {
        die("out of memory");
    }
    write_bin(b, (struct span){zeros, len});
    free(zeros);
    return end + 1;
}

static const char *
write_value(struct buf *b, const char *p)
{
    p += strspn(p, " ,:");
    if (*p == '[' || *p == '{') {
        /* A head with two bytes of count, filled in at the end. */
        const uint8_t close = *p == '[' ? ']' : '}', map = close == '}';
        const size_t head = b->w;
        uint32_t count = 0;
        buf_put(b, &(uint8_t[]){map ? 0xde : 0xdc, 0, 0}, 3);
        for (p++; p += strspn(p, " ,:"), *p != close; count++) {
            p = write_value(b, p);
        }
        count /= map ? 2 : 1;
        b->data[head + 1] = (uint8_t)(count >> 8);
        b->data[head + 2] = (uint8_t)count;
        return p + 1;
    }
    return *p == '\''                  ? write_quoted(b, p + 1, false)
           : *p == 'b' && p[1] == '\'' ? write_quoted(b, p + 2, true)
           : *p == '<'                 ? write_zeros(b, p + 1)
           : *p >= 'a' && *p <= 'z'    ? write_word(b, p)
                                       : write_number(b, p);
}

void
notation_write(struct buf *b, const char *text)
{
    while (text += strspn(text, " ,:"), *text != '\0') {
        text = write_value(b, text);
    }
}

void
notation_put(struct shown *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(s->text + s->len, s->cap - s->len, format, args);
    va_end(args);
    s->len = n >= 0 && (size_t)n < s->cap - s->len ? s->len + (size_t)n : s->cap - 1;
}

void
notation_show(struct shown *s, struct span *from)
{
    struct mp_item v;
    if (!mp_next(from, &v)) {
        die("not msgpack");
    }
    switch (v.kind) {
    case MP_NIL:
        notation_put(s, "null");
        return;
    case MP_BOOL:
        notation_put(s, v.boolean ? "true" : "false");
        return;
    case MP_UINT:
        notation_put(s, "%llu", (unsigned long long)v.uint);
        return;
    case MP_NEGATIVE:
        notation_put(s, "%lld", (long long)v.negative);
        return;
    case MP_FLOAT:
        notation_put(s, "%g", v.number);
        return;
    case MP_STR:
        notation_put(s, "'%.*s'", (int)v.bytes.len, (const char *)v.bytes.data);
        return;
    case MP_BIN:
    case MP_EXT:
        notation_put(s, "<%zu>", v.bytes.len);
        return;
    case MP_ARRAY:
    case MP_MAP:
        break;
    }
    notation_put(s, v.kind == MP_MAP ? "{" : "[");
    for (uint32_t i = 0; i < v.count * (v.kind == MP_MAP ? 2 : 1); i++) {
        notation_put(s, "%s", i == 0 ? "" : v.kind == MP_MAP && i % 2 == 1 ? ": " : ", ");
        notation_show(s, from);
    }
    notation_put(s, v.kind == MP_MAP ? "}" : "]");
}
