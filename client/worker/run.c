/* The life of a worker: start, connection, the one wait, end. See prong/worker.h.
 *
 * A call costs one poll, one read and one write: REPORT of the last and POLL for the next leave
 * together, and the answer is read when poll says that it is there. Calls that came together cost
 * that together. */
#include "client/worker/worker.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "proto/name.h"
#include "proto/write.h"

enum {
    CONNECT_MS = 1000,
    LOOK_CONNECT_MS = 100, /* while a method runs */
    LOOK_MS = 1,    /* between calls that came together what else there is may wait so long */
    STOP_MS = 2000, /* how long the end waits for the hub */
    EVENTS_AT_ONCE = 64,
    EXIT_USAGE = 64,
    EXIT_SYSTEM = 71,
    EXIT_AGAIN = 75,
    EXIT_DENIED = 77,
    EXIT_CONFIG = 78,
};

/* The one worker of this process that ends at SIGTERM: a handler can know nothing else. */
static _Atomic(prong_worker *) terminated;
/* The process whose worker was told to end, by SIGTERM or by the hub. The next SIGTERM may come
 * when there is no worker any more, and would turn an end in order into a death. */
static _Atomic pid_t told;

static void
on_sigterm(int signal_number)
{
    prong_worker *w = terminated;
    if (w != NULL && w->pid == getpid()) {
        told = w->pid;
        prong_worker_stop(w, 0);
    } else if (told != getpid()) {
        /* A child that a method forked: SIGTERM means what it always meant. */
        (void)signal(signal_number, SIG_DFL);
        (void)raise(signal_number);
    }
}

static void
sigterm_take(prong_worker *w)
{
    struct sigaction old, now = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART};
    prong_worker *none = NULL;
    if (sigaction(SIGTERM, NULL, &old) == 0 &&
        (old.sa_handler == SIG_DFL || old.sa_handler == on_sigterm) &&
        atomic_compare_exchange_strong(&terminated, &none, w)) {
        told = 0;
        w->handles_sigterm = sigaction(SIGTERM, &now, NULL) == 0;
    }
}

void
run_leave_sigterm(prong_worker *w)
{
    if (w->handles_sigterm) {
        if (told != w->pid) {
            (void)signal(SIGTERM, SIG_DFL);
        }
        atomic_store(&terminated, NULL);
        w->handles_sigterm = false;
    }
}

void
run_abandon(prong_worker *w, int exit_code)
{
    prong_worker_stop(w, exit_code);
    w->over = true;
}

/* ---- the connection -------------------------------------------------------------------------- */

static int64_t
jitter_ns(prong_worker *w)
{
    w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (10 + (int64_t)((w->random >> 33) % 41)) * NS_PER_MS;
}

/* No hub now: try again soon, or give up. */
static void
is_lost(prong_worker *w, const char *why)
{
    const int64_t now_ns = client_now();
    link_client_free(w->link);
    w->link = NULL;
    pull_lost(w->pull);
    w->lost_ns = w->lost_ns != 0 ? w->lost_ns : now_ns;
    w->retry_ns = now_ns + jitter_ns(w);
    worker_say(w, false, "%s", why);
    if (w->retry_ns - w->lost_ns > w->budget_ms * NS_PER_MS && !prong_worker_is_stopping(w)) {
        worker_say(w, true, "the hub is gone since %d ms: %s", w->budget_ms, why);
        run_abandon(w, EXIT_AGAIN);
    }
}

static void
look_for_hub(prong_worker *w, int timeout_ms)
{
    const struct link_client_options options = {.message_bytes_max = WIRE_MESSAGE_BYTES_HARD};
    struct link_error error;
    if (w->link != NULL || w->over || client_now() < w->retry_ns) {
        return;
    }
    if (link_client_open(w->url, &options, timeout_ms, &w->link, &error) == 0) {
        pull_connected(w->pull, client_now());
    } else {
        w->link = NULL;
        is_lost(w, error.text);
    }
}

void
run_send(prong_worker *w, int64_t now_ns)
{
    struct link_error error = {0};
    struct pieces body;
    uint32_t id;
    int failed = 0;
    while (w->link != NULL && failed == 0 && pull_send(w->pull, now_ns, &id, &body)) {
        failed = link_client_send(w->link, id, &body, &error);
    }
    /* Not is_lost when the flush fails: the answers that came before are still to be read. */
    if (w->link != NULL && failed == 0 && link_client_wants_write(w->link)) {
        (void)link_client_flush(w->link, NULL);
    } else if (failed != 0) {
        is_lost(w, error.text);
    }
}

