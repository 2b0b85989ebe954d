/* Exactly one outcome for every call, whatever happens: the code and `began` of each way to end. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { CLIENT = 1, SIGKILLED = 9 };

static const struct world_call call_echo = {"echo", "echo", 1, 0, 5000, NULL};

static void
small_queue(struct worker_spec *spec)
{
    spec->queue_max = 1;
}

static void
never_restart(struct worker_spec *spec)
{
    spec->restart = SPEC_RESTART_NO;
}

static void
not_started(struct worker_spec *spec)
{
    spec->autostart = false;
}

static uint64_t
given_then_dies(struct world *w)
{
    world_serve(w, "echo/0");
    const uint64_t r = world_call(w, CLIENT, &call_echo);
    cr_assert(world_given(w, "echo/0") != 0, "the call was not given");
    world_exited(w, "echo/0", SIGKILLED);
    return r;
}

static uint64_t
result(struct world *w)
{
    world_serve(w, "echo/0");
    const uint64_t r = world_call(w, CLIENT, &call_echo);
    world_done(w, "echo/0", world_given(w, "echo/0"));
    return r;
}

static uint64_t
idempotent_worker_dies_once(struct world *w)
{
    world_serve(w, "echo/0");
    const uint64_t r =
        world_call(w, CLIENT, &(struct world_call){"echo", "again", 1, 0, 5000, NULL});
    cr_assert(world_given(w, "echo/0") != 0, "not given");
    world_exited(w, "echo/0", SIGKILLED);
    world_pass_ms(w, 1000);
    world_serve(w, "echo/0");
    world_done(w, "echo/0", world_given(w, "echo/0"));
    return r;
}

static uint64_t
idempotent_worker_dies_twice(struct world *w)
{
    world_serve(w, "echo/0");
    const uint64_t r =
        world_call(w, CLIENT, &(struct world_call){"echo", "again", 1, 0, 5000, NULL});
    for (int i = 0; i < 2; i++) {
        cr_assert(world_given(w, "echo/0") != 0, "not given");
        world_exited(w, "echo/0", SIGKILLED);
        world_pass_ms(w, 1000);
        world_serve(w, "echo/0");
    }
    return r;
}

/* It ran once, and waits to run again when it becomes clear that nobody will. */
static uint64_t
lost_with_its_worker(struct world *w)
{
    world_serve(w, "echo/0");
    const uint64_t r =
        world_call(w, CLIENT, &(struct world_call){"echo", "again", 1, 0, 5000, NULL});
    cr_assert(world_given(w, "echo/0") != 0, "not given");
    world_exited(w, "echo/0", SIGKILLED);
    return r;
}

static uint64_t
idempotent_worker_dies_then_stops(struct world *w)
{
    const uint64_t r = lost_with_its_worker(w);
    cr_assert(world_admin(w, "stop", "worker", "echo") == 0, "stop");
    return r;
}

static uint64_t
idempotent_worker_dies_then_hub_stops(struct world *w)
{
    const uint64_t r = lost_with_its_worker(w);
    world_stop(w);
    return r;
}

static uint64_t
idempotent_worker_dies_then_deadline(struct world *w)
{
    const uint64_t r = lost_with_its_worker(w);
    world_pass_ms(w, 5001);
    return r;
}

static uint64_t
lost_and_the_next_worker_did_not_begin_it(struct world *w)
{
    const uint64_t r = lost_with_its_worker(w);
    world_pass_ms(w, 1000);
    world_serve(w, "echo/0");
    const struct process *p = world_process(w, "echo/0");
    (void)world_say(w, p->peer, "[18,'echo/0',%llu,[[%llu,1,[14,0,'not now',null]]]]",
                    (unsigned long long)p->session, (unsigned long long)world_given(w, "echo/0"));
    return r;
}

