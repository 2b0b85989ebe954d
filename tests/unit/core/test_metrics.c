/* What is counted: outcomes, times, waiting, restarts, refusals; and that it stays bounded. */
#include "broker/core/parts.h"
#include "tests/unit/core/story.h"

#include <stdio.h>
#include <string.h>

enum { ADMIN = 4 };

static struct tally *
tally(struct world *w, const char *name)
{
    struct worker *echo = worker_find(w->hub, span_text("echo"));
    for (uint32_t i = 0; i < echo->tallies.count; i++) {
        if (strcmp(echo->tallies.list[i].name, name) == 0) {
            return &echo->tallies.list[i];
        }
    }
    return NULL;
}

static uint64_t
ask_metrics(struct world *w, const char *args)
{
    world_open(w, ADMIN);
    const uint64_t r = world_say(w, ADMIN, "[2,null,1,0,'hub','metrics',0,null,%s]", args);
    return r;
}

static uint64_t
sum(const struct histogram *h)
{
    uint64_t n = 0;
    for (size_t i = 0; i <= METRICS_BOUNDS; i++) {
        n += h->counts[i];
    }
    return n;
}

/* The number of the call that the replica has been given. */
static uint64_t
given(struct world *w)
{
    const uint64_t call = world_given(w, "echo/0");
    cr_assert(call != 0, "nothing was given");
    return call;
}

static void
end(struct world *w)
{
    world_close(w, ADMIN);
    story_end(w);
}

Test(metrics, a_call_is_counted_with_its_outcome_its_time_and_its_waiting)
{
    struct world w;
    story_begin(&w, 1);
    (void)story_call(&w, 1, 1, "'echo','echo',60000,null,{}");
    (void)story_call(&w, 1, 2, "'echo','echo',60000,null,{}");
    world_pass_ms(&w, 2);
    story_done(&w, "echo/0", given(&w), "1");
    world_pass_ms(&w, 300);
    story_failed(&w, "echo/0", given(&w));
    const struct tally *t = tally(&w, "echo");
    cr_assert(t->outcomes[WIRE_ERR_OK] == 1 && sum(&t->duration) == 2 && sum(&t->queue) == 2,
              "both are counted once");
    cr_assert(t->duration.sum_ns == 302 * NS_PER_MS, "%llu",
              (unsigned long long)t->duration.sum_ns);
    cr_assert(t->queue.sum_ns == 2 * NS_PER_MS && t->queue.counts[0] == 1, "%llu",
              (unsigned long long)t->queue.sum_ns);
    cr_assert(t->duration.counts[METRICS_BOUND_2500] == 1 &&
                  t->duration.counts[METRICS_BOUND_1000000] == 1,
              "2 ms and 300 ms");
    end(&w);
}

/* At the bound itself a time belongs below it, as Prometheus has it; beyond all there is one more.
 */
Test(metrics, a_time_is_in_the_first_bucket_whose_bound_it_does_not_pass)
{
    static const struct {
        int64_t ns;
        size_t bucket;
    } times[] = {{50000, METRICS_BOUND_50},
                 {50001, METRICS_BOUND_100},
                 {60 * INT64_C(1000000000), METRICS_BOUND_60000000},
                 {60 * INT64_C(1000000000) + 1, METRICS_BOUNDS}};
    struct world w;
    story_begin(&w, 1);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        (void)story_call(&w, 1, (unsigned)i + 1, "'echo','echo',3600000,null,{}");
        const uint64_t call = given(&w);
        w.now_ns += times[i].ns;
        story_done(&w, "echo/0", call, "1");
        cr_assert(tally(&w, "echo")->duration.counts[times[i].bucket] == 1, "case %zu", i);
    }
    end(&w);
}

