/* Values of points of a Modbus unit, from registers and back. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/devices/modbus/value.h"
#include "tests/support/test.h"

static struct modbus_point
parse(const char *text)
{
    struct modbus_point point;
    char why[200];
    cr_assert(modbus_point_parse(text, &point, why, sizeof why), "%s: %s", text, why);
    return point;
}

/* The value of registers as JSON; "none" when there is none. */
static char *
show(const char *text, const uint16_t *words)
{
    const struct modbus_point point = parse(text);
    prong_writer *w = prong_writer_new();
    prong_value value;
    char *json = NULL;
    if (!modbus_value_put(&point, words, w)) {
        cr_expect_neq(prong_writer_finish(w, &value), PRONG_OK, "nothing is written");
        json = strdup("none");
    } else {
        cr_assert_eq(prong_writer_finish(w, &value), PRONG_OK);
        cr_assert_eq(prong_value_to_json(&value, 0, &json), PRONG_OK);
    }
    prong_writer_free(w);
    return json;
}

/* Write a value given as JSON; false with the reason. */
static bool
take(const char *text, const char *json, uint16_t *words, char *why, size_t why_bytes)
{
    const struct modbus_point point = parse(text);
    prong_writer *w = prong_writer_new();
    prong_value value;
    cr_assert_eq(prong_value_from_json(json, strlen(json), w, NULL, 0), PRONG_OK, "%s", json);
    cr_assert_eq(prong_writer_finish(w, &value), PRONG_OK);
    const bool is_taken = modbus_value_take(&point, &value, words, why, why_bytes);
    prong_writer_free(w);
    return is_taken;
}

static const struct {
    const char *point;
    uint16_t words[4];
    const char *json;
} both_ways[] = {
    {"coil 0", {1}, "true"},
    {"holding 0 bit 0", {0}, "false"},
    {"holding 0", {0xffff}, "65535"},
    {"holding 0 int16", {0x8000}, "-32768"},
    {"holding 0 uint32", {0xffff, 0xfffe}, "4294967294"},
    {"holding 0 uint32 words little", {0xfffe, 0xffff}, "4294967294"},
    {"holding 0 int32", {0x8000, 0}, "-2147483648"},
    {"holding 0 int32 words little", {0xfffe, 0xffff}, "-2"},
    {"holding 0 uint64", {0x7fff, 0xffff, 0xffff, 0xffff}, "9223372036854775807"},
    {"holding 0 int64 words little", {0, 0, 0, 0x8000}, "-9223372036854775808"},
    {"holding 0 float32", {0xc148, 0}, "-12.5"},
    {"holding 0 float32 words little", {0, 0x4148}, "12.5"},
    {"holding 0 float64", {0x3ff8, 0, 0, 0}, "1.5"},
    {"holding 0 float64 words little", {0, 0, 0, 0x3ff8}, "1.5"},
    {"holding 0 scale 0.1", {3}, "0.3"},
    {"holding 0 scale 0.001", {1234}, "1.234"},
    {"holding 0 scale -0.1", {3}, "-0.3"},
    {"holding 0 scale 2 offset -40", {3}, "-34.0"},
    {"holding 0 int16 offset 0.5", {0xffff}, "-0.5"},
    {"holding 0 int32 scale 0.01", {0xffff, 0xffff}, "-0.01"},
    {"holding 0 float32 scale 10", {0x4148, 0}, "125.0"},
    {"holding 0 text 2", {0x6869, 0x2100}, "\"hi!\""},
    {"holding 0 text 2 words little", {0x6968, 0x0021}, "\"hi!\""},
    {"holding 0 text 1", {0}, "\"\""},
    {"holding 0 text 1", {0xc3bc}, "\"\u00fc\""},
};

Test(modbus_value, is_the_same_read_and_written)
{
    for (size_t i = 0; i < sizeof both_ways / sizeof both_ways[0]; i++) {
        const char *point = both_ways[i].point;
        uint16_t words[4] = {0};
        char why[200] = "";
        char *json = show(point, both_ways[i].words);
        cr_expect_str_eq(json, both_ways[i].json, "%s", point);
        cr_expect(take(point, both_ways[i].json, words, why, sizeof why), "%s: %s", point, why);
        cr_expect_arr_eq(words, both_ways[i].words, sizeof words, "%s", point);
        prong_free(json);
    }
}

