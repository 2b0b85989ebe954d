/* JSON: values as text and back. See prong/value.h.
 *
 * Written by our own code, because jansson has no unsigned 64-bit integers and no shortest doubles;
 * read by jansson. Neither direction recurses on the input: the levels are counted before jansson
 * sees it. */
#include <prong/value.h>

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mp.h"
#include "proto/wire.h"

enum { SHOW_DEPTH_MAX = 128 };

/* ---- base64 (RFC 4648) ---------------------------------------------------------------------- */

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void
put_base64(struct buf *b, const uint8_t *data, size_t len)
{
    buf_put(b, "\"", 1);
    for (size_t i = 0; i < len; i += 3) {
        const size_t have = len - i < 3 ? len - i : 3;
        const uint32_t bits = (uint32_t)data[i] << 16 |
                              (have > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                              (have > 2 ? data[i + 2] : 0);
        const char four[4] = {digits64[bits >> 18], digits64[bits >> 12 & 63],
                              have > 1 ? digits64[bits >> 6 & 63] : '=',
                              have > 2 ? digits64[bits & 63] : '='};
        buf_put(b, four, 4);
    }
    buf_put(b, "\"", 1);
}

/* NULL when the text is not base64 with its padding, or memory is out; else owned, *len bytes. */
static uint8_t *
read_base64(const char *text, size_t *len)
{
    const size_t chars = strlen(text);
    const size_t padding =
        chars < 2 ? 0 : (size_t)(text[chars - 1] == '=') + (text[chars - 2] == '=');
    uint8_t *out = chars % 4 == 0 ? malloc(chars / 4 * 3 + 1) : NULL;
    uint32_t bits = 0;
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < chars; i++) {
        const char *digit =
            text[i] == '=' && i >= chars - padding ? digits64 : strchr(digits64, text[i]);
        if (digit == NULL) {
            free(out);
            return NULL;
        }
        bits = bits << 6 | (uint32_t)(digit - digits64);
        if (i % 4 == 3) {
            out[n++] = (uint8_t)(bits >> 16);
            out[n++] = (uint8_t)(bits >> 8);
            out[n++] = (uint8_t)bits;
        }
    }
    *len = n - (n > 0 ? padding : 0);
    return out;
}

/* ---- showing -------------------------------------------------------------------------------- */

struct show {
    struct buf out;
    uint32_t flags, depth;
    struct {
        prong_iter it;
        uint32_t shown;
    } level[SHOW_DEPTH_MAX];
};

static void
put_text(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

static bool
put_string(struct buf *b, struct span text)
{
    if (!mp_is_utf8(text)) {
        return false;
    }
    buf_put(b, "\"", 1);
    size_t from = 0; /* what needs no escape is copied in one piece */
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c == '"' || c == '\\' || c < 0x20) {
            char escape[8];
            (void)snprintf(escape, sizeof escape, c < 0x20 ? "\\u%04x" : "\\%c", c);
            buf_put(b, text.data + from, i - from);
            put_text(b, escape);
            from = i + 1;
        }
    }
    buf_put(b, text.data + from, text.len - from);
    buf_put(b, "\"", 1);
    return true;
}

/* The fewest digits that read back as the same number. printf and strtod follow the program's
 * locale, so whatever stands for the decimal point is put right afterwards. */
static void
put_double(struct show *s, double v)
{
    if (!isfinite(v)) {
        put_text(&s->out, s->flags & PRONG_JSON_NUMBERS ? "null"
                          : isnan(v)                    ? "\"NaN\""
                          : v > 0                       ? "\"Infinity\""
                                                        : "\"-Infinity\"");
        return;
    }
    char text[40];
    /* Below the normal range 15 digits are more than there are. */
    for (int precision = fabs(v) < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        (void)snprintf(text, sizeof text, "%.*g", precision, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    bool is_real = false, in_point = false;
    for (const char *p = text; *p != '\0'; p++) {
        if (strchr("0123456789+-e", *p) != NULL) {
            is_real = is_real || *p == 'e';
            in_point = false;
            buf_put(&s->out, p, 1);
        } else if (!in_point) {
            is_real = in_point = true;
            buf_put(&s->out, ".", 1);
        }
    }
    put_text(&s->out, is_real ? "" : ".0");
}

static void
put_integer(struct buf *b, const struct mp_item *item)
{
    char text[24];
    if (item->kind == MP_NEGATIVE) {
        (void)snprintf(text, sizeof text, "%lld", (long long)item->negative);
    } else {
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)item->uint);
    }
    put_text(b, text);
}

