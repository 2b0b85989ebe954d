/* A method that yields: its items on their way to the caller, and what becomes of them when a
 * connection, the caller or the worker goes. */
#include "tests/unit/core/story.h"

#include <stdio.h>

#define NUMBER(n) (unsigned long long)(n)

/* A call that has begun: its number. */
static uint64_t
begun(struct world *w, unsigned seq, uint64_t *request)
{
    *request = story_call(w, ONE, seq, "'echo','again',60000,null,{}");
    const uint64_t call = world_given(w, "echo/0");
    cr_assert(call != 0, "it was given");
    return call;
}

/* ---- items one by one --------------------------------------------------------------------------
 */

Test(items, come_with_their_numbers_and_the_result_comes_when_all_were_received)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r);
    const uint64_t a = story_report(&w, "echo/0", "[%llu,2,[0,['a','b']]]", NUMBER(call));
    expect_text(&w, a, "ACK [] 0");
    expect_text(&w, r, "PARTIAL 1 0 null ['a', 'b']");
    r = story_wait(&w, ONE, 1, 2);
    expect_nothing(&w, r);
    (void)story_report(&w, "echo/0", "[%llu,2,[2,['c']]]", NUMBER(call));
    expect_text(&w, r, "PARTIAL 1 2 null ['c']");
    story_done(&w, "echo/0", call, "'end'");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "PARTIAL 1 2 null ['c']");
    expect_text(&w, story_wait(&w, ONE, 1, 3), "RESULT 1 'end'");
    expect_text(&w, story_wait(&w, ONE, 1, 3), "RESULT 1 'end'");
    story_end(&w);
}

Test(items, of_a_report_that_holds_the_outcome_too_come_before_it)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,[1,2]]],[%llu,0,3]", NUMBER(call), NUMBER(call));
    expect_text(&w, r, "PARTIAL 1 0 null [1, 2]");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "RESULT 1 3");
    story_end(&w);
}

Test(items, that_nobody_waits_for_are_given_together_to_who_asks)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r);
    for (unsigned i = 0; i < 5; i++) {
        (void)story_report(&w, "echo/0", "[%llu,2,[%u,[%u]]]", NUMBER(call), i, i);
    }
    expect_text(&w, r, "PARTIAL 1 0 null [0]");
    expect_text(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null [1, 2, 3, 4]");
    story_failed(&w, "echo/0", call);
    expect_text(&w, story_wait(&w, ONE, 1, 5), "ERROR 1 2 2 'it failed' null");
    story_end(&w);
}

Test(items, that_the_caller_says_it_has_and_never_got_are_no_harm)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,[0]]]", NUMBER(call));
    r = story_wait(&w, ONE, 1, 1000);
    (void)story_report(&w, "echo/0", "[%llu,2,[1,[1]]]", NUMBER(call));
    expect_text(&w, r, "PARTIAL 1 1 null [1]");
    expect_text(&w, story_wait(&w, ONE, 1, 0), "PARTIAL 1 1 null [1]");
    story_done(&w, "echo/0", call, "null");
    story_end(&w);
}

/* ---- lost connections --------------------------------------------------------------------------
 */

Test(items, of_a_lost_answer_come_again_from_the_first_that_was_not_acknowledged)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,['a']]]", NUMBER(call));
    r = story_wait(&w, ONE, 1, 1);
    (void)story_report(&w, "echo/0", "[%llu,2,[1,['b']]]", NUMBER(call));
    (void)story_report(&w, "echo/0", "[%llu,2,[2,['c']]]", NUMBER(call));
    expect_text(&w, r, "PARTIAL 1 1 null ['b']"); /* and this answer is lost */
    world_close(&w, ONE);
    world_open(&w, ONE);
    expect_text(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null ['b', 'c']");
    r = story_call(&w, ONE, 1, "'echo','again',60000,null,{}");
    expect_text(&w, r, "PARTIAL 1 1 null ['b', 'c']");
    story_done(&w, "echo/0", call, "'end'");
    r = story_call(&w, ONE, 1, "'echo','again',60000,null,{}");
    expect_text(&w, r, "PARTIAL 1 1 null ['b', 'c']");
    expect_text(&w, story_wait(&w, ONE, 1, 3), "RESULT 1 'end'");
    cr_assert(world_given(&w, "echo/0") == 0, "it ran again");
    story_end(&w);
}

