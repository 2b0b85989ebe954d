/* What a process uses, from /proc. */
#ifndef PRONG_SHELL_USAGE_H
#define PRONG_SHELL_USAGE_H

#include "broker/core/hub.h"

/* Sample the process `usage->pid` and fill in the rest. `known` is false when there is none, when
 * it has ended and nobody has waited for it yet, or when its files cannot be read. Blocks for as
 * long as it takes to read one small file of /proc, about ten microseconds. */
void usage_sample(struct hub_usage *usage);

#endif
