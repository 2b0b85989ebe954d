/* A program with a stock REQ socket and no library of ours: see sim.h. */
#include "tests/sim/sim.h"

#include "proto/record.h"
#include "proto/write.h"

#include <stdlib.h>

enum {
    CALM_CALLS = 5,
    REPEAT_MS = 60000,
    SURE_MS = 110000,
    LATE_MS = 7000 /* a connection may stall for four seconds */,
    PID = 50
};

struct stock {
    uint32_t place;
    struct connection *connection;
    uint8_t client[WIRE_CLIENT_BYTES];
    bool named, calm;
    enum { NOTHING, CALL, EMIT } asks;
    uint64_t seq, number; /* of the request; of the call or event in the ledger */
    uint32_t id;
    struct buf request;
    int64_t first_ns, sent_ns; /* when it was sent first and last */
    int64_t ttl_ns;            /* of the call */
    int64_t retry_ns, next_ns;
    unsigned succeeded;
};

struct stock *
stock_new(struct sim *s, uint32_t place)
{
    struct stock *c = calloc(1, sizeof *c);
    if (c == NULL) {
        abort();
    }
    c->place = place;
    c->named = place > 0;
    c->id = (uint32_t)sim_draw(s, UINT32_MAX);
    for (size_t i = 0; i < sizeof c->client; i++) {
        c->client[i] = (uint8_t)sim_draw(s, 256);
    }
    return c;
}

void
stock_free(struct sim *s, struct stock *c)
{
    if (c->asks == CALL) {
        ledger_forget(s, c->number);
    }
    if (c->connection != NULL) {
        world_close(s, c->connection);
    }
    buf_deinit(&c->request);
    free(c);
}