/* The hub refused what a worker needs, for good or for now. */
static void
is_refused(prong_worker *w, unsigned code, const char *text)
{
    if (w->attached || code == PRONG_FAILED_PRECONDITION || code == PRONG_UNAVAILABLE ||
        code == PRONG_RESOURCE_EXHAUSTED || code == PRONG_DEADLINE_EXCEEDED) {
        is_lost(w, text);
    } else {
        worker_say(w, true, "the hub refused this worker: %s", text);
        run_abandon(w, EXIT_DENIED);
    }
}

static void
receive(prong_worker *w)
{
    struct link_error error;
    struct span body;
    uint32_t id;
    int got = 0;
    while (w->link != NULL && (got = link_client_recv(w->link, &id, &body, &error)) == 1) {
        const bool whole = body.len >= CUT_BYTES && link_client_take(w->link, &w->memory);
        pull_answer(w->pull, client_now(), id, body, whole ? &w->memory : NULL);
    }
    if (got < 0) {
        is_lost(w, error.text);
    }
}

/* After all was read that came. */
static void
judge(prong_worker *w)
{
    const char *text;
    const unsigned code = pull_refusal(w->pull, &text);
    if (w->link == NULL) {
        return;
    }
    if (code != 0) {
        is_refused(w, code, text);
    } else if (pull_is_dead(w->pull, client_now())) {
        is_lost(w, "the hub does not answer, or not in the protocol");
    } else if (pull_is_attached(w->pull)) {
        w->attached = true;
        w->lost_ns = 0;
    }
    if (pull_is_asked_to_stop(w->pull)) {
        told = w->handles_sigterm ? w->pid : told;
        prong_worker_stop(w, 0);
    }
}

void
run_look(prong_worker *w)
{
    look_for_hub(w, LOOK_CONNECT_MS);
    run_send(w, client_now());
    receive(w);
    judge(w);
    run_send(w, client_now());
}

void
run_wait(prong_worker *w, int64_t until_ns)
{
    run_look(w);
    struct pollfd fd = {.fd = w->link != NULL ? link_client_fd(w->link) : -1, .events = POLLIN};
    fd.events |= w->link != NULL && link_client_wants_write(w->link) ? POLLOUT : 0;
    const int64_t link_ns = w->link != NULL ? pull_deadline_ns(w->pull) : w->retry_ns;
    const int64_t left_ns = (link_ns < until_ns ? link_ns : until_ns) - client_now();
    const struct timespec left = {.tv_sec = left_ns > 0 ? left_ns / (1000 * NS_PER_MS) : 0,
                                  .tv_nsec = left_ns > 0 ? left_ns % (1000 * NS_PER_MS) : 0};
    (void)ppoll(&fd, 1, &left, NULL); /* a signal ends it: the caller looks, and waits again */
    run_look(w);
}

/* ---- start ----------------------------------------------------------------------------------- */

/* As Python's workers tell them, without types. */
static void
write_arguments(struct buf *b, const char *names)
{
    struct span rest = span_text(names), name;
    uint32_t count = 0;
    while (worker_argument_next(&rest, &name)) {
        count++;
    }
    write_text(b, "args");
    write_map(b, count);
    for (rest = span_text(names); worker_argument_next(&rest, &name);) {
        write_str(b, name);
        write_str(b, name);
    }
}

static void
write_methods(const prong_worker *w, struct buf *b)
{
    static const char *const policies[] = {"once", "idempotent", "shared"};
    write_map(b, w->method_count);
    for (uint32_t i = 0; i < w->method_count; i++) {
        const struct method *m = &w->methods[i];
        write_text(b, m->name);
        write_map(b, 1U + (m->help != NULL) + (m->arguments != NULL));
        write_text(b, "policy");
        write_text(b, policies[m->policy]);
        if (m->help != NULL) {
            write_text(b, "help");
            write_text(b, m->help);
        }
        if (m->arguments != NULL) {
            write_arguments(b, m->arguments);
        }
    }
}

