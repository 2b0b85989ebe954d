/* Programs: where they are, and starting them. */
#ifndef PRONG_CLI_PROGRAM_H
#define PRONG_CLI_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* A program of Prong: beside this one, else where it is installed, else in PATH. */
bool program_find(const char *name, char path[PATH_MAX]);
/* What a shell would run for this word here: absolute. False with errno. */
bool program_resolve(const char *word, char path[PATH_MAX]);

/* Start it with these arguments (NULL at the end) and our environment, with default signals.
 *
 *   out_fd   stdout and stderr of a program that outlives us: in a session of its own and without
 *            stdin; -1 for one that shares all with us
 *
 * 0 with *pid, or an errno. */
int program_start(const char *path, const char *const argv[], int out_fd, pid_t *pid);
/* Wait for its end: its exit code, or 128 and the signal. -1 with errno. */
int program_wait(pid_t pid);
/* Become it. Returns only on failure, with errno. */
void program_become(const char *path, const char *const argv[]);

/* What the sysexits of prongd and prong-broker mean as exit code of this program. */
int program_exit_code(int sysexit);

#endif
