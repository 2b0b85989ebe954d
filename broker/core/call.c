/* Calls: from admission to the one outcome, and how long that is kept. */
#include "broker/core/state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
charge(struct hub *hub, struct call *call)
{
    hub->payload_bytes -= call->charged;
    call->charged = call->args.cap + call->outcome.cap + call->progress.cap;
    hub->payload_bytes += call->charged;
}

/* Nothing refers to it any more. One of its buffers stays with it for the arguments of the next. */
static void
call_free(struct hub *hub, struct call *call)
{
    if (call->outcome.w >= CORE_CUT_BYTES) {
        list_append(&hub->told, &call->of_client); /* an effect may still point to it */
        return;
    }
    struct buf room = call->outcome.cap > call->args.cap ? call->outcome : call->args;
    buf_deinit(call->outcome.cap > call->args.cap ? &call->args : &call->outcome);
    buf_deinit(&call->progress);
    buf_reset(&room, SPARE_BYTES);
    call->args = room;
    if (!spares_put(&hub->spare_calls, &call->of_client)) {
        buf_deinit(&call->args);
        free(call);
    }
}

void
calls_begin(struct hub *hub)
{
    LIST_EACH(n, &hub->told)
    {
        struct call *call = CONTAINER(n, struct call, of_client);
        list_remove(n);
        buf_deinit(&call->outcome);
        call_free(hub, call);
    }
}

