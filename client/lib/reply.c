/* Replies: from the request to its one outcome, and what waits in between. See reply.h. */
#include "client/lib/reply.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "proto/record.h"

static bool
is_done(const struct prong_reply *r)
{
    return __atomic_load_n(&r->done, __ATOMIC_ACQUIRE);
}

/* ---- what comes from the session ------------------------------------------------------------ */

static void
take_items(struct prong_reply *r, const struct session_outcome *o)
{
    if (o->progress.len > 1) { /* one byte is nil */
        buf_reset(&r->progress, WIRE_TEXT_BYTES_MAX);
        buf_put(&r->progress, o->progress.data, o->progress.len);
    }
    r->item_bytes += o->items.len;
    buf_put(&r->items, o->items.data, o->items.len);
    if (r->items.failed) {
        r->problem = "no memory for the items";
    } else if (!r->stream && r->item_bytes > WIRE_MESSAGE_BYTES) {
        r->problem = "more than 16 MiB of items: take them with PRONG_CALL_STREAM";
    }
    if (r->problem != NULL) {
        buf_deinit(&r->items);
        session_cancel(r->c->session, r->ticket);
    }
    if (!r->stream || o->item_count == 0) {
        session_more(r->c->session, r->ticket);
    }
}

static void
set_outcome(struct prong_reply *r, const struct session_outcome *o)
{
    struct span message = o->message;
    r->code = o->code;
    r->began = (prong_began)o->began;
    r->number = o->number;
    r->accepted = o->accepted;
    r->handle = o->handle;
    if (r->problem != NULL) {
        r->code = PRONG_RESOURCE_EXHAUSTED;
        message = span_text(r->problem);
    }
    const struct span object = r->code == PRONG_OK ? o->value : o->details;
    (void)buf_reserve(&r->outcome, message.len + 1 + object.len); /* see .failed below */
    buf_put(&r->outcome, message.data, message.len);
    buf_put(&r->outcome, "", 1);
    buf_put(&r->outcome, object.data, object.len);
    if (r->outcome.failed) {
        r->code = PRONG_DATA_LOSS;
        buf_deinit(&r->outcome);
        return;
    }
    prong_value *place = r->code == PRONG_OK ? &r->value : &r->details;
    *place = (prong_value){r->outcome.data + message.len + 1, object.len};
}

void
reply_take(struct prong_reply *r, const struct session_outcome *o)
{
    struct prong_client *c = r->c;
    if (!o->ended) {
        take_items(r, o);
    } else {
        set_outcome(r, o);
        __atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
        if (r->async) {
            c->async_open--;
            DL_APPEND(c->finished, r);
            r->in_finished = true;
        }
    }
    client_wake(c, r);
    client_notify(c, &r->notice);
}

static void
run_notice(struct notice *n)
{
    struct prong_reply *r = (struct prong_reply *)n;
    r->notify(r->context, r);
}

struct prong_reply *
reply_new(struct prong_client *c, prong_reply_fn notify)
{
    struct prong_reply *r = calloc(1, sizeof *r);
    if (r != NULL) {
        r->c = c;
        r->notify = notify;
        r->notice.run = notify != NULL ? run_notice : NULL;
        c->refs++;
    }
    return r;
}

void
reply_end(struct prong_reply *r, prong_err code, const char *text)
{
    set_outcome(r, &(struct session_outcome){.code = code, .message = span_text(text)});
    __atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
}

static bool
reply_is_done(const void *context)
{
    return is_done(context);
}

