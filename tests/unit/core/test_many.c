/* One CALL that is many: each set of arguments, or each replica, is a call of its own, and their
 * outcomes come as items. */
#include "tests/unit/core/story.h"

#include <stdio.h>
#include <string.h>

#define NUMBER(n) (unsigned long long)(n)

#define map_call(w, who, seq, mode, sets)                                                          \
    story_call(w, who, seq, "'echo','again',60000,{'map':'" mode "'}," sets)

/* ---- outcomes ----------------------------------------------------------------------------------
 */

Test(many, outcomes_come_ordered_by_their_numbers)
{
    struct world w;
    story_begin(&w, 2);
    uint64_t r = map_call(&w, ONE, 1, "ordered", "[{'a':1},[2],{}]");
    const uint64_t a = world_given(&w, "echo/0"), b = world_given(&w, "echo/1");
    expect_says(&w, world_process(&w, "echo/0")->request, "null, {'a': 1}]");
    expect_says(&w, world_process(&w, "echo/1")->request, "null, [2]]");
    story_done(&w, "echo/1", b, "'b'");
    expect_nothing(&w, r);
    const uint64_t c = world_given(&w, "echo/1");
    story_failed(&w, "echo/1", c);
    expect_nothing(&w, r);
    story_done(&w, "echo/0", a, "'a'");
    expect_text(&w, r, "PARTIAL 1 0 null [[0, 0, 'a']]");
    expect_text(&w, story_wait(&w, ONE, 1, 1),
                "PARTIAL 1 1 null [[1, 0, 'b'], [2, 1, [2, 2, 'it failed', null]]]");
    expect_text(&w, story_wait(&w, ONE, 1, 3), "RESULT 1 {'done': 2, 'failed': 1}");
    story_end(&w);
}

Test(many, outcomes_come_as_they_are_completed)
{
    struct world w;
    story_begin(&w, 2);
    uint64_t r = map_call(&w, ONE, 1, "completed", "[{},{}]");
    const uint64_t a = world_given(&w, "echo/0"), b = world_given(&w, "echo/1");
    story_done(&w, "echo/1", b, "null");
    expect_text(&w, r, "PARTIAL 1 0 null [[1, 0, null]]");
    r = story_wait(&w, ONE, 1, 1);
    story_done(&w, "echo/0", a, "[1]");
    expect_text(&w, r, "PARTIAL 1 1 null [[0, 0, [1]]]");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "RESULT 1 {'done': 2, 'failed': 0}");
    story_end(&w);
}

Test(many, each_replica_is_called_once_and_has_one_outcome)
{
    struct world w;
    story_begin(&w, 3);
    uint64_t r = story_call(&w, ONE, 1, "'echo/*','echo',60000,null,{'a':1}");
    for (unsigned i = 0; i < 3; i++) {
        char name[16], value[16];
        (void)snprintf(name, sizeof name, "echo/%u", 2 - i);
        (void)snprintf(value, sizeof value, "%u", 2 - i);
        expect_says(&w, world_process(&w, name)->request,
                    "'echo', 60000, 'pid 101 uid 0', null, "
                    "{'a': 1}]");
        story_done(&w, name, world_given(&w, name), value);
    }
    expect_text(&w, r, "PARTIAL 1 0 null [[2, 0, 2]]");
    expect_text(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null [[1, 0, 1], [0, 0, 0]]");
    expect_text(&w, story_wait(&w, ONE, 1, 3), "RESULT 1 {'done': 3, 'failed': 0}");
    story_end(&w);
}

Test(many, each_replica_has_an_outcome_when_some_are_down_stopped_or_leased)
{
    struct world w;
    story_begin(&w, 4);
    world_tell(&w, "stop", "echo/0");
    world_exited(&w, "echo/0", 0);
    world_exited(&w, "echo/1", 127 << 8); /* never again: failed */
    expect_state(&w, "echo/1", "failed");
    expect_text(&w, story_call(&w, TWO, 1, "'hub','lease',1000,null,{'worker':'echo'}"),
                "RESULT 1 {'replica': 'echo/2', 'ttl_ms': 30000}");
    uint64_t r = story_call(&w, ONE, 1, "'echo/*','echo',60000,null,{}");
    story_done(&w, "echo/3", world_given(&w, "echo/3"), "7");
    r = story_wait(&w, ONE, 1, 0);
    expect_says(&w, r, "[0, 1, [14, 0, 'no replica runs and none will start by itself");
    expect_says(&w, r, "[1, 1, [14, 0, 'no replica runs");
    expect_says(&w, r, "[2, 1, [14, 0, 'the replica is leased to another client'");
    expect_says(&w, r, "[3, 0, 7]");
    expect_text(&w, story_wait(&w, ONE, 1, 4), "RESULT 1 {'done': 1, 'failed': 3}");
    story_end(&w);
}

Test(many, a_replica_that_comes_back_is_called_then)
{
    struct world w;
    story_begin(&w, 2);
    world_exited(&w, "echo/1", 9);
    uint64_t r = story_call(&w, ONE, 1, "'echo/*','echo',60000,null,{}");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "0");
    expect_text(&w, r, "PARTIAL 1 0 null [[0, 0, 0]]");
    r = story_wait(&w, ONE, 1, 1);
    world_pass_ms(&w, 5000);
    world_serve(&w, "echo/1");
    story_done(&w, "echo/1", world_given(&w, "echo/1"), "1");
    expect_text(&w, r, "PARTIAL 1 1 null [[1, 0, 1]]");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "RESULT 1 {'done': 2, 'failed': 0}");
    story_end(&w);
}

