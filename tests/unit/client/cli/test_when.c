/* Points in time. */
#include "client/cli/when.h"

#include <stdlib.h>
#include <time.h>

#include "tests/support/test.h"

/* 2026-01-31T12:00:00.5Z */
static const int64_t now_us = INT64_C(1769860800500000);

Test(cli_when, a_span_is_so_long_ago)
{
    int64_t t = -1;
    cr_expect(when_read("5m", now_us, &t) && t == now_us - INT64_C(300000000), "%lld",
              (long long)t);
    cr_expect(when_read("1.5s", now_us, &t) && t == now_us - 1500000, "%lld", (long long)t);
    cr_expect(when_read("0", now_us, &t) && t == now_us, "%lld", (long long)t);
    cr_expect(when_read("1h", 1000, &t) && t == 0, "%lld", (long long)t);
}

Test(cli_when, a_time_is_of_today_and_a_date_of_its_day)
{
    static const struct {
        const char *text;
        int64_t s, us;
    } rows[] = {
        {"12:00", 1769860800, 0},
        {"11:59:58", 1769860798, 0},
        {"11:59:58.25", 1769860798, 250000},
        {"2026-01-31", 1769817600, 0},
        {"2026-01-31 12:00", 1769860800, 0},
        {"2026-01-31T12:00", 1769860800, 0},
        {"2026-01-31 12:00:01", 1769860801, 0},
        {"2026-01-31T12:00:00.123456Z", 1769860800, 123456},
        {"2026-01-31T12:00:00.1234567Z", 1769860800, 123456},
        {"2026-01-31T12:00:00Z", 1769860800, 0},
        {"2026-01-31T12:00Z", 1769860800, 0},
        {"2026-01-31T13:00:00+01:00", 1769860800, 0},
        {"2026-01-31 06:30:00-0530", 1769860800, 0},
    };
    setenv("TZ", "UTC", 1);
    tzset();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t t = -1;
        cr_expect(when_read(rows[i].text, now_us, &t), "%s", rows[i].text);
        cr_expect(t == rows[i].s * 1000000 + rows[i].us, "%s gave %lld", rows[i].text,
                  (long long)t);
    }
}

Test(cli_when, times_without_a_zone_are_local)
{
    int64_t t = -1;
    setenv("TZ", "XYZ-2", 1); /* two hours ahead */
    tzset();
    cr_expect(when_read("2026-01-31 14:00", now_us, &t) && t == INT64_C(1769860800000000), "%lld",
              (long long)t);
    cr_expect(when_read("14:00", now_us, &t) && t == INT64_C(1769860800000000), "%lld",
              (long long)t);
    cr_expect(when_read("2026-01-31T12:00Z", now_us, &t) && t == INT64_C(1769860800000000), "%lld",
              (long long)t);
}

Test(cli_when, anything_else_is_no_time)
{
    static const char *const texts[] = {"",
                                        "yesterday",
                                        "5",
                                        "5x",
                                        "-5m",
                                        "25:00",
                                        "12:60",
                                        "12",
                                        "2026-13-01",
                                        "2026-01-32",
                                        "2026-01-31x",
                                        "12:00 x",
                                        "2026-01-31T12:00:00+1",
                                        "2026-01-31T12:00:00 UTC",
                                        "1969-12-31T00:00Z",
                                        "2026-01-31T12:00:00+01:000"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t t;
        cr_expect_not(when_read(texts[i], now_us, &t), "%s", texts[i]);
    }
}
