/* Scores in, episodes out. */
#include "examples/hostwatch/episode.h"
#include "tests/support/test.h"

#include <math.h>

/* Scores that come `count` times with the numbers from `at` on: how many episodes begin and end. */
struct changes {
    int begun, ended;
};

static struct changes
feed(struct episode *e, double score, int64_t at, int count)
{
    struct changes c = {0, 0};
    for (int i = 0; i < count; i++) {
        const enum episode_change change = episode_step(e, score, at + i);
        c.begun += change == EPISODE_BEGIN;
        c.ended += change == EPISODE_END;
    }
    return c;
}

static void
expect(struct changes c, int begun, int ended, const char *what)
{
    cr_assert(c.begun == begun && c.ended == ended, "%s: %d begun, %d ended", what, c.begun,
              c.ended);
}

Test(episode, twelve_very_unusual_samples_begin_one_and_eleven_do_not)
{
    struct episode e = {0};
    expect(feed(&e, 100, 5, 11), 0, 0, "eleven");
    cr_assert(!e.open, "open too early");
    cr_assert(episode_step(&e, 100, 16) == EPISODE_BEGIN, "twelve are one");
    cr_assert(e.open && e.began == 5, "began at %d", (int)e.began);
    expect(feed(&e, 100, 17, 1000), 0, 0, "it goes on");
}

Test(episode, a_smaller_deviation_takes_longer)
{
    struct episode e = {0};
    expect(feed(&e, EPISODE_USUAL + 1, 0, 29), 0, 0, "29 samples");
    cr_assert(episode_step(&e, EPISODE_USUAL + 1, 29) == EPISODE_BEGIN, "30 samples");
}

Test(episode, what_is_usual_never_begins_one)
{
    struct episode e = {0};
    expect(feed(&e, EPISODE_USUAL, 0, 100000), 0, 0, "the limit itself");
    cr_assert(e.sum <= 0, "sum %f", e.sum);
}

Test(episode, single_outliers_and_bursts_of_a_second_never_begin_one)
{
    struct episode e = {0};
    for (int i = 0; i < 1000; i++) {
        expect(feed(&e, 1e300, 0, 1), 0, 0, "one outlier");
        expect(feed(&e, 0.5, 0, 4), 0, 0, "four usual ones");
    }
    for (int i = 0; i < 1000; i++) {
        expect(feed(&e, INFINITY, 0, 10), 0, 0, "a burst");
        expect(feed(&e, 0.5, 0, 25), 0, 0, "a pause");
    }
}

Test(episode, it_ends_once_when_all_is_usual_again)
{
    struct episode e = {0};
    expect(feed(&e, 9, 100, 50), 1, 0, "begin");
    expect(feed(&e, 0, 150, 19), 0, 0, "not yet over");
    cr_assert(episode_step(&e, 0, 169) == EPISODE_END, "over");
    cr_assert(!e.open && e.began == 100 && e.ended == 150, "from %d to %d", (int)e.began,
              (int)e.ended);
    expect(feed(&e, 0, 170, 1000), 0, 0, "and stays over");
}

Test(episode, the_end_does_not_depend_on_how_long_it_was)
{
    for (int length = 12; length < 100000; length *= 5) {
        struct episode e = {0};
        expect(feed(&e, 50, 0, length), 1, 0, "begin");
        expect(feed(&e, 0, length, 20), 0, 1, "end");
        cr_assert(e.ended == length, "%d for %d", (int)e.ended, length);
    }
}

Test(episode, a_pause_in_the_middle_makes_no_second_one)
{
    struct episode e = {0};
    expect(feed(&e, 9, 0, 20), 1, 0, "begin");
    for (int i = 0; i < 100; i++) {
        expect(feed(&e, 0, 0, 8), 0, 0, "pause");
        expect(feed(&e, 9, 0, 6), 0, 0, "and on");
    }
    expect(feed(&e, 0, 5000, 40), 0, 1, "end");
}

Test(episode, its_peak_is_the_highest_score_of_this_one)
{
    struct episode e = {0};
    (void)feed(&e, 9, 0, 20);
    (void)feed(&e, 77, 20, 1);
    (void)feed(&e, 8, 21, 20);
    expect(feed(&e, 0, 41, 20), 0, 1, "end");
    cr_assert(fabs(e.peak - 77) < 1e-9, "%f", e.peak);
    expect(feed(&e, 5, 61, 20), 1, 0, "the next one");
    cr_assert(fabs(e.peak - 5) < 1e-9, "%f", e.peak);
}

Test(episode, two_in_a_row_are_two)
{
    struct episode e = {0};
    for (int i = 0; i < 10; i++) {
        expect(feed(&e, 9, i * 100, 30), 1, 0, "begin");
        cr_assert(e.began == i * 100, "began at %d", (int)e.began);
        expect(feed(&e, 0, i * 100 + 30, 70), 0, 1, "end");
        cr_assert(e.ended == i * 100 + 30, "ended at %d", (int)e.ended);
    }
}

Test(episode, what_is_no_number_counts_as_usual)
{
    struct episode e = {0};
    expect(feed(&e, NAN, 0, 1000), 0, 0, "nothing");
    expect(feed(&e, 9, 1000, 20), 1, 0, "begin");
    expect(feed(&e, NAN, 1020, 20), 0, 1, "end");
    cr_assert(!isnan(e.sum) && !isnan(e.peak), "a NaN stays");
}
