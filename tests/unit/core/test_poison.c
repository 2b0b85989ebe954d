/* Calls with which replicas die: after two deaths in a row equal ones are refused, and there is a
 * letter about it. */
#include "tests/unit/core/story.h"

#include <stdio.h>
#include <string.h>

#define NUMBER(n) (unsigned long long)(n)
#define REFUSED                                                                                    \
    "9 0 'two replicas died with this call, so it is refused for a while (prong dlq list)'"

/* Replica 0 runs this call alone and dies with it; then it is back. */
static void
kill_with(struct world *w, unsigned seq, const char *call)
{
    (void)story_call(w, ONE, seq, "%s", call);
    cr_assert(world_given(w, "echo/0") != 0, "call %u was not given", seq);
    world_exited(w, "echo/0", 11);
    world_pass_ms(w, 5000);
    world_serve(w, "echo/0");
}

static uint64_t
hub(struct world *w, unsigned seq, const char *method, const char *args)
{
    return story_call(w, ONE, seq, "'hub','%s',60000,null,%s", method, args);
}

#define DEADLY "'echo','echo',60000,null,{'a':1}"

/* ---- what is refused ---------------------------------------------------------------------------
 */

Test(poison, after_two_deaths_in_a_row_equal_calls_of_anybody_are_refused_for_ten_minutes)
{
    struct world w;
    story_begin(&w, 1);
    kill_with(&w, 1, DEADLY);
    expect_text(&w, hub(&w, 2, "dlq_list", "{}"), "RESULT 2 []");
    kill_with(&w, 3, DEADLY);
    cr_assert(story_events(&w, "hub.poison") == 1, "it is told");
    expect_says(&w, story_call(&w, TWO, 1, DEADLY), "ERROR 1 " REFUSED);
    expect_nothing(&w, story_call(&w, TWO, 2, "'echo','again',60000,null,{'a':1}"));
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    expect_nothing(&w, story_call(&w, TWO, 3, "'echo','echo',60000,null,{'a':2}"));
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    world_pass_ms(&w, WIRE_POISON_MS - 5001);
    expect_says(&w, story_call(&w, TWO, 4, DEADLY), "ERROR 4 " REFUSED);
    world_pass_ms(&w, 1);
    expect_nothing(&w, story_call(&w, TWO, 5, DEADLY));
    world_poll(&w, "echo/0", 1);
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    story_end(&w);
}

Test(poison, a_success_between_two_deaths_clears_it)
{
    struct world w;
    story_begin(&w, 1);
    kill_with(&w, 1, DEADLY);
    (void)story_call(&w, ONE, 2, DEADLY);
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    kill_with(&w, 3, DEADLY);
    kill_with(&w, 4, DEADLY);
    expect_says(&w, story_call(&w, TWO, 1, DEADLY), "ERROR 1 " REFUSED);
    story_end(&w);
}

Test(poison, an_error_that_the_worker_reports_does_not_clear_it)
{
    struct world w;
    story_begin(&w, 1);
    kill_with(&w, 1, DEADLY);
    (void)story_call(&w, ONE, 2, DEADLY);
    story_failed(&w, "echo/0", world_given(&w, "echo/0"));
    kill_with(&w, 3, DEADLY);
    expect_says(&w, story_call(&w, TWO, 1, DEADLY), "ERROR 1 " REFUSED);
    story_end(&w);
}

Test(poison, one_that_may_run_again_kills_two_and_no_third)
{
    struct world w;
    story_begin(&w, 3);
    const uint64_t r = story_call(&w, ONE, 1, "'echo','again',60000,null,{}");
    world_exited(&w, "echo/0", 11);
    cr_assert(world_given(&w, "echo/1") != 0, "again");
    world_exited(&w, "echo/1", 11);
    cr_assert(world_given(&w, "echo/2") == 0, "a third one");
    expect_says(&w, r, "ERROR 1 10 1");
    expect_says(&w, story_call(&w, TWO, 1, "'echo','again',60000,null,{}"), "ERROR 1 " REFUSED);
    story_end(&w);
}

