/* Frames to values and back. */
#include <stdio.h>
#include <string.h>

#include "client/devices/coding.h"
#include "tests/support/test.h"

/* The value of a frame as JSON, or "no" and whether there was a reason. */
static void
expect_len(enum coding coding, const char *frame, size_t len, const char *expected)
{
    char why[200] = "", *json = NULL;
    prong_writer *out = prong_writer_new();
    prong_value value;
    cr_assert_not_null(out);
    const bool ok = coding_decode(coding, (const uint8_t *)frame, len, out, why, sizeof why);
    if (ok) {
        cr_assert_eq(prong_writer_finish(out, &value), PRONG_OK);
        cr_assert_eq(prong_value_to_json(&value, 0, &json), PRONG_OK);
    }
    cr_expect_str_eq(ok ? json : "no", expected, "%.*s", (int)len, frame);
    cr_expect(ok || why[0] != '\0');
    prong_free(json);
    prong_writer_free(out);
}

#define EXPECT(coding, frame, expected) expect_len((coding), (frame), sizeof(frame) - 1, (expected))

Test(coding, text_is_utf8)
{
    EXPECT(CODING_TEXT, "hello", "\"hello\"");
    EXPECT(CODING_TEXT, "", "\"\"");
    EXPECT(CODING_TEXT, "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"");
    EXPECT(CODING_TEXT, "\xff", "no");
    EXPECT(CODING_TEXT, "\xed\xa0\x80", "no");
    expect_len(CODING_TEXT, NULL, 0, "\"\"");
}

Test(coding, a_number_is_decimal)
{
    EXPECT(CODING_NUMBER, "42", "42");
    EXPECT(CODING_NUMBER, " -7\r", "-7");
    EXPECT(CODING_NUMBER, "+3.5e2 ", "350.0");
    EXPECT(CODING_NUMBER, "9223372036854775807", "9223372036854775807");
    EXPECT(CODING_NUMBER, "9223372036854775808", "9.223372036854776e+18");
    EXPECT(CODING_NUMBER, "", "no");
    EXPECT(CODING_NUMBER, " ", "no");
    EXPECT(CODING_NUMBER, "1 2", "no");
    EXPECT(CODING_NUMBER, "12x", "no");
    EXPECT(CODING_NUMBER, "0x10", "no");
    EXPECT(CODING_NUMBER, "nan", "no");
    EXPECT(CODING_NUMBER, "inf", "no");
    EXPECT(CODING_NUMBER, "1e999", "no");
    EXPECT(CODING_NUMBER, "1\0002", "no");
    EXPECT(CODING_NUMBER, "1111111111111111111111111111111111111111111111111111111111111111111",
           "no");
}

Test(coding, json_is_one_value)
{
    EXPECT(CODING_JSON, "{\"a\": [1, 2.5, null]}", "{\"a\":[1,2.5,null]}");
    EXPECT(CODING_JSON, "7", "7");
    EXPECT(CODING_JSON, "{\"a\": ", "no");
    EXPECT(CODING_JSON, "1 2", "no");
    EXPECT(CODING_JSON, "", "no");
}

Test(coding, msgpack_is_one_object)
{
    EXPECT(CODING_MSGPACK, "\x92\x01\xa1x", "[1,\"x\"]");
    EXPECT(CODING_MSGPACK, "\x92\x01", "no");
    EXPECT(CODING_MSGPACK, "\x01\x02", "no");
    EXPECT(CODING_MSGPACK, "", "no");
    EXPECT(CODING_MSGPACK, "\xc1", "no");
}

Test(coding, bytes_are_bytes)
{
    EXPECT(CODING_BYTES, "\0\xff", "{\"$bin\":\"AP8=\"}");
    expect_len(CODING_BYTES, NULL, 0, "{\"$bin\":\"\"}");
}

/* The bytes for a value given as JSON, NULL for none. */
static void
expect_bytes(enum coding coding, const char *json, const char *expected)
{
    size_t len = 0;
    prong_value value;
    prong_writer *w = prong_writer_new();
    cr_assert_eq(prong_value_from_json(json, strlen(json), w, NULL, 0), PRONG_OK);
    cr_assert_eq(prong_writer_finish(w, &value), PRONG_OK);
    uint8_t *bytes = coding_encode(coding, &value, &len);
    cr_assert_eq(bytes != NULL, expected != NULL, "%s", json);
    if (bytes != NULL) {
        cr_expect_eq(len, strlen(expected), "%s", json);
        cr_expect_eq(memcmp(bytes, expected, len), 0, "%s", json);
    }
    prong_free(bytes);
    prong_writer_free(w);
}

Test(coding, a_value_is_sent_as_it_would_be_read)
{
    expect_bytes(CODING_TEXT, "\"go\"", "go");
    expect_bytes(CODING_TEXT, "5", "5");
    expect_bytes(CODING_TEXT, "{\"a\": 1}", NULL);
    expect_bytes(CODING_TEXT, "null", NULL);
    expect_bytes(CODING_TEXT, "{\"$bin\": \"Z28=\"}", "go");
    expect_bytes(CODING_NUMBER, "2.5", "2.5");
    expect_bytes(CODING_JSON, "\"go\"", "\"go\"");
    expect_bytes(CODING_JSON, "{\"a\": 1}", "{\"a\":1}");
    expect_bytes(CODING_JSON, "{\"$bin\": \"Z28=\"}", "go");
    expect_bytes(CODING_MSGPACK, "\"go\"", "\xa2go");
    expect_bytes(CODING_BYTES, "\"go\"", "go");
}
