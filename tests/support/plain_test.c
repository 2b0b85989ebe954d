/* The project's own test framework: one fork per test. A test passes when all of this holds:
 * it came to its end (exit(0) in the middle does not count), no assertion failed, it ended as
 * declared
 * (.signal, .exit_code) within its deadline, it left no descriptor open that was not open before,
 * it has no child that it did not wait for, and no process it started is alive. A run without a
 * test fails. Usage: PROGRAM [--timeout=SECONDS] [--list] [PATTERN of suite/name]. Single thread.
 *
 * sigtimedwait and not a pidfd, because valgrind 3.19 knows none. */
#include <errno.h>
#include <dirent.h>
#include <fnmatch.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/plain_test.h"

/* gcc tells by __SANITIZE_*, clang by __has_feature. */
#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { PLAIN_SLOWER = 5 };
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { PLAIN_SLOWER = 3 };
#else
enum { PLAIN_SLOWER = 1 };
#endif

enum {
    PLAIN_FDS_MAX = 1024,
    PLAIN_TIMEOUT_S = 30 * PLAIN_SLOWER,
    /* How long an orphan may take to die, for one whose SIGKILL (PDEATHSIG) is on its way. */
    PLAIN_ORPHAN_GRACE_MS = 300 * PLAIN_SLOWER,
    /* How long a library's own thread may take to close what the test has given back (nng). */
    PLAIN_FDS_GRACE_MS = 200 * PLAIN_SLOWER,
    PLAIN_SKIP_CODE = 77,
};

/* Written by the test's process, read by the runner after it is gone. */
struct plain_shared {
    bool finished;
    bool failed;
    bool skipped;
};

static struct plain_test *plain_first;
static struct plain_test **plain_last = &plain_first;
static struct plain_shared *plain_shared;
static bool plain_fds_before[PLAIN_FDS_MAX];
static sigset_t plain_signals;
static pid_t plain_pid;
static jmp_buf plain_back;

void
plain_register(struct plain_test *test)
{
    *plain_last = test;
    plain_last = &test->next;
}

void
plain_fail(const char *file, int line, const char *what, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    plain_shared->failed = true;
    fprintf(stderr, "%s:%d: failed: %s: %s\n", file, line, what, text);
    fflush(stderr);
}

void
plain_abort(void)
{
    /* In a thread of the test there is no way back to the framework's stack, and in a forked child
     * it would run the rest of the parent's life a second time. */
    if (gettid() != plain_pid) {
        _exit(1);
    }
    longjmp(plain_back, 1);
}

void
plain_skip(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    plain_shared->skipped = true;
    plain_abort();
}

bool
plain_is_null(const void *pointer)
{
    return pointer == NULL;
}

bool
plain_str(const char *file, int line, const char *what, const char *a, const char *op,
          const char *b)
{
    const bool same = a != NULL && b != NULL ? strcmp(a, b) == 0 : a == b;
    const bool ok = same == (op[0] == '=');

    if (!ok) {
        fprintf(stderr, "%s:%d: %s:\n  \"%s\"\n  \"%s\"\n", file, line, what,
                a != NULL ? a : "(null)", b != NULL ? b : "(null)");
    }
    return ok;
}

bool
plain_arr(const char *file, int line, const char *what, const void *a, const void *b,
          size_t size_bytes)
{
    const unsigned char *x = a;
    const unsigned char *y = b;

    for (size_t at = 0; at < size_bytes; at++) {
        if (x[at] != y[at]) {
            fprintf(stderr, "%s:%d: %s differ at byte %zu: 0x%02x and 0x%02x\n", file, line, what,
                    at, (unsigned)x[at], (unsigned)y[at]);
            return false;
        }
    }
    return true;
}

static int64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Which descriptors are open, as a table by number; without the one that the reading itself needs.
 */
static void
fds_read(bool open[PLAIN_FDS_MAX])
{
    memset(open, 0, PLAIN_FDS_MAX * sizeof(open[0]));
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        perror("/proc/self/fd");
        _exit(2);
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        const long fd = strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] != '.' && fd >= 0 && fd < PLAIN_FDS_MAX && fd != dirfd(dir)) {
            open[fd] = true;
        }
    }
    closedir(dir);
}

void
plain_fds_accept(void)
{
    fds_read(plain_fds_before);
}

static bool
fds_are_more(const bool after[PLAIN_FDS_MAX], const bool before[PLAIN_FDS_MAX])
{
    for (int fd = 0; fd < PLAIN_FDS_MAX; fd++) {
        if (after[fd] && !before[fd]) {
            return true;
        }
    }
    return false;
}

