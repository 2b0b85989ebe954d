/* What hub.status says, in C; and waiting until it is as it should be.
 *
 * Nothing is polled: a watch subscribes to the events of workers first and then asks for the
 * status, so that whatever changes after the answer is told by an event, which makes it ask again.
 */
#ifndef PRONG_CLI_STATUS_H
#define PRONG_CLI_STATUS_H

#include "client/cli/cli.h"

struct status_replica {
    char name[PRONG_NAME_BYTES_MAX + 16]; /* "detector/0" */
    char state[16], reason[128], said[128], last_error[128];
    uint64_t index;
    uint64_t pid, uptime_ms, incarnation, restarts, calls, running, cpu_ms, rss_bytes;
    bool is_completed;  /* it did its work and ended with 0 */
    bool waits;         /* for other workers that it stands on */
    bool has_exit_code; /* a process of it has ended */
    uint64_t exit_code; /* of the last one; 128 and the signal */
};

struct status_worker {
    char name[PRONG_NAME_BYTES_MAX + 1];
    bool autostart;
    uint64_t queued;
    struct status_replica *replicas; /* borrowed from struct status */
    size_t replica_count;
    prong_value value; /* as the hub said it, borrowed from the reply */
};

struct status {
    prong_reply *reply;
    struct status_worker *workers;
    size_t worker_count;
    struct status_replica *replicas; /* of all workers */
    size_t replica_count;
};

/* Ask for it. `status` is emptied first if it holds something. */
int status_get(struct cli *cli, struct status *status);
void status_deinit(struct status *status);
/* The worker that "detector" or "detector/1" names, NULL when there is none. */
const struct status_worker *status_find(const struct status *status, const char *target);
/* Tell that there is none, and what may have been meant. */
int status_no_such(const struct cli *cli, const struct status *status, const char *target);
/* Whether the target ("detector" or "detector/1") means this replica. */
bool status_is_meant(const char *target, const struct status_replica *replica);
bool status_serves(const struct status_replica *replica);
/* Whether the process that a replica had before is gone, or it had none. */
bool status_has_ended(const struct status_replica *before, const struct status_replica *now);

/* What is printed: the workers that `targets` name; all of them when there are none, only those
 * that start by themselves with `autostart`. */
struct status_choice {
    const char *const *targets;
    size_t count;
    bool autostart;
};
bool status_is_chosen(const struct status_choice *choice, const struct status_worker *worker,
                      const struct status_replica *replica);
int status_print(const struct cli *cli, const struct status *status,
                 const struct status_choice *choice);

/* ---- waiting -------------------------------------------------------------------------------- */

enum status_goal {
    STATUS_READY,   /* every replica serves */
    STATUS_FRESH,   /* the same, and none is the process it was before */
    STATUS_STOPPED, /* no replica has a process or is to get one */
    STATUS_EXITED,  /* one replica has no process, or not the one of before */
    STATUS_FAILED,  /* one replica has failed */
};

enum status_verdict {
    STATUS_GOES_ON,
    STATUS_DONE,
    STATUS_LOST, /* it will not come to that by itself */
};

struct status_wish {
    enum status_goal goal;
    struct status_choice choice;
    const struct status *before; /* FRESH and EXITED: what was */
    bool one_life;               /* READY: a replica that died once is lost */
    bool may_end;                /* READY: one that ended without a fault was ready before */
    int64_t replicas;            /* READY: those from this number on have to vanish; -1: none */
};

enum status_verdict status_judge(const struct status_wish *wish, const struct status *now);
/* Whether a replica that does not serve never will by itself. */
bool status_is_lost(const struct status_worker *worker, const struct status_replica *replica,
                    bool one_life);

struct status_watch {
    prong_subscription *events;
    struct status status; /* the newest */
    /* Gets each event; may be NULL. Set after status_watch_begin. */
    void (*take)(void *context, const prong_event *event);
    void *context;
};

/* Subscribe, then ask. */
int status_watch_begin(struct cli *cli, struct status_watch *watch);
void status_watch_end(struct status_watch *watch);
/* Wait until something happened to a worker, and ask for the status again. *is_late: the deadline
 * of the verb has passed instead, and the code is CLI_OK all the same. */
int status_watch_change(struct cli *cli, struct status_watch *watch, bool *is_late);
/* Wait until the wish is decided or the deadline of the verb has passed: then *verdict is
 * STATUS_GOES_ON, and the code CLI_OK all the same. */
int status_watch_until(struct cli *cli, struct status_watch *watch, const struct status_wish *wish,
                       enum status_verdict *verdict);
/* On stderr: who of the chosen does not serve, in which state, why, and its last lines. Returns the
 * exit code: CLI_DIED when one of them died, else CLI_FAILED when one could not be started and is
 * not tried again, else CLI_TIMEOUT. */
int status_tell_missing(struct cli *cli, const struct status *status,
                        const struct status_wish *wish);

#endif
