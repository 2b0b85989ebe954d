/* Calls of more than one piece, and what must be true of each. */
#include "tests/sim/caller.h"

#include "proto/mp.h"
#include "proto/name.h"
#include "proto/record.h"
#include "proto/wire.h"
#include "proto/write.h"

#include <stdlib.h>
#include <string.h>

enum { GROUPS = 3, LATER_TTL_MS = 20000 };

/* ---- asking -----------------------------------------------------------------------------------
 */

static const char *const workers[] = {"alpha", "beta"};

/* Numbers of the ledger for so many calls; the first. */
static uint64_t
numbers(struct sim *s, enum policy policy, int64_t deadline_ns, uint32_t count)
{
    const uint64_t first = ledger_call(s, policy, deadline_ns);
    for (uint32_t i = 1; i < count; i++) {
        (void)ledger_call(s, policy, deadline_ns);
    }
    return first;
}

static void
write_one(struct buf *b, uint64_t number)
{
    write_array(b, 1);
    write_uint(b, number);
}

/* The arguments of a call, and what it is to be checked by. */
static void
prepare(struct sim *s, struct asked *a, int64_t deadline_ns, struct session_ask *call,
        struct buf *args, struct buf *options)
{
    const bool once = sim_draw(s, 2) == 0;
    const enum policy policy = a->what == EACH     ? MANY_TIMES
                               : a->what == EQUAL  ? EQUALS
                               : a->what == YIELDS ? AGAIN
                               : once              ? ONCE
                                                   : AGAIN;
    a->parts = a->what == MANY ? 1 + (uint32_t)sim_draw(s, PARTS_MAX) : 1;
    a->number = numbers(s, policy, deadline_ns, a->parts);
    call->name = span_text(a->what == YIELDS  ? "yields"
                           : a->what == EQUAL ? "equal"
                           : once             ? "once"
                                              : "again");
    if (a->what == MANY) {
        write_array(args, a->parts);
        for (uint32_t i = 0; i < a->parts; i++) {
            write_one(args, a->number + i);
        }
        a->ordered = sim_draw(s, 2) == 0;
        write_map(options, 1);
        write_text(options, "map");
        write_text(options, a->ordered ? "ordered" : "completed");
    } else {
        write_one(args, a->what == EQUAL ? sim_draw(s, GROUPS) : a->number);
    }
    if (a->what == LATER) {
        write_map(options, 1);
        write_text(options, "background");
        write_bool(options, true);
    }
    call->payload = buf_span(args);
    call->options = buf_span(options);
}

static void
note(struct sim *s, const struct caller *c, const struct asked *a)
{
    static const char *const names[PIECES_COUNT] = {"yields",  "many",  "each", "later",
                                                    "resumed", "equal", "lease"};
    sim_note(s, "client %u calls %llu (%s, %u)", (unsigned)c->place, (unsigned long long)a->number,
             names[a->what], (unsigned)a->parts);
}

/* Ask for the outcome of one that runs in the background. */
static void
resume(struct sim *s, struct caller *c, struct asked *a)
{
    const struct later *l = &s->laters[sim_draw(s, s->later_count)];
    *a = (struct asked){.kind = PIECES, .what = RESUMED, .number = l->number, .parts = 1};
    struct session_ask call = {
        .kind = SESSION_CALL, .deadline_ns = s->now_ns + 40 * SECOND, .resume = &l->handle};
    note(s, c, a);
    if (!caller_ask(s, c, a, &call)) {
        a->kind = FREE;
    }
}

static void
lease(struct sim *s, struct caller *c, struct asked *a)
{
    struct buf args = {0};
    *a = (struct asked){.kind = PIECES, .what = LEASE, .parts = 1};
    write_map(&args, 2);
    write_text(&args, "worker");
    write_text(&args, workers[sim_draw(s, 2)]);
    write_text(&args, "ttl_ms");
    write_uint(&args, 1 + sim_draw(s, 300));
    struct session_ask call = {.kind = SESSION_CALL,
                               .deadline_ns = s->now_ns + (int64_t)sim_draw(s, 1000) * MS,
                               .worker = span_text("hub"),
                               .name = span_text("lease"),
                               .payload = buf_span(&args)};
    if (!caller_ask(s, c, a, &call)) {
        a->kind = FREE;
    }
    buf_deinit(&args);
}

enum { IN_PEACE = 1 << YIELDS | 1 << MANY | 1 << EACH | 1 << LATER | 1 << EQUAL };

bool
pieces_are_done(const struct caller *c)
{
    return (c->pieces_done & IN_PEACE) == IN_PEACE;
}

static enum piece_kind
first_missing(const struct caller *c)
{
    uint32_t what = 0;
    while ((IN_PEACE & ~c->pieces_done) != 0 && ((IN_PEACE & ~c->pieces_done) >> what & 1) == 0) {
        what++;
    }
    return (enum piece_kind)what;
}

