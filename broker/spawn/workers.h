/* Workers on their way in and out of life. */
#ifndef PRONG_BROKER_SPAWN_WORKERS_H
#define PRONG_BROKER_SPAWN_WORKERS_H

#include "broker/spawn/spawner.h"

/* Fork a worker as a checked SPAWN_START says; failure is told as SPAWN_FAILED.
 *
 *   text   borrowed, request->text_bytes bytes; not changed, though argv has to point into it */
void workers_start(struct spawner *spawner, const struct spawn_record *request, char *text);

/* Tell that no worker came of `request`, and keep that for later brokers. */
void workers_tell_failed(struct spawner *spawner, const struct spawn_record *request,
                         const struct child_fault *fault);

/* Look at the fault pipe of a worker that is being born, and tell how it went if it is over. If it
 * failed the worker is freed. */
void workers_read_birth(struct spawner *spawner, struct worker *worker);

/* Tell of the stdin of a worker that has one. */
void workers_tell_input(struct spawner *spawner, const struct worker *worker);

/* Reap everything that is dead, kill what it left, and tell. True if there may be more to reap:
 * come again before waiting. */
bool workers_reap(struct spawner *spawner);

/* Kill those of our children that belong to no living worker (orphans.h), and set the time of the
 * next look. */
void workers_check_orphans(struct spawner *spawner);

/* Send a signal to a worker, or with `is_group` to its process group; SIGKILL to the group also
 * kills everything in its cgroup. Returns 0, or -1 with errno set. */
int workers_signal(struct spawner *spawner, const struct worker *worker, int number, bool is_group);

/* Everything below the spawner is dead: remove the cgroups that are left. */
void workers_sweep_cgroups(struct spawner *spawner);

#endif
