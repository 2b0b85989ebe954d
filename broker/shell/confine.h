/* From configuration to the limits of a worker's process: the strings that go with a SPAWN_START.
 * Looks users and groups up, in the broker, so that the spawner never has to: such a look-up may
 * ask a server, and whatever library does that. */
#ifndef PRONG_SHELL_CONFINE_H
#define PRONG_SHELL_CONFINE_H

#include "broker/config/config.h"
#include "broker/core/spec.h"
#include "broker/shell/log.h"
#include "broker/spawn/limits.h"
#include "proto/buf.h"

/* Who a worker runs as. */
struct account {
    bool is_user_given, is_group_given; /* a user gives a group, too */
    bool is_unknown;                    /* one of them, which was there when it was configured */
    uid_t user;
    gid_t group;
    gid_t groups[LIMITS_GROUPS_MAX];
    int group_count;
};

/* Look up the user and the group of a worker, and append HOME, USER and LOGNAME of a user that the
 * system knows to `text` as settings NAME=value. Returns how many. */
uint32_t confine_account(const struct config_worker *worker, struct account *account,
                         struct buf *text);

/* Append the limits of a worker to `text` as strings KEY=VALUE; returns how many. `account` is what
 * confine_account filled. One that is unknown becomes a string that the spawner refuses, so that
 * the worker does not start. */
uint32_t confine_limits(const struct config_worker *worker, const struct account *account,
                        struct buf *text);

/* Say in the log if a worker's user may not use the hub's sockets, so that it can never get ready
 * in this way: as far as their owner and group tell, it is not the hub's own user, root, or one of
 * hub.group. It would only be killed after its start_timeout, without a word why. */
void confine_warn(const struct log *log, const struct config_worker *worker,
                  const struct config_hub *hub, enum spec_ready ready);

#endif
