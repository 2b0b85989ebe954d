/* Limits of workers, read back in the worker's own process, and what is told when one cannot be
 * set. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker/spawn/cgroup.h"
#include "broker/spawn/cgroup_files.h"
#include "tests/e2e/spawn/hub.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

#define HUB_TEST(name) Test(hub_limits, name, .init = hub_enter, .fini = hub_leave)

enum { REPORT_BYTES_MAX = 8192, SOMEBODY = 65534, OTHERS = 4242 };

/* What a worker with these limits says about itself; in caller's storage. */
static const char *
report(uint64_t id, const char *folder, const char *const limits[], char text[REPORT_BYTES_MAX])
{
    const char *const argv[] = {hub_probe_path(), "limits", dir_path(), NULL};
    int output;
    hub_start_limited(id, folder, argv, limits);
    hub_expect(SPAWN_STARTED, id, &output);
    hub_read_all(output, text, REPORT_BYTES_MAX);
    close(output);
    const struct spawn_record exited = hub_expect(SPAWN_EXITED, id, NULL);
    cr_expect(exited.status == 0 && exited.out_of_memory == 0, "status %d", exited.status);
    return text;
}

static void
expect_line(const char *report_text, const char *line)
{
    const size_t len = strlen(line);
    const char *at = report_text;
    while ((at = strstr(at, line)) != NULL) {
        if ((at == report_text || at[-1] == '\n') && at[len] == '\n') {
            return;
        }
        at++;
    }
    cr_expect(false, "there is no line '%s' in\n%s", line, report_text);
}

/* A sanitizer needs more address space than there is memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SPACE_LIMITS
#define SPACE_LINES
#else
#define SPACE_LIMITS "rlimit_as=4GiB", "rlimit_data=1GiB",
#define SPACE_LINES  "as 4294967296:4294967296", "data 1073741824:1073741824",
#endif

/* None of them needs a privilege. */
HUB_TEST(limits_hold_in_the_worker_and_only_there)
{
    static const char *const limits[] = {
        "rlimit_core=0",
        "rlimit_cpu=100s:200s",
        "rlimit_fsize=1MiB:2MiB",
        "rlimit_nofile=64:128",
        "rlimit_stack=1MiB",
        "rlimit_msgqueue=4KiB",
        SPACE_LIMITS "rlimit_memlock=8KiB:64KiB",
        "rlimit_rttime=200ms",
        "rlimit_sigpending=99",
        "nice=19",
        "sched=batch",
        "umask=027",
        "no_new_privs=true",
        "cpu_affinity=0",
        "oom_score_adjust=900",
        NULL,
    };
    static const char *const lines[] = {
        "core 0:0",
        "cpu 100:200",
        "fsize 1048576:2097152",
        "nofile 64:128",
        "stack 1048576:1048576",
        "msgqueue 4096:4096",
        SPACE_LINES "memlock 8192:65536",
        "rttime 200000:200000",
        "sigpending 99:99",
        "nice 19",
        "sched 3:0",
        "umask 027",
        "privileges 1",
        "cpus 1 first 1",
        "oom 900",
        "parent 9",
    };
    static const char *const none[] = {NULL};
    char before[REPORT_BYTES_MAX];
    char text[REPORT_BYTES_MAX];
    hub_up();
    report(1, "", none, before);
    report(2, "", limits, text);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        expect_line(text, lines[i]);
    }
    cr_expect_str_eq(report(3, "", none, text), before, "a later worker is limited, too:\n%s",
                     text);
    hub_down();
}

static bool
is_root(void)
{
    return geteuid() == 0;
}

