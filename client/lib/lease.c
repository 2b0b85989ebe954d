/* Leases: calls of the hub itself. Any thread. */
#include "client/lib/client.h"

#include <stdio.h>
#include <string.h>

#include "proto/write.h"

/* `ttl_ms` 0: none is named. The reply is freed by the caller, whatever is returned. */
static prong_err
ask_hub(prong_client *c, const char *method, const char *name, int32_t ttl_ms, int32_t timeout_ms,
        prong_reply **r)
{
    struct buf b = {0};
    write_map(&b, ttl_ms > 0 ? 2 : 1);
    write_text(&b, strcmp(method, "lease") == 0 ? "worker" : "replica");
    write_text(&b, name != NULL ? name : "");
    if (ttl_ms > 0) {
        write_text(&b, "ttl_ms");
        write_uint(&b, (uint64_t)ttl_ms);
    }
    const prong_value args = {buf_span(&b).data, buf_span(&b).len};
    const prong_err err =
        b.failed ? PRONG_RESOURCE_EXHAUSTED : prong_call(c, "hub", method, &args, timeout_ms, r);
    buf_deinit(&b);
    if (err != PRONG_OK && client_enter(c, false) == PRONG_OK) {
        client_failed(c, "%s", prong_reply_message(*r));
        client_leave(c);
    }
    return err;
}

static prong_err
refuse(prong_client *c, prong_err code, const char *problem)
{
    const prong_err err = client_enter(c, false);
    if (err != PRONG_OK) {
        return err;
    }
    client_failed(c, "%s", problem);
    client_leave(c);
    return code;
}

prong_err
prong_lease(prong_client *c, const char *worker, int32_t ttl_ms, int32_t timeout_ms, char *replica,
            size_t size)
{
    prong_reply *r = NULL;
    prong_value v;
    const char *text;
    size_t len;
    if (ttl_ms < 1 || ttl_ms > WIRE_LEASE_MS_MAX || size < PRONG_REPLICA_BYTES) {
        return refuse(c, PRONG_INVALID_ARGUMENT,
                      "a lease is for 1 ms to an hour, and its name needs PRONG_REPLICA_BYTES");
    }
    prong_err err = ask_hub(c, "lease", worker, ttl_ms, timeout_ms, &r);
    if (err == PRONG_OK) {
        const bool named = prong_value_find(prong_reply_value(r), "replica", &v) &&
                           prong_value_text(&v, &text, &len) && len < size;
        if (named) {
            (void)snprintf(replica, size, "%.*s", (int)len, text);
        } else {
            err = refuse(c, PRONG_INTERNAL, "the hub does not say which replica");
        }
    }
    prong_reply_free(r);
    return err;
}

prong_err
prong_lease_renew(prong_client *c, const char *replica, int32_t ttl_ms)
{
    prong_reply *r = NULL;
    if (ttl_ms < 1 || ttl_ms > WIRE_LEASE_MS_MAX) {
        return refuse(c, PRONG_INVALID_ARGUMENT, "a lease is for 1 ms to an hour");
    }
    const prong_err err = ask_hub(c, "renew", replica, ttl_ms, 0, &r);
    prong_reply_free(r);
    return err;
}

prong_err
prong_lease_release(prong_client *c, const char *replica)
{
    prong_reply *r = NULL;
    const prong_err err = ask_hub(c, "release", replica, 0, 0, &r);
    prong_reply_free(r);
    return err;
}
