/* One whole world: chaos, then peace, then nothing may be left. See sim.h. */
#include "tests/sim/sim.h"

#include "proto/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Where a run ends that has gone wrong. */
static jmp_buf wrong;

/* ---- chance and words -------------------------------------------------------------------------
 */

/* splitmix64 of Steele, Lea and Flood. */
static uint64_t
next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t
sim_draw(struct sim *s, uint64_t n)
{
    s->drawn++;
    return n > 0 ? next_random(&s->random) % n : 0;
}

uint64_t
sim_choose(struct sim *s, uint64_t n)
{
    return next_random(&s->chosen) % n;
}

bool
sim_happens(struct sim *s, unsigned of_1000)
{
    return of_1000 > 0 && sim_draw(s, 1000) < of_1000;
}

void
sim_note(struct sim *s, const char *format, ...)
{
    va_list args;
    if (!s->options.trace) {
        return;
    }
    fprintf(stderr, "%12.6f  ", (double)s->now_ns / 1e9);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void
sim_wrong(struct sim *s, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "WRONG, seed %llu, %.6f s: ", (unsigned long long)s->options.seed,
            (double)s->now_ns / 1e9);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    longjmp(wrong, 1);
}

/* ---- a whole run -------------------------------------------------------------------------------
 */

/* A fault that half of the seeds do not have at all. */
static unsigned
fault(struct sim *s, enum sim_fault which, unsigned max)
{
    uint64_t (*const draw)(struct sim *, uint64_t) =
        which < SIM_FAULT_renews ? sim_draw : sim_choose;
    return draw(s, 2) == 0 ? 0 : 1 + (unsigned)draw(s, max);
}

/* What is switched off is drawn all the same, so that the rest stays as it was. */
static void
draw_faults(struct sim *s)
{
#define SIM_FAULT(name, most)                                                                      \
    s->faults.name = fault(s, SIM_FAULT_##name, most);                                             \
    if (s->options.without >> SIM_FAULT_##name & 1) {                                              \
        s->faults.name = 0;                                                                        \
    }
    SIM_FAULTS(SIM_FAULT)
#undef SIM_FAULT
    s->faults.delay_ns_max = (int64_t)(10 + sim_draw(s, sim_draw(s, 2) == 0 ? 200 : 20000)) * US;
    s->faults.pace = sim_draw(s, 4) == 0 ? 60 : 1;
    for (size_t i = 0; i < WORKERS; i++) {
        s->configs[i].replicas = 1 + (uint32_t)sim_draw(s, REPLICAS_MAX);
    }
    s->had = s->faults;
    config_draw(s);
}

const char *
sim_fault_name(enum sim_fault fault_class)
{
    static const char *const names[] = {
#define SIM_FAULT(name, most) [SIM_FAULT_##name] = #name,
        SIM_FAULTS(SIM_FAULT)
#undef SIM_FAULT
    };
    return names[fault_class];
}

/* It hangs, and its hub ends it. */
static bool
is_noticed(struct sim *s, const struct process *p)
{
    size_t i = 0;
    while (strcmp(sim_workers[i], p->worker) != 0) {
        i++;
    }
    return process_hangs(p) && s->hub != NULL && p->epoch == s->epoch &&
           s->configs[i].busy_ms_max > 0;
}

/* No more faults, and what hangs is ended by the hub, or as a person would. */
static void
make_peace(struct sim *s)
{
    sim_note(s, "peace");
    s->chaos = false;
    s->calm_ns = s->now_ns + SECOND;
    config_calm(s);
    s->faults = (struct faults){.crowds = s->faults.crowds, .delay_ns_max = 100 * US, .pace = 1};
    for (size_t i = 0; i < PROCESSES; i++) {
        if (s->processes[i] != NULL && is_noticed(s, s->processes[i])) {
            s->calm_ns = INT64_MAX;
        } else if (s->processes[i] != NULL && s->processes[i]->pid != 0) {
            world_exit(s, s->processes[i], 9);
        }
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (s->clients[i] != NULL) {
            caller_calm(s, s->clients[i]);
        }
    }
    for (size_t i = 0; i < STOCKS; i++) {
        if (s->stocks[i] != NULL) {
            stock_calm(s, s->stocks[i]);
        }
    }
}

static bool
all_done(const struct sim *s)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (s->clients[i] != NULL && !caller_is_done(s, s->clients[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < STOCKS; i++) {
        if (s->stocks[i] != NULL && !stock_is_done(s->stocks[i])) {
            return false;
        }
    }
    return true;
}

static void
expect_nothing_left(struct sim *s)
{
    struct hub_counts c = hub_counts(s->hub);
    for (int i = 0; i < 30 && (c.parked != 2 * c.peers || world_unsettled(s) != NULL); i++) {
        world_run_until(s, s->now_ns + 7 * MS); /* one is just being asked anew, or replaced */
        c = hub_counts(s->hub);
    }
    if (world_unsettled(s) != NULL) {
        sim_wrong(s, "the processes of %s are not what they should be", world_unsettled(s));
    }
    if (c.clients != 0 || c.calls != 0 || c.unfinished != 0 || c.payload_bytes != 0) {
        sim_wrong(s, "%zu clients, %zu calls, %zu unfinished, %zu bytes are left", c.clients,
                  c.calls, c.unfinished, c.payload_bytes);
    }
    if (c.peers != s->configs[0].replicas + s->configs[1].replicas || c.parked != 2 * c.peers) {
        sim_wrong(s, "%zu connections and %zu requests are left", c.peers, c.parked);
    }
}

static void
leave(struct sim *s)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (s->clients[i] != NULL) {
            caller_free(s, s->clients[i]);
            s->clients[i] = NULL;
        }
    }
    for (size_t i = 0; i < STOCKS; i++) {
        if (s->stocks[i] != NULL) {
            stock_free(s, s->stocks[i]);
            s->stocks[i] = NULL;
        }
    }
}

