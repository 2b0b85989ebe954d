/* Request messages: taken apart into records, each with a slot for its answer.
 *
 * A message has one answer. It is sent when nothing in it waits any more, or as soon as something
 * that waited has come: what still waits is then told PENDING, or gets an empty answer, and is
 * asked again. REPORT and HELLO alone do not make an answer due, because a worker sends REPORT and
 * POLL together and wants the answer when there is work. */
#include "broker/core/parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void
ping_take(struct hub *hub, struct slot *slot, const struct record *r)
{
    struct buf *b = slot_begin(slot);
    write_op(b, WIRE_PONG);
    write_raw(b, RECORD_FIELD(r, PING, PAYLOAD)->raw);
    slot_end(hub, slot);
}

static void
hello_take(struct hub *hub, struct slot *slot, const struct record *r)
{
    peer_hello(hub, slot, r);
}

/* What is done with a request, and when its answer may wait for others in the same message. */
struct request_row {
    void (*take)(struct hub *hub, struct slot *slot, const struct record *r);
    bool open;  /* allowed before the peer has said who it is */
    bool waits; /* its answer alone does not make the message due */
    bool parks; /* it may wait for its answer */
    bool spare; /* taken on a connection that is one too many */
};

static const struct request_row requests[WIRE_REC_COUNT] = {
    [WIRE_REC_HELLO] = {.take = hello_take, .open = true, .waits = true, .spare = true},
    [WIRE_REC_CALL] = {.take = call_take, .parks = true},
    [WIRE_REC_WAIT] = {.take = call_wait, .parks = true},
    [WIRE_REC_CANCEL] = {.take = call_cancel},
    [WIRE_REC_EMIT] = {.take = emit_take},
    [WIRE_REC_FETCH] = {.take = fetch_take, .parks = true},
    [WIRE_REC_PING] = {.take = ping_take, .open = true, .spare = true},
    [WIRE_REC_ATTACH] = {.take = serve_attach, .spare = true},
    [WIRE_REC_POLL] = {.take = serve_poll, .parks = true, .spare = true},
    [WIRE_REC_REPORT] = {.take = serve_report, .waits = true, .parks = true, .spare = true},
    [WIRE_REC_CONTROL] = {.take = serve_control, .parks = true, .spare = true},
};

/* One that is in no list. */
static void
give_back(struct ticket *t)
{
    buf_deinit(&t->out);
    free(t->cuts);
    free(t);
}

static struct ticket *
ticket_new(struct hub *hub, struct peer *peer, const struct hub_input *in, size_t slots)
{
    struct node *spare = spares_get(&hub->spare_tickets);
    struct ticket *t = spare != NULL ? CONTAINER(spare, struct ticket, link) : malloc(sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    *t = (struct ticket){.out = spare != NULL ? t->out : (struct buf){0},
                         .cuts = spare != NULL ? t->cuts : NULL};
    t->slots = slots <= sizeof t->few / sizeof t->few[0] ? t->few : calloc(slots, sizeof *t->slots);
    if (t->slots == NULL) {
        give_back(t);
        return NULL;
    }
    t->peer = peer;
    t->request = in->message.request;
    t->sp_id = in->message.sp_id;
    t->slot_count = (uint32_t)slots;
    list_init(&t->due);
    list_append(&peer->tickets, &t->link);
    peer->ticket_count++;
    return t;
}

void
ticket_free(struct hub *hub, struct ticket *t)
{
    for (uint32_t i = 0; i < t->slot_count; i++) {
        slot_forget(hub, &t->slots[i]);
    }
    deadline_clear(&hub->deadlines, &t->deadline);
    list_remove(&t->due);
    list_remove(&t->link);
    if (t->peer != NULL) {
        t->peer->ticket_count--;
    }
    if (t->slots != t->few) {
        free(t->slots);
    }
    buf_reset(&t->out, SPARE_BYTES);
    if (!spares_put(&hub->spare_tickets, &t->link)) {
        give_back(t);
    }
}

void
tickets_deinit(struct hub *hub)
{
    for (struct node *n; (n = spares_get(&hub->spare_tickets)) != NULL;) {
        give_back(CONTAINER(n, struct ticket, link));
    }
}

void
ticket_refuse(struct hub *hub, struct peer *peer, uint64_t request, enum wire_error code,
              const char *text)
{
    struct buf b = {0};
    write_error(&b, &(struct write_error){.code = code, .message = span_text(text)});
    hub->failed |= b.failed;
    struct hub_effect *e = b.failed ? NULL : effect_add(hub, HUB_OUT_REPLY);
    if (e != NULL) {
        e->peer = peer->id;
        e->request = request;
        e->body = effect_bytes(hub, buf_span(&b));
    }
    buf_deinit(&b);
}

/* A program that opens connections without end must not lock out the workers, nor who would stop
 * it: the last ones are for them. */
static bool
is_too_many(const struct hub *hub, struct peer *p, const struct record *r)
{
    p->spare = p->spare && table_count(&hub->peers) > WIRE_PEERS_MAX;
    return p->spare && !requests[r->record].spare &&
           !(p->admin && r->record == WIRE_REC_CALL &&
             span_is(RECORD_FIELD(r, CALL, WORKER)->target.worker, "hub"));
}

static void
take_record(struct hub *hub, struct slot *slot, const struct record *r)
{
    const struct request_row *row = &requests[r->record];
    if (row->take == NULL) {
        slot_fail(hub, slot, WIRE_ERR_UNIMPLEMENTED, "this operation is a reply, not a request");
    } else if (!row->open && !slot->ticket->peer->trusted) {
        slot_fail(hub, slot, WIRE_ERR_UNAUTHENTICATED,
                  "say who you are first: HELLO with the hub's token");
    } else if (is_too_many(hub, slot->ticket->peer, r)) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub has too many connections");
    } else if (row->parks && slot->ticket->peer->parked >= WIRE_PARKED_MAX) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED,
                  "too many requests of this connection wait for an answer");
    } else {
        row->take(hub, slot, r);
    }
}

