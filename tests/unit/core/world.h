/* A hub and the world around it, for tests of the core: a clock, peers that send records, workers
 * that start when they are told to, and everything the hub said, taken apart. hub_check() runs
 * after every step, and a reply to a request that is not open aborts the test. */
#ifndef PRONG_TESTS_CORE_WORLD_H
#define PRONG_TESTS_CORE_WORLD_H

#include "broker/core/hub.h"
#include "proto/record.h"
#include "proto/write.h"

#include <setjmp.h>

enum {
    WORLD_PROCESSES = 512,
    WORLD_REPLIES = 256,
    WORLD_OPEN = 4096,
    WORLD_NAME = 80,
    WORLD_TEXT = 32768,
};

/* One reply message: its records, decoded, and the bytes they point into. */
struct reply {
    uint64_t peer, request;
    struct buf bytes;
    struct record record[8];
    size_t count;
    bool seen; /* world_reply() gave it out */
};

struct process {
    uint64_t id;
    char name[WORLD_NAME]; /* "echo/0" */
    char token[64];
    uint32_t edition;
    bool running, signalled, killed;
    int signal;
    size_t signals; /* how many it got */
    /* what its worker link knows, once it has attached */
    uint64_t peer, session, taken;
    uint64_t request; /* of its POLL */
};

struct world {
    struct hub *hub;
    int64_t now_ns;
    uint64_t next_request;
    uint8_t client[16];
    struct reply replies[WORLD_REPLIES];
    size_t reply_count;
    struct process process[WORLD_PROCESSES];
    size_t process_count;
    uint64_t open[WORLD_OPEN]; /* requests without a reply */
    size_t open_count;
    uint64_t capacity; /* of who attaches; world_init says 100 */
    bool crowd;        /* inputs come together: the turn ends when the test says world_turn() */
    bool ready, stopping, ended;
    size_t closes, effects, strangers; /* strangers: processes that are not ours and got a signal */
    uint64_t adopted, reload;          /* process and call of the last effects of these kinds */
    int32_t adopted_pid;
    size_t stacks;
    struct hub_effect logs;        /* the last HUB_OUT_LOGS or _ENV; its pointers are stale */
    char logs_worker[WORLD_NAME];  /* the first name that it has */
    struct hub_effect level, sent; /* the last HUB_OUT_LOG_LEVEL and HUB_OUT_SEND, likewise */
    char sent_bytes[WORLD_NAME];
    /* The last HUB_OUT_USAGE, and what it is answered with: at once, unless a test holds it. */
    bool usage_asked, holds_usage;
    uint64_t usage_call;
    struct hub_usage usage[WORLD_PROCESSES];
    size_t usage_count;
    char events[WORLD_TEXT]; /* topics of the hub's own events, each with a space behind it */
    char text[WORLD_TEXT];   /* of world_text() */
    char state[32];          /* of world_state() */
    struct buf message;      /* where every message is written: nothing is lost by a jump */
    /* For tests in which memory runs out: `inside` is called with true before a step and with false
     * behind it, and who is disappointed jumps to `out` instead of ending the test. */
    void (*inside)(bool inside);
    jmp_buf *out;
};

void world_init(struct world *w);
/* With other options than the usual ones; false when there was no memory. */
void world_options(struct hub_options *options);
bool world_init_with(struct world *w, const struct hub_options *options);
void world_deinit(struct world *w);
/* A worker with these settings over the defaults; then `world_configured`. */
void world_worker(struct world *w, const char *name, void (*set)(struct worker_spec *));
void world_configured(struct world *w);

/* A local peer of uid 0, of uid 1000 when its number is 900 to 999. */
void world_open(struct world *w, uint64_t peer);
void world_open_network(struct world *w, uint64_t peer);
void world_close(struct world *w, uint64_t peer);
/* Send bytes as one message; its request. */
uint64_t world_send(struct world *w, uint64_t peer, struct span body);
uint64_t world_send_as(struct world *w, uint64_t peer, uint32_t sp_id, struct span body);
/* Records in the notation of notation.h. */
__attribute__((format(printf, 3, 4))) uint64_t world_say(struct world *w, uint64_t peer,
                                                         const char *format, ...);
