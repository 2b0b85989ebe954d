/* A process takes the place of another one that still serves: it is started beside it, and gets its
 * place, its name and the calls that wait for it alone when it is ready. Then the old one may end
 * the calls that it has. So nothing has to wait while a process is renewed, and when the new one
 * does not get ready nothing has happened (the rolling restart of unicorn and systemd's
 * "start-first" of container schedulers are the models). */
#include "broker/core/parts.h"

#include <stdio.h>
#include <string.h>

/* One more of the same number, which goes on counting where the other one is. NULL when memory is
 * out. */
static struct replica *
make_beside(const struct replica *r)
{
    struct replica *other = replica_new(r->worker, r->index);
    if (other != NULL) {
        other->wanted = true;
        other->incarnation = r->incarnation;
        other->restarts = r->restarts;
        other->calls_done = r->calls_done;
    }
    return other;
}

/* The place, and the calls that wait for who has it. */
static void
give_place(struct replica *from, struct replica *to)
{
    struct queue *queue = to->queue;
    to->queue = from->queue;
    from->queue = queue;
    to->worker->replicas[to->index] = to;
}

/* It has no place any more, and is forgotten when its process is gone. */
static void
join_leaving(struct replica *r)
{
    r->role = ROLE_LEAVING;
    r->wanted = false;
    list_append(&r->worker->leaving, &r->leaving);
}

bool
heir_make(struct hub *hub, struct replica *r, const char *why)
{
    struct replica *h = make_beside(r);
    if (h == NULL) {
        return false;
    }
    h->role = ROLE_HEIR;
    (void)snprintf(h->why, sizeof h->why, "%s", why);
    r->heir = h;
    life_step(hub, h, LIFE_IN_START);
    return true;
}

/* It ends what it has, and is forgotten. */
static void
leave(struct hub *hub, struct replica *r)
{
    join_leaving(r);
    life_step(hub, r, LIFE_IN_STOP);
}

void
heir_takes_over(struct hub *hub, struct replica *h)
{
    struct worker *w = h->worker;
    struct replica *old = w->replicas[h->index];
    h->role = ROLE_PLACE;
    h->wanted = old->wanted;
    old->heir = NULL;
    (void)snprintf(old->last_reason, sizeof old->last_reason, "%s", h->why);
    life_tell(hub, old, HUB_EVENT_worker_replaced);
    give_place(old, h);
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
    const bool wanted = stuck->wanted && !hub->stopping;
    if (!stuck->spec->replace_stuck || stuck->role != ROLE_PLACE || stuck->heir != NULL ||
        !wanted) {
        return;
    }
    struct replica *r = make_beside(stuck);
    if (r == NULL) {
        hub->failed = true;
        return;
    }
    r->restarts++;
    give_place(stuck, r);
    join_leaving(stuck);
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
    join_leaving(r->heir);
    r->heir = NULL;
}
