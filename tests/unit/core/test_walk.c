/* A walk by chance through all that can happen to calls, with hub_check() after each step; at the
 * end everybody goes, and nothing may be left. Each seed is a walk; PRONG_WALKS says how many. */
#include "tests/unit/core/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLICAS = 3, STEPS = 700, SEQS = 40, WALKS = 60 };

struct walk {
    struct world w;
    uint64_t seed;
    unsigned seq[3];   /* of clients 1 and 2: the newest */
    bool here[3];      /* their connections */
    uint64_t runs[6];  /* what the replicas run */
    unsigned items[6]; /* of it that were reported */
    uint64_t calls;    /* the newest number given out */
};

static unsigned
draw(struct walk *k, unsigned below)
{
    k->seed = k->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(k->seed >> 33) % below;
}

static const char *
one_of(struct walk *k, const char *const *words, unsigned count)
{
    return words[draw(k, count)];
}

#define ONE_OF(k, ...)                                                                             \
    one_of(k, (const char *const[]){__VA_ARGS__},                                                  \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static const char *
replica_of(unsigned i)
{
    static const char *const names[] = {"echo/0", "echo/1", "echo/2", "echo/3", "echo/4", "echo/5"};
    return names[i];
}

/* The newest process of a replica when it can speak, else NULL. */
static struct process *
speaks(struct walk *k, unsigned i)
{
    struct process *found = NULL;
    for (size_t n = 0; n < k->w.process_count; n++) {
        struct process *p = &k->w.process[n];
        found = strcmp(p->name, replica_of(i)) == 0 ? p : found;
    }
    return found != NULL && found->running && found->session != 0 ? found : NULL;
}

/* ---- what clients do ---------------------------------------------------------------------------
 */

static void
do_call(struct walk *k, unsigned who)
{
    char parent[40] = "";
    if (draw(k, 6) == 0 && k->calls != 0) {
        (void)snprintf(parent, sizeof parent, ",'parent':%llu", (unsigned long long)k->calls);
    }
    const char *option =
        ONE_OF(k, "", "", "", "", ",'map':'ordered'", ",'map':'completed'", ",'key':'a'",
               ",'key':'b'", ",'priority':9", ",'background':true",
               ",'background':true,'map':'completed'", ",'policy':'once'", ",'progress':true");
    const bool map = strstr(option, "map") != NULL;
    const char *worker = !map && strstr(option, "key") == NULL
                             ? ONE_OF(k, "echo", "echo", "echo", "echo/*", "echo/0", "echo/1")
                             : "echo";
    const char *args = map ? ONE_OF(k, "[{},{},{}]", "[[1],[2],[1],{}]", "[]", "[{'a':1},{'a':1}]")
                           : ONE_OF(k, "{}", "{'a':1}", "[1]", "[<3000>]");
    const unsigned ack = draw(k, 5) == 0 && k->seq[who] > 3 ? k->seq[who] - draw(k, 4) : 0;
    (void)world_say(&k->w, who, "[2,%s,%u,%u,'%s','%s',%u,{'x':1%s%s},%s]",
                    who == ONE ? STORY_ONE : STORY_TWO, ++k->seq[who], ack, worker,
                    ONE_OF(k, "echo", "again", "look", "look"), draw(k, 3) * 4000 + 100, option,
                    parent, args);
}

static void
do_lease(struct walk *k, unsigned who)
{
    const char *replica = replica_of(draw(k, REPLICAS));
    const unsigned seq = ++k->seq[who];
    switch (draw(k, 4)) {
    case 0:
        (void)story_call(&k->w, who, seq, "'hub','release',1000,null,{'replica':'%s'}", replica);
        return;
    case 1:
        (void)story_call(&k->w, who, seq, "'hub','renew',1000,null,{'replica':'%s'}", replica);
        return;
    default:
        (void)story_call(&k->w, who, seq, "'hub','lease',%u,null,{'worker':'echo','ttl_ms':%u}",
                         draw(k, 5000), draw(k, 5000));
    }
}

static void
do_client(struct walk *k)
{
    const unsigned who = ONE + draw(k, 2);
    const unsigned seq = k->seq[who] - (k->seq[who] > 8 ? draw(k, 8) : 0);
    if (!k->here[who]) {
        k->here[who] = draw(k, 3) == 0;
        if (k->here[who]) {
            world_open(&k->w, who);
        }
        return;
    }
    const unsigned what = draw(k, 20);
    if (what == 0) {
        world_close(&k->w, who);
        k->here[who] = false;
    } else if (what < 9 || seq == 0) {
        do_call(k, who);
    } else if (what < 12) {
        do_lease(k, who);
    } else if (what < 17) {
        (void)story_wait(&k->w, who, seq, draw(k, 4));
    } else {
        (void)world_say(&k->w, who, "[4,%s,%u]", who == ONE ? STORY_ONE : STORY_TWO, seq);
    }
}

/* ---- what replicas do --------------------------------------------------------------------------
 */

static void
come_up(struct walk *k, unsigned i)
{
    struct process *p = NULL;
    for (size_t n = 0; n < k->w.process_count; n++) {
        p = strcmp(k->w.process[n].name, replica_of(i)) == 0 ? &k->w.process[n] : p;
    }
    if (p == NULL || p->running || p->session != 0) {
        return; /* it was not started, or has ended */
    }
    world_started(&k->w, replica_of(i));
    story_attach(&k->w, replica_of(i), 1,
                 "'methods':{'echo':{'policy':'once'},'again':{'policy':'idempotent'},"
                 "'look':{'policy':'shared'}}");
    k->runs[i] = 0;
}

static void
do_report(struct walk *k, unsigned i)
{
    const unsigned long long call = k->runs[i];
    const unsigned what = draw(k, 10);
    if (what < 5) {
        k->runs[i] = 0;
        story_done(&k->w, replica_of(i), call, draw(k, 4) == 0 ? "<20000>" : "7");
    } else if (what < 6) {
        k->runs[i] = 0;
        story_failed(&k->w, replica_of(i), call);
    } else if (what < 7) {
        (void)story_report(&k->w, replica_of(i), "[%llu,3,[1,'on']]", call);
    } else {
        /* Sometimes one is left out, sometimes it is told twice. */
        const unsigned first =
            k->items[i] + (draw(k, 12) == 0) - (k->items[i] > 0 && draw(k, 5) == 0);
        k->items[i] = first + 2;
        (void)story_report(&k->w, replica_of(i), "[%llu,2,[%u,[%s,'b']]]", call, first,
                           draw(k, 3) == 0 ? "<700000>" : "'a'");
    }
}

static void
do_replica(struct walk *k)
{
    const unsigned i = draw(k, REPLICAS + 1);
    struct process *p = speaks(k, i);
    if (p == NULL) {
        come_up(k, i);
        return;
    }
    if (k->runs[i] == 0) {
        k->runs[i] = world_given(&k->w, replica_of(i));
        k->items[i] = 0;
        k->calls = k->runs[i] != 0 ? k->runs[i] : k->calls;
    }
    const unsigned what = draw(k, 16);
    if (what == 0 || p->signalled) {
        p->session = 1; /* never again */
        world_exited(&k->w, replica_of(i), p->signalled ? 0 : 11);
    } else if (what == 1) {
        char about[80];
        (void)snprintf(about, sizeof about, "'running':[%llu]", (unsigned long long)k->runs[i]);
        story_attach(&k->w, replica_of(i), (unsigned)k->w.next_request,
                     k->runs[i] != 0 ? about : "'done':[]");
        if (draw(k, 4) == 0) {
            k->runs[i] = 0;
        }
    } else if (what == 2) {
        (void)story_control(&k->w, replica_of(i));
    } else if (k->runs[i] != 0) {
        do_report(k, i);
    } else {
        world_poll(&k->w, replica_of(i), 1);
    }
}

static void
do_admin(struct walk *k)
{
    char value[16];
    if (draw(k, 3) == 0) {
        (void)snprintf(value, sizeof value, "%u", 2 + draw(k, 3));
        world_open(&k->w, THREE);
        (void)world_say(&k->w, THREE,
                        "[2,null,1,0,'hub','scale',1000,null,{'worker':'echo','replicas':%s}]",
                        value);
        world_close(&k->w, THREE);
    } else {
        (void)world_admin(&k->w, ONE_OF(k, "stop", "start", "start", "restart"), "worker",
                          ONE_OF(k, "echo/0", "echo/1", "echo"));
    }
}

static void
step(struct walk *k)
{
    const unsigned what = draw(k, 40);
    if (what < 18) {
        do_client(k);
    } else if (what < 36) {
        do_replica(k);
    } else if (what < 39) {
        world_pass_ms(&k->w, draw(k, 8) == 0 ? 6000 : draw(k, 300));
    } else {
        do_admin(k);
    }
}

/* ---- the walk ----------------------------------------------------------------------------------
 */

static void
leave(struct walk *k)
{
    if (k->seed % 3 == 0) {
        world_stop(&k->w);
    }
    if (k->seed % 7 == 0) {
        world_deinit(&k->w); /* in the middle of everything */
        return;
    }
    for (unsigned i = 0; i < 6; i++) {
        if (speaks(k, i) != NULL) {
            world_exited(&k->w, replica_of(i), 0);
        }
    }
    if (!k->here[ONE]) {
        world_open(&k->w, ONE);
    }
    if (!k->here[TWO]) {
        world_open(&k->w, TWO);
    }
    story_end(&k->w);
}

Test(walk, whatever_happens_to_calls_nothing_is_broken_and_nothing_is_left, .timeout = 600)
{
    static struct walk k;
    const char *walks = getenv("PRONG_WALKS");
    const unsigned count = walks != NULL ? (unsigned)strtoul(walks, NULL, 10) : WALKS;
    const char *from = getenv("PRONG_WALK_FROM");
    for (unsigned seed = from != NULL ? (unsigned)strtoul(from, NULL, 10) : 1, n = 0; n < count;
         seed++, n++) {
        memset(&k, 0, sizeof k);
        k.seed = seed;
        (void)fprintf(stderr, "walk %u\n", seed); /* who dies shall say where */
        story_begin(&k.w, REPLICAS);
        k.here[ONE] = k.here[TWO] = true;
        for (unsigned i = 0; i < STEPS; i++) {
            step(&k);
        }
        leave(&k);
    }
}
