/* The invariants of the core, asserted by tests after each step. Deliberately written from the
 * structures alone, without the functions that keep them. */
#include "broker/core/parts.h"

#include <assert.h>

#define HOLDS(condition) assert(condition)

size_t
check_length(const struct node *head)
{
    size_t n = 0;
    for (const struct node *i = head->next; i != head; i = i->next) {
        HOLDS(i->next->prev == i);
        n++;
    }
    return n;
}

static void
check_call(const struct hub *hub, const struct call *c)
{
    HOLDS(c->deadline.place != 0 || hub->failed || c->state == CALL_DONE || c->whole != NULL);
    HOLDS(c->state != CALL_QUEUED || (c->replica == NULL && !list_is_empty(&c->queued)) ||
          c->worker == NULL);
    HOLDS((c->line != NULL) == (c->state == CALL_QUEUED && c->worker != NULL && c->lease_ms == 0));
    HOLDS((c->state == CALL_FOLLOWS) == (c->leader != NULL));
    HOLDS(c->leader == NULL || (c->leader->share != NULL && !list_is_empty(&c->follows)));
    HOLDS(c->leader == NULL || !c->maybe || c->leader->maybe);
    HOLDS(c->share == NULL || c->state == CALL_QUEUED || c->state == CALL_GIVEN);
    HOLDS((c->parent != NULL) == !list_is_empty(&c->outer));
    HOLDS(list_is_empty(&c->inner) || c->state == CALL_GIVEN || c->state == CALL_QUEUED);
    HOLDS(c->items == NULL || c->items->first <= c->items->end);
    HOLDS(c->state != CALL_DONE || c->items == NULL || list_is_empty(&c->items->reports));
    HOLDS(c->state != CALL_GIVEN || c->replica != NULL);
    HOLDS((c->replica != NULL) == !list_is_empty(&c->running));
    HOLDS(c->state != CALL_DONE || list_is_empty(&c->waiters));
    HOLDS(c->state != CALL_DONE || c->args.cap == 0);
    HOLDS(c->runs <= (c->policy == POLICY_ONCE ? 1 : 2));
}

static void
check_whole(const struct hub *hub, const struct call *whole, size_t *calls, size_t *bytes)
{
    const struct many *m = whole->many;
    uint32_t open = 0;
    if (m == NULL) {
        HOLDS(whole->state != CALL_WHOLE);
        return;
    }
    for (const struct node *n = m->parts.next; n != &m->parts; n = n->next) {
        const struct call *part = CONTAINER(n, struct call, of_client);
        HOLDS(part->whole == whole && part->client == whole->client);
        check_call(hub, part);
        open += part->state != CALL_DONE;
        *bytes += part->charged;
        ++*calls;
    }
    HOLDS(whole->state == CALL_DONE || (open == m->open && m->told <= m->next));
    HOLDS(whole->state != CALL_DONE || list_is_empty(&m->parts));
    HOLDS(m->next <= m->total && open <= WIRE_PARTS_OPEN + (m->each ? WIRE_REPLICAS_MAX : 0));
}

/* One of the client's lists of calls: how many are open. */
static size_t
check_list(const struct hub *hub, const struct client *c, const struct node *list, size_t *calls,
           size_t *bytes)
{
    size_t open = 0;
    for (const struct node *n = list->next; n != list; n = n->next) {
        const struct call *call = CONTAINER(n, struct call, of_client);
        HOLDS(call->client == c);
        check_call(hub, call);
        check_whole(hub, call, calls, bytes);
        open += call->state != CALL_DONE;
        *bytes += call->charged;
        ++*calls;
    }
    return open;
}

static void
check_clients(const struct hub *hub)
{
    size_t calls = 0, unfinished = 0, bytes = 0;
    for (const struct table_entry *e = hub->clients.head; e != NULL; e = e->hh.next) {
        const struct client *c = CONTAINER(e, struct client, entry);
        size_t own = 0;
        const size_t open = check_list(hub, c, &c->calls, &calls, &own);
        const size_t later = check_list(hub, c, &c->background, &calls, &own);
        HOLDS(check_list(hub, c, &c->released, &calls, &own) == 0);
        HOLDS(check_length(&c->calls) == c->call_count &&
              check_length(&c->background) == c->background_count);
        HOLDS(open == c->unfinished && own == c->payload_bytes);
        HOLDS((c->present == 0) == !list_is_empty(&c->idle));
        HOLDS(c->present > 0 || c->deadline.place != 0 || hub->failed);
        unfinished += open + later;
        bytes += own;
    }
    HOLDS(calls == hub->call_count && calls == table_count(&hub->numbers));
    HOLDS(unfinished == hub->unfinished);
    HOLDS(bytes == hub->payload_bytes);
}

