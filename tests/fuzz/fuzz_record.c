/* Any bytes as a message: the reader neither crashes nor contradicts itself, and it agrees with
 * msgpack-c on where an object ends and what is in it.
 *
 * Seeds: proto/vectors and tests/fuzz/corpus/record. */
#include "proto/record.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* ---- messages ------------------------------------------------------------------------------- */

static void
check_inside(struct span outer, struct span inner)
{
    require(inner.len == 0 ||
            (inner.data >= outer.data && inner.data + inner.len <= outer.data + outer.len));
}

/* Lists give exactly as many elements as they count. */
static void
check_list(const struct field *f, enum wire_record element)
{
    struct record r;
    struct wire_failure failure;
    struct span inside = f->inside;
    uint32_t count = 0;
    while (record_item(&inside, element, &r)) {
        count++;
        if (element == WIRE_REC_REPORT_ITEM) {
            (void)record_failure(RECORD_FIELD(&r, REPORT_ITEM, PAYLOAD)->raw, &failure);
        }
    }
    require(count == f->item.count && inside.len == 0);
}

/* Exactly the types whose content the reader has promised. */
static void
check_content(const struct wire_field_row *row, const struct field *f)
{
    struct span inside = f->inside;
    struct span text;
    uint64_t number;
    uint32_t count = 0;
    if (row->type == WIRE_TYPE_UINT) {
        require(f->item.kind == MP_UINT && f->item.uint >= row->min && f->item.uint <= row->max);
    } else if (row->type == WIRE_TYPE_TEXT) {
        require(f->item.kind == MP_STR && mp_is_utf8(f->item.bytes));
    } else if (row->type == WIRE_TYPE_TARGET) {
        require(name_is_worker(f->target.worker));
    } else if (row->type == WIRE_TYPE_FILTERS) {
        for (; record_text(&inside, &text); count++) {
            require(name_is_filter(text));
        }
        require(count == f->item.count && count >= row->min && count <= row->max);
    } else if (row->type == WIRE_TYPE_SEQ_OR_CALLS && f->item.kind == MP_ARRAY) {
        for (; record_number(&inside, &number); count++) {
            require(number <= WIRE_INT_MAX);
        }
        require(count == f->item.count);
    } else if (row->type == WIRE_TYPE_REPORT_ITEMS) {
        check_list(f, WIRE_REC_REPORT_ITEM);
    } else if (row->type == WIRE_TYPE_WORK_ITEMS) {
        check_list(f, WIRE_REC_WORK_ITEM);
    } else if (row->type == WIRE_TYPE_EVENT_ITEMS) {
        check_list(f, WIRE_REC_EVENT_ITEM);
    }
}

static void
check_record(struct span whole, const struct record *r)
{
    const struct wire_record_row *row = wire_record_row(r->record);
    for (size_t i = 0; i < row->count; i++) {
        const struct field *f = &r->field[i];
        struct span raw = f->raw;
        struct field found;
        check_inside(whole, f->raw);
        check_inside(f->raw, f->inside);
        check_inside(f->raw, f->item.bytes);
        require(mp_skip(&raw, NULL) && raw.len == 0);
        check_content(&wire_fields[row->first + i], f);
        for (int key = 0; key < WIRE_KEY_COUNT; key++) {
            const bool own = wire_keys[key].record == r->record;
            if (own && record_key(f, (enum wire_key)key, &found)) {
                check_inside(f->raw, found.raw);
                check_content(&wire_keys[key], &found);
            }
        }
    }
}

static void
check_message(struct span body)
{
    static struct record records[WIRE_RECORDS_MAX];
    struct wire_diag diag = {0};
    const size_t count = record_message(body, records, WIRE_RECORDS_MAX, &diag);
    require(record_message(body, records, WIRE_RECORDS_MAX, NULL) == count);
    for (size_t i = 0; i < count; i++) {
        check_record(body, &records[i]);
    }
    if (count == 0) {
        require(diag.code == WIRE_ERR_INVALID_ARGUMENT || diag.code == WIRE_ERR_UNIMPLEMENTED);
        require(diag.text[0] != '\0' && strlen(diag.text) < sizeof diag.text);
        /* It becomes a text on the wire and may end on a terminal. */
        for (const char *c = diag.text; *c != '\0'; c++) {
            require(*c >= 0x20 && *c < 0x7f);
        }
    }
}

/* ---- the same object for msgpack-c ---------------------------------------------------------- */

static bool same(const msgpack_object *o, struct span *rest);

static bool
same_bytes(const char *data, uint32_t size, struct span got)
{
    return got.len == size && (size == 0 || (const char *)got.data == data);
}