/* Under a given SP id. */
__attribute__((format(printf, 4, 5))) uint64_t
world_say_as(struct world *w, uint64_t peer, uint32_t sp_id, const char *format, ...);
/* Any input: the time is filled in. The turn ends with it. */
void world_step(struct world *w, struct hub_input *in);
void world_turn(struct world *w);
/* Answer HUB_OUT_USAGE with w->usage. */
void world_usage(struct world *w);
/* Move the clock and step at every deadline on the way. */
void world_pass_ms(struct world *w, int64_t ms);
void world_stop(struct world *w);

/* The reply to a request, NULL while there is none. */
struct reply *world_reply(struct world *w, uint64_t request);
/* Its only or n-th record, of a type; aborts when it is another. */
const struct record *world_expect(struct world *w, uint64_t request, size_t n,
                                  enum wire_record record);

/* A reply as text: "ERROR 0 9 0 'attach first' null; WORK 3 []". "" while there is none. Valid
 * until the next call. */
const char *world_text(struct world *w, uint64_t request);
/* Whether that text contains another one. */
bool world_says(struct world *w, uint64_t request, const char *part);

/* A CALL of the client of this world: `seq`, "worker.method"; args are {}. */
struct world_call {
    const char *worker, *method;
    uint64_t seq, ack, ttl_ms;
    const uint8_t *client; /* NULL: the world's own; world_nil for none */
};
extern const uint8_t world_nil[1];
uint64_t world_call(struct world *w, uint64_t peer, const struct world_call *call);
/* The outcome of a call's request: 0 for RESULT, else the code; *began when not NULL. -1: none yet.
 */
int world_outcome(struct world *w, uint64_t request, unsigned *began);
/* A call of one of the hub's own methods with one text argument (or none); the outcome. */
int world_admin(struct world *w, const char *method, const char *name, const char *value);

/* Processes. `name` is "echo/0": the newest process of that name; "echo/0#1" is the first. */
struct process *world_process(struct world *w, const char *name);
void world_started(struct world *w, const char *name);
void world_exited(struct world *w, const char *name, int status);
/* It ends by SIGKILL, and the kernel has killed in its cgroup for want of memory. */
void world_starved(struct world *w, const char *name);
void world_start_failed(struct world *w, const char *name, bool never);
/* A process that ran before this broker did. */
void world_alive(struct world *w, uint64_t id, const char *name);
/* Attach on a connection of its own with methods `echo` (once), `again` (idempotent), `same`
 * (shared); then poll. A call that is `given` has begun and `done` says its outcome. */
void world_attach(struct world *w, const char *name);
void world_poll(struct world *w, const char *name, uint64_t capacity);
/* The call that the process was given with the reply to its POLL, 0 when none; it is then taken. */
uint64_t world_given(struct world *w, const char *name);
/* Report a result (and poll again in the same message). */
void world_done(struct world *w, const char *name, uint64_t call);
/* Started, attached, polling: ready for one call. */
void world_serve(struct world *w, const char *name);
/* State of a replica as hub.status tells it, "none" when it does not know it. Valid until the next
 * call. */
const char *world_state(struct world *w, const char *name);
#define expect_state(w, name, want)                                                                \
    cr_assert_str_eq(world_state(w, name), want, "%s is %s, not %s", name, world_state(w, name),   \
                     want)

/* What many stories begin with: worker `echo` with these settings, a client, an administrator. */
enum { WORLD_CLIENT = 1, WORLD_ADMIN = 2 };
void world_begin(struct world *w, void (*set)(struct worker_spec *));
/* A method of the hub that takes a worker and is not refused. */
void world_tell(struct world *w, const char *method, const char *worker);
/* A call of `echo` by the client, with the longest time to live. */
uint64_t world_call_echo(struct world *w, uint64_t seq);

#endif