static uint64_t
worker_of_no_replicas(struct world *w)
{
    (void)world_say(w, CLIENT,
                    "[2,b'some otherclient',1,0,'hub','scale',0,null,{'worker':'echo',"
                    "'replicas':0}]");
    return world_call(w, CLIENT, &call_echo);
}

static uint64_t
deadline_in_the_queue(struct world *w)
{
    const uint64_t r = world_call(w, CLIENT, &call_echo);
    world_pass_ms(w, 5001);
    return r;
}

static uint64_t
deadline_while_running(struct world *w)
{
    world_serve(w, "echo/0");
    const uint64_t r = world_call(w, CLIENT, &call_echo);
    world_pass_ms(w, 5001);
    return r;
}

static uint64_t
queue_is_full(struct world *w)
{
    (void)world_call(w, CLIENT, &call_echo);
    return world_call(w, CLIENT, &(struct world_call){"echo", "echo", 2, 0, 5000, NULL});
}

static uint64_t
unknown_worker(struct world *w)
{
    return world_call(w, CLIENT, &(struct world_call){"nobody", "echo", 1, 0, 5000, NULL});
}

static uint64_t
unknown_method(struct world *w)
{
    world_serve(w, "echo/0");
    return world_call(w, CLIENT, &(struct world_call){"echo", "nope", 1, 0, 5000, NULL});
}

static uint64_t
unknown_method_told_late(struct world *w)
{
    const uint64_t r =
        world_call(w, CLIENT, &(struct world_call){"echo", "nope", 1, 0, 5000, NULL});
    cr_assert(world_outcome(w, r, NULL) == -1, "the methods are not known yet");
    world_serve(w, "echo/0");
    return r;
}

static uint64_t
unknown_replica(struct world *w)
{
    return world_call(w, CLIENT, &(struct world_call){"echo/7", "echo", 1, 0, 5000, NULL});
}

static uint64_t
worker_is_stopped(struct world *w)
{
    return world_call(w, CLIENT, &call_echo);
}

static uint64_t
worker_fails_while_it_waits(struct world *w)
{
    const uint64_t r = world_call(w, CLIENT, &call_echo);
    world_started(w, "echo/0");
    world_exited(w, "echo/0", 1 << 8);
    return r;
}

static uint64_t
worker_has_failed(struct world *w)
{
    world_started(w, "echo/0");
    world_exited(w, "echo/0", 1 << 8);
    return world_call(w, CLIENT, &call_echo);
}

static uint64_t
stop_of_the_worker(struct world *w)
{
    const uint64_t r = world_call(w, CLIENT, &call_echo);
    cr_assert(world_admin(w, "stop", "worker", "echo") == 0, "stop");
    return r;
}

static uint64_t
stop_of_the_hub(struct world *w)
{
    const uint64_t r = world_call(w, CLIENT, &call_echo);
    world_stop(w);
    return r;
}

static void
cancel(struct world *w)
{
    struct buf b = {0};
    write_op(&b, WIRE_CANCEL);
    write_bin(&b, (struct span){w->client, 16});
    write_uint(&b, 1);
    (void)world_expect(w, world_send(w, CLIENT, buf_span(&b)), 0, WIRE_REC_ACK);
    buf_deinit(&b);
}

static uint64_t
cancelled_in_the_queue(struct world *w)
{
    const uint64_t r = world_call(w, CLIENT, &call_echo);
    cancel(w);
    return r;
}

static uint64_t
cancelled_while_running(struct world *w)
{
    world_serve(w, "echo/0");
    const uint64_t r = world_call(w, CLIENT, &call_echo);
    cancel(w);
    return r;
}

/* The client leaves and comes back too late: it asks for the outcome, which is that it was
 * cancelled. */
static uint64_t
client_dies(struct world *w)
{
    const struct world_call call = {"echo", "echo", 1, 0, 60000, NULL};
    (void)world_call(w, CLIENT, &call);
    world_close(w, CLIENT);
    world_pass_ms(w, 5001);
    world_open(w, 2);
    return world_call(w, 2, &call);
}

