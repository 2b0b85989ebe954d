/* Subscriptions: FETCH again and again, one batch ahead of the reader. */
#include "client/lib/client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/record.h"
#include "proto/write.h"

enum { ITEMS_DEFAULT = 1024, BYTES_DEFAULT = 1 << 20, TIMEOUT_MS_DEFAULT = 5000 };

/* Checked EVENT_ITEMs, and what stood beside them. */
struct batch {
    struct buf items;
    uint64_t lost;
    bool reset;
};

struct prong_subscription {
    struct notice notice;
    struct prong_client *c;
    prong_subscription_fn notify;
    void *context;
    struct buf filters;
    /* where to ask from next */
    enum session_from from;
    uint64_t number, history;
    uint64_t items_max, bytes_max, wait_ms;
    uint64_t ticket; /* of the FETCH; 0: none */
    prong_err err;
    bool answered;
    uint64_t lost_total;
    struct batch came;
    /* the reader's: no other thread touches these */
    struct batch taken;
    struct buf texts;
    struct prong_event event;
    uint64_t position;
};

/* Locked. Ask for the next batch, unless there is one that was not taken. */
static void
fetch(struct prong_subscription *s, int64_t deadline_ns)
{
    const char *problem;
    const struct session_ask a = {.kind = SESSION_FETCH,
                                  .user = s,
                                  .deadline_ns = deadline_ns,
                                  .name = buf_span(&s->filters),
                                  .from = s->from,
                                  .number = s->number,
                                  .history = s->history,
                                  .items_max = s->items_max,
                                  .bytes_max = s->bytes_max,
                                  .wait_ms = s->wait_ms};
    if (s->ticket == 0 && s->err == PRONG_OK && s->came.items.w == 0) {
        s->err =
            s->c->gone ? PRONG_UNAVAILABLE : session_ask(s->c->session, &a, &s->ticket, &problem);
        if (s->err != PRONG_OK && !s->c->gone) {
            client_failed(s->c, "%s", problem);
        }
    }
}

void
subscription_take(struct prong_subscription *s, const struct session_outcome *o)
{
    s->ticket = 0;
    s->answered = true;
    s->err = o->code;
    if (o->code != PRONG_OK) {
        client_failed(s->c, "%.*s", (int)o->message.len, (const char *)o->message.data);
    } else if (s->history != 0 && o->history != s->history) {
        s->from = SESSION_FROM_OLDEST;
        s->number = 0;
        s->came.reset = true;
    } else {
        s->from = SESSION_FROM_NUMBER;
        s->number = o->next;
        s->came.lost += o->lost;
        s->lost_total += o->lost;
        buf_put(&s->came.items, o->items.data, o->items.len);
        if (s->came.items.failed) {
            s->err = PRONG_RESOURCE_EXHAUSTED;
        }
    }
    if (o->code == PRONG_OK) {
        s->history = o->history;
        s->wait_ms = WIRE_PARK_MS;
        fetch(s, SESSION_NEVER);
    }
    if (s->came.items.w > 0 || s->err != PRONG_OK) {
        client_notify(s->c, &s->notice);
    }
    client_wake(s->c, s);
}

/* ---- making --------------------------------------------------------------------------------- */

static void
run_notice(struct notice *n)
{
    struct prong_subscription *s = (struct prong_subscription *)n;
    s->notify(s->context, s);
}

static void
forget(struct prong_subscription *s)
{
    buf_deinit(&s->filters);
    buf_deinit(&s->came.items);
    buf_deinit(&s->taken.items);
    buf_deinit(&s->texts);
    free(s);
}

static const char *
read_options(const prong_subscribe_options *given, prong_subscribe_options *o)
{
    *o = (prong_subscribe_options){.size_bytes = sizeof *o};
    if (given != NULL && given->size_bytes < offsetof(prong_subscribe_options, items_max)) {
        return "size_bytes of the options is not set";
    }
    if (given != NULL) {
        memcpy(o, given, given->size_bytes < sizeof *o ? given->size_bytes : sizeof *o);
    }
    o->items_max = o->items_max > 0 ? o->items_max : ITEMS_DEFAULT;
    o->bytes_max = o->bytes_max > 0 ? o->bytes_max : BYTES_DEFAULT;
    o->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : TIMEOUT_MS_DEFAULT;
    return o->from > PRONG_FROM_NUMBER || o->items_max > WIRE_FETCH_ITEMS_MAX
               ? "from or items_max is out of range"
               : NULL;
}

static const char *
write_filters(struct buf *b, const char *const *filters, size_t count)
{
    if (count == 0 || count > WIRE_FILTERS_MAX) {
        return "a subscription has 1 to 32 filters";
    }
    write_array(b, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        if (filters[i] == NULL || !name_is_filter(span_text(filters[i]))) {
            return "a filter is a topic in which tokens may be * and the last one >";
        }
        write_text(b, filters[i]);
    }
    return b->failed ? "out of memory" : NULL;
}

static bool
is_answered(const void *context)
{
    return ((const struct prong_subscription *)context)->answered;
}

