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

/* hub.c */
uint64_t hub_draw(struct hub *hub); /* the next pseudo-random 53 bits */

/* effect.c: each returns the new effect to be filled, or NULL (hub->failed) */
struct hub_effect *effect_add(struct hub *hub, enum hub_effect_kind kind);
/* A copy of bytes for an effect, kept until the next step; empty when memory is out. */
struct span effect_bytes(struct hub *hub, struct span bytes);
/* A specification for an effect, kept until then, too: its worker may get another one before. */
const struct worker_spec *effect_spec(struct hub *hub, struct worker_spec *spec);
void effects_begin(struct hub *hub);

/* spares.c: put is false when there are enough, and the caller frees; get is NULL when there is
 * none. */
bool spares_put(struct spares *spares, struct node *n);
struct node *spares_get(struct spares *spares);

/* ticket.c */
void ticket_take(struct hub *hub, struct peer *peer, const struct hub_input *in);
/* Hash of the whole message, 0 on a network; only while it is being taken. Made when first asked
 * for: only those who give no client id need it, and it costs time in the size of the payload. */
uint64_t ticket_body_hash(const struct hub *hub, struct ticket *ticket);
/* A refusal of a whole message. */
void ticket_refuse(struct hub *hub, struct peer *peer, uint64_t request, enum wire_error code,
                   const char *text);
struct buf *slot_begin(struct slot *slot); /* where to encode the answer */
/* A payload in the answer. When it is long, and the message is complete with this answer, it is not
 * copied: it stays where it is until the next step. */
void slot_payload(struct slot *slot, struct span payload);
void slot_end(struct hub *hub, struct slot *slot);
void slot_park(struct hub *hub, struct slot *slot, struct node *list);
void slot_pending(struct hub *hub,
                  struct slot *slot); /* its call goes on, and is asked for again */
/* The request is done; `number` of the event that it stored, else 0. */
void slot_ack(struct hub *hub, struct slot *slot, uint64_t number);
void slot_fail(struct hub *hub, struct slot *slot, enum wire_error code, const char *text);
/* RESOURCE_EXHAUSTED, with the advice to try again. */
void slot_refuse_later(struct hub *hub, struct slot *slot, const char *text);
/* The same where nobody can say any more whether the method began. */
void slot_doubt(struct hub *hub, struct slot *slot, enum wire_error code, const char *text);
void ticket_expired(struct hub *hub, struct ticket *ticket);
void ticket_free(struct hub *hub, struct ticket *ticket);
void tickets_deinit(struct hub *hub); /* the spare ones */
void tickets_send(struct hub *hub);

/* peer.c */
void peer_opened(struct hub *hub, const struct hub_input *in);
void peer_closed(struct hub *hub, uint64_t id);
void peer_expired(struct hub *hub, struct peer *peer);
struct peer *peer_find(struct hub *hub, uint64_t id);
void peer_hello(struct hub *hub, struct slot *slot, const struct record *r);
/* To a worker when `replica` is not NULL, else with a client id that nobody has. */
void write_welcome(struct hub *hub, struct buf *b, const struct replica *replica);

/* client.c */
/* Who speaks: the client of a CALL, WAIT, CANCEL, EMIT or FETCH field. NULL after it was refused.
 */
struct client *client_of(struct hub *hub, struct slot *slot, const struct field *id);
struct client *client_find(struct hub *hub, struct peer *peer, const struct field *id);
void client_ack(struct hub *hub, struct client *client, uint64_t ack);
void client_leave(struct hub *hub, struct client *client);
/* The process of a replica is known now: clients that it made before are told from others. */
void clients_know(struct hub *hub, const struct replica *replica);
void client_expired(struct hub *hub, struct client *client);
void client_free(struct hub *hub, struct client *client);
/* The key of a call: its seq, or for the nameless what makes a repeat known. */
uint64_t client_call_key(const struct hub *hub, const struct slot *slot,
                         const struct client *client, uint64_t seq);
/* The outcome is not kept any longer: neither this call nor any before it is run again. */
void client_forget(struct call *call);
/* Room in the window of one that never acknowledges: its oldest outcomes are forgotten. */
void client_trim(struct hub *hub, struct client *client);

