/* A worker process: the real worker link, driven as the worker kit drives it, and methods that take
 * time, fail, hang, or kill it. */
#include "tests/sim/sim.h"

#include "client/worker/pull.h"
#include "proto/mp.h"
#include "proto/name.h"
#include "proto/write.h"

#include <stdlib.h>
#include <string.h>

enum { ITEM_BYTES = 30000 };
static const uint8_t zeros[ITEM_BYTES];

struct actor {
    struct pull *pull;
    struct connection *connection;
    int64_t retry_ns;
    bool runs, blind, hangs;
    int64_t ends_ns; /* of the call that runs */
    uint64_t call;
    struct caller *inner;     /* who makes a call inside it, or NULL */
    uint32_t yields, yielded; /* items that it gives, and has given */
    bool stops;
    struct buf inbox; /* while it is blind: [id, length, bytes]... */
};

void
process_begin(struct sim *s, struct process *p)
{
    struct buf methods = {0};
    struct actor *a = p->actor = calloc(1, sizeof *a);
    write_map(&methods, 5);
    write_text(&methods, "nests");
    write_map(&methods, 0);
    write_text(&methods, "yields");
    write_map(&methods, 1);
    write_text(&methods, "policy");
    write_text(&methods, "idempotent");
    write_text(&methods, "equal");
    write_map(&methods, 1);
    write_text(&methods, "policy");
    write_text(&methods, "shared");
    write_text(&methods, "once");
    write_map(&methods, 1);
    write_text(&methods, "policy");
    write_text(&methods, "once");
    write_text(&methods, "again");
    write_map(&methods, 1);
    write_text(&methods, "policy");
    write_text(&methods, "idempotent");
    if (a != NULL) {
        a->pull = pull_new(&(struct pull_options){.worker = span_text(p->worker),
                                                  .token = span_text(p->token),
                                                  .methods = buf_span(&methods),
                                                  .pid = (uint64_t)p->pid,
                                                  .sp_first = (uint32_t)sim_draw(s, UINT32_MAX)});
    }
    buf_deinit(&methods);
    if (a == NULL || a->pull == NULL) {
        abort();
    }
    a->retry_ns = s->now_ns + (int64_t)sim_draw(s, 20) * MS;
    world_wake_process(s, p, a->retry_ns);
}

static void
end_inner(struct sim *s, struct actor *a)
{
    for (uint32_t i = CLIENTS; a->inner != NULL && i < CLIENTS + PROCESSES; i++) {
        if (s->clients[i] == a->inner) {
            s->clients[i] = NULL;
            caller_free(s, a->inner);
            a->inner = NULL;
        }
    }
}

void
process_end(struct sim *s, struct process *p)
{
    if (p->actor != NULL) {
        end_inner(s, p->actor);
        pull_free(p->actor->pull);
        buf_deinit(&p->actor->inbox);
        free(p->actor);
        p->actor = NULL;
    }
}

static void
send(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    uint32_t id;
    struct pieces body;
    while (a->connection != NULL && !(a->runs && a->blind) &&
           pull_send(a->pull, s->now_ns, &id, &body)) {
        world_send(s, a->connection, id, &body);
    }
}

static void
drop(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    if (a->connection != NULL) {
        a->connection->process = NULL;
        world_close(s, a->connection);
        a->connection = NULL;
    }
    pull_lost(a->pull);
    buf_reset(&a->inbox, SIZE_MAX);
    a->retry_ns = s->now_ns + (10 + (int64_t)sim_draw(s, 40)) * MS;
    world_wake_process(s, p, a->retry_ns);
}

void
process_lost(struct sim *s, struct process *p)
{
    p->actor->connection = NULL;
    if (p->actor->runs && p->actor->blind) {
        world_wake_process(s, p, p->actor->ends_ns); /* it sees that when it looks */
        return;
    }
    drop(s, p);
}