prong_err
prong_subscribe(prong_client *c, const char *const *filters, size_t count,
                const prong_subscribe_options *options, prong_subscription **out)
{
    prong_subscribe_options o;
    prong_err err = client_enter(c, true);
    if (err != PRONG_OK) {
        return err;
    }
    struct prong_subscription *s = calloc(1, sizeof *s);
    const char *problem = s == NULL ? "out of memory" : read_options(options, &o);
    problem = problem != NULL ? problem : write_filters(&s->filters, filters, count);
    if (problem != NULL) {
        err = s == NULL || s->filters.failed ? PRONG_RESOURCE_EXHAUSTED : PRONG_INVALID_ARGUMENT;
        client_failed(c, "%s", problem);
    } else {
        s->c = c;
        s->from = (enum session_from)o.from;
        s->number = o.number;
        s->history = o.from == PRONG_FROM_NUMBER ? o.history : 0;
        s->items_max = o.items_max;
        s->bytes_max = o.bytes_max;
        const int64_t until_ns = client_until(o.timeout_ms);
        fetch(s, until_ns);
        client_send(c);
        err = s->err != PRONG_OK ? s->err : client_wait(c, is_answered, s, s, SESSION_NEVER);
        err = err != PRONG_OK ? err : s->err;
    }
    if (err == PRONG_OK) {
        c->refs++;
        s->notify = o.notify;
        s->context = o.context;
        s->notice.run = o.notify != NULL ? run_notice : NULL;
        if (s->came.items.w > 0) {
            client_notify(c, &s->notice);
        }
        client_send(c);
        *out = s;
    } else if (s != NULL) {
        forget(s);
    }
    client_leave(c);
    return err;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Decode the first event of what was taken. false when there is none. */
static bool
decode(struct prong_subscription *s)
{
    struct span inside = buf_span(&s->taken.items);
    struct record r;
    if (!record_item(&inside, WIRE_REC_EVENT_ITEM, &r)) {
        return false;
    }
    const struct span topic = RECORD_FIELD(&r, EVENT_ITEM, TOPIC)->item.bytes;
    const struct span source = RECORD_FIELD(&r, EVENT_ITEM, SOURCE)->item.bytes;
    const struct span payload = RECORD_FIELD(&r, EVENT_ITEM, PAYLOAD)->raw;
    buf_reset(&s->texts, WIRE_TEXT_BYTES_MAX);
    (void)buf_reserve(&s->texts, topic.len + source.len + 2); /* see .failed below */
    buf_put(&s->texts, topic.data, topic.len);
    buf_put(&s->texts, "", 1);
    buf_put(&s->texts, source.data, source.len);
    buf_put(&s->texts, "", 1);
    if (s->texts.failed) {
        return false;
    }
    s->event = (struct prong_event){
        .number = RECORD_FIELD(&r, EVENT_ITEM, NUMBER)->item.uint,
        .history = s->event.history,
        .time_us = (int64_t)RECORD_FIELD(&r, EVENT_ITEM, TIME_US)->item.uint,
        .topic = (const char *)s->texts.data,
        .source = (const char *)s->texts.data + topic.len + 1,
        .payload = {payload.data, payload.len},
        .lost = s->taken.lost,
        .reset = s->taken.reset,
    };
    s->taken.lost = 0;
    s->taken.reset = false;
    s->taken.items.r = (size_t)(inside.data - s->taken.items.data);
    s->position = s->event.number + 1;
    return true;
}

static bool
has_batch(const void *context)
{
    const struct prong_subscription *s = context;
    return s->came.items.w > 0 || s->err != PRONG_OK;
}

static prong_err
take_batch(struct prong_subscription *s, int32_t timeout_ms)
{
    struct prong_client *c = s->c;
    prong_err err = client_enter(c, timeout_ms != 0);
    if (err != PRONG_OK) {
        return err;
    }
    err = client_wait(c, has_batch, s, s, client_until(timeout_ms));
    if (s->came.items.w > 0) {
        struct buf used = s->taken.items;
        buf_reset(&used, BYTES_DEFAULT);
        s->taken = s->came;
        s->came = (struct batch){.items = used};
        s->event.history = s->history;
        err = PRONG_OK;
        if (!c->closed) {
            fetch(s, SESSION_NEVER);
            client_send(c);
        }
    } else if (err == PRONG_OK) {
        err = s->err;
    }
    client_leave(c);
    return err;
}

prong_err
prong_subscription_next(prong_subscription *s, int32_t timeout_ms, const prong_event **out)
{
    if (!client_is_mine(s->c)) {
        return PRONG_FAILED_PRECONDITION;
    }
    if (s->taken.items.w == s->taken.items.r) {
        const prong_err err = take_batch(s, timeout_ms);
        if (err != PRONG_OK) {
            return err;
        }
    }
    if (!decode(s)) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    *out = &s->event;
    return PRONG_OK;
}

void
prong_subscription_position(prong_subscription *s, uint64_t *number, uint64_t *history)
{
    if (client_enter(s->c, false) != PRONG_OK) {
        return;
    }
    struct span inside = buf_span(&s->came.items);
    struct record first;
    const bool between = s->taken.items.w > s->taken.items.r; /* of one batch */
    if (number != NULL) {
        *number = between ? s->position
                  : record_item(&inside, WIRE_REC_EVENT_ITEM, &first)
                      ? RECORD_FIELD(&first, EVENT_ITEM, NUMBER)->item.uint
                      : s->number;
    }
    if (history != NULL) {
        *history = between ? s->event.history : s->history;
    }
    client_leave(s->c);
}

uint64_t
prong_subscription_lost(prong_subscription *s)
{
    if (client_enter(s->c, false) != PRONG_OK) {
        return 0;
    }
    const uint64_t lost = s->lost_total;
    client_leave(s->c);
    return lost;
}

void
prong_subscription_free(prong_subscription *s)
{
    if (s == NULL || client_enter(s->c, false) != PRONG_OK) {
        return;
    }
    struct prong_client *c = s->c;
    client_unnotify(c, &s->notice);
    if (s->ticket != 0 && !c->closed) {
        session_retarget(c->session, s->ticket, NULL);
    }
    forget(s);
    client_unref(c);
}
