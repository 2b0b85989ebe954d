/* The session: see session.h. */
#include "client/session/inside.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "proto/name.h"
#include "proto/mp.h"
#include "proto/write.h"

/* ---- requests ------------------------------------------------------------------------------- */

static struct request *
find(const struct session *s, uint64_t ticket)
{
    struct request *r = s->slots[ticket % SLOTS];
    return r != NULL && r->ticket == ticket && !r->outcome.ended ? r : NULL;
}

void
request_enqueue(struct session *s, struct request *r)
{
    r->state = QUEUED;
    DL_APPEND2(s->queue, r, qprev, qnext);
}

/* Out of the queue or the air. */
void
request_withdraw(struct session *s, struct request *r)
{
    if (r->state == QUEUED) {
        DL_DELETE2(s->queue, r, qprev, qnext);
    }
    s->flying -= r->state == FLYING;
    r->state = IDLE;
}

void
request_settle(struct session *s, struct request *r, bool ended)
{
    request_withdraw(s, r);
    r->state = SETTLED;
    r->outcome.ended = ended;
    DL_APPEND2(s->done, r, qprev, qnext);
    if (ended && r->other) {
        DL_DELETE(s->others, r);
        s->other_count--;
    } else if (ended) {
        DL_DELETE(s->asks, r);
        s->ask_count--;
    }
    s->cancels -= ended && r->cancel && !r->cancel_sent;
}

void
request_fail(struct session *s, struct request *r, prong_err code, unsigned began, struct span text)
{
    if (r->state == SETTLED) { /* its items were not taken yet: they are dropped */
        DL_DELETE2(s->done, r, qprev, qnext);
        r->state = IDLE;
    }
    r->outcome.code = code;
    r->outcome.began = began;
    r->outcome.message = text;
    r->outcome.item_count = 0;
    request_settle(s, r, true);
}

void
request_fail_unheard(struct session *s, struct request *r, prong_err code, const char *text)
{
    const bool known = r->sent || r->resumed;
    request_fail(s, r, code, known ? PRONG_BEGAN_MAYBE : PRONG_BEGAN_NO, span_text(text));
}