HUB_TEST(user_group_and_groups_are_switched_and_the_worker_still_dies_with_its_parent)
{
    static const char *const limits[] = {"user=65534/nobody",
                                         "group=4242/somebody",
                                         "groups=7,4343",
                                         "nice=-5",
                                         "sched=fifo:3",
                                         "rlimit_nproc=77",
                                         NULL};
    static const char *const lines[] = {"users 65534 65534 65534",
                                        "group 4242 4242 4242",
                                        "groups 7 4343",
                                        "parent 9",
                                        "nice -5",
                                        "sched 1:3",
                                        "nproc 77:77"};
    static const char *const group_only[] = {"groups=", "group=4242", NULL};
    char folder[4096];
    char text[REPORT_BYTES_MAX];
    if (!is_root()) {
        test_skip("only root may switch the user of a worker");
    }
    /* A folder that root of another machine could not enter either: only this user may. */
    snprintf(folder, sizeof folder, "%s/theirs", dir_path());
    cr_assert(mkdir(folder, 0700) == 0 && chown(folder, SOMEBODY, OTHERS) == 0, "folder");
    cr_assert(chmod(dir_path(), 0711) == 0, "the test's own folder");
    hub_up();
    report(1, folder, limits, text);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        expect_line(text, lines[i]);
    }
    snprintf(folder, sizeof folder, "folder %s/theirs", dir_path());
    expect_line(text, folder);
    report(2, "", group_only, text);
    expect_line(text, "users 0 0 0");
    expect_line(text, "group 4242 4242 4242");
    expect_line(text, "groups");
    expect_line(text, "parent 9");
    hub_down();
}

/* The kernel refuses the exec, not the switch: it may well go better another time. */
HUB_TEST(a_user_with_too_many_processes_gets_no_more)
{
    static const char *const limits[] = {"user=65534", "group=65534", "groups=", "rlimit_nproc=0",
                                         NULL};
    static const char *const first[] = {"user=65534", "group=65534", "groups=", NULL};
    const char *const argv[] = {hub_probe_path(), "up", dir_path(), NULL};
    int output;
    if (!is_root()) {
        test_skip("only root may switch the user of a worker");
    }
    hub_up();
    hub_start_limited(1, "", argv, first);
    hub_expect(SPAWN_STARTED, 1, &output);
    close(output);
    hub_start_limited(2, "", argv, limits);
    const struct spawn_record failed = hub_expect(SPAWN_FAILED, 2, NULL);
    cr_expect(failed.step == SPAWN_STEP_EXEC && failed.error == EAGAIN, "%s: %s",
              spawn_step_text((enum spawn_step)failed.step), strerror(failed.error));
    hub_down();
}

struct failing {
    const char *limit;
    int step, error;
};

static void
expect_failures(const struct failing *rows, size_t count, uint64_t id)
{
    const char *const argv[] = {hub_probe_path(), "limits", dir_path(), NULL};
    for (size_t i = 0; i < count; i++, id++) {
        const char *const limits[] = {rows[i].limit, NULL};
        hub_start_limited(id, "", argv, limits);
        const struct spawn_record failed = hub_expect(SPAWN_FAILED, id, NULL);
        cr_expect(failed.step == rows[i].step && failed.error == rows[i].error, "%s: %s: %s",
                  rows[i].limit, spawn_step_text((enum spawn_step)failed.step),
                  strerror(failed.error));
    }
}

HUB_TEST(what_cannot_be_set_or_read_is_told_with_its_step)
{
    static const struct failing rows[] = {
        {"cpu_affinity=1000-1023", SPAWN_STEP_CPU_AFFINITY, EINVAL},
        {"nice=twenty", SPAWN_STEP_RECORD, EINVAL},
        {"nicer=5", SPAWN_STEP_RECORD, EINVAL},
        {"user=", SPAWN_STEP_RECORD, EINVAL},
        {"", SPAWN_STEP_RECORD, EINVAL},
    };
    hub_up();
    expect_failures(rows, sizeof rows / sizeof rows[0], 1);
    hub_down();
}

