/* A cgroup (version 2) for one worker's process and all that it starts: bounds on memory, CPU and
 * processes, and an end for all of them at once. Runs in the spawner, cgroups_clean in the keeper.
 *
 * Each is a folder prong.KEEPER.ID in the hub's own cgroup, KEEPER the keeper's pid, ID that of the
 * SPAWN_START. They are made only for workers that have such limits, so that a hub without any
 * leaves its cgroup alone. The first one divides the hub's cgroup: where the kernel demands it,
 * which is everywhere but in the root, the hub's own processes move to a folder prong.hub in it,
 * and that happens only if no process of others is there (systemd: Delegate=yes in its unit). All
 * of it is taken back when the hub ends, so that it can be started there again. */
#ifndef PRONG_BROKER_SPAWN_CGROUP_H
#define PRONG_BROKER_SPAWN_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/spawn/limits.h"

enum cgroup_controller { CGROUP_CPU, CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CONTROLLER_COUNT };

enum { CGROUP_WHY_BYTES = 512, CGROUP_TOLD_MAX = 256 };

/* The hub's cgroup and what can be made in it. */
struct cgroups {
    pid_t keeper_pid;
    bool is_open;               /* it was looked for, with success or for good without */
    char base[PATH_MAX];        /* the folder of the hub's cgroup; "" if none can be made in it */
    char why[CGROUP_WHY_BYTES]; /* for people: why there is no base, or a controller missing */
    int error;            /* without a base: EOPNOTSUPP, or what passes (spawn_error_passes) */
    unsigned controllers; /* bits 1 << enum cgroup_controller that hold in cgroups below it */
    bool has_rest;        /* there may be one that could not be removed yet */
    uint64_t told[CGROUP_TOLD_MAX]; /* what cgroups_is_news has seen */
    size_t told_count;
};

/* Where a system says these things; the tests have files of their own. */
struct cgroup_sources {
    const char *mountinfo, *own; /* /proc/self/mountinfo and /proc/self/cgroup */
};

/* What became of making one. */
struct cgroup_made {
    int procs_fd;     /* cgroup.procs for writing, owned by the caller; -1: there is none */
    uint64_t missing; /* limits that do not hold, as bits 1 << enum limit */
    enum limit first; /* of them; with `error` for what a start that needs it is told */
    int error;
    char why[CGROUP_WHY_BYTES]; /* that first one's reason, for people */
};

void cgroups_init(struct cgroups *cgroups, pid_t keeper_pid);

/* True if a worker with these limits needs one. Accepts NULL. */
bool cgroup_is_wanted(const struct limits *limits);

/* The folder of the cgroup of version 2 that this process is in, from the texts of the two files of
 * struct cgroup_sources; false with `why` filled if there is none that can be seen (errno
 * EOPNOTSUPP) or there is no memory to look for it (ENOMEM). */
bool cgroup_find(const char *mountinfo, const char *own, char path[PATH_MAX],
                 char why[CGROUP_WHY_BYTES]);

/* Look for the hub's cgroup and divide it, once; later calls do nothing, unless it failed for a
 * reason that passes (spawn_error_passes). */
void cgroups_open(struct cgroups *cgroups, const struct cgroup_sources *sources);

/* Make the cgroup of a process, as far as that goes, opening `cgroups` with the system's sources if
 * that was not done yet. */
void cgroup_make(struct cgroups *cgroups, uint64_t id, const struct limits *limits,
                 struct cgroup_made *made);

/* Write the limits into the files of the cgroup `folder`, an open directory; what fails is added to
 * `made`. */
void cgroup_set(const struct cgroups *cgroups, int folder, const struct limits *limits,
                struct cgroup_made *made);

/* Kill everything in the cgroup of a process. One that is not there is empty. */
void cgroup_kill(const struct cgroups *cgroups, uint64_t id);

/* True if the kernel has killed a process in it for want of memory. */
bool cgroup_was_out_of_memory(const struct cgroups *cgroups, uint64_t id);

/* Remove it; if it is not empty yet, cgroups_sweep does it later. */
void cgroup_remove(struct cgroups *cgroups, uint64_t id);

/* Remove those that are left of processes that `is_alive` does not know (NULL: of all), and of hubs
 * that died without doing so. */
void cgroups_sweep(struct cgroups *cgroups, bool (*is_alive)(const void *context, uint64_t id),
                   const void *context);

/* Remove what a spawner left that died without doing so; all its processes are dead. For the
 * keeper, which makes none itself. */
void cgroups_clean(pid_t keeper_pid);

/* True if it was not said of this worker ("name/replica") yet that `missing` do not hold. */
bool cgroups_is_news(struct cgroups *cgroups, const char *name, uint64_t missing);

/* "memory_max, pids_max": the keys of these bits. */
void cgroup_list_keys(uint64_t limits, char *out, size_t size_bytes);

#endif