/* queue.c */
void queue_init(struct queue *queue);
/* false when memory is out. */
bool queue_add(struct queue *queue, struct call *call);
/* Out of where it waits. */
void queue_remove(struct call *call);
/* The same because it is given: then it is the turn of the next client. */
void queue_serve(struct call *call);
struct call *queue_first(const struct queue *queue);
/* How many would at least be given before one more call of this client. */
uint64_t queue_ahead(const struct queue *queue, const struct client *client, uint8_t priority);
/* Visit all; the visited one may leave the queue, others of its client may only come. */
void queue_each(struct queue *queue, void (*visit)(void *context, struct call *call),
                void *context);

/* admit.c: what clients ask */
void call_take(struct hub *hub, struct slot *slot, const struct record *r);
void call_wait(struct hub *hub, struct slot *slot, const struct record *r);
void call_cancel(struct hub *hub, struct slot *slot, const struct record *r);
/* Tell that a limit was reached: of which worker ("" for none; of memory, the stream), by whom. */
void hub_limit(struct hub *hub, enum hub_limit limit, const char *what, const char *who);
const char *hub_limit_name(enum hub_limit limit);

/* items.c: outcomes in pieces */
bool items_wait(const struct call *call); /* there are some to be fetched before the outcome */
bool items_progress_is_new(const struct call *call);
/* A PARTIAL with what there is, or with the progress alone. */
void items_tell(struct hub *hub, struct slot *slot, struct call *call);
void items_tell_all(struct hub *hub, struct call *call); /* there is something new */
/* The newest progress. */
void items_progress(struct hub *hub, struct call *call, struct span progress);
/* What a worker reports: [first, [items]]. false when that is not what it is. */
bool items_take(struct hub *hub, struct call *call, struct span payload);
bool items_add(struct hub *hub, struct call *call, struct span item);
bool items_have_room(const struct hub *hub, const struct call *call);
/* The REPORT is answered when there is room. */
void items_park(struct hub *hub, struct call *call, struct slot *report);
/* The caller has all items below this number. Whether it had said so before of fewer. */
bool items_received(struct hub *hub, struct call *call, uint64_t number);
void items_end(struct hub *hub, struct call *call); /* no more will come */
void items_free(struct hub *hub, struct call *call);

/* many.c: one CALL that is many */
/* Its arguments are sets of arguments, or it is for each replica. Queue its parts little by little,
 * or end it. */
void many_begin(struct hub *hub, struct call *call, bool each);
void many_fill(struct hub *hub, struct worker *worker); /* as many parts as may wait now */
void many_go_on(struct hub *hub);                       /* there is room for calls again */
void many_part_done(struct hub *hub, struct call *part);
void many_end(struct hub *hub, struct call *whole); /* it has ended: so do its parts */
void many_free(struct hub *hub, struct call *whole);

/* share.c: equal calls that are answered by one run */
/* Keyed hash of worker, method and arguments. */
uint64_t call_print(const struct hub *hub, const struct call *call);
bool share_join(struct hub *hub, struct call *call); /* it follows another one now */
void share_lead(struct hub *hub, struct call *call); /* equal ones may follow it */
/* The call has its outcome: so have its followers, or they go their own way. */
void share_done(struct hub *hub, struct call *call);
void share_leave(struct hub *hub, struct call *call);

/* nest.c: calls inside calls */
/* Put it inside its parent: its deadline is not later. One in the background has nothing from its
 * parent, which only has to be there. NULL, or why it cannot be. */
const char *nest_enter(struct hub *hub, struct call *call, uint64_t parent, bool background,
                       enum wire_error *code);
/* The call inside which this one was made. Parts are made by the caller of their whole. */
const struct call *nest_above(const struct call *call);
/* NULL, or why its parents keep it from ever beginning. */
const char *nest_refusal(const struct hub *hub, const struct call *call);
/* The call has ended; what was made inside it ends with it when nobody needs it any more. */
void nest_leave(struct hub *hub, struct call *call, bool cancels);
/* It is to run again: what its first run had asked for is not needed. */
void nest_again(struct hub *hub, struct call *call);

/* lease.c: replicas that serve one client */
/* `only`: the replica that is wanted, or -1 for any. */
void lease_ask(struct hub *hub, struct call *call, struct worker *worker, int64_t only,
               uint64_t ttl_ms);
