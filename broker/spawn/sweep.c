/* Kills and reaps whatever is below the process that calls it; knows neither workers nor brokers.
 * Runs in keeper and spawner, each at its own end. */
#include "broker/spawn/sweep.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>

#include "broker/spawn/clock.h"
#include "broker/spawn/proc.h"

/* A child may hide from one reading of the list, so it is read again after this time at the latest.
 */
enum { READ_AGAIN_MS = 2 };

static void
kill_one(void *context, pid_t child)
{
    int *seen = context;
    ++*seen;
    kill(child, SIGKILL); /* fails for another user's: they are counted as survivors in the end */
}

/* Reap what is dead; false if there are no children at all. */
static bool
reap(int *reaped)
{
    for (;;) {
        const pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid > 0) {
            ++*reaped;
        } else if (pid == 0) {
            return true;
        } else if (errno != EINTR) {
            return false;
        }
    }
}

struct sweep_result
sweep_children(int64_t deadline_ns)
{
    struct sweep_result result = {0};
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    for (;;) {
        int seen = 0;
        proc_children_each(kill_one, &seen); /* without /proc waiting for PDEATHSIG is all we can */
        const int reaped_before = result.reaped;
        if (!reap(&result.reaped)) {
            return result;
        }
        if (clock_now_ns() >= deadline_ns) {
            result.survivors = seen;
            return result;
        }
        if (result.reaped == reaped_before) {
            const struct timespec wait = {.tv_nsec = READ_AGAIN_MS * NS_PER_MS};
            sigtimedwait(&child_signal, NULL, &wait); /* woken or timed out: look again */
        }
    }
}
