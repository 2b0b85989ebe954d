/* Processes that hang: how that is seen, what is done, and what is left alone. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <string.h>

enum { CLIENT = WORLD_CLIENT, ABRT = 6, KILLED = 9 };

static void
busy(struct worker_spec *spec)
{
    spec->busy_ms_max = 10000;
}

static void
beats(struct worker_spec *spec)
{
    spec->heartbeat_ms = 10000;
}

static void
notifies(struct worker_spec *spec)
{
    beats(spec);
    spec->ready = SPEC_READY_NOTIFY;
}

static void
notify(struct world *w, const char *name, bool ready, bool sign)
{
    world_step(
        w, &(struct hub_input){
               .kind = HUB_IN_NOTIFY,
               .notify = {.process = world_process(w, name)->id, .ready = ready, .sign = sign}});
}

static void
expect_reason(struct world *w, const char *reason)
{
    const uint64_t r = world_say(w, CLIENT, "[2,null,1,0,'hub','status',0,null,{}]");
    cr_assert(world_says(w, r, reason), "no '%s' in %s", reason, world_text(w, r));
}

Test(hang, who_tells_nothing_of_its_call_is_aborted_and_then_killed)
{
    struct world w;
    world_begin(&w, busy);
    world_serve(&w, "echo/0");
    const uint64_t request = world_call_echo(&w, 1);
    world_pass_ms(&w, 9999);
    cr_assert(!world_process(&w, "echo/0")->signalled, "too early");
    world_pass_ms(&w, 1);
    cr_assert_eq(world_process(&w, "echo/0")->signal, ABRT);
    cr_assert_eq(w.stacks, 1, "nobody asked where it is");
    cr_assert(!world_process(&w, "echo/0")->killed);
    world_pass_ms(&w, WIRE_ABORT_MS);
    cr_assert(world_process(&w, "echo/0")->killed, "it was not killed");
    cr_assert_eq(world_outcome(&w, request, NULL), -1, "it still runs");
    world_exited(&w, "echo/0", KILLED);
    cr_assert_eq(world_outcome(&w, request, NULL), WIRE_ERR_ABORTED);
    cr_assert(world_says(&w, request, "hung: told nothing of its calls for 10000 ms (max_busy)"),
              "%s", world_text(&w, request));
    expect_state(&w, "echo/0", "backoff");
    expect_reason(&w, "hung: told nothing");
    world_deinit(&w);
}

Test(hang, an_outcome_in_time_begins_the_time_anew)
{
    struct world w;
    world_begin(&w, busy);
    world_serve(&w, "echo/0");
    for (uint64_t seq = 1; seq < 6; seq++) {
        (void)world_call_echo(&w, seq);
        world_pass_ms(&w, 6000);
        world_done(&w, "echo/0", world_given(&w, "echo/0"));
    }
    world_pass_ms(&w, 60000);
    cr_assert(!world_process(&w, "echo/0")->signalled);
    world_deinit(&w);
}

Test(hang, a_call_that_nobody_waits_for_any_longer_counts)
{
    struct world w;
    world_begin(&w, busy);
    world_serve(&w, "echo/0");
    const struct world_call call = {.worker = "echo", .method = "echo", .seq = 1, .ttl_ms = 1000};
    const uint64_t request = world_call(&w, CLIENT, &call);
    world_pass_ms(&w, 1000);
    cr_assert_eq(world_outcome(&w, request, NULL), WIRE_ERR_DEADLINE_EXCEEDED);
    world_pass_ms(&w, 9000);
    cr_assert_eq(world_process(&w, "echo/0")->signal, ABRT, "it hangs unseen");
    world_deinit(&w);
}

static void
cancels(struct worker_spec *spec)
{
    spec->cancel_ms = 3000;
}

Test(hang, who_goes_on_with_a_cancelled_call_is_aborted_when_that_is_asked_for)
{
    struct world w;
    const struct world_call call = {.worker = "echo", .method = "echo", .seq = 1, .ttl_ms = 1000};
    world_begin(&w, cancels);
    world_serve(&w, "echo/0");
    (void)world_call(&w, CLIENT, &call);
    world_pass_ms(&w, 3999);
    cr_assert(!world_process(&w, "echo/0")->signalled, "too early");
    world_pass_ms(&w, 1);
    cr_assert_eq(world_process(&w, "echo/0")->signal, ABRT, "it goes on");
    world_exited(&w, "echo/0", ABRT);
    expect_reason(&w, "nobody waits for what it works at for 3000 ms (cancel)");
    world_deinit(&w);

    world_begin(&w, cancels);
    world_serve(&w, "echo/0");
    (void)world_call(&w, CLIENT, &call);
    cr_assert(world_given(&w, "echo/0") != 0);
    world_pass_ms(&w, 2000);
    world_poll(&w, "echo/0", 1); /* it has noticed */
    world_pass_ms(&w, 60000);
    cr_assert(!world_process(&w, "echo/0")->signalled, "it did as it should");
    world_deinit(&w);
}

