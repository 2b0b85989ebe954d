/* Runs simulated worlds, one for each seed, until one goes wrong: see usage. */
#include "tests/sim/sim.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: sim [--first SEED] [--seeds N] [--steps N] [--seconds S] [--jobs N] [--no-checks]\n"
    "           [--without FAULT,...] [--only FAULT,...] [--chaos-ms N] [--clients N] [--stocks "
    "N]\n"
    "           [--trace] [--hash] [--quick] [--kept FILE]\n"
    "\n"
    "One world for each seed from SEED on, until N worlds and N steps were run, or each job has "
    "had\n"
    "S seconds of a processor. Ends with 1 at the first that goes wrong: then a smaller one that "
    "goes wrong is "
    "looked\n"
    "for, and run once more with a trace (--quick: neither). --hash runs each world twice, and "
    "what\n"
    "happened in both has to be the same. --kept runs the worlds of a file of command lines.\n";

enum { KEPT_MAX = 1000, KEPT_CHARS = 400 };

/* Of all jobs together, in memory that they share. */
struct progress {
    uint64_t worlds, steps;
    uint64_t bad_seed; /* of the job's current world, until that was good */
};

struct plan {
    struct sim_options world;
    uint64_t seeds, steps;
    double seconds;
    unsigned jobs;
    bool quick;
    const char *kept;
};

static double
now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock is always there */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of its own processor time, so that a busy machine does not make a run a shorter one. */
static double
job_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* and so is this one */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
end_usage(void)
{
    fputs(usage, stderr);
    exit(2);
}

/* The bits of a list of names, "cut,hang". */
static uint64_t
read_faults(char *list)
{
    uint64_t bits = 0;
    char *rest = NULL;
    for (char *name = strtok_r(list, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        unsigned i = 0;
        while (i < SIM_FAULT_COUNT && strcmp(name, sim_fault_name((enum sim_fault)i)) != 0) {
            i++;
        }
        if (i == SIM_FAULT_COUNT) {
            fprintf(stderr, "sim: there is no fault '%s'\n", name);
            exit(2);
        }
        bits |= UINT64_C(1) << i;
    }
    return bits;
}

static bool
read_flag(const char *name, struct plan *p)
{
    const struct {
        const char *name;
        bool *flag, value;
    } flags[] = {{"--trace", &p->world.trace, true},
                 {"--no-checks", &p->world.checks, false},
                 {"--hash", &p->world.hash, true},
                 {"--quick", &p->quick, true}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].flag = flags[i].value;
            return true;
        }
    }
    return false;
}

static bool
read_value(const char *name, char *value, struct plan *p)
{
    const uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(name, "--first") == 0) {
        p->world.seed = number;
    } else if (strcmp(name, "--seeds") == 0) {
        p->seeds = number;
    } else if (strcmp(name, "--steps") == 0) {
        p->steps = number;
    } else if (strcmp(name, "--seconds") == 0) {
        p->seconds = strtod(value, NULL);
    } else if (strcmp(name, "--jobs") == 0) {
        p->jobs = number > 0 ? (unsigned)number : 1;
    } else if (strcmp(name, "--without") == 0) {
        p->world.without |= read_faults(value);
    } else if (strcmp(name, "--only") == 0) {
        p->world.without |= ~read_faults(value);
    } else if (strcmp(name, "--chaos-ms") == 0) {
        p->world.chaos_ms = (int64_t)number;
    } else if (strcmp(name, "--clients") == 0) {
        p->world.clients = number < CLIENTS ? (uint32_t)number : CLIENTS;
    } else if (strcmp(name, "--stocks") == 0) {
        p->world.stocks = number < STOCKS ? (uint32_t)number : STOCKS;
    } else if (strcmp(name, "--kept") == 0) {
        p->kept = value;
    } else {
        return false;
    }
    return true;
}

static struct plan
read_plan(int count, char *words[])
{
    struct plan p = {.world = {.seed = 1,
                               .chaos_ms = INT64_C(1000000000),
                               .clients = CLIENTS,
                               .stocks = STOCKS,
                               .checks = true},
                     .seconds = 1e9,
                     .jobs = 1};
    for (int i = 0; i < count; i++) {
        if (read_flag(words[i], &p)) {
            continue;
        }
        if (i + 1 == count || !read_value(words[i], words[i + 1], &p)) {
            end_usage();
        }
        i++;
    }
    if (p.seeds == 0 && p.steps == 0) {
        p.seeds = UINT64_MAX;
    }
    return p;
}

/* One world, or the same world twice. */
static struct sim_result
run(const struct sim_options *world)
{
    struct sim_result result = sim_run(world);
    if (world->hash && result.good) {
        const struct sim_result again = sim_run(world);
        result.steps += again.steps;
        if (!again.good || again.hash != result.hash) {
            fprintf(stderr,
                    "WRONG, seed %llu: it is not the same a second time: %016llx, %016llx\n",
                    (unsigned long long)world->seed, (unsigned long long)result.hash,
                    (unsigned long long)again.hash);
            result.good = false;
        }
    }
    return result;
}

