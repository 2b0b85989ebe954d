/* The session: see session.h. */
#include "client/session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "proto/record.h"
#include "proto/write.h"

enum {
    SLOT_BITS = 9,
    SLOTS = 1 << SLOT_BITS, /* the window, the fetches and what ended but was not taken */
    SLOT_NONE = SLOTS - 1,  /* in the SP ids of HELLO and CANCEL */
    IN_FLIGHT_MAX =
        WIRE_PARKED_MAX - 8, /* a hub refuses more on one connection; CANCEL needs room */
    NS_PER_MS = 1000000,
};

enum state {
    IDLE,    /* not to be sent now: no connection, or session_more is awaited */
    QUEUED,  /* in s->queue */
    FLYING,  /* sent, an answer is awaited */
    SETTLED, /* in s->done */
};

struct request {
    struct request *prev, *next;   /* s->asks or s->fetches, in the order of making */
    struct request *qprev, *qnext; /* s->queue or s->done */
    struct session_outcome outcome;
    enum state state;
    uint64_t ticket, seq, received;
    uint32_t id; /* of the last message */
    bool sent;   /* to this broker, ever */
    bool waits;  /* it was PENDING or PARTIAL: the hub has it, WAIT asks for it */
    bool paused; /* session_more is awaited */
    bool cancel, cancel_sent;
    int64_t deadline_ns, sent_ns;
    struct session_ask ask; /* FETCH: numbers; its spans are not used */
    size_t front_len,
        len; /* bytes[0..front_len) stand before ttl in CALL, the rest after; 0 else */
    uint8_t bytes[];
};

struct session {
    uint8_t client[16];
    struct buf hello, scratch;
    struct request *slots[SLOTS];
    struct request *asks, *fetches, *queue, *done;
    size_t ask_count, fetch_count, flying, cancels;
    uint64_t seq, epoch, history, message_bytes;
    uint32_t generation, hello_id;
    bool connected, welcome, hello_due;
    int64_t hello_ns, hello_end_ns, tick_ns;
    prong_err refusal;
    char refusal_text[200];
};

/* ---- requests ------------------------------------------------------------------------------- */

static struct request *
find(const struct session *s, uint64_t ticket)
{
    struct request *r = s->slots[ticket % SLOTS];
    return r != NULL && r->ticket == ticket && !r->outcome.ended ? r : NULL;
}

static uint32_t
new_id(struct session *s, uint64_t slot)
{
    return UINT32_C(1) << 31 | (s->generation++ << SLOT_BITS & INT32_MAX) | (uint32_t)slot;
}

static void
enqueue(struct session *s, struct request *r)
{
    r->state = QUEUED;
    DL_APPEND2(s->queue, r, qprev, qnext);
}

/* Out of the queue or the air. */
static void
withdraw(struct session *s, struct request *r)
{
    if (r->state == QUEUED) {
        DL_DELETE2(s->queue, r, qprev, qnext);
    }
    s->flying -= r->state == FLYING;
    r->state = IDLE;
}

static void
settle(struct session *s, struct request *r, bool ended)
{
    withdraw(s, r);
    r->state = SETTLED;
    r->outcome.ended = ended;
    DL_APPEND2(s->done, r, qprev, qnext);
    if (ended && r->ask.kind == SESSION_FETCH) {
        DL_DELETE(s->fetches, r);
        s->fetch_count--;
    } else if (ended) {
        DL_DELETE(s->asks, r);
        s->ask_count--;
        s->cancels -= r->cancel && !r->cancel_sent;
    }
}

static void
fail(struct session *s, struct request *r, prong_err code, unsigned began, struct span text)
{
    if (r->state == SETTLED) { /* its items were not taken yet: they are dropped */
        DL_DELETE2(s->done, r, qprev, qnext);
        r->state = IDLE;
    }
    r->outcome.code = code;
    r->outcome.began = began;
    r->outcome.message = text;
    r->outcome.item_count = 0;
    settle(s, r, true);
}

static void
fail_unheard(struct session *s, struct request *r, prong_err code, const char *text)
{
    fail(s, r, code, r->sent ? PRONG_BEGAN_MAYBE : PRONG_BEGAN_NO, span_text(text));
}

