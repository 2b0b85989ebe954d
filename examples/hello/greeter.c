#include <prong/worker.h>
#include <stdio.h>

static prong_err
greet(prong_job *job, const prong_value *args, void *context)
{
    prong_value v;
    char text[100], *name = prong_value_find(args, "name", &v) ? prong_value_string(&v) : NULL;
    (void)context;
    if (name == NULL)
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "greet needs a name, a text");
    snprintf(text, sizeof text, "hello, %s, from %s", name,
             prong_worker_name(prong_job_worker(job)));
    prong_writer_string(prong_job_result(job), text);
    prong_free(name);
    return PRONG_OK;
}

int
main(void)
{
    const prong_method methods[] = {{"greet", greet, PRONG_IDEMPOTENT, "greets {name}", NULL}};
    prong_worker *worker = prong_worker_new(methods, 1);
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}
