/* The worker SDK inside: one worker, its job, and who does what.
 *
 * worker.c owns what is set up and what any thread may ask for; run.c the connection and the wait;
 * job.c the call that runs and its outcome; within.c what it gives and asks meanwhile; pull.c the
 * protocol. Everything is the worker's thread's but what is
 * guarded by `lock` or atomic. */
#ifndef PRONG_WORKER_WORKER_H
#define PRONG_WORKER_WORKER_H

#include <prong/worker.h>

#include <pthread.h>
#include <stdatomic.h>

#include "client/lib/client.h"
#include "client/worker/holds.h"
#include "client/worker/pull.h"
#include "proto/link/link.h"
#include "proto/wire.h"

enum { EXTRAS_MAX = 128 };

struct method {
    char name[WIRE_NAME_BYTES_MAX + 1];
    prong_method_fn function;
    prong_policy policy;
    char *help;      /* NULL for none */
    char *arguments; /* names with a space between; NULL: not told */
    void *context;
};

/* What is served beside the calls. */
enum extra_kind { EXTRA_ON, EXTRA_EVERY, EXTRA_WATCH, EXTRA_LOOP };

struct extra {
    enum extra_kind kind;
    union {
        void (*on)(prong_worker *worker, const prong_event *event, void *context);
        void (*plain)(prong_worker *worker, void *context); /* EVERY, LOOP */
        void (*watch)(prong_worker *worker, int fd, short revents, void *context);
    } run;
    void *context;
    prong_worker *worker;
    char filter[WIRE_TOPIC_BYTES_MAX + 1]; /* ON, as the next two */
    prong_subscription *subscription;
    bool ready;
    int64_t period_ns, due_ns; /* EVERY */
    int fd;                    /* WATCH; -1 when it was ended */
    short events;
    pthread_t thread; /* LOOP */
    bool started;
};

struct prong_job {
    prong_worker *worker;
    const struct method *method;
    const char *caller;
    struct buf texts; /* what `caller` points into */
    prong_value args, options;
    uint64_t number; /* 0 without a hub */
    int64_t deadline_ns, looked_ns;
    prong_writer *result, *details, *item;
    struct holds result_holds, details_holds, item_holds;
    struct hold *sent;  /* what was written to them and sent, until the caller has it */
    struct buf yielded; /* without a hub: what the method yielded */
    bool has_details, open;
    prong_began began;
    char message[WIRE_TEXT_BYTES_MAX + 1];
    struct buf scratch; /* an outcome or progress on its way */
};

enum phase { PHASE_NEW, PHASE_RUNS, PHASE_ENDED };

struct prong_worker {
    struct method *methods;
    uint32_t method_count;
    prong_err (*setup)(prong_worker *worker, void *context);
    void (*teardown)(prong_worker *worker, void *context);
    void *context; /* of both */
    bool is_set_up, setup_failed;
    int32_t budget_ms;
    struct extra *extras[EXTRAS_MAX];
    uint32_t extra_count;
    char problem[160]; /* the first mistake while it was set up */
    /* any thread */
    pthread_mutex_t lock;
    char error[300];
    prong_client *client;
    char *url; /* written before there are threads, as `name` and `pid` */
    char name[WIRE_NAME_BYTES_MAX + 16];
    pid_t pid;
    atomic_int exit_code; /* -1 until the worker is to end */
    atomic_int stop_fd;
    /* while it runs */
    enum phase phase;
    bool attached; /* once at least */
    bool over;     /* nothing can come any more */
    bool handles_sigterm;
    struct pull *pull;
    struct link_client *link;
    struct buf memory; /* for the next large answer */
    int64_t lost_ns;   /* since when there is no hub; 0 while there is one */
    int64_t retry_ns;  /* when to connect again */
    int64_t stop_until_ns;
    int64_t waited_ns; /* when it was last looked at all that is served beside the calls */
    uint64_t random;
    prong_job job;
};

/* Keep a text as the worker's last failure, and print it when `aloud`. Any thread. */
__attribute__((format(printf, 3, 4))) void worker_say(prong_worker *w, bool aloud,
                                                      const char *format, ...);
/* Run setup once; false when it failed. */
bool worker_set_up(prong_worker *w);
void worker_tear_down(prong_worker *w);
/* The next of the names of arguments, taken off `rest`; false when there is none. */
bool worker_argument_next(struct span *rest, struct span *name);
const struct method *worker_method_find(const prong_worker *w, struct span name);

/* In a job: keep the connection alive and see what came; or only send what waits. Never waits. */
void run_look(prong_worker *w);
void run_send(prong_worker *w, int64_t now_ns);
/* In a job that cannot go on: wait for what comes on the connection, or that there is one again. */
void run_wait(prong_worker *w, int64_t until_ns);
/* SIGTERM means to this process what it did before; nothing, when its worker was told to end. */
void run_leave_sigterm(prong_worker *w);
/* abort.c: SIGABRT tells the stack from now on, unless the program has a handler of its own. */
void abort_take(void);
/* End with an exit code at once, without a word to the hub. */
void run_abandon(prong_worker *w, int exit_code);

/* Let go of what a job held. */
void job_let_go(void *holds);
bool job_init(prong_job *job, prong_worker *w);
void job_deinit(prong_job *job);
/* Fill the job with a call; false when memory is out. */
bool job_begin(prong_job *job, const struct method *method, const struct pull_job *call,
               int64_t now_ns);
/* Run its method. What it returned. */
prong_err job_run(prong_job *job);
/* Nobody waits for the outcome, as far as is known, or there is no hub any more. */
bool job_is_over(const prong_job *job);
/* Look at the connection unless that was done just now. */
void job_look(prong_job *job);
/* Wait until the items that the method yielded can be told before its outcome; false when nobody
 * takes them: then they are forgotten. */
bool job_deliver(prong_job *job);

#endif