/* Begin the next call, if there is one. */
static void
begin(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    const struct pull_job *job;
    struct mp_item head, number;
    if (a->runs || !pull_begin(a->pull, s->now_ns, &job)) {
        return;
    }
    struct span args = job->args;
    if (!mp_next(&args, &head) || !mp_next(&args, &number) || number.kind != MP_UINT) {
        sim_wrong(s, "the arguments of a call are not what was sent");
    }
    a->runs = true;
    a->call = number.uint;
    a->yields = span_is(job->method, "yields") ? YIELDED(a->call) : 0;
    a->yielded = 0;
    sim_note(s, "%s/%u begins %llu", p->worker, (unsigned)p->replica, (unsigned long long)a->call);
    if (!span_is(job->method, "equal")) {
        ledger_began(s, a->call);
    }
    a->blind = sim_happens(s, s->faults.blind);
    a->hangs = sim_happens(s, s->faults.hang);
    if (span_is(job->method, "nests")) {
        a->inner = caller_inside(s, p, job->call, job->deadline_ns);
        a->blind = a->hangs = false; /* the kit serves the connection while it waits */
    }
    a->ends_ns = s->now_ns + (sim_happens(s, s->faults.long_calls) ? (int64_t)sim_draw(s, 3000) * MS
                              : sim_draw(s, 4) == 0                ? (int64_t)sim_draw(s, 20) * MS
                                                                   : (int64_t)sim_draw(s, 50) * US);
    if (sim_happens(s, s->faults.worker_dies)) {
        world_exit(s, p, 11 + 128); /* in the middle of it */
        return;
    }
    world_wake_process(s, p, a->ends_ns);
}

/* Give the next items, as many as there is room for; false when it has to wait, as the kit does. */
static bool
yield(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    struct buf item = {0};
    while (a->yielded < a->yields && pull_has_room(a->pull, ITEM_BYTES) &&
           !pull_is_cancelled(a->pull)) {
        buf_reset(&item, SIZE_MAX);
        write_array(&item, 4);
        write_uint(&item, a->call);
        write_uint(&item, a->yielded++);
        write_uint(&item, p->id);
        write_bin(&item, (struct span){zeros, sim_draw(s, 20) == 0 ? ITEM_BYTES : 1});
        if (item.failed || !pull_yield(a->pull, buf_span(&item))) {
            abort();
        }
        if (sim_draw(s, 3) == 0) {
            break; /* the others later */
        }
    }
    buf_deinit(&item);
    return a->yielded == a->yields || pull_is_cancelled(a->pull);
}

static void
end(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    struct buf outcome = {0};
    const bool cut_off = a->yields > 0 && (pull_is_cancelled(a->pull) || a->yielded < a->yields);
    if (cut_off) {
        pull_drop_items(a->pull);
    }
    const bool fails = cut_off || (s->chaos && sim_draw(s, 10) == 0);
    if (fails) {
        write_array(&outcome, 4);
        write_uint(&outcome, WIRE_ERR_UNKNOWN);
        write_uint(&outcome, WIRE_BEGAN_YES);
        write_text(&outcome, "it failed");
        write_nil(&outcome);
    } else {
        write_uint(&outcome, a->call);
    }
    sim_note(s, "%s/%u ends %llu", p->worker, (unsigned)p->replica, (unsigned long long)a->call);
    a->runs = false;
    if (!pull_end(a->pull, fails, &outcome)) {
        abort();
    }
    buf_deinit(&outcome);
}

/* What came while it did not look. */
static void
read_inbox(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    struct buf inbox = {0};
    buf_swap(&inbox, &a->inbox);
    while (inbox.w > inbox.r && p->actor != NULL) {
        uint32_t id;
        size_t len;
        memcpy(&id, inbox.data + inbox.r, sizeof id);
        memcpy(&len, inbox.data + inbox.r + sizeof id, sizeof len);
        inbox.r += sizeof id + sizeof len;
        pull_answer(a->pull, s->now_ns, id, (struct span){inbox.data + inbox.r, len}, NULL);
        inbox.r += len;
    }
    buf_deinit(&inbox);
}

