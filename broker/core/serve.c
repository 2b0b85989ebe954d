/* The worker's side of the link: ATTACH, POLL, REPORT, CONTROL, and the rules that make a broken
 * connection harmless.
 *
 * A broken connection decides nothing. The worker gives up its POLLs, takes its inventory, attaches
 * under the next number and polls with the session it got; what the hub had given and the inventory
 * does not know has never arrived and may be given again. WORK is numbered, POLL says the last one
 * taken, and what was not taken is told again under the same number. */
#include "broker/core/parts.h"

#include <stdio.h>
#include <string.h>

static struct replica *
of_session(struct hub *hub, struct slot *slot, const struct field *name, uint64_t session)
{
    struct replica *r = replica_of_session(hub, &name->target, session);
    if (r == NULL || r->session != session) {
        slot_fail(hub, slot, WIRE_ERR_FAILED_PRECONDITION, "attach first");
        return NULL;
    }
    return r;
}

/* ---- ATTACH -----------------------------------------------------------------------------------
 */

/* The next method of those in ATTACH. false when its policy is none of the words. */
static bool
next_method(struct span *inside, struct mp_item *name, uint8_t *policy)
{
    static const char *const words[] = {
        [POLICY_ONCE] = "once", [POLICY_IDEMPOTENT] = "idempotent", [POLICY_SHARED] = "shared"};
    struct field about = {0}, f;
    *policy = POLICY_ONCE;
    (void)mp_next(inside, name);
    (void)mp_skip(inside, &about.raw);
    about.inside = about.raw;
    (void)mp_next(&about.inside, &about.item);
    if (record_key(&about, WIRE_KEY_METHODS_policy, &f)) {
        while (*policy <= POLICY_SHARED && !span_is(f.item.bytes, words[*policy])) {
            ++*policy;
        }
    }
    return *policy <= POLICY_SHARED;
}

/* A misspelt one is told: taken for another it would say wrongly how often a call may begin. */
static bool
policies_are_known(const struct field *methods)
{
    struct span inside = methods->inside;
    struct mp_item name;
    uint8_t policy;
    for (uint32_t i = 0; i < methods->item.count; i++) {
        if (!next_method(&inside, &name, &policy)) {
            return false;
        }
    }
    return true;
}

static bool
keep_methods(struct worker *w, const struct field *methods)
{
    struct span inside = methods->inside;
    const struct method *known;
    struct method *list = calloc(methods->item.count + 1, sizeof *list);
    if (list == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < methods->item.count; i++) {
        struct mp_item name;
        (void)next_method(&inside, &name, &list[i].policy); /* policies_are_known */
        memcpy(list[i].name, name.bytes.data, name.bytes.len);
        known = worker_method(w, list[i].name, name.bytes.len);
        list[i].run_ns = known != NULL ? known->run_ns : 0;
        list[i].tally = tally_place(&w->tallies, list[i].name);
    }
    free(w->methods);
    w->methods = list;
    w->method_count = methods->item.count;
    w->methods_known = true;
    buf_reset(&w->described, SIZE_MAX);
    buf_put(&w->described, methods->raw.data, methods->raw.len);
    return !w->described.failed;
}

static bool
is_listed(const struct field *list, uint64_t number)
{
    struct span inside = list->inside;
    uint64_t n;
    while (record_number(&inside, &n)) {
        if (n == number) {
            return true;
        }
    }
    return false;
}

/* What was given to an earlier session and is not in the inventory has never arrived. */
static void
reconcile(struct hub *hub, struct replica *r, const struct field *about)
{
    struct field running, done;
    const bool has_running = record_key(about, WIRE_KEY_ATTACH_running, &running);
    const bool has_done = record_key(about, WIRE_KEY_ATTACH_done, &done);
    if (!has_running && !has_done) {
        /* It keeps no inventory, so nobody knows what became of them, and `once` is a promise. */
        life_end_calls(hub, r, "the worker attached anew without saying what became of the call",
                       false);
        return;
    }
    LIST_EACH(n, &r->running)
    {
        struct call *call = CONTAINER(n, struct call, running);
        if ((has_running && is_listed(&running, call->number)) ||
            (has_done && is_listed(&done, call->number))) {
            call->work = 0; /* taken under the numbers of an earlier session */
            continue;
        }
        list_remove(&call->running);
        r->running_count--;
        call->replica = NULL;
        if (call->state == CALL_DONE) {
            call_settle(hub, call);
            continue;
        }
        call->runs--;
        route_again(hub, call);
    }
}

