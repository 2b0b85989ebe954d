/* A process takes the place of another one that still serves: it is started beside it, and gets its
 * place, its name and the calls that wait for it alone when it is ready. Then the old one may end
 * the calls that it has. So nothing has to wait while a process is renewed, and when the new one
 * does not get ready nothing has happened (the rolling restart of unicorn and systemd's
 * "start-first" of container schedulers are the models). */
#include "broker/core/state.h"

#include <stdio.h>
#include <string.h>

bool
heir_make(struct hub *hub, struct replica *r, const char *why)
{
    struct replica *h = replica_new(r->worker, r->index);
    if (h == NULL) {
        return false;
    }
    h->role = ROLE_HEIR;
    h->wanted = true;
    h->incarnation = r->incarnation;
    h->restarts = r->restarts;
    h->calls_done = r->calls_done;
    (void)snprintf(h->why, sizeof h->why, "%s", why);
    r->heir = h;
    life_step(hub, h, LIFE_IN_START);
    return true;
}

/* It ends what it has, and is forgotten. */
static void
leave(struct hub *hub, struct replica *r)
{
    r->role = ROLE_LEAVING;
    r->wanted = false;
    list_append(&r->worker->leaving, &r->leaving);
    life_step(hub, r, LIFE_IN_STOP);
}

void
heir_takes_over(struct hub *hub, struct replica *h)
{
    struct worker *w = h->worker;
    struct replica *old = w->replicas[h->index];
    struct queue *queue = h->queue;
    h->queue = old->queue;
    old->queue = queue;
    h->role = ROLE_PLACE;
    h->wanted = old->wanted;
    old->heir = NULL;
    (void)snprintf(old->last_reason, sizeof old->last_reason, "%s", h->why);
    life_tell(hub, old, HUB_EVENT_worker_replaced);
    w->replicas[h->index] = h;
    w->restarts[RESTART_renewed]++;
    leave(hub, old);
    depend_restarted(hub, w);
    route_sweep(hub, w);
    route_soon(hub, w);
    renew_roll(hub, w);
}

void
heir_beside(struct hub *hub, struct replica *stuck)
{
    struct worker *w = stuck->worker;
    const bool wanted = stuck->wanted && !hub->stopping;
    if (!stuck->spec->replace_stuck || stuck->role != ROLE_PLACE || stuck->heir != NULL ||
        !wanted) {
        return;
    }
    struct replica *r = replica_new(w, stuck->index);
    if (r == NULL) {
        hub->failed = true;
        return;
    }
    struct queue *queue = r->queue;
    r->queue = stuck->queue;
    stuck->queue = queue;
    r->wanted = true;
    r->incarnation = stuck->incarnation;
    r->restarts = stuck->restarts + 1;
    r->calls_done = stuck->calls_done;
    w->replicas[r->index] = r;
    stuck->role = ROLE_LEAVING;
    stuck->wanted = false;
    list_append(&w->leaving, &stuck->leaving);
    lease_end(hub, stuck, "the replica is stuck");
    life_step(hub, r, LIFE_IN_START);
}

void
heir_stop(struct hub *hub, struct replica *r)
{
    struct replica *h = r->heir;
    r->heir = NULL;
    leave(hub, h);
}

void
heir_drop(struct replica *r)
{
    r->heir->role = ROLE_LEAVING;
    list_append(&r->worker->leaving, &r->heir->leaving);
    r->heir = NULL;
}
