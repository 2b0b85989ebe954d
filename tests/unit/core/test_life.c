/* The life of a replica: the table of states and inputs, what an exit means under each restart
 * policy, and the stories of starting, stopping, restarting, scaling and coming back after a
 * broker. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <string.h>

enum { CLIENT = WORLD_CLIENT, ADMIN = WORLD_ADMIN, TERM = 15, KILLED = 9, FAILING = 1 << 8 };

/* Attached and polling, before the spawner has said that it runs. */
static void
serve_early(struct world *w)
{
    world_attach(w, "echo/0");
    world_poll(w, "echo/0", 1);
}

/* ---- the table ------------------------------------------------------------------------------- */

static void
reach_stopped(struct world *w)
{
    world_tell(w, "stop", "echo");
    world_exited(w, "echo/0", 0);
}

static void
reach_starting(struct world *w)
{
    (void)w;
}

static void
reach_busy(struct world *w)
{
    serve_early(w);
    (void)world_call_echo(w, 1);
    cr_assert(world_given(w, "echo/0") != 0, "no call was given");
}

static void
reach_draining(struct world *w)
{
    reach_busy(w);
    world_tell(w, "stop", "echo");
}

static void
reach_stopping(struct world *w)
{
    serve_early(w);
    world_tell(w, "stop", "echo");
}

static void
reach_backoff(struct world *w)
{
    world_started(w, "echo/0");
    world_exited(w, "echo/0", FAILING);
}

static void
reach_failed(struct world *w)
{
    world_started(w, "echo/0");
    world_exited(w, "echo/0", 78 << 8);
}

static void
reach_stuck(struct world *w)
{
    reach_stopping(w);
    world_pass_ms(w, 5000);
    cr_assert(world_process(w, "echo/0")->killed, "it was not killed");
    world_pass_ms(w, WIRE_KILL_MS);
}

static void
put_start(struct world *w)
{
    world_tell(w, "start", "echo");
}

static void
put_stop(struct world *w)
{
    world_tell(w, "stop", "echo");
}

static void
put_started(struct world *w)
{
    world_started(w, "echo/0");
}

static void
put_not_started(struct world *w)
{
    world_start_failed(w, "echo/0", false);
}

static void
put_attached(struct world *w)
{
    world_attach(w, "echo/0");
}

static void
put_given(struct world *w)
{
    world_poll(w, "echo/0", 1);
    (void)world_call_echo(w, 2);
}

/* In states without a call, the REPORT of one that lost its session. */
static void
put_idle(struct world *w)
{
    const uint64_t given = world_given(w, "echo/0");
    if (given != 0) {
        world_done(w, "echo/0", given);
    } else {
        (void)world_say(w, ADMIN, "[18,'echo/0',1,[]]");
    }
}

static void
put_exited(struct world *w)
{
    world_exited(w, "echo/0", FAILING);
}

static void
put_timeout(struct world *w)
{
    const char *before = world_state(w, "echo/0");
    const int64_t ms = strcmp(before, "starting") == 0   ? 120000
                       : strcmp(before, "draining") == 0 ? 30000
                       : strcmp(before, "backoff") == 0  ? 150
                                                         : 5000;
    world_pass_ms(w, ms);
}

struct input {
    const char *name;
    void (*put)(struct world *w);
};

enum { START, STOP, STARTED, NOT_STARTED, ATTACHED, GIVEN, IDLE, EXITED, TIMEOUT, INPUTS };

static const struct input inputs[INPUTS] = {
    [START] = {"start", put_start},
    [STOP] = {"stop", put_stop},
    [STARTED] = {"started", put_started},
    [NOT_STARTED] = {"not started", put_not_started},
    [ATTACHED] = {"attached", put_attached},
    [GIVEN] = {"given", put_given},
    [IDLE] = {"idle", put_idle},
    [EXITED] = {"exited", put_exited},
    [TIMEOUT] = {"timeout", put_timeout},
};

/* next[input] is NULL where no input of the hub leads there. */
struct row {
    const char *name;
    void (*reach)(struct world *w);
    const char *next[INPUTS];
};

