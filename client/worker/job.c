/* A job: one call while its method runs, and the call of a method without a hub. */
#include "client/worker/worker.h"
#include "client/value/writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mp.h"
#include "proto/name.h"
#include "proto/record.h"
#include "proto/write.h"

enum { KEEP_BYTES = 65536, TEST_MS = 30000, LOOK_MS = 1 };

void
job_let_go(void *holds)
{
    holds_let_go(holds);
}

/* Nothing is in them, and what they had is sent or never will be. */
static void
reset_writers(prong_job *job)
{
    prong_writer_reset(job->result);
    prong_writer_reset(job->details);
    prong_writer_reset(job->item);
}

bool
job_init(prong_job *job, prong_worker *w)
{
    job->worker = w;
    job->result = prong_writer_new();
    job->details = prong_writer_new();
    job->item = prong_writer_new();
    if (job->result == NULL || job->details == NULL || job->item == NULL) {
        job_deinit(job);
        return false;
    }
    holds_init(&job->result_holds, job->result);
    holds_init(&job->details_holds, job->details);
    holds_init(&job->item_holds, job->item);
    return true;
}

void
job_deinit(prong_job *job)
{
    job_let_go(job->sent);
    job->sent = NULL;
    prong_writer_free(job->result);
    prong_writer_free(job->details);
    prong_writer_free(job->item);
    buf_deinit(&job->yielded);
    buf_deinit(&job->texts);
    buf_deinit(&job->scratch);
}

bool
job_begin(prong_job *job, const struct method *method, const struct pull_job *call, int64_t now_ns)
{
    job_let_go(job->sent); /* of a test; pull has those of others */
    job->sent = NULL;
    job->method = method;
    buf_reset(&job->texts, KEEP_BYTES);
    buf_put(&job->texts, call->caller.data, call->caller.len);
    buf_put(&job->texts, "", 1);
    job->caller = (const char *)buf_span(&job->texts).data;
    job->args = (prong_value){call->args.data, call->args.len};
    job->options = (prong_value){call->options.data, call->options.len};
    job->number = call->call;
    job->deadline_ns = call->deadline_ns;
    job->looked_ns = now_ns;
    job->has_details = false;
    job->began = method != NULL ? PRONG_BEGAN_YES : PRONG_BEGAN_NO;
    job->message[0] = '\0';
    reset_writers(job);
    buf_reset(&job->yielded, KEEP_BYTES);
    job->open = !job->texts.failed;
    return job->open;
}

prong_err
job_run(prong_job *job)
{
    if (job->method == NULL || job->method->function == NULL) {
        job->began = PRONG_BEGAN_NO;
        return prong_job_fail(job, PRONG_UNIMPLEMENTED, "the worker has no such method");
    }
    return job->method->function(job, &job->args, job->method->context);
}

/* ---- the outcome ----------------------------------------------------------------------------- */

/* What was written; nil when it is nothing at all. An incomplete container and a nil behind it are
 * two bytes at least, so one byte was an empty writer. */
static prong_err
written(prong_writer *w, prong_value *out, const char **problem)
{
    prong_err err = prong_writer_finish(w, out);
    *problem = prong_writer_problem(w);
    if (err != PRONG_OK) {
        prong_writer_nil(w);
        err = prong_writer_finish(w, out) == PRONG_OK && out->len == 1 ? PRONG_OK : err;
    }
    return err;
}

static void
write_failure(prong_job *job, prong_err code)
{
    prong_value details = {0};
    const char *problem;
    if (job->has_details && written(job->details, &details, &problem) != PRONG_OK) {
        details = (prong_value){0}; /* they are an extra: the error itself matters more */
        job->has_details = false;
    }
    const bool is_code = (unsigned)code < WIRE_ERR_COUNT;
    if (job->message[0] == '\0') {
        (void)snprintf(job->message, sizeof job->message, "the method failed with %s: %s",
                       is_code ? prong_err_name(code) : "an unknown code", prong_err_help(code));
    }
    struct buf *b = &job->scratch;
    buf_reset(b, KEEP_BYTES);
    write_array(b, 4);
    write_uint(b, is_code ? code : PRONG_UNKNOWN);
    write_uint(b, job->began);
    write_text(b, job->message);
    write_raw(b, (struct span){details.data, details.len});
}

