/* What processes use: asked of the shell, kept with the replicas, summed for the worker. */
#include "broker/core/parts.h"
#include "tests/unit/core/story.h"

enum { ROOT = 4 };

static const char status_call[] = "[2,b'sixteen bytes id',%d,0,'hub','status',30000,null,{}]";

static uint64_t
ask_status(struct world *w)
{
    static int seq;
    return world_say(w, ROOT, status_call, ++seq);
}

static void
begin(struct world *w)
{
    world_init(w);
    world_worker(w, "echo", NULL);
    world_configured(w);
    world_open(w, ROOT);
}

static struct worker *
echo(struct world *w)
{
    return worker_find(w->hub, span_text("echo"));
}

Test(usage, status_is_answered_when_the_samples_have_come)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    w.holds_usage = true;
    const uint64_t r = ask_status(&w);
    cr_assert(w.usage_asked && w.usage_count == 1 && w.usage_call != 0, "the shell is asked");
    cr_assert_str_eq(world_text(&w, r), "", "too early: %s", world_text(&w, r));
    w.usage[0].cpu_ms = 77;
    w.usage[0].rss_bytes = 5000;
    w.usage[0].threads = 3;
    world_usage(&w);
    cr_assert(world_says(&w, r, "'cpu_ms': 77, 'rss_bytes': 5000, 'threads': 3}"), "%s",
              world_text(&w, r));
    world_deinit(&w);
}

Test(usage, nothing_is_asked_when_nothing_runs)
{
    struct world w;
    world_init(&w);
    world_configured(&w);
    world_open(&w, ROOT);
    const uint64_t r = ask_status(&w);
    cr_assert(!w.usage_asked, "there is no process");
    cr_assert(world_says(&w, r, "'workers': {}"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(usage, a_process_that_is_gone_keeps_its_last_sample_until_its_end_is_told)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    (void)ask_status(&w);
    w.holds_usage = true;
    const uint64_t r = ask_status(&w);
    w.usage[0] = (struct hub_usage){.process = w.usage[0].process};
    world_usage(&w);
    cr_assert(world_says(&w, r, "'cpu_ms': 10000, "), "%s", world_text(&w, r));
    world_exited(&w, "echo/0", 0);
    const uint64_t last = ask_status(&w);
    cr_assert(world_says(&w, last, "'cpu_ms': 0, 'rss_bytes': 0, 'threads': 0"), "%s",
              world_text(&w, last));
    world_deinit(&w);
}

Test(usage, a_sample_of_the_process_before_is_not_that_of_the_next)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    w.holds_usage = true;
    const uint64_t r = ask_status(&w);
    const size_t count = w.usage_count;
    world_exited(&w, "echo/0", 3 << 8);
    world_pass_ms(&w, 5000);
    cr_assert(count == 1 && w.usage_count == 1, "one sample");
    world_usage(&w);
    cr_assert(world_says(&w, r, "'cpu_ms': 0, "), "%s", world_text(&w, r));
    cr_assert(echo(&w)->cpu_ms == 0, "%d ms", (int)echo(&w)->cpu_ms);
    world_deinit(&w);
}

/* A counter that is shown as one must not go back. */
Test(usage, the_sum_of_a_worker_goes_on_over_its_processes)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    w.holds_usage = true;
    static const struct {
        bool exits;
        int64_t cpu_ms, sum_ms;
    } steps[] = {
        {false, 100, 100}, {false, 150, 150}, {true, 20, 170}, {false, 15, 170}, {false, 30, 185}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (steps[i].exits) {
            world_exited(&w, "echo/0", 3 << 8);
            world_pass_ms(&w, 5000);
            world_serve(&w, "echo/0");
        }
        (void)ask_status(&w);
        w.usage[0].cpu_ms = steps[i].cpu_ms;
        world_usage(&w);
        cr_assert(echo(&w)->cpu_ms == steps[i].sum_ms, "step %zu: %d ms", i, (int)echo(&w)->cpu_ms);
    }
    world_deinit(&w);
}

/* A sample that nobody waits for is stored, and answers nobody. */
Test(usage, the_core_may_ask_for_itself)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    struct hub_usage u = {.process = echo(&w)->replicas[0]->process,
                          .known = true,
                          .cpu_ms = 5,
                          .rss_bytes = 9,
                          .threads = 2};
    struct hub_input in = {.kind = HUB_IN_USAGE};
    in.usage.list = &u;
    in.usage.count = 1;
    w.effects = 0;
    world_step(&w, &in);
    cr_assert(w.effects == 0, "nobody is told");
    cr_assert(echo(&w)->replicas[0]->rss_bytes == 9, "stored");
    world_deinit(&w);
}
