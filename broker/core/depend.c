/* Workers that stand on others: who starts only when others are so far, who starts again when
 * others do, and who ends before others when the hub does. Names are looked up each time, because
 * workers come and go; that there is no circle is the configuration's business. */
#include "broker/core/parts.h"

#include <stdio.h>
#include <string.h>

static const char *const whens[SPEC_WHEN_COUNT] = {
    [SPEC_WHEN_READY] = "ready",
    [SPEC_WHEN_STARTED] = "started",
    [SPEC_WHEN_COMPLETED] = "completed",
};

bool
depend_is_completed(const struct replica *r)
{
    return r->life == LIFE_STOPPED && r->wanted && !r->waits && r->has_last && r->last_status == 0;
}

static bool
is_replica_so_far(const struct replica *r, enum spec_when when)
{
    switch (when) {
    case SPEC_WHEN_STARTED:
        return life_serves(r->life) || (r->life == LIFE_STARTING && r->pid > 0) ||
               depend_is_completed(r);
    case SPEC_WHEN_READY:
        return life_serves(r->life);
    case SPEC_WHEN_COMPLETED:
        return depend_is_completed(r);
    case SPEC_WHEN_COUNT:
        break;
    }
    return false;
}

static bool
is_so_far(const struct worker *w, enum spec_when when)
{
    for (uint32_t i = 0; i < w->spec->replicas; i++) {
        if (!is_replica_so_far(w->replicas[i], when)) {
            return false;
        }
    }
    return w->spec->replicas > 0;
}

/* Whether it may still come so far by itself. */
static bool
may_come(const struct worker *w)
{
    for (uint32_t i = 0; i < w->spec->replicas; i++) {
        if (life_has_hope(w->replicas[i])) {
            return true;
        }
    }
    return false;
}

bool
depend_waits(struct hub *hub, struct replica *r)
{
    const struct worker_spec *spec = r->worker->spec;
    r->waits = r->hopeless = false;
    for (uint32_t i = 0; i < spec->depend_count && r->role == ROLE_PLACE; i++) {
        const struct spec_other *other = &spec->depends[i];
        const struct worker *w = worker_find(hub, span_text(other->worker));
        if (w == NULL || !is_so_far(w, other->when)) {
            (void)snprintf(r->last_reason, sizeof r->last_reason, "waits for %s to be %s",
                           other->worker, whens[other->when]);
            r->waits = true;
            r->hopeless = w == NULL || !may_come(w);
            return true;
        }
    }
    return false;
}

bool
depend_has_hope(const struct replica *r)
{
    return !r->hopeless;
}

static bool
stands_on(const struct spec_other *list, uint32_t count, const struct worker *w)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i].worker, w->spec->name) == 0) {
            return true;
        }
    }
    return false;
}

/* Those who wait for this worker look again. */
static void
look_again(struct hub *hub, const struct worker *changed)
{
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        if (!stands_on(w->spec->depends, w->spec->depend_count, changed)) {
            continue;
        }
        for (uint32_t i = 0; i < w->spec->replicas; i++) {
            if (w->replicas[i]->waits) {
                life_step(hub, w->replicas[i], LIFE_IN_START);
            }
        }
        route_sweep(hub, w);
    }
}

void
depend_restarted(struct hub *hub, struct worker *restarted)
{
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        if (w == restarted ||
            !stands_on(w->spec->restart_with, w->spec->restart_with_count, restarted)) {
            continue;
        }
        for (uint32_t i = 0; i < w->spec->replicas; i++) {
            struct replica *r = w->replicas[i];
            if (r->wanted && r->process != 0 && !r->external) {
                life_step(hub, r, LIFE_IN_STOP);
                life_step(hub, r, LIFE_IN_START);
            }
        }
    }
}

static bool
has_ended(const struct replica *r)
{
    return r->life == LIFE_STOPPED || r->life == LIFE_FAILED || r->life == LIFE_STUCK;
}

bool
depend_has_ended(const struct worker *w)
{
    LIST_EACH(n, &w->leaving)
    {
        if (!has_ended(CONTAINER(n, struct replica, leaving))) {
            return false;
        }
    }
    for (uint32_t i = 0; i < w->replica_count; i++) {
        if (!has_ended(w->replicas[i]) || w->replicas[i]->heir != NULL) {
            return false;
        }
    }
    return true;
}

/* Nobody that is left stands on it. */
static bool
is_free(const struct hub *hub, const struct worker *w)
{
    LIST_EACH(n, &hub->worker_list)
    {
        const struct worker *other = CONTAINER(n, struct worker, link);
        if (stands_on(other->spec->depends, other->spec->depend_count, w) &&
            !depend_has_ended(other)) {
            return false;
        }
    }
    return true;
}

void
depend_stop(struct hub *hub)
{
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        if (w->told_to_end || !is_free(hub, w)) {
            continue;
        }
        w->told_to_end = true;
        for (uint32_t i = 0; i < w->replica_count; i++) {
            w->replicas[i]->wanted = false;
            life_step(hub, w->replicas[i], LIFE_IN_STOP);
        }
    }
}

void
depend_changed(struct hub *hub, struct replica *r, enum life was)
{
    const bool ran = was != LIFE_STOPPED && was != LIFE_BACKOFF && was != LIFE_FAILED;
    if (hub->stopping) {
        depend_stop(hub);
        return;
    }
    if (r->role != ROLE_PLACE) {
        return;
    }
    if (ran && (r->life == LIFE_BACKOFF || (r->life == LIFE_STARTING && was != LIFE_STARTING))) {
        depend_restarted(hub, r->worker);
    }
    look_again(hub, r->worker);
}
