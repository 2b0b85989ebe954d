/* A program that calls, publishes, reads events, goes away and comes back: the real session, driven
 * as the library drives it. */
#include "tests/sim/caller.h"

#include "proto/mp.h"
#include "proto/record.h"
#include "proto/name.h"
#include "proto/write.h"

#include <stdlib.h>
#include <string.h>

enum { CALM_CALLS = 5, CALM_TIMEOUT_MS = 30000 };
enum { STARTED = 1, RELOADED }; /* asked->number of an ADMIN in peace */

static void
new_session(struct sim *s, struct caller *c)
{
    struct session_options o = {.sp_first = (uint32_t)sim_draw(s, UINT32_MAX),
                                .hello_ns = 2 * SECOND};
    for (size_t i = 0; i < sizeof o.client; i++) {
        o.client[i] = (uint8_t)sim_draw(s, 256);
    }
    c->session = session_new(&o);
    if (c->session == NULL) {
        abort();
    }
}

struct caller *
caller_new(struct sim *s, uint32_t place)
{
    struct caller *c = calloc(1, sizeof *c);
    if (c == NULL) {
        abort();
    }
    c->place = place;
    c->reads = place < 2;
    c->wake_ns = INT64_MAX;
    new_session(s, c);
    return c;
}

static void
drop_session(struct sim *s, struct caller *c)
{
    for (size_t i = 0; i < OUTSTANDING_MAX; i++) {
        if (c->asked[i].kind == CALL) {
            ledger_forget(s, c->asked[i].number);
        }
        pieces_forget(s, &c->asked[i]);
        c->asked[i].kind = FREE;
    }
    if (c->connection != NULL) {
        world_close(s, c->connection);
        c->connection = NULL;
    }
    session_free(c->session);
    c->session = NULL;
}

