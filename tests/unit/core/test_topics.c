/* Topics and filters: that an event costs nothing for those who do not want it, counted as work and
 * not as time, and that everybody gets what they want however many of them there are. */
#include "tests/support/test.h"
#include "tests/unit/core/events.h"

#include <stdio.h>
#include <string.h>

static uint64_t seq;

static void
begin(struct world *w)
{
    seq = 0;
    events_begin_with(w, 1 << 20);
}

static void
emit_numbered(struct world *w, const char *prefix, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        (void)world_say(w, PUBLISHER, "[5,b'client of a test',%llu,'%s.%u',null,1]",
                        (unsigned long long)++seq, prefix, i);
    }
}

struct work {
    uint64_t matches, looks;
};

/* What it costs when each of `others` topics has an event that nobody wants, and then the reader's
 * comes. */
static struct work
work_of(const char *filter, unsigned others)
{
    struct world w;
    begin(&w);
    emit_numbered(&w, "other", 0, others);
    emit_numbered(&w, "a", 0, 1);
    (void)fetch(&w, &(struct fetch){.filter = filter, .word = "new"});
    const struct hub_counts before = hub_counts(w.hub);
    const uint64_t r =
        fetch(&w, &(struct fetch){.filter = filter, .word = "new", .wait_ms = 20000});
    emit_numbered(&w, "other", 0, others);
    cr_assert(world_reply(&w, r) == NULL, "woken by what it does not want");
    emit_numbered(&w, "a", 0, 1);
    cr_assert(count_of(&w, r) == 1, "its event did not come");
    const struct hub_counts after = hub_counts(w.hub);
    world_deinit(&w);
    return (struct work){after.matches - before.matches, after.looks - before.looks};
}

Test(topics, that_nobody_wants_cost_a_waiting_reader_nothing)
{
    static const char *const filters[] = {"a.0", "a.*", "a.>"};
    for (size_t i = 0; i < 3; i++) {
        const struct work few = work_of(filters[i], 4), many = work_of(filters[i], 4000);
        cr_assert(few.matches == many.matches && few.looks == many.looks,
                  "%s: %llu and %llu matches, %llu and %llu looks", filters[i],
                  (unsigned long long)few.matches, (unsigned long long)many.matches,
                  (unsigned long long)few.looks, (unsigned long long)many.looks);
        cr_assert(many.matches <= 1 && many.looks <= 2, "%llu", (unsigned long long)many.looks);
    }
}

/* One turn brings them all, so the reader's event stands among thousands. */
Test(topics, that_nobody_wants_are_not_looked_at_on_the_way_to_the_wanted_one)
{
    struct world w;
    char numbers[100];
    begin(&w);
    emit_numbered(&w, "other", 0, 2000);
    const uint64_t r = fetch(&w, &(struct fetch){.filter = "a.*", .word = "new", .wait_ms = 20000});
    const struct hub_counts before = hub_counts(w.hub);
    w.crowd = true;
    emit_numbered(&w, "other", 0, 1000);
    emit_numbered(&w, "a", 7, 1);
    emit_numbered(&w, "other", 1000, 1000);
    w.crowd = false;
    world_turn(&w);
    numbers_of(&w, r, numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "3001 next 4002", "%s", numbers);
    const uint64_t from = fetch(&w, &(struct fetch){.filter = "a.*", .from = 1});
    numbers_of(&w, from, numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "3001 next 4002", "%s", numbers);
    const struct hub_counts after = hub_counts(w.hub);
    cr_assert(after.matches - before.matches == 1,
              "the new topic was compared once, not %llu times",
              (unsigned long long)(after.matches - before.matches));
    cr_assert(after.looks - before.looks <= 4, "%llu events were looked at",
              (unsigned long long)(after.looks - before.looks));
    world_deinit(&w);
}

Test(topics, are_compared_with_a_filter_once_however_often_it_is_asked_with)
{
    struct world w;
    begin(&w);
    emit_numbered(&w, "t", 0, 3000);
    for (unsigned i = 0; i < 100; i++) {
        (void)fetch(&w, &(struct fetch){.filter = "*.17", .word = i % 2 == 0 ? "new" : "last"});
    }
    const struct hub_counts counts = hub_counts(w.hub);
    cr_assert(counts.matches == 3000, "%llu matches", (unsigned long long)counts.matches);
    world_deinit(&w);
}

