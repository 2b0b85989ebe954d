/* Routing: which replica gets which call, and which calls nobody will ever serve. */
#include "broker/core/state.h"

static bool
has_room(const struct replica *r)
{
    return r->poll != NULL && r->poll_capacity > 0 &&
           (r->life == LIFE_READY || r->life == LIFE_BUSY);
}

/* The one with the fewest calls, and of those the one that has been idle longest. */
static struct replica *
least_busy(const struct worker *w)
{
    struct replica *best = NULL;
    for (uint32_t i = 0; i < w->replica_count; i++) {
        struct replica *r = w->replicas[i];
        if (has_room(r) &&
            (best == NULL || r->running_count < best->running_count ||
             (r->running_count == best->running_count && r->idle_since_ns < best->idle_since_ns))) {
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
    r->running_count++;
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

static void
fill_replica(struct hub *hub, struct replica *r)
{
    struct call *call = next_for(r);
    if (call == NULL) {
        return;
    }
    r->work++;
    for (uint64_t n = 0; n < r->poll_capacity && call != NULL; n++) {
        give(hub, r, call);
        call = next_for(r);
    }
    serve_work(hub, r);
}

void
route_pump(struct hub *hub, struct worker *w)
{
    for (uint32_t i = 0; i < w->replica_count && w->queued > 0; i++) {
        if (has_room(w->replicas[i]) && !list_is_empty(&w->replicas[i]->queue)) {
            fill_replica(hub, w->replicas[i]);
        }
    }
    while (!list_is_empty(&w->queue)) {
        struct replica *r = least_busy(w);
        if (r == NULL) {
            return;
        }
        fill_replica(hub, r);
    }
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
    /* A call that somebody is free for does not wait, whatever the queue may hold. */
    const bool goes = call->only < 0 ? least_busy(w) != NULL : has_room(w->replicas[call->only]);
    return !goes && w->queued >= w->spec->queue_max ? "too many calls wait for this worker" : NULL;
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
    call_failure(hub, call, &(struct failure){code, WIRE_BEGAN_NO, span_text(text), told});
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
    route_pump(hub, w);
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
