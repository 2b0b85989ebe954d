/* Calls that are many beside others: how many of their parts wait, what holds them back, and that
 * others have their turn. */
#include "tests/unit/core/story.h"

#include <stdio.h>

#define NUMBER(n) (unsigned long long)(n)

/* A CALL with map and so many sets. */
static uint64_t
map_of(struct world *w, unsigned who, unsigned seq, const char *mode, uint32_t count)
{
    struct buf b = {0};
    const char *id = who == ONE ? "sixteen bytes id" : "the other client";
    write_op(&b, WIRE_CALL);
    write_bin(&b, (struct span){(const uint8_t *)id, 16});
    write_uint(&b, seq);
    write_uint(&b, 0);
    write_text(&b, "echo");
    write_text(&b, "again");
    write_uint(&b, 3600000);
    write_map(&b, 1);
    write_text(&b, "map");
    write_text(&b, mode);
    write_array(&b, count);
    for (uint32_t i = 0; i < count; i++) {
        write_array(&b, 1);
        write_uint(&b, i);
    }
    const uint64_t r = world_send(w, who, buf_span(&b));
    buf_deinit(&b);
    return r;
}

static void
serve_next(struct world *w, const char *replica, const char *value)
{
    const uint64_t call = world_given(w, replica);
    cr_assert(call != 0, "%s has nothing to do", replica);
    story_done(w, replica, call, value);
}

/* Who stops the worker sees the parts end. */
static void
finish(struct world *w)
{
    story_cancel(w, ONE, 1);
    story_cancel(w, TWO, 1);
    const uint64_t call = world_given(w, "echo/0");
    if (call != 0) {
        story_done(w, "echo/0", call, "null");
    }
    story_end(w);
}

/* ---- how many parts there are ------------------------------------------------------------------
 */

Test(many_turns, parts_are_made_as_they_can_wait)
{
    struct world w;
    story_begin(&w, 1);
    (void)map_of(&w, ONE, 1, "completed", 1000);
    cr_assert(hub_counts(w.hub).calls == 1 + 1 + 64, "%zu calls", hub_counts(w.hub).calls);
    for (unsigned i = 0; i < 900; i++) {
        serve_next(&w, "echo/0", "null");
        (void)story_wait(&w, ONE, 1, i + 1);
        cr_assert(hub_counts(w.hub).calls <= 1 + 1 + 64, "%zu calls", hub_counts(w.hub).calls);
    }
    finish(&w);
}

Test(many_turns, with_a_short_queue_only_so_many_parts_are_made_as_may_wait)
{
    struct world w;
    story_begin(&w, 1);
    story_worker(&w, "brief", 1, 4);
    world_tell(&w, "start", "brief");
    const uint64_t r =
        story_call(&w, ONE, 1, "'brief','echo',60000,{'map':'ordered'},[{},{},{},{},{},{},{},{}]");
    cr_assert(hub_counts(w.hub).calls == 1 + 1 + 4, "%zu calls with that which started it",
              hub_counts(w.hub).calls);
    expect_says(&w, story_call(&w, TWO, 1, "'brief','echo',60000,null,{}"),
                "ERROR 1 8 0 'too many calls wait for this worker'");
    world_serve(&w, "brief/0");
    for (unsigned i = 0; i < 8; i++) {
        serve_next(&w, "brief/0", "null");
        (void)story_wait(&w, ONE, 1, i + 1);
    }
    expect_text(&w, r, "PARTIAL 1 0 null [[0, 0, null]]");
    expect_text(&w, story_wait(&w, ONE, 1, 8), "RESULT 1 {'done': 8, 'failed': 0}");
    story_end(&w);
}

Test(many_turns, a_hub_that_is_full_of_calls_makes_parts_one_by_one)
{
    struct hub_options options;
    struct world w;
    world_options(&options);
    options.calls_max = 3;
    story_begin_with(&w, 1, &options);
    for (unsigned i = 1; i <= 2; i++) {
        (void)story_call(&w, TWO, i, "'echo','echo',60000,null,{}");
        serve_next(&w, "echo/0", "null");
    }
    (void)map_of(&w, ONE, 1, "completed", 20);
    for (unsigned i = 0; i < 20; i++) {
        serve_next(&w, "echo/0", "null");
        (void)story_wait(&w, ONE, 1, i + 1);
    }
    expect_text(&w, story_wait(&w, ONE, 1, 20), "RESULT 1 {'done': 20, 'failed': 0}");
    story_end(&w);
}

Test(many_turns, parts_are_made_as_soon_as_calls_of_others_are_forgotten)
{
    struct hub_options options;
    struct world w;
    world_options(&options);
    options.calls_max = 4;
    story_begin_with(&w, 2, &options);
    for (unsigned i = 1; i <= 2; i++) {
        (void)story_call(&w, TWO, i, "'echo','echo',60000,null,{}");
        const char *name = world_given(&w, "echo/0") != 0 ? "echo/0" : "echo/1";
        story_done(&w, name, world_given(&w, name), "null");
    }
    (void)map_of(&w, ONE, 1, "completed", 9);
    const bool zero = world_given(&w, "echo/0") != 0;
    const char *idle = zero ? "echo/1" : "echo/0";
    cr_assert(world_given(&w, idle) == 0, "only one part: the hub is full");
    /* What the other client acknowledges makes room. */
    (void)world_say(&w, TWO, "[2," STORY_TWO ",3,2,'hub','describe',0,null,{}]");
    cr_assert(world_given(&w, idle) != 0, "nobody made the next part");
    (void)world_say(&w, ONE, "[4," STORY_ONE ",1]");
    world_exited(&w, "echo/0", 0);
    world_exited(&w, "echo/1", 0);
    story_end(&w);
}

