/* Workers as a whole: how many replicas there are, the end of the hub, and processes that an
 * earlier broker left. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <string.h>

enum { CLIENT = WORLD_CLIENT, ADMIN = WORLD_ADMIN, TERM = 15, KILLED = 9, FAILING = 1 << 8 };

static void
never(struct worker_spec *spec)
{
    spec->restart = SPEC_RESTART_NO;
}

static void
ready_when_started(struct worker_spec *spec)
{
    spec->ready = SPEC_READY_STARTED;
}

/* ---- scaling --------------------------------------------------------------------------------- */

static void
scale(struct world *w, unsigned replicas)
{
    const uint64_t r =
        world_say(w, ADMIN, "[2,null,1,0,'hub','scale',0,null,['echo',%u]]", replicas);
    cr_assert(world_outcome(w, r, NULL) == 0, "%s", world_text(w, r));
}

static void
three(struct worker_spec *spec)
{
    spec->replicas = 3;
}

Test(worker, scaling_up_starts_more)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    scale(&w, 3);
    expect_state(&w, "echo/2", "starting");
    world_serve(&w, "echo/2");
    (void)world_call_echo(&w, 1);
    (void)world_call_echo(&w, 2);
    cr_assert(world_given(&w, "echo/0") != 0 && world_given(&w, "echo/2") != 0, "both serve");
    world_deinit(&w);
}

Test(worker, scaling_down_lets_the_upper_ones_finish_and_forgets_them)
{
    struct world w;
    world_begin(&w, three);
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    world_serve(&w, "echo/2");
    const uint64_t r =
        world_call(&w, CLIENT, &(struct world_call){"echo/2", "echo", 1, 0, 60000, NULL});
    scale(&w, 1);
    expect_state(&w, "echo/2", "draining");
    expect_state(&w, "echo/1", "stopping");
    world_exited(&w, "echo/1", TERM);
    world_done(&w, "echo/2", world_given(&w, "echo/2"));
    cr_assert(world_outcome(&w, r, NULL) == 0, "it may finish");
    world_exited(&w, "echo/2", TERM);
    expect_state(&w, "echo/1", "none");
    expect_state(&w, "echo/2", "none");
    const uint64_t late =
        world_call(&w, CLIENT, &(struct world_call){"echo/2", "echo", 2, 0, 60000, NULL});
    cr_assert(world_outcome(&w, late, NULL) == WIRE_ERR_NOT_FOUND, "it is gone");
    world_deinit(&w);
}

Test(worker, scaling_to_none_and_back_is_a_stop_and_a_start)
{
    struct world w;
    world_begin(&w, three);
    world_serve(&w, "echo/0");
    scale(&w, 0);
    cr_assert(world_outcome(&w, world_call_echo(&w, 1), NULL) == WIRE_ERR_UNAVAILABLE,
              "nobody serves");
    scale(&w, 2);
    expect_state(&w, "echo/0", "stopping");
    world_exited(&w, "echo/0", TERM);
    expect_state(&w, "echo/0", "starting");
    world_deinit(&w);
}

Test(worker, a_call_for_one_replica_ends_when_that_is_scaled_away)
{
    struct world w;
    world_begin(&w, three);
    const uint64_t r =
        world_call(&w, CLIENT, &(struct world_call){"echo/2", "echo", 1, 0, 60000, NULL});
    cr_assert(world_outcome(&w, r, NULL) == -1, "it waits for the start");
    scale(&w, 2);
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_UNAVAILABLE, "%s", world_text(&w, r));
    world_deinit(&w);
}

/* ---- the end of the hub ---------------------------------------------------------------------- */

static void
two(struct worker_spec *spec)
{
    spec->replicas = 2;
}