static void
look(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    const char *text;
    if (pull_refusal(a->pull, &text) != 0) {
        /* Its process is not the replica's any more, or it was overtaken by itself. */
        sim_note(s, "%s/%u is refused: %s", p->worker, (unsigned)p->replica, text);
        drop(s, p);
    } else if (a->connection != NULL && pull_is_dead(a->pull, s->now_ns)) {
        drop(s, p);
    }
    if (pull_is_asked_to_stop(a->pull) && !a->stops) {
        a->stops = true;
        pull_stop(a->pull);
    }
}

void
process_answer(struct sim *s, struct process *p, uint32_t id, struct span body)
{
    struct actor *a = p->actor;
    if (a->runs && a->blind) {
        buf_put(&a->inbox, &id, sizeof id);
        buf_put(&a->inbox, &body.len, sizeof body.len);
        buf_put(&a->inbox, body.data, body.len);
        return;
    }
    pull_answer(a->pull, s->now_ns, id, body, NULL);
    process_wake(s, p);
}

bool
process_serves(const struct process *p)
{
    return p->actor != NULL && pull_is_attached(p->actor->pull);
}

bool
process_may_hang(const struct process *p)
{
    return process_hangs(p) || (p->actor != NULL && p->actor->inner != NULL);
}

bool
process_hangs(const struct process *p)
{
    return p->actor != NULL && p->actor->runs && p->actor->hangs;
}

void
process_term(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    a->stops = true;
    pull_stop(a->pull);
    world_wake_process(s, p, s->now_ns);
}

/* It has more to give, or what it gave is not taken yet. A blind one looks when it gives. */
static bool
goes_on_yielding(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    if (a->yields == 0) {
        return false;
    }
    a->blind = false;
    read_inbox(s, p);
    if (a->connection == NULL || pull_is_cancelled(a->pull)) {
        return a->connection == NULL && !pull_is_cancelled(a->pull);
    }
    const bool all = yield(s, p);
    send(s, p);
    return !all || pull_is_blocked(a->pull);
}

/* The call that it made has no outcome yet. */
static bool
waits_for_inner(struct sim *s, struct actor *a)
{
    prong_err code;
    if (!a->runs || a->inner == NULL || s->now_ns < a->ends_ns) {
        return false;
    }
    if (!caller_has_ended(a->inner, &code)) {
        return true;
    }
    end_inner(s, a);
    return false;
}

void
process_wake(struct sim *s, struct process *p)
{
    struct actor *a = p->actor;
    if (waits_for_inner(s, a)) {
        a->ends_ns = s->now_ns + MS;
        world_wake_process(s, p, a->ends_ns);
    } else if (a->runs && !a->hangs && s->now_ns >= a->ends_ns && goes_on_yielding(s, p)) {
        a->ends_ns =
            s->now_ns +
            MS * (1 + (sim_happens(s, s->faults.long_calls) ? (int64_t)sim_draw(s, 60) : 0));
        world_wake_process(s, p, a->ends_ns);
    } else if (a->runs && !a->hangs && s->now_ns >= a->ends_ns) {
        end(s, p);
        read_inbox(s, p);
        if (a->connection == NULL) {
            drop(s, p); /* it was lost meanwhile */
        }
    }
    if (a->runs && a->blind) {
        return;
    }
    if (a->connection == NULL && s->now_ns >= a->retry_ns) {
        a->connection = world_connect(s, NULL, p);
        if (a->connection != NULL) {
            p->came = true;
            pull_connected(a->pull, s->now_ns);
            world_wake_process(s, p, pull_deadline_ns(a->pull));
        } else {
            a->retry_ns = s->now_ns + 20 * MS;
            world_wake_process(s, p, a->retry_ns);
        }
    }
    look(s, p);
    send(s, p);
    begin(s, p);
    if (p->actor == NULL) {
        return; /* it died of it */
    }
    send(s, p);
    if (a->stops && !a->runs && pull_is_over(a->pull)) {
        world_exit(s, p, 0);
    }
}