static const struct row rows[] = {
    {"stopped", reach_stopped, {[START] = "starting", [STOP] = "stopped", [IDLE] = "stopped"}},
    {"starting",
     reach_starting,
     {"starting", "stopping", "starting", "backoff", "ready", NULL, "starting", "backoff",
      "stopping"}},
    {"ready",
     serve_early,
     {"ready", "stopping", "ready", "backoff", "ready", "busy", "ready", "backoff", "ready"}},
    {"busy",
     reach_busy,
     /* ATTACH without an inventory ends its call. */
     {"busy", "draining", "busy", "backoff", "ready", "busy", "ready", "backoff", "busy"}},
    {"draining",
     reach_draining,
     {"draining", "draining", "draining", "stopped", "stopping", NULL, "stopping", "stopped",
      "stopping"}},
    {"stopping",
     reach_stopping,
     {"stopping", "stopping", "stopping", "stopped", "stopping", NULL, "stopping", "stopped",
      "stopping"}},
    {"backoff",
     reach_backoff,
     {[START] = "starting", [STOP] = "stopped", [IDLE] = "backoff", [TIMEOUT] = "starting"}},
    {"failed", reach_failed, {[START] = "starting", [STOP] = "stopped", [IDLE] = "failed"}},
    {"stuck",
     reach_stuck,
     {"stuck", "stuck", "stuck", "stopped", "stuck", NULL, "stuck", "stopped", "stuck"}},
};

Test(life, every_state_follows_every_input_that_can_reach_it)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t k = 0; k < INPUTS; k++) {
            struct world w;
            if (rows[i].next[k] == NULL) {
                continue;
            }
            world_begin(&w, NULL);
            rows[i].reach(&w);
            expect_state(&w, "echo/0", rows[i].name);
            inputs[k].put(&w);
            cr_assert_str_eq(world_state(&w, "echo/0"), rows[i].next[k], "%s, %s: it is %s, not %s",
                             rows[i].name, inputs[k].name, world_state(&w, "echo/0"),
                             rows[i].next[k]);
            world_deinit(&w);
        }
    }
}

/* ---- what an exit means ---------------------------------------------------------------------- */

static void
never(struct worker_spec *spec)
{
    spec->restart = SPEC_RESTART_NO;
}

static void
always(struct worker_spec *spec)
{
    spec->restart = SPEC_RESTART_ALWAYS;
}

/* What each of the 256 exit codes and each signal means, said once more and in another way than in
 * the code: the sets are spelled out. */
static const char *
expected(int status, int policy)
{
    static const char *const policies[] = {"no", "on-failure", "always"};
    const char *const restart = policies[policy];
    const bool by_signal = (status & 0x7f) != 0;
    const int code = status >> 8 & 0xff;
    const bool is_final = !by_signal && (code == 78 || code == 125 || code == 126 || code == 127);
    if (!by_signal && code == 0) {
        return strcmp(restart, "always") == 0 ? "backoff" : "stopped";
    }
    return is_final || strcmp(restart, "no") == 0 ? "failed" : "backoff";
}

static void
expect_after_exit(void (*set)(struct worker_spec *), int status, int policy)
{
    struct world w;
    world_begin(&w, set);
    world_started(&w, "echo/0");
    world_exited(&w, "echo/0", status);
    const char *want = expected(status, policy);
    cr_assert_str_eq(world_state(&w, "echo/0"), want, "status %#x, policy %d: %s, not %s", status,
                     policy, world_state(&w, "echo/0"), want);
    world_deinit(&w);
}

static void never(struct worker_spec *spec);
static void always(struct worker_spec *spec);

Test(life, every_exit_code_and_every_signal_has_its_meaning_under_every_policy)
{
    void (*const policies[])(struct worker_spec *) = {never, NULL, always};
    for (int policy = 0; policy < 3; policy++) {
        for (int code = 0; code < 256; code++) {
            expect_after_exit(policies[policy], code << 8, policy);
        }
        for (int signal = 1; signal <= 64; signal++) {
            expect_after_exit(policies[policy], signal, policy);
            expect_after_exit(policies[policy], signal | 0x80, policy); /* and left a core */
        }
    }
}

struct exits {
    int status;
    const char *never, *on_failure, *always;
};

static const struct exits exits[] = {
    {0, "stopped", "stopped", "backoff"},       {1 << 8, "failed", "backoff", "backoff"},
    {75 << 8, "failed", "backoff", "backoff"},  {78 << 8, "failed", "failed", "failed"},
    {125 << 8, "failed", "failed", "failed"},   {126 << 8, "failed", "failed", "failed"},
    {127 << 8, "failed", "failed", "failed"},   {TERM, "failed", "backoff", "backoff"},
    {KILLED, "failed", "backoff", "backoff"},   {11 | 0x80, "failed", "backoff", "backoff"},
    {255 << 8, "failed", "backoff", "backoff"},
};

