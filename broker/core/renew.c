/* Processes that are replaced though they are well: because of what they have done (max_calls,
 * max_age, max_memory), or because their worker is to be another one (reload.c). The second goes
 * from replica to replica, and back when the first new process does not get ready. */
#include "broker/core/parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NOBODY UINT32_MAX /* no replica has this number */
enum { LOOK_MS = 2000 };

/* ---- because of what it has done --------------------------------------------------------------
 */

static bool
is_due(const struct replica *r, char why[96])
{
    const struct worker_spec *spec = r->spec;
    const uint64_t calls = r->calls_done - r->calls_before;
    if (spec->calls_max > 0 && calls >= spec->calls_max) {
        (void)snprintf(why, 96, "renewed after %llu calls (max_calls)", (unsigned long long)calls);
        return true;
    }
    if (spec->memory_bytes_max > 0 && r->rss_bytes > spec->memory_bytes_max) {
        (void)snprintf(why, 96, "renewed at %llu MiB (max_memory)",
                       (unsigned long long)(r->rss_bytes >> 20));
        return true;
    }
    if (r->aged) {
        (void)snprintf(why, 96, "renewed because of its age (max_age)");
        return true;
    }
    return false;
}

static void
stop_and_start(struct hub *hub, struct replica *r, const char *why)
{
    (void)snprintf(r->last_reason, sizeof r->last_reason, "%s", why);
    life_tell(hub, r, HUB_EVENT_worker_replaced);
    life_step(hub, r, LIFE_IN_STOP);
    life_step(hub, r, LIFE_IN_START);
}

void
renew_check(struct hub *hub, struct replica *r)
{
    char why[96];
    const bool may = r->role == ROLE_PLACE && r->wanted && life_serves(r->life) &&
                     r->heir == NULL && r->holder == NULL && !r->external && !r->worker->rolling &&
                     !hub->stopping && r->renewal_wait_ns <= hub->now_ns;
    if (!may || !is_due(r, why)) {
        return;
    }
    if (r->spec->stop_first) {
        stop_and_start(hub, r, why);
    } else {
        hub->failed |= !heir_make(hub, r, why);
    }
}

static void
look_again(struct hub *hub, struct replica *r, int64_t at_ns)
{
    if (!deadline_set(&hub->deadlines, &r->renewal, DEADLINE_RENEWAL, at_ns)) {
        hub->failed = true;
    }
}

void
renew_begin(struct hub *hub, struct replica *r)
{
    const int64_t age_ms = r->spec->age_ms_max;
    r->aged = false;
    r->renewal_wait_ns = 0;
    if (age_ms > 0) {
        /* Up to a tenth earlier, so that those that started together are not renewed together. */
        const uint64_t early_ms = hub_draw(hub) % ((uint64_t)age_ms / 10 + 1);
        look_again(hub, r, hub->now_ns + (age_ms - (int64_t)early_ms) * NS_PER_MS);
    }
    if (r->role == ROLE_PLACE) {
        renew_roll(hub, r->worker);
    }
}

void
renew_expired(struct hub *hub, struct replica *r)
{
    r->aged |= r->renewal_wait_ns == 0; /* else it is the second try for another reason */
    r->renewal_wait_ns = 0;
    renew_check(hub, r);
}

/* ---- memory -----------------------------------------------------------------------------------
 */

static bool
is_watched(const struct hub *hub)
{
    LIST_EACH(n, &hub->worker_list)
    {
        if (CONTAINER(n, struct worker, link)->spec->memory_bytes_max > 0) {
            return true;
        }
    }
    return false;
}

void
renew_watch(struct hub *hub)
{
    if (hub->usage_due.place == 0 && !hub->stopping && is_watched(hub) &&
        !deadline_set(&hub->deadlines, &hub->usage_due, DEADLINE_USAGE,
                      hub->now_ns + LOOK_MS * (int64_t)NS_PER_MS)) {
        hub->failed = true;
    }
}

void
renew_look(struct hub *hub)
{
    (void)usage_ask(hub, 0, false); /* there may be no process: then nothing comes */
    renew_watch(hub);
}

void
renew_looked(struct hub *hub)
{
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        for (uint32_t i = 0; i < w->replica_count && w->spec->memory_bytes_max > 0; i++) {
            renew_check(hub, w->replicas[i]);
        }
    }
}