Test(poison, equal_calls_that_wait_are_refused_with_it)
{
    struct world w;
    story_begin(&w, 1);
    (void)story_call(&w, ONE, 1, DEADLY);
    const uint64_t waits = story_call(&w, TWO, 1, DEADLY), third = story_call(&w, TWO, 2, DEADLY);
    const uint64_t other = story_call(&w, TWO, 3, "'echo','echo',60000,null,{'a':2}");
    world_exited(&w, "echo/0", 11);
    expect_nothing(&w, waits);
    world_pass_ms(&w, 5000);
    world_serve(&w, "echo/0");
    world_exited(&w, "echo/0", 11);
    expect_says(&w, waits, "ERROR 1 10 1");
    expect_says(&w, third, "ERROR 2 " REFUSED);
    expect_nothing(&w, other);
    world_pass_ms(&w, 5000);
    world_serve(&w, "echo/0");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    story_end(&w);
}

/* ---- who is blamed -----------------------------------------------------------------------------
 */

Test(poison, when_several_ran_nobody_is_blamed_before_one_dies_alone)
{
    struct world w;
    story_begin(&w, 1);
    for (unsigned round = 0; round < 2; round++) {
        w.capacity = 2;
        world_attach(&w, "echo/0");
        world_poll(&w, "echo/0", 2);
        (void)story_call(&w, ONE, 2 * round + 1, DEADLY);
        (void)world_given(&w, "echo/0");
        world_poll(&w, "echo/0", 1);
        (void)story_call(&w, ONE, 2 * round + 2, "'echo','echo',60000,null,{'a':2}");
        (void)world_given(&w, "echo/0");
        world_exited(&w, "echo/0", 11);
        world_pass_ms(&w, 5000);
        world_serve(&w, "echo/0");
    }
    expect_text(&w, hub(&w, 10, "dlq_list", "{}"), "RESULT 10 []");
    kill_with(&w, 11, DEADLY);
    expect_says(&w, story_call(&w, TWO, 1, DEADLY), "ERROR 1 " REFUSED);
    expect_nothing(&w, story_call(&w, TWO, 2, "'echo','echo',60000,null,{'a':2}"));
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    story_end(&w);
}

Test(poison, deaths_that_the_hub_caused_are_no_fault_of_a_call)
{
    struct world w;
    story_begin(&w, 1);
    for (unsigned i = 0; i < 3; i++) {
        (void)story_call(&w, ONE, 2 * i + 1, "'echo','echo',600000,null,{'a':1}");
        (void)world_given(&w, "echo/0");
        world_tell(&w, "restart", "echo");
        world_pass_ms(&w, 30000); /* the drain is over: it is terminated, then killed */
        world_exited(&w, "echo/0", 9);
        world_serve(&w, "echo/0");
    }
    expect_text(&w, hub(&w, 10, "dlq_list", "{}"), "RESULT 10 []");
    story_end(&w);
}

Test(poison, an_orderly_end_and_a_cancelled_call_are_no_fault_of_it)
{
    static const int statuses[] = {0, 75 << 8};
    struct world w;
    story_begin(&w, 1);
    for (unsigned i = 0; i < 2; i++) {
        (void)story_call(&w, ONE, i + 1, DEADLY);
        world_exited(&w, "echo/0", statuses[i]);
        if (statuses[i] == 0) {
            world_tell(&w, "start", "echo");
        }
        world_pass_ms(&w, 5000);
        world_serve(&w, "echo/0");
    }
    for (unsigned i = 3; i < 6; i++) {
        (void)story_call(&w, ONE, i, DEADLY);
        story_cancel(&w, ONE, i);
        world_exited(&w, "echo/0", 11);
        world_pass_ms(&w, 5000);
        world_serve(&w, "echo/0");
    }
    expect_text(&w, hub(&w, 10, "dlq_list", "{}"), "RESULT 10 []");
    story_end(&w);
}

/* ---- letters -----------------------------------------------------------------------------------
 */

/* One letter, of DEADLY. */
static void
poisoned(struct world *w)
{
    story_begin(w, 1);
    kill_with(w, 1, DEADLY);
    kill_with(w, 2, DEADLY);
}

