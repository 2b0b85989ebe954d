/* A simulated world around the real core, the real client session and the real worker link: one
 * seed decides everything that happens, so that what goes wrong once goes wrong again.
 *
 * run.c owns a whole world's story; world.c time, the processes and the hub; net.c the network;
 * caller.c, stock.c and process.c are who speaks through it; ledger.c knows what must be true and
 * ends the run when it is not. Nothing here sees a clock, a descriptor or a thread. The idea is
 * that of the simulators of FoundationDB and TigerBeetle. */
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
    STOCKS = 2,
    PROCESSES = 64, /* alive at a time; places are used again */
    CONNECTIONS = 64,
    LATERS = 16,
    WORKERS = 2,
    REPLICAS_MAX = 3,
};

struct sim;
struct event;

/* Which faults a seed has at all, and how often of 1000 times; drawn once (a swarm of worlds). Half
 * of the seeds do not have a fault at all, the others at most as often as stands here. */
#define SIM_FAULTS(X)                                                                              \
    X(cut, 40)         /* a connection breaks */                                                   \
    X(stalls, 500)     /* what was sent over a connection that ends comes seconds later */         \
    X(twice, 30)       /* a request arrives twice, as one that a stock REQ socket repeats */       \
    X(broker_dies, 4)  /* per tick of faults */                                                    \
    X(worker_dies, 60) /* in the middle of a call */                                               \
    X(jumps, 8)        /* the clock jumps by up to a minute */                                     \
    X(hang, 20)        /* a call never ends by itself */                                           \
    X(slow_start, 300)                                                                             \
    X(start_fails, 100)                                                                            \
    X(long_calls, 300)                                                                             \
    X(away, 20) /* a client is not there for a while */                                            \
    X(leaves, 10)                                                                                  \
    X(cancels, 200)                                                                                \
    X(lazy, 30)   /* a reader does not fetch for a while */                                        \
    X(blind, 500) /* a worker does not look at its connection while it works */                    \
    X(stubborn, 300)                                                                               \
    X(admin, 20)   /* stop, start, restart, scale */                                               \
    X(crowds, 700) /* the hub's turn ends late, so that messages come together */                  \
    X(nests, 300)  /* a method that makes a call itself */                                         \
    X(pieces, 600) /* calls of more than one piece */                                              \
    X(tight, 1)    /* not of 1000: short queues and a small ring of events */                      \
    SIM_CHANGES(X)

/* What replaces processes and changes workers. These are drawn apart from the others, so that the
 * worlds without them are what they were before there were any. */
#define SIM_CHANGES(X)                                                                             \
    X(renews, 1)     /* not of 1000: max_calls */                                                  \
    X(ages, 1)       /* nor this: max_age */                                                       \
    X(watched, 1)    /* nor this: max_busy and heartbeat */                                        \
    X(stands, 1)     /* nor this: beta stands on alpha, or starts again with it */                 \
    X(reloads, 20)   /* another configuration: per tick of faults, and per act of a client */      \
    X(bad, 300)      /* in one the processes of a worker die at once */                            \
    X(slow_end, 300) /* the end of a process takes time */

enum sim_fault {
#define SIM_FAULT(name, most) SIM_FAULT_##name,
    SIM_FAULTS(SIM_FAULT)
#undef SIM_FAULT
        SIM_FAULT_COUNT,
};

struct faults {
#define SIM_FAULT(name, most) unsigned name;
    SIM_FAULTS(SIM_FAULT)
#undef SIM_FAULT
    int64_t delay_ns_max;
    int64_t pace; /* 1, or so many times slower: hours pass, and outcomes are no longer kept */
};

/* A worker as the configuration has it; the rest is the same in all of them (config.c). */
struct config {
    uint32_t program; /* the processes of odd ones die at once */
    uint32_t replicas;
    uint64_t calls_max;
    int64_t age_ms_max, busy_ms_max, heartbeat_ms;
    bool stop_first, stands, restarts_with;
    bool gone; /* it is not in the configuration */
};

/* What a world is made from, beside what the seed decides. The smaller, the easier to read. */
struct sim_options {
    uint64_t seed;
    uint64_t without; /* bit SIM_FAULT_x: that class is switched off */
    int64_t chaos_ms; /* of chaos at most, in the world's own time */
    uint32_t clients; /* of libprong, at most CLIENTS */
    uint32_t stocks;  /* stock REQ sockets, at most STOCKS */
    bool trace, checks, hash;
};

