/* Calls in the background: what is refused, and what is told when one ends. */
#include "tests/unit/core/story.h"

Test(background_items, one_for_nobody_is_refused_at_once_and_no_event_is_told)
{
    struct world w;
    story_begin(&w, 1);
    expect_text(&w, story_call(&w, ONE, 1, "'nobody','x',0,{'background':true},{}"),
                "ERROR 1 5 0 'there is no such worker' null");
    expect_text(
        &w, story_call(&w, ONE, 2, "'hub','status',0,{'background':true},{}"),
        "ERROR 2 3 0 'methods of the hub itself are called without the option background' null");
    expect_text(&w, story_call(&w, ONE, 3, "'nobody/*','x',0,{'background':true},{}"),
                "ERROR 3 5 0 'there is no such worker' null");
    expect_says(&w, story_call(&w, ONE, 4, "'nobody','x',0,{'background':true,'parent':7},{}"),
                "ERROR 4 1 0 'the call that the option parent names does not run (any more)'");
    story_end(&w);
}

Test(background_items, it_is_pending_at_once_and_its_items_and_outcome_are_fetched_by_wait)
{
    struct world w;
    story_begin(&w, 1);
    expect_text(&w, story_call(&w, ONE, 1, "'echo','echo',0,{'background':true},{}"), "PENDING 1");
    const uint64_t call = world_given(&w, "echo/0");
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_AWAY_MS + 1);
    (void)story_report(&w, "echo/0", "[%llu,2,[0,['a']]]", (unsigned long long)call);
    story_done(&w, "echo/0", call, "7");
    world_open(&w, ONE);
    expect_text(&w, story_wait(&w, ONE, 1, 0), "PARTIAL 1 0 null ['a']");
    expect_text(&w, story_wait(&w, ONE, 1, 1), "RESULT 1 7");
    const uint64_t r = world_say(&w, ONE, "[6,null,['echo.done'],'oldest',9,9999,0]");
    expect_says(&w, r,
                "'echo.done', 'hub', {'client': <16>, 'seq': 1, 'method': 'echo', 'code': 0, "
                "'value': 7}]]");
    story_end(&w);
}

Test(background_items, many_in_one_go_on_when_their_caller_leaves)
{
    struct world w;
    story_begin(&w, 1);
    expect_text(&w,
                story_call(&w, ONE, 1,
                           "'echo','echo',0,{'background':true,'map':'ordered'},"
                           "[{},{}]"),
                "PENDING 1");
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_AWAY_MS + 1);
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "1");
    story_failed(&w, "echo/0", world_given(&w, "echo/0"));
    world_open(&w, ONE);
    expect_text(&w, story_wait(&w, ONE, 1, 0),
                "PARTIAL 1 0 null [[0, 0, 1], [1, 1, [2, 2, 'it failed', null]]]");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "RESULT 1 {'done': 1, 'failed': 1}");
    story_end(&w);
}
