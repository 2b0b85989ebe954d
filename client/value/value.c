/* Reading values. See prong/value.h.
 *
 * Owns nothing and allocates nothing, but the copy that prong_value_string gives. Pure; any thread.
 */
#include <prong/value.h>

#include <stdlib.h>
#include <string.h>

#include "proto/mp.h"

/* The head of a value; *rest is what follows it. */
static bool
head_of(const prong_value *v, struct mp_item *item, struct span *rest)
{
    *rest = v != NULL ? (struct span){v->data, v->len} : (struct span){0};
    return mp_next(rest, item);
}

static bool
head_is(const prong_value *v, struct mp_item *item, enum mp_kind kind)
{
    struct span rest;
    return head_of(v, item, &rest) && item->kind == kind;
}

prong_kind
prong_value_kind(const prong_value *v)
{
    static const prong_kind kinds[] = {
        [MP_NIL] = PRONG_KIND_NIL,      [MP_BOOL] = PRONG_KIND_BOOL,
        [MP_UINT] = PRONG_KIND_INT,     [MP_NEGATIVE] = PRONG_KIND_INT,
        [MP_FLOAT] = PRONG_KIND_DOUBLE, [MP_STR] = PRONG_KIND_TEXT,
        [MP_BIN] = PRONG_KIND_BIN,      [MP_EXT] = PRONG_KIND_EXT,
        [MP_ARRAY] = PRONG_KIND_ARRAY,  [MP_MAP] = PRONG_KIND_MAP,
    };
    struct mp_item item;
    struct span rest;
    return head_of(v, &item, &rest) ? kinds[item.kind] : PRONG_KIND_NONE;
}

bool
prong_value_is_whole(const prong_value *v)
{
    struct span rest = v != NULL ? (struct span){v->data, v->len} : (struct span){0};
    return mp_skip(&rest, NULL) && rest.len == 0;
}

bool
prong_value_bool(const prong_value *v, bool *out)
{
    struct mp_item item;
    if (!head_is(v, &item, MP_BOOL)) {
        return false;
    }
    *out = item.boolean;
    return true;
}

bool
prong_value_int(const prong_value *v, int64_t *out)
{
    struct mp_item item;
    if (head_is(v, &item, MP_NEGATIVE)) {
        *out = item.negative;
        return true;
    }
    if (!head_is(v, &item, MP_UINT) || item.uint > INT64_MAX) {
        return false;
    }
    *out = (int64_t)item.uint;
    return true;
}

bool
prong_value_uint(const prong_value *v, uint64_t *out)
{
    struct mp_item item;
    if (!head_is(v, &item, MP_UINT)) {
        return false;
    }
    *out = item.uint;
    return true;
}

bool
prong_value_double(const prong_value *v, double *out)
{
    struct mp_item item;
    struct span rest;
    if (!head_of(v, &item, &rest)) {
        return false;
    }
    if (item.kind == MP_FLOAT) {
        *out = item.number;
    } else if (item.kind == MP_UINT) {
        *out = (double)item.uint;
    } else if (item.kind == MP_NEGATIVE) {
        *out = (double)item.negative;
    } else {
        return false;
    }
    return true;
}

bool
prong_value_text(const prong_value *v, const char **text, size_t *len)
{
    struct mp_item item;
    if (!head_is(v, &item, MP_STR) || !mp_is_utf8(item.bytes)) {
        return false;
    }
    *text = (const char *)item.bytes.data;
    *len = item.bytes.len;
    return true;
}

char *
prong_value_string(const prong_value *v)
{
    const char *text;
    size_t len;
    if (!prong_value_text(v, &text, &len) || memchr(text, 0, len) != NULL) {
        return NULL;
    }
    return strndup(text, len);
}

bool
prong_value_bin(const prong_value *v, const uint8_t **data, size_t *len)
{
    struct mp_item item;
    if (!head_is(v, &item, MP_BIN) && !head_is(v, &item, MP_STR)) {
        return false;
    }
    *data = item.bytes.data;
    *len = item.bytes.len;
    return true;
}

bool
prong_value_ext(const prong_value *v, int *type, const uint8_t **data, size_t *len)
{
    struct mp_item item;
    if (!head_is(v, &item, MP_EXT)) {
        return false;
    }
    *type = (int)item.ext_type;
    *data = item.bytes.data;
    *len = item.bytes.len;
    return true;
}

uint32_t
prong_value_count(const prong_value *v)
{
    struct mp_item item;
    return head_is(v, &item, MP_ARRAY) || head_is(v, &item, MP_MAP) ? item.count : 0;
}

bool
prong_iter_begin(prong_iter *it, const prong_value *v)
{
    struct mp_item item;
    struct span rest;
    *it = (prong_iter){.left = 0};
    if (!head_of(v, &item, &rest) || (item.kind != MP_ARRAY && item.kind != MP_MAP)) {
        return false;
    }
    it->rest = (prong_value){rest.data, rest.len};
    it->left = item.count;
    it->is_map = item.kind == MP_MAP;
    return true;
}

bool
prong_iter_next(prong_iter *it, prong_value *key, prong_value *value)
{
    struct span rest = {it->rest.data, it->rest.len}, object, name = {0};
    if (it->left == 0 || (it->is_map && !mp_skip(&rest, &name)) || !mp_skip(&rest, &object)) {
        it->left = 0;
        return false;
    }
    it->left--;
    it->rest = (prong_value){rest.data, rest.len};
    if (key != NULL) {
        *key = (prong_value){name.data, name.len};
    }
    *value = (prong_value){object.data, object.len};
    return true;
}

bool
prong_value_find(const prong_value *map, const char *key, prong_value *out)
{
    prong_iter it;
    prong_value name, value;
    const size_t key_len = strlen(key);
    if (!prong_iter_begin(&it, map) || !it.is_map) {
        return false;
    }
    while (prong_iter_next(&it, &name, &value)) {
        struct mp_item item;
        if (head_is(&name, &item, MP_STR) && item.bytes.len == key_len &&
            memcmp(item.bytes.data, key, key_len) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

bool
prong_value_at(const prong_value *array, uint32_t index, prong_value *out)
{
    prong_iter it;
    prong_value value;
    if (!prong_iter_begin(&it, array) || it.is_map || index >= it.left) {
        return false;
    }
    for (uint32_t i = 0; i <= index; i++) {
        if (!prong_iter_next(&it, NULL, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

void
prong_free(void *p)
{
    free(p);
}
