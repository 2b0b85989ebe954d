/* Asking: calls and emits, blocking and not. */
#include "client/lib/reply.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"

static bool
has_room(const void *context)
{
    const struct prong_client *c = context;
    return !session_is_full(c->session) || c->gone;
}

/* Locked. Ask, and with `to_wait` wait for a place among the outstanding first. On an error
 * *problem says why. */
static prong_err
ask(struct prong_client *c, struct session_ask *a, int32_t timeout_ms, bool to_wait,
    uint64_t *ticket, const char **problem)
{
    if (timeout_ms < 0 || timeout_ms > WIRE_TTL_MS_MAX) {
        *problem = "a timeout is from 1 ms to an hour";
        return PRONG_INVALID_ARGUMENT;
    }
    c->asked_ns = client_now();
    a->deadline_ns = c->asked_ns + (timeout_ms > 0 ? timeout_ms : WIRE_TTL_MS_DEFAULT) * NS_PER_MS;
    if (to_wait && session_is_full(c->session)) {
        const prong_err err = client_wait(c, has_room, c, c, a->deadline_ns);
        if (err != PRONG_OK) {
            *problem = "too many requests had no outcome until the deadline";
            return err;
        }
    }
    if (c->gone) {
        *problem = "there is no connection to the hub, and none is sought";
        return PRONG_UNAVAILABLE;
    }
    return session_ask(c->session, a, ticket, problem);
}

static struct span
text_span(const char *text)
{
    return text != NULL ? (struct span){(const uint8_t *)text, strlen(text)} : (struct span){0};
}

static struct session_ask
call_ask(const char *worker, const char *method, const prong_value *args)
{
    static const uint8_t no_args = 0x80; /* an empty map */
    return (struct session_ask){.kind = SESSION_CALL,
                                .worker = text_span(worker),
                                .name = text_span(method),
                                .payload = args != NULL ? (struct span){args->data, args->len}
                                                        : (struct span){&no_args, 1}};
}

/* ---- calls ---------------------------------------------------------------------------------- */

prong_err
prong_call(prong_client *c, const char *worker, const char *method, const prong_value *args,
           int32_t timeout_ms, prong_reply **out)
{
    prong_err err = client_enter(c, true);
    struct prong_reply *r = err == PRONG_OK ? reply_new(c, NULL) : NULL;
    const char *problem;
    if (err == PRONG_OK) {
        struct session_ask a = call_ask(worker, method, args);
        a.user = r;
        err = r == NULL ? PRONG_RESOURCE_EXHAUSTED
                        : ask(c, &a, timeout_ms, true, &r->ticket, &problem);
        if (err == PRONG_OK) {
            err = reply_finish(r);
        } else if (r != NULL) {
            reply_end(r, err, problem);
        }
        client_leave(c);
    }
    if (out != NULL) {
        *out = r;
    } else {
        prong_reply_free(r);
    }
    return err;
}

/* What the caller's options say, in our version of the struct. */
static bool
read_options(const prong_call_options *given, prong_call_options *o)
{
    *o = (prong_call_options){.size_bytes = sizeof *o};
    if (given != NULL && given->size_bytes >= offsetof(prong_call_options, flags)) {
        memcpy(o, given, given->size_bytes < sizeof *o ? given->size_bytes : sizeof *o);
        return true;
    }
    return given == NULL;
}

/* The options of CALL: the caller's map and our own key in one. */
static prong_err
merge_options(const prong_call_options *o, struct prong_writer **writer, struct span *out)
{
    prong_iter it;
    prong_value key, value, whole = {0};
    *out = (struct span){0};
    if ((o->flags & PRONG_CALL_PROGRESS) == 0 && o->options == NULL) {
        return PRONG_OK;
    }
    struct prong_writer *w = *writer = prong_writer_new();
    if (w == NULL) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    const bool progress = (o->flags & PRONG_CALL_PROGRESS) != 0;
    prong_writer_map(w, prong_value_count(o->options) + progress);
    if (progress) {
        prong_writer_key(w, "progress");
        prong_writer_bool(w, true);
    }
    if (o->options != NULL && (!prong_iter_begin(&it, o->options) || !it.is_map)) {
        return PRONG_INVALID_ARGUMENT;
    }
    while (o->options != NULL && prong_iter_next(&it, &key, &value)) {
        prong_writer_raw(w, &key);
        prong_writer_raw(w, &value);
    }
    const prong_err err = prong_writer_finish(w, &whole);
    *out = (struct span){whole.data, whole.len};
    return err;
}

prong_err
prong_call_async(prong_client *c, const char *worker, const char *method, const prong_value *args,
                 const prong_call_options *options, prong_reply **out)
{
    prong_call_options o;
    struct prong_writer *w = NULL;
    struct session_ask a = call_ask(worker, method, args);
    const char *problem = "the options are not good: size_bytes, or not a map";
    prong_err err =
        !read_options(options, &o) ? PRONG_INVALID_ARGUMENT : merge_options(&o, &w, &a.options);
    const prong_err entered = client_enter(c, false);
    struct prong_reply *r = NULL;
    if (entered != PRONG_OK) {
        prong_writer_free(w);
        return entered;
    }
    if (err == PRONG_OK) {
        a.user = r = reply_new(c, o.notify);
        err = r == NULL ? PRONG_RESOURCE_EXHAUSTED
                        : ask(c, &a, o.timeout_ms, false, &r->ticket, &problem);
    }
    if (err == PRONG_OK) {
        r->tag = o.tag;
        r->context = o.context;
        r->stream = (o.flags & PRONG_CALL_STREAM) != 0;
        r->async = o.notify == NULL;
        c->async_open += r->async;
        *out = r;
        client_poke(c);
    } else {
        client_failed(c, "%s", problem);
        free(r);
        c->refs -= r != NULL;
    }
    client_leave(c);
    prong_writer_free(w);
    return err;
}

