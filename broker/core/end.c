/* The end of a process: what its exit status means, whether it is started again and when, and what
 * becomes of the calls it had. The status is a contract that workers can rely on (exit.def, which
 * is printed into the documentation). */
#include "broker/core/parts.h"

#include <stdio.h>
#include <string.h>

/* What an exit code means where it is more than a failure. */
static const struct {
    int code;
    enum verdict verdict;
} verdicts[] = {
#define EXIT_CODE(code, verdict, meaning) {code, VERDICT_##verdict},
#include "broker/core/exit.def"
#undef EXIT_CODE
};

enum verdict
end_judge(int32_t status)
{
    if ((status & 0x7f) != 0) {
        return VERDICT_DEATH; /* by a signal */
    }
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        if (verdicts[i].code == (status >> 8 & 0xff)) {
            return verdicts[i].verdict;
        }
    }
    return VERDICT_DEATH;
}

void
end_write_reason(struct replica *r, int32_t status, bool out_of_memory)
{
    const char *late = r->overdue ? " after it did not get ready in time" : "";
    if (r->hung) {
        return; /* why it was aborted says more than how it ended */
    }
    if (r->external) {
        (void)snprintf(r->last_reason, sizeof r->last_reason,
                       "the process that was started by hand has ended");
        return;
    }
    if (out_of_memory && !r->killed) {
        (void)snprintf(r->last_reason, sizeof r->last_reason,
                       "killed by the kernel: out of memory");
    } else if ((status & 0x7f) != 0) {
        const char *dumped = (status & 0x80) != 0 ? ", core dumped" : "";
        (void)snprintf(r->last_reason, sizeof r->last_reason, "killed by signal %d%s%s",
                       (int)(status & 0x7f), dumped, late);
    } else {
        (void)snprintf(r->last_reason, sizeof r->last_reason, "exited with %d%s",
                       (int)(status >> 8 & 0xff), late);
    }
}

/* Whether there are more deaths in the window than may be. */
static bool
is_crash_loop(struct hub *hub, struct replica *r)
{
    const struct worker_spec *spec = r->worker->spec;
    const int64_t since = hub->now_ns - spec->restart_window_ms * NS_PER_MS;
    const uint32_t cap = r->deaths_cap; /* of what its process was made from, not of its worker */
    r->deaths[r->death_count++ % cap] = hub->now_ns;
    return r->death_count >= cap && r->deaths[r->death_count % cap] >= since;
}

static int64_t
backoff_ms(struct hub *hub, struct replica *r)
{
    const struct worker_spec *spec = r->worker->spec;
    const bool lasted =
        r->ready_ns > 0 && hub->now_ns - r->ready_ns > spec->restart_window_ms * NS_PER_MS;
    r->death_row = lasted ? 0 : r->death_row;
    int64_t ms = spec->restart_delay_ms;
    for (uint32_t i = 0; i < r->death_row && ms < spec->restart_delay_ms_max; i++) {
        ms *= 2;
    }
    r->death_row++;
    if (ms > spec->restart_delay_ms_max) {
        ms = spec->restart_delay_ms_max;
    }
    /* From half to one and a half, so that replicas that died together do not come back together.
     */
    return ms / 2 + (int64_t)(hub_draw(hub) % (uint64_t)(ms + 1));
}

static enum life
again(struct hub *hub, struct replica *r)
{
    life_set_deadline(hub, r, backoff_ms(hub, r));
    r->restarts++;
    metrics_restart(r);
    return LIFE_BACKOFF;
}

static enum life
follow(struct hub *hub, struct replica *r, enum verdict verdict)
{
    const enum spec_restart policy = r->worker->spec->restart;
    if (!r->wanted) {
        return LIFE_STOPPED;
    }
    if (verdict == VERDICT_NEVER || (verdict != VERDICT_CLEAN && policy == SPEC_RESTART_NO)) {
        return LIFE_FAILED;
    }
    if (verdict == VERDICT_CLEAN && policy != SPEC_RESTART_ALWAYS) {
        return LIFE_STOPPED;
    }
    if (verdict != VERDICT_AGAIN && is_crash_loop(hub, r)) {
        return LIFE_FAILED;
    }
    return again(hub, r);
}

