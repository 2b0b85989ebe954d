/* What the hub tells of itself: status, descriptions, dead letters. */
#include "broker/core/admin.h"

static void
write_replica(const struct hub *hub, struct buf *b, const struct replica *r)
{
    char name[WIRE_NAME_BYTES_MAX + 16];
    const int64_t since = r->pid > 0 ? (hub->now_ns - r->started_ns) / NS_PER_MS : 0;
    replica_name(r, name);
    const int64_t lease_ns =
        r->holder != NULL && r->lease == NULL ? r->lease_end.at_ns - hub->now_ns : 0;
    write_map(b, 19);
    write_text(b, "replica");
    write_text(b, name);
    write_text(b, "state");
    write_text(b, life_text(r->life));
    write_text(b, "pid");
    write_uint(b, r->pid > 0 ? (uint64_t)r->pid : 0);
    write_text(b, "uptime_ms");
    write_uint(b, (uint64_t)since);
    write_text(b, "incarnation");
    write_uint(b, r->incarnation);
    write_text(b, "restarts");
    write_uint(b, r->restarts);
    write_text(b, "running");
    write_uint(b, r->running_count);
    write_text(b, "calls");
    write_uint(b, r->calls_done);
    write_text(b, "reason");
    write_text(b, r->last_reason);
    write_text(b, "exit_code");
    if (r->has_last) {
        write_uint(b, life_exit_code(r));
    } else {
        write_nil(b);
    }
    write_text(b, "waits");
    write_bool(b, r->waits && !r->hopeless);
    write_text(b, "completed");
    write_bool(b, depend_is_completed(r));
    write_text(b, "status");
    write_text(b, r->said);
    write_text(b, "last_error");
    write_text(b, r->last_error);
    write_text(b, "leased_by");
    write_text(b, lease_ns > 0 ? r->holder->who : "");
    write_text(b, "lease_ms");
    write_uint(b, lease_ns > 0 ? (uint64_t)(lease_ns / NS_PER_MS) : 0);
    write_text(b, "cpu_ms");
    write_uint(b, (uint64_t)r->cpu_ms);
    write_text(b, "rss_bytes");
    write_uint(b, r->rss_bytes);
    write_text(b, "threads");
    write_uint(b, r->threads);
}

/* Processes beside those that have the places. */
static void
write_others(const struct hub *hub, struct buf *b, const struct worker *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->replica_count; i++) {
        count += w->replicas[i]->heir != NULL;
    }
    LIST_EACH(n, &w->leaving)
    {
        count++;
    }
    write_text(b, "others");
    write_array(b, count);
    for (uint32_t i = 0; i < w->replica_count; i++) {
        if (w->replicas[i]->heir != NULL) {
            write_replica(hub, b, w->replicas[i]->heir);
        }
    }
    LIST_EACH(n, &w->leaving)
    {
        write_replica(hub, b, CONTAINER(n, struct replica, leaving));
    }
}

enum { WORKER_KEYS = 6, HUB_KEYS = 9 };

/* WORKER_KEYS keys of a map. */
static void
write_worker(const struct hub *hub, struct buf *b, const struct worker *w)
{
    write_text(b, "autostart");
    write_bool(b, w->spec->autostart);
    write_text(b, "queued");
    write_uint(b, w->queued);
    write_text(b, "calls");
    write_uint(b, w->calls_total);
    write_text(b, "errors");
    write_uint(b, w->errors_total);
    write_text(b, "replicas");
    write_array(b, w->replica_count);
    for (uint32_t i = 0; i < w->replica_count; i++) {
        write_replica(hub, b, w->replicas[i]);
    }
    write_others(hub, b, w);
}

/* HUB_KEYS keys of a map. */
static void
write_hub(const struct hub *hub, struct buf *b)
{
    write_text(b, "name");
    write_text(b, hub->name);
    write_text(b, "version");
    write_text(b, hub->version);
    write_text(b, "epoch");
    write_uint(b, hub->options.epoch);
    write_text(b, "uptime_ms");
    write_uint(b, (uint64_t)((hub->now_ns - hub->born_ns) / NS_PER_MS));
    write_text(b, "stopping");
    write_bool(b, hub->stopping);
    write_text(b, "connections");
    write_uint(b, table_count(&hub->peers));
    write_text(b, "calls");
    write_uint(b, hub->unfinished);
    write_text(b, "payload_bytes");
    write_uint(b, hub->payload_bytes);
    write_text(b, "events");
    write_uint(b, hub->ring.next - 1);
}

