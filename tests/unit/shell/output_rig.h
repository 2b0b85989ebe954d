/* What the tests of output.c share: an output with an epoll, and processes that are pipes. */
#ifndef PRONG_TESTS_SHELL_OUTPUT_RIG_H
#define PRONG_TESTS_SHELL_OUTPUT_RIG_H

#include "broker/shell/output.h"
#include "tests/support/dir.h"
#include "tests/unit/shell/capture.h"

struct rig {
    bool is_gone;      /* there is no such replica */
    bool is_old;       /* what is added began before this broker */
    uint64_t since_us; /* of the hub; for the next rig_open */
    int64_t now_ns;
    int epoll_fd;
    char dir[DIR_FILE_BYTES_MAX];
    struct output *output;
    uint64_t epoch;
    struct spec_output how; /* of what is added, but for the size and number of its files */
    const char *call;       /* that runs, or NULL */
    char lines[1000];       /* that were told as they came: "echo/0 2 text|" */
    uint64_t answered;      /* the call that was answered last, with */
    struct buf answer;
};

extern char rig_text[CAPTURE_TEXT]; /* the file that rig_lines_of read last */

/* Begin with an output of the next broker; `r` is all zero before the first one. */
void rig_open(struct rig *r, const struct log *log);
void rig_close(struct rig *r);
/* The end that a process of this number writes into; its pid is the same. */
int rig_add(struct rig *r, const char *worker, uint32_t replica, int32_t process,
            size_t file_bytes_max);
/* The same with a descriptor that is there, which is moved. */
void rig_give(struct rig *r, const char *worker, uint32_t replica, int32_t process, int fd,
              size_t bytes, uint32_t backups);
/* Write into that end, and let all of it be read. */
void rig_put(struct rig *r, int fd, const char *bytes, size_t len);
void rig_say(struct rig *r, int fd, const char *lines);
/* The process ends; `fd` is closed unless it is -1. */
void rig_end(struct rig *r, int32_t process, int fd);
/* The lines of a file without their times: "INFO echo/0[7#7] hello\n". */
const char *rig_lines_of(const char *name);
enum follow_outcome rig_ask(struct rig *r, const struct follow_question *question, struct buf *out);
/* A list of the last lines of a worker, or of one replica when `only` >= 0. */
void rig_list(struct rig *r, const char *worker, int64_t only, uint32_t count, struct buf *out);
/* The last lines as "echo/0 7 hello|..."; bytes in <>. */
const char *rig_last(struct rig *r, const char *worker, int64_t only, uint32_t count);

#endif
