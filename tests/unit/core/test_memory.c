/* Memory runs out inside the hub: the n-th allocation of a story fails, for each n. Nothing
 * crashes, nothing leaks, what the hub says is well formed, and either its invariants hold
 * afterwards or hub_step has said that it failed. */
#include "broker/core/spec.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"
#include "tests/unit/core/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OTHER = 2, USER = 900, NETWORK = 30 };

#define ID "sixteen bytes id"

static void
set_inside(bool now)
{
    memory.spared = !now;
}

/* ---- stories
 * ------------------------------------------------------------------------------------- */

static void
two(struct worker_spec *spec)
{
    spec->replicas = 2;
}

static void
calls(struct world *w)
{
    world_open(w, ONE);
    world_serve(w, "echo/0");
    uint64_t r =
        world_say(w, ONE, "[2,b'" ID "',1,0,'echo','echo',60000,{'progress':true},[<600>]]");
    const uint64_t given = world_given(w, "echo/0");
    const struct process *p = world_process(w, "echo/0");
    (void)world_say(w, p->peer, "[18,'echo/0',%llu,[[%llu,3,[1,'half']]]]",
                    (unsigned long long)p->session, (unsigned long long)given);
    r = world_say(w, ONE, "[3,b'" ID "',1,0]");
    (void)world_say(w, ONE, "[2,b'" ID "',2,0,'echo/1','again',60000,null,{}]");
    world_done(w, "echo/0", given);
    (void)world_expect(w, r, 0, WIRE_REC_RESULT);
    world_serve(w, "echo/1");
    (void)world_given(w, "echo/1");
    world_exited(w, "echo/1", 9);
    world_pass_ms(w, 1000);
    world_serve(w, "echo/1");
    (void)world_say(w, ONE,
                    "[2,null,1,0,'echo/1','again',0,null,{}] [2,null,2,0,'echo','nope',0,null,{}] "
                    "[7,<2000>]");
    (void)world_say(w, ONE, "[4,b'" ID "',2]");
    (void)world_say(w, p->peer, "[19,'echo/1',%llu]",
                    (unsigned long long)world_process(w, "echo/1")->session);
    (void)world_say(w, ONE, "[3,b'nobody knows thi',2,0]");
    world_close(w, ONE);
    world_pass_ms(w, 200000);
}

static void
events(struct world *w)
{
    world_open(w, ONE);
    world_open(w, OTHER);
    const uint64_t waits = world_say(w, OTHER, "[6,null,['a.>','b'],'new',10,100000,20000]");
    (void)world_say(w, ONE, "[5,null,1,'old.x',null,<100>]"); /* the ring lets go of it */
    for (int i = 1; i < 60; i++) {
        (void)world_say(w, ONE, "[5,b'" ID "',%d,'a.t%d',null,<2000>]", i, i % 7);
    }
    (void)world_expect(w, waits, 0, WIRE_REC_EVENTS);
    (void)world_say(w, ONE, "[5,null,1,'b',null,<2000>]");
    (void)world_say(w, OTHER, "[6,null,['>'],'last',100,100000,0]");
    (void)world_say(w, OTHER, "[6,null,['>'],'oldest',100,100000,0]");
    (void)world_say(w, OTHER, "[6,null,['*.t3','a.*','old.x'],1,100,100000,0]");
    (void)world_say(w, OTHER, "[6,b'" ID "',['b'],'new',100,100000,0]");
    world_pass_ms(w, 30000);
    (void)world_say(w, ONE, "[5,b'" ID "',60,'a.t3',null,1]");
}

