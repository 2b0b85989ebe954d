#include "client/devices/video/pace.h"
#include "tests/support/test.h"

#define MS INT64_C(1000000)

Test(video_pace, without_a_pace_everything_is_due_now)
{
    struct video_pace p = {0};
    cr_expect_eq(video_pace_due(&p, 0, 5 * MS), 5 * MS, "first");
    cr_expect_eq(video_pace_due(&p, 1000000, 6 * MS), 6 * MS, "second");
    cr_expect(video_pace_takes(&p, 0) && video_pace_takes(&p, 0), "all are taken");
}

Test(video_pace, the_sources_own_times_are_kept_without_drift)
{
    struct video_pace p = {.is_source = true};
    for (int64_t i = 0; i < 1000; i++) {
        /* It is asked a little late each time. */
        const int64_t now_ns = 100 * MS + i * 40 * MS + (i == 0 ? 0 : 3 * MS);
        cr_assert_eq(video_pace_due(&p, i * 40000, now_ns), 100 * MS + i * 40 * MS, "frame %d",
                     (int)i);
    }
}

Test(video_pace, a_rate_of_ones_own_plays_every_frame_faster_or_slower)
{
    struct video_pace p = {.rate = 100};
    for (int64_t i = 0; i < 1000; i++) {
        cr_assert_eq(video_pace_due(&p, i * 40000, i * 10 * MS + MS), i * 10 * MS + MS, "frame %d",
                     (int)i);
    }
}

Test(video_pace, what_is_late_is_not_caught_up_with)
{
    struct video_pace p = {.is_source = true};
    (void)video_pace_due(&p, 0, 0);
    cr_expect_eq(video_pace_due(&p, 40000, 140 * MS), 40 * MS, "a little late: the pace stays");
    cr_expect_eq(video_pace_due(&p, 80000, 5000 * MS), 5000 * MS, "after a pause");
    cr_expect_eq(video_pace_due(&p, 120000, 5000 * MS), 5040 * MS, "and on from there");
}

Test(video_pace, a_jump_of_the_sources_clock_is_no_wait)
{
    struct video_pace p = {.is_source = true};
    (void)video_pace_due(&p, 0, 0);
    cr_expect_eq(video_pace_due(&p, 3600000000, 40 * MS), 40 * MS, "ahead");
    cr_expect_eq(video_pace_due(&p, 40000, 80 * MS), 80 * MS, "back");
    cr_expect_eq(video_pace_due(&p, 80000, 80 * MS), 120 * MS, "and on from there");
}

Test(video_pace, at_most_so_many_frames_of_a_camera_are_taken)
{
    struct video_pace p = {.rate = 10};
    int taken = 0;
    for (int64_t i = 0; i < 300; i++) { /* ten seconds of 30 a second, trembling */
        taken += video_pace_takes(&p, i * 1000 * MS / 30 + i % 3 * MS);
    }
    cr_expect_eq(taken, 100, "%d taken", taken);
}

Test(video_pace, a_camera_with_just_that_rate_loses_none)
{
    struct video_pace p = {.rate = 10};
    int taken = 0;
    for (int64_t i = 0; i < 100; i++) {
        taken += video_pace_takes(&p, i * 100 * MS + (i % 2 == 0 ? 9 * MS : -9 * MS) + 50 * MS);
    }
    cr_expect_eq(taken, 100, "%d taken", taken);
}
