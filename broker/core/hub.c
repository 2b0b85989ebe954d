/* The hub's step: one input, what follows from it, the effects. */
#include "broker/core/parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t
hub_draw(struct hub *hub)
{
    const uint64_t seed[3] = {++hub->drawn, hub->options.epoch, 0x64726177};
    return siphash24(&hub->key, seed, sizeof seed) & WIRE_INT_MAX;
}

/* Each table has a key of its own, so that what is learned of one says nothing of another. */
static void
init_table(struct hub *hub, struct table *t)
{
    t->key.k[0] = hub_draw(hub) << 11 ^ hub_draw(hub);
    t->key.k[1] = hub_draw(hub) << 11 ^ hub_draw(hub);
}

static void
init_state(struct hub *hub, const struct hub_options *options)
{
    struct table *const tables[] = {
        &hub->peers,     &hub->clients,     &hub->calls,        &hub->numbers, &hub->workers,
        &hub->processes, &hub->ring.topics, &hub->ring.filters, &hub->shared,  &hub->poisons};
    struct node *const lists[] = {&hub->worker_list,
                                  &hub->crowded,
                                  &hub->idle_clients,
                                  &hub->fetches,
                                  &hub->due,
                                  &hub->finished,
                                  &hub->told,
                                  &hub->sent,
                                  &hub->spare_tickets.list,
                                  &hub->spare_calls.list,
                                  &hub->untrusted,
                                  &hub->poison_list,
                                  &hub->letters};
    memcpy(&hub->key, options->secret, sizeof hub->key);
    (void)snprintf(hub->name, sizeof hub->name, "%s", options->name);
    (void)snprintf(hub->version, sizeof hub->version, "%s", options->version);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        init_table(hub, tables[i]);
    }
    hub->peers.plain = hub->numbers.plain = hub->processes.plain = true;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        list_init(lists[i]);
    }
    hub->history = hub_draw(hub);
    /* Numbers of calls and processes never come again, not even with the next broker: its epoch is
     * in their upper bits, and they stay below 2^53. */
    hub->last_call = hub->last_process = (options->epoch & 0x1fff) << 40;
}

/* Limits that were not given. */
static void
default_limits(struct hub_options *o)
{
    o->calls_max = o->calls_max > 0 ? o->calls_max : WIRE_CALLS_MAX;
    o->payload_bytes_max = o->payload_bytes_max > 0 ? o->payload_bytes_max : WIRE_PAYLOAD_BYTES_MAX;
    o->client_calls_max = o->client_calls_max > 0 ? o->client_calls_max : WIRE_WINDOW;
    o->client_bytes_max = o->client_bytes_max > 0 ? o->client_bytes_max : WIRE_CLIENT_BYTES_MAX;
}

struct hub *
hub_new(const struct hub_options *options)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL) {
        return NULL;
    }
    hub->options = *options;
    default_limits(&hub->options);
    hub->options.silences = NULL; /* borrowed for now only */
    hub->born_ns = -1;
    if (options->token.len > 0) {
        hub->token = malloc(options->token.len);
        if (hub->token == NULL) {
            free(hub);
            return NULL;
        }
        memcpy(hub->token, options->token.data, options->token.len);
    }
    hub->options.token = (struct span){hub->token, hub->token == NULL ? 0 : options->token.len};
    const bool ring =
        ring_init(&hub->ring, options->events_bytes) && silences_init(&hub->ring, options);
    init_state(hub, options);
    if (!ring) {
        hub_free(hub);
        return NULL;
    }
    return hub;
}

void
hub_free(struct hub *hub)
{
    if (hub == NULL) {
        return;
    }
    while (hub->peers.head != NULL) {
        peer_closed(hub, CONTAINER(hub->peers.head, struct peer, entry)->id);
    }
    while (hub->clients.head != NULL) {
        client_free(hub, CONTAINER(hub->clients.head, struct client, entry));
    }
    LIST_EACH(n, &hub->worker_list)
    {
        worker_free(hub, CONTAINER(n, struct worker, link));
    }
    effects_begin(hub);
    poison_deinit(hub);
    reload_deinit(hub);
    tickets_deinit(hub);
    calls_deinit(hub);
    ring_deinit(&hub->ring);
    deadline_deinit(&hub->deadlines);
    buf_deinit(&hub->scratch);
    free(hub->usages);
    free(hub->effects);
    free(hub->token);
    free(hub);
}

static void
expire(struct hub *hub, struct deadline *d)
{
    deadline_clear(&hub->deadlines, d);
    switch (d->kind) {
    case DEADLINE_TICKET:
        ticket_expired(hub, CONTAINER(d, struct ticket, deadline));
        return;
    case DEADLINE_CALL:
        call_expired(hub, CONTAINER(d, struct call, deadline));
        return;
    case DEADLINE_REPLICA:
        life_step(hub, CONTAINER(d, struct replica, deadline), LIFE_IN_TIMEOUT);
        return;
    case DEADLINE_RENEWAL:
        renew_expired(hub, CONTAINER(d, struct replica, renewal));
        return;
    case DEADLINE_VIGIL:
        hang_expired(hub, CONTAINER(d, struct replica, vigil));
        return;
    case DEADLINE_USAGE:
        renew_look(hub);
        return;
    case DEADLINE_CLIENT:
        client_expired(hub, CONTAINER(d, struct client, deadline));
        return;
    case DEADLINE_PEER:
        peer_expired(hub, CONTAINER(d, struct peer, deadline));
        return;
    case DEADLINE_LEASE:
        lease_end(hub, CONTAINER(d, struct replica, lease_end), "not renewed");
        return;
    case DEADLINE_POISON:
        poison_expired(hub);
        return;
    case DEADLINE_SILENCE:
        silence_expired(hub, CONTAINER(d, struct silence, deadline));
        return;
    case DEADLINE_KINDS:
        break;
    }
    assert(false && "a deadline of no kind");
}

