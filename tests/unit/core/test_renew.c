/* Processes that are replaced though they are well: the new one first, its place, its calls; or the
 * old one first. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <string.h>

enum { CLIENT = WORLD_CLIENT, KILLED = 9, FAILING = 1 << 8 };

static void
two_calls(struct worker_spec *spec)
{
    spec->calls_max = 2;
}

static void
two_calls_stop_first(struct worker_spec *spec)
{
    two_calls(spec);
    spec->stop_first = true;
}

static void
call_and_answer(struct world *w, const char *process, uint64_t seq)
{
    const uint64_t request = world_call_echo(w, seq);
    const uint64_t call = world_given(w, process);
    cr_assert(call != 0, "call %d was not given to %s", (int)seq, process);
    world_done(w, process, call);
    cr_assert_eq(world_outcome(w, request, NULL), 0);
}

static size_t
count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word)) {
        n++;
    }
    return n;
}

Test(renew, after_max_calls_another_process_is_started_and_the_old_one_goes_on_until_it_is_ready)
{
    struct world w;
    world_begin(&w, two_calls);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    cr_assert_eq(w.process_count, 1);
    call_and_answer(&w, "echo/0", 2);
    cr_assert_eq(w.process_count, 2, "no heir was started");
    call_and_answer(&w, "echo/0#1", 3);
    world_started(&w, "echo/0#2");
    call_and_answer(&w, "echo/0#1", 4);
    world_attach(&w, "echo/0#2");
    cr_assert(w.process[0].signalled && !w.process[0].killed, "the old one was not asked to end");
    world_poll(&w, "echo/0#2", 1);
    call_and_answer(&w, "echo/0#2", 5);
    world_exited(&w, "echo/0#1", 0);
    expect_state(&w, "echo/0", "ready");
    cr_assert_eq(count(w.events, "hub.worker.replaced "), 1, "%s", w.events);
    call_and_answer(&w, "echo/0#2", 6);
    cr_assert_eq(w.process_count, 3, "the new one is not renewed in its turn");
    world_deinit(&w);
}

Test(renew, a_call_that_the_old_one_has_is_answered_by_it)
{
    struct world w;
    world_begin(&w, two_calls);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    call_and_answer(&w, "echo/0", 2);
    const uint64_t request = world_call_echo(&w, 3);
    const uint64_t call = world_given(&w, "echo/0#1");
    cr_assert(call != 0, "it was not given");
    world_started(&w, "echo/0#2");
    world_attach(&w, "echo/0#2");
    world_poll(&w, "echo/0#2", 1);
    cr_assert(!w.process[0].signalled, "it was asked to end while it had a call");
    world_done(&w, "echo/0#1", call);
    cr_assert_eq(world_outcome(&w, request, NULL), 0);
    cr_assert(w.process[0].signalled, "it was not asked to end");
    world_deinit(&w);
}

Test(renew, calls_that_wait_for_this_replica_alone_are_given_to_the_new_process)
{
    struct world w;
    world_begin(&w, two_calls);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    call_and_answer(&w, "echo/0", 2);
    const uint64_t busy = world_call_echo(&w, 3);
    const uint64_t held = world_given(&w, "echo/0#1");
    const struct world_call only = {
        .worker = "echo/0", .method = "echo", .seq = 4, .ttl_ms = 60000};
    const uint64_t waits = world_call(&w, CLIENT, &only);
    cr_assert_eq(world_outcome(&w, waits, NULL), -1);
    world_serve(&w, "echo/0#2");
    const uint64_t call = world_given(&w, "echo/0#2");
    cr_assert(call != 0 && call != held, "it went on waiting");
    world_done(&w, "echo/0#2", call);
    cr_assert_eq(world_outcome(&w, waits, NULL), 0);
    world_done(&w, "echo/0#1", held);
    cr_assert_eq(world_outcome(&w, busy, NULL), 0);
    world_deinit(&w);
}

Test(renew, when_the_new_process_dies_the_old_one_goes_on_and_it_is_tried_again_later)
{
    struct world w;
    world_begin(&w, two_calls);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    call_and_answer(&w, "echo/0", 2);
    world_started(&w, "echo/0#2");
    world_exited(&w, "echo/0#2", FAILING);
    expect_state(&w, "echo/0", "ready");
    cr_assert_eq(count(w.events, "hub.worker.kept "), 1, "%s", w.events);
    call_and_answer(&w, "echo/0#1", 3);
    cr_assert_eq(w.process_count, 2, "it was tried again at once");
    world_pass_ms(&w, 30000);
    cr_assert_eq(w.process_count, 3, "it was not tried again");
    world_serve(&w, "echo/0#3");
    cr_assert(w.process[0].signalled, "the old one was not asked to end");
    world_deinit(&w);
}

Test(renew, when_the_old_one_dies_meanwhile_the_new_one_takes_its_place_all_the_same)
{
    struct world w;
    world_begin(&w, two_calls);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    call_and_answer(&w, "echo/0", 2);
    world_exited(&w, "echo/0#1", KILLED);
    expect_state(&w, "echo/0", "backoff");
    world_serve(&w, "echo/0#2");
    expect_state(&w, "echo/0", "ready");
    world_pass_ms(&w, 1000);
    cr_assert_eq(w.process_count, 2, "another one was started beside it");
    world_deinit(&w);
}

Test(renew, a_stop_ends_both)
{
    struct world w;
    world_begin(&w, two_calls);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    call_and_answer(&w, "echo/0", 2);
    world_started(&w, "echo/0#2");
    world_tell(&w, "stop", "echo");
    cr_assert(w.process[0].signalled && w.process[1].signalled, "one of them was forgotten");
    world_exited(&w, "echo/0#1", 0);
    expect_state(&w, "echo/0", "stopped");
    world_stop(&w);
    cr_assert(!w.ended, "the hub did not wait for the new one");
    world_exited(&w, "echo/0#2", 0);
    cr_assert(w.ended, "the hub did not end");
    world_deinit(&w);
}

Test(renew, the_old_one_is_killed_when_it_does_not_end)
{
    struct world w;
    world_begin(&w, two_calls);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    call_and_answer(&w, "echo/0", 2);
    world_serve(&w, "echo/0#2");
    world_pass_ms(&w, 5000);
    cr_assert(w.process[0].killed, "it was not killed");
    world_exited(&w, "echo/0#1", KILLED);
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}

Test(renew, a_leased_replica_is_renewed_after_its_lease)
{
    struct world w;
    world_begin(&w, two_calls);
    world_serve(&w, "echo/0");
    const uint64_t lease =
        world_say(&w, CLIENT, "[2,b'%.16s',1,0,'hub','lease',0,null,{'worker':'echo/0'}]",
                  (const char *)w.client);
    cr_assert_eq(world_outcome(&w, lease, NULL), 0, "%s", world_text(&w, lease));
    for (uint64_t seq = 2; seq < 4; seq++) {
        const uint64_t request =
            world_say(&w, CLIENT, "[2,b'%.16s',%d,0,'echo/0','echo',60000,null,{}]",
                      (const char *)w.client, (int)seq);
        world_done(&w, "echo/0", world_given(&w, "echo/0"));
        cr_assert_eq(world_outcome(&w, request, NULL), 0, "%s", world_text(&w, request));
    }
    cr_assert_eq(w.process_count, 1, "it was renewed under its holder");
    const uint64_t back =
        world_say(&w, CLIENT, "[2,b'%.16s',4,0,'hub','release',0,null,{'replica':'echo/0'}]",
                  (const char *)w.client);
    cr_assert_eq(world_outcome(&w, back, NULL), 0, "%s", world_text(&w, back));
    cr_assert_eq(w.process_count, 2, "it was forgotten");
    world_deinit(&w);
}

Test(renew, stop_first_ends_the_old_one_before_the_new_one_is_started)
{
    struct world w;
    world_begin(&w, two_calls_stop_first);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    call_and_answer(&w, "echo/0", 2);
    cr_assert_eq(w.process_count, 1);
    cr_assert(w.process[0].signalled, "it was not asked to end");
    const uint64_t waits = world_call_echo(&w, 3);
    world_exited(&w, "echo/0#1", 0);
    cr_assert_eq(w.process_count, 2);
    world_serve(&w, "echo/0#2");
    world_done(&w, "echo/0#2", world_given(&w, "echo/0#2"));
    cr_assert_eq(world_outcome(&w, waits, NULL), 0);
    world_deinit(&w);
}

static void
aging(struct worker_spec *spec)
{
    spec->age_ms_max = 100000;
    spec->replicas = 2;
}

Test(renew, max_age_renews_not_all_at_once)
{
    struct world w;
    world_begin(&w, aging);
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    world_pass_ms(&w, 89999);
    cr_assert_eq(w.process_count, 2, "too early");
    int64_t first = 0, second = 0;
    for (int64_t ms = 90000; ms <= 100000; ms++) {
        world_pass_ms(&w, 1);
        first = first == 0 && w.process_count > 2 ? ms : first;
        second = second == 0 && w.process_count > 3 ? ms : second;
    }
    cr_assert(first > 0 && second > 0 && second > first, "%d and %d ms", (int)first, (int)second);
    world_deinit(&w);
}

static void
eating(struct worker_spec *spec)
{
    spec->memory_bytes_max = 1 << 20;
}

static void
eating_less(struct worker_spec *spec)
{
    spec->memory_bytes_max = 64 << 20;
}

Test(renew, who_has_little_memory_stays)
{
    struct world w;
    world_begin(&w, eating_less);
    world_serve(&w, "echo/0");
    world_pass_ms(&w, 20000);
    cr_assert_eq(w.process_count, 1);
    world_deinit(&w);
}

Test(renew, who_has_too_much_memory_is_replaced)
{
    struct world w;
    world_begin(&w, eating);
    world_serve(&w, "echo/0"); /* processes of this world have 4 MB */
    world_pass_ms(&w, 1999);
    cr_assert_eq(w.process_count, 1);
    world_pass_ms(&w, 1);
    cr_assert_eq(w.process_count, 2, "nobody looked at its memory");
    world_deinit(&w);
}

