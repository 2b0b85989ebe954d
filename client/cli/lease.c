/* A leased replica: see lease.h. It is asked for as any call, not with prong_lease, so that SIGINT
 * is heeded meanwhile. */
#include "client/cli/lease.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"

/* A hub that is busy for a while does not end it, and one whose holder hangs is free soon. */
enum { TTL_MS = 30000, RENEW_MS = 8000, ASK_MS = 5000, RELEASE_MS = 2000 };

/* `key` is what the method calls the name. NULL when memory is out. */
static prong_writer *
write_args(const char *key, const char *name, bool with_ttl, prong_value *args)
{
    prong_writer *w = prong_writer_new();
    if (w == NULL) {
        return NULL;
    }
    prong_writer_map(w, with_ttl ? 2 : 1);
    prong_writer_key(w, key);
    prong_writer_string(w, name);
    if (with_ttl) {
        prong_writer_key(w, "ttl_ms");
        prong_writer_int(w, TTL_MS);
    }
    if (prong_writer_finish(w, args) != PRONG_OK) {
        prong_writer_free(w);
        return NULL;
    }
    return w;
}

static int
read_replica(struct cli *cli, struct lease *lease, prong_reply *reply)
{
    prong_value value;
    const char *text;
    size_t len;
    if (prong_reply_code(reply) != PRONG_OK) {
        return output_failure(cli, "the lease", reply);
    }
    if (!prong_value_find(prong_reply_value(reply), "replica", &value) ||
        !prong_value_text(&value, &text, &len) || len >= sizeof lease->replica) {
        return output_error(cli, PRONG_INTERNAL, "the lease", "the hub's answer has no replica");
    }
    (void)snprintf(lease->replica, sizeof lease->replica, "%.*s", (int)len, text);
    lease->renew_ms = unit_now_ms() + RENEW_MS;
    cli->lease = lease;
    return CLI_OK;
}

int
lease_take(struct cli *cli, const char *worker, struct lease *lease)
{
    const int32_t left_ms = unit_left_ms(cli->deadline_ms, PRONG_TTL_MS_MAX);
    prong_value args;
    prong_writer *w = write_args("worker", worker, true, &args);
    const struct hub_call call = {.worker = "hub",
                                  .method = "lease",
                                  .args = &args,
                                  .options = {.timeout_ms = left_ms > 0 ? left_ms : 1}};
    prong_reply *reply = NULL;
    int code = w != NULL ? hub_call(cli, &call, &reply) : output_no_memory(cli);
    code = code == CLI_OK ? read_replica(cli, lease, reply) : code;
    prong_reply_free(reply);
    prong_writer_free(w);
    return code;
}

/* What became of a renewal; a hub that did not answer in time is asked again. */
static void
look_at_renewal(struct cli *cli, struct lease *lease)
{
    const prong_err err = prong_reply_code(lease->renewal);
    if (err == PRONG_NOT_FOUND || err == PRONG_FAILED_PRECONDITION) {
        lease->is_lost = true;
        output_say(cli, "the lease of %s was lost: %s", lease->replica,
                   prong_reply_message(lease->renewal));
    }
    lease->is_unsure &= err != PRONG_OK;
    prong_reply_free(lease->renewal);
    lease->renewal = NULL;
}

void
lease_doubt(struct cli *cli)
{
    if (cli->lease != NULL) {
        cli->lease->is_unsure = true;
        cli->lease->renew_ms = 0;
    }
}

static void
renew(struct cli *cli, struct lease *lease)
{
    prong_value args;
    const prong_call_options o = {.size_bytes = sizeof o, .timeout_ms = ASK_MS};
    prong_writer *w = write_args("replica", lease->replica, true, &args);
    lease->renew_ms = unit_now_ms() + RENEW_MS;
    if (w != NULL) {
        /* One that cannot be asked now is asked the next time. */
        (void)prong_call_async(cli->client, "hub", "renew", &args, &o, &lease->renewal);
    }
    prong_writer_free(w);
}

int64_t
lease_serve(struct cli *cli)
{
    struct lease *lease = cli->lease;
    if (lease == NULL || lease->is_lost) {
        return CLI_NEVER_MS;
    }
    if (lease->renewal != NULL && prong_reply_is_done(lease->renewal)) {
        look_at_renewal(cli, lease);
    }
    if (lease->renewal == NULL && !lease->is_lost && unit_now_ms() >= lease->renew_ms) {
        renew(cli, lease);
    }
    return lease->is_lost ? CLI_NEVER_MS : lease->renew_ms;
}

int
lease_give_back(struct cli *cli, struct lease *lease, int code)
{
    prong_value args;
    prong_reply *reply = NULL;
    const prong_call_options o = {.size_bytes = sizeof o, .timeout_ms = RELEASE_MS};
    prong_writer *w = NULL;
    cli->lease = NULL;
    prong_reply_free(lease->renewal);
    lease->renewal = NULL;
    if (lease->replica[0] != '\0' && !lease->is_lost) {
        w = write_args("replica", lease->replica, false, &args);
    }
    if (w != NULL &&
        prong_call_async(cli->client, "hub", "release", &args, &o, &reply) == PRONG_OK) {
        /* The hub takes it back by itself when that fails: it ends soon, or because we left. */
        (void)prong_reply_wait(reply, code < 128 ? RELEASE_MS : 0);
        (void)prong_flush(cli->client);
    }
    prong_reply_free(reply);
    prong_writer_free(w);
    return code == CLI_OK && lease->is_lost ? CLI_FAILED : code;
}
