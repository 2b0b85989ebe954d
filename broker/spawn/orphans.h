/* What to do with processes that lost their parent and came to the spawner, which is a subreaper.
 *
 * The rule: such a process may live only as long as it can be shown to belong to a living worker.
 * It belongs to one if
 *   - its session is that worker's (a helper that a shell script left in the background), or
 *   - PRONG_INCARNATION in the environment of its start is that worker's id (a helper that made
 *     itself a daemon: setsid and double fork keep the environment), or
 *   - its session is that of a process that was found to belong to the worker before.
 * Everything else gets SIGKILL as soon as it is seen: what a dead worker left, and what hides where
 * it comes from (a new session and a cleared environment, or an environment that cannot be read
 * because the program runs as another user). So the price of leaving nothing behind is that a
 * daemon with a cleared environment is killed while its worker lives; such a program belongs into
 * the configuration as a worker of its own.
 *
 * A process comes here when its parent dies, and only the death of our own child wakes us: an
 * orphan is seen at the next SIGCHLD, for those of a dead worker at once, since all the deaths
 * between are of our children by then. */
#ifndef PRONG_BROKER_SPAWN_ORPHANS_H
#define PRONG_BROKER_SPAWN_ORPHANS_H

#include "broker/spawn/family.h"
#include "broker/spawn/log.h"

/* Look at all our children and kill those that may not live.
 *
 *   broker_pid   the broker, 0 if there is none
 *
 * Returns false if one could not be judged, because it is in the middle of an exec and shows
 * neither its old environment nor its new one: check again after ORPHANS_AGAIN_MS. */
bool orphans_check(struct family *family, pid_t broker_pid, const struct logger *logger);

enum { ORPHANS_AGAIN_MS = 5 };

/* A worker is dead: kill what was adopted for it. */
void orphans_kill_owned(struct family *family, uint64_t owner);

#endif
