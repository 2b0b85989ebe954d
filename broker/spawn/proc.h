/* What /proc says about our children. Everything here is a snapshot: a process may be gone, or a
 * new one be there, when the caller acts on it. Only our own children that we have not reaped are
 * safe to signal by number, because their pid cannot be given to another process. */
#ifndef PRONG_BROKER_SPAWN_PROC_H
#define PRONG_BROKER_SPAWN_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Call `each` for every child of this single-threaded process, zombies too. Reads
 * /proc/self/task/TID/children; where the kernel was built without it, every /proc/PID/stat. A
 * child may be missing from one reading if another ends meanwhile; its end sends SIGCHLD, so a
 * caller that reads again after each SIGCHLD sees it.
 *
 * Returns false if /proc cannot be read. */
bool proc_children_each(void (*each)(void *context, pid_t child), void *context);

/* True if `ancestor` is the parent of `pid`, or of its parent, and so on. */
bool proc_is_below(pid_t pid, pid_t ancestor);

enum proc_result {
    PROC_FOUND,
    PROC_NONE,  /* not there, no number, or not readable (a program that runs as another user) */
    PROC_LATER, /* the process is in the middle of exec and shows no environment: look again soon */
};

/* Read PRONG_INCARNATION from the environment with which `pid` was started. `incarnation` is
 * written with PROC_FOUND only. */
enum proc_result proc_incarnation_get(pid_t pid, uint64_t *incarnation);

#endif