void
serve_attach(struct hub *hub, struct slot *slot, const struct record *rec)
{
    const struct field *about = RECORD_FIELD(rec, ATTACH, ABOUT);
    struct field token, number = {0}, methods, capacity;
    struct replica *r = record_key(about, WIRE_KEY_ATTACH_token, &token)
                            ? replica_of_token(hub, token.item.bytes)
                            : NULL;
    if (r == NULL) {
        slot_fail(
            hub, slot, WIRE_ERR_PERMISSION_DENIED,
            "ATTACH needs the token that the hub put into PRONG_TOKEN of the process it started");
        return;
    }
    const bool has_methods = record_key(about, WIRE_KEY_ATTACH_methods, &methods);
    if (has_methods && !policies_are_known(&methods)) {
        slot_fail(hub, slot, WIRE_ERR_INVALID_ARGUMENT,
                  "METHODS policy: must be once, idempotent or shared");
        return;
    }
    const bool numbered = record_key(about, WIRE_KEY_ATTACH_attach, &number);
    if (numbered && number.item.uint < r->attach) {
        slot_fail(hub, slot, WIRE_ERR_FAILED_PRECONDITION, "a later ATTACH was seen already");
        return;
    }
    if (!numbered || number.item.uint != r->attach || r->session == 0) {
        serve_detach(hub, r);
        r->attach = numbered ? number.item.uint : r->attach;
        r->session = hub_draw(hub);
        r->work = r->taken = 0;
        reconcile(hub, r, about);
    }
    r->capacity = record_key(about, WIRE_KEY_ATTACH_capacity, &capacity) ? capacity.item.uint : 1;
    if (has_methods && !keep_methods(r->worker, &methods)) {
        hub->failed = true;
    }
    if (r->running_count == 0) {
        life_step(hub, r, LIFE_IN_IDLE);
    }
    if (r->spec->ready == SPEC_READY_ATTACH || r->life != LIFE_STARTING || r->external) {
        life_step(hub, r, LIFE_IN_READY);
    }
    route_sweep(hub, r->worker);
    route_soon(hub, r->worker); /* what never arrived here can go to another at once */
    write_welcome(hub, slot_begin(slot), r);
    slot_end(hub, slot);
}

void
serve_detach(struct hub *hub, struct replica *r)
{
    if (r->poll != NULL) {
        slot_fail(hub, r->poll, WIRE_ERR_FAILED_PRECONDITION, "attach first");
    }
    if (r->control != NULL) {
        slot_fail(hub, r->control, WIRE_ERR_FAILED_PRECONDITION, "attach first");
    }
    r->session = 0;
    r->asked_ns = 0; /* it cannot answer on a connection that is no more */
    r->poll_capacity = 0;
}

/* ---- POLL and WORK ----------------------------------------------------------------------------
 */

static void
write_acks(struct replica *r, struct buf *b)
{
    write_op(b, WIRE_ACK);
    write_array(b, r->ack_count);
    for (uint32_t i = 0; i < r->ack_count; i++) {
        write_uint(b, r->acks[i]);
    }
    write_uint(b, 0);
    r->ack_count = 0;
}

static void
write_work_item(const struct hub *hub, struct slot *slot, const struct call *call)
{
    struct buf *b = slot_begin(slot);
    const struct span args = buf_span(&call->args);
    const int64_t left = (call->deadline.at_ns - hub->now_ns) / NS_PER_MS;
    write_array(b, 6);
    write_uint(b, call->number);
    write_str(b, (struct span){(const uint8_t *)call->method, call->method_len});
    write_uint(b, left > 0 ? (uint64_t)left : 0);
    write_text(b, call->client->who);
    write_nil(b);
    slot_payload(slot, args);
}

void
serve_work(struct hub *hub, struct replica *r)
{
    struct slot *slot = r->poll;
    struct buf *b = slot_begin(slot);
    uint32_t count = 0;
    LIST_EACH(n, &r->running)
    {
        const struct call *call = CONTAINER(n, struct call, running);
        count += call->work > r->taken && call->state == CALL_GIVEN;
    }
    if (r->ack_count > 0) {
        write_acks(r, b);
    }
    write_op(b, WIRE_WORK);
    write_uint(b, r->work);
    write_array(b, count);
    LIST_EACH(n, &r->running)
    {
        const struct call *call = CONTAINER(n, struct call, running);
        if (call->work > r->taken && call->state == CALL_GIVEN) {
            write_work_item(hub, slot, call);
        }
    }
    r->poll_capacity = 0;
    slot_end(hub, slot);
}