static void
fds_compare(const struct plain_test *test, const bool before[PLAIN_FDS_MAX])
{
    bool after[PLAIN_FDS_MAX];
    const int64_t deadline_ms = now_ms() + PLAIN_FDS_GRACE_MS;

    fds_read(after);
    while (fds_are_more(after, before) && now_ms() < deadline_ms) {
        poll(NULL, 0, 10);
        fds_read(after);
    }
    for (int fd = 0; fd < PLAIN_FDS_MAX; fd++) {
        if (!after[fd] || before[fd]) {
            continue;
        }
        char path[64];
        char target[256] = "?";
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        const ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n >= 0) {
            target[n] = '\0';
        }
        plain_fail(test->file, test->line, "leaked descriptor", "%d: %s", fd, target);
    }
}

/* A child of the test itself, alive or not yet waited for, is a leak. */
static void
children_check(const struct plain_test *test)
{
    siginfo_t info = {0};

    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD) {
        return;
    }
    if (info.si_pid != 0) {
        plain_fail(test->file, test->line, "child not waited for", "pid %d has ended",
                   (int)info.si_pid);
    } else {
        plain_fail(test->file, test->line, "child not waited for", "it is still alive");
    }
}

static void
child_step(void (*step)(void))
{
    if (step != NULL && setjmp(plain_back) == 0) {
        step();
    }
}

/* nng keeps an epoll instance, an eventfd and its threads until the process ends; where a test is
 * linked with nng they are given back here, so that what remains open is the test's. */
__attribute__((weak)) void nng_fini(void);

/* The life of the test's own process. */
static _Noreturn void
child_run(const struct plain_test *test)
{
    plain_pid = getpid();
    /* A runner that is killed (by ctest, at its own deadline) takes the test with it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    sigprocmask(SIG_UNBLOCK, &plain_signals, NULL);
    fds_read(plain_fds_before);
    child_step(test->options.init);
    if (!plain_shared->failed && !plain_shared->skipped) {
        child_step(test->run);
    }
    child_step(test->options.fini);
    if (nng_fini != NULL) {
        nng_fini();
    }
    fds_compare(test, plain_fds_before);
    children_check(test);
    plain_shared->finished = true;
    exit(plain_shared->failed ? 1 : 0);
}

/* Waits for the end of `pid` until `deadline_ms`; false when it is not gone by then. */
static bool
wait_until(pid_t pid, int *status, int64_t deadline_ms)
{
    for (;;) {
        if (waitpid(pid, status, WNOHANG) == pid) {
            return true;
        }
        const int64_t left_ms = deadline_ms - now_ms();
        if (left_ms <= 0) {
            return false;
        }
        /* Another child's SIGCHLD may have swallowed ours, so never wait long. */
        const int64_t turn_ms = left_ms < 200 ? left_ms : 200;
        const struct timespec turn = {.tv_nsec = turn_ms * 1000000};
        sigtimedwait(&plain_signals, NULL, &turn);
    }
}

/* Whoever the test left behind became our child, because we are a subreaper. Those that die by
 * themselves at once are no leak; the others are named, killed and counted. */
static int
orphans_end(void)
{
    const int64_t deadline_ms = now_ms() + PLAIN_ORPHAN_GRACE_MS;
    int count = 0;

    for (;;) {
        const pid_t gone = waitpid(-1, NULL, WNOHANG);
        if (gone < 0) {
            return count;
        }
        if (gone == 0 && now_ms() >= deadline_ms) {
            break;
        }
        if (gone == 0) {
            sigtimedwait(&plain_signals, NULL, &(struct timespec){.tv_nsec = 20000000});
        }
    }
    for (;;) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
        FILE *file = fopen(path, "re");
        long pid = 0;
        /* Children of the killed ones come to us in turn: read again until there is none. */
        while (file != NULL && fscanf(file, "%ld", &pid) == 1) {
            printf("# left behind: process %ld\n", pid);
            kill((pid_t)pid, SIGKILL);
            waitpid((pid_t)pid, NULL, 0);
            count++;
        }
        if (file != NULL) {
            fclose(file);
        }
        if (pid == 0) {
            return count;
        }
    }
}