static const char *
check(const struct session_ask *a)
{
    struct span payload = a->payload, options = a->options;
    struct mp_item item;
    struct target target;
    if (a->kind == SESSION_FETCH) {
        return NULL;
    }
    if (a->kind == SESSION_EMIT) {
        return !name_is_topic(a->name)
                   ? "a topic is tokens of A-Z a-z 0-9 _ - with dots between them"
               : !mp_skip(&payload, NULL) || payload.len > 0
                   ? "the payload is not one encoded object"
                   : NULL;
    }
    if (!name_target(a->worker, &target)) {
        return "a worker's name is of a-z 0-9 _ - (1 to 64), with /number for one replica";
    }
    if (!name_is_method(a->name)) {
        return "a method's name is of A-Z a-z 0-9 _ (1 to 64)";
    }
    if (options.len > 0 && (!mp_next(&options, &item) || item.kind != MP_MAP ||
                            !mp_skip(&(struct span){a->options.data, a->options.len}, &options) ||
                            options.len != a->options.len)) {
        return "the options are not one encoded map";
    }
    if (!mp_next(&payload, &item) || (item.kind != MP_MAP && item.kind != MP_ARRAY)) {
        return "arguments are a map or an array";
    }
    payload = a->payload;
    return mp_skip(&payload, NULL) && payload.len == 0 ? NULL : "the arguments are not one object";
}

/* What does not change from one sending to the next and stands before the payload, in s->scratch;
 * the length of its front part. */
static size_t
encode_constant(struct session *s, const struct session_ask *a)
{
    struct buf *b = &s->scratch;
    buf_reset(b, WIRE_MESSAGE_BYTES);
    size_t front = 0;
    if (a->kind == SESSION_CALL) {
        write_str(b, a->worker);
        write_str(b, a->name);
        front = b->w;
        write_raw(b, a->options);
    } else if (a->kind == SESSION_EMIT) {
        write_str(b, a->name);
        write_nil(b);
    } else {
        write_raw(b, a->name);
    }
    return front;
}

static void
schedule(struct session *s, int64_t at_ns)
{
    if (at_ns < s->tick_ns) {
        s->tick_ns = at_ns;
    }
}

prong_err
session_ask(struct session *s, const struct session_ask *ask, uint64_t *ticket,
            const char **problem)
{
    const bool is_fetch = ask->kind == SESSION_FETCH;
    *problem = check(ask);
    if (*problem != NULL) {
        return PRONG_INVALID_ARGUMENT;
    }
    const size_t front_len = encode_constant(s, ask);
    const struct span head = buf_span(&s->scratch), payload = ask->payload;
    const size_t len = head.len + payload.len;
    *problem = is_fetch && s->fetch_count >= SESSION_FETCHES_MAX ? "too many subscriptions"
               : !is_fetch && session_is_full(s) ? "too many requests have no outcome yet"
               : len + 128 > s->message_bytes    ? "longer than a message of this hub may be"
                                                 : NULL;
    if (*problem != NULL) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    uint64_t slot = (s->generation + 1) % SLOT_NONE;
    for (size_t i = 0; i < SLOT_NONE && s->slots[slot] != NULL; i++) {
        slot = (slot + 1) % SLOT_NONE;
    }
    struct request *r =
        s->scratch.failed || s->slots[slot] != NULL ? NULL : malloc(sizeof *r + len);
    if (r == NULL) {
        *problem = "out of memory";
        return PRONG_RESOURCE_EXHAUSTED;
    }
    *r = (struct request){.ask = *ask,
                          .deadline_ns = ask->deadline_ns,
                          .front_len = front_len,
                          .len = len,
                          .outcome = {.kind = ask->kind, .user = ask->user}};
    memcpy(r->bytes, head.data, head.len);
    if (payload.len > 0) {
        memcpy(r->bytes + head.len, payload.data, payload.len);
    }
    r->ticket = ((uint64_t)s->generation++ << 32 | 1 << 30) + slot; /* never 0 */
    s->slots[slot] = r;
    if (is_fetch) {
        DL_APPEND(s->fetches, r);
        s->fetch_count++;
    } else {
        r->seq = ++s->seq;
        DL_APPEND(s->asks, r);
        s->ask_count++;
    }
    schedule(s, r->deadline_ns);
    if (s->welcome) {
        enqueue(s, r);
    }
    *ticket = r->ticket;
    return PRONG_OK;
}

bool
session_is_full(const struct session *s)
{
    return s->ask_count >= WIRE_WINDOW;
}

size_t
session_outstanding(const struct session *s)
{
    return s->ask_count + s->fetch_count;
}

