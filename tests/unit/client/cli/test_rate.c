/* Rates, bytes and delays over a window of samples that are given. */
#include "client/cli/rate.h"

#include <math.h>

#include "tests/support/test.h"

#define MS INT64_C(1000000)

static void
add(struct rate *r, int64_t at_ms, uint64_t missed)
{
    rate_add(r, &(struct rate_sample){.at_ns = at_ms * MS,
                                      .delay_ns = at_ms * 1000,
                                      .bytes = (uint64_t)at_ms,
                                      .missed = missed});
}

static bool
is_near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b) + 1e-9;
}

Test(cli_rate, nothing_comes_to_nothing)
{
    struct rate r;
    struct rate_result x;
    rate_init(&r);
    rate_look(&r, 0, &x);
    cr_assert(x.frames == 0 && is_near(x.hz, 0) && x.delay_max_ns == 0);
    add(&r, 100, 0); /* one frame has no rate yet */
    rate_look(&r, 0, &x);
    cr_assert(x.frames == 1 && is_near(x.hz, 0) && x.bytes_min == 100 && x.bytes_max == 100);
    cr_assert_eq(x.delay_p50_ns, INT64_C(100000));
    rate_deinit(&r);
    rate_deinit(&r);
}

Test(cli_rate, of_frames_that_come_every_so_often)
{
    struct rate r;
    struct rate_result x;
    rate_init(&r);
    for (int64_t at = 100; at <= 1000; at += 100) {
        add(&r, at, 0);
    }
    rate_look(&r, 0, &x);
    cr_assert_eq(x.frames, (uint64_t)10);
    cr_assert(is_near(x.hz, 10) && is_near(x.gap_mean_ns, 100e6) && is_near(x.gap_min_ns, 100e6) &&
              is_near(x.gap_max_ns, 100e6));
    cr_assert_lt(x.gap_std_ns, 1000.0);
    cr_assert(is_near(x.bytes_per_s, 5400 / 0.9), "%f", x.bytes_per_s);
    cr_assert(x.bytes_min == 100 && x.bytes_max == 1000);
    cr_assert_eq(x.delay_p50_ns, INT64_C(500000));
    cr_assert_eq(x.delay_p99_ns, INT64_C(1000000));
    cr_assert_eq(x.delay_max_ns, INT64_C(1000000));
    rate_deinit(&r);
}

Test(cli_rate, the_window_moves_and_keeps_the_gap_that_reaches_into_it)
{
    struct rate r;
    struct rate_result x;
    rate_init(&r);
    for (int64_t at = 100; at <= 500; at += 100) {
        add(&r, at, 0);
    }
    rate_look(&r, 300 * MS, &x);
    cr_assert_eq(x.frames, (uint64_t)2);
    cr_assert(is_near(x.hz, 10), "%f", x.hz);
    add(&r, 900, 0);
    rate_look(&r, 500 * MS, &x);
    cr_assert_eq(x.frames, (uint64_t)1);
    cr_assert(is_near(x.hz, 2.5) && is_near(x.gap_max_ns, 400e6));
    rate_look(&r, 900 * MS, &x);
    cr_assert_eq(x.frames, (uint64_t)0);
    rate_deinit(&r);
}

Test(cli_rate, frames_that_were_missed_count_for_the_rate)
{
    struct rate r;
    struct rate_result x;
    rate_init(&r);
    add(&r, 0, 0);
    add(&r, 100, 0);
    add(&r, 400, 2);
    rate_look(&r, -1, &x);
    cr_assert(x.frames == 3 && x.missed == 2);
    cr_assert(is_near(x.hz, 10) && is_near(x.gap_min_ns, 100e6) && is_near(x.gap_max_ns, 100e6));
    rate_deinit(&r);
}

Test(cli_rate, a_window_of_too_many_has_the_newest)
{
    struct rate r;
    struct rate_result x;
    rate_init(&r);
    for (int64_t at = 0; at < RATE_SAMPLES_MAX + 10; at++) {
        add(&r, at, 0);
    }
    rate_look(&r, -1, &x);
    cr_assert_eq(x.frames, (uint64_t)RATE_SAMPLES_MAX);
    cr_assert_eq(x.bytes_min, (uint64_t)10);
    cr_assert(is_near(x.hz, 1000), "%f", x.hz);
    rate_deinit(&r);
}
