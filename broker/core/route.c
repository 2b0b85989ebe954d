/* Routing: which replica gets which call, and which calls nobody will ever serve.
 *
 * A replica runs `capacity` calls at a time. What it is given beyond that waits inside of it, where
 * no other replica can take it and nobody knows whether it began. That is worth it for calls that
 * take microseconds, because handing over a message takes longer than they do; so what is given
 * beyond is only what may run again, was not lost with a replica before, and is known to be short:
 * together no longer than WIRE_BATCH_US. */
#include "broker/core/state.h"

enum { BATCH_NS = WIRE_BATCH_US * 1000 };

static bool
has_room(const struct replica *r)
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
        if (!has_room(r)) {
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
    call_unqueue(call);
    call->state = CALL_GIVEN;
    call->replica = r;
    call->work = r->work;
    call->runs++;
    list_append(&r->running, &call->running);
    call->place = ++r->running_count;
    call->given_ns = hub->now_ns;
    life_step(hub, r, LIFE_IN_GIVEN);
}

/* The next call for a replica: of its own queue and its worker's the one that came first. */
static struct call *
next_for(const struct replica *r)
{
    struct call *own =
        list_is_empty(&r->queue) ? NULL : CONTAINER(r->queue.next, struct call, queued);
    struct node *any = &r->worker->queue;
    struct call *shared = list_is_empty(any) ? NULL : CONTAINER(any->next, struct call, queued);
    if (own == NULL || shared == NULL) {
        return own != NULL ? own : shared;
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
pump(struct hub *hub, struct worker *w)
{
    for (uint32_t i = 0; i < w->replica_count && w->queued > 0; i++) {
        struct replica *r = w->replicas[i];
        if (has_room(r) && !list_is_empty(&r->queue)) {
            fill_replica(hub, r, UINT64_MAX);
        }
    }
    while (!list_is_empty(&w->queue)) {
        uint32_t count;
        struct replica *r = least_busy(w, &count);
        if (r == NULL) {
            return;
        }
        fill_replica(hub, r, (w->queued + count - 1) / count);
    }
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
    m->run_ns = took_ns > m->run_ns ? took_ns : m->run_ns - (m->run_ns - took_ns) / 8;
}

void
route_again(struct call *call)
{
    struct worker *w = call->worker;
    struct node *queue = call->only < 0 ? &w->queue : &w->replicas[call->only]->queue;
    struct node *at = queue->next;
    while (at != queue && CONTAINER(at, struct call, queued)->number < call->number) {
        at = at->next;
    }
    call->replica = NULL;
    call->state = CALL_QUEUED;
    list_append(at, &call->queued);
    w->queued++;
}

/* NULL when it can be served, else why not; *code says how. */
static const char *
refusal(const struct hub *hub, const struct call *call, enum wire_error *code)
{
    const struct worker *w = call->worker;
    *code = WIRE_ERR_NOT_FOUND;
    if (w == NULL) {
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
    *code = WIRE_ERR_UNIMPLEMENTED;
    if (w->methods_known && worker_method(w, call->method, call->method_len) == NULL) {
        return "the worker has no such method";
    }
    *code = WIRE_ERR_RESOURCE_EXHAUSTED;
    /* Those that somebody is free for do not wait: they go when the turn ends. */
    uint32_t room = call->only >= 0 && has_room(w->replicas[call->only]);
    if (call->only < 0) {
        (void)least_busy(w, &room); /* only how many */
    }
    return w->queued >= (uint64_t)w->spec->queue_max + room ? "too many calls wait for this worker"
                                                            : NULL;
}

static void
refuse(struct hub *hub, struct call *call, enum wire_error code, const char *text)
{
    struct buf *details = &hub->scratch;
    buf_reset(details, SIZE_MAX);
    if (code == WIRE_ERR_RESOURCE_EXHAUSTED || code == WIRE_ERR_UNAVAILABLE) {
        write_map(details, 1);
        write_text(details, "retry_after_ms");
        write_uint(details, 1000);
    }
    const struct span told = details->failed ? (struct span){0} : buf_span(details);
    call_failure(hub, call,
                 &(struct failure){code, call->runs > 0 ? WIRE_BEGAN_MAYBE : WIRE_BEGAN_NO,
                                   span_text(text), told});
}

void
route_call(struct hub *hub, struct call *call)
{
    struct worker *w = call->worker;
    enum wire_error code;
    const char *text = refusal(hub, call, &code);
    if (text != NULL) {
        refuse(hub, call, code, text);
        return;
    }
    if (w->methods_known) {
        call->policy = worker_method(w, call->method, call->method_len)->policy;
    }
    struct replica *only = call->only < 0 ? NULL : w->replicas[call->only];
    list_append(only != NULL ? &only->queue : &w->queue, &call->queued);
    w->queued++;
    route_soon(hub, w);
}

static void
sweep_queue(struct hub *hub, const struct worker *w, struct node *queue)
{
    LIST_EACH(n, queue)
    {
        struct call *call = CONTAINER(n, struct call, queued);
        const struct method *method = worker_method(w, call->method, call->method_len);
        if (!route_has_hope(hub, w, call->only)) {
            refuse(hub, call, WIRE_ERR_UNAVAILABLE, "the worker has stopped or failed");
        } else if (w->methods_known && method == NULL) {
            refuse(hub, call, WIRE_ERR_UNIMPLEMENTED, "the worker has no such method");
        } else if (method != NULL && call->runs == 0) {
            call->policy = method->policy; /* it may have come before the methods were told */
        }
    }
}

void
route_sweep(struct hub *hub, struct worker *w)
{
    sweep_queue(hub, w, &w->queue);
    for (uint32_t i = 0; i < w->replica_count; i++) {
        sweep_queue(hub, w, &w->replicas[i]->queue);
    }
}
