/* The lines that replicas wrote, in memory and in files: a part of output.h.
 *
 * Owns, for each replica, its log file and its newest lines, and for each worker the level at which
 * it is logged. Runs on the loop thread. */
#ifndef PRONG_SHELL_STREAM_H
#define PRONG_SHELL_STREAM_H

#include "broker/core/spec.h"
#include "broker/shell/logfile.h"
#include "broker/shell/logline.h"

/* Lines of an earlier broker are below this number, downwards as they are read: between replicas
 * only their time tells their order. */
#define STREAM_FIRST_LINE (UINT64_C(1) << 40)

enum {
    STREAM_LINES_MAX = 1000, /* of a replica, in memory */
    STREAM_BYTES_MAX = 128 * 1024,
};

/* A line has a number among all lines, one among those of its worker and one among those of its
 * replica. Each of these counts by one, so that who knows two of them knows how many lie between.
 */
struct line_numbers {
    uint64_t all, worker, replica;
};

struct line {
    struct line_numbers number;
    uint64_t time_us, incarnation;
    const struct stream *of;
    enum log_level level;
    int32_t pid;
    const char *call; /* "" when none is known */
    const char *text;
    size_t len;
    void *memory; /* of both */
};

/* All replicas of one worker. */
struct crowd {
    struct crowd *next;
    char worker[80];
    uint64_t first, last; /* numbers of its lines: behind `first`, up to `last` */
    bool has_level;       /* it was set while the hub runs: */
    enum log_level level;
};

/* One replica, over all of its processes. */
struct stream {
    struct stream *next;
    struct crowd *crowd;
    char who[LOGLINE_WHO_BYTES]; /* "detector/0" */
    struct spec_output output;   /* of its newest process */
    struct line *lines;          /* a ring of STREAM_LINES_MAX, made with the first line */
    size_t first, count, bytes;
    uint64_t first_number, last_number; /* as those of the crowd */
    uint64_t forgotten_us;              /* time of the newest line that is not in memory any more */
    size_t pipes;                       /* that are open: 0 when no process of it runs */
    uint64_t lost;                      /* lines that the journal or stderr did not take */
    struct logfile file;
};

/* The list begins with those that run and those that ended last. */
struct streams {
    const char *dir;
    const struct log *log;
    uint64_t since_us; /* lines that are older are of an earlier hub */
    struct stream *list;
    struct crowd *crowds;
    uint64_t last_line, oldest_line, last_time_us;
    struct logfile_batch batch; /* of the read that is being taken */
};

void streams_init(struct streams *all, const char *dir, const struct log *log, uint64_t since_us);
void streams_deinit(struct streams *all);
/* Find, or make when there is none; NULL when memory is out. */
struct stream *stream_get(struct streams *all, const char *worker, uint32_t replica);
/* NULL when there is none. */
struct stream *stream_find(const struct streams *all, const char *worker, uint32_t replica);
struct crowd *crowd_find(const struct streams *all, const char *worker);
/* No process of it runs any more: it is let go of after those that ended before. */
void stream_rest(struct streams *all, struct stream *s);
/* Forget those without a process that are more than `finished_max` or of a replica that is not. */
void streams_sweep(struct streams *all, size_t finished_max,
                   bool (*has_replica)(void *context, const char *replica), void *context);
/* Make a level hold until the hub starts anew; false when memory is out. */
bool crowd_set_level(struct streams *all, const char *worker, enum log_level level);
enum log_level stream_level(const struct stream *s);

/* A time for the next line: now, or a little later, so that no two lines have the same. */
uint64_t streams_stamp(struct streams *all, uint64_t now_us);
/* Keep a copy of a line; its numbers are given here. Without memory it is only in the file. */
void stream_keep(struct streams *all, struct stream *s, const struct line *line);
/* Put before its lines what an earlier broker wrote, as much as there is room for; only once. */
void stream_take_old(struct streams *all, struct stream *s);
/* The nth line in memory, 0 the oldest. */
const struct line *stream_line(const struct stream *s, size_t n);

#endif