void
ticket_take(struct hub *hub, struct peer *peer, const struct hub_input *in)
{
    struct wire_diag diag;
    const struct span body = in->message.body;
    if (!peer->trusted && body.len > WIRE_UNTRUSTED_BYTES) {
        ticket_refuse(hub, peer, in->message.request, WIRE_ERR_UNAUTHENTICATED,
                      "say who you are first: before HELLO a message has at most 64 KiB");
        return;
    }
    const size_t count = record_message(body, hub->records, WIRE_RECORDS_MAX, &diag);
    if (count == 0) {
        ticket_refuse(hub, peer, in->message.request, diag.code, diag.text);
        return;
    }
    if (peer->ticket_count >= WIRE_PARKED_MAX) {
        ticket_refuse(hub, peer, in->message.request, WIRE_ERR_RESOURCE_EXHAUSTED,
                      "too many requests of this connection wait for an answer");
        return;
    }
    struct ticket *t = ticket_new(hub, peer, in, count);
    if (t == NULL) {
        ticket_refuse(hub, peer, in->message.request, WIRE_ERR_RESOURCE_EXHAUSTED,
                      "the hub is out of memory");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = &t->slots[i];
        slot->ticket = t;
        slot->record = hub->records[i].record;
        list_init(&slot->link);
    }
    t->body = body;
    for (size_t i = 0; i < count; i++) {
        take_record(hub, &t->slots[i], &hub->records[i]);
        assert(t->slots[i].state != SLOT_OPEN);
    }
    t->body = (struct span){0};
    if (t->parked == 0 && list_is_empty(&t->due)) {
        list_append(&hub->due, &t->due);
    } else if (t->parked > 0 && t->deadline.place == 0 &&
               !deadline_set(&hub->deadlines, &t->deadline, DEADLINE_TICKET,
                             hub->now_ns + (int64_t)WIRE_PARK_MS * NS_PER_MS)) {
        hub->failed = true;
    }
}

uint64_t
ticket_body_hash(const struct hub *hub, struct ticket *t)
{
    if (!t->has_body_hash && t->peer->local) {
        assert(t->body.len > 0);
        t->body_hash = siphash13(&hub->key, t->body.data, t->body.len);
    }
    t->has_body_hash = true;
    return t->body_hash;
}

struct buf *
slot_begin(struct slot *slot)
{
    return &slot->ticket->out;
}

/* Nothing of this message is answered any more behind this slot. */
static bool
is_last(const struct slot *slot)
{
    const struct ticket *t = slot->ticket;
    bool last = t->parked == (slot->state == SLOT_PARKED);
    for (uint32_t i = 0; i < t->slot_count && last; i++) {
        last = &t->slots[i] == slot || t->slots[i].state == SLOT_ANSWERED;
    }
    return last;
}

void
slot_payload(struct slot *slot, struct span payload)
{
    struct ticket *t = slot->ticket;
    const bool cut = payload.len >= CORE_CUT_BYTES && t->cut_count < CUTS_MAX && is_last(slot);
    if (cut && t->cuts == NULL) {
        t->cuts = malloc(CUTS_MAX * sizeof *t->cuts);
    }
    if (cut && t->cuts != NULL) {
        t->cuts[t->cut_count++] = (struct cut){t->out.w, payload};
    } else {
        write_raw(&t->out, payload);
    }
}

/* Out of what it waits for, and out of the counts. */
static void
unpark(struct hub *hub, struct slot *slot)
{
    if (slot->state != SLOT_PARKED) {
        return;
    }
    list_remove(&slot->link);
    slot->ticket->parked--;
    slot->ticket->peer->parked--;
    hub->parked--;
    hub->fetch_count -= slot->fetch != NULL;
    if (slot->replica != NULL && slot->replica->poll == slot) {
        slot->replica->poll = NULL;
    }
    if (slot->replica != NULL && slot->replica->control == slot) {
        slot->replica->control = NULL;
    }
    fetch_free(hub, slot->fetch);
    slot->fetch = NULL;
}

