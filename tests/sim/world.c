/* Time, the processes and the hub: see sim.h. */
#include "tests/sim/world.h"

#include "proto/wire.h"

#include <stdlib.h>
#include <string.h>

enum { SIGNAL_ABORT = 6, FAILS = 1 << 8 };

/* ---- what is to come ---------------------------------------------------------------------------
 */

static bool
is_before(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

void
world_plan(struct sim *s, struct event e)
{
    if (s->event_count == s->event_cap) {
        s->event_cap = s->event_cap > 0 ? 2 * s->event_cap : 256;
        s->heap = realloc(s->heap, s->event_cap * sizeof *s->heap);
        if (s->heap == NULL) {
            abort();
        }
    }
    e.number = s->event_number++;
    e.at_ns = e.at_ns > s->now_ns ? e.at_ns : s->now_ns;
    size_t i = s->event_count++;
    for (; i > 0 && is_before(&e, &s->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        s->heap[i] = s->heap[(i - 1) / 2];
    }
    s->heap[i] = e;
}

static struct event
take_next(struct sim *s)
{
    const struct event first = s->heap[0];
    const struct event last = s->heap[--s->event_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < s->event_count; i = child) {
        child += child + 1 < s->event_count && is_before(&s->heap[child + 1], &s->heap[child]);
        if (is_before(&last, &s->heap[child])) {
            break;
        }
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = last;
    return first;
}

int64_t
world_delay(struct sim *s)
{
    return 1 + (int64_t)sim_draw(s, (uint64_t)s->faults.delay_ns_max);
}

/* ---- processes ---------------------------------------------------------------------------------
 */

static struct process *
process_find(struct sim *s, uint64_t id)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (s->processes[i] != NULL && s->processes[i]->id == id) {
            return s->processes[i];
        }
    }
    return NULL;
}

static uint32_t
place_of(const struct sim *s, const struct process *p)
{
    uint32_t i = 0;
    while (s->processes[i] != p) {
        i++;
    }
    return i;
}

/* Whether a replica has a process that the hub knows, or `came` too. */
static bool
has_process(const struct sim *s, const char *worker, uint32_t replica, bool came)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        const struct process *p = s->processes[i];
        if (p != NULL && p->replica == replica && strcmp(p->worker, worker) == 0 &&
            (p->came || !came)) {
            return true;
        }
    }
    return false;
}

/* The first process of a replica begins when those that it stands on are ready. */
static void
expect_others(struct sim *s, const struct hub_effect *e)
{
    if (e->incarnation != 1 || e->spec->depend_count == 0 ||
        (s->adopted[1] >> e->replica & 1) != 0 ||
        has_process(s, e->spec->name, e->replica, false)) {
        return;
    }
    const struct worker_spec *alpha = hub_replica_spec(s->hub, "alpha/0");
    bool ready = alpha != NULL;
    for (uint32_t i = 0; ready && i < alpha->replicas; i++) {
        ready = has_process(s, "alpha", i, true);
    }
    if (!ready) {
        sim_wrong(s, "%s/%u begins before what it stands on is ready", e->spec->name,
                  (unsigned)e->replica);
    }
}

static void
start_process(struct sim *s, const struct hub_effect *e)
{
    expect_others(s, e);
    uint32_t i = 0;
    while (i < PROCESSES && s->processes[i] != NULL) {
        i++;
    }
    if (i == PROCESSES) {
        sim_wrong(s, "more than %d processes at a time", PROCESSES);
    }
    struct process *p = calloc(1, sizeof *p);
    if (p == NULL) {
        abort();
    }
    p->id = e->process;
    p->replica = e->replica;
    p->program = config_program(e->spec);
    p->epoch = s->epoch;
    (void)snprintf(p->worker, sizeof p->worker, "%s", e->spec->name);
    (void)snprintf(p->token, sizeof p->token, "%s", e->token);
    s->processes[i] = p;
    const int64_t slow = sim_happens(s, s->faults.slow_start) ? (int64_t)sim_draw(s, 3000) * MS : 0;
    world_plan(s, (struct event){.kind = EVENT_STARTED,
                                 .at_ns = s->now_ns + world_delay(s) + slow,
                                 .whose = p->id});
    sim_note(s, "process %llu is started as %s/%u, program %u", (unsigned long long)p->id,
             p->worker, (unsigned)p->replica, (unsigned)p->program);
}