/* ---- what is no list of sets -------------------------------------------------------------------
 */

Test(many, an_empty_list_is_done_at_once)
{
    struct world w;
    story_begin(&w, 1);
    expect_text(&w, map_call(&w, ONE, 1, "ordered", "[]"), "RESULT 1 {'done': 0, 'failed': 0}");
    expect_text(&w, map_call(&w, ONE, 2, "completed", "[]"), "RESULT 2 {'done': 0, 'failed': 0}");
    story_worker(&w, "none", 0, 1024);
    expect_text(&w, story_call(&w, ONE, 3, "'none/*','echo',60000,null,{}"),
                "RESULT 3 {'done': 0, 'failed': 0}");
    story_end(&w);
}

Test(many, what_cannot_be_many_is_refused_and_says_what_is_allowed)
{
    static const struct {
        const char *call, *want;
    } rows[] = {
        {"'echo','echo',0,{'map':'ordered'},[{},7]",
         "3 0 'with the option map each element of the arguments must be a map or an array'"},
        {"'echo','echo',0,{'map':'completed'},['text']",
         "3 0 'with the option map each element of the arguments must be a map or an array'"},
        {"'echo','echo',0,{'map':'ordered'},[null]", "3 0 'with the option map each element"},
        {"'echo','echo',0,{'map':'ordered'},{'a':[]}",
         "3 0 'with the option map the arguments must be an array of argument sets'"},
        {"'echo','echo',0,{'map':'first'},[]", "3 0 'the option map must be ordered or completed'"},
        {"'echo','echo',0,{'map':''},[]", "3 0 'the option map must be ordered or completed'"},
        {"'echo/*','echo',0,{'map':'ordered'},[]",
         "3 0 'a call of each replica takes one set of arguments: leave out the option map'"},
        {"'echo/*','echo',0,{'key':'a'},{}",
         "3 0 'the option key chooses a replica: name the worker alone'"},
        {"'nobody','echo',0,{'map':'ordered'},[]", "5 0 'there is no such worker'"},
        {"'nobody/*','echo',0,null,{}", "5 0 'there is no such worker'"},
        {"'hub','status',0,{'map':'ordered'},[]",
         "3 0 'the hub itself is one, and is called one at a time'"},
        {"'hub/*','status',0,null,{}", "3 0 'the hub itself is one, and is called one at a time'"},
    };
    struct world w;
    story_begin(&w, 1);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[160];
        const uint64_t r = story_call(&w, ONE, i + 1, "%s", rows[i].call);
        (void)snprintf(want, sizeof want, "ERROR %u %s", i + 1, rows[i].want);
        expect_says(&w, r, want);
    }
    const uint64_t r = world_say(&w, ONE, "[2,null,1,0,'echo','echo',0,{'map':'ordered'},[]]");
    expect_says(&w, r,
                "ERROR 1 3 0 'a call with outcomes in parts or in the background needs a "
                "client id'");
    cr_assert(world_given(&w, "echo/0") == 0, "nothing ran");
    story_end(&w);
}