static bool
make_pull(prong_worker *w, const char *worker, const char *token)
{
    struct buf methods = {0};
    write_methods(w, &methods);
    /* Without randomness the clock will do: nobody must guess these, two workers only differ. */
    if (getrandom(&w->random, sizeof w->random, GRND_NONBLOCK) != sizeof w->random) {
        w->random = (uint64_t)client_now() ^ (uint64_t)w->pid << 32;
    }
    w->pull = methods.failed ? NULL
                             : pull_new(&(struct pull_options){.worker = span_text(worker),
                                                               .token = span_text(token),
                                                               .methods = buf_span(&methods),
                                                               .pid = (uint64_t)w->pid,
                                                               .sp_first = (uint32_t)w->random,
                                                               .let_go = job_let_go});
    buf_deinit(&methods);
    return w->pull != NULL;
}

/* "detector/0", the worker's part cut so that the replica's number is seen. */
static void
set_name(prong_worker *w, const char *worker, const char *replica)
{
    char comm[16];
    (void)snprintf(w->name, sizeof w->name, "%s/%s", worker, replica);
    (void)snprintf(comm, sizeof comm, "%.*s/%s", (int)(sizeof comm - 2 - strnlen(replica, 4)),
                   worker, replica);
    (void)prctl(PR_SET_NAME, comm); /* for people; nothing depends on it */
}

/* 0, or an exit code. */
static int
start(prong_worker *w)
{
    const char *url = getenv("PRONG_URL"), *token = getenv("PRONG_TOKEN");
    const char *worker = getenv("PRONG_WORKER"), *replica = getenv("PRONG_REPLICA");
    if (w->problem[0] != '\0') {
        worker_say(w, true, "the worker is set up wrongly: %s", w->problem);
        return EXIT_CONFIG;
    }
    if (url == NULL || token == NULL || worker == NULL || !name_is_worker(span_text(worker))) {
        worker_say(w, true, "this program is a worker: start it with `prong run -- ...`");
        return EXIT_USAGE;
    }
    w->pid = getpid();
    w->url = strdup(url);
    w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->url == NULL || w->stop_fd < 0 || !make_pull(w, worker, token)) {
        worker_say(w, true, "out of memory or descriptors");
        return EXIT_SYSTEM;
    }
    set_name(w, worker, replica != NULL ? replica : "0");
    sigterm_take(w);
    abort_take();
    if (!worker_set_up(w)) {
        worker_say(w, true, "setup failed");
        return 1;
    }
    for (uint32_t i = 0; i < w->extra_count; i++) {
        w->extras[i]->due_ns = client_now() + w->extras[i]->period_ns;
    }
    w->lost_ns = client_now();
    return 0;
}

static void
on_events(void *context, prong_subscription *subscription)
{
    (void)subscription;
    ((struct extra *)context)->ready = true;
}

static void
subscribe(prong_worker *w, struct extra *e)
{
    const char *const filter = e->filter;
    const prong_subscribe_options options = {
        .size_bytes = sizeof options, .notify = on_events, .context = e};
    char why[sizeof w->error];
    prong_client *client = prong_worker_client(w);
    prong_err err = PRONG_UNAVAILABLE;
    if (client == NULL) {
        prong_worker_error_text(w, why, sizeof why);
    } else if ((err = prong_subscribe(client, &filter, 1, &options, &e->subscription)) !=
               PRONG_OK) {
        prong_client_error_text(client, why, sizeof why);
    }
    if (err != PRONG_OK) {
        is_refused(w, err, why);
        (void)prong_worker_pause(w, 50);
    }
}

/* Before ATTACH, so that whoever sees the worker ready may count on its handlers. */
static void
subscribe_all(prong_worker *w)
{
    for (uint32_t i = 0; i < w->extra_count; i++) {
        struct extra *e = w->extras[i];
        while (e->kind == EXTRA_ON && e->subscription == NULL && !prong_worker_is_stopping(w)) {
            subscribe(w, e);
        }
    }
    w->retry_ns = 0;
}

static void *
loop_main(void *context)
{
    struct extra *e = context;
    e->run.plain(e->worker, e->context);
    return NULL;
}

static void
start_loops(prong_worker *w)
{
    for (uint32_t i = 0; i < w->extra_count; i++) {
        struct extra *e = w->extras[i];
        if (e->kind == EXTRA_LOOP && !e->started && !w->over) {
            e->started = pthread_create(&e->thread, NULL, loop_main, e) == 0;
            if (!e->started) {
                worker_say(w, true, "cannot start the thread of a loop");
                run_abandon(w, EXIT_SYSTEM);
            }
        }
    }
}

/* ---- the wait -------------------------------------------------------------------------------- */

