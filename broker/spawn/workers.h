/* Workers on their way in and out of life. */
#ifndef PRONG_BROKER_SPAWN_WORKERS_H
#define PRONG_BROKER_SPAWN_WORKERS_H

#include "broker/spawn/spawner.h"

/* A SPAWN_START in its parts. argv and envp are one allocation of the caller's: free(argv). */
struct start_parts {
    const char *folder;
    char **argv, **envp; /* each ended by NULL; the strings are the request's */
    struct limits limits;
};

/* Cut the text of a checked SPAWN_START into its strings. False without memory. */
bool workers_split(const struct spawn_record *request, char *text, struct start_parts *parts);

/* Two pipes, our ends of them not blocking: `output` and, if it is wanted, `input`, else -1 stays
 * in it. False with errno set, and none open, if that cannot be. */
bool workers_open_pipes(bool has_input, int output[2], int input[2]);

/* Make the cgroup that these limits (NULL: none) want; `procs_fd` is the caller's, -1 for none.
 * What does not hold of them is an error, with `fault` filled, only if it was required. */
bool workers_enter_cgroup(struct spawner *spawner, const struct spawn_record *request,
                          const struct limits *limits, int *procs_fd, struct child_fault *fault);

/* Fork and exec a process as `parts` say, as part of the family under the id, name and input of
 * `request`; `link`, if >= 0, becomes its descriptor 3. False with `fault` filled. */
bool workers_fork(struct spawner *spawner, const struct spawn_record *request,
                  const struct start_parts *parts, int link, struct child_fault *fault);

/* Start a worker as a checked SPAWN_START says; failure is told as SPAWN_FAILED.
 *
 *   text   borrowed, request->text_bytes bytes; not changed, though argv has to point into it */
void workers_start(struct spawner *spawner, const struct spawn_record *request, char *text);

/* Tell that no worker came of `request`, and keep that for later brokers. */
void workers_tell_failed(struct spawner *spawner, const struct spawn_record *request,
                         const struct child_fault *fault);

/* The same of one that was to be forked by a template.
 *
 *   status   of the template if it ended, else 0
 *   why      for people; "" when the fault says all */
void workers_tell_unborn(struct spawner *spawner, const struct spawn_record *request,
                         const struct child_fault *fault, int status, const char *why);

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