/* ---- whose turn it is --------------------------------------------------------------------------
 */

Test(many_turns, a_single_call_has_its_turn_beside_a_huge_list)
{
    struct world w;
    story_begin(&w, 1);
    (void)map_of(&w, ONE, 1, "completed", 60000);
    serve_next(&w, "echo/0", "null");
    const uint64_t r = story_call(&w, TWO, 1, "'echo','echo',60000,null,{}");
    for (unsigned i = 0; world_reply(&w, r) == NULL; i++) {
        cr_assert(i < 3, "it waits behind the list");
        serve_next(&w, "echo/0", "7");
    }
    expect_text(&w, r, "RESULT 1 7");
    finish(&w);
}

Test(many_turns, a_short_list_has_its_turns_beside_a_huge_one)
{
    struct world w;
    story_begin(&w, 1);
    (void)map_of(&w, ONE, 1, "completed", 60000);
    serve_next(&w, "echo/0", "null");
    (void)map_of(&w, TWO, 1, "completed", 5);
    for (unsigned i = 0; i < 20; i++) {
        serve_next(&w, "echo/0", "null");
    }
    expect_text(&w, story_wait(&w, TWO, 1, 5), "RESULT 1 {'done': 5, 'failed': 0}");
    finish(&w);
}

Test(many_turns, a_list_has_its_turns_beside_a_flood_of_single_calls)
{
    struct world w;
    story_begin(&w, 1);
    for (unsigned i = 0; i < 250; i++) {
        (void)story_call(&w, TWO, i + 1, "'echo','echo',3600000,null,{}");
    }
    (void)map_of(&w, ONE, 1, "completed", 5);
    for (unsigned i = 0; i < 20; i++) {
        serve_next(&w, "echo/0", "null");
    }
    expect_text(&w, story_wait(&w, ONE, 1, 5), "RESULT 1 {'done': 5, 'failed': 0}");
    (void)world_say(&w, TWO, "[2," STORY_TWO ",300,299,'echo','echo',1000,null,{}]");
    finish(&w);
}

/* ---- what holds it back ------------------------------------------------------------------------
 */

Test(many_turns, no_parts_are_made_for_a_caller_that_does_not_fetch)
{
    struct world w;
    story_begin(&w, 1);
    (void)map_of(&w, ONE, 1, "completed", 1000);
    unsigned served = 0;
    for (uint64_t call; (call = world_given(&w, "echo/0")) != 0; served++) {
        cr_assert(served < 200, "it goes on and on");
        story_done(&w, "echo/0", call, "<65536>");
    }
    cr_assert(served >= 16 && served <= 16 + 65, "%u were served", served);
    expect_says(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null [[1, 0, <65536>]");
    cr_assert(world_given(&w, "echo/0") == 0, "there is still more than it may be");
    (void)story_wait(&w, ONE, 1, served);
    cr_assert(world_given(&w, "echo/0") != 0, "there is room again");
    finish(&w);
}

Test(many_turns, a_slow_first_part_holds_the_others_back)
{
    struct world w;
    story_begin(&w, 2);
    (void)map_of(&w, ONE, 1, "ordered", 60000);
    const uint64_t first = world_given(&w, "echo/0");
    unsigned served = 0;
    for (uint64_t call; (call = world_given(&w, "echo/1")) != 0; served++) {
        cr_assert(served < 1000, "it goes on and on");
        story_done(&w, "echo/1", call, "null");
    }
    cr_assert(served == 2 * WIRE_PARTS_OPEN - 1, "%u were served", served);
    story_done(&w, "echo/0", first, "null");
    (void)story_wait(&w, ONE, 1, 0);
    cr_assert(world_given(&w, "echo/1") != 0, "it goes on");
    story_done(&w, "echo/1", world_given(&w, "echo/1"), "null");
    finish(&w);
}

Test(many_turns, a_slow_first_part_holds_large_outcomes_back_by_their_bytes)
{
    struct world w;
    story_begin(&w, 2);
    (void)map_of(&w, ONE, 1, "ordered", 1000);
    const uint64_t first = world_given(&w, "echo/0");
    unsigned served = 0;
    for (uint64_t call; (call = world_given(&w, "echo/1")) != 0; served++) {
        cr_assert(served < 400, "it goes on and on");
        story_done(&w, "echo/1", call, "<65536>");
    }
    /* Those that waited already are not taken back. */
    cr_assert(served >= 16 && served <= 16 + 128, "%u were served", served);
    story_done(&w, "echo/0", first, "null");
    cr_assert(world_given(&w, "echo/0") == 0, "they are here, and not fetched");
    (void)story_wait(&w, ONE, 1, served + 1);
    cr_assert(world_given(&w, "echo/0") != 0, "it goes on");
    finish(&w);
}
