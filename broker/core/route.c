/* Routing: which replica gets which call, and which calls nobody will ever serve.
 *
 * A replica runs `capacity` calls at a time. What it is given beyond that waits inside of it, where
 * no other replica can take it and nobody knows whether it began. That is worth it for calls that
 * take microseconds, because handing over a message takes longer than they do; so what is given
 * beyond is only what may run again, was not lost with a replica before, and is known to be short:
 * together no longer than WIRE_BATCH_US. */
#include "broker/core/parts.h"

enum {
    BATCH_NS = WIRE_BATCH_US * 1000,
    SERVED_ENOUGH = 16, /* calls, before it is believed how long one takes on the average */
    RETRY_MS = 1000,    /* when it is not known */
    RETRY_MS_MIN = 10,
    RETRY_MS_MAX = 5000,
};

bool
route_has_room(const struct replica *r)
{
    return r->poll != NULL && r->poll_capacity > 0 &&
           (r->life == LIFE_READY || r->life == LIFE_BUSY);
}

/* The one with the fewest calls, and of those the one that has been idle longest; how many have
 * room. */
static struct replica *
least_busy(const struct worker *w, uint32_t *count)
{
    struct replica *best = NULL;
    *count = 0;
    for (uint32_t i = 0; i < w->replica_count; i++) {
        struct replica *r = w->replicas[i];
        if (!route_has_room(r) || r->holder != NULL) {
            continue;
        }
        ++*count;
        if (best == NULL || r->running_count < best->running_count ||
            (r->running_count == best->running_count && r->idle_since_ns < best->idle_since_ns)) {
            best = r;
        }
    }
    return best;
}

uint32_t
route_room(const struct worker *w)
{
    uint32_t count;
    (void)least_busy(w, &count); /* only how many */
    return count;
}

bool
route_has_hope(const struct hub *hub, const struct worker *w, int64_t only)
{
    if (!hub->configured && w->spec->autostart) {
        return true; /* it is about to be started */
    }
    for (uint32_t i = 0; i < w->replica_count; i++) {
        if ((only < 0 || w->replicas[i]->index == only) && life_has_hope(w->replicas[i])) {
            return true;
        }
    }
    return false;
}

static void
give(struct hub *hub, struct replica *r, struct call *call)
{
    r->served_own = call->line->queue == r->queue;
    queue_serve(call);
    r->worker->queued--;
    call->state = CALL_GIVEN;
    call->replica = r;
    call->work = r->work;
    call->runs++;
    list_append(&r->running, &call->running);
    call->place = ++r->running_count;
    if (r->running_count == 1) {
        hang_given(hub, r);
    }
    call->given_ns = hub->now_ns;
    metrics_given(hub, call);
    life_step(hub, r, LIFE_IN_GIVEN);
}

/* The next call for a replica: of its own queue and its worker's the more urgent one; of equal ones
 * of one client that which came first, and of others the two queues in turns, so that a flood in
 * one of them does not keep those waiting who stand in the other. */
static struct call *
next_for(const struct replica *r)
{
    struct call *own = queue_first(r->queue);
    struct call *shared = r->holder == NULL ? queue_first(&r->worker->queue) : NULL;
    if (own == NULL || shared == NULL) {
        return own != NULL ? own : shared;
    }
    if (own->priority != shared->priority) {
        return own->priority > shared->priority ? own : shared;
    }
    if (own->client != shared->client) {
        return r->served_own ? shared : own;
    }
    return own->number < shared->number ? own : shared;
}

/* What a replica is given at a time. */
struct batch {
    uint64_t count, count_max;
    uint64_t runs_now; /* so many of them begin at once */
    int64_t run_ns;
    size_t bytes;
};

static int64_t
run_ns(const struct call *call)
{
    const struct method *m = worker_method(call->worker, call->method, call->method_len);
    return m != NULL && m->run_ns > 0 ? m->run_ns : BATCH_NS;
}

/* Whether a call may be given together with those before it. */
static bool
joins(const struct batch *b, const struct call *call, int64_t call_ns)
{
    if (b->count == 0 || b->count >= b->count_max ||
        b->bytes + call->args.w > WIRE_BATCH_BYTES_MAX) {
        return b->count == 0;
    }
    return b->count < b->runs_now ||
           (call->policy != POLICY_ONCE && call->runs == 0 && b->run_ns + call_ns <= BATCH_NS);
}