static void
take_events(prong_worker *w, struct extra *e)
{
    const prong_event *event;
    prong_err err = PRONG_OK;
    for (int i = 0; i < EVENTS_AT_ONCE && err == PRONG_OK; i++) {
        err = prong_subscription_next(e->subscription, 0, &event);
        if (err == PRONG_OK) {
            e->run.on(w, event, e->context);
        }
    }
    e->ready = err == PRONG_OK; /* there may be more: others first */
    if (err != PRONG_OK && err != PRONG_DEADLINE_EXCEEDED) {
        worker_say(w, true, "no more events of %s: %s", e->filter, prong_err_name(err));
    }
}

static void
serve_extra(prong_worker *w, struct extra *e, const struct pollfd *fd)
{
    switch (e->kind) {
    case EXTRA_ON:
        if (e->ready) {
            take_events(w, e);
        }
        break;
    case EXTRA_EVERY:
        if (client_now() >= e->due_ns) {
            const int64_t late_ns = client_now() - e->due_ns;
            e->due_ns += (late_ns / e->period_ns + 1) * e->period_ns;
            e->run.plain(w, e->context);
        }
        break;
    case EXTRA_WATCH:
        if (fd->revents != 0 && fd->fd == e->fd) {
            e->run.watch(w, e->fd, fd->revents, e->context);
        }
        break;
    case EXTRA_LOOP:
        break;
    }
}

/* How long the wait may be at most, in ns, because of what is served beside the calls. */
static int64_t
extras_until(const prong_worker *w, int64_t until_ns)
{
    for (uint32_t i = 0; i < w->extra_count && !prong_worker_is_stopping(w); i++) {
        const struct extra *e = w->extras[i];
        const int64_t due_ns = e->kind == EXTRA_EVERY ? e->due_ns : e->ready ? 0 : INT64_MAX;
        until_ns = due_ns < until_ns ? due_ns : until_ns;
    }
    return until_ns;
}

static int64_t
wait_until(const prong_worker *w, int64_t until_ns)
{
    const int64_t link_ns = w->link != NULL ? pull_deadline_ns(w->pull) : w->retry_ns;
    until_ns = pull_has_work(w->pull) || w->over ? 0 : extras_until(w, until_ns);
    until_ns = w->stop_until_ns != 0 && w->stop_until_ns < until_ns ? w->stop_until_ns : until_ns;
    return link_ns < until_ns ? link_ns : until_ns;
}

/* Wait for whatever comes first, and serve it, but for calls. */
static void
wait_once(prong_worker *w, int64_t until_ns)
{
    enum { LINK, STOP, CLIENT, EXTRAS };
    struct pollfd fds[EXTRAS + EXTRAS_MAX];
    const bool stopping = w->stop_until_ns != 0; /* not a SIGTERM that was not acted on yet */
    const uint32_t count = stopping ? 0 : w->extra_count;
    bool has_events = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct extra *e = w->extras[i];
        fds[EXTRAS + i] =
            (struct pollfd){.fd = e->kind == EXTRA_WATCH ? e->fd : -1, .events = e->events};
        has_events |= e->kind == EXTRA_ON;
    }
    fds[LINK] = (struct pollfd){.fd = w->link != NULL ? link_client_fd(w->link) : -1};
    fds[LINK].events =
        w->link != NULL && link_client_wants_write(w->link) ? POLLIN | POLLOUT : POLLIN;
    fds[STOP] = (struct pollfd){.fd = stopping ? -1 : w->stop_fd, .events = POLLIN};
    fds[CLIENT] = (struct pollfd){.fd = has_events ? prong_fd(w->client) : -1, .events = POLLIN};
    int64_t left_ns = wait_until(w, until_ns);
    left_ns = left_ns > 0 ? left_ns - client_now() : 0;
    left_ns = left_ns > 0 ? left_ns : 0;
    const struct timespec left = {.tv_sec = left_ns / (1000 * NS_PER_MS),
                                  .tv_nsec = left_ns % (1000 * NS_PER_MS)};
    if (ppoll(fds, EXTRAS + count, &left, NULL) < 0) {
        return; /* a signal: its handler said what there is to do */
    }
    if (fds[LINK].revents != 0) {
        receive(w);
    }
    judge(w);
    if (fds[CLIENT].revents != 0) {
        (void)prong_dispatch(w->client, 0); /* what fails shows in the subscriptions */
    }
    for (uint32_t i = 0; i < count && !prong_worker_is_stopping(w); i++) {
        serve_extra(w, w->extras[i], &fds[EXTRAS + i]);
    }
}

