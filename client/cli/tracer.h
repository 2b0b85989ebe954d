/* The stack of a process by a tool that knows it: py-spy, eu-stack or gdb, whichever is there. */
#ifndef PRONG_CLI_TRACER_H
#define PRONG_CLI_TRACER_H

#include "client/cli/capture.h"

#include <sys/types.h>

enum { TRACER_TRIED_MAX = 4 };

/* What was tried in vain. */
struct tracer_try {
    const char *tool;
    char why[240];
};

struct tracer {
    const char *tool;      /* which gave the text, static; NULL when none did */
    struct capture output; /* its text; owned */
    struct tracer_try tried[TRACER_TRIED_MAX];
    size_t tried_count;
};

/* Ask them one after another until one has told it, each until the deadline or for 15 s. False
 * when memory is out. A tool that is ended in the middle leaves the process as it was. */
bool tracer_run(struct cli *cli, pid_t pid, int64_t deadline_ms, struct tracer *tracer);
void tracer_deinit(struct tracer *tracer);

/* Why nobody may look into this process, and what to do: "" when nothing speaks against it. */
void tracer_explain(pid_t pid, char *out, size_t size);
/* Whether a program of this name or path is Python. */
bool tracer_is_python(const char *program);

#endif