void
pieces_ask(struct sim *s, struct caller *c)
{
    static const char *const each[] = {"alpha/*", "beta/*"};
    struct asked *a = caller_place(c);
    struct buf args = {0}, options = {0};
    const enum piece_kind what =
        c->calm ? first_missing(c) : (enum piece_kind)sim_draw(s, PIECES_COUNT);
    if (a == NULL || (what == RESUMED && s->later_count == 0)) {
        return;
    }
    if (what == RESUMED) {
        resume(s, c, a);
        return;
    }
    if (what == LEASE) {
        lease(s, c, a);
        return;
    }
    *a = (struct asked){.kind = PIECES, .what = what};
    const int64_t deadline_ns =
        s->now_ns + (c->calm ? 30000 : 100 + (int64_t)sim_draw(s, 5000)) * MS;
    struct session_ask call = {.kind = SESSION_CALL,
                               .deadline_ns = deadline_ns,
                               .worker = span_text((what == EACH ? each : workers)[sim_draw(s, 2)]),
                               .background = what == LATER,
                               .ttl_ms = what == LATER ? LATER_TTL_MS : 0};
    prepare(s, a, deadline_ns, &call, &args, &options);
    note(s, c, a);
    if (!caller_ask(s, c, a, &call)) {
        pieces_forget(s, a);
        a->kind = FREE;
    }
    buf_deinit(&args);
    buf_deinit(&options);
}

/* ---- what comes -------------------------------------------------------------------------------
 */

/* An item of a method that yields: they come in their order, each once. */
static void
take_item(struct sim *s, struct asked *a, struct span item)
{
    struct mp_item head, number, place, run;
    if (!mp_next(&item, &head) || !mp_next(&item, &number) || !mp_next(&item, &place) ||
        !mp_next(&item, &run) || number.uint != a->number || place.uint != a->items) {
        sim_wrong(s, "call %llu gets item %llu of %llu in the place of %u",
                  (unsigned long long)a->number, (unsigned long long)place.uint,
                  (unsigned long long)number.uint, (unsigned)a->items);
    }
    a->run = a->items == 0 ? run.uint : a->run;
    if (a->run != run.uint) {
        sim_wrong(s, "call %llu gets items of two runs", (unsigned long long)a->number);
    }
}

/* What became of one of many. */
static void
take_outcome(struct sim *s, struct asked *a, struct span item)
{
    struct mp_item head, number, kind, value;
    struct wire_failure f;
    struct session_outcome o = {.code = PRONG_OK, .began = PRONG_BEGAN_YES};
    if (!mp_next(&item, &head) || head.count != 3 || !mp_next(&item, &number) ||
        !mp_next(&item, &kind)) {
        sim_wrong(s, "what a call of many gets is no outcome");
    }
    const uint64_t n = number.uint;
    if (n >= (a->what == MANY ? a->parts : 32) || (a->seen >> n & 1) != 0) {
        sim_wrong(s, "part %llu of call %llu has a second outcome, or is none",
                  (unsigned long long)n, (unsigned long long)a->number);
    }
    if (a->ordered && n != a->items) {
        sim_wrong(s, "part %llu of call %llu comes in the place of %u", (unsigned long long)n,
                  (unsigned long long)a->number, (unsigned)a->items);
    }
    a->seen |= UINT32_C(1) << n;
    const uint64_t call = a->number + (a->what == MANY ? n : 0);
    if (kind.uint == WIRE_REPORT_ERROR) {
        if (!record_failure(item, &f)) {
            sim_wrong(s, "the error of a part is none");
        }
        o.code = (prong_err)f.code;
        o.began = f.began;
    } else if (!mp_next(&item, &value) || value.uint != call) {
        sim_wrong(s, "call %llu got the result of another", (unsigned long long)call);
    }
    sim_note(s, "part %llu of %llu: %d, began %u", (unsigned long long)n,
             (unsigned long long)a->number, (int)o.code, o.began);
    if (a->what == MANY) {
        ledger_outcome(s, call, &o);
    }
}

static void
take_items(struct sim *s, struct caller *c, struct asked *a, const struct session_outcome *o)
{
    struct span rest = o->items, item;
    for (uint32_t i = 0; i < o->item_count; i++) {
        if (!mp_skip(&rest, &item)) {
            sim_wrong(s, "items are cut off");
        }
        (a->what == YIELDS ? take_item : take_outcome)(s, a, item);
        a->items++;
    }
    /* Some let the hub wait. */
    const bool waits = s->chaos && sim_happens(s, s->faults.lazy);
    a->more_ns = s->now_ns + (waits ? (int64_t)sim_draw(s, 500) * MS : 0);
    world_wake_client(s, c, a->more_ns);
}

