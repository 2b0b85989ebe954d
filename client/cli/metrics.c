/* `prong metrics`: what hub.metrics tells, as Prometheus reads it (its text format, version 0.0.4).
 *
 * One table says what each metric is and where it stands in the hub's answer; all else follows from
 * it. Base units are seconds and bytes. */
#include <stdio.h>
#include <string.h>

#include "client/cli/hub.h"
#include "client/cli/output.h"

enum metric_type { COUNTER, GAUGE, HISTOGRAM };
/* Where it stands: in the map of the hub, of its lent memory, of each worker, of each method of
 * each worker, of each stream. */
enum metric_scope { HUB, MEMORY, WORKER, METHOD, STREAM };

static const struct {
    const char *part, *inside, *label; /* `label`: of each thing in the part, which is a map */
} scopes[] = {
    [HUB] = {"hub", NULL, NULL},
    [MEMORY] = {"hub", "memory", NULL},
    [WORKER] = {"workers", NULL, "worker"},
    [METHOD] = {"workers", NULL, "worker"},
    [STREAM] = {"streams", NULL, "stream"},
};

struct metric {
    const char *name;
    enum metric_type type;
    enum metric_scope scope;
    const char *key;
    const char *label;   /* the value is a map of samples with this label, or a text that is one */
    unsigned per_second; /* how many of its units are a second; 0 for what is no time */
    const char *help;
};

/* clang-format off */
static const struct metric metrics[] = {
    {"prong_build_info", GAUGE, HUB, "version", "version", 0, "The version of the hub; always 1."},
    {"prong_broker_epoch", GAUGE, HUB, "epoch", NULL, 0,
     "Which broker of this hub answers, counted from 1; a new one counts all else from 0."},
    {"prong_broker_uptime_seconds", GAUGE, HUB, "uptime_ms", NULL, 1000,
     "How long this broker has been there."},
    {"prong_connections", GAUGE, HUB, "connections", NULL, 0, "Connections that are open."},
    {"prong_connections_opened_total", COUNTER, HUB, "connections_total", NULL, 0,
     "Connections that were opened."},
    {"prong_clients", GAUGE, HUB, "clients", NULL, 0,
     "Clients that the hub knows: connected, away, or remembered."},
    {"prong_calls_unfinished", GAUGE, HUB, "calls", NULL, 0, "Calls that have no outcome yet."},
    {"prong_payload_bytes", GAUGE, HUB, "payload_bytes", NULL, 0,
     "Arguments and outcomes of calls that the hub holds."},
    {"prong_calls_refused_total", COUNTER, HUB, "refused", "reason", 0,
     "Calls that were refused, by the limit that was reached."},
    {"prong_hub_calls_total", COUNTER, HUB, "own_calls", NULL, 0,
     "Calls of the methods of the hub itself."},
    {"prong_events_total", COUNTER, HUB, "events", NULL, 0, "Events that were published."},
    {"prong_events_lost_total", COUNTER, HUB, "events_lost", NULL, 0,
     "Events that had left the ring before a reader came for them, counted for each reader."},
    {"prong_event_subscribers", GAUGE, HUB, "subscribers", NULL, 0,
     "Readers that wait for events."},
    {"prong_event_ring_bytes", GAUGE, HUB, "ring_bytes", NULL, 0, "Bytes of events in the ring."},
    {"prong_event_ring_size_bytes", GAUGE, HUB, "ring_bytes_max", NULL, 0, "Size of the ring."},
    {"prong_worker_up", GAUGE, WORKER, "up", NULL, 0, "Whether a replica of the worker serves."},
    {"prong_worker_replicas", GAUGE, WORKER, "states", "state", 0, "Replicas in each state."},
    {"prong_worker_restarts_total", COUNTER, WORKER, "restarts", "reason", 0,
     "How often a replica was started again, by the reason."},
    {"prong_worker_queue_length", GAUGE, WORKER, "queued", NULL, 0,
     "Calls that wait for a replica."},
    {"prong_worker_cpu_seconds_total", COUNTER, WORKER, "cpu_ms", NULL, 1000,
     "Processor time of the worker's processes, as far as it was sampled."},
    {"prong_worker_resident_memory_bytes", GAUGE, WORKER, "rss_bytes", NULL, 0,
     "Memory that the worker's processes have."},
    {"prong_calls_in_flight", GAUGE, WORKER, "running", NULL, 0,
     "Calls that replicas were given and have not ended."},
    {"prong_calls_total", COUNTER, METHOD, "calls", "code", 0,
     "Calls that have their outcome, by its code; method * is what the worker did not declare."},
    {"prong_call_duration_seconds", HISTOGRAM, METHOD, "duration", NULL, 1000000,
     "Time from when a call was given to a replica to its outcome."},
    {"prong_call_queue_seconds", HISTOGRAM, METHOD, "queue", NULL, 1000000,
     "Time that a call waited until it was given to a replica."},
    {"prong_shared_memory_bytes", GAUGE, MEMORY, "bytes", NULL, 0,
     "Shared memory that is lent, to streams and for buffers."},
    {"prong_shared_memory_size_bytes", GAUGE, MEMORY, "bytes_max", NULL, 0,
     "Shared memory that may be lent."},
    {"prong_shared_memory_buffers", GAUGE, MEMORY, "buffers", NULL, 0, "Buffers that are lent."},
    {"prong_shared_memory_connections", GAUGE, MEMORY, "connections", NULL, 0,
     "Connections to the hub's memory: writers, readers, holders of buffers."},
    {"prong_shared_memory_refused_total", COUNTER, MEMORY, "refused", NULL, 0,
     "How often there was no more memory to lend."},
    {"prong_streams", GAUGE, MEMORY, "streams", NULL, 0, "Streams that have a writer or a reader."},
    {"prong_streams_silent", GAUGE, MEMORY, "silent", NULL, 0,
     "Streams that are watched and silent, those that are not there included."},
    {"prong_stream_up", GAUGE, STREAM, "up", NULL, 0, "Whether the stream has a writer."},
    {"prong_stream_silent", GAUGE, STREAM, "silent", NULL, 0,
     "Whether the stream is watched and silent."},
    {"prong_stream_generation", GAUGE, STREAM, "generation", NULL, 0,
     "How often the stream got other memory."},
    {"prong_stream_memory_bytes", GAUGE, STREAM, "memory_bytes", NULL, 0,
     "Memory that the stream and its readers have."},
    {"prong_stream_frames_total", COUNTER, STREAM, "frames", NULL, 0, "Frames that were written."},
    {"prong_stream_bytes_total", COUNTER, STREAM, "bytes", NULL, 0, "Bytes of frames."},
    {"prong_stream_skipped_total", COUNTER, STREAM, "skipped", NULL, 0,
     "Frames that the writer had no slot for."},
    {"prong_stream_frame_age_seconds", GAUGE, STREAM, "age_ms", NULL, 1000,
     "How old the newest frame is."},
    {"prong_stream_readers", GAUGE, STREAM, "readers", NULL, 0, "Readers that are there."},
    {"prong_stream_frames_taken_total", COUNTER, STREAM, "taken", NULL, 0,
     "Frames that readers took, of all together."},
    {"prong_stream_frames_missed_total", COUNTER, STREAM, "missed", NULL, 0,
     "Frames that readers did not take, of all together."},
    {"prong_stream_readers_dropped_total", COUNTER, STREAM, "dropped", NULL, 0,
     "How often the writer went on without a lossless reader."},
};
/* clang-format on */

