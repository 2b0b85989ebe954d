/* Events: numbers, filters, positions, what fell out of the ring, and publishing once. */
#include "tests/support/test.h"
#include "tests/unit/core/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(events, are_numbered_from_one_and_fetched_in_order)
{
    struct world w;
    char topics[100];
    events_begin(&w);
    cr_assert(emit(&w, &(struct emit){1, "a.b", 10, NULL}) == 1, "first");
    cr_assert(emit(&w, &(struct emit){2, "a.c", 10, NULL}) == 2, "second");
    const uint64_t r = fetch(&w, &(struct fetch){.filter = ">", .word = "oldest"});
    topics_of(&w, r, topics, sizeof topics);
    cr_assert_str_eq(topics, "a.b a.c", "topics");
    cr_assert(field_of(&w, r, WIRE_FIELD_EVENTS_NEXT) == 3, "next");
    world_deinit(&w);
}

Test(events, a_filter_gives_only_what_it_names)
{
    struct world w;
    char topics[100];
    events_begin(&w);
    (void)emit(&w, &(struct emit){1, "a.b", 10, NULL});
    (void)emit(&w, &(struct emit){2, "b", 10, NULL});
    (void)emit(&w, &(struct emit){3, "a.c.d", 10, NULL});
    topics_of(&w, fetch(&w, &(struct fetch){.filter = "a.*", .word = "oldest"}), topics,
              sizeof topics);
    cr_assert_str_eq(topics, "a.b", "one token");
    topics_of(&w, fetch(&w, &(struct fetch){.filter = "a.>", .word = "oldest"}), topics,
              sizeof topics);
    cr_assert_str_eq(topics, "a.b a.c.d", "the rest");
    world_deinit(&w);
}

Test(events, a_fetch_waits_until_there_is_one)
{
    struct world w;
    events_begin(&w);
    const uint64_t r = fetch(&w, &(struct fetch){.filter = "a.>", .word = "new", .wait_ms = 60000});
    (void)emit(&w, &(struct emit){1, "b", 10, NULL});
    cr_assert(world_reply(&w, r) == NULL, "an event that was not asked for");
    (void)emit(&w, &(struct emit){2, "a.b", 10, NULL});
    cr_assert(count_of(&w, r) == 1 && field_of(&w, r, WIRE_FIELD_EVENTS_NEXT) == 3, "one, then 3");
    world_deinit(&w);
}

Test(events, a_fetch_that_waited_in_vain_is_answered_empty)
{
    struct world w;
    events_begin(&w);
    const uint64_t now = fetch(&w, &(struct fetch){.filter = ">", .word = "new"});
    cr_assert(count_of(&w, now) == 0, "at once");
    const uint64_t soon = fetch(&w, &(struct fetch){.filter = ">", .word = "new", .wait_ms = 100});
    world_pass_ms(&w, 99);
    cr_assert(world_reply(&w, soon) == NULL, "too early");
    world_pass_ms(&w, 1);
    cr_assert(count_of(&w, soon) == 0, "after its wait");
    const uint64_t late =
        fetch(&w, &(struct fetch){.filter = ">", .word = "new", .wait_ms = 90000});
    world_pass_ms(&w, 25000);
    cr_assert(count_of(&w, late) == 0, "after 25 s");
    world_deinit(&w);
}

Test(events, what_fell_out_of_the_ring_is_counted_exactly)
{
    struct world w;
    events_begin(&w);
    for (uint64_t i = 1; i <= 500; i++) {
        cr_assert(emit(&w, &(struct emit){i, "a", 1000, NULL}) == i, "number");
    }
    const uint64_t r = fetch(&w, &(struct fetch){.filter = ">", .from = 1, .items = 1000});
    const uint64_t lost = field_of(&w, r, WIRE_FIELD_EVENTS_LOST);
    cr_assert(lost > 0 && lost + count_of(&w, r) == 500, "%lu lost, %u read", (unsigned long)lost,
              count_of(&w, r));
    cr_assert(count_of(&w, r) >= 60, "the ring of 64 KiB holds only %u events of 1 KB",
              count_of(&w, r));
    world_deinit(&w);
}