Test(renew, a_broken_connection_of_the_old_one_is_still_its_own)
{
    struct world w;
    world_begin(&w, two_calls);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    call_and_answer(&w, "echo/0", 2);
    const uint64_t request = world_call_echo(&w, 3);
    const uint64_t held = world_given(&w, "echo/0#1");
    world_serve(&w, "echo/0#2");
    const uint64_t again = world_call_echo(&w, 4);
    const uint64_t call = world_given(&w, "echo/0#2");
    cr_assert(call != 0 && call != held);
    world_done(&w, "echo/0#2", call);
    cr_assert_eq(world_outcome(&w, again, NULL), 0);
    world_exited(&w, "echo/0#1", KILLED);
    unsigned began;
    cr_assert_eq(world_outcome(&w, request, &began), WIRE_ERR_ABORTED);
    cr_assert_eq(began, WIRE_BEGAN_MAYBE);
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}

static void
replace_stuck(struct worker_spec *spec)
{
    spec->replace_stuck = true;
}

static void
make_stuck(struct world *w)
{
    world_serve(w, "echo/0");
    world_tell(w, "restart", "echo");
    world_pass_ms(w, 5000);
    cr_assert(world_process(w, "echo/0#1")->killed, "it was not killed");
    world_pass_ms(w, WIRE_KILL_MS);
    cr_assert(strstr(w->events, "hub.worker.stuck ") != NULL, "%s", w->events);
}

