/* Users, groups and CPUs that a worker names, on the machine that reads the file: see reader.h. */
#include <stdlib.h>
#include <string.h>

#include "broker/config/limit.h"
#include "broker/config/reader.h"

#define WORKER_INDEX(key) ((size_t)config_option_find(&config_worker_table, key))

void
config_confine_hint(const struct config_reader *reader, enum config_names names, const char *name,
                    char out[CONFIG_MEANT_BYTES_MAX])
{
    char near[CONFIG_NEAR_BYTES_MAX] = "";
    const struct config_env *env = reader->env;
    if (env != NULL && env->find_near != NULL) {
        env->find_near(env->context, names, name, near);
    }
    snprintf(out, CONFIG_MEANT_BYTES_MAX, near[0] != '\0' ? "; did you mean '%s'?" : "%s", near);
}

static bool
is_number(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* The largest number of all means "nobody" to the system, and longer ones are none. */
static bool
is_id(const char *text)
{
    return strlen(text) <= 10 && strtoull(text, NULL, 10) < UINT32_MAX;
}

static int
check_user(struct config_reader *reader, const struct config_draft *draft)
{
    const struct config_env *env = reader->env;
    const char *name = draft->worker.user;
    const struct config_mark at = draft->given[WORKER_INDEX("user")];
    char quoted[CONFIG_QUOTE_BYTES_MAX], meant[CONFIG_MEANT_BYTES_MAX];
    if (name == NULL || env == NULL || env->has_user == NULL || env->has_user(env->context, name)) {
        return 0;
    }
    config_quote(name, quoted);
    if (!is_number(name)) {
        config_confine_hint(reader, CONFIG_NAMES_USERS, name, meant);
        return config_fail(reader, at, "there is no user %s%s", quoted, meant);
    }
    if (!is_id(name)) {
        return config_fail(reader, at, "'user' cannot be %s: that is too large", quoted);
    }
    if (draft->worker.group == NULL) {
        return config_fail(reader, at,
                           "there is no user with the number %s, so its group is not known: give "
                           "worker '%s' a 'group' too",
                           name, draft->worker.name);
    }
    return 0;
}

static int
check_group(struct config_reader *reader, const struct config_draft *draft)
{
    const struct config_env *env = reader->env;
    const char *name = draft->worker.group;
    const struct config_mark at = draft->given[WORKER_INDEX("group")];
    char quoted[CONFIG_QUOTE_BYTES_MAX], meant[CONFIG_MEANT_BYTES_MAX];
    if (name == NULL || env == NULL || env->has_group == NULL ||
        env->has_group(env->context, name) || (is_number(name) && is_id(name))) {
        return 0;
    }
    config_quote(name, quoted);
    config_confine_hint(reader, CONFIG_NAMES_GROUPS, name, meant);
    return config_fail(reader, at, "there is no group %s%s", quoted, meant);
}

/* The highest CPU of an item, which is sound: N, N-M or lists of them. */
static long
highest_cpu(const char *item)
{
    long highest = 0;
    for (const char *at = item; *at != '\0'; at += strspn(at, ",-")) {
        const long cpu = strtol(at, NULL, 10);
        highest = cpu > highest ? cpu : highest;
        at += strcspn(at, ",-");
    }
    return highest;
}

static int
check_cpus(struct config_reader *reader, const struct config_draft *draft)
{
    const struct config_env *env = reader->env;
    const struct config_worker *worker = &draft->worker;
    const struct config_mark at = draft->given[WORKER_INDEX("cpu_affinity")];
    const int count = env != NULL && env->cpu_count != NULL ? env->cpu_count(env->context) : 0;
    for (size_t i = 0; count > 0 && i < worker->cpu_affinity.count; i++) {
        const char *item = worker->cpu_affinity.items[i];
        const bool is_replica = strcmp(item, CONFIG_REPLICA_MARK) == 0;
        const long cpu = is_replica ? (long)worker->replicas - 1 : highest_cpu(item);
        if (cpu < count) {
            continue;
        }
        if (is_replica) {
            return config_fail(reader, at,
                               "'cpu_affinity' of worker '%s' gives each of its %ld replicas a CPU "
                               "of its own, but this machine has %d: 0 to %d",
                               worker->name, cpu + 1, count, count - 1);
        }
        return config_fail(
            reader, at,
            "'cpu_affinity' of worker '%s' names CPU %ld, but this machine has %d: 0 "
            "to %d",
            worker->name, cpu, count, count - 1);
    }
    return 0;
}

int
config_confine_check(struct config_reader *reader, const struct config_draft *draft)
{
    return check_user(reader, draft) != 0 || check_group(reader, draft) != 0 ||
                   check_cpus(reader, draft) != 0
               ? -1
               : 0;
}