Test(worker, the_hub_ends_only_when_everything_is_gone)
{
    struct world w;
    world_begin(&w, two);
    world_worker(&w, "other", NULL);
    world_tell(&w, "start", "other");
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    world_serve(&w, "other/0");
    const uint64_t r = world_call_echo(&w, 1);
    world_stop(&w);
    cr_assert(w.stopping && !w.ended, "it has begun");
    cr_assert(world_outcome(&w, world_call_echo(&w, 2), NULL) == WIRE_ERR_UNAVAILABLE,
              "nothing new comes in");
    cr_assert(world_process(&w, "other/0")->signal == TERM, "idle ones are asked at once");
    world_exited(&w, "other/0", TERM);
    const char *const busy = world_given(&w, "echo/0") != 0 ? "echo/0" : "echo/1";
    const char *const idle = strcmp(busy, "echo/0") == 0 ? "echo/1" : "echo/0";
    cr_assert(!world_process(&w, busy)->signalled, "who has a call finishes it");
    world_exited(&w, idle, TERM);
    cr_assert(!w.ended, "one is left");
    world_done(&w, busy, world_given(&w, busy));
    cr_assert(world_outcome(&w, r, NULL) == 0, "a result");
    world_exited(&w, busy, 0);
    cr_assert(w.ended, "the end was not told");
    world_deinit(&w);
}

Test(worker, a_second_stop_is_faster_and_a_third_gives_up)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    (void)world_call_echo(&w, 1);
    world_stop(&w);
    struct process *p = world_process(&w, "echo/0");
    cr_assert(!p->signalled, "it drains");
    world_stop(&w);
    cr_assert(p->signal == TERM, "it is asked at once");
    world_stop(&w);
    cr_assert(p->killed && !w.ended, "it is killed");
    world_stop(&w);
    cr_assert(w.ended, "who survives that is left to the spawner");
    w.ended = false;
    world_exited(&w, "echo/0", KILLED);
    cr_assert(!w.ended, "the end is told once");
    world_deinit(&w);
}

Test(worker, a_second_stop_has_nothing_to_say_to_those_that_have_ended_or_failed)
{
    struct world w;
    world_begin(&w, two);
    world_serve(&w, "echo/0");
    world_start_failed(&w, "echo/1", true);
    expect_state(&w, "echo/1", "failed");
    world_stop(&w);
    cr_assert(!w.ended, "one runs");
    world_stop(&w);
    cr_assert(!w.ended && world_process(&w, "echo/0")->killed, "it is killed");
    world_exited(&w, "echo/0", KILLED);
    cr_assert(w.ended, "nothing is left");
    world_deinit(&w);
}

Test(worker, down_is_the_same_stop_by_a_call)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    cr_assert(world_admin(&w, "down", NULL, NULL) == 0, "refused");
    cr_assert(w.stopping && !w.ended, "it has begun");
    cr_assert(world_admin(&w, "down", NULL, NULL) == 0, "again");
    cr_assert(!world_process(&w, "echo/0")->killed, "a repeat is not faster");
    world_exited(&w, "echo/0", TERM);
    cr_assert(w.ended, "the end was not told");
    world_deinit(&w);
}

Test(worker, a_hub_that_runs_nothing_ends_at_once)
{
    struct world w;
    world_begin(&w, never);
    world_started(&w, "echo/0");
    world_exited(&w, "echo/0", FAILING);
    world_stop(&w);
    cr_assert(w.ended, "a failed worker keeps nobody waiting");
    world_deinit(&w);
}

Test(worker, backoff_ends_with_the_hub)
{
    struct world w;
    world_begin(&w, NULL);
    world_started(&w, "echo/0");
    world_exited(&w, "echo/0", FAILING);
    world_stop(&w);
    cr_assert(w.ended, "it waited for a restart that never comes");
    world_pass_ms(&w, 60000);
    cr_assert(w.process_count == 1, "it was started all the same");
    world_deinit(&w);
}

/* ---- after another broker -------------------------------------------------------------------- */

static void
secrets_of(struct world *w, uint64_t epoch)
{
    struct hub_options options;
    world_options(&options);
    options.epoch = epoch;
    cr_assert(world_init_with(w, &options), "no hub");
    world_worker(w, "echo", NULL);
}

/* The second broker of a hub, whose first one had started echo/0; its process as the world knows
 * it. */
static struct process
after_a_broker(struct world *w)
{
    secrets_of(w, 1);
    world_configured(w);
    world_started(w, "echo/0");
    const struct process p = *world_process(w, "echo/0");
    world_deinit(w);
    secrets_of(w, 2);
    return p;
}

