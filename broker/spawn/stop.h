/* How long a stop of the whole hub may take, seen from outside of the broker.
 *
 * The broker ends a stop by itself: when hub.stop_timeout is over it gives running calls up, then
 * kills. This is for a broker that cannot, because it hangs: past its own time, or when it does not
 * answer a second signal, everything is killed without it. Who answers is never cut short before
 * that. Pure: no clock, no process. */
#ifndef PRONG_BROKER_SPAWN_STOP_H
#define PRONG_BROKER_SPAWN_STOP_H

#include <stdbool.h>
#include <stdint.h>

enum {
    STOP_TIMEOUT_DEFAULT_MS = 30 * 1000, /* until a broker has told hub.stop_timeout */
    /* What a broker needs behind hub.stop_timeout when workers are deaf, stuck even: it asks and
     * kills 2 s apart, twice; and time to say so on a slow machine. */
    STOP_GRACE_MS = 6 * 1000,
    STOP_ANSWER_MS = 2500, /* for the answer to a second signal */
};

enum stop_verdict {
    STOP_GOES_ON,
    STOP_LATE,       /* the whole of it takes too long */
    STOP_UNANSWERED, /* the broker does not get on with a stop in a hurry */
};

struct stop {
    int level;          /* what the keeper asked for: 0 nothing, 1 in order, 2 in a hurry */
    int answered;       /* up to where the broker of now has answered */
    int64_t timeout_ms; /* hub.stop_timeout */
    int64_t began_ns;   /* CLOCK_NEVER_NS while none has begun */
    int64_t hurried_ns; /* since when a stop in a hurry waits for the broker of now */
};

void stop_init(struct stop *stop);

/* What the broker read in the configuration; false if that cannot be one. */
bool stop_set_timeout(struct stop *stop, int64_t timeout_ms);

/* The keeper asks. */
void stop_note_asked(struct stop *stop, int level, int64_t now_ns);

/* The broker has taken up a stop of this level; 0: one that it was asked for by a client. */
void stop_note_answer(struct stop *stop, int level, int64_t now_ns);

/* The broker is dead: the next one is asked for what the keeper asked, and has to answer for
 * itself. It knows nothing of a stop that a client asked for: that one is over. */
void stop_note_broker_gone(struct stop *stop, int64_t now_ns);

/* When to check next, CLOCK_NEVER_NS if there is no stop. */
int64_t stop_deadline_ns(const struct stop *stop);
enum stop_verdict stop_check(const struct stop *stop, int64_t now_ns);

#endif
