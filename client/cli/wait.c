/* `prong wait`: until workers are as they should be, or until events came. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/call.h"
#include "client/cli/ended.h"
#include "client/cli/events.h"
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/status.h"
#include "client/cli/unit.h"

static int
wait_events(struct cli *cli, const char *const *filters, size_t count)
{
    const struct events_wish wish = {
        .filters = filters,
        .filter_count = count,
        .from = cli->options.from != NULL ? cli->options.from : "new",
        .until_ms = CLI_NEVER_MS,
        .count = cli->options.count > 0 ? cli->options.count : 1,
    };
    return events_print(cli, &wish);
}

/* ---- workers -------------------------------------------------------------------------------- */

struct waiting {
    struct status_watch watch;
    struct status before;
    enum status_goal goal;
    struct ended ended; /* EXITED: the processes that did */
};

static enum status_verdict
judge_target(const struct waiting *w, const char *const *target)
{
    const struct status_wish wish = {
        .goal = w->goal, .choice = {target, 1, false}, .before = &w->before, .replicas = -1};
    return status_judge(&wish, &w->watch.status);
}

/* All of them, or one of them with --any. */
static enum status_verdict
judge(const struct cli *cli, const struct waiting *w)
{
    int counts[] = {[STATUS_GOES_ON] = 0, [STATUS_DONE] = 0, [STATUS_LOST] = 0};
    for (int i = 0; i < cli->argc; i++) {
        counts[judge_target(w, &cli->argv[i])]++;
    }
    if (cli->options.any) {
        return counts[STATUS_DONE] > 0            ? STATUS_DONE
               : counts[STATUS_LOST] == cli->argc ? STATUS_LOST
                                                  : STATUS_GOES_ON;
    }
    return counts[STATUS_LOST] > 0            ? STATUS_LOST
           : counts[STATUS_DONE] == cli->argc ? STATUS_DONE
                                              : STATUS_GOES_ON;
}

/* It was not to be: say what it is instead. */
static int
tell(struct cli *cli, const struct status *status, enum status_verdict verdict)
{
    const struct status_choice choice = {cli->argv, (size_t)cli->argc, false};
    char span[UNIT_SPAN_BYTES];
    for (size_t i = 0; i < status->worker_count; i++) {
        const struct status_worker *w = &status->workers[i];
        for (size_t k = 0; k < w->replica_count; k++) {
            const struct status_replica *r = &w->replicas[k];
            if (status_is_chosen(&choice, w, r)) {
                output_say(cli, "%s is %s%s%s", r->name, r->state, r->reason[0] != '\0' ? ": " : "",
                           r->reason);
            }
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
check_targets(struct cli *cli, const struct status *status)
{
    for (int i = 0; i < cli->argc; i++) {
        if (status_find(status, cli->argv[i]) == NULL) {
            return status_no_such(cli, status, cli->argv[i]);
        }
    }
    return CLI_OK;
}

static int
wait_until(struct cli *cli, struct waiting *w)
{
    enum status_verdict verdict = judge(cli, w);
    bool is_late = false;
    int code = CLI_OK;
    while (code == CLI_OK && verdict == STATUS_GOES_ON && !is_late) {
        code = status_watch_change(cli, &w->watch, &is_late);
        verdict = code == CLI_OK ? judge(cli, w) : verdict;
    }
    return code == CLI_OK && verdict != STATUS_DONE ? tell(cli, &w->watch.status, verdict) : code;
}

static int
wait_workers(struct cli *cli, enum status_goal goal)
{
    struct waiting w = {.goal = goal};
    int code = hub_connect(cli);
    code = code != CLI_OK ? code : status_watch_begin(cli, &w.watch);
    if (code == CLI_OK) {
        w.before = w.watch.status; /* moved: what happens from now on is told by events */
        w.watch.status = (struct status){0};
        w.watch.take = ended_take;
        w.watch.context = &w.ended;
        code = check_targets(cli, &w.before);
    }
    code = code != CLI_OK ? code : ended_init(cli, &w.ended, &w.before);
    code = code != CLI_OK ? code : status_get(cli, &w.watch.status);
    code = code != CLI_OK ? code : wait_until(cli, &w);
    if (code == CLI_OK && goal == STATUS_EXITED) {
        code = ended_tell(cli, &w.ended, &w.watch.status);
    }
    ended_deinit(&w.ended);
    status_deinit(&w.before);
    status_watch_end(&w.watch);
    return code;
}

/* ---- the verb ------------------------------------------------------------------------------- */

static int
wait_worker(struct cli *cli)
{
    static const struct {
        const char *word;
        enum status_goal goal;
    } goals[] = {{"ready", STATUS_READY},
                 {"exited", STATUS_EXITED},
                 {"stopped", STATUS_STOPPED},
                 {"failed", STATUS_FAILED}};
    enum status_goal goal = STATUS_READY;
    for (size_t i = 0; i < sizeof goals / sizeof goals[0]; i++) {
        if (cli->options.goal != NULL && strcmp(cli->options.goal, goals[i].word) == 0) {
            goal = goals[i].goal;
        }
    }
    if (cli->argc == 0) {
        return output_usage(cli, "name a WORKER, or say --for event TOPIC or --call HANDLE");
    }
    if (cli->options.from != NULL || cli->options.count > 0) {
        return output_usage(cli, "--from and --count go with --for event");
    }
    if (cli->options.exit_status && goal != STATUS_EXITED) {
        return output_usage(cli, "--exit-status goes with --for exited");
    }
    return wait_workers(cli, goal);
}

int
verb_wait(struct cli *cli)
{
    const struct options *o = &cli->options;
    const bool is_event = o->goal != NULL && strcmp(o->goal, "event") == 0;
    const bool is_of_workers = o->any || o->exit_status;
    if (o->call != NULL) {
        return cli->argc > 0 || o->event != NULL || o->goal != NULL || o->from != NULL ||
                       o->count > 0 || is_of_workers
                   ? output_usage(cli, "--call stands alone, without WORKER, --event and --for")
                   : call_wait(cli);
    }
    if (o->each || o->progress) {
        return output_usage(cli, "--each and --progress go with --call");
    }
    if ((is_event || o->event != NULL) && is_of_workers) {
        return output_usage(cli, "--any and --exit-status go with a WORKER");
    }
    if (o->event != NULL) {
        return cli->argc > 0 || o->goal != NULL
                   ? output_usage(cli, "--event stands alone, without WORKER and --for")
                   : wait_events(cli, &o->event, 1);
    }
    if (is_event) {
        return cli->argc == 0 ? output_usage(cli, "--for event needs a TOPIC")
                              : wait_events(cli, cli->argv, (size_t)cli->argc);
    }
    return wait_worker(cli);
}