Test(metrics, a_call_that_never_began_has_an_outcome_and_no_time)
{
    struct world w;
    story_begin(&w, 1);
    (void)story_call(&w, 1, 1, "'echo','echo',60000,null,{}");
    (void)story_call(&w, 1, 2, "'echo','echo',100,null,{}");
    world_pass_ms(&w, 200);
    const struct tally *t = tally(&w, "echo");
    cr_assert(t->outcomes[WIRE_ERR_DEADLINE_EXCEEDED] == 1, "it is counted");
    cr_assert(sum(&t->duration) == 0 && sum(&t->queue) == 1, "only the first was given");
    story_done(&w, "echo/0", given(&w), "1");
    end(&w);
}

/* Whatever names callers make up. */
Test(metrics, methods_that_the_worker_did_not_declare_are_counted_together)
{
    struct world w;
    story_begin(&w, 1);
    const uint32_t before = worker_find(w.hub, span_text("echo"))->tallies.count;
    for (unsigned i = 1; i <= 20; i++) {
        (void)story_call(&w, 1, i, "'echo','made_up_%u',60000,null,{}", i);
    }
    cr_assert(tally(&w, "*")->outcomes[WIRE_ERR_UNIMPLEMENTED] == 20, "under one name");
    cr_assert(worker_find(w.hub, span_text("echo"))->tallies.count == before, "no more");
    end(&w);
}

/* A new version of a worker has other methods; what was counted stays, up to a bound. */
Test(metrics, tallies_of_other_methods_stay_up_to_a_bound)
{
    struct tallies t;
    char name[16];
    cr_assert(tallies_init(&t), "memory");
    for (unsigned i = 0; i < 2 * WIRE_METHODS_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        const uint16_t place = tally_place(&t, name);
        cr_assert(i < WIRE_METHODS_MAX ? place == i + 1 : place == TALLY_OTHER, "%u: %u", i,
                  (unsigned)place);
    }
    cr_assert(tally_place(&t, "m7") == 8 && t.count == WIRE_METHODS_MAX + 1, "%u", t.count);
    tallies_deinit(&t);
    tallies_deinit(&t);
}

Test(metrics, restarts_are_counted_by_their_reason)
{
    static const struct {
        int status;
        enum restart_reason reason;
    } ends[] = {{9, RESTART_signal}, {3 << 8, RESTART_exit}, {75 << 8, RESTART_again}};
    struct world w;
    story_begin(&w, 1);
    const uint64_t *counts = worker_find(w.hub, span_text("echo"))->restarts;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        world_exited(&w, "echo/0", ends[i].status);
        cr_assert(counts[ends[i].reason] == 1, "case %zu", i);
        world_pass_ms(&w, 5000);
        world_serve(&w, "echo/0");
    }
    world_open(&w, ADMIN);
    (void)world_say(&w, ADMIN, "[2,null,1,0,'hub','restart',0,null,['echo']]");
    world_exited(&w, "echo/0", 0);
    cr_assert(counts[RESTART_asked] == 1, "asked for");
    world_started(&w, "echo/0");
    world_pass_ms(&w, 120000);
    world_exited(&w, "echo/0", 9);
    cr_assert(counts[RESTART_late] == 1 && counts[RESTART_signal] == 1, "not ready in time");
    end(&w);
}

Test(metrics, the_last_error_stays_when_the_replica_is_ready_again)
{
    struct world w;
    story_begin(&w, 1);
    world_exited(&w, "echo/0", 3 << 8);
    world_pass_ms(&w, 5000);
    world_serve(&w, "echo/0");
    expect_says(&w, ask_metrics(&w, "{}"), "'last_error': 'exited with 3'");
    end(&w);
}

