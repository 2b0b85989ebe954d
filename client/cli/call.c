/* `prong call`: one method of one worker, or of each of its replicas. */
#include "client/cli/call.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/args.h"
#include "client/cli/hub.h"
#include "client/cli/items.h"
#include "client/cli/lease.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"

/* "detector/1.detect" at its last dot. */
static int
split_target(struct cli *cli, struct call_target *target)
{
    const char *text = cli->argv[0], *dot = strrchr(text, '.');
    if (dot == NULL || dot == text || dot[1] == '\0') {
        return output_usage(cli, "'%.100s' is no WORKER.METHOD, such as detector.detect", text);
    }
    if ((size_t)(dot - text) >= sizeof target->worker) {
        return output_usage(cli, "the name of the worker is longer than %d bytes",
                            (int)PRONG_NAME_BYTES_MAX);
    }
    (void)snprintf(target->worker, sizeof target->worker, "%.*s", (int)(dot - text), text);
    target->text = text;
    target->method = dot + 1;
    return CLI_OK;
}

static bool
is_each_replica(const struct call_target *target)
{
    const size_t len = strlen(target->worker);
    return len > 2 && strcmp(target->worker + len - 2, "/*") == 0;
}

/* ---- options -------------------------------------------------------------------------------- */

prong_call_options
call_options(const struct cli *cli)
{
    const struct options *o = &cli->options;
    return (prong_call_options){.size_bytes = sizeof(prong_call_options),
                                .policy = o->policy,
                                .key = o->key,
                                .key_len = o->key != NULL ? strlen(o->key) : 0,
                                .priority = (int32_t)o->priority};
}

/* Ways to call that exclude each other. */
enum way { EACH, MAP, BACKGROUND, LEASE, PROGRESS, REPLICAS, KEY, WAY_COUNT };

static int
check_options(struct cli *cli, const struct call_target *target)
{
    static const char *const names[WAY_COUNT] = {
        [EACH] = "--each",   [MAP] = "--map",           [BACKGROUND] = "--background",
        [LEASE] = "--lease", [PROGRESS] = "--progress", [REPLICAS] = "WORKER/*",
        [KEY] = "--key"};
    static const enum way excluded[][2] = {{MAP, EACH},
                                           {MAP, BACKGROUND},
                                           {MAP, REPLICAS},
                                           {BACKGROUND, EACH},
                                           {BACKGROUND, LEASE},
                                           {BACKGROUND, PROGRESS},
                                           {BACKGROUND, REPLICAS},
                                           {REPLICAS, EACH},
                                           {REPLICAS, LEASE},
                                           {REPLICAS, KEY},
                                           {LEASE, KEY}};
    const struct options *o = &cli->options;
    const bool given[WAY_COUNT] = {
        [EACH] = o->each,      [MAP] = o->map != NULL,   [BACKGROUND] = o->background,
        [LEASE] = o->lease,    [PROGRESS] = o->progress, [REPLICAS] = is_each_replica(target),
        [KEY] = o->key != NULL};
    for (size_t i = 0; i < sizeof excluded / sizeof excluded[0]; i++) {
        if (given[excluded[i][0]] && given[excluded[i][1]]) {
            return output_usage(cli, "%s and %s exclude each other", names[excluded[i][0]],
                                names[excluded[i][1]]);
        }
    }
    if (o->ordered && o->map == NULL) {
        return output_usage(cli, "--ordered goes with --map");
    }
    if (o->map != NULL && cli->argc > 1) {
        return output_usage(cli,
                            "with --map the arguments are those of the file: '%.80s' is too "
                            "much",
                            cli->argv[1]);
    }
    if (o->key != NULL && strlen(o->key) > 128) {
        return output_usage(cli, "--key: at most 128 bytes");
    }
    if (o->timeout_ms > PRONG_TTL_MS_MAX && o->map == NULL) {
        return output_usage(cli, "--timeout: a call takes from 1ms to 1h"); /* before the verb */
    }
    return CLI_OK;
}