static void
put_line(struct show *s)
{
    if (s->flags & PRONG_JSON_PRETTY) {
        put_text(&s->out, "\n");
        for (uint32_t i = 0; i < s->depth; i++) {
            put_text(&s->out, "  ");
        }
    }
}

/* A value that is not a container, or the head of one. */
static bool
show_head(struct show *s, const prong_value *v)
{
    struct span rest = {v->data, v->len};
    struct mp_item item;
    if (!mp_next(&rest, &item)) {
        return false;
    }
    switch (item.kind) {
    case MP_NIL:
        put_text(&s->out, "null");
        return true;
    case MP_BOOL:
        put_text(&s->out, item.boolean ? "true" : "false");
        return true;
    case MP_UINT:
    case MP_NEGATIVE:
        put_integer(&s->out, &item);
        return true;
    case MP_FLOAT:
        put_double(s, item.number);
        return true;
    case MP_STR:
        return put_string(&s->out, item.bytes);
    case MP_BIN:
        put_text(&s->out, "{\"$bin\":");
        put_base64(&s->out, item.bytes.data, item.bytes.len);
        put_text(&s->out, "}");
        return true;
    case MP_EXT: {
        char head[24];
        (void)snprintf(head, sizeof head, "{\"$ext\":[%d,", item.ext_type);
        put_text(&s->out, head);
        put_base64(&s->out, item.bytes.data, item.bytes.len);
        put_text(&s->out, "]}");
        return true;
    }
    case MP_ARRAY:
    case MP_MAP:
        if (s->depth == SHOW_DEPTH_MAX) {
            return false;
        }
        put_text(&s->out, item.kind == MP_MAP ? "{" : "[");
        s->level[s->depth].shown = 0;
        return prong_iter_begin(&s->level[s->depth++].it, v);
    }
    return false;
}

static bool
show_key(struct show *s, const prong_value *key)
{
    struct span rest = {key->data, key->len};
    struct mp_item item;
    if (!mp_next(&rest, &item)) {
        return false;
    }
    if (item.kind == MP_UINT || item.kind == MP_NEGATIVE) {
        put_text(&s->out, "\"");
        put_integer(&s->out, &item);
        put_text(&s->out, "\"");
    } else if (item.kind != MP_STR || !put_string(&s->out, item.bytes)) {
        return false;
    }
    put_text(&s->out, s->flags & PRONG_JSON_PRETTY ? ": " : ":");
    return true;
}

static bool
show(struct show *s, const prong_value *v)
{
    prong_value key, value;
    bool ok = show_head(s, v);
    while (ok && s->depth > 0) {
        prong_iter *it = &s->level[s->depth - 1].it;
        uint32_t *shown = &s->level[s->depth - 1].shown;
        const char *close = it->is_map ? "}" : "]";
        if (prong_iter_next(it, &key, &value)) {
            put_text(&s->out, (*shown)++ > 0 ? "," : "");
            put_line(s);
            ok = (key.len == 0 || show_key(s, &key)) && show_head(s, &value);
        } else {
            s->depth--;
            if (*shown > 0) {
                put_line(s);
            }
            put_text(&s->out, close);
        }
    }
    return ok;
}

