/* Edges: which count, which are missing, and their order. */
#include "client/devices/gpio/track.h"
#include "tests/support/test.h"

enum { MS = 1000 * 1000 };

static struct gpio_track
track(const char *text, bool level)
{
    struct gpio_line line;
    char why[200];
    struct gpio_track t = {0};
    cr_assert(gpio_line_parse(text, &line, why, sizeof why));
    gpio_track_begin(&t, &line, level, false);
    return t;
}

static bool
edge(struct gpio_track *t, int64_t ms, bool value, struct gpio_edge *out)
{
    return gpio_track_edge(t, &(struct gpio_edge){.mono_ns = ms * MS, .line = 3, .value = value},
                           out);
}

static bool
settle(struct gpio_track *t, int64_t ms, bool level, struct gpio_edge *out)
{
    return gpio_track_settle(t, &(struct gpio_edge){.mono_ns = ms * MS, .line = 3, .value = level},
                             out);
}

static void
expect_edge(const struct gpio_edge *e, int64_t ms, bool value)
{
    cr_expect_eq(e->mono_ns, ms * MS);
    cr_expect_eq(e->value, value);
    cr_expect_eq(e->line, 3);
}

Test(gpio_track, every_edge_is_told_at_once_where_nothing_bounces)
{
    struct gpio_track t = track("0", false);
    struct gpio_edge out;
    for (int n = 0; n < 6; n++) {
        cr_assert(edge(&t, n, n % 2 == 0, &out));
        expect_edge(&out, n, n % 2 == 0);
        cr_expect_eq(t.sequence, (uint64_t)n + 1);
    }
    cr_expect_eq(t.missed, 0);
    cr_expect_eq(gpio_track_due_ns(&t), INT64_MAX);
}

Test(gpio_track, the_same_edge_twice_means_that_one_is_missing)
{
    struct gpio_track t = track("0", true);
    struct gpio_edge out;
    cr_expect(edge(&t, 1, true, &out)); /* it was high before */
    cr_expect_eq(t.missed, 1);
    cr_expect_eq(t.sequence, 2);
    cr_expect(edge(&t, 2, false, &out));
    cr_expect(edge(&t, 3, false, &out));
    cr_expect_eq(t.missed, 2);
    cr_expect_eq(t.sequence, 5);
}

Test(gpio_track, of_one_kind_of_edge_none_is_known_to_be_missing)
{
    struct gpio_track t = track("0 edge=rising", false);
    struct gpio_edge out;
    for (int n = 1; n < 4; n++) {
        cr_expect(edge(&t, n, true, &out));
    }
    cr_expect_eq(t.missed, 0);
    cr_expect_eq(t.sequence, 3);
}

Test(gpio_track, where_edges_are_numbered_the_numbers_say_what_is_missing)
{
    struct gpio_track t = {0};
    struct gpio_line line;
    struct gpio_edge out;
    char why[200];
    cr_assert(gpio_line_parse("0", &line, why, sizeof why));
    gpio_track_begin(&t, &line, false, true);
    cr_expect(gpio_track_edge(&t, &(struct gpio_edge){.mono_ns = 1, .value = false}, &out));
    cr_expect_eq(t.missed, 0);
    cr_expect(
        gpio_track_edge(&t, &(struct gpio_edge){.mono_ns = 2, .value = true, .lost = 4}, &out));
    cr_expect_eq(t.missed, 4);
    cr_expect_eq(t.sequence, 6);
}

Test(gpio_track, counts_go_on_when_it_begins_again)
{
    struct gpio_track t = track("0", false);
    struct gpio_edge out;
    struct gpio_line line;
    char why[200];
    cr_expect(edge(&t, 1, false, &out));
    cr_assert(gpio_line_parse("0", &line, why, sizeof why));
    gpio_track_begin(&t, &line, true, false);
    cr_expect_eq(t.sequence, 2);
    cr_expect_eq(t.missed, 1);
    cr_expect(edge(&t, 2, false, &out));
    cr_expect_eq(t.sequence, 3);
}