Test(items, told_again_after_the_reconnect_of_a_worker_are_not_doubled)
{
    struct world w;
    uint64_t r;
    char about[64];
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,['a','b']]]", NUMBER(call));
    (void)snprintf(about, sizeof about, "'running':[%llu]", NUMBER(call));
    story_attach(&w, "echo/0", 2, about);
    cr_assert(world_given(&w, "echo/0") == 0, "it runs already");
    r = story_wait(&w, ONE, 1, 1);
    expect_text(&w, r, "PARTIAL 1 1 null ['b']");
    r = story_wait(&w, ONE, 1, 2);
    uint64_t a = story_report(&w, "echo/0", "[%llu,2,[0,['a','b']]]", NUMBER(call));
    expect_text(&w, a, "ACK [] 0");
    expect_nothing(&w, r);
    a = story_report(&w, "echo/0", "[%llu,2,[1,['b','c']]]", NUMBER(call));
    expect_text(&w, r, "PARTIAL 1 2 null ['c']");
    story_done(&w, "echo/0", call, "7");
    expect_text(&w, story_wait(&w, ONE, 1, 3), "RESULT 1 7");
    story_end(&w);
}

/* ---- what is no list of items ------------------------------------------------------------------
 */

Test(items, that_are_wrong_end_the_call_and_the_worker_is_told_to_stop_it)
{
    static const char *const wrong[] = {
        "null",       "[]",          "[0]",     "['a']",    "[0,'a']",   "[0,{}]",
        "[-1,['a']]", "[0,['a'],1]", "{0:[1]}", "[0.5,[]]", "[1,['a']]", "[9007199254740991,['a']]",
        "[1,[]]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct world w;
        uint64_t r;
        if (wrong[i][1] == '0' && wrong[i][2] == '.') {
            continue; /* the notation has no floats */
        }
        story_begin(&w, 1);
        const uint64_t call = begun(&w, 1, &r), control = story_control(&w, "echo/0");
        (void)story_report(&w, "echo/0", "[%llu,2,%s]", NUMBER(call), wrong[i]);
        expect_says(&w, r, "ERROR 1 13 2 'the worker reported items that are not [number");
        char cancel[64];
        (void)snprintf(cancel, sizeof cancel, "COMMAND 'cancel' {'call': %llu}", NUMBER(call));
        expect_text(&w, control, cancel);
        /* Until it says that the call has ended it is at work on it. */
        expect_state(&w, "echo/0", "busy");
        story_done(&w, "echo/0", call, "'too late'");
        expect_state(&w, "echo/0", "ready");
        expect_says(&w, story_wait(&w, ONE, 1, 0), "ERROR 1 13 2");
        story_end(&w);
    }
}

Test(items, of_a_caller_without_an_id_end_its_call)
{
    struct world w;
    story_begin(&w, 1);
    const uint64_t r = world_say(&w, ONE, "[2,null,1,0,'echo','again',20000,null,{}]");
    const uint64_t call = world_given(&w, "echo/0"), control = story_control(&w, "echo/0");
    (void)story_report(&w, "echo/0", "[%llu,2,[0,['a']]]", NUMBER(call));
    expect_text(&w, r,
                "ERROR 1 9 2 'the method yields items, and who gives no client id cannot ask for "
                "them' null");
    expect_says(&w, control, "COMMAND 'cancel'");
    (void)story_report(&w, "echo/0", "[%llu,2,[1,['b']]]", NUMBER(call));
    story_done(&w, "echo/0", call, "null");
    story_end(&w);
}

/* ---- progress ----------------------------------------------------------------------------------
 */

