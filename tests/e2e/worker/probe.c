/* The worker of these tests: one method for each thing that is to be seen from outside.
 *
 * Usage: probe plain|full. "full" has a loop, a handler, a watch and a timer as well. What shall be
 * seen without the hub is told by files in the working directory: `go` lets `hold` end, `began` is
 * as long as how often it began, `torn` says that teardown ran. */
#include <prong/worker.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/e2e/worker/probe_memory.h"
#include "tests/support/procs.h"

struct state {
    int pipe[2];
    int ticks;
    atomic_int sum; /* of the loop */
    bool is_set_up;
    struct probe_memory memory;
};

static void
add_byte(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1) {
        perror(path);
    }
    close(fd);
}

static bool
is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static prong_err
echo(prong_job *job, const prong_value *args, void *context)
{
    (void)context;
    prong_writer_raw(prong_job_result(job), args);
    return PRONG_OK;
}

static prong_err
nothing(prong_job *job, const prong_value *args, void *context)
{
    (void)job;
    (void)args;
    (void)context;
    return PRONG_OK;
}

static prong_err
fails(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    (void)context;
    prong_writer_map(prong_job_details(job), 1);
    prong_writer_key(prong_job_details(job), "k");
    prong_writer_int(prong_job_details(job), 5);
    return prong_job_fail(job, PRONG_NOT_FOUND, "no such camera");
}

static prong_err
fails_mute(prong_job *job, const prong_value *args, void *context)
{
    (void)job;
    (void)args;
    (void)context;
    return PRONG_UNAVAILABLE;
}

static prong_err
half(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    (void)context;
    prong_writer_array(prong_job_result(job), 2); /* and nothing in it */
    return PRONG_OK;
}

/* Wait for the file `go`, with progress; looks at the hub meanwhile when args is [true]. */
static prong_err
hold(prong_job *job, const prong_value *args, void *context)
{
    prong_value first;
    bool looks = true;
    (void)context;
    if (prong_value_at(args, 0, &first)) {
        (void)prong_value_bool(&first, &looks);
    }
    add_byte("began");
    prong_job_progress(job, 0.5, "half");
    while (!is_there("go")) {
        (void)poll(NULL, 0, 2);
        if (looks && prong_job_is_cancelled(job)) {
            add_byte("cancelled");
            return PRONG_CANCELLED;
        }
    }
    prong_writer_string(prong_job_result(job), "held");
    return PRONG_OK;
}

static prong_err
about(prong_job *job, const prong_value *args, void *context)
{
    const struct state *s = context;
    prong_writer *w = prong_job_result(job);
    char comm[32];
    (void)args;
    procs_comm(getpid(), comm);
    prong_writer_map(w, 8);
    prong_writer_key(w, "threads");
    prong_writer_int(w, procs_thread_count(getpid()));
    prong_writer_key(w, "comm");
    prong_writer_string(w, comm);
    prong_writer_key(w, "name");
    prong_writer_string(w, prong_worker_name(prong_job_worker(job)));
    prong_writer_key(w, "method");
    prong_writer_string(w, prong_job_method(job));
    prong_writer_key(w, "caller");
    prong_writer_string(w, prong_job_caller(job));
    prong_writer_key(w, "remaining");
    prong_writer_int(w, prong_job_remaining_ms(job));
    prong_writer_key(w, "ticks");
    prong_writer_int(w, s->ticks);
    prong_writer_key(w, "is_set_up");
    prong_writer_bool(w, s->is_set_up);
    return PRONG_OK;
}

/* A call inside a call, and an event. */
static prong_err
nest(prong_job *job, const prong_value *args, void *context)
{
    prong_reply *reply = NULL;
    prong_client *client = prong_worker_client(prong_job_worker(job));
    (void)context;
    if (client == NULL) {
        return prong_job_fail(job, PRONG_UNAVAILABLE, "no client");
    }
    prong_err err = prong_call(client, "hub", "status", NULL, prong_job_remaining_ms(job), &reply);
    if (err != PRONG_OK) {
        err = prong_job_fail(job, err, prong_reply_message(reply));
    } else {
        err = prong_worker_emit(prong_job_worker(job), "probe.nested", args);
    }
    prong_reply_free(reply);
    return err;
}

/* [count, bytes]: so many items, [number, bytes], and how many there were as the result. */
static prong_err
counts(prong_job *job, const prong_value *args, void *context)
{
    static const char bytes[65536];
    prong_value v;
    uint64_t count = 0, len = 0, i = 0;
    prong_err err = PRONG_OK;
    (void)context;
    if (!prong_value_at(args, 0, &v) || !prong_value_uint(&v, &count) ||
        !prong_value_at(args, 1, &v) || !prong_value_uint(&v, &len) || len > sizeof bytes) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "[count, bytes]");
    }
    for (; i < count && err == PRONG_OK; i++) {
        prong_writer_array(prong_job_item(job), 2);
        prong_writer_uint(prong_job_item(job), i);
        prong_writer_bin(prong_job_item(job), bytes, len);
        if (i == count / 2) {
            prong_job_progress(job, 0.5, "half");
        }
        err = prong_job_yield(job, NULL);
    }
    if (err != PRONG_OK) {
        add_byte("ended");
    }
    prong_writer_uint(prong_job_result(job), i);
    return err;
}