/* Whether all is done that must be before the end. */
static bool
is_over(prong_worker *w)
{
    if (w->over || w->stop_until_ns == 0) {
        return w->over;
    }
    return pull_is_over(w->pull) || (w->link == NULL && !pull_has_untold(w->pull)) ||
           client_now() >= w->stop_until_ns;
}

/* ---- running --------------------------------------------------------------------------------- */

/* The next call in w->job; false at the end and when the time is over. */
static bool
take_call(prong_worker *w, int64_t until_ns)
{
    const struct pull_job *call;
    for (bool looked = false;; looked = true) {
        if (prong_worker_is_stopping(w) && w->stop_until_ns == 0) {
            pull_stop(w->pull);
            w->stop_until_ns = client_now() + STOP_MS * NS_PER_MS;
        }
        look_for_hub(w, CONNECT_MS);
        int64_t now_ns = client_now();
        run_send(w, now_ns);
        if (w->attached) {
            start_loops(w);
        }
        if (is_over(w) || (looked && now_ns >= until_ns)) {
            return false;
        }
        if (!pull_has_work(w->pull) || now_ns - w->waited_ns >= LOOK_MS * NS_PER_MS) {
            wait_once(w, until_ns);
            w->waited_ns = now_ns = client_now();
        }
        if (!w->over && pull_begin(w->pull, now_ns, &call)) {
            w->stop_until_ns = 0; /* the end waits for it, however long it takes */
            if (job_begin(&w->job, worker_method_find(w, call->method), call, now_ns)) {
                return true;
            }
            worker_say(w, true, "out of memory for a call");
            run_abandon(w, EXIT_SYSTEM);
        }
    }
}

prong_err
prong_worker_next(prong_worker *w, int32_t timeout_ms, prong_job **job)
{
    const int64_t until_ns = timeout_ms < 0 ? INT64_MAX : client_now() + timeout_ms * NS_PER_MS;
    if (w->phase == PHASE_ENDED) {
        return PRONG_CANCELLED;
    }
    if (w->phase == PHASE_NEW) {
        w->phase = PHASE_RUNS;
        const int code = start(w);
        if (code != 0) {
            run_abandon(w, code);
            return PRONG_CANCELLED;
        }
        subscribe_all(w);
    }
    prong_job_end(&w->job, PRONG_UNKNOWN);
    while (take_call(w, until_ns)) {
        if (w->job.method != NULL) {
            *job = &w->job;
            return PRONG_OK;
        }
        prong_job_end(&w->job, job_run(&w->job));
    }
    return prong_worker_is_stopping(w) ? PRONG_CANCELLED : PRONG_DEADLINE_EXCEEDED;
}

int
prong_worker_finish(prong_worker *w)
{
    if (w->phase == PHASE_RUNS) {
        prong_worker_stop(w, 0);
        prong_job_end(&w->job, PRONG_UNKNOWN);
        while (w->pull != NULL && take_call(w, INT64_MAX)) {
            (void)prong_job_fail(&w->job, PRONG_UNAVAILABLE, "the worker ends");
            prong_job_end(&w->job, PRONG_UNAVAILABLE);
        }
        for (uint32_t i = 0; i < w->extra_count; i++) {
            if (w->extras[i]->started) {
                (void)pthread_join(w->extras[i]->thread, NULL); /* ours, and joined once */
                w->extras[i]->started = false;
            }
            prong_subscription_free(w->extras[i]->subscription);
            w->extras[i]->subscription = NULL;
        }
        worker_tear_down(w);
        link_client_free(w->link);
        w->link = NULL;
        pull_free(w->pull);
        w->pull = NULL;
        buf_deinit(&w->memory);
        w->phase = PHASE_ENDED;
    }
    return prong_worker_is_stopping(w) ? atomic_load(&w->exit_code) : 0;
}

int
prong_worker_run(prong_worker *w)
{
    prong_job *job;
    while (w != NULL && prong_worker_next(w, PRONG_FOREVER, &job) == PRONG_OK) {
        prong_job_end(job, job_run(job));
    }
    if (w == NULL) {
        fputs("out of memory for a worker\n", stderr); /* prong_worker_new gave NULL */
        return EXIT_SYSTEM;
    }
    return prong_worker_finish(w);
}
