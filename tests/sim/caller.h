/* A simulated client of libprong, shared by caller.c (what it does) and pieces.c (its calls of more
 * than one piece). */
#ifndef PRONG_TESTS_SIM_CALLER_H
#define PRONG_TESTS_SIM_CALLER_H

#include "tests/sim/sim.h"

/* YIELDS: a method that yields; MANY: an argument set each; EACH: every replica; LATER: in the
 * background, and RESUMED its outcome; EQUAL: a shared method; LEASE: a replica of its own. */
enum piece_kind { YIELDS, MANY, EACH, LATER, RESUMED, EQUAL, LEASE, PIECES_COUNT };

enum { OUTSTANDING_MAX = 40, PARTS_MAX = 12 };

/* What was asked, named by its place; 0 in `kind` says that the place is free. */
struct asked {
    enum { FREE, CALL, EMIT, FETCH, ADMIN, PIECES } kind;
    uint64_t number, ticket; /* of the ledger (ADMIN: what it does in peace); of the session */
    uint64_t from;           /* FETCH */
    uint64_t epoch;          /* of the broker when it was asked */
    bool calm;               /* nobody who could have it may die of anything */
    /* PIECES (pieces.c) */
    enum piece_kind what;
    bool ordered, cancelled;
    uint32_t parts, items; /* how many there are, and how many came */
    uint32_t seen;         /* bit n: the outcome of part n came */
    uint64_t run;          /* the process that gave the first item */
    int64_t more_ns;       /* when it asks for more; 0: it did */
};

struct caller {
    uint32_t place;
    struct session *session;
    struct connection *connection;
    int64_t retry_ns, next_ns, away_until_ns, wake_ns, lazy_until_ns;
    struct asked asked[OUTSTANDING_MAX];
    bool reads, calm, inside; /* inside: of a process */
    uint32_t pieces_done;     /* in peace: bit n of enum piece_kind */
    bool was_lost;            /* its connection, once at least */
    prong_err inner_code;
    unsigned succeeded, started, reloaded;
    uint64_t history, position; /* of its reading; history 0: from the oldest */
    uint64_t all_epoch;         /* of this broker it has read everything from the first event on */
};

/* A free place for something to ask, NULL when there is none. */
struct asked *caller_place(struct caller *c);
bool caller_ask(const struct sim *s, struct caller *c, struct asked *a,
                struct session_ask *ask_for);

/* ---- pieces.c ---------------------------------------------------------------------------------
 */

void pieces_ask(struct sim *s, struct caller *c);
/* In peace each kind has to succeed once. */
bool pieces_are_done(const struct caller *c);
/* An outcome, or a part of it; true when it has ended. */
bool pieces_take(struct sim *s, struct caller *c, struct asked *a, const struct session_outcome *o);
/* Those who let the hub wait go on. */
void pieces_wake(struct sim *s, struct caller *c);
/* Its client is gone. */
void pieces_forget(struct sim *s, const struct asked *a);

#endif