void
serve_poll(struct hub *hub, struct slot *slot, const struct record *rec)
{
    struct replica *r = of_session(hub, slot, RECORD_FIELD(rec, POLL, REPLICA),
                                   RECORD_FIELD(rec, POLL, SESSION)->item.uint);
    if (r == NULL) {
        return;
    }
    const uint64_t taken = RECORD_FIELD(rec, POLL, TAKEN)->item.uint;
    if (taken > r->work || taken < r->taken) {
        char text[160];
        (void)snprintf(text, sizeof text,
                       "POLL taken: must be the number of a WORK of this session, from %llu to "
                       "%llu, got %llu",
                       (unsigned long long)r->taken, (unsigned long long)r->work,
                       (unsigned long long)taken);
        slot_fail(hub, slot, WIRE_ERR_INVALID_ARGUMENT, text);
        return;
    }
    if (r->poll != NULL) {
        /* The newer one stands; the older one is given up by who sent it, or a repeat of the same.
         */
        struct slot *old = r->poll;
        struct buf *b = slot_begin(old);
        write_op(b, WIRE_WORK);
        write_uint(b, r->taken);
        write_array(b, 0);
        slot_end(hub, old);
    }
    r->taken = taken;
    r->asked_ns = 0;
    r->engaged = r->running_count > 0;
    slot->replica = r;
    r->poll = slot;
    r->poll_capacity = RECORD_FIELD(rec, POLL, CAPACITY)->item.uint;
    slot_park(hub, slot, NULL);
    if (r->taken < r->work) {
        serve_work(hub, r);
        return;
    }
    route_soon(hub, r->worker);
}

void
serve_ack(struct hub *hub, struct replica *r, uint64_t call)
{
    if (r->ack_count == ACKS_MAX) {
        /* It polls rarely: what it keeps then costs only its own memory, until it attaches anew. */
        return;
    }
    r->acks[r->ack_count++] = call;
    if (r->ack_count == ACKS_ENOUGH) {
        route_soon(hub, r->worker);
    }
}

/* ---- REPORT -----------------------------------------------------------------------------------
 */

static void
report_error(struct hub *hub, struct call *call, struct span payload)
{
    struct wire_failure f;
    if (!record_failure(payload, &f)) {
        call_fail(hub, call, WIRE_ERR_INTERNAL, WIRE_BEGAN_YES,
                  "the worker reported an error that is not [code, began, message, details]");
        return;
    }
    /* What this worker did not begin may have begun with the one before it. */
    const bool before = call->runs > 1 || call->maybe;
    const unsigned began = f.began == WIRE_BEGAN_NO && before ? WIRE_BEGAN_MAYBE : f.began;
    call_failure(
        hub, call,
        &(struct failure){(enum wire_error)f.code, (enum wire_began)began, f.message, f.details});
}

/* Items of a call that goes on. When they cannot be taken it has ended, though the worker does not
 * know that yet and is at work on it until it reports an outcome. */
static void
take_items(struct hub *hub, struct replica *r, struct call *call, struct span payload)
{
    if (call->state == CALL_DONE) {
        return; /* nobody wants them any more */
    }
    if (call->client->nameless) {
        call_fail(hub, call, WIRE_ERR_FAILED_PRECONDITION, WIRE_BEGAN_YES,
                  "the method yields items, and who gives no client id cannot ask for them");
    } else if (call->whole != NULL) {
        call_fail(hub, call, WIRE_ERR_FAILED_PRECONDITION, WIRE_BEGAN_YES,
                  "the method yields items, and one of many calls can only have one value");
    } else if (!items_take(hub, call, payload)) {
        call_fail(hub, call, WIRE_ERR_INTERNAL, WIRE_BEGAN_YES,
                  "the worker reported items that are not [number of the first, [items]], or left "
                  "some out");
    }
    if (call->state == CALL_DONE) {
        serve_command(hub, r, "cancel", call->number);
    }
}

static void
report_item(struct hub *hub, struct replica *r, struct call *call, const struct record *item)
{
    const struct span payload = RECORD_FIELD(item, REPORT_ITEM, PAYLOAD)->raw;
    const uint64_t kind = RECORD_FIELD(item, REPORT_ITEM, KIND)->item.uint;
    if (kind == WIRE_REPORT_PROGRESS) {
        items_progress(hub, call, payload);
        return;
    }
    if (kind == WIRE_REPORT_PARTIAL) {
        take_items(hub, r, call, payload);
        return;
    }
    list_remove(&call->running);
    r->running_count--;
    r->calls_done++;
    r->idle_since_ns = hub->now_ns;
    call->replica = NULL;
    call->ran_process = r->process;
    if (kind == WIRE_REPORT_ERROR) {
        report_error(hub, call, payload);
    } else {
        poison_clear(hub, call);
        call_result(hub, call, payload);
    }
    call_settle(hub, call);
}

/* Take what is reported. The calls that the hub does not know, for ACK; a call whose items fill the
 * room there is, or NULL. */
