/* A client of libprong that makes many calls at a time and writes down what became of each.
 *
 *   chaos_caller URL HISTORY NUMBER CALLS AT_A_TIME TIMEOUT_MS
 *
 * About half of the calls are of the method `once`, the others of `again`; which, follows from the
 * number of the call. Ends with 0 when every call has had an outcome, whatever it was. */
#include "tests/chaos/history.h"

#include <prong/prong.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct caller {
    prong_client *hub;
    prong_writer *writer;
    int history;
    uint64_t client;
    int32_t timeout_ms;
};

static void
die(struct caller *c, const char *what)
{
    char text[300];
    prong_client_error_text(c->hub, text, sizeof text);
    fprintf(stderr, "caller %u: %s: %s\n", (unsigned)c->client, what, text);
    exit(3);
}

static bool
may_run_again(uint64_t call)
{
    return history_value(call) % 2 == 1;
}

static bool
begin(struct caller *c, uint64_t call)
{
    prong_value args;
    prong_reply *reply = NULL;
    prong_writer_reset(c->writer);
    prong_writer_map(c->writer, 1);
    prong_writer_key(c->writer, "call");
    prong_writer_uint(c->writer, call);
    if (prong_writer_finish(c->writer, &args) != PRONG_OK) {
        die(c, "no memory");
    }
    const prong_call_options options = {
        .size_bytes = sizeof options, .timeout_ms = c->timeout_ms, .tag = call};
    history_write(c->history, (struct history_record){.call = call,
                                                      .kind = HISTORY_INVOKE,
                                                      .pid = getpid(),
                                                      .code = may_run_again(call),
                                                      .replica = -1});
    const prong_err code = prong_call_async(
        c->hub, "worker", may_run_again(call) ? "again" : "once", &args, &options, &reply);
    if (code != PRONG_OK) {
        /* Nothing was asked: that is an outcome, too. */
        history_write(c->history, (struct history_record){.call = call,
                                                          .kind = HISTORY_OUTCOME,
                                                          .pid = getpid(),
                                                          .code = (int32_t)code,
                                                          .began = PRONG_BEGAN_NO,
                                                          .replica = -1});
    }
    return code == PRONG_OK;
}

/* The replica that an error names, -1 when it names none. */
static int32_t
replica_of(prong_reply *reply)
{
    prong_value v;
    const prong_value *details = prong_reply_details(reply);
    if (details == NULL || !prong_value_find(details, "replica", &v)) {
        return -1;
    }
    char *name = prong_value_string(&v);
    const char *slash = name != NULL ? strrchr(name, '/') : NULL;
    const int32_t replica = slash != NULL ? (int32_t)strtol(slash + 1, NULL, 10) : -1;
    prong_free(name);
    return replica;
}

static void
end(struct caller *c)
{
    prong_reply *reply;
    if (prong_wait_any(c->hub, 2 * c->timeout_ms, &reply) != PRONG_OK) {
        die(c, "no outcome comes");
    }
    uint64_t value = 0;
    struct history_record r = {.call = prong_reply_tag(reply),
                               .kind = HISTORY_OUTCOME,
                               .pid = getpid(),
                               .code = (int32_t)prong_reply_code(reply),
                               .began = (int32_t)prong_reply_began(reply),
                               .replica = replica_of(reply)};
    r.right = r.code == PRONG_OK && prong_value_uint(prong_reply_value(reply), &value) &&
              value == history_value(r.call);
    history_write(c->history, r);
    prong_reply_free(reply);
}

int
main(int argc, char *argv[])
{
    char error[300];
    if (argc != 7) {
        fputs("usage: chaos_caller URL HISTORY NUMBER CALLS AT_A_TIME TIMEOUT_MS\n", stderr);
        return 2;
    }
    struct caller c = {.writer = prong_writer_new(),
                       .history = history_open(argv[2]),
                       .client = strtoull(argv[3], NULL, 10),
                       .timeout_ms = (int32_t)strtol(argv[6], NULL, 10)};
    const uint64_t calls = strtoull(argv[4], NULL, 10), at_a_time = strtoull(argv[5], NULL, 10);
    if (prong_connect(argv[1], NULL, &c.hub, error, sizeof error) != PRONG_OK) {
        fprintf(stderr, "caller: %s\n", error);
        return 7;
    }
    uint64_t outstanding = 0;
    for (uint64_t n = 0; n < calls || outstanding > 0;) {
        if (n < calls && outstanding < at_a_time) {
            outstanding += begin(&c, c.client << 32 | n);
            n++;
        } else {
            end(&c);
            outstanding--;
        }
    }
    prong_client_free(c.hub);
    prong_writer_free(c.writer);
    (void)close(c.history);
    return 0;
}
