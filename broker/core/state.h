/* The structures of the core, shared by its files and by nobody else.
 *
 * Who owns what: the hub owns connections (peers), clients, workers and the ring. A peer owns its
 * tickets, one per request message. A client owns its calls. A replica borrows the calls that it
 * runs, a worker those that wait for it, a ticket those whose outcome it waits for. */
#ifndef PRONG_CORE_STATE_H
#define PRONG_CORE_STATE_H

#include "broker/core/deadline.h"
#include "broker/core/events.h"
#include "broker/core/hub.h"
#include "broker/core/lent.h"
#include "broker/core/list.h"
#include "broker/core/metrics.h"
#include "broker/core/siphash.h"
#include "broker/core/table.h"
#include "proto/record.h"
#include "proto/write.h"

enum {
    NS_PER_MS = 1000000,
    ACKS_MAX = 1024, /* told a replica in one answer; it is told at once when there are so many: */
    ACKS_ENOUGH = 64,
};

/* Tickets and calls that ended are kept for the next ones with a little room for bytes, so that a
 * hub in its steady state allocates nothing. AddressSanitizer would not see that freed ones are
 * used, so builds with it keep none (CMakeLists.txt). */
#ifndef CORE_SPARES_MAX
#define CORE_SPARES_MAX 64
#endif
enum { SPARE_BYTES = 1024 };
/* Payloads of so many bytes are not copied into answers (slot_payload). Builds that look for faults
 * have it small, so that they see all that can go wrong with it. */
#ifndef CORE_CUT_BYTES
#define CORE_CUT_BYTES CUT_BYTES
#endif

/* Elements of one type, linked by their own node. */
struct spares {
    struct node list;
    size_t count;
};

/* ---- one request message and its parts (ticket.c) -------------------------------------------- */

enum slot_state { SLOT_OPEN, SLOT_PARKED, SLOT_ANSWERED };

/* One record of a message. While parked, `link` is in the list of what it waits for. */
struct slot {
    struct ticket *ticket;
    enum slot_state state;
    enum wire_record record;
    struct node link;
    /* what it waits for */
    struct call *call;       /* CALL, WAIT */
    struct replica *replica; /* POLL, CONTROL */
    struct fetch *fetch;     /* FETCH */
    uint64_t seq;            /* as the peer said it */
};

struct ticket {
    struct node link; /* in peer->tickets */
    struct node due;  /* in hub->due when an answer is to be sent */
    struct peer *peer;
    uint64_t request;
    struct deadline deadline;
    struct buf out; /* encoded replies, in the order in which they came about */
    /* Long payloads, which are not copied into it (slot_payload); CUTS_MAX, or NULL until there
     * was one. */
    struct cut *cuts;
    uint32_t cut_count;
    uint32_t sp_id;
    struct span body;   /* of the request, while it is being taken; empty afterwards */
    uint64_t body_hash; /* see ticket_body_hash; with sp_id it makes a repeat known */
    bool has_body_hash;
    uint32_t slot_count, parked;
    struct slot *slots;
    struct slot few[2]; /* the usual case needs no memory of its own */
};

/* ---- connections and clients (peer.c, client.c) ---------------------------------------------- */

struct peer {
    struct table_entry entry; /* by id, in hub->peers */
    uint64_t id;
    bool local, trusted; /* trusted: local, or HELLO with the token was seen */
    bool admin;
    bool spare; /* it came when there were PEERS_MAX: not for everything (ticket.c) */
    uint32_t uid;
    int32_t pid;
    uint64_t process; /* whose PRONG_TOKEN its HELLO held; 0: of none */
    uint64_t start_ticks;
    char name[WIRE_NAME_BYTES_MAX + 1]; /* of the program, as HELLO said it, for people */
    struct deadline deadline;           /* by which it has to say who it is */
    struct node untrusted;              /* in hub->untrusted until then */
    struct node tickets;
    uint32_t ticket_count, parked;                 /* messages, and records in them, that wait */
    struct client *clients[WIRE_PEER_CLIENTS_MAX]; /* that spoke through it, newest first */
};

