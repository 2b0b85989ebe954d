/* Waiting until workers are as they should be: the second half of status.h. */
#include "client/cli/status.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/hub.h"
#include "client/cli/logs.h"
#include "client/cli/output.h"

enum { LAST_LINES = 20 };

static bool
is_state(const struct status_replica *r, const char *state)
{
    return strcmp(r->state, state) == 0;
}

/* A hub that has just begun has not started those that start by themselves yet. */
static bool
is_new(const struct status_worker *w, const struct status_replica *r)
{
    return r->incarnation == 0 && w->autostart;
}

bool
status_is_lost(const struct status_worker *w, const struct status_replica *r, bool one_life)
{
    return is_state(r, "failed") || is_state(r, "stuck") ||
           (is_state(r, "stopped") && !is_new(w, r) && !r->waits) ||
           (one_life && (is_state(r, "backoff") || r->restarts > 0));
}

static const struct status_replica *
find_replica(const struct status *status, const char *name)
{
    for (size_t i = 0; status != NULL && i < status->replica_count; i++) {
        if (strcmp(status->replicas[i].name, name) == 0) {
            return &status->replicas[i];
        }
    }
    return NULL;
}

static bool
has_ended(const struct status_wish *wish, const struct status_replica *r)
{
    /* Where all of a hub are waited for, one that did its work and ended with 0 is no fault. */
    const bool is_done = wish->choice.autostart && r->is_completed;
    return is_done || (wish->may_end && is_state(r, "stopped") && r->incarnation > 0);
}

static enum status_verdict
judge_ready(const struct status_wish *wish, const struct status_worker *w,
            const struct status_replica *r)
{
    const struct status_replica *was =
        wish->goal == STATUS_FRESH ? find_replica(wish->before, r->name) : NULL;
    if (status_serves(r)) {
        return was != NULL && was->pid > 0 && was->pid == r->pid ? STATUS_GOES_ON : STATUS_DONE;
    }
    if (has_ended(wish, r)) {
        return STATUS_DONE;
    }
    return status_is_lost(w, r, wish->one_life) ? STATUS_LOST : STATUS_GOES_ON;
}

bool
status_has_ended(const struct status_replica *before, const struct status_replica *now)
{
    if (before->pid > 0) {
        return now->pid != before->pid;
    }
    /* One that is being started has no number yet, but is a process to wait for. */
    return !is_state(before, "starting") || now->incarnation != before->incarnation ||
           (now->pid == 0 && !is_state(now, "starting"));
}

/* One replica alone. */
static enum status_verdict
judge_one(const struct status_wish *wish, const struct status_worker *w,
          const struct status_replica *r)
{
    const struct status_replica *was;
    switch (wish->goal) {
    case STATUS_READY:
    case STATUS_FRESH:
        return judge_ready(wish, w, r);
    case STATUS_STOPPED:
        return is_state(r, "stopped") || is_state(r, "failed") ? STATUS_DONE
               : is_state(r, "stuck")                          ? STATUS_LOST
                                                               : STATUS_GOES_ON;
    case STATUS_EXITED:
        was = find_replica(wish->before, r->name);
        return status_has_ended(was != NULL ? was : r, r) ? STATUS_DONE : STATUS_GOES_ON;
    case STATUS_FAILED:
        return is_state(r, "failed")                     ? STATUS_DONE
               : is_state(r, "stopped") && !is_new(w, r) ? STATUS_LOST
                                                         : STATUS_GOES_ON;
    }
    return STATUS_LOST;
}

enum status_verdict
status_judge(const struct status_wish *wish, const struct status *now)
{
    size_t counts[] = {[STATUS_GOES_ON] = 0, [STATUS_DONE] = 0, [STATUS_LOST] = 0};
    size_t chosen = 0;
    for (size_t i = 0; i < now->worker_count; i++) {
        const struct status_worker *w = &now->workers[i];
        chosen += status_is_chosen(&wish->choice, w, NULL);
        for (size_t k = 0; k < w->replica_count; k++) {
            if (!status_is_chosen(&wish->choice, w, &w->replicas[k])) {
                continue;
            }
            if (wish->replicas >= 0 && w->replicas[k].index >= (uint64_t)wish->replicas) {
                counts[is_state(&w->replicas[k], "stuck") ? STATUS_LOST : STATUS_GOES_ON]++;
            } else {
                counts[judge_one(wish, w, &w->replicas[k])]++;
            }
        }
    }
    if (wish->choice.count > 0 && chosen == 0) {
        return STATUS_LOST; /* somebody took it out of the hub */
    }
    const bool needs_one = wish->goal == STATUS_EXITED || wish->goal == STATUS_FAILED;
    if (needs_one && counts[STATUS_DONE] > 0) {
        return STATUS_DONE;
    }
    if (wish->goal == STATUS_FAILED && counts[STATUS_GOES_ON] == 0) {
        return STATUS_LOST; /* it has no replicas, or none that runs */
    }
    /* Everybody is heard out, so that all that are lost can be told; but not with one life, where
     * the first death decides. */
    if (counts[STATUS_GOES_ON] > 0 && !(wish->one_life && counts[STATUS_LOST] > 0)) {
        return STATUS_GOES_ON;
    }
    return counts[STATUS_LOST] > 0 ? STATUS_LOST : STATUS_DONE;
}