/* Whether the hub has said that nobody waits for the outcome. Who is to be given memory is worth a
 * look at the connection. */
static bool
is_unwanted(prong_job *job)
{
    if (job->result_holds.list != NULL) {
        job_look(job);
    }
    return pull_is_cancelled(job->worker->pull);
}

/* The outcome: a value where the method wrote it, an error in job->scratch. Whether it is one. */
static bool
write_outcome(prong_job *job, prong_err code, struct buf **outcome)
{
    prong_value value;
    const char *problem;
    if (code == PRONG_OK && written(job->result, &value, &problem) != PRONG_OK) {
        code = PRONG_INTERNAL;
        (void)snprintf(job->message, sizeof job->message,
                       "the method returned what cannot be sent: %s", problem);
    }
    if (code != PRONG_OK) {
        write_failure(job, code);
        *outcome = &job->scratch;
        return true;
    }
    *outcome = writer_bytes(job->result);
    return false;
}

/* Somebody gets the outcome, and with it what its handles stand for. */
static void
give_away(prong_job *job, bool is_error)
{
    if (!is_error || job->has_details) {
        holds_sent(is_error ? &job->details_holds : &job->result_holds, &job->sent);
    }
}

void
prong_job_end(prong_job *job, prong_err code)
{
    if (!job->open) {
        return;
    }
    job->open = false;
    struct buf *outcome;
    if (!job_deliver(job) && code == PRONG_OK) {
        code = client_now() >= job->deadline_ns ? PRONG_DEADLINE_EXCEEDED : PRONG_CANCELLED;
        (void)prong_job_fail(job, code, "nobody took the last items");
    }
    const bool has_caller = !is_unwanted(job);
    const bool is_error = write_outcome(job, code, &outcome);
    if (has_caller) {
        give_away(job, is_error);
    }
    pull_hold(job->worker->pull, job->sent);
    job->sent = NULL;
    if (!pull_end(job->worker->pull, is_error, outcome)) {
        worker_say(job->worker, true, "out of memory for the outcome of a call");
        run_abandon(job->worker, 71);
    }
    reset_writers(job); /* what was written and not sent is let go of now */
}

/* ---- what a method asks ---------------------------------------------------------------------- */

prong_writer *
prong_job_result(prong_job *job)
{
    return job->result;
}

prong_writer *
prong_job_details(prong_job *job)
{
    job->has_details = true;
    return job->details;
}

