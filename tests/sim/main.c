/* Runs simulated worlds, one for each seed.
 *
 *   sim [--first SEED] [--seeds N] [--seconds S] [--trace] [--no-checks]
 *
 * Ends with 1 at the first world in which something is wrong, after it was run again with a trace;
 * `sim --first SEED --seeds 1 --trace` shows it once more. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static double
now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock is always there */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char *argv[])
{
    uint64_t first = 1, seeds = UINT64_MAX, steps = 0, done = 0;
    double seconds = 1e9;
    bool trace = false, checks = true;
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (strcmp(argv[i], "--first") == 0 && more) {
            first = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seeds") == 0 && more) {
            seeds = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seconds") == 0 && more) {
            seconds = strtod(argv[++i], NULL);
        } else if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
        } else if (strcmp(argv[i], "--no-checks") == 0) {
            checks = false;
        } else {
            fputs("usage: sim [--first SEED] [--seeds N] [--seconds S] [--trace] [--no-checks]\n",
                  stderr);
            return 2;
        }
    }
    const double begin_s = now_s();
    for (; done < seeds && now_s() - begin_s < seconds; done++) {
        const uint64_t taken = sim_run(first + done, trace, checks);
        if (taken == 0) {
            printf("WRONG with seed %llu, after %llu good ones\n",
                   (unsigned long long)(first + done), (unsigned long long)done);
            if (!trace) {
                fputs("the same again, with a trace:\n", stderr);
                (void)sim_run(first + done, true, checks);
            }
            return 1;
        }
        steps += taken;
    }
    const double took_s = now_s() - begin_s;
    printf("%llu worlds, %llu steps of the core in %.1f s: %.0f a second; nothing wrong\n",
           (unsigned long long)done, (unsigned long long)steps, took_s, (double)steps / took_s);
    return 0;
}
