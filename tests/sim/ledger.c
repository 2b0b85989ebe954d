/* What must be true, whatever happens: see sim.h. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { GRACE_MS = 2600 }; /* two seconds of promise, and how seldom actors look at their clock */

struct entry {
    enum policy policy;
    int64_t deadline_ns;
    unsigned begun, outcomes;
    bool denied; /* it was told that it has not begun */
    bool forgotten;
};

struct emitted {
    uint64_t history, number; /* as the first who knew it said */
};

struct ledger {
    struct entry *calls;
    struct emitted *events;
    uint64_t call_count, call_cap, event_count, event_cap;
};

struct ledger *
ledger_new(void)
{
    return calloc(1, sizeof(struct ledger));
}

void
ledger_free(struct ledger *l)
{
    free(l->calls);
    free(l->events);
    free(l);
}

static void *
grow(void *list, uint64_t count, uint64_t *cap, size_t size)
{
    if (count < *cap) {
        return list;
    }
    *cap = *cap > 0 ? 2 * *cap : 256;
    list = realloc(list, *cap * size);
    if (list == NULL) {
        abort();
    }
    return list;
}

uint64_t
ledger_call(struct sim *s, enum policy policy, int64_t deadline_ns)
{
    struct ledger *l = s->ledger;
    l->calls = grow(l->calls, l->call_count, &l->call_cap, sizeof *l->calls);
    l->calls[l->call_count] = (struct entry){.policy = policy, .deadline_ns = deadline_ns};
    return l->call_count++;
}

static struct entry *
entry_of(struct sim *s, uint64_t call)
{
    if (call >= s->ledger->call_count) {
        sim_wrong(s, "call %llu was never made", (unsigned long long)call);
    }
    return &s->ledger->calls[call];
}

void
ledger_began(struct sim *s, uint64_t call)
{
    struct entry *e = entry_of(s, call);
    e->begun++;
    if (e->begun > (e->policy == ONCE ? 1 : 2)) {
        sim_wrong(s, "call %llu (%s) begins for the %uth time", (unsigned long long)call,
                  e->policy == ONCE ? "once" : "again", e->begun);
    }
    if (e->denied) {
        sim_wrong(s, "call %llu begins, although its caller was told that it has not",
                  (unsigned long long)call);
    }
}

void
ledger_outcome(struct sim *s, uint64_t call, const struct session_outcome *o)
{
    struct entry *e = entry_of(s, call);
    if (++e->outcomes != 1) {
        sim_wrong(s, "call %llu has a second outcome", (unsigned long long)call);
    }
    if (o->code == PRONG_OK && e->begun == 0) {
        sim_wrong(s, "call %llu has a result and never began", (unsigned long long)call);
    }
    if (o->code != PRONG_OK && o->began == PRONG_BEGAN_NO) {
        e->denied = true;
        if (e->begun > 0) {
            sim_wrong(s, "call %llu began, and its caller is told that it has not (%d %.*s)",
                      (unsigned long long)call, (int)o->code, (int)o->message.len,
                      (const char *)o->message.data);
        }
    }
    if (s->now_ns > e->deadline_ns + GRACE_MS * MS) {
        sim_wrong(s, "call %llu ends %lld ms after its deadline", (unsigned long long)call,
                  (long long)((s->now_ns - e->deadline_ns) / MS));
    }
}

void
ledger_forget(struct sim *s, uint64_t call)
{
    entry_of(s, call)->forgotten = true;
}

/* ---- events -----------------------------------------------------------------------------------
 */

uint64_t
ledger_emit(struct sim *s)
{
    struct ledger *l = s->ledger;
    l->events = grow(l->events, l->event_count, &l->event_cap, sizeof *l->events);
    l->events[l->event_count] = (struct emitted){0, 0};
    return l->event_count++;
}

static void
know(struct sim *s, uint64_t event, uint64_t history, uint64_t number)
{
    if (event >= s->ledger->event_count) {
        sim_wrong(s, "event %llu was never emitted", (unsigned long long)event);
    }
    struct emitted *e = &s->ledger->events[event];
    if (e->number == 0) {
        *e = (struct emitted){history, number};
    } else if (e->number != number || e->history != history) {
        sim_wrong(s, "event %llu was stored twice: as %llu and as %llu", (unsigned long long)event,
                  (unsigned long long)e->number, (unsigned long long)number);
    }
}

void
ledger_event(struct sim *s, uint64_t event, uint64_t history, uint64_t number)
{
    know(s, event, history, number);
}

void
ledger_close(struct sim *s)
{
    for (uint64_t i = 0; i < s->ledger->call_count; i++) {
        const struct entry *e = &s->ledger->calls[i];
        if (!e->forgotten && e->outcomes != 1) {
            sim_wrong(s, "call %llu has no outcome", (unsigned long long)i);
        }
    }
}