Test(hang, too_many_hangs_are_a_crash_loop)
{
    struct world w;
    world_begin(&w, busy);
    w.capacity = 1;
    const struct world_call call = {
        .worker = "echo", .method = "again", .seq = 1, .ttl_ms = 600000};
    (void)world_call(&w, CLIENT, &call);
    for (int i = 0; i < 2; i++) {
        world_serve(&w, "echo/0");
        world_pass_ms(&w, 10000);
        cr_assert_eq(world_process(&w, "echo/0")->signal, ABRT);
        world_exited(&w, "echo/0", ABRT);
        world_pass_ms(&w, 400);
    }
    cr_assert(strstr(w.events, "hub.poison ") != NULL,
              "the call that hangs twice is not blamed: %s", w.events);
    world_deinit(&w);
}

Test(hang, who_has_no_call_is_asked_for_a_sign_and_lives_when_it_polls_again)
{
    struct world w;
    world_begin(&w, beats);
    world_serve(&w, "echo/0");
    for (int i = 0; i < 5; i++) {
        const uint64_t poll = world_process(&w, "echo/0")->request;
        world_pass_ms(&w, 5000);
        cr_assert(world_says(&w, poll, "WORK"), "it was not asked: '%s'", world_text(&w, poll));
        world_poll(&w, "echo/0", 1);
    }
    cr_assert(!world_process(&w, "echo/0")->signalled);
    world_deinit(&w);
}

Test(hang, who_does_not_answer_is_aborted)
{
    struct world w;
    world_begin(&w, beats);
    world_serve(&w, "echo/0");
    world_pass_ms(&w, 9999);
    cr_assert(!world_process(&w, "echo/0")->signalled, "too early");
    world_pass_ms(&w, 1);
    cr_assert_eq(world_process(&w, "echo/0")->signal, ABRT);
    world_exited(&w, "echo/0", ABRT);
    expect_reason(&w, "hung: did not answer for 5000 ms (heartbeat)");
    world_deinit(&w);
}

Test(hang, who_works_is_not_asked)
{
    struct world w;
    world_begin(&w, beats);
    world_serve(&w, "echo/0");
    (void)world_call_echo(&w, 1);
    world_pass_ms(&w, 29000);
    cr_assert(!world_process(&w, "echo/0")->signalled);
    world_deinit(&w);
}

Test(hang, who_has_promised_signs_must_send_them_though_it_works)
{
    struct world w;
    world_begin(&w, notifies);
    world_started(&w, "echo/0");
    expect_state(&w, "echo/0", "starting");
    notify(&w, "echo/0", true, false);
    expect_state(&w, "echo/0", "ready");
    for (int i = 0; i < 5; i++) {
        world_pass_ms(&w, 9000);
        notify(&w, "echo/0", false, true);
    }
    cr_assert(!world_process(&w, "echo/0")->signalled, "it did as it should");
    world_pass_ms(&w, 10000);
    cr_assert_eq(world_process(&w, "echo/0")->signal, ABRT);
    world_exited(&w, "echo/0", ABRT);
    expect_reason(&w, "hung: no WATCHDOG=1 for 10000 ms (heartbeat)");
    world_deinit(&w);
}

