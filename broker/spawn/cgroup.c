/* The cgroups of workers: see cgroup.h. Owns the folders below the hub's cgroup; who enters them is
 * child.c's, who is killed when workers.c's. Runs in the spawner. */
#include "broker/spawn/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/spawn/cgroup_files.h"

enum {
    READINGS_MAX = 16,          /* of a list of processes that may fork meanwhile */
    CLEANINGS_MAX = 5,          /* at the end there is no later turn that could try again */
    CPU_PERIOD_US = 100 * 1000, /* of cpu.max, which is the kernel's own default */
};

/* Which limit is which file of which controller, and where its number stands. */
static const struct setting {
    enum limit limit;
    enum cgroup_controller controller;
    const char *file;
    size_t offset; /* in struct limits */
} settings[] = {
    {LIMIT_MEMORY_MAX, CGROUP_MEMORY, "memory.max", offsetof(struct limits, memory_bytes_max)},
    {LIMIT_MEMORY_HIGH, CGROUP_MEMORY, "memory.high", offsetof(struct limits, memory_bytes_high)},
    {LIMIT_MEMORY_SWAP_MAX, CGROUP_MEMORY, "memory.swap.max",
     offsetof(struct limits, swap_bytes_max)},
    {LIMIT_CPU_WEIGHT, CGROUP_CPU, "cpu.weight", offsetof(struct limits, cpu_weight)},
    {LIMIT_CPU_MAX, CGROUP_CPU, "cpu.max", offsetof(struct limits, cpu_percent_max)},
    {LIMIT_PIDS_MAX, CGROUP_PIDS, "pids.max", offsetof(struct limits, pids_max)},
};
enum { SETTING_COUNT = sizeof settings / sizeof settings[0] };

/* ---- one process ------------------------------------------------------------------------------
 */

bool
cgroup_is_wanted(const struct limits *limits)
{
    bool is_wanted = limits_has(limits, LIMIT_CGROUP) && limits->is_cgroup_required;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        is_wanted = is_wanted || limits_has(limits, settings[i].limit);
    }
    return is_wanted;
}

static void
name_folder(const struct cgroups *cgroups, uint64_t id, char name[64])
{
    snprintf(name, 64, CGROUP_PREFIX "%ld.%" PRIu64, (long)cgroups->keeper_pid, id);
}

__attribute__((format(printf, 4, 5))) static void
miss(struct cgroup_made *made, enum limit limit, int error, const char *format, ...)
{
    if (made->missing == 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(made->why, sizeof made->why, format, args);
        va_end(args);
        made->first = limit;
        made->error = error;
    }
    made->missing |= UINT64_C(1) << limit;
}

/* The value as the file wants it. */
static void
format_setting(const struct limits *limits, const struct setting *setting, char out[48])
{
    int64_t value = 0;
    char bound[32] = "max";
    memcpy(&value, (const char *)limits + setting->offset, sizeof value);
    if (value != LIMITS_NO_BOUND) {
        value = setting->limit == LIMIT_CPU_MAX ? value * CPU_PERIOD_US / 100 : value;
        snprintf(bound, sizeof bound, "%" PRId64, value);
    }
    if (setting->limit == LIMIT_CPU_MAX) {
        snprintf(out, 48, "%s %d", bound, (int)CPU_PERIOD_US);
    } else {
        snprintf(out, 48, "%s", bound);
    }
}

void
cgroup_set(const struct cgroups *cgroups, int folder, const struct limits *limits,
           struct cgroup_made *made)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        char value[48];
        if (!limits_has(limits, setting->limit)) {
            continue;
        }
        if ((cgroups->controllers & 1U << setting->controller) == 0) {
            miss(made, setting->limit, EOPNOTSUPP, "there is no controller %s: %s",
                 cgroup_controller_names[setting->controller], cgroups->why);
            continue;
        }
        format_setting(limits, setting, value);
        if (!cgroup_write_file(folder, setting->file, value)) {
            miss(made, setting->limit, errno, "writing %s to %s: %s", value, setting->file,
                 strerror(errno));
        }
    }
    if (limits_has(limits, LIMIT_MEMORY_MAX)) {
        /* All of it or nothing: a worker without its helper would only hang. An older kernel
         * without this file kills one process. */
        (void)cgroup_write_file(folder, "memory.oom.group", "1");
    }
}