/* "" when the test ended as it should, else what was wrong, in `text`. */
static void
verdict(const struct plain_test *test, bool in_time, int status, int left, char *text, size_t size)
{
    const struct plain_options *o = &test->options;
    const bool by_signal = WIFSIGNALED(status);

    text[0] = '\0';
    if (!in_time) {
        snprintf(text, size, "timed out");
    } else if (o->signal != 0 && !(by_signal && WTERMSIG(status) == o->signal)) {
        snprintf(text, size, "expected signal %d", o->signal);
    } else if (o->signal == 0 && by_signal) {
        snprintf(text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (o->signal == 0 && WEXITSTATUS(status) != o->exit_code) {
        snprintf(text, size, "exit %d, expected %d", WEXITSTATUS(status), o->exit_code);
    } else if (plain_shared->failed) {
        snprintf(text, size, "an assertion failed");
    } else if (o->signal == 0 && o->exit_code == 0 && !plain_shared->finished) {
        snprintf(text, size, "called exit(0) before its end");
    }
    const size_t used = strlen(text);
    if (left > 0) {
        snprintf(text + used, size - used, "%sleft %d process%s", used > 0 ? ", " : "", left,
                 left > 1 ? "es" : "");
    }
}

enum outcome { OUTCOME_PASSED, OUTCOME_FAILED, OUTCOME_SKIPPED };

static enum outcome
test_run(const struct plain_test *test, double timeout_s)
{
    char wrong[256];
    int status = 0;

    fflush(NULL);
    *plain_shared = (struct plain_shared){0};
    const int64_t start_ms = now_ms();
    const pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    if (pid == 0) {
        child_run(test);
    }
    /* The program's own limit comes from cmake, which knows about sanitizers already. */
    const double limit_s =
        test->options.timeout > 0 ? test->options.timeout * PLAIN_SLOWER : timeout_s;
    const bool in_time = wait_until(pid, &status, start_ms + (int64_t)(limit_s * 1000));
    if (!in_time) {
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    verdict(test, in_time, status, orphans_end(), wrong, sizeof(wrong));
    const bool skipped = wrong[0] == '\0' && plain_shared->skipped;
    printf("%s %s/%s%s%s%s (%.2f s)\n", wrong[0] != '\0' ? "not ok" : "ok", test->suite, test->name,
           wrong[0] != '\0' ? " - " : "", wrong, skipped ? " # SKIP" : "",
           (double)(now_ms() - start_ms) / 1000);
    fflush(stdout);
    if (wrong[0] != '\0') {
        return OUTCOME_FAILED;
    }
    return skipped ? OUTCOME_SKIPPED : OUTCOME_PASSED;
}

static void
runner_init(void)
{
    plain_shared = mmap(NULL, sizeof(*plain_shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plain_shared == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        perror("plain_test");
        exit(2);
    }
    sigemptyset(&plain_signals);
    sigaddset(&plain_signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &plain_signals, NULL);
}

int
main(int argc, char **argv)
{
    int counts[3] = {0};
    double timeout_s = PLAIN_TIMEOUT_S;
    const char *pattern = NULL;
    bool list = false;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--timeout=", 10) == 0) {
            timeout_s = strtod(argv[i] + 10, NULL);
        } else if (strcmp(argv[i], "--list") == 0) {
            list = true;
        } else {
            pattern = argv[i];
        }
    }
    runner_init();
    for (const struct plain_test *t = plain_first; t != NULL; t = t->next) {
        char full[256];
        snprintf(full, sizeof(full), "%s/%s", t->suite, t->name);
        if (pattern != NULL && fnmatch(pattern, full, 0) != 0) {
            continue;
        }
        if (list) {
            puts(full);
        } else if (t->options.disabled) {
            printf("ok %s # SKIP\nSKIP: %s is disabled\n", full, full);
            counts[OUTCOME_SKIPPED]++;
        } else {
            counts[test_run(t, timeout_s)]++;
        }
    }
    if (list) {
        return 0;
    }
    const int total = counts[OUTCOME_PASSED] + counts[OUTCOME_FAILED] + counts[OUTCOME_SKIPPED];
    printf("1..%d\n%d passed, %d failed, %d skipped\n", total, counts[OUTCOME_PASSED],
           counts[OUTCOME_FAILED], counts[OUTCOME_SKIPPED]);
    if (total == 0) {
        puts("not ok - zero tests ran");
    }
    if (counts[OUTCOME_FAILED] > 0 || total == 0) {
        return 1;
    }
    return counts[OUTCOME_SKIPPED] == total ? PLAIN_SKIP_CODE : 0;
}
