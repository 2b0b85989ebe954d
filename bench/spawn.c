/* How long a hub takes to start many workers, beside plain loops that start the same program.
 *
 *   spawn [--workers N] [--rounds N] [--check]
 *
 * In rounds that alternate N processes (500) are started: by a hub, as programs that are ready when
 * they run; by a hub, as workers that attach; by fork and exec, by vfork and exec, by posix_spawn.
 * Every process counts once its program runs, those that attach once they have attached. Printed
 * are the medians and their ratios to fork and exec. In the end 50 workers of half a second each to
 * stop are stopped together. --check starts few and ends with 1 unless all of them came and went,
 * and the hub took at most RATIO_MAX times as long as fork and exec. */
#include "bench/bench.h"

#include <prong/prong.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum {
    TIMEOUT_MS = 60000,
    GROUPS = 4, /* workers of the hub, because each may have 256 replicas at most */
    ROUNDS_MAX = 50,
    WORKERS_MAX = 1000,
    CROWD = 50,
};
static const double RATIO_MAX = 4.0; /* 1.0 to 1.1 when this was written */

/* Ways to start them, in the order in which they are printed. */
enum starter { WAY_FORK, WAY_VFORK, WAY_SPAWN, WAY_HUB, WAY_HUB_ATTACH, WAY_COUNT };
static const char *const way_names[WAY_COUNT] = {"fork and exec", "vfork and exec", "posix_spawn",
                                                 "hub, ready when started",
                                                 "hub, ready when attached"};

struct bench {
    struct bench_hub hub;
    prong_client *client;
    prong_subscription *events;
    long workers; /* in all, a multiple of GROUPS */
    double ms[WAY_COUNT][ROUNDS_MAX], stop_ms[ROUNDS_MAX];
};

static double
ms_since(uint64_t begin_ns)
{
    return (double)(bench_now_ns() - begin_ns) / 1e6;
}

/* ---- plain loops ---------------------------------------------------------------------------- */

static char *const program_argv[] = {(char[]){BENCH_ECHO_WORKER}, (char[]){"idle"}, NULL};

/* In a child of fork or vfork. */
static _Noreturn void
become_program(void)
{
    execve(program_argv[0], program_argv, environ);
    _exit(127);
}

/* One process; with fork its exec is over when `*done` ends. */
static pid_t
start_one(enum starter way, int *done)
{
    int ends[2];
    pid_t pid = -1;
    *done = -1;
    if (way == WAY_SPAWN) {
        errno = posix_spawn(&pid, program_argv[0], NULL, NULL, program_argv, environ);
    } else if (way == WAY_VFORK) {
        pid = vfork();
        if (pid == 0) {
            become_program();
        }
    } else if (pipe2(ends, O_CLOEXEC) == 0) {
        pid = fork();
        if (pid == 0) {
            become_program();
        }
        *done = ends[0];
        (void)close(ends[1]); /* its end; nothing was written */
    }
    if (pid <= 0) {
        bench_die(way_names[way], errno);
    }
    return pid;
}

static double
run_loop(enum starter way, long count)
{
    static pid_t pids[WORKERS_MAX];
    static int done[WORKERS_MAX];
    const uint64_t begin_ns = bench_now_ns();
    for (long i = 0; i < count; i++) {
        pids[i] = start_one(way, &done[i]);
    }
    for (long i = 0; i < count; i++) {
        char byte;
        if (done[i] >= 0) {
            (void)!read(done[i], &byte, 1); /* its end is all that comes */
            (void)close(done[i]);
        }
    }
    const double ms = ms_since(begin_ns);
    for (long i = 0; i < count; i++) {
        int status = 0;
        (void)kill(pids[i], SIGKILL); /* not reaped, so still ours */
        (void)waitpid(pids[i], &status, 0);
        if (!WIFSIGNALED(status)) {
            bench_die("a program did not wait for its end", 0);
        }
    }
    return ms;
}

/* ---- the hub -------------------------------------------------------------------------------- */

static void
ask(struct bench *b, const char *verb, const char *worker)
{
    prong_writer *w = prong_writer_new();
    prong_value args;
    prong_writer_map(w, 1);
    prong_writer_key(w, "worker");
    prong_writer_string(w, worker);
    if (prong_writer_finish(w, &args) != PRONG_OK ||
        prong_call(b->client, "hub", verb, &args, TIMEOUT_MS, NULL) != PRONG_OK) {
        bench_die_of(b->client);
    }
    prong_writer_free(w);
}

/* Wait for so many events of a topic; others are passed over. */
static void
await(struct bench *b, const char *topic, long count)
{
    while (count > 0) {
        const prong_event *event;
        if (prong_subscription_next(b->events, TIMEOUT_MS, &event) != PRONG_OK) {
            fprintf(stderr, "bench: %ld of %s are missing\n", count, topic);
            bench_die("not all workers came and went", 0);
        }
        count -= strcmp(event->topic, topic) == 0;
    }
}

