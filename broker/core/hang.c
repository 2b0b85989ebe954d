/* Processes that hang: they have calls and tell nothing of any of them (max_busy), do not answer
 * when they have nothing to do (heartbeat), or have promised signs of life that do not come
 * (WATCHDOG=1 of a program made for a service manager). They are aborted, so that they may say
 * where they are, and killed; what follows is what follows a death.
 *
 * Who attaches is asked for a sign by an empty answer to its POLL, which every worker asks again at
 * once. One that has calls is not asked: it may rightly have no time. */
#include "broker/core/parts.h"

#include <stdio.h>

static void
set_vigil(struct hub *hub, struct replica *r, int64_t at_ns)
{
    if (!deadline_set(&hub->deadlines, &r->vigil, DEADLINE_VIGIL, at_ns)) {
        hub->failed = true;
    }
}

/* Calls whose caller has left or whose deadline has passed are no longer among those that it runs;
 * that it has done with them is told by its next POLL. */
static bool
is_at_work(const struct replica *r)
{
    return r->running_count > 0 || (r->engaged && r->poll == NULL);
}

static int64_t
busy_until(const struct replica *r)
{
    return r->spec->busy_ms_max > 0 && is_at_work(r)
               ? r->heard_ns + r->spec->busy_ms_max * NS_PER_MS
               : HUB_NEVER;
}

/* Nothing that it was given is wanted by anybody any more. */
static bool
is_left_alone(const struct replica *r)
{
    LIST_EACH(n, &r->running)
    {
        if (CONTAINER(n, struct call, running)->state != CALL_DONE) {
            return false;
        }
    }
    return true;
}

static int64_t
cancel_until(const struct replica *r)
{
    return r->spec->cancel_ms > 0 && r->left_ns > 0 && r->poll == NULL && is_at_work(r) &&
                   is_left_alone(r)
               ? r->left_ns + r->spec->cancel_ms * NS_PER_MS
               : HUB_NEVER;
}

static bool
can_be_asked(const struct replica *r)
{
    return r->session != 0 && !is_at_work(r);
}

/* Until when a sign of life has to be there, or when it is to be asked for. */
static int64_t
sign_until(const struct replica *r)
{
    const int64_t beat_ns = r->spec->heartbeat_ms * NS_PER_MS;
    if (beat_ns == 0) {
        return HUB_NEVER;
    }
    if (r->sign_ns > 0) {
        return r->sign_ns + beat_ns;
    }
    return r->asked_ns > 0 ? r->asked_ns + beat_ns / 2 : r->quiet_ns + beat_ns / 2;
}

static void
watch(struct hub *hub, struct replica *r)
{
    const int64_t busy = busy_until(r), sign = sign_until(r), cancel = cancel_until(r);
    const int64_t first = busy < sign ? busy : sign;
    const int64_t at_ns = cancel < first ? cancel : first;
    if (at_ns == HUB_NEVER || r->external) {
        deadline_clear(&hub->deadlines, &r->vigil);
    } else {
        set_vigil(hub, r, at_ns);
    }
}

void
hang_begin(struct hub *hub, struct replica *r)
{
    r->asked_ns = 0;
    r->engaged = false;
    r->left_ns = 0;
    r->quiet_ns = hub->now_ns;
    r->sign_ns = r->spec->ready == SPEC_READY_NOTIFY ? hub->now_ns : 0;
    watch(hub, r);
}

void
hang_changed(struct hub *hub, struct replica *r)
{
    if (life_serves(r->life) || r->life == LIFE_DRAINING) {
        watch(hub, r);
    }
}

void
hang_given(struct hub *hub, struct replica *r)
{
    r->heard_ns = hub->now_ns;
    r->engaged = true;
    r->left_ns = 0;
    if (r->spec->busy_ms_max > 0) {
        watch(hub, r);
    }
}

void
hang_left(struct hub *hub, struct replica *r)
{
    r->left_ns = hub->now_ns;
    if (r->spec->cancel_ms > 0) {
        watch(hub, r);
    }
}

void
hang_sign(struct hub *hub, struct replica *r)
{
    r->sign_ns = hub->now_ns;
    if (r->vigil.place != 0) {
        watch(hub, r);
    }
}

static void
hung(struct hub *hub, struct replica *r, const char *what, int64_t ms, const char *option)
{
    (void)snprintf(r->last_reason, sizeof r->last_reason, "hung: %s for %lld ms (%s)", what,
                   (long long)ms, option);
    life_step(hub, r, LIFE_IN_HUNG);
}

/* Nothing was due but the question. */
static void
ask(struct hub *hub, struct replica *r)
{
    r->quiet_ns = hub->now_ns;
    if (can_be_asked(r)) {
        r->asked_ns = hub->now_ns;
        if (r->poll != NULL) {
            serve_work(hub, r);
        }
    }
    watch(hub, r);
}

void
hang_expired(struct hub *hub, struct replica *r)
{
    if (!life_serves(r->life) && r->life != LIFE_DRAINING) {
        return;
    }
    if (busy_until(r) <= hub->now_ns) {
        hung(hub, r, "told nothing of its calls", r->spec->busy_ms_max, "max_busy");
    } else if (cancel_until(r) <= hub->now_ns) {
        hung(hub, r, "nobody waits for what it works at", r->spec->cancel_ms, "cancel");
    } else if (sign_until(r) > hub->now_ns) {
        watch(hub, r);
    } else if (r->sign_ns > 0) {
        hung(hub, r, "no WATCHDOG=1", r->spec->heartbeat_ms, "heartbeat");
    } else if (r->asked_ns > 0) {
        hung(hub, r, "did not answer", r->spec->heartbeat_ms / 2, "heartbeat");
    } else {
        ask(hub, r);
    }
}
