/* The spawner: the process that forks. Single-threaded for ever and libc only, so a fork never
 * copies a lock that another thread holds. It is mechanism: it starts the broker and, on the
 * broker's word, workers; reaps them, kills what they leave, and tells. What to start, restart or
 * give up is the broker's business; only the broker itself is restarted here.
 *
 * One poll loop over the keeper, the broker, signals and children that have not reached exec yet.
 * It never waits for any of them. */
#ifndef PRONG_BROKER_SPAWN_SPAWNER_H
#define PRONG_BROKER_SPAWN_SPAWNER_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "broker/spawn/broker_link.h"
#include "broker/spawn/cgroup.h"
#include "broker/spawn/child.h"
#include "broker/spawn/family.h"
#include "broker/spawn/ladder.h"
#include "broker/spawn/log.h"
#include "broker/spawn/rundir.h"
#include "broker/spawn/stop.h"
#include "broker/spawn/template.h"

/* What the keeper gives its spawner; borrowed for its whole life. */
struct spawner_setup {
    const struct logger *logger;
    const struct rundir *rundir;
    char *const *broker_argv; /* [0] is the program's path */
    char *const *environment; /* of the broker, which adds PRONG_EPOCH and PRONG_KEEPER_PID */
    struct rlimit files;      /* RLIMIT_NOFILE of children */
    const sigset_t *signals;  /* blocked, read by a signalfd */
    pid_t keeper_pid;
    int keeper_fd;
};

/* The broker's process. */
struct broker {
    pid_t pid;    /* 0 while there is none */
    int fault_fd; /* owned; -1 once its program runs */
    struct child_fault fault;
    uint64_t epoch;
    bool has_spoken;    /* this one has sent a record */
    bool is_pinged;     /* it has not answered the last SPAWN_PING yet */
    int64_t restart_ns; /* when to start the next one; CLOCK_NEVER_NS while one runs */
    struct ladder ladder;
};

/* What the keeper is told for the service manager, until it is told. */
struct tidings {
    bool is_due, is_told;
};

struct spawner {
    const struct spawner_setup *setup;
    const struct logger *logger;
    struct family family;
    struct broker broker;
    struct broker_link link;
    struct cgroups cgroups;
    struct templates templates;
    int signal_fd;
    int null_fd; /* /dev/null, stdin of all children */
    char *text;  /* SPAWN_TEXT_BYTES_MAX, of the record being read */
    struct pollfd *polls;
    unsigned poll_failures; /* in a row */
    struct stop stop;
    struct tidings ready, stopping, reloaded;
    int64_t keeper_ns; /* when to tell the keeper again; CLOCK_NEVER_NS if it knows all */
    bool is_reloading; /* the keeper waits for CONTROL_RELOADED */
    bool is_ending;    /* SPAWN_END came: the broker may exit until end_deadline_ns */
    int64_t end_deadline_ns;
    int64_t orphans_ns; /* when to look at orphans again; CLOCK_NEVER_NS if all are judged */
    uint64_t junk_count;
    bool is_keeper_gone;
    bool is_finished;
    int exit_code;
};

/* Run until the hub ends; called in a freshly forked process. Returns its exit code. When it
 * returns nothing is left below it, and the socket is unlinked if the keeper is gone. */
int spawner_run(const struct spawner_setup *setup);

/* End the loop with this exit code; the first call counts. */
void spawner_finish(struct spawner *spawner, int exit_code);

/* Queue a record for the broker of now, if there is one. A broker that does not read is killed. */
void spawner_tell(struct spawner *spawner, const struct spawn_record *record, bool has_output);

#endif
