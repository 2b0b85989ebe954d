/* Puts limits into force; reading them is limits.c's, the cgroup cgroup.c's. Runs in the child
 * between fork and exec: async-signal-safe calls only, no memory, no lock. */
#include "broker/spawn/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool
set_resource(const struct limits *limits, enum limit limit, int resource)
{
    return setrlimit((__rlimit_resource_t)resource, &limits->resources[limit]) == 0;
}

/* The number in decimal, at the end of `room`; its first character. */
static const char *
format_number(int number, char *end)
{
    unsigned rest = number < 0 ? 0U - (unsigned)number : (unsigned)number;
    char *at = end;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        *--at = '-';
    }
    return at;
}

static bool
apply_oom_score_adjust(const struct limits *limits)
{
    char room[16];
    char *const end = room + sizeof room;
    const char *text = format_number(limits->oom_score_adjust, end);
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t written = write(fd, text, (size_t)(end - text));
    const int error = written < 0 ? errno : EIO; /* half of a number is another one */
    close(fd);
    errno = error;
    return written == end - text;
}

static bool
apply_cpu_affinity(const struct limits *limits)
{
    return sched_setaffinity(0, sizeof limits->cpus, &limits->cpus) == 0;
}

static bool
apply_sched(const struct limits *limits)
{
    const struct sched_param param = {.sched_priority = limits->sched_priority};
    return sched_setscheduler(0, limits->sched_policy, &param) == 0;
}

static bool
apply_nice(const struct limits *limits)
{
    return setpriority(PRIO_PROCESS, 0, limits->nice) == 0;
}

static bool
apply_umask(const struct limits *limits)
{
    umask(limits->umask);
    return true;
}

/* Whether the process is the user and the group that are given in every respect. */
static bool
is_account(const struct limits *limits)
{
    if (!limits_has(limits, LIMIT_USER) && !limits_has(limits, LIMIT_GROUP)) {
        return false; /* groups alone */
    }
    uid_t real_user, user, saved_user;
    gid_t real_group, group, saved_group;
    getresuid(&real_user, &user, &saved_user); /* cannot fail with valid arguments */
    getresgid(&real_group, &group, &saved_group);
    const bool is_user =
        !limits_has(limits, LIMIT_USER) ||
        (real_user == limits->user && user == limits->user && saved_user == limits->user);
    return is_user && (!limits_has(limits, LIMIT_GROUP) ||
                       (real_group == limits->group && group == limits->group &&
                        saved_group == limits->group));
}

/* The three are system calls without glibc's way of telling other threads: there are none. Whoever
 * is that account already keeps its groups, because only a privileged process may set them. */
static bool
apply_groups(const struct limits *limits)
{
    return is_account(limits) || syscall(SYS_setgroups, limits->group_count, limits->groups) == 0;
}

static bool
apply_group(const struct limits *limits)
{
    const gid_t id = limits->group;
    return is_account(limits) || syscall(SYS_setresgid, id, id, id) == 0;
}

static bool
apply_user(const struct limits *limits)
{
    const uid_t id = limits->user;
    return is_account(limits) || syscall(SYS_setresuid, id, id, id) == 0;
}

static bool
apply_no_new_privs(const struct limits *limits)
{
    (void)limits; /* it says yes, or it would not stand there */
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

enum spawn_step
apply_limits(const struct limits *limits)
{
    if (limits == NULL) {
        return SPAWN_STEP_NONE;
    }
#define LIMIT_RESOURCE(id, key, resource, unit, low, high, accepts)                                \
    if (limits_has(limits, LIMIT_##id) && !set_resource(limits, LIMIT_##id, resource)) {           \
        return SPAWN_STEP_##id;                                                                    \
    }
#define LIMIT_SETTING(id, key, accepts)                                                            \
    if (limits_has(limits, LIMIT_##id) && !apply_##key(limits)) {                                  \
        return SPAWN_STEP_##id;                                                                    \
    }
#include "broker/spawn/limits.def"
    return SPAWN_STEP_NONE;
}
