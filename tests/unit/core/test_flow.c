/* How much of an outcome in pieces is on its way: what one PARTIAL holds, what the hub keeps for a
 * caller that does not fetch, and how the worker waits meanwhile. */
#include "tests/unit/core/story.h"

#include <stdio.h>

#define NUMBER(n) (unsigned long long)(n)

enum { KIB = 1024 };

/* A call that has begun, and whose caller has gone to do something else: its first PARTIAL told it
 * of one item. */
static uint64_t
begun(struct world *w)
{
    story_begin(w, 1);
    const uint64_t r = story_call(w, ONE, 1, "'echo','echo',3600000,null,{}");
    const uint64_t call = world_given(w, "echo/0");
    (void)story_report(w, "echo/0", "[%llu,2,[0,['a']]]", NUMBER(call));
    expect_text(w, r, "PARTIAL 1 0 null ['a']");
    return call;
}

static void
finish(struct world *w, uint64_t call)
{
    story_done(w, "echo/0", call, "null");
    story_end(w);
}

/* ---- one PARTIAL -------------------------------------------------------------------------------
 */

Test(flow, one_partial_ends_with_the_item_that_passes_its_limit)
{
    struct world w;
    const uint64_t call = begun(&w);
    (void)story_report(&w, "echo/0", "[%llu,2,[1,[<131067>,<131067>,'b']]]", NUMBER(call));
    expect_text(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null [<131067>, <131067>]");
    expect_text(&w, story_wait(&w, ONE, 1, 3), "PARTIAL 1 3 null ['b']");
    (void)story_report(&w, "echo/0", "[%llu,2,[4,[<131067>,<131066>,'b','c']]]", NUMBER(call));
    expect_text(&w, story_wait(&w, ONE, 1, 4), "PARTIAL 1 4 null [<131067>, <131066>, 'b']");
    finish(&w, call);
}

Test(flow, one_item_is_given_however_large_it_is)
{
    struct world w;
    const uint64_t call = begun(&w);
    (void)story_report(&w, "echo/0", "[%llu,2,[1,[<900000>,'b']]]", NUMBER(call));
    expect_text(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null [<900000>]");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "PARTIAL 1 2 null ['b']");
    finish(&w, call);
}

/* ---- what the hub holds ------------------------------------------------------------------------
 */

/* Four reports of 256 KiB: with the last one there is no room any more. */
static uint64_t
fill_up(struct world *w, uint64_t call)
{
    uint64_t r = 0;
    for (unsigned i = 1; i <= 4; i++) {
        if (i > 1) {
            expect_text(w, r, "ACK [] 0");
        }
        r = story_report(w, "echo/0", "[%llu,2,[%u,[<262144>]]]", NUMBER(call), i);
    }
    expect_nothing(w, r);
    return r;
}

Test(flow, the_report_that_fills_the_room_is_answered_when_there_is_room)
{
    struct world w;
    const uint64_t call = begun(&w), r = fill_up(&w, call);
    expect_text(&w, story_wait(&w, ONE, 1, 0), "PARTIAL 1 0 null ['a', <262144>]");
    expect_nothing(&w, r); /* only asking for more says that it arrived */
    expect_text(&w, story_wait(&w, ONE, 1, 2), "PARTIAL 1 2 null [<262144>]");
    expect_text(&w, r, "ACK [] 0");
    finish(&w, call);
}

Test(flow, a_report_that_waits_is_pending_after_25_s_and_is_asked_again_without_items)
{
    struct world w;
    const uint64_t call = begun(&w);
    uint64_t r = fill_up(&w, call);
    world_pass_ms(&w, WIRE_PARK_MS - 1);
    expect_nothing(&w, r);
    world_pass_ms(&w, 1);
    expect_text(&w, r, "PENDING 0");
    r = story_report(&w, "echo/0", "[%llu,2,[5,[]]]", NUMBER(call));
    expect_nothing(&w, r);
    (void)story_wait(&w, ONE, 1, 5);
    expect_text(&w, r, "ACK [] 0");
    expect_text(&w, story_report(&w, "echo/0", "[%llu,2,[5,[]]]", NUMBER(call)), "ACK [] 0");
    finish(&w, call);
}

Test(flow, a_report_that_waits_says_later_what_else_may_be_forgotten)
{
    struct world w;
    const uint64_t call = begun(&w);
    const uint64_t r = story_report(
        &w, "echo/0", "[77,0,null],[%llu,2,[1,[<1048576>]]],[78,0,null]", NUMBER(call));
    expect_nothing(&w, r);
    (void)story_wait(&w, ONE, 1, 2);
    expect_says(&w, r, "ACK");
    story_done(&w, "echo/0", call, "null");
    world_pass_ms(&w, WIRE_PARK_MS);
    expect_says(&w, world_process(&w, "echo/0")->request, "ACK [77, 78] 0");
    story_end(&w);
}

Test(flow, a_report_that_waits_is_answered_when_the_call_ends)
{
    struct world w;
    uint64_t call = begun(&w), r = fill_up(&w, call);
    story_cancel(&w, ONE, 1);
    expect_text(&w, r, "ACK [] 0");
    finish(&w, call);
    call = begun(&w);
    r = fill_up(&w, call);
    (void)story_report(&w, "echo/0", "[%llu,0,null]", NUMBER(call));
    expect_text(&w, r, "ACK [] 0");
    story_end(&w);
}

Test(flow, a_report_that_waits_goes_with_its_connection_and_is_repeated_on_the_next)
{
    struct world w;
    const uint64_t call = begun(&w);
    (void)fill_up(&w, call);
    char about[64];
    (void)snprintf(about, sizeof about, "'running':[%llu]", NUMBER(call));
    story_attach(&w, "echo/0", 2, about);
    const uint64_t r = story_report(&w, "echo/0", "[%llu,2,[4,[<262144>]]]", NUMBER(call));
    expect_nothing(&w, r);
    expect_text(&w, story_wait(&w, ONE, 1, 4), "PARTIAL 1 4 null [<262144>]");
    expect_text(&w, r, "ACK [] 0");
    finish(&w, call);
}

Test(flow, a_report_that_waits_goes_with_the_worker_and_with_the_caller)
{
    struct world w;
    uint64_t call = begun(&w);
    (void)fill_up(&w, call);
    world_exited(&w, "echo/0", 9);
    story_end(&w);
    call = begun(&w);
    const uint64_t r = fill_up(&w, call);
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_AWAY_MS);
    expect_text(&w, r, "ACK [] 0");
    world_open(&w, ONE);
    finish(&w, call);
}

Test(flow, other_calls_of_the_replica_are_answered_while_a_report_waits)
{
    struct world w;
    story_begin(&w, 1);
    w.capacity = 2;
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 1);
    (void)story_call(&w, ONE, 1, "'echo','echo',60000,null,{}");
    const uint64_t call = world_given(&w, "echo/0");
    world_poll(&w, "echo/0", 1);
    const uint64_t r = story_report(&w, "echo/0", "[%llu,2,[0,['a',<1048576>]]]", NUMBER(call));
    expect_nothing(&w, r);
    const uint64_t other = story_call(&w, TWO, 1, "'echo','echo',60000,null,{}");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "7");
    expect_text(&w, other, "RESULT 1 7");
    expect_nothing(&w, r);
    story_done(&w, "echo/0", call, "8");
    expect_text(&w, r, "ACK [] 0");
    story_end(&w);
}

