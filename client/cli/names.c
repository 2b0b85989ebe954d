/* After a call of something that there is not: which names there are. */
#include <stdio.h>
#include <string.h>

#include "client/cli/call.h"
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/status.h"
#include "proto/closest.h"

enum { LIST_BYTES = 600, ASK_MS = 2000 };

/* "did you mean x?" when one is close, else all of them. */
struct offer {
    struct closest near;
    char best[PRONG_NAME_BYTES_MAX + 1], all[LIST_BYTES];
    size_t used;
};

static void
offer_name(struct offer *o, const char *name)
{
    closest_offer(&o->near, name);
    if (o->near.best == name) {
        (void)snprintf(o->best, sizeof o->best, "%s", name);
        o->near.best = o->best;
    }
    if (o->used + strlen(name) + 3 < sizeof o->all) {
        o->used += (size_t)snprintf(o->all + o->used, sizeof o->all - o->used, "%s%s",
                                    o->used > 0 ? ", " : "", name);
    } else if (o->used + 5 < sizeof o->all) {
        (void)snprintf(o->all + o->used, sizeof o->all - o->used, "...");
    }
}

/* A question on the side: what goes wrong with it is not worth a word. */
static prong_reply *
ask(struct cli *cli, const char *method, const prong_value *args)
{
    const prong_call_options o = {.size_bytes = sizeof o, .timeout_ms = ASK_MS};
    prong_reply *reply = NULL;
    if (prong_call_async(cli->client, "hub", method, args, &o, &reply) != PRONG_OK) {
        return NULL;
    }
    while (!prong_reply_is_done(reply)) {
        const enum hub_woke woke = hub_wait(cli, CLI_NEVER_MS, -1);
        if (woke != HUB_WOKE && woke != HUB_LATE) {
            break;
        }
    }
    return reply;
}

static void
offer_keys(struct offer *o, const prong_value *map)
{
    prong_iter it;
    prong_value key, ignored;
    if (map == NULL || !prong_iter_begin(&it, map)) {
        return;
    }
    while (prong_iter_next(&it, &key, &ignored)) {
        char *name = prong_value_string(&key);
        if (name != NULL) {
            offer_name(o, name);
        }
        prong_free(name);
    }
}

static void
hint_worker(struct cli *cli, const struct call_target *target, const char *worker)
{
    struct offer o = {.near = {.word = worker}};
    prong_reply *reply = ask(cli, "status", NULL);
    prong_value workers;
    bool is_there = false;
    if (prong_reply_value(reply) != NULL &&
        prong_value_find(prong_reply_value(reply), "workers", &workers)) {
        prong_value ignored;
        is_there = prong_value_find(&workers, worker, &ignored);
        offer_keys(&o, &workers);
    }
    if (!is_there && o.near.best != NULL) {
        output_say(cli, "did you mean %s%s.%s?", o.near.best,
                   target->worker + strcspn(target->worker, "/"), target->method);
    } else if (!is_there && o.used > 0) {
        output_say(cli, "there are the workers %s", o.all);
    }
    prong_reply_free(reply);
}

static void
hint_method(struct cli *cli, const struct call_target *target, const char *worker)
{
    struct offer o = {.near = {.word = target->method}};
    prong_writer *w = prong_writer_new();
    prong_value args;
    prong_reply *reply = NULL;
    if (w != NULL) {
        prong_writer_map(w, 1);
        prong_writer_key(w, "worker");
        prong_writer_string(w, worker);
        if (prong_writer_finish(w, &args) == PRONG_OK) {
            reply = ask(cli, "describe", &args);
        }
    }
    offer_keys(&o, prong_reply_value(reply));
    if (o.near.best != NULL) {
        output_say(cli, "did you mean %s.%s?", target->worker, o.near.best);
    } else if (o.used > 0) {
        output_say(cli, "%s has the methods %s", worker, o.all);
    }
    prong_reply_free(reply);
    prong_writer_free(w);
}

void
call_hint_names(struct cli *cli, const struct call_target *target, prong_err code)
{
    char worker[CALL_TARGET_BYTES];
    (void)snprintf(worker, sizeof worker, "%.*s", (int)strcspn(target->worker, "/"),
                   target->worker);
    if (cli->client == NULL || !prong_client_is_connected(cli->client)) {
        return;
    }
    if (code == PRONG_NOT_FOUND && strcmp(worker, "hub") != 0) {
        hint_worker(cli, target, worker);
    } else if (code == PRONG_UNIMPLEMENTED) {
        hint_method(cli, target, worker);
    }
}