struct call *
call_new(struct hub *hub, struct client *client, uint64_t seq, uint64_t key)
{
    struct node *spare = spares_get(&hub->spare_calls);
    struct call *call =
        spare != NULL ? CONTAINER(spare, struct call, of_client) : malloc(sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    *call = (struct call){.args = spare != NULL ? call->args : (struct buf){0}};
    call->key.client_number = client->number;
    call->key.seq = key;
    call->number = ++hub->last_call;
    call->seq = seq;
    call->client = client;
    call->only = -1;
    list_init(&call->of_client);
    list_init(&call->queued);
    list_init(&call->running);
    list_init(&call->waiters);
    if (!table_add(&hub->calls, &call->entry, &call->key, sizeof call->key) ||
        !table_add(&hub->numbers, &call->by_number, &call->number, sizeof call->number)) {
        table_remove(&hub->calls, &call->entry);
        call_free(hub, call);
        return NULL;
    }
    list_append(&client->calls, &call->of_client);
    client->call_count++;
    client->unfinished++;
    hub->call_count++;
    hub->unfinished++;
    return call;
}

struct call *
call_find(struct hub *hub, struct client *client, uint64_t key)
{
    const struct {
        uint64_t client_number, seq;
    } k = {client->number, key};
    struct table_entry *e = table_find(&hub->calls, &k, sizeof k);
    return e == NULL ? NULL : CONTAINER(e, struct call, entry);
}

struct call *
call_by_number(struct hub *hub, uint64_t number)
{
    struct table_entry *e = table_find(&hub->numbers, &number, sizeof number);
    return e == NULL ? NULL : CONTAINER(e, struct call, by_number);
}

void
slot_answer_call(struct hub *hub, struct slot *slot, struct call *call)
{
    struct buf *b = slot_begin(slot);
    write_op(b, call->outcome_op);
    write_uint(b, slot->seq);
    slot_payload(slot, buf_span(&call->outcome));
    slot_end(hub, slot);
}

/* Out of the replica's hands: what it reports of this call from now on is not wanted. It may still
 * be at work on it; that it is free again is told by its next POLL. */
static void
leave_replica(struct hub *hub, struct call *call)
{
    struct replica *r = call->replica;
    if (r != NULL) {
        list_remove(&call->running);
        call->replica = NULL;
        if (--r->running_count == 0) {
            life_step(hub, r, LIFE_IN_IDLE);
        }
    }
}

void
call_unqueue(struct call *call)
{
    if (!list_is_empty(&call->queued)) {
        list_remove(&call->queued);
        if (call->state == CALL_QUEUED) {
            call->worker->queued--;
        }
    }
}

void
call_drop(struct hub *hub, struct call *call)
{
    LIST_EACH(n, &call->waiters)
    {
        slot_forget(hub, CONTAINER(n, struct slot, link));
    }
    call_unqueue(call);
    leave_replica(hub, call);
    struct replica *ran = replica_of_process(hub, call->ran_process);
    if (ran != NULL) {
        serve_ack(hub, ran, call->number);
    }
    if (call->state != CALL_DONE) {
        call->client->unfinished--;
        hub->unfinished--;
    }
    deadline_clear(&hub->deadlines, &call->deadline);
    table_remove(&hub->calls, &call->entry);
    table_remove(&hub->numbers, &call->by_number);
    list_remove(&call->of_client);
    call->client->call_count--;
    hub->call_count--;
    hub->payload_bytes -= call->charged;
    call_free(hub, call);
}

void
calls_deinit(struct hub *hub)
{
    for (struct node *n; (n = spares_get(&hub->spare_calls)) != NULL;) {
        struct call *call = CONTAINER(n, struct call, of_client);
        buf_deinit(&call->args);
        free(call);
    }
}

void
call_settle(struct hub *hub, struct call *call)
{
    if (call->state == CALL_DONE && call->acked && call->replica == NULL) {
        call_drop(hub, call);
    }
}

void
calls_settle(struct hub *hub)
{
    LIST_EACH(n, &hub->finished)
    {
        struct call *call = CONTAINER(n, struct call, queued);
        list_remove(&call->queued);
        call_settle(hub, call);
    }
}

/* The outcome stands in call->outcome: tell everybody who waits, and plan how long it is kept. */
static void
done(struct hub *hub, struct call *call, enum wire_op op)
{
    call_unqueue(call);
    call->state = CALL_DONE;
    call->outcome_op = op;
    call->client->unfinished--;
    hub->unfinished--;
    if (call->worker != NULL) {
        call->worker->calls_total++;
        call->worker->errors_total += op == WIRE_ERROR;
    }
    buf_deinit(&call->args);
    buf_deinit(&call->progress);
    if (call->outcome.failed) {
        hub->failed = true;
    }
    charge(hub, call);
    const bool told = !list_is_empty(&call->waiters);
    LIST_EACH(n, &call->waiters)
    {
        slot_answer_call(hub, CONTAINER(n, struct slot, link), call);
    }
    /* On a network a repeat without a client id cannot be told from a new request. */
    const bool repeatable = !call->client->nameless || call->client->pid != 0;
    call->acked = call->acked || (told && !repeatable);
    const int64_t keep = call->client->nameless ? WIRE_DEDUP_MS_NIL_CLIENT : WIRE_KEEP_MS;
    if (!deadline_set(&hub->deadlines, &call->deadline, DEADLINE_CALL,
                      hub->now_ns + keep * NS_PER_MS)) {
        hub->failed = true;
    }
    /* Whoever called this function goes on with the call, so it is freed when the step ends. */
    list_append(&hub->finished, &call->queued);
}

void
call_result(struct hub *hub, struct call *call, struct span value)
{
    if (call->state == CALL_DONE) {
        return;
    }
    if (call->outcome.cap == 0 && call->args.cap <= SPARE_BYTES) {
        /* The arguments are not needed any more, and their memory is enough for most results. */
        call->outcome = call->args;
        call->args = (struct buf){0};
        buf_reset(&call->outcome, SPARE_BYTES);
    }
    write_raw(&call->outcome, value);
    done(hub, call, WIRE_RESULT);
}

void
call_failure(struct hub *hub, struct call *call, const struct failure *f)
{
    if (call->state == CALL_DONE) {
        return;
    }
    write_uint(&call->outcome, f->code);
    write_uint(&call->outcome, f->began);
    write_str(&call->outcome, f->text);
    write_raw(&call->outcome, f->details);
    done(hub, call, WIRE_ERROR);
}

void
call_fail(struct hub *hub, struct call *call, enum wire_error code, enum wire_began began,
          const char *text)
{
    call_failure(hub, call, &(struct failure){code, began, span_text(text), {0}});
}

/* Tell a waiting caller the newest progress, once. */
static void
tell_progress(struct hub *hub, struct slot *slot, struct call *call)
{
    struct buf *b = slot_begin(slot);
    write_op(b, WIRE_PARTIAL);
    write_uint(b, slot->seq);
    write_uint(b, 0);
    write_raw(b, buf_span(&call->progress));
    write_array(b, 0);
    call->progress_new = false;
    slot_end(hub, slot);
}

void
call_progress(struct hub *hub, struct call *call, struct span progress)
{
    if (call->state == CALL_DONE || !call->wants_progress) {
        return;
    }
    buf_reset(&call->progress, WIRE_TEXT_BYTES_MAX);
    buf_put(&call->progress, progress.data, progress.len);
    call->progress_new = true;
    charge(hub, call);
    LIST_EACH(n, &call->waiters)
    {
        tell_progress(hub, CONTAINER(n, struct slot, link), call);
    }
}

void
call_expired(struct hub *hub, struct call *call)
{
    if (call->state != CALL_DONE) {
        call_fail(hub, call, WIRE_ERR_DEADLINE_EXCEEDED,
                  call->runs == 0 ? WIRE_BEGAN_NO : WIRE_BEGAN_MAYBE,
                  call->runs == 0 ? "no replica was free before the deadline"
                                  : "the method did not end before the deadline");
        if (call->replica != NULL) {
            serve_command(hub, call->replica, "cancel", call->number);
        }
        return;
    }
    if (call->client->nameless || call->client->present == 0) {
        client_forget(call);
        call->acked = true;
        call_settle(hub, call);
        return;
    }
    /* Its client is there and has not acknowledged it: what it was is forgotten, that it was is
     * not. */
    buf_deinit(&call->outcome);
    call->outcome_op = WIRE_ERROR;
    write_uint(&call->outcome, WIRE_ERR_DATA_LOSS);
    write_uint(&call->outcome,
               call->worker != NULL && call->runs == 0 ? WIRE_BEGAN_NO : WIRE_BEGAN_MAYBE);
    write_text(&call->outcome, "the outcome was not fetched in time and is no longer kept");
    write_nil(&call->outcome);
    hub->failed |= call->outcome.failed;
    charge(hub, call);
}

void
call_end(struct hub *hub, struct call *call, const char *why)
{
    const bool given = call->runs > 0;
    struct replica *replica = call->replica;
    const uint64_t number = call->number;
    call_fail(hub, call, WIRE_ERR_CANCELLED, given ? WIRE_BEGAN_MAYBE : WIRE_BEGAN_NO, why);
    if (replica != NULL) {
        serve_command(hub, replica, "cancel", number);
    }
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void
park_on(struct hub *hub, struct slot *slot, struct call *call)
{
    slot->call = call;
    slot_park(hub, slot, &call->waiters);
    if (call->progress_new) {
        tell_progress(hub, slot, call);
    }
}

/* NULL when it may come in, else why not. */
static const char *
refusal(const struct hub *hub, const struct client *c, size_t bytes)
{
    if (hub->call_count >= WIRE_CALLS_MAX) {
        return "the hub has too many calls";
    }
    if (hub->payload_bytes + bytes > WIRE_PAYLOAD_BYTES_MAX) {
        return "the hub holds too many bytes of arguments and results";
    }
    if (c->unfinished >= WIRE_WINDOW) {
        return "too many calls of this client have no outcome";
    }
    return NULL;
}

static int64_t
ttl_of(const struct client *c, uint64_t ttl_ms)
{
    if (ttl_ms == 0) {
        ttl_ms = WIRE_TTL_MS_DEFAULT;
    }
    if (c->nameless && ttl_ms > WIRE_TTL_MS_NIL_CLIENT) {
        ttl_ms = WIRE_TTL_MS_NIL_CLIENT; /* it cannot be asked for again after PARK_MS */
    }
    return (int64_t)ttl_ms * NS_PER_MS;
}

static void
fill(struct hub *hub, struct call *call, const struct record *r)
{
    const struct field *method = RECORD_FIELD(r, CALL, METHOD);
    const struct field *target = RECORD_FIELD(r, CALL, WORKER);
    const struct span args = RECORD_FIELD(r, CALL, ARGS)->raw;
    struct field progress;
    call->wants_progress =
        !call->client->nameless &&
        record_key(RECORD_FIELD(r, CALL, OPTIONS), WIRE_KEY_CALL_progress, &progress) &&
        progress.item.boolean;
    call->method_len = method->item.bytes.len;
    memcpy(call->method, method->item.bytes.data, call->method_len);
    call->only = target->target.one ? (int64_t)target->target.index : -1;
    call->worker = worker_find(hub, target->target.worker);
    buf_put(&call->args, args.data, args.len);
    charge(hub, call);
}

static void
admit(struct hub *hub, struct slot *slot, const struct record *r, struct client *c, uint64_t key)
{
    struct peer *peer = slot->ticket->peer;
    const struct target *target = &RECORD_FIELD(r, CALL, WORKER)->target;
    struct call *call = call_new(hub, c, slot->seq, key);
    if (call == NULL) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
        return;
    }
    fill(hub, call, r);
    const int64_t ttl_ns = ttl_of(c, RECORD_FIELD(r, CALL, TTL_MS)->item.uint);
    slot->call = call;
    slot_park(hub, slot, &call->waiters);
    if (call->args.failed ||
        !deadline_set(&hub->deadlines, &call->deadline, DEADLINE_CALL, hub->now_ns + ttl_ns)) {
        call_fail(hub, call, WIRE_ERR_RESOURCE_EXHAUSTED, WIRE_BEGAN_NO,
                  "the hub is out of memory");
    } else if (call->worker == NULL && span_is(target->worker, "hub")) {
        admin_call(hub, call, peer);
    } else {
        route_call(hub, call);
    }
}

void
call_take(struct hub *hub, struct slot *slot, const struct record *r)
{
    slot->seq = RECORD_FIELD(r, CALL, SEQ)->item.uint;
    struct client *c = client_of(hub, slot, RECORD_FIELD(r, CALL, CLIENT));
    if (c == NULL) {
        return;
    }
    client_ack(hub, c, RECORD_FIELD(r, CALL, ACK)->item.uint);
    const uint64_t key = client_call_key(hub, slot, c, slot->seq);
    struct call *call = call_find(hub, c, key);
    if (call != NULL && call->state == CALL_DONE) {
        slot_answer_call(hub, slot, call);
    } else if (call != NULL) {
        park_on(hub, slot, call);
    } else if (!c->nameless && slot->seq <= c->ack) {
        slot_doubt(hub, slot, WIRE_ERR_FAILED_PRECONDITION,
                   "a call with this number was acknowledged already; numbers count up");
    } else if (!c->nameless && slot->seq <= c->forgotten) {
        slot_doubt(hub, slot, WIRE_ERR_FAILED_PRECONDITION,
                   "the outcome of a call so far back is no longer kept");
    } else {
        client_trim(hub, c);
        const char *why = refusal(hub, c, RECORD_FIELD(r, CALL, ARGS)->raw.len);
        if (why != NULL) {
            slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, why);
        } else {
            admit(hub, slot, r, c, key);
        }
    }
}

