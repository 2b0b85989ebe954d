#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/spawn/clock.h"
#include "broker/spawn/proc.h"
#include "broker/spawn/sweep.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

enum { CHILDREN = 700 }; /* their list is longer than one piece that is read of it */

static pid_t
fork_sleeper(void)
{
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
        procs_die_with(parent);
        for (;;) {
            pause();
        }
    }
    return pid;
}

struct seen {
    int count;
    const pid_t *expected;
    int missing;
};

static void
see(void *context, pid_t child)
{
    struct seen *seen = context;
    for (int i = 0; i < CHILDREN; i++) {
        if (seen->expected[i] == child) {
            seen->count++;
            return;
        }
    }
    seen->missing++;
}

Test(proc, every_child_is_listed_once_and_all_are_swept, .timeout = 40)
{
    static pid_t children[CHILDREN];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork_sleeper();
        cr_assert(children[i] > 0);
    }
    struct seen seen = {.expected = children};
    cr_assert(proc_children_each(see, &seen));
    cr_expect_eq(seen.count, CHILDREN);
    cr_expect_eq(seen.missing, 0);
    const struct sweep_result swept =
        sweep_children(clock_now_ns() + until_scaled_ms(10 * 1000) * NS_PER_MS);
    cr_expect_eq(swept.reaped, CHILDREN);
    cr_expect_eq(swept.survivors, 0);
}

Test(proc, a_process_is_below_its_parent_and_theirs_but_not_below_a_child)
{
    const pid_t child = fork_sleeper();
    cr_assert(child > 0);
    cr_expect(proc_is_below(child, getpid()));
    cr_expect(proc_is_below(child, getppid()));
    cr_expect_not(proc_is_below(getpid(), child));
    cr_expect_not(proc_is_below(getpid(), getpid()));
    cr_expect_not(proc_is_below(0, getpid()));
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_expect_not(proc_is_below(child, getpid()), "it is gone");
}

struct environment {
    const char *variables[4];
    uint64_t incarnation; /* 0: none */
};

static const struct environment environments[] = {
    {{"PRONG_INCARNATION=12"}, 12},
    {{"A=b", "PRONG_INCARNATION=9007199254740991", "C=d"}, 9007199254740991ULL},
    {{"A=PRONG_INCARNATION=5"}, 0},
    {{"XPRONG_INCARNATION=5"}, 0},
    {{"PRONG_INCARNATION5"}, 0},
    {{"PRONG_INCARNATION="}, 0},
    {{"PRONG_INCARNATIO=1", "PRONG_INCARNATION=7"}, 7},
    {{NULL}, 0},
};

/* The last variable is long, so that the one sought may stand on the border of two pieces. */
static pid_t
exec_sleeper(const struct environment *environment, char *filler)
{
    union {
        const char *given[6];
        char *list[6];
    } envp = {{filler}};
    for (int i = 0; i < 4; i++) {
        envp.given[i + 1] = environment->variables[i];
    }
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
        procs_die_with(parent);
        dup2(ends[1], STDOUT_FILENO);
        char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo; exec sleep 60"},
                              NULL};
        execve("/bin/sh", argv, envp.list);
        _exit(1);
    }
    close(ends[1]);
    cr_assert(until_readable(ends[0], 10 * 1000));
    close(ends[0]);
    return pid;
}

Test(proc, the_incarnation_is_found_wherever_it_stands, .timeout = 40)
{
    static const size_t fillers[] = {8, 4060, 4076, 4080, 4095, 4096};
    for (size_t i = 0; i < sizeof environments / sizeof environments[0]; i++) {
        for (size_t j = 0; j < sizeof fillers / sizeof fillers[0]; j++) {
            char filler[5000] = "F=";
            memset(filler + 2, 'f', fillers[j]);
            filler[fillers[j]] = '\0';
            const pid_t pid = exec_sleeper(&environments[i], filler);
            uint64_t incarnation = 0;
            enum proc_result result;
            while ((result = proc_incarnation_get(pid, &incarnation)) == PROC_LATER) {
                /* The shell has just said that it becomes sleep: this ends with its exec. */
            }
            cr_expect_eq(result, environments[i].incarnation ? PROC_FOUND : PROC_NONE,
                         "row %zu, %zu", i, fillers[j]);
            cr_expect_eq(incarnation, environments[i].incarnation, "row %zu, %zu", i, fillers[j]);
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
    }
    uint64_t incarnation = 0;
    cr_expect_eq(proc_incarnation_get(0x7fffffff, &incarnation), PROC_NONE);
}