Test(hang, nothing_is_watched_where_nothing_is_asked_for)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    (void)world_call_echo(&w, 1);
    world_pass_ms(&w, 3000000);
    cr_assert(!world_process(&w, "echo/0")->signalled);
    world_deinit(&w);
}

/* ---- by hand -----------------------------------------------------------------------------------
 */

Test(hang, one_that_was_started_by_hand_may_sit_in_a_debugger)
{
    struct world w;
    world_begin(&w, busy);
    world_serve(&w, "echo/0");
    world_tell(&w, "stop", "echo");
    world_exited(&w, "echo/0", 0);
    const uint64_t r = world_say(&w, WORLD_ADMIN,
                                 "[2,null,1,0,'hub','attach',0,null,{'worker':'echo/0',"
                                 "'pid':77}]");
    cr_assert(world_says(&w, r, "'replica': 'echo/0'"), "%s", world_text(&w, r));
    cr_assert(w.adopted != 0 && w.adopted_pid == 77);
    expect_state(&w, "echo/0", "starting");
    struct hub_input in = {.kind = HUB_IN_STARTED};
    in.process.id = w.adopted;
    in.process.pid = 77;
    world_step(&w, &in);
    world_pass_ms(&w, 3600000);
    expect_state(&w, "echo/0", "starting");
    in.kind = HUB_IN_EXITED;
    world_step(&w, &in);
    expect_state(&w, "echo/0", "stopped");
    expect_reason(&w, "the process that was started by hand has ended");
    world_deinit(&w);
}

/* ---- what a program says of itself --------------------------------------------------------------
 */

static void
say(struct world *w, const char *status, int64_t extend_ms)
{
    world_step(w, &(struct hub_input){.kind = HUB_IN_NOTIFY,
                                      .notify = {.process = world_process(w, "echo/0")->id,
                                                 .status = status,
                                                 .extend_ms = extend_ms}});
}

Test(hang, a_program_may_ask_for_more_time_and_tell_what_it_does)
{
    struct world w;
    world_begin(&w, notifies);
    world_started(&w, "echo/0");
    say(&w, "loading", 0);
    expect_reason(&w, "'status': 'loading'");
    say(&w, NULL, 1000); /* less than it has */
    world_pass_ms(&w, 100000);
    say(&w, NULL, 60000);
    world_pass_ms(&w, 59999);
    cr_assert(!world_process(&w, "echo/0")->killed, "it had asked for a minute");
    world_pass_ms(&w, 1);
    cr_assert(world_process(&w, "echo/0")->killed);
    world_deinit(&w);
}

Test(hang, what_is_said_for_nobody_or_too_late_means_nothing)
{
    struct world w;
    world_begin(&w, NULL);
    world_step(
        &w, &(struct hub_input){.kind = HUB_IN_NOTIFY, .notify = {.process = 4711, .ready = true}});
    world_started(&w, "echo/0");
    notify(&w, "echo/0", true, true); /* it has to attach */
    expect_state(&w, "echo/0", "starting");
    world_attach(&w, "echo/0");
    notify(&w, "echo/0", true, true);
    say(&w, NULL, 1000);
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}

Test(hang, who_drains_may_hang_and_one_call_of_two_is_no_sign_that_nobody_waits)
{
    struct world w;
    const struct world_call soon = {.worker = "echo", .method = "again", .seq = 1, .ttl_ms = 1000};
    const struct world_call late = {.worker = "echo", .method = "again", .seq = 2, .ttl_ms = 60000};
    world_begin(&w, cancels);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 2);
    w.crowd = true;
    (void)world_call(&w, CLIENT, &soon);
    (void)world_call(&w, CLIENT, &late);
    w.crowd = false;
    world_turn(&w);
    world_pass_ms(&w, 10000);
    cr_assert(!world_process(&w, "echo/0")->signalled, "somebody waits for the other one");
    world_deinit(&w);

    world_begin(&w, busy);
    world_serve(&w, "echo/0");
    (void)world_call_echo(&w, 1);
    world_tell(&w, "stop", "echo");
    world_pass_ms(&w, 10000);
    cr_assert_eq(world_process(&w, "echo/0")->signal, ABRT);
    world_deinit(&w);
}
