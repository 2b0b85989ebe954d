/* The runtime directory of a hub on this machine: which one, and whether a hub holds it.
 *
 * The rules are those of prongd and of prong_connect, so that what `prong up` starts is what the
 * other verbs find. */
#ifndef PRONG_CLI_HUBDIR_H
#define PRONG_CLI_HUBDIR_H

#include "client/cli/cli.h"

#include <limits.h>
#include <sys/types.h>

#define HUBDIR_SOCKET "hub.sock"
#define HUBDIR_LOG    "hub.log"

/* What the default place depends on; NULL where the environment has nothing. */
struct hubdir_sources {
    const char *runtime_directory, *xdg_runtime_dir;
    const char *run_user, *run; /* "/run/user", "/run"; tests give others */
    uid_t uid;
};

/* Where a hub without --runtime-dir and --name lives: as prongd chooses, see broker/spawn/rundir.h.
 * False where prongd would refuse; `dir` is then the machine's place, where a hub can be looked for
 * but not started, or "" when the path is too long. */
bool hubdir_default(const struct hubdir_sources *sources, char dir[PATH_MAX]);

/* The directory that the options mean, absolute: that of --endpoint, else --runtime-dir and --name,
 * else that of PRONG_URL, else the default one. CLI_USAGE when the hub is none of this machine,
 * CLI_FAILED when one is to be started and there is no place for it. */
int hubdir_choose(const struct cli *cli, bool to_start, char dir[PATH_MAX]);
/* The URL to connect to: NULL when prong_connect shall look for it. */
int hubdir_url(const struct cli *cli, char url[PATH_MAX], const char **out);
/* The directory of a URL of a local socket; false when it is none. */
bool hubdir_of_url(const char *url, char dir[PATH_MAX]);
/* Make it, and the one above when there is a --name, for ourselves alone. False with errno. */
bool hubdir_make(const struct cli *cli, const char *dir);

/* The prongd that holds the lock, 0 when nobody does, -1 when that cannot be seen. */
pid_t hubdir_owner(const char *dir);
/* Wait until nobody holds the lock. False when somebody still does at the deadline. */
bool hubdir_wait_free(const char *dir, int64_t deadline_ms);

#endif