/* ---- the call ------------------------------------------------------------------------------- */

static void
hint(struct cli *cli, const struct call_target *target, prong_reply *reply)
{
    size_t key_len;
    const char *word = prong_reply_code(reply) != PRONG_INVALID_ARGUMENT
                           ? NULL
                           : args_find_mistyped(cli->argv + 1, cli->argc - 1,
                                                prong_reply_message(reply), &key_len);
    if (word != NULL) {
        output_say(cli, "did you mean %.*s:=%s", (int)key_len, word, word + key_len + 1);
    }
    if (prong_reply_began(reply) == PRONG_BEGAN_NO) {
        call_hint_names(cli, target, prong_reply_code(reply));
    }
}

static void
hint_replicas(struct cli *cli, const struct call_target *target, const struct tally *tally)
{
    if (tally->failed > 0 && tally->done == 0 && tally->first_code == PRONG_UNIMPLEMENTED) {
        call_hint_names(cli, target, PRONG_UNIMPLEMENTED);
    }
}

static int
make_call(struct cli *cli, const struct call_target *target, const prong_value *args)
{
    struct lease lease = {.replica = ""};
    struct items items;
    prong_reply *reply = NULL;
    int code = cli->options.lease ? lease_take(cli, target->worker, &lease) : CLI_OK;
    items_init(&items, cli, is_each_replica(target) ? target->worker : NULL);
    if (code == CLI_OK) {
        struct hub_call call = {.worker = cli->options.lease ? lease.replica : target->worker,
                                .method = target->method,
                                .args = args,
                                .options = call_options(cli),
                                .look = items_look,
                                .context = &items,
                                .ends_unread = cli->options.each};
        call.options.timeout_ms = (int32_t)cli->options.timeout_ms;
        if (cli->options.lease) { /* one deadline for both */
            const int32_t left_ms = unit_left_ms(cli->deadline_ms, PRONG_TTL_MS_MAX);
            call.options.timeout_ms = left_ms > 0 ? left_ms : 1;
        }
        call.options.flags =
            PRONG_CALL_STREAM | (items.progress.is_wanted ? (uint32_t)PRONG_CALL_PROGRESS : 0);
        code = hub_call(cli, &call, &reply);
        code = code == CLI_OK ? items_end(cli, &items, target->text, reply) : code;
        hint_replicas(cli, target, &items.tally);
    }
    progress_clear(&items.progress);
    if (reply != NULL && prong_reply_code(reply) != PRONG_OK) {
        hint(cli, target, reply);
    }
    prong_reply_free(reply);
    items_deinit(&items);
    return lease_give_back(cli, &lease, code);
}

int
verb_call(struct cli *cli)
{
    struct call_target target = {.method = NULL};
    prong_value args;
    prong_writer *w = prong_writer_new();
    int code = w != NULL ? split_target(cli, &target) : output_no_memory(cli);
    code = code != CLI_OK ? code : check_options(cli, &target);
    if (code == CLI_OK && cli->options.map != NULL) {
        prong_writer_free(w);
        return call_map(cli, &target);
    }
    code = code != CLI_OK ? code : args_write(cli, cli->argv + 1, cli->argc - 1, w);
    if (code == CLI_OK && prong_writer_finish(w, &args) != PRONG_OK) {
        code = output_usage(cli, "%s", prong_writer_problem(w));
    }
    if (code == CLI_OK && prong_value_kind(&args) != PRONG_KIND_MAP &&
        prong_value_kind(&args) != PRONG_KIND_ARRAY) {
        code = output_usage(cli, "arguments are a JSON object, or an array of positional ones");
    }
    code = code != CLI_OK ? code : hub_connect(cli);
    if (code == CLI_OK) {
        code = cli->options.background ? call_background(cli, &target, &args)
                                       : make_call(cli, &target, &args);
    }
    prong_writer_free(w);
    return code;
}