static void
live(struct sim *s)
{
    world_broker_starts(s);
    for (uint32_t i = 0; i < s->options.clients; i++) {
        s->clients[i] = caller_new(s, i);
        world_wake_client(s, s->clients[i], s->now_ns + (int64_t)sim_draw(s, 50) * MS);
    }
    for (uint32_t i = 0; i < s->options.stocks; i++) {
        s->stocks[i] = stock_new(s, i);
        world_wake_stock(s, s->stocks[i], s->now_ns + (int64_t)sim_draw(s, 50) * MS);
    }
    world_plan_faults(s, s->now_ns + 50 * MS);
    const int64_t chaos_ns = (1 + (int64_t)sim_draw(s, 6)) * s->faults.pace * SECOND;
    const int64_t most_ns = s->options.chaos_ms * MS;
    s->chaos_end_ns = s->now_ns + (chaos_ns < most_ns ? chaos_ns : most_ns);
    while (s->now_ns < s->chaos_end_ns) {
        world_run_until(s, s->chaos_end_ns); /* which is later when the clock has jumped */
    }
    make_peace(s);
    for (int i = 0; i < 240 && !all_done(s); i++) {
        world_run_until(s, s->now_ns + SECOND / 2);
    }
    if (!all_done(s)) {
        sim_wrong(s, "peace, and calls still do not succeed");
    }
    world_run_until(s, s->now_ns + 2 * SECOND); /* what was stored is read, if anybody reads */
    for (size_t i = 0; i < CLIENTS; i++) {
        if (s->clients[i] != NULL && caller_has_all(s, s->clients[i])) {
            ledger_all_read(s);
        }
    }
    leave(s);
    ledger_close(s);
    world_run_until(s, s->now_ns + (WIRE_AWAY_MS + WIRE_REMEMBER_MS + 60000) * MS);
    expect_nothing_left(s);
}

static void
clear(struct sim *s)
{
    leave(s);
    world_clear(s);
    ledger_free(s->ledger);
    free(s);
}

struct sim_result
sim_run(const struct sim_options *options)
{
    struct sim *s = calloc(1, sizeof *s);
    if (s == NULL) {
        abort();
    }
    s->options = *options;
    s->random = options->seed;
    s->chosen = ~options->seed;
    s->chaos = true;
    s->now_ns = s->began_ns = SECOND;
    s->calm_ns = INT64_MAX;
    s->next_pid = 1000;
    s->ledger = ledger_new();
    draw_faults(s);
    if (setjmp(wrong) != 0) {
        /* What is left is looked at no more: the program ends. */
        return (struct sim_result){.chaos_ms = (s->now_ns - s->began_ns) / MS};
    }
    live(s);
    const struct sim_result result = {
        .good = true, .steps = s->steps, .hash = s->hash ^ s->random ^ s->drawn};
    clear(s);
    return result;
}