Test(poison, a_letter_tells_what_died_and_why)
{
    struct world w;
    poisoned(&w);
    const char *want = "{'letter': 1, 'worker': 'echo', 'method': 'echo', 'deaths': 2, 'reason': "
                       "'killed by signal 11', 'who': 'pid 101 uid 0', 'time_us': 6000000";
    uint64_t r = hub(&w, 3, "dlq_list", "{}");
    expect_says(&w, r, want);
    cr_assert(strstr(world_text(&w, r), "args") == NULL, "a list is short");
    r = hub(&w, 4, "dlq_show", "{'letter':1}");
    expect_says(&w, r, want);
    expect_says(&w, r, ", 'args': {'a': 1}}");
    story_end(&w);
}

Test(poison, a_letter_that_is_dropped_lets_equal_calls_run)
{
    struct world w;
    poisoned(&w);
    expect_text(&w, hub(&w, 3, "dlq_drop", "{'letter':1}"), "RESULT 3 null");
    const uint64_t told = world_say(&w, ONE, "[6,null,['hub.admin'],'oldest',9,9999,0]");
    expect_says(&w, told, "{'letter': 1, 'uid': 0, 'pid': 101, 'method': 'dlq_drop', ");
    expect_text(&w, hub(&w, 4, "dlq_list", "{}"), "RESULT 4 []");
    expect_nothing(&w, story_call(&w, TWO, 1, DEADLY));
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    story_end(&w);
}

Test(poison, a_letter_can_be_tried_again_and_its_outcome_is_that_of_the_call)
{
    struct world w;
    poisoned(&w);
    const uint64_t r = hub(&w, 3, "dlq_retry", "{'letter':1}");
    expect_says(&w, world_process(&w, "echo/0")->request,
                "'echo', 60000, 'pid 101 uid 0', null, "
                "{'a': 1}");
    expect_text(&w, hub(&w, 4, "dlq_list", "{}"), "RESULT 4 []");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "'well'");
    expect_text(&w, r, "RESULT 3 'well'");
    story_end(&w);
}

Test(poison, a_retry_that_is_refused_keeps_letter_and_poison)
{
    struct world w;
    poisoned(&w);
    world_tell(&w, "stop", "echo");
    world_exited(&w, "echo/0", 0);
    expect_says(&w, hub(&w, 3, "dlq_retry", "{'letter':1}"), "ERROR 3 14 0 'no replica runs");
    expect_says(&w, hub(&w, 4, "dlq_list", "{}"), "'letter': 1");
    world_tell(&w, "start", "echo");
    world_serve(&w, "echo/0");
    expect_says(&w, story_call(&w, TWO, 1, DEADLY), "ERROR 1 " REFUSED);
    story_end(&w);
}

Test(poison, a_retry_that_kills_again_twice_is_a_letter_again)
{
    struct world w;
    poisoned(&w);
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t r =
            i == 0 ? hub(&w, 3, "dlq_retry", "{'letter':1}") : story_call(&w, ONE, 4, DEADLY);
        cr_assert(world_given(&w, "echo/0") != 0, "it runs");
        world_exited(&w, "echo/0", 11);
        expect_says(&w, r, " 10 1 'the worker died");
        world_pass_ms(&w, 5000);
        world_serve(&w, "echo/0");
    }
    expect_says(&w, hub(&w, 5, "dlq_list", "{}"), "RESULT 5 [{'letter': 2");
    story_end(&w);
}

Test(poison, long_arguments_are_not_kept_and_cannot_be_tried_again)
{
    struct world w;
    story_begin(&w, 1);
    kill_with(&w, 1, "'echo','echo',60000,null,[<65536>]");
    kill_with(&w, 2, "'echo','echo',60000,null,[<65536>]");
    expect_says(&w, hub(&w, 3, "dlq_show", "{'letter':1}"), "'args': null}");
    expect_text(&w, hub(&w, 4, "dlq_retry", "{'letter':1}"),
                "ERROR 4 9 0 'its arguments were too long to be kept' null");
    expect_says(&w, hub(&w, 5, "dlq_list", "{}"), "'letter': 1");
    expect_text(&w, hub(&w, 6, "dlq_drop", "{'letter':1}"), "RESULT 6 null");
    story_end(&w);
}