prong_err
prong_value_to_json(const prong_value *v, uint32_t flags, char **out)
{
    struct show s = {.flags = flags};
    if (!prong_value_is_whole(v) || !show(&s, v)) {
        buf_deinit(&s.out);
        return PRONG_INVALID_ARGUMENT;
    }
    buf_put(&s.out, "", 1);
    if (s.out.failed) {
        buf_deinit(&s.out);
        return PRONG_RESOURCE_EXHAUSTED;
    }
    *out = (char *)s.out.data;
    return PRONG_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Levels of brackets outside of strings: jansson recurses, so it may not see more than a writer
 * takes. false with the place where there are too many. */
static bool
check_depth(const char *text, size_t len, int *line, int *column)
{
    bool in_string = false;
    int depth = 0;
    *line = 1;
    *column = 0;
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];
        *column += ((unsigned char)c & 0xc0) != 0x80; /* count characters, as jansson does */
        if (c == '\n') {
            ++*line;
            *column = 0;
        } else if (in_string) {
            i += c == '\\';
            *column += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if ((c == '[' || c == '{') && ++depth > PRONG_DEPTH_MAX) {
            return false;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return true;
}

/* {"$bin": ...} and {"$ext": [type, ...]}. false when the object is neither: then it is an object.
 */
static bool
take_special(json_t *object, prong_writer *w)
{
    const char *text = json_string_value(json_object_get(object, "$bin"));
    json_t *pair = json_object_get(object, "$ext");
    const json_t *type = json_array_get(pair, 0);
    if (json_array_size(pair) == 2 && json_is_integer(type) && json_integer_value(type) >= -128 &&
        json_integer_value(type) <= 127) {
        text = json_string_value(json_array_get(pair, 1));
    } else {
        type = NULL;
    }
    size_t len = 0;
    uint8_t *bytes = json_object_size(object) == 1 && text != NULL ? read_base64(text, &len) : NULL;
    if (bytes == NULL) {
        return false;
    }
    if (type != NULL) {
        prong_writer_ext(w, (int)json_integer_value(type), bytes, len);
    } else {
        prong_writer_bin(w, bytes, len);
    }
    free(bytes);
    return true;
}

struct walk {
    prong_writer *w;
    uint32_t depth;
    struct {
        json_t *container;
        void *pair; /* of an object */
        size_t index;
    } level[PRONG_DEPTH_MAX];
};

static void
take_node(struct walk *k, json_t *node)
{
    const json_type type = json_typeof(node);
    if (type == JSON_STRING) {
        prong_writer_text(k->w, json_string_value(node), json_string_length(node));
    } else if (type == JSON_INTEGER) {
        prong_writer_int(k->w, json_integer_value(node));
    } else if (type == JSON_REAL) {
        prong_writer_double(k->w, json_real_value(node));
    } else if (type == JSON_TRUE || type == JSON_FALSE) {
        prong_writer_bool(k->w, type == JSON_TRUE);
    } else if (type == JSON_NULL) {
        prong_writer_nil(k->w);
    } else if (type == JSON_ARRAY || !take_special(node, k->w)) {
        if (type == JSON_ARRAY) {
            prong_writer_array(k->w, (uint32_t)json_array_size(node));
        } else {
            prong_writer_map(k->w, (uint32_t)json_object_size(node));
        }
        k->level[k->depth].container = node;
        k->level[k->depth].pair = json_object_iter(node);
        k->level[k->depth++].index = 0;
    }
}

static void
walk(json_t *root, prong_writer *w)
{
    struct walk k = {.w = w};
    take_node(&k, root);
    while (k.depth > 0) {
        json_t *container = k.level[k.depth - 1].container;
        void *pair = k.level[k.depth - 1].pair;
        json_t *next = NULL;
        if (pair != NULL) {
            prong_writer_key(w, json_object_iter_key(pair));
            next = json_object_iter_value(pair);
            k.level[k.depth - 1].pair = json_object_iter_next(container, pair);
        } else {
            next = json_array_get(container, k.level[k.depth - 1].index++);
        }
        if (next != NULL) {
            take_node(&k, next);
        } else {
            k.depth--;
        }
    }
}

prong_err
prong_value_from_json(const char *text, size_t len, prong_writer *w, char *error, size_t error_size)
{
    json_error_t why = {.line = 1, .text = ""};
    json_t *root = NULL;
    prong_value ignored;
    prong_err err = PRONG_INVALID_ARGUMENT;
    if (len > WIRE_MESSAGE_BYTES) {
        err = PRONG_RESOURCE_EXHAUSTED;
        (void)snprintf(why.text, sizeof why.text, "longer than 16 MiB");
    } else if (!check_depth(text, len, &why.line, &why.column)) {
        (void)snprintf(why.text, sizeof why.text, "more than %d levels", PRONG_DEPTH_MAX);
    } else {
        root =
            json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    }
    if (root == NULL && json_error_code(&why) == json_error_out_of_memory) {
        err = PRONG_RESOURCE_EXHAUSTED;
    }
    if (root != NULL) {
        walk(root, w);
        json_decref(root);
        err = prong_writer_finish(w, &ignored);
        (void)snprintf(why.text, sizeof why.text, "%s", prong_writer_problem(w));
    }
    if (err != PRONG_OK && error != NULL && error_size > 0) {
        (void)snprintf(error, error_size, "line %d, column %d: %s", why.line, why.column, why.text);
    }
    return err;
}
