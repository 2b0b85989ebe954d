/* SIGABRT, which the hub sends to a worker that hangs before it kills it, writes where the worker
 * is to stderr, which is its log; then it means what it always means. See prong/worker.h. */
#include "client/worker/worker.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#if __has_include(<execinfo.h>)
#include <execinfo.h>

enum { FRAMES_MAX = 64 };

/* Only what a handler may do: backtrace() was called before, so it loads nothing here, and the text
 * goes out without memory of its own (backtrace(3)). */
static void
on_sigabrt(int signal_number)
{
    static const char heading[] = "aborted; the stack of this thread, newest first:\n";
    void *frames[FRAMES_MAX];
    const int count = backtrace(frames, FRAMES_MAX);
    const ssize_t written = write(STDERR_FILENO, heading, strlen(heading));
    (void)written; /* whoever cannot be told is told nothing */
    backtrace_symbols_fd(frames, count, STDERR_FILENO);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

void
abort_take(void)
{
    struct sigaction old, now = {.sa_handler = on_sigabrt};
    void *frame[1];
    (void)backtrace(frame, 1); /* it loads a library the first time */
    if (sigaction(SIGABRT, NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
        (void)sigaction(SIGABRT, &now, NULL); /* without it the signal just ends the process */
    }
}
#else
void
abort_take(void)
{
}
#endif