Test(gpio_track, a_bouncing_edge_counts_once_with_its_last_time)
{
    struct gpio_track t = track("0 debounce=5ms", false);
    struct gpio_edge out;
    for (int n = 0; n < 5; n++) {
        cr_expect_not(edge(&t, 10 + n, n % 2 == 0, &out));
    }
    cr_expect_eq(gpio_track_due_ns(&t), (int64_t)19 * MS);
    cr_expect_not(settle(&t, 18, true, &out));
    cr_assert(settle(&t, 19, true, &out));
    expect_edge(&out, 14, true);
    cr_expect_eq(gpio_track_due_ns(&t), INT64_MAX);
    cr_expect_not(settle(&t, 30, true, &out));
    cr_expect_eq(t.sequence, 1);
}

Test(gpio_track, back_where_it_was_it_has_only_bounced)
{
    struct gpio_track t = track("0 debounce=5ms", false);
    struct gpio_edge out;
    cr_expect_not(edge(&t, 10, true, &out));
    cr_expect_not(edge(&t, 11, false, &out));
    cr_expect_not(settle(&t, 16, false, &out));
    cr_expect_eq(gpio_track_due_ns(&t), INT64_MAX);
    cr_expect_eq(t.sequence, 0);
}

Test(gpio_track, edges_that_come_late_count_by_their_own_times)
{
    struct gpio_track t = track("0 debounce=5ms", false);
    struct gpio_edge out;
    /* Nobody looked for a while: the first was steady for long before the second came. */
    cr_expect_not(edge(&t, 10, true, &out));
    cr_assert(edge(&t, 100, false, &out));
    expect_edge(&out, 10, true);
    cr_assert(settle(&t, 105, false, &out));
    expect_edge(&out, 100, false);
    cr_expect_eq(t.sequence, 2);
}

Test(gpio_track, a_last_bounce_that_was_lost_is_made_good_by_the_level)
{
    struct gpio_track t = track("0 debounce=5ms", false);
    struct gpio_edge out;
    cr_expect_not(edge(&t, 10, true, &out));
    cr_expect_not(edge(&t, 11, false, &out));
    cr_expect_not(settle(&t, 20, true, &out));
    cr_expect_eq(gpio_track_due_ns(&t), (int64_t)25 * MS);
    cr_assert(settle(&t, 25, true, &out));
    expect_edge(&out, 20, true);
    cr_expect_eq(t.missed, 0);
}

Test(gpio_track, only_what_is_wanted_is_told_of_a_line_that_bounces)
{
    struct gpio_track t = track("0 debounce=5ms edge=falling", false);
    struct gpio_edge out;
    cr_expect_not(edge(&t, 10, true, &out));
    cr_expect_not(settle(&t, 15, true, &out));
    cr_expect_not(edge(&t, 20, false, &out));
    cr_assert(settle(&t, 25, false, &out));
    expect_edge(&out, 20, false);
    cr_expect_eq(t.sequence, 1);
}

Test(gpio_track, edges_of_several_lines_are_put_in_order)
{
    struct gpio_edge edges[] = {{5, 0, true, 0}, {7, 0, false, 0}, {9, 0, true, 0},
                                {1, 1, true, 0}, {7, 1, false, 0}, {8, 1, true, 0},
                                {0, 2, true, 0}};
    static const struct gpio_edge expected[] = {{0, 2, true, 0},  {1, 1, true, 0},  {5, 0, true, 0},
                                                {7, 0, false, 0}, {7, 1, false, 0}, {8, 1, true, 0},
                                                {9, 0, true, 0}};
    gpio_edges_sort(edges, 7);
    for (size_t i = 0; i < 7; i++) {
        cr_expect_eq(edges[i].mono_ns, expected[i].mono_ns, "%zu", i);
        cr_expect_eq(edges[i].line, expected[i].line, "%zu", i);
    }
    gpio_edges_sort(edges, 0);
}
