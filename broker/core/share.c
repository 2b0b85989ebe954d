/* Equal calls of a `shared` method are answered by one run: the first one leads, the others follow.
 *
 * Followers wait for what the worker says of the leader. When the leader ends in another way (its
 * caller cancelled it, its deadline passed, its worker died) they go their own way.
 *
 * A call made inside another one never follows: the one that it would follow may wait for it, in a
 * circle of any length. Others may follow it. */
#include "broker/core/parts.h"

#include <stdlib.h>
#include <string.h>

uint64_t
call_print(const struct hub *hub, const struct call *call)
{
    const struct span args = buf_span(&call->args);
    const char *worker = call->worker->spec->name;
    const uint64_t parts[] = {
        siphash24(&hub->key, worker, strlen(worker)),
        siphash24(&hub->key, call->method, call->method_len),
        siphash24(&hub->key, args.data, args.len),
    };
    return siphash24(&hub->key, parts, sizeof parts);
}

static bool
is_equal(const struct call *a, const struct call *b)
{
    return a->worker == b->worker && a->only == b->only && a->keyed == b->keyed &&
           a->key_hash == b->key_hash && a->method_len == b->method_len &&
           memcmp(a->method, b->method, a->method_len) == 0 &&
           span_equal(buf_span(&a->args), buf_span(&b->args));
}

bool
share_join(struct hub *hub, struct call *call)
{
    const uint64_t print = call_print(hub, call);
    struct table_entry *e = table_find(&hub->shared, &print, sizeof print);
    struct share *s = e != NULL ? CONTAINER(e, struct share, entry) : NULL;
    if (s == NULL || nest_above(call) != NULL || !is_equal(s->call, call)) {
        return false;
    }
    call->state = CALL_FOLLOWS;
    call->leader = s->call;
    list_append(&s->followers, &call->follows);
    return true;
}

void
share_lead(struct hub *hub, struct call *call)
{
    const uint64_t print = call_print(hub, call);
    struct share *s =
        table_find(&hub->shared, &print, sizeof print) == NULL ? malloc(sizeof *s) : NULL;
    if (s == NULL) {
        return; /* it runs alone, as all do that need not */
    }
    *s = (struct share){.print = print, .call = call};
    list_init(&s->followers);
    if (!table_add(&hub->shared, &s->entry, &s->print, sizeof s->print)) {
        free(s);
        return;
    }
    call->share = s;
}

/* The follower waits for nobody any more. */
static void
detach(struct call *call)
{
    call->maybe |= call->leader->runs > 0;
    call->leader = NULL;
    list_remove(&call->follows);
}

/* What the worker said of the leader holds for a follower, too: one that may have begun before has
 * a leader of which that was known when its outcome was told. */
static void
answer(struct hub *hub, struct call *follower, const struct call *leader)
{
    const struct span outcome = buf_span(&leader->outcome);
    if (leader->outcome_op == WIRE_RESULT) {
        call_result(hub, follower, outcome);
        return;
    }
    struct span rest = outcome, details = {0};
    struct mp_item code = {0}, began = {0}, message = {0};
    (void)mp_next(&rest, &code); /* call_failure wrote them */
    (void)mp_next(&rest, &began);
    (void)mp_next(&rest, &message);
    (void)mp_skip(&rest, &details);
    call_failure(hub, follower,
                 &(struct failure){(enum wire_error)code.uint, (enum wire_began)began.uint,
                                   message.bytes, details});
}

/* The follower goes its own way, and the other ones follow it if it leads now: they were equal to
 * the same one. Without that each of many that end would be compared with all that are left. */
static void
send_on(struct hub *hub, struct share *old, struct call *follower)
{
    const bool maybe = old->call->runs > 0;
    route_call(hub, follower);
    struct share *s = follower->share;
    if (s == NULL) {
        return;
    }
    LIST_EACH(n, &old->followers)
    {
        struct call *other = CONTAINER(n, struct call, follows);
        other->maybe |= maybe;
        other->leader = follower;
        list_remove(n);
        list_append(&s->followers, n);
    }
}

/* End the leading; its followers are answered or start anew. */
static void
dissolve(struct hub *hub, struct call *call, bool answers)
{
    struct share *s = call->share;
    call->share = NULL;
    table_remove(&hub->shared, &s->entry);
    while (!list_is_empty(&s->followers)) {
        struct call *follower = CONTAINER(s->followers.next, struct call, follows);
        detach(follower);
        if (answers) {
            answer(hub, follower, call);
        } else {
            send_on(hub, s, follower);
        }
    }
    free(s);
}

void
share_done(struct hub *hub, struct call *call)
{
    if (call->leader != NULL) {
        detach(call);
    }
    if (call->share != NULL) {
        dissolve(hub, call, call->ran_process != 0);
    }
}

void
share_leave(struct hub *hub, struct call *call)
{
    if (call->leader != NULL) {
        detach(call);
    }
    if (call->share != NULL) {
        dissolve(hub, call, false);
    }
}