/* Give a replica its next call, and those that may join it: at most `share`. */
static void
fill_replica(struct hub *hub, struct replica *r, uint64_t share)
{
    const uint64_t idle = r->capacity > r->running_count ? r->capacity - r->running_count : 0;
    const uint64_t most = idle > r->worker->spec->batch_max ? idle : r->worker->spec->batch_max;
    struct batch b = {.count_max = r->poll_capacity < most ? r->poll_capacity : most,
                      .runs_now = idle};
    b.count_max = share < b.count_max ? share : b.count_max;
    for (struct call *call; (call = next_for(r)) != NULL; b.count++) {
        const int64_t call_ns = run_ns(call);
        if (!joins(&b, call, call_ns)) {
            break;
        }
        b.run_ns += call_ns;
        b.bytes += call->args.w;
        r->work += b.count == 0;
        give(hub, r, call);
    }
    serve_work(hub, r);
}

static void
give_out(struct hub *hub, struct worker *w)
{
    for (uint32_t i = 0; i < w->replica_count && w->queued > 0; i++) {
        struct replica *r = w->replicas[i];
        if (route_has_room(r) && r->queue->count > 0) {
            fill_replica(hub, r, UINT64_MAX);
        }
    }
    while (w->queue.count > 0) {
        uint32_t count;
        struct replica *r = least_busy(w, &count);
        if (r == NULL) {
            return;
        }
        fill_replica(hub, r, (w->queued + count - 1) / count);
    }
}

static void
pump(struct hub *hub, struct worker *w)
{
    uint32_t before;
    if (!list_is_empty(&w->leases)) {
        lease_pump(hub, w);
    }
    do {
        if (!list_is_empty(&w->manys)) {
            many_fill(hub, w);
        }
        before = w->queued;
        give_out(hub, w);
    } while (w->queued < before && !list_is_empty(&w->manys));
}

void
route_soon(struct hub *hub, struct worker *w)
{
    if (list_is_empty(&w->crowd)) {
        list_append(&hub->crowded, &w->crowd);
    }
}

void
route_turn(struct hub *hub)
{
    LIST_EACH(n, &hub->crowded)
    {
        struct worker *w = CONTAINER(n, struct worker, crowd);
        list_remove(&w->crowd);
        pump(hub, w);
        for (uint32_t i = 0; i < w->replica_count; i++) {
            struct replica *r = w->replicas[i];
            if (r->poll != NULL && r->ack_count >= ACKS_ENOUGH) {
                serve_work(hub, r); /* none, but it may forget */
            }
        }
    }
}

/* The time since it was given is shared with those that had to end before it. A longer time counts
 * at once, shorter ones little by little: one call that takes long after many short ones must not
 * make others wait behind the next. */
void
route_learn(struct hub *hub, const struct replica *r, const struct call *call)
{
    struct method *m = worker_method(r->worker, call->method, call->method_len);
    if (m == NULL) {
        return;
    }
    const int64_t turns = call->place > r->capacity ? (int64_t)call->place : (int64_t)r->capacity;
    const int64_t took_ns = (hub->now_ns - call->given_ns) * (int64_t)r->capacity / turns + 1;
    struct worker *w = r->worker;
    w->service_ns = w->served == 0 ? took_ns : w->service_ns + (took_ns - w->service_ns) / 8;
    w->served += w->served < SERVED_ENOUGH;
    m->run_ns = took_ns > m->run_ns ? took_ns : m->run_ns - (m->run_ns - took_ns) / 8;
}

/* ---- where a call waits ---------------------------------------------------------------------- */

/* Whether calls with a key may wait for this replica: it serves, or is about to, all who come. */
static bool
takes_keys(const struct replica *r)
{
    return r->wanted && r->holder == NULL &&
           (r->life == LIFE_READY || r->life == LIFE_BUSY || r->life == LIFE_STARTING);
}

/* The replica of a key: the one with the highest hash of key and number, so that when one goes only
 * its own keys move, and come back with it (rendezvous hashing of Thaler and Ravishankar). */
static struct replica *
replica_of_key(const struct hub *hub, const struct worker *w, uint64_t key_hash)
{
    struct replica *best = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < w->replica_count; i++) {
        const uint64_t seed[2] = {key_hash, i};
        const uint64_t score = siphash13(&hub->key, seed, sizeof seed);
        if (takes_keys(w->replicas[i]) && (best == NULL || score > most)) {
            best = w->replicas[i];
            most = score;
        }
    }
    return best;
}

struct replica *
route_own(const struct hub *hub, const struct call *call)
{
    const struct worker *w = call->worker;
    return call->only >= 0 ? w->replicas[call->only]
           : call->keyed   ? replica_of_key(hub, w, call->key_hash)
                           : NULL;
}