/* Start them and stop them again; how long the start took. */
static double
run_hub(struct bench *b, const char *kind, double *stop_ms)
{
    char worker[GROUPS][16];
    uint64_t begin_ns = bench_now_ns();
    for (int i = 0; i < GROUPS; i++) {
        (void)snprintf(worker[i], sizeof worker[i], "%s%d", kind, i);
        ask(b, "start", worker[i]);
    }
    await(b, "hub.worker.ready", b->workers);
    const double ms = ms_since(begin_ns);
    begin_ns = bench_now_ns();
    for (int i = 0; i < GROUPS; i++) {
        ask(b, "stop", worker[i]);
    }
    await(b, "hub.worker.exited", b->workers);
    *stop_ms = ms_since(begin_ns);
    return ms;
}

static void
start_hub(struct bench *b)
{
    static const char *const filters[] = {"hub.worker.*"};
    static const struct {
        const char *name, *more;
    } kinds[] = {
        {"idle", ", idle], ready: started"}, {"echo", "]"}, {"slow", ", slow], ready: started"}};
    char config[8192] = "workers:\n";
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        const bool is_slow = strcmp(kinds[k].name, "slow") == 0;
        for (int i = 0; i < (is_slow ? 1 : GROUPS); i++) {
            const size_t used = strlen(config);
            (void)snprintf(config + used, sizeof config - used,
                           "  %s%d: {command: [\"%s\"%s, autostart: false, replicas: %ld}\n",
                           kinds[k].name, i, BENCH_ECHO_WORKER, kinds[k].more,
                           is_slow ? CROWD : b->workers / GROUPS);
        }
    }
    b->client = bench_hub_start_as(&b->hub, config);
    if (prong_subscribe(b->client, filters, 1, NULL, &b->events) != PRONG_OK) {
        bench_die_of(b->client);
    }
}

/* How long it takes to stop a crowd of which each takes half a second. */
static double
stop_crowd(struct bench *b)
{
    ask(b, "start", "slow0");
    await(b, "hub.worker.ready", CROWD);
    const uint64_t begin_ns = bench_now_ns();
    ask(b, "stop", "slow0");
    await(b, "hub.worker.exited", CROWD);
    return ms_since(begin_ns);
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* Returns the ratio of the hub to fork and exec. */
static double
print(struct bench *b, size_t rounds)
{
    double plain = 0, ratio = 0;
    for (int way = 0; way < WAY_COUNT; way++) {
        const double ms = bench_median(b->ms[way], rounds);
        plain = way == WAY_FORK ? ms : plain;
        ratio = way == WAY_HUB ? ms / plain : ratio;
        printf("  %-26s %8.1f ms, %6.3f ms each, %5.2f times fork and exec\n", way_names[way], ms,
               ms / (double)b->workers, ms / plain);
    }
    printf("  %-26s %8.1f ms\n", "hub, stop of those", bench_median(b->stop_ms, rounds));
    return ratio;
}

static int
usage(void)
{
    fprintf(stderr, "usage: spawn [--workers %d..%d] [--rounds 1..%d] [--check]\n", (int)GROUPS,
            (int)WORKERS_MAX, (int)ROUNDS_MAX);
    return 2;
}

int
main(int argc, char *argv[])
{
    static struct bench b = {.workers = 500};
    long rounds = 5;
    bool check = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            check = true;
            b.workers = 60;
            rounds = 3;
        } else if (strcmp(argv[i], "--workers") == 0 && i + 1 < argc) {
            b.workers = strtol(argv[++i], NULL, 10) / GROUPS * GROUPS;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            rounds = strtol(argv[++i], NULL, 10);
        } else {
            return usage();
        }
    }
    if (b.workers < GROUPS || b.workers > WORKERS_MAX || rounds < 1 || rounds > ROUNDS_MAX) {
        return usage();
    }
    struct rlimit files;
    (void)getrlimit(RLIMIT_NOFILE, &files); /* cannot fail with this resource */
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files); /* if it is too low the pipes tell */
    start_hub(&b);
    for (long round = 0; round < rounds; round++) {
        double stop_ms;
        for (int way = WAY_FORK; way <= WAY_SPAWN; way++) {
            b.ms[way][round] = run_loop((enum starter)way, b.workers);
        }
        b.ms[WAY_HUB][round] = run_hub(&b, "idle", &stop_ms);
        b.ms[WAY_HUB_ATTACH][round] = run_hub(&b, "echo", &b.stop_ms[round]);
    }
    printf("%ld processes started, medians of %ld rounds:\n", b.workers, rounds);
    const double ratio = print(&b, (size_t)rounds);
    printf("%d workers of half a second each to stop: %.0f ms together\n", (int)CROWD,
           stop_crowd(&b));
    prong_subscription_free(b.events);
    prong_client_free(b.client);
    bench_hub_stop(&b.hub);
    return check && ratio > RATIO_MAX;
}
