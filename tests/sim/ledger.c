/* What must be true, whatever happens: see sim.h. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { GRACE_MS = 2600 }; /* two seconds of promise, and how seldom actors look at their clock */

struct entry {
    enum policy policy;
    int64_t deadline_ns;
    unsigned begun, most, outcomes;
    bool denied; /* it was told that it has not begun */
    bool forgotten, doubted;
};

struct emitted {
    uint64_t history, number; /* as the first who knew it said */
    bool raw;
    uint64_t acked_epoch; /* the broker that has acknowledged it */
    uint64_t read_epoch;  /* and the one from which it was read */
};

struct ledger {
    struct entry *calls;
    struct emitted *events;
    uint64_t call_count, call_cap, event_count, event_cap;
    uint64_t *acked; /* the event that was acknowledged under a number by the broker, plus 1 */
    uint64_t acked_count, acked_cap, epoch;
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
    free(l->acked);
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
    static const unsigned most[] = {[ONCE] = 1, [AGAIN] = 2, [MANY_TIMES] = 64, [EQUALS] = 1};
    l->calls[l->call_count] = (struct entry){.policy = policy,
                                             .deadline_ns = deadline_ns,
                                             .most = most[policy],
                                             .begun = policy == EQUALS};
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
    if (e->begun > e->most) {
        sim_wrong(s, "call %llu (%s) begins for the %uth time", (unsigned long long)call,
                  e->policy == ONCE ? "once" : "again", e->begun);
    }
    if (e->denied && !e->doubted) {
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
        if (e->begun > 0 && !e->doubted && e->policy != EQUALS) {
            sim_wrong(s, "call %llu began, and its caller is told that it has not (%d %.*s)",
                      (unsigned long long)call, (int)o->code, (int)o->message.len,
                      (const char *)o->message.data);
        }
    }
    /* Nobody could do anything while the clock jumped. */
    const int64_t due_ns = e->deadline_ns > s->jumped_ns ? e->deadline_ns : s->jumped_ns;
    if (s->now_ns > due_ns + GRACE_MS * MS) {
        sim_wrong(s, "call %llu ends %lld ms after its deadline", (unsigned long long)call,
                  (long long)((s->now_ns - e->deadline_ns) / MS));
    }
}

void
ledger_doubt(struct sim *s, uint64_t call)
{
    struct entry *e = entry_of(s, call);
    e->most += e->policy == ONCE ? 1 : 2;
    e->doubted = true;
}

void
ledger_forget(struct sim *s, uint64_t call)
{
    entry_of(s, call)->forgotten = true;
}

/* ---- events -----------------------------------------------------------------------------------
 */

uint64_t
ledger_emit(struct sim *s, bool raw)
{
    struct ledger *l = s->ledger;
    l->events = grow(l->events, l->event_count, &l->event_cap, sizeof *l->events);
    l->events[l->event_count] = (struct emitted){.raw = raw};
    return l->event_count++;
}

static void
know(struct sim *s, uint64_t event, uint64_t history, uint64_t number)
{
    if (event >= s->ledger->event_count) {
        sim_wrong(s, "event %llu was never emitted", (unsigned long long)event);
    }
    struct emitted *e = &s->ledger->events[event];
    if (e->number == 0 || (e->raw && e->history != history)) {
        e->history = history;
        e->number = number;
    } else if (e->number != number || e->history != history) {
        sim_wrong(s, "event %llu was stored twice: as %llu and as %llu", (unsigned long long)event,
                  (unsigned long long)e->number, (unsigned long long)number);
    }
}

void
ledger_acked(struct sim *s, uint64_t event, uint64_t epoch, uint64_t number)
{
    struct ledger *l = s->ledger;
    if (epoch != s->epoch) {
        return; /* which of both has stored it nobody knows */
    }
    l->events[event].acked_epoch = epoch;
    if (l->epoch != epoch) {
        l->epoch = epoch;
        l->acked_count = 0;
    }
    for (; l->acked_count <= number; l->acked_count++) {
        l->acked = grow(l->acked, l->acked_count, &l->acked_cap, sizeof *l->acked);
        l->acked[l->acked_count] = 0;
    }
    if (number != 0) {
        l->acked[number] = event + 1;
    }
}

void
ledger_event(struct sim *s, uint64_t event, uint64_t epoch, uint64_t history, uint64_t number)
{
    struct ledger *l = s->ledger;
    know(s, event, history, number);
    if (epoch == 0) {
        return;
    }
    l->events[event].read_epoch = epoch;
    if (l->epoch == epoch && number < l->acked_count && l->acked[number] != 0 &&
        l->acked[number] != event + 1) {
        sim_wrong(s, "event %llu was acknowledged as %llu, where %llu stands",
                  (unsigned long long)l->acked[number] - 1, (unsigned long long)number,
                  (unsigned long long)event);
    }
}

void
ledger_all_read(struct sim *s)
{
    for (uint64_t i = 0; i < s->ledger->event_count; i++) {
        const struct emitted *e = &s->ledger->events[i];
        if (e->acked_epoch == s->epoch && e->read_epoch != s->epoch) {
            sim_wrong(s, "event %llu was acknowledged, and a reader of all did not get it",
                      (unsigned long long)i);
        }
    }
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
