/* Rows of two samples: see top.h. */
#include "client/cli/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double
top_percentile_us(const uint64_t *counts, const uint64_t *bounds_us, size_t bucket_count,
                  double part)
{
    uint64_t total = 0, below = 0;
    for (size_t i = 0; i < bucket_count; i++) {
        total += counts[i];
    }
    if (total == 0 || bucket_count < 2) {
        return -1;
    }
    const double rank = part * (double)total;
    for (size_t i = 0; i + 1 < bucket_count; i++) {
        if (counts[i] > 0 && (double)(below + counts[i]) >= rank) {
            const double from = i > 0 ? (double)bounds_us[i - 1] : 0;
            const double inside = (rank - (double)below) / (double)counts[i];
            return from + ((double)bounds_us[i] - from) * inside;
        }
        below += counts[i];
    }
    return (double)bounds_us[bucket_count - 2];
}

/* ---- what was there before ------------------------------------------------------------------ */

struct past {
    const struct top_sample *sample; /* NULL when nothing can be compared with it */
    double seconds;
};

static struct past
past_of(const struct top_sample *before, const struct top_sample *now)
{
    /* Another broker has counted from 0. */
    if (before == NULL || before->epoch != now->epoch || before->uptime_ms >= now->uptime_ms) {
        return (struct past){NULL, 0};
    }
    return (struct past){before, (double)(now->uptime_ms - before->uptime_ms) / 1000};
}

static const struct top_worker *
worker_before(const struct past *past, const char *name)
{
    for (size_t i = 0; past->sample != NULL && i < past->sample->worker_count; i++) {
        if (strcmp(past->sample->workers[i].name, name) == 0) {
            return &past->sample->workers[i];
        }
    }
    return NULL;
}

static const struct top_replica *
replica_before(const struct top_worker *worker, const char *name)
{
    for (size_t i = 0; worker != NULL && i < worker->replica_count; i++) {
        if (strcmp(worker->replicas[i].name, name) == 0) {
            return &worker->replicas[i];
        }
    }
    return NULL;
}

/* How fast a counter grew; one that is smaller belongs to another life of its owner. */
static double
rate(const struct past *past, uint64_t before, uint64_t now)
{
    return past->seconds > 0 && now >= before ? (double)(now - before) / past->seconds : -1;
}

