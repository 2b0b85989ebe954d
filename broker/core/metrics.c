/* The counters of the hub: see metrics.h. */
#include "broker/core/metrics.h"
#include "broker/core/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t bounds_us[METRICS_BOUNDS] = {
#define BOUND(us) us,
#include "broker/core/metrics.def"
#undef BOUND
};

/* ---- tallies --------------------------------------------------------------------------------- */

bool
tallies_init(struct tallies *t)
{
    t->list = calloc(1, sizeof *t->list);
    t->count = t->list != NULL ? 1 : 0;
    if (t->list != NULL) {
        (void)snprintf(t->list[TALLY_OTHER].name, sizeof t->list[TALLY_OTHER].name, "%s",
                       TALLY_OTHER_NAME);
    }
    return t->list != NULL;
}

void
tallies_deinit(struct tallies *t)
{
    free(t->list);
    *t = (struct tallies){0};
}

uint16_t
tally_place(struct tallies *t, const char *name)
{
    for (uint32_t i = 1; i < t->count; i++) {
        if (strcmp(t->list[i].name, name) == 0) {
            return (uint16_t)i;
        }
    }
    if (t->count > WIRE_METHODS_MAX) {
        return TALLY_OTHER;
    }
    struct tally *list = realloc(t->list, (t->count + 1) * sizeof *list);
    if (list == NULL) {
        return TALLY_OTHER;
    }
    t->list = list;
    list[t->count] = (struct tally){0};
    (void)snprintf(list[t->count].name, sizeof list[t->count].name, "%s", name);
    return (uint16_t)t->count++;
}

/* ---- counting -------------------------------------------------------------------------------- */

/* Most things are short, so the first bounds are looked at first. */
static void
observe(struct histogram *h, int64_t ns)
{
    size_t i = 0;
    while (i < METRICS_BOUNDS && ns > bounds_us[i] * 1000) {
        i++;
    }
    h->counts[i]++;
    h->sum_ns += (uint64_t)ns;
}

void
metrics_given(const struct hub *hub, const struct call *call)
{
    observe(&call->worker->tallies.list[call->tally].queue, hub->now_ns - call->queued_ns);
}

void
metrics_done(const struct hub *hub, const struct call *call, enum wire_error code)
{
    struct tally *t = &call->worker->tallies.list[call->tally];
    t->outcomes[code]++;
    if (call->state == CALL_GIVEN) {
        observe(&t->duration, hub->now_ns - call->given_ns);
    }
}

static enum restart_reason
reason_of(const struct replica *r)
{
    const int status = r->last_status >> 8 & 0xff;
    return r->hung                        ? RESTART_hung
           : r->overdue                   ? RESTART_late
           : r->pid == 0                  ? RESTART_start
           : (r->last_status & 0x7f) != 0 ? RESTART_signal
           : status == 75                 ? RESTART_again /* EX_TEMPFAIL */
           : status == 0                  ? RESTART_clean
                                          : RESTART_exit;
}

void
metrics_restart(struct replica *r)
{
    r->worker->restarts[reason_of(r)]++;
}

/* ---- telling --------------------------------------------------------------------------------- */

void
metrics_write_bounds(struct buf *b)
{
    write_array(b, METRICS_BOUNDS);
    for (size_t i = 0; i < METRICS_BOUNDS; i++) {
        write_uint(b, (uint64_t)bounds_us[i]);
    }
}

static void
write_histogram(struct buf *b, const struct histogram *h)
{
    write_map(b, 2);
    write_text(b, "counts");
    write_array(b, METRICS_BOUNDS + 1);
    for (size_t i = 0; i <= METRICS_BOUNDS; i++) {
        write_uint(b, h->counts[i]);
    }
    write_text(b, "sum_us");
    write_uint(b, h->sum_ns / 1000);
}

static void
write_outcomes(struct buf *b, const struct tally *t)
{
    uint32_t count = 0;
    for (unsigned code = 0; code < WIRE_ERR_COUNT; code++) {
        count += t->outcomes[code] > 0;
    }
    write_map(b, count);
    for (unsigned code = 0; code < WIRE_ERR_COUNT; code++) {
        if (t->outcomes[code] > 0) {
            write_text(b, wire_error_name(code));
            write_uint(b, t->outcomes[code]);
        }
    }
}

static void
write_tallies(struct buf *b, const struct tallies *t)
{
    write_map(b, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        write_text(b, t->list[i].name);
        write_map(b, 3);
        write_text(b, "calls");
        write_outcomes(b, &t->list[i]);
        write_text(b, "duration");
        write_histogram(b, &t->list[i].duration);
        write_text(b, "queue");
        write_histogram(b, &t->list[i].queue);
    }
}

