/* What the session says and hears: requests into messages, answers into outcomes. See session.h. */
#include "client/session/inside.h"

#include <stdio.h>

#include <utlist.h>

#include "proto/record.h"
#include "proto/write.h"

/* ---- out ------------------------------------------------------------------------------------ */

static uint32_t
new_id(struct session *s, uint64_t slot)
{
    return UINT32_C(1) << 31 | (s->generation++ << SLOT_BITS & INT32_MAX) | (uint32_t)slot;
}

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
    write_bin(b, (struct span){r->call.client, sizeof r->call.client});
    write_uint(b, r->call.seq);
    if (r->waits) {
        write_uint(b, r->received);
        return (struct span){0};
    }
    if (r->ask.kind == SESSION_CALL) {
        const int64_t left_ns = r->deadline_ns - now_ns;
        const uint64_t left_ms =
            left_ns > NS_PER_MS ? (uint64_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS) : 1;
        write_uint(b, session_ack(s));
        buf_put(b, r->bytes, r->front_len);
        write_uint(b, r->ask.background ? r->ask.ttl_ms : left_ms);
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
    struct request *lists[] = {s->asks, s->others}, *r;
    for (size_t i = 0; i < 2; i++) {
        DL_FOREACH(lists[i], r)
        {
            if (r->cancel && !r->cancel_sent && r->state != QUEUED) {
                r->cancel_sent = true;
                s->cancels--;
                buf_reset(&s->scratch, WIRE_MESSAGE_BYTES);
                write_op(&s->scratch, WIRE_CANCEL);
                write_bin(&s->scratch, (struct span){r->call.client, sizeof r->call.client});
                write_uint(&s->scratch, r->call.seq);
                *id = new_id(s, SLOT_NONE);
                *body = pieces_of(buf_span(&s->scratch));
                return !s->scratch.failed;
            }
        }
    }
    return false;
}

static bool
may_send(const struct session *s)
{
    return s->welcome && s->queue != NULL && s->flying + s->strays < IN_FLIGHT_MAX;
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
    while (may_send(s)) {
        struct request *r = s->queue;
        if (is_of_another_history(s, r)) {
            r->outcome.history = s->history;
            request_settle(s, r, true);
            continue;
        }
        const struct span rest = encode(s, r, now_ns);
        if (s->scratch.failed) {
            request_fail_unheard(s, r, PRONG_RESOURCE_EXHAUSTED, "out of memory");
            continue;
        }
        request_withdraw(s, r);
        r->state = FLYING;
        s->flying++;
        r->sent = true;
        r->sent_ns = now_ns;
        r->id = *id = new_id(s, r->ticket % SLOTS);
        session_schedule(s, now_ns + (int64_t)SESSION_SILENCE_MS * NS_PER_MS);
        *body = (struct pieces){2, {buf_span(&s->scratch), rest}};
        return true;
    }
    return s->welcome && s->cancels > 0 && send_cancel(s, id, body);
}

bool
session_wants_send(const struct session *s)
{
    return s->hello_due || may_send(s) || (s->welcome && s->cancels > 0);
}

/* ---- in ------------------------------------------------------------------------------------- */

