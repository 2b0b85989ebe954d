/* Calls through a hub: client - broker - worker, all three as a user has them (libprong on both
 * ends). See bench.h. */
#include "bench/bench.h"

#include <prong/prong.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 30000 };

/* Of the case's process. */
static struct bench_hub hub;
static prong_client *client;
static prong_writer *args;
static uint32_t args_bytes;

static void
open_hub(const char *broker)
{
    char error[256];
    bench_hub_start(&hub, 1, broker);
    args = prong_writer_new();
    if (args == NULL || prong_connect(hub.url, NULL, &client, error, sizeof error) != PRONG_OK) {
        bench_die("cannot connect to the hub", 0);
    }
}

static prong_value
args_of(uint32_t bytes)
{
    prong_value value;
    if (args_bytes != bytes) {
        uint8_t *zeros = calloc(1, bytes);
        prong_writer_reset(args);
        prong_writer_array(args, 1);
        prong_writer_bin(args, zeros, bytes);
        free(zeros);
        args_bytes = bytes;
    }
    if (prong_writer_finish(args, &value) != PRONG_OK) {
        bench_die("out of memory", 0);
    }
    return value;
}

/* The echo came back, and nothing else. */
static void
check(prong_reply *reply, uint32_t bytes)
{
    const uint8_t *data;
    size_t len = 0;
    if (prong_reply_code(reply) != PRONG_OK ||
        !prong_value_bin(prong_reply_value(reply), &data, &len) || len != bytes) {
        bench_die(prong_reply_message(reply), 0);
    }
    prong_reply_free(reply);
}

static bool
goes_on(const struct job *job, uint64_t begun, uint64_t end_ns, uint64_t now_ns)
{
    return job->calls > 0 ? begun < job->calls : now_ns < end_ns;
}

static void
run_one(const struct job *job, struct run *run)
{
    const prong_value value = args_of(job->bytes);
    uint64_t now_ns = bench_now_ns(), calls = 0;
    const uint64_t end_ns = now_ns + (uint64_t)(job->seconds * 1e9);
    while (goes_on(job, calls, end_ns, now_ns)) {
        prong_reply *reply = NULL;
        const uint64_t begin_ns = now_ns;
        (void)prong_call(client, "echo", "echo", &value, TIMEOUT_MS, &reply); /* the reply tells */
        now_ns = bench_now_ns();
        check(reply, job->bytes);
        calls++;
        if (run != NULL) {
            samples_add(&run->samples, now_ns - begin_ns);
        }
    }
}

static void
begin(const prong_value *value)
{
    const prong_call_options options = {
        .size_bytes = sizeof options, .timeout_ms = TIMEOUT_MS, .tag = bench_now_ns()};
    prong_reply *reply;
    if (prong_call_async(client, "echo", "echo", value, &options, &reply) != PRONG_OK) {
        char error[256];
        prong_client_error_text(client, error, sizeof error);
        bench_die(error, 0);
    }
}

static void
run_many(const struct job *job, struct run *run)
{
    const prong_value value = args_of(job->bytes);
    uint64_t now_ns = bench_now_ns(), begun = 0, ended = 0;
    const uint64_t end_ns = now_ns + (uint64_t)(job->seconds * 1e9);
    for (; begun < job->in_flight && goes_on(job, begun, end_ns, now_ns); begun++) {
        begin(&value);
    }
    while (ended < begun) {
        prong_reply *reply;
        if (prong_wait_any(client, TIMEOUT_MS, &reply) != PRONG_OK) {
            bench_die("a call has no outcome", 0);
        }
        now_ns = bench_now_ns();
        if (run != NULL) {
            samples_add(&run->samples, now_ns - prong_reply_tag(reply));
        }
        check(reply, job->bytes);
        ended++;
        if (goes_on(job, begun, end_ns, now_ns)) {
            begin(&value);
            begun++;
        }
    }
}

static void
run_hub(const struct job *job, struct run *run)
{
    (job->in_flight == 1 ? run_one : run_many)(job, run);
}

static void
close_hub(void)
{
    prong_client_free(client);
    prong_writer_free(args);
    bench_hub_stop(&hub);
}

static size_t
hub_pids(pid_t *pids, size_t max)
{
    const pid_t all[] = {hub.broker, hub.workers[0], hub.spawner, hub.keeper};
    size_t n = 0;
    for (; n < max && n < sizeof all / sizeof all[0]; n++) {
        pids[n] = all[n];
    }
    return n;
}

const struct way way_hub = {
    .name = "hub", .open = open_hub, .run = run_hub, .close = close_hub, .pids = hub_pids};