Test(worker, a_process_of_an_earlier_broker_is_taken_over_when_its_token_attaches)
{
    struct world w;
    const struct process old = after_a_broker(&w);
    world_alive(&w, old.id, "echo/0");
    world_configured(&w);
    cr_assert(w.process_count == 0, "it was started a second time");
    expect_state(&w, "echo/0", "starting");
    world_open(&w, 50);
    const uint64_t r =
        world_say(&w, 50, "[16,{'token':'%s','attach':7,'running':[],'done':[]}]", old.token);
    cr_assert(world_says(&w, r, "'replica': 'echo/0'"), "%s", world_text(&w, r));
    expect_state(&w, "echo/0", "ready");
    cr_assert(w.ready && w.strangers == 0, "ready, and nobody was killed");
    world_deinit(&w);
}

Test(worker, one_that_speaks_nothing_is_ready_as_soon_as_it_is_found)
{
    struct world w;
    struct hub_options options;
    world_options(&options);
    options.epoch = 2;
    cr_assert(world_init_with(&w, &options), "no hub");
    world_worker(&w, "echo", ready_when_started);
    world_alive(&w, 77, "echo/0");
    world_configured(&w);
    expect_state(&w, "echo/0", "ready");
    cr_assert(w.ready && w.process_count == 0, "it runs already");
    world_deinit(&w);
}

Test(worker, processes_that_nobody_knows_are_killed)
{
    static const char *const names[] = {"gone/0", "echo/9", "nonsense name", "echo"};
    struct world w;
    secrets_of(&w, 2);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        world_alive(&w, 70 + i, names[i]);
        cr_assert(w.strangers == i + 1, "%s lives on", names[i]);
    }
    /* Two of one name: the second is no longer known. */
    world_alive(&w, 80, "echo/0");
    cr_assert(w.strangers == 4, "the first is ours");
    world_alive(&w, 81, "echo/0");
    cr_assert(w.strangers == 5, "the second is not");
    world_deinit(&w);
}

Test(worker, one_that_was_being_born_while_brokers_changed_is_taken_over)
{
    struct world w;
    secrets_of(&w, 2);
    struct hub_input in = {.kind = HUB_IN_STARTED};
    in.process.id = 91;
    in.process.pid = 4711;
    in.process.name = "echo/0";
    world_step(&w, &in);
    expect_state(&w, "echo/0", "starting");
    world_configured(&w);
    cr_assert(w.process_count == 0 && w.strangers == 0, "it is ours");
    world_deinit(&w);
}

Test(worker, a_hub_that_stops_takes_nobody_over)
{
    struct world w;
    secrets_of(&w, 2);
    world_configured(&w);
    world_started(&w, "echo/0");
    world_stop(&w);
    world_exited(&w, "echo/0", TERM);
    cr_assert(w.ended, "all is gone");
    world_alive(&w, 80, "echo/0");
    cr_assert(w.strangers == 1, "it was not killed");
    expect_state(&w, "echo/0", "stopped");
    world_deinit(&w);
}

/* It attaches when its method has ended, which may take as long as a call may. */
Test(worker, one_taken_over_has_the_time_of_its_call)
{
    struct world w;
    secrets_of(&w, 2);
    world_alive(&w, 80, "echo/0");
    world_configured(&w);
    world_pass_ms(&w, 120000 + WIRE_TTL_MS_MAX - 1);
    cr_assert(w.strangers == 0, "it was killed in the middle of its call");
    world_pass_ms(&w, 1);
    cr_assert(w.strangers == 1, "it never comes");
    world_deinit(&w);
}

Test(worker, one_taken_over_is_stopped_as_gently_as_any)
{
    struct world w;
    secrets_of(&w, 2);
    world_configured(&w);
    world_pass_ms(&w, 120000); /* its start timed out: killed */
    world_exited(&w, "echo/0", KILLED);
    world_alive(&w, 80, "echo/0"); /* instead of the next start, one of the earlier broker */
    const size_t before = w.strangers;
    world_tell(&w, "stop", "echo");
    world_pass_ms(&w, 5000);
    expect_state(&w, "echo/0", "stopping");
    cr_assert(w.strangers == before + 2, "asked, then killed, before it counts as stuck");
    world_deinit(&w);
}
