/* Criterion talks through libnanomsg, whose symbols libnng exports as well: see
 * cmake/ProngTest.cmake. A test may fork, use nng, and end nng, without the framework losing its
 * own connection. */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

/* nng keeps an epoll instance for the process, until nng_fini. */
static void
end(void)
{
    nng_fini();
    dir_leave();
}

static bool
sockets_are(void *arg)
{
    return procs_fd_count(getpid(), "socket:") == *(const int *)arg;
}

Test(beside_nng, a_child_forks_before_nng_starts, .init = dir_enter, .fini = end)
{
    nng_socket rep;
    int sockets = procs_fd_count(getpid(), "socket:");
    const pid_t parent = getpid();
    const pid_t child = fork();

    if (child == 0) {
        procs_die_with(parent);
        _exit(7);
    }
    int status = 0;
    cr_assert(until_exit(child, &status, 5000));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    cr_assert_eq(nng_rep0_open(&rep), 0);
    cr_assert_eq(nng_listen(rep, "ipc://hub.sock", NULL, 0), 0);
    cr_assert_eq(nng_close(rep), 0);
    /* nng closes later, in a thread that nng_fini ends whether it is done or not. There is no
     * connection in this test, because nng 1.5.2 sometimes never closes the descriptors of one
     * whose sockets were closed right after dialling. */
    cr_assert(until(5000, sockets_are, &sockets));
}

Test(beside_nng, what_nng_keeps_open_can_be_accepted, .fini = dir_leave)
{
    nng_socket rep;

    cr_assert_eq(nng_rep0_open(&rep), 0);
    cr_assert_eq(nng_close(rep), 0);
    test_accept_open_fds();
}