static void
check_peers(const struct hub *hub)
{
    size_t parked = 0, untrusted = 0;
    for (const struct table_entry *e = hub->peers.head; e != NULL; e = e->hh.next) {
        const struct peer *p = CONTAINER(e, struct peer, entry);
        untrusted += !list_is_empty(&p->untrusted);
        size_t here = 0;
        HOLDS(check_length(&p->tickets) == p->ticket_count);
        for (const struct node *n = p->tickets.next; n != &p->tickets; n = n->next) {
            const struct ticket *t = CONTAINER(n, struct ticket, link);
            size_t waiting = 0;
            for (uint32_t i = 0; i < t->slot_count; i++) {
                HOLDS(t->slots[i].state != SLOT_OPEN);
                waiting += t->slots[i].state == SLOT_PARKED;
            }
            HOLDS(t->peer == p && waiting == t->parked && waiting > 0);
            HOLDS(t->deadline.place != 0 || hub->failed);
            here += waiting;
        }
        HOLDS(here == p->parked && here <= WIRE_PARKED_MAX);
        parked += here;
        size_t spoken = 0;
        for (size_t i = 0; i < WIRE_PEER_CLIENTS_MAX; i++) {
            spoken += p->clients[i] != NULL;
        }
        HOLDS(spoken <= WIRE_PEER_CLIENTS_MAX);
    }
    HOLDS(parked == hub->parked && untrusted == hub->untrusted_count);
    HOLDS(check_length(&hub->fetches) == hub->fetch_count && hub->fetch_count <= WIRE_FETCHES_MAX);
}

static void
check_replica(const struct replica *r)
{
    HOLDS(check_length(&r->running) == r->running_count);
    HOLDS(r->poll == NULL || (r->poll->replica == r && r->poll->state == SLOT_PARKED));
    HOLDS(r->control == NULL || (r->control->replica == r && r->control->state == SLOT_PARKED));
    HOLDS(r->taken <= r->work);
    HOLDS(r->heir == NULL || (r->heir->role == ROLE_HEIR && r->role == ROLE_PLACE));
    HOLDS(r->role != ROLE_LEAVING || !r->wanted);
    HOLDS(!r->waits || (r->wanted && r->life == LIFE_STOPPED && r->process == 0));
    HOLDS(r->life != LIFE_BUSY || r->running_count > 0);
    HOLDS(r->process != 0 || (r->running_count == 0 && r->session == 0));
    HOLDS(r->process != 0 || r->life == LIFE_STOPPED || r->life == LIFE_BACKOFF ||
          r->life == LIFE_FAILED);
    HOLDS(r->lease == NULL || (r->holder == r->lease->client && r->lease->only == r->index));
    HOLDS((r->holder != NULL && r->lease == NULL) == (r->lease_end.place != 0));
    HOLDS(r->deadline.place != 0 ||
          (r->life != LIFE_STARTING && r->life != LIFE_STOPPING && r->life != LIFE_BACKOFF));
}

/* How many wait in it. */
static size_t
check_queue(const struct queue *q)
{
    size_t count = 0;
    for (size_t p = 0; p <= WIRE_PRIORITY_MAX; p++) {
        HOLDS(list_is_empty(&q->lanes[p]) == ((q->used >> p & 1) == 0));
        for (const struct node *n = q->lanes[p].next; n != &q->lanes[p]; n = n->next) {
            const struct line *l = CONTAINER(n, struct line, link);
            HOLDS(l->queue == q && l->priority == p && l->count > 0);
            HOLDS(!l->served || q->lanes[p].next == n);
            HOLDS(check_length(&l->calls) == l->count);
            count += l->count;
        }
    }
    HOLDS(count == q->count);
    return count;
}

/* Every outcome is counted once. */
static void
check_tallies(const struct worker *w)
{
    uint64_t outcomes = 0;
    for (uint32_t i = 0; i < w->tallies.count; i++) {
        for (size_t code = 0; code < WIRE_ERR_COUNT; code++) {
            outcomes += w->tallies.list[i].outcomes[code];
        }
    }
    HOLDS(outcomes == w->calls_total);
}

static void
check_workers(const struct hub *hub)
{
    HOLDS(check_length(&hub->worker_list) == table_count(&hub->workers));
    for (const struct node *n = hub->worker_list.next; n != &hub->worker_list; n = n->next) {
        const struct worker *w = CONTAINER(n, struct worker, link);
        size_t queued = check_queue(&w->queue);
        bool room = false;
        for (uint32_t i = 0; i < w->replica_count; i++) {
            const struct replica *r = w->replicas[i];
            check_replica(r);
            if (r->heir != NULL) {
                check_replica(r->heir);
                HOLDS(r->heir->queue->count == 0);
            }
            queued += check_queue(r->queue);
            room |= r->holder == NULL && r->poll != NULL && r->poll_capacity > 0 &&
                    life_serves(r->life);
        }
        for (const struct node *k = w->leaving.next; k != &w->leaving; k = k->next) {
            const struct replica *r = CONTAINER(k, struct replica, leaving);
            check_replica(r);
            HOLDS(r->role == ROLE_LEAVING && r->queue->count == 0);
        }
        HOLDS(queued == w->queued);
        check_tallies(w);
        /* Nobody waits while somebody is free, once the turn is over. */
        HOLDS(!room || w->queue.count == 0 || !list_is_empty(&w->crowd));
    }
}

void
hub_check(const struct hub *hub)
{
    HOLDS(deadline_is_heap(&hub->deadlines));
    HOLDS(list_is_empty(&hub->due) && list_is_empty(&hub->finished));
    check_events(hub);
    check_peers(hub);
    check_clients(hub);
    check_workers(hub);
}
