/* What hub.status says: see status.h. */
#include "client/cli/status.h"
#include "client/cli/field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/unit.h"
#include "proto/closest.h"

/* Longer names of workers are not corrected. */
enum { TYPED_BYTES_MAX = 40 };

/* ---- reading -------------------------------------------------------------------------------- */

static bool
has_uint(const prong_value *map, const char *key)
{
    prong_value value;
    uint64_t number;
    return prong_value_find(map, key, &value) && prong_value_uint(&value, &number);
}

static void
read_replica(const prong_value *map, struct status_replica *r)
{
    prong_value value;
    const char *slash;
    field_text(map, "replica", r->name, sizeof r->name);
    field_text(map, "state", r->state, sizeof r->state);
    field_text(map, "reason", r->reason, sizeof r->reason);
    field_text(map, "status", r->said, sizeof r->said);
    field_text(map, "last_error", r->last_error, sizeof r->last_error);
    slash = strchr(r->name, '/');
    r->index = slash != NULL ? strtoull(slash + 1, NULL, 10) : 0;
    r->pid = field_uint(map, "pid");
    r->uptime_ms = field_uint(map, "uptime_ms");
    r->incarnation = field_uint(map, "incarnation");
    r->restarts = field_uint(map, "restarts");
    r->calls = field_uint(map, "calls");
    r->running = field_uint(map, "running");
    r->cpu_ms = field_uint(map, "cpu_ms");
    r->rss_bytes = field_uint(map, "rss_bytes");
    if (prong_value_find(map, "completed", &value)) {
        (void)prong_value_bool(&value, &r->is_completed);
    }
    if (prong_value_find(map, "waits", &value)) {
        (void)prong_value_bool(&value, &r->waits);
    }
    r->has_exit_code = has_uint(map, "exit_code");
    r->exit_code = field_uint(map, "exit_code");
}

/* Two walks: the first counts, so that there is one piece of memory for all. */
static bool
make_room(const prong_value *workers, struct status *s)
{
    prong_iter it;
    prong_value worker, list;
    size_t replicas = 0;
    (void)prong_iter_begin(&it, workers);
    while (prong_iter_next(&it, NULL, &worker)) {
        replicas += prong_value_find(&worker, "replicas", &list) ? prong_value_count(&list) : 0;
    }
    s->workers = calloc((size_t)prong_value_count(workers) + 1, sizeof *s->workers);
    s->replicas = calloc(replicas + 1, sizeof *s->replicas);
    return s->workers != NULL && s->replicas != NULL;
}

static void
read_workers(const prong_value *workers, struct status *s)
{
    prong_iter it, inner;
    prong_value key, value, list, item;
    const char *name;
    size_t len;
    (void)prong_iter_begin(&it, workers);
    while (prong_iter_next(&it, &key, &value)) {
        struct status_worker *w = &s->workers[s->worker_count++];
        *w = (struct status_worker){.queued = field_uint(&value, "queued"),
                                    .replicas = s->replicas + s->replica_count,
                                    .value = value};
        if (prong_value_text(&key, &name, &len)) {
            (void)snprintf(w->name, sizeof w->name, "%.*s", (int)len, name);
        }
        if (prong_value_find(&value, "autostart", &item)) {
            (void)prong_value_bool(&item, &w->autostart);
        }
        if (prong_value_find(&value, "replicas", &list) && prong_iter_begin(&inner, &list)) {
            while (prong_iter_next(&inner, NULL, &item)) {
                read_replica(&item, &s->replicas[s->replica_count++]);
                w->replica_count++;
            }
        }
    }
}

int
status_get(struct cli *cli, struct status *status)
{
    struct status s = {0};
    prong_value workers;
    int code = hub_ask(cli, "status", NULL, "status", &s.reply);
    if (code == CLI_OK && (!prong_value_find(prong_reply_value(s.reply), "workers", &workers) ||
                           prong_value_kind(&workers) != PRONG_KIND_MAP)) {
        code = output_error(cli, PRONG_INTERNAL, "status", "the hub's answer has no workers");
    }
    if (code == CLI_OK && !make_room(&workers, &s)) {
        code = output_no_memory(cli);
    }
    if (code != CLI_OK || s.workers == NULL || s.replicas == NULL) {
        status_deinit(&s);
        return code;
    }
    read_workers(&workers, &s);
    status_deinit(status);
    *status = s;
    return CLI_OK;
}