void
world_exit(struct sim *s, struct process *p, int status)
{
    if (p->dies) {
        return;
    }
    p->dies = true;
    process_end(s, p);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (s->connections[i].peer != 0 && s->connections[i].process == p) {
            world_close(s, &s->connections[i]);
            s->connections[i].process = NULL;
        }
    }
    sim_note(s, "process %llu, %s/%u, ends with %d", (unsigned long long)p->id, p->worker,
             (unsigned)p->replica, status);
    const int64_t slow = sim_happens(s, s->faults.slow_end) ? (int64_t)sim_draw(s, 700) * MS : 0;
    world_plan(s, (struct event){.kind = EVENT_EXITED,
                                 .at_ns = s->now_ns + world_delay(s) + slow,
                                 .whose = p->id,
                                 .status = status});
}

static void
signal_process(struct sim *s, const struct hub_effect *e)
{
    struct process *p = process_find(s, e->process);
    if (p == NULL || p->dies) {
        return;
    }
    if (e->signal == SIGNAL_ABORT && !s->chaos && !process_may_hang(p)) {
        sim_wrong(s, "process %llu, %s/%u, counts as hung", (unsigned long long)p->id, p->worker,
                  (unsigned)p->replica);
    }
    if (e->signal == SIGNAL_ABORT && sim_happens(s, s->faults.slow_end)) {
        return; /* it writes its memory down, until it is killed */
    }
    if (e->signal == 9 || e->signal == SIGNAL_ABORT || p->pid == 0) {
        world_exit(s, p, e->signal);
    } else if (!sim_happens(s, s->faults.stubborn)) {
        process_term(s, p);
    }
}

/* ---- the hub -----------------------------------------------------------------------------------
 */

static void
broker_dies(struct sim *s)
{
    sim_note(s, "the broker dies");
    hub_free(s->hub);
    s->hub = NULL;
    s->turn_due = false;
    net_broker_died(s);
    world_plan(s, (struct event){.kind = EVENT_BROKER,
                                 .at_ns = s->now_ns + (5 + (int64_t)sim_draw(s, 40)) * MS});
}

static void
carry_out(struct sim *s, const struct hub_effect *e)
{
    switch (e->kind) {
    case HUB_OUT_REPLY:
        net_reply(s, e);
        return;
    case HUB_OUT_START:
        start_process(s, e);
        return;
    case HUB_OUT_SIGNAL:
        signal_process(s, e);
        return;
    case HUB_OUT_RELOAD:
        world_plan_reload(s, e->call);
        return;
    case HUB_OUT_CLOSE:
        sim_wrong(s, "the hub closes a local connection");
    case HUB_OUT_EVENT:
    case HUB_OUT_LOGS:
    case HUB_OUT_LOG_LEVEL:
    case HUB_OUT_SEND:
    case HUB_OUT_ADOPT:
    case HUB_OUT_STACK:
    case HUB_OUT_ENV:
    case HUB_OUT_USAGE:
    case HUB_OUT_READY:
    case HUB_OUT_STOPPING:
    case HUB_OUT_END:
        return;
    }
}