void lease_pump(struct hub *hub, struct worker *worker);
/* NULL, or why this client cannot renew or release it. */
const char *lease_renew(struct hub *hub, struct replica *replica, const struct client *client,
                        uint64_t ttl_ms);
const char *lease_release(struct hub *hub, struct replica *replica, const struct client *client);
void lease_end(struct hub *hub, struct replica *replica, const char *why);
void lease_leave(struct hub *hub, struct client *client); /* it is gone */
void lease_lost(struct hub *hub, struct call *call);      /* a call that waited for one has ended */

/* poison.c: calls that kill, and the list of dead letters */
/* A replica died by itself with what it had been given. */
void poison_blame(struct hub *hub, struct replica *replica);
bool poison_is(struct hub *hub, const struct call *call);
/* An equal call did what it should. */
void poison_clear(struct hub *hub, const struct call *call);
void poison_expired(struct hub *hub);
void poison_deinit(struct hub *hub);
struct letter {
    struct node link; /* in hub->letters */
    uint64_t id, time_us, print;
    uint32_t deaths;
    char worker[WIRE_NAME_BYTES_MAX + 1], method[WIRE_NAME_BYTES_MAX + 1];
    char who[2 * WIRE_NAME_BYTES_MAX], reason[96];
    struct buf args; /* empty when they were too long to be kept */
};
struct letter *letter_find(struct hub *hub, uint64_t id);
void letter_drop(struct hub *hub, struct letter *letter);
/* Equal calls may run again. */
void letter_pardon(struct hub *hub, const struct letter *letter);

/* call.c */
void calls_settle(struct hub *hub);
void calls_begin(struct hub *hub);  /* what effects pointed to is free now */
void calls_deinit(struct hub *hub); /* the spare ones */
struct call *call_new(struct hub *hub, struct client *client, uint64_t seq, uint64_t key);
/* A part of a whole: `part` is its number. NULL when memory is out. */
struct call *call_part(struct hub *hub, struct call *whole, uint32_t part);
void call_charge(struct hub *hub, struct call *call); /* count its bytes anew */
void call_keep(struct hub *hub, struct call *call);   /* its outcome, for as long from now on */
/* Whether it may have begun; NO is certain. */
enum wire_began call_began(const struct call *call);
struct call *call_by_number(struct hub *hub, uint64_t number);
struct call *call_find(struct hub *hub, struct client *client, uint64_t key);
/* The one outcome. Later ones are ignored. */
void call_result(struct hub *hub, struct call *call, struct span value);
struct failure {
    enum wire_error code;
    enum wire_began began;
    struct span text, details;
};
void call_failure(struct hub *hub, struct call *call, const struct failure *f);
void call_fail(struct hub *hub, struct call *call, enum wire_error code, enum wire_began began,
               const char *text);
void call_expired(struct hub *hub, struct call *call);
void call_drop(struct hub *hub, struct call *call); /* forget it, whatever its state */
/* Forget it when its outcome is with the client and no replica holds it. */
void call_settle(struct hub *hub, struct call *call);
void call_unqueue(struct call *call);
void call_end(struct hub *hub, struct call *call, const char *who); /* cancel */
void slot_answer_call(struct hub *hub, struct slot *slot, struct call *call);

/* route.c */
/* Queue it for its worker, or give it out at once, or end it. */
void route_call(struct hub *hub, struct call *call);
/* A call that was given to a replica and is to be given again: back into the queue, before those
 * that came after it. */
void route_again(struct hub *hub, struct call *call);
/* The replica that alone may serve it, as things are; NULL when each of them may. */
struct replica *route_own(const struct hub *hub, const struct call *call);
/* How many replicas have room for a call of anybody. */
uint32_t route_room(const struct worker *worker);
bool route_has_room(const struct replica *replica);
/* There may be a call and room for it: give out what can be when the turn ends. */
void route_soon(struct hub *hub, struct worker *worker);
/* The turn ends: give waiting calls to replicas that have room. */
void route_turn(struct hub *hub);
/* A replica has told the outcome of a call: how long its method takes. */
void route_learn(struct hub *hub, const struct replica *replica, const struct call *call);
/* Whether calls may wait for this worker (or one replica): somebody serves or will. */
bool route_has_hope(const struct hub *hub, const struct worker *worker, int64_t only);
/* End every waiting call that nobody will serve. */
void route_sweep(struct hub *hub, struct worker *worker);

