/* The session inside: one list of requests, and who does what.
 *
 * session.c owns the requests from their making to their outcome, and time; wire.c what they become
 * on the wire. */
#ifndef PRONG_SESSION_INSIDE_H
#define PRONG_SESSION_INSIDE_H

#include "client/session/session.h"
#include "proto/wire.h"

enum {
    SLOT_BITS = 9,
    SLOTS = 1 << SLOT_BITS, /* the window, the fetches and what ended but was not taken */
    SLOT_NONE = SLOTS - 1,  /* in the SP ids of HELLO and CANCEL */
    IN_FLIGHT_MAX =
        WIRE_PARKED_MAX - 8, /* a hub refuses more on one connection; CANCEL needs room */
    NS_PER_MS = 1000000,
};

enum state {
    IDLE,    /* not to be sent now: no connection, or session_more is awaited */
    QUEUED,  /* in s->queue */
    FLYING,  /* sent, an answer is awaited */
    SETTLED, /* in s->done */
};

struct request {
    struct request *prev, *next;   /* s->asks or s->others, in the order of making */
    struct request *qprev, *qnext; /* s->queue or s->done */
    struct session_outcome outcome;
    enum state state;
    uint64_t ticket, received;
    struct session_handle call; /* client id and number, but of FETCH */
    uint32_t id;                /* of the last message */
    bool sent;                  /* to this broker, ever */
    bool waits; /* it was PENDING or PARTIAL, or is resumed: the hub has it, WAIT asks for it */
    bool other; /* in s->others: FETCH, or resumed; it has no number of this session */
    bool resumed;
    bool paused; /* session_more is awaited */
    bool cancel, cancel_sent;
    int64_t deadline_ns, sent_ns;
    struct session_ask ask; /* its numbers; its spans and `resume` are not used */
    size_t front_len,
        len; /* bytes[0..front_len) stand before ttl in CALL, the rest after; 0 else */
    uint8_t bytes[];
};

struct session {
    uint8_t client[16];
    struct buf hello, scratch;
    struct request *slots[SLOTS];
    struct request *asks, *others, *queue, *done;
    size_t ask_count, other_count, flying, cancels;
    size_t strays; /* WAITs that ended here, but which the hub still has */
    uint64_t seq, epoch, history, message_bytes;
    uint32_t generation, hello_id;
    bool connected, welcome, hello_due;
    int64_t hello_ns, hello_end_ns, tick_ns;
    prong_err refusal;
    char refusal_text[200];
};

/* ---- session.c ------------------------------------------------------------------------------- */

void request_enqueue(struct session *s, struct request *r);
/* Out of the queue or the air. */
void request_withdraw(struct session *s, struct request *r);
/* Its outcome stands in it, and is taken next. */
void request_settle(struct session *s, struct request *r, bool ended);
void request_fail(struct session *s, struct request *r, prong_err code, unsigned began,
                  struct span text);
/* The hub did not say so: whether it began follows from whether it was sent. */
void request_fail_unheard(struct session *s, struct request *r, prong_err code, const char *text);
/* session_tick has something to do then. */
void session_schedule(struct session *s, int64_t at_ns);
/* WELCOME has come. */
void session_begin(struct session *s, uint64_t epoch);

#endif
