/* The hub as a pure state machine: inputs in, effects out.
 *
 * Owns all that the broker knows: connections, clients, calls, workers and their life, events. Sees
 * no descriptor, clock, thread, environment or random source: time and the seed of randomness come
 * with the inputs, and what has to be done in the world leaves as effects, which the shell carries
 * out in order. The shape is that of cowsql/raft's raft_step. One thread. */
#ifndef PRONG_CORE_HUB_H
#define PRONG_CORE_HUB_H

#include "broker/core/spec.h"
#include "proto/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define HUB_NEVER INT64_MAX

struct hub;

/* A topic that is watched: hub.silent when nothing came on it for so long. */
struct hub_silence {
    const char *topic;
    int64_t max_ms; /* > 0 */
};

/* What does not change while the hub lives. Texts are borrowed for hub_new only. */
struct hub_options {
    uint8_t secret[16]; /* from a good random source: tokens and sessions are made from it */
    const char *name;   /* of this hub, for people */
    const char *version;
    uint64_t epoch;         /* counts the brokers of this hub, from 1 */
    uint32_t uid;           /* who may administer it, beside root */
    uint64_t events_bytes;  /* of the ring of events */
    uint64_t message_bytes; /* the limit told in WELCOME */
    int64_t drain_ms;       /* how long a replica that is to stop may go on with its calls */
    struct span token;      /* what a network peer must show in HELLO; empty: nobody may */
    /* Limits; 0: the defaults of limits.def. */
    uint64_t calls_max, payload_bytes_max;       /* in the hub at a time, kept outcomes included */
    uint64_t client_calls_max, client_bytes_max; /* of one client; calls without an outcome */
    const struct hub_silence *silences;          /* at most WIRE_SILENCES_MAX, each topic once */
    size_t silence_count;
};

/* What one process has used so far, itself and not its children. The core asks with `process` and
 * `pid`, the shell fills in the rest. */
struct hub_usage {
    uint64_t process;
    int32_t pid;
    bool known; /* false: there is no such process any more, and nothing of the rest */
    uint32_t threads;
    int64_t cpu_ms;     /* on processors, in user and in system mode */
    uint64_t rss_bytes; /* of memory that it has now */
};

/* What is told of streams and of memory that is lent. */
enum hub_lent_kind {
    HUB_STREAM_STARTED, /* a writer: reason, generation, number, slots, slot_bytes */
    HUB_STREAM_STOPPED, /* it is not its writer any more: reason, generation, number */
    HUB_STREAM_CHANGED, /* its writer has another ring: generation, number, slots, slot_bytes */
    HUB_STREAM_DROPPED, /* a lossless reader, or the group, was given up: group */
    HUB_STREAM_SILENT,  /* no frame came for too long: silent_ms, number */
    HUB_STREAM_HEARD,   /* then one did: silent_ms */
    HUB_MEMORY_REFUSED, /* there was no more to lend: stream, or "" for a buffer */
};

/* Texts are borrowed for the step. */
struct hub_lent_news {
    enum hub_lent_kind kind;
    int32_t pid; /* of whom it is about, 0 for nobody */
    uint32_t uid;
    const char *stream, *group, *reason;
    uint64_t generation, number, slots, slot_bytes; /* `number`: of the newest frame, or 0 */
    uint64_t silent_ms;
};

/* What is lent now. */
struct hub_lent {
    uint64_t bytes, bytes_max, buffers, connections;
    uint32_t silent; /* streams that are watched and silent, also those that are not there */
    uint32_t stream_count;
    struct span streams; /* the keys and values of a map that says of each stream by name what
                            docs/metrics.md lists; borrowed for the step */
};