/* ---- queues (queue.c) -------------------------------------------------------------------------
 */

/* Calls of one client and priority that wait for one worker or replica. */
struct line {
    struct node link;      /* in queue->lanes[priority] while it has calls */
    struct node calls;     /* the oldest first */
    struct node of_client; /* in client->lines, or in no list when it stands in the client itself */
    struct queue *queue;   /* NULL: not in use */
    uint32_t count;
    uint8_t priority;
    bool served; /* it stands first, and has had its turn if there are others */
};

struct queue {
    struct node lanes[WIRE_PRIORITY_MAX + 1]; /* lines, the one whose turn it is or was first */
    uint32_t count;
    uint16_t used; /* bit p: lanes[p] is not empty */
};

/* Who calls: 16 bytes that a program chose, or a process that gave none. */
struct client {
    struct table_entry entry; /* by key, in hub->clients */
    uint64_t number;
    uint8_t key[WIRE_CLIENT_BYTES + 1]; /* the last byte tells chosen ids from made ones */
    bool nameless;
    uint32_t uid;
    int32_t pid;
    uint32_t present; /* connections that spoke for it and live */
    uint64_t newest;  /* highest number of its calls so far */
    uint64_t ack;     /* every call up to this has its outcome there */
    uint64_t
        forgotten; /* up to this an outcome may have been dropped: what is not known is not run */
    uint64_t emit_seq, emit_number;       /* newest event it published */
    uint64_t emit_seen[WIRE_WINDOW / 64]; /* bit n: so did emit_seq - n */
    struct node calls;                    /* oldest first, without those in the background: */
    struct node background;
    struct node released; /* parts that nobody needs any more, still with their replicas */
    uint32_t call_count, unfinished, background_count;
    size_t payload_bytes;     /* of all of them */
    struct line line;         /* where its calls wait; */
    struct node lines;        /* more of them when they wait in several places */
    uint32_t leases;          /* replicas that it holds or waits for */
    struct deadline deadline; /* when it counts as away, then when it is forgotten */
    bool away;
    bool is_replica;                   /* then `who` is its name */
    char who[2 * WIRE_NAME_BYTES_MAX]; /* for workers and people: the replica, or its name, pid and
                                          uid: "ui pid 12 uid 0" */
    struct node idle;                  /* in hub->idle_clients when nobody is present */
};

/* ---- calls (call.c) ---------------------------------------------------------------------------
 */

/* WHOLE: its parts are queued and given (many.c). FOLLOWS: it waits for the outcome of an equal
 * call (share.c). */
enum call_state { CALL_QUEUED, CALL_GIVEN, CALL_WHOLE, CALL_FOLLOWS, CALL_DONE };
enum call_policy { POLICY_ONCE, POLICY_IDEMPOTENT, POLICY_SHARED };
enum call_map { MAP_NOT, MAP_ORDERED, MAP_COMPLETED };

/* What equal calls find a call by that they may follow (share.c). */
struct share {
    struct table_entry entry; /* by print, in hub->shared */
    uint64_t print;           /* keyed hash of worker, method and arguments */
    struct call *call;
    struct node followers; /* calls */
};

/* What is told of a call before its outcome: items of one in pieces that the caller has not said it
 * received, and its progress (items.c). */
struct items {
    struct buf bytes;    /* encoded, in a row */
    uint64_t first, end; /* their numbers */
    struct node reports; /* slots of REPORTs that wait until there is room */
    struct buf progress; /* the newest; */
    bool progress_new;   /* it was not told yet */
};

/* One CALL that is many: a call for each set of arguments or for each replica (many.c). */
struct many {
    struct call *call;     /* the whole */
    struct node link;      /* in worker->manys while there are parts to be made */
    struct node parts;     /* that are not told yet */
    uint32_t total, next;  /* how many there are, and which is made next */
    uint32_t open;         /* made and not ended */
    uint32_t told, failed; /* ended and told; of those with an error */
    size_t at;             /* of the next set in the arguments */
    size_t held;           /* bytes of outcomes that wait for those of parts before them */
    bool ordered, began;   /* in the order of their numbers; one of them may have begun */
    bool each;             /* replica, or argument set */
    bool gone;             /* nobody wants to hear of its parts */
};

