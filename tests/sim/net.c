/* The network: see sim.h. */
#include "tests/sim/world.h"

#include "proto/wire.h"

#include <stdlib.h>

static struct connection *
connection_of(struct sim *s, uint32_t place, uint64_t peer)
{
    struct connection *k = &s->connections[place];
    return k->peer == peer ? k : NULL;
}

static uint32_t
index_of(const struct sim *s, const struct connection *k)
{
    return (uint32_t)(k - s->connections);
}

static void
free_if_closed(struct connection *k)
{
    if (!k->open_here && !k->open_there) {
        *k = (struct connection){0};
    }
}

struct connection *
world_connect(struct sim *s, struct caller *c, struct process *p)
{
    uint32_t i = 0;
    while (i < CONNECTIONS && s->connections[i].peer != 0) {
        i++;
    }
    if (s->hub == NULL || i == CONNECTIONS) {
        return NULL;
    }
    struct connection *k = &s->connections[i];
    s->next_peer++;
    *k = (struct connection){.peer = s->next_peer,
                             .open_here = true,
                             .open_there = true,
                             .hub_cut_ns = INT64_MAX,
                             .actor_cut_ns = INT64_MAX,
                             .to_hub_ns = s->now_ns + world_delay(s),
                             .client = c,
                             .process = p,
                             .pid = p != NULL ? p->pid : 100 + (int32_t)i,
                             .start_ticks = s->next_peer};
    world_plan(s, (struct event){
                      .kind = EVENT_OPENED, .at_ns = k->to_hub_ns, .place = i, .whose = k->peer});
    if (sim_happens(s, p != NULL ? s->faults.stalls / 2 : s->faults.stalls / 10)) {
        /* It breaks while what is said first is on its way: ATTACH, above all. */
        world_plan(s, (struct event){.kind = EVENT_CUT,
                                     .at_ns = s->now_ns + world_delay(s) + world_delay(s),
                                     .place = i,
                                     .whose = k->peer});
    }
    return k;
}

static void
plan_bytes(struct sim *s, struct event e, const struct pieces *body)
{
    struct buf b = {0};
    buf_put_pieces(&b, body, 0);
    if (b.failed) {
        abort();
    }
    e.bytes = b.data;
    e.len = b.w;
    world_plan(s, e);
}

/* What is on its way to the hub may come much later, after what its sender says over the next
 * connection. */
static void
stall(struct sim *s, struct connection *k)
{
    if (sim_happens(s, s->faults.stalls)) {
        k->stalled_ns = s->now_ns + (int64_t)sim_draw(s, sim_draw(s, 2) == 0 ? 200 : 4000) * MS;
        k->to_hub_ns = k->to_hub_ns > k->stalled_ns ? k->to_hub_ns : k->stalled_ns;
    }
}

/* Whether it has to wait: then it comes again, in the order of now. */
static bool
waits(struct sim *s, const struct connection *k, struct event *e)
{
    if (s->now_ns >= k->stalled_ns) {
        return false;
    }
    e->at_ns = k->stalled_ns;
    world_plan(s, *e);
    e->bytes = NULL;
    return true;
}

void
world_own(struct connection *k, struct stock *c)
{
    k->stock = c;
    k->pid = stock_pid(c);
    k->start_ticks = 1; /* each of its connections comes from the same process */
}

void
world_send(struct sim *s, struct connection *k, uint32_t id, const struct pieces *body)
{
    for (int times = sim_happens(s, s->faults.twice) ? 2 : 1; times > 0; times--) {
        const int64_t at_ns = s->now_ns + world_delay(s);
        k->to_hub_ns = at_ns > k->to_hub_ns ? at_ns : k->to_hub_ns;
        plan_bytes(s,
                   (struct event){.kind = EVENT_TO_HUB,
                                  .at_ns = k->to_hub_ns,
                                  .place = index_of(s, k),
                                  .whose = k->peer,
                                  .id = id},
                   body);
    }
}

void
world_close(struct sim *s, struct connection *k)
{
    if (!k->open_here) {
        return;
    }
    k->open_here = false;
    k->client = NULL;
    k->stock = NULL;
    if (k->open_there && !k->cut) {
        stall(s, k);
        k->to_hub_ns =
            s->now_ns + world_delay(s) > k->to_hub_ns ? s->now_ns + world_delay(s) : k->to_hub_ns;
        world_plan(s, (struct event){.kind = EVENT_HUB_HEARS_END,
                                     .at_ns = k->to_hub_ns,
                                     .place = index_of(s, k),
                                     .whose = k->peer});
    }
    free_if_closed(k);
}

/* It breaks: of what is on its way a part still comes, and both ends hear of it some time. */
void
net_cut(struct sim *s, struct connection *k)
{
    if (k->cut) {
        return;
    }
    const int64_t late = sim_happens(s, 100) ? (int64_t)sim_draw(s, 4000) * MS : 0;
    k->cut = true;
    stall(s, k);
    k->hub_cut_ns = (k->stalled_ns > s->now_ns ? k->stalled_ns : s->now_ns) +
                    (int64_t)sim_draw(s, (uint64_t)s->faults.delay_ns_max);
    k->actor_cut_ns = s->now_ns + (int64_t)sim_draw(s, (uint64_t)s->faults.delay_ns_max);
    sim_note(s, "connection %llu breaks", (unsigned long long)k->peer);
    const bool hub_first = sim_draw(s, 2) == 0;
    world_plan(s, (struct event){.kind = EVENT_HUB_HEARS_END,
                                 .at_ns = k->hub_cut_ns + world_delay(s) + (hub_first ? 0 : late),
                                 .place = index_of(s, k),
                                 .whose = k->peer});
    world_plan(s, (struct event){.kind = EVENT_ACTOR_HEARS_END,
                                 .at_ns = k->actor_cut_ns + world_delay(s) + (hub_first ? late : 0),
                                 .place = index_of(s, k),
                                 .whose = k->peer});
}