enum hub_input_kind {
    HUB_IN_TIME,         /* nothing but the time */
    HUB_IN_TURN,         /* what came together was told: give out work and events */
    HUB_IN_OPENED,       /* a connection */
    HUB_IN_CLOSED,       /* its end; what it had asked is gone with it */
    HUB_IN_MESSAGE,      /* a request */
    HUB_IN_OVERSIZED,    /* a request whose body is above the limit and was not kept */
    HUB_IN_WORKER,       /* a worker of the configuration */
    HUB_IN_CONFIGURED,   /* all workers were told: start those that start by themselves */
    HUB_IN_STARTED,      /* a process runs */
    HUB_IN_START_FAILED, /* it could not be made, or could not exec */
    HUB_IN_EXITED,       /* it ended */
    HUB_IN_ALIVE,        /* it ran before this broker did */
    HUB_IN_NOTIFY,       /* a process has said something to its service manager, or is ready */
    HUB_IN_RELOAD,       /* answer to HUB_OUT_RELOAD, or without being asked: a configuration */
    HUB_IN_LOGS,         /* answer to HUB_OUT_LOGS or HUB_OUT_ENV */
    HUB_IN_LINE,         /* a line that a worker wrote is an event */
    HUB_IN_SENT,         /* answer to HUB_OUT_SEND */
    HUB_IN_USAGE,        /* answer to HUB_OUT_USAGE */
    HUB_IN_LENT,         /* news of streams or lent memory */
    HUB_IN_STOP,         /* stop everything in order; again: faster */
};

/* How much can be sent to a worker's stdin at a time, and how much of that may wait for it. */
enum { HUB_SEND_BYTES_MAX = 64 * 1024 };

/* What became of bytes for a worker's stdin. */
enum hub_sent {
    HUB_SENT,        /* it is given all of them, as fast as it reads */
    HUB_SENT_FULL,   /* none: it does not read */
    HUB_SENT_CLOSED, /* none: it has closed its stdin, or that was ended before */
};

struct hub_input {
    enum hub_input_kind kind;
    int64_t now_ns;   /* monotonic, never back */
    uint64_t wall_us; /* since 1970, for people */
    uint64_t peer;    /* OPENED, CLOSED, MESSAGE, OVERSIZED: never used twice */
    union {
        struct {
            bool local; /* an AF_UNIX peer */
            uint32_t uid;
            int32_t pid;
            uint64_t start_ticks; /* of the pid: pid and this name a process for ever */
        } opened;
        struct {
            uint64_t request;
            uint32_t sp_id;
            struct span body;    /* borrowed for the step */
            uint64_t size_bytes; /* OVERSIZED */
        } message;
        struct {
            const struct worker_spec *spec; /* borrowed for the step */
        } worker;
        struct {
            uint64_t id;
            int32_t pid;
            int32_t status;     /* EXITED: as waitpid gives it; START_FAILED: of what was to fork
                                   it, or 0 */
            bool out_of_memory; /* EXITED: the kernel killed in its cgroup for that reason */
            const char *step, *error; /* START_FAILED: where, and the text of the errno */
            bool never;               /* START_FAILED: it would not go better another time */
            const char *name;         /* ALIVE: "detector/0" */
            struct span log; /* EXITED: what it wrote last, an encoded list of texts, or empty */
        } process;
        struct {
            uint64_t process;
            bool ready, sign;   /* it is ready as its worker's `ready` says; it lives */
            int64_t extend_ms;  /* > 0: it wants so long from now, for its start or stop */
            const char *status; /* a text for people, or NULL */
        } notify;
        struct {
            uint64_t call;     /* number in HUB_OUT_RELOAD, 0: nobody waits for the outcome */
            const char *wrong; /* not NULL: it cannot be used, and this is why */
            const struct worker_spec *specs; /* every worker; borrowed for the step */
            size_t count;
        } reload;
        struct {
            uint64_t call;       /* number in HUB_OUT_LOGS or HUB_OUT_ENV */
            struct span payload; /* encoded result; empty when there is nothing */
            const char *refused; /* not NULL: what is wrong with the question */
        } logs;
        struct {
            const char *replica; /* "detector/0" */
            struct span payload; /* encoded */
        } line;
        struct {
            uint64_t call; /* number in HUB_OUT_SEND */
            enum hub_sent what;
            uint64_t held_bytes; /* SENT_FULL: so many wait already */
        } sent;
        struct {
            uint64_t call; /* number in HUB_OUT_USAGE */
            const struct hub_usage *list;
            size_t count;
            const struct hub_lent *lent; /* NULL when that was not asked, or memory was out */
        } usage;
        struct hub_lent_news lent;
    };
};

