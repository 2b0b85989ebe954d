/* From configuration to limits: see confine.h. */
#include "broker/shell/confine.h"

#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static void
put(struct buf *text, const char *format, ...)
{
    char part[CONFIG_PATH_BYTES_MAX + 64];
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(part, sizeof part, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof part) {
        buf_put(text, part, (size_t)len);
    }
}

static bool
read_number(const char *text, uint32_t *number)
{
    char *end = NULL;
    const unsigned long long value = strtoull(text, &end, 10);
    *number = (uint32_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value < UINT32_MAX;
}

static void
find_group(const struct config_worker *worker, struct account *account)
{
    if (worker->group == NULL) {
        return;
    }
    const struct group *group = getgrnam(worker->group);
    account->is_group_given = true;
    if (group != NULL) {
        account->group = group->gr_gid;
    } else if (!read_number(worker->group, &account->group)) {
        account->is_unknown = true;
    }
}

uint32_t
confine_account(const struct config_worker *worker, struct account *account, struct buf *text)
{
    uint32_t number = 0;
    *account = (struct account){.is_user_given = worker->user != NULL};
    find_group(worker, account);
    if (worker->user == NULL) {
        return 0;
    }
    const bool is_number = read_number(worker->user, &number);
    const struct passwd *user = getpwnam(worker->user);
    if (user == NULL && is_number) {
        user = getpwuid(number);
    }
    if (user == NULL) {
        account->user = number;
        account->is_unknown = account->is_unknown || !is_number || !account->is_group_given;
        return 0;
    }
    account->user = user->pw_uid;
    if (!account->is_group_given) {
        account->group = user->pw_gid;
        account->is_group_given = true;
    }
    put(text, "HOME=%s%c", user->pw_dir, '\0');
    put(text, "USER=%s%c", user->pw_name, '\0');
    put(text, "LOGNAME=%s%c", user->pw_name, '\0');
    account->group_count = LIMITS_GROUPS_MAX;
    if (getgrouplist(user->pw_name, account->group, account->groups, &account->group_count) < 0) {
        account->is_unknown = true; /* more groups than a worker may have */
    }
    return 3;
}

static uint32_t
put_account(const struct config_worker *worker, const struct account *account, struct buf *text)
{
    if (!account->is_group_given) {
        return 0;
    }
    put(text, "groups=");
    for (int i = 0; !account->is_unknown && i < account->group_count; i++) {
        put(text, "%s%u", i > 0 ? "," : "", (unsigned)account->groups[i]);
    }
    put(text, "%cgroup=%u/%s%c", '\0', (unsigned)account->group,
        worker->group != NULL ? worker->group : worker->user, '\0');
    return 2;
}

static uint32_t
put_user(const struct config_worker *worker, const struct account *account, struct buf *text)
{
    if (!account->is_user_given && !account->is_unknown) {
        return 0;
    }
    if (account->is_unknown) {
        put(text, "user=unknown%c", '\0');
    } else {
        put(text, "user=%u/%s%c", (unsigned)account->user, worker->user, '\0');
    }
    return 1;
}

static uint32_t
put_cpus(const struct config_list *cpus, struct buf *text)
{
    if (cpus->count == 0) {
        return 0;
    }
    put(text, "cpu_affinity=");
    for (size_t i = 0; i < cpus->count; i++) {
        put(text, "%s%s", i > 0 ? "," : "", cpus->items[i]);
    }
    buf_put(text, "", 1);
    return 1;
}

static uint32_t
put_text(const char *key, const char *value, struct buf *text)
{
    if (value == NULL) {
        return 0;
    }
    put(text, "%s=%s%c", key, value, '\0');
    return 1;
}

uint32_t
confine_limits(const struct config_worker *worker, const struct account *account, struct buf *text)
{
    /* Options that are the text of the limit, by the name of both. */
    const struct {
        const char *key, *value;
    } texts[] = {
#define LIMIT_RESOURCE(id, key, resource, unit, low, high, accepts) {#key, worker->key},
#include "broker/spawn/limits.def"
        {"oom_score_adjust", worker->oom_score_adjust},
        {"sched", worker->sched},
        {"nice", worker->nice},
        {"umask", worker->umask},
        {"memory_max", worker->memory_max},
        {"memory_high", worker->memory_high},
        {"memory_swap_max", worker->memory_swap_max},
        {"cpu_weight", worker->cpu_weight},
        {"cpu_max", worker->cpu_max},
        {"pids_max", worker->pids_max},
        {"cgroup", worker->cgroup == CONFIG_CGROUP_REQUIRED ? "required" : NULL},
        {"no_new_privs", worker->no_new_privs ? "true" : NULL},
    };
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        count += put_text(texts[i].key, texts[i].value, text);
    }
    count += put_cpus(&worker->cpu_affinity, text);
    count += put_account(worker, account, text);
    return count + put_user(worker, account, text);
}

static bool
reaches_hub(const struct config_worker *worker, const struct config_hub *hub)
{
    struct account account;
    struct buf unused = {0};
    confine_account(worker, &account, &unused);
    buf_deinit(&unused);
    if (!account.is_user_given || account.is_unknown || account.user == 0 ||
        account.user == geteuid()) {
        return true;
    }
    const struct group *group = hub->group != NULL ? getgrnam(hub->group) : NULL;
    bool is_member = group != NULL && group->gr_gid == account.group;
    for (int i = 0; group != NULL && i < account.group_count; i++) {
        is_member = is_member || account.groups[i] == group->gr_gid;
    }
    return is_member;
}

void
confine_warn(const struct log *log, const struct config_worker *worker,
             const struct config_hub *hub, enum spec_ready ready)
{
    const bool needs_socket = ready == SPEC_READY_ATTACH || ready == SPEC_READY_NOTIFY;
    if (needs_socket && !reaches_hub(worker, hub)) {
        log_write(log, LOG_WARN,
                  "worker '%s': its user '%s' may not use the hub's socket, so it can never get "
                  "ready: give hub a group that this user is in",
                  worker->name, worker->user);
    }
}
