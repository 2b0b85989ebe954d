/* Small things of the benchmarks: see bench.h. */
#include "bench/bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES_MAX = 4000000, SAMPLES_FIRST = 65536 };

_Noreturn void
bench_die(const char *what, int code)
{
    fprintf(stderr, "bench: %s%s%s\n", what, code != 0 ? ": " : "",
            code != 0 ? strerror(code) : "");
    exit(1);
}

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec t = {0};
    if (clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t
bench_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t
bench_cpu_ns(pid_t pid)
{
    clockid_t clock;
    return clock_getcpuclockid(pid, &clock) == 0 ? clock_ns(clock) : 0;
}

void
bench_pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0) {
        return;
    }
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        bench_die("cannot stay on one CPU", errno);
    }
}

pid_t
bench_fork(void)
{
    const pid_t parent = getpid();
    fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0) {
        bench_die("fork", errno);
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* cannot fail with a valid signal */
        if (getppid() != parent) {
            _exit(1);
        }
    }
    return pid;
}

void
bench_proc_line(pid_t pid, const char *file, char *line, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "re");
    if (f == NULL || fgets(line, (int)size, f) == NULL) {
        line[0] = '\0';
    }
    if (f != NULL) {
        fclose(f);
    }
    line[strcspn(line, "\n")] = '\0';
}

size_t
bench_children(pid_t pid, pid_t *children, size_t max)
{
    char file[40], line[4096];
    size_t n = 0;
    (void)snprintf(file, sizeof file, "task/%d/children", (int)pid);
    bench_proc_line(pid, file, line, sizeof line);
    for (char *at = line, *end; n < max; at = end) {
        const long child = strtol(at, &end, 10);
        if (end == at) {
            break;
        }
        children[n++] = (pid_t)child;
    }
    return n;
}

static int
compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double
bench_median(double *values, size_t count)
{
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* ---- samples -------------------------------------------------------------------------------- */

void
samples_reset(struct samples *s)
{
    s->count = 0;
}

void
samples_add(struct samples *s, uint64_t ns)
{
    if (s->count == s->room && s->room < SAMPLES_MAX) {
        const size_t room = s->room > 0 ? 2 * s->room : SAMPLES_FIRST;
        uint64_t *more = realloc(s->ns, room * sizeof *more);
        if (more == NULL) {
            bench_die("out of memory", 0);
        }
        s->ns = more;
        s->room = room;
    }
    if (s->count < s->room) {
        s->ns[s->count++] = ns;
    }
}

static int
compare_times(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double
samples_us(struct samples *s, double part)
{
    if (s->count == 0) {
        return 0;
    }
    qsort(s->ns, s->count, sizeof *s->ns, compare_times);
    return (double)s->ns[(size_t)(part * (double)(s->count - 1) + 0.5)] / 1000;
}

void
samples_deinit(struct samples *s)
{
    free(s->ns);
    *s = (struct samples){0};
}