void
caller_free(struct sim *s, struct caller *c)
{
    drop_session(s, c);
    free(c);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

struct asked *
caller_place(struct caller *c)
{
    for (size_t i = 0; i < OUTSTANDING_MAX; i++) {
        if (c->asked[i].kind == FREE) {
            return &c->asked[i];
        }
    }
    return NULL;
}

bool
caller_ask(const struct sim *s, struct caller *c, struct asked *a, struct session_ask *ask_for)
{
    const char *problem;
    ask_for->user = a;
    a->epoch = s->epoch;
    return session_ask(c->session, ask_for, &a->ticket, &problem) == PRONG_OK;
}

/* Half of the calls ask for nothing; the others for a key, a priority or a narrower policy. */
static void
write_options(struct sim *s, struct buf *b, bool whole_worker, enum policy *policy)
{
    if (sim_draw(s, 2) == 0) {
        return;
    }
    const bool keyed = whole_worker && sim_draw(s, 2) == 0;
    const bool narrows = sim_draw(s, 3) == 0;
    write_map(b, 1U + keyed + narrows);
    write_text(b, "priority");
    write_uint(b, 1 + sim_draw(s, 9));
    if (keyed) {
        write_text(b, "key");
        write_text(b, sim_draw(s, 2) == 0 ? "left" : "right");
    }
    if (narrows) {
        static const char *const words[] = {"once", "idempotent", "shared"};
        const uint64_t most = sim_draw(s, 3);
        write_text(b, "policy");
        write_text(b, words[most]);
        *policy = most == 0 ? ONCE : *policy;
    }
}

static void
ask_call(struct sim *s, struct caller *c, int64_t timeout_ms)
{
    static const char *const workers[] = {"alpha", "beta", "alpha/0", "beta/1"};
    struct asked *a = caller_place(c);
    struct buf args = {0}, options = {0};
    if (a == NULL) {
        return;
    }
    const char *method = sim_draw(s, 2) == 0 ? "once" : "again";
    if (!c->calm && sim_happens(s, s->faults.nests)) {
        method = "nests";
    }
    const uint64_t worker = sim_draw(s, c->calm ? 2 : 4);
    enum policy policy = strcmp(method, "again") == 0 ? AGAIN : ONCE;
    write_options(s, &options, worker < 2, &policy);
    const int64_t deadline_ns = s->now_ns + timeout_ms * MS;
    const uint64_t number = ledger_call(s, policy, deadline_ns);
    write_array(&args, 1);
    write_uint(&args, number);
    *a = (struct asked){.kind = CALL, .number = number, .calm = s->now_ns >= s->calm_ns};
    struct session_ask call = {
        .kind = SESSION_CALL,
        .deadline_ns = deadline_ns,
        .worker = span_text(workers[worker]),
        .name = span_text(method),
        .options = buf_span(&options),
        .payload = buf_span(&args),
    };
    if (!caller_ask(s, c, a, &call)) {
        a->kind = FREE;
        ledger_forget(s, number);
    } else {
        sim_note(s, "client %u calls %llu", (unsigned)c->place, (unsigned long long)number);
    }
    buf_deinit(&args);
    buf_deinit(&options);
}

struct caller *
caller_inside(struct sim *s, const struct process *p, uint64_t parent, int64_t deadline_ns)
{
    uint32_t place = CLIENTS;
    while (s->clients[place] != NULL) {
        place++; /* one for each process at most */
    }
    struct caller *c = s->clients[place] = caller_new(s, place);
    c->inside = true;
    c->next_ns = INT64_MAX;
    struct asked *a = &c->asked[0]; /* of a new one all are free */
    struct buf args = {0}, options = {0};
    const enum policy policy = sim_draw(s, 2) == 0 ? ONCE : AGAIN;
    const bool own = sim_draw(s, 4) == 0; /* it may be refused because it would wait for itself */
    *a = (struct asked){.kind = CALL, .number = ledger_call(s, policy, deadline_ns)};
    write_array(&args, 1);
    write_uint(&args, a->number);
    write_map(&options, 1);
    write_text(&options, "parent");
    write_uint(&options, parent);
    struct session_ask call = {.kind = SESSION_CALL,
                               .deadline_ns = s->now_ns + 60 * SECOND,
                               .worker = span_text(own ? p->worker : "beta"),
                               .name = span_text(policy == ONCE ? "once" : "again"),
                               .options = buf_span(&options),
                               .payload = buf_span(&args)};
    sim_note(s, "%s/%u calls %llu inside", p->worker, (unsigned)p->replica,
             (unsigned long long)a->number);
    if (!caller_ask(s, c, a, &call)) {
        abort(); /* the first of a new session */
    }
    buf_deinit(&args);
    buf_deinit(&options);
    world_wake_client(s, c, s->now_ns);
    return c;
}

bool
caller_has_ended(const struct caller *c, prong_err *code)
{
    *code = c->inner_code;
    for (size_t i = 0; i < OUTSTANDING_MAX; i++) {
        if (c->asked[i].kind != FREE) {
            return false;
        }
    }
    return true;
}

static void
ask_emit(struct sim *s, struct caller *c)
{
    struct asked *a = caller_place(c);
    struct buf payload = {0};
    if (a == NULL) {
        return;
    }
    *a = (struct asked){.kind = EMIT, .number = ledger_emit(s, false)};
    write_uint(&payload, a->number);
    struct session_ask emit = {.kind = SESSION_EMIT,
                               .deadline_ns = s->now_ns + 5 * SECOND,
                               .name = span_text("sim.event"),
                               .payload = buf_span(&payload)};
    if (!caller_ask(s, c, a, &emit)) {
        a->kind = FREE;
    }
    buf_deinit(&payload);
}

static void
ask_fetch(const struct sim *s, struct caller *c)
{
    struct asked *a = caller_place(c);
    struct buf filters = {0};
    if (a == NULL) {
        return;
    }
    write_array(&filters, 1);
    write_text(&filters, ">");
    *a = (struct asked){.kind = FETCH, .from = c->position};
    struct session_ask fetch = {.kind = SESSION_FETCH,
                                .deadline_ns = SESSION_NEVER,
                                .name = buf_span(&filters),
                                .from = c->history == 0 ? SESSION_FROM_OLDEST : SESSION_FROM_NUMBER,
                                .number = c->position,
                                .history = c->history,
                                .items_max = 100,
                                .bytes_max = 20000,
                                .wait_ms = 25000};
    if (!caller_ask(s, c, a, &fetch)) {
        a->kind = FREE;
    }
    buf_deinit(&filters);
}

static void
ask_admin(struct sim *s, struct caller *c, const char *method, const char *worker,
          uint64_t replicas)
{
    struct asked *a = caller_place(c);
    struct buf args = {0};
    if (a == NULL) {
        return;
    }
    const bool scales = strcmp(method, "scale") == 0, reloads = strcmp(method, "reload") == 0;
    write_map(&args, reloads ? 0 : scales ? 2 : 1);
    if (!reloads) {
        write_text(&args, "worker");
        write_text(&args, worker);
    }
    if (scales) {
        write_text(&args, "replicas");
        write_uint(&args, replicas);
    }
    *a = (struct asked){.kind = ADMIN, .number = !c->calm ? 0 : reloads ? RELOADED : STARTED};
    /* A reload ends when all that run are replaced: each may have to end a call. */
    struct session_ask call = {.kind = SESSION_CALL,
                               .deadline_ns = s->now_ns + (reloads ? 60 : 5) * SECOND,
                               .worker = span_text("hub"),
                               .name = span_text(method),
                               .payload = buf_span(&args)};
    sim_note(s, "client %u: %s %s", (unsigned)c->place, method, worker);
    if (!caller_ask(s, c, a, &call)) {
        a->kind = FREE;
    }
    buf_deinit(&args);
}

/* ---- outcomes ---------------------------------------------------------------------------------
 */

static void
take_events(struct sim *s, struct caller *c, const struct asked *a, const struct session_outcome *o)
{
    struct span items = o->items;
    struct record item;
    if (o->code != PRONG_OK) {
        return;
    }
    if (c->history != 0 && o->history != c->history) {
        c->history = 0; /* numbers begin anew, and so does the reader */
        c->position = 0;
        return;
    }
    if (c->history != 0 && o->next - a->from != o->lost + o->item_count) {
        sim_wrong(s, "a reader at %llu gets %u events, %llu lost, and is to go on at %llu",
                  (unsigned long long)a->from, (unsigned)o->item_count, (unsigned long long)o->lost,
                  (unsigned long long)o->next);
    }
    const uint64_t epoch = a->epoch == s->epoch ? s->epoch : 0;
    if (c->history == 0 && o->lost == 0 && o->item_count > 0 && o->next == o->item_count + 1) {
        c->all_epoch = epoch; /* it begins with the first one */
    } else if (c->history == 0 || o->lost > 0) {
        c->all_epoch = 0;
    }
    /* Of what it lost it still gets the newest of each topic. */
    const bool gaps = o->lost > 0 || c->history == 0;
    uint64_t expected = gaps ? a->from : o->next - o->item_count;
    while (record_item(&items, WIRE_REC_EVENT_ITEM, &item)) {
        const uint64_t number = RECORD_FIELD(&item, EVENT_ITEM, NUMBER)->item.uint;
        const struct field *payload = RECORD_FIELD(&item, EVENT_ITEM, PAYLOAD);
        if (gaps ? number < expected : number != expected) {
            sim_wrong(s, "event %llu came in the place of %llu", (unsigned long long)number,
                      (unsigned long long)expected);
        }
        expected = number + 1;
        if (span_is(RECORD_FIELD(&item, EVENT_ITEM, TOPIC)->item.bytes, "sim.event")) {
            ledger_event(s, payload->item.uint, epoch, o->history, number);
        }
    }
    c->history = o->history;
    c->position = o->next;
}

static void
take_call(struct sim *s, struct caller *c, const struct asked *a, const struct session_outcome *o)
{
    struct span value = o->value;
    struct mp_item item;
    sim_note(s, "client %u: outcome of %llu is %d, began %u", (unsigned)c->place,
             (unsigned long long)a->number, (int)o->code, o->began);
    if (o->code == PRONG_OK &&
        (!mp_next(&value, &item) || item.kind != MP_UINT || item.uint != a->number)) {
        sim_wrong(s, "call %llu got the result of another", (unsigned long long)a->number);
    }
    if (a->calm && o->code == PRONG_ABORTED) {
        sim_wrong(s, "call %llu in peace is lost: %.*s", (unsigned long long)a->number,
                  (int)o->message.len, (const char *)o->message.data);
    }
    c->inner_code = o->code;
    if (c->inside && c->was_lost) {
        ledger_forget(s, a->number); /* then it may come late, by the time of its own session */
    } else {
        ledger_outcome(s, a->number, o);
    }
    c->succeeded += c->calm && o->code == PRONG_OK;
}

/* Not what was asked before peace. */
static void
take_admin(struct sim *s, struct caller *c, const struct asked *a, const struct session_outcome *o)
{
    sim_note(s, "client %u: the hub says %d %.*s", (unsigned)c->place, (int)o->code,
             (int)o->message.len, (const char *)o->message.data);
    if (a->number == STARTED && o->code == PRONG_OK) {
        c->started++;
    } else if (a->number == RELOADED && o->code == PRONG_OK) {
        c->reloaded++;
        s->goes_back = s->had.bad > 0; /* what comes next cannot run */
    }
}

static void
collect(struct sim *s, struct caller *c)
{
    struct session_outcome o;
    while (session_next(c->session, &o)) {
        struct asked *a = o.user;
        switch (a->kind) {
        case CALL:
            take_call(s, c, a, &o);
            break;
        case EMIT:
            if (o.code == PRONG_OK) {
                ledger_acked(s, a->number, a->epoch, o.number);
                sim_note(s, "client %u: event %llu is %llu", (unsigned)c->place,
                         (unsigned long long)a->number, (unsigned long long)o.number);
            }
            break;
        case FETCH:
            take_events(s, c, a, &o);
            break;
        case ADMIN:
            take_admin(s, c, a, &o);
            break;
        case PIECES:
            if (!pieces_take(s, c, a, &o)) {
                continue; /* there is more to come */
            }
            break;
        case FREE:
            sim_wrong(s, "an outcome of nothing that was asked");
        }
        a->kind = FREE;
    }
}

/* ---- the connection ---------------------------------------------------------------------------
 */

static void
send(struct sim *s, struct caller *c)
{
    uint32_t id;
    struct pieces body;
    while (c->connection != NULL && session_send(c->session, s->now_ns, &id, &body)) {
        world_send(s, c->connection, id, &body);
    }
}

void
caller_lost(struct sim *s, struct caller *c)
{
    c->connection = NULL;
    c->was_lost = true;
    session_lost(c->session);
    collect(s, c);
    c->retry_ns = s->now_ns + (4 + (int64_t)sim_draw(s, 10)) * MS;
    world_wake_client(s, c, c->retry_ns);
}

void
caller_answer(struct sim *s, struct caller *c, uint32_t id, struct span body)
{
    const char *why;
    session_answer(c->session, id, body);
    collect(s, c);
    if (session_refusal(c->session, &why) != PRONG_OK) {
        sim_wrong(s, "HELLO is refused: %s", why);
    }
    send(s, c);
}

static void
connect_again(struct sim *s, struct caller *c)
{
    if (c->connection != NULL || s->now_ns < c->retry_ns || s->now_ns < c->away_until_ns) {
        return;
    }
    c->connection = world_connect(s, c, NULL);
    if (c->connection != NULL) {
        session_connected(c->session, s->now_ns);
    }
    c->retry_ns = s->now_ns + 5 * MS;
}

/* ---- what it does -----------------------------------------------------------------------------
 */

static void
go_away(struct sim *s, struct caller *c)
{
    if (c->connection != NULL) {
        sim_note(s, "client %u goes away", (unsigned)c->place);
        world_close(s, c->connection);
        c->connection = NULL;
        session_lost(c->session);
        collect(s, c);
    }
    c->away_until_ns = s->now_ns + (int64_t)sim_draw(s, 8000) * s->faults.pace * MS / 3;
}

static bool
is_asking(const struct caller *c, int kind)
{
    for (size_t i = 0; i < OUTSTANDING_MAX; i++) {
        if ((int)c->asked[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static void
act(struct sim *s, struct caller *c)
{
    static const char *const methods[] = {"stop", "start", "restart", "scale"};
    static const char *const workers[] = {"alpha", "beta"};
    if (sim_happens(s, s->faults.leaves)) {
        sim_note(s, "client %u ends, and another comes", (unsigned)c->place);
        drop_session(s, c);
        new_session(s, c);
        c->history = c->position = 0;
    }
    if (sim_happens(s, s->faults.away)) {
        go_away(s, c);
    }
    for (uint64_t n = sim_draw(s, 4); n > 0; n--) {
        /* A few take so long that they have to be asked for again. */
        const int64_t times = s->faults.pace > 1 && sim_draw(s, 4) == 0 ? 20 : 1;
        ask_call(s, c, times * (50 + (int64_t)sim_draw(s, sim_draw(s, 3) == 0 ? 6000 : 500)));
    }
    if (sim_happens(s, s->faults.pieces)) {
        pieces_ask(s, c);
    }
    if (sim_draw(s, 3) == 0) {
        ask_emit(s, c);
    }
    if (sim_happens(s, s->faults.admin)) {
        ask_admin(s, c, methods[sim_draw(s, 4)], workers[sim_draw(s, 2)],
                  sim_draw(s, REPLICAS_MAX + 1));
    }
    if (sim_happens(s, s->faults.reloads)) {
        ask_admin(s, c, "reload", "", 0);
    }
    struct asked *a = &c->asked[sim_draw(s, OUTSTANDING_MAX)];
    if ((a->kind == CALL || a->kind == PIECES) && sim_happens(s, s->faults.cancels)) {
        session_cancel(c->session, a->ticket);
    }
    c->next_ns = s->now_ns + (int64_t)(100 + sim_draw(s, 30000)) * s->faults.pace * US;
}

/* Whether it has put the workers in order; a configuration that cannot run changes nothing then. */
static bool
has_settled(const struct sim *s, const struct caller *c)
{
    const unsigned reloads = s->had.reloads == 0 ? 0 : s->had.bad == 0 ? 1 : 2;
    return c->place != 0 || (c->started >= 2 * WORKERS && c->reloaded >= reloads);
}

static void
settle(struct sim *s, struct caller *c)
{
    const size_t worker = c->started % WORKERS;
    if (is_asking(c, ADMIN)) {
        return;
    }
    if (s->had.reloads > 0 && c->reloaded == 0) {
        ask_admin(s, c, "reload", "", 0);
    } else if (c->started < 2 * WORKERS) {
        ask_admin(s, c, c->started < WORKERS ? "scale" : "start", sim_workers[worker],
                  s->configs[worker].replicas);
    } else if (world_unsettled(s) == NULL) {
        ask_admin(s, c, "reload", "", 0);
    }
}

/* Peace: what was stopped is started, and then calls have to succeed. */
static void
act_calmly(struct sim *s, struct caller *c)
{
    if (!has_settled(s, c)) {
        settle(s, c);
    } else if (c->succeeded < CALM_CALLS) {
        ask_call(s, c, CALM_TIMEOUT_MS);
    } else if (!pieces_are_done(c) && !is_asking(c, PIECES)) {
        pieces_ask(s, c);
    }
    c->next_ns = s->now_ns + 50 * MS;
}

void
caller_calm(struct sim *s, struct caller *c)
{
    c->calm = true;
    c->away_until_ns = c->lazy_until_ns = 0;
    c->succeeded = c->started = c->reloaded = 0;
    c->pieces_done = 0;
    /* What was asked of the hub before peace has ended when the first one starts everything. */
    c->next_ns = s->now_ns + (c->place == 0 ? 8 * SECOND : 0);
    world_wake_client(s, c, s->now_ns);
}

bool
caller_is_done(const struct sim *s, const struct caller *c)
{
    return c->calm && c->succeeded >= CALM_CALLS && pieces_are_done(c) && has_settled(s, c);
}

bool
caller_has_all(const struct sim *s, const struct caller *c)
{
    return c->reads && c->all_epoch == s->epoch;
}

void
caller_wake(struct sim *s, struct caller *c)
{
    connect_again(s, c);
    if (s->now_ns >= c->next_ns) {
        (c->calm ? act_calmly : act)(s, c);
    }
    if (c->reads && !is_asking(c, FETCH) && s->now_ns >= c->lazy_until_ns) {
        ask_fetch(s, c);
        if (sim_happens(s, s->faults.lazy)) {
            c->lazy_until_ns = s->now_ns + (int64_t)sim_draw(s, 6000) * s->faults.pace * MS;
        }
    }
    pieces_wake(s, c);
    const bool dead = c->connection != NULL && session_is_dead(c->session, s->now_ns);
    session_tick(c->session, s->now_ns);
    collect(s, c);
    if (dead) {
        world_close(s, c->connection);
        caller_lost(s, c);
    }
    send(s, c);
    /* One planned wake at a time is enough: each plans the next. */
    if (s->now_ns >= c->wake_ns || c->wake_ns == INT64_MAX) {
        int64_t at_ns = c->next_ns;
        const int64_t tick_ns = session_deadline_ns(c->session);
        const int64_t retry_ns =
            c->retry_ns > c->away_until_ns ? c->retry_ns : c->away_until_ns; /* not before */
        at_ns = c->connection == NULL && retry_ns < at_ns ? retry_ns : at_ns;
        at_ns = tick_ns < at_ns ? tick_ns : at_ns;
        c->wake_ns = at_ns > s->now_ns ? at_ns : s->now_ns + MS;
        world_wake_client(s, c, c->wake_ns);
    }
}
