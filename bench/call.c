/* The cost of a call through a hub, beside a bare relay of sockets and libnng's REQ/REP without any
 * hub.
 *
 * Each way of calling lives in a process of its own (case), started once; then rounds, in each of
 * which every way does every job for a fraction of a second, so that what else the machine does
 * hits all ways alike. What is printed are medians over the rounds; ratios are medians of each
 * round's ratio, and those are what may be compared between machines and days. */
#include "bench/bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS_MAX = 101, PIDS_MAX = 8, CASES_MAX = 6, JOBS_MAX = 4, CPU_MAX = 1023 };

struct options {
    int rounds, cpu; /* cpu: -1: nothing is pinned */
    double seconds;
    bool json, pinned_only;
    const char *only, *broker;
    uint64_t calls;
    uint32_t bytes, in_flight; /* 0: all */
};

struct outcome {
    double p50_us, p99_us, calls_s, cpu_us, middle_us;
};

static const struct way *const ways[] = {&way_relay, &way_nng, &way_hub};
enum { WAYS = sizeof ways / sizeof ways[0], RELAY = 0, NNG = 1, HUB = 2 };

/* A way on one CPU or on any. */
struct bench_case {
    const struct way *way;
    bool pinned;
    pid_t pid;
    int fd; /* jobs out, outcomes in */
};

struct bench {
    struct options options;
    struct bench_case cases[CASES_MAX];
    size_t case_count;
    struct job jobs[JOBS_MAX];
    size_t job_count;
    struct outcome outcomes[CASES_MAX][JOBS_MAX][ROUNDS_MAX];
};

/* ---- in the process of a case --------------------------------------------------------------- */

static struct outcome
measure(const struct way *way, const struct job *job, struct run *run)
{
    pid_t pids[PIDS_MAX];
    uint64_t before_ns[PIDS_MAX], all_ns = 0, middle_ns = 0;
    const size_t count = way->pids(pids, PIDS_MAX);
    const struct job warm = {job->bytes, job->in_flight, job->seconds / 5, job->calls / 5};
    way->run(&warm, NULL);
    samples_reset(&run->samples);
    for (size_t i = 0; i < count; i++) {
        before_ns[i] = bench_cpu_ns(pids[i]);
    }
    const uint64_t own_ns = bench_cpu_ns(getpid()), begin_ns = bench_now_ns();
    way->run(job, run);
    const double seconds = (double)(bench_now_ns() - begin_ns) / 1e9;
    all_ns = bench_cpu_ns(getpid()) - own_ns;
    for (size_t i = 0; i < count; i++) {
        const uint64_t used_ns = bench_cpu_ns(pids[i]) - before_ns[i];
        all_ns += used_ns;
        middle_ns += i == 0 ? used_ns : 0;
    }
    const double calls = run->samples.count > 0 ? (double)run->samples.count : 1;
    return (struct outcome){.p50_us = samples_us(&run->samples, 0.5),
                            .p99_us = samples_us(&run->samples, 0.99),
                            .calls_s = calls / seconds,
                            .cpu_us = (double)all_ns / 1000 / calls,
                            .middle_us = (double)middle_ns / 1000 / calls};
}

static _Noreturn void
serve_case(const struct bench_case *c, const struct options *o)
{
    struct job job;
    struct run run = {0};
    bench_pin(c->pinned ? o->cpu : -1);
    c->way->open(o->broker);
    while (read(c->fd, &job, sizeof job) == sizeof job) {
        const struct outcome outcome = measure(c->way, &job, &run);
        if (write(c->fd, &outcome, sizeof outcome) != sizeof outcome) {
            break;
        }
    }
    c->way->close();
    samples_deinit(&run.samples);
    exit(0);
}

/* ---- in the parent -------------------------------------------------------------------------- */

static void
start_case(struct bench *b, const struct way *way, bool pinned)
{
    struct bench_case *c = &b->cases[b->case_count++];
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        bench_die("socketpair", errno);
    }
    *c = (struct bench_case){.way = way, .pinned = pinned, .fd = pair[1]};
    c->pid = bench_fork();
    if (c->pid == 0) {
        for (size_t i = 0; i + 1 < b->case_count; i++) {
            close(b->cases[i].fd); /* a case ends when the parent's end is closed everywhere */
        }
        close(pair[0]);
        serve_case(c, &b->options);
    }
    close(pair[1]);
    c->fd = pair[0];
}

static void
start_cases(struct bench *b)
{
    const struct options *o = &b->options;
    for (int pinned = 1; pinned >= 0; pinned--) {
        for (size_t i = 0; i < WAYS && (pinned ? o->cpu >= 0 : o->cpu < 0 || !o->pinned_only);
             i++) {
            if (o->only == NULL || strcmp(o->only, ways[i]->name) == 0) {
                start_case(b, ways[i], pinned != 0);
            }
        }
    }
}

