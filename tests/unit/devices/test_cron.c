/* Times of the calendar. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/device/cron.h"
#include "tests/support/test.h"

/* "2026-11-30 07:00" in the time zone of the process. */
static time_t
at(const char *text)
{
    struct tm tm = {.tm_isdst = -1};
    cr_assert_not_null(strptime(text, "%Y-%m-%d %H:%M", &tm), "%s", text);
    return mktime(&tm);
}

static void
use_zone(const char *zone)
{
    cr_assert_eq(setenv("TZ", zone, 1), 0);
    tzset();
}

static void
expect_next(const char *schedule, const char *after, const char *expected)
{
    struct cron cron;
    char why[200] = "", text[40] = "never";
    struct tm tm;
    cr_assert(cron_parse(schedule, &cron, why, sizeof why), "%s: %s", schedule, why);
    const time_t next = cron_next(&cron, at(after));
    if (next >= 0) {
        cr_assert_not_null(localtime_r(&next, &tm));
        cr_assert_neq(strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm), 0);
        cr_expect_eq(next % 60, 0);
    }
    cr_expect_str_eq(text, expected, "%s after %s", schedule, after);
}

Test(cron, the_next_time_is_behind_the_given_one)
{
    use_zone("UTC0");
    expect_next("* * * * *", "2026-11-30 07:00", "2026-11-30 07:01");
    expect_next("0 * * * *", "2026-11-30 07:00", "2026-11-30 08:00");
    expect_next("*/15 * * * *", "2026-11-30 07:16", "2026-11-30 07:30");
    expect_next("5-59/20 * * * *", "2026-11-30 07:26", "2026-11-30 07:45");
    expect_next("0 0 * * *", "2026-11-30 07:00", "2026-12-01 00:00");
    expect_next("59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59");
    expect_next("30 4 1,15 * *", "2026-11-15 04:30", "2026-12-01 04:30");
    expect_next("0 12 29 2 *", "2026-11-30 07:00", "2028-02-29 12:00");
    expect_next("0 12 * * *\n", "2026-11-30 07:00", "2026-11-30 12:00"); /* a block of YAML */
}

Test(cron, months_and_days_have_names_and_sunday_two_numbers)
{
    use_zone("UTC0");
    expect_next("0 8 * * mon-fri", "2026-11-28 08:00", "2026-11-30 08:00"); /* after a Saturday */
    expect_next("0 8 * * SUN", "2026-11-30 07:00", "2026-12-06 08:00");
    expect_next("0 8 * * 0", "2026-11-30 07:00", "2026-12-06 08:00");
    expect_next("0 8 * * 7", "2026-11-30 07:00", "2026-12-06 08:00");
    expect_next("0 8 * * 6-7", "2026-11-30 07:00", "2026-12-05 08:00");
    expect_next("0 0 1 feb,Mar *", "2026-11-30 07:00", "2027-02-01 00:00");
}

Test(cron, either_day_will_do_when_both_are_given)
{
    use_zone("UTC0");
    expect_next("0 0 13 * fri", "2026-11-30 07:00", "2026-12-04 00:00");
    expect_next("0 0 13 * fri", "2026-12-11 07:00", "2026-12-13 00:00");
    expect_next("0 0 */2 * fri", "2026-12-01 07:00", "2026-12-11 00:00"); /* a star: both */
}

Test(cron, local_time_may_leave_out_an_hour_and_have_one_twice)
{
    use_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    expect_next("30 2 * * *", "2026-03-28 03:00", "2026-03-30 02:30"); /* no 02:30 on the 29th */
    expect_next("30 3 * * *", "2026-03-29 00:00", "2026-03-29 03:30");
    expect_next("0 12 * * *", "2026-10-24 13:00", "2026-10-25 12:00");
    struct cron cron;
    char why[200];
    cr_assert(cron_parse("30 2 * * *", &cron, why, sizeof why));
    const time_t first = cron_next(&cron, at("2026-10-25 00:00"));
    cr_expect_eq(cron_next(&cron, first), first + 3600, "both of the times that are 02:30");
}

static void
expect_wrong(const char *schedule, const char *part)
{
    char why[200] = "";
    cr_expect_not(cron_check(schedule, why, sizeof why), "%s", schedule);
    cr_expect_not_null(strstr(why, part), "%s gives: %s", schedule, why);
}

Test(cron, what_is_no_schedule_is_refused_with_the_reason)
{
    use_zone("UTC0");
    expect_wrong("", "the minute is missing");
    expect_wrong("* * * *", "the day of the week is missing");
    expect_wrong("* * * * * *", "behind the five fields");
    expect_wrong("60 * * * *", "the minute cannot be '60'");
    expect_wrong("* 24 * * *", "the hour cannot be '24'");
    expect_wrong("* * 0 * *", "the day of the month cannot be '0'");
    expect_wrong("* * * 13 *", "the month cannot be '13'");
    expect_wrong("* * * * 8", "the day of the week cannot be '8'");
    expect_wrong("5-1 * * * *", "the minute");
    expect_wrong("*/0 * * * *", "the minute");
    expect_wrong("5/2 * * * *", "the minute");
    expect_wrong("1,,2 * * * *", "the minute");
    expect_wrong("1- * * * *", "the minute");
    expect_wrong("-1 * * * *", "the minute");
    expect_wrong("mon * * * *", "the minute");
    expect_wrong("* * * * monday", "the day of the week");
    expect_wrong("0 0 31 feb *", "such day ever comes");
    expect_wrong("0 0 30 2 *", "such day");
}
