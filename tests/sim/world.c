/* Time, the network, the processes and the hub: see sim.h. */
#include "tests/sim/sim.h"

#include "proto/wire.h"

#include <stdlib.h>
#include <string.h>

enum event_kind {
    EVENT_OPENED,
    EVENT_TO_HUB,
    EVENT_TO_ACTOR,
    EVENT_HUB_HEARS_END,
    EVENT_ACTOR_HEARS_END,
    EVENT_CLIENT,
    EVENT_PROCESS,
    EVENT_TURN,
    EVENT_TIME,
    EVENT_STARTED,
    EVENT_EXITED,
    EVENT_FAULTS,
    EVENT_BROKER,
};

struct event {
    int64_t at_ns;
    uint64_t number; /* of equal times the first planned comes first */
    enum event_kind kind;
    uint32_t place; /* of a connection, client or process */
    uint64_t whose; /* its peer or process id: the place may be somebody else's by then */
    uint32_t id;
    int status;
    uint8_t *bytes;
    size_t len;
};

/* ---- what is to come ---------------------------------------------------------------------------
 */

static bool
is_before(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

static void
plan(struct sim *s, struct event e)
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

static int64_t
delay(struct sim *s)
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

static void
start_process(struct sim *s, const struct hub_effect *e)
{
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
    (void)snprintf(p->worker, sizeof p->worker, "%s", e->spec->name);
    (void)snprintf(p->token, sizeof p->token, "%s", e->token);
    s->processes[i] = p;
    const int64_t slow = sim_happens(s, s->faults.slow_start) ? (int64_t)sim_draw(s, 3000) * MS : 0;
    plan(s, (struct event){
                .kind = EVENT_STARTED, .at_ns = s->now_ns + delay(s) + slow, .whose = p->id});
    sim_note(s, "process %llu is started as %s/%u", (unsigned long long)p->id, p->worker,
             (unsigned)p->replica);
}

void
world_exit(struct sim *s, struct process *p, int status)
{
    if (p->dies) {
        return;
    }
    p->dies = true;
    process_end(p);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (s->connections[i].peer != 0 && s->connections[i].process == p) {
            world_close(s, &s->connections[i]);
            s->connections[i].process = NULL;
        }
    }
    sim_note(s, "process %llu, %s/%u, ends with %d", (unsigned long long)p->id, p->worker,
             (unsigned)p->replica, status);
    plan(s, (struct event){.kind = EVENT_EXITED,
                           .at_ns = s->now_ns + delay(s),
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
    if (e->signal == 9 || p->pid == 0) {
        world_exit(s, p, e->signal);
    } else if (!sim_happens(s, s->faults.stubborn)) {
        process_term(s, p);
    }
}

/* ---- the network -------------------------------------------------------------------------------
 */

static struct connection *
connection_of(struct sim *s, uint32_t place, uint64_t peer)
{
    struct connection *k = &s->connections[place];
    return k->peer == peer ? k : NULL;
}

static uint32_t
index_of(const struct sim *s, const struct connection *k)
{
    return (uint32_t)(k - s->connections);
}

static void
free_if_closed(struct connection *k)
{
    if (!k->open_here && !k->open_there) {
        *k = (struct connection){0};
    }
}

struct connection *
world_connect(struct sim *s, struct caller *c, struct process *p)
{
    uint32_t i = 0;
    while (i < CONNECTIONS && s->connections[i].peer != 0) {
        i++;
    }
    if (s->hub == NULL || i == CONNECTIONS) {
        return NULL;
    }
    struct connection *k = &s->connections[i];
    *k = (struct connection){.peer = ++s->next_peer,
                             .open_here = true,
                             .open_there = true,
                             .hub_cut_ns = INT64_MAX,
                             .actor_cut_ns = INT64_MAX,
                             .to_hub_ns = s->now_ns + delay(s),
                             .client = c,
                             .process = p};
    plan(s,
         (struct event){.kind = EVENT_OPENED, .at_ns = k->to_hub_ns, .place = i, .whose = k->peer});
    return k;
}

static void
plan_bytes(struct sim *s, struct event e, const struct pieces *body)
{
    struct buf b = {0};
    buf_put_pieces(&b, body, 0);
    if (b.failed) {
        abort();
    }
    e.bytes = b.data;
    e.len = b.w;
    plan(s, e);
}

void
world_send(struct sim *s, struct connection *k, uint32_t id, const struct pieces *body)
{
    const int64_t at_ns = s->now_ns + delay(s);
    k->to_hub_ns = at_ns > k->to_hub_ns ? at_ns : k->to_hub_ns;
    plan_bytes(s,
               (struct event){.kind = EVENT_TO_HUB,
                              .at_ns = k->to_hub_ns,
                              .place = index_of(s, k),
                              .whose = k->peer,
                              .id = id},
               body);
}

void
world_close(struct sim *s, struct connection *k)
{
    if (!k->open_here) {
        return;
    }
    k->open_here = false;
    k->client = NULL;
    if (k->open_there && !k->cut) {
        k->to_hub_ns = s->now_ns + delay(s) > k->to_hub_ns ? s->now_ns + delay(s) : k->to_hub_ns;
        plan(s, (struct event){.kind = EVENT_HUB_HEARS_END,
                               .at_ns = k->to_hub_ns,
                               .place = index_of(s, k),
                               .whose = k->peer});
    }
    free_if_closed(k);
}

/* It breaks: of what is on its way a part still comes, and both ends hear of it some time. */
static void
cut(struct sim *s, struct connection *k)
{
    if (k->cut) {
        return;
    }
    const int64_t late = sim_happens(s, 100) ? (int64_t)sim_draw(s, 4000) * MS : 0;
    k->cut = true;
    k->hub_cut_ns = s->now_ns + (int64_t)sim_draw(s, (uint64_t)s->faults.delay_ns_max);
    k->actor_cut_ns = s->now_ns + (int64_t)sim_draw(s, (uint64_t)s->faults.delay_ns_max);
    sim_note(s, "connection %llu breaks", (unsigned long long)k->peer);
    const bool hub_first = sim_draw(s, 2) == 0;
    plan(s, (struct event){.kind = EVENT_HUB_HEARS_END,
                           .at_ns = k->hub_cut_ns + delay(s) + (hub_first ? 0 : late),
                           .place = index_of(s, k),
                           .whose = k->peer});
    plan(s, (struct event){.kind = EVENT_ACTOR_HEARS_END,
                           .at_ns = k->actor_cut_ns + delay(s) + (hub_first ? late : 0),
                           .place = index_of(s, k),
                           .whose = k->peer});
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
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct connection *k = &s->connections[i];
        if (k->peer == 0) {
            continue;
        }
        k->open_there = false;
        k->hub_cut_ns = s->now_ns;
        if (k->open_here && !k->cut) {
            /* What it had sent may still come. */
            const int64_t at_ns = s->now_ns + delay(s);
            k->cut = true;
            k->to_actor_ns = at_ns > k->to_actor_ns ? at_ns : k->to_actor_ns;
            plan(s, (struct event){.kind = EVENT_ACTOR_HEARS_END,
                                   .at_ns = k->to_actor_ns,
                                   .place = i,
                                   .whose = k->peer});
        }
        free_if_closed(k);
    }
    plan(s, (struct event){.kind = EVENT_BROKER,
                           .at_ns = s->now_ns + (5 + (int64_t)sim_draw(s, 40)) * MS});
}

static void
reply(struct sim *s, const struct hub_effect *e)
{
    const struct pieces body = pieces_cut(e->body, e->cuts, e->cut_count);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct connection *k = &s->connections[i];
        if (k->peer != e->peer || k->peer == 0) {
            continue;
        }
        uint32_t n = 0;
        while (n < k->open_count && k->open[n].request != e->request) {
            n++;
        }
        if (!k->open_there || n == k->open_count) {
            sim_wrong(s, "an answer to a request that is not open");
        }
        const uint32_t id = k->open[n].id;
        k->open[n] = k->open[--k->open_count];
        const int64_t at_ns = s->now_ns + delay(s);
        k->to_actor_ns = at_ns > k->to_actor_ns ? at_ns : k->to_actor_ns;
        plan_bytes(s,
                   (struct event){.kind = EVENT_TO_ACTOR,
                                  .at_ns = k->to_actor_ns,
                                  .place = i,
                                  .whose = k->peer,
                                  .id = id},
                   &body);
        return;
    }
    sim_wrong(s, "an answer to a connection that is not there");
}

