/* What workers write: their stdout and stderr, line by line, into logs and a short memory.
 *
 * Owns the read ends of the pipes, the files and the last lines of each replica. A full disk costs
 * lines, which are counted, and never stops anything. Both streams of a process come through one
 * pipe, so that their lines stand in the order in which they were written; which of the two a line
 * was written to is not known. Runs on the loop thread. */
#ifndef PRONG_SHELL_OUTPUT_H
#define PRONG_SHELL_OUTPUT_H

#include "broker/shell/follow.h"
#include "broker/shell/log.h"
#include "proto/link/source.h"

#include <stdbool.h>
#include <stddef.h>

struct output;

/* A line as it is told to others; valid for the call. */
struct output_line {
    uint64_t process;
    const char *replica; /* "detector/0" */
    int32_t pid;
    enum log_level level;
    const char *text; /* without its newline and its <N>; not NUL-terminated, may hold any bytes */
    size_t len;
    bool is_event; /* its worker has `output: events` */
};

/* None of the functions may call back into output.h, but for `answer`. */
struct output_options {
    int epoll_fd;
    const char *dir; /* made when it is missing; borrowed for ever */
    const struct log *log;
    uint64_t since_us; /* lines that are older are of an earlier hub */
    uint64_t epoch;    /* of this broker */
    /* Whether there is such a replica ("detector/0"). */
    bool (*has_replica)(void *context, const char *replica);
    /* The call that a process serves alone, as hub_running tells it; NULL: nobody knows. */
    bool (*running)(void *context, uint64_t process, char out[HUB_CALL_BYTES]);
    /* A line came, of whatever level; NULL: nobody wants to know. */
    void (*line)(void *context, const struct output_line *line);
    /* A question that waited is answered. */
    void (*answer)(void *context, uint64_t call, struct span payload);
    void *context;
};

/* Where the lines of one worker's replica go. */
struct output_target {
    const char *worker;
    uint32_t replica;
    int32_t pid;
    struct spec_output how;
    bool is_old; /* it began before this broker: what it wrote is in the file */
};

/* NULL when memory is out. */
struct output *output_new(const struct output_options *options);
/* Closes everything. Accepts NULL. */
void output_free(struct output *o);
/* Read from `fd` (moved) for this process until it ends. */
void output_add(struct output *o, uint64_t process, int fd, const struct output_target *target);
/* The process has ended, or none came: read what is still there, and close. What it wrote is kept
 * as long as there is its replica, of at most OUTPUT_FINISHED_MAX that have no process. */
void output_end(struct output *o, uint64_t process);
enum { OUTPUT_FINISHED_MAX = 256 };
/* Append what a process of this replica wrote last to `out`: a msgpack list of at most 10 texts of
 * together 2 KiB, oldest first; what is no UTF-8 in them is shown as '?'. Nothing when it wrote
 * nothing. To be called after output_end. */
void output_last_words(struct output *o, const char *replica, uint64_t process, struct buf *out);
/* Let go of what replicas wrote that are no more. To be called after each change that somebody
 * asked for: the next one may bring another worker of the same name. */
void output_sweep(struct output *o);
/* At the end of a turn: free what was closed, sweep if something ended, and answer questions that
 * wait. `crowded`: not everything that was ready has been looked at in this turn. */
void output_turn(struct output *o, int64_t now_ns, bool crowded);
/* When output_turn is wanted at the latest, INT64_MAX when never. */
int64_t output_deadline_ns(const struct output *o);
/* As follow_ask. Lines that an earlier broker has written are read from the files when they are
 * asked for first: the last 64 KiB of each. */
enum follow_outcome output_ask(struct output *o, const struct follow_question *question,
                               int64_t now_ns, struct buf *out, const char **refused);
/* What is less important than this is not logged from now on. */
void output_set_level(struct output *o, const char *worker, enum log_level level);
/* The configuration has changed: ask `how` for what holds for each replica from now on, NULL when
 * it stays what it is. */
void output_change(struct output *o,
                   const struct spec_output *(*how)(void *context, const char *replica),
                   void *context);
/* Open all files anew, by their names: somebody has moved them away. */
void output_reopen(struct output *o);

#endif