/* A CALL with map and so many empty sets. */
static uint64_t
call_of(struct world *w, unsigned who, unsigned seq, const char *mode, uint32_t count)
{
    struct buf b = {0};
    const char *id = who == ONE ? "sixteen bytes id" : "the other client";
    write_op(&b, WIRE_CALL);
    write_bin(&b, (struct span){(const uint8_t *)id, 16});
    write_uint(&b, seq);
    write_uint(&b, 0);
    write_text(&b, "echo");
    write_text(&b, "again");
    write_uint(&b, 60000);
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

Test(many, more_than_65536_sets_are_refused)
{
    struct world w;
    story_begin(&w, 1);
    expect_text(&w, call_of(&w, ONE, 1, "ordered", WIRE_PARTS_MAX + 1),
                "ERROR 1 3 0 'with the option map there may be at most 65536 argument sets' null");
    expect_nothing(&w, call_of(&w, ONE, 2, "ordered", WIRE_PARTS_MAX));
    story_cancel(&w, ONE, 2);
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    story_end(&w);
}

Test(many, a_part_that_yields_has_an_error_as_its_outcome)
{
    struct world w;
    story_begin(&w, 1);
    const uint64_t r = map_call(&w, ONE, 1, "ordered", "[{}]"),
                   control = story_control(&w, "echo/0");
    const uint64_t part = world_given(&w, "echo/0");
    (void)story_report(&w, "echo/0", "[%llu,2,[0,[1]]]", NUMBER(part));
    expect_text(&w, r,
                "PARTIAL 1 0 null [[0, 1, [9, 2, 'the method yields items, and one of many calls "
                "can only have one value', null]]]");
    expect_says(&w, control, "COMMAND 'cancel'");
    expect_text(&w, story_wait(&w, ONE, 1, 1), "RESULT 1 {'done': 0, 'failed': 1}");
    story_done(&w, "echo/0", part, "null");
    story_end(&w);
}

Test(many, equal_sets_of_a_shared_method_are_answered_by_one_run)
{
    struct world w;
    story_begin(&w, 1);
    story_attach(&w, "echo/0", 1, "'methods':{'look':{'policy':'shared'}}");
    const uint64_t r =
        story_call(&w, ONE, 1, "'echo','look',60000,{'map':'ordered'},[{'a':1},{'a':1},{'a':2}]");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "'one'");
    expect_text(&w, r, "PARTIAL 1 0 null [[0, 0, 'one']]");
    expect_text(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null [[1, 0, 'one']]");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "'two'");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "PARTIAL 1 2 null [[2, 0, 'two']]");
    expect_text(&w, story_wait(&w, ONE, 1, 3), "RESULT 1 {'done': 3, 'failed': 0}");
    story_end(&w);
}

/* ---- what ends it ------------------------------------------------------------------------------
 */

Test(many, a_cancelled_one_ends_its_parts_and_began_says_whether_one_did)
{
    struct world w;
    story_begin(&w, 1);
    uint64_t r = map_call(&w, ONE, 1, "ordered", "[{},{},{}]");
    const uint64_t part = world_given(&w, "echo/0"), control = story_control(&w, "echo/0");
    uint64_t other = map_call(&w, TWO, 1, "ordered", "[{},{}]");
    story_cancel(&w, TWO, 1);
    expect_text(&w, other, "ERROR 1 1 0 'the caller cancelled it' null");
    expect_nothing(&w, control);
    story_cancel(&w, ONE, 1);
    expect_text(&w, r, "ERROR 1 1 1 'the caller cancelled it' null");
    char cancel[64];
    (void)snprintf(cancel, sizeof cancel, "COMMAND 'cancel' {'call': %llu}", NUMBER(part));
    expect_text(&w, control, cancel);
    story_done(&w, "echo/0", part, "null");
    cr_assert(world_given(&w, "echo/0") == 0, "the others are gone");
    expect_text(&w, story_wait(&w, ONE, 1, 0), "ERROR 1 1 1 'the caller cancelled it' null");
    story_end(&w);
}

Test(many, one_whose_deadline_passes_gives_what_there_is_and_then_the_error)
{
    struct world w;
    story_begin(&w, 1);
    (void)story_call(&w, ONE, 1, "'echo','again',20000,{'map':'completed'},[{},{},{}]");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "7");
    const uint64_t part = world_given(&w, "echo/0"), control = story_control(&w, "echo/0");
    world_pass_ms(&w, 20000);
    expect_says(&w, control, "COMMAND 'cancel'");
    expect_text(&w, story_wait(&w, ONE, 1, 0), "PARTIAL 1 0 null [[0, 0, 7]]");
    expect_text(&w, story_wait(&w, ONE, 1, 1),
                "ERROR 1 4 1 'the method did not end before the deadline' null");
    story_done(&w, "echo/0", part, "null");
    story_end(&w);
}