static void
carry_out(struct sim *s, const struct hub_effect *e)
{
    switch (e->kind) {
    case HUB_OUT_REPLY:
        reply(s, e);
        return;
    case HUB_OUT_START:
        start_process(s, e);
        return;
    case HUB_OUT_SIGNAL:
        signal_process(s, e);
        return;
    case HUB_OUT_CLOSE:
        sim_wrong(s, "the hub closes a local connection");
    case HUB_OUT_EVENT:
    case HUB_OUT_LOGS:
    case HUB_OUT_READY:
    case HUB_OUT_STOPPING:
    case HUB_OUT_END:
        return;
    }
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
    if (s->checks) {
        hub_check(s->hub);
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
    const int64_t deadline_ns = hub_deadline_ns(s->hub);
    if (deadline_ns < s->time_event_ns) {
        s->time_event_ns = deadline_ns;
        plan(s, (struct event){.kind = EVENT_TIME, .at_ns = deadline_ns});
    }
}

/* The turn ends at once, or when more has come. */
static void
feed(struct sim *s, struct hub_input *in)
{
    step(s, in);
    if (s->hub == NULL || s->turn_due) {
        return;
    }
    if (sim_happens(s, s->faults.crowds)) {
        s->turn_due = true;
        plan(s, (struct event){.kind = EVENT_TURN, .at_ns = s->now_ns + delay(s)});
    } else {
        step(s, &(struct hub_input){.kind = HUB_IN_TURN});
    }
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
    feed(s, &in);
}

void
world_broker_starts(struct sim *s)
{
    const struct hub_options options = {
        .secret = "sixteen secrets",
        .name = "sim",
        .version = "0",
        .epoch = ++s->epoch,
        .events_bytes = 65536,
        .message_bytes = 1 << 20,
        .drain_ms = 5000,
    };
    static const char *const names[WORKERS] = {"alpha", "beta"};
    sim_note(s, "a broker starts, epoch %llu", (unsigned long long)s->epoch);
    s->hub = hub_new(&options);
    s->time_event_ns = INT64_MAX;
    if (s->hub == NULL) {
        abort();
    }
    for (size_t i = 0; i < WORKERS && s->hub != NULL; i++) {
        struct worker_spec spec;
        spec_defaults(&spec);
        spec.name = names[i];
        spec.launch = (struct launch){1, 0, "\0true", 6};
        spec.replicas = s->replicas[i];
        spec.restarts_max = 1000;
        spec.restart_delay_ms = 10;
        spec.restart_delay_ms_max = 200;
        spec.start_timeout_ms = 5000;
        spec.stop_timeout_ms = 500;
        spec.queue_max = 30;
        feed(s, &(struct hub_input){.kind = HUB_IN_WORKER, .worker = {&spec}});
    }
    for (size_t i = 0; i < PROCESSES && s->hub != NULL; i++) {
        if (s->processes[i] != NULL && s->processes[i]->pid != 0 && !s->processes[i]->dies) {
            feed_process(s, HUB_IN_ALIVE, s->processes[i], 0);
        }
    }
    if (s->hub != NULL) {
        feed(s, &(struct hub_input){.kind = HUB_IN_CONFIGURED});
    }
}

/* ---- what happens ------------------------------------------------------------------------------
 */

static void
on_opened(struct sim *s, const struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_there || s->hub == NULL) {
        return;
    }
    struct hub_input in = {.kind = HUB_IN_OPENED, .peer = k->peer};
    in.opened.local = true;
    in.opened.pid = k->process != NULL ? k->process->pid : 100 + (int32_t)e->place;
    in.opened.start_ticks = e->whose;
    feed(s, &in);
}