Test(items, and_progress_come_together_to_all_who_wait)
{
    struct world w;
    story_begin(&w, 1);
    uint64_t r = story_call(&w, ONE, 1, "'echo','echo',60000,{'progress':true},{}");
    const uint64_t other = story_wait(&w, ONE, 1, 0), call = world_given(&w, "echo/0");
    (void)story_report(&w, "echo/0", "[%llu,3,[1,'first']]", NUMBER(call));
    expect_text(&w, r, "PARTIAL 1 0 [1, 'first'] []");
    expect_text(&w, other, "PARTIAL 1 0 [1, 'first'] []");
    (void)story_report(&w, "echo/0", "[%llu,3,[2,'next']],[%llu,2,[0,['a']]]", NUMBER(call),
                       NUMBER(call));
    expect_text(&w, story_wait(&w, ONE, 1, 0), "PARTIAL 1 0 [2, 'next'] ['a']");
    r = story_wait(&w, ONE, 1, 1);
    expect_nothing(&w, r);
    (void)story_report(&w, "echo/0", "[%llu,3,[3,'last']]", NUMBER(call));
    expect_text(&w, r, "PARTIAL 1 1 [3, 'last'] []");
    (void)story_report(&w, "echo/0", "[%llu,2,[1,['b']]]", NUMBER(call));
    (void)story_report(&w, "echo/0", "[%llu,3,[4,'with the last items']]", NUMBER(call));
    story_done(&w, "echo/0", call, "7");
    expect_text(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 [4, 'with the last items'] ['b']");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "RESULT 1 7");
    story_end(&w);
}

/* ---- what ends a call that has items ------------------------------------------------------------
 */

Test(items, come_before_the_error_of_a_call_that_was_cancelled)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,['a','b']]]", NUMBER(call));
    story_cancel(&w, ONE, 1);
    expect_text(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null ['b']");
    expect_text(&w, story_report(&w, "echo/0", "[%llu,2,[2,['c']]]", NUMBER(call)), "ACK [] 0");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "ERROR 1 1 1 'the caller cancelled it' null");
    story_done(&w, "echo/0", call, "null");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "ERROR 1 1 1 'the caller cancelled it' null");
    story_end(&w);
}

Test(items, come_before_the_error_of_a_call_whose_deadline_passed)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r), control = story_control(&w, "echo/0");
    (void)story_report(&w, "echo/0", "[%llu,2,[0,['a','b']]]", NUMBER(call));
    world_pass_ms(&w, 24000);
    expect_nothing(&w, control);
    world_pass_ms(&w, 36000);
    (void)story_control(&w, "echo/0");
    expect_text(&w, story_wait(&w, ONE, 1, 0), "PARTIAL 1 0 null ['a', 'b']");
    expect_says(&w, story_wait(&w, ONE, 1, 2), "ERROR 1 4 1 'the method did not end");
    story_done(&w, "echo/0", call, "null");
    story_end(&w);
}

Test(items, come_before_the_error_when_the_worker_died_and_the_call_is_not_run_again)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 2);
    const uint64_t call = begun(&w, 1, &r);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,['a']]]", NUMBER(call));
    expect_text(&w, r, "PARTIAL 1 0 null ['a']");
    world_exited(&w, "echo/0", 9);
    cr_assert(world_given(&w, "echo/1") == 0, "it ran again");
    expect_text(&w, story_wait(&w, ONE, 1, 0), "PARTIAL 1 0 null ['a']");
    expect_says(&w, story_wait(&w, ONE, 1, 1), "ERROR 1 10 1 'the worker died");
    story_end(&w);
}

Test(items, that_came_to_nothing_do_not_keep_a_call_from_running_again)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 2);
    const uint64_t call = begun(&w, 1, &r);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,[]]]", NUMBER(call));
    expect_nothing(&w, r);
    world_exited(&w, "echo/0", 9);
    cr_assert(world_given(&w, "echo/1") == call, "it runs again");
    story_done(&w, "echo/1", call, "7");
    expect_text(&w, r, "RESULT 1 7");
    story_end(&w);
}

Test(items, that_nobody_fetches_are_lost_after_a_minute)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,['a',<9000>]]]", NUMBER(call));
    story_done(&w, "echo/0", call, "7");
    world_pass_ms(&w, WIRE_KEEP_MS - 1);
    expect_says(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null [<9000>]");
    world_pass_ms(&w, WIRE_KEEP_MS - 1); /* since it fetched the first one */
    expect_says(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null [<9000>]");
    world_pass_ms(&w, 1);
    expect_text(&w, story_wait(&w, ONE, 1, 1),
                "ERROR 1 15 1 'the outcome was not fetched in time and is no longer kept' null");
    cr_assert(hub_counts(w.hub).payload_bytes < 1000, "the items are still there");
    story_end(&w);
}

Test(items, go_with_the_acknowledgement_of_their_call)
{
    struct world w;
    uint64_t r;
    story_begin(&w, 1);
    const uint64_t call = begun(&w, 1, &r);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,['a','b']]]", NUMBER(call));
    story_done(&w, "echo/0", call, "7");
    (void)world_say(&w, ONE, "[2," STORY_ONE ",2,1,'echo','echo',60000,null,{}]");
    cr_assert(hub_counts(w.hub).calls == 1, "only the new one");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "8");
    story_end(&w);
}
