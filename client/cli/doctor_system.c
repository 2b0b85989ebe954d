/* Checks of the machine: see doctor.h. They run in a child. */
#include "client/cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define MIB INT64_C(1048576)

enum {
    DISK_FAIL_MIB = 50,
    DISK_WARN_MIB = 1024,
    SHM_WARN_MIB = 64,
    YEAR_2024_S = 1704067200, /* before this program was made */
};

/* The first line of a file, without its end; "" when it cannot be read. */
static void
read_line(const char *path, char *out, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, out, size - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static int64_t
free_mib(const struct statvfs *about)
{
    return (int64_t)about->f_bavail * (int64_t)about->f_frsize / MIB;
}

/* The folder of the logs, or the one that is to be made in it. */
static bool
look_at_disk(const struct doctor *d, const char **path, struct statvfs *about)
{
    *path = d->log_dir;
    if (d->log_dir[0] != '\0' && statvfs(d->log_dir, about) == 0) {
        return true;
    }
    *path = d->dir;
    return d->dir[0] != '\0' && statvfs(d->dir, about) == 0;
}

static void
check_disk(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    const char *path;
    struct statvfs about;
    (void)cli;
    if (!look_at_disk(d, &path, &about)) {
        doctor_found(f, DOCTOR_WARN, "%.200s: %s", path, strerror(errno));
        return;
    }
    const int64_t left = free_mib(&about);
    const bool is_read_only = (about.f_flag & ST_RDONLY) != 0;
    const bool is_full =
        is_read_only || left < DISK_FAIL_MIB || (about.f_files > 0 && about.f_favail == 0);
    doctor_found(f,
                 is_full                ? DOCTOR_FAIL
                 : left < DISK_WARN_MIB ? DOCTOR_WARN
                                        : DOCTOR_PASS,
                 "%.200s: %" PRId64 " MiB free%s", path, left, is_read_only ? ", read only" : "");
    if (is_full || left < DISK_WARN_MIB) {
        doctor_advise(f,
                      "make room, or name another folder with hub: log_dir; on a full disk lines "
                      "of workers are dropped");
    }
}

static void
check_clock(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    struct timex clock = {.modes = 0};
    const int state = adjtimex(&clock);
    (void)cli;
    (void)d;
    if (time(NULL) < YEAR_2024_S) {
        doctor_found(f, DOCTOR_FAIL, "the clock is before 2024");
        doctor_advise(f, "set it: times of events and logs are wrong, and so are certificates");
    } else if (state < 0 || state == TIME_ERROR || (clock.status & STA_UNSYNC) != 0) {
        doctor_found(f, DOCTOR_WARN, "nobody keeps the clock of this machine synchronous");
        doctor_advise(f,
                      "install chrony or enable systemd-timesyncd; deadlines do not depend on it");
    } else {
        doctor_found(f, DOCTOR_PASS, "it is kept synchronous");
    }
}

static void
check_shm(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    struct statvfs about;
    (void)cli;
    (void)d;
    if (statvfs("/dev/shm", &about) != 0) {
        doctor_found(f, DOCTOR_WARN, "/dev/shm: %s", strerror(errno));
        doctor_advise(f, "mount a tmpfs there: many libraries of workers need it");
        return;
    }
    const int64_t left = free_mib(&about);
    doctor_found(f, left < SHM_WARN_MIB ? DOCTOR_WARN : DOCTOR_PASS,
                 "/dev/shm: %" PRId64 " MiB free of %" PRId64, left,
                 (int64_t)about.f_blocks * (int64_t)about.f_frsize / MIB);
    if (left < SHM_WARN_MIB) {
        doctor_advise(f,
                      "make it larger: mount -o remount,size=2G /dev/shm, docker run --shm-size");
    }
}

/* The folder of the keeper's group in cgroup v2, or of our own without a hub. */
static bool
find_cgroup(const struct doctor *d, char out[PATH_MAX])
{
    char path[64], line[PATH_MAX] = "";
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup",
                   d->keeper > 0 ? (int)d->keeper : (int)getpid());
    FILE *in = fopen(path, "re");
    while (in != NULL && !found && fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::/", 4) == 0 &&
                snprintf(out, PATH_MAX, "/sys/fs/cgroup%.4000s", line + 3) < PATH_MAX;
    }
    if (in != NULL) {
        (void)fclose(in);
    }
    return found && access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
}

static void
check_cgroup(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    char group[PATH_MAX], path[PATH_MAX + 32];
    (void)cli;
    if (!find_cgroup(d, group)) {
        doctor_found(f, DOCTOR_WARN, "cgroup v2 is not mounted at /sys/fs/cgroup");
        doctor_advise(f, "only limits of workers by cgroup need it");
        return;
    }
    (void)snprintf(path, sizeof path, "%s/cgroup.subtree_control", group);
    if (access(path, W_OK) == 0) {
        doctor_found(f, DOCTOR_PASS, "%.250s may be divided", group);
        return;
    }
    doctor_found(f, DOCTOR_WARN, "%.250s is not delegated: %s", group, strerror(errno));
    doctor_advise(f, "only limits of workers by cgroup need it: Delegate=yes in the unit, or "
                     "systemd-run --user --scope -p Delegate=yes prong up");
}

static void
check_ptrace(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    char text[16];
    (void)cli;
    (void)d;
    read_line("/proc/sys/kernel/yama/ptrace_scope", text, sizeof text);
    const long scope = text[0] != '\0' ? strtol(text, NULL, 10) : 0;
    if (scope == 0 || (scope < 3 && geteuid() == 0)) {
        doctor_found(f, DOCTOR_PASS, "prong stack may look into processes of this user");
        return;
    }
    doctor_found(f, DOCTOR_WARN, "kernel.yama.ptrace_scope is %ld: %s", scope,
                 scope >= 3 ? "nobody may look into a process"
                            : "prong stack needs root to look into one");
    doctor_advise(f, "sudo prong stack WORKER, or sysctl kernel.yama.ptrace_scope=0");
}

static void
check_core(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    char pattern[200];
    struct rlimit limit = {0};
    (void)cli;
    read_line("/proc/sys/kernel/core_pattern", pattern, sizeof pattern);
    (void)prlimit(d->keeper > 0 ? d->keeper : 0, RLIMIT_CORE, NULL, &limit); /* else it is 0 */
    const bool is_piped = pattern[0] == '|';
    if (is_piped || (pattern[0] != '\0' && limit.rlim_cur > 0)) {
        doctor_found(f, DOCTOR_PASS, "a core dump goes to %.200s", pattern);
        return;
    }
    doctor_found(f, DOCTOR_WARN, "a worker that crashes leaves no core dump (%s)",
                 pattern[0] == '\0' ? "core_pattern is empty" : "ulimit -c is 0");
    doctor_advise(f,
                  "install systemd-coredump, or LimitCORE=infinity and a core_pattern with a path");
}

const struct doctor_check *
doctor_system_checks(size_t *count)
{
    static const struct doctor_check checks[] = {
        {.name = "disk", .run = check_disk, .needs_dir = true},
        {.name = "clock", .run = check_clock},
        {.name = "shared memory", .run = check_shm},
        {.name = "cgroup", .run = check_cgroup},
        {.name = "ptrace", .run = check_ptrace},
        {.name = "core dumps", .run = check_core},
    };
    *count = sizeof checks / sizeof checks[0];
    return checks;
}
