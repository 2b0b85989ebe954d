/* Bounded msgpack reader: see mp.h. The format is the one of the msgpack specification; the idea of
 * counting what is still to come instead of recursing is old and also found in CWPack's cw_skip_items. */
#include "proto/mp.h"

#include <string.h>

static uint64_t
big_endian(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static void
set_signed(struct mp_item *item, int64_t v)
{
    if (v < 0) {
        item->kind = MP_NEGATIVE;
        item->negative = v;
    } else {
        item->kind = MP_UINT;
        item->uint = (uint64_t) v;
    }
}

/* How the 0xc0..0xdf heads go on: `extra` bytes of number or length, then what the kind says. */
enum head_form { FORM_BAD, FORM_NIL, FORM_BOOL, FORM_BYTES, FORM_FIXEXT, FORM_FLOAT, FORM_UINT, FORM_INT, FORM_LIST };

struct head_row {
    uint8_t form, extra, kind, fixed;
};

static const struct head_row heads[32] = {
    [0x00] = {FORM_NIL, 0, MP_NIL, 0},      [0x01] = {FORM_BAD, 0, MP_NIL, 0},
    [0x02] = {FORM_BOOL, 0, MP_BOOL, 0},    [0x03] = {FORM_BOOL, 0, MP_BOOL, 1},
    [0x04] = {FORM_BYTES, 1, MP_BIN, 0},    [0x05] = {FORM_BYTES, 2, MP_BIN, 0},
    [0x06] = {FORM_BYTES, 4, MP_BIN, 0},    [0x07] = {FORM_BYTES, 1, MP_EXT, 0},
    [0x08] = {FORM_BYTES, 2, MP_EXT, 0},    [0x09] = {FORM_BYTES, 4, MP_EXT, 0},
    [0x0a] = {FORM_FLOAT, 4, MP_FLOAT, 0},  [0x0b] = {FORM_FLOAT, 8, MP_FLOAT, 0},
    [0x0c] = {FORM_UINT, 1, MP_UINT, 0},    [0x0d] = {FORM_UINT, 2, MP_UINT, 0},
    [0x0e] = {FORM_UINT, 4, MP_UINT, 0},    [0x0f] = {FORM_UINT, 8, MP_UINT, 0},
    [0x10] = {FORM_INT, 1, MP_UINT, 0},     [0x11] = {FORM_INT, 2, MP_UINT, 0},
    [0x12] = {FORM_INT, 4, MP_UINT, 0},     [0x13] = {FORM_INT, 8, MP_UINT, 0},
    [0x14] = {FORM_FIXEXT, 0, MP_EXT, 1},   [0x15] = {FORM_FIXEXT, 0, MP_EXT, 2},
    [0x16] = {FORM_FIXEXT, 0, MP_EXT, 4},   [0x17] = {FORM_FIXEXT, 0, MP_EXT, 8},
    [0x18] = {FORM_FIXEXT, 0, MP_EXT, 16},  [0x19] = {FORM_BYTES, 1, MP_STR, 0},
    [0x1a] = {FORM_BYTES, 2, MP_STR, 0},    [0x1b] = {FORM_BYTES, 4, MP_STR, 0},
    [0x1c] = {FORM_LIST, 2, MP_ARRAY, 0},   [0x1d] = {FORM_LIST, 4, MP_ARRAY, 0},
    [0x1e] = {FORM_LIST, 2, MP_MAP, 0},     [0x1f] = {FORM_LIST, 4, MP_MAP, 0},
};

/* Content of STR, BIN or EXT, and the type byte of EXT before it. */
static bool
take_bytes(struct span *s, struct mp_item *item, uint64_t len)
{
    if (item->kind == MP_EXT) {
        if (s->len == 0) {
            return false;
        }
        item->ext_type = (int8_t) s->data[0];
        s->data++;
        s->len--;
    }
    if (len > s->len) {
        return false;
    }
    item->bytes = (struct span){s->data, (size_t) len};
    s->data += len;
    s->len -= (size_t) len;
    return true;
}

/* Every element needs a byte at least, so a count above what is left is a lie. */
static bool
take_count(const struct span *s, struct mp_item *item, uint64_t count)
{
    if (count > (item->kind == MP_MAP ? s->len / 2 : s->len)) {
        return false;
    }
    item->count = (uint32_t) count;
    return true;
}

static void
set_float(struct mp_item *item, uint64_t bits, size_t bytes)
{
    if (bytes == 4) {
        float f;
        const uint32_t narrow = (uint32_t) bits;
        memcpy(&f, &narrow, sizeof f);
        item->number = (double) f;
    } else {
        memcpy(&item->number, &bits, sizeof item->number);
    }
}

static bool
take_special(struct span *s, struct mp_item *item, uint8_t head)
{
    const struct head_row row = heads[head - 0xc0];
    if (row.form == FORM_BAD || s->len < row.extra) {
        return false;
    }
    const uint64_t number = big_endian(s->data, row.extra);
    s->data += row.extra;
    s->len -= row.extra;
    item->kind = (enum mp_kind) row.kind;
    switch ((enum head_form) row.form) {
    case FORM_BOOL:
        item->boolean = row.fixed != 0;
        return true;
    case FORM_BYTES:
        return take_bytes(s, item, number);
    case FORM_FIXEXT:
        return take_bytes(s, item, row.fixed);
    case FORM_FLOAT:
        set_float(item, number, row.extra);
        return true;
    case FORM_UINT:
        item->uint = number;
        return true;
    case FORM_INT:
        /* Move the sign bit to the top and back down, so that it is extended. */
        set_signed(item, (int64_t) (number << (64 - 8 * row.extra)) >> (64 - 8 * row.extra));
        return true;
    case FORM_LIST:
        return take_count(s, item, number);
    case FORM_NIL:
    case FORM_BAD:
        break;
    }
    return row.form == FORM_NIL;
}

bool
mp_next(struct span *rest, struct mp_item *item)
{
    struct span s = *rest;
    if (s.len == 0) {
        return false;
    }
    const uint8_t head = s.data[0];
    bool ok = true;
    s.data++;
    s.len--;
    *item = (struct mp_item){.kind = MP_UINT};
    if (head < 0x80) {
        item->uint = head;
    } else if (head >= 0xe0) {
        set_signed(item, (int8_t) head);
    } else if (head < 0x90) {
        item->kind = MP_MAP;
        ok = take_count(&s, item, head & 0x0f);
    } else if (head < 0xa0) {
        item->kind = MP_ARRAY;
        ok = take_count(&s, item, head & 0x0f);
    } else if (head < 0xc0) {
        item->kind = MP_STR;
        ok = take_bytes(&s, item, head & 0x1f);
    } else {
        ok = take_special(&s, item, head);
    }
    if (ok) {
        *rest = s;
    }
    return ok;
}

bool
mp_skip(struct span *rest, struct span *object)
{
    struct span s = *rest;
    struct mp_item item;
    /* Objects still to be passed. It never exceeds the bytes left, so a bomb of counts ends at once
     * and the work is bounded by the input's length. */
    uint64_t to_come = 1;
    while (to_come > 0) {
        if (to_come > s.len || !mp_next(&s, &item)) {
            return false;
        }
        to_come--;
        if (item.kind == MP_ARRAY) {
            to_come += item.count;
        } else if (item.kind == MP_MAP) {
            to_come += 2 * (uint64_t) item.count;
        }
    }
    if (object != NULL) {
        *object = (struct span){rest->data, rest->len - s.len};
    }
    *rest = s;
    return true;
}

/* Bytes that must follow a first byte, and the range of the second one (Unicode table 3-7). */
static unsigned
utf8_sequence(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first >= 0xc2 && first <= 0xdf) {
        return 1;
    }
    if (first >= 0xe0 && first <= 0xef) {
        *low = first == 0xe0 ? 0xa0 : 0x80;
        *high = first == 0xed ? 0x9f : 0xbf;
        return 2;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        *low = first == 0xf0 ? 0x90 : 0x80;
        *high = first == 0xf4 ? 0x8f : 0xbf;
        return 3;
    }
    return 0;
}

bool
mp_is_utf8(struct span text)
{
    size_t i = 0;
    while (i < text.len) {
        const uint8_t first = text.data[i++];
        if (first < 0x80) {
            continue;
        }
        uint8_t low, high;
        const unsigned more = utf8_sequence(first, &low, &high);
        if (more == 0 || text.len - i < more || text.data[i] < low || text.data[i] > high) {
            return false;
        }
        for (unsigned k = 1; k < more; k++) {
            if ((text.data[i + k] & 0xc0) != 0x80) {
                return false;
            }
        }
        i += more;
    }
    return true;
}

const char *
mp_kind_name(enum mp_kind kind)
{
    static const char *const names[] = {
        [MP_NIL] = "nil",    [MP_BOOL] = "a boolean", [MP_UINT] = "an integer",
        [MP_NEGATIVE] = "a negative integer",         [MP_FLOAT] = "a float",
        [MP_STR] = "a text", [MP_BIN] = "bytes",      [MP_EXT] = "an extension",
        [MP_ARRAY] = "an array",                      [MP_MAP] = "a map",
    };
    return names[kind];
}
