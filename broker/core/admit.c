/* What clients ask: CALL, WAIT and CANCEL, up to the point where a call goes its way.
 *
 * A call that comes in is bounded by the limits of its client and of the hub; what does not fit is
 * refused at once, and has not begun. */
#include "broker/core/parts.h"

#include <stdio.h>
#include <string.h>

/* ---- limits ---------------------------------------------------------------------------------- */

static const char *const limit_names[LIMIT_COUNT] = {
    [LIMIT_QUEUE] = "queue_size",          [LIMIT_CLIENT_CALLS] = "client_calls",
    [LIMIT_CLIENT_BYTES] = "client_bytes", [LIMIT_CALLS] = "calls_max",
    [LIMIT_BYTES] = "payload_max",         [LIMIT_BACKGROUND] = "background",
    [LIMIT_MEMORY] = "memory_max",
};

const char *
hub_limit_name(enum hub_limit limit)
{
    return limit_names[limit];
}

void
hub_limit(struct hub *hub, enum hub_limit limit, const char *what, const char *who)
{
    const int64_t second_ns = INT64_C(1000) * NS_PER_MS;
    int64_t *told_ns = &hub->limit_told_ns[limit];
    hub->refused[limit]++;
    if (*told_ns != 0 && hub->now_ns - *told_ns < second_ns) {
        return;
    }
    *told_ns = hub->now_ns;
    struct buf *b = &hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_map(b, 3);
    write_text(b, "limit");
    write_text(b, limit_names[limit]);
    write_text(b, limit == LIMIT_MEMORY ? "stream" : "worker");
    write_text(b, what);
    write_text(b, "who");
    write_text(b, who);
    hub_event(hub, HUB_EVENT_limit, buf_span(b));
}

/* Who administers the hub comes in when it is full of the calls of others. */
enum { SPARE_CALLS = 64, SPARE_CALL_BYTES = SPARE_CALLS * 4096 };

static bool
administers(const struct slot *slot, const struct record *r)
{
    return slot->ticket->peer->admin &&
           span_is(RECORD_FIELD(r, CALL, WORKER)->target.worker, "hub");
}

/* NULL when it may come in, else why not, and whether it may later. */
static const char *
refusal(struct hub *hub, const struct client *c, bool background, bool spare, size_t bytes,
        bool *later)
{
    const struct hub_options *o = &hub->options;
    const size_t spare_calls = spare ? SPARE_CALLS : 0, spare_bytes = spare ? SPARE_CALL_BYTES : 0;
    const struct {
        bool is_full;
        enum hub_limit limit;
        const char *text;
        bool for_ever;
    } rows[] = {
        {bytes > o->payload_bytes_max + spare_bytes, LIMIT_BYTES,
         "the arguments are more than the hub may hold (hub: payload_max)", true},
        {bytes > o->client_bytes_max, LIMIT_CLIENT_BYTES,
         "the arguments are more than the hub may hold of one client (hub: client_bytes)", true},
        {hub->call_count >= o->calls_max + spare_calls, LIMIT_CALLS,
         "the hub has too many calls (hub: calls_max)", false},
        {hub->payload_bytes + bytes > o->payload_bytes_max + spare_bytes, LIMIT_BYTES,
         "the hub holds too many bytes of arguments and results (hub: payload_max)", false},
        {c->payload_bytes + bytes > o->client_bytes_max, LIMIT_CLIENT_BYTES,
         "the hub holds too many bytes of arguments and results of this client "
         "(hub: client_bytes)",
         false},
        {!background && c->unfinished >= o->client_calls_max, LIMIT_CLIENT_CALLS,
         "too many calls of this client have no outcome (hub: client_calls)", false},
        {background && c->background_count >= WIRE_BACKGROUND_MAX, LIMIT_BACKGROUND,
         "too many calls of this client are in the background, kept outcomes included", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].is_full) {
            hub_limit(hub, rows[i].limit, "", c->who);
            *later = !rows[i].for_ever;
            return rows[i].text;
        }
    }
    return NULL;
}

/* ---- options --------------------------------------------------------------------------------- */

/* What a CALL asks for in its options. */
struct wishes {
    bool progress, background, keyed;
    enum call_map map;
    uint8_t policy_max, priority;
    uint64_t key_hash, parent;
};

/* A text that is one of some words; its place among them, or their number. */
static size_t
word_of(struct span text, const char *const *words, size_t count)
{
    size_t i = 0;
    while (i < count && !span_is(text, words[i])) {
        i++;
    }
    return i;
}

