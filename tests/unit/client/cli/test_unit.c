/* Durations, numbers and times. */
#include "client/cli/unit.h"

#include "tests/support/test.h"

Test(cli_unit, durations_have_a_unit)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {{"1ms", 1},     {"250ms", 250},         {"5s", 5000},    {"1.5s", 1500},
                {"0.25s", 250}, {"2m", 120000},         {"1h", 3600000}, {"0", 0},
                {"0ms", 0},     {"8760h", 31536000000}, {"0.5m", 30000}, {"1.0000001s", 1000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;
        cr_expect(unit_duration(rows[i].text, &ms), "%s", rows[i].text);
        cr_expect_eq(ms, rows[i].ms, "%s gave %lld", rows[i].text, (long long)ms);
    }
}

Test(cli_unit, a_duration_is_written_as_it_is_read)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{1, "1ms"}, {1500, "1500ms"}, {90000, "90s"}, {120000, "2m"}, {3600000, "1h"}};
    char text[UNIT_SPAN_BYTES];
    int64_t ms = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unit_duration_text(rows[i].ms, text);
        cr_expect_str_eq(text, rows[i].text);
        cr_expect(unit_duration(text, &ms) && ms == rows[i].ms, "%s", text);
    }
    unit_duration_text(UNIT_DURATION_MS_MAX, text);
    cr_expect_str_eq(text, "8760h");
}

Test(cli_unit, anything_else_is_no_duration)
{
    static const char *const texts[] = {"",
                                        "s",
                                        "5",
                                        "-5s",
                                        "+5s",
                                        "5 s",
                                        "5S",
                                        "5d",
                                        "1.s",
                                        ".5s",
                                        "1e3s",
                                        "0x1s",
                                        "infs",
                                        "8761h",
                                        "5ss",
                                        "1.5",
                                        "99999999999999999999s"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t ms = -1;
        cr_expect_not(unit_duration(texts[i], &ms), "%s gave %lld", texts[i], (long long)ms);
    }
}

Test(cli_unit, counts_are_digits_that_fit)
{
    int64_t n = -1;
    cr_expect(unit_count("0", &n) && n == 0);
    cr_expect(unit_count("9223372036854775807", &n) && n == INT64_MAX);
    cr_expect_not(unit_count("9223372036854775808", &n));
    cr_expect_not(unit_count("", &n));
    cr_expect_not(unit_count("-1", &n));
    cr_expect_not(unit_count("1 ", &n));
    cr_expect_not(unit_count("0x1", &n));
}

Test(cli_unit, times_are_utc_with_microseconds)
{
    char text[UNIT_TIME_BYTES];
    unit_time(0, text);
    cr_expect_str_eq(text, "1970-01-01T00:00:00.000000Z");
    unit_time(INT64_C(1769860800123456), text);
    cr_expect_str_eq(text, "2026-01-31T12:00:00.123456Z");
}

Test(cli_unit, spans_are_short)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "0ms"},          {999, "999ms"},         {1000, "1s"},       {59999, "59s"},
        {119999, "119s"},    {120000, "2m00s"},      {3600000, "1h00m"}, {86399000, "23h59m"},
        {90000000, "1d01h"}, {8640000000, "100d00h"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[UNIT_SPAN_BYTES];
        unit_span(rows[i].ms, text);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(cli_unit, sizes_have_few_digits)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {{0, "0B"},
                {999, "999B"},
                {1000, "1.0K"},
                {1024, "1.0K"},
                {16134144, "15.4M"},
                {1023 * 1024, "1.0M"},
                {UINT64_C(5) << 30, "5.0G"},
                {UINT64_MAX, "16384.0P"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[UNIT_SIZE_BYTES];
        unit_size(rows[i].bytes, text);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(cli_unit, what_is_left_is_bounded)
{
    const int64_t now = unit_now_ms();
    cr_expect_eq(unit_left_ms(now - 1000, 5000), 0);
    cr_expect_eq(unit_left_ms(now + 100000, 5000), 5000);
    cr_expect_eq(unit_left_ms(INT64_MAX, 5000), 5000);
}