Test(poison, a_letter_of_a_worker_that_was_removed_cannot_be_tried_again)
{
    struct world w;
    story_begin(&w, 1);
    expect_says(&w, hub(&w, 1, "run", "{'name':'extra','command':['x'],'working_dir':'/'}"),
                "RESULT");
    world_serve(&w, "extra/0");
    for (unsigned i = 2; i <= 3; i++) {
        (void)story_call(&w, ONE, i, "'extra','echo',60000,null,{'a':1}");
        cr_assert(world_given(&w, "extra/0") != 0, "it was given");
        world_exited(&w, "extra/0", 11);
        world_pass_ms(&w, 5000);
        world_serve(&w, "extra/0");
    }
    world_tell(&w, "stop", "extra");
    world_exited(&w, "extra/0", 0);
    world_tell(&w, "remove", "extra");
    expect_text(&w, hub(&w, 4, "dlq_retry", "{'letter':1}"),
                "ERROR 4 9 0 'its worker is no longer there' null");
    expect_says(&w, hub(&w, 5, "dlq_show", "{'letter':1}"), "'worker': 'extra'");
    expect_text(&w, hub(&w, 6, "dlq_drop", "{'letter':1}"), "RESULT 6 null");
    story_end(&w);
}

Test(poison, a_letter_stays_when_its_call_may_run_again)
{
    struct world w;
    poisoned(&w);
    world_pass_ms(&w, WIRE_POISON_MS);
    expect_nothing(&w, story_call(&w, TWO, 1, DEADLY));
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    expect_says(&w, hub(&w, 3, "dlq_list", "{}"), "'letter': 1");
    expect_text(&w, hub(&w, 4, "dlq_drop", "{'letter':1}"), "RESULT 4 null");
    expect_text(&w, hub(&w, 5, "dlq_list", "{}"), "RESULT 5 []");
    story_end(&w);
}

Test(poison, a_third_one_that_ran_it_already_is_one_more_death_and_no_second_letter)
{
    struct world w;
    story_begin(&w, 3);
    for (unsigned i = 0; i < 3; i++) {
        (void)story_call(&w, ONE, i + 1, DEADLY);
    }
    for (unsigned i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "echo/%u", i);
        cr_assert(world_given(&w, name) != 0, "%s runs one", name);
        world_exited(&w, name, 11);
    }
    cr_assert(story_events(&w, "hub.poison") == 1, "%u letters", story_events(&w, "hub.poison"));
    expect_says(&w, hub(&w, 4, "dlq_list", "{}"), "RESULT 4 [{'letter': 1, ");
    cr_assert(strstr(world_text(&w, hub(&w, 5, "dlq_list", "{}")), "'letter': 2") == NULL, "one");
    story_end(&w);
}

Test(poison, letters_that_are_not_there_are_not_found)
{
    struct world w;
    poisoned(&w);
    const char *const methods[] = {"dlq_show", "dlq_retry", "dlq_drop"};
    for (unsigned i = 0; i < 3; i++) {
        char want[64];
        (void)snprintf(want, sizeof want, "ERROR %u 5 0 'there is no such letter' null", 10 + i);
        expect_text(&w, hub(&w, 10 + i, methods[i], "{'letter':7}"), want);
        expect_says(&w, hub(&w, 20 + i, methods[i], "{}"),
                    "3 0 'missing argument 'letter'; allowed:");
        expect_says(&w, hub(&w, 30 + i, methods[i], "{'letter':'x'}"),
                    "3 0 'wrong type of argument");
    }
    story_end(&w);
}

Test(poison, only_who_may_change_the_hub_may_retry_and_drop)
{
    struct world w;
    poisoned(&w);
    world_open(&w, 900);
    const char *const methods[] = {"dlq_retry", "dlq_drop"};
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t r =
            world_say(&w, 900, "[2,b'one of nobodies ',%u,0,'hub','%s',0,null,{'letter':1}]", i + 1,
                      methods[i]);
        expect_says(&w, r, "7 0 'only root and the user of the hub may change it'");
    }
    expect_says(&w, hub(&w, 3, "dlq_list", "{}"), "'letter': 1");
    world_close(&w, 900);
    story_end(&w);
}