/* ---- watching ------------------------------------------------------------------------------- */

int
status_watch_begin(struct cli *cli, struct status_watch *watch)
{
    static const char *const filters[] = {"hub.worker.>"};
    const prong_subscribe_options o = {.size_bytes = sizeof o};
    *watch = (struct status_watch){0};
    const prong_err err = prong_subscribe(cli->client, filters, 1, &o, &watch->events);
    if (err != PRONG_OK) {
        char why[300];
        prong_client_error_text(cli->client, why, sizeof why);
        return output_error(cli, err, "subscribing", why);
    }
    const int code = status_get(cli, &watch->status);
    if (code != CLI_OK) {
        status_watch_end(watch);
    }
    return code;
}

void
status_watch_end(struct status_watch *watch)
{
    prong_subscription_free(watch->events);
    watch->events = NULL;
    status_deinit(&watch->status);
}

/* Take all that came; what it was is asked for anyway. */
static bool
has_news(struct status_watch *watch)
{
    const prong_event *event;
    bool came = false;
    while (prong_subscription_next(watch->events, 0, &event) == PRONG_OK) {
        came = true;
        if (watch->take != NULL) {
            watch->take(watch->context, event);
        }
    }
    return came;
}

int
status_watch_change(struct cli *cli, struct status_watch *watch, bool *is_late)
{
    int code = CLI_OK;
    *is_late = false;
    while (code == CLI_OK && !has_news(watch)) {
        const enum hub_woke woke = hub_wait(cli, cli->deadline_ms, -1);
        if (woke == HUB_LATE) {
            *is_late = true;
            return CLI_OK;
        }
        code = hub_woke_code(cli, woke, "the workers");
    }
    return code == CLI_OK ? status_get(cli, &watch->status) : code;
}

int
status_watch_until(struct cli *cli, struct status_watch *watch, const struct status_wish *wish,
                   enum status_verdict *verdict)
{
    int code = CLI_OK;
    bool is_late = false;
    *verdict = status_judge(wish, &watch->status);
    while (code == CLI_OK && !is_late && *verdict == STATUS_GOES_ON) {
        code = status_watch_change(cli, watch, &is_late);
        *verdict = code == CLI_OK ? status_judge(wish, &watch->status) : *verdict;
    }
    return code;
}

/* Of one that does not serve. What could not be forked has not died: the hub's words say that, and
 * only they do. */
static int
code_of_missing(const struct status_wish *wish, const struct status_worker *w,
                const struct status_replica *r)
{
    static const char unborn[] = "could not start";
    if (strncmp(r->reason, unborn, sizeof unborn - 1) == 0) {
        return status_is_lost(w, r, wish->one_life) ? CLI_FAILED : CLI_TIMEOUT;
    }
    return status_is_lost(w, r, true) || r->reason[0] != '\0' ? CLI_DIED : CLI_TIMEOUT;
}

int
status_tell_missing(struct cli *cli, const struct status *status, const struct status_wish *wish)
{
    int code = CLI_TIMEOUT;
    for (size_t i = 0; i < status->worker_count; i++) {
        const struct status_worker *w = &status->workers[i];
        for (size_t k = 0; k < w->replica_count; k++) {
            const struct status_replica *r = &w->replicas[k];
            if (!status_is_chosen(&wish->choice, w, r) || status_serves(r) || has_ended(wish, r)) {
                continue;
            }
            output_say(cli, "%s is not ready: it is %s%s%s", r->name, r->state,
                       r->reason[0] != '\0' ? ": " : "", r->reason);
            logs_tell_last(cli, r->name, LAST_LINES);
            const int its = code_of_missing(wish, w, r);
            code = its == CLI_DIED || code == CLI_TIMEOUT ? its : code;
        }
    }
    return code;
}