/* It comes back in time, on another connection: the running call is still its own. */
static uint64_t
client_comes_back(struct world *w)
{
    world_serve(w, "echo/0");
    (void)world_call(w, CLIENT, &call_echo);
    const uint64_t call = world_given(w, "echo/0");
    world_close(w, CLIENT);
    world_pass_ms(w, 4000);
    world_open(w, 2);
    const uint64_t r = world_call(w, 2, &call_echo);
    world_done(w, "echo/0", call);
    return r;
}

static uint64_t
a_repeat_gets_the_kept_outcome(struct world *w)
{
    const uint64_t first = result(w);
    cr_assert(world_outcome(w, first, NULL) == 0, "first");
    const uint64_t again = world_call(w, CLIENT, &call_echo);
    cr_assert(world_given(w, "echo/0") == 0, "a repeated call ran again");
    return again;
}

static uint64_t
acknowledged_already(struct world *w)
{
    (void)result(w);
    (void)world_call(w, CLIENT, &(struct world_call){"echo", "echo", 2, 1, 5000, NULL});
    return world_call(w, CLIENT, &call_echo);
}

/* Its outcome is not kept any longer, but that there was one is. */
static uint64_t
client_comes_back_late(struct world *w)
{
    (void)result(w);
    world_close(w, CLIENT);
    world_pass_ms(w, WIRE_AWAY_MS + WIRE_KEEP_MS + 60000);
    world_open(w, 2);
    const uint64_t r = world_call(w, 2, &call_echo);
    world_poll(w, "echo/0", 1);
    cr_assert(world_given(w, "echo/0") == 0, "it ran again");
    return r;
}

struct story {
    const char *name;
    void (*spec)(struct worker_spec *);
    uint64_t (*happen)(struct world *w);
    int code;
    unsigned began;
};