struct sim_result {
    bool good;
    uint64_t steps;
    uint64_t hash;    /* of all inputs and effects, when it was asked for */
    int64_t chaos_ms; /* that passed before it was over or something was wrong */
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
    int64_t stalled_ns;               /* nothing arrives at the hub until then */
    struct caller *client;            /* one of these */
    struct process *process;
    struct stock *stock;
    int32_t pid; /* whose it is, as the hub sees it */
    uint64_t start_ticks;
    uint32_t open_count; /* requests without an answer */
    struct {
        uint64_t request;
        int64_t since_ns;
        uint32_t id;
    } open[512];
};

/* A call in the background that the hub has accepted. */
struct later {
    struct session_handle handle;
    uint64_t number, epoch;
    int64_t accepted_ns;
};

struct sim {
    struct sim_options options;
    uint64_t random, drawn, hash;
    uint64_t chosen; /* state of sim_choose */
    int64_t now_ns, began_ns, chaos_end_ns;
    int64_t jumped_ns; /* when the clock has jumped last */
    bool chaos;
    struct faults faults;
    struct faults had; /* before peace */
    int64_t calm_ns;   /* from then on no worker dies that serves */
    bool goes_back;    /* the next configuration in peace is one that cannot run */
    struct event *heap;
    size_t event_count, event_cap;
    uint64_t event_number;
    struct hub *hub; /* NULL while there is no broker */
    uint64_t epoch, next_peer, next_request, steps;
    int32_t next_pid;
    bool turn_due;
    int64_t time_event_ns; /* when the next EVENT_TIME is planned */
    struct connection connections[CONNECTIONS];
    struct caller *clients[CLIENTS + PROCESSES]; /* behind CLIENTS those inside of processes */
    struct stock *stocks[STOCKS];
    struct process *processes[PROCESSES];
    struct config configs[WORKERS]; /* the newest good ones: what a new broker reads */
    uint32_t last_program;
    uint32_t adopted[WORKERS]; /* bit n: replica n had a process of an earlier broker */
    struct ledger *ledger;
    struct later laters[LATERS]; /* the newest calls in the background */
    uint32_t later_count;
};

/* The name of a worker. */
extern const char *const sim_workers[WORKERS];

/* A number below `n`, and a thing that happens `of_1000` times. */
uint64_t sim_draw(struct sim *s, uint64_t n);
bool sim_happens(struct sim *s, unsigned of_1000);
/* The same of the numbers of SIM_CHANGES and of configurations. */
uint64_t sim_choose(struct sim *s, uint64_t n);
__attribute__((format(printf, 2, 3))) void sim_note(struct sim *s, const char *format, ...);
/* What must not be. Ends the run, which is then repeated with a trace. */
__attribute__((format(printf, 2, 3))) _Noreturn void sim_wrong(struct sim *s, const char *format,
                                                               ...);

/* One whole world: chaos, then peace, then nothing may be left. What was wrong stands on stderr. */
struct sim_result sim_run(const struct sim_options *options);
/* The name of a class of faults. */
const char *sim_fault_name(enum sim_fault fault);
/* Find a smaller world that goes wrong, too, from one that does, and print its command line. */
void shrink(const struct sim_options *options);

/* A broker is there, and is told what the spawner knows. */
void world_broker_starts(struct sim *s);
void world_plan_faults(struct sim *s, int64_t at_ns);
/* All that happens until then. */
void world_run_until(struct sim *s, int64_t end_ns);
void world_clear(struct sim *s);
/* Wake somebody at a time. */
void world_wake_client(struct sim *s, struct caller *c, int64_t at_ns);
void world_wake_stock(struct sim *s, struct stock *c, int64_t at_ns);
void world_wake_process(struct sim *s, struct process *p, int64_t at_ns);
/* NULL while nobody listens. */
struct connection *world_connect(struct sim *s, struct caller *c, struct process *p);
void world_own(struct connection *k, struct stock *c);
void world_send(struct sim *s, struct connection *k, uint32_t id, const struct pieces *body);
/* The actor closes, or has heard that it was closed. */
void world_close(struct sim *s, struct connection *k);
void world_exit(struct sim *s, struct process *p, int status);
/* The configuration is read: a client has asked for that, or nobody. */
void world_plan_reload(struct sim *s, uint64_t call);
/* NULL when every worker has the processes that the configuration wants, made from it, serving and
 * alone; or what is not so. */
const char *world_unsettled(struct sim *s);

/* ---- config.c ---------------------------------------------------------------------------------
 */

