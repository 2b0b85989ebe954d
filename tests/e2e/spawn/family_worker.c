/* A worker that has a family, for tests of what the spawner does with processes.
 *
 * Its methods: `pid`; `offspring`, which leaves so many daemons behind, every second of them deaf
 * to SIGTERM; `end`, which exits with that code. Daemons end by themselves after a minute. */
#include <prong/worker.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIFE_S = 60 };

static prong_err
tell_pid(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    (void)context;
    prong_writer_int(prong_job_result(job), getpid());
    return PRONG_OK;
}

/* A process that has left the session, the group and the parent. It closes nothing: what it has
 * inherited stays open, as with most that forget to. */
static void
leave_daemon(bool is_deaf)
{
    const pid_t child = fork();
    if (child != 0) {
        (void)waitpid(child, NULL, 0); /* without a child there is nothing to wait for */
        return;
    }
    (void)setsid(); /* cannot fail in a process that was just forked */
    if (fork() != 0) {
        _exit(0);
    }
    (void)signal(SIGTERM, is_deaf ? SIG_IGN : SIG_DFL);
    alarm(LIFE_S);
    for (;;) {
        pause();
    }
}

static prong_err
leave_offspring(prong_job *job, const prong_value *args, void *context)
{
    prong_value value;
    int64_t count;
    (void)context;
    if (!prong_value_at(args, 0, &value) || !prong_value_int(&value, &count)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "offspring needs a number");
    }
    for (int64_t i = 0; i < count; i++) {
        leave_daemon(i % 2 == 0);
    }
    prong_writer_int(prong_job_result(job), count);
    return PRONG_OK;
}

static prong_err
end(prong_job *job, const prong_value *args, void *context)
{
    prong_value value;
    int64_t code;
    (void)context;
    if (!prong_value_at(args, 0, &value) || !prong_value_int(&value, &code)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "end needs an exit code");
    }
    _exit((int)code);
}

static const prong_method methods[] = {
    {"pid", tell_pid, PRONG_IDEMPOTENT, "the number of this process", NULL},
    {"offspring", leave_offspring, PRONG_ONCE, "leave so many daemons behind", NULL},
    {"end", end, PRONG_ONCE, "exit with this code", NULL},
};

int
main(void)
{
    (void)puts("up"); /* the hub has a log file of each that says something */
    (void)fflush(stdout);
    prong_worker *worker = prong_worker_new(methods, sizeof methods / sizeof methods[0]);
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}