static struct call *
report_items(struct hub *hub, struct replica *r, const struct field *items, struct buf *forget,
             uint32_t *count)
{
    struct span inside = items->inside;
    struct call *full = NULL;
    struct record item;
    while (record_item(&inside, WIRE_REC_REPORT_ITEM, &item)) {
        const uint64_t number = RECORD_FIELD(&item, REPORT_ITEM, CALL)->item.uint;
        struct call *call = call_by_number(hub, number);
        if (call != NULL && call->replica == r) {
            const bool ends =
                RECORD_FIELD(&item, REPORT_ITEM, KIND)->item.uint <= WIRE_REPORT_ERROR;
            if (ends && inside.len == 0) {
                route_learn(hub, r, call); /* the last one: together they took so long */
            }
            report_item(hub, r, call, &item);
            full = !ends && call->state != CALL_DONE && !items_have_room(hub, call) ? call : full;
        } else if (call == NULL) {
            write_uint(forget, number);
            ++*count;
        }
    }
    return full;
}

/* What it may forget is told with the next WORK, because the ACK of its REPORT may never come. */
static void
forget_later(struct hub *hub, struct replica *r, struct span numbers)
{
    struct mp_item number;
    while (numbers.len > 0 && mp_next(&numbers, &number)) {
        serve_ack(hub, r, number.uint);
    }
}

void
serve_report(struct hub *hub, struct slot *slot, const struct record *rec)
{
    const uint64_t session = RECORD_FIELD(rec, REPORT, SESSION)->item.uint;
    struct replica *r =
        replica_of_session(hub, &RECORD_FIELD(rec, REPORT, REPLICA)->target, session);
    const bool current = r != NULL && r->session != 0 && r->session == session;
    if (r == NULL) {
        r = replica_find(hub, &RECORD_FIELD(rec, REPORT, REPLICA)->target);
    }
    if (r == NULL || (!current && !slot->ticket->peer->admin)) {
        slot_fail(hub, slot, WIRE_ERR_FAILED_PRECONDITION, "attach first");
        return;
    }
    struct buf forget = {0};
    uint32_t count = 0;
    struct call *full = report_items(hub, r, RECORD_FIELD(rec, REPORT, ITEMS), &forget, &count);
    r->heard_ns = hub->now_ns;
    if (r->running_count == 0) {
        life_step(hub, r, LIFE_IN_IDLE);
    }
    if (r->spec->calls_max > 0) {
        renew_check(hub, r);
    }
    if (!current) {
        slot_fail(hub, slot, WIRE_ERR_FAILED_PRECONDITION, "attach first");
    } else if (full != NULL && full->state != CALL_DONE) {
        forget_later(hub, r, buf_span(&forget));
        items_park(hub, full, slot);
    } else {
        struct buf *b = slot_begin(slot);
        write_op(b, WIRE_ACK);
        write_array(b, forget.failed ? 0 : count);
        buf_put(b, buf_span(&forget).data, forget.failed ? 0 : buf_span(&forget).len);
        write_uint(b, 0);
        slot_end(hub, slot);
    }
    buf_deinit(&forget);
}

/* ---- CONTROL and COMMAND ----------------------------------------------------------------------
 */

static void
write_command(struct buf *b, const char *verb, uint64_t call)
{
    write_op(b, WIRE_COMMAND);
    write_text(b, verb);
    write_map(b, call != 0 ? 1 : 0);
    if (call != 0) {
        write_text(b, "call");
        write_uint(b, call);
    }
}

void
serve_command(struct hub *hub, struct replica *r, const char *verb, uint64_t call)
{
    if (call != 0) {
        hang_left(hub, r); /* every command that names a call says that nobody waits for it */
    }
    if (r->control != NULL) {
        write_command(slot_begin(r->control), verb, call);
        slot_end(hub, r->control);
    } else if (r->session != 0 && r->command_count < WIRE_COMMANDS_MAX) {
        write_command(&r->commands, verb, call);
        hub->failed |= r->commands.failed;
        r->command_count++;
    }
}

void
serve_control(struct hub *hub, struct slot *slot, const struct record *rec)
{
    struct replica *r = of_session(hub, slot, RECORD_FIELD(rec, CONTROL, REPLICA),
                                   RECORD_FIELD(rec, CONTROL, SESSION)->item.uint);
    if (r == NULL) {
        return;
    }
    if (r->control != NULL) {
        serve_command(hub, r, "", 0);
    }
    slot->replica = r;
    r->control = slot;
    slot_park(hub, slot, NULL);
    if (r->command_count > 0) {
        /* All at once: several records are one answer. */
        const struct span all = buf_span(&r->commands);
        buf_put(slot_begin(slot), all.data, all.len);
        buf_reset(&r->commands, SIZE_MAX);
        r->command_count = 0;
        slot_end(hub, slot);
    }
}