Test(life, the_exit_status_and_the_policy_decide_what_follows)
{
    void (*const policies[])(struct worker_spec *) = {never, NULL, always};
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        const char *const wants[] = {exits[i].never, exits[i].on_failure, exits[i].always};
        for (size_t k = 0; k < 3; k++) {
            struct world w;
            world_begin(&w, policies[k]);
            world_serve(&w, "echo/0");
            world_exited(&w, "echo/0", exits[i].status);
            cr_assert_str_eq(world_state(&w, "echo/0"), wants[k],
                             "status %d, policy %zu: %s, not %s", exits[i].status, k,
                             world_state(&w, "echo/0"), wants[k]);
            world_deinit(&w);
        }
    }
}

Test(life, what_cannot_be_executed_fails_at_once_and_says_why)
{
    struct world w;
    world_begin(&w, NULL);
    world_start_failed(&w, "echo/0", true);
    expect_state(&w, "echo/0", "failed");
    const uint64_t r = world_say(&w, CLIENT, "[2,null,1,0,'hub','status',0,null,{}]");
    cr_assert(world_says(&w, r, "could not start: exec: no luck"), "%s", world_text(&w, r));
    world_deinit(&w);
}

/* The exit status of a template that ended while it was to fork is as good as its own. */
Test(life, what_was_not_forked_ends_as_what_was_to_fork_it)
{
    static const struct {
        int status;
        const char *state;
    } ends[] = {{0, "backoff"}, {9, "backoff"}, {1 << 8, "backoff"}, {78 << 8, "failed"}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct world w;
        world_begin(&w, NULL);
        struct hub_input in = {.kind = HUB_IN_START_FAILED};
        in.process.id = world_process(&w, "echo/0")->id;
        in.process.step = "template";
        in.process.error = "no luck";
        in.process.status = ends[i].status;
        world_step(&w, &in);
        expect_state(&w, "echo/0", ends[i].state);
        const uint64_t r = world_say(&w, CLIENT, "[2,null,1,0,'hub','status',0,null,{}]");
        cr_assert(world_says(&w, r, "could not start: template: no luck"), "%s", world_text(&w, r));
        world_deinit(&w);
    }
}

/* Let it die at once and wait for the next START: how long that took. */
static int64_t
die_and_return_ms(struct world *w, int status)
{
    const size_t before = w->process_count;
    world_started(w, "echo/0");
    world_exited(w, "echo/0", status);
    const int64_t from = w->now_ns;
    for (int i = 0; i < 100000 && w->process_count == before; i++) {
        world_pass_ms(w, 1);
    }
    cr_assert(w->process_count == before + 1, "it was not started again");
    return (w->now_ns - from) / 1000000;
}

static void
many_deaths(struct worker_spec *spec)
{
    spec->restarts_max = 1000;
    spec->restart_delay_ms_max = 5000;
    spec->restart_window_ms = 60000;
}

Test(life, backoff_doubles_up_to_its_limit_with_half_of_it_either_way)
{
    struct world w;
    int64_t wanted = 100, shortest = INT64_MAX, longest = 0;
    world_begin(&w, many_deaths);
    for (int i = 0; i < 20; i++) {
        const int64_t ms = die_and_return_ms(&w, FAILING);
        cr_assert(ms >= wanted / 2 && ms <= wanted + wanted / 2 + 1,
                  "death %d: %d ms, about %d wanted", i, (int)ms, (int)wanted);
        wanted = wanted * 2 < 5000 ? wanted * 2 : 5000;
        shortest = i > 8 && ms < shortest ? ms : shortest;
        longest = i > 8 && ms > longest ? ms : longest;
    }
    cr_assert(longest - shortest > 1000, "no jitter: %d to %d ms", (int)shortest, (int)longest);
    world_deinit(&w);
}

Test(life, backoff_begins_anew_after_a_quiet_window)
{
    struct world w;
    world_begin(&w, many_deaths);
    for (int i = 0; i < 6; i++) {
        (void)die_and_return_ms(&w, FAILING);
    }
    world_serve(&w, "echo/0");
    world_pass_ms(&w, 60001);
    const int64_t ms = die_and_return_ms(&w, FAILING);
    cr_assert(ms <= 151, "after a quiet minute it took %d ms", (int)ms);
    world_deinit(&w);
}