prong_err
reply_finish(struct prong_reply *r)
{
    client_send(r->c);
    (void)client_wait(r->c, reply_is_done, r, r, SESSION_NEVER);
    return r->code;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void
unfinish(struct prong_reply *r)
{
    if (r->in_finished) {
        DL_DELETE(r->c->finished, r);
        r->in_finished = false;
    }
}

prong_err
prong_reply_wait(prong_reply *r, int32_t timeout_ms)
{
    struct prong_client *c = r->c;
    prong_err err = client_enter(c, true);
    if (err != PRONG_OK) {
        return err;
    }
    err = client_wait(c, reply_is_done, r, r, client_until(timeout_ms));
    if (err == PRONG_OK) {
        unfinish(r);
    }
    client_leave(c);
    return err;
}

static bool
any_is_done(const void *context)
{
    const struct prong_client *c = context;
    return c->finished != NULL || c->async_open == 0;
}

prong_err
prong_wait_any(prong_client *c, int32_t timeout_ms, prong_reply **out)
{
    prong_err err = client_enter(c, true);
    if (err != PRONG_OK) {
        return err;
    }
    err = client_wait(c, any_is_done, c, c, any_is_done(c) ? 0 : client_until(timeout_ms));
    if (err == PRONG_OK && c->finished == NULL) {
        err = PRONG_NOT_FOUND;
    }
    if (err == PRONG_OK) {
        *out = c->finished;
        unfinish(*out);
    }
    client_leave(c);
    return err;
}

static bool
has_item(const void *context)
{
    const struct prong_reply *r = context;
    return r->items.w > r->items.r || r->done;
}

prong_err
prong_reply_next(prong_reply *r, int32_t timeout_ms, prong_value *item)
{
    struct prong_client *c = r->c;
    struct span rest, object;
    prong_err err = client_enter(c, true);
    if (err != PRONG_OK) {
        return err;
    }
    buf_skip(&r->taken, r->item_len);
    r->item_len = 0;
    if (r->taken.w == r->taken.r) {
        err = client_wait(c, has_item, r, r, client_until(timeout_ms));
        const struct buf swap = r->items;
        r->items = r->taken;
        r->taken = swap;
        buf_reset(&r->items, WIRE_MESSAGE_BYTES);
        if (!c->closed) {
            session_more(c->session, r->ticket); /* the next batch comes while this one is read */
            client_send(c);
        }
    }
    client_leave(c);
    if (err != PRONG_OK) {
        return err;
    }
    rest = buf_span(&r->taken);
    if (!mp_skip(&rest, &object)) {
        return PRONG_OUT_OF_RANGE;
    }
    r->item_len = object.len;
    *item = (prong_value){object.data, object.len};
    return PRONG_OK;
}

void
prong_reply_cancel(prong_reply *r)
{
    if (client_enter(r->c, false) == PRONG_OK) {
        if (!r->c->closed) {
            session_cancel(r->c->session, r->ticket);
            client_collect(r->c);
            client_poke(r->c);
        }
        client_leave(r->c);
    }
}

void
prong_reply_free(prong_reply *r)
{
    if (r == NULL || client_enter(r->c, false) != PRONG_OK) {
        return;
    }
    struct prong_client *c = r->c;
    client_unnotify(c, &r->notice);
    unfinish(r);
    if (!is_done(r)) {
        c->async_open -= r->async;
        if (r->resumed) {
            session_abandon(c->session, r->ticket);
        } else {
            session_retarget(c->session, r->ticket, NULL);
            session_cancel(c->session, r->ticket);
        }
        client_collect(c);
        client_poke(c);
    }
    buf_deinit(&r->outcome);
    buf_deinit(&r->progress);
    buf_deinit(&r->items);
    buf_deinit(&r->taken);
    free(r);
    client_unref(c);
}

/* ---- looking -------------------------------------------------------------------------------- */

bool
prong_reply_is_done(prong_reply *r)
{
    return r != NULL && is_done(r);
}

prong_err
prong_reply_code(prong_reply *r)
{
    return r == NULL ? PRONG_RESOURCE_EXHAUSTED : is_done(r) ? r->code : PRONG_UNKNOWN;
}

prong_began
prong_reply_began(prong_reply *r)
{
    return r != NULL && is_done(r) ? r->began : PRONG_BEGAN_MAYBE;
}

const prong_value *
prong_reply_value(prong_reply *r)
{
    return r != NULL && is_done(r) && r->value.len > 0 ? &r->value : NULL;
}

const prong_value *
prong_reply_details(prong_reply *r)
{
    return r != NULL && is_done(r) && r->details.len > 0 ? &r->details : NULL;
}

const char *
prong_reply_message(prong_reply *r)
{
    if (r == NULL || (is_done(r) && r->outcome.data == NULL)) {
        return "out of memory";
    }
    return is_done(r) ? (const char *)r->outcome.data : "";
}

bool
prong_reply_progress(prong_reply *r, double *fraction, char *note, size_t note_size)
{
    if (r == NULL || client_enter(r->c, false) != PRONG_OK) {
        return false;
    }
    const prong_value progress = {r->progress.data, r->progress.w};
    prong_value part;
    double number;
    const char *text = "";
    size_t len = 0;
    const bool has = progress.len > 0;
    if (has && fraction != NULL) {
        *fraction = prong_value_at(&progress, 0, &part) && prong_value_double(&part, &number)
                        ? number
                        : NAN;
    }
    if (has && note != NULL) {
        if (prong_value_at(&progress, 1, &part)) {
            (void)prong_value_text(&part, &text, &len); /* else there is no note */
        }
        (void)snprintf(note, note_size, "%.*s", (int)len, text);
    }
    client_leave(r->c);
    return has;
}

uint64_t
prong_reply_tag(const prong_reply *r)
{
    return r != NULL ? r->tag : 0;
}

bool
prong_item_outcome(const prong_value *item, prong_outcome *out)
{
    prong_outcome o = {.began = PRONG_BEGAN_YES, .message = ""};
    prong_value number, kind, payload;
    struct wire_failure f = {0};
    uint64_t what;
    if (prong_value_count(item) != 3 || !prong_value_at(item, 0, &number) ||
        !prong_value_at(item, 1, &kind) || !prong_value_at(item, 2, &payload) ||
        !prong_value_uint(&number, &o.number) || !prong_value_uint(&kind, &what) ||
        (what != WIRE_REPORT_RESULT &&
         (what != WIRE_REPORT_ERROR ||
          !record_failure((struct span){payload.data, payload.len}, &f)))) {
        return false;
    }
    if (what == WIRE_REPORT_RESULT) {
        o.value = payload;
    } else {
        o.code = (prong_err)f.code;
        o.began = (prong_began)f.began;
        o.message = (const char *)f.message.data;
        o.message_len = f.message.len;
        o.details = (prong_value){f.details.data, f.details.len};
    }
    *out = o;
    return true;
}