static struct queue *
queue_for(const struct hub *hub, const struct call *call)
{
    struct replica *own = route_own(hub, call);
    return own != NULL ? own->queue : &call->worker->queue;
}

static void
wait_in_queue(struct hub *hub, struct call *call)
{
    struct worker *w = call->worker;
    call->state = CALL_QUEUED;
    call->queued_ns = hub->now_ns;
    if (call->only >= (int64_t)w->replica_count) {
        call_fail(hub, call, WIRE_ERR_UNAVAILABLE, call_began(call),
                  "the replica is no longer there"); /* one of those that leave had it */
    } else if (queue_add(queue_for(hub, call), call)) {
        w->queued++;
        route_soon(hub, w);
    } else {
        call_fail(hub, call, WIRE_ERR_RESOURCE_EXHAUSTED, call_began(call),
                  "the hub is out of memory");
    }
}

void
route_again(struct hub *hub, struct call *call)
{
    call->replica = NULL;
    wait_in_queue(hub, call);
}

/* How long `count` calls take the replicas that serve all, or one that serves them alone; 0 when it
 * is not known. */
static int64_t
time_of(const struct worker *w, const struct replica *own, uint64_t count)
{
    uint64_t slots = 0;
    for (uint32_t i = 0; i < w->replica_count; i++) {
        const struct replica *r = w->replicas[i];
        const bool serves = own != NULL ? r == own : r->holder == NULL;
        slots += serves && life_serves(r->life) ? r->capacity : 0;
    }
    return w->served < SERVED_ENOUGH || slots == 0
               ? 0
               : (int64_t)((uint64_t)w->service_ns * count / slots);
}

/* Its deadline will pass while it waits. */
static bool
is_too_late(const struct hub *hub, const struct worker *w, const struct call *call)
{
    if (w->queued == 0) {
        return false;
    }
    const int64_t left_ns = call->deadline.at_ns - hub->now_ns;
    const struct replica *own = route_own(hub, call);
    const struct queue *q = own != NULL ? own->queue : &w->queue;
    return q->count > 0 && time_of(w, own, q->count) > left_ns &&
           time_of(w, own, queue_ahead(q, call->client, call->priority)) > left_ns;
}

/* Why it cannot wait in the queue; NULL when it can. */
static const char *
queue_refusal(struct hub *hub, const struct call *call, enum wire_error *code)
{
    struct worker *w = call->worker;
    const struct replica *only = call->only >= 0 ? w->replicas[call->only] : NULL;
    *code = WIRE_ERR_RESOURCE_EXHAUSTED;
    /* Those that somebody is free for do not wait: they go when the turn ends. */
    const bool full = w->queued >= w->spec->queue_max && call->whole == NULL;
    const uint32_t room = !full ? 0 : only != NULL ? route_has_room(only) : route_room(w);
    if (full && w->queued - w->spec->queue_max >= room) {
        hub_limit(hub, LIMIT_QUEUE, w->spec->name, call->client->who);
        return "too many calls wait for this worker (queue_size)";
    }
    *code = WIRE_ERR_DEADLINE_EXCEEDED;
    return is_too_late(hub, w, call) ? "so many calls wait before it that its deadline would pass"
                                     : NULL;
}

static const char poisoned[] =
    "two replicas died with this call, so it is refused for a while (prong dlq list)";

/* NULL when it can ever be served, else why not; *code says how. */
static const char *
refusal(struct hub *hub, const struct call *call, const struct method *method,
        enum wire_error *code)
{
    const struct worker *w = call->worker;
    *code = WIRE_ERR_NOT_FOUND;
    if (w == NULL) {
        hub->refused_no_worker++;
        return "there is no such worker";
    }
    if (call->only >= 0 && call->only >= (int64_t)w->spec->replicas) {
        return "the worker has no replica of this number";
    }
    *code = WIRE_ERR_UNAVAILABLE;
    if (hub->stopping) {
        return "the hub is stopping";
    }
    if (!route_has_hope(hub, w, call->only)) {
        return "no replica runs and none will start by itself (see prong status)";
    }
    const struct client *holder = call->only >= 0 ? w->replicas[call->only]->holder : NULL;
    if (holder != NULL && holder != call->client) {
        return "the replica is leased to another client";
    }
    *code = WIRE_ERR_UNIMPLEMENTED;
    if (w->methods_known && method == NULL) {
        return "the worker has no such method";
    }
    *code = WIRE_ERR_FAILED_PRECONDITION;
    if (poison_is(hub, call)) {
        return poisoned;
    }
    return nest_refusal(hub, call);
}