void
session_cancel(struct session *s, uint64_t ticket)
{
    struct request *r = find(s, ticket);
    if (r == NULL || r->cancel || r->ask.kind != SESSION_CALL) {
        return;
    }
    r->cancel = true;
    s->cancels++;
    if (!r->sent) {
        fail_unheard(s, r, PRONG_CANCELLED, "cancelled before it was sent");
    } else if (r->paused) {
        session_more(s, ticket); /* or its outcome would never be asked for */
    }
}

void
session_more(struct session *s, uint64_t ticket)
{
    struct request *r = find(s, ticket);
    if (r != NULL && r->paused) {
        r->paused = false;
        if (s->welcome && r->state == IDLE) {
            enqueue(s, r);
        }
    }
}

void
session_retarget(struct session *s, uint64_t ticket, void *user)
{
    struct request *r = s->slots[ticket % SLOTS];
    if (r != NULL && r->ticket == ticket) {
        r->outcome.user = user;
    }
}

void
session_end_all(struct session *s, prong_err code, const char *text)
{
    while (s->asks != NULL) {
        fail_unheard(s, s->asks, code, text);
    }
    while (s->fetches != NULL) {
        fail_unheard(s, s->fetches, code, text);
    }
}

/* ---- connection ----------------------------------------------------------------------------- */

struct session *
session_new(const struct session_options *options)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    memcpy(s->client, options->client, sizeof s->client);
    s->generation = options->sp_first & 0x3fffff;
    s->hello_ns = options->hello_ns;
    s->tick_ns = SESSION_NEVER;
    s->message_bytes = WIRE_MESSAGE_BYTES;
    write_op(&s->hello, WIRE_HELLO);
    write_map(&s->hello, 2U + (options->name != NULL) + (options->token.len > 0));
    write_text(&s->hello, "proto");
    write_uint(&s->hello, WIRE_PROTO);
    write_text(&s->hello, "role");
    write_text(&s->hello, "client");
    if (options->name != NULL) {
        write_text(&s->hello, "name");
        write_text(&s->hello, options->name);
    }
    if (options->token.len > 0) {
        write_text(&s->hello, "token");
        write_bin(&s->hello, options->token);
    }
    if (s->hello.failed) {
        session_free(s);
        return NULL;
    }
    return s;
}

void
session_free(struct session *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        free(s->slots[i]);
    }
    buf_deinit(&s->hello);
    buf_deinit(&s->scratch);
    free(s);
}

void
session_connected(struct session *s, int64_t now_ns)
{
    s->connected = s->hello_due = true;
    s->welcome = false;
    s->refusal = PRONG_OK;
    s->hello_end_ns = now_ns + s->hello_ns;
    schedule(s, s->hello_end_ns);
}

void
session_lost(struct session *s)
{
    struct request *lists[] = {s->asks, s->fetches}, *r;
    s->connected = s->welcome = s->hello_due = false;
    s->hello_id = 0;
    s->tick_ns = INT64_MIN; /* deadlines are nearer without a connection */
    for (size_t i = 0; i < 2; i++) {
        DL_FOREACH(lists[i], r)
        {
            if (r->state != SETTLED) {
                withdraw(s, r);
            }
            s->cancels += r->cancel && r->cancel_sent;
            r->cancel_sent = false;
        }
    }
}

/* Another broker has no memory of what was sent to the one before: asked again it might run twice.
 */
static void
end_forgotten(struct session *s)
{
    struct request *r, *next;
    DL_FOREACH_SAFE(s->asks, r, next)
    {
        if (r->sent) {
            fail_unheard(s, r, PRONG_UNAVAILABLE,
                         "the hub was started anew and does not know any more what came of this");
        }
    }
}

static void
take_welcome(struct session *s, const struct record *w)
{
    const struct field *about = RECORD_FIELD(w, WELCOME, ABOUT);
    struct field f;
    const uint64_t epoch = record_key(about, WIRE_KEY_WELCOME_epoch, &f) ? f.item.uint : s->epoch;
    s->history = record_key(about, WIRE_KEY_WELCOME_history, &f) ? f.item.uint : s->history;
    if (record_key(about, WIRE_KEY_WELCOME_limits, &f)) {
        struct span inside = f.inside;
        struct mp_item key, value;
        while (mp_next(&inside, &key) && mp_next(&inside, &value)) {
            if (span_is(key.bytes, "message_bytes") && value.kind == MP_UINT && value.uint > 0) {
                s->message_bytes = value.uint;
            }
        }
    }
    if (s->epoch != 0 && epoch != s->epoch) {
        end_forgotten(s);
    }
    s->epoch = epoch;
    s->welcome = true;
    struct request *lists[] = {s->asks, s->fetches}, *r;
    for (size_t i = 0; i < 2; i++) {
        DL_FOREACH(lists[i], r)
        {
            if (r->state == IDLE && !r->paused) {
                enqueue(s, r);
            }
        }
    }
}