/* ---- limits ------------------------------------------------------------------------------------
 */

/* One replica that may die as often as it likes dies with `count` calls at once: those of client
 * ONE with the numbers 1 to `count` as their arguments. */
static void
die_with_many(struct world *w, unsigned count)
{
    struct hub_options options;
    struct worker_spec spec;
    world_options(&options);
    options.client_calls_max = 2000;
    cr_assert(world_init_with(w, &options), "there is memory");
    spec_defaults(&spec);
    spec.name = "echo";
    spec.launch = (struct launch){.argc = 1, .text = "\0true", .text_bytes = 6};
    spec.restarts_max = 1000;
    spec.restart_delay_ms = spec.restart_delay_ms_max = 1;
    spec.queue_max = 2000;
    world_step(w, &(struct hub_input){.kind = HUB_IN_WORKER, .worker = {&spec}});
    world_configured(w);
    world_open(w, ONE);
    world_open(w, TWO);
    world_started(w, "echo/0");
    w->capacity = 1024;
    world_attach(w, "echo/0");
    for (unsigned i = 1; i <= count; i++) {
        /* Of one connection only so many may wait. */
        const unsigned peer = 10 + i / WIRE_PARKED_MAX;
        if (i == 1 || i % WIRE_PARKED_MAX == 0) {
            world_open(w, peer);
        }
        (void)world_say(w, peer, "[2," STORY_ONE ",%u,0,'echo','echo',600000,null,[%u]]", i, i);
    }
    world_poll(w, "echo/0", 1024);
    world_exited(w, "echo/0", 11);
    for (unsigned i = 0; i <= count / WIRE_PARKED_MAX; i++) {
        world_close(w, 10 + i);
    }
    world_pass_ms(w, 10);
    w->capacity = 1;
    world_serve(w, "echo/0");
}

/* It dies alone with one of them: whether that proved it. */
static bool
dies_alone(struct world *w, unsigned seq, unsigned number)
{
    w->events[0] = '\0'; /* only what comes now */
    (void)world_say(w, ONE, "[2," STORY_ONE ",%u,%u,'echo','echo',600000,null,[%u]]", seq, seq - 1,
                    number);
    cr_assert(world_given(w, "echo/0") != 0, "%u is not given", number);
    world_exited(w, "echo/0", 11);
    world_pass_ms(w, 10);
    world_serve(w, "echo/0");
    return story_events(w, "hub.poison") == 1;
}

Test(poison, of_more_than_1024_calls_the_one_blamed_longest_ago_is_forgotten)
{
    struct world w;
    die_with_many(&w, WIRE_POISONS_MAX);
    cr_assert(!dies_alone(&w, 2001, 5000), "a new one, for which the first is forgotten");
    cr_assert(dies_alone(&w, 2002, 2), "the second is known");
    cr_assert(!dies_alone(&w, 2003, 1), "the first is not");
    cr_assert(dies_alone(&w, 2004, 4), "the fourth is known: the third went for the first");
    cr_assert(!dies_alone(&w, 2005, 3), "so it is");
    story_end(&w);
}

Test(poison, of_more_than_256_letters_the_oldest_goes)
{
    struct world w;
    die_with_many(&w, WIRE_DEAD_LETTERS_MAX + 1);
    for (unsigned i = 1; i <= WIRE_DEAD_LETTERS_MAX + 1; i++) {
        cr_assert(dies_alone(&w, 2000 + i, i), "letter %u", i);
    }
    expect_says(&w, hub(&w, 3000, "dlq_show", "{'letter':1}"), "5 0 'there is no such letter'");
    expect_says(&w, hub(&w, 3001, "dlq_show", "{'letter':2}"), "'args': [2]");
    expect_says(&w, hub(&w, 3002, "dlq_show", "{'letter':257}"), "'args': [257]");
    story_end(&w);
}