static void
take_welcome(struct session *s, const struct record *w)
{
    const struct field *about = RECORD_FIELD(w, WELCOME, ABOUT);
    struct field f;
    s->history = record_key(about, WIRE_KEY_WELCOME_history, &f) ? f.item.uint : s->history;
    s->message_bytes = record_limit(w, "message_bytes", s->message_bytes);
    session_begin(s, record_key(about, WIRE_KEY_WELCOME_epoch, &f) ? f.item.uint : s->epoch);
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

static void
take_error(struct session *s, struct request *r, const struct record *rec)
{
    const prong_err code = (prong_err)RECORD_FIELD(rec, ERROR, CODE)->item.uint;
    unsigned began = (unsigned)RECORD_FIELD(rec, ERROR, BEGAN)->item.uint;
    if (r->waits && code == PRONG_NOT_FOUND && began == PRONG_BEGAN_NO) {
        began = PRONG_BEGAN_MAYBE; /* that is about WAIT; the call itself was there */
    }
    r->outcome.details = RECORD_FIELD(rec, ERROR, DETAILS)->raw;
    request_fail(s, r, code, began, RECORD_FIELD(rec, ERROR, MESSAGE)->item.bytes);
}

/* Items are numbered: what came before a reconnect is not taken twice. Who resumes begins with what
 * nobody has taken. */
static void
take_partial(struct session *s, struct request *r, const struct record *rec)
{
    const uint64_t first = RECORD_FIELD(rec, PARTIAL, FIRST)->item.uint;
    const struct field *list = RECORD_FIELD(rec, PARTIAL, ITEMS);
    struct span items = list->inside;
    uint64_t count = list->item.count;
    if (r->resumed && r->received == 0) {
        r->received = first;
    }
    for (uint64_t i = first; i < r->received && count > 0; i++, count--) {
        (void)mp_skip(&items, NULL); /* checked with its record */
    }
    if (count > 0 && first > r->received) {
        request_fail(s, r, PRONG_DATA_LOSS, PRONG_BEGAN_YES,
                     span_text("items of the outcome are missing"));
        return;
    }
    r->received += count;
    r->waits = true;
    r->paused = !r->cancel; /* nobody wants its items any more, but its outcome */
    r->outcome.items = items;
    r->outcome.item_count = (uint32_t)count;
    r->outcome.progress = RECORD_FIELD(rec, PARTIAL, PROGRESS)->raw;
    request_settle(s, r, false);
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
    request_settle(s, r, true);
}

static void
take_answer(struct session *s, struct request *r, const struct record *rec)
{
    const bool is_call = r->ask.kind == SESSION_CALL;
    /* One that is cancelled in time goes on until CANCEL has an outcome. */
    const bool may_end = r->ask.background && !r->cancel;
    if (rec->record == WIRE_REC_ERROR) {
        take_error(s, r, rec);
    } else if (is_call && rec->record == WIRE_REC_RESULT &&
               RECORD_FIELD(rec, RESULT, SEQ)->item.uint == r->call.seq) {
        r->outcome.value = RECORD_FIELD(rec, RESULT, VALUE)->raw;
        r->outcome.began = PRONG_BEGAN_YES;
        r->outcome.accepted = r->ask.background;
        r->outcome.handle = r->call;
        request_settle(s, r, true);
    } else if (is_call && may_end &&
               (rec->record == WIRE_REC_PENDING || rec->record == WIRE_REC_PARTIAL)) {
        r->outcome.began = PRONG_BEGAN_MAYBE;
        r->outcome.accepted = true;
        r->outcome.handle = r->call;
        request_settle(s, r, true);
    } else if (is_call && rec->record == WIRE_REC_PARTIAL) {
        take_partial(s, r, rec);
    } else if (is_call && rec->record == WIRE_REC_PENDING) {
        request_withdraw(s, r);
        r->waits = true;
        request_enqueue(s, r);
    } else if (r->ask.kind == SESSION_EMIT && rec->record == WIRE_REC_ACK) {
        r->outcome.began = PRONG_BEGAN_YES;
        r->outcome.number = RECORD_FIELD(rec, ACK, NUMBER)->item.uint;
        request_settle(s, r, true);
    } else if (r->ask.kind == SESSION_FETCH && rec->record == WIRE_REC_EVENTS) {
        take_events(s, r, rec);
    } else {
        request_fail_unheard(s, r, PRONG_INTERNAL, "the hub's answer does not fit the request");
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
        s->strays -= s->strays > 0 && id % SLOTS != SLOT_NONE;
        return;
    }
    if (record_message(body, &rec, 1, &diag) != 1) {
        request_fail_unheard(s, r, PRONG_INTERNAL, "the hub's answer is not understood");
    } else {
        take_answer(s, r, &rec);
    }
}
