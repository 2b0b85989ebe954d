/* Tests that must fail, each in one way, and two that must pass: plain_check runs them one by one
 * and sees that the framework says so. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/procs.h"
#include "tests/support/test.h"

Test(good, passes)
{
    cr_assert_eq(1, 1);
}

Test(good, an_orphan_that_dies_at_once)
{
    const pid_t child = fork();
    if (child == 0) {
        /* The grandchild outlives its parent by a moment and belongs to the runner then. */
        if (fork() == 0) {
            poll(NULL, 0, 20);
        }
        _exit(0);
    }
    cr_assert(until_exit(child, NULL, 5000));
}

Test(good, takes_what_a_library_keeps_open)
{
    cr_assert(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
    test_accept_open_fds();
}

Test(skipped, stops_where_it_is)
{
    test_skip("no camera");
    cr_assert_fail("went on");
}

Test(skipped, is_disabled, .disabled = true)
{
    cr_assert_fail("ran");
}

Test(bad, fails_an_assertion)
{
    cr_assert_eq(1, 2, "one is not %d", 2);
}

Test(bad, fails_an_expectation)
{
    cr_expect_str_eq("abc", "abd");
}

Test(bad, bytes_differ)
{
    cr_expect_arr_neq("abc", "abc", 3, "neq says it too");
    cr_assert_arr_eq("abc", "abd", 3);
}

static void
fail_late(void)
{
    cr_assert(false, "in fini");
}

Test(bad, fails_in_fini, .fini = fail_late)
{
    cr_assert(true);
}

static void *
fail_aside(void *arg)
{
    (void)arg;
    cr_assert(false, "in a thread");
    return NULL;
}

Test(bad, fails_in_a_thread)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, fail_aside, NULL), 0);
    pthread_join(thread, NULL);
}

Test(bad, fails_in_a_child)
{
    const pid_t child = fork();
    if (child == 0) {
        cr_assert(false, "in a child");
    }
    cr_assert(until_exit(child, NULL, 5000));
}

Test(bad, exits_early)
{
    exit(0);
}

Test(bad, crashes)
{
    raise(SIGSEGV);
}

Test(bad, wrong_signal, .signal = SIGTERM)
{
    raise(SIGUSR1);
}

Test(bad, no_signal, .signal = SIGTERM)
{
    cr_assert(true);
}

Test(bad, wrong_exit_code, .exit_code = 3)
{
    exit(4);
}

Test(bad, times_out, .timeout = 0.2)
{
    pause();
}

Test(bad, leaks_a_descriptor)
{
    cr_assert(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
}

Test(bad, leaks_a_memfd)
{
    cr_assert(memfd_create("left", MFD_CLOEXEC) >= 0);
}

Test(bad, leaves_a_dead_child)
{
    const pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
}

Test(bad, leaves_a_child)
{
    if (fork() == 0) {
        pause();
        _exit(0);
    }
}

Test(bad, leaves_a_daemon)
{
    const pid_t child = fork();
    if (child == 0) {
        if (setsid() > 0 && fork() == 0) {
            pause();
        }
        _exit(0);
    }
    cr_assert(until_exit(child, NULL, 5000));
}