static void
end_cases(struct bench *b)
{
    for (size_t i = 0; i < b->case_count; i++) {
        close(b->cases[i].fd);
        (void)waitpid(b->cases[i].pid, NULL, 0); /* nothing is left to be told */
    }
}

static void
run_rounds(struct bench *b)
{
    for (int round = 0; round < b->options.rounds; round++) {
        for (size_t j = 0; j < b->job_count; j++) {
            for (size_t i = 0; i < b->case_count; i++) {
                /* Every other round backwards: nobody always comes after the same neighbour. */
                const size_t k = round % 2 == 0 ? i : b->case_count - 1 - i;
                struct outcome *out = &b->outcomes[k][j][round];
                const struct bench_case *c = &b->cases[k];
                if (write(c->fd, &b->jobs[j], sizeof b->jobs[j]) != sizeof b->jobs[j] ||
                    read(c->fd, out, sizeof *out) != sizeof *out) {
                    bench_die("a case ended early", 0);
                }
            }
        }
    }
}

/* ---- results -------------------------------------------------------------------------------- */

static double
field(const struct outcome *o, size_t offset)
{
    double value;
    memcpy(&value, (const char *)o + offset, sizeof value);
    return value;
}

#define MEDIAN(b, c, j, name) median((b), (c), (c), (j), offsetof(struct outcome, name))

/* Of one figure over the rounds; of its ratio to another case's when there are two. */
static double
median(const struct bench *b, size_t of, size_t to, size_t job, size_t offset)
{
    double values[ROUNDS_MAX];
    for (int i = 0; i < b->options.rounds; i++) {
        const double base = of == to ? 1 : field(&b->outcomes[to][job][i], offset);
        values[i] = base > 0 ? field(&b->outcomes[of][job][i], offset) / base : 0;
    }
    return bench_median(values, (size_t)b->options.rounds);
}

/* The hub's case of the same placing, when `i` is a baseline; b->case_count when there is none. */
static size_t
hub_of(const struct bench *b, size_t i)
{
    size_t k = 0;
    while (k < b->case_count &&
           (b->cases[k].way != &way_hub || b->cases[k].pinned != b->cases[i].pinned)) {
        k++;
    }
    return b->cases[i].way != &way_hub ? k : b->case_count;
}

static void
print_table(const struct bench *b)
{
    for (size_t j = 0; j < b->job_count; j++) {
        printf("\n%u bytes, %u in flight (medians of %d rounds of %.2f s)\n", b->jobs[j].bytes,
               b->jobs[j].in_flight, b->options.rounds, b->options.seconds);
        printf("  %-10s %9s %9s %10s %9s %10s   %s\n", "", "p50 us", "p99 us", "calls/s", "cpu us",
               "middle us", "hub / this: p50  calls/s  cpu");
        for (size_t i = 0; i < b->case_count; i++) {
            const size_t hub = hub_of(b, i);
            printf("  %-5s %-4s %9.1f %9.1f %10.0f %9.2f %10.2f", b->cases[i].way->name,
                   b->cases[i].pinned ? "pin" : "any", MEDIAN(b, i, j, p50_us),
                   MEDIAN(b, i, j, p99_us), MEDIAN(b, i, j, calls_s), MEDIAN(b, i, j, cpu_us),
                   MEDIAN(b, i, j, middle_us));
            if (hub < b->case_count) {
                printf("   %15.2f %8.2f %4.2f",
                       median(b, hub, i, j, offsetof(struct outcome, p50_us)),
                       median(b, hub, i, j, offsetof(struct outcome, calls_s)),
                       median(b, hub, i, j, offsetof(struct outcome, cpu_us)));
            }
            printf("\n");
        }
    }
    printf(
        "\ncpu us: of all processes, for one call; middle us: of the broker, the relay or the nng "
        "server\n");
}

static void
print_json(const struct bench *b)
{
    const char *comma = "";
    printf("{\"rounds\": %d, \"seconds\": %g, \"cells\": [", b->options.rounds, b->options.seconds);
    for (size_t j = 0; j < b->job_count; j++) {
        for (size_t i = 0; i < b->case_count; i++) {
            const size_t hub = hub_of(b, i);
            printf("%s\n  {\"way\": \"%s\", \"pin\": %s, \"bytes\": %u, \"in_flight\": %u, "
                   "\"p50_us\": %.3f, \"p99_us\": %.3f, \"calls_s\": %.1f, \"cpu_us\": %.3f, "
                   "\"middle_us\": %.3f",
                   comma, b->cases[i].way->name, b->cases[i].pinned ? "true" : "false",
                   b->jobs[j].bytes, b->jobs[j].in_flight, MEDIAN(b, i, j, p50_us),
                   MEDIAN(b, i, j, p99_us), MEDIAN(b, i, j, calls_s), MEDIAN(b, i, j, cpu_us),
                   MEDIAN(b, i, j, middle_us));
            if (hub < b->case_count) {
                printf(", \"hub_p50_ratio\": %.3f, \"hub_calls_ratio\": %.3f, "
                       "\"hub_cpu_ratio\": %.3f",
                       median(b, hub, i, j, offsetof(struct outcome, p50_us)),
                       median(b, hub, i, j, offsetof(struct outcome, calls_s)),
                       median(b, hub, i, j, offsetof(struct outcome, cpu_us)));
            }
            printf("}");
            comma = ",";
        }
    }
    printf("\n]}\n");
}

