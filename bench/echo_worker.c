/* A worker that gives back what it got: `echo` returns its first argument, `work` does so after
 * that many microseconds. */
#include <prong/worker.h>

#include <time.h>

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

static const prong_method methods[] = {
    {"echo", echo, PRONG_IDEMPOTENT, "give back the first argument", NULL},
    {"work", work, PRONG_IDEMPOTENT, "give back the first argument after so many microseconds",
     NULL},
};

int
main(void)
{
    prong_worker *worker = prong_worker_new(methods, sizeof methods / sizeof methods[0]);
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}
