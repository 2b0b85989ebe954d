/* Records: whole messages, batches, lists, keys, failures, and what is said to people. */
#include "tests/unit/proto/helper.h"

#include "proto/record.h"
#include "proto/write.h"

#include <string.h>

/* ---- whole messages ------------------------------------------------------------------------- */

static size_t
message(const char *bytes, size_t len, struct record *r, size_t max, struct wire_diag *diag)
{
    return record_message((struct span){(const uint8_t *)bytes, len}, r, max, diag);
}

Test(record, a_call_is_taken_apart)
{
    static const char call[] = "\x99\x02\xc4\x10"
                               "0123456789abcdef"
                               "\x07\x06\xaa"
                               "detector/3"
                               "\xa6"
                               "detect"
                               "\xcd\x13\x88\x81\xa8"
                               "progress"
                               "\xc3\x92\x01\x02";
    struct record r;
    struct field progress;
    cr_assert_eq(message(call, sizeof call - 1, &r, 1, NULL), 1);
    cr_assert_eq(r.record, WIRE_REC_CALL);
    cr_assert(span_is(RECORD_FIELD(&r, CALL, CLIENT)->item.bytes, "0123456789abcdef"));
    cr_assert_eq(RECORD_FIELD(&r, CALL, SEQ)->item.uint, 7);
    cr_assert_eq(RECORD_FIELD(&r, CALL, ACK)->item.uint, 6);
    cr_assert(span_is(RECORD_FIELD(&r, CALL, WORKER)->target.worker, "detector"));
    cr_assert(RECORD_FIELD(&r, CALL, WORKER)->target.one);
    cr_assert_eq(RECORD_FIELD(&r, CALL, WORKER)->target.index, 3);
    cr_assert(span_is(RECORD_FIELD(&r, CALL, METHOD)->item.bytes, "detect"));
    cr_assert_eq(RECORD_FIELD(&r, CALL, TTL_MS)->item.uint, 5000);
    cr_assert(record_key(RECORD_FIELD(&r, CALL, OPTIONS), WIRE_KEY_CALL_progress, &progress));
    cr_assert(progress.item.boolean);
    cr_assert(span_is(RECORD_FIELD(&r, CALL, ARGS)->raw, "\x92\x01\x02"));
    cr_assert(span_is(RECORD_FIELD(&r, CALL, ARGS)->inside, "\x01\x02"));
}

Test(record, a_replica_is_not_remembered_from_the_record_before)
{
    struct record r;
    cr_assert_eq(message("\x93\x13\xa3"
                         "a/7\x01",
                         7, &r, 1, NULL),
                 1);
    cr_assert(RECORD_FIELD(&r, CONTROL, REPLICA)->target.one);
    cr_assert_eq(message("\x93\x13\xa1"
                         "a\x01",
                         5, &r, 1, NULL),
                 1);
    cr_assert_not(RECORD_FIELD(&r, CONTROL, REPLICA)->target.one);
}

Test(record, as_many_records_as_allowed_are_taken_and_one_more_is_refused)
{
    static struct record r[WIRE_RECORDS_MAX];
    struct wire_diag diag = {0};
    struct buf b = {0};
    for (int i = 0; i < WIRE_RECORDS_MAX; i++) {
        buf_put(&b, "\x92\x07\xc0", 3);
    }
    cr_assert_eq(record_message(buf_span(&b), r, WIRE_RECORDS_MAX, &diag), WIRE_RECORDS_MAX);
    buf_put(&b, "\x92\x07\xc0", 3);
    cr_assert_eq(record_message(buf_span(&b), r, WIRE_RECORDS_MAX, &diag), 0);
    cr_assert_eq(diag.code, WIRE_ERR_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(diag.text, "256 records"));
    buf_deinit(&b);
}

Test(record, an_unknown_operation_is_unimplemented_and_not_invalid)
{
    struct record r;
    struct wire_diag diag = {0};
    cr_assert_eq(message("\x92\x08\xc0", 3, &r, 1, &diag), 0);
    cr_assert_eq(diag.code, WIRE_ERR_UNIMPLEMENTED);
}