Test(events, of_any_size_wrap_without_damage)
{
    struct world w;
    uint64_t next = 1, seen = 0, lost = 0;
    events_begin(&w);
    for (uint64_t i = 1; i <= 3000; i++) {
        (void)emit(&w,
                   &(struct emit){i, i % 3 == 0 ? "a.b" : "c", (size_t)(i * 7919 % 5000), NULL});
        if (i % 11 == 0) {
            const uint64_t r =
                fetch(&w, &(struct fetch){.filter = ">", .from = next, .items = 1000});
            next = field_of(&w, r, WIRE_FIELD_EVENTS_NEXT);
            seen += count_of(&w, r);
            lost += field_of(&w, r, WIRE_FIELD_EVENTS_LOST);
        }
    }
    cr_assert(seen + lost == next - 1, "%lu seen, %lu lost of %lu", (unsigned long)seen,
              (unsigned long)lost, (unsigned long)next - 1);
    world_deinit(&w);
}

Test(events, one_larger_than_half_the_ring_is_refused)
{
    struct world w;
    events_begin(&w);
    /* The payload alone fills half of it, and there is something to be said of it. */
    static const size_t sizes[] = {40000, 32768 - 3};
    for (size_t i = 0; i < 2; i++) {
        const uint64_t r = emit_as(&w, 1, &(struct emit){1, "a", sizes[i], NULL});
        const struct record *e = world_expect(&w, r, 0, WIRE_REC_ERROR);
        cr_assert(RECORD_FIELD(e, ERROR, CODE)->item.uint == WIRE_ERR_RESOURCE_EXHAUSTED, "code");
    }
    (void)emit(&w, &(struct emit){1, "a", 32768 - 3 - 24, NULL});
    world_deinit(&w);
}

Test(events, one_event_is_given_however_few_bytes_are_asked_for)
{
    struct world w;
    char numbers[100];
    events_begin(&w);
    (void)emit(&w, &(struct emit){1, "a", 1000, NULL});
    (void)emit(&w, &(struct emit){2, "b", 1000, NULL});
    numbers_of(&w, world_say(&w, READER, "[6,null,['>'],1,100,1,0]"), numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "1 next 2", "%s", numbers);
    numbers_of(&w, world_say(&w, READER, "[6,null,['>'],2,100,1,0]"), numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "2 next 3", "%s", numbers);
    world_deinit(&w);
}

/* A ring of 4 KiB: events of every size from empty to half of it, so that every way to wrap comes
 * up. */
Test(events, a_small_ring_keeps_the_newest_in_order)
{
    for (size_t step = 1; step < 600; step += 37) {
        struct world w;
        struct hub_options options;
        world_options(&options);
        options.events_bytes = 4096;
        cr_assert(world_init_with(&w, &options), "no hub");
        world_open(&w, PUBLISHER);
        world_open(&w, READER);
        for (uint64_t i = 1; i <= 400; i++) {
            const size_t bytes = i * step % 1990;
            cr_assert(emit(&w, &(struct emit){i, "a", bytes, NULL}) == i, "%zu bytes", bytes);
            const uint64_t r = fetch(&w, &(struct fetch){.filter = ">", .from = 1, .items = 1000});
            const uint64_t lost = field_of(&w, r, WIRE_FIELD_EVENTS_LOST);
            cr_assert(count_of(&w, r) > 0 && lost + count_of(&w, r) == i,
                      "%lu lost, %u read of %lu", (unsigned long)lost, count_of(&w, r),
                      (unsigned long)i);
        }
        world_deinit(&w);
    }
}

Test(events, a_position_ahead_of_the_newest_waits_for_the_next)
{
    struct world w;
    char numbers[100];
    events_begin(&w);
    (void)emit(&w, &(struct emit){1, "a", 10, NULL});
    const uint64_t r = fetch(&w, &(struct fetch){.filter = ">", .from = 99, .wait_ms = 1000});
    (void)emit(&w, &(struct emit){2, "a", 10, NULL});
    numbers_of(&w, r, numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "2 next 3", "%s", numbers);
    numbers_of(&w, fetch(&w, &(struct fetch){.filter = ">", .from = 0}), numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "1 2 next 3", "%s", numbers);
    world_deinit(&w);
}

