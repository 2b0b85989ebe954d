/* Every kind of object in every field, in every element of a list and under every key: what does
 * not belong there is refused, and the message says where, what is wanted and what came. */
#include "tests/unit/proto/vectors.h"

#include "proto/record.h"
#include "proto/write.h"

#include <string.h>

/* One object of each kind, as an encoding; the order is that of enum mp_kind. */
static const char *const samples[] = {
    [MP_NIL] = "c0",       [MP_BOOL] = "c3",    [MP_UINT] = "05",
    [MP_NEGATIVE] = "ff",  [MP_STR] = "a161",   [MP_FLOAT] = "cb3ff0000000000000",
    [MP_BIN] = "c40178",   [MP_EXT] = "d40100", [MP_ARRAY] = "9105",
    [MP_MAP] = "81a16b01",
};
enum { KINDS = sizeof samples / sizeof samples[0] };

#define KIND(k) (1u << MP_##k)
#define ANY     (KIND(MAP) * 2 - 1)

/* Kinds that a type may hold at all. */
static const unsigned allowed[WIRE_TYPE_COUNT] = {
    [WIRE_TYPE_UINT] = KIND(UINT),
    [WIRE_TYPE_CLIENT] = KIND(NIL) | KIND(BIN),
    [WIRE_TYPE_TARGET] = KIND(STR),
    [WIRE_TYPE_TARGETS] = KIND(STR),
    [WIRE_TYPE_NAME] = KIND(STR),
    [WIRE_TYPE_METHOD] = KIND(STR),
    [WIRE_TYPE_TOPIC] = KIND(STR),
    [WIRE_TYPE_FILTERS] = KIND(ARRAY),
    [WIRE_TYPE_FROM] = KIND(UINT) | KIND(STR),
    [WIRE_TYPE_TEXT] = KIND(STR),
    [WIRE_TYPE_BYTES] = KIND(BIN) | KIND(STR),
    [WIRE_TYPE_BOOL] = KIND(BOOL),
    [WIRE_TYPE_MAP] = KIND(MAP),
    [WIRE_TYPE_TABLE] = KIND(MAP),
    [WIRE_TYPE_OPTIONS] = KIND(NIL) | KIND(MAP),
    [WIRE_TYPE_PAYLOAD] = ANY,
    [WIRE_TYPE_ARGS] = KIND(MAP) | KIND(ARRAY),
    [WIRE_TYPE_LIST] = KIND(ARRAY),
    [WIRE_TYPE_CALLS] = KIND(ARRAY),
    [WIRE_TYPE_SEQ_OR_CALLS] = KIND(UINT) | KIND(ARRAY),
    [WIRE_TYPE_METHODS] = KIND(MAP),
    [WIRE_TYPE_REPORT_ITEMS] = KIND(ARRAY),
    [WIRE_TYPE_WORK_ITEMS] = KIND(ARRAY),
    [WIRE_TYPE_EVENT_ITEMS] = KIND(ARRAY),
};

/* Up to where the message of a fault in this row begins: "CALL SEQ: ". */
static void
fault_text(char out[128], const struct wire_field_row *row)
{
    (void)snprintf(out, 128, "%s %s: ", wire_record_row(row->record)->name, row->name);
}

/* `message` holds one object of `kind` in the place of the row, and is else good. */
static void
check_kind(struct span message, const struct wire_field_row *row, int kind)
{
    static struct record r[2];
    struct wire_diag diag = {0};
    char begin[128];
    fault_text(begin, row);
    const size_t n = record_message(message, r, 2, &diag);
    const bool may = (allowed[row->type] & 1u << kind) != 0;
    CHECK(may || n == 0, "%s%s is accepted", begin, mp_kind_name((enum mp_kind)kind));
    if (!may) {
        CHECK(diag.code == WIRE_ERR_INVALID_ARGUMENT, "%s code %d", begin, (int)diag.code);
        CHECK(strncmp(diag.text, begin, strlen(begin)) == 0, "%s gives '%s'", begin, diag.text);
        CHECK(strstr(diag.text, mp_kind_name((enum mp_kind)kind)) != NULL,
              "'%s' does not say what it got", diag.text);
        CHECK(strstr(diag.text, wire_type_help(row->type)) != NULL,
              "'%s' does not say what is wanted", diag.text);
    }
}

