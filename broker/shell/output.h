/* What workers write: their stdout and stderr, line by line, into rotated files and a short memory.
 *
 * Owns the read ends of the pipes, the files and the last lines of each replica. A full disk costs
 * lines, which are counted, and never stops anything. Runs on the loop thread. */
#ifndef PRONG_SHELL_OUTPUT_H
#define PRONG_SHELL_OUTPUT_H

#include "broker/shell/log.h"
#include "proto/link/source.h"

#include <stdbool.h>
#include <stddef.h>

struct output;

struct output_options {
    int epoll_fd;
    const char *dir; /* made when it is missing; borrowed for ever */
    const struct log *log;
    uint64_t since_us; /* lines that are older are of an earlier hub */
    /* Whether there is such a replica ("detector/0"). */
    bool (*has_replica)(void *context, const char *replica);
    void *context;
};

/* Where the lines of one worker's replica go, and how much of them is kept on disk. */
struct output_target {
    const char *worker;
    uint32_t replica;
    int32_t pid;
    size_t file_bytes_max;
    uint32_t backups;
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
/* Let go of what replicas wrote that are no more. To be called after each change that somebody
 * asked for: the next one may bring another worker of the same name. */
void output_sweep(struct output *o);
/* At the end of a turn: free what was closed, and sweep if something ended. */
void output_turn(struct output *o);
/* Append the last `lines` lines of a worker (of one replica when only >= 0), oldest first, to
 * `out`: a msgpack list of maps {time_us, replica, pid, line}. Those that an earlier broker has
 * written are read from the files when they are asked for first: the last 64 KiB of each. */
void output_last(struct output *o, const char *worker, int64_t only, uint32_t lines,
                 struct buf *out);

#endif