static void
on_to_hub(struct sim *s, const struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_there || s->hub == NULL || e->at_ns >= k->hub_cut_ns) {
        return;
    }
    if (k->open_count == sizeof k->open / sizeof k->open[0]) {
        sim_wrong(s, "too many open requests");
    }
    struct hub_input in = {.kind = HUB_IN_MESSAGE, .peer = k->peer};
    in.message.request = ++s->next_request;
    in.message.sp_id = e->id;
    in.message.body = (struct span){e->bytes, e->len};
    k->open[k->open_count].request = in.message.request;
    k->open[k->open_count++].id = e->id;
    feed(s, &in);
}

static void
on_to_actor(struct sim *s, const struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_here || e->at_ns >= k->actor_cut_ns) {
        return;
    }
    const struct span body = {e->bytes, e->len};
    if (k->client != NULL) {
        caller_answer(s, k->client, e->id, body);
    } else if (k->process != NULL) {
        process_answer(s, k->process, e->id, body);
    }
}

static void
on_hub_hears_end(struct sim *s, const struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_there) {
        return;
    }
    k->open_there = false;
    k->open_count = 0;
    const uint64_t peer = k->peer;
    free_if_closed(k);
    if (s->hub != NULL) {
        feed(s, &(struct hub_input){.kind = HUB_IN_CLOSED, .peer = peer});
    }
}

