/* What bounds one worker's process, read from strings KEY=VALUE: limits.def has one row for each
 * key. Pure: looks nothing up, so users and groups are numbers here.
 *
 * The broker writes these strings and the spawner reads them; the configuration checks its values
 * with the same functions, so that what was read there cannot be refused here. */
#ifndef PRONG_BROKER_SPAWN_LIMITS_H
#define PRONG_BROKER_SPAWN_LIMITS_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum limit {
#define LIMIT(id, key, accepts) LIMIT_##id,
#include "broker/spawn/limits.def"
    LIMIT_COUNT
};

enum {
    LIMITS_GROUPS_MAX = 1024, /* supplementary groups of one user */
    LIMITS_WHY_BYTES = 256,
    LIMITS_WEIGHT_MAX = 10000, /* of cpu_weight */
};

/* How a word of a value is written that sets no bound. */
#define LIMITS_UNLIMITED "unlimited"
enum { LIMITS_NO_BOUND = -1 };

/* Only the members of keys in `given` have a meaning. */
struct limits {
    uint64_t given;                       /* bits 1 << enum limit */
    struct rlimit resources[LIMIT_COUNT]; /* by enum limit; those of LIMIT_RESOURCE only */
    cpu_set_t cpus;
    int oom_score_adjust, nice;
    int sched_policy, sched_priority; /* SCHED_OTHER... */
    mode_t umask;
    uid_t user;
    gid_t group;
    gid_t groups[LIMITS_GROUPS_MAX];
    size_t group_count;
    /* Of the cgroup; LIMITS_NO_BOUND: none. */
    bool is_cgroup_required;
    int64_t memory_bytes_max, memory_bytes_high, swap_bytes_max, pids_max;
    int64_t cpu_weight, cpu_percent_max;
};

/* True if `limits` has this key. Accepts NULL: nothing is limited. */
bool limits_has(const struct limits *limits, enum limit limit);

/* "rlimit_nofile"; static. */
const char *limits_key(enum limit limit);

/* limits_accepts_rlimit_nofile and so on: what a value of the configuration has to be, for people.
 */
#define LIMIT(id, key, accepts) extern const char limits_accepts_##key[];
#include "broker/spawn/limits.def"

/* Read one value into `limits`, which keeps what it has of other keys.
 *
 *   value   as the configuration has it, but for user, group and groups: numbers, behind which
 *           "/NAME" may follow for people
 *   why     NULL, or LIMITS_WHY_BYTES bytes: on false what is wrong with it
 *
 * Returns false, with nothing changed, if the value is not possible. */
bool limits_set(struct limits *limits, enum limit limit, const char *value,
                char why[LIMITS_WHY_BYTES]);

/* limits_set with a string KEY=VALUE; false also if the key is unknown or was there before. */
bool limits_add(struct limits *limits, const char *setting);

#ifdef __cplusplus
}
#endif
#endif
