#include "tests/support/test.h"

#include <locale.h>
#include <prong/value.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* JSON -> value -> JSON. */
static const struct row {
    const char *in, *out; /* out NULL: the same */
} rows[] = {
    {"null", NULL},
    {"true", NULL},
    {"-7", NULL},
    {"9223372036854775807", NULL},
    {"-9223372036854775808", NULL},
    {"1.0", NULL},
    {"0.1", NULL},
    {"1e300", "1e+300"},
    {"5e-324", NULL},
    {"-0.0", NULL},
    {"123456789012345.6", NULL},
    {"\"\\u00e4\\n\\\"\\\\ \\u0000\"", "\"\xc3\xa4\\u000a\\\"\\\\ \\u0000\""},
    {"[]", NULL},
    {"{}", NULL},
    {" [1, [2, {\"a\": [ ]}] ] ", "[1,[2,{\"a\":[]}]]"},
    {"{\"b\":1,\"a\":{\"c\":null}}", NULL},
    {"{\"$bin\":\"\"}", NULL},
    {"{\"$bin\":\"AQ==\"}", NULL},
    {"{\"$bin\":\"AQI=\"}", NULL},
    {"{\"$bin\":\"AQID\"}", NULL},
    {"{\"$ext\":[-1,\"AQID\"]}", NULL},
    {"{\"$bin\":\"not base64\"}", NULL},
    {"{\"$bin\":7}", NULL},
    {"{\"$ext\":[300,\"AQID\"]}", NULL},
    {"{\"$bin\":\"AQID\",\"x\":1}", NULL},
};

static char *
round_trip(const char *in, char *error, size_t error_size)
{
    prong_writer *w = prong_writer_new();
    prong_value v;
    char *out = NULL;
    error[0] = '\0';
    if (prong_value_from_json(in, strlen(in), w, error, error_size) == PRONG_OK) {
        cr_assert_eq(prong_writer_finish(w, &v), PRONG_OK);
        cr_assert_eq(prong_value_to_json(&v, 0, &out), PRONG_OK, "%s", in);
    }
    prong_writer_free(w);
    return out;
}

static void
check_rows(void)
{
    char error[200];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *out = round_trip(rows[i].in, error, sizeof error);
        cr_expect_not_null(out, "%s: %s", rows[i].in, error);
        if (out != NULL) {
            cr_expect_str_eq(out, rows[i].out != NULL ? rows[i].out : rows[i].in);
        }
        prong_free(out);
    }
}

Test(json, what_goes_in_comes_out)
{
    check_rows();
}

Test(json, the_locale_of_the_program_does_not_matter)
{
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "C.UTF-8"};
    for (size_t i = 0; i < 4; i++) {
        if (setlocale(LC_ALL, locales[i]) != NULL) {
            check_rows();
        }
    }
    (void)setlocale(LC_ALL, "C");
}

Test(json, bytes_and_extensions_are_shown_by_their_kind)
{
    static const char text[] = "{\"$ext\":[5,\"YWJjZA==\"]}";
    prong_writer *w = prong_writer_new();
    prong_value v;
    const uint8_t *data;
    size_t len;
    int type;
    cr_assert_eq(prong_value_from_json(text, strlen(text), w, NULL, 0), PRONG_OK);
    cr_assert_eq(prong_writer_finish(w, &v), PRONG_OK);
    cr_assert(prong_value_ext(&v, &type, &data, &len));
    cr_expect_eq(type, 5);
    cr_expect(len == 4 && memcmp(data, "abcd", 4) == 0);
    prong_writer_free(w);
}

Test(json, what_json_cannot_say_has_the_form_that_is_documented)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint32_t flags;
        const char *json;
    } cases[] = {
        {"\xcb\x7f\xf8\0\0\0\0\0\0", 9, 0, "\"NaN\""},
        {"\xcb\x7f\xf0\0\0\0\0\0\0", 9, 0, "\"Infinity\""},
        {"\xcb\xff\xf0\0\0\0\0\0\0", 9, 0, "\"-Infinity\""},
        {"\xcb\xff\xf0\0\0\0\0\0\0", 9, PRONG_JSON_NUMBERS, "null"},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, 0, "18446744073709551615"},
        {"\x82\x07\x01\xff\x02", 5, 0, "{\"7\":1,\"-1\":2}"},
        {"\x92\x01\x81\xa1k\x90", 6, PRONG_JSON_PRETTY, "[\n  1,\n  {\n    \"k\": []\n  }\n]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const prong_value v = {(const uint8_t *)cases[i].bytes, cases[i].len};
        char *json = NULL;
        cr_assert_eq(prong_value_to_json(&v, cases[i].flags, &json), PRONG_OK, "case %zu", i);
        cr_expect_str_eq(json, cases[i].json);
        prong_free(json);
    }
}

Test(json, what_cannot_be_shown_is_refused)
{
    static const char *const bad[] = {"\xa1\xff", "\x81\xc0\x01", "\x91", "\xc1", "\x01\x01"};
    static const size_t lens[] = {2, 3, 1, 1, 2};
    char *json = NULL;
    for (size_t i = 0; i < 5; i++) {
        const prong_value v = {(const uint8_t *)bad[i], lens[i]};
        cr_expect_eq(prong_value_to_json(&v, 0, &json), PRONG_INVALID_ARGUMENT, "case %zu", i);
    }
    uint8_t deep[200];
    memset(deep, 0x91, sizeof deep);
    deep[sizeof deep - 1] = 0xc0;
    cr_expect_eq(prong_value_to_json(&(prong_value){deep, sizeof deep}, 0, &json),
                 PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_value_to_json(&(prong_value){deep + 71, 129}, 0, &json), PRONG_OK);
    prong_free(json);
}

Test(json, errors_name_line_and_column)
{
    static const struct {
        const char *text, *has;
    } cases[] = {
        {"", "line 1"},
        {"{\n  \"a\": 1,\n  \"a\": 2}", "line 3, column"},
        {"[1,\n2,,3]", "line 2, column 3"},
        {"[18446744073709551616]", "line 1, column"},
        {"[9223372036854775808]", "too big"},
        {"[1e999]", "line 1, column"},
        {"{\"a\":1} x", "line 1, column"},
        {"\"\xff\"", "line 1, column"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
         "column 33: more than 32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char error[200];
        char *out = round_trip(cases[i].text, error, sizeof error);
        cr_expect_null(out, "%s", cases[i].text);
        cr_expect_not_null(strstr(error, cases[i].has), "'%s' has no '%s'", error, cases[i].has);
        prong_free(out);
    }
}

Test(json, brackets_in_strings_are_not_levels)
{
    char error[200], text[200] = "[\"";
    size_t used = 2;
    for (int i = 0; i < 60; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", i % 3 == 0 ? "\\\"" : "[");
    }
    (void)snprintf(text + used, sizeof text - used, "\"]");
    char *out = round_trip(text, error, sizeof error);
    cr_expect_not_null(out, "%s", error);
    prong_free(out);
}

Test(json, a_text_that_is_too_long_is_refused)
{
    const size_t len = ((size_t)16 << 20) + 1;
    char *text = malloc(len), error[100];
    prong_writer *w = prong_writer_new();
    memset(text, ' ', len);
    cr_expect_eq(prong_value_from_json(text, len, w, error, sizeof error),
                 PRONG_RESOURCE_EXHAUSTED);
    prong_writer_free(w);
    free(text);
}