enum hub_effect_kind {
    HUB_OUT_REPLY,     /* peer, request, body, cuts */
    HUB_OUT_CLOSE,     /* peer */
    HUB_OUT_START,     /* process, spec, replica, token */
    HUB_OUT_SIGNAL,    /* process, signal, group, external */
    HUB_OUT_ADOPT,     /* process, pid: watch this one, which is not a child of the spawner */
    HUB_OUT_STACK,     /* process, pid, spec, replica: put into the log what it is doing */
    HUB_OUT_RELOAD,    /* call: read the configuration again */
    HUB_OUT_LOGS,      /* call, body (the names of workers and replicas, each with a NUL; empty:
                          all), lines, logs */
    HUB_OUT_LOG_LEVEL, /* spec (NULL: the hub itself), level */
    HUB_OUT_SEND,      /* call, process, body, ends (of its stdin) */
    HUB_OUT_ENV,       /* call, spec, replica, reveal */
    HUB_OUT_USAGE,     /* call (0: nobody waits, the core itself asks), usage, usage_count,
                          lent */
    HUB_OUT_EVENT,     /* an event under hub. was stored: topic, body; for the log */
    HUB_OUT_READY,     /* every worker that starts by itself is ready, for the first time */
    HUB_OUT_STOPPING,  /* a stop of the whole hub has begun */
    HUB_OUT_END,       /* nothing is left: exit */
};

struct hub_effect {
    enum hub_effect_kind kind;
    uint64_t peer, request;
    struct span body;       /* valid until the next step, as everything else */
    const struct cut *cuts; /* REPLY: parts of the body that stand elsewhere (pieces_cut) */
    uint32_t cut_count;
    uint64_t process;               /* names one incarnation of one replica, never used twice */
    const struct worker_spec *spec; /* valid until the next step */
    uint32_t replica;
    uint32_t incarnation;
    uint32_t
        edition; /* START: another one than before, and nothing of earlier processes may be left */
    char token[64];
    int32_t pid; /* ADOPT, STACK */
    int signal;
    bool group, external;
    uint64_t call;
    uint32_t lines;
    enum spec_level level;
    struct {
        bool follows;      /* the answer says how to go on, and may wait for a line */
        struct span after; /* the position in an earlier answer, or empty */
        uint64_t since_us, wait_ms;
    } logs;
    bool ends;
    bool reveal;                   /* ENV: with secrets */
    const struct hub_usage *usage; /* USAGE: the processes that are meant */
    size_t usage_count;
    bool lent; /* USAGE: and what is lent */
    struct span topic;
};

struct hub_effects {
    const struct hub_effect *list;
    size_t count;
};

/* NULL when memory is out. */
struct hub *hub_new(const struct hub_options *options);
/* Accepts NULL. */
void hub_free(struct hub *hub);
/* One step. The effects are valid until the next one. false when memory for the effects themselves
 * was out: the state is whole, but something was not told, and the program should end.
 *
 * Calls go to workers and events to their readers in the step of HUB_IN_TURN only, which follows
 * whatever came together: what comes as a crowd leaves as a crowd. */
bool hub_step(struct hub *hub, const struct hub_input *in, struct hub_effects *out);
/* When HUB_IN_TIME is wanted at the latest, HUB_NEVER when never. */
int64_t hub_deadline_ns(const struct hub *hub);
/* Assert every invariant; for tests, after each step. Costs time in the size of the state. */
void hub_check(const struct hub *hub);

/* What a replica ("detector/0") is made from, valid until the next step; NULL when there is no such
 * replica, or none any more. */
const struct worker_spec *hub_replica_spec(struct hub *hub, const char *replica);
/* The same of a process. */
const struct worker_spec *hub_process_spec(struct hub *hub, uint64_t process);

/* The process of a replica by its pid, 0 when none has it. */
uint64_t hub_process_of_pid(const struct hub *hub, int32_t pid);

/* The call that a process serves, when it serves exactly one: "detect#99", its method and the
 * number that it has in WORK. false when it serves none, or several. */
enum { HUB_CALL_BYTES = 96 };
bool hub_running(struct hub *hub, uint64_t process, char out[HUB_CALL_BYTES]);

/* What the state holds, for tests and status. */
struct hub_counts {
    size_t peers, clients, calls, unfinished, parked, workers, payload_bytes;
    size_t topics, filters;
    uint64_t matches,
        looks; /* so far: filters compared with topics, events looked at for a FETCH */
};
struct hub_counts hub_counts(const struct hub *hub);

#endif
