/* Bounded msgpack reader: see mp.h. The format is the one of the msgpack specification; the idea of
 * counting what is still to come instead of recursing is old and also found in CWPack's
 * cw_skip_items. */
#include "proto/mp.h"

#include <endian.h>
#include <string.h>

/* All readers here take the place `p` and the `end` of the input and return the place behind what
 * they read, NULL when it is not all there. Places stay in registers; a span that is copied for
 * every head costs more than the reading. */

/* Of 0, 1, 2, 4 or 8 bytes: one load each, because every head with a number comes through here. */
static uint64_t
big_endian(const uint8_t *p, size_t bytes)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (bytes) {
    case 1:
        return *p;
    case 2:
        memcpy(&two, p, sizeof two);
        return be16toh(two);
    case 4:
        memcpy(&four, p, sizeof four);
        return be32toh(four);
    case 8:
        memcpy(&eight, p, sizeof eight);
        return be64toh(eight);
    default:
        return 0;
    }
}

static void
set_signed(struct mp_item *item, int64_t v)
{
    if (v < 0) {
        item->kind = MP_NEGATIVE;
        item->negative = v;
    } else {
        item->kind = MP_UINT;
        item->uint = (uint64_t)v;
    }
}

/* How the 0xc0..0xdf heads go on: `extra` bytes of number or length, then what the kind says. */
enum head_form {
    FORM_BAD,
    FORM_NIL,
    FORM_BOOL,
    FORM_BYTES,
    FORM_FIXEXT,
    FORM_FLOAT,
    FORM_UINT,
    FORM_INT,
    FORM_LIST
};

struct head_row {
    uint8_t form, extra, kind, fixed;
};

static const struct head_row heads[32] = {
    [0x00] = {FORM_NIL, 0, MP_NIL, 0},     [0x01] = {FORM_BAD, 0, MP_NIL, 0},
    [0x02] = {FORM_BOOL, 0, MP_BOOL, 0},   [0x03] = {FORM_BOOL, 0, MP_BOOL, 1},
    [0x04] = {FORM_BYTES, 1, MP_BIN, 0},   [0x05] = {FORM_BYTES, 2, MP_BIN, 0},
    [0x06] = {FORM_BYTES, 4, MP_BIN, 0},   [0x07] = {FORM_BYTES, 1, MP_EXT, 0},
    [0x08] = {FORM_BYTES, 2, MP_EXT, 0},   [0x09] = {FORM_BYTES, 4, MP_EXT, 0},
    [0x0a] = {FORM_FLOAT, 4, MP_FLOAT, 0}, [0x0b] = {FORM_FLOAT, 8, MP_FLOAT, 0},
    [0x0c] = {FORM_UINT, 1, MP_UINT, 0},   [0x0d] = {FORM_UINT, 2, MP_UINT, 0},
    [0x0e] = {FORM_UINT, 4, MP_UINT, 0},   [0x0f] = {FORM_UINT, 8, MP_UINT, 0},
    [0x10] = {FORM_INT, 1, MP_UINT, 0},    [0x11] = {FORM_INT, 2, MP_UINT, 0},
    [0x12] = {FORM_INT, 4, MP_UINT, 0},    [0x13] = {FORM_INT, 8, MP_UINT, 0},
    [0x14] = {FORM_FIXEXT, 0, MP_EXT, 1},  [0x15] = {FORM_FIXEXT, 0, MP_EXT, 2},
    [0x16] = {FORM_FIXEXT, 0, MP_EXT, 4},  [0x17] = {FORM_FIXEXT, 0, MP_EXT, 8},
    [0x18] = {FORM_FIXEXT, 0, MP_EXT, 16}, [0x19] = {FORM_BYTES, 1, MP_STR, 0},
    [0x1a] = {FORM_BYTES, 2, MP_STR, 0},   [0x1b] = {FORM_BYTES, 4, MP_STR, 0},
    [0x1c] = {FORM_LIST, 2, MP_ARRAY, 0},  [0x1d] = {FORM_LIST, 4, MP_ARRAY, 0},
    [0x1e] = {FORM_LIST, 2, MP_MAP, 0},    [0x1f] = {FORM_LIST, 4, MP_MAP, 0},
};

/* Content of STR, BIN or EXT, and the type byte of EXT before it. */
static const uint8_t *
read_bytes(const uint8_t *p, const uint8_t *end, struct mp_item *item, uint64_t len)
{
    if (item->kind == MP_EXT) {
        if (p == end) {
            return NULL;
        }
        item->ext_type = (int8_t)*p++;
    }
    if (len > (size_t)(end - p)) {
        return NULL;
    }
    item->bytes = (struct span){p, (size_t)len};
    return p + len;
}

/* Every element needs a byte at least, so a count above what is left is a lie. */
static const uint8_t *
read_count(const uint8_t *p, const uint8_t *end, struct mp_item *item, uint64_t count)
{
    const size_t left = (size_t)(end - p);
    if (count > (item->kind == MP_MAP ? left / 2 : left)) {
        return NULL;
    }
    item->count = (uint32_t)count;
    return p;
}

