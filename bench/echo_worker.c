/* A worker that gives back what it got: `echo` returns its first argument, `work` does so after
 * that many microseconds.
 *
 *   echo_worker [idle|slow]   a program that speaks to no hub and waits for its end; `slow` takes
 *                             half a second to stop when it is asked to */
#include <prong/worker.h>

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static prong_err
echo(prong_job *job, const prong_value *args, void *context)
{
    prong_value value;
    (void)context;
    if (!prong_value_at(args, 0, &value)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "echo needs something to give back");
    }
    prong_writer_raw(prong_job_result(job), &value);
    return PRONG_OK;
}

static prong_err
work(prong_job *job, const prong_value *args, void *context)
{
    prong_value value;
    int64_t us;
    if (prong_value_at(args, 0, &value) && prong_value_int(&value, &us) && us > 0) {
        const struct timespec pause = {us / 1000000, us % 1000000 * 1000};
        (void)nanosleep(&pause, NULL); /* ended early by a signal it is a shorter one */
    }
    return echo(job, args, context);
}

static void
stop_slowly(int number)
{
    const struct timespec half = {.tv_nsec = 500 * 1000 * 1000};
    (void)number;
    (void)nanosleep(&half, NULL); /* nobody else signals it */
    _exit(0);
}

static const prong_method methods[] = {
    {"echo", echo, PRONG_IDEMPOTENT, "give back the first argument", NULL},
    {"work", work, PRONG_IDEMPOTENT, "give back the first argument after so many microseconds",
     NULL},
};

int
main(int argc, char *argv[])
{
    if (argc > 1) {
        (void)signal(SIGTERM, strcmp(argv[1], "slow") == 0 ? stop_slowly : SIG_DFL);
        (void)pause();
        return 0;
    }
    prong_worker *worker = prong_worker_new(methods, sizeof methods / sizeof methods[0]);
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}