Test(topics, filters_that_nobody_waits_with_are_forgotten_in_time)
{
    struct world w;
    begin(&w);
    for (unsigned i = 0; i < 1000; i++) {
        (void)world_say(&w, READER, "[6,null,['a.%u','*.%u','>'],'new',10,1000,0]", i, i);
    }
    const struct hub_counts counts = hub_counts(w.hub);
    cr_assert(counts.filters == WIRE_FILTERS_KEPT, "%zu filters", counts.filters);
    emit_numbered(&w, "a", 990, 5);
    cr_assert(hub_counts(w.hub).topics == 5, "%zu", hub_counts(w.hub).topics);
    world_deinit(&w);
}

Test(topics, of_events_in_the_ring_are_as_many_as_its_index_may_cost)
{
    struct world w;
    begin(&w);
    emit_numbered(&w, "a", 0, 5000);
    const uint64_t r = fetch(&w, &(struct fetch){.filter = ">", .word = "oldest", .items = 10000});
    cr_assert(count_of(&w, r) == WIRE_TOPICS_MAX, "%u", count_of(&w, r));
    emit_numbered(&w, "a", 4999, 1000);
    world_deinit(&w);
}

/* Filters of every form, one reader each, all of which match the same events. */
Test(topics, wake_each_of_many_readers_once)
{
    static const char *const filters[] = {"a.0", "a.*", "*.0", "*.*", "a.>", "*.>", ">", "a.0"};
    enum { COUNT = sizeof filters / sizeof filters[0] };
    struct world w;
    uint64_t requests[COUNT], all;
    char numbers[100];
    begin(&w);
    for (size_t i = 0; i < COUNT; i++) {
        requests[i] =
            fetch(&w, &(struct fetch){.filter = filters[i], .word = "new", .wait_ms = 20000});
    }
    all = world_say(&w, READER, "[6,null,['a.0','a.*','>','a.0'],'new',10,1000,20000]");
    emit_numbered(&w, "a", 0, 1);
    for (size_t i = 0; i < COUNT; i++) {
        numbers_of(&w, requests[i], numbers, sizeof numbers);
        cr_assert_str_eq(numbers, "1 next 2", "%s: %s", filters[i], numbers);
    }
    numbers_of(&w, all, numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "1 next 2", "%s", numbers);
    world_deinit(&w);
}

/* 4000 topics of seven tokens, and more filters for each of them than pairs may be kept. */
Test(topics, and_filters_beyond_the_pairs_that_are_kept_still_meet)
{
    struct world w;
    char filters[2][1000];
    uint64_t requests[2];
    begin(&w);
    emit_numbered(&w, "a.a.a.a.a.a", 0, 4000);
    for (unsigned k = 0; k < 2; k++) {
        size_t n = 0;
        for (unsigned i = 0; i < 32; i++) {
            const unsigned mask = 32 * k + i;
            for (unsigned bit = 0; bit < 6; bit++) {
                n += (size_t)snprintf(filters[k] + n, sizeof filters[k] - n, "%s%s",
                                      bit > 0 ? "."
                                      : i > 0 ? ",'"
                                              : "'",
                                      mask >> bit & 1 ? "*" : "a");
            }
            n += (size_t)snprintf(filters[k] + n, sizeof filters[k] - n, ".*'");
        }
        requests[k] = world_say(&w, READER, "[6,null,[%s],'new',10,1000,20000]", filters[k]);
    }
    emit_numbered(&w, "b", 0, 1);
    emit_numbered(&w, "b.b.b.b.b.b", 0, 1);
    cr_assert(world_reply(&w, requests[0]) == NULL, "no filter of the first matches");
    cr_assert(count_of(&w, requests[1]) == 1, "*.*.*.*.*.*.* does");
    emit_numbered(&w, "a.a.a.a.a.a", 1, 1);
    cr_assert(count_of(&w, requests[0]) == 1, "now the first");
    const uint64_t r = world_say(&w, READER, "[6,null,[%s],'last',10000,1000000,0]", filters[1]);
    cr_assert(count_of(&w, r) >= 4000, "%u", count_of(&w, r));
    world_deinit(&w);
}