static void
give_status(const struct request *q)
{
    struct hub *hub = q->hub;
    struct buf *b = &hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_map(b, 2);
    write_text(b, "hub");
    write_map(b, HUB_KEYS);
    write_hub(hub, b);
    write_text(b, "workers");
    write_map(b, (uint32_t)table_count(&hub->workers));
    LIST_EACH(n, &hub->worker_list)
    {
        const struct worker *w = CONTAINER(n, struct worker, link);
        write_text(b, w->spec->name);
        write_map(b, WORKER_KEYS);
        write_worker(hub, b, w);
    }
    admin_give_scratch(q);
}

/* Of all workers and streams, or of one worker alone. */
static void
give_metrics(const struct request *q, const struct worker *only)
{
    struct hub *hub = q->hub;
    struct buf *b = &hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_map(b, only == NULL ? 4 : 3);
    write_text(b, "hub");
    write_map(b, HUB_KEYS + METRICS_HUB_KEYS);
    write_hub(hub, b);
    metrics_write_hub(b, hub);
    write_text(b, "bounds_us");
    metrics_write_bounds(b);
    write_text(b, "workers");
    write_map(b, only != NULL ? 1 : (uint32_t)table_count(&hub->workers));
    LIST_EACH(n, &hub->worker_list)
    {
        const struct worker *w = CONTAINER(n, struct worker, link);
        if (only == NULL || only == w) {
            write_text(b, w->spec->name);
            write_map(b, WORKER_KEYS + METRICS_WORKER_KEYS);
            write_worker(hub, b, w);
            metrics_write_worker(b, w);
        }
    }
    if (only == NULL) {
        write_text(b, "streams");
        metrics_write_streams(b, hub);
    }
    if (b->w > hub->options.message_bytes / 2) {
        admin_fail(q, WIRE_ERR_RESOURCE_EXHAUSTED,
                   "the metrics of all workers are too much for one message: name a worker");
    } else {
        admin_give_scratch(q);
    }
}

/* What processes use is sampled first, so that all of it is from now. */
void
admin_status(struct request *q)
{
    if (q->sampled || !usage_ask(q->hub, q->call->number, false)) {
        give_status(q);
    }
}

void
admin_metrics(struct request *q)
{
    int64_t only;
    const bool named = q->value[PARAM_metrics_worker].len > 0;
    struct worker *w = named ? admin_worker(q, PARAM_metrics_worker, &only) : NULL;
    if (named && w == NULL) {
        return;
    }
    if (q->sampled || !usage_ask(q->hub, q->call->number, true)) {
        give_metrics(q, w);
    }
}

/* ---- clients --------------------------------------------------------------------------------- */

/* Those that are only remembered, so that a repeat of theirs is known, have no share of anything.
 */
static bool
has_share(const struct client *c)
{
    return c->present > 0 || c->call_count > 0 || c->background_count > 0 || c->leases > 0;
}

static void
write_client(struct buf *b, const struct client *c)
{
    write_map(b, 8);
    write_text(b, "who");
    write_text(b, c->who);
    write_text(b, "connections");
    write_uint(b, c->present);
    write_text(b, "unfinished");
    write_uint(b, c->unfinished);
    write_text(b, "calls");
    write_uint(b, c->call_count);
    write_text(b, "background");
    write_uint(b, c->background_count);
    write_text(b, "payload_bytes");
    write_uint(b, c->payload_bytes);
    write_text(b, "leases");
    write_uint(b, c->leases);
    write_text(b, "replica");
    write_bool(b, c->is_replica);
}

