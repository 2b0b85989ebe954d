/* Memory runs out while calls wait in lines, follow each other, are made inside each other, run in
 * the background or are many: as in test_memory.c the n-th allocation fails, for each n. */
#include "broker/core/spec.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 4 };

static void
set_inside(bool now)
{
    memory.spared = !now;
}

/* The n-th request of a client. */
static uint64_t
ask(struct world *w, unsigned client, unsigned seq, const char *rest)
{
    return world_say(w, client, "[2,b'client number%3x',%u,0,%s]", client, seq, rest);
}

/* What the replica has been given is reported until there is nothing more. */
static void
work_off(struct world *w, const char *name)
{
    for (uint64_t number; (number = world_given(w, name)) != 0;) {
        world_done(w, name, number);
    }
}

static void
report(struct world *w, const char *name, uint64_t number, unsigned kind, const char *payload)
{
    const struct process *p = world_process(w, name);
    (void)world_say(w, p->peer, "[18,'%s',%llu,[[%llu,%u,%s]]]", name,
                    (unsigned long long)p->session, (unsigned long long)number, kind, payload);
}

/* ---- stories -----------------------------------------------------------------------------------
 */

static void
lines(struct world *w)
{
    static const char *const calls[] = {"'echo','echo',60000,{'priority':9},[<600>]",
                                        "'echo','again',60000,null,[1]",
                                        "'echo/0','echo',60000,null,[2]",
                                        "'echo','again',60000,{'key':'k'},[3]",
                                        "'echo','echo',60000,{'policy':'once'},[<900>]",
                                        "'echo','echo',60000,null,[<70000>]"};
    for (unsigned i = 0; i < 24; i++) {
        (void)ask(w, i % CLIENTS + 1, i + 1, calls[i % 6]);
    }
    world_serve(w, "echo/0");
    (void)world_given(w, "echo/0");
    world_exited(w, "echo/0", 9);
    world_pass_ms(w, 1000);
    world_serve(w, "echo/0");
    work_off(w, "echo/0");
    world_pass_ms(w, 100000);
}

static void
shared(struct world *w)
{
    world_serve(w, "echo/0");
    for (unsigned round = 1; round <= 5; round++) {
        for (unsigned c = 1; c <= CLIENTS; c++) {
            (void)ask(w, c, round, "'echo','same',60000,null,[<600>]");
        }
        const uint64_t number = world_given(w, "echo/0");
        if (round == 2) {
            (void)world_say(w, 1, "[4,b'client number%3x',2]", 1u);
        }
        if (round == 3) {
            report(w, "echo/0", number, 2, "[0,['x',<600>]]");
        }
        if (round == 4) {
            report(w, "echo/0", number, 1, "[3,0,'no',{'type':'Error'}]");
            world_poll(w, "echo/0", 1);
        } else {
            world_done(w, "echo/0", number);
        }
        work_off(w, "echo/0");
    }
    (void)ask(w, 1, 10, "'echo','same',60000,{'map':'ordered'},[[1],[1],[2],[1]]");
    (void)ask(w, 2, 10, "'echo','same',60000,null,[1]");
    (void)ask(w, 2, 11, "'echo','echo',60000,null,[4]");
    (void)ask(w, 2, 12, "'echo','same',60000,{'priority':9},[5]"); /* in a line of its own */
    world_exited(w, "echo/0", 9);
    world_pass_ms(w, 1000);
    world_serve(w, "echo/0");
    (void)world_given(w, "echo/0");
    world_exited(w, "echo/0", 9);
    world_pass_ms(w, 100000);
}

static void
nested(struct world *w)
{
    world_serve(w, "echo/0");
    world_serve(w, "other/0");
    (void)ask(w, 1, 1, "'echo','again',60000,null,[0]");
    const uint64_t parent = world_given(w, "echo/0");
    const uint64_t peer = world_process(w, "echo/0")->peer;
    static const char *const calls[] = {
        "'other','echo',60000,{'parent':%llu},[<600>]", "'other','same',60000,{'parent':%llu},{}",
        "'other','echo',60000,{'parent':%llu,'background':true},{}",
        "'other','echo',0,{'parent':%llu,'map':'ordered'},[[1],[2]]",
        "'echo/0','echo',60000,{'parent':%llu},{}"};
    for (unsigned i = 0; i < 10; i++) {
        char rest[120];
        const char *format = calls[i % 5], *at = strstr(format, "%llu");
        (void)snprintf(rest, sizeof rest, "%.*s%llu%s", (int)(at - format), format,
                       (unsigned long long)parent, at + 4);
        (void)world_say(w, peer, "[2,b'client of a part',%u,0,%s]", i + 1, rest);
    }
    const uint64_t inside = world_given(w, "other/0");
    world_exited(w, "echo/0", 9);
    world_done(w, "other/0", inside);
    work_off(w, "other/0");
    world_pass_ms(w, 1000);
    world_serve(w, "echo/0");
    work_off(w, "echo/0");
    world_pass_ms(w, 100000);
}