void
slot_end(struct hub *hub, struct slot *slot)
{
    struct ticket *t = slot->ticket;
    const bool parked = slot->state == SLOT_PARKED;
    unpark(hub, slot);
    slot->state = SLOT_ANSWERED;
    if ((parked || !requests[slot->record].waits) && list_is_empty(&t->due)) {
        list_append(&hub->due, &t->due);
    }
}

void
slot_park(struct hub *hub, struct slot *slot, struct node *list)
{
    slot->state = SLOT_PARKED;
    slot->ticket->parked++;
    slot->ticket->peer->parked++;
    hub->parked++;
    if (list != NULL) {
        list_append(list, &slot->link);
    }
}

static void
fail(struct hub *hub, struct slot *slot, const struct write_error *e)
{
    write_error(slot_begin(slot), e);
    slot_end(hub, slot);
}

void
slot_fail(struct hub *hub, struct slot *slot, enum wire_error code, const char *text)
{
    fail(hub, slot, &(struct write_error){slot->seq, code, WIRE_BEGAN_NO, span_text(text), {0}});
}

void
slot_refuse_later(struct hub *hub, struct slot *slot, const char *text)
{
    static const uint8_t retry[] =
        "\x81\xaeretry_after_ms\xcd\x03\xe8"; /* {retry_after_ms: 1000} */
    fail(hub, slot,
         &(struct write_error){slot->seq,
                               WIRE_ERR_RESOURCE_EXHAUSTED,
                               WIRE_BEGAN_NO,
                               span_text(text),
                               {retry, sizeof retry - 1}});
}

void
slot_doubt(struct hub *hub, struct slot *slot, enum wire_error code, const char *text)
{
    fail(hub, slot, &(struct write_error){slot->seq, code, WIRE_BEGAN_MAYBE, span_text(text), {0}});
}

void
slot_pending(struct hub *hub, struct slot *slot)
{
    struct buf *b = slot_begin(slot);
    write_op(b, WIRE_PENDING);
    write_uint(b, slot->seq);
    slot_end(hub, slot);
}

void
slot_ack(struct hub *hub, struct slot *slot, uint64_t number)
{
    struct buf *b = slot_begin(slot);
    write_op(b, WIRE_ACK);
    write_uint(b, slot->seq);
    write_uint(b, number);
    slot_end(hub, slot);
}

void
slot_forget(struct hub *hub, struct slot *slot)
{
    unpark(hub, slot);
    slot->state = SLOT_ANSWERED;
}

void
ticket_expired(struct hub *hub, struct ticket *t)
{
    if (list_is_empty(&t->due)) {
        list_append(&hub->due, &t->due);
    }
}

/* What is told of a request that goes on waiting, so that the message can be answered. */
static void
answer_waiting(struct hub *hub, struct slot *slot)
{
    if (slot->call != NULL) {
        slot_pending(hub, slot);
    } else if (slot->fetch != NULL) {
        fetch_answer_empty(hub, slot);
    } else if (slot->replica->poll == slot) {
        serve_work(hub, slot->replica);
    } else {
        serve_command(hub, slot->replica, "", 0);
    }
}

/* Whoever has no client id cannot ask again, so its calls are waited for. */
static bool
must_wait(const struct ticket *t)
{
    for (uint32_t i = 0; i < t->slot_count; i++) {
        const struct slot *s = &t->slots[i];
        if (s->state == SLOT_PARKED && s->call != NULL && s->call->client->nameless) {
            return true;
        }
    }
    return false;
}

static void
ticket_send(struct hub *hub, struct ticket *t)
{
    for (uint32_t i = 0; i < t->slot_count && t->parked > 0; i++) {
        if (t->slots[i].state == SLOT_PARKED) {
            answer_waiting(hub, &t->slots[i]);
        }
    }
    struct hub_effect *e = t->out.failed ? NULL : effect_add(hub, HUB_OUT_REPLY);
    if (e == NULL) {
        hub->failed = true;
        return;
    }
    e->peer = t->peer->id;
    e->request = t->request;
    e->body = buf_span(&t->out);
    e->cuts = t->cuts;
    e->cut_count = t->cut_count;
    deadline_clear(&hub->deadlines, &t->deadline);
    list_remove(&t->due);
    list_remove(&t->link);
    t->peer->ticket_count--;
    t->peer = NULL;
    list_append(&hub->sent, &t->link);
}

void
tickets_send(struct hub *hub)
{
    LIST_EACH(n, &hub->due)
    {
        struct ticket *t = CONTAINER(n, struct ticket, due);
        if (t->parked > 0 && must_wait(t)) {
            list_remove(&t->due);
            /* It may have been due because its time was up, as that of a FETCH in the same message.
             */
            if (t->deadline.place == 0 &&
                !deadline_set(&hub->deadlines, &t->deadline, DEADLINE_TICKET,
                              hub->now_ns + (int64_t)WIRE_PARK_MS * NS_PER_MS)) {
                hub->failed = true;
            }
        } else {
            ticket_send(hub, t);
        }
    }
}