static char *
error_json(prong_reply *r, prong_err code, const char *message)
{
    struct prong_writer *w = prong_writer_new();
    const prong_value *details = prong_reply_details(r);
    prong_value v;
    char *json = NULL;
    if (w == NULL) {
        return NULL;
    }
    prong_writer_map(w, 5);
    prong_writer_key(w, "code");
    prong_writer_int(w, code);
    prong_writer_key(w, "name");
    prong_writer_string(w, prong_err_name(code));
    prong_writer_key(w, "began");
    prong_writer_int(w, r != NULL ? prong_reply_began(r) : PRONG_BEGAN_NO);
    prong_writer_key(w, "message");
    prong_writer_string(w, message);
    prong_writer_key(w, "details");
    if (details != NULL) {
        prong_writer_raw(w, details);
    } else {
        prong_writer_nil(w);
    }
    if (prong_writer_finish(w, &v) == PRONG_OK) {
        (void)prong_value_to_json(&v, 0, &json); /* json stays NULL, which says it */
    }
    prong_writer_free(w);
    return json;
}

prong_err
prong_call_json(prong_client *c, const char *worker, const char *method, const char *args,
                int32_t timeout_ms, char **out)
{
    struct prong_writer *w = prong_writer_new();
    prong_reply *r = NULL;
    prong_value v;
    char problem[200] = "out of memory";
    const char *text = problem;
    prong_err err = PRONG_RESOURCE_EXHAUSTED;
    *out = NULL;
    if (w != NULL) {
        err = args == NULL ? PRONG_OK
                           : prong_value_from_json(args, strlen(args), w, problem, sizeof problem);
    }
    if (err == PRONG_OK) {
        err = args != NULL ? prong_writer_finish(w, &v) : PRONG_OK;
        err = err != PRONG_OK
                  ? err
                  : prong_call(c, worker, method, args != NULL ? &v : NULL, timeout_ms, &r);
        text = r != NULL ? prong_reply_message(r) : text;
    }
    if (err == PRONG_OK) {
        err = prong_value_to_json(prong_reply_value(r), 0, out);
        text = "the result cannot be shown as JSON";
    }
    if (err != PRONG_OK) {
        *out = error_json(r, err, text);
    }
    prong_reply_free(r);
    prong_writer_free(w);
    return err;
}

/* ---- events --------------------------------------------------------------------------------- */

static struct session_ask
emit_ask(const char *topic, const prong_value *payload, void *user)
{
    static const uint8_t nil = 0xc0;
    return (struct session_ask){.kind = SESSION_EMIT,
                                .user = user,
                                .name = text_span(topic),
                                .payload = payload != NULL
                                               ? (struct span){payload->data, payload->len}
                                               : (struct span){&nil, 1}};
}

prong_err
prong_emit(prong_client *c, const char *topic, const prong_value *payload, int32_t timeout_ms,
           uint64_t *number)
{
    prong_err err = client_enter(c, true);
    const char *problem = "out of memory";
    if (err != PRONG_OK) {
        return err;
    }
    struct prong_reply *r = reply_new(c, NULL);
    struct session_ask a = emit_ask(topic, payload, r);
    err = r == NULL ? PRONG_RESOURCE_EXHAUSTED : ask(c, &a, timeout_ms, true, &r->ticket, &problem);
    if (err == PRONG_OK) {
        err = reply_finish(r);
        problem = prong_reply_message(r);
        if (err == PRONG_OK && number != NULL) {
            *number = r->number;
        }
    } else if (r != NULL) {
        reply_end(r, err, problem);
    }
    if (err != PRONG_OK) {
        client_failed(c, "%s", problem);
    }
    client_leave(c);
    prong_reply_free(r);
    return err;
}

prong_err
prong_post(prong_client *c, const char *topic, const prong_value *payload)
{
    prong_err err = client_enter(c, false);
    const char *problem;
    uint64_t ticket;
    if (err != PRONG_OK) {
        return err;
    }
    if (session_outstanding(c->session) >= WIRE_WINDOW / 4) {
        client_look(c);
    }
    struct session_ask a = emit_ask(topic, payload, NULL);
    err = ask(c, &a, 0, false, &ticket, &problem);
    if (err != PRONG_OK) {
        client_failed(c, "%s", problem);
    }
    client_send(c);
    client_leave(c);
    return err;
}

uint64_t
prong_post_failures(prong_client *c)
{
    if (client_enter(c, false) != PRONG_OK) {
        return 0;
    }
    client_look(c);
    const uint64_t failures = c->post_failures;
    client_leave(c);
    return failures;
}
