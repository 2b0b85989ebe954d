/* Calls in the background: their handles as text, and waiting for them. Any thread. */
#include "client/lib/reply.h"

#include <stdio.h>
#include <string.h>

#include "proto/wire.h"

enum { ID_DIGITS = 2 * WIRE_CLIENT_BYTES };

static void
show_handle(const struct session_handle *h, char *text, size_t size)
{
    for (size_t i = 0; i < WIRE_CLIENT_BYTES; i++) {
        (void)snprintf(text + 2 * i, size - 2 * i, "%02x", h->client[i]);
    }
    (void)snprintf(text + ID_DIGITS, size - ID_DIGITS, "-%llu", (unsigned long long)h->seq);
}

static bool
read_handle(const char *text, struct session_handle *h)
{
    static const char digits[] = "0123456789abcdef";
    *h = (struct session_handle){.seq = 0};
    if (text == NULL || strspn(text, digits) != ID_DIGITS || text[ID_DIGITS] != '-') {
        return false;
    }
    for (size_t i = 0; i < ID_DIGITS; i++) {
        const unsigned digit = (unsigned)(strchr(digits, text[i]) - digits);
        h->client[i / 2] = (uint8_t)(h->client[i / 2] << 4 | digit);
    }
    const char *p = text + ID_DIGITS + 1;
    for (; *p >= '0' && *p <= '9' && h->seq <= WIRE_INT_MAX / 10; p++) {
        h->seq = 10 * h->seq + (uint64_t)(*p - '0');
    }
    return *p == '\0' && h->seq > 0 && h->seq <= WIRE_INT_MAX;
}

bool
prong_reply_handle(prong_reply *r, char *text, size_t size)
{
    if (!prong_reply_is_done(r) || !r->accepted || size < PRONG_HANDLE_BYTES) {
        return false;
    }
    show_handle(&r->handle, text, size);
    return true;
}

prong_err
prong_call_background(prong_client *c, const char *worker, const char *method,
                      const prong_value *args, const prong_call_options *options, char *handle,
                      size_t size)
{
    prong_call_options o;
    prong_reply *r = NULL;
    struct session_ask a = call_ask(worker, method, args);
    const char *problem = call_options_read(options, &o);
    problem = size < PRONG_HANDLE_BYTES ? "a handle needs PRONG_HANDLE_BYTES" : problem;
    o.notify = NULL;
    prong_err err = problem != NULL
                        ? call_begin(c, &a, &o, problem, &r)
                        : call_async(c, &a, &o, PRONG_CALL_BACKGROUND | CALL_UNLISTED, &r);
    if (err != PRONG_OK) {
        return err;
    }
    err = prong_reply_wait(r, PRONG_FOREVER);
    err = err == PRONG_OK ? prong_reply_code(r) : err;
    if (err == PRONG_OK) {
        show_handle(&r->handle, handle, size);
    } else if (client_enter(c, false) == PRONG_OK) {
        client_failed(c, "%s", prong_reply_message(r));
        client_leave(c);
    }
    prong_reply_free(r);
    return err;
}

prong_err
prong_resume(prong_client *c, const char *handle, const prong_call_options *options,
             prong_reply **out)
{
    prong_call_options o;
    struct session_handle call;
    struct session_ask a = {.kind = SESSION_CALL, .resume = &call};
    const char *problem = call_options_read(options, &o);
    if (!read_handle(handle, &call)) {
        problem = "a handle is 32 hexadecimal digits, a dash and a number";
    }
    o.timeout_ms = o.timeout_ms == 0 ? WIRE_TTL_MS_MAX : o.timeout_ms;
    return call_begin(c, &a, &o, problem, out);
}
