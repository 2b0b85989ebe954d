/* The writer: what it writes is read as the same, and running out of memory is only remembered. */
#include "tests/unit/proto/helper.h"

#include "proto/record.h"
#include "proto/write.h"

#include <stdlib.h>
#include <string.h>

/* Linked with --wrap=realloc: the buffer's allocations come through here. */
void *__real_realloc(void *old, size_t size_bytes);
void *__wrap_realloc(void *old, size_t size_bytes);

static long allocations_left = -1; /* -1: no limit */

void *
__wrap_realloc(void *old, size_t size_bytes)
{
    if (allocations_left == 0) {
        return NULL;
    }
    if (allocations_left > 0) {
        allocations_left--;
    }
    return __real_realloc(old, size_bytes);
}

static struct mp_item
read_back(struct buf *b)
{
    struct mp_item item = {0};
    struct span rest = buf_span(b);
    CHECK(!b->failed, "the buffer failed");
    CHECK(mp_next(&rest, &item), "unreadable: %s", hex_text(buf_span(b)));
    CHECK(rest.len == 0, "more than one head: %s", hex_text(buf_span(b)));
    return item;
}

Test(write, integers_are_read_back_and_take_the_shortest_form)
{
    static const struct {
        uint64_t value;
        size_t size;
    } rows[] = {{0, 1},          {127, 1},          {128, 2},       {255, 2},
                {256, 3},        {65535, 3},        {65536, 5},     {4294967295, 5},
                {4294967296, 9}, {WIRE_INT_MAX, 9}, {UINT64_MAX, 9}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0};
        write_uint(&b, rows[i].value);
        cr_assert_eq(buf_span(&b).len, rows[i].size, "row %zu", i);
        const struct mp_item item = read_back(&b);
        cr_assert(item.kind == MP_UINT && item.uint == rows[i].value, "row %zu", i);
        buf_deinit(&b);
    }
}

Test(write, signed_integers_are_read_back_and_take_the_shortest_form)
{
    static const struct {
        int64_t value;
        size_t size;
    } rows[] = {{0, 1},    {1, 1},    {200, 2},    {-1, 1},        {-32, 1},       {-33, 2},
                {-128, 2}, {-129, 3}, {-32769, 5}, {INT32_MIN, 5}, {INT64_MIN, 9}, {INT64_MAX, 9}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0};
        write_int(&b, rows[i].value);
        cr_assert_eq(buf_span(&b).len, rows[i].size, "row %zu", i);
        const struct mp_item item = read_back(&b);
        cr_assert_eq(item.kind, rows[i].value < 0 ? MP_NEGATIVE : MP_UINT, "row %zu", i);
        cr_assert_eq(item.negative, rows[i].value, "row %zu", i);
        buf_deinit(&b);
    }
}

Test(write, nil_booleans_and_floats_are_read_back)
{
    struct buf b = {0};
    write_nil(&b);
    cr_assert_eq(read_back(&b).kind, MP_NIL);
    buf_reset(&b, SIZE_MAX);
    write_bool(&b, true);
    cr_assert(read_back(&b).boolean);
    buf_reset(&b, SIZE_MAX);
    write_bool(&b, false);
    cr_assert_eq(read_back(&b).kind, MP_BOOL);
    cr_assert_not(read_back(&b).boolean);
    buf_reset(&b, SIZE_MAX);
    write_double(&b, 0.1);
    cr_assert_eq(read_back(&b).number, 0.1);
    buf_deinit(&b);
}

Test(write, texts_and_bytes_of_every_length_class_are_read_back)
{
    static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 100000};
    uint8_t *content = malloc(100000);
    cr_assert_not_null(content);
    memset(content, 'x', 100000);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct buf b = {0};
        write_str(&b, (struct span){content, lengths[i]});
        cr_assert_eq(read_back(&b).kind, MP_STR);
        cr_assert_eq(read_back(&b).bytes.len, lengths[i]);
        buf_reset(&b, SIZE_MAX);
        write_bin(&b, (struct span){content, lengths[i]});
        cr_assert_eq(read_back(&b).kind, MP_BIN);
        cr_assert_eq(read_back(&b).bytes.len, lengths[i]);
        buf_deinit(&b);
    }
    free(content);
}

Test(write, heads_of_lists_and_maps_of_every_length_class_are_read_back)
{
    static const uint32_t counts[] = {0, 15, 16, 65535, 65536};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct buf b = {0};
        write_array(&b, counts[i]);
        for (uint32_t n = 0; n < counts[i]; n++) {
            write_nil(&b);
        }
        struct span rest = buf_span(&b);
        cr_assert(mp_skip(&rest, NULL) && rest.len == 0, "%u elements", counts[i]);
        buf_reset(&b, SIZE_MAX);
        write_map(&b, counts[i]);
        for (uint32_t n = 0; n < counts[i]; n++) {
            write_text(&b, "k");
            write_nil(&b);
        }
        rest = buf_span(&b);
        cr_assert(mp_skip(&rest, NULL) && rest.len == 0, "%u pairs", counts[i]);
        buf_deinit(&b);
    }
}