Test(topics, that_are_gone_before_the_turn_ends_are_told_as_lost)
{
    struct world w;
    events_begin(&w);
    seq = 0;
    const uint64_t mine =
        fetch(&w, &(struct fetch){.filter = "a.*", .word = "new", .wait_ms = 20000});
    const uint64_t other =
        fetch(&w, &(struct fetch){.filter = "z", .word = "new", .wait_ms = 20000});
    w.crowd = true;
    emit_numbered(&w, "a", 0, 3000);
    w.crowd = false;
    world_turn(&w);
    cr_assert(field_of(&w, mine, WIRE_FIELD_EVENTS_LOST) + count_of(&w, mine) ==
                  field_of(&w, mine, WIRE_FIELD_EVENTS_NEXT) - 1,
              "%s", world_text(&w, mine));
    cr_assert(field_of(&w, other, WIRE_FIELD_EVENTS_LOST) == 3000 - 1024 &&
                  count_of(&w, other) == 0,
              "%s", world_text(&w, other));
    world_deinit(&w);
}

/* Its position is behind what it was not given yet, not before and not after. */
Test(topics, an_empty_answer_in_the_middle_of_a_turn_passes_over_nothing)
{
    struct world w;
    char numbers[100];
    begin(&w);
    w.crowd = true;
    const uint64_t r = world_say(&w, READER, "[6,null,['a.0'],'new',10,1000,20000]");
    emit_numbered(&w, "a", 0, 1);
    const uint64_t both = world_say(
        &w, READER, "[6,null,['a.0'],'new',10,1000,20000] [7,1]"); /* PONG is due at once */
    emit_numbered(&w, "b", 0, 1);
    world_turn(&w);
    w.crowd = false;
    numbers_of(&w, r, numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "1 next 3", "%s", numbers);
    cr_assert(world_says(&w, both, "EVENTS"), "%s", world_text(&w, both));
    cr_assert(world_says(&w, both, " 2 0 []"), "%s", world_text(&w, both));
    world_deinit(&w);
}

/* The filter knows them until they are gone, and meets them again when they come back. */
Test(topics, that_are_forgotten_are_no_longer_those_of_a_filter)
{
    struct world w;
    begin(&w);
    emit_numbered(&w, "a", 0, 2);
    emit_numbered(&w, "b", 0, 1);
    const uint64_t r = fetch(&w, &(struct fetch){.filter = "a.*", .word = "new", .wait_ms = 20000});
    emit_numbered(&w, "other", 0, 1 << 15); /* more than the ring and all that is kept beyond it */
    cr_assert(world_reply(&w, r) == NULL, "woken by what it does not want");
    const uint64_t last = fetch(&w, &(struct fetch){.filter = "a.*", .word = "last"});
    cr_assert(count_of(&w, last) == 0, "they are gone");
    emit_numbered(&w, "a", 1, 1);
    cr_assert(count_of(&w, r) == 1, "it waits for what comes back");
    world_deinit(&w);
}

Test(topics, with_more_events_than_are_looked_at_at_once_are_given_in_two_answers)
{
    enum { EVENTS = 20500 };
    struct world w;
    seq = 0;
    events_begin_with(&w, 2 << 20);
    emit_numbered(&w, "a", 0, 2);
    for (unsigned i = 0; i < EVENTS; i++) {
        emit_numbered(&w, "b", 0, 1);
    }
    const uint64_t first = world_say(&w, READER, "[6,null,['b.0'],1,65536,10000000,0]");
    cr_assert(count_of(&w, first) == 20000, "%u", count_of(&w, first));
    const uint64_t next = field_of(&w, first, WIRE_FIELD_EVENTS_NEXT);
    const uint64_t second =
        world_say(&w, READER, "[6,null,['b.0'],%llu,65536,10000000,0]", (unsigned long long)next);
    cr_assert(count_of(&w, second) == EVENTS - 20000, "%u", count_of(&w, second));
    world_deinit(&w);
}
