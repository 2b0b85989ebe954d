/* The life of a replica: one table, and what its actions do.
 *
 * A replica has a state and a wish (`wanted`): start and stop change the wish, the table says how
 * the state follows it. Nothing here waits: every state that can last too long has a deadline. */
#include "broker/core/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum action {
    ACT_IMPOSSIBLE, /* the zero cell, so that an empty one cannot hide */
    ACT_NONE,
    ACT_SPAWN,
    ACT_ALIVE,   /* the process runs: wait for ATTACH, or be ready at once */
    ACT_NOTED,   /* it runs, and was quicker to attach than the spawner to tell */
    ACT_SERVE,   /* it is ready */
    ACT_DRAIN,   /* no new calls; the running ones may end */
    ACT_TERM,    /* ask the process to end */
    ACT_HURRY,   /* it did not: kill it, and give up when even that does not help */
    ACT_KILL,    /* it did not get ready in time */
    ACT_ENDED,   /* its process is gone: decide what follows */
    ACT_REFUSED, /* there was no process: decide what follows */
    ACT_RESET,   /* forget what it failed at, and spawn */
};

struct cell {
    uint8_t next, action;
};

/* next is what follows unless the action decides. */
#define S(state) LIFE_##state
static const struct cell table[LIFE_COUNT][LIFE_IN_COUNT] =
    {
        [S(STOPPED)] =
            {
                [LIFE_IN_START] = {S(STARTING), ACT_RESET},
                [LIFE_IN_STOP] = {S(STOPPED), ACT_NONE},
                [LIFE_IN_IDLE] = {S(STOPPED), ACT_NONE},
            },
        [S(STARTING)] =
            {
                [LIFE_IN_START] = {S(STARTING), ACT_NONE},
                [LIFE_IN_STOP] = {S(STOPPING), ACT_TERM},
                [LIFE_IN_STARTED] = {S(STARTING), ACT_ALIVE},
                [LIFE_IN_NOT_STARTED] = {S(STOPPED), ACT_REFUSED},
                [LIFE_IN_ATTACHED] = {S(READY), ACT_SERVE},
                [LIFE_IN_IDLE] = {S(STARTING), ACT_NONE},
                [LIFE_IN_EXITED] = {S(STOPPED), ACT_ENDED},
                [LIFE_IN_TIMEOUT] = {S(STOPPING), ACT_KILL},
            },
        [S(READY)] =
            {
                [LIFE_IN_START] = {S(READY), ACT_NONE},
                [LIFE_IN_STOP] = {S(DRAINING), ACT_DRAIN},
                [LIFE_IN_STARTED] = {S(READY), ACT_NOTED},
                [LIFE_IN_NOT_STARTED] = {S(STOPPED), ACT_REFUSED},
                [LIFE_IN_ATTACHED] = {S(READY), ACT_NONE},
                [LIFE_IN_GIVEN] = {S(BUSY), ACT_NONE},
                [LIFE_IN_IDLE] = {S(READY), ACT_NONE},
                [LIFE_IN_EXITED] = {S(STOPPED), ACT_ENDED},
            },
        [S(BUSY)] =
            {
                [LIFE_IN_START] = {S(BUSY), ACT_NONE},
                [LIFE_IN_STOP] = {S(DRAINING), ACT_DRAIN},
                [LIFE_IN_STARTED] = {S(BUSY), ACT_NOTED},
                [LIFE_IN_NOT_STARTED] = {S(STOPPED), ACT_REFUSED},
                [LIFE_IN_ATTACHED] = {S(BUSY), ACT_NONE},
                [LIFE_IN_GIVEN] = {S(BUSY), ACT_NONE},
                [LIFE_IN_IDLE] = {S(READY), ACT_NONE},
                [LIFE_IN_EXITED] = {S(STOPPED), ACT_ENDED},
            },
        [S(DRAINING)] =
            {
                [LIFE_IN_START] = {S(DRAINING), ACT_NONE},
                [LIFE_IN_STOP] = {S(DRAINING), ACT_NONE},
                [LIFE_IN_STARTED] = {S(DRAINING), ACT_NOTED},
                [LIFE_IN_NOT_STARTED] = {S(STOPPED), ACT_REFUSED},
                [LIFE_IN_ATTACHED] = {S(DRAINING), ACT_NONE},
                [LIFE_IN_IDLE] = {S(STOPPING), ACT_TERM},
                [LIFE_IN_EXITED] = {S(STOPPED), ACT_ENDED},
                [LIFE_IN_TIMEOUT] = {S(STOPPING), ACT_TERM},
            },
        [S(STOPPING)] =
            {
                [LIFE_IN_START] = {S(STOPPING), ACT_NONE},
                [LIFE_IN_STOP] = {S(STOPPING), ACT_NONE},
                [LIFE_IN_STARTED] = {S(STOPPING), ACT_TERM},
                [LIFE_IN_NOT_STARTED] = {S(STOPPED), ACT_REFUSED},
                [LIFE_IN_ATTACHED] = {S(STOPPING), ACT_NONE},
                [LIFE_IN_IDLE] = {S(STOPPING), ACT_NONE},
                [LIFE_IN_EXITED] = {S(STOPPED), ACT_ENDED},
                [LIFE_IN_TIMEOUT] = {S(STOPPING), ACT_HURRY},
            },
        [S(BACKOFF)] =
            {
                [LIFE_IN_START] = {S(STARTING), ACT_RESET},
                [LIFE_IN_STOP] = {S(STOPPED), ACT_NONE},
                [LIFE_IN_IDLE] = {S(BACKOFF), ACT_NONE},
                [LIFE_IN_TIMEOUT] = {S(STARTING), ACT_SPAWN},
            },
        [S(FAILED)] =
            {
                [LIFE_IN_START] = {S(STARTING), ACT_RESET},
                [LIFE_IN_STOP] = {S(STOPPED), ACT_NONE},
                [LIFE_IN_IDLE] = {S(FAILED), ACT_NONE},
            },
        [S(STUCK)] =
            {
                [LIFE_IN_START] = {S(STUCK), ACT_NONE},
                [LIFE_IN_STOP] = {S(STUCK), ACT_NONE},
                [LIFE_IN_STARTED] = {S(STUCK), ACT_NOTED},
                [LIFE_IN_NOT_STARTED] = {S(STOPPED), ACT_REFUSED},
                [LIFE_IN_ATTACHED] = {S(STUCK), ACT_NONE},
                [LIFE_IN_IDLE] = {S(STUCK), ACT_NONE},
                [LIFE_IN_EXITED] = {S(STOPPED), ACT_ENDED},
            },
};
#undef S