static void
background(struct world *w)
{
    world_serve(w, "echo/0");
    (void)ask(w, 1, 1, "'echo','echo',0,{'background':true},[<600>]");
    (void)ask(w, 1, 2, "'echo','again',0,{'background':true,'map':'completed'},[[1],[2],[3]]");
    (void)ask(w, 1, 3, "'echo','echo',1000,{'background':true,'priority':1},[3]");
    (void)ask(w, 2, 1, "'nobody','echo',0,{'background':true},[]");
    (void)world_say(w, 2, "[3,b'client number%3x',1,0]", 1u);
    const uint64_t first = world_given(w, "echo/0");
    report(w, "echo/0", first, 0, "<3000>");
    world_poll(w, "echo/0", 1);
    world_close(w, 1);
    (void)world_given(w, "echo/0");
    world_exited(w, "echo/0", 9);
    world_pass_ms(w, 1000);
    world_serve(w, "echo/0");
    work_off(w, "echo/0");
    (void)world_say(w, 2, "[3,b'client number%3x',1,0] [3,b'client number%3x',2,0]", 1u, 1u);
    (void)world_say(w, 3, "[6,null,['*.done'],'oldest',10,100000,0]");
    world_pass_ms(w, WIRE_BACKGROUND_KEEP_MS + WIRE_AWAY_MS);
}

static void
limits(struct world *w)
{
    for (unsigned i = 1; i <= 60; i++) {
        (void)ask(w, i % 2 + 1, i, "'other','echo',60000,null,[<2000>]");
    }
    (void)world_say(w, 3, "[6,null,['hub.limit'],'oldest',10,100000,0]");
    world_serve(w, "other/0");
    work_off(w, "other/0");
    world_pass_ms(w, 100000);
}

/* ---- and their end -----------------------------------------------------------------------------
 */

static void
queue_of_40(struct worker_spec *spec)
{
    spec->queue_max = 40;
}

/* When memory is there again and all have had their time, nothing of the calls is left. */
static void
expect_nothing_left(struct world *w)
{
    for (unsigned c = 1; c <= CLIENTS; c++) {
        world_close(w, c);
    }
    world_pass_ms(w, WIRE_TTL_MS_MAX + WIRE_BACKGROUND_KEEP_MS + WIRE_REMEMBER_MS + WIRE_KEEP_MS);
    const struct hub_counts left = hub_counts(w->hub);
    cr_assert(left.unfinished == 0, "%zu calls have no outcome", left.unfinished);
}

static void
tell(void (*story)(struct world *w))
{
    static struct world w; /* survives the jump */
    static jmp_buf out;
    struct hub_options options;
    world_options(&options);
    memory.spared = true;
    cr_assert(world_init_with(&w, &options), "it is spared");
    w.capacity = 1;
    w.out = &out;
    w.inside = NULL;
    if (setjmp(out) == 0) {
        world_worker(&w, "echo", NULL);
        world_worker(&w, "other", queue_of_40);
        world_configured(&w);
        for (unsigned c = 1; c <= CLIENTS; c++) {
            world_open(&w, c);
        }
        w.inside = set_inside;
        story(&w);
        w.inside = NULL;
        memory.spared = true;
        expect_nothing_left(&w);
    }
    memory.spared = true;
    world_deinit(&w);
}

static void
with_each_failure(void (*story)(struct world *w))
{
    int n = 0;
    do {
        memory.failed = false;
        memory.countdown = ++n;
        tell(story);
        cr_assert_lt(n, 5000, "there is no end of allocations");
    } while (memory.failed);
    cr_assert_gt(n, 30, "only %d allocations", n);
}

Test(memory_calls, runs_out_while_calls_wait_in_lines)
{
    with_each_failure(lines);
}

Test(memory_calls, runs_out_while_calls_follow_equal_ones)
{
    with_each_failure(shared);
}

Test(memory_calls, runs_out_while_calls_are_made_inside_calls)
{
    with_each_failure(nested);
}

Test(memory_calls, runs_out_while_calls_run_in_the_background)
{
    with_each_failure(background);
}

Test(memory_calls, runs_out_while_limits_are_reached)
{
    with_each_failure(limits);
}
