/* Printing events until enough of them came; for `prong events` and `prong wait --event`. */
#ifndef PRONG_CLI_EVENTS_H
#define PRONG_CLI_EVENTS_H

#include "client/cli/cli.h"

/* What is printed and when that ends. */
struct events_wish {
    const char *const *filters;
    size_t filter_count;
    const char *from;  /* a number, "new", "oldest", "last" */
    const char *until; /* end after the first event that this filter matches; or NULL */
    int64_t until_ms;  /* end at this time on the clock of unit_now_ms; or CLI_NEVER_MS. With
                          `count` it is too late then */
    int64_t count;     /* end after so many; 0: no end */
};

/* Connect, subscribe and print. CLI_OK when the wish is fulfilled or nobody reads stdout any
 * longer, CLI_TIMEOUT at the deadline of the verb. */
int events_print(struct cli *cli, const struct events_wish *wish);

#endif