static const char *
check(const struct session_ask *a)
{
    struct span payload = a->payload, options = a->options;
    struct mp_item item;
    struct target target;
    if (a->kind == SESSION_FETCH || a->resume != NULL) {
        return NULL;
    }
    if (a->kind == SESSION_EMIT) {
        return !name_is_topic(a->name)
                   ? "a topic is tokens of A-Z a-z 0-9 _ - with dots between them"
               : !mp_skip(&payload, NULL) || payload.len > 0
                   ? "the payload is not one encoded object"
                   : NULL;
    }
    if (!name_targets(a->worker, &target)) {
        return "a worker's name is of a-z 0-9 _ - (1 to 64), with /number for one replica or /* "
               "for "
               "each of them";
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

void
session_schedule(struct session *s, int64_t at_ns)
{
    if (at_ns < s->tick_ns) {
        s->tick_ns = at_ns;
    }
}

prong_err
session_ask(struct session *s, const struct session_ask *ask, uint64_t *ticket,
            const char **problem)
{
    const bool other = ask->kind == SESSION_FETCH || ask->resume != NULL;
    *problem = check(ask);
    if (*problem != NULL) {
        return PRONG_INVALID_ARGUMENT;
    }
    const size_t front_len = encode_constant(s, ask);
    const struct span head = buf_span(&s->scratch), payload = ask->payload;
    const size_t len = head.len + payload.len;
    *problem = other && s->other_count >= SESSION_OTHERS_MAX
                   ? "too many subscriptions and resumed calls"
               : !other && session_is_full(s) ? "too many requests have no outcome yet"
               : len + 128 > s->message_bytes ? "longer than a message of this hub may be"
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
                          .other = other,
                          .resumed = ask->resume != NULL,
                          .waits = ask->resume != NULL,
                          .outcome = {.kind = ask->kind, .user = ask->user}};
    memcpy(r->bytes, head.data, head.len);
    if (payload.len > 0) {
        memcpy(r->bytes + head.len, payload.data, payload.len);
    }
    r->ticket = ((uint64_t)s->generation++ << 32 | 1 << 30) + slot; /* never 0 */
    s->slots[slot] = r;
    if (other) {
        r->call = ask->resume != NULL ? *ask->resume : r->call;
        DL_APPEND(s->others, r);
        s->other_count++;
    } else {
        memcpy(r->call.client, s->client, sizeof s->client);
        r->call.seq = ++s->seq;
        DL_APPEND(s->asks, r);
        s->ask_count++;
    }
    session_schedule(s, r->deadline_ns);
    if (s->welcome) {
        request_enqueue(s, r);
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
    return s->ask_count + s->other_count;
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
    if (!r->sent && !r->resumed) {
        request_fail_unheard(s, r, PRONG_CANCELLED, "cancelled before it was sent");
    } else if (r->paused) {
        session_more(s, ticket); /* or its outcome would never be asked for */
    }
}

/* End what the hub may still answer: until then it counts as one of what waits there. */
static void
fail_early(struct session *s, struct request *r, prong_err code, const char *text)
{
    s->strays += r->state == FLYING;
    request_fail_unheard(s, r, code, text);
}

void
session_abandon(struct session *s, uint64_t ticket)
{
    struct request *r = find(s, ticket);
    if (r != NULL && r->resumed) {
        r->outcome.user = NULL;
        fail_early(s, r, PRONG_CANCELLED, "nobody waits for it here any more");
    }
}

void
session_more(struct session *s, uint64_t ticket)
{
    struct request *r = find(s, ticket);
    if (r != NULL && r->paused) {
        r->paused = false;
        if (s->welcome && r->state == IDLE) {
            request_enqueue(s, r);
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
        request_fail_unheard(s, s->asks, code, text);
    }
    while (s->others != NULL) {
        request_fail_unheard(s, s->others, code, text);
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
    session_schedule(s, s->hello_end_ns);
}

void
session_lost(struct session *s)
{
    struct request *lists[] = {s->asks, s->others}, *r;
    s->connected = s->welcome = s->hello_due = false;
    s->hello_id = 0;
    s->strays = 0;
    s->tick_ns = INT64_MIN; /* deadlines are nearer without a connection */
    for (size_t i = 0; i < 2; i++) {
        DL_FOREACH(lists[i], r)
        {
            if (r->state != SETTLED) {
                request_withdraw(s, r);
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
    struct request *lists[] = {s->asks, s->others}, *r, *next;
    for (size_t i = 0; i < 2; i++) {
        DL_FOREACH_SAFE(lists[i], r, next)
        {
            if (r->sent && r->ask.kind != SESSION_FETCH) {
                request_fail_unheard(
                    s, r, PRONG_UNAVAILABLE,
                    "the hub was started anew and does not know any more what came of this");
            }
        }
    }
}

void
session_begin(struct session *s, uint64_t epoch)
{
    if (s->epoch != 0 && epoch != s->epoch) {
        end_forgotten(s);
    }
    s->epoch = epoch;
    s->welcome = true;
    struct request *lists[] = {s->asks, s->others}, *r;
    for (size_t i = 0; i < 2; i++) {
        DL_FOREACH(lists[i], r)
        {
            if (r->state == IDLE && !r->paused) {
                request_enqueue(s, r);
            }
        }
    }
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
    return s->asks != NULL ? s->asks->call.seq - 1 : s->seq;
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
        request_enqueue(s, r);
    }
    return true;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* When a request is over, or its connection is silent. */
static int64_t
end_of(const struct session *s, const struct request *r)
{
    const bool hub_ends_it = s->welcome && r->sent && !r->resumed;
    const int64_t grace_ns = hub_ends_it ? (int64_t)SESSION_GRACE_MS * NS_PER_MS : 0;
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
    const struct request *lists[] = {s->asks, s->others}, *r;
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
    struct request *lists[] = {s->asks, s->others}, *r, *next;
    if (now_ns < s->tick_ns) {
        return;
    }
    s->tick_ns = s->connected && !s->welcome ? s->hello_end_ns : SESSION_NEVER;
    for (size_t i = 0; i < 2; i++) {
        DL_FOREACH_SAFE(lists[i], r, next)
        {
            if (now_ns >= end_of(s, r)) {
                fail_early(s, r, PRONG_DEADLINE_EXCEEDED,
                           s->welcome ? "no outcome by the deadline"
                                      : "no connection to the hub until the deadline");
            } else {
                session_schedule(s, end_of(s, r));
                session_schedule(s, silence_of(r));
            }
        }
    }
}

int64_t
session_deadline_ns(const struct session *s)
{
    return s->tick_ns;
}