static void
take_greeting(struct session *s, struct span body)
{
    struct record rec;
    struct wire_diag diag;
    s->hello_id = 0;
    if (record_message(body, &rec, 1, &diag) == 1 && rec.record == WIRE_REC_WELCOME) {
        take_welcome(s, &rec);
        return;
    }
    s->refusal = PRONG_INTERNAL;
    struct span text = span_text("the answer to HELLO is not understood");
    if (record_message(body, &rec, 1, &diag) == 1 && rec.record == WIRE_REC_ERROR) {
        s->refusal = (prong_err)RECORD_FIELD(&rec, ERROR, CODE)->item.uint;
        text = RECORD_FIELD(&rec, ERROR, MESSAGE)->item.bytes;
    }
    (void)snprintf(s->refusal_text, sizeof s->refusal_text, "%.*s",
                   text.len < sizeof s->refusal_text ? (int)text.len : (int)sizeof s->refusal_text,
                   (const char *)text.data);
}

bool
session_is_welcome(const struct session *s)
{
    return s->welcome;
}

prong_err
session_refusal(const struct session *s, const char **text)
{
    *text = s->refusal_text;
    return s->refusal;
}

uint64_t
session_epoch(const struct session *s)
{
    return s->epoch;
}

uint64_t
session_ack(const struct session *s)
{
    return s->asks != NULL ? s->asks->seq - 1 : s->seq;
}

/* ---- out ------------------------------------------------------------------------------------ */

static void
encode_fetch(struct session *s, const struct request *r)
{
    static const char *const words[] = {"new", "oldest", "last"};
    struct buf *b = &s->scratch;
    write_op(b, WIRE_FETCH);
    write_bin(b, (struct span){s->client, sizeof s->client});
    buf_put(b, r->bytes, r->len);
    if (r->ask.from == SESSION_FROM_NUMBER) {
        write_uint(b, r->ask.number);
    } else {
        write_text(b, words[r->ask.from]);
    }
    write_uint(b, r->ask.items_max);
    write_uint(b, r->ask.bytes_max);
    write_uint(b, r->ask.wait_ms);
}

/* What of the request stands behind what is in s->scratch. */
static struct span
encode(struct session *s, const struct request *r, int64_t now_ns)
{
    struct buf *b = &s->scratch;
    buf_reset(b, WIRE_MESSAGE_BYTES);
    if (r->ask.kind == SESSION_FETCH) {
        encode_fetch(s, r);
        return (struct span){0};
    }
    write_op(b, r->waits ? WIRE_WAIT : r->ask.kind == SESSION_CALL ? WIRE_CALL : WIRE_EMIT);
    write_bin(b, (struct span){s->client, sizeof s->client});
    write_uint(b, r->seq);
    if (r->waits) {
        write_uint(b, r->received);
        return (struct span){0};
    }
    if (r->ask.kind == SESSION_CALL) {
        const int64_t left_ns = r->deadline_ns - now_ns;
        write_uint(b, session_ack(s));
        buf_put(b, r->bytes, r->front_len);
        write_uint(b, left_ns > NS_PER_MS ? (uint64_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS) : 1);
    }
    return (struct span){r->bytes + r->front_len, r->len - r->front_len};
}

static bool
send_hello(struct session *s, uint32_t *id, struct pieces *body)
{
    s->hello_due = false;
    s->hello_id = *id = new_id(s, SLOT_NONE);
    *body = pieces_of(buf_span(&s->hello));
    return true;
}

static bool
send_cancel(struct session *s, uint32_t *id, struct pieces *body)
{
    struct request *r;
    DL_FOREACH(s->asks, r)
    {
        if (r->cancel && !r->cancel_sent && r->state != QUEUED) {
            r->cancel_sent = true;
            s->cancels--;
            buf_reset(&s->scratch, WIRE_MESSAGE_BYTES);
            write_op(&s->scratch, WIRE_CANCEL);
            write_bin(&s->scratch, (struct span){s->client, sizeof s->client});
            write_uint(&s->scratch, r->seq);
            *id = new_id(s, SLOT_NONE);
            *body = pieces_of(buf_span(&s->scratch));
            return !s->scratch.failed;
        }
    }
    return false;
}