void
cgroup_make(struct cgroups *cgroups, uint64_t id, const struct limits *limits,
            struct cgroup_made *made)
{
    char name[64];
    *made = (struct cgroup_made){.procs_fd = -1};
    cgroups_open(cgroups, &(struct cgroup_sources){"/proc/self/mountinfo", "/proc/self/cgroup"});
    name_folder(cgroups, id, name);
    const int base = cgroups->base[0] != '\0' ? cgroup_open_base(cgroups) : -1;
    int folder = -1;
    if (base >= 0 && mkdirat(base, name, 0755) == 0) {
        folder = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        made->procs_fd = folder < 0 ? -1 : openat(folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    }
    const int error = errno;
    if (made->procs_fd >= 0) {
        cgroup_set(cgroups, folder, limits, made);
    } else {
        const bool has_base = cgroups->base[0] != '\0';
        const int reason = has_base ? error : cgroups->error;
        for (size_t i = 0; i < SETTING_COUNT; i++) {
            if (limits_has(limits, settings[i].limit)) {
                miss(made, settings[i].limit, reason, "%s",
                     has_base ? strerror(error) : cgroups->why);
            }
        }
        miss(made, LIMIT_CGROUP, reason, "%s", has_base ? strerror(error) : cgroups->why);
        cgroups->has_rest = true;
    }
    if (folder >= 0) {
        close(folder);
    }
    if (base >= 0) {
        close(base);
    }
}

/* Open the folder of a process; -1 if it has none. */
static int
open_folder(const struct cgroups *cgroups, uint64_t id)
{
    char path[PATH_MAX + 64];
    char name[64];
    name_folder(cgroups, id, name);
    snprintf(path, sizeof path, "%s/%s", cgroups->base, name);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* What kernels before 5.14 have instead of cgroup.kill: one after the other, until none is new. */
static void
kill_one_by_one(int folder)
{
    char *text = malloc(CGROUP_TEXT_BYTES);
    for (int i = 0; text != NULL && i < READINGS_MAX &&
                    cgroup_read_file(folder, "cgroup.procs", text) && text[0] != '\0';
         i++) {
        for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
            const pid_t pid = (pid_t)strtol(at, NULL, 10);
            if (pid > 1) {
                kill(pid, SIGKILL); /* it may be gone already */
            }
        }
    }
    free(text);
}

void
cgroup_kill(const struct cgroups *cgroups, uint64_t id)
{
    const int folder = open_folder(cgroups, id);
    if (folder < 0) {
        return;
    }
    if (!cgroup_write_file(folder, "cgroup.kill", "1")) {
        kill_one_by_one(folder);
    }
    close(folder);
}

bool
cgroup_was_out_of_memory(const struct cgroups *cgroups, uint64_t id)
{
    char *text = malloc(CGROUP_TEXT_BYTES);
    const int folder = open_folder(cgroups, id);
    bool was = false;
    if (text != NULL && folder >= 0 && cgroup_read_file(folder, "memory.events", text)) {
        const char *at = strstr(text, "\noom_kill ");
        was = at != NULL && strtoull(at + strlen("\noom_kill "), NULL, 10) > 0;
    }
    if (folder >= 0) {
        close(folder);
    }
    free(text);
    return was;
}

void
cgroup_remove(struct cgroups *cgroups, uint64_t id)
{
    char path[PATH_MAX + 64];
    char name[64];
    name_folder(cgroups, id, name);
    snprintf(path, sizeof path, "%s/%s", cgroups->base, name);
    if (rmdir(path) != 0 && errno != ENOENT) {
        cgroups->has_rest = true; /* somebody in it is not dead yet */
    }
}

/* ---- what is left -----------------------------------------------------------------------------
 */

/* Whether a folder with this name is left of somebody: of us or of a hub that is dead. */
static bool
is_left(const struct cgroups *cgroups, const char *name,
        bool (*is_alive)(const void *context, uint64_t id), const void *context)
{
    char *end = NULL;
    const size_t prefix = strlen(CGROUP_PREFIX);
    if (strncmp(name, CGROUP_PREFIX, prefix) != 0 || name[prefix] < '1' || name[prefix] > '9') {
        return false;
    }
    const long keeper = strtol(name + prefix, &end, 10);
    if (*end != '.') {
        return false;
    }
    if ((pid_t)keeper == cgroups->keeper_pid) {
        return is_alive == NULL || !is_alive(context, strtoull(end + 1, NULL, 10));
    }
    return kill((pid_t)keeper, 0) != 0 && errno == ESRCH;
}

void
cgroups_sweep(struct cgroups *cgroups, bool (*is_alive)(const void *context, uint64_t id),
              const void *context)
{
    if (!cgroups->has_rest || cgroups->base[0] == '\0') {
        return;
    }
    DIR *base = opendir(cgroups->base);
    cgroups->has_rest = base == NULL;
    errno = 0;
    for (const struct dirent *entry; base != NULL && (entry = readdir(base)) != NULL; errno = 0) {
        if (is_left(cgroups, entry->d_name, is_alive, context) &&
            unlinkat(dirfd(base), entry->d_name, AT_REMOVEDIR) != 0 && errno == EBUSY) {
            cgroups->has_rest = true;
        }
    }
    if (base != NULL) {
        cgroups->has_rest = cgroups->has_rest || errno != 0; /* the list has broken off */
        closedir(base);
    }
}

/* Give the hub's cgroup back as it was: without controllers for those below, and with us in it, the
 * last of the hub. What fails leaves it divided, which whoever made it can still remove. */
static void
undivide(const struct cgroups *cgroups)
{
    const int base = cgroup_open_base(cgroups);
    if (base < 0) {
        return;
    }
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        char command[16];
        snprintf(command, sizeof command, "-%s", cgroup_controller_names[i]);
        (void)cgroup_write_file(base, "cgroup.subtree_control", command); /* it may not be on */
    }
    if (cgroup_write_file(base, "cgroup.procs", "0")) {
        unlinkat(base, CGROUP_OWN_FOLDER, AT_REMOVEDIR);
    }
    close(base);
}