/* How many replicas are in each state: all states, also those that none is in. */
static void
write_states(struct buf *b, const struct worker *w)
{
    uint32_t counts[LIFE_COUNT] = {0};
    for (uint32_t i = 0; i < w->replica_count; i++) {
        counts[w->replicas[i]->life]++;
    }
    write_map(b, LIFE_COUNT);
    for (enum life life = 0; life < LIFE_COUNT; life++) {
        write_text(b, life_text(life));
        write_uint(b, counts[life]);
    }
}

static void
write_restarts(struct buf *b, const struct worker *w)
{
    static const char *const names[RESTART_REASONS] = {
#define RESTART(name, help) [RESTART_##name] = #name,
#include "broker/core/metrics.def"
#undef RESTART
    };
    write_map(b, RESTART_REASONS);
    for (size_t i = 0; i < RESTART_REASONS; i++) {
        write_text(b, names[i]);
        write_uint(b, w->restarts[i]);
    }
}

void
metrics_write_worker(struct buf *b, const struct worker *w)
{
    uint64_t running = 0, rss_bytes = 0;
    bool up = false;
    for (uint32_t i = 0; i < w->replica_count; i++) {
        running += w->replicas[i]->running_count;
        rss_bytes += w->replicas[i]->rss_bytes;
        up |= life_serves(w->replicas[i]->life);
    }
    write_text(b, "up");
    write_bool(b, up);
    write_text(b, "running");
    write_uint(b, running);
    write_text(b, "cpu_ms");
    write_uint(b, (uint64_t)w->cpu_ms);
    write_text(b, "rss_bytes");
    write_uint(b, rss_bytes);
    write_text(b, "states");
    write_states(b, w);
    write_text(b, "restarts");
    write_restarts(b, w);
    write_text(b, "methods");
    write_tallies(b, &w->tallies);
}

static size_t
ring_bytes_used(const struct ring *ring)
{
    return ring->first == ring->next ? 0
           : ring->head > ring->tail ? ring->head - ring->tail
                                     : ring->end - ring->tail + ring->head;
}

/* By the limit that was reached, and those that were for a worker that there is not. */
static void
write_refused(struct buf *b, const struct hub *hub)
{
    write_map(b, LIMIT_OF_CALLS + 1);
    for (enum hub_limit limit = 0; limit < LIMIT_OF_CALLS; limit++) {
        write_text(b, hub_limit_name(limit));
        write_uint(b, hub->refused[limit]);
    }
    write_text(b, "no_worker");
    write_uint(b, hub->refused_no_worker);
}

/* Shared memory that is lent; nothing when the shell has not said. */
static void
write_lent(struct buf *b, const struct hub *hub)
{
    const struct hub_lent *lent = hub->lent_now;
    write_map(b, lent != NULL ? 7 : 1);
    write_text(b, "refused");
    write_uint(b, hub->refused[LIMIT_MEMORY]);
    if (lent != NULL) {
        write_text(b, "bytes");
        write_uint(b, lent->bytes);
        write_text(b, "bytes_max");
        write_uint(b, lent->bytes_max);
        write_text(b, "buffers");
        write_uint(b, lent->buffers);
        write_text(b, "connections");
        write_uint(b, lent->connections);
        write_text(b, "silent");
        write_uint(b, lent->silent);
        write_text(b, "streams");
        write_uint(b, lent->stream_count);
    }
}

void
metrics_write_streams(struct buf *b, const struct hub *hub)
{
    const struct hub_lent *lent = hub->lent_now;
    write_map(b, lent != NULL ? lent->stream_count : 0);
    if (lent != NULL && lent->stream_count > 0) {
        write_raw(b, lent->streams);
    }
}

void
metrics_write_hub(struct buf *b, const struct hub *hub)
{
    write_text(b, "connections_total");
    write_uint(b, hub->opened_total);
    write_text(b, "clients");
    write_uint(b, table_count(&hub->clients));
    write_text(b, "subscribers");
    write_uint(b, hub->fetch_count);
    write_text(b, "events_lost");
    write_uint(b, hub->events_lost);
    write_text(b, "ring_bytes");
    write_uint(b, ring_bytes_used(&hub->ring));
    write_text(b, "ring_bytes_max");
    write_uint(b, hub->ring.size);
    write_text(b, "own_calls");
    write_uint(b, hub->own_calls);
    write_text(b, "refused");
    write_refused(b, hub);
    write_text(b, "memory");
    write_lent(b, hub);
}