/* All of its parts have their outcome when it succeeds; what has none has that of the whole. */
static void
end_many(struct sim *s, struct asked *a, const struct session_outcome *o)
{
    if (o->code == PRONG_OK && a->what == MANY && a->items != a->parts) {
        sim_wrong(s, "call %llu is done with %u of %u outcomes", (unsigned long long)a->number,
                  (unsigned)a->items, (unsigned)a->parts);
    }
    for (uint32_t i = 0; a->what == MANY && i < a->parts; i++) {
        if ((a->seen >> i & 1) == 0) {
            ledger_outcome(s, a->number + i, o);
        }
    }
    if (a->what == EACH) {
        struct session_outcome whole = *o;
        whole.began = o->code == PRONG_OK ? PRONG_BEGAN_YES : o->began;
        whole.code = o->code == PRONG_OK ? PRONG_UNKNOWN : o->code; /* it may be that none ran */
        ledger_outcome(s, a->number, &whole);
    }
}

static void
take_value(struct sim *s, struct asked *a, const struct session_outcome *o)
{
    struct span value = o->value;
    struct mp_item item;
    if (o->code == PRONG_OK && a->what == YIELDS && a->items != YIELDED(a->number)) {
        sim_wrong(s, "call %llu is done with %u of %u items", (unsigned long long)a->number,
                  (unsigned)a->items, (unsigned)YIELDED(a->number));
    }
    if (o->code == PRONG_OK &&
        (!mp_next(&value, &item) || item.kind != MP_UINT ||
         (a->what == EQUAL ? item.uint >= GROUPS : item.uint != a->number))) {
        sim_wrong(s, "call %llu got the result of another", (unsigned long long)a->number);
    }
    if (a->what != RESUMED) {
        ledger_outcome(s, a->number, o);
    }
}

/* It is accepted, and its outcome can be asked for by anybody. */
static void
take_handle(struct sim *s, const struct asked *a, const struct session_outcome *o)
{
    const uint32_t place =
        s->later_count < LATERS ? s->later_count++ : (uint32_t)sim_draw(s, LATERS);
    s->laters[place] = (struct later){.handle = o->handle,
                                      .number = a->number,
                                      .epoch = a->epoch == s->epoch ? s->epoch : 0,
                                      .accepted_ns = s->now_ns};
    ledger_forget(s, a->number);
}

/* The hub keeps it for ten minutes, whoever leaves, and nobody has cancelled it. */
static void
check_resumed(struct sim *s, const struct asked *a, const struct session_outcome *o)
{
    const struct later *l = NULL;
    for (uint32_t i = 0; i < s->later_count; i++) {
        l = s->laters[i].number == a->number ? &s->laters[i] : l;
    }
    const bool known = l != NULL && l->epoch == s->epoch &&
                       s->now_ns < l->accepted_ns + (WIRE_BACKGROUND_KEEP_MS - 1000) * MS;
    if (known && o->code == PRONG_NOT_FOUND) {
        sim_wrong(s, "call %llu in the background is forgotten", (unsigned long long)a->number);
    }
}

bool
pieces_take(struct sim *s, struct caller *c, struct asked *a, const struct session_outcome *o)
{
    if (!o->ended) {
        take_items(s, c, a, o);
        return false;
    }
    sim_note(s, "client %u: outcome of %llu is %d, began %u", (unsigned)c->place,
             (unsigned long long)a->number, (int)o->code, o->began);
    if (o->code == PRONG_INTERNAL) {
        sim_wrong(s, "call %llu: %.*s", (unsigned long long)a->number, (int)o->message.len,
                  (const char *)o->message.data);
    }
    if (c->calm && o->code == PRONG_OK) {
        c->pieces_done |= 1U << a->what;
    }
    switch (a->what) {
    case MANY:
    case EACH:
        end_many(s, a, o);
        break;
    case LATER:
        if (o->accepted) {
            take_handle(s, a, o);
            break;
        }
        take_value(s, a, o);
        break;
    case RESUMED:
        check_resumed(s, a, o);
        take_value(s, a, o);
        break;
    case YIELDS:
    case EQUAL:
        take_value(s, a, o);
        break;
    case LEASE:
    case PIECES_COUNT:
        break;
    }
    return true;
}

void
pieces_wake(struct sim *s, struct caller *c)
{
    for (size_t i = 0; i < OUTSTANDING_MAX; i++) {
        struct asked *a = &c->asked[i];
        if (a->kind == PIECES && a->more_ns != 0 && s->now_ns >= a->more_ns) {
            a->more_ns = 0;
            session_more(c->session, a->ticket);
        }
    }
}

void
pieces_forget(struct sim *s, const struct asked *a)
{
    if (a->kind != PIECES || a->what == RESUMED || a->what == LEASE) {
        return;
    }
    for (uint32_t i = 0; i < a->parts; i++) {
        ledger_forget(s, a->number + i);
    }
}
