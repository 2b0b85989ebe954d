/* The log file of one replica: whole lines in, put aside when it is full.
 *
 * Owns the descriptor; the lines of a read are gathered in a batch of the caller's and written
 * together. What cannot be written is dropped and counted, never waited for. Runs on the loop
 * thread. */
#ifndef PRONG_SHELL_LOGFILE_H
#define PRONG_SHELL_LOGFILE_H

#include "broker/shell/log.h"

#include <stddef.h>
#include <stdint.h>

struct logfile {
    const char *dir; /* made when it is missing; borrowed for its life, as is `log` */
    const struct log *log;
    char worker[80];
    uint32_t replica;
    int fd; /* -1 when it is not open */
    size_t bytes, bytes_max;
    uint32_t backups; /* how many that were put aside are kept */
    uint64_t dropped; /* lines since the last one that was written */
    /* What an earlier broker wrote: so many bytes of this file. */
    struct {
        uint64_t device, inode;
        size_t bytes;
    } past;
};

/* Lines for one file that are not written yet: empty between two reads. */
struct logfile_batch {
    size_t len;
    char bytes[64 * 1024];
};

/* Nothing is opened yet. The caller sets bytes_max and backups. */
void logfile_init(struct logfile *file, const char *dir, const struct log *log, const char *worker,
                  uint32_t replica);
/* Close it, it opens again by itself; for good: what was dropped is told. */
void logfile_close(struct logfile *file);
void logfile_deinit(struct logfile *file);

/* One line: a heading and a text, without newlines. Together they are shorter than a batch. */
void logfile_put(struct logfile *file, struct logfile_batch *batch, struct span heading,
                 struct span text);
/* Write what is in the batch. */
void logfile_flush(struct logfile *file, struct logfile_batch *batch);

/* What is in the file now is of an earlier broker. Nothing is read yet. */
void logfile_mark_past(struct logfile *file);
/* Its last lines, as many whole ones as a batch holds; only once. None when the file has been put
 * aside more than once meanwhile, or cannot be read. They stand in `batch`, which has to be empty.
 */
struct span logfile_take_past(struct logfile *file, struct logfile_batch *batch);

#endif