Test(metrics, refused_calls_are_counted_by_what_was_full)
{
    struct hub_options options;
    struct world w;
    world_options(&options);
    options.client_calls_max = 2;
    story_begin_with(&w, 1, &options);
    for (unsigned i = 1; i <= 4; i++) {
        (void)story_call(&w, 1, i, "'echo','echo',60000,null,{}");
    }
    (void)story_call(&w, 2, 1, "'nobody','echo',60000,null,{}");
    expect_says(&w, ask_metrics(&w, "{}"),
                "'refused': {'queue_size': 0, 'client_calls': 2, 'client_bytes': 0, 'calls_max': "
                "0, 'payload_max': 0, 'background': 0, 'no_worker': 1}");
    story_done(&w, "echo/0", given(&w), "1");
    story_done(&w, "echo/0", given(&w), "1");
    end(&w);
}

Test(metrics, one_worker_can_be_asked_for)
{
    struct world w;
    story_begin(&w, 1);
    story_worker(&w, "other", 1, 10);
    uint64_t r = ask_metrics(&w, "{}");
    expect_says(&w, r, "'echo': {'autostart'");
    expect_says(&w, r, "'other': {'autostart'");
    r = world_say(&w, ADMIN, "[2,null,2,0,'hub','metrics',0,null,{'worker':'other'}]");
    cr_assert(!world_says(&w, r, "'echo': {'autostart'"), "%s", world_text(&w, r));
    expect_says(&w, r, "'other': {'autostart'");
    r = world_say(&w, ADMIN, "[2,null,3,0,'hub','metrics',0,null,{'worker':'nobody'}]");
    expect_says(&w, r, "there is no worker 'nobody'");
    end(&w);
}

Test(metrics, states_and_what_is_running_are_told)
{
    struct world w;
    story_begin(&w, 2);
    (void)story_call(&w, 1, 1, "'echo','echo',60000,null,{}");
    const uint64_t r = ask_metrics(&w, "{}");
    expect_says(&w, r, "'up': true, 'running': 1, 'cpu_ms': 20010, 'rss_bytes': 8196096, ");
    expect_says(&w, r, "'states': {'stopped': 0, 'starting': 0, 'ready': 1, 'busy': 1, ");
    expect_says(&w, r, "'bounds_us': [50, 100, 250, ");
    expect_says(&w, r, "'own_calls': 1, ");
    story_done(&w, "echo/0", given(&w), "1");
    end(&w);
}

/* More than fits into a message is refused with what to do about it. */
Test(metrics, too_much_for_one_message_is_refused)
{
    struct hub_options options;
    struct world w;
    world_options(&options);
    options.message_bytes = 2000;
    story_begin_with(&w, 1, &options);
    expect_says(&w, ask_metrics(&w, "{}"), "ERROR 1 8 0 'the metrics of all workers are too much");
    end(&w);
}

/* Who left and has nothing here any more is only remembered. */
Test(metrics, clients_are_told_with_their_share)
{
    struct world w;
    story_begin(&w, 1);
    (void)story_call(&w, 1, 1, "'echo','echo',60000,null,{}");
    (void)story_call(&w, 1, 2, "'echo','echo',60000,null,{}");
    (void)story_call(&w, 2, 1, "'echo','nope',60000,null,{}");
    world_open(&w, ADMIN);
    uint64_t r = world_say(&w, ADMIN, "[2,null,1,0,'hub','clients',0,null,{}]");
    expect_says(&w, r, "'connections': 1, 'unfinished': 2, 'calls': 2, 'background': 0, ");
    expect_says(&w, r, "'connections': 1, 'unfinished': 0, 'calls': 1, ");
    story_done(&w, "echo/0", given(&w), "1");
    story_done(&w, "echo/0", given(&w), "1");
    world_close(&w, ONE);
    world_close(&w, TWO);
    world_pass_ms(&w, WIRE_KEEP_MS + 60000);
    r = world_say(&w, ADMIN, "[2,null,2,0,'hub','clients',0,null,{}]");
    cr_assert(hub_counts(w.hub).clients == 3, "they are remembered");
    const char *text = world_text(&w, r);
    cr_assert(strstr(text, "'connections': 0") == NULL, "%s", text);
    end(&w);
}
