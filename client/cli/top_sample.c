/* What hub.metrics says, for prong top: see top.h. */
#include "client/cli/top.h"
#include "client/cli/field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
read_replica(const prong_value *map, struct top_replica *r)
{
    field_text(map, "replica", r->name, sizeof r->name);
    field_text(map, "state", r->state, sizeof r->state);
    field_text(map, "reason", r->error, sizeof r->error);
    if (r->error[0] == '\0') {
        field_text(map, "last_error", r->error, sizeof r->error);
    }
    r->pid = field_uint(map, "pid");
    r->restarts = field_uint(map, "restarts");
    r->running = field_uint(map, "running");
    r->calls = field_uint(map, "calls");
    r->cpu_ms = field_uint(map, "cpu_ms");
    r->rss_bytes = field_uint(map, "rss_bytes");
}

/* Numbers of a list, as many as there is room for. */
static size_t
read_numbers(const prong_value *list, uint64_t *out, size_t count_max)
{
    prong_iter it;
    prong_value item;
    size_t count = 0;
    if (!prong_iter_begin(&it, list)) {
        return 0;
    }
    while (count < count_max && prong_iter_next(&it, NULL, &item) &&
           prong_value_uint(&item, &out[count])) {
        count++;
    }
    return count;
}

/* Durations of all methods together. */
static void
read_counts(const prong_value *worker, struct top_worker *w)
{
    prong_iter it;
    prong_value methods, method, duration, list;
    uint64_t counts[TOP_BUCKETS_MAX];
    if (!prong_value_find(worker, "methods", &methods) || !prong_iter_begin(&it, &methods)) {
        return;
    }
    while (prong_iter_next(&it, NULL, &method)) {
        if (prong_value_find(&method, "duration", &duration) &&
            prong_value_find(&duration, "counts", &list)) {
            const size_t count = read_numbers(&list, counts, TOP_BUCKETS_MAX);
            for (size_t i = 0; i < count; i++) {
                w->counts[i] += counts[i];
            }
        }
    }
}

static void
read_worker(const prong_value *key, const prong_value *map, struct top_sample *s)
{
    struct top_worker *w = &s->workers[s->worker_count++];
    prong_iter it;
    prong_value list, item;
    const char *name = "";
    size_t len = 0;
    (void)prong_value_text(key, &name, &len);
    (void)snprintf(w->name, sizeof w->name, "%.*s", (int)len, name);
    w->queued = field_uint(map, "queued");
    w->running = field_uint(map, "running");
    w->calls = field_uint(map, "calls");
    w->cpu_ms = field_uint(map, "cpu_ms");
    w->rss_bytes = field_uint(map, "rss_bytes");
    read_counts(map, w);
    w->replicas = s->replicas + s->replica_count;
    if (prong_value_find(map, "replicas", &list) && prong_iter_begin(&it, &list)) {
        while (prong_iter_next(&it, NULL, &item)) {
            read_replica(&item, &s->replicas[s->replica_count++]);
            w->replica_count++;
        }
    }
}

static size_t
count_replicas(const prong_value *workers)
{
    prong_iter it;
    prong_value worker, list;
    size_t count = 0;
    (void)prong_iter_begin(&it, workers);
    while (prong_iter_next(&it, NULL, &worker)) {
        count += prong_value_find(&worker, "replicas", &list) ? prong_value_count(&list) : 0;
    }
    return count;
}

static void
read_hub(const prong_value *hub, struct top_sample *s)
{
    field_text(hub, "name", s->hub, sizeof s->hub);
    field_text(hub, "version", s->version, sizeof s->version);
    s->epoch = field_uint(hub, "epoch");
    s->uptime_ms = field_uint(hub, "uptime_ms");
    s->connections = field_uint(hub, "connections");
    s->calls = field_uint(hub, "calls");
    s->payload_bytes = field_uint(hub, "payload_bytes");
    s->events = field_uint(hub, "events");
}

static void
read_streams(const prong_value *metrics, const prong_value *hub, struct top_sample *s)
{
    prong_iter it;
    prong_value memory, streams, stream;
    if (prong_value_find(hub, "memory", &memory)) {
        s->streams = field_uint(&memory, "streams");
        s->silent_streams = field_uint(&memory, "silent");
    }
    if (prong_value_find(metrics, "streams", &streams) && prong_iter_begin(&it, &streams)) {
        while (prong_iter_next(&it, NULL, &stream)) {
            s->frames += field_uint(&stream, "frames");
        }
    }
}

bool
top_sample_read(const prong_value *metrics, struct top_sample *out)
{
    struct top_sample s = {0};
    prong_iter it;
    prong_value hub, bounds, workers, key, value;
    if (!prong_value_find(metrics, "hub", &hub) ||
        !prong_value_find(metrics, "bounds_us", &bounds) ||
        !prong_value_find(metrics, "workers", &workers) || !prong_iter_begin(&it, &workers)) {
        return false;
    }
    s.workers = calloc((size_t)prong_value_count(&workers) + 1, sizeof *s.workers);
    s.replicas = calloc(count_replicas(&workers) + 1, sizeof *s.replicas);
    if (s.workers == NULL || s.replicas == NULL) {
        top_sample_deinit(&s);
        return false;
    }
    read_hub(&hub, &s);
    read_streams(metrics, &hub, &s);
    s.bucket_count = read_numbers(&bounds, s.bounds_us, TOP_BUCKETS_MAX - 1) + 1;
    while (prong_iter_next(&it, &key, &value)) {
        read_worker(&key, &value, &s);
    }
    *out = s;
    return true;
}

void
top_sample_deinit(struct top_sample *s)
{
    free(s->workers);
    free(s->replicas);
    *s = (struct top_sample){0};
}
