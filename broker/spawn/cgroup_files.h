/* What the parts of the cgroup module share: its files, and the hub's own cgroup. Private to
 * broker/spawn/cgroup*.c. */
#ifndef PRONG_BROKER_SPAWN_CGROUP_FILES_H
#define PRONG_BROKER_SPAWN_CGROUP_FILES_H

#include "broker/spawn/cgroup.h"

#define CGROUP_PREFIX     "prong."            /* of all that is made */
#define CGROUP_OWN_FOLDER CGROUP_PREFIX "hub" /* for the hub's own processes */

/* Of a file in /proc or in a cgroup; what is behind is not read. */
enum { CGROUP_TEXT_BYTES = 64 * 1024 };

extern const char *const cgroup_controller_names[CGROUP_CONTROLLER_COUNT];

/* All of a file below `folder` (AT_FDCWD with a full path), NUL-terminated; false with errno set if
 * it cannot be read. */
bool cgroup_read_file(int folder, const char *name, char text[CGROUP_TEXT_BYTES]);

/* One write, because each is one command to the kernel; false with errno set. */
bool cgroup_write_file(int folder, const char *name, const char *text);

/* Find the folder of our own cgroup for `cgroups->base`; false with `why` and `error` filled. */
bool cgroup_find_base(struct cgroups *cgroups, const struct cgroup_sources *sources);

/* The hub's cgroup as a directory, owned by the caller; -1 with errno set. */
int cgroup_open_base(const struct cgroups *cgroups);

#endif