/* Milliseconds of processor time in each second, as a share of one processor. */
static double
percent(double ms_per_s)
{
    return ms_per_s < 0 ? -1 : ms_per_s / 10;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static enum top_tone
tone_of(const char *state)
{
    static const struct {
        const char *state;
        enum top_tone tone;
    } tones[] = {{"ready", TOP_GOOD},    {"busy", TOP_GOOD},     {"starting", TOP_WARN},
                 {"draining", TOP_WARN}, {"stopping", TOP_WARN}, {"backoff", TOP_BAD},
                 {"failed", TOP_BAD},    {"stuck", TOP_BAD}};
    for (size_t i = 0; i < sizeof tones / sizeof tones[0]; i++) {
        if (strcmp(tones[i].state, state) == 0) {
            return tones[i].tone;
        }
    }
    return TOP_PLAIN;
}

/* The state that all replicas have, or how many of them serve. */
static void
state_of(const struct top_worker *w, struct top_row *row)
{
    size_t serve = 0;
    bool same = true;
    enum top_tone worst = TOP_PLAIN;
    for (size_t i = 0; i < w->replica_count; i++) {
        const enum top_tone tone = tone_of(w->replicas[i].state);
        serve += tone == TOP_GOOD;
        same &= strcmp(w->replicas[i].state, w->replicas[0].state) == 0;
        worst = tone > worst ? tone : worst;
    }
    row->tone = worst;
    if (w->replica_count == 0) {
        (void)snprintf(row->state, sizeof row->state, "-");
    } else if (same) {
        (void)snprintf(row->state, sizeof row->state, "%s", w->replicas[0].state);
    } else {
        (void)snprintf(row->state, sizeof row->state, "%u/%u up", (unsigned)serve,
                       (unsigned)w->replica_count);
    }
}

static struct top_row
row_of_replica(const struct past *past, const struct top_worker *w_before,
               const struct top_replica *r)
{
    const struct top_replica *before = replica_before(w_before, r->name);
    struct top_row row = {.name = r->name,
                          .error = r->error,
                          .is_replica = true,
                          .tone = tone_of(r->state),
                          .pid = r->pid > 0 ? (int64_t)r->pid : -1,
                          .queued = -1, /* calls wait for a worker */
                          .cpu_percent = -1,
                          .calls_per_s = -1,
                          .p50_us = -1,
                          .p99_us = -1,
                          .rss_bytes = r->rss_bytes,
                          .running = r->running,
                          .restarts = r->restarts};
    (void)snprintf(row.state, sizeof row.state, "%s", r->state);
    if (before != NULL) {
        row.calls_per_s = rate(past, before->calls, r->calls);
        row.cpu_percent =
            before->pid == r->pid ? percent(rate(past, before->cpu_ms, r->cpu_ms)) : -1;
    }
    return row;
}

static struct top_row
row_of_worker(const struct past *past, const struct top_sample *now, const struct top_worker *w)
{
    const struct top_worker *before = worker_before(past, w->name);
    uint64_t counts[TOP_BUCKETS_MAX];
    struct top_row row = {.name = w->name,
                          .error = "",
                          .has_replicas = w->replica_count > 1,
                          .pid = -1,
                          .queued = (int64_t)w->queued,
                          .cpu_percent = -1,
                          .calls_per_s = -1,
                          .rss_bytes = w->rss_bytes,
                          .running = w->running};
    state_of(w, &row);
    if (w->replica_count == 1 && w->replicas[0].pid > 0) {
        row.pid = (int64_t)w->replicas[0].pid;
    }
    for (size_t i = 0; i < w->replica_count; i++) {
        row.restarts += w->replicas[i].restarts;
        row.error = row.error[0] == '\0' ? w->replicas[i].error : row.error;
    }
    if (before != NULL) {
        row.calls_per_s = rate(past, before->calls, w->calls);
        row.cpu_percent = percent(rate(past, before->cpu_ms, w->cpu_ms));
    }
    for (size_t i = 0; i < now->bucket_count; i++) {
        const uint64_t was = before != NULL ? before->counts[i] : w->counts[i];
        counts[i] = w->counts[i] >= was ? w->counts[i] - was : 0;
    }
    row.p50_us = top_percentile_us(counts, now->bounds_us, now->bucket_count, 0.5);
    row.p99_us = top_percentile_us(counts, now->bounds_us, now->bucket_count, 0.99);
    return row;
}

/* ---- the list ------------------------------------------------------------------------------- */

/* Insertion keeps the hub's order of what is equal; there are at most some hundreds. */
static void
insert(struct top_row *list, size_t count, const struct top_row *row, const struct top_view *view)
{
    size_t at = count;
    while (at > 0) {
        const int order = top_compare(view->sort, row, &list[at - 1]);
        if (view->reverse ? order <= 0 : order >= 0) {
            break;
        }
        list[at] = list[at - 1];
        at--;
    }
    list[at] = *row;
}

static const struct top_worker *
worker_now(const struct top_sample *now, const char *name)
{
    return worker_before(&(struct past){now, 0}, name);
}

/* The sorted workers, and below each its replicas when they are shown. */
static void
spread(const struct past *past, const struct top_sample *now, const struct top_view *view,
       const struct top_row *workers, size_t count, struct top_rows *out)
{
    for (size_t i = 0; i < count; i++) {
        struct top_row *row = &out->list[out->count++];
        const struct top_worker *w = worker_now(now, workers[i].name);
        *row = workers[i];
        row->is_open = row->has_replicas && top_view_is_open(view, w->name);
        for (size_t k = 0; row->is_open && k < w->replica_count; k++) {
            out->list[out->count++] =
                row_of_replica(past, worker_before(past, w->name), &w->replicas[k]);
        }
    }
}

static struct top_totals
totals_of(const struct past *past, const struct top_sample *now)
{
    struct top_totals t = {-1, -1, -1, -1, 0};
    if (past->sample != NULL) {
        t = (struct top_totals){.events_per_s = rate(past, past->sample->events, now->events),
                                .frames_per_s = rate(past, past->sample->frames, now->frames)};
    }
    for (size_t i = 0; i < now->worker_count; i++) {
        const struct top_row row = row_of_worker(past, now, &now->workers[i]);
        t.rss_bytes += row.rss_bytes;
        t.cpu_percent += past->sample != NULL && row.cpu_percent > 0 ? row.cpu_percent : 0;
        t.calls_per_s += past->sample != NULL && row.calls_per_s > 0 ? row.calls_per_s : 0;
    }
    return t;
}

bool
top_rows_make(const struct top_sample *before, const struct top_sample *now,
              const struct top_view *view, struct top_rows *out)
{
    const struct past past = past_of(before, now);
    struct top_row *workers = calloc(now->worker_count + 1, sizeof *workers);
    struct top_rows rows = {
        .list = calloc(now->worker_count + now->replica_count + 1, sizeof *rows.list)};
    size_t count = 0;
    if (workers == NULL || rows.list == NULL) {
        free(workers);
        free(rows.list);
        return false;
    }
    for (size_t i = 0; i < now->worker_count; i++) {
        if (strstr(now->workers[i].name, view->filter) == NULL) {
            rows.hidden++;
            continue;
        }
        const struct top_row row = row_of_worker(&past, now, &now->workers[i]);
        insert(workers, count++, &row, view);
    }
    spread(&past, now, view, workers, count, &rows);
    rows.totals = totals_of(&past, now);
    free(workers);
    *out = rows;
    return true;
}

void
top_rows_deinit(struct top_rows *rows)
{
    free(rows->list);
    *rows = (struct top_rows){0};
}