static void
expect_shown(const char *point, const uint16_t *words, const char *expected)
{
    char *json = show(point, words);
    cr_expect_str_eq(json, expected, "%s", point);
    prong_free(json);
}

Test(modbus_value, is_read_from_what_cannot_be_written_so)
{
    expect_shown("input 0 bit 15", (const uint16_t[]){0x8001}, "true");
    expect_shown("input 0 bit 1", (const uint16_t[]){0x8001}, "false");
    expect_shown("input 0 uint64", (const uint16_t[]){0xffff, 0xffff, 0xffff, 0xffff},
                 "18446744073709551615");
    expect_shown("input 0 float32", (const uint16_t[]){0x7f80, 0}, "\"Infinity\"");
    expect_shown("input 0 float32", (const uint16_t[]){0x7fc0, 0}, "\"NaN\"");
    expect_shown("input 0 text 2", (const uint16_t[]){0x6800, 0xffff}, "\"h\"");
    expect_shown("input 0 text 1", (const uint16_t[]){0xff41}, "none");
    expect_shown("input 0 text 1", (const uint16_t[]){0xc341}, "none");
}

Test(modbus_value, is_the_nearest_that_the_unit_has)
{
    uint16_t words[4];
    char why[200];
    cr_expect(take("holding 0 scale 0.1", "12.34", words, why, sizeof why) && words[0] == 123);
    cr_expect(take("holding 0 scale 0.1", "12.36", words, why, sizeof why) && words[0] == 124);
    cr_expect(take("holding 0", "7.0", words, why, sizeof why) && words[0] == 7);
    cr_expect(take("coil 0", "1", words, why, sizeof why) && words[0] == 1);
    cr_expect(take("holding 0 bit 9", "true", words, why, sizeof why) && words[0] == 1);
    cr_expect(take("holding 0 float32", "3", words, why, sizeof why) && words[0] == 0x4040);
}

