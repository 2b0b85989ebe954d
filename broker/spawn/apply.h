/* The limits of a process, put into force by that process itself between fork and exec. */
#ifndef PRONG_BROKER_SPAWN_APPLY_H
#define PRONG_BROKER_SPAWN_APPLY_H

#include "broker/spawn/limits.h"
#include "broker/spawn/records.h"

/* Apply what `limits` has in the order of limits.def, for the calling process. Async-signal-safe.
 * A user and groups that the process has already are not set again, so that a hub without
 * privileges may name its own. After a switch of the user PDEATHSIG has to be set again: the kernel
 * clears it.
 *
 *   limits   borrowed; NULL: nothing
 *
 * Returns SPAWN_STEP_NONE, or the step of the first that failed with errno set; those before it
 * hold then. */
enum spawn_step apply_limits(const struct limits *limits);

#endif