/* Every jobs-th seed from `number` on, as long as more is wanted. */
static void
work(const struct plan *p, unsigned number, const struct progress *all, struct progress *mine)
{
    const double end_s = job_s() + p->seconds;
    struct sim_options world = p->world;
    for (world.seed += number; job_s() < end_s; world.seed += p->jobs) {
        uint64_t worlds = 0, steps = 0;
        for (unsigned i = 0; i < p->jobs; i++) {
            worlds += __atomic_load_n(&all[i].worlds, __ATOMIC_RELAXED);
            steps += __atomic_load_n(&all[i].steps, __ATOMIC_RELAXED);
        }
        if (worlds >= p->seeds && steps >= p->steps) {
            return;
        }
        mine->bad_seed = world.seed;
        const struct sim_result result = run(&world);
        if (!result.good) {
            _exit(1);
        }
        __atomic_fetch_add(&mine->worlds, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&mine->steps, result.steps, __ATOMIC_RELAXED);
    }
}

/* Each job is a process, so that an assertion that fails ends that and no more. False: `bad` went
 * wrong. */
static bool
run_jobs(const struct plan *p, struct progress *all, uint64_t *bad)
{
    int status;
    bool good = true;
    pid_t *pids = calloc(p->jobs, sizeof *pids);
    fflush(NULL); /* or each of them would say it, too */
    for (unsigned i = 0; pids != NULL && i < p->jobs; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            work(p, i, all, &all[i]);
            exit(0); /* not _exit: what counts coverage writes it down then */
        }
    }
    for (unsigned left = p->jobs; left > 0; left--) {
        const pid_t pid = wait(&status);
        unsigned i = 0;
        while (i < p->jobs && pids[i] != pid) {
            i++;
        }
        if (i == p->jobs || status != 0) {
            *bad = good && i < p->jobs ? all[i].bad_seed : *bad;
            good = false;
            for (unsigned k = 0; k < p->jobs; k++) {
                (void)kill(pids[k], SIGKILL); /* one that has ended already does not mind */
            }
        }
    }
    free(pids);
    return good;
}

/* Of all jobs that have ended. */
static double
cpu_s(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_CHILDREN, &used); /* these arguments cannot fail */
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static int
run_plan(struct plan *p)
{
    uint64_t bad = 0, worlds = 0, steps = 0;
    struct progress *all = mmap(NULL, p->jobs * sizeof *all, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        perror("sim");
        return 2;
    }
    const double begin_s = now_s(), begin_cpu_s = cpu_s();
    const bool good = run_jobs(p, all, &bad);
    const double took_s = now_s() - begin_s;
    for (unsigned i = 0; i < p->jobs; i++) {
        worlds += all[i].worlds;
        steps += all[i].steps;
    }
    (void)munmap(all, p->jobs * sizeof *all);
    if (!good) {
        printf("WRONG with seed %llu, after %llu good ones\n", (unsigned long long)bad,
               (unsigned long long)worlds);
        fflush(stdout);
        p->world.seed = bad;
        if (!p->quick) {
            shrink(&p->world);
        }
        return 1;
    }
    const double took_cpu_s = cpu_s() - begin_cpu_s;
    printf("%llu worlds, %llu steps of the core in %.1f s with %u jobs, %.0f a second of one "
           "processor%s; nothing wrong\n",
           (unsigned long long)worlds, (unsigned long long)steps, took_s, p->jobs,
           (double)steps / (took_cpu_s > 0 ? took_cpu_s : 1),
           p->world.hash ? ", each world twice" : "");
    return 0;
}

/* 0 when its world goes well, or when it has none. */
static int
run_line(char *line, int *count)
{
    char *words[32], *rest = NULL;
    int n = 0;
    for (char *w = strtok_r(line, " ", &rest); w != NULL && n < 32;
         w = strtok_r(NULL, " ", &rest)) {
        words[n++] = w;
    }
    if (n == 0) {
        return 0;
    }
    struct plan p = read_plan(n, words);
    p.seeds = p.seeds == UINT64_MAX ? 1 : p.seeds;
    ++*count;
    return run_plan(&p);
}

/* Each line is a command line; what follows a # is for people. The file is read before anything
 * runs: a child that ends would move what all read from. */
static int
run_kept(const char *path)
{
    char(*lines)[KEPT_CHARS] = calloc(KEPT_MAX, KEPT_CHARS);
    int bad = 0, count = 0, n = 0;
    FILE *f = fopen(path, "re");
    if (f == NULL || lines == NULL) {
        perror(path);
        exit(2);
    }
    while (n < KEPT_MAX && fgets(lines[n], KEPT_CHARS, f) != NULL) {
        lines[n][strcspn(lines[n], "#\n")] = '\0';
        n++;
    }
    const bool all = feof(f) != 0;
    fclose(f);
    for (int i = 0; i < n; i++) {
        bad += run_line(lines[i], &count) != 0;
    }
    free(lines);
    printf("%d kept worlds, %d of them wrong%s\n", count, bad, all ? "" : "; the file is too long");
    return bad > 0 || !all;
}

int
main(int argc, char *argv[])
{
    struct plan p = read_plan(argc - 1, argv + 1);
    return p.kept != NULL ? run_kept(p.kept) : run_plan(&p);
}
