/* Workers that stand on others: when they start, start again, and end. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <string.h>

enum { CLIENT = WORLD_CLIENT, KILLED = 9, FAILING = 1 << 8 };

static struct spec_other on_base;

static void
stands_on_base(struct worker_spec *spec)
{
    spec->depends = &on_base;
    spec->depend_count = 1;
}

static void
restarts_with_base(struct worker_spec *spec)
{
    stands_on_base(spec);
    spec->restart_with = &on_base;
    spec->restart_with_count = 1;
}

/* `top` is told before `base`, on which it stands. */
static void
begin(struct world *w, enum spec_when when, void (*top)(struct worker_spec *),
      void (*base)(struct worker_spec *))
{
    on_base = (struct spec_other){"base", when};
    world_init(w);
    world_worker(w, "top", top);
    world_worker(w, "base", base);
    world_configured(w);
    world_open(w, CLIENT);
    world_open(w, WORLD_ADMIN);
}

static size_t
processes(const struct world *w, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < w->process_count; i++) {
        n += strcmp(w->process[i].name, name) == 0;
    }
    return n;
}

Test(depend, it_starts_when_the_other_is_ready)
{
    struct world w;
    begin(&w, SPEC_WHEN_READY, stands_on_base, NULL);
    cr_assert_eq(processes(&w, "top/0"), 0);
    world_started(&w, "base/0");
    cr_assert_eq(processes(&w, "top/0"), 0, "it only runs");
    world_attach(&w, "base/0");
    cr_assert_eq(processes(&w, "top/0"), 1, "it did not start");
    cr_assert(!w.ready, "the hub was ready too early");
    world_serve(&w, "top/0");
    cr_assert(w.ready, "the hub is not ready");
    world_deinit(&w);
}

Test(depend, started_is_enough_where_that_is_asked_for)
{
    struct world w;
    begin(&w, SPEC_WHEN_STARTED, stands_on_base, NULL);
    cr_assert_eq(processes(&w, "top/0"), 0);
    world_started(&w, "base/0");
    cr_assert_eq(processes(&w, "top/0"), 1);
    world_deinit(&w);
}

Test(depend, completed_means_that_it_ended_with_0)
{
    struct world w;
    begin(&w, SPEC_WHEN_COMPLETED, stands_on_base, NULL);
    world_started(&w, "base/0");
    world_exited(&w, "base/0", FAILING);
    cr_assert_eq(processes(&w, "top/0"), 0, "it failed");
    world_pass_ms(&w, 1000);
    world_started(&w, "base/0");
    world_exited(&w, "base/0", 0);
    cr_assert_eq(processes(&w, "top/0"), 1);
    world_deinit(&w);
}

Test(depend, calls_wait_with_it_and_are_refused_when_the_other_will_never_be_there)
{
    struct world w;
    begin(&w, SPEC_WHEN_READY, stands_on_base, NULL);
    const struct world_call call = {.worker = "top", .method = "echo", .seq = 1, .ttl_ms = 60000};
    const uint64_t request = world_call(&w, CLIENT, &call);
    cr_assert_eq(world_outcome(&w, request, NULL), -1, "%s", world_text(&w, request));
    world_started(&w, "base/0");
    world_exited(&w, "base/0", 78 << 8);
    cr_assert_eq(world_outcome(&w, request, NULL), WIRE_ERR_UNAVAILABLE);
    const uint64_t status = world_say(&w, CLIENT, "[2,null,1,0,'hub','status',0,null,{}]");
    cr_assert(world_says(&w, status, "waits for base to be ready"), "%s", world_text(&w, status));
    /* By hand it comes after all. */
    world_tell(&w, "start", "base");
    world_serve(&w, "base/0");
    cr_assert_eq(processes(&w, "top/0"), 1);
    world_deinit(&w);
}