/* msgpack-c nests at most 32 levels, so this recursion ends. */
static bool
same_inside(const msgpack_object *o, const struct mp_item *item, struct span *rest)
{
    if (o->type == MSGPACK_OBJECT_ARRAY) {
        bool ok = item->kind == MP_ARRAY && item->count == o->via.array.size;
        for (uint32_t i = 0; ok && i < o->via.array.size; i++) {
            ok = same(&o->via.array.ptr[i], rest);
        }
        return ok;
    }
    bool ok = item->kind == MP_MAP && item->count == o->via.map.size;
    for (uint32_t i = 0; ok && i < o->via.map.size; i++) {
        ok = same(&o->via.map.ptr[i].key, rest) && same(&o->via.map.ptr[i].val, rest);
    }
    return ok;
}

static bool
same(const msgpack_object *o, struct span *rest)
{
    struct mp_item item;
    if (!mp_next(rest, &item)) {
        return false;
    }
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        return item.kind == MP_NIL;
    case MSGPACK_OBJECT_BOOLEAN:
        return item.kind == MP_BOOL && item.boolean == o->via.boolean;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return item.kind == MP_UINT && item.uint == o->via.u64;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return item.kind == MP_NEGATIVE && item.negative == o->via.i64;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return item.kind == MP_FLOAT && memcmp(&item.number, &o->via.f64, sizeof(double)) == 0;
    case MSGPACK_OBJECT_STR:
        return item.kind == MP_STR && same_bytes(o->via.str.ptr, o->via.str.size, item.bytes);
    case MSGPACK_OBJECT_BIN:
        return item.kind == MP_BIN && same_bytes(o->via.bin.ptr, o->via.bin.size, item.bytes);
    case MSGPACK_OBJECT_EXT:
        return item.kind == MP_EXT && item.ext_type == o->via.ext.type &&
               same_bytes(o->via.ext.ptr, o->via.ext.size, item.bytes);
    case MSGPACK_OBJECT_ARRAY:
    case MSGPACK_OBJECT_MAP:
        return same_inside(o, &item, rest);
    }
    return false;
}

/* Levels of the object, which is whole, up to a limit. */
static size_t
depth_of(struct span object)
{
    enum { DEPTH_MAX = 40 };
    uint64_t left[DEPTH_MAX] = {1};
    size_t depth = 0;
    size_t deepest = 0;
    struct mp_item item;
    while (mp_next(&object, &item)) {
        left[depth]--;
        const uint64_t inside = item.kind == MP_MAP ? 2 * (uint64_t)item.count : item.count;
        if (inside > 0) {
            if (++depth == DEPTH_MAX) {
                return DEPTH_MAX;
            }
            left[depth] = inside;
            deepest = depth > deepest ? depth : deepest;
        }
        while (depth > 0 && left[depth] == 0) {
            depth--;
        }
    }
    return deepest;
}

/* msgpack-c takes memory for as many elements as are announced, so what announces millions is not
 * shown to it. Anywhere in the bytes, because a look at the heads would be the reader once more. */
static bool
announces_much(struct span bytes)
{
    for (size_t i = 0; i + 5 <= bytes.len; i++) {
        if ((bytes.data[i] == 0xdd || bytes.data[i] == 0xdf) &&
            (bytes.data[i + 1] > 0 || bytes.data[i + 2] > 1)) {
            return true;
        }
    }
    return false;
}

static void
check_against_msgpack(struct span bytes)
{
    struct span rest = bytes;
    struct span object = {0};
    const bool whole = mp_skip(&rest, &object);
    require(whole ? object.len + rest.len == bytes.len : rest.len == bytes.len);
    if (!whole && announces_much(bytes)) {
        return;
    }
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t off = 0;
    const msgpack_unpack_return got =
        msgpack_unpack_next(&unpacked, (const char *)bytes.data, bytes.len, &off);
    switch (got) {
    case MSGPACK_UNPACK_SUCCESS:
    case MSGPACK_UNPACK_EXTRA_BYTES:
        require(whole && off == object.len);
        require(same(&unpacked.data, &object) && object.len == 0);
        break;
    case MSGPACK_UNPACK_CONTINUE:
    case MSGPACK_UNPACK_PARSE_ERROR:
        require(!whole);
        break;
    case MSGPACK_UNPACK_NOMEM_ERROR:
        require(!whole || depth_of(object) > 31);
        break;
    }
    msgpack_unpacked_destroy(&unpacked);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span bytes = {data, size};
    check_message(bytes);
    check_against_msgpack(bytes);
    return 0;
}
