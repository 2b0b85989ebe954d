/* One line of a worker: its level, and how it stands in a file.
 *
 *   2026-01-31T12:00:00.123456Z INFO detector/0[812#3 detect#99] text
 *
 * In the brackets: the pid, behind # the incarnation (PRONG_INCARNATION of the process), and the
 * call with the number of its WORK, where one was running alone. Sees no file and no clock. */
#ifndef PRONG_SHELL_LOGLINE_H
#define PRONG_SHELL_LOGLINE_H

#include "broker/shell/log.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOGLINE_WHO_BYTES = 96,      /* "detector/0" with the NUL */
    LOGLINE_CALL_BYTES = 96,     /* "detect#99" with the NUL */
    LOGLINE_HEADING_BYTES = 320, /* what stands before the text, with the NUL */
    LOGLINE_PRIORITY_UNSAID = 6, /* of a line without a prefix */
    LOGLINE_NUMBER_BYTES = 16,
};

/* As the number of a replica: the template of a worker. */
#define LOGLINE_TEMPLATE UINT32_MAX

/* "0", or "template". Returns `out`. */
const char *logline_number(uint32_t replica, char out[LOGLINE_NUMBER_BYTES]);

/* The priority 0 to 7 of "<N>text" as sd-daemon writes it, which is taken off `text`;
 * LOGLINE_PRIORITY_UNSAID when there is no such prefix. */
unsigned logline_take_prefix(struct span *text);
/* 0 to 3 are errors, 4 is a warning, 5 and 6 are infos, 7 is for debugging. */
enum log_level logline_level(unsigned priority);
unsigned logline_priority(enum log_level level);

/* Who wrote a line, and when. */
struct logline_head {
    uint64_t time_us;
    enum log_level level;
    const char *who; /* "detector/0" */
    int32_t pid;     /* 0: the hub itself says something of this log */
    uint64_t incarnation;
    const char *call; /* "" when none is known */
};

/* What stands before the text. Returns its length. */
size_t logline_write(const struct logline_head *head, char out[LOGLINE_HEADING_BYTES]);

/* Change the fraction of the second in one that was written. */
void logline_set_time(char heading[LOGLINE_HEADING_BYTES], uint64_t time_us);

/* What was read of a line in a file; the texts point into it. */
struct logline {
    uint64_t time_us, incarnation;
    enum log_level level;
    int32_t pid;
    struct span call, text;
};

/* Read a line without its newline, of this replica. false when that is not what it is. */
bool logline_read(struct span line, const char *who, struct logline *out);

#endif