static void
administration(struct world *w)
{
    static const char *const asked[] = {
        "'status',0,null,{}",
        "'describe',0,null,['hub']",
        "'describe',0,null,['echo']",
        ("'run',0,null,{'name':'new','command':['sh','-c','true'],'working_dir':'/',"
         "'environment':{'A':'1'},'replicas':3}"),
        "'scale',0,null,['new',5]",
        "'scale',0,null,['new',1]",
        "'stop',0,null,['new']",
        "'log_level',0,null,['debug','echo']",
        "'send',0,null,['echo','x']",
        "'follow',0,null,[['echo','echo/0']]",
        "'logs',0,null,['echo']",
        "'stop',0,null,['nobody']",
        "'nonsense',0,null,[]"};
    world_open(w, ONE);
    world_open_network(w, NETWORK);
    (void)world_say(w, NETWORK, "[1,{'token':'a token of the network'}]");
    world_serve(w, "echo/0");
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        (void)world_say(w, i % 2 == 0 ? ONE : NETWORK, "[2,null,1,0,'hub',%s]", asked[i]);
    }
    struct hub_input in = {.kind = HUB_IN_LOGS};
    in.logs.call = w->logs.call;
    in.logs.payload = (struct span){(const uint8_t *)"\xc0", 1};
    world_step(w, &in);
    in = (struct hub_input){.kind = HUB_IN_OVERSIZED, .peer = ONE};
    in.message.request = w->open[w->open_count++] = 4242;
    world_step(w, &in);
    world_alive(w, 99, "nobody/0");
    world_stop(w);
    world_pass_ms(w, 100000);
}

static void
many(struct world *w)
{
    for (unsigned i = 0; i < 80; i++) {
        world_open(w, 1000 + i);
        (void)world_say(w, 1000 + i, "[2,b'client number%3x',1,0,'echo','echo',60000,null,{}]", i);
    }
    world_stop(w);
    for (unsigned i = 0; i < 80; i++) {
        world_close(w, 1000 + i);
    }
    world_pass_ms(w, 100000);
}

/* What was running before this broker, what does not start, what is killed, and strangers. */
static void
lives(struct world *w)
{
    world_alive(w, 5, "echo/1");
    world_attach(w, "echo/1");
    world_poll(w, "echo/1", 4);
    world_open(w, ONE);
    (void)world_say(w, ONE,
                    "[2,b'" ID "',1,0,'echo/1','again',60000,null,{}] "
                    "[2,b'" ID "',2,0,'echo/1','echo',60000,null,{}]");
    (void)world_given(w, "echo/1");
    world_exited(w, "echo/1", 9);
    world_start_failed(w, "echo/0", false);
    world_pass_ms(w, 1000);
    world_serve(w, "echo/0");
    world_open_network(w, NETWORK);
    world_close(w, ONE);
    world_pass_ms(w, 10000);
    world_stop(w);
    world_pass_ms(w, 200000);
}

/* Replicas that have ended, and then it is found that they run. */
static void
finds(struct world *w)
{
    for (unsigned i = 0; i < 2; i++) {
        world_started(w, i == 0 ? "echo/0" : "echo/1");
        world_exited(w, i == 0 ? "echo/0" : "echo/1", 0);
    }
    world_alive(w, 77, "echo/0");
    world_alive(w, 78, "echo/1");
    world_attach(w, "echo/0");
    world_poll(w, "echo/0", 1);
    world_exited(w, "echo/0", 9);
    world_stop(w);
}

#define SHARED "'methods':{'look':{'policy':'shared'},'again':{'policy':'idempotent'}}"

static void
pieces(struct world *w)
{
    world_open(w, ONE);
    world_open(w, TWO);
    world_started(w, "echo/0");
    story_attach(w, "echo/0", 1, SHARED);
    (void)story_call(w, ONE, 1, "'echo','look',60000,null,{}");
    (void)story_call(w, TWO, 1, "'echo','look',60000,null,{}");
    unsigned long long call = world_given(w, "echo/0");
    (void)story_report(w, "echo/0", "[%llu,2,[0,['a',<9000>]]],[77,0,null]", call);
    (void)story_report(w, "echo/0", "[%llu,2,[2,[<1048576>]]],[%llu,3,[1,'on']]", call, call);
    (void)story_wait(w, ONE, 1, 1);
    (void)story_wait(w, ONE, 1, 3);
    story_done(w, "echo/0", call, "7");
    story_done(w, "echo/0", world_given(w, "echo/0"), "8");
    (void)story_call(w, ONE, 2, "'echo','look',60000,{'map':'ordered'},[{},{},[<600>],[2]]");
    (void)story_call(w, TWO, 2, "'echo/*','again',60000,null,{}");
    world_started(w, "echo/1");
    story_attach(w, "echo/1", 1, SHARED);
    story_done(w, "echo/1", world_given(w, "echo/1"), "1");
    story_failed(w, "echo/0", world_given(w, "echo/0"));
    world_exited(w, "echo/1", 9);
    (void)story_wait(w, ONE, 2, 1);
    (void)world_say(w, ONE, "[4," STORY_ONE ",2]");
    world_close(w, TWO);
    world_pass_ms(w, 100000);
}