/* ---- options -------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: call [--rounds N] [--seconds S] [--pin[=CPU] | --any] [--short] [--json]\n"
    "            [--only hub|relay|nng] [--bytes N] [--in-flight N]\n"
    "            [--calls N] [--broker PROGRAM]\n"
    "  --rounds N        rounds, 1 to 101; default 5\n"
    "  --seconds S       of each measurement; default 0.3\n"
    "  --pin[=CPU]       everything on one CPU (0) only; --any: nothing pinned only; default both\n"
    "  --short           3 rounds of 0.1 s, pinned only: for a test\n"
    "  --only WAY        one way only; --bytes, --in-flight: one size only\n"
    "  --calls N         hub: so many calls instead of a time\n"
    "  --broker PROGRAM  in the place of prong-broker: a wrapper that measures\n";

/* A whole number from 0, and nothing else. */
static bool
read_number(const char *text, long max, int *out)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    *out = (int)value;
    return errno == 0 && end != text && *end == '\0' && value >= 0 && value <= max;
}

static bool
take_option(struct options *o, int c)
{
    switch (c) {
    case 'r':
        return read_number(optarg, ROUNDS_MAX, &o->rounds) && o->rounds > 0;
    case 's':
        o->seconds = strtod(optarg, NULL);
        return o->seconds > 0;
    case 'p':
        o->pinned_only = true;
        return optarg == NULL || read_number(optarg, CPU_MAX, &o->cpu);
    case 'a':
        o->cpu = -1;
        return true;
    case 'S':
        o->rounds = 3;
        o->seconds = 0.1;
        o->pinned_only = true;
        return true;
    case 'j':
        o->json = true;
        return true;
    case 'o':
        o->only = optarg;
        return true;
    case 'b':
        o->bytes = (uint32_t)strtoul(optarg, NULL, 10);
        return o->bytes > 0 && o->bytes <= 1 << 20;
    case 'f':
        o->in_flight = (uint32_t)strtoul(optarg, NULL, 10);
        return o->in_flight > 0 && o->in_flight <= 64;
    case 'n':
        o->calls = strtoull(optarg, NULL, 10);
        return o->calls > 0;
    case 'B':
        o->broker = optarg;
        return true;
    default:
        return false;
    }
}

static bool
read_options(struct options *o, int argc, char *argv[])
{
    static const struct option names[] = {
        {"rounds", required_argument, NULL, 'r'},    {"seconds", required_argument, NULL, 's'},
        {"pin", optional_argument, NULL, 'p'},       {"any", no_argument, NULL, 'a'},
        {"short", no_argument, NULL, 'S'},           {"json", no_argument, NULL, 'j'},
        {"only", required_argument, NULL, 'o'},      {"bytes", required_argument, NULL, 'b'},
        {"in-flight", required_argument, NULL, 'f'}, {"calls", required_argument, NULL, 'n'},
        {"broker", required_argument, NULL, 'B'},    {0}};
    *o = (struct options){.rounds = 5, .seconds = 0.3};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (!take_option(o, c)) {
            return false;
        }
    }
    return optind == argc;
}

static void
choose_jobs(struct bench *b)
{
    static const uint32_t bytes[] = {64, 65536}, in_flight[] = {1, 64};
    const struct options *o = &b->options;
    for (size_t i = 0; i < 4; i++) {
        const struct job job = {bytes[i / 2], in_flight[i % 2], o->seconds, o->calls};
        if ((o->bytes == 0 || o->bytes == job.bytes) &&
            (o->in_flight == 0 || o->in_flight == job.in_flight)) {
            b->jobs[b->job_count++] = job;
        }
    }
    if (b->job_count == 0) {
        b->jobs[b->job_count++] =
            (struct job){o->bytes > 0 ? o->bytes : 64, o->in_flight > 0 ? o->in_flight : 1,
                         o->seconds, o->calls};
    }
}

int
main(int argc, char *argv[])
{
    struct bench *b = calloc(1, sizeof *b);
    if (b == NULL || !read_options(&b->options, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    choose_jobs(b);
    start_cases(b);
    run_rounds(b);
    end_cases(b);
    (b->options.json ? print_json : print_table)(b);
    free(b);
    return 0;
}
