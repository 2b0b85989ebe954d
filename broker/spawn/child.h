/* Making one child: fork, and between fork and exec only async-signal-safe calls. The parent never
 * waits for a child: how the exec went comes through a close-on-exec pipe that its loop polls. */
#ifndef PRONG_BROKER_SPAWN_CHILD_H
#define PRONG_BROKER_SPAWN_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "broker/spawn/limits.h"

/* What a child shall be; all borrowed for the call. It gets a session and process group of its own,
 * dies with its parent (PDEATHSIG SIGKILL), has an empty signal mask, all signals at their
 * defaults, and no descriptors but those named here. Its folder is entered as the user that it is
 * switched to, so that what this user may not enter is an error, and what only this user may enter
 * is none. */
struct child_plan {
    const char *name;   /* shown as comm until exec, which replaces it by the program's name */
    const char *folder; /* "" leaves the current one; a relative program counts from there */
    char *const *argv;  /* argv[0] is the program; without '/' it is looked for in `search_path` */
    char *const *envp;
    const char *search_path;        /* PATH of its environment, or NULL for the system's default */
    int input, output, error, link; /* become 0, 1, 2 and, if link >= 0, 3 */
    bool ignores_interrupt;         /* SIGINT ignored, so that Ctrl-C in a terminal spares it */
    struct rlimit files;            /* RLIMIT_NOFILE, which the hub raised for itself */
    const struct limits *limits;    /* NULL: it is as the hub is */
    int cgroup_fd; /* cgroup.procs of the cgroup that it enters, opened for writing; or -1 */
};

/* Where and why it failed: enum spawn_step and errno. Sent whole through the pipe. */
struct child_fault {
    int32_t step;
    int32_t error;
};

/* A child that was forked. */
struct child_birth {
    pid_t pid;
    int fault_fd; /* owned by the caller: poll it for input, then child_birth_read */
};

enum child_state { CHILD_BEING_BORN, CHILD_RUNS, CHILD_FAILED };

/* Fork and let the child become what the plan says. Returns false with `fault` set if there is no
 * child; else `birth` is filled. */
bool child_fork(const struct child_plan *plan, struct child_birth *birth,
                struct child_fault *fault);

/* Ask without waiting how the exec went. CHILD_RUNS also holds for one that was killed before it
 * could say anything: its exit status then tells. `fault` is set with CHILD_FAILED only. */
enum child_state child_birth_read(int fault_fd, struct child_fault *fault);

/* The value of a variable in an environment, NULL if it is not there; borrowed from `envp`. */
const char *child_environment_find(char *const envp[], const char *name);

#endif