struct call {
    struct table_entry entry; /* by {client, key}, in hub->calls */
    struct {
        uint64_t client_number, seq;
    } key;
    struct table_entry by_number; /* in hub->numbers */
    uint64_t number;              /* between hub and worker */
    uint64_t seq;                 /* as the peer said it */
    struct client *client;
    struct node of_client; /* in client->calls; of a part in its whole's parts */
    struct node queued;    /* in its line; when done, in hub->finished */
    struct line *line;     /* where it waits, or NULL */
    struct node running;   /* in replica->running */
    struct node waiters;   /* slots */
    enum call_state state;
    enum wire_op outcome_op; /* RESULT or ERROR, when done */
    bool emitted; /* not a call but an EMIT without a client id, kept to know its repeat */
    bool wants_progress, acked, background, keyed;
    bool maybe;                 /* one that it followed may have begun */
    bool pardoned;              /* it is a dead letter that is tried again */
    uint8_t policy, policy_max; /* what holds for it; what its caller allows */
    uint8_t runs;               /* how often it was given out */
    uint8_t priority, map;
    uint16_t tally;        /* of its worker: where it is counted */
    uint32_t lease_ms;     /* it asks for a replica, not for a method, when not 0; */
    int32_t lease_only;    /* for this one, or -1 for any */
    uint32_t part;         /* its number in its whole */
    uint32_t place;        /* as the how manieth of its replica it was given out, */
    int64_t given_ns;      /* and when */
    int64_t queued_ns;     /* when it began to wait */
    struct call *whole;    /* of which it is a part, or NULL */
    struct many *many;     /* NULL when it is one call */
    struct items *items;   /* NULL until there is something for them */
    struct worker *worker; /* NULL for the hub's own methods */
    struct replica *replica;
    int64_t only;         /* replica asked for, -1 for any */
    uint64_t key_hash;    /* when keyed */
    struct node inner;    /* calls that were made inside it */
    struct node outer;    /* in the inner list of the call inside which it was made */
    struct call *parent;  /* that one, NULL when there is none */
    struct share *share;  /* when equal calls may follow it, else NULL */
    struct call *leader;  /* that it follows, or NULL */
    struct node follows;  /* in the leader's list */
    uint64_t work;        /* number of the WORK that gave it out */
    uint64_t ran_process; /* who reported the outcome and keeps it until we say it may forget */
    struct deadline deadline;
    struct buf args;    /* arguments; given back with the outcome */
    struct buf outcome; /* the encoded answer from its third element on */
    size_t charged;     /* bytes counted in hub->payload_bytes */
    size_t method_len;
    char method[WIRE_NAME_BYTES_MAX];
};

/* ---- workers (worker.c, life.c, serve.c) ------------------------------------------------------
 */

enum life {
#define LIFE(name, text, meaning) LIFE_##name,
#include "broker/core/life.def"
#undef LIFE
    LIFE_COUNT,
};

struct method {
    char name[WIRE_NAME_BYTES_MAX + 1];
    uint8_t policy; /* enum call_policy */
    uint16_t tally; /* where its calls are counted */
    int64_t run_ns; /* how long it takes, rather too long than too short; 0: not known yet */
};

/* A replica of a worker is mostly one process after another. For a while there may be more: an heir
 * that is to take its place when it is ready, and those whose place was taken (heir.c). */
enum role { ROLE_PLACE, ROLE_HEIR, ROLE_LEAVING };