/* When it is worth trying again. */
static uint64_t
retry_ms(const struct worker *w)
{
    const int64_t ms = time_of(w, NULL, w->queued) / 2 / NS_PER_MS;
    return ms == 0             ? RETRY_MS
           : ms < RETRY_MS_MIN ? RETRY_MS_MIN
           : ms > RETRY_MS_MAX ? RETRY_MS_MAX
                               : (uint64_t)ms;
}

static void
refuse(struct hub *hub, struct call *call, enum wire_error code, const char *text)
{
    struct buf details = {0};
    if (code == WIRE_ERR_RESOURCE_EXHAUSTED || code == WIRE_ERR_UNAVAILABLE) {
        write_map(&details, 1);
        write_text(&details, "retry_after_ms");
        write_uint(&details, retry_ms(call->worker));
    }
    const struct span told = details.failed ? (struct span){0} : buf_span(&details);
    call_failure(hub, call, &(struct failure){code, call_began(call), span_text(text), told});
    buf_deinit(&details);
}

/* What holds for the call: what its method allows and its caller does not forbid. */
static void
learn_policy(struct call *call, const struct method *method)
{
    call->policy = method->policy < call->policy_max ? method->policy : call->policy_max;
}

void
route_call(struct hub *hub, struct call *call)
{
    struct worker *w = call->worker;
    const struct method *method =
        w != NULL ? worker_method(w, call->method, call->method_len) : NULL;
    enum wire_error code;
    call->tally = method != NULL ? method->tally : TALLY_OTHER;
    const char *text = refusal(hub, call, method, &code);
    if (text != NULL) {
        refuse(hub, call, code, text);
        return;
    }
    if (method != NULL) {
        learn_policy(call, method);
    }
    if (call->policy == POLICY_SHARED && share_join(hub, call)) {
        return;
    }
    text = queue_refusal(hub, call, &code);
    if (text != NULL) {
        refuse(hub, call, code, text);
        return;
    }
    wait_in_queue(hub, call);
    if (call->policy == POLICY_SHARED && call->state == CALL_QUEUED) {
        share_lead(hub, call);
    }
}

/* ---- what has changed for those that wait ---------------------------------------------------- */

struct sweep {
    struct hub *hub;
    struct worker *worker;
    const struct replica *replica; /* whose queue it is, or NULL */
};

static void
sweep_call(void *context, struct call *call)
{
    const struct sweep *s = context;
    const struct replica *r = s->replica;
    struct worker *w = s->worker;
    const struct method *method = worker_method(w, call->method, call->method_len);
    if (!route_has_hope(s->hub, w, call->only)) {
        refuse(s->hub, call, WIRE_ERR_UNAVAILABLE, "the worker has stopped or failed");
    } else if (w->methods_known && method == NULL) {
        refuse(s->hub, call, WIRE_ERR_UNIMPLEMENTED, "the worker has no such method");
    } else if (r != NULL && call->only >= 0 && r->holder != NULL && r->holder != call->client) {
        refuse(s->hub, call, WIRE_ERR_UNAVAILABLE, "the replica is leased to another client");
    } else if (w->poisoned && poison_is(s->hub, call)) {
        refuse(s->hub, call, WIRE_ERR_FAILED_PRECONDITION, poisoned);
    } else {
        if (method != NULL && call->runs == 0) {
            learn_policy(call, method); /* it may have come before the methods were told */
            call->tally = method->tally;
        }
        if (call->keyed && call->line->queue != queue_for(s->hub, call)) {
            call_unqueue(call); /* another replica has its key now */
            wait_in_queue(s->hub, call);
        }
    }
}

void
route_sweep(struct hub *hub, struct worker *w)
{
    struct sweep s = {hub, w, NULL};
    queue_each(&w->queue, sweep_call, &s);
    for (uint32_t i = 0; i < w->replica_count; i++) {
        s.replica = w->replicas[i];
        queue_each(w->replicas[i]->queue, sweep_call, &s);
    }
    w->poisoned = false;
    LIST_EACH(n, &w->leases)
    {
        struct call *call = CONTAINER(n, struct call, queued);
        if (!route_has_hope(hub, w, call->lease_only)) {
            refuse(hub, call, WIRE_ERR_UNAVAILABLE, "the worker has stopped or failed");
        }
    }
}