/* A position of another history means nothing to this hub. */
static bool
is_of_another_history(const struct session *s, const struct request *r)
{
    return r->ask.kind == SESSION_FETCH && r->ask.history != 0 && s->history != 0 &&
           r->ask.history != s->history;
}

bool
session_send(struct session *s, int64_t now_ns, uint32_t *id, struct pieces *body)
{
    if (s->hello_due) {
        return send_hello(s, id, body);
    }
    while (s->welcome && s->queue != NULL && s->flying < IN_FLIGHT_MAX) {
        struct request *r = s->queue;
        if (is_of_another_history(s, r)) {
            r->outcome.history = s->history;
            settle(s, r, true);
            continue;
        }
        const struct span rest = encode(s, r, now_ns);
        if (s->scratch.failed) {
            fail_unheard(s, r, PRONG_RESOURCE_EXHAUSTED, "out of memory");
            continue;
        }
        withdraw(s, r);
        r->state = FLYING;
        s->flying++;
        r->sent = true;
        r->sent_ns = now_ns;
        r->id = *id = new_id(s, r->ticket % SLOTS);
        schedule(s, now_ns + (int64_t)SESSION_SILENCE_MS * NS_PER_MS);
        *body = (struct pieces){2, {buf_span(&s->scratch), rest}};
        return true;
    }
    return s->welcome && s->cancels > 0 && send_cancel(s, id, body);
}

bool
session_wants_send(const struct session *s)
{
    return s->hello_due ||
           (s->welcome && ((s->queue != NULL && s->flying < IN_FLIGHT_MAX) || s->cancels > 0));
}

/* ---- in ------------------------------------------------------------------------------------- */

static void
take_error(struct session *s, struct request *r, const struct record *rec)
{
    const prong_err code = (prong_err)RECORD_FIELD(rec, ERROR, CODE)->item.uint;
    unsigned began = (unsigned)RECORD_FIELD(rec, ERROR, BEGAN)->item.uint;
    if (r->waits && code == PRONG_NOT_FOUND && began == PRONG_BEGAN_NO) {
        began = PRONG_BEGAN_MAYBE; /* that is about WAIT; the call itself was there */
    }
    r->outcome.details = RECORD_FIELD(rec, ERROR, DETAILS)->raw;
    fail(s, r, code, began, RECORD_FIELD(rec, ERROR, MESSAGE)->item.bytes);
}

/* Items are numbered: what came before a reconnect is not taken twice. */
static void
take_partial(struct session *s, struct request *r, const struct record *rec)
{
    const uint64_t first = RECORD_FIELD(rec, PARTIAL, FIRST)->item.uint;
    const struct field *list = RECORD_FIELD(rec, PARTIAL, ITEMS);
    struct span items = list->inside;
    uint64_t count = list->item.count;
    for (uint64_t i = first; i < r->received && count > 0; i++, count--) {
        (void)mp_skip(&items, NULL); /* checked with its record */
    }
    if (count > 0 && first > r->received) {
        fail(s, r, PRONG_DATA_LOSS, PRONG_BEGAN_YES, span_text("items of the outcome are missing"));
        return;
    }
    r->received += count;
    r->waits = true;
    r->paused = !r->cancel; /* nobody wants its items any more, but its outcome */
    r->outcome.items = items;
    r->outcome.item_count = (uint32_t)count;
    r->outcome.progress = RECORD_FIELD(rec, PARTIAL, PROGRESS)->raw;
    settle(s, r, false);
}

static void
take_events(struct session *s, struct request *r, const struct record *rec)
{
    const struct field *list = RECORD_FIELD(rec, EVENTS, ITEMS);
    r->outcome.history = RECORD_FIELD(rec, EVENTS, HISTORY)->item.uint;
    r->outcome.next = RECORD_FIELD(rec, EVENTS, NEXT)->item.uint;
    r->outcome.lost = RECORD_FIELD(rec, EVENTS, LOST)->item.uint;
    if (r->ask.history == 0 || r->ask.history == r->outcome.history) {
        r->outcome.items = list->inside;
        r->outcome.item_count = list->item.count;
    }
    s->history = r->outcome.history;
    settle(s, r, true);
}