static const struct story stories[] = {
    {"a result", NULL, result, 0, 0},
    {"the worker dies with it", NULL, given_then_dies, WIRE_ERR_ABORTED, WIRE_BEGAN_MAYBE},
    {"an idempotent one runs again", NULL, idempotent_worker_dies_once, 0, 0},
    {"but not a third time", NULL, idempotent_worker_dies_twice, WIRE_ERR_ABORTED,
     WIRE_BEGAN_MAYBE},
    {"lost, and its worker fails", never_restart, lost_with_its_worker, WIRE_ERR_UNAVAILABLE,
     WIRE_BEGAN_MAYBE},
    {"lost, and its worker is stopped", NULL, idempotent_worker_dies_then_stops,
     WIRE_ERR_UNAVAILABLE, WIRE_BEGAN_MAYBE},
    {"lost, and the hub is stopped", NULL, idempotent_worker_dies_then_hub_stops,
     WIRE_ERR_UNAVAILABLE, WIRE_BEGAN_MAYBE},
    {"lost, and its deadline passes", NULL, idempotent_worker_dies_then_deadline,
     WIRE_ERR_DEADLINE_EXCEEDED, WIRE_BEGAN_MAYBE},
    {"lost, and the next worker did not begin it", NULL, lost_and_the_next_worker_did_not_begin_it,
     WIRE_ERR_UNAVAILABLE, WIRE_BEGAN_MAYBE},
    {"a worker of no replicas", NULL, worker_of_no_replicas, WIRE_ERR_UNAVAILABLE, WIRE_BEGAN_NO},
    {"deadline in the queue", NULL, deadline_in_the_queue, WIRE_ERR_DEADLINE_EXCEEDED,
     WIRE_BEGAN_NO},
    {"deadline while running", NULL, deadline_while_running, WIRE_ERR_DEADLINE_EXCEEDED,
     WIRE_BEGAN_MAYBE},
    {"the queue is full", small_queue, queue_is_full, WIRE_ERR_RESOURCE_EXHAUSTED, WIRE_BEGAN_NO},
    {"unknown worker", NULL, unknown_worker, WIRE_ERR_NOT_FOUND, WIRE_BEGAN_NO},
    {"unknown method", NULL, unknown_method, WIRE_ERR_UNIMPLEMENTED, WIRE_BEGAN_NO},
    {"unknown method, told late", NULL, unknown_method_told_late, WIRE_ERR_UNIMPLEMENTED,
     WIRE_BEGAN_NO},
    {"unknown replica", NULL, unknown_replica, WIRE_ERR_NOT_FOUND, WIRE_BEGAN_NO},
    {"the worker is stopped", not_started, worker_is_stopped, WIRE_ERR_UNAVAILABLE, WIRE_BEGAN_NO},
    {"the worker has failed", never_restart, worker_has_failed, WIRE_ERR_UNAVAILABLE,
     WIRE_BEGAN_NO},
    {"the worker fails meanwhile", never_restart, worker_fails_while_it_waits, WIRE_ERR_UNAVAILABLE,
     WIRE_BEGAN_NO},
    {"the worker is stopped meanwhile", NULL, stop_of_the_worker, WIRE_ERR_UNAVAILABLE,
     WIRE_BEGAN_NO},
    {"the hub is stopped meanwhile", NULL, stop_of_the_hub, WIRE_ERR_UNAVAILABLE, WIRE_BEGAN_NO},
    {"cancelled in the queue", NULL, cancelled_in_the_queue, WIRE_ERR_CANCELLED, WIRE_BEGAN_NO},
    {"cancelled while running", NULL, cancelled_while_running, WIRE_ERR_CANCELLED,
     WIRE_BEGAN_MAYBE},
    {"the client dies", NULL, client_dies, WIRE_ERR_CANCELLED, WIRE_BEGAN_NO},
    {"the client comes back", NULL, client_comes_back, 0, 0},
    {"a repeat", NULL, a_repeat_gets_the_kept_outcome, 0, 0},
    {"a repeat of what was acknowledged", NULL, acknowledged_already, WIRE_ERR_FAILED_PRECONDITION,
     WIRE_BEGAN_MAYBE},
    {"a repeat after a minute away", NULL, client_comes_back_late, WIRE_ERR_FAILED_PRECONDITION,
     WIRE_BEGAN_MAYBE},
};

Test(outcomes, every_way_to_end_has_its_code_and_says_whether_it_began)
{
    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++) {
        const struct story *s = &stories[i];
        struct world w;
        unsigned began = 0;
        world_init(&w);
        world_worker(&w, "echo", s->spec);
        world_configured(&w);
        world_open(&w, CLIENT);
        const uint64_t request = s->happen(&w);
        const int code = world_outcome(&w, request, &began);
        cr_assert(code == s->code, "%s: code %d, wanted %d", s->name, code, s->code);
        cr_assert(began == s->began, "%s: began %u, wanted %u", s->name, began, s->began);
        world_deinit(&w);
    }
}

Test(outcomes, a_quiet_world_returns_to_nothing)
{
    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++) {
        struct world w;
        world_init(&w);
        world_worker(&w, "echo", stories[i].spec);
        world_configured(&w);
        world_open(&w, CLIENT);
        (void)stories[i].happen(&w);
        world_close(&w, CLIENT);
        world_close(&w, 2);
        /* Whoever runs it dies, too, so that nothing can be held by a worker that never reports. */
        if (w.process_count > 0 && w.process[w.process_count - 1].running) {
            world_exited(&w, "echo/0", SIGKILLED);
        }
        world_pass_ms(&w, WIRE_AWAY_MS + WIRE_REMEMBER_MS + 60000);
        const struct hub_counts c = hub_counts(w.hub);
        cr_assert(c.clients == 0 && c.calls == 0 && c.payload_bytes == 0 && c.parked == 0,
                  "%s: %zu clients, %zu calls, %zu bytes, %zu parked are left", stories[i].name,
                  c.clients, c.calls, c.payload_bytes, c.parked);
        world_deinit(&w);
    }
}
