/* Asking: calls and emits, blocking and not. */
#include "client/lib/reply.h"

#include <stdlib.h>
#include <string.h>

#include "proto/write.h"

enum {
    FLAGS_ALL = PRONG_CALL_PROGRESS | PRONG_CALL_STREAM | PRONG_CALL_BACKGROUND | PRONG_CALL_MAP |
                PRONG_CALL_ORDERED,
};

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

struct session_ask
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

/* NULL when all is well. */
static const char *
check_options(const prong_call_options *o, struct span args)
{
    const char *const policies[] = {"once", "idempotent", "shared"};
    bool is_policy = o->policy == NULL;
    for (size_t i = 0; i < 3 && !is_policy; i++) {
        is_policy = strcmp(o->policy, policies[i]) == 0;
    }
    return !is_policy ? "a policy is once, idempotent or shared"
           : o->key_len > WIRE_KEY_BYTES_MAX || (o->key == NULL && o->key_len > 0)
               ? "a key has at most 128 bytes"
           : o->priority < 0 || o->priority > WIRE_PRIORITY_MAX ? "a priority is from 1 to 9"
           : o->parent > WIRE_INT_MAX                           ? "a parent is the number of a job"
           : (o->flags & ~(uint32_t)FLAGS_ALL) != 0 ? "there is no such flag: PRONG_CALL_* are all"
           : (o->flags & (PRONG_CALL_MAP | PRONG_CALL_ORDERED)) == PRONG_CALL_ORDERED
               ? "PRONG_CALL_ORDERED needs PRONG_CALL_MAP"
           : (o->flags & PRONG_CALL_MAP) != 0 &&
                   prong_value_kind(&(prong_value){args.data, args.len}) != PRONG_KIND_ARRAY
               ? "with PRONG_CALL_MAP the arguments are an array of argument sets"
               : NULL;
}

const char *
call_options_read(const prong_call_options *given, prong_call_options *o)
{
    *o = (prong_call_options){.size_bytes = sizeof *o};
    if (given != NULL && given->size_bytes < offsetof(prong_call_options, flags)) {
        return "size_bytes of the options is not set";
    }
    if (given != NULL) {
        memcpy(o, given, given->size_bytes < sizeof *o ? given->size_bytes : sizeof *o);
    }
    return NULL;
}

static void
put_uint(struct buf *b, const char *key, uint64_t number)
{
    if (number > 0) {
        write_text(b, key);
        write_uint(b, number);
    }
}

static void
put_flag(struct buf *b, const char *key, bool flag)
{
    if (flag) {
        write_text(b, key);
        write_bool(b, true);
    }
}

static void
put_text(struct buf *b, const char *key, const char *text)
{
    if (text != NULL) {
        write_text(b, key);
        write_text(b, text);
    }
}

/* The options of CALL: our own keys, which count where one stands twice, and the caller's map.
 * Nothing when there are none. */
static void
write_options(struct buf *b, const prong_call_options *o)
{
    const bool progress = (o->flags & PRONG_CALL_PROGRESS) != 0;
    const bool background = (o->flags & PRONG_CALL_BACKGROUND) != 0;
    const char *map = (o->flags & PRONG_CALL_ORDERED) != 0 ? "ordered"
                      : (o->flags & PRONG_CALL_MAP) != 0   ? "completed"
                                                           : NULL;
    prong_iter it = {.left = 0};
    if (o->options != NULL && (!prong_iter_begin(&it, o->options) || !it.is_map)) {
        write_raw(b, (struct span){o->options->data, o->options->len}); /* refused by the session */
        return;
    }
    const uint32_t pairs = (uint32_t)it.left + progress + background + (map != NULL) +
                           (o->policy != NULL) + (o->key_len > 0) + (o->priority > 0) +
                           (o->parent > 0);
    if (pairs == 0) {
        return;
    }
    write_map(b, pairs);
    put_flag(b, "progress", progress);
    put_flag(b, "background", background);
    put_text(b, "map", map);
    put_text(b, "policy", o->policy);
    put_uint(b, "priority", (uint64_t)o->priority);
    put_uint(b, "parent", o->parent);
    if (o->key_len > 0) {
        write_text(b, "key");
        write_bin(b, (struct span){o->key, o->key_len});
    }
    buf_put(b, it.rest.data, it.rest.len);
}

prong_err
call_begin(prong_client *c, struct session_ask *a, const prong_call_options *o, const char *problem,
           prong_reply **out)
{
    prong_err err = client_enter(c, false);
    struct prong_reply *r = NULL;
    if (err != PRONG_OK) {
        return err;
    }
    err = problem != NULL ? PRONG_INVALID_ARGUMENT : PRONG_OK;
    if (err == PRONG_OK) {
        problem = "out of memory";
        a->user = r = reply_new(c, o->notify);
        err = r == NULL ? PRONG_RESOURCE_EXHAUSTED
                        : ask(c, a, o->timeout_ms, false, &r->ticket, &problem);
    }
    if (err == PRONG_OK) {
        r->tag = o->tag;
        r->context = o->context;
        r->stream = (o->flags & PRONG_CALL_STREAM) != 0;
        r->resumed = a->resume != NULL;
        r->async = o->notify == NULL && (o->flags & CALL_UNLISTED) == 0;
        c->async_open += r->async;
        *out = r;
        client_poke(c);
    } else {
        client_failed(c, "%s", problem);
        free(r);
        c->refs -= r != NULL;
    }
    client_leave(c);
    return err;
}

prong_err
call_async(prong_client *c, struct session_ask *a, const prong_call_options *options,
           uint32_t flags, prong_reply **out)
{
    prong_call_options o;
    struct buf b = {0};
    const char *problem = call_options_read(options, &o);
    problem = problem != NULL ? problem : check_options(&o, a->payload);
    o.flags |= flags;
    if (problem == NULL) {
        write_options(&b, &o);
        a->options = buf_span(&b);
    }
    if ((o.flags & PRONG_CALL_BACKGROUND) != 0 && o.timeout_ms >= 0 &&
        o.timeout_ms <= WIRE_TTL_MS_MAX) {
        a->background = true;
        a->ttl_ms = (uint32_t)o.timeout_ms;
        o.timeout_ms = 0; /* that is for the call itself: acceptance comes at once */
    }
    prong_err err = b.failed ? client_enter(c, false) : call_begin(c, a, &o, problem, out);
    if (b.failed && err == PRONG_OK) {
        err = PRONG_RESOURCE_EXHAUSTED;
        client_failed(c, "out of memory");
        client_leave(c);
    }
    buf_deinit(&b);
    return err;
}

prong_err
prong_call_async(prong_client *c, const char *worker, const char *method, const prong_value *args,
                 const prong_call_options *options, prong_reply **out)
{
    struct session_ask a = call_ask(worker, method, args);
    return call_async(c, &a, options, 0, out);
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
    struct session_ask a = emit_ask(topic, payload, c);
    err = ask(c, &a, 0, false, &ticket, &problem);
    c->posts_open += err == PRONG_OK;
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

uint64_t
prong_post_pending(prong_client *c)
{
    if (client_enter(c, false) != PRONG_OK) {
        return 0;
    }
    client_look(c);
    const uint64_t pending = c->posts_open;
    client_leave(c);
    return pending;
}
