/* Samples of real processes: this one, one that ended, one that never was. */
#include "broker/shell/usage.h"
#include "tests/support/test.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t
own_cpu_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

Test(usage, of_this_process_is_what_it_knows_itself)
{
    struct hub_usage u = {.pid = getpid()};
    while (own_cpu_ms() < 60) {
    }
    const int64_t before_ms = own_cpu_ms();
    usage_sample(&u);
    const int64_t after_ms = own_cpu_ms();
    cr_assert(u.known && u.threads >= 1, "%u threads", u.threads);
    /* The kernel's ticks have ten milliseconds, user and system one each. */
    cr_assert(u.cpu_ms >= before_ms - 40 && u.cpu_ms <= after_ms + 40, "%d ms, not %d to %d",
              (int)u.cpu_ms, (int)before_ms, (int)after_ms);
    cr_assert(u.rss_bytes > 100000, "%llu bytes", (unsigned long long)u.rss_bytes);
}

Test(usage, memory_that_is_touched_is_seen)
{
    enum { BYTES = 32 << 20 };
    struct hub_usage before = {.pid = getpid()}, after = {.pid = getpid()};
    usage_sample(&before);
    char *memory = malloc(BYTES);
    cr_assert(memory != NULL, "no memory");
    memset(memory, 1, BYTES);
    usage_sample(&after);
    cr_assert(memory[BYTES / 2] == 1 && after.rss_bytes >= before.rss_bytes + BYTES / 4 * 3,
              "%llu, then %llu bytes", (unsigned long long)before.rss_bytes,
              (unsigned long long)after.rss_bytes);
    free(memory);
}

/* The name of a process is its own choice, and stands in front of the numbers. */
Test(usage, a_name_with_brackets_and_blanks_confuses_nobody)
{
    struct hub_usage u = {.pid = getpid()};
    (void)prctl(PR_SET_NAME, ") R 1 2) 3 (");
    usage_sample(&u);
    cr_assert(u.known && u.rss_bytes > 100000 && u.threads >= 1, "%llu bytes",
              (unsigned long long)u.rss_bytes);
}

Test(usage, of_a_process_that_is_gone_is_not_known)
{
    const pid_t child = fork();
    cr_assert(child >= 0, "no process");
    if (child == 0) {
        _exit(0);
    }
    siginfo_t info;
    cr_assert(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0, "it ends");
    struct hub_usage u = {.pid = child, .known = true};
    usage_sample(&u);
    cr_assert(!u.known, "a zombie uses nothing");
    cr_assert(waitpid(child, NULL, 0) == child, "it is reaped");
    u.known = true;
    usage_sample(&u);
    cr_assert(!u.known, "nobody is there");
}