/* The hub itself runs as somebody: each of these then asks for more than it has. */
HUB_TEST(a_hub_without_privileges_says_which_limit_needs_them)
{
    static const struct failing rows[] = {
        {"nice=-1", SPAWN_STEP_NICE, EACCES},
        {"sched=fifo:1", SPAWN_STEP_SCHED, EPERM},
        {"oom_score_adjust=-1000", SPAWN_STEP_OOM_SCORE_ADJUST, EACCES},
        {"rlimit_nofile=unlimited", SPAWN_STEP_RLIM_NOFILE, EPERM},
        {"user=4242/somebody", SPAWN_STEP_USER, EPERM},
        {"group=4242/somebody", SPAWN_STEP_GROUP, EPERM},
        {"groups=4242", SPAWN_STEP_GROUPS, EPERM},
        {"cgroup=required", SPAWN_STEP_CGROUP, EOPNOTSUPP},
    };
    static const char *const own[] = {"user=65534/nobody", "group=65534", "groups=1,2,3", NULL};
    char text[REPORT_BYTES_MAX];
    if (!is_root()) {
        test_skip("only root may start a hub as somebody else");
    }
    cr_assert(chown(dir_path(), SOMEBODY, SOMEBODY) == 0, "the test's own folder");
    /* What another hub tried just now, or before it died, says nothing of what this one may. */
    char tried[PATH_MAX + 64] = "";
    struct cgroups cgroups;
    cgroups_init(&cgroups, getpid());
    if (cgroup_find_base(&cgroups,
                         &(struct cgroup_sources){"/proc/self/mountinfo", "/proc/self/cgroup"})) {
        (void)snprintf(tried, sizeof tried, "%s/" CGROUP_PREFIX "try", cgroups.base);
        cr_assert(mkdir(tried, 0755) == 0 || errno == EEXIST);
    }
    hub_start_as(SOMEBODY);
    hub_accept(false);
    expect_failures(rows, sizeof rows / sizeof rows[0], 1);
    (void)rmdir(tried); /* another hub may have taken it away */
    cr_expect_not_null(strstr(hub_log(), "worker/8 cannot start: not in force: cgroup ("), "%s",
                       hub_log());
    /* Its own user is none to switch to, whatever groups it has. */
    report(100, "", own, text);
    expect_line(text, "users 65534 65534 65534");
    expect_line(text, "parent 9");
    hub_down();
}

/* ---- cgroups ---- */

/* The cgroup that this test is in, and the hub, too; false with a word about it if none can be made
 * there. */
static bool
find_base(struct cgroups *cgroups)
{
    cgroups_init(cgroups, getpid());
    cgroups_open(cgroups, &(struct cgroup_sources){"/proc/self/mountinfo", "/proc/self/cgroup"});
    if (cgroups->base[0] == '\0') {
        fprintf(stderr, "no cgroup: %s\n", cgroups->why);
    }
    return cgroups->base[0] != '\0';
}

static void
name_leaf(const struct cgroups *cgroups, pid_t keeper, uint64_t id, char path[PATH_MAX])
{
    cr_assert(snprintf(path, PATH_MAX, "%s/prong.%ld.%d", cgroups->base, (long)keeper, (int)id) <
              PATH_MAX);
}

static bool
is_leaf_gone(void *path)
{
    return access(path, F_OK) != 0;
}

/* Without a hub, because it has other ways to find such a process, too. */
HUB_TEST(a_kill_of_a_cgroup_reaches_whoever_left_session_and_parent)
{
    struct cgroups cgroups;
    struct limits limits = {0};
    struct cgroup_made made;
    int ends[2];
    char path[PATH_MAX];
    pid_t far = 0;
    if (!find_base(&cgroups)) {
        test_skip("no cgroup of version 2 may be made here");
    }
    cr_assert(limits_add(&limits, "cgroup=required") && pipe2(ends, O_CLOEXEC) == 0, "set-up");
    cgroup_make(&cgroups, 1, &limits, &made);
    cr_assert(made.procs_fd >= 0 && made.missing == 0, "%s", made.why);
    const pid_t near = fork();
    if (near == 0) {
        if (write(made.procs_fd, "0", 1) != 1 || setsid() < 0 || fork() != 0) {
            _exit(0);
        }
        alarm(60);
        const pid_t own = setsid();
        if (write(ends[1], &own, sizeof own) == (ssize_t)sizeof own) {
            pause();
        }
        _exit(1);
    }
    close(made.procs_fd);
    close(ends[1]);
    cr_assert(until_readable(ends[0], HUB_DEADLINE_MS), "nobody came");
    cr_assert(read(ends[0], &far, sizeof far) == (ssize_t)sizeof far && far > 0, "no pid");
    cr_expect(until_exit(near, NULL, HUB_DEADLINE_MS), "the parent");
    name_leaf(&cgroups, getpid(), 1, path);
    cgroup_remove(&cgroups, 1);
    cr_expect(access(path, F_OK) == 0 && cgroups.has_rest, "removed with somebody in it");
    cgroup_kill(&cgroups, 1);
    cr_expect(until_gone(far, HUB_DEADLINE_MS), "process %ld lives", (long)far);
    cgroup_remove(&cgroups, 1);
    cr_expect(is_leaf_gone(path), "%s is left", path);
    close(ends[0]);
}

