/* Calls that a worker makes while it runs a call: they end with it, and those that could never
 * begin because the chain of calls above them occupies their target are refused at once. */
#include "broker/core/parts.h"

const struct call *
nest_above(const struct call *call)
{
    return call->whole != NULL ? call->whole->parent : call->parent;
}

const char *
nest_enter(struct hub *hub, struct call *call, uint64_t parent, bool background,
           enum wire_error *code)
{
    struct call *outer = call_by_number(hub, parent);
    uint32_t depth = 1;
    if (outer == NULL || outer->state != CALL_GIVEN) {
        *code = WIRE_ERR_CANCELLED;
        return "the call that the option parent names does not run (any more)";
    }
    for (const struct call *c = outer; c != NULL; c = nest_above(c)) {
        if (++depth > WIRE_NESTING_MAX) {
            *code = WIRE_ERR_FAILED_PRECONDITION;
            return "calls are made inside calls 32 deep at most";
        }
    }
    if (background) {
        return NULL; /* it goes on when that ends, which does not wait for it */
    }
    call->parent = outer;
    list_append(&outer->inner, &call->outer);
    if (outer->deadline.at_ns < call->deadline.at_ns &&
        !deadline_set(&hub->deadlines, &call->deadline, DEADLINE_CALL, outer->deadline.at_ns)) {
        hub->failed = true;
    }
    return NULL;
}

/* Whether the replica runs so many of the calls above that it has no room for one more. */
static bool
is_occupied(const struct replica *r, const struct call *call)
{
    uint64_t count = 0;
    for (const struct call *c = nest_above(call); c != NULL; c = nest_above(c)) {
        count += c->replica == r;
    }
    return count >= (r->capacity > 0 ? r->capacity : 1);
}

const char *
nest_refusal(const struct hub *hub, const struct call *call)
{
    const struct worker *w = call->worker;
    bool any = false;
    if (nest_above(call) == NULL) {
        return NULL;
    }
    const struct replica *own = route_own(hub, call);
    for (uint32_t i = 0; i < w->replica_count; i++) {
        const struct replica *r = w->replicas[i];
        if (!life_has_hope(r) || (own != NULL && r != own)) {
            continue;
        }
        any = true;
        if (!is_occupied(r, call)) {
            return NULL;
        }
    }
    return any ? "it could never begin: the calls inside which it was made occupy its worker"
               : NULL;
}

static void
let_go(struct hub *hub, struct call *call, bool cancels)
{
    while (!list_is_empty(&call->inner)) {
        struct call *inner = CONTAINER(call->inner.next, struct call, outer);
        list_remove(&inner->outer);
        inner->parent = NULL;
        if (cancels) {
            call_end(hub, inner, "the call inside which it was made has ended");
        }
    }
}

void
nest_again(struct hub *hub, struct call *call)
{
    let_go(hub, call, true);
}

void
nest_leave(struct hub *hub, struct call *call, bool cancels)
{
    list_remove(&call->outer);
    call->parent = NULL;
    let_go(hub, call, cancels);
}