/* ---- what is counted ---------------------------------------------------------------------------
 */

Test(flow, items_count_as_bytes_of_their_client_until_they_were_received)
{
    struct world w;
    const uint64_t call = begun(&w);
    (void)story_report(&w, "echo/0", "[%llu,2,[1,[<500000>,<400000>]]]", NUMBER(call));
    const size_t held = hub_counts(w.hub).payload_bytes;
    cr_assert(held >= 900000 && held < 1400000, "%zu bytes", held);
    (void)story_wait(&w, ONE, 1, 3);
    cr_assert(hub_counts(w.hub).payload_bytes < 4 * KIB, "%zu bytes are left",
              hub_counts(w.hub).payload_bytes);
    finish(&w, call);
}

Test(flow, a_long_stream_that_is_fetched_as_it_comes_needs_no_more_than_its_items)
{
    struct world w;
    const uint64_t call = begun(&w);
    for (unsigned i = 1; i < 200; i++) {
        const uint64_t r =
            story_report(&w, "echo/0", "[%llu,2,[%u,[<60000>,'b']]]", NUMBER(call), 2 * i - 1);
        expect_text(&w, r, "ACK [] 0");
        /* The caller is always one item behind. */
        expect_says(&w, story_wait(&w, ONE, 1, 2 * i - 1), "[<60000>, 'b']");
        (void)story_wait(&w, ONE, 1, 2 * i);
        cr_assert(hub_counts(w.hub).payload_bytes < 256 * KIB, "%zu bytes after %u items",
                  hub_counts(w.hub).payload_bytes, i);
    }
    finish(&w, call);
}

Test(flow, a_client_at_its_limit_of_bytes_lets_its_workers_wait)
{
    struct hub_options options;
    struct world w;
    world_options(&options);
    options.client_bytes_max = 100000;
    story_begin_with(&w, 1, &options);
    (void)story_call(&w, ONE, 1, "'echo','echo',60000,null,{}");
    const uint64_t call = world_given(&w, "echo/0");
    const uint64_t r = story_report(&w, "echo/0", "[%llu,2,[0,['a',<100000>]]]", NUMBER(call));
    expect_nothing(&w, r);
    const uint64_t other = story_call(&w, ONE, 2, "'echo','echo',60000,null,{}");
    expect_says(&w, other,
                "ERROR 2 8 0 'the hub holds too many bytes of arguments and results of "
                "this client");
    (void)story_wait(&w, ONE, 1, 2);
    expect_text(&w, r, "ACK [] 0");
    finish(&w, call);
}

Test(flow, a_hub_at_its_limit_of_bytes_lets_its_workers_wait)
{
    struct hub_options options;
    struct world w;
    world_options(&options);
    options.payload_bytes_max = 100000;
    story_begin_with(&w, 1, &options);
    (void)story_call(&w, ONE, 1, "'echo','echo',60000,null,{}");
    const uint64_t call = world_given(&w, "echo/0");
    const uint64_t r = story_report(&w, "echo/0", "[%llu,2,[0,['a',<100000>]]]", NUMBER(call));
    expect_nothing(&w, r);
    expect_says(&w, story_call(&w, TWO, 1, "'echo','echo',60000,null,{}"),
                "ERROR 1 8 0 'the hub holds too many bytes");
    (void)story_wait(&w, ONE, 1, 2);
    expect_text(&w, r, "ACK [] 0");
    finish(&w, call);
}

Test(flow, a_report_that_fills_the_room_and_ends_the_call_waits_for_nothing)
{
    struct world w;
    const uint64_t call = begun(&w);
    expect_text(&w,
                story_report(&w, "echo/0", "[%llu,2,[1,[<1048576>]]],[%llu,0,'end']", NUMBER(call),
                             NUMBER(call)),
                "ACK [] 0");
    (void)story_wait(&w, ONE, 1, 1);
    expect_text(&w, story_wait(&w, ONE, 1, 2), "RESULT 1 'end'");
    story_end(&w);
}
