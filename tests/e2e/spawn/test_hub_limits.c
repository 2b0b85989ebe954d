/* Limits of workers, read back in the worker's own process, and what is told when one cannot be
 * set. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/spawn/hub.h"
#include "tests/support/dir.h"
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
    };
    static const char *const own[] = {"user=65534/nobody", "group=65534", "groups=1,2,3", NULL};
    char text[REPORT_BYTES_MAX];
    if (!is_root()) {
        test_skip("only root may start a hub as somebody else");
    }
    cr_assert(chown(dir_path(), SOMEBODY, SOMEBODY) == 0, "the test's own folder");
    hub_start_as(SOMEBODY);
    hub_accept(false);
    expect_failures(rows, sizeof rows / sizeof rows[0], 1);
    /* Its own user is none to switch to, whatever groups it has. */
    report(100, "", own, text);
    expect_line(text, "users 65534 65534 65534");
    expect_line(text, "parent 9");
    hub_down();
}
