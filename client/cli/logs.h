/* The lines that workers wrote. */
#ifndef PRONG_CLI_LOGS_H
#define PRONG_CLI_LOGS_H

#include "client/cli/cli.h"

/* The last lines of a worker or replica on stderr, behind a heading; a failure to get them is told
 * in their place. */
void logs_tell_last(struct cli *cli, const char *target, int64_t lines);

#endif