Test(life, too_many_deaths_in_the_window_are_a_crash_loop)
{
    struct world w;
    world_begin(&w, NULL);
    for (int i = 0; i < 5; i++) {
        (void)die_and_return_ms(&w, FAILING);
    }
    const uint64_t waits = world_call_echo(&w, 1);
    cr_assert(world_outcome(&w, waits, NULL) == -1, "it still had hope");
    world_started(&w, "echo/0");
    world_exited(&w, "echo/0", FAILING);
    expect_state(&w, "echo/0", "failed");
    cr_assert(world_outcome(&w, waits, NULL) == WIRE_ERR_UNAVAILABLE, "who waited was not told");
    cr_assert(strstr(w.events, "hub.worker.failed") != NULL, "no event: %s", w.events);
    /* A start by hand forgets what was. */
    world_tell(&w, "start", "echo");
    for (int i = 0; i < 5; i++) {
        (void)die_and_return_ms(&w, FAILING);
    }
    world_deinit(&w);
}

Test(life, deaths_that_are_far_apart_are_no_crash_loop)
{
    struct world w;
    world_begin(&w, NULL);
    for (int i = 0; i < 12; i++) {
        (void)die_and_return_ms(&w, FAILING);
        world_pass_ms(&w, 15000);
    }
    expect_state(&w, "echo/0", "starting");
    world_deinit(&w);
}

Test(life, exit_75_is_started_again_without_blame)
{
    struct world w;
    world_begin(&w, NULL);
    for (int i = 0; i < 20; i++) {
        (void)die_and_return_ms(&w, 75 << 8);
    }
    expect_state(&w, "echo/0", "starting");
    world_deinit(&w);
}

static void
no_second_chance(struct worker_spec *spec)
{
    spec->restarts_max = 0;
    spec->restart_delay_ms = 0;
}

Test(life, with_no_restarts_allowed_the_first_death_fails)
{
    struct world w;
    world_begin(&w, no_second_chance);
    world_started(&w, "echo/0");
    world_exited(&w, "echo/0", FAILING);
    expect_state(&w, "echo/0", "failed");
    world_deinit(&w);
}

/* ---- starting -------------------------------------------------------------------------------- */

Test(life, who_does_not_get_ready_in_time_is_killed_and_told)
{
    struct world w;
    world_begin(&w, NULL);
    world_started(&w, "echo/0");
    world_pass_ms(&w, 119999);
    cr_assert(!world_process(&w, "echo/0")->signalled, "too early");
    world_pass_ms(&w, 1);
    cr_assert(world_process(&w, "echo/0")->killed, "its group was not killed");
    world_exited(&w, "echo/0", KILLED);
    expect_state(&w, "echo/0", "backoff");
    const uint64_t r = world_say(&w, CLIENT, "[2,null,1,0,'hub','status',0,null,{}]");
    cr_assert(world_says(&w, r, "killed by signal 9 after it did not get ready in time"), "%s",
              world_text(&w, r));
    world_deinit(&w);
}

Test(life, the_reason_of_a_death_tells_a_core_dump_and_a_kill_for_want_of_memory)
{
    struct world w;
    enum { SEGV_DUMPED = 11 | 0x80 };
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    world_exited(&w, "echo/0", SEGV_DUMPED);
    uint64_t r = world_say(&w, CLIENT, "[2,null,1,0,'hub','status',0,null,{}]");
    cr_assert(world_says(&w, r, "'killed by signal 11, core dumped'"), "%s", world_text(&w, r));
    world_pass_ms(&w, 60000);
    world_serve(&w, "echo/0");
    world_starved(&w, "echo/0");
    expect_state(&w, "echo/0", "backoff");
    r = world_say(&w, CLIENT, "[2,null,2,0,'hub','status',0,null,{}]");
    cr_assert(world_says(&w, r, "'killed by the kernel: out of memory'"), "%s", world_text(&w, r));
    world_deinit(&w);
}

/* Its memory may have run out at the same time: the hub's own kill is the reason. */
Test(life, who_was_killed_by_the_hub_did_not_die_of_hunger)
{
    struct world w;
    world_begin(&w, NULL);
    world_started(&w, "echo/0");
    world_pass_ms(&w, 120000);
    cr_assert(world_process(&w, "echo/0")->killed, "its group was not killed");
    world_starved(&w, "echo/0");
    const uint64_t r = world_say(&w, CLIENT, "[2,null,1,0,'hub','status',0,null,{}]");
    cr_assert(world_says(&w, r, "killed by signal 9 after it did not get ready in time"), "%s",
              world_text(&w, r));
    world_deinit(&w);
}

