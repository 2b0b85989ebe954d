/* `prong wait`: until a worker is as it should be, or until events came. */
#include <string.h>

#include "client/cli/call.h"
#include "client/cli/events.h"
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/status.h"
#include "client/cli/unit.h"

static int
wait_events(struct cli *cli)
{
    const struct events_wish wish = {
        .filters = &cli->options.event,
        .filter_count = 1,
        .from = cli->options.from != NULL ? cli->options.from : "new",
        .until_ms = CLI_NEVER_MS,
        .count = cli->options.count > 0 ? cli->options.count : 1,
    };
    if (cli->argc > 0 || cli->options.goal != NULL) {
        return output_usage(cli, "--event stands alone, without WORKER and --for");
    }
    return events_print(cli, &wish);
}

/* It was not to be: say what it is instead. */
static int
tell(struct cli *cli, const struct status *status, enum status_verdict verdict)
{
    char span[UNIT_SPAN_BYTES];
    for (size_t i = 0; i < status->replica_count; i++) {
        const struct status_replica *r = &status->replicas[i];
        if (status_is_meant(cli->argv[0], r)) {
            output_say(cli, "%s is %s%s%s", r->name, r->state, r->reason[0] != '\0' ? ": " : "",
                       r->reason);
        }
    }
    if (verdict == STATUS_LOST) {
        output_say(cli, "that will not change by itself");
        return CLI_NOT_RUNNING;
    }
    unit_span(cli->options.timeout_ms, span);
    output_say(cli, "waited for %s (--timeout)", span);
    return CLI_TIMEOUT;
}

static int
wait_worker(struct cli *cli)
{
    static const struct {
        const char *word;
        enum status_goal goal;
    } goals[] = {{"ready", STATUS_READY}, {"exited", STATUS_EXITED}, {"stopped", STATUS_STOPPED}};
    struct status_watch watch = {0};
    struct status before = {0};
    struct status_wish wish = {.choice = {cli->argv, 1, false}, .before = &before, .replicas = -1};
    enum status_verdict verdict = STATUS_LOST;
    for (size_t i = 0; i < sizeof goals / sizeof goals[0]; i++) {
        if (cli->options.goal != NULL && strcmp(cli->options.goal, goals[i].word) == 0) {
            wish.goal = goals[i].goal;
        }
    }
    int code = hub_connect(cli);
    code = code != CLI_OK ? code : status_watch_begin(cli, &watch);
    code = code != CLI_OK ? code : status_get(cli, &before);
    if (code == CLI_OK && status_find(&before, cli->argv[0]) == NULL) {
        code = status_no_such(cli, &before, cli->argv[0]);
    }
    code = code != CLI_OK ? code : status_watch_until(cli, &watch, &wish, &verdict);
    if (code == CLI_OK && verdict != STATUS_DONE) {
        code = tell(cli, &watch.status, verdict);
    }
    status_deinit(&before);
    status_watch_end(&watch);
    return code;
}

int
verb_wait(struct cli *cli)
{
    const struct options *o = &cli->options;
    if (o->call != NULL) {
        return cli->argc > 0 || o->event != NULL || o->goal != NULL || o->from != NULL ||
                       o->count > 0
                   ? output_usage(cli, "--call stands alone, without WORKER, --event and --for")
                   : call_wait(cli);
    }
    if (o->each || o->progress) {
        return output_usage(cli, "--each and --progress go with --call");
    }
    if (cli->options.event != NULL) {
        return wait_events(cli);
    }
    if (cli->argc != 1) {
        return output_usage(cli, "name a WORKER, or say --event FILTER or --call HANDLE");
    }
    if (cli->options.from != NULL || cli->options.count > 0) {
        return output_usage(cli, "--from and --count go with --event");
    }
    return wait_worker(cli);
}