Test(record, a_payload_nested_a_mebibyte_deep_is_accepted)
{
    struct buf b = {0};
    struct record r;
    struct wire_diag diag = {0};
    buf_put(&b, "\x92\x07", 2);
    for (int i = 0; i < 1 << 20; i++) {
        buf_put(&b, "\x91", 1);
    }
    cr_assert_eq(record_message(buf_span(&b), &r, 1, &diag), 0, "it has no end");
    buf_put(&b, "\xc0", 1);
    cr_assert_eq(record_message(buf_span(&b), &r, 1, &diag), 1, "%s", diag.text);
    cr_assert_eq(RECORD_FIELD(&r, PING, PAYLOAD)->raw.len, (1 << 20) + 1);
    buf_deinit(&b);
}

Test(record, a_payload_may_hold_a_text_that_is_not_utf8)
{
    struct record r;
    cr_assert_eq(message("\x92\x07\xa2\xff\xfe", 5, &r, 1, NULL), 1,
                 "payloads are not looked into");
}

/* ---- messages for people -------------------------------------------------------------------- */

Test(record, what_a_peer_sent_is_shown_as_printable_ascii)
{
    static const struct span names[] = {
        {(const uint8_t *)"\x1b[31mred", 8}, {(const uint8_t *)"a\0b", 3},
        {(const uint8_t *)"\xff\xfe", 2},    {(const uint8_t *)"d\xc3\xa9t", 4},
        {(const uint8_t *)"%s%n", 4},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf b = {0};
        struct record r;
        struct wire_diag diag = {0};
        write_op(&b, WIRE_CONTROL);
        write_str(&b, names[i]);
        write_uint(&b, 1);
        cr_assert_eq(record_message(buf_span(&b), &r, 1, &diag), 0);
        for (const char *c = diag.text; *c != '\0'; c++) {
            CHECK(*c >= 0x20 && *c < 0x7f, "name %zu gives '%s'", i, diag.text);
        }
        buf_deinit(&b);
    }
}

Test(record, a_wrong_name_is_shown_as_far_as_it_can_be)
{
    static const char control[] = "\x93\x13\xa6"
                                  "A b\x7f~\x1f"
                                  "\x01";
    struct record r;
    struct wire_diag diag = {0};
    cr_assert_eq(message(control, sizeof control - 1, &r, 1, &diag), 0);
    cr_assert_not_null(strstr(diag.text, ", got 'A b?~?'"), "%s", diag.text);
}

Test(record, the_longest_message_ends_with_what_was_sent)
{
    struct buf b = {0};
    struct record r;
    struct wire_diag diag = {0};
    put_hex(&b, "97 06 c0 91");
    char filter[3000];
    memset(filter, 'x', sizeof filter);
    write_str(&b, (struct span){(uint8_t *)filter, sizeof filter});
    put_hex(&b, "01 01 01 01");
    cr_assert_eq(record_message(buf_span(&b), &r, 1, &diag), 0);
    const size_t len = strlen(diag.text);
    cr_assert_lt(len, sizeof diag.text);
    cr_assert_eq(diag.text[len - 1], '\'', "%s", diag.text);
    buf_deinit(&b);
}

/* ---- keys, lists, failures ------------------------------------------------------------------ */

/* {"later": [1], "pid": 1, "pid": 2} in an ATTACH */
static const char twice[] = "\x92\x10\x83\xa5later\x91\x01\xa3pid\x01\xa3pid\x02";

Test(record, a_key_is_found_among_unknown_ones_and_the_first_of_two_counts)
{
    struct record r;
    struct field f;
    cr_assert_eq(message(twice, sizeof twice - 1, &r, 1, NULL), 1);
    const struct field *about = RECORD_FIELD(&r, ATTACH, ABOUT);
    cr_assert(record_key(about, WIRE_KEY_ATTACH_pid, &f));
    cr_assert_eq(f.item.uint, 1);
    cr_assert_not(record_key(about, WIRE_KEY_ATTACH_worker, &f));
}