/* NULL, or what is wrong with them. */
static const char *
read_wishes(const struct hub *hub, const struct record *r, bool nameless, struct wishes *out)
{
    static const char *const policies[] = {"once", "idempotent", "shared"};
    static const char *const maps[] = {"ordered", "completed"};
    const struct field *options = RECORD_FIELD(r, CALL, OPTIONS);
    const struct target *target = &RECORD_FIELD(r, CALL, WORKER)->target;
    struct field f;
    *out = (struct wishes){.policy_max = POLICY_SHARED, .priority = WIRE_PRIORITY_DEFAULT};
    if (options->item.kind == MP_NIL && !target->each) {
        return NULL;
    }
    out->progress = !nameless && record_key(options, WIRE_KEY_CALL_progress, &f) && f.item.boolean;
    out->background = record_key(options, WIRE_KEY_CALL_background, &f) && f.item.boolean;
    if (record_key(options, WIRE_KEY_CALL_policy, &f)) {
        out->policy_max = (uint8_t)word_of(f.item.bytes, policies, 3);
    }
    if (record_key(options, WIRE_KEY_CALL_map, &f)) {
        out->map = (enum call_map)(MAP_ORDERED + word_of(f.item.bytes, maps, 2));
    }
    if (record_key(options, WIRE_KEY_CALL_priority, &f)) {
        out->priority = (uint8_t)f.item.uint;
    }
    if (record_key(options, WIRE_KEY_CALL_parent, &f)) {
        out->parent = f.item.uint;
    }
    if (record_key(options, WIRE_KEY_CALL_key, &f)) {
        out->keyed = true;
        out->key_hash = siphash24(&hub->key, f.item.bytes.data, f.item.bytes.len);
    }
    const bool many = out->map != MAP_NOT || target->each;
    return out->policy_max > POLICY_SHARED ? "the option policy must be once, idempotent or shared"
           : (unsigned)out->map > MAP_COMPLETED ? "the option map must be ordered or completed"
           : out->map != MAP_NOT && target->each
               ? "a call of each replica takes one set of arguments: leave out the option map"
           : out->map != MAP_NOT && RECORD_FIELD(r, CALL, ARGS)->item.kind != MP_ARRAY
               ? "with the option map the arguments must be an array of argument sets"
           : nameless && (many || out->background)
               ? "a call with outcomes in parts or in the background needs a client id"
           : out->keyed && (target->one || target->each)
               ? "the option key chooses a replica: name the worker alone"
               : NULL;
}

/* ---- CALL ------------------------------------------------------------------------------------ */

static void
park_on(struct hub *hub, struct slot *slot, struct call *call)
{
    slot->call = call;
    slot_park(hub, slot, &call->waiters);
    if (items_wait(call) || items_progress_is_new(call)) {
        items_tell(hub, slot, call);
    }
}

static int64_t
ttl_ns(const struct client *c, const struct wishes *wishes, uint64_t ttl_ms)
{
    if (ttl_ms == 0) {
        ttl_ms = wishes->background ? WIRE_TTL_MS_MAX : WIRE_TTL_MS_DEFAULT;
    }
    if (c->nameless && ttl_ms > WIRE_TTL_MS_NIL_CLIENT) {
        ttl_ms = WIRE_TTL_MS_NIL_CLIENT; /* it cannot be asked for again after PARK_MS */
    }
    return (int64_t)ttl_ms * NS_PER_MS;
}

static void
fill(struct hub *hub, struct call *call, const struct record *r, const struct wishes *wishes)
{
    const struct field *method = RECORD_FIELD(r, CALL, METHOD);
    const struct field *target = RECORD_FIELD(r, CALL, WORKER);
    const struct span args = RECORD_FIELD(r, CALL, ARGS)->raw;
    call->wants_progress = wishes->progress;
    call->policy_max = wishes->policy_max;
    call->priority = wishes->priority;
    call->keyed = wishes->keyed;
    call->key_hash = wishes->key_hash;
    call->map = (uint8_t)wishes->map;
    call->method_len = method->item.bytes.len;
    memcpy(call->method, method->item.bytes.data, call->method_len);
    call->only = target->target.one ? (int64_t)target->target.index : -1;
    call->worker = worker_find(hub, target->target.worker);
    (void)buf_fit(&call->args, args.len); /* a failure shows below */
    buf_put(&call->args, args.data, args.len);
    call_charge(hub, call);
}

