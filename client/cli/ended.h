/* How processes ended that are waited for by `prong wait --for exited`. */
#ifndef PRONG_CLI_ENDED_H
#define PRONG_CLI_ENDED_H

#include "client/cli/status.h"

/* One replica, and the process that it had when the waiting began. */
struct end {
    const struct status_replica *before; /* borrowed from the status of then */
    bool is_told;                        /* by the event of its end */
    uint64_t pid;                        /* 0 while it is not known, or of none */
    char reason[128];
    bool has_exit_code;
    uint64_t exit_code; /* 128 and the signal for one that was killed */
};

struct ended {
    struct end *ends; /* owned */
    size_t count;
};

/* `before` is borrowed until the deinit. */
int ended_init(const struct cli *cli, struct ended *ended, const struct status *before);
void ended_deinit(struct ended *ended);
/* An event of a worker: as struct status_watch.take, with the struct ended as context. */
void ended_take(void *context, const prong_event *event);
/* Print how those ended that the arguments name and that have, as the status of now says. Returns
 * CLI_OK, or with --exit-status the exit code of the first of them that has one other than 0. */
int ended_tell(const struct cli *cli, struct ended *ended, const struct status *now);

#endif