Test(write, an_encoded_object_goes_in_as_it_is_and_nothing_becomes_nil)
{
    struct buf b = {0};
    write_raw(&b, SPAN("\x92\x01\x02"));
    cr_assert_arr_eq(buf_span(&b).data, "\x92\x01\x02", 3);
    buf_reset(&b, SIZE_MAX);
    write_raw(&b, (struct span){0});
    cr_assert_eq(read_back(&b).kind, MP_NIL);
    buf_deinit(&b);
}

Test(write, the_head_of_every_operation_counts_its_fields)
{
    for (int r = 0; r < WIRE_REC_REPORT_ITEM; r++) {
        const struct wire_record_row *row = wire_record_row((enum wire_record)r);
        struct buf b = {0};
        write_op(&b, (enum wire_op)row->op);
        struct span rest = buf_span(&b);
        for (size_t i = 0; i < row->count; i++) {
            write_nil(&b);
        }
        rest = buf_span(&b);
        struct mp_item head, op;
        cr_assert(mp_next(&rest, &head) && mp_next(&rest, &op));
        cr_assert_eq(head.count, row->count + 1u, "%s", row->name);
        cr_assert_eq(op.uint, (uint64_t)row->op, "%s", row->name);
        buf_deinit(&b);
    }
}

static void
write_examples(struct buf *b)
{
    write_error(b, &(struct write_error){.seq = WIRE_INT_MAX,
                                         .code = WIRE_ERR_ABORTED,
                                         .began = WIRE_BEGAN_YES,
                                         .message = SPAN("gone"),
                                         .details = SPAN("\x81\xa1k\x01")});
    write_op(b, WIRE_RESULT);
    write_uint(b, 1);
    write_map(b, 1);
    write_text(b, "text");
    write_bin(b, (struct span){(const uint8_t[3000]){0}, 3000});
    write_op(b, WIRE_PONG);
    write_double(b, 1.5);
    write_op(b, WIRE_PONG);
    write_bool(b, true);
    write_op(b, WIRE_PONG);
    write_int(b, -5);
}

Test(write, an_error_is_read_back_with_all_its_parts)
{
    struct buf b = {0};
    struct record r[5];
    struct wire_diag diag = {0};
    write_examples(&b);
    cr_assert_eq(record_message(buf_span(&b), r, 5, &diag), 5, "%s", diag.text);
    cr_assert_eq(r[0].record, WIRE_REC_ERROR);
    cr_assert_eq(RECORD_FIELD(&r[0], ERROR, SEQ)->item.uint, WIRE_INT_MAX);
    cr_assert_eq(RECORD_FIELD(&r[0], ERROR, CODE)->item.uint, WIRE_ERR_ABORTED);
    cr_assert_eq(RECORD_FIELD(&r[0], ERROR, BEGAN)->item.uint, WIRE_BEGAN_YES);
    cr_assert(span_is(RECORD_FIELD(&r[0], ERROR, MESSAGE)->item.bytes, "gone"));
    cr_assert(span_is(RECORD_FIELD(&r[0], ERROR, DETAILS)->raw, "\x81\xa1k\x01"));
    buf_deinit(&b);
}

Test(write, an_error_without_details_says_nil)
{
    struct buf b = {0};
    struct record r;
    write_error(&b, &(struct write_error){.code = WIRE_ERR_INTERNAL});
    cr_assert_eq(record_message(buf_span(&b), &r, 1, NULL), 1);
    cr_assert_eq(RECORD_FIELD(&r, ERROR, DETAILS)->item.kind, MP_NIL);
    buf_deinit(&b);
}

Test(write, whichever_allocation_fails_the_buffer_remembers_and_nothing_else_happens)
{
    struct buf whole = {0};
    write_examples(&whole);
    long n = 0;
    for (bool failed = true; failed; n++) {
        struct buf b = {0};
        allocations_left = n;
        write_examples(&b);
        write_examples(&b);
        allocations_left = -1;
        failed = b.failed;
        const struct span got = buf_span(&b);
        CHECK(got.len <= 2 * buf_span(&whole).len, "%ld", n);
        CHECK(got.len == 0 ||
                  memcmp(got.data, whole.data, got.len < whole.w ? got.len : whole.w) == 0,
              "what was written before allocation %ld failed is damaged", n);
        buf_deinit(&b);
        cr_assert_not(b.failed);
    }
    cr_assert_geq(n, 4, "%ld allocations were tried", n);
    buf_deinit(&whole);
}

Test(write, a_failed_buffer_writes_again_after_a_reset)
{
    struct buf b = {0};
    allocations_left = 0;
    write_nil(&b);
    allocations_left = -1;
    cr_assert(b.failed);
    write_nil(&b);
    cr_assert_eq(buf_span(&b).len, 0, "a failure stays until somebody looked");
    buf_reset(&b, 0);
    write_nil(&b);
    cr_assert_eq(read_back(&b).kind, MP_NIL);
    buf_deinit(&b);
}
