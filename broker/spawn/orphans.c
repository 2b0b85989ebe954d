/* Judges adopted processes and kills those of nobody; reaping is workers.c's. Runs in the spawner.
 */
#include "broker/spawn/orphans.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "broker/spawn/proc.h"

struct check {
    struct family *family;
    const struct logger *logger;
    pid_t broker_pid;
    bool is_complete;
};

/* Find the living worker to which an orphan belongs; 0 if there is none. The session goes first: it
 * cannot be chosen, an environment can. False if it cannot be known yet. */
static bool
find_owner(const struct family *family, pid_t pid, pid_t session, uint64_t *owner)
{
    const struct worker *leader = session > 0 ? family_find_pid(family, session) : NULL;
    const struct adopted *relative =
        session > 0 ? family_find_adopted_session(family, session) : NULL;
    uint64_t incarnation = 0;
    *owner = 0;
    if (leader) {
        *owner = leader->id;
        return true;
    }
    if (relative && family_find_id(family, relative->owner)) {
        *owner = relative->owner;
        return true;
    }
    switch (proc_incarnation_get(pid, &incarnation)) {
    case PROC_FOUND:
        *owner = family_find_id(family, incarnation) ? incarnation : 0;
        return true;
    case PROC_NONE:
        return true;
    case PROC_LATER:
        return false;
    }
    return true;
}

static void
check_child(void *context, pid_t pid)
{
    struct check *check = context;
    struct family *family = check->family;
    if (pid == check->broker_pid || family_find_pid(family, pid) ||
        family_find_adopted(family, pid)) {
        return;
    }
    struct adopted adopted = {.pid = pid, .session = getsid(pid)};
    if (!find_owner(family, pid, adopted.session, &adopted.owner)) {
        check->is_complete = false;
        return;
    }
    if (adopted.owner != 0 && family_adopt(family, &adopted)) {
        return;
    }
    /* It is our child and not reaped, so the number is still this process. */
    if (kill(pid, SIGKILL) == 0) {
        return;
    }
    logger_write(check->logger, LOGGER_WARN, "cannot kill process %d that a worker left: %s",
                 (int)pid, strerror(errno));
    if (adopted.owner == 0) {
        family_adopt(family, &adopted); /* remembered so that this is said once; a full table says
                                           it again */
    }
}

bool
orphans_check(struct family *family, pid_t broker_pid, const struct logger *logger)
{
    struct check check = {
        .family = family, .logger = logger, .broker_pid = broker_pid, .is_complete = true};
    proc_children_each(check_child, &check); /* without /proc PDEATHSIG and groups have to do */
    return check.is_complete;
}

void
orphans_kill_owned(struct family *family, uint64_t owner)
{
    for (size_t i = 0; i < family->adopted_count; i++) {
        if (family->adopted[i].owner == owner) {
            kill(family->adopted[i].pid, SIGKILL); /* one of another user lives on: nothing to do */
        }
    }
}