void
net_broker_died(struct sim *s)
{
    for (uint32_t i = 0; i < STOCKS; i++) {
        if (s->stocks[i] != NULL) {
            stock_broker_died(s, s->stocks[i]);
        }
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct connection *k = &s->connections[i];
        if (k->peer == 0) {
            continue;
        }
        k->open_there = false;
        k->hub_cut_ns = s->now_ns;
        if (k->open_here && !k->cut) {
            /* What it had sent may still come. */
            const int64_t at_ns = s->now_ns + world_delay(s);
            k->cut = true;
            k->to_actor_ns = at_ns > k->to_actor_ns ? at_ns : k->to_actor_ns;
            world_plan(s, (struct event){.kind = EVENT_ACTOR_HEARS_END,
                                         .at_ns = k->to_actor_ns,
                                         .place = i,
                                         .whose = k->peer});
        }
        free_if_closed(k);
    }
}

void
net_reply(struct sim *s, const struct hub_effect *e)
{
    const struct pieces body = pieces_cut(e->body, e->cuts, e->cut_count);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct connection *k = &s->connections[i];
        if (k->peer != e->peer || k->peer == 0) {
            continue;
        }
        uint32_t n = 0;
        while (n < k->open_count && k->open[n].request != e->request) {
            n++;
        }
        if (!k->open_there || n == k->open_count) {
            sim_wrong(s, "an answer to a request that is not open");
        }
        const uint32_t id = k->open[n].id;
        const int64_t since_ns =
            k->open[n].since_ns > s->jumped_ns ? k->open[n].since_ns : s->jumped_ns;
        if (s->now_ns - since_ns > (WIRE_PARK_MS + 1000) * MS) {
            sim_wrong(s, "a request waits %lld ms for an answer",
                      (long long)((s->now_ns - since_ns) / MS));
        }
        k->open[n] = k->open[--k->open_count];
        const int64_t at_ns = s->now_ns + world_delay(s);
        k->to_actor_ns = at_ns > k->to_actor_ns ? at_ns : k->to_actor_ns;
        plan_bytes(s,
                   (struct event){.kind = EVENT_TO_ACTOR,
                                  .at_ns = k->to_actor_ns,
                                  .place = i,
                                  .whose = k->peer,
                                  .id = id},
                   &body);
        return;
    }
    sim_wrong(s, "an answer to a connection that is not there");
}

static void
on_opened(struct sim *s, const struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_there || s->hub == NULL) {
        return;
    }
    struct hub_input in = {.kind = HUB_IN_OPENED, .peer = k->peer};
    in.opened.local = true;
    in.opened.pid = k->pid;
    in.opened.start_ticks = k->start_ticks;
    world_feed(s, &in);
}

static void
on_to_hub(struct sim *s, struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_there || s->hub == NULL || e->at_ns >= k->hub_cut_ns ||
        waits(s, k, e)) {
        return;
    }
    if (k->open_count == sizeof k->open / sizeof k->open[0]) {
        sim_wrong(s, "too many open requests");
    }
    struct hub_input in = {.kind = HUB_IN_MESSAGE, .peer = k->peer};
    in.message.request = ++s->next_request;
    in.message.sp_id = e->id;
    in.message.body = (struct span){e->bytes, e->len};
    k->open[k->open_count].request = in.message.request;
    k->open[k->open_count].since_ns = s->now_ns;
    k->open[k->open_count++].id = e->id;
    world_feed(s, &in);
}

static void
on_to_actor(struct sim *s, const struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_here || e->at_ns >= k->actor_cut_ns) {
        return;
    }
    const struct span body = {e->bytes, e->len};
    if (k->client != NULL) {
        caller_answer(s, k->client, e->id, body);
    } else if (k->process != NULL) {
        process_answer(s, k->process, e->id, body);
    } else if (k->stock != NULL) {
        stock_answer(s, k->stock, e->id, body);
    }
}

static void
on_hub_hears_end(struct sim *s, struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_there || waits(s, k, e)) {
        return;
    }
    k->open_there = false;
    k->open_count = 0;
    const uint64_t peer = k->peer;
    free_if_closed(k);
    if (s->hub != NULL) {
        world_feed(s, &(struct hub_input){.kind = HUB_IN_CLOSED, .peer = peer});
    }
}

static void
on_actor_hears_end(struct sim *s, const struct event *e)
{
    struct connection *k = connection_of(s, e->place, e->whose);
    if (k == NULL || !k->open_here) {
        return;
    }
    struct caller *c = k->client;
    struct process *p = k->process;
    struct stock *st = k->stock;
    k->open_here = false;
    k->client = NULL;
    k->process = NULL;
    k->stock = NULL;
    free_if_closed(k);
    if (c != NULL) {
        caller_lost(s, c);
    } else if (p != NULL && !p->dies) {
        process_lost(s, p);
    } else if (st != NULL) {
        stock_lost(s, st);
    }
}

void
net_happen(struct sim *s, struct event *e)
{
    if (e->kind == EVENT_OPENED) {
        on_opened(s, e);
    } else if (e->kind == EVENT_CUT) {
        struct connection *k = connection_of(s, e->place, e->whose);
        if (k != NULL) {
            net_cut(s, k);
        }
    } else if (e->kind == EVENT_TO_HUB) {
        on_to_hub(s, e);
    } else if (e->kind == EVENT_TO_ACTOR) {
        on_to_actor(s, e);
    } else if (e->kind == EVENT_HUB_HEARS_END) {
        on_hub_hears_end(s, e);
    } else {
        on_actor_hears_end(s, e);
    }
}
