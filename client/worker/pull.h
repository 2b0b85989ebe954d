/* The worker's side of the link to the hub, as a pure state machine: ATTACH, POLL, REPORT, CONTROL
 * and the rules that make a broken connection harmless (broker/core/serve.c is the other side).
 *
 * Owns what was taken and what is kept: calls from the moment their WORK was taken until ACK names
 * them. Sees no descriptor, clock, thread, environment or random source: bytes come in with
 * pull_answer and leave with pull_send. One call runs at a time. One thread at a time. */
#ifndef PRONG_WORKER_PULL_H
#define PRONG_WORKER_PULL_H

#include "proto/buf.h"

#define PULL_NEVER INT64_MAX

enum {
    PULL_WELCOME_MS = 5000,  /* how long WELCOME may take */
    PULL_SILENCE_MS = 40000, /* the hub answers everything within 25 s; later it is not there */
    PULL_CALLS_MAX = 64,     /* taken at a time; the hub gives more than one only of short ones */
    PULL_TOGETHER_MS = 1,    /* how long an outcome may wait for those of the calls behind it */
    PULL_KEPT_MAX = 2048,    /* outcomes kept, then it attaches anew and takes no more meanwhile */
    PULL_KEPT_BYTES_MAX = 268435456, /* as much as the hub itself keeps */
};

struct pull;

/* Everything is copied. */
struct pull_options {
    struct span worker, token;
    struct span methods; /* encoded, for ATTACH */
    uint64_t pid;
    uint32_t sp_first;          /* where the SP ids begin: any number, a random one in practice */
    void (*let_go)(void *held); /* of what pull_hold got, when it is needed no more; or NULL */
};

/* A call to run; spans are valid until pull_end. */
struct pull_job {
    uint64_t call;
    struct span method, caller; /* texts */
    struct span options, args;  /* encoded */
    int64_t deadline_ns;
};

/* NULL when memory is out. */
struct pull *pull_new(const struct pull_options *options);
/* Accepts NULL. */
void pull_free(struct pull *p);

/* ---- the connection ------------------------------------------------------------------------- */

/* A connection stands: ATTACH is to be sent, everything else after WELCOME. */
void pull_connected(struct pull *p, int64_t now_ns);
/* It is lost: every POLL is given up. */
void pull_lost(struct pull *p);
bool pull_is_attached(const struct pull *p);
/* "detector/0" as the last WELCOME gave it, "" before. */
const char *pull_replica(const struct pull *p);
/* The next message to send, in order; false when there is none now. `body` is valid until the next
 * use. false too when memory is out: pull_is_dead. */
bool pull_send(struct pull *p, int64_t now_ns, uint32_t *id, struct pieces *body);
/* An answer. Answers to requests that were given up are looked through for ACKs only.
 *
 *   memory  NULL, or what `body` stands in and nothing else: moved when calls come in it, and then
 *           it holds other memory; else they are copied */
void pull_answer(struct pull *p, int64_t now_ns, uint32_t id, struct span body, struct buf *memory);
/* The connection is no good: silence, nonsense, ATTACH refused. Close it and say pull_lost. Asked
 * when all that came was taken. */
bool pull_is_dead(const struct pull *p, int64_t now_ns);
/* The code with which ATTACH was refused on this connection; 0 when not. *text is valid until the
 * next answer. */
unsigned pull_refusal(const struct pull *p, const char **text);
/* When pull_is_dead may become true by time; PULL_NEVER. */
int64_t pull_deadline_ns(const struct pull *p);

/* ---- calls ---------------------------------------------------------------------------------- */

/* Begin the next call; *job is valid until pull_end. Calls that nobody waits for any longer are
 * reported as not begun and left out. false when there is none, or one runs. */
bool pull_begin(struct pull *p, int64_t now_ns, const struct pull_job **job);
/* A call was taken that can begin. */
bool pull_has_work(const struct pull *p);
/* The hub wants the running call to end. */
bool pull_is_cancelled(const struct pull *p);
/* Encoded [fraction, note] of the running call, copied; replaces what was not sent yet. */
void pull_progress(struct pull *p, struct span payload);
/* One encoded object more that the running call gives its caller before the outcome, copied. false
 * when memory is out: then it is not given. Asked for only when it pull_fits and pull_has_room. */
bool pull_yield(struct pull *p, struct span item);
/* No message would be too long for an item of `len` bytes. */
bool pull_fits(const struct pull *p, size_t len);
/* So few items wait that one of `len` bytes may join them. */
bool pull_has_room(const struct pull *p, size_t len);
/* What waits to leave together with what follows leaves with the next pull_send. */
void pull_flush(struct pull *p);
/* Items wait until the hub has room: the next pull_send would not send them. */
bool pull_is_blocked(const struct pull *p);
/* Nobody takes the items of the running call: forget them. It yields no more, and its outcome is an
 * error. */
void pull_drop_items(struct pull *p);
/* The running call has its outcome: an encoded value, or [code, began, message, details]. Moved:
 * `payload` holds other memory afterwards, to be reset. false when memory is out and it cannot be
 * kept: then only the end of the process tells it. */
bool pull_end(struct pull *p, bool is_error, struct buf *payload);
/* What stays as long as the outcome of the running call is kept; moved, once for each call. */
void pull_hold(struct pull *p, void *held);

/* ---- the end -------------------------------------------------------------------------------- */

/* Take no more work: what the hub has given already still comes and must be run. */
void pull_stop(struct pull *p);
/* The hub asked for the end (COMMAND "stop"). */
bool pull_is_asked_to_stop(const struct pull *p);
/* After pull_stop: nothing runs, nothing can come, the hub has every outcome. */
bool pull_is_over(const struct pull *p);
/* Outcomes that the hub has not been told on this connection, the running call included. */
bool pull_has_untold(const struct pull *p);

#endif