/* What a broker reads first. */
void config_draw(struct sim *s);
/* The last one: nothing is gone, and what happens again and again happens seldom. */
void config_calm(struct sim *s);
/* Valid as long as the configuration is. `tight`: with a short queue. */
void config_spec(const struct config *c, size_t worker, bool tight, struct worker_spec *spec);
uint32_t config_program(const struct worker_spec *spec);
/* The hub is given another one, or in peace the last one; `bad`: with a program that dies at once.
 */
void config_reload(struct sim *s, uint64_t call, bool bad);

/* ---- caller.c ---------------------------------------------------------------------------------
 */

struct caller *caller_new(struct sim *s, uint32_t place);
void caller_free(struct sim *s, struct caller *c);
void caller_wake(struct sim *s, struct caller *c);
void caller_answer(struct sim *s, struct caller *c, uint32_t id, struct span body);
void caller_lost(struct sim *s, struct caller *c);
/* Peace: it stays, comes back, and makes calls that must succeed. */
void caller_calm(struct sim *s, struct caller *c);
bool caller_is_done(const struct sim *s, const struct caller *c);
/* One that makes a single call inside the call `parent` that its process runs, until then. Its
 * session would wait longer, so when it is late, the hub is. */
struct caller *caller_inside(struct sim *s, const struct process *p, uint64_t parent,
                             int64_t deadline_ns);
/* It has its outcome; PRONG_OK, or why not. */
bool caller_has_ended(const struct caller *c, prong_err *code);
/* It has read all that this broker ever stored. */
bool caller_has_all(const struct sim *s, const struct caller *c);

/* ---- stock.c ----------------------------------------------------------------------------------
 */

/* A program with a stock REQ socket: one request at a time, repeated as it is, under the same id,
 * when the connection was lost or nothing came for a minute. The first gives no client id. */
struct stock *stock_new(struct sim *s, uint32_t place);
void stock_free(struct sim *s, struct stock *c);
void stock_wake(struct sim *s, struct stock *c);
void stock_answer(struct sim *s, struct stock *c, uint32_t id, struct span body);
void stock_lost(struct sim *s, struct stock *c);
/* Another broker cannot know what it repeats. */
void stock_broker_died(struct sim *s, struct stock *c);
void stock_calm(struct sim *s, struct stock *c);
bool stock_is_done(const struct stock *c);
int32_t stock_pid(const struct stock *c);

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
    bool came;   /* it has connected once */
    uint32_t program;
    uint64_t epoch; /* of the broker that started it */
    struct actor *actor;
};

void process_begin(struct sim *s, struct process *p);
void process_end(struct sim *s, struct process *p);
void process_wake(struct sim *s, struct process *p);
void process_answer(struct sim *s, struct process *p, uint32_t id, struct span body);
void process_lost(struct sim *s, struct process *p);
void process_term(struct sim *s, struct process *p);
/* It is attached, as far as it knows. */
bool process_serves(const struct process *p);
/* It has a call that never ends; or one that may take long, because of the call inside it. */
bool process_hangs(const struct process *p);
bool process_may_hang(const struct process *p);

/* ---- ledger.c ---------------------------------------------------------------------------------
 */

/* How many items the method `yields` gives for a call. */
#define YIELDED(call) (1 + (uint32_t)((call) % 40))

/* MANY_TIMES: a call of every replica; EQUALS: one run may be for others, too. */
enum policy { ONCE, AGAIN, MANY_TIMES, EQUALS };

struct ledger *ledger_new(void);
void ledger_free(struct ledger *l);
/* A call is made; the number that stands in its arguments and must come back. */
uint64_t ledger_call(struct sim *s, enum policy policy, int64_t deadline_ns);
void ledger_began(struct sim *s, uint64_t call);
void ledger_outcome(struct sim *s, uint64_t call, const struct session_outcome *o);
/* It may be repeated to somebody who cannot know of it, and then begins anew. */
void ledger_doubt(struct sim *s, uint64_t call);
/* Its client is gone: nobody will hear of it. */
void ledger_forget(struct sim *s, uint64_t call);
/* `raw`: another broker may be told of it again, and stores it, too. */
uint64_t ledger_emit(struct sim *s, bool raw);
/* It is stored, under this number if it is not 0; `epoch` is that of the broker that it was sent
 * to.
 */
void ledger_acked(struct sim *s, uint64_t event, uint64_t epoch, uint64_t number);
/* A reader got it from the broker of this epoch, 0 when that is not sure. */
void ledger_event(struct sim *s, uint64_t event, uint64_t epoch, uint64_t history, uint64_t number);
/* A reader has got everything that the broker has stored since it began. */
void ledger_all_read(struct sim *s);
/* Nothing is open. */
void ledger_close(struct sim *s);

#endif