static void
add_worker(struct hub *hub, const struct worker_spec *spec)
{
    if (worker_find(hub, span_text(spec->name)) == NULL && worker_add(hub, spec) == NULL) {
        hub->failed = true;
    }
}

static void
configured(struct hub *hub)
{
    hub->configured = true;
    silences_begin(hub);
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        for (uint32_t i = 0; i < w->replica_count && w->spec->autostart; i++) {
            /* Who stands on one that comes later finds that it will be there. */
            w->replicas[i]->waits = !w->replicas[i]->wanted;
            w->replicas[i]->wanted = true;
        }
    }
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        for (uint32_t i = 0; i < w->replica_count && w->spec->autostart; i++) {
            life_step(hub, w->replicas[i], LIFE_IN_START);
        }
    }
    worker_ready_check(hub);
}

static void
stop(struct hub *hub)
{
    const bool again = hub->stopping;
    hub->stopping = true;
    if (!again) {
        (void)effect_add(hub, HUB_OUT_STOPPING); /* without memory the whole step fails */
    }
    worker_stop_all(hub, again);
    worker_end_check(hub);
}

static void
message(struct hub *hub, const struct hub_input *in)
{
    struct peer *peer = peer_find(hub, in->peer);
    if (peer == NULL) {
        return;
    }
    if (in->kind == HUB_IN_MESSAGE) {
        ticket_take(hub, peer, in);
        return;
    }
    char text[160];
    (void)snprintf(text, sizeof text,
                   "the message has %llu bytes, at most %llu are allowed (hub: message_max)",
                   (unsigned long long)in->message.size_bytes,
                   (unsigned long long)hub->options.message_bytes);
    ticket_refuse(hub, peer, in->message.request, WIRE_ERR_RESOURCE_EXHAUSTED, text);
}

static void
end_turn(struct hub *hub)
{
    if (hub->gone > 0) {
        reload_reap(hub);
    }
    if (hub->reload.runs) {
        reload_check(hub);
    }
    route_turn(hub);
    if (hub->events_new) {
        fetch_pump(hub);
    }
}

static void
take(struct hub *hub, const struct hub_input *in)
{
    switch (in->kind) {
    case HUB_IN_TIME:
        return;
    case HUB_IN_TURN:
        end_turn(hub);
        return;
    case HUB_IN_OPENED:
        peer_opened(hub, in);
        return;
    case HUB_IN_CLOSED:
        peer_closed(hub, in->peer);
        return;
    case HUB_IN_MESSAGE:
    case HUB_IN_OVERSIZED:
        message(hub, in);
        return;
    case HUB_IN_WORKER:
        add_worker(hub, in->worker.spec);
        return;
    case HUB_IN_CONFIGURED:
        configured(hub);
        return;
    case HUB_IN_STARTED:
        life_started(hub, in);
        return;
    case HUB_IN_START_FAILED:
        life_start_failed(hub, in);
        return;
    case HUB_IN_EXITED:
        life_exited(hub, in);
        return;
    case HUB_IN_ALIVE:
        life_alive(hub, in);
        return;
    case HUB_IN_NOTIFY:
        life_notified(hub, in);
        return;
    case HUB_IN_RELOAD:
        reload_take(hub, in);
        return;
    case HUB_IN_LOGS:
        admin_logs_came(hub, in);
        return;
    case HUB_IN_LINE:
        emit_line(hub, in);
        return;
    case HUB_IN_SENT:
        admin_sent(hub, in);
        return;
    case HUB_IN_USAGE:
        usage_take(hub, in);
        renew_looked(hub);
        return;
    case HUB_IN_LENT:
        lent_take(hub, in);
        return;
    case HUB_IN_STOP:
        stop(hub);
        return;
    }
}

/* Most steps have nothing to tell. */
static void
tell_silences(struct hub *hub)
{
    if (!list_is_empty(&hub->ring.heard)) {
        silences_tell(hub);
    }
}

bool
hub_step(struct hub *hub, const struct hub_input *in, struct hub_effects *out)
{
    effects_begin(hub);
    if (in->now_ns > hub->now_ns) {
        hub->now_ns = in->now_ns;
    }
    hub->wall_us = in->wall_us;
    if (hub->born_ns < 0) {
        hub->born_ns = hub->now_ns;
    }
    for (struct deadline *d;
         (d = deadline_first(&hub->deadlines)) != NULL && d->at_ns <= hub->now_ns;) {
        expire(hub, d);
    }
    tell_silences(hub); /* here too, so that a turn gives out what the time brought */
    take(hub, in);
    tell_silences(hub);
    tickets_send(hub);
    calls_settle(hub);
    *out = (struct hub_effects){hub->effects, hub->effect_count};
    return !hub->failed;
}

int64_t
hub_deadline_ns(const struct hub *hub)
{
    const struct deadline *d = deadline_first(&hub->deadlines);
    return d == NULL ? HUB_NEVER : d->at_ns;
}

struct hub_counts
hub_counts(const struct hub *hub)
{
    return (struct hub_counts){
        .peers = table_count(&hub->peers),
        .clients = table_count(&hub->clients),
        .calls = hub->call_count,
        .unfinished = hub->unfinished,
        .parked = hub->parked,
        .workers = table_count(&hub->workers),
        .payload_bytes = hub->payload_bytes,
        .topics = table_count(&hub->ring.topics),
        .filters = table_count(&hub->ring.filters),
        .matches = hub->ring.matches,
        .looks = hub->ring.looks,
    };
}