void
status_deinit(struct status *status)
{
    prong_reply_free(status->reply);
    free(status->workers);
    free(status->replicas);
    *status = (struct status){0};
}

/* ---- names ---------------------------------------------------------------------------------- */

const struct status_worker *
status_find(const struct status *status, const char *target)
{
    const size_t length = strcspn(target, "/");
    for (size_t i = 0; i < status->worker_count; i++) {
        const struct status_worker *w = &status->workers[i];
        if (strlen(w->name) != length || memcmp(w->name, target, length) != 0) {
            continue;
        }
        for (size_t k = 0; target[length] != '\0' && k < w->replica_count; k++) {
            if (strcmp(w->replicas[k].name, target) == 0) {
                return w;
            }
        }
        return target[length] == '\0' ? w : NULL;
    }
    return NULL;
}

int
status_no_such(const struct cli *cli, const struct status *status, const char *target)
{
    struct closest near = {.word = target, .bytes_max = TYPED_BYTES_MAX};
    char text[240];
    for (size_t i = 0; i < status->worker_count; i++) {
        closest_offer(&near, status->workers[i].name);
    }
    (void)snprintf(text, sizeof text, "the hub has no such worker%s%s%s",
                   near.best != NULL ? "; did you mean " : "", near.best != NULL ? near.best : "",
                   near.best != NULL ? "?" : "");
    return output_error(cli, PRONG_NOT_FOUND, target, text);
}

bool
status_is_meant(const char *target, const struct status_replica *replica)
{
    const size_t length = strlen(target);
    return strncmp(replica->name, target, length) == 0 &&
           (replica->name[length] == '\0' || replica->name[length] == '/');
}

bool
status_serves(const struct status_replica *replica)
{
    return strcmp(replica->state, "ready") == 0 || strcmp(replica->state, "busy") == 0;
}

bool
status_is_chosen(const struct status_choice *choice, const struct status_worker *worker,
                 const struct status_replica *replica)
{
    if (choice->count == 0) {
        return !choice->autostart || worker->autostart;
    }
    for (size_t i = 0; i < choice->count; i++) {
        const char *target = choice->targets[i];
        if (replica != NULL ? status_is_meant(target, replica)
                            : strncmp(target, worker->name, strcspn(target, "/")) == 0 &&
                                  worker->name[strcspn(target, "/")] == '\0') {
            return true;
        }
    }
    return false;
}

/* ---- printing ------------------------------------------------------------------------------- */

static enum table_color
color_of(const struct status_replica *r)
{
    static const struct {
        const char *state;
        enum table_color color;
    } colors[] = {{"ready", TABLE_GOOD},    {"busy", TABLE_GOOD},     {"starting", TABLE_WARN},
                  {"draining", TABLE_WARN}, {"stopping", TABLE_WARN}, {"backoff", TABLE_BAD},
                  {"failed", TABLE_BAD},    {"stuck", TABLE_BAD}};
    for (size_t i = 0; i < sizeof colors / sizeof colors[0]; i++) {
        if (strcmp(r->state, colors[i].state) == 0) {
            return colors[i].color;
        }
    }
    return TABLE_PLAIN;
}