const char *
life_text(enum life life)
{
    static const char *const texts[LIFE_COUNT] = {
#define LIFE(name, text) [LIFE_##name] = text,
#include "broker/core/life.def"
#undef LIFE
    };
    return texts[life];
}

bool
life_serves(enum life life)
{
    return life == LIFE_READY || life == LIFE_BUSY;
}

bool
life_has_hope(const struct replica *r)
{
    return r->wanted && r->life != LIFE_FAILED && r->life != LIFE_STUCK && r->life != LIFE_STOPPED;
}

/* The lines that the process which has ended wrote last. */
static void
write_last_words(const struct hub *hub, struct buf *b)
{
    if (hub->last_words.len > 0) {
        write_raw(b, hub->last_words);
    } else {
        write_array(b, 0);
    }
}

/* What the outside is told of a replica, as an event of the hub. */
static void
tell(struct hub *hub, const struct replica *r, enum hub_event event)
{
    char name[WIRE_NAME_BYTES_MAX + 16];
    struct buf *b = &hub->scratch;
    replica_name(r, name);
    const bool has_log = event == HUB_EVENT_worker_exited;
    buf_reset(b, SIZE_MAX);
    write_map(b, 7U + has_log);
    write_text(b, "who");
    write_text(b, r->asked);
    write_text(b, "worker");
    write_text(b, r->worker->spec->name);
    write_text(b, "replica");
    write_text(b, name);
    write_text(b, "state");
    write_text(b, life_text(r->life));
    write_text(b, "pid");
    write_uint(b, (uint64_t)(r->pid > 0 ? r->pid : 0));
    write_text(b, "restarts");
    write_uint(b, r->restarts);
    write_text(b, "reason");
    write_text(b, r->last_reason);
    if (has_log) {
        write_text(b, "log");
        write_last_words(hub, b);
    }
    hub_event(hub, event, buf_span(b));
}

