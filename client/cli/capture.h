/* What another process says, with an end in time: a program that may hang, or a look at something
 * that may. */
#ifndef PRONG_CLI_CAPTURE_H
#define PRONG_CLI_CAPTURE_H

#include "client/cli/cli.h"

#include <stdio.h>

struct capture {
    char *text; /* owned, `len` bytes and a NUL */
    size_t len;
    bool is_cut;         /* there was more of it */
    bool is_late;        /* it did not end in time and was killed */
    bool is_interrupted; /* SIGINT or SIGTERM came to us, and it was killed: cli->signal_number */
    int error;           /* errno when it could not be started; else 0 */
    int code;            /* its exit code, or 128 and the signal; -1 when it could not be started */
};

/* Bounds of one. */
struct capture_limits {
    int64_t deadline_ms; /* on the clock of unit_now_ms: then it is killed with its group */
    size_t bytes_max;    /* what is kept; the rest is read and dropped */
};

/* Run a program of this path, without stdin: what it writes to stdout and stderr is the text. False
 * when memory or descriptors are out; then `out` is empty. */
bool capture_run(struct cli *cli, const char *path, const char *const argv[],
                 const struct capture_limits *limits, struct capture *out);
/* The same with a function in a child of ours, for what can hang in the kernel; it writes to `out`,
 * and what it says on stderr goes there, too. What it returns from 0 to 127 is the code. The
 * connection to a hub is not for the child. */
bool capture_call(struct cli *cli, int (*run)(struct cli *cli, void *context, FILE *out),
                  void *context, const struct capture_limits *limits, struct capture *out);
/* Accepts an empty one, and leaves it empty. */
void capture_deinit(struct capture *capture);

#endif
