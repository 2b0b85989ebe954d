/* The invariants of the core, asserted by tests after each step. Deliberately written from the
 * structures alone, without the functions that keep them. */
#include "broker/core/state.h"

#include <assert.h>

#define HOLDS(condition) assert(condition)

static size_t
length(const struct node *head)
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
    HOLDS(c->deadline.place != 0 || hub->failed || (c->state == CALL_DONE));
    HOLDS(c->state != CALL_QUEUED || (c->replica == NULL && !list_is_empty(&c->queued)) ||
          c->worker == NULL);
    HOLDS(c->state != CALL_GIVEN || c->replica != NULL);
    HOLDS((c->replica != NULL) == !list_is_empty(&c->running));
    HOLDS(c->state != CALL_DONE || list_is_empty(&c->waiters));
    HOLDS(c->state != CALL_DONE || c->args.cap == 0);
    HOLDS(c->runs <= (c->policy == POLICY_ONCE ? 1 : 2));
}

static void
check_clients(const struct hub *hub)
{
    size_t calls = 0, unfinished = 0, bytes = 0;
    for (const struct table_entry *e = hub->clients.head; e != NULL; e = e->hh.next) {
        const struct client *c = CONTAINER(e, struct client, entry);
        size_t open = 0;
        HOLDS(length(&c->calls) == c->call_count);
        for (const struct node *n = c->calls.next; n != &c->calls; n = n->next) {
            const struct call *call = CONTAINER(n, struct call, of_client);
            HOLDS(call->client == c);
            check_call(hub, call);
            open += call->state != CALL_DONE;
            bytes += call->charged;
        }
        HOLDS(open == c->unfinished);
        HOLDS((c->present == 0) == !list_is_empty(&c->idle));
        HOLDS(c->present > 0 || c->deadline.place != 0 || hub->failed);
        calls += c->call_count;
        unfinished += open;
    }
    HOLDS(calls == hub->call_count && calls == table_count(&hub->calls));
    HOLDS(calls == table_count(&hub->numbers));
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
        HOLDS(length(&p->tickets) == p->ticket_count);
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
    HOLDS(length(&hub->fetches) == hub->fetch_count && hub->fetch_count <= WIRE_FETCHES_MAX);
}

static void
check_replica(const struct replica *r)
{
    HOLDS(length(&r->running) == r->running_count);
    HOLDS(r->poll == NULL || (r->poll->replica == r && r->poll->state == SLOT_PARKED));
    HOLDS(r->control == NULL || (r->control->replica == r && r->control->state == SLOT_PARKED));
    HOLDS(r->taken <= r->work);
    HOLDS(r->life != LIFE_BUSY || r->running_count > 0);
    HOLDS(r->process != 0 || (r->running_count == 0 && r->session == 0));
    HOLDS(r->process != 0 || r->life == LIFE_STOPPED || r->life == LIFE_BACKOFF ||
          r->life == LIFE_FAILED);
    HOLDS(r->deadline.place != 0 ||
          (r->life != LIFE_STARTING && r->life != LIFE_STOPPING && r->life != LIFE_BACKOFF));
}

static void
check_workers(const struct hub *hub)
{
    HOLDS(length(&hub->worker_list) == table_count(&hub->workers));
    for (const struct node *n = hub->worker_list.next; n != &hub->worker_list; n = n->next) {
        const struct worker *w = CONTAINER(n, struct worker, link);
        size_t queued = length(&w->queue);
        bool room = false;
        for (uint32_t i = 0; i < w->replica_count; i++) {
            const struct replica *r = w->replicas[i];
            check_replica(r);
            queued += length(&r->queue);
            room |= r->poll != NULL && r->poll_capacity > 0 && life_serves(r->life);
        }
        HOLDS(queued == w->queued);
        /* Nobody waits while somebody is free, once the turn is over. */
        HOLDS(!room || list_is_empty(&w->queue) || !list_is_empty(&w->crowd));
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
