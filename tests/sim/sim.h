/* A simulated world around the real core, the real client session and the real worker link: one
 * seed decides everything that happens, so that what goes wrong once goes wrong again.
 *
 * run.c owns a whole world's story; world.c time, the network, the processes and the hub; caller.c
 * and process.c are who speaks through it; ledger.c knows what must be true and ends the run when
 * it is not. Nothing here sees a clock, a descriptor or a thread. The idea is that of the
 * simulators of FoundationDB and TigerBeetle. */
#ifndef PRONG_TESTS_SIM_SIM_H
#define PRONG_TESTS_SIM_SIM_H

#include "broker/core/hub.h"
#include "client/session/session.h"
#include "proto/buf.h"

#include <stdio.h>

#define US     INT64_C(1000)
#define MS     INT64_C(1000000)
#define SECOND INT64_C(1000000000)

enum {
    CLIENTS = 6,
    PROCESSES = 64, /* alive at a time; places are used again */
    CONNECTIONS = 64,
    WORKERS = 2,
    REPLICAS_MAX = 3,
};

struct sim;
struct event;

/* Which faults a seed has at all, and how often of 1000 times; drawn once (a swarm of worlds). */
struct faults {
    unsigned cut;         /* a connection breaks */
    unsigned broker_dies; /* per tick of faults */
    unsigned worker_dies; /* in the middle of a call */
    unsigned hang;        /* a call never ends by itself */
    unsigned slow_start;
    unsigned start_fails;
    unsigned long_calls;
    unsigned away; /* a client is not there for a while */
    unsigned leaves;
    unsigned cancels;
    unsigned blind; /* a worker does not look at its connection while it works */
    unsigned stubborn;
    unsigned admin;  /* stop, start, restart, scale */
    unsigned crowds; /* the hub's turn ends late, so that messages come together */
    int64_t delay_ns_max;
    int64_t pace; /* 1, or so many times slower: hours pass, and outcomes are no longer kept */
};

/* ---- run.c, world.c
 * ----------------------------------------------------------------------------------
 */

/* A connection: bytes of each direction come in their order, late, or not at all once it is cut. */
struct connection {
    uint64_t peer;              /* the hub's number; 0: a free place */
    bool open_there, open_here; /* whether the hub, and whether the actor, still think so */
    bool cut;
    int64_t to_hub_ns, to_actor_ns;   /* when the newest message of a direction arrives */
    int64_t hub_cut_ns, actor_cut_ns; /* nothing arrives from then on */
    struct caller *client;            /* one of both */
    struct process *process;
    uint32_t open_count; /* requests without an answer */
    struct {
        uint64_t request;
        uint32_t id;
    } open[512];
};

struct sim {
    uint64_t seed, random, drawn;
    int64_t now_ns;
    bool trace, chaos;
    struct faults faults;
    struct event *heap;
    size_t event_count, event_cap;
    uint64_t event_number;
    struct hub *hub; /* NULL while there is no broker */
    uint64_t epoch, next_peer, next_request, steps;
    int32_t next_pid;
    bool turn_due, checks;
    int64_t time_event_ns; /* when the next EVENT_TIME is planned */
    struct connection connections[CONNECTIONS];
    struct caller *clients[CLIENTS];
    struct process *processes[PROCESSES];
    uint32_t replicas[WORKERS];
    struct ledger *ledger;
};

/* A number below `n`, and a thing that happens `of_1000` times. */
uint64_t sim_draw(struct sim *s, uint64_t n);
bool sim_happens(struct sim *s, unsigned of_1000);
__attribute__((format(printf, 2, 3))) void sim_note(struct sim *s, const char *format, ...);
/* What must not be. Ends the run, which is then repeated with a trace. */
__attribute__((format(printf, 2, 3))) _Noreturn void sim_wrong(struct sim *s, const char *format,
                                                               ...);

/* One whole world: chaos, then peace, then nothing may be left. The steps of the core it took. */
uint64_t sim_run(uint64_t seed, bool trace, bool checks);

/* A broker is there, and is told what the spawner knows. */
void world_broker_starts(struct sim *s);
void world_plan_faults(struct sim *s, int64_t at_ns);
/* All that happens until then. */
void world_run_until(struct sim *s, int64_t end_ns);
void world_clear(struct sim *s);
/* Wake somebody at a time. */
void world_wake_client(struct sim *s, struct caller *c, int64_t at_ns);
void world_wake_process(struct sim *s, struct process *p, int64_t at_ns);
/* NULL while nobody listens. */
struct connection *world_connect(struct sim *s, struct caller *c, struct process *p);
void world_send(struct sim *s, struct connection *k, uint32_t id, const struct pieces *body);
/* The actor closes, or has heard that it was closed. */
void world_close(struct sim *s, struct connection *k);
void world_exit(struct sim *s, struct process *p, int status);

/* ---- caller.c ---------------------------------------------------------------------------------
 */

struct caller *caller_new(struct sim *s, uint32_t place);
void caller_free(struct sim *s, struct caller *c);
void caller_wake(struct sim *s, struct caller *c);
void caller_answer(struct sim *s, struct caller *c, uint32_t id, struct span body);
void caller_lost(struct sim *s, struct caller *c);
/* Peace: it stays, comes back, and makes calls that must succeed. */
void caller_calm(struct sim *s, struct caller *c);
bool caller_is_done(const struct caller *c);

/* ---- process.c --------------------------------------------------------------------------------
 */

/* A process that the hub started. */
struct process {
    uint64_t id;
    char worker[16];
    uint32_t replica;
    char token[64];
    int32_t pid; /* 0 until it runs */
    bool dies;   /* it has ended, and the hub does not know yet */
    struct actor *actor;
};

void process_begin(struct sim *s, struct process *p);
void process_end(struct process *p);
void process_wake(struct sim *s, struct process *p);
void process_answer(struct sim *s, struct process *p, uint32_t id, struct span body);
void process_lost(struct sim *s, struct process *p);
void process_term(struct sim *s, struct process *p);

/* ---- ledger.c ---------------------------------------------------------------------------------
 */

enum policy { ONCE, AGAIN };

struct ledger *ledger_new(void);
void ledger_free(struct ledger *l);
/* A call is made; the number that stands in its arguments and must come back. */
uint64_t ledger_call(struct sim *s, enum policy policy, int64_t deadline_ns);
void ledger_began(struct sim *s, uint64_t call);
void ledger_outcome(struct sim *s, uint64_t call, const struct session_outcome *o);
/* Its client is gone: nobody will hear of it. */
void ledger_forget(struct sim *s, uint64_t call);
uint64_t ledger_emit(struct sim *s);
/* A reader got it. */
void ledger_event(struct sim *s, uint64_t event, uint64_t history, uint64_t number);
/* Nothing is open. */
void ledger_close(struct sim *s);

#endif