static void
ready_when_started(struct worker_spec *spec)
{
    spec->ready = SPEC_READY_STARTED;
}

Test(life, a_program_that_speaks_nothing_is_ready_when_it_runs)
{
    struct world w;
    world_begin(&w, ready_when_started);
    cr_assert(!w.ready, "before it runs");
    world_started(&w, "echo/0");
    expect_state(&w, "echo/0", "ready");
    cr_assert(w.ready, "the hub is not ready");
    world_pass_ms(&w, 200000);
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}

Test(life, the_hub_is_ready_once_when_all_that_start_by_themselves_are)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_worker(&w, "other", NULL);
    world_configured(&w);
    world_serve(&w, "echo/0");
    cr_assert(!w.ready, "one is missing");
    world_serve(&w, "other/0");
    cr_assert(w.ready, "all are there");
    w.ready = false;
    world_exited(&w, "echo/0", KILLED);
    world_pass_ms(&w, 200);
    world_serve(&w, "echo/0");
    cr_assert(!w.ready, "it was told again");
    world_deinit(&w);
}

Test(life, a_worker_that_has_done_its_work_does_not_keep_the_hub_from_being_ready)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_worker(&w, "once", NULL);
    world_configured(&w);
    world_serve(&w, "echo/0");
    world_started(&w, "once/0");
    cr_assert(!w.ready, "it is still at work");
    world_exited(&w, "once/0", 0);
    cr_assert(w.ready, "it has ended well");
    world_deinit(&w);
}

Test(life, a_hub_without_workers_is_ready_when_it_is_configured)
{
    struct world w;
    world_init(&w);
    cr_assert(!w.ready, "too early");
    world_configured(&w);
    cr_assert(w.ready, "not ready");
    world_deinit(&w);
}

Test(life, started_may_come_after_attach)
{
    struct world w;
    world_begin(&w, NULL);
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 1);
    expect_state(&w, "echo/0", "ready");
    world_started(&w, "echo/0");
    expect_state(&w, "echo/0", "ready");
    (void)world_call_echo(&w, 1);
    cr_assert(world_given(&w, "echo/0") != 0, "it serves");
    cr_assert_str_eq(w.events, "hub.worker.ready hub.worker.started ", "%s", w.events);
    world_deinit(&w);
}

Test(life, a_repeated_worker_of_the_configuration_is_one)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_worker(&w, "echo", NULL);
    world_configured(&w);
    cr_assert(w.process_count == 1 && hub_counts(w.hub).workers == 1, "two of them");
    world_deinit(&w);
}

/* ---- stopping -------------------------------------------------------------------------------- */

Test(life, a_stop_drains_then_asks_then_kills_then_gives_up)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    struct process *p = world_process(&w, "echo/0");
    const uint64_t control =
        world_say(&w, p->peer, "[19,'echo/0',%llu]", (unsigned long long)p->session);
    (void)world_call_echo(&w, 1);
    cr_assert(world_given(&w, "echo/0") != 0, "a call");
    world_tell(&w, "stop", "echo");
    cr_assert_str_eq(world_text(&w, control), "COMMAND 'stop' {}", "%s", world_text(&w, control));
    world_pass_ms(&w, 29999);
    cr_assert(!p->signalled, "it may still finish its call");
    world_pass_ms(&w, 1);
    cr_assert(p->signal == TERM && !p->killed, "asked");
    world_pass_ms(&w, 4999);
    cr_assert(!p->killed, "too early");
    world_pass_ms(&w, 1);
    cr_assert(p->killed, "killed");
    world_pass_ms(&w, WIRE_KILL_MS - 1);
    expect_state(&w, "echo/0", "stopping");
    world_pass_ms(&w, 1);
    expect_state(&w, "echo/0", "stuck");
    const uint64_t r = world_say(&w, CLIENT, "[2,null,1,0,'hub','status',0,null,{}]");
    cr_assert(world_says(&w, r, "survived SIGKILL for 5 s"), "%s", world_text(&w, r));
    cr_assert(strstr(w.events, "hub.worker.stuck") != NULL, "no event: %s", w.events);
    /* At last it goes. */
    world_exited(&w, "echo/0", KILLED);
    expect_state(&w, "echo/0", "stopped");
    world_tell(&w, "start", "echo");
    expect_state(&w, "echo/0", "starting");
    world_deinit(&w);
}