static void
set_float(struct mp_item *item, uint64_t bits, size_t bytes)
{
    if (bytes == 4) {
        float f;
        const uint32_t narrow = (uint32_t)bits;
        memcpy(&f, &narrow, sizeof f);
        item->number = (double)f;
    } else {
        memcpy(&item->number, &bits, sizeof item->number);
    }
}

static const uint8_t *
read_special(const uint8_t *p, const uint8_t *end, struct mp_item *item, uint8_t head)
{
    const struct head_row *row = &heads[head - 0xc0];
    if (row->extra > end - p) {
        return NULL;
    }
    const uint64_t number = big_endian(p, row->extra);
    p += row->extra;
    item->kind = (enum mp_kind)row->kind;
    switch ((enum head_form)row->form) {
    case FORM_BAD:
        return NULL;
    case FORM_NIL:
        return p;
    case FORM_BOOL:
        item->boolean = row->fixed != 0;
        return p;
    case FORM_BYTES:
        return read_bytes(p, end, item, number);
    case FORM_FIXEXT:
        return read_bytes(p, end, item, row->fixed);
    case FORM_FLOAT:
        set_float(item, number, row->extra);
        return p;
    case FORM_UINT:
        item->uint = number;
        return p;
    case FORM_INT:
        /* Move the sign bit to the top and back down, so that it is extended. */
        set_signed(item, (int64_t)(number << (64 - 8 * row->extra)) >> (64 - 8 * row->extra));
        return p;
    case FORM_LIST:
        return read_count(p, end, item, number);
    }
    return NULL;
}

/* There is a byte at least. */
static const uint8_t *
read_head(const uint8_t *p, const uint8_t *end, struct mp_item *item)
{
    const uint8_t head = *p++;
    *item = (struct mp_item){.kind = MP_UINT};
    if (head < 0x80) {
        item->uint = head;
        return p;
    }
    if (head < 0x90) {
        item->kind = MP_MAP;
        return read_count(p, end, item, head & 0x0f);
    }
    if (head < 0xa0) {
        item->kind = MP_ARRAY;
        return read_count(p, end, item, head & 0x0f);
    }
    if (head < 0xc0) {
        item->kind = MP_STR;
        return read_bytes(p, end, item, head & 0x1f);
    }
    if (head < 0xe0) {
        return read_special(p, end, item, head);
    }
    set_signed(item, (int8_t)head);
    return p;
}

/* How many objects follow a head before its own is whole. */
static uint64_t
inside_count(const struct mp_item *head)
{
    return head->kind == MP_MAP ? 2 * (uint64_t)head->count : head->count;
}

/* Pass `to_come` objects. The number never exceeds the bytes left, so a bomb of counts ends at once
 * and the work is bounded by the input's length. The heads that are one byte need no mp_item: most
 * are. */
static const uint8_t *
pass_objects(const uint8_t *p, const uint8_t *end, uint64_t to_come)
{
    for (; to_come > 0; to_come--) {
        const size_t left = (size_t)(end - p);
        if (to_come > left) {
            return NULL;
        }
        const uint8_t head = *p;
        if (head < 0x80 || head >= 0xe0) {
            p++;
        } else if (head < 0x90) {
            p++;
            to_come += 2 * (head & 0x0fu);
        } else if (head < 0xa0) {
            p++;
            to_come += head & 0x0f;
        } else if (head < 0xc0) {
            const size_t size = 1 + (head & 0x1f);
            if (size > left) {
                return NULL;
            }
            p += size;
        } else {
            struct mp_item item = {0};
            p = read_special(p + 1, end, &item, head);
            if (p == NULL) {
                return NULL;
            }
            to_come += inside_count(&item);
        }
    }
    return p;
}

bool
mp_next(struct span *rest, struct mp_item *item)
{
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *const end = rest->data + rest->len;
    const uint8_t *const after = read_head(rest->data, end, item);
    if (after == NULL) {
        return false;
    }
    *rest = (struct span){after, (size_t)(end - after)};
    return true;
}

bool
mp_take(struct span *rest, struct mp_item *head, struct span *object, struct span *inside)
{
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *const start = rest->data;
    const uint8_t *const end = start + rest->len;
    const uint8_t *const behind_head = read_head(start, end, head);
    if (behind_head == NULL) {
        return false;
    }
    const uint8_t *const after = pass_objects(behind_head, end, inside_count(head));
    if (after == NULL) {
        return false;
    }
    *object = (struct span){start, (size_t)(after - start)};
    *inside = (struct span){behind_head, (size_t)(after - behind_head)};
    *rest = (struct span){after, (size_t)(end - after)};
    return true;
}

bool
mp_skip(struct span *rest, struct span *object)
{
    struct mp_item head;
    struct span taken, inside;
    if (!mp_take(rest, &head, &taken, &inside)) {
        return false;
    }
    if (object != NULL) {
        *object = taken;
    }
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
        [MP_NIL] = "nil",         [MP_BOOL] = "a boolean",
        [MP_UINT] = "an integer", [MP_NEGATIVE] = "a negative integer",
        [MP_FLOAT] = "a float",   [MP_STR] = "a text",
        [MP_BIN] = "bytes",       [MP_EXT] = "an extension",
        [MP_ARRAY] = "an array",  [MP_MAP] = "a map",
    };
    return names[kind];
}
