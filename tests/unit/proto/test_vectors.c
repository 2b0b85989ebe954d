/* The reader against proto/vectors: what each good vector means, and why each bad one is refused.
 */
#include "tests/unit/proto/vectors.h"

#include "proto/record.h"
#include "proto/write.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { GOLDEN_MIN = 100, REFUSED_MIN = 60 };

/* ---- the same value in JSON and in msgpack ------------------------------------------------- */

static bool same(const json_t *want, struct span *rest);

static bool
same_bytes(const json_t *hex, struct span got)
{
    struct buf b = {0};
    const char *text = json_string_value(hex);
    CHECK(text != NULL, "bytes are written in hex");
    put_hex(&b, text);
    const bool ok = span_equal(buf_span(&b), got);
    buf_deinit(&b);
    return ok;
}

static bool
same_int(const char *digits, const struct mp_item *got)
{
    char text[32];
    if (got->kind == MP_NEGATIVE) {
        (void)snprintf(text, sizeof text, "%" PRId64, got->negative);
    } else {
        (void)snprintf(text, sizeof text, "%" PRIu64, got->uint);
    }
    return (got->kind == MP_NEGATIVE || got->kind == MP_UINT) && strcmp(text, digits) == 0;
}

static bool
same_float(const char *bits, const struct mp_item *got)
{
    uint64_t raw;
    memcpy(&raw, &got->number, sizeof raw);
    return got->kind == MP_FLOAT && strtoull(bits, NULL, 16) == raw;
}

/* {"bin": ...} and its like, which stand for what JSON has not. */
static bool
same_special(const char *key, const json_t *value, const struct mp_item *got)
{
    if (strcmp(key, "bin") == 0) {
        return got->kind == MP_BIN && same_bytes(value, got->bytes);
    }
    if (strcmp(key, "ext") == 0) {
        return got->kind == MP_EXT &&
               json_integer_value(json_array_get(value, 0)) == got->ext_type &&
               same_bytes(json_array_get(value, 1), got->bytes);
    }
    if (strcmp(key, "int") == 0) {
        return same_int(json_string_value(value), got);
    }
    return same_float(json_string_value(value), got);
}

static const char *
special_key(const json_t *map)
{
    static const char *const keys[] = {"bin", "ext", "int", "float"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && json_object_size(map) == 1; i++) {
        if (json_object_get(map, keys[i]) != NULL) {
            return keys[i];
        }
    }
    return NULL;
}

static bool
same_map(const json_t *want, const struct mp_item *got, struct span *rest)
{
    const char *special = special_key(want);
    if (special != NULL) {
        return same_special(special, json_object_get(want, special), got);
    }
    if (got->kind != MP_MAP || got->count != json_object_size(want)) {
        return false;
    }
    for (uint32_t i = 0; i < got->count; i++) {
        struct mp_item key;
        if (!mp_next(rest, &key) || key.kind != MP_STR) {
            return false;
        }
        char text[512];
        (void)snprintf(text, sizeof text, "%.*s", (int)key.bytes.len, (const char *)key.bytes.data);
        if (!same(json_object_get(want, text), rest)) {
            return false;
        }
    }
    return true;
}

/* Recursion is fine here: the vectors are ours. */
static bool
same(const json_t *want, struct span *rest)
{
    struct mp_item got;
    if (want == NULL || !mp_next(rest, &got)) {
        return false;
    }
    switch (json_typeof(want)) {
    case JSON_NULL:
        return got.kind == MP_NIL;
    case JSON_TRUE:
    case JSON_FALSE:
        return got.kind == MP_BOOL && got.boolean == json_is_true(want);
    case JSON_STRING:
        return got.kind == MP_STR &&
               span_equal(got.bytes, (struct span){(const uint8_t *)json_string_value(want),
                                                   json_string_length(want)});
    case JSON_INTEGER: {
        char digits[32];
        (void)snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(want));
        return same_int(digits, &got);
    }
    case JSON_ARRAY:
        if (got.kind != MP_ARRAY || got.count != json_array_size(want)) {
            return false;
        }
        for (size_t i = 0; i < json_array_size(want); i++) {
            if (!same(json_array_get(want, i), rest)) {
                return false;
            }
        }
        return true;
    case JSON_OBJECT:
        return same_map(want, &got, rest);
    case JSON_REAL:
        break; /* written as {"float": bits} */
    }
    return false;
}

/* ---- good ----------------------------------------------------------------------------------- */

static void
check_meaning(const struct golden *g, void *context)
{
    struct span rest = g->bytes;
    (void)context;
    CHECK(same(g->record, &rest) && rest.len == 0, "%s is not what it says", g->name);
}

Test(vectors, good_ones_mean_what_they_say)
{
    cr_assert_geq(each_golden(check_meaning, NULL), GOLDEN_MIN);
}