HUB_TEST(a_cgroup_holds_all_that_a_worker_starts_and_goes_with_it)
{
    static const char *const required[] = {"cgroup=required", NULL};
    static const char *const modes[] = {"cleared", "tree", "chain"};
    struct cgroups cgroups;
    char path[PATH_MAX];
    char entry[64];
    char text[REPORT_BYTES_MAX];
    if (!find_base(&cgroups)) {
        test_skip("no cgroup of version 2 may be made here");
    }
    hub_up();
    report(1, "", required, text);
    snprintf(entry, sizeof entry, "/prong.%ld.1\n", (long)hub_get()->keeper);
    cr_expect_not_null(strstr(text, entry), "%s is not in\n%s", entry, text);
    name_leaf(&cgroups, hub_get()->keeper, 1, path);
    cr_expect(until(HUB_DEADLINE_MS, is_leaf_gone, path), "%s is left", path);
    for (uint64_t id = 2; id < 5; id++) {
        const char *const argv[] = {hub_probe_path(), modes[id - 2], dir_path(), NULL};
        int output;
        hub_start_limited(id, "", argv, required);
        hub_expect(SPAWN_STARTED, id, &output);
        cr_expect(hub_read_until(output, "up "), "%s", modes[id - 2]);
        name_leaf(&cgroups, hub_get()->keeper, id, path);
        cr_expect_eq(access(path, F_OK), 0, "there is no %s", path);
        hub_signal(id, SIGKILL, true);
        hub_expect(SPAWN_EXITED, id, NULL);
        cr_expect(until(HUB_DEADLINE_MS, is_leaf_gone, path), "%s is left", path);
        close(output);
    }
    hub_down();
    cr_expect(hub_until_nothing_left(HUB_DEADLINE_MS), "a process is left");
}

HUB_TEST(a_cgroup_is_removed_though_the_spawner_was_killed)
{
    static const char *const required[] = {"cgroup=required", NULL};
    const char *const argv[] = {hub_probe_path(), "tree", dir_path(), NULL};
    struct cgroups cgroups;
    char path[PATH_MAX];
    int output;
    if (!find_base(&cgroups)) {
        test_skip("no cgroup of version 2 may be made here");
    }
    hub_up();
    hub_start_limited(1, "", argv, required);
    hub_expect(SPAWN_STARTED, 1, &output);
    cr_expect(hub_read_until(output, "up "), "the worker");
    close(output);
    name_leaf(&cgroups, hub_get()->keeper, 1, path);
    cr_expect_eq(access(path, F_OK), 0, "there is no %s", path);
    cr_assert_eq(kill(hub_get()->spawner, SIGKILL), 0);
    cr_expect_eq(hub_wait(), EX_SOFTWARE);
    cr_expect(is_leaf_gone(path), "%s is left", path);
}

HUB_TEST(limits_that_a_cgroup_cannot_hold_are_told_once_and_refused_where_required)
{
    static const char *const limits[] = {"memory_max=1GiB", "cpu_weight=50",      "cpu_max=100%",
                                         "pids_max=64",     "memory_high=900MiB", NULL};
    static const char *const required[] = {"memory_max=1GiB", "cgroup=required", NULL};
    const char *const argv[] = {hub_probe_path(), "limits", dir_path(), NULL};
    char text[REPORT_BYTES_MAX];
    hub_up();
    report(1, "", limits, text);
    report(2, "", limits, text); /* the same worker: "worker/1" and "worker/2" are its replicas */
    const char *told =
        strstr(hub_log(), "worker/1 starts without some of its limits: not in force: ");
    if (told == NULL) {
        hub_down(); /* a system where all of them hold, and they did */
        test_skip("every controller is there: nothing is missing");
    }
    cr_expect_not_null(strstr(told, "memory_max, memory_high, cpu_weight, cpu_max, pids_max ("),
                       "%s", told);
    cr_expect_null(strstr(told, "worker/2"), "told twice: %s", told);
    hub_start_limited(3, "", argv, required);
    const struct spawn_record failed = hub_expect(SPAWN_FAILED, 3, NULL);
    cr_expect(failed.step == SPAWN_STEP_MEMORY_MAX && failed.error == EOPNOTSUPP, "%s: %s",
              spawn_step_text((enum spawn_step)failed.step), strerror(failed.error));
    hub_down();
}
