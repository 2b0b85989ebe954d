/* The session: what a client has asked of a hub, as a pure state machine.
 *
 * Owns the client id, the numbers of requests, what is outstanding and what must be asked again
 * after a reconnect. Sees no descriptor, clock, thread, environment or random source: time, ids and
 * the start of the SP ids are passed in, bytes come in with session_answer and leave with
 * session_send. So the library runs it on sockets and the simulator on a model of a network. One
 * thread at a time.
 *
 * One request ends exactly once, with an outcome taken by session_next. Until then it is asked
 * again on every new connection under the same number, unless another broker answers that cannot
 * know it. */
#ifndef PRONG_SESSION_SESSION_H
#define PRONG_SESSION_SESSION_H

#include <prong/value.h>

#include "proto/buf.h"

#define SESSION_NEVER INT64_MAX

enum {
    SESSION_OTHERS_MAX = 64,    /* FETCHes, and calls that are resumed */
    SESSION_GRACE_MS = 2000,    /* a connected hub may be so late with an outcome */
    SESSION_SILENCE_MS = 40000, /* the hub answers everything within 25 s; later it is not there */
};

struct session;

/* Spans and texts are copied. */
struct session_options {
    uint8_t client[16];
    uint32_t sp_first; /* where the SP ids begin: any number, a random one in practice */
    const char *name;  /* NULL for none */
    struct span token;
    int64_t hello_ns; /* how long WELCOME may take */
};

/* Names a call in the background, of whichever client. */
struct session_handle {
    uint8_t client[16];
    uint64_t seq;
};

enum session_kind { SESSION_CALL, SESSION_EMIT, SESSION_FETCH };

/* Where a FETCH begins. */
enum session_from { SESSION_FROM_NEW, SESSION_FROM_OLDEST, SESSION_FROM_LAST, SESSION_FROM_NUMBER };

/* A request to be made. Spans are copied. */
struct session_ask {
    enum session_kind kind;
    void *user;          /* given back with every outcome */
    int64_t deadline_ns; /* CALL, EMIT: when it must have ended; SESSION_NEVER is for FETCH only */
    struct span worker;  /* CALL */
    struct span name;    /* CALL: method; EMIT: topic; FETCH: encoded list of filters */
    struct span options; /* CALL: encoded map, or empty */
    struct span payload; /* CALL: encoded map or array; EMIT: one encoded object */
    bool background;     /* CALL: it ends when the hub has accepted it. The deadline is for that,
                            ttl_ms for the call itself; 0: the hub's */
    uint32_t ttl_ms;
    const struct session_handle *resume; /* CALL: only wait for the outcome of this one, whose names
                                            and payload are not used; NULL: a new one */
    enum session_from from;              /* from here on: FETCH */
    uint64_t number;
    uint64_t history; /* that `number` is of; 0 when that is not known */
    uint64_t items_max, bytes_max, wait_ms;
};

/* What came of a request. Spans are valid until the session is used again or the answer's bytes
 * end. */
struct session_outcome {
    enum session_kind kind;
    void *user;
    bool ended; /* false: items or progress of a CALL that goes on when session_more is called */
    prong_err code;
    unsigned began;
    struct span message, details; /* of an error; details may be empty */
    struct span value;            /* CALL: encoded; empty when it was only accepted */
    bool accepted;                /* CALL in the background: the hub has it, under this handle */
    struct session_handle handle;
    uint64_t number;      /* EMIT: of the event */
    struct span progress; /* not ended: encoded, nil when there is none */
    struct span items;    /* not ended: encoded objects in a row; FETCH: checked EVENT_ITEMs */
    uint32_t item_count;
    uint64_t history, next, lost; /* FETCH. Another history than asked for: nothing was fetched, and
                                     what follows begins with the oldest of that one */
};

/* NULL when memory is out. */
struct session *session_new(const struct session_options *options);
/* Accepts NULL. Outcomes not taken are dropped. */
void session_free(struct session *s);

/* Make a request; *ticket names it until it ended, 0 never does. It is sent by session_send.
 * Errors: PRONG_INVALID_ARGUMENT (*problem says what, static storage), PRONG_RESOURCE_EXHAUSTED
 * (memory, window, longer than the hub takes). */
prong_err session_ask(struct session *s, const struct session_ask *ask, uint64_t *ticket,
                      const char **problem);
/* Whether session_ask would refuse another CALL or EMIT because too many are outstanding. */
bool session_is_full(const struct session *s);
size_t session_outstanding(const struct session *s);
/* End a CALL: at once when it was never sent, else CANCEL is sent and the outcome awaited. */
void session_cancel(struct session *s, uint64_t ticket);
/* Wait no longer for a call that was resumed, which goes on: it ends, for a `user` of NULL. */
void session_abandon(struct session *s, uint64_t ticket);
/* Ask for what follows an outcome that has not ended. */
void session_more(struct session *s, uint64_t ticket);
/* Its outcomes go to another `user` from now on; NULL: to nobody who knows. */
void session_retarget(struct session *s, uint64_t ticket, void *user);
/* End everything now; what was sent has began maybe. `text` is static. */
void session_end_all(struct session *s, prong_err code, const char *text);

/* A connection stands: HELLO is to be sent, everything else after WELCOME. */
void session_connected(struct session *s, int64_t now_ns);
void session_lost(struct session *s);
/* WELCOME has come on this connection. */
bool session_is_welcome(const struct session *s);
/* The hub refused HELLO: PRONG_OK when not. *text is valid until the next connection. */
prong_err session_refusal(const struct session *s, const char **text);
/* The connection is no good: no WELCOME in time, or silence. Close it and say session_lost. */
bool session_is_dead(const struct session *s, int64_t now_ns);
uint64_t session_epoch(const struct session *s);
/* Every request up to this number has its outcome here. */
uint64_t session_ack(const struct session *s);

/* The next message to send, in order. false when there is none now. `body` is valid until the
 * session is used again. */
bool session_send(struct session *s, int64_t now_ns, uint32_t *id, struct pieces *body);
bool session_wants_send(const struct session *s);
/* An answer. Unknown ids are ignored: they are of requests that ended. */
void session_answer(struct session *s, uint32_t id, struct span body);
/* Time passes: end what is over. */
void session_tick(struct session *s, int64_t now_ns);
/* When session_tick has something to do, or a little before; SESSION_NEVER. */
int64_t session_deadline_ns(const struct session *s);
/* Take the next outcome. After session_answer take all before its bytes end. */
bool session_next(struct session *s, struct session_outcome *out);

#endif
