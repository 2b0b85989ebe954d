/* The broker's own log: one line each on stderr, which prongd passes through.
 *
 *   2026-01-31T12:00:00.123456Z INFO broker[12] text
 *
 * With a <N> priority in front when the journal reads it (JOURNAL_STREAM is set). Writing never
 * waits: when nobody takes what is on stderr, or it is a file on a full disk, lines are lost, and
 * the next one that has room is preceded by how many. */
#ifndef PRONG_SHELL_LOG_H
#define PRONG_SHELL_LOG_H

#include "proto/buf.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
    enum log_level level; /* the least important that is written */
    bool journal;
    uint64_t
        *lost; /* lines that had no room since the last one that had; NULL: they are not told */
};

struct log log_start(void);
__attribute__((format(printf, 3, 4))) void log_write(const struct log *log, enum log_level level,
                                                     const char *format, ...);
/* A line of somebody else, where the broker's own go: heading and text, without newlines. Does not
 * wait: false when there is no room for it now. What is longer than 4 KiB is cut. */
bool log_line(const struct log *log, unsigned priority, struct span heading, struct span text);
/* A line of a topic and the flat map that came with it: "topic name=value name=value". */
void log_event(const struct log *log, struct span topic, struct span map);
/* "2026-01-31T12:00:00.123456Z" */
enum { LOG_TIME_BYTES = 32 };
void log_time(uint64_t wall_us, char out[LOG_TIME_BYTES]);
/* The time at the beginning of a text; false when there is none. */
enum { LOG_TIME_CHARS = 27 };
bool log_time_read(struct span text, uint64_t *wall_us);

#endif