void
cgroups_clean(pid_t keeper_pid)
{
    static const char own[] = "/" CGROUP_OWN_FOLDER;
    struct cgroups cgroups;
    cgroups_init(&cgroups, keeper_pid);
    const struct cgroup_sources sources = {"/proc/self/mountinfo", "/proc/self/cgroup"};
    bool is_found = false;
    for (int i = 0; i < CLEANINGS_MAX && !is_found; i++) {
        is_found = cgroup_find_base(&cgroups, &sources);
    }
    if (!is_found) {
        return;
    }
    const size_t len = strlen(cgroups.base);
    const bool was_moved =
        len >= sizeof own - 1 && strcmp(cgroups.base + len - (sizeof own - 1), own) == 0;
    if (was_moved) {
        cgroups.base[len - (sizeof own - 1)] = '\0';
    }
    cgroups.has_rest = true;
    for (int i = 0; i < CLEANINGS_MAX && cgroups.has_rest; i++) {
        cgroups_sweep(&cgroups, NULL, NULL);
    }
    if (was_moved) {
        undivide(&cgroups);
    }
}

bool
cgroups_is_news(struct cgroups *cgroups, const char *name, uint64_t missing)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ missing; /* FNV-1a */
    for (const char *at = name; *at != '\0' && *at != '/'; at++) {
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    }
    for (size_t i = 0; i < cgroups->told_count; i++) {
        if (cgroups->told[i] == hash) {
            return false;
        }
    }
    if (cgroups->told_count < CGROUP_TOLD_MAX) {
        cgroups->told[cgroups->told_count++] = hash;
    }
    return true;
}

void
cgroup_list_keys(uint64_t limits, char *out, size_t size_bytes)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < LIMIT_COUNT && used < size_bytes; i++) {
        if ((limits & UINT64_C(1) << i) != 0) {
            used += (size_t)snprintf(out + used, size_bytes - used, "%s%s", used > 0 ? ", " : "",
                                     limits_key((enum limit)i));
        }
    }
}