static void
take_answer(struct session *s, struct request *r, const struct record *rec)
{
    const bool is_call = r->ask.kind == SESSION_CALL;
    if (rec->record == WIRE_REC_ERROR) {
        take_error(s, r, rec);
    } else if (is_call && rec->record == WIRE_REC_RESULT &&
               RECORD_FIELD(rec, RESULT, SEQ)->item.uint == r->seq) {
        r->outcome.began = PRONG_BEGAN_YES;
        r->outcome.value = RECORD_FIELD(rec, RESULT, VALUE)->raw;
        settle(s, r, true);
    } else if (is_call && rec->record == WIRE_REC_PARTIAL) {
        take_partial(s, r, rec);
    } else if (is_call && rec->record == WIRE_REC_PENDING) {
        withdraw(s, r);
        r->waits = true;
        enqueue(s, r);
    } else if (r->ask.kind == SESSION_EMIT && rec->record == WIRE_REC_ACK) {
        r->outcome.began = PRONG_BEGAN_YES;
        r->outcome.number = RECORD_FIELD(rec, ACK, NUMBER)->item.uint;
        settle(s, r, true);
    } else if (r->ask.kind == SESSION_FETCH && rec->record == WIRE_REC_EVENTS) {
        take_events(s, r, rec);
    } else {
        fail_unheard(s, r, PRONG_INTERNAL, "the hub's answer does not fit the request");
    }
}

void
session_answer(struct session *s, uint32_t id, struct span body)
{
    struct record rec;
    struct wire_diag diag;
    if (s->hello_id != 0 && id == s->hello_id) {
        take_greeting(s, body);
        return;
    }
    struct request *r = s->slots[id % SLOTS];
    if (r == NULL || r->id != id || r->state != FLYING) {
        return;
    }
    if (record_message(body, &rec, 1, &diag) != 1) {
        fail_unheard(s, r, PRONG_INTERNAL, "the hub's answer is not understood");
    } else {
        take_answer(s, r, &rec);
    }
}

bool
session_next(struct session *s, struct session_outcome *out)
{
    struct request *r = s->done;
    if (r == NULL) {
        return false;
    }
    DL_DELETE2(s->done, r, qprev, qnext);
    r->state = IDLE;
    *out = r->outcome;
    r->outcome = (struct session_outcome){.kind = out->kind, .user = out->user};
    if (out->ended) {
        s->slots[r->ticket % SLOTS] = NULL;
        free(r);
    } else if (!r->paused && s->welcome) {
        enqueue(s, r);
    }
    return true;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* When a request is over, or its connection is silent. */
static int64_t
end_of(const struct session *s, const struct request *r)
{
    const int64_t grace_ns = s->welcome && r->sent ? (int64_t)SESSION_GRACE_MS * NS_PER_MS : 0;
    return r->deadline_ns == SESSION_NEVER ? SESSION_NEVER : r->deadline_ns + grace_ns;
}

static int64_t
silence_of(const struct request *r)
{
    return r->state == FLYING ? r->sent_ns + (int64_t)SESSION_SILENCE_MS * NS_PER_MS
                              : SESSION_NEVER;
}

bool
session_is_dead(const struct session *s, int64_t now_ns)
{
    const struct request *lists[] = {s->asks, s->fetches}, *r;
    if (!s->connected || !s->welcome) {
        return s->connected && (now_ns >= s->hello_end_ns || s->refusal != PRONG_OK);
    }
    for (size_t i = 0; i < 2; i++) {
        DL_FOREACH(lists[i], r)
        {
            if (now_ns >= silence_of(r)) {
                return true;
            }
        }
    }
    return false;
}

void
session_tick(struct session *s, int64_t now_ns)
{
    struct request *lists[] = {s->asks, s->fetches}, *r, *next;
    if (now_ns < s->tick_ns) {
        return;
    }
    s->tick_ns = s->connected && !s->welcome ? s->hello_end_ns : SESSION_NEVER;
    for (size_t i = 0; i < 2; i++) {
        DL_FOREACH_SAFE(lists[i], r, next)
        {
            if (now_ns >= end_of(s, r)) {
                fail_unheard(s, r, PRONG_DEADLINE_EXCEEDED,
                             s->welcome ? "no outcome by the deadline"
                                        : "no connection to the hub until the deadline");
            } else {
                schedule(s, end_of(s, r));
                schedule(s, silence_of(r));
            }
        }
    }
}

int64_t
session_deadline_ns(const struct session *s)
{
    return s->tick_ns;
}