Test(renew, a_process_that_survives_sigkill_keeps_its_place_or_not)
{
    struct world w;
    world_begin(&w, NULL);
    make_stuck(&w);
    cr_assert_eq(w.process_count, 1);
    expect_state(&w, "echo/0", "stuck");
    world_deinit(&w);

    world_begin(&w, replace_stuck);
    make_stuck(&w);
    cr_assert_eq(w.process_count, 2, "no other one was started");
    world_serve(&w, "echo/0#2");
    call_and_answer(&w, "echo/0#2", 1);
    world_exited(&w, "echo/0#1", KILLED);
    expect_state(&w, "echo/0", "ready");
    world_stop(&w);
    world_exited(&w, "echo/0#2", 0);
    cr_assert(w.ended, "the hub did not end");
    world_deinit(&w);
}

Test(renew, who_is_not_wanted_is_not_replaced_though_it_is_stuck)
{
    struct world w;
    for (int stops = 0; stops < 2; stops++) {
        world_begin(&w, replace_stuck);
        world_serve(&w, "echo/0");
        if (stops > 0) {
            world_stop(&w);
        } else {
            world_tell(&w, "stop", "echo");
        }
        world_pass_ms(&w, 5000);
        world_pass_ms(&w, WIRE_KILL_MS);
        cr_assert_eq(w.process_count, 1);
        expect_state(&w, "echo/0", "stuck");
        world_deinit(&w);
    }
}

static void
stuck_while_renewed(struct worker_spec *spec)
{
    two_calls(spec);
    spec->replace_stuck = true;
}

Test(renew, one_that_leaves_or_has_an_heir_is_not_replaced_once_more)
{
    struct world w;
    world_begin(&w, stuck_while_renewed);
    world_serve(&w, "echo/0");
    call_and_answer(&w, "echo/0", 1);
    call_and_answer(&w, "echo/0", 2);
    world_serve(&w, "echo/0#2");
    world_pass_ms(&w, 5000);
    world_pass_ms(&w, WIRE_KILL_MS); /* the old one survives */
    cr_assert_eq(w.process_count, 2);
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}