Test(record, options_of_nil_have_no_keys)
{
    struct record r;
    struct field f;
    cr_assert_eq(message("\x99\x02\xc0\x01\x00\xa1"
                         "d\xa1m\x00\xc0\x80",
                         12, &r, 1, NULL),
                 1);
    cr_assert_not(record_key(RECORD_FIELD(&r, CALL, OPTIONS), WIRE_KEY_CALL_progress, &f));
}

Test(record, elements_numbers_and_texts_of_lists_come_one_by_one)
{
    struct record r, item;
    uint64_t number = 0;
    struct span text;
    cr_assert_eq(message("\x94\x12\xa3"
                         "a/0\x01\x92\x93\x05\x00\xc0\x93\x06\x01\xc0",
                         16, &r, 1, NULL),
                 1);
    struct span inside = RECORD_FIELD(&r, REPORT, ITEMS)->inside;
    cr_assert(record_item(&inside, WIRE_REC_REPORT_ITEM, &item));
    cr_assert_eq(RECORD_FIELD(&item, REPORT_ITEM, CALL)->item.uint, 5);
    cr_assert(record_item(&inside, WIRE_REC_REPORT_ITEM, &item));
    cr_assert_eq(RECORD_FIELD(&item, REPORT_ITEM, KIND)->item.uint, 1);
    cr_assert_not(record_item(&inside, WIRE_REC_REPORT_ITEM, &item), "there were two");

    cr_assert_eq(message("\x93\x46\x92\x01\xcc\xff\x00", 7, &r, 1, NULL), 1);
    inside = RECORD_FIELD(&r, ACK, WHAT)->inside;
    cr_assert(record_number(&inside, &number) && number == 1);
    cr_assert(record_number(&inside, &number) && number == 255);
    cr_assert_not(record_number(&inside, &number));

    cr_assert_eq(message("\x97\x06\xc0\x92\xa1>\xa3"
                         "a.b\x01\x01\x01\x00",
                         14, &r, 1, NULL),
                 1);
    inside = RECORD_FIELD(&r, FETCH, FILTERS)->inside;
    cr_assert(record_text(&inside, &text) && span_is(text, ">"));
    cr_assert(record_text(&inside, &text) && span_is(text, "a.b"));
    cr_assert_not(record_text(&inside, &text));
}

Test(record, a_failure_is_four_fields_and_nothing_else)
{
    static const struct {
        const char *hex;
        bool good;
    } rows[] = {
        {"94 02 02 a161 c0", true},
        {"94 10 00 a0 81a16b01", true},
        {"94 cd0001 01 d900 c0", true},
        {"94 00 02 a161 c0", false}, /* OK is no failure */
        {"94 11 02 a161 c0", false}, /* no such code */
        {"94 02 03 a161 c0", false}, /* no such began */
        {"94 ff 02 a161 c0", false},
        {"94 02 ff a161 c0", false},
        {"94 a132 02 a161 c0", false},
        {"94 02 02 c40161 c0", false}, /* bytes for a message */
        {"94 02 02 a1ff c0", false},   /* not UTF-8 */
        {"93 02 02 a161", false},
        {"93 02 02 a161 c0", false},
        {"95 02 02 a161 c0 c0", false},
        {"94 02 02 a161", false},
        {"94 02 02 a161 c0 c0", false},
        {"94 02 02 a161 91", false},
        {"c0", false},
        {"", false},
        {"84 01 02 03 04 05 06 07 08", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0};
        struct wire_failure f = {0};
        put_hex(&b, rows[i].hex);
        CHECK(record_failure(buf_span(&b), &f) == rows[i].good, "%s", rows[i].hex);
        buf_deinit(&b);
    }
}

Test(record, a_failure_gives_its_parts)
{
    struct wire_failure f;
    cr_assert(record_failure(SPAN("\x94\x0a\x01\xa4gone\x81\xa1k\x01"), &f));
    cr_assert_eq(f.code, WIRE_ERR_ABORTED);
    cr_assert_eq(f.began, WIRE_BEGAN_MAYBE);
    cr_assert(span_is(f.message, "gone"));
    cr_assert(span_is(f.details, "\x81\xa1k\x01"));
}
