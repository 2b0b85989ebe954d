/* What Criterion 2.4.1 leaves out, in every test program that uses it: its --timeout does nothing
 * for a test without a .timeout of its own, and when the runner is killed, the processes of its
 * tests go on for ever. Each test runs in a process of its own, started anew from this program: in
 * it, an alarm names the test that hangs (signal 14), and the end of the runner ends the test. */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { GUARD_SECONDS = 30 };

__attribute__((constructor)) static void
guard_start(void)
{
    /* Set by Criterion's sandbox for the processes of tests, not for the runner. */
    if (getenv("BXFI_MAP") == NULL) {
        return;
    }
    const char *text = getenv("PRONG_TEST_SECONDS");
    const long seconds = text != NULL ? strtol(text, NULL, 10) : GUARD_SECONDS;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm((unsigned)(seconds > 0 ? seconds : GUARD_SECONDS));
}