/* ---- because its worker is another one now ----------------------------------------------------
 */

static bool
is_coming(const struct replica *r)
{
    return life_has_hope(r) && !r->waits && !r->external && !life_serves(r->life);
}

/* One without a process takes what its worker is now, and what failed before is tried anew. */
static void
take_over(struct hub *hub, struct replica *r)
{
    if (!replica_take_spec(r, r->worker->spec)) {
        hub->failed = true;
    } else if (r->wanted && (r->life == LIFE_FAILED || r->life == LIFE_BACKOFF)) {
        life_step(hub, r, LIFE_IN_START);
    }
}

/* The next process of this replica is made from the new specification. false: it has to wait. */
static bool
roll_one(struct hub *hub, struct replica *r)
{
    static const char why[] = "replaced because the configuration changed";
    struct worker *w = r->worker;
    switch (r->life) {
    case LIFE_STOPPED:
    case LIFE_BACKOFF:
    case LIFE_FAILED:
        take_over(hub, r);
        return true;
    case LIFE_DRAINING:
    case LIFE_STOPPING:
        return false; /* the end of its process goes on with this */
    case LIFE_STUCK:
        return true;
    case LIFE_STARTING:
    case LIFE_READY:
    case LIFE_BUSY:
        break;
    case LIFE_COUNT:
        assert(false && "a state of no replica");
    }
    if (r->external) {
        return true; /* whoever started it knows what it is */
    }
    if (r->holder != NULL) {
        return false; /* the end of the lease goes on with this */
    }
    w->rolled = r->index;
    if (w->spec->stop_first || r->life == LIFE_STARTING) {
        stop_and_start(hub, r, why);
    } else {
        hub->failed |= !heir_make(hub, r, why);
    }
    return false;
}

static void
rolled_out(struct worker *w)
{
    w->rolling = false;
    spec_unref(w->former);
    w->former = NULL;
    w->rolled = NOBODY;
}

void
renew_roll(struct hub *hub, struct worker *w)
{
    if (!w->rolling || hub->stopping) {
        return;
    }
    for (uint32_t i = 0; i < w->replica_count && i < w->spec->replicas; i++) {
        struct replica *r = w->replicas[i];
        if (r->heir != NULL) {
            return; /* one at a time */
        }
        /* One that was just starting anyway shows as well as any other whether the new one works.
         */
        if (r->spec == w->spec && is_coming(r) && (i == w->rolled || !r->was_ready)) {
            w->rolled = i;
            return;
        }
        if (r->spec != w->spec && !roll_one(hub, r)) {
            return;
        }
    }
    rolled_out(w);
}

void
renew_to(struct hub *hub, struct worker *w, struct worker_spec *spec)
{
    spec_unref(w->former);
    w->former = w->spec;
    w->spec = spec;
    w->rolling = true;
    w->rolled = NOBODY;
    renew_roll(hub, w);
}

static void
roll_back(struct hub *hub, struct worker *w, const struct replica *failed)
{
    if (w->former == NULL) {
        rolled_out(w); /* neither the new nor the old one: those that run go on */
        return;
    }
    const uint32_t replicas = w->former->replicas;
    reload_note_back(hub, w, failed->last_reason);
    life_tell(hub, failed, HUB_EVENT_worker_rolled_back);
    spec_unref(w->spec);
    w->spec = w->former;
    w->former = NULL;
    w->rolled = NOBODY;
    (void)worker_resize(hub, w,
                        replicas); /* mostly as it is; without memory as many as there are */
    renew_roll(hub, w);
}

void
renew_ended(struct hub *hub, struct replica *r, bool told)
{
    struct worker *w = r->worker;
    const bool is_new = w->rolling && r->spec == w->spec && r->index == w->rolled;
    const bool failed = is_new && !told && !r->was_ready && r->role != ROLE_LEAVING;
    if (r->role == ROLE_HEIR) {
        struct replica *old = w->replicas[r->index];
        life_tell(hub, r, HUB_EVENT_worker_kept);
        old->renewal_wait_ns = hub->now_ns + r->spec->restart_delay_ms_max * NS_PER_MS;
        look_again(hub, old, old->renewal_wait_ns);
        heir_drop(old);
    }
    if (failed) {
        roll_back(hub, w, r);
    } else {
        renew_roll(hub, w);
    }
}