static void
set_deadline(struct hub *hub, struct replica *r, int64_t ms)
{
    if (!deadline_set(&hub->deadlines, &r->deadline, DEADLINE_REPLICA,
                      hub->now_ns + ms * NS_PER_MS)) {
        hub->failed = true;
    }
}

static void
send_signal(struct hub *hub, struct replica *r, int signal, bool group)
{
    struct hub_effect *e = r->process != 0 ? effect_add(hub, HUB_OUT_SIGNAL) : NULL;
    if (e != NULL) {
        e->process = r->process;
        e->signal = signal;
        e->group = group;
    }
}

/* The token is what only this process can know: a keyed hash of its number, so that the next broker
 * of the same hub, who has the same secret, knows it too. */
static void
make_token(const struct hub *hub, struct replica *r)
{
    const uint64_t seed[2] = {r->process, 0x746f6b656e};
    const uint64_t again[2] = {r->process, 0x6e656b6f74};
    (void)snprintf(r->token, sizeof r->token, "%016llx%016llx",
                   (unsigned long long)siphash24(&hub->key, seed, sizeof seed),
                   (unsigned long long)siphash24(&hub->key, again, sizeof again));
}

static bool
set_process(struct hub *hub, struct replica *r, uint64_t process)
{
    table_remove(&hub->processes, &r->by_process);
    r->process = process;
    if (process == 0) {
        return true;
    }
    make_token(hub, r);
    return table_add(&hub->processes, &r->by_process, &r->process, sizeof r->process);
}

static void
spawn(struct hub *hub, struct replica *r)
{
    struct hub_effect *e = effect_add(hub, HUB_OUT_START);
    if (e == NULL || !set_process(hub, r, ++hub->last_process)) {
        hub->failed = true;
        return;
    }
    r->incarnation++;
    r->killed = r->overdue = false;
    r->pid = 0;
    r->attach = 0;
    e->process = r->process;
    e->spec = r->worker->spec;
    e->replica = r->index;
    e->incarnation = r->incarnation;
    (void)snprintf(e->token, sizeof e->token, "%llu.%s", (unsigned long long)r->process, r->token);
    set_deadline(hub, r, r->worker->spec->start_timeout_ms);
}

static void
serve(struct hub *hub, struct replica *r)
{
    deadline_clear(&hub->deadlines, &r->deadline);
    r->ready_ns = r->idle_since_ns = hub->now_ns;
    r->last_reason[0] = '\0';
    tell(hub, r, HUB_EVENT_worker_ready);
    worker_ready_check(hub);
}

static void
drain(struct hub *hub, struct replica *r)
{
    serve_command(hub, r, "stop", 0);
    set_deadline(hub, r, hub->options.drain_ms);
    if (r->running_count == 0) {
        life_step(hub, r, LIFE_IN_IDLE);
    }
}

static void
kill_group(struct hub *hub, struct replica *r)
{
    r->killed = true;
    send_signal(hub, r, 9, true);
    set_deadline(hub, r, WIRE_KILL_MS);
}

static void
terminate(struct hub *hub, struct replica *r)
{
    if (r->killed) {
        kill_group(hub, r); /* the first one came before there was a process */
        return;
    }
    send_signal(hub, r, r->worker->spec->stop_signal, false);
    set_deadline(hub, r, r->worker->spec->stop_timeout_ms);
}

static enum life
hurry(struct hub *hub, struct replica *r)
{
    if (!r->killed) {
        kill_group(hub, r);
        return LIFE_STOPPING;
    }
    (void)snprintf(r->last_reason, sizeof r->last_reason, "pid %d survived SIGKILL for 5 s",
                   (int)r->pid);
    return LIFE_STUCK;
}

/* ---- the end of a process -------------------------------------------------------------------- */

/* What the end of a process means for its restart. */
enum verdict { VERDICT_CLEAN, VERDICT_AGAIN, VERDICT_NEVER, VERDICT_DEATH };