void
admin_clients(struct request *q)
{
    struct buf *b = &q->hub->scratch;
    uint32_t count = 0;
    for (const struct table_entry *e = q->hub->clients.head; e != NULL; e = e->hh.next) {
        count += has_share(CONTAINER(e, struct client, entry));
    }
    buf_reset(b, SIZE_MAX);
    write_array(b, count);
    for (const struct table_entry *e = q->hub->clients.head; e != NULL; e = e->hh.next) {
        const struct client *c = CONTAINER(e, struct client, entry);
        if (has_share(c)) {
            write_client(b, c);
        }
    }
    admin_give_scratch(q);
}

/* ---- descriptions and logs ------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *help;
} own_methods[METHOD_COUNT] = {
#define METHOD(name, changes, help) [METHOD_##name] = {#name, help},
#include "broker/core/admin.def"
#undef METHOD
};

static void
describe_hub(struct request *q)
{
    struct buf *b = &q->hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_map(b, METHOD_COUNT);
    for (enum admin_method m = 0; m < METHOD_COUNT; m++) {
        uint32_t count = 0;
        for (enum admin_param p = 0; p < PARAM_COUNT; p++) {
            count += admin_params[p].method == m;
        }
        write_text(b, own_methods[m].name);
        write_map(b, 2);
        write_text(b, "help");
        write_text(b, own_methods[m].help);
        write_text(b, "args");
        write_map(b, count);
        for (enum admin_param p = 0; p < PARAM_COUNT; p++) {
            if (admin_params[p].method == m) {
                write_text(b, admin_params[p].name);
                write_text(b, admin_params[p].help);
            }
        }
    }
    admin_give_scratch(q);
}

void
admin_describe(struct request *q)
{
    int64_t only;
    const struct span name = admin_text(q, PARAM_describe_worker);
    if (name.len == 0 || span_is(name, "hub")) {
        describe_hub(q);
        return;
    }
    struct worker *w = admin_worker(q, PARAM_describe_worker, &only);
    if (w != NULL && !w->methods_known) {
        admin_fail(q, WIRE_ERR_FAILED_PRECONDITION, "the worker has not told its methods");
    } else if (w != NULL) {
        call_result(q->hub, q->call, buf_span(&w->described));
    }
}

void
admin_env(struct request *q)
{
    int64_t only;
    struct worker *w = admin_worker(q, PARAM_env_worker, &only);
    struct hub_effect *e = w == NULL ? NULL : effect_add(q->hub, HUB_OUT_ENV);
    if (e != NULL) {
        e->call = q->call->number;
        e->spec = effect_spec(q->hub, w->spec);
        e->replica = only < 0 ? 0 : (uint32_t)only;
        e->reveal = admin_uint(q, PARAM_env_reveal, 0) > 0;
    }
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static void
write_letter(struct buf *b, const struct letter *l, bool whole)
{
    write_map(b, whole ? 8 : 7);
    write_text(b, "letter");
    write_uint(b, l->id);
    write_text(b, "worker");
    write_text(b, l->worker);
    write_text(b, "method");
    write_text(b, l->method);
    write_text(b, "deaths");
    write_uint(b, l->deaths);
    write_text(b, "reason");
    write_text(b, l->reason);
    write_text(b, "who");
    write_text(b, l->who);
    write_text(b, "time_us");
    write_uint(b, l->time_us);
    if (whole) {
        write_text(b, "args");
        write_raw(b, buf_span(&l->args));
    }
}

void
admin_dlq_list(struct request *q)
{
    struct buf *b = &q->hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_array(b, q->hub->letter_count);
    LIST_EACH(n, &q->hub->letters)
    {
        write_letter(b, CONTAINER(n, struct letter, link), false);
    }
    admin_give_scratch(q);
}

void
admin_dlq_show(struct request *q)
{
    const struct letter *l = letter_find(q->hub, admin_uint(q, PARAM_dlq_show_letter, 0));
    if (l == NULL) {
        admin_fail(q, WIRE_ERR_NOT_FOUND, "there is no such letter");
        return;
    }
    buf_reset(&q->hub->scratch, SIZE_MAX);
    write_letter(&q->hub->scratch, l, true);
    admin_give_scratch(q);
}