static void
on_actor_hears_end(struct sim *s, const struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_here) {
        return;
    }
    struct caller *c = k->client;
    struct process *p = k->process;
    k->open_here = false;
    k->client = NULL;
    k->process = NULL;
    free_if_closed(k);
    if (c != NULL) {
        caller_lost(s, c);
    } else if (p != NULL && !p->dies) {
        process_lost(s, p);
    }
}

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
    if (s->hub != NULL) {
        feed_process(s, HUB_IN_STARTED, p, 0);
    }
}

static void
on_exited(struct sim *s, const struct event *e)
{
    struct process *p = process_find(s, e->whose);
    if (s->hub == NULL) {
        /* Deaths wait for the next broker. */
        plan(s, (struct event){.kind = EVENT_EXITED,
                               .at_ns = s->now_ns + MS,
                               .whose = e->whose,
                               .status = e->status});
        return;
    }
    s->processes[place_of(s, p)] = NULL;
    feed_process(s, HUB_IN_EXITED, p, e->status);
    free(p);
}

static void
on_faults(struct sim *s)
{
    if (!s->chaos) {
        return;
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        if (s->connections[i].peer != 0 && sim_happens(s, s->faults.cut)) {
            cut(s, &s->connections[i]);
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
    plan(s,
         (struct event){.kind = EVENT_FAULTS,
                        .at_ns = s->now_ns + (1 + (int64_t)sim_draw(s, 20)) * s->faults.pace * MS});
}

static void
on_time(struct sim *s, const struct event *e)
{
    if (s->hub == NULL || e->at_ns != s->time_event_ns) {
        return;
    }
    s->time_event_ns = INT64_MAX;
    feed(s, &(struct hub_input){.kind = HUB_IN_TIME});
}

static void
happen(struct sim *s, struct event *e)
{
    struct process *p;
    s->now_ns = e->at_ns;
    switch (e->kind) {
    case EVENT_OPENED:
        on_opened(s, e);
        break;
    case EVENT_TO_HUB:
        on_to_hub(s, e);
        break;
    case EVENT_TO_ACTOR:
        on_to_actor(s, e);
        break;
    case EVENT_HUB_HEARS_END:
        on_hub_hears_end(s, e);
        break;
    case EVENT_ACTOR_HEARS_END:
        on_actor_hears_end(s, e);
        break;
    case EVENT_CLIENT:
        if (s->clients[e->place] != NULL) {
            caller_wake(s, s->clients[e->place]);
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
    plan(s, (struct event){.kind = EVENT_CLIENT, .at_ns = at_ns, .place = i});
}

void
world_wake_process(struct sim *s, struct process *p, int64_t at_ns)
{
    plan(s, (struct event){.kind = EVENT_PROCESS, .at_ns = at_ns, .whose = p->id});
}

void
world_run_until(struct sim *s, int64_t end_ns)
{
    while (s->event_count > 0 && s->heap[0].at_ns <= end_ns) {
        struct event e = take_next(s);
        happen(s, &e);
    }
    s->now_ns = end_ns;
}

void
world_plan_faults(struct sim *s, int64_t at_ns)
{
    plan(s, (struct event){.kind = EVENT_FAULTS, .at_ns = at_ns});
}

void
world_clear(struct sim *s)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (s->processes[i] != NULL) {
            process_end(s->processes[i]);
            free(s->processes[i]);
        }
    }
    for (size_t i = 0; i < s->event_count; i++) {
        free(s->heap[i].bytes);
    }
    hub_free(s->hub);
    free(s->heap);
}