Test(modbus_value, that_does_not_fit_is_refused_with_the_range)
{
    static const struct {
        const char *point, *json, *part;
    } rows[] = {
        {"coil 0", "2", "takes true or false"},
        {"coil 0", "-1", "takes true or false"},
        {"coil 0", "\"on\"", "takes true or false"},
        {"holding 0", "-1", "takes whole numbers from 0 to 65535"},
        {"holding 0", "65536", "from 0 to 65535"},
        {"holding 0", "1.5", "takes whole numbers"},
        {"holding 0", "true", "takes whole numbers"},
        {"holding 0", "null", "takes whole numbers"},
        {"holding 0", "1e300", "takes whole numbers"},
        {"holding 0 int16", "-32769", "from -32768 to 32767"},
        {"holding 0 uint32", "4294967296", "from 0 to 4294967295"},
        {"holding 0 int32", "2147483648", "from -2147483648 to 2147483647"},
        {"holding 0 uint64", "-1", "from 0 to 18446744073709551615"},
        {"holding 0 int64", "9.3e18", "from -9223372036854775808 to 9223372036854775807"},
        {"holding 0 uint64 scale 1", "18446744073709551616.0", "goes from 0"},
        {"holding 0 scale 0.1", "6553.6", "goes from 0 to 6553.5"},
        {"holding 0 scale -0.1", "0.1", "goes from -6553.5 to 0"},
        {"holding 0 int16 scale 2 offset 1", "65537", "goes from -65535 to 65535"},
        {"holding 0 scale 0.1", "\"1\"", "goes from 0"},
        {"holding 0 float32", "1e39", "takes numbers that a float32 has"},
        {"holding 0 float64", "\"1\"", "takes numbers that a float64 has"},
        {"holding 0 text 1", "\"abc\"", "a text of at most 2 bytes"},
        {"holding 0 text 1", "1", "a text of at most 2 bytes"},
        {"holding 0 text 2", "\"a\\u0000b\"", "without a zero byte"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint16_t words[4] = {0};
        char why[200] = "";
        cr_expect_not(take(rows[i].point, rows[i].json, words, why, sizeof why), "%s takes %s",
                      rows[i].point, rows[i].json);
        cr_expect_not_null(strstr(why, rows[i].part), "%s: %s", rows[i].point, why);
    }
}

Test(modbus_value, has_changed_when_what_is_its_own_has)
{
    const struct modbus_point bit = parse("input 0 bit 4"), two = parse("input 0 uint32");
    cr_expect(modbus_value_differs(&bit, (const uint16_t[]){0x10}, (const uint16_t[]){0x00}));
    cr_expect_not(modbus_value_differs(&bit, (const uint16_t[]){0x10}, (const uint16_t[]){0x1f}));
    cr_expect(modbus_value_differs(&two, (const uint16_t[]){1, 2}, (const uint16_t[]){1, 3}));
    cr_expect_not(modbus_value_differs(&two, (const uint16_t[]){1, 2}, (const uint16_t[]){1, 2}));
}

Test(modbus_value, has_changed_when_it_is_as_far_away_as_its_deadband)
{
    static const struct {
        const char *point;
        uint16_t from[4], to[4];
        bool differs;
    } rows[] = {
        {"input 0 deadband 5", {10}, {14}, false},
        {"input 0 deadband 5", {10}, {15}, true},
        {"input 0 deadband 5", {10}, {5}, true},
        {"input 0 deadband 1e9", {0}, {0xffff}, false},
        {"input 0 int16 deadband 2", {0xffff}, {0}, false},
        {"input 0 int16 deadband 2", {0xffff}, {1}, true},
        /* As decimal numbers have it: 71.8 - 71.3 is less than 0.5 in a computer. */
        {"input 0 scale 0.1 deadband 0.5", {713}, {717}, false},
        {"input 0 scale 0.1 deadband 0.5", {713}, {718}, true},
        {"input 0 scale -0.1 offset 1e9 deadband 0.3", {7}, {4}, true},
        {"input 0 scale 20 deadband 50", {7}, {9}, false},
        {"input 0 scale 20 deadband 50", {7}, {10}, true},
        {"input 0 uint64 deadband 2",
         {0xffff, 0xffff, 0xffff, 0xffff},
         {0xffff, 0xffff, 0xffff, 0xfffe},
         false},
        {"input 0 uint64 deadband 2",
         {0xffff, 0xffff, 0xffff, 0xffff},
         {0xffff, 0xffff, 0xffff, 0xfffd},
         true},
        {"input 0 int64 deadband 1e18", {0x8000, 0, 0, 0}, {0x7fff, 0xffff, 0xffff, 0xffff}, true},
        {"input 0 uint32 words little deadband 9", {1, 0}, {9, 0}, false},
        {"input 0 uint32 words little deadband 9", {1, 0}, {1, 1}, true},
        {"input 0 float32 deadband 0.5", {0x4148, 0}, {0x4149, 0}, false}, /* 12.5, 12.5625 */
        {"input 0 float32 deadband 0.5", {0x4148, 0}, {0x4150, 0}, true},  /* 12.5, 13 */
        {"input 0 float32 deadband 0.5", {0x8000, 0}, {0, 0}, false},      /* -0, 0 */
        {"input 0 float32 deadband 0.5", {0x4148, 0}, {0x7fc0, 0}, true},  /* not a number */
        {"input 0 float32 deadband 0.5", {0x7fc0, 0}, {0x4148, 0}, true},
        {"input 0 float32 deadband 0.5", {0x7fc0, 0}, {0x7fc0, 0}, false},
        {"input 0 float32 deadband 0.5", {0x7f80, 0}, {0xff80, 0}, true}, /* infinite */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct modbus_point point = parse(rows[i].point);
        cr_expect_eq(modbus_value_differs(&point, rows[i].to, rows[i].from), rows[i].differs,
                     "%s, row %zu", rows[i].point, i);
    }
}