/* Two connections of one client need not bring them in their order. */
Test(events, emits_may_come_in_any_order_and_each_is_stored_once)
{
    static const uint64_t seqs[] = {7, 5, 6, 80, 79, 17, 300, 200, 301, 1000, 999, 745};
    struct world w;
    events_begin(&w);
    for (size_t i = 0; i < sizeof seqs / sizeof seqs[0]; i++) {
        const uint64_t number = emit(&w, &(struct emit){seqs[i], "a", 10, NULL});
        cr_assert(number == i + 1, "%llu was not stored", (unsigned long long)seqs[i]);
    }
    for (size_t i = 9; i < sizeof seqs / sizeof seqs[0]; i++) {
        const uint64_t number = emit(&w, &(struct emit){seqs[i], "a", 10, NULL});
        cr_assert(number == (seqs[i] == 1000 ? 10 : 0),
                  "%llu: that it is stored is all that is known", (unsigned long long)seqs[i]);
    }
    world_deinit(&w);
}

Test(events, an_emit_too_far_back_to_be_known_is_refused)
{
    struct world w;
    events_begin(&w);
    (void)emit(&w, &(struct emit){1000, "a", 10, NULL});
    const uint64_t r = emit_as(&w, 0x80000005u, &(struct emit){1000 - WIRE_WINDOW, "a", 10, NULL});
    cr_assert(world_says(&w, r, "ERROR 744 9 1 'an EMIT so far back"), "%s", world_text(&w, r));
    cr_assert(emit(&w, &(struct emit){1001 - WIRE_WINDOW, "a", 10, NULL}) == 2,
              "the last one known");
    world_deinit(&w);
}

Test(events, a_repeated_emit_is_stored_once)
{
    struct world w;
    events_begin(&w);
    cr_assert(emit(&w, &(struct emit){7, "a", 10, NULL}) == 1, "first");
    cr_assert(emit(&w, &(struct emit){7, "a", 10, NULL}) == 1, "the same number");
    cr_assert(emit(&w, &(struct emit){8, "a", 10, NULL}) == 2, "next");
    world_deinit(&w);
}

Test(events, a_process_without_an_id_that_repeats_its_bytes_is_recognised)
{
    struct world w;
    events_begin(&w);
    const struct emit e = {1, "a", 10, world_nil};
    const uint64_t first = emit_as(&w, 0x80000005u, &e), again = emit_as(&w, 0x80000005u, &e);
    const uint64_t other = emit_as(&w, 0x80000006u, &e);
    const uint64_t numbers[] = {1, 1, 2}, requests[] = {first, again, other};
    for (size_t i = 0; i < 3; i++) {
        const struct record *ack = world_expect(&w, requests[i], 0, WIRE_REC_ACK);
        cr_assert(RECORD_FIELD(ack, ACK, NUMBER)->item.uint == numbers[i], "request %zu", i);
    }
    world_deinit(&w);
}

Test(events, the_topics_of_the_hub_are_its_own)
{
    struct world w;
    events_begin(&w);
    const struct record *e = world_expect(
        &w, emit_as(&w, 1, &(struct emit){1, "hub.fake", 10, NULL}), 0, WIRE_REC_ERROR);
    cr_assert(RECORD_FIELD(e, ERROR, CODE)->item.uint == WIRE_ERR_PERMISSION_DENIED, "code");
    world_deinit(&w);
}

Test(events, the_life_of_a_worker_is_told)
{
    struct world w;
    char topics[200];
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_configured(&w);
    world_open(&w, READER);
    world_serve(&w, "echo/0");
    world_exited(&w, "echo/0", 9);
    topics_of(&w, fetch(&w, &(struct fetch){.filter = "hub.worker.*", .word = "oldest"}), topics,
              sizeof topics);
    cr_assert_str_eq(topics, "hub.worker.started hub.worker.ready hub.worker.exited", "got %s",
                     topics);
    world_deinit(&w);
}
