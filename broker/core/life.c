/* The life of a replica: one table, and what its actions do.
 *
 * A replica has a state and a wish (`wanted`): start and stop change the wish, the table says how
 * the state follows it. Nothing here waits: every state that can last too long has a deadline. */
#include "broker/core/parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum action {
#define LIFE_ACTION(name, text) ACT_##name,
#include "broker/core/life.def"
#undef LIFE_ACTION
};

struct cell {
    uint8_t next, action;
};

static const struct cell table[LIFE_COUNT][LIFE_IN_COUNT] = {
#define LIFE_CELL(state, input, next, action)                                                      \
    [LIFE_##state][LIFE_IN_##input] = {LIFE_##next, ACT_##action},
#include "broker/core/life.def"
#undef LIFE_CELL
};

const char *
life_text(enum life life)
{
    static const char *const texts[LIFE_COUNT] = {
#define LIFE(name, text, meaning) [LIFE_##name] = text,
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
    return r->wanted && r->life != LIFE_FAILED && r->life != LIFE_STUCK &&
           (r->life != LIFE_STOPPED || (r->waits && depend_has_hope(r)));
}

uint32_t
life_exit_code(const struct replica *r)
{
    const uint32_t signal = (uint32_t)r->last_status & 0x7f;
    return signal != 0 ? 128 + signal : (uint32_t)r->last_status >> 8 & 0xff;
}

/* What the outside is told of a replica, as an event of the hub. */
void
life_tell(struct hub *hub, const struct replica *r, enum hub_event event)
{
    char name[WIRE_NAME_BYTES_MAX + 16];
    struct buf *b = &hub->scratch;
    /* What could not be started has not ended. */
    const bool is_end = event == HUB_EVENT_worker_exited && r->has_last;
    replica_name(r, name);
    const bool has_log = event == HUB_EVENT_worker_exited;
    buf_reset(b, SIZE_MAX);
    write_map(b, 7U + has_log + is_end);
    if (is_end) {
        write_text(b, "exit_code");
        write_uint(b, life_exit_code(r));
    }
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
        life_write_words(hub, b);
    }
    hub_event(hub, event, buf_span(b));
}

void
life_set_deadline(struct hub *hub, struct replica *r, int64_t ms)
{
    if (!deadline_set(&hub->deadlines, &r->deadline, DEADLINE_REPLICA,
                      hub->now_ns + ms * NS_PER_MS)) {
        hub->failed = true;
    }
}

void
life_signal(struct hub *hub, const struct replica *r, int signal, bool group)
{
    struct hub_effect *e = r->process != 0 ? effect_add(hub, HUB_OUT_SIGNAL) : NULL;
    if (e != NULL) {
        e->process = r->process;
        e->signal = signal;
        e->group = group;
        e->external = r->external;
    }
}

/* What its process is doing now goes to the log: it is about to be killed, or cannot be. */
static void
ask_stack(struct hub *hub, const struct replica *r)
{
    struct hub_effect *e = r->pid > 0 ? effect_add(hub, HUB_OUT_STACK) : NULL;
    if (e != NULL) {
        e->process = r->process;
        e->pid = r->pid;
        e->spec = effect_spec(hub, r->spec);
        e->replica = r->index;
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

bool
life_set_process(struct hub *hub, struct replica *r, uint64_t process)
{
    table_remove(&hub->processes, &r->by_process);
    usage_forget(r);
    r->process = process;
    if (process == 0) {
        return true;
    }
    make_token(hub, r);
    return table_add(&hub->processes, &r->by_process, &r->process, sizeof r->process);
}

/* A process begins, whoever starts it. false when memory is out. */
static bool
begin(struct hub *hub, struct replica *r)
{
    if (!replica_take_spec(r, r->role == ROLE_HEIR ? r->spec : r->worker->spec) ||
        !life_set_process(hub, r, ++hub->last_process)) {
        hub->failed = true;
        return false;
    }
    r->incarnation++;
    r->killed = r->overdue = r->hung = r->waits = r->external = r->was_ready = false;
    r->pid = 0;
    r->attach = 0;
    r->sign_ns = r->asked_ns = 0;
    r->calls_before = r->calls_done;
    return true;
}

static void
spawn(struct hub *hub, struct replica *r)
{
    struct hub_effect *e = begin(hub, r) ? effect_add(hub, HUB_OUT_START) : NULL;
    if (e == NULL) {
        return;
    }
    e->process = r->process;
    e->spec = effect_spec(hub, r->spec);
    e->replica = r->index;
    e->incarnation = r->incarnation;
    e->edition = r->worker->edition;
    (void)snprintf(e->token, sizeof e->token, "%llu.%s", (unsigned long long)r->process, r->token);
    life_set_deadline(hub, r, r->spec->start_timeout_ms);
}

/* It may sit in a debugger before it comes: nothing here is in a hurry. */
static void
adopt(struct hub *hub, struct replica *r)
{
    if (begin(hub, r)) {
        r->external = r->wanted = true;
        life_set_deadline(hub, r, WIRE_ADOPT_MS);
    }
}

static void
serve(struct hub *hub, struct replica *r)
{
    deadline_clear(&hub->deadlines, &r->deadline);
    r->ready_ns = r->idle_since_ns = hub->now_ns;
    r->last_reason[0] = '\0';
    r->was_ready = true;
    life_tell(hub, r, HUB_EVENT_worker_ready);
    renew_begin(hub, r);
    hang_begin(hub, r);
    worker_ready_check(hub);
}

static void
drain(struct hub *hub, struct replica *r)
{
    serve_command(hub, r, "stop", 0);
    life_set_deadline(hub, r, hub->options.drain_ms);
    if (r->running_count == 0) {
        life_step(hub, r, LIFE_IN_IDLE);
    }
}

static void
kill_group(struct hub *hub, struct replica *r)
{
    r->killed = true;
    life_signal(hub, r, 9, true);
    life_set_deadline(hub, r, WIRE_KILL_MS);
}

static void
terminate(struct hub *hub, struct replica *r)
{
    if (r->killed) {
        kill_group(hub, r); /* the first one came before there was a process */
        return;
    }
    life_signal(hub, r, r->spec->stop_signal, false);
    life_set_deadline(hub, r, r->spec->stop_timeout_ms);
}

/* It may say where it hangs: faulthandler of Python and the library's own handler write the stack
 * to what it writes anyway. */
static void
abort_process(struct hub *hub, struct replica *r)
{
    r->hung = true;
    ask_stack(hub, r);
    life_signal(hub, r, LIFE_SIGABRT, false);
    life_set_deadline(hub, r, WIRE_ABORT_MS);
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
    ask_stack(hub, r);
    return LIFE_STUCK;
}

/* ---- the step ---------------------------------------------------------------------------------
 */

static enum life
act(struct hub *hub, struct replica *r, enum action action, enum life next)
{
    switch (action) {
    case ACT_RESET:
        r->death_count = r->death_row = 0;
        memset(r->deaths, 0, r->deaths_cap * sizeof *r->deaths);
        if (depend_waits(hub, r)) {
            return LIFE_STOPPED;
        }
        spawn(hub, r);
        return next;
    case ACT_SPAWN:
        spawn(hub, r);
        return next;
    case ACT_ADOPT:
        adopt(hub, r);
        return next;
    case ACT_ALIVE:
    case ACT_NOTED:
        r->started_ns = hub->now_ns;
        life_tell(hub, r, HUB_EVENT_worker_started);
        if (action == ACT_NOTED) {
            return next;
        }
        return r->spec->ready == SPEC_READY_STARTED ? LIFE_READY : next;
    case ACT_TERM:
        terminate(hub, r);
        return next;
    case ACT_HURRY:
        return hurry(hub, r);
    case ACT_KILL:
        r->overdue = true;
        ask_stack(hub, r);
        kill_group(hub, r);
        return next;
    case ACT_ABORT:
        abort_process(hub, r);
        return next;
    case ACT_ENDED:
        return end_take(hub, r, end_judge(r->last_status));
    case ACT_REFUSED:
        return end_take(hub, r, r->last_status == 0 ? VERDICT_DEATH : end_judge(r->last_status));
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
        if (r->role == ROLE_HEIR) {
            heir_takes_over(hub, r);
        }
    }
    if (r->life == LIFE_DRAINING) {
        drain(hub, r);
        return;
    }
    if (r->life == LIFE_FAILED || r->life == LIFE_STUCK || r->life == LIFE_STOPPED) {
        deadline_clear(&hub->deadlines, &r->deadline);
        life_tell(hub, r,
                  r->life == LIFE_FAILED  ? HUB_EVENT_worker_failed
                  : r->life == LIFE_STUCK ? HUB_EVENT_worker_stuck
                                          : HUB_EVENT_worker_stopped);
    }
    if (r->life == LIFE_STUCK) {
        heir_beside(hub, r);
    }
    if (r->life != LIFE_BUSY && !(r->life == LIFE_READY && was == LIFE_BUSY)) {
        depend_changed(hub, r, was);
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
        r->waits = false;
    }
    if (input == LIFE_IN_STOP && r->heir != NULL) {
        heir_stop(hub, r);
    }
    const struct cell cell = table[r->life][input];
    const enum life was = r->life;
    enum life next = act(hub, r, (enum action)cell.action, (enum life)cell.next);
    if (next == LIFE_STARTING && (cell.action == ACT_ENDED || cell.action == ACT_REFUSED)) {
        /* It was told to stop and then to start: the end is the middle of a restart. */
        spawn(hub, r);
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
    clients_know(hub, r); /* one that did not show its token may have spoken already */
    life_step(hub, r, LIFE_IN_STARTED);
    depend_changed(hub, r, r->life);
}

/* A process is gone: what follows for its replica, and for those who waited for that. */
static void
gone(struct hub *hub, struct replica *r, enum life_input input)
{
    struct worker *w = r->worker;
    /* The next process may have begun when that is asked for. */
    const bool told = r->life == LIFE_STOPPING && !r->overdue && !r->hung;
    r->has_last = input == LIFE_IN_EXITED; /* what could not be started has not ended */
    life_step(hub, r, input);
    hub->last_words = (struct span){0};
    route_soon(hub, w);
    renew_ended(hub, r, told);
    worker_prune(hub, w);
}

void
life_start_failed(struct hub *hub, const struct hub_input *in)
{
    struct replica *r = replica_of_process(hub, in->process.id);
    if (r == NULL) {
        return;
    }
    /* What cannot be executed will not be executable by itself: as 126 and 127 of a shell. */
    r->last_status = in->process.never ? 127 << 8 : in->process.status;
    (void)snprintf(r->last_reason, sizeof r->last_reason, "could not start: %s: %s",
                   in->process.step, in->process.error);
    gone(hub, r, LIFE_IN_NOT_STARTED);
}

void
life_exited(struct hub *hub, const struct hub_input *in)
{
    struct replica *r = replica_of_process(hub, in->process.id);
    if (r == NULL) {
        return;
    }
    r->last_status = in->process.status;
    hub->last_words = in->process.log;
    end_write_reason(r, in->process.status, in->process.out_of_memory);
    gone(hub, r, LIFE_IN_EXITED);
}

/* The shell has found out that it is ready, or what it said to a service manager. */
void
life_notified(struct hub *hub, const struct hub_input *in)
{
    struct replica *r = replica_of_process(hub, in->notify.process);
    if (r == NULL) {
        return;
    }
    if (in->notify.status != NULL) {
        (void)snprintf(r->said, sizeof r->said, "%s", in->notify.status);
    }
    if (in->notify.extend_ms > 0 && r->deadline.place != 0 &&
        hub->now_ns + in->notify.extend_ms * NS_PER_MS > r->deadline.at_ns) {
        life_set_deadline(hub, r, in->notify.extend_ms);
    }
    if (in->notify.sign) {
        hang_sign(hub, r);
    }
    if (in->notify.ready && r->life == LIFE_STARTING && r->spec->ready != SPEC_READY_ATTACH) {
        life_step(hub, r, LIFE_IN_READY);
        route_soon(hub, r->worker);
    }
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
    if (!life_set_process(hub, r, in->process.id)) {
        hub->failed = true;
    }
    r->wanted = true;
    r->killed = r->overdue = r->hung = r->waits = false;
    r->attach = 0;
    r->pid = in->process.pid;
    clients_know(hub, r);
    r->started_ns = hub->now_ns;
    r->life = LIFE_STARTING;
    /* It may be in the middle of a call, which ends within that time at the latest. */
    life_set_deadline(hub, r, r->spec->start_timeout_ms + WIRE_TTL_MS_MAX);
    if (r->spec->ready != SPEC_READY_ATTACH) { /* it was before, as far as anybody knows */
        r->life = LIFE_READY;
        serve(hub, r);
    }
}
