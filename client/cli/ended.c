/* How processes ended: see ended.h. The event of an end says it best, because the status may tell
 * of a later process already; it is asked for those that had ended before, and after a lost event.
 */
#include "client/cli/ended.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/field.h"
#include "client/cli/output.h"
#include "client/cli/table.h"

int
ended_init(const struct cli *cli, struct ended *ended, const struct status *before)
{
    ended->ends = calloc(before->replica_count + 1, sizeof *ended->ends);
    if (ended->ends == NULL) {
        return output_no_memory(cli);
    }
    ended->count = before->replica_count;
    for (size_t i = 0; i < ended->count; i++) {
        ended->ends[i].before = &before->replicas[i];
        ended->ends[i].pid = before->replicas[i].pid;
    }
    return CLI_OK;
}

void
ended_deinit(struct ended *ended)
{
    free(ended->ends);
    *ended = (struct ended){0};
}

/* Whether the payload of the event is about this process. One that was being started had no number
 * yet: the first end after that is its. */
static bool
is_about(const prong_value *payload, const struct status_replica *r)
{
    prong_value value;
    const char *name;
    size_t len;
    uint64_t pid;
    return prong_value_find(payload, "replica", &value) && prong_value_text(&value, &name, &len) &&
           len == strlen(r->name) && memcmp(name, r->name, len) == 0 &&
           prong_value_find(payload, "pid", &value) && prong_value_uint(&value, &pid) &&
           (r->pid > 0 ? pid == r->pid : strcmp(r->state, "starting") == 0);
}

static void
read_end(const prong_value *payload, struct end *end)
{
    prong_value value;
    const char *text;
    size_t len;
    end->is_told = true;
    if (prong_value_find(payload, "pid", &value)) {
        (void)prong_value_uint(&value, &end->pid);
    }
    if (prong_value_find(payload, "reason", &value) && prong_value_text(&value, &text, &len)) {
        (void)snprintf(end->reason, sizeof end->reason, "%.*s", (int)len, text);
    }
    end->has_exit_code =
        prong_value_find(payload, "exit_code", &value) && prong_value_uint(&value, &end->exit_code);
}

void
ended_take(void *context, const prong_event *event)
{
    struct ended *ended = context;
    for (size_t i = 0; strcmp(event->topic, "hub.worker.exited") == 0 && i < ended->count; i++) {
        if (!ended->ends[i].is_told && is_about(&event->payload, ended->ends[i].before)) {
            read_end(&event->payload, &ended->ends[i]);
        }
    }
}

static bool
is_chosen(const struct cli *cli, const struct status_replica *r)
{
    for (int i = 0; i < cli->argc; i++) {
        if (status_is_meant(cli->argv[i], r)) {
            return true;
        }
    }
    return false;
}

/* Fill in from the status what no event told. False when the process runs still. */
static bool
complete(struct end *end, const struct status *now)
{
    const struct status_replica *is = NULL;
    for (size_t i = 0; i < now->replica_count; i++) {
        is = strcmp(now->replicas[i].name, end->before->name) == 0 ? &now->replicas[i] : is;
    }
    if (end->is_told || is == NULL) {
        return true; /* of a replica that is no longer there all is known that will ever be */
    }
    if (!status_has_ended(end->before, is)) {
        return false;
    }
    end->has_exit_code = is->has_exit_code;
    end->exit_code = is->exit_code;
    (void)snprintf(end->reason, sizeof end->reason, "%s",
                   is->reason[0] != '\0'  ? is->reason
                   : is->incarnation == 0 ? "it never ran"
                   : end->pid == 0        ? "it does not run"
                                          : "it ended");
    return true;
}

static int
print_object(const struct cli *cli, const struct end *end)
{
    prong_writer *w = prong_writer_new();
    prong_value object;
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 4);
    field_put_text(w, "replica", end->before->name);
    field_put_uint(w, "pid", end->pid);
    field_put_text(w, "reason", end->reason);
    prong_writer_key(w, "exit_code");
    if (end->has_exit_code) {
        prong_writer_uint(w, end->exit_code);
    } else {
        prong_writer_nil(w);
    }
    const int code = prong_writer_finish(w, &object) == PRONG_OK ? output_line(cli, &object)
                                                                 : output_no_memory(cli);
    prong_writer_free(w);
    return code;
}

static int
print_end(const struct cli *cli, const struct end *end)
{
    if (output_form(cli) != OUTPUT_TABLE) {
        return print_object(cli, end);
    }
    (void)printf("%s", end->before->name);
    if (end->pid > 0) {
        (void)printf(" (pid %" PRIu64 ")", end->pid);
    }
    (void)fputs(": ", stdout);
    table_put_safe(stdout, end->reason, strlen(end->reason));
    (void)fputc('\n', stdout);
    return CLI_OK;
}

int
ended_tell(const struct cli *cli, struct ended *ended, const struct status *now)
{
    int code = CLI_OK;
    for (size_t i = 0; i < ended->count; i++) {
        struct end *end = &ended->ends[i];
        if (!is_chosen(cli, end->before) || !complete(end, now)) {
            continue;
        }
        const int printed = print_end(cli, end);
        if (printed != CLI_OK) {
            return printed;
        }
        if (cli->options.exit_status && code == CLI_OK) {
            if (!end->has_exit_code) {
                output_say(cli, "%s has no exit status", end->before->name);
            }
            code = end->has_exit_code ? (int)end->exit_code : CLI_FAILED;
        }
    }
    return code;
}
