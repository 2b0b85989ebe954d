/* A descriptor for the end of the process that started prongd. Not PR_SET_PDEATHSIG, which acts
 * when the thread ends that forked us, and not a pipe, which any other child of that process would
 * hold open. */
#ifndef PRONG_BROKER_SPAWN_PARENT_H
#define PRONG_BROKER_SPAWN_PARENT_H

#include <sys/types.h>

/* A close-on-exec descriptor that can be read from when `pid` has ended; the caller closes it.
 * `pid` has to be our parent, and whoever started us says which one that was: one that ended before
 * would go unnoticed else.
 *
 * Returns -1 with errno: ESRCH when our parent is another process, or what pidfd_open(2) says. */
int parent_open(pid_t pid);

#endif