static void
add_row(struct table *t, const char *name, const struct status_worker *w,
        const struct status_replica *r)
{
    char span[UNIT_SPAN_BYTES] = "-", pid[24] = "-", cpu[24] = "-", memory[UNIT_SIZE_BYTES] = "-";
    if (r->pid > 0) {
        /* Of a processor, on the average since it began, as ps has it. */
        const double percent =
            r->uptime_ms > 0 ? 100 * (double)r->cpu_ms / (double)r->uptime_ms : 0;
        (void)snprintf(cpu, sizeof cpu, "%.1f%%", percent);
        unit_size(r->rss_bytes, memory);
        unit_span((int64_t)r->uptime_ms, span);
        (void)snprintf(pid, sizeof pid, "%llu", (unsigned long long)r->pid);
    }
    table_add(t, TABLE_PLAIN, "%s", name);
    table_add(t, color_of(r), "%s", r->state);
    table_add(t, TABLE_PLAIN, "%s", pid);
    table_add(t, TABLE_PLAIN, "%s", span);
    table_add(t, TABLE_PLAIN, "%s", cpu);
    table_add(t, TABLE_PLAIN, "%s", memory);
    table_add(t, TABLE_PLAIN, "%llu", (unsigned long long)r->restarts);
    table_add(t, TABLE_PLAIN, "%llu", (unsigned long long)r->calls);
    /* Calls wait for a worker, not for a replica of it. */
    if (r == w->replicas) {
        table_add(t, TABLE_PLAIN, "%llu", (unsigned long long)w->queued);
    } else {
        table_add(t, TABLE_PLAIN, "%s", "");
    }
    table_add(t, TABLE_PLAIN, "%s",
              r->reason[0] != '\0' ? r->reason
              : r->said[0] != '\0' ? r->said
                                   : r->last_error);
}

static int
print_table(const struct cli *cli, const struct status *status, const struct status_choice *choice)
{
    struct table t;
    table_init(&t, "WORKER STATE PID UPTIME CPU MEMORY RESTARTS CALLS QUEUED REASON");
    for (size_t i = 0; i < status->worker_count; i++) {
        const struct status_worker *w = &status->workers[i];
        for (size_t k = 0; k < w->replica_count; k++) {
            if (status_is_chosen(choice, w, &w->replicas[k])) {
                add_row(&t, w->replicas[k].name, w, &w->replicas[k]);
            }
        }
        if (w->replica_count == 0 && status_is_chosen(choice, w, NULL)) {
            add_row(&t, w->name, w, &(struct status_replica){.state = "-"});
        }
    }
    table_print(&t, stdout, cli->out_has_color);
    const bool failed = t.failed;
    table_deinit(&t);
    return failed ? output_no_memory(cli) : CLI_OK;
}

/* {"hub": ..., "workers": {those that are chosen}}. */
static int
print_json(const struct cli *cli, const struct status *status, const struct status_choice *choice)
{
    prong_writer *w = prong_writer_new();
    prong_value hub, all;
    uint32_t count = 0;
    int code = CLI_FAILED;
    for (size_t i = 0; i < status->worker_count; i++) {
        count += status_is_chosen(choice, &status->workers[i], NULL);
    }
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 2);
    prong_writer_key(w, "hub");
    if (prong_value_find(prong_reply_value(status->reply), "hub", &hub)) {
        prong_writer_raw(w, &hub);
    } else {
        prong_writer_nil(w);
    }
    prong_writer_key(w, "workers");
    prong_writer_map(w, count);
    for (size_t i = 0; i < status->worker_count; i++) {
        if (status_is_chosen(choice, &status->workers[i], NULL)) {
            prong_writer_key(w, status->workers[i].name);
            prong_writer_raw(w, &status->workers[i].value);
        }
    }
    code =
        prong_writer_finish(w, &all) == PRONG_OK ? output_value(cli, &all) : output_no_memory(cli);
    prong_writer_free(w);
    return code;
}

/* One line for each replica. */
static int
print_lines(const struct cli *cli, const struct status *status, const struct status_choice *choice)
{
    int code = CLI_OK;
    for (size_t i = 0; i < status->worker_count; i++) {
        const struct status_worker *w = &status->workers[i];
        prong_value list, item;
        (void)prong_value_find(&w->value, "replicas", &list);
        for (uint32_t k = 0; k < w->replica_count && code == CLI_OK; k++) {
            if (status_is_chosen(choice, w, &w->replicas[k]) && prong_value_at(&list, k, &item)) {
                code = output_value(cli, &item);
            }
        }
    }
    return code;
}

int
status_print(const struct cli *cli, const struct status *status, const struct status_choice *choice)
{
    switch (output_form(cli)) {
    case OUTPUT_TABLE:
        return print_table(cli, status, choice);
    case OUTPUT_JSONL:
        return print_lines(cli, status, choice);
    case OUTPUT_JSON:
    case OUTPUT_RAW:
        return print_json(cli, status, choice);
    }
    return CLI_FAILED;
}
