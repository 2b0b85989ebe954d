/* Questions about lines: which are told, from where on, and those that wait for a line to come.
 *
 * Who follows keeps no place here: an answer says where to go on, and the next question brings it
 * back. So a follower that goes costs nothing, one that is slow loses lines with a count, and one
 * that comes back to another broker goes on by the time of the last line that it has. A part of
 * output.h; runs on the loop thread. */
#ifndef PRONG_SHELL_FOLLOW_H
#define PRONG_SHELL_FOLLOW_H

#include "broker/core/hub.h"
#include "broker/shell/place.h"
#include "broker/shell/stream.h"
#include "proto/buf.h"

enum {
    FOLLOW_WAITING_MAX = 256, /* the one that waits longest is answered when there are more */
    FOLLOW_LINES_MAX = 1000,  /* of an answer; the rest comes with the next one */
    FOLLOW_BYTES_MAX = 1 << 20,
};

/* All borrowed for the call. */
struct follow_question {
    uint64_t call;        /* of the hub, for the answer */
    struct span names;    /* of workers ("detector") and replicas ("detector/0"), each with a NUL;
                             none:    all */
    uint32_t lines;       /* how many of those that are there */
    enum log_level level; /* the least important */
    bool follows;         /* the answer is {lines, after, lost, older}, else a list of lines */
    uint64_t since_us;
    struct span after;
    int64_t wait_ms;
};

struct follow_waiting;

struct follows {
    struct streams *streams;
    uint64_t epoch;                 /* of this broker */
    struct follow_waiting *waiting; /* the one that waits longest first */
    size_t waiting_count;
    void (*answer)(void *context, uint64_t call, struct span payload);
    void *context;
};

enum follow_outcome { FOLLOW_ANSWERED, FOLLOW_WAITS, FOLLOW_REFUSED };

void follows_deinit(struct follows *f);
/* Answer into `out`, or keep the question until there is a line for it or its time is over: then
 * `answer` is called. `refused` says what is wrong with a question. */
enum follow_outcome follow_ask(struct follows *f, const struct follow_question *question,
                               int64_t now_ns, struct buf *out, const char **refused);
/* Lines may have come, and time has passed: answer those that can be. */
void follows_turn(struct follows *f, bool came, int64_t now_ns);
/* When the first of them is late; INT64_MAX when none waits. */
int64_t follows_deadline_ns(const struct follows *f);

#endif
