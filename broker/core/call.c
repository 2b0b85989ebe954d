/* Calls: from admission to the one outcome, and how long that is kept. */
#include "broker/core/parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
call_charge(struct hub *hub, struct call *call)
{
    const struct items *i = call->items;
    const size_t items = i != NULL ? i->bytes.cap + i->progress.cap : 0;
    hub->payload_bytes -= call->charged;
    call->client->payload_bytes -= call->charged;
    call->charged = call->args.cap + call->outcome.cap + items;
    hub->payload_bytes += call->charged;
    call->client->payload_bytes += call->charged;
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

/* One that has a number and is in no list yet. */
static struct call *
make(struct hub *hub, struct client *client)
{
    struct node *spare = spares_get(&hub->spare_calls);
    struct call *call =
        spare != NULL ? CONTAINER(spare, struct call, of_client) : malloc(sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    *call = (struct call){.args = spare != NULL ? call->args : (struct buf){0}};
    call->number = ++hub->last_call;
    call->client = client;
    call->only = -1;
    call->priority = WIRE_PRIORITY_DEFAULT;
    call->policy_max = POLICY_SHARED;
    list_init(&call->of_client);
    list_init(&call->queued);
    list_init(&call->running);
    list_init(&call->waiters);
    list_init(&call->inner);
    list_init(&call->outer);
    list_init(&call->follows);
    if (!table_add(&hub->numbers, &call->by_number, &call->number, sizeof call->number)) {
        call_free(hub, call);
        return NULL;
    }
    return call;
}

struct call *
call_new(struct hub *hub, struct client *client, uint64_t seq, uint64_t key)
{
    struct call *call = make(hub, client);
    if (call == NULL) {
        return NULL;
    }
    call->key.client_number = client->number;
    call->key.seq = key;
    call->seq = seq;
    if (!table_add(&hub->calls, &call->entry, &call->key, sizeof call->key)) {
        table_remove(&hub->numbers, &call->by_number);
        call_free(hub, call);
        return NULL;
    }
    list_append(&client->calls, &call->of_client);
    client->newest = seq > client->newest ? seq : client->newest;
    client->call_count++;
    client->unfinished++;
    hub->call_count++;
    hub->unfinished++;
    return call;
}

struct call *
call_part(struct hub *hub, struct call *whole, uint32_t part)
{
    struct call *call = make(hub, whole->client);
    if (call == NULL) {
        return NULL;
    }
    call->whole = whole;
    call->part = part;
    call->seq = whole->seq;
    call->worker = whole->worker;
    call->only = whole->only;
    call->policy_max = whole->policy_max;
    call->priority = whole->priority;
    call->keyed = whole->keyed;
    call->key_hash = whole->key_hash;
    call->deadline.at_ns = whole->deadline.at_ns; /* the whole keeps it for all of them */
    call->method_len = whole->method_len;
    memcpy(call->method, whole->method, whole->method_len);
    list_append(&whole->many->parts, &call->of_client);
    hub->call_count++;
    return call;
}

enum wire_began
call_began(const struct call *call)
{
    const bool leads = call->leader != NULL && call->leader->runs > 0;
    bool part = call->many != NULL && call->many->began;
    for (const struct node *n = part || call->many == NULL ? NULL : call->many->parts.next;
         n != NULL && n != &call->many->parts && !part; n = n->next) {
        part = call_began(CONTAINER(n, struct call, of_client)) != WIRE_BEGAN_NO;
    }
    return call->runs > 0 || call->maybe || leads || part ? WIRE_BEGAN_MAYBE : WIRE_BEGAN_NO;
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
    if (items_wait(call)) {
        items_tell(hub, slot, call);
        return;
    }
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
    if (call->line != NULL) {
        queue_remove(call);
        call->worker->queued--;
    }
    list_remove(&call->queued); /* of those that wait for a lease, or that are finished */
}

void
call_drop(struct hub *hub, struct call *call)
{
    LIST_EACH(n, &call->waiters)
    {
        slot_forget(hub, CONTAINER(n, struct slot, link));
    }
    call_unqueue(call);
    share_leave(hub, call);
    nest_leave(hub, call, true);
    many_free(hub, call);
    lease_lost(hub, call);
    leave_replica(hub, call);
    struct replica *ran = replica_of_process(hub, call->ran_process);
    if (ran != NULL) {
        serve_ack(hub, ran, call->number);
    }
    if (call->state != CALL_DONE && call->whole == NULL) {
        call->client->unfinished -= !call->background;
        hub->unfinished--;
    }
    items_free(hub, call);
    deadline_clear(&hub->deadlines, &call->deadline);
    table_remove(&hub->calls, &call->entry);
    table_remove(&hub->numbers, &call->by_number);
    list_remove(&call->of_client);
    if (call->whole == NULL) {
        call->client->call_count -= !call->background;
        call->client->background_count -= call->background;
    }
    if (hub->call_count-- == hub->options.calls_max) {
        many_go_on(hub);
    }
    hub->payload_bytes -= call->charged;
    call->client->payload_bytes -= call->charged;
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
    while (!list_is_empty(&hub->finished)) {
        struct call *call = CONTAINER(hub->finished.next, struct call, queued);
        list_remove(&call->queued);
        call_settle(hub, call);
    }
}

/* Who waits for the outcome of a call in the background hears of it as an event. */
static void
tell_background(struct hub *hub, const struct call *call, enum wire_op op)
{
    char topic[WIRE_NAME_BYTES_MAX + 8];
    struct buf *b = &hub->scratch;
    const struct span outcome = buf_span(&call->outcome);
    struct span rest = outcome;
    struct mp_item code = {0}, skipped;
    struct span message = {0};
    const bool failed = op == WIRE_ERROR;
    if (failed) { /* code, began, message, details */
        (void)mp_next(&rest, &code);
        (void)mp_next(&rest, &skipped);
        (void)mp_skip(&rest, &message);
    }
    const struct span told = failed ? message : outcome;
    const bool fits = told.len <= WIRE_DONE_BYTES_MAX && told.len <= hub->ring.size / 4;
    buf_reset(b, SIZE_MAX);
    write_map(b, 4U + fits);
    write_text(b, "client");
    write_bin(b, (struct span){call->client->key, WIRE_CLIENT_BYTES});
    write_text(b, "seq");
    write_uint(b, call->seq);
    write_text(b, "method");
    write_str(b, (struct span){(const uint8_t *)call->method, call->method_len});
    write_text(b, "code");
    write_uint(b, code.uint);
    if (fits) {
        write_text(b, failed ? "message" : "value");
        write_raw(b, told);
    }
    (void)snprintf(topic, sizeof topic, "%s.done", call->worker->spec->name);
    const struct event_view event = {.time_us = hub->wall_us,
                                     .topic = span_text(topic),
                                     .source = span_text("hub"),
                                     .payload = buf_span(b)};
    hub->failed |= b->failed || ring_add(hub, &event) == 0;
}

void
call_keep(struct hub *hub, struct call *call)
{
    const int64_t keep_ms = call->background         ? WIRE_BACKGROUND_KEEP_MS
                            : call->client->nameless ? WIRE_DEDUP_MS_NIL_CLIENT
                                                     : WIRE_KEEP_MS;
    if (!deadline_set(&hub->deadlines, &call->deadline, DEADLINE_CALL,
                      hub->now_ns + keep_ms * NS_PER_MS)) {
        hub->failed = true;
    }
}

/* To everybody who waits; and how long it is kept. */
static void
tell_outcome(struct hub *hub, struct call *call, enum wire_op op)
{
    call->client->unfinished -= !call->background;
    hub->unfinished--;
    const bool told = !list_is_empty(&call->waiters);
    LIST_EACH(n, &call->waiters)
    {
        slot_answer_call(hub, CONTAINER(n, struct slot, link), call);
    }
    /* On a network a repeat without a client id cannot be told from a new request. */
    const bool repeatable = !call->client->nameless || call->client->pid != 0;
    call->acked = call->acked || (told && !repeatable);
    call_keep(hub, call);
    if (call->background) {
        tell_background(hub, call, op);
    }
}

/* The outcome stands in call->outcome. Those that follow the call come last: what becomes of them
 * may be the next thing that the whole of which it is a part, or its client, hears. */
static void
done(struct hub *hub, struct call *call, enum wire_op op, enum wire_error code)
{
    call_unqueue(call);
    if (call->worker != NULL && call->many == NULL && call->lease_ms == 0) {
        metrics_done(hub, call, code);
        call->worker->calls_total++;
        call->worker->errors_total += op == WIRE_ERROR;
    }
    call->state = CALL_DONE;
    call->outcome_op = op;
    nest_leave(hub, call,
               code == WIRE_ERR_CANCELLED || code == WIRE_ERR_DEADLINE_EXCEEDED ||
                   code == WIRE_ERR_ABORTED);
    many_end(hub, call);
    lease_lost(hub, call);
    items_end(hub, call);
    buf_deinit(&call->args);
    if (call->outcome.failed) {
        hub->failed = true;
    }
    call_charge(hub, call);
    /* Whoever called this function goes on with the call, so it is freed when the step ends. */
    list_append(&hub->finished, &call->queued);
    if (call->whole != NULL) {
        many_part_done(hub, call);
    } else {
        tell_outcome(hub, call, op);
    }
    share_done(hub, call);
}

void
call_result(struct hub *hub, struct call *call, struct span value)
{
    if (call->state == CALL_DONE) {
        return;
    }
    if (call->args.cap <= SPARE_BYTES) {
        /* The arguments are not needed any more, and their memory is enough for most results. */
        call->outcome = call->args;
        call->args = (struct buf){0};
        buf_reset(&call->outcome, SPARE_BYTES);
    }
    write_raw(&call->outcome, value);
    done(hub, call, WIRE_RESULT, WIRE_ERR_OK);
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
    done(hub, call, WIRE_ERROR, f->code);
}

void
call_fail(struct hub *hub, struct call *call, enum wire_error code, enum wire_began began,
          const char *text)
{
    call_failure(hub, call, &(struct failure){code, began, span_text(text), {0}});
}

void
call_expired(struct hub *hub, struct call *call)
{
    if (call->state != CALL_DONE) {
        const enum wire_began began = call_began(call);
        struct replica *replica = call->replica;
        call_fail(hub, call, WIRE_ERR_DEADLINE_EXCEEDED, began,
                  began == WIRE_BEGAN_NO ? "no replica was free before the deadline"
                                         : "the method did not end before the deadline");
        if (replica != NULL) {
            serve_command(hub, replica, "cancel", call->number);
        }
        return;
    }
    if (call->client->nameless || call->client->present == 0 || call->background) {
        client_forget(call);
        call->acked = true;
        call_settle(hub, call);
        return;
    }
    /* Its client is there and has not acknowledged it: what it was is forgotten, that it was is
     * not. */
    items_free(hub, call);
    buf_deinit(&call->outcome);
    call->outcome_op = WIRE_ERROR;
    write_uint(&call->outcome, WIRE_ERR_DATA_LOSS);
    write_uint(&call->outcome, call->worker != NULL ? call_began(call) : WIRE_BEGAN_MAYBE);
    write_text(&call->outcome, "the outcome was not fetched in time and is no longer kept");
    write_nil(&call->outcome);
    hub->failed |= call->outcome.failed;
    call_charge(hub, call);
}

void
call_end(struct hub *hub, struct call *call, const char *why)
{
    struct replica *replica = call->replica;
    const uint64_t number = call->number;
    call_fail(hub, call, WIRE_ERR_CANCELLED, call_began(call), why);
    if (replica != NULL) {
        serve_command(hub, replica, "cancel", number);
    }
}