/* The length of a text, cut to `max` bytes between two characters. */
static size_t
cut(const char *text, size_t max)
{
    size_t len = strnlen(text, max);
    while (text[len] != '\0' && len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

prong_err
prong_job_fail(prong_job *job, prong_err code, const char *message)
{
    const char *text = message != NULL ? message : "";
    const size_t len = cut(text, WIRE_TEXT_BYTES_MAX);
    const bool is_text = mp_is_utf8((struct span){(const uint8_t *)text, len});
    (void)snprintf(job->message, sizeof job->message, "%.*s", (int)len, text);
    /* A name in it may have been cut within a character; the rest of the sentence is worth it. */
    for (char *at = job->message; !is_text && *at != '\0'; at++) {
        *at = (unsigned char)*at < 0x80 ? *at : '?';
    }
    return code != PRONG_OK ? code : PRONG_UNKNOWN;
}

void
job_look(prong_job *job)
{
    const int64_t now_ns = client_now();
    if (job->worker->pull != NULL && now_ns - job->looked_ns >= LOOK_MS * NS_PER_MS) {
        job->looked_ns = now_ns;
        run_look(job->worker);
    }
}

void
prong_job_progress(prong_job *job, double fraction, const char *note)
{
    const size_t len = note != NULL ? cut(note, WIRE_TEXT_BYTES_MAX) : 0;
    const struct span text = {(const uint8_t *)note, len};
    struct buf *b = &job->scratch;
    buf_reset(b, KEEP_BYTES);
    write_array(b, 2);
    if (isnan(fraction)) {
        write_nil(b);
    } else {
        write_double(b, fraction < 0 ? 0 : fraction > 1 ? 1 : fraction);
    }
    if (note != NULL && mp_is_utf8(text)) {
        write_str(b, text);
    } else {
        write_nil(b);
    }
    if (job->worker->pull != NULL && !b->failed) {
        pull_progress(job->worker->pull, buf_span(b));
        run_send(job->worker, client_now());
        job_look(job);
    }
}

bool
prong_job_is_cancelled(prong_job *job)
{
    job_look(job);
    return client_now() >= job->deadline_ns ||
           (job->worker->pull != NULL && pull_is_cancelled(job->worker->pull));
}

int32_t
prong_job_remaining_ms(const prong_job *job)
{
    const int64_t left_ns = job->deadline_ns - client_now();
    return left_ns > 0 ? (int32_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

const char *
prong_job_method(const prong_job *job)
{
    return job->method->name;
}

const char *
prong_job_caller(const prong_job *job)
{
    return job->caller;
}

const prong_value *
prong_job_args(const prong_job *job)
{
    return &job->args;
}

const prong_value *
prong_job_options(const prong_job *job)
{
    return &job->options;
}

prong_worker *
prong_job_worker(const prong_job *job)
{
    return job->worker;
}

uint64_t
prong_job_number(const prong_job *job)
{
    return job->number;
}

/* ---- tests ----------------------------------------------------------------------------------- */

prong_err
prong_worker_test_call(prong_worker *w, const char *method, const prong_value *args,
                       prong_writer *out)
{
    static const uint8_t nothing = 0x80, nil = 0xc0; /* an empty map */
    const int64_t now_ns = client_now();
    const struct pull_job call = {
        .caller = span_text("test"),
        .options = {&nil, 1},
        .args = {args != NULL ? args->data : &nothing, args != NULL ? args->len : 1},
        .deadline_ns = now_ns + TEST_MS * NS_PER_MS,
    };
    prong_job *job = &w->job;
    struct wire_failure failure;
    prong_err code;
    if (!job_begin(job, worker_method_find(w, span_text(method)), &call, now_ns)) {
        code = PRONG_RESOURCE_EXHAUSTED;
    } else if (!worker_set_up(w)) {
        code = prong_job_fail(job, PRONG_FAILED_PRECONDITION, "setup failed");
    } else {
        code = job_run(job);
    }
    job->open = false;
    struct buf *written_to;
    const bool is_error = write_outcome(job, code, &written_to);
    const struct span outcome = buf_span(written_to);
    give_away(job, is_error);
    if (is_error) {
        prong_writer_reset(job->result);
    }
    if (out != NULL) {
        prong_writer_reset(out);
    }
    if (!is_error || !record_failure(outcome, &failure)) {
        if (out != NULL) {
            prong_writer_raw(out, &(prong_value){outcome.data, outcome.len});
        }
        return is_error ? PRONG_RESOURCE_EXHAUSTED : PRONG_OK;
    }
    if (out != NULL) {
        prong_writer_map(out, 2);
        prong_writer_key(out, "message");
        prong_writer_text(out, (const char *)failure.message.data, failure.message.len);
        prong_writer_key(out, "details");
        prong_writer_raw(out, &(prong_value){failure.details.data, failure.details.len});
    }
    return (prong_err)failure.code;
}

bool
prong_worker_test_item(const prong_worker *w, uint32_t index, prong_value *item)
{
    struct span rest = buf_span(&w->job.yielded), object;
    bool found = mp_skip(&rest, &object);
    while (found && index-- > 0) {
        found = mp_skip(&rest, &object);
    }
    if (found) {
        *item = (prong_value){object.data, object.len};
    }
    return found;
}
