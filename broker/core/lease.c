/* Leases: a replica that serves one client only, until that gives it back, does not renew it in
 * time or leaves. Who asks for one waits until a replica is idle, as calls wait. */
#include "broker/core/parts.h"

static void
tell(struct hub *hub, const struct replica *r, const char *what)
{
    char name[WIRE_NAME_BYTES_MAX + 16];
    struct buf *b = &hub->scratch;
    replica_name(r, name);
    buf_reset(b, SIZE_MAX);
    write_map(b, 3);
    write_text(b, "replica");
    write_text(b, name);
    write_text(b, "what");
    write_text(b, what);
    write_text(b, "who");
    write_text(b, r->holder->who);
    hub_event(hub, HUB_EVENT_lease, buf_span(b));
}

static void
set_end(struct hub *hub, struct replica *r, uint64_t ttl_ms)
{
    if (!deadline_set(&hub->deadlines, &r->lease_end, DEADLINE_LEASE,
                      hub->now_ns + (int64_t)ttl_ms * NS_PER_MS)) {
        hub->failed = true;
    }
}

void
lease_ask(struct hub *hub, struct call *call, struct worker *w, int64_t only, uint64_t ttl_ms)
{
    const char *why = call->client->nameless ? "a lease needs a client id" : NULL;
    enum wire_error code = WIRE_ERR_INVALID_ARGUMENT;
    if (why == NULL && !route_has_hope(hub, w, only)) {
        code = WIRE_ERR_UNAVAILABLE;
        why = "no replica runs and none will start by itself (see prong status)";
    }
    if (why != NULL) {
        call_fail(hub, call, code, WIRE_BEGAN_NO, why);
        return;
    }
    call->worker = w;
    call->lease_ms = (uint32_t)ttl_ms;
    call->lease_only = (int32_t)only;
    call->only = -1;
    call->client->leases++;
    list_append(&w->leases, &call->queued);
    route_soon(hub, w);
}

/* The one that will be idle first, as far as one can tell. */
static struct replica *
choose(const struct worker *w, int32_t only)
{
    struct replica *best = NULL;
    for (uint32_t i = 0; i < w->replica_count; i++) {
        struct replica *r = w->replicas[i];
        if (r->holder == NULL && r->heir == NULL && life_serves(r->life) &&
            (only < 0 || r->index == (uint32_t)only) &&
            (best == NULL || r->running_count < best->running_count)) {
            best = r;
        }
    }
    return best;
}

static void
grant(struct hub *hub, struct replica *r)
{
    char name[WIRE_NAME_BYTES_MAX + 16];
    struct call *call = r->lease;
    r->lease = NULL;
    set_end(hub, r, call->lease_ms);
    tell(hub, r, "granted");
    replica_name(r, name);
    struct buf *b = &hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_map(b, 2);
    write_text(b, "replica");
    write_text(b, name);
    write_text(b, "ttl_ms");
    write_uint(b, call->lease_ms);
    hub->failed |= b->failed;
    call_result(hub, call, buf_span(b));
    /* From now on the replica says who holds it: the end of this call means nothing to it. */
    call->worker = NULL;
    call->only = -1;
    call->lease_ms = 0;
}

/* Of a call that has none: a replica that gets no more calls of others from now on, so that it is
 * idle soon. */
static struct replica *
reserve(struct hub *hub, struct worker *w, struct call *call)
{
    struct replica *r = choose(w, call->lease_only);
    if (r != NULL) {
        /* It gets no more calls of others from now on, and is idle soon. */
        r->holder = call->client;
        r->lease = call;
        call->only = r->index;
        route_sweep(hub, w);
    }
    return r;
}

void
lease_pump(struct hub *hub, struct worker *w)
{
    LIST_EACH(n, &w->leases)
    {
        struct call *call = CONTAINER(n, struct call, queued);
        struct replica *r = call->only >= 0 ? w->replicas[call->only] : NULL;
        if (r != NULL && !life_serves(r->life)) {
            lease_end(hub, r, "it is about to stop");
            r = NULL;
        }
        r = r != NULL ? r : reserve(hub, w, call);
        if (r != NULL && r->running_count == 0) {
            grant(hub, r);
        }
    }
}

static const char *
not_yours(const struct replica *r, const struct client *client)
{
    return r->holder == client && r->lease == NULL ? NULL
                                                   : "this client does not hold this replica";
}

const char *
lease_renew(struct hub *hub, struct replica *r, const struct client *client, uint64_t ttl_ms)
{
    const char *why = not_yours(r, client);
    if (why == NULL) {
        set_end(hub, r, ttl_ms);
    }
    return why;
}

const char *
lease_release(struct hub *hub, struct replica *r, const struct client *client)
{
    const char *why = not_yours(r, client);
    if (why == NULL) {
        lease_end(hub, r, "released");
    }
    return why;
}

void
lease_end(struct hub *hub, struct replica *r, const char *why)
{
    deadline_clear(&hub->deadlines, &r->lease_end);
    if (r->lease != NULL) {
        r->lease->only = -1; /* it waits for another one */
        r->lease = NULL;
    } else if (r->holder != NULL) {
        tell(hub, r, why);
        r->holder->leases--;
    }
    r->holder = NULL;
    if (life_serves(r->life)) {
        route_sweep(hub, r->worker); /* its keys come back */
    }
    route_soon(hub, r->worker);
    renew_check(hub, r); /* it may have been put off */
    renew_roll(hub, r->worker);
}

void
lease_leave(struct hub *hub, struct client *client)
{
    for (struct node *n = hub->worker_list.next; client->leases > 0 && n != &hub->worker_list;
         n = n->next) {
        struct worker *w = CONTAINER(n, struct worker, link);
        for (uint32_t i = 0; i < w->replica_count; i++) {
            if (w->replicas[i]->holder == client && w->replicas[i]->lease == NULL) {
                lease_end(hub, w->replicas[i], "its holder left");
            }
        }
    }
}

void
lease_lost(struct hub *hub, struct call *call)
{
    if (call->lease_ms == 0 || (call->state == CALL_DONE && call->outcome_op == WIRE_RESULT)) {
        return;
    }
    if (call->only >= 0) {
        struct replica *r = call->worker->replicas[call->only];
        r->lease = NULL;
        r->holder = NULL;
        route_soon(hub, call->worker);
    }
    call->client->leases--;
    call->lease_ms = 0;
}