int32_t
stock_pid(const struct stock *c)
{
    return PID + (int32_t)c->place;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static void
send(struct sim *s, struct stock *c)
{
    const struct pieces body = pieces_of(buf_span(&c->request));
    if (c->connection == NULL || c->asks == NOTHING) {
        return;
    }
    if (c->sent_ns == 0) {
        c->first_ns = s->now_ns;
    } else if (s->now_ns - c->first_ns > SURE_MS * MS && c->asks == CALL) {
        ledger_doubt(s, c->number); /* after two minutes the hub may not know it any more */
    }
    c->sent_ns = s->now_ns;
    world_send(s, c->connection, c->id, &body);
}

static void
write_client(struct stock *c)
{
    if (c->named) {
        write_bin(&c->request, (struct span){c->client, sizeof c->client});
    } else {
        write_nil(&c->request);
    }
    write_uint(&c->request, c->seq);
}

static void
ask_call(struct sim *s, struct stock *c)
{
    const enum policy policy = sim_draw(s, 2) == 0 ? ONCE : AGAIN;
    const uint64_t ttl_ms = c->calm ? 20000 : 50 + sim_draw(s, 4000);
    /* What counts is when it arrives: see take_call. */
    c->ttl_ns = (int64_t)ttl_ms * MS;
    c->number = ledger_call(s, policy, INT64_MAX / 2);
    write_op(&c->request, WIRE_CALL);
    write_client(c);
    write_uint(&c->request, c->seq - 1);
    write_text(&c->request, sim_draw(s, 2) == 0 ? "alpha" : "beta");
    write_text(&c->request, policy == ONCE ? "once" : "again");
    write_uint(&c->request, ttl_ms);
    write_nil(&c->request);
    write_array(&c->request, 1);
    write_uint(&c->request, c->number);
    sim_note(s, "stock %u calls %llu", (unsigned)c->place, (unsigned long long)c->number);
}

static void
ask_emit(struct sim *s, struct stock *c)
{
    c->number = ledger_emit(s, true);
    write_op(&c->request, WIRE_EMIT);
    write_client(c);
    write_text(&c->request, "sim.event");
    write_nil(&c->request);
    write_uint(&c->request, c->number);
}

static void
ask(struct sim *s, struct stock *c)
{
    c->asks = !c->calm && sim_draw(s, 4) == 0 ? EMIT : CALL;
    c->seq++;
    c->id = (c->id + 1) | UINT32_C(0x80000000);
    c->sent_ns = 0;
    buf_reset(&c->request, SIZE_MAX);
    (c->asks == CALL ? ask_call : ask_emit)(s, c);
    if (c->request.failed) {
        abort();
    }
    send(s, c);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void
take_call(struct sim *s, struct stock *c, const struct record *r)
{
    struct session_outcome o = {.began = WIRE_BEGAN_YES};
    if (r->record == WIRE_REC_RESULT) {
        struct span value = RECORD_FIELD(r, RESULT, VALUE)->raw;
        struct mp_item item;
        if (!mp_next(&value, &item) || item.kind != MP_UINT || item.uint != c->number) {
            sim_wrong(s, "stock %u got the result of another call", (unsigned)c->place);
        }
    } else if (r->record == WIRE_REC_ERROR) {
        o.code = (prong_err)RECORD_FIELD(r, ERROR, CODE)->item.uint;
        o.began = (unsigned)RECORD_FIELD(r, ERROR, BEGAN)->item.uint;
        o.message = RECORD_FIELD(r, ERROR, MESSAGE)->item.bytes;
    } else {
        sim_wrong(s, "stock %u got record %d for a call", (unsigned)c->place, (int)r->record);
    }
    sim_note(s, "stock %u: outcome of %llu is %d, began %u", (unsigned)c->place,
             (unsigned long long)c->number, (int)o.code, o.began);
    const int64_t from_ns = c->sent_ns > s->jumped_ns ? c->sent_ns : s->jumped_ns;
    if (s->now_ns > from_ns + c->ttl_ns + LATE_MS * MS) {
        sim_wrong(s, "stock %u waits %lld ms for an outcome", (unsigned)c->place,
                  (long long)((s->now_ns - from_ns) / MS));
    }
    ledger_outcome(s, c->number, &o);
    c->succeeded += c->calm && o.code == PRONG_OK;
}

void
stock_answer(struct sim *s, struct stock *c, uint32_t id, struct span body)
{
    struct record r;
    struct wire_diag diag;
    if (c->asks == NOTHING || id != c->id) {
        return; /* a REQ socket drops what it did not ask for */
    }
    if (!record_next(&body, &r, &diag) || body.len != 0) {
        sim_wrong(s, "stock %u got an answer that is none", (unsigned)c->place);
    }
    if (c->asks == CALL) {
        take_call(s, c, &r);
    }
    c->asks = NOTHING;
}

/* ---- the connection ---------------------------------------------------------------------------
 */

void
stock_lost(struct sim *s, struct stock *c)
{
    c->connection = NULL;
    c->retry_ns = s->now_ns + (1 + (int64_t)sim_draw(s, 10)) * MS;
    world_wake_stock(s, c, c->retry_ns);
}

void
stock_broker_died(struct sim *s, struct stock *c)
{
    if (c->asks == CALL) {
        ledger_doubt(s, c->number);
    }
}

void
stock_calm(struct sim *s, struct stock *c)
{
    c->calm = true;
    c->succeeded = 0;
    c->next_ns = s->now_ns;
}

bool
stock_is_done(const struct stock *c)
{
    return c->calm && c->succeeded >= CALM_CALLS;
}

void
stock_wake(struct sim *s, struct stock *c)
{
    if (c->connection == NULL && s->now_ns >= c->retry_ns) {
        c->connection = world_connect(s, NULL, NULL);
        if (c->connection != NULL) {
            world_own(c->connection, c);
            send(s, c);
        }
        c->retry_ns = s->now_ns + 5 * MS;
    }
    if (c->asks == NOTHING && s->now_ns >= c->next_ns && !stock_is_done(c)) {
        ask(s, c);
        /* Of a process without a client id the hub remembers 256 requests, and one may stall for
         * four seconds. */
        c->next_ns = s->now_ns + (int64_t)(20000 + sim_draw(s, 40000)) * s->faults.pace * US;
    } else if (c->asks != NOTHING && c->sent_ns != 0 && s->now_ns - c->sent_ns > REPEAT_MS * MS) {
        send(s, c);
    }
    world_wake_stock(s, c, s->now_ns + (c->calm ? 50 : 10 * s->faults.pace) * MS);
}