static const char *const types[] = {
    [COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};

/* ---- samples -------------------------------------------------------------------------------- */

enum { LABELS_BYTES = 512 };

/* One more `name="value"`, with what would end a value escaped. `labels` has LABELS_BYTES. */
static void
add_label(char *labels, const char *name, const char *value, size_t len)
{
    size_t n = strlen(labels);
    n += (size_t)snprintf(labels + n, LABELS_BYTES - n, "%s%s=\"", n > 0 ? "," : "", name);
    for (size_t i = 0; i < len && n + 4 < LABELS_BYTES; i++) {
        if (value[i] == '\\' || value[i] == '"' || value[i] == '\n') {
            labels[n++] = '\\';
        }
        labels[n++] = value[i];
        labels[n - 1] = value[i] == '\n' ? 'n' : value[i];
    }
    (void)snprintf(labels + n, LABELS_BYTES - n, "\"");
}

static void
print_head(const struct metric *m, const char *suffix, const char *labels)
{
    (void)printf("%s%s%s%s%s ", m->name, suffix, labels[0] != '\0' ? "{" : "", labels,
                 labels[0] != '\0' ? "}" : "");
}

/* A number in its base unit, with as many digits as it has. */
static void
print_number(uint64_t number, unsigned per_second)
{
    const int digits = per_second == 1000 ? 3 : per_second == 1000000 ? 6 : 0;
    if (digits == 0) {
        (void)printf("%llu\n", (unsigned long long)number);
    } else {
        (void)printf("%llu.%0*llu\n", (unsigned long long)(number / per_second), digits,
                     (unsigned long long)(number % per_second));
    }
}

static void
print_sample(const struct metric *m, const char *labels, const prong_value *value)
{
    uint64_t number = 0;
    bool yes;
    if (prong_value_bool(value, &yes)) {
        number = yes;
    } else if (!prong_value_uint(value, &number)) {
        return; /* a hub of another version says something else there */
    }
    print_head(m, "", labels);
    print_number(number, m->per_second);
}

static void
print_map(const struct metric *m, const char *labels, const prong_value *map)
{
    prong_iter it;
    prong_value key, value;
    const char *text;
    size_t len;
    (void)prong_iter_begin(&it, map);
    while (prong_iter_next(&it, &key, &value)) {
        char all[LABELS_BYTES];
        if (prong_value_text(&key, &text, &len)) {
            (void)snprintf(all, sizeof all, "%s", labels);
            add_label(all, m->label, text, len);
            print_sample(m, all, &value);
        }
    }
}

/* {counts: of each bucket, sum_us}. Prometheus wants each bucket with all that are smaller. */
static void
print_histogram(const struct metric *m, const char *labels, const prong_value *value,
                const prong_value *bounds)
{
    prong_iter counts, ends;
    prong_value list, sum, item, end;
    uint64_t count, bound, total = 0, sum_us = 0;
    if (!prong_value_find(value, "counts", &list) || !prong_value_find(value, "sum_us", &sum) ||
        !prong_value_uint(&sum, &sum_us) || !prong_iter_begin(&counts, &list) ||
        !prong_iter_begin(&ends, bounds)) {
        return;
    }
    while (prong_iter_next(&counts, NULL, &item) && prong_value_uint(&item, &count)) {
        char all[LABELS_BYTES], le[40];
        const bool has_end = prong_iter_next(&ends, NULL, &end) && prong_value_uint(&end, &bound);
        (void)snprintf(le, sizeof le, "+Inf");
        if (has_end) {
            (void)snprintf(le, sizeof le, "%g", (double)bound / m->per_second);
        }
        total += count;
        (void)snprintf(all, sizeof all, "%s", labels);
        add_label(all, "le", le, strlen(le));
        print_head(m, "_bucket", all);
        print_number(total, 0);
    }
    print_head(m, "_sum", labels);
    print_number(sum_us, m->per_second);
    print_head(m, "_count", labels);
    print_number(total, 0);
}

/* ---- metrics -------------------------------------------------------------------------------- */

/* What the metric has to say of one map in its scope. */
static void
print_of(const struct metric *m, const char *labels, const prong_value *map,
         const prong_value *bounds)
{
    prong_value value;
    const char *text;
    size_t len;
    if (!prong_value_find(map, m->key, &value)) {
        return;
    }
    if (m->type == HISTOGRAM) {
        print_histogram(m, labels, &value, bounds);
    } else if (m->label != NULL && prong_value_text(&value, &text, &len)) {
        char all[LABELS_BYTES] = "";
        add_label(all, m->label, text, len);
        print_head(m, "", all);
        print_number(1, 0);
    } else if (m->label != NULL) {
        print_map(m, labels, &value);
    } else {
        print_sample(m, labels, &value);
    }
}

static void
print_of_methods(const struct metric *m, const char *labels, const prong_value *worker,
                 const prong_value *bounds)
{
    prong_iter it;
    prong_value methods, key, value;
    const char *name;
    size_t len;
    if (!prong_value_find(worker, "methods", &methods) || !prong_iter_begin(&it, &methods)) {
        return;
    }
    while (prong_iter_next(&it, &key, &value)) {
        char all[LABELS_BYTES];
        if (prong_value_text(&key, &name, &len)) {
            (void)snprintf(all, sizeof all, "%s", labels);
            add_label(all, "method", name, len);
            print_of(m, all, &value, bounds);
        }
    }
}

static void
print_metric(const struct metric *m, const prong_value *all)
{
    prong_iter it;
    prong_value part = {0}, bounds = {0}, key, value;
    const char *name;
    size_t len;
    (void)prong_value_find(all, "bounds_us", &bounds);
    (void)prong_value_find(all, scopes[m->scope].part, &part);
    (void)printf("# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, types[m->type]);
    if (scopes[m->scope].inside != NULL) {
        prong_value inside = {0}; /* of an older hub */
        (void)prong_value_find(&part, scopes[m->scope].inside, &inside);
        part = inside;
    }
    if (scopes[m->scope].label == NULL) {
        print_of(m, "", &part, &bounds);
        return;
    }
    (void)prong_iter_begin(&it, &part);
    while (prong_iter_next(&it, &key, &value)) {
        char labels[LABELS_BYTES] = "";
        if (prong_value_text(&key, &name, &len)) {
            add_label(labels, scopes[m->scope].label, name, len);
            if (m->scope == METHOD) {
                print_of_methods(m, labels, &value, &bounds);
            } else {
                print_of(m, labels, &value, &bounds);
            }
        }
    }
}

int
verb_metrics(struct cli *cli)
{
    prong_reply *reply = NULL;
    int code = hub_connect(cli);
    if (code == CLI_OK) {
        code = cli->argc > 0 ? hub_ask_worker(cli, "metrics", cli->argv[0], &reply)
                             : hub_ask(cli, "metrics", NULL, "metrics", &reply);
    }
    if (code == CLI_OK && cli->options.output != NULL && output_form(cli) != OUTPUT_TABLE &&
        output_form(cli) != OUTPUT_RAW) {
        code = output_value(cli, prong_reply_value(reply));
    } else if (code == CLI_OK) {
        for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
            print_metric(&metrics[i], prong_reply_value(reply));
        }
    }
    prong_reply_free(reply);
    return code;
}
