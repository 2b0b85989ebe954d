/* Options that become limits of a worker's process: what is possible is what the spawner reads
 * (broker/spawn/limits.h), told as a message of the configuration. Private to broker/config. */
#ifndef PRONG_CONFIG_LIMIT_H
#define PRONG_CONFIG_LIMIT_H

#include "broker/config/options.h"
#include "broker/spawn/limits.h"

/* config_limit_nice and so on, each a config_check. */
#define LIMIT(id, key, accepts)                                                                    \
    bool config_limit_##key(const char *text, char *why, size_t why_bytes);
#include "broker/spawn/limits.def"

/* What an item of cpu_affinity stands for in one replica: %i is its number. */
#define CONFIG_REPLICA_MARK "%i"

#endif