/* serve.c: the worker's requests */
void serve_attach(struct hub *hub, struct slot *slot, const struct record *r);
void serve_poll(struct hub *hub, struct slot *slot, const struct record *r);
void serve_report(struct hub *hub, struct slot *slot, const struct record *r);
void serve_control(struct hub *hub, struct slot *slot, const struct record *r);
void serve_command(struct hub *hub, struct replica *replica, const char *verb, uint64_t call);
/* Send one WORK (or an empty one when no calls are given) and what may be forgotten. */
void serve_work(struct hub *hub, struct replica *replica);
void serve_ack(struct hub *hub, struct replica *replica, uint64_t call);
/* Another session begins, or none: parked requests of the old one end. */
void serve_detach(struct hub *hub, struct replica *replica);
void slot_forget(struct hub *hub, struct slot *slot); /* its connection or ticket is gone */

/* worker.c */
struct worker *worker_find(struct hub *hub, struct span name);
struct worker *worker_add(struct hub *hub, const struct worker_spec *spec);
bool worker_resize(struct hub *hub, struct worker *worker, uint32_t replicas);
struct replica *replica_find(struct hub *hub, const struct target *target);
struct replica *replica_of_process(struct hub *hub, uint64_t process);
/* That was given this PRONG_TOKEN; NULL. */
struct replica *replica_of_token(struct hub *hub, struct span token);
void worker_free(struct hub *hub, struct worker *worker);
struct method *worker_method(const struct worker *worker, const char *name, size_t len);
void replica_name(const struct replica *replica, char out[WIRE_NAME_BYTES_MAX + 16]);
void worker_ready_check(struct hub *hub);
void worker_stop_all(struct hub *hub, bool fast);
void worker_end_check(struct hub *hub);
/* Replicas above what is wanted are forgotten once they have stopped. */
void worker_prune(struct hub *hub, struct worker *worker);

/* Whose process has this session: the one that has the place, or its heir, or one that leaves. */
struct replica *replica_of_session(struct hub *hub, const struct target *target, uint64_t session);
/* NULL when memory is out; freed with its worker, or by worker_prune when it leaves. */
struct replica *replica_new(struct worker *worker, uint32_t index);
/* Its next process is made from this. false when memory is out. */
bool replica_take_spec(struct replica *replica, struct worker_spec *spec);
/* No process, no call: it can be forgotten. */
bool worker_is_empty(const struct worker *worker);
/* usage.c: what the processes of replicas use */
/* Have all that run sampled; usage_take stores it in the replicas. `call`: the number of the call
 * that waits for it, 0 when the core itself wants to know; `lent`: it wants to know what is lent,
 * too. Whether there is anything to ask: if not nothing will come. */
bool usage_ask(struct hub *hub, uint64_t call, bool lent);
/* The answer. A replica that has another process meanwhile is left alone, and so is one whose
 * process is gone. */
void usage_take(struct hub *hub, const struct hub_input *in);
/* The replica has no process any more, or another one. */
void usage_forget(struct replica *replica);

/* life.c */
enum life_input {
#define LIFE_INPUT(name, text) LIFE_IN_##name,
#include "broker/core/life.def"
#undef LIFE_INPUT
    LIFE_IN_COUNT,
};
enum { LIFE_SIGABRT = 6 }; /* on every Linux; the core includes no <signal.h> */
void life_step(struct hub *hub, struct replica *replica, enum life_input input);
/* Of the last process that ended, as a shell gives it: its exit code, or 128 and the signal. */
uint32_t life_exit_code(const struct replica *r);
void life_notified(struct hub *hub, const struct hub_input *in);
/* For the files below. */
void life_tell(struct hub *hub, const struct replica *replica, enum hub_event event);
void life_set_deadline(struct hub *hub, struct replica *replica, int64_t ms);
bool life_set_process(struct hub *hub, struct replica *replica, uint64_t process);
void life_signal(struct hub *hub, const struct replica *replica, int signal, bool group);
const char *life_text(enum life life);
bool life_serves(enum life life); /* attached and taking calls */
bool life_has_hope(const struct replica *replica);
void life_started(struct hub *hub, const struct hub_input *in);
void life_start_failed(struct hub *hub, const struct hub_input *in);
void life_exited(struct hub *hub, const struct hub_input *in);
void life_alive(struct hub *hub, const struct hub_input *in);