Test(many, one_whose_caller_stays_away_ends_and_so_do_its_parts)
{
    struct world w;
    story_begin(&w, 2);
    (void)map_call(&w, ONE, 1, "ordered", "[{},{},{},{}]");
    const uint64_t a = world_given(&w, "echo/0"), b = world_given(&w, "echo/1");
    const uint64_t control = story_control(&w, "echo/0");
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_AWAY_MS);
    expect_says(&w, control, "COMMAND 'cancel'");
    story_done(&w, "echo/0", a, "null");
    cr_assert(world_given(&w, "echo/0") == 0, "the others are gone");
    world_open(&w, ONE);
    expect_says(&w, story_wait(&w, ONE, 1, 0), "ERROR 1 1 1 'the caller has been away for 5 s'");
    story_done(&w, "echo/1", b, "null");
    story_end(&w);
}

Test(many, a_part_that_its_replica_runs_on_outlives_whole_and_client)
{
    struct world w;
    story_begin(&w, 1);
    (void)map_call(&w, ONE, 1, "ordered", "[{},{}]");
    const uint64_t part = world_given(&w, "echo/0");
    story_cancel(&w, ONE, 1);
    (void)world_say(&w, ONE, "[2," STORY_ONE ",2,1,'echo','echo',1000,null,{}]");
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_REMEMBER_MS + WIRE_AWAY_MS);
    cr_assert(hub_counts(w.hub).clients == 0 && hub_counts(w.hub).calls == 0, "nothing is left");
    char ack[64];
    (void)snprintf(ack, sizeof ack, "ACK [%llu] 0", NUMBER(part));
    expect_text(&w, story_report(&w, "echo/0", "[%llu,0,7]", NUMBER(part)), ack);
    world_open(&w, ONE);
    story_end(&w);
}

Test(many, parts_of_a_worker_that_dies_are_aborted_or_run_again_as_their_method_allows)
{
    struct world w;
    story_begin(&w, 2);
    uint64_t r = story_call(&w, ONE, 1, "'echo','echo',60000,{'map':'ordered'},[{},{}]");
    story_done(&w, "echo/1", world_given(&w, "echo/1"), "1");
    world_exited(&w, "echo/0", 9);
    expect_text(&w, r,
                "PARTIAL 1 0 null [[0, 1, [10, 1, 'the worker died while it had the call', "
                "{'replica': 'echo/0', 'reason': 'killed by signal 9', 'signal': 9}]]]");
    expect_text(&w, story_wait(&w, ONE, 1, 1), "PARTIAL 1 1 null [[1, 0, 1]]");
    expect_text(&w, story_wait(&w, ONE, 1, 2), "RESULT 1 {'done': 1, 'failed': 1}");
    world_pass_ms(&w, 5000);
    world_serve(&w, "echo/0");
    r = map_call(&w, ONE, 2, "ordered", "[{'a':0},{'a':1}]");
    const uint64_t a = world_given(&w, "echo/1"), b = world_given(&w, "echo/0");
    world_exited(&w, "echo/0", 9);
    story_done(&w, "echo/1", a, "0");
    cr_assert(world_given(&w, "echo/1") == b, "it runs again");
    story_done(&w, "echo/1", b, "1");
    expect_text(&w, r, "PARTIAL 2 0 null [[0, 0, 0]]");
    expect_text(&w, story_wait(&w, ONE, 2, 1), "PARTIAL 2 1 null [[1, 0, 1]]");
    expect_text(&w, story_wait(&w, ONE, 2, 2), "RESULT 2 {'done': 2, 'failed': 0}");
    story_end(&w);
}

Test(many, when_the_worker_is_stopped_every_part_has_an_outcome)
{
    struct world w;
    story_begin(&w, 1);
    (void)call_of(&w, ONE, 1, "ordered", 100);
    const uint64_t part = world_given(&w, "echo/0");
    world_tell(&w, "stop", "echo");
    uint64_t r = story_wait(&w, ONE, 1, 0);
    expect_nothing(&w, r);
    story_done(&w, "echo/0", part, "'last'");
    world_exited(&w, "echo/0", 0);
    r = story_wait(&w, ONE, 1, 0);
    expect_says(&w, r, "PARTIAL 1 0 null [[0, 0, 'last'], [1, 1, [14, 0, ");
    expect_says(&w, r, ", [99, 1, [14, 0, 'no replica runs and none will start by itself");
    expect_text(&w, story_wait(&w, ONE, 1, 100), "RESULT 1 {'done': 1, 'failed': 99}");
    story_end(&w);
}

Test(many, the_hub_that_stops_ends_it_even_when_equal_parts_follow_one_that_runs)
{
    struct world w;
    story_begin(&w, 1);
    story_attach(&w, "echo/0", 1, "'methods':{'look':{'policy':'shared'}}");
    const uint64_t r =
        story_call(&w, ONE, 1, "'echo','look',60000,{'map':'ordered'},[{},{},{},{}]");
    const uint64_t part = world_given(&w, "echo/0");
    world_stop(&w);
    story_cancel(&w, ONE, 1);
    expect_text(&w, r, "ERROR 1 1 1 'the caller cancelled it' null");
    story_done(&w, "echo/0", part, "null");
    story_end(&w);
}

