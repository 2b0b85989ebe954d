/* The runtime directory of a hub: which one, made and checked, locked against a second hub.
 *
 * Only the keeper and the spawner hold the lock. Both do, because the one that outlives the other
 * still sweeps and unlinks the socket: a new hub must not begin before that is over. */
#ifndef PRONG_BROKER_SPAWN_RUNDIR_H
#define PRONG_BROKER_SPAWN_RUNDIR_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define RUNDIR_SOCKET "hub.sock"
#define RUNDIR_NOTIFY "notify"      /* what NOTIFY_SOCKET of workers leads to */
#define RUNDIR_MEMORY "memory.sock" /* LEND_SOCKET of proto/ring/lend.h */
#define RUNDIR_LOCK   "lock"

enum { RUNDIR_FAULT_BYTES_MAX = 2 * PATH_MAX };

/* Why a directory cannot be used: the exit code of prongd and a sentence that says what is wrong
 * and how to mend it. */
struct rundir_fault {
    int exit_code;
    char text[RUNDIR_FAULT_BYTES_MAX];
};

/* Everything that the choice of the directory depends on; strings borrowed, NULL if not set. */
struct rundir_sources {
    const char *option;            /* --runtime-dir */
    const char *name;              /* --name */
    const char *runtime_directory; /* $RUNTIME_DIRECTORY, as systemd sets it: a list with colons */
    const char *xdg_runtime_dir;   /* $XDG_RUNTIME_DIR */
    const char *run_user;          /* "/run/user"; tests give another one */
    const char *run;               /* "/run" */
    uid_t uid;
};

struct rundir {
    char path[PATH_MAX]; /* absolute, without a slash at its end */
    int dir_fd;
    int lock_fd;
};

/* Choose the directory: the option, else $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/prong, else
 * /run/user/UID/prong, else as root /run/prong; a name is added as a folder below. Relative paths
 * of the environment are ignored, as the XDG specification asks for; a relative option counts from
 * the current folder.
 *
 *   path         caller's storage of PATH_MAX bytes
 *   base_length  bytes of `path` without the name: the folder that has to be made first
 *
 * Returns false with `fault` set: exit code 73. */
bool rundir_choose(const struct rundir_sources *sources, char path[PATH_MAX], size_t *base_length,
                   struct rundir_fault *fault);

/* Make the directory (0700) where it is missing, check it, win the lock and write our pid into it,
 * and remove the sockets and the configuration that a dead hub left behind.
 *
 *   rundir   on true the caller owns its two descriptors: rundir_close
 *
 * Returns false with `fault` set: 73 cannot be created or is something else than a directory, 75
 * another hub holds the lock, 77 it is not ours or others may write to it. A hub that runs is left
 * untouched. */
bool rundir_open(const struct rundir_sources *sources, struct rundir *rundir,
                 struct rundir_fault *fault);

/* Unlink hub.sock, if it is there and is a socket, and what else must not outlive a hub: its
 * other sockets and the configuration that was kept. True if hub.sock is gone. */
bool rundir_unlink_socket(const struct rundir *rundir);

/* Close both descriptors; the last process to do so gives up the lock. May run twice. */
void rundir_close(struct rundir *rundir);

#endif
