/* `prong start`, `stop`, `restart`, `scale`, `remove`: ask the hub, then wait until it is so. */
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/status.h"
#include "client/cli/unit.h"

/* Wait, say what is missing, and show the workers. `watch` began before the hub was asked. */
static int
finish(struct cli *cli, struct status_watch *watch, const struct status_wish *wish)
{
    enum status_verdict verdict = STATUS_DONE;
    int code = status_get(cli, &watch->status);
    if (code == CLI_OK && !cli->options.no_wait) {
        code = status_watch_until(cli, watch, wish, &verdict);
    }
    if (code != CLI_OK) {
        return code;
    }
    if (verdict != STATUS_DONE && wish->goal == STATUS_STOPPED) {
        char span[UNIT_SPAN_BYTES];
        unit_span(cli->options.timeout_ms, span);
        output_say(cli, "not everything has stopped within %s (see prong status)", span);
        code = CLI_TIMEOUT;
    } else if (verdict != STATUS_DONE) {
        code = status_tell_missing(cli, &watch->status, wish);
    }
    const int shown = status_print(cli, &watch->status, &wish->choice);
    return code != CLI_OK ? code : shown;
}

/* `watch` is the status before anything was asked. */
static int
check_targets(struct cli *cli, const struct status_watch *watch)
{
    for (int i = 0; i < cli->argc; i++) {
        if (status_find(&watch->status, cli->argv[i]) == NULL) {
            return status_no_such(cli, &watch->status, cli->argv[i]);
        }
    }
    return CLI_OK;
}

/* Ask `method` for every argument, and wait for the goal. Nothing is asked when one of them is
 * wrong. */
static int
change_all(struct cli *cli, const char *method, enum status_goal goal)
{
    struct status_watch watch = {0};
    struct status before = {0};
    int code = hub_connect(cli);
    code = code != CLI_OK ? code : status_watch_begin(cli, &watch);
    code = code != CLI_OK ? code : check_targets(cli, &watch);
    for (int i = 0; code == CLI_OK && i < cli->argc; i++) {
        code = hub_ask_worker(cli, method, cli->argv[i], NULL);
    }
    if (code == CLI_OK) {
        before = watch.status; /* moved: what runs now is to be another process */
        watch.status = (struct status){0};
        const struct status_wish wish = {.goal = goal,
                                         .choice = {cli->argv, (size_t)cli->argc, false},
                                         .before = &before,
                                         .replicas = -1};
        code = finish(cli, &watch, &wish);
    }
    status_deinit(&before);
    status_watch_end(&watch);
    return code;
}

int
verb_start(struct cli *cli)
{
    return change_all(cli, "start", STATUS_READY);
}

int
verb_stop(struct cli *cli)
{
    return change_all(cli, "stop", STATUS_STOPPED);
}

int
verb_restart(struct cli *cli)
{
    return change_all(cli, "restart", STATUS_FRESH);
}

int
verb_scale(struct cli *cli)
{
    struct status_watch watch = {0};
    int64_t replicas;
    if (!unit_count(cli->argv[1], &replicas)) {
        return output_usage(cli, "'%.40s' is no number of replicas", cli->argv[1]);
    }
    const struct status_wish wish = {
        .goal = STATUS_READY, .choice = {cli->argv, 1, false}, .replicas = replicas};
    int code = hub_connect(cli);
    code = code != CLI_OK ? code : status_watch_begin(cli, &watch);
    code = code != CLI_OK ? code
                          : hub_ask_number(cli, "scale", cli->argv[0], "replicas", replicas, NULL);
    code = code != CLI_OK ? code : finish(cli, &watch, &wish);
    status_watch_end(&watch);
    return code;
}

int
verb_remove(struct cli *cli)
{
    int code = hub_connect(cli);
    for (int i = 0; code == CLI_OK && i < cli->argc; i++) {
        code = hub_ask_worker(cli, "remove", cli->argv[i], NULL);
    }
    return code;
}