static void
hash_bytes(struct sim *s, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        s->hash = (s->hash ^ bytes[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    }
}

/* What came in and what it led to, so that two runs that differ anywhere differ here. */
static void
hash_step(struct sim *s, const struct hub_input *in, const struct hub_effects *out)
{
    const int64_t deadline_ns = hub_deadline_ns(s->hub);
    hash_bytes(s, &in->kind, sizeof in->kind);
    hash_bytes(s, &in->now_ns, sizeof in->now_ns);
    hash_bytes(s, &in->peer, sizeof in->peer);
    if (in->kind == HUB_IN_MESSAGE) {
        hash_bytes(s, in->message.body.data, in->message.body.len);
    }
    for (size_t i = 0; i < out->count; i++) {
        const struct hub_effect *e = &out->list[i];
        hash_bytes(s, &e->kind, sizeof e->kind);
        hash_bytes(s, &e->peer, sizeof e->peer);
        hash_bytes(s, &e->request, sizeof e->request);
        hash_bytes(s, &e->process, sizeof e->process);
        hash_bytes(s, e->body.data, e->body.len);
    }
    hash_bytes(s, &deadline_ns, sizeof deadline_ns);
}

static void
step(struct sim *s, struct hub_input *in)
{
    struct hub_effects out;
    in->now_ns = s->now_ns;
    in->wall_us = (uint64_t)(s->now_ns / US) + UINT64_C(1700000000000000);
    if (!hub_step(s->hub, in, &out)) {
        sim_wrong(s, "hub_step failed");
    }
    s->steps++;
    if (s->options.checks) {
        hub_check(s->hub);
    }
    if (s->options.hash) {
        hash_step(s, in, &out);
    }
    const bool dies = s->chaos && out.count > 0 && sim_happens(s, s->faults.broker_dies);
    const size_t count = dies ? sim_draw(s, out.count) : out.count;
    for (size_t i = 0; i < count; i++) {
        carry_out(s, &out.list[i]);
    }
    if (dies) {
        broker_dies(s);
        return;
    }
    int64_t deadline_ns = hub_deadline_ns(s->hub);
    deadline_ns = deadline_ns > s->now_ns ? deadline_ns : s->now_ns; /* it may be over already */
    if (deadline_ns < s->time_event_ns) {
        s->time_event_ns = deadline_ns;
        world_plan(s, (struct event){.kind = EVENT_TIME, .at_ns = deadline_ns});
    }
}

/* The turn ends at once, or when more has come. */
void
world_feed(struct sim *s, struct hub_input *in)
{
    step(s, in);
    if (s->hub == NULL || s->turn_due) {
        return;
    }
    if (sim_happens(s, s->faults.crowds)) {
        s->turn_due = true;
        world_plan(s, (struct event){.kind = EVENT_TURN, .at_ns = s->now_ns + world_delay(s)});
    } else {
        step(s, &(struct hub_input){.kind = HUB_IN_TURN});
    }
}

static size_t
worker_of(const struct process *p)
{
    size_t i = 0;
    while (strcmp(p->worker, sim_workers[i]) != 0) {
        i++;
    }
    return i;
}

static void
feed_process(struct sim *s, enum hub_input_kind kind, const struct process *p, int status)
{
    struct hub_input in = {.kind = kind};
    char name[40];
    (void)snprintf(name, sizeof name, "%s/%u", p->worker, (unsigned)p->replica);
    in.process.id = p->id;
    in.process.pid = p->pid;
    in.process.status = status;
    in.process.step = "exec";
    in.process.error = "it happens";
    in.process.name = name;
    world_feed(s, &in);
}

static void
note_adopted(struct sim *s, const struct process *p)
{
    s->adopted[worker_of(p)] |= UINT32_C(1) << p->replica;
}

void
world_broker_starts(struct sim *s)
{
    const struct hub_options options = {
        .secret = "sixteen secrets",
        .name = "sim",
        .version = "0",
        .epoch = ++s->epoch,
        .events_bytes = s->faults.tight > 0 ? 8192 : 65536,
        .message_bytes = 1 << 20,
        .drain_ms = 5000,
    };
    sim_note(s, "a broker starts, epoch %llu", (unsigned long long)s->epoch);
    s->hub = hub_new(&options);
    s->time_event_ns = INT64_MAX;
    if (s->hub == NULL) {
        abort();
    }
    for (size_t i = 0; i < WORKERS && s->hub != NULL; i++) {
        struct worker_spec spec;
        if (s->configs[i].gone) {
            continue;
        }
        config_spec(&s->configs[i], i, s->faults.tight > 0, &spec);
        world_feed(s, &(struct hub_input){.kind = HUB_IN_WORKER, .worker = {&spec}});
    }
    memset(s->adopted, 0, sizeof s->adopted);
    for (size_t i = 0; i < PROCESSES && s->hub != NULL; i++) {
        if (s->processes[i] != NULL && s->processes[i]->pid != 0 && !s->processes[i]->dies) {
            note_adopted(s, s->processes[i]);
            feed_process(s, HUB_IN_ALIVE, s->processes[i], 0);
        }
    }
    if (s->hub != NULL) {
        world_feed(s, &(struct hub_input){.kind = HUB_IN_CONFIGURED});
    }
}

/* ---- what happens ------------------------------------------------------------------------------
 */

static void
on_started(struct sim *s, const struct event *e)
{
    struct process *p = process_find(s, e->whose);
    if (p == NULL || p->dies) {
        return;
    }
    if (sim_happens(s, s->faults.start_fails)) {
        s->processes[place_of(s, p)] = NULL;
        if (s->hub != NULL) {
            feed_process(s, HUB_IN_START_FAILED, p, 0);
        }
        free(p);
        return;
    }
    p->pid = ++s->next_pid;
    process_begin(s, p);
    const uint64_t id = p->id;
    if (p->epoch != s->epoch) {
        note_adopted(s, p);
    }
    if (s->hub != NULL) {
        feed_process(s, HUB_IN_STARTED, p, 0);
    }
    p = process_find(s, id);
    if (p != NULL && p->program % 2 == 1) {
        world_exit(s, p, FAILS);
    }
}

static void
on_exited(struct sim *s, const struct event *e)
{
    struct process *p = process_find(s, e->whose);
    if (s->hub == NULL) {
        /* Deaths wait for the next broker. */
        world_plan(s, (struct event){.kind = EVENT_EXITED,
                                     .at_ns = s->now_ns + MS,
                                     .whose = e->whose,
                                     .status = e->status});
        return;
    }
    s->processes[place_of(s, p)] = NULL;
    feed_process(s, HUB_IN_EXITED, p, e->status);
    free(p);
}

/* All stood still, the clock did not: what was to come meanwhile comes now. */
static void
jump(struct sim *s)
{
    const int64_t by_ns = (int64_t)sim_draw(s, 60000) * MS;
    sim_note(s, "the clock jumps by %lld ms", (long long)(by_ns / MS));
    s->now_ns += by_ns;
    s->chaos_end_ns += by_ns;
    s->jumped_ns = s->now_ns;
}

static void
on_faults(struct sim *s)
{
    if (!s->chaos) {
        return;
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        if (s->connections[i].peer != 0 && sim_happens(s, s->faults.cut)) {
            net_cut(s, &s->connections[i]);
        }
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        if (s->processes[i] != NULL && s->processes[i]->pid != 0 &&
            sim_happens(s, s->faults.worker_dies)) {
            world_exit(s, s->processes[i], 9);
        }
    }
    if (s->hub != NULL && sim_happens(s, s->faults.broker_dies)) {
        broker_dies(s);
    }
    if (sim_happens(s, s->faults.jumps)) {
        jump(s);
    }
    if (sim_happens(s, s->faults.reloads)) {
        world_plan_reload(s, 0);
    }
    world_plan(s, (struct event){.kind = EVENT_FAULTS,
                                 .at_ns = s->now_ns +
                                          (1 + (int64_t)sim_draw(s, 20)) * s->faults.pace * MS});
}

void
world_plan_reload(struct sim *s, uint64_t call)
{
    world_plan(s, (struct event){.kind = EVENT_RELOAD,
                                 .at_ns = s->now_ns + world_delay(s),
                                 .whose = call,
                                 .id = (uint32_t)s->epoch});
}

static void
on_reload(struct sim *s, const struct event *e)
{
    if (s->hub != NULL && e->id == (uint32_t)s->epoch) {
        config_reload(s, e->whose, s->chaos ? sim_happens(s, s->faults.bad) : s->goes_back);
    }
}

static void
on_time(struct sim *s, const struct event *e)
{
    if (s->hub == NULL || e->at_ns != s->time_event_ns) {
        return;
    }
    s->time_event_ns = INT64_MAX;
    world_feed(s, &(struct hub_input){.kind = HUB_IN_TIME});
}

static void
happen(struct sim *s, struct event *e)
{
    struct process *p;
    s->now_ns = e->at_ns > s->now_ns ? e->at_ns : s->now_ns; /* earlier: the clock has jumped */
    switch (e->kind) {
    case EVENT_OPENED:
    case EVENT_CUT:
    case EVENT_TO_HUB:
    case EVENT_TO_ACTOR:
    case EVENT_HUB_HEARS_END:
    case EVENT_ACTOR_HEARS_END:
        net_happen(s, e);
        break;
    case EVENT_CLIENT:
        if (s->clients[e->place] != NULL) {
            caller_wake(s, s->clients[e->place]);
        }
        break;
    case EVENT_STOCK:
        if (s->stocks[e->place] != NULL) {
            stock_wake(s, s->stocks[e->place]);
        }
        break;
    case EVENT_PROCESS:
        p = process_find(s, e->whose);
        if (p != NULL && !p->dies) {
            process_wake(s, p);
        }
        break;
    case EVENT_TURN:
        if (s->hub != NULL && s->turn_due) {
            s->turn_due = false;
            step(s, &(struct hub_input){.kind = HUB_IN_TURN});
        }
        break;
    case EVENT_TIME:
        on_time(s, e);
        break;
    case EVENT_STARTED:
        on_started(s, e);
        break;
    case EVENT_EXITED:
        on_exited(s, e);
        break;
    case EVENT_FAULTS:
        on_faults(s);
        break;
    case EVENT_BROKER:
        world_broker_starts(s);
        break;
    case EVENT_RELOAD:
        on_reload(s, e);
        break;
    }
    free(e->bytes);
    e->bytes = NULL;
}

void
world_wake_client(struct sim *s, struct caller *c, int64_t at_ns)
{
    uint32_t i = 0;
    while (s->clients[i] != c) {
        i++;
    }
    world_plan(s, (struct event){.kind = EVENT_CLIENT, .at_ns = at_ns, .place = i});
}

void
world_wake_stock(struct sim *s, struct stock *c, int64_t at_ns)
{
    uint32_t i = 0;
    while (s->stocks[i] != c) {
        i++;
    }
    world_plan(s, (struct event){.kind = EVENT_STOCK, .at_ns = at_ns, .place = i});
}

void
world_wake_process(struct sim *s, struct process *p, int64_t at_ns)
{
    world_plan(s, (struct event){.kind = EVENT_PROCESS, .at_ns = at_ns, .whose = p->id});
}

static bool
is_settled(struct sim *s, size_t worker)
{
    const struct config *c = &s->configs[worker];
    uint32_t good = 0, all = 0;
    char first[16];
    (void)snprintf(first, sizeof first, "%s/0", sim_workers[worker]);
    const struct worker_spec *spec = s->hub != NULL ? hub_replica_spec(s->hub, first) : NULL;
    if (spec == NULL || config_program(spec) != c->program) {
        return false;
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        const struct process *p = s->processes[i];
        if (p != NULL && worker_of(p) == worker) {
            all++;
            good |= UINT32_C(1) << p->replica;
            /* What one that an earlier broker started was made from the hub does not know. */
            if (!process_serves(p) || (p->program != c->program && p->epoch == s->epoch)) {
                return false;
            }
        }
    }
    return all == c->replicas && good == (UINT32_C(1) << c->replicas) - 1;
}

const char *
world_unsettled(struct sim *s)
{
    for (size_t i = 0; i < WORKERS; i++) {
        if (!is_settled(s, i)) {
            return sim_workers[i];
        }
    }
    return NULL;
}

void
world_run_until(struct sim *s, int64_t end_ns)
{
    while (s->event_count > 0 && s->heap[0].at_ns <= end_ns) {
        struct event e = take_next(s);
        happen(s, &e);
    }
    s->now_ns = s->now_ns > end_ns ? s->now_ns : end_ns;
}

void
world_plan_faults(struct sim *s, int64_t at_ns)
{
    world_plan(s, (struct event){.kind = EVENT_FAULTS, .at_ns = at_ns});
}

void
world_clear(struct sim *s)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (s->processes[i] != NULL) {
            process_end(s, s->processes[i]);
            free(s->processes[i]);
        }
    }
    for (size_t i = 0; i < s->event_count; i++) {
        free(s->heap[i].bytes);
    }
    hub_free(s->hub);
    free(s->heap);
}