void
call_wait(struct hub *hub, struct slot *slot, const struct record *r)
{
    slot->seq = RECORD_FIELD(r, WAIT, SEQ)->item.uint;
    const struct field *id = RECORD_FIELD(r, WAIT, CLIENT);
    if (id->item.kind == MP_NIL) {
        slot_fail(hub, slot, WIRE_ERR_INVALID_ARGUMENT, "WAIT needs the client id of the call");
        return;
    }
    struct client *c = client_of(hub, slot, id);
    if (c == NULL) {
        return;
    }
    struct call *call = call_find(hub, c, slot->seq);
    if (call == NULL) {
        slot_doubt(hub, slot, WIRE_ERR_NOT_FOUND, "the hub does not know this call");
    } else if (call->state == CALL_DONE) {
        slot_answer_call(hub, slot, call);
    } else {
        park_on(hub, slot, call);
    }
}

void
call_cancel(struct hub *hub, struct slot *slot, const struct record *r)
{
    slot->seq = RECORD_FIELD(r, CANCEL, SEQ)->item.uint;
    const struct field *id = RECORD_FIELD(r, CANCEL, CLIENT);
    struct client *c = client_of(hub, slot, id);
    if (c == NULL) {
        return;
    }
    /* Without a client id a call has no name that another message could give. */
    struct call *call = c->nameless ? NULL : call_find(hub, c, slot->seq);
    if (call != NULL && call->state != CALL_DONE) {
        call_end(hub, call, "the caller cancelled it");
    }
    struct buf *b = slot_begin(slot);
    write_op(b, WIRE_ACK);
    write_uint(b, slot->seq);
    write_uint(b, 0);
    slot_end(hub, slot);
}
