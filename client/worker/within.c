/* Within a call: the items that its method yields, and the calls that it makes. Runs in the
 * worker's thread. */
#include "client/worker/worker.h"

#include "client/lib/reply.h"

enum { SLICE_MS = 20 }; /* how often a method that waits for another looks at its own connection */

bool
job_is_over(const prong_job *job)
{
    const prong_worker *w = job->worker;
    return client_now() >= job->deadline_ns || w->over || pull_is_cancelled(w->pull);
}

/* ---- items ----------------------------------------------------------------------------------- */

prong_writer *
prong_job_item(prong_job *job)
{
    return job->item;
}

/* Without a hub. */
static prong_err
keep(prong_job *job, const prong_value *value)
{
    if (!buf_reserve(&job->yielded, value->len)) {
        job->yielded.failed = false;
        return PRONG_RESOURCE_EXHAUSTED;
    }
    buf_put(&job->yielded, value->data, value->len);
    return PRONG_OK;
}

static prong_err
give(prong_job *job, const prong_value *value)
{
    prong_worker *w = job->worker;
    if (w->pull == NULL) {
        return keep(job, value);
    }
    if (!pull_fits(w->pull, value->len)) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    while (!job_is_over(job) && !pull_has_room(w->pull, value->len)) {
        run_wait(w, job->deadline_ns);
    }
    if (job_is_over(job)) {
        return PRONG_CANCELLED;
    }
    if (!pull_yield(w->pull, (struct span){value->data, value->len})) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    run_send(w, client_now());
    job_look(job);
    return PRONG_OK;
}

prong_err
prong_job_yield(prong_job *job, const prong_value *value)
{
    prong_value written = {0};
    prong_err err = PRONG_OK;
    if (value == NULL) {
        err = prong_writer_finish(job->item, &written);
        value = &written;
    } else if (!prong_value_is_whole(value)) {
        err = PRONG_INVALID_ARGUMENT;
    }
    err = err == PRONG_OK ? give(job, value) : err;
    if (err == PRONG_OK) {
        holds_sent(&job->item_holds, &job->sent);
    }
    prong_writer_reset(job->item);
    return err;
}

void
prong_job_flush(prong_job *job)
{
    if (job->worker->pull != NULL) {
        pull_flush(job->worker->pull);
        run_send(job->worker, client_now());
    }
}

bool
job_deliver(prong_job *job)
{
    prong_worker *w = job->worker;
    while (pull_is_blocked(w->pull) && !w->over) {
        if (job_is_over(job)) {
            pull_drop_items(w->pull);
            return false;
        }
        run_wait(w, job->deadline_ns);
    }
    return true;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* It was asked: wait for it, and cancel it when nobody waits for the job. */
static prong_err
await(prong_job *job, prong_reply *r)
{
    bool told = false;
    prong_err err;
    while ((err = prong_reply_wait(r, SLICE_MS)) == PRONG_DEADLINE_EXCEEDED) {
        if (prong_job_is_cancelled(job) && !told) {
            prong_reply_cancel(r);
            told = true;
        }
    }
    return err != PRONG_OK ? err : prong_reply_code(r);
}

prong_err
prong_job_call(prong_job *job, const char *worker, const char *method, const prong_value *args,
               int32_t timeout_ms, prong_reply **out)
{
    const int32_t left_ms = prong_job_remaining_ms(job);
    const prong_call_options options = {
        .size_bytes = sizeof options,
        .timeout_ms = timeout_ms == 0 || timeout_ms > left_ms ? left_ms : timeout_ms,
        .parent = job->number};
    prong_client *client = prong_worker_client(job->worker);
    struct session_ask ask = call_ask(worker, method, args);
    prong_reply *r = NULL;
    prong_err err = PRONG_UNAVAILABLE; /* there is no client: the text is there */
    char why[sizeof job->worker->error];
    if (left_ms == 0) {
        err = PRONG_DEADLINE_EXCEEDED;
        worker_say(job->worker, false, "the deadline of the job has passed");
    } else if (client != NULL) {
        err = call_async(client, &ask, &options, CALL_UNLISTED, &r);
        prong_client_error_text(client, why, sizeof why);
        if (err != PRONG_OK) {
            worker_say(job->worker, false, "%s", why);
        }
    }
    err = r != NULL ? await(job, r) : err;
    if (out != NULL) {
        *out = r;
    } else {
        prong_reply_free(r);
    }
    return err;
}