/* end.c: the end of a process */
enum verdict { VERDICT_CLEAN, VERDICT_AGAIN, VERDICT_NEVER, VERDICT_DEATH };
enum verdict end_judge(int32_t status);
void end_write_reason(struct replica *replica, int32_t status, bool out_of_memory);
/* What follows. */
enum life end_take(struct hub *hub, struct replica *replica, enum verdict verdict);
/* The lines that the process which has ended wrote last, a list of texts. */
void life_write_words(const struct hub *hub, struct buf *b);
/* What the replica had been given ends (ABORTED, maybe begun), or is given to another where its
 * policy allows that. */
void life_end_calls(struct hub *hub, struct replica *replica, const char *why, bool died);

/* heir.c: a process that is to take the place of another one */
/* Start it; false when memory is out. */
bool heir_make(struct hub *hub, struct replica *replica, const char *why);
void heir_takes_over(struct hub *hub, struct replica *heir);
void heir_stop(struct hub *hub, struct replica *replica); /* it is not wanted any more */
/* It survives SIGKILL: another one gets its place, if its worker is to have that. */
void heir_beside(struct hub *hub, struct replica *stuck);
void heir_drop(struct replica *replica); /* it has ended */

/* renew.c: when processes are replaced */
void renew_begin(struct hub *hub, struct replica *replica); /* it is ready */
void renew_check(struct hub *hub, struct replica *replica); /* it may be due now */
void renew_expired(struct hub *hub, struct replica *replica);
/* Its process is gone; `told`: as it had been told to. */
void renew_ended(struct hub *hub, struct replica *replica, bool told);
/* Its processes are to be made from this specification (moved). */
void renew_to(struct hub *hub, struct worker *worker, struct worker_spec *spec);
void renew_roll(struct hub *hub, struct worker *worker); /* the next of them, if it is time */
/* Processes of some worker may only have so much memory: look at them now and then. */
void renew_watch(struct hub *hub);
void renew_look(struct hub *hub);   /* it is time to */
void renew_looked(struct hub *hub); /* what they use is known */

/* reload.c: another configuration */
void reload_take(struct hub *hub, const struct hub_input *in);
void reload_note_back(struct hub *hub, const struct worker *worker, const char *reason);
void reload_check(struct hub *hub); /* all may be done now */
void reload_reap(struct hub *hub);  /* workers that are gone */
void reload_deinit(struct hub *hub);

/* depend.c: workers that stand on others */
/* Whether it has to wait for others; then that is noted, and it is started when they are so far. */
bool depend_waits(struct hub *hub, struct replica *replica);
bool depend_is_completed(const struct replica *replica); /* it ran, did its work and ended with 0 */
bool depend_has_hope(const struct replica *replica);     /* what it waits for may come */
void depend_changed(struct hub *hub, struct replica *replica, enum life was);
void depend_restarted(struct hub *hub, struct worker *worker); /* others may have to start again */
bool depend_has_ended(const struct worker *worker);
void depend_stop(struct hub *hub); /* the hub stops: those on whom nobody stands */

/* hang.c: processes that hang */
void hang_begin(struct hub *hub, struct replica *replica);   /* it is ready */
void hang_changed(struct hub *hub, struct replica *replica); /* its limits have */
void hang_given(struct hub *hub, struct replica *replica);   /* its first call */
void hang_left(struct hub *hub, struct replica *replica);    /* nobody waits for one that it has */
void hang_sign(struct hub *hub, struct replica *replica);    /* it said that it lives */
void hang_expired(struct hub *hub, struct replica *replica);

/* admin.c */
void admin_call(struct hub *hub, struct call *call, struct peer *peer);
void admin_logs_came(struct hub *hub, const struct hub_input *in);
void admin_sent(struct hub *hub, const struct hub_input *in);
/* What a call of status or metrics waited for was sampled: it goes on. 0 for none. */
void admin_usage_came(struct hub *hub, uint64_t call);

#endif
