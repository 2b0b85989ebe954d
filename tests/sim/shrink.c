/* A smaller world that goes wrong: fewer classes of faults, fewer clients, less chaos. Whatever
 * goes wrong in it counts, not only what did at first. Each try is a process of its own, so that an
 * assertion that fails is an answer, too. */
#include "tests/sim/sim.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIES_MAX = 400, TRY_SECONDS = 20, SEEDS_MAX = 3 };

/* How long its chaos lasted until it went wrong, -1 when it did not. */
static int64_t
fails_after_ms(const struct sim_options *world)
{
    int pipe_fds[2], status;
    int64_t chaos_ms = INT64_MAX; /* when it ended by an assertion */
    if (pipe(pipe_fds) != 0) {
        return -1;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
        (void)alarm(TRY_SECONDS); /* one that hangs is no smaller one */
        const struct sim_result result = sim_run(world);
        if (!result.good) {
            (void)!write(pipe_fds[1], &result.chaos_ms, sizeof result.chaos_ms);
        }
        _exit(result.good ? 0 : 1);
    }
    (void)close(pipe_fds[1]);
    (void)!read(pipe_fds[0], &chaos_ms, sizeof chaos_ms); /* nothing: as it is */
    (void)close(pipe_fds[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status == 0 ||
        (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)) {
        return -1;
    }
    return chaos_ms;
}

static bool
accept(struct sim_options *best, const struct sim_options *other, int *tries)
{
    struct sim_options o = *other;
    for (int i = 0; i<SEEDS_MAX && * tries> 0; i++, (*tries)--) {
        /* With less in it everything happens otherwise, so a neighbour may be the one. */
        o.seed = other->seed + (uint64_t)i * 1000003;
        const int64_t ms = fails_after_ms(&o);
        if (ms >= 0) {
            *best = o;
            if (ms < best->chaos_ms) {
                best->chaos_ms = ms + 1;
            }
            return true;
        }
    }
    return false;
}

static bool
smaller_once(struct sim_options *best, int *tries)
{
    bool found = false;
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++) {
        struct sim_options other = *best;
        other.without |= UINT64_C(1) << i;
        found |= other.without != best->without && accept(best, &other, tries);
    }
    for (struct sim_options other = *best; other.stocks > 0; other = *best) {
        other.stocks--;
        if (!accept(best, &other, tries)) {
            break;
        }
        found = true;
    }
    for (struct sim_options other = *best; other.clients > 1; other = *best) {
        other.clients--;
        if (!accept(best, &other, tries)) {
            break;
        }
        found = true;
    }
    for (struct sim_options other = *best; other.chaos_ms > 1; other = *best) {
        other.chaos_ms /= 2;
        if (!accept(best, &other, tries)) {
            break;
        }
        found = true;
    }
    return found;
}

static void
print(const struct sim_options *world)
{
    printf("smallest: sim --first %llu --seeds 1 --clients %u --stocks %u --chaos-ms %lld",
           (unsigned long long)world->seed, (unsigned)world->clients, (unsigned)world->stocks,
           (long long)world->chaos_ms);
    const char *before = " --only ";
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++) {
        if ((world->without >> i & 1) == 0) {
            printf("%s%s", before, sim_fault_name((enum sim_fault)i));
            before = ",";
        }
    }
    printf("%s\n", before[0] == ',' ? "" : " --only ,");
    fflush(stdout);
}

void
shrink(const struct sim_options *options)
{
    struct sim_options best = *options;
    int tries = TRIES_MAX;
    best.trace = false;
    const int64_t ms = fails_after_ms(&best);
    if (ms < 0) {
        printf("by itself this world goes well\n");
        return;
    }
    best.chaos_ms = ms < best.chaos_ms ? ms + 1 : best.chaos_ms;
    while (tries > 0 && smaller_once(&best, &tries)) {
    }
    print(&best);
    fputs("with a trace:\n", stderr);
    best.trace = true;
    (void)sim_run(&best);
}