struct replica {
    struct worker *worker;
    struct worker_spec *spec; /* what its process was made from; its worker's when there is none */
    uint32_t index;
    enum role role;
    struct replica *heir; /* of who has the place: who is to take it, or NULL */
    struct node leaving;  /* in worker->leaving */
    char why[96];         /* of an heir: why it is to take the place */
    enum life life;
    char asked[2 * WIRE_NAME_BYTES_MAX]; /* who changed that last, "" for the hub itself */
    bool wanted;      /* it is to run: told by start and stop, not by what happens to it */
    bool killed;      /* SIGKILL was sent */
    bool overdue;     /* it was killed because it did not get ready in time */
    bool hung;        /* it was aborted because it did nothing; last_reason says what not */
    bool waits;       /* it is wanted, and other workers are not so far yet (depend.c) */
    bool hopeless;    /* and they will not come so far by themselves */
    bool engaged;     /* it was given calls, and has not asked for more since */
    bool aged;        /* it has had its max_age */
    bool external;    /* its process was not started by the hub (prong attach) */
    bool was_ready;   /* this process was */
    uint64_t process; /* 0 when there is none */
    struct table_entry by_process;
    int32_t pid;
    uint32_t incarnation, restarts;
    char token[33];
    int64_t started_ns, ready_ns;
    struct deadline deadline;
    struct deadline renewal; /* when its process is to be looked at because of its age (renew.c) */
    struct deadline vigil;   /* when it is to be seen whether it is hung (hang.c) */
    int64_t left_ns;         /* when the last call that it had was not wanted any more */
    int64_t heard_ns;        /* when it told anything of a call last, or was given one when idle */
    int64_t sign_ns;         /* the last sign of life of who sends them by itself, 0: never */
    int64_t quiet_ns;        /* when it was looked at last without being asked for a sign */
    int64_t renewal_wait_ns; /* no new try to renew it before, 0: there was none */
    int64_t asked_ns;        /* when it was asked for a sign, 0: it is not being asked */
    uint64_t calls_before;   /* calls_done when its process began */
    char said[96];           /* STATUS= of a program that speaks to a service manager */
    /* deaths that count, the newest last: when there are too many in the window it has failed */
    int64_t *deaths;
    uint32_t deaths_cap;
    uint32_t death_count, death_row;
    int32_t last_status;
    bool has_last; /* a process has ended, with last_status */
    char last_reason[96];
    char last_error[96]; /* the newest reason that was a fault; it stays when it is ready again */
    /* the link */
    uint64_t attach, session, work, taken;
    uint64_t capacity;
    struct node running; /* calls given and not reported */
    uint32_t running_count;
    struct queue *queue;   /* calls for this replica alone; handed on to who takes its place */
    bool served_own;       /* the call given last was one of these */
    struct client *holder; /* who has leased it, or waits until it is idle */
    struct call *lease;    /* that waits for it to be idle, NULL when it has been granted */
    struct deadline lease_end;
    struct slot *poll, *control; /* parked, or NULL */
    uint64_t poll_capacity;
    uint64_t calls_done;
    /* What its process has used, as it was sampled last (usage.c); zero until then. */
    int64_t cpu_ms;
    uint64_t rss_bytes;
    uint32_t threads;
    int64_t idle_since_ns;
    uint64_t acks[ACKS_MAX]; /* calls whose results it may forget */
    uint32_t ack_count;
    struct buf commands; /* COMMANDs that found no parked CONTROL: encoded, one after another */
    uint32_t command_count;
};

struct worker {
    struct table_entry entry;           /* by name, in hub->workers */
    char name[WIRE_NAME_BYTES_MAX + 1]; /* the key, which outlives each specification */
    struct node link;           /* in hub->worker_list, in the order in which they were told */
    struct node crowd;          /* in hub->crowded when work may be given out */
    struct worker_spec *spec;   /* what its processes should be */
    struct worker_spec *former; /* while they become that: what they were; NULL: no way back */
    bool rolling;               /* they are being replaced one by one (renew.c) */
    uint32_t rolled;            /* the one that is being replaced */
    uint32_t edition;           /* counts stops and restarts of all of it (HUB_OUT_START) */
    bool gone;                  /* it is no longer in the configuration, and on its way out */
    bool seen;                  /* it is in the new one (reload.c) */
    bool told_to_end;           /* the hub stops, and nobody is left that stands on it */
    struct replica **replicas;
    uint32_t replica_count; /* those above spec->replicas are on their way out */
    struct node leaving;    /* replicas whose place another one has */
    struct queue queue;
    uint32_t queued;    /* here and in the replicas' own queues */
    struct node manys;  /* calls that have parts to be made */
    struct node leases; /* calls that wait for a replica of their own */
    int64_t service_ns; /* how long a call takes on the average; 0: not known yet */
    uint32_t served;    /* of how many calls that was learned, no more than matters */
    bool full;          /* the last call found no room, and that was told */
    bool poisoned;      /* a call has become poison: equal ones may wait */
    bool methods_known;
    struct method *methods;
    uint32_t method_count;
    struct buf described; /* the methods map of ATTACH as it came */
    uint64_t calls_total, errors_total;
    struct tallies tallies;
    uint64_t restarts[RESTART_REASONS];
    int64_t cpu_ms; /* of all processes that its replicas had, as far as it was sampled */
};

