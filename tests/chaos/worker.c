/* A worker that writes down when its code begins and ends (history.h), to be killed at any moment.
 *
 *   once, again   {call}: both give history_value(call); `again` may begin twice
 *
 * Its file is $PRONG_CHAOS_HISTORY. A call of `once` takes a millisecond or two, so that there is
 * something to be killed in; one of `again` next to nothing as a rule, so that they come in crowds.
 */
#include "tests/chaos/history.h"

#include <prong/worker.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct self {
    int history, replica;
};

static prong_err
work(prong_job *job, const prong_value *args, void *context)
{
    const struct self *self = context;
    prong_value v;
    struct history_record r = {.kind = HISTORY_START, .pid = getpid(), .replica = self->replica};
    if (!prong_value_find(args, "call", &v) || !prong_value_uint(&v, &r.call)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "call is missing");
    }
    history_write(self->history, r);
    const uint64_t value = history_value(r.call);
    if (strcmp(prong_job_method(job), "once") == 0 || value % 128 == 1) {
        (void)poll(NULL, 0, 1 + (int)(value / 128 % 2)); /* this is the work */
    }
    prong_writer_uint(prong_job_result(job), value);
    r.kind = HISTORY_END;
    history_write(self->history, r);
    return PRONG_OK;
}

int
main(void)
{
    const char *path = getenv("PRONG_CHAOS_HISTORY"), *number = getenv("PRONG_REPLICA");
    if (path == NULL || number == NULL) {
        fputs("no PRONG_CHAOS_HISTORY or no hub\n", stderr);
        return 78;
    }
    struct self self = {history_open(path), (int)strtol(number, NULL, 10)};
    history_write(
        self.history,
        (struct history_record){.kind = HISTORY_BORN, .pid = getpid(), .replica = self.replica});
    const prong_method methods[] = {{"once", work, PRONG_ONCE, NULL, &self},
                                    {"again", work, PRONG_IDEMPOTENT, NULL, &self}};
    prong_worker *worker = prong_worker_new(methods, 2);
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    (void)close(self.history);
    return code;
}