Test(depend, its_own_death_is_followed_by_its_own_restart_only)
{
    struct world w;
    begin(&w, SPEC_WHEN_READY, restarts_with_base, NULL);
    world_serve(&w, "base/0");
    world_serve(&w, "top/0");
    world_exited(&w, "top/0", KILLED);
    world_pass_ms(&w, 200);
    cr_assert_eq(processes(&w, "top/0"), 2);
    cr_assert_eq(processes(&w, "base/0"), 1);
    world_deinit(&w);
}

Test(depend, it_starts_again_with_the_other_and_after_it)
{
    struct world w;
    begin(&w, SPEC_WHEN_READY, restarts_with_base, NULL);
    world_serve(&w, "base/0");
    world_serve(&w, "top/0");
    world_exited(&w, "base/0", KILLED);
    cr_assert(world_process(&w, "top/0")->signalled, "it was not asked to end");
    world_exited(&w, "top/0", 0);
    cr_assert_eq(processes(&w, "top/0"), 1, "it did not wait for the other");
    world_pass_ms(&w, 200);
    world_serve(&w, "base/0");
    cr_assert_eq(processes(&w, "top/0"), 2, "it did not start again");
    world_serve(&w, "top/0");
    expect_state(&w, "top/0", "ready");
    world_deinit(&w);
}

Test(depend, without_restart_with_it_goes_on)
{
    struct world w;
    begin(&w, SPEC_WHEN_READY, stands_on_base, NULL);
    world_serve(&w, "base/0");
    world_serve(&w, "top/0");
    world_exited(&w, "base/0", KILLED);
    cr_assert(!world_process(&w, "top/0")->signalled);
    world_deinit(&w);
}

Test(depend, the_hub_stops_it_before_the_other)
{
    struct world w;
    begin(&w, SPEC_WHEN_READY, stands_on_base, NULL);
    world_serve(&w, "base/0");
    world_serve(&w, "top/0");
    world_stop(&w);
    cr_assert(world_process(&w, "top/0")->signalled && !world_process(&w, "base/0")->signalled,
              "not in order");
    world_exited(&w, "top/0", 0);
    cr_assert(world_process(&w, "base/0")->signalled, "the other was forgotten");
    world_exited(&w, "base/0", 0);
    cr_assert(w.ended);
    world_deinit(&w);
}

Test(depend, a_second_stop_waits_for_nobody)
{
    struct world w;
    begin(&w, SPEC_WHEN_READY, stands_on_base, NULL);
    world_serve(&w, "base/0");
    world_serve(&w, "top/0");
    world_stop(&w);
    world_stop(&w);
    cr_assert(world_process(&w, "base/0")->signalled, "it waited");
    world_deinit(&w);
}

Test(depend, one_that_waits_can_be_stopped)
{
    struct world w;
    begin(&w, SPEC_WHEN_READY, stands_on_base, NULL);
    world_tell(&w, "stop", "top");
    world_serve(&w, "base/0");
    cr_assert_eq(processes(&w, "top/0"), 0, "it was started though it was stopped");
    world_deinit(&w);
}

static void
two_on_base(struct worker_spec *spec)
{
    stands_on_base(spec);
    spec->replicas = 2;
}

Test(depend, calls_for_a_replica_that_waits_and_is_taken_away_are_told)
{
    struct world w;
    begin(&w, SPEC_WHEN_READY, two_on_base, NULL);
    const struct world_call only = {.worker = "top/1", .method = "echo", .seq = 1, .ttl_ms = 60000};
    const uint64_t waits = world_call(&w, CLIENT, &only);
    cr_assert_eq(world_outcome(&w, waits, NULL), -1);
    (void)world_say(&w, WORLD_ADMIN,
                    "[2,null,1,0,'hub','scale',0,null,{'worker':'top','replicas':1}]");
    cr_assert_eq(world_outcome(&w, waits, NULL), WIRE_ERR_UNAVAILABLE);
    expect_state(&w, "top/1", "none");
    world_deinit(&w);
}