/* The record again, with one field replaced. */
static void
put_changed(struct buf *b, const struct record *r, size_t changed, int kind)
{
    const struct wire_record_row *row = wire_record_row(r->record);
    write_array(b, row->count + (row->op != 0 ? 1u : 0u));
    if (row->op != 0) {
        write_uint(b, (uint64_t)row->op);
    }
    for (size_t i = 0; i < row->count; i++) {
        if (i == changed) {
            put_hex(b, samples[kind]);
        } else {
            write_raw(b, r->field[i].raw);
        }
    }
}

static void
check_fields(const struct golden *g, void *context)
{
    struct span rest = g->bytes;
    struct record r;
    (void)context;
    CHECK(record_next(&rest, &r, NULL), "%s", g->name);
    const struct wire_record_row *row = wire_record_row(r.record);
    for (size_t i = 0; i < row->count; i++) {
        for (int kind = 0; kind < KINDS; kind++) {
            struct buf b = {0};
            put_changed(&b, &r, i, kind);
            check_kind(buf_span(&b), &wire_fields[row->first + i], kind);
            buf_deinit(&b);
        }
    }
}

Test(kinds, a_field_of_the_wrong_kind_is_refused_by_its_name)
{
    (void)each_golden(check_fields, NULL);
}

/* The message up to its list of one element. */
static void
put_list_head(struct buf *b, enum wire_record item)
{
    if (item == WIRE_REC_REPORT_ITEM) {
        write_op(b, WIRE_REPORT);
        write_text(b, "detector/0");
        write_uint(b, 1);
    } else if (item == WIRE_REC_WORK_ITEM) {
        write_op(b, WIRE_WORK);
        write_uint(b, 1);
    } else {
        write_op(b, WIRE_EVENTS);
        write_uint(b, 1);
        write_uint(b, 2);
        write_uint(b, 0);
    }
    write_array(b, 1);
}

static void
check_elements(enum wire_record item, const char *hex)
{
    const struct wire_record_row *row = wire_record_row(item);
    struct buf good = {0};
    struct record r;
    put_hex(&good, hex);
    struct span inside = buf_span(&good);
    CHECK(record_item(&inside, item, &r), "%s", row->name);
    for (size_t i = 0; i < row->count; i++) {
        for (int kind = 0; kind < KINDS; kind++) {
            struct buf b = {0};
            put_list_head(&b, item);
            put_changed(&b, &r, i, kind);
            check_kind(buf_span(&b), &wire_fields[row->first + i], kind);
            buf_deinit(&b);
        }
    }
    buf_deinit(&good);
}

Test(kinds, an_element_of_a_list_with_a_field_of_the_wrong_kind_is_refused_by_its_name)
{
    check_elements(WIRE_REC_REPORT_ITEM, "93 01 00 c0");
    check_elements(WIRE_REC_WORK_ITEM, "96 01 a164 05 a0 c0 80");
    check_elements(WIRE_REC_EVENT_ITEM, "95 01 01 a161 a0 c0");
}

/* The message of `record` up to the value of a map with one key. */
static void
put_key_head(struct buf *b, const struct wire_field_row *key)
{
    if (key->record == WIRE_REC_METHODS) {
        put_hex(b, "92 10 81 a7 6d6574686f6473 81 a164"); /* [16, {"methods": {"d": */
    } else if (key->record == WIRE_REC_CALL) {
        put_hex(b, "99 02 c0 01 00 a164 a164 00");
    } else {
        write_op(b, (enum wire_op)wire_record_row(key->record)->op);
        if (key->record == WIRE_REC_COMMAND) {
            write_text(b, "stop");
        }
    }
    write_map(b, 1);
    write_text(b, key->name);
}

Test(kinds, a_key_with_a_value_of_the_wrong_kind_is_refused_by_its_name)
{
    for (size_t k = 0; k < WIRE_KEY_COUNT; k++) {
        for (int kind = 0; kind < KINDS; kind++) {
            struct buf b = {0};
            put_key_head(&b, &wire_keys[k]);
            put_hex(&b, samples[kind]);
            if (wire_keys[k].record == WIRE_REC_CALL) {
                write_map(&b, 0);
            }
            check_kind(buf_span(&b), &wire_keys[k], kind);
            buf_deinit(&b);
        }
    }
}
