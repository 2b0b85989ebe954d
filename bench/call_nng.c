/* REQ/REP of libnng over ipc without any hub: what a user would write who has only nng. One call at
 * a time with the plain blocking functions; more with contexts and callbacks. See bench.h. */
#include "bench/bench.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTEXTS_MAX = 64, DIAL_TRIES = 500 };

/* One of 64, at either end. */
struct context {
    nng_ctx ctx;
    nng_aio *aio;
    bool sent;
    uint64_t begin_ns;
};

/* What the callbacks of nng's threads share. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    const struct job *job;
    struct run *run;
    uint64_t end_ns;
    uint32_t live;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

/* Of the case's process. */
static char url[64];
static pid_t server_pid;
static nng_socket req;
static struct context contexts[CONTEXTS_MAX];

static void
must(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "nng: %s\n", nng_strerror(error));
        bench_die(what, 0);
    }
}

/* ---- server --------------------------------------------------------------------------------- */

static void
answer(void *argument)
{
    struct context *c = argument;
    if (nng_aio_result(c->aio) != 0) {
        return;
    }
    c->sent = !c->sent;
    if (c->sent) {
        nng_ctx_send(c->ctx, c->aio); /* the message that came is still in the aio */
    } else {
        nng_ctx_recv(c->ctx, c->aio);
    }
}

static _Noreturn void
serve(int ready)
{
    nng_socket rep;
    must(nng_rep0_open(&rep), "rep0");
    must(nng_listen(rep, url, NULL, 0), url);
    for (size_t i = 0; i < CONTEXTS_MAX; i++) {
        must(nng_ctx_open(&contexts[i].ctx, rep), "context");
        must(nng_aio_alloc(&contexts[i].aio, answer, &contexts[i]), "aio");
        nng_ctx_recv(contexts[i].ctx, contexts[i].aio);
    }
    (void)!write(ready, "", 1); /* who waits for it sees the end of file otherwise */
    for (;;) {
        pause();
    }
}

/* ---- client --------------------------------------------------------------------------------- */

static void
open_nng(const char *broker)
{
    int ready[2];
    char byte;
    (void)broker;
    (void)snprintf(url, sizeof url, "ipc:///tmp/prong-bench-%d.nng", (int)getpid());
    if (pipe(ready) != 0) {
        bench_die("pipe", 0);
    }
    server_pid = bench_fork();
    if (server_pid == 0) {
        serve(ready[1]);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) {
        bench_die("the nng server did not start", 0);
    }
    close(ready[0]);
    must(nng_req0_open(&req), "req0");
    must(nng_dial(req, url, NULL, 0), url);
    for (size_t i = 0; i < CONTEXTS_MAX; i++) {
        must(nng_ctx_open(&contexts[i].ctx, req), "context");
    }
}

static nng_msg *
new_message(uint32_t bytes)
{
    nng_msg *m;
    must(nng_msg_alloc(&m, bytes), "message");
    memset(nng_msg_body(m), 0, bytes);
    return m;
}

static void
run_one(const struct job *job, struct run *run)
{
    uint64_t now_ns = bench_now_ns();
    const uint64_t end_ns = now_ns + (uint64_t)(job->seconds * 1e9);
    while (now_ns < end_ns) {
        nng_msg *m = new_message(job->bytes);
        const uint64_t begin_ns = bench_now_ns();
        must(nng_sendmsg(req, m, 0), "send");
        must(nng_recvmsg(req, &m, 0), "receive");
        now_ns = bench_now_ns();
        nng_msg_free(m);
        if (run != NULL) {
            samples_add(&run->samples, now_ns - begin_ns);
        }
    }
}

static void
begin(struct context *c)
{
    nng_aio_set_msg(c->aio, new_message(shared.job->bytes));
    c->sent = false;
    c->begin_ns = bench_now_ns();
    nng_ctx_send(c->ctx, c->aio);
}

static void
take(void *argument)
{
    struct context *c = argument;
    must(nng_aio_result(c->aio), "call");
    if (!c->sent) {
        c->sent = true;
        nng_ctx_recv(c->ctx, c->aio);
        return;
    }
    const uint64_t now_ns = bench_now_ns();
    nng_msg_free(nng_aio_get_msg(c->aio));
    pthread_mutex_lock(&shared.lock);
    if (shared.run != NULL) {
        samples_add(&shared.run->samples, now_ns - c->begin_ns);
    }
    const bool over = now_ns >= shared.end_ns;
    shared.live -= over;
    if (shared.live == 0) {
        pthread_cond_signal(&shared.ended);
    }
    pthread_mutex_unlock(&shared.lock);
    if (!over) {
        begin(c);
    }
}

static void
run_many(const struct job *job, struct run *run)
{
    shared.job = job;
    shared.run = run;
    shared.live = job->in_flight;
    shared.end_ns = bench_now_ns() + (uint64_t)(job->seconds * 1e9);
    for (uint32_t i = 0; i < job->in_flight; i++) {
        must(nng_aio_alloc(&contexts[i].aio, take, &contexts[i]), "aio");
        begin(&contexts[i]);
    }
    pthread_mutex_lock(&shared.lock);
    while (shared.live > 0) {
        pthread_cond_wait(&shared.ended, &shared.lock);
    }
    pthread_mutex_unlock(&shared.lock);
    for (uint32_t i = 0; i < job->in_flight; i++) {
        nng_aio_free(contexts[i].aio); /* waits for its callback */
    }
}

static void
run_nng(const struct job *job, struct run *run)
{
    (job->in_flight == 1 ? run_one : run_many)(job, run);
}

static void
close_nng(void)
{
    nng_close(req);
    (void)kill(server_pid, SIGKILL); /* our child, not yet waited for */
    (void)waitpid(server_pid, NULL, 0);
    (void)unlink(url + strlen("ipc://"));
}

static size_t
nng_pids(pid_t *pids, size_t max)
{
    (void)max;
    pids[0] = server_pid;
    return 1;
}

const struct way way_nng = {
    .name = "nng", .open = open_nng, .run = run_nng, .close = close_nng, .pids = nng_pids};