Test(many, nothing_is_left_when_the_hub_ends_while_equal_parts_follow_one_that_runs)
{
    struct world w;
    story_begin(&w, 1);
    story_attach(&w, "echo/0", 1, "'methods':{'look':{'policy':'shared'}}");
    (void)story_call(&w, ONE, 1, "'echo','look',60000,{'map':'ordered'},[{},{},{},{}]");
    (void)story_call(&w, TWO, 1, "'echo','look',60000,{'map':'completed'},[{},{}]");
    world_stop(&w);
    world_deinit(&w);
}

Test(many, its_items_may_be_fetched_after_its_worker_was_removed)
{
    struct world w;
    story_begin(&w, 1);
    const uint64_t run =
        world_say(&w, ONE,
                  "[2," STORY_ONE
                  ",1,0,'hub','run',1000,null,{'name':'extra','command':['x'],'working_dir':'/'}]");
    expect_text(&w, run, "RESULT 1 null");
    world_serve(&w, "extra/0");
    (void)story_call(&w, ONE, 2, "'extra','echo',60000,{'map':'ordered'},[{},{}]");
    story_done(&w, "extra/0", world_given(&w, "extra/0"), "0");
    story_done(&w, "extra/0", world_given(&w, "extra/0"), "1");
    world_tell(&w, "stop", "extra");
    world_exited(&w, "extra/0", 0);
    world_tell(&w, "remove", "extra");
    expect_text(&w, story_wait(&w, ONE, 2, 1), "PARTIAL 2 1 null [[1, 0, 1]]");
    expect_text(&w, story_wait(&w, ONE, 2, 2), "RESULT 2 {'done': 2, 'failed': 0}");
    story_end(&w);
}

Test(many, its_worker_is_not_removed_while_parts_are_still_to_be_made)
{
    struct world w;
    char sets[3 * 300 + 1];
    for (size_t i = 0; i < 300; i++) {
        (void)snprintf(sets + 3 * i, sizeof sets - 3 * i, "[],");
    }
    story_begin(&w, 1);
    const uint64_t run =
        world_say(&w, ONE,
                  "[2," STORY_ONE
                  ",1,0,'hub','run',1000,null,{'name':'extra','command':['x'],'working_dir':'/'}]");
    expect_text(&w, run, "RESULT 1 null");
    world_serve(&w, "extra/0");
    (void)story_call(&w, ONE, 2, "'extra','again',60000,{'map':'completed'},[%s]", sets);
    /* Nobody fetches, so no more parts are made than may wait. */
    story_done(&w, "extra/0", world_given(&w, "extra/0"), "<600000>");
    story_done(&w, "extra/0", world_given(&w, "extra/0"), "<600000>");
    world_tell(&w, "stop", "extra");
    world_exited(&w, "extra/0", 0);
    const uint64_t r = story_call(&w, TWO, 1, "'hub','remove',1000,null,['extra']");
    expect_text(&w, r, "ERROR 1 9 0 'calls of it are still being answered' null");
    story_cancel(&w, ONE, 2);
    expect_text(&w, story_call(&w, TWO, 2, "'hub','remove',1000,null,['extra']"), "RESULT 2 null");
    story_end(&w);
}

Test(many, each_replica_is_called_although_the_queue_is_full)
{
    struct world w;
    story_begin(&w, 1);
    story_worker(&w, "small", 2, 1);
    world_tell(&w, "start", "small");
    world_serve(&w, "small/0");
    world_serve(&w, "small/1");
    for (unsigned i = 1; i <= 3; i++) {
        expect_nothing(&w, story_call(&w, TWO, i, "'small','echo',60000,null,{}"));
    }
    expect_says(&w, story_call(&w, TWO, 4, "'small','echo',60000,null,{}"),
                "ERROR 4 8 0 'too many calls wait for this worker'");
    const uint64_t r = story_call(&w, ONE, 1, "'small/*','echo',60000,null,{}");
    for (unsigned i = 0; i < 5; i++) {
        const char *name = world_given(&w, "small/0") != 0 ? "small/0" : "small/1";
        story_done(&w, name, world_given(&w, name), "7");
    }
    expect_says(&w, r, "PARTIAL 1 0 null [[");
    (void)story_wait(&w, ONE, 1, 1);
    expect_text(&w, story_wait(&w, ONE, 1, 2), "RESULT 1 {'done': 2, 'failed': 0}");
    story_end(&w);
}