Test(life, an_idle_one_is_asked_to_end_at_once_and_what_runs_may_finish)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    const uint64_t r = world_call_echo(&w, 1);
    world_tell(&w, "stop", "echo");
    struct process *p = world_process(&w, "echo/0");
    cr_assert(!p->signalled, "a call still runs");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(world_outcome(&w, r, NULL) == 0, "its result counts");
    cr_assert(p->signal == TERM, "now it is asked");
    world_deinit(&w);
}

static void
own_signal(struct worker_spec *spec)
{
    spec->stop_signal = 2;
    spec->stop_timeout_ms = 700;
}

Test(life, signal_and_patience_are_the_workers_own)
{
    struct world w;
    world_begin(&w, own_signal);
    world_serve(&w, "echo/0");
    world_tell(&w, "stop", "echo");
    struct process *p = world_process(&w, "echo/0");
    cr_assert(p->signal == 2, "signal %d", p->signal);
    world_pass_ms(&w, 699);
    cr_assert(!p->killed, "too early");
    world_pass_ms(&w, 1);
    cr_assert(p->killed, "not killed");
    world_deinit(&w);
}

Test(life, one_that_was_stopped_before_it_ran_is_asked_again_when_it_does)
{
    struct world w;
    world_begin(&w, NULL);
    world_tell(&w, "stop", "echo");
    struct process *p = world_process(&w, "echo/0");
    cr_assert(p->signals == 1, "the first may have come too early");
    world_started(&w, "echo/0");
    cr_assert(p->signals == 2 && p->signal == TERM, "%zu signals", p->signals);
    world_deinit(&w);
}

Test(life, one_that_was_killed_before_it_ran_is_killed_when_it_does)
{
    struct world w;
    world_begin(&w, NULL);
    world_pass_ms(&w, 120000);
    struct process *p = world_process(&w, "echo/0");
    cr_assert(p->killed && p->signals == 1, "its time was up");
    world_started(&w, "echo/0");
    cr_assert(p->signals == 2 && p->signal == KILLED, "signal %d after %zu", p->signal, p->signals);
    world_deinit(&w);
}

/* ---- restarting ------------------------------------------------------------------------------ */

Test(life, a_restart_keeps_the_calls_that_wait)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    const uint64_t first = world_call_echo(&w, 1), second = world_call_echo(&w, 2);
    world_tell(&w, "restart", "echo");
    expect_state(&w, "echo/0", "draining");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(world_outcome(&w, first, NULL) == 0, "the running one finished");
    world_exited(&w, "echo/0", TERM);
    expect_state(&w, "echo/0", "starting");
    cr_assert(world_outcome(&w, second, NULL) == -1, "who waits goes on waiting");
    world_serve(&w, "echo/0");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(world_outcome(&w, second, NULL) == 0, "served by the new process");
    world_deinit(&w);
}

Test(life, a_restart_ends_where_the_program_says_that_it_cannot_run)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    world_tell(&w, "restart", "echo");
    world_exited(&w, "echo/0", 78 << 8);
    expect_state(&w, "echo/0", "failed");
    world_deinit(&w);
}

Test(life, a_stop_after_a_restart_wins)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    world_tell(&w, "restart", "echo");
    world_tell(&w, "stop", "echo");
    world_exited(&w, "echo/0", TERM);
    expect_state(&w, "echo/0", "stopped");
    world_deinit(&w);
}

Test(life, the_policy_of_a_method_holds_for_calls_that_came_before_it_was_known)
{
    struct world w;
    world_begin(&w, NULL);
    const uint64_t r =
        world_call(&w, CLIENT, &(struct world_call){"echo", "again", 1, 0, 60000, NULL});
    world_serve(&w, "echo/0");
    cr_assert(world_given(&w, "echo/0") != 0, "given");
    world_exited(&w, "echo/0", KILLED);
    world_pass_ms(&w, 200);
    world_serve(&w, "echo/0");
    cr_assert(world_given(&w, "echo/0") != 0, "an idempotent call was not given again");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(world_outcome(&w, r, NULL) == 0, "no result");
    world_deinit(&w);
}

Test(life, news_of_processes_that_are_gone_are_no_news)
{
    struct world w;
    world_begin(&w, NULL);
    world_started(&w, "echo/0");
    world_exited(&w, "echo/0", FAILING);
    world_exited(&w, "echo/0", FAILING);
    world_start_failed(&w, "echo/0", false);
    expect_state(&w, "echo/0", "backoff");
    world_deinit(&w);
}
