/* The keeper: the main process of prongd. It holds the lock, forks the spawner, passes signals on,
 * talks to the service manager and waits; so little that it has no reason to die. When the spawner
 * is gone it kills what is left, for it is a subreaper, and unlinks the socket. A process that was
 * its child before it became prongd (`sh -c 'x & exec prongd'`) is below it like all others, and
 * ends with it. */
#ifndef PRONG_BROKER_SPAWN_KEEPER_H
#define PRONG_BROKER_SPAWN_KEEPER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "broker/spawn/log.h"
#include "broker/spawn/rundir.h"

/* Borrowed for the call, but for parent_fd. */
struct keeper_setup {
    const struct logger *logger;
    const struct rundir *rundir;
    char *const *broker_argv;
    char *const *environment;
    const char *notify_address; /* $NOTIFY_SOCKET or NULL */
    int64_t watchdog_us;        /* see notify_watchdog_us; 0: none */
    struct rlimit files;        /* RLIMIT_NOFILE as it was when prongd started */
    int parent_fd;    /* of parent_open, moved; -1: the hub does not end with its parent */
    sigset_t signals; /* blocked since the start of prongd */
};

/* Block the signals of keeper and spawner, and give their set. To be called before anything else,
 * so that none of them ends a half-started hub. False if the system refuses, with errno set. */
bool keeper_block_signals(sigset_t *set);

/* Run the hub to its end. Returns the exit code of prongd. It returns twice: also in the forked
 * spawner, whose process has to end with that code in the same way. */
int keeper_run(const struct keeper_setup *setup);

#endif