/* [worker, method]: calls that one within this call. */
static prong_err
relays(prong_job *job, const prong_value *args, void *context)
{
    prong_value v;
    prong_reply *reply = NULL;
    char *worker = prong_value_at(args, 0, &v) ? prong_value_string(&v) : NULL;
    char *method = prong_value_at(args, 1, &v) ? prong_value_string(&v) : NULL;
    (void)context;
    prong_err err = prong_job_call(job, worker, method, NULL, 0, &reply);
    if (err == PRONG_OK) {
        prong_writer_raw(prong_job_result(job), prong_reply_value(reply));
    } else {
        err = prong_job_fail(job, err, prong_reply_message(reply));
    }
    prong_reply_free(reply);
    prong_free(worker);
    prong_free(method);
    return err;
}

static prong_err
poke(prong_job *job, const prong_value *args, void *context)
{
    const struct state *s = context;
    (void)args;
    return write(s->pipe[1], "p", 1) == 1 ? PRONG_OK
                                          : prong_job_fail(job, PRONG_INTERNAL, "cannot write");
}

/* Children are as if there was no handler of SIGTERM. 1 when it killed the child. */
static prong_err
forks(prong_job *job, const prong_value *args, void *context)
{
    int status = 0;
    const pid_t child = fork();
    (void)args;
    (void)context;
    if (child == 0) {
        (void)raise(SIGTERM);
        _exit(7);
    }
    const bool ended = until_exit(child, &status, 5000);
    prong_writer_bool(prong_job_result(job), ended && (status & 0x7f) == SIGTERM &&
                                                 !prong_worker_is_stopping(prong_job_worker(job)));
    return PRONG_OK;
}

static prong_err
stop(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    (void)context;
    prong_worker_stop(prong_job_worker(job), 0);
    return PRONG_OK;
}

/* ---- beside the calls ------------------------------------------------------------------------ */

static void
say(prong_worker *worker, const char *topic, const prong_value *payload)
{
    char why[300];
    if (prong_worker_emit(worker, topic, payload) != PRONG_OK) {
        prong_worker_error_text(worker, why, sizeof why);
        fprintf(stderr, "%s: %s\n", topic, why);
    }
}

static void
heard(prong_worker *worker, const prong_event *event, void *context)
{
    (void)context;
    say(worker, "probe.heard", &event->payload);
}

static void
watched(prong_worker *worker, int fd, short revents, void *context)
{
    char byte;
    (void)context;
    if ((revents & POLLIN) != 0 && read(fd, &byte, 1) == 1) {
        say(worker, "probe.watched", NULL);
    }
}

static void
tick(prong_worker *worker, void *context)
{
    (void)worker;
    ((struct state *)context)->ticks++;
}

static void
loop(prong_worker *worker, void *context)
{
    struct state *s = context;
    while (!prong_worker_pause(worker, 10)) {
        atomic_fetch_add(&s->sum, 1);
        say(worker, "probe.loop", NULL);
    }
    add_byte("looped");
}

static prong_err
set_up(prong_worker *worker, void *context)
{
    struct state *s = context;
    (void)worker;
    s->is_set_up = true;
    return pipe2(s->pipe, O_CLOEXEC) == 0 ? PRONG_OK : PRONG_INTERNAL;
}

/* The pipe is known only now, so it is watched from here. */
static prong_err
set_up_full(prong_worker *worker, void *context)
{
    const prong_err err = set_up(worker, context);
    return err != PRONG_OK ? err
                           : prong_worker_watch(worker, ((struct state *)context)->pipe[0], POLLIN,
                                                watched, context);
}

static void
tear_down(prong_worker *worker, void *context)
{
    struct state *s = context;
    (void)worker;
    close(s->pipe[0]);
    close(s->pipe[1]);
    probe_memory_free(&s->memory);
    add_byte("torn");
}

int
main(int argc, char **argv)
{
    struct state state = {.pipe = {-1, -1}};
    const bool full = argc > 1 && strcmp(argv[1], "full") == 0;
    const prong_method methods[] = {
        {"echo", echo, PRONG_IDEMPOTENT, "gives the arguments back", NULL},
        {.name = "nothing", .function = nothing},
        {.name = "fails", .function = fails},
        {.name = "fails_mute", .function = fails_mute},
        {.name = "half", .function = half},
        {.name = "hold", .function = hold},
        {.name = "about", .function = about, .context = &state},
        {.name = "nest", .function = nest},
        {.name = "poke", .function = poke, .context = &state},
        {.name = "forks", .function = forks},
        {.name = "stop", .function = stop},
        {.name = "counts", .function = counts},
        {.name = "relays", .function = relays},
        {.name = "frame", .function = probe_frame, .context = &state.memory},
        {.name = "frame_item", .function = probe_frame_item, .context = &state.memory},
        {.name = "buffer", .function = probe_buffer, .context = &state.memory},
    };
    prong_worker *worker = prong_worker_new(methods, sizeof methods / sizeof methods[0]);
    (void)prong_worker_setup(worker, full ? set_up_full : set_up, tear_down, &state);
    if (full) {
        /* What is wrong with these is told by prong_worker_run. */
        (void)prong_worker_on(worker, "test.>", heard, NULL);
        (void)prong_worker_every(worker, 10, tick, &state);
        (void)prong_worker_loop(worker, loop, &state);
    }
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}