/* Items that were given away cannot be taken back, and whoever killed twice gets no third try. */
static bool
may_run_again(struct hub *hub, const struct call *call)
{
    return call->state == CALL_GIVEN && call->policy != POLICY_ONCE && call->runs < 2 &&
           (call->items == NULL || call->items->end == 0) && !poison_is(hub, call);
}

void
life_write_words(const struct hub *hub, struct buf *b)
{
    if (hub->last_words.len > 0) {
        write_raw(b, hub->last_words);
    } else {
        write_array(b, 0);
    }
}

void
life_end_calls(struct hub *hub, struct replica *r, const char *why, bool died)
{
    struct buf details = {0};
    char name[WIRE_NAME_BYTES_MAX + 16];
    replica_name(r, name);
    const int signal = died ? r->last_status & 0x7f : 0;
    const bool has_log = died && hub->last_words.len > 0;
    write_map(&details, 1u + died + (signal != 0) + has_log);
    write_text(&details, "replica");
    write_text(&details, name);
    if (died) {
        write_text(&details, "reason");
        write_text(&details, r->last_reason);
    }
    if (signal != 0) {
        write_text(&details, "signal");
        write_uint(&details, (uint64_t)signal);
    }
    if (has_log) {
        write_text(&details, "log");
        life_write_words(hub, &details);
    }
    LIST_EACH(n, &r->running)
    {
        struct call *call = CONTAINER(n, struct call, running);
        list_remove(&call->running);
        r->running_count--;
        call->replica = NULL;
        if (may_run_again(hub, call)) {
            nest_again(hub, call);
            route_again(hub, call);
            continue;
        }
        call_failure(hub, call,
                     &(struct failure){WIRE_ERR_ABORTED, WIRE_BEGAN_MAYBE, span_text(why),
                                       details.failed ? (struct span){0} : buf_span(&details)});
        call_settle(hub, call);
    }
    buf_deinit(&details);
}

/* It had the place, or was to get it, and was told to end by a stop that is followed by a start. */
static bool
is_restart(const struct replica *r, enum verdict verdict)
{
    const bool told = r->life == LIFE_STOPPING || r->life == LIFE_DRAINING;
    return r->wanted && told && !r->overdue && !r->hung && !r->external && verdict != VERDICT_NEVER;
}

static enum life
next_life(struct hub *hub, struct replica *r, enum verdict verdict)
{
    if (r->role == ROLE_HEIR || r->external) {
        r->wanted = false; /* another heir will be made (heir.c); its starter may come again */
    }
    if (!is_restart(r, verdict)) {
        return follow(hub, r, verdict);
    }
    return depend_waits(hub, r) ? LIFE_STOPPED : LIFE_STARTING;
}

enum life
end_take(struct hub *hub, struct replica *r, enum verdict verdict)
{
    const bool told = r->life == LIFE_STOPPING || r->life == LIFE_DRAINING;
    const bool own_fault = r->hung || (!r->killed && r->life != LIFE_STOPPING);
    verdict = r->hung ? VERDICT_DEATH : verdict;
    deadline_clear(&hub->deadlines, &r->deadline);
    deadline_clear(&hub->deadlines, &r->renewal);
    deadline_clear(&hub->deadlines, &r->vigil);
    serve_detach(hub, r);
    r->ack_count = 0;
    buf_reset(&r->commands, 0);
    r->command_count = 0;
    lease_end(hub, r, "the replica died");
    if (verdict == VERDICT_DEATH && own_fault) {
        poison_blame(hub, r);
    }
    life_end_calls(hub, r, "the worker died while it had the call", true);
    (void)life_set_process(hub, r, 0); /* taking it away cannot fail */
    r->worker->restarts[RESTART_asked] += is_restart(r, verdict);
    if ((verdict == VERDICT_DEATH || verdict == VERDICT_NEVER) && (!told || r->hung)) {
        memcpy(r->last_error, r->last_reason, sizeof r->last_error);
    }
    r->asked[0] = told && !r->hung ? r->asked[0] : '\0';
    r->life = next_life(hub, r, verdict);
    life_tell(hub, r, HUB_EVENT_worker_exited);
    r->pid = 0;
    r->ready_ns = 0;
    r->external = false;
    r->said[0] = '\0';
    return r->life;
}