static void
places(struct world *w)
{
    world_open(w, ONE);
    world_open(w, TWO);
    world_started(w, "echo/0");
    story_attach(w, "echo/0", 1, SHARED);
    for (unsigned i = 1; i < 8; i++) {
        (void)story_call(w, ONE, i, "'echo','again',60000,{'priority':%u,'key':'%u'},{}", i, i);
        (void)story_call(w, TWO, i, "'echo/%u','again',60000,{'background':true},[%u]", i % 2, i);
    }
    const unsigned long long outer = world_given(w, "echo/0");
    (void)story_call(w, TWO, 20, "'echo','again',60000,{'parent':%llu},{}", outer);
    (void)story_call(w, ONE, 10, "'hub','lease',60000,null,{'worker':'echo'}");
    story_done(w, "echo/0", outer, "1");
    world_started(w, "echo/1");
    story_attach(w, "echo/1", 1, SHARED);
    for (unsigned i = 11; i < 15; i++) {
        (void)story_call(w, ONE, i, "'hub','release',60000,null,{'replica':'echo/%u'}", i % 2);
        (void)story_call(w, ONE, 10 + i, "'echo','again',60000,null,['deadly']");
        (void)world_given(w, "echo/0");
        world_exited(w, "echo/0", 11);
        world_pass_ms(w, 4000);
        world_started(w, "echo/0");
        story_attach(w, "echo/0", 1, SHARED);
    }
    (void)story_call(w, ONE, 40, "'hub','dlq_list',60000,null,{}");
    (void)story_call(w, ONE, 41, "'hub','dlq_show',60000,null,[1]");
    (void)story_call(w, ONE, 42, "'hub','dlq_retry',60000,null,[1]");
    world_close(w, ONE);
    world_pass_ms(w, 700000);
}

/* ---- what grows -------------------------------------------------------------------------------
 */

static void
renewing(struct worker_spec *spec)
{
    spec->age_ms_max = 50000;
    spec->busy_ms_max = spec->heartbeat_ms = 10000;
    spec->memory_bytes_max = 1 << 20; /* processes of this world have more */
    spec->replace_stuck = true;
}

/* So many deadlines are there before; whichever comes next needs more room. */
static unsigned deadlines_before;

static void
deadlines(struct world *w)
{
    /* None of this fails: clients that have left, each of which is remembered for a time. */
    w->inside = NULL;
    world_open(w, 50);
    for (unsigned i = 0; i < deadlines_before; i++) {
        (void)world_say(w, 50, "[3,b'client number%3u',1,0]", i);
    }
    world_open(w, ONE);
    world_open(w, TWO);
    world_started(w, "echo/0");
    story_attach(w, "echo/0", 1, SHARED);
    (void)story_wait(w, TWO, 1, 0);
    world_close(w, 50);
    w->inside = set_inside;
    world_open_network(w, NETWORK);
    (void)world_say(w, ONE, "[5,null,1,'a',null,1]");
    (void)world_say(w, ONE, "[6,null,['b'],'new',10,100000,20000]");
    (void)story_call(w, ONE, 1, "'hub','lease',60000,null,{'worker':'echo'}");
    world_started(w, "echo/1");
    story_attach(w, "echo/1", 1, SHARED);
    (void)story_call(w, ONE, 2, "'echo','again',60000,null,{}");
    (void)world_given(w, "echo/1");
    world_exited(w, "echo/1", 11);
    world_worker(w, "renew", renewing);
    world_tell(w, "start", "renew");
    world_serve(w, "renew/0");
    world_close(w, TWO);
    world_close(w, ONE);
}

/* So many replicas do not start in time and so many strangers do not say who they are, when a
 * process has ended or one is found that nobody knows: all that follows from one step. */
static struct {
    unsigned late, strangers;
    bool ended;
} before;

static void
thirty(struct worker_spec *spec)
{
    spec->replicas = 30;
    spec->start_timeout_ms = 4000;
}

static void
crowd(struct worker_spec *spec)
{
    spec->replicas = before.late - 30;
    spec->start_timeout_ms = 4000;
}

static void
start(struct world *w, const char *worker, unsigned replicas)
{
    world_tell(w, "start", worker);
    for (unsigned i = 0; i < replicas; i++) {
        char name[WORLD_NAME];
        (void)snprintf(name, sizeof name, "%s/%u", worker, i);
        world_started(w, name);
    }
}