static enum verdict
judge(int32_t status)
{
    if ((status & 0x7f) != 0) {
        return VERDICT_DEATH; /* by a signal */
    }
    switch (status >> 8 & 0xff) {
    case 0:
        return VERDICT_CLEAN;
    case 75: /* EX_TEMPFAIL: start me again, it was not my fault */
        return VERDICT_AGAIN;
    case 78:  /* EX_CONFIG */
    case 125: /* the convention of s6 and docker for "do not try again" */
    case 126: /* not executable */
    case 127: /* not found */
        return VERDICT_NEVER;
    default:
        return VERDICT_DEATH;
    }
}

static void
write_reason(struct replica *r, int32_t status)
{
    const char *late = r->overdue ? " after it did not get ready in time" : "";
    if ((status & 0x7f) != 0) {
        (void)snprintf(r->last_reason, sizeof r->last_reason, "killed by signal %d%s",
                       (int)(status & 0x7f), late);
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
    const uint32_t cap = spec->restarts_max + 1;
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
    set_deadline(hub, r, backoff_ms(hub, r));
    r->restarts++;
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
        write_last_words(hub, &details);
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

static enum life
ended(struct hub *hub, struct replica *r, enum verdict verdict)
{
    deadline_clear(&hub->deadlines, &r->deadline);
    serve_detach(hub, r);
    r->ack_count = 0;
    buf_reset(&r->commands, 0);
    r->command_count = 0;
    lease_end(hub, r, "the replica died");
    if (verdict == VERDICT_DEATH && !r->killed && r->life != LIFE_STOPPING) {
        poison_blame(hub, r);
    }
    life_end_calls(hub, r, "the worker died while it had the call", true);
    (void)set_process(hub, r, 0); /* taking it away cannot fail */
    const bool told = r->life == LIFE_STOPPING || r->life == LIFE_DRAINING;
    const bool restart = r->wanted && told;
    r->asked[0] = told ? r->asked[0] : '\0';
    r->life = restart && !r->overdue && verdict != VERDICT_NEVER ? LIFE_STARTING
                                                                 : follow(hub, r, verdict);
    tell(hub, r, HUB_EVENT_worker_exited);
    r->pid = 0;
    r->ready_ns = 0;
    return r->life;
}

/* ---- the step ---------------------------------------------------------------------------------
 */

static enum life
act(struct hub *hub, struct replica *r, enum action action, enum life next)
{
    switch (action) {
    case ACT_RESET:
        r->death_count = r->death_row = 0;
        memset(r->deaths, 0, (r->worker->spec->restarts_max + 1) * sizeof *r->deaths);
        spawn(hub, r);
        return next;
    case ACT_SPAWN:
        spawn(hub, r);
        return next;
    case ACT_ALIVE:
    case ACT_NOTED:
        r->started_ns = hub->now_ns;
        tell(hub, r, HUB_EVENT_worker_started);
        if (action == ACT_NOTED) {
            return next;
        }
        return r->worker->spec->ready == SPEC_READY_STARTED ? LIFE_READY : next;
    case ACT_TERM:
        terminate(hub, r);
        return next;
    case ACT_HURRY:
        return hurry(hub, r);
    case ACT_KILL:
        r->overdue = true;
        kill_group(hub, r);
        return next;
    case ACT_ENDED:
        return ended(hub, r, judge(r->last_status));
    case ACT_REFUSED:
        return ended(hub, r, r->last_status == 0 ? VERDICT_DEATH : judge(r->last_status));
    case ACT_NONE:
    case ACT_SERVE: /* these two follow the change of state */
    case ACT_DRAIN:
        return next;
    case ACT_IMPOSSIBLE:
        break;
    }
    assert(false && "a cell of the life table that cannot be reached");
    return next;
}

/* What the others must hear of a change. */
static void
changed(struct hub *hub, struct replica *r, enum life was)
{
    struct worker *w = r->worker;
    if (r->life == LIFE_READY && was == LIFE_STARTING) {
        serve(hub, r);
    }
    if (r->life == LIFE_DRAINING) {
        drain(hub, r);
        return;
    }
    if (r->life == LIFE_FAILED || r->life == LIFE_STUCK || r->life == LIFE_STOPPED) {
        deadline_clear(&hub->deadlines, &r->deadline);
        tell(hub, r,
             r->life == LIFE_FAILED  ? HUB_EVENT_worker_failed
             : r->life == LIFE_STUCK ? HUB_EVENT_worker_stuck
                                     : HUB_EVENT_worker_stopped);
    }
    if (r->life != LIFE_BUSY && !(r->life == LIFE_READY && was == LIFE_BUSY)) {
        route_sweep(hub, w);
        worker_ready_check(hub);
        worker_end_check(hub);
    }
}

void
life_step(struct hub *hub, struct replica *r, enum life_input input)
{
    if (input == LIFE_IN_START || input == LIFE_IN_STOP) {
        (void)snprintf(r->asked, sizeof r->asked, "%s", hub->asker != NULL ? hub->asker : "");
    }
    const struct cell cell = table[r->life][input];
    const enum life was = r->life;
    enum life next = act(hub, r, (enum action)cell.action, (enum life)cell.next);
    if (next == LIFE_STARTING && (cell.action == ACT_ENDED || cell.action == ACT_REFUSED)) {
        spawn(hub,
              r); /* it was told to stop and then to start: the end is the middle of a restart */
    }
    r->life = next;
    if (r->life != was) {
        changed(hub, r, was);
    }
}

/* ---- what the spawner tells ------------------------------------------------------------------ */

void
life_started(struct hub *hub, const struct hub_input *in)
{
    struct replica *r = replica_of_process(hub, in->process.id);
    if (r == NULL) {
        life_alive(hub, in); /* asked for by an earlier broker */
        return;
    }
    r->pid = in->process.pid;
    clients_know(hub, r); /* a quick one may have spoken already */
    life_step(hub, r, LIFE_IN_STARTED);
}

void
life_start_failed(struct hub *hub, const struct hub_input *in)
{
    struct replica *r = replica_of_process(hub, in->process.id);
    if (r == NULL) {
        return;
    }
    /* What cannot be executed will not be executable by itself: as 126 and 127 of a shell. */
    r->last_status = in->process.never ? 127 << 8 : 0;
    r->has_last = true;
    (void)snprintf(r->last_reason, sizeof r->last_reason, "could not start: %s: %s",
                   in->process.step, in->process.error);
    struct worker *w = r->worker;
    life_step(hub, r, LIFE_IN_NOT_STARTED);
    route_soon(hub, w);
    worker_prune(hub, w);
}

void
life_exited(struct hub *hub, const struct hub_input *in)
{
    struct replica *r = replica_of_process(hub, in->process.id);
    if (r == NULL) {
        return;
    }
    r->last_status = in->process.status;
    r->has_last = true;
    write_reason(r, in->process.status);
    struct worker *w = r->worker;
    hub->last_words = in->process.log;
    life_step(hub, r, LIFE_IN_EXITED);
    hub->last_words = (struct span){0};
    route_soon(hub, w);
    worker_prune(hub, w);
}

void
life_alive(struct hub *hub, const struct hub_input *in)
{
    struct target target;
    struct replica *r =
        name_target(span_text(in->process.name), &target) ? replica_find(hub, &target) : NULL;
    if (r == NULL || r->process != 0 || hub->stopping) {
        /* A worker of an earlier broker that this one does not know, or has no use for. */
        struct hub_effect *e = effect_add(hub, HUB_OUT_SIGNAL);
        if (e != NULL) {
            e->process = in->process.id;
            e->signal = 9;
            e->group = true;
        }
        return;
    }
    if (!set_process(hub, r, in->process.id)) {
        hub->failed = true;
    }
    r->wanted = true;
    r->killed = r->overdue = false;
    r->attach = 0;
    r->pid = in->process.pid;
    r->started_ns = hub->now_ns;
    r->life = LIFE_STARTING;
    /* It may be in the middle of a call, which ends within that time at the latest. */
    set_deadline(hub, r, r->worker->spec->start_timeout_ms + WIRE_TTL_MS_MAX);
    if (r->worker->spec->ready == SPEC_READY_STARTED) {
        r->life = LIFE_READY;
        serve(hub, r);
    }
}