/* ---- the hub ----------------------------------------------------------------------------------
 */

/* What is told as hub.limit when it is reached, at most once a second each. */
enum hub_limit {
    LIMIT_QUEUE,
    LIMIT_CLIENT_CALLS,
    LIMIT_CLIENT_BYTES,
    LIMIT_CALLS,
    LIMIT_BYTES,
    LIMIT_BACKGROUND,
    LIMIT_OF_CALLS, /* those above are for calls */
    LIMIT_MEMORY = LIMIT_OF_CALLS,
    LIMIT_COUNT,
};

/* What came of a new configuration: names of workers that were added, changed and removed, and of
 * those that went back, each with the reason (reload.c). */
struct reload {
    bool runs;
    uint64_t call; /* who asked, 0 for nobody */
    struct buf names[3], back;
    uint32_t counts[3], back_count;
};

struct hub {
    struct hub_options options;
    char name[65], version[65];
    struct siphash_key key;
    uint64_t drawn; /* counts what was drawn from the key */
    uint8_t *token;
    int64_t now_ns, born_ns;
    uint64_t wall_us;
    uint64_t history;
    struct table peers, clients, calls, numbers, workers, processes, shared, poisons;
    struct node worker_list, idle_clients, fetches, due;
    struct worker *recent; /* the one found last, or NULL */
    struct node crowded;   /* workers to be looked at when the turn ends */
    struct node untrusted; /* peers, the oldest first */
    struct node finished;  /* calls that may be forgotten when the step ends */
    struct node told;      /* forgotten calls whose outcomes an effect may point to */
    struct spares spare_tickets, spare_calls;
    struct deadlines deadlines;
    struct ring ring;
    uint64_t last_call, last_process, last_client;
    size_t call_count, unfinished, payload_bytes, parked, fetch_count, untrusted_count;
    struct node poison_list; /* the one whose time is over first stands first */
    struct deadline poison_end;
    struct node letters; /* dead ones, the oldest first */
    uint32_t letter_count;
    uint64_t last_letter;
    struct reload reload;
    struct deadline usage_due; /* when the memory of processes is looked at (renew.c) */
    uint32_t gone;             /* workers on their way out */
    const char *asker;         /* who asks for what is being changed, NULL for nobody */
    struct span last_words;    /* of the process whose end is being taken; for the step */
    int64_t limit_told_ns[LIMIT_COUNT];
    uint64_t refused[LIMIT_COUNT], refused_no_worker; /* calls, since the broker began; so are */
    uint64_t own_calls;                               /* those of the hub's own methods, */
    uint64_t opened_total, events_lost; /* connections, and events that readers came too late for */
    bool configured, was_ready, stopping, ended, events_new, failed;
    struct buf scratch;       /* for what is built and copied within one step */
    struct hub_usage *usages; /* what HUB_OUT_USAGE asks for */
    size_t usage_cap;
    struct lent lent;
    const struct hub_lent *lent_now; /* as the shell has just said; for the step */
    struct hub_effect *effects;
    size_t effect_count, effect_cap;
    struct node sent;  /* tickets whose bytes are in an effect: freed when the next step begins */
    struct kept *kept; /* other bytes of effects, likewise */
    struct worker_spec *specs_kept; /* and specifications */
    struct record records[WIRE_RECORDS_MAX];
};

#endif