/* It was not refused, nor has it ended at once: from here on it is in the background. */
static void
accept(struct hub *hub, struct slot *slot, struct call *call)
{
    struct client *c = call->client;
    call->background = true;
    list_remove(&call->of_client);
    list_append(&c->background, &call->of_client);
    c->call_count--;
    c->unfinished--;
    c->background_count++;
    slot_pending(hub, slot);
}

/* Where it goes. */
static void
send_on(struct hub *hub, struct call *call, const struct target *target, struct peer *peer,
        bool background)
{
    const bool many = call->map != MAP_NOT || target->each;
    if (call->worker == NULL && span_is(target->worker, "hub")) {
        if (many || background || target->one) {
            call_fail(hub, call, WIRE_ERR_INVALID_ARGUMENT, WIRE_BEGAN_NO,
                      target->one || target->each ? "the hub itself has no replicas: name it hub"
                      : many ? "methods of the hub itself are called without the option map"
                             : "methods of the hub itself are called without the option "
                               "background");
        } else {
            admin_call(hub, call, peer);
        }
    } else if (many) {
        many_begin(hub, call, target->each);
    } else {
        route_call(hub, call);
    }
}

static void
admit(struct hub *hub, struct slot *slot, const struct record *r, struct call *call,
      const struct wishes *wishes)
{
    const uint64_t ttl_ms = RECORD_FIELD(r, CALL, TTL_MS)->item.uint;
    enum wire_error code = WIRE_ERR_RESOURCE_EXHAUSTED;
    const char *why = NULL;
    fill(hub, call, r, wishes);
    slot->call = call;
    slot_park(hub, slot, &call->waiters);
    const int64_t at_ns = hub->now_ns + ttl_ns(call->client, wishes, ttl_ms);
    if (call->args.failed ||
        !deadline_set(&hub->deadlines, &call->deadline, DEADLINE_CALL, at_ns)) {
        why = "the hub is out of memory";
    } else if (wishes->parent != 0) {
        why = nest_enter(hub, call, wishes->parent, wishes->background, &code);
    }
    if (why != NULL) {
        call_fail(hub, call, code, WIRE_BEGAN_NO, why);
        return;
    }
    send_on(hub, call, &RECORD_FIELD(r, CALL, WORKER)->target, slot->ticket->peer,
            wishes->background);
    if (wishes->background && call->state != CALL_DONE) {
        accept(hub, slot, call);
    }
}

static void
take_new(struct hub *hub, struct slot *slot, const struct record *r, struct client *c, uint64_t key)
{
    struct wishes wishes;
    const char *wrong = read_wishes(hub, r, c->nameless, &wishes);
    if (wrong != NULL) {
        slot_fail(hub, slot, WIRE_ERR_INVALID_ARGUMENT, wrong);
        return;
    }
    client_trim(hub, c);
    bool later = true;
    const char *why = refusal(hub, c, wishes.background, administers(slot, r),
                              RECORD_FIELD(r, CALL, ARGS)->raw.len, &later);
    struct call *call = why == NULL ? call_new(hub, c, slot->seq, key) : NULL;
    if (call == NULL && !later) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, why);
        return;
    }
    if (call == NULL) {
        slot_refuse_later(hub, slot, why != NULL ? why : "the hub is out of memory");
        return;
    }
    admit(hub, slot, r, call, &wishes);
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
    const bool is_newest = !c->nameless && slot->seq > c->newest; /* so it cannot be known */
    struct call *call = is_newest ? NULL : call_find(hub, c, key);
    if (call != NULL && call->state == CALL_DONE) {
        slot_answer_call(hub, slot, call);
    } else if (call != NULL && call->background) {
        slot_pending(hub, slot);
    } else if (call != NULL) {
        park_on(hub, slot, call);
    } else if (!c->nameless && slot->seq <= c->ack) {
        slot_doubt(hub, slot, WIRE_ERR_FAILED_PRECONDITION,
                   "a call with this number was acknowledged already; numbers count up");
    } else if (!c->nameless && slot->seq <= c->forgotten) {
        slot_doubt(hub, slot, WIRE_ERR_FAILED_PRECONDITION,
                   "the outcome of a call so far back is no longer kept");
    } else {
        take_new(hub, slot, r, c, key);
    }
}

/* ---- WAIT and CANCEL ------------------------------------------------------------------------- */

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
        return;
    }
    if (items_received(hub, call, RECORD_FIELD(r, WAIT, RECEIVED)->item.uint) &&
        call->state == CALL_DONE) {
        call_keep(hub, call); /* it is being fetched */
    }
    if (call->state == CALL_DONE) {
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
    slot_ack(hub, slot, 0);
}