/* A record's fields, put one after another behind its head, are the record again. */
static void
check_decoded(const struct golden *g, void *context)
{
    unsigned *seen = context;
    struct span rest = g->bytes;
    struct wire_diag diag = {0};
    struct record r;
    CHECK(record_next(&rest, &r, &diag), "%s: %s", g->name, diag.text);
    CHECK(rest.len == 0, "%s leaves %zu bytes", g->name, rest.len);
    CHECK((json_int_t)wire_record_row(r.record)->op ==
              json_integer_value(json_array_get(g->record, 0)),
          "%s is taken for %s", g->name, wire_record_row(r.record)->name);
    const size_t count = wire_record_row(r.record)->count;
    const uint8_t *end = g->bytes.data + g->bytes.len;
    for (size_t i = count; i > 0; i--) {
        struct span raw = r.field[i - 1].raw;
        CHECK(raw.data + raw.len == end, "%s field %zu ends elsewhere", g->name, i);
        CHECK(same(json_array_get(g->record, i), &raw), "%s field %zu", g->name, i);
        end = r.field[i - 1].raw.data;
    }
    seen[r.record]++;
}

Test(vectors, good_ones_are_taken_apart_into_their_fields)
{
    unsigned seen[WIRE_REC_COUNT] = {0};
    (void)each_golden(check_decoded, seen);
    for (int r = 0; r < WIRE_REC_COUNT; r++) {
        const struct wire_record_row *row = wire_record_row((enum wire_record)r);
        CHECK(row->op == 0 || seen[r] > 0, "no vector for %s", row->name);
    }
}

static void
check_cut(const struct golden *g, void *context)
{
    static struct record r[2];
    (void)context;
    for (size_t len = 0; len < g->bytes.len; len++) {
        uint8_t *cut = malloc(len > 0 ? len : 1);
        CHECK(cut != NULL, "no memory");
        memcpy(cut, g->bytes.data, len);
        struct wire_diag diag = {0};
        CHECK(record_message((struct span){cut, len}, r, 2, &diag) == 0, "%s, %zu of %zu bytes",
              g->name, len, g->bytes.len);
        CHECK(diag.code == WIRE_ERR_INVALID_ARGUMENT && diag.text[0] != '\0', "%s", g->name);
        free(cut);
    }
}

Test(vectors, good_ones_are_refused_when_a_byte_is_missing_at_the_end)
{
    (void)each_golden(check_cut, NULL);
}

static void
collect(const struct golden *g, void *context)
{
    buf_put(context, g->bytes.data, g->bytes.len);
}

Test(vectors, good_ones_one_after_another_are_one_message)
{
    static struct record r[WIRE_RECORDS_MAX];
    struct buf all = {0};
    struct wire_diag diag = {0};
    const size_t count = each_golden(collect, &all);
    const size_t got = record_message(buf_span(&all), r, WIRE_RECORDS_MAX, &diag);
    cr_assert_eq(got, count, "%zu of %zu: %s", got, count, diag.text);
    buf_deinit(&all);
}

/* Writes again what was read, in the shortest forms. */
static void
rewrite(struct buf *out, struct span in)
{
    struct mp_item item;
    while (in.len > 0 && mp_next(&in, &item)) {
        switch (item.kind) {
        case MP_NIL:
            write_nil(out);
            break;
        case MP_BOOL:
            write_bool(out, item.boolean);
            break;
        case MP_UINT:
            write_uint(out, item.uint);
            break;
        case MP_NEGATIVE:
            write_int(out, item.negative);
            break;
        case MP_FLOAT:
            write_double(out, item.number);
            break;
        case MP_STR:
            write_str(out, item.bytes);
            break;
        case MP_BIN:
            write_bin(out, item.bytes);
            break;
        case MP_ARRAY:
            write_array(out, item.count);
            break;
        case MP_MAP:
            write_map(out, item.count);
            break;
        case MP_EXT:
            out->failed = true; /* the writer has no extensions */
            break;
        }
    }
}

static void
check_rewritten(const struct golden *g, void *context)
{
    size_t *compared = context;
    struct buf out = {0};
    rewrite(&out, g->bytes);
    if (!out.failed && !g->decode_only) {
        CHECK(span_equal(buf_span(&out), g->bytes), "%s is written as %s", g->name,
              hex_text(buf_span(&out)));
        ++*compared;
    } else if (g->decode_only) {
        CHECK(buf_span(&out).len < g->bytes.len || strstr(g->name, "32 bits") != NULL,
              "%s is the shortest form", g->name);
    }
    buf_deinit(&out);
}

Test(vectors, good_ones_are_what_the_writer_writes)
{
    size_t compared = 0;
    (void)each_golden(check_rewritten, &compared);
    cr_assert_geq(compared, GOLDEN_MIN - 20, "%zu", compared);
}

/* ---- bad ------------------------------------------------------------------------------------ */

static void
check_refused(const struct refused *r, void *context)
{
    static struct record records[WIRE_RECORDS_MAX];
    struct wire_diag diag = {0};
    (void)context;
    CHECK(record_message(r->bytes, records, WIRE_RECORDS_MAX, &diag) == 0, "%s is accepted",
          r->name);
    CHECK(strcmp(wire_error_name(diag.code), r->code) == 0, "%s gives %s", r->name,
          wire_error_name(diag.code));
    CHECK(strstr(diag.text, r->words) != NULL, "%s: '%s' is not in '%s'", r->name, r->words,
          diag.text);
    CHECK(record_message(r->bytes, records, WIRE_RECORDS_MAX, NULL) == 0,
          "%s is accepted by who does not ask why", r->name);
}

Test(vectors, bad_ones_are_refused_for_the_reason_they_say)
{
    cr_assert_geq(each_refused(check_refused, NULL), REFUSED_MIN);
}