static void
much(struct world *w)
{
    /* None of this fails, and there is room for all that a step brings here. */
    w->inside = NULL;
    world_worker(w, "late", thirty);
    world_worker(w, "too-late", crowd);
    start(w, "late", 30);
    start(w, "too-late", before.late - 30);
    world_started(w, "echo/0");
    for (unsigned i = 0; i < before.strangers; i++) {
        world_open_network(w, NETWORK + i);
    }
    w->now_ns += (int64_t)WIRE_UNTRUSTED_MS * 1000000;
    w->inside = set_inside;
    if (before.ended) {
        world_exited(w, "echo/0", 9);
    } else {
        world_alive(w, 5, "nobody/0");
    }
}

/* A process is replaced, and the old one, and then the new one, survive SIGKILL. */
static void
renewals(struct world *w)
{
    world_worker(w, "renew", renewing);
    world_tell(w, "start", "renew");
    world_serve(w, "renew/0");
    world_pass_ms(w, 2500);
    world_serve(w, "renew/0#2");
    world_pass_ms(w, 12000);
    world_tell(w, "restart", "renew");
    world_pass_ms(w, 12000);
}

/* One story with one failure; how it ends does not matter, that it ends does. */
static void
tell(void (*story)(struct world *w))
{
    static struct world w; /* survives the jump */
    static jmp_buf out;
    struct hub_options options;
    world_options(&options);
    options.silences = &(struct hub_silence){"a.t3", 1000};
    options.silence_count = 1;
    memory.spared = false;
    const bool begun = world_init_with(&w, &options);
    memory.spared = true;
    if (!begun) {
        return;
    }
    w.inside = set_inside;
    w.out = &out;
    if (setjmp(out) == 0) {
        world_worker(&w, "echo", two);
        world_configured(&w);
        story(&w);
    } else if (setjmp(out) == 0) {
        /* Somebody was told that there is no memory: there is again, and the hub goes on. */
        w.out = &out;
        world_pass_ms(&w, 300000);
    }
    memory.spared = true;
    world_deinit(&w);
}

/* How many allocations there are. */
static int
each_failure(void (*story)(struct world *w))
{
    int n = 0;
    memory.spared = true;
    do {
        memory.failed = false;
        memory.countdown = ++n;
        tell(story);
        cr_assert_lt(n, 5000, "there is no end of allocations");
    } while (memory.failed);
    return n;
}

static void
with_each_failure(void (*story)(struct world *w))
{
    const int n = each_failure(story);
    cr_assert_gt(n, 30, "only %d allocations", n);
}

Test(memory, runs_out_while_calls_are_made)
{
    with_each_failure(calls);
}

Test(memory, runs_out_while_events_are_told)
{
    with_each_failure(events);
}

Test(memory, runs_out_while_the_hub_is_administered)
{
    with_each_failure(administration);
}

Test(memory, runs_out_while_processes_come_and_go)
{
    with_each_failure(lives);
}

Test(memory, runs_out_while_many_come_and_go)
{
    with_each_failure(many);
}

Test(memory, runs_out_while_outcomes_come_in_pieces)
{
    with_each_failure(pieces);
}

Test(memory, runs_out_while_calls_find_their_places)
{
    with_each_failure(places);
}

Test(memory, runs_out_while_processes_are_replaced)
{
    with_each_failure(renewals);
}

Test(memory, runs_out_while_processes_are_found)
{
    with_each_failure(finds);
}

/* Their room doubles at 64. */
Test(memory, runs_out_when_one_more_deadline_needs_room)
{
    for (deadlines_before = 48; deadlines_before < 64; deadlines_before++) {
        with_each_failure(deadlines);
    }
}

/* As many as there is room for from the beginning, and then some more: the first of these needs it.
 */
Test(memory, runs_out_when_one_more_effect_needs_room)
{
    for (unsigned i = 0; i < 2; i++) {
        before.ended = i == 1;
        before.late = 31;
        before.strangers = 4;
        const int without = each_failure(much);
        for (before.late = 63; before.late <= 67; before.late++) {
            const int with = each_failure(much);
            cr_assert(with == without + 1, "%u: %d and %d", before.late, with, without);
        }
    }
}
