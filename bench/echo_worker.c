/* A worker that gives back what it got: `echo` returns its first argument. */
#include <prong/worker.h>

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

static const prong_method methods[] = {
    {"echo", echo, PRONG_IDEMPOTENT, "give back the first argument", NULL},
};

int
main(void)
{
    prong_worker *worker = prong_worker_new(methods, sizeof methods / sizeof methods[0]);
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}
