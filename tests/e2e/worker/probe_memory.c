/* See probe_memory.h. */
#include "tests/e2e/worker/probe_memory.h"

#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 30000 };

static prong_err
next_frame(prong_job *job, struct probe_memory *m, const prong_frame **frame)
{
    const prong_reader_options o = {.size_bytes = sizeof o, .hold = 2, .timeout_ms = WAIT_MS};
    char why[200];
    prong_err err = PRONG_OK;
    if (m->reader == NULL) {
        err = prong_stream_open(getenv("PRONG_URL"), "cam", &o, &m->reader, why, sizeof why);
        if (err != PRONG_OK) {
            return prong_job_fail(job, err, why);
        }
    }
    err = prong_reader_next(m->reader, WAIT_MS, frame);
    return err == PRONG_OK ? err : prong_job_fail(job, err, prong_reader_error_text(m->reader));
}

prong_err
probe_frame(prong_job *job, const prong_value *args, void *context)
{
    const prong_frame *frame;
    (void)args;
    const prong_err err = next_frame(job, context, &frame);
    if (err == PRONG_OK) {
        prong_writer_frame(prong_job_result(job), frame);
        prong_frame_release(frame);
    }
    return err;
}

prong_err
probe_frame_item(prong_job *job, const prong_value *args, void *context)
{
    const prong_frame *frame;
    (void)args;
    prong_err err = next_frame(job, context, &frame);
    if (err == PRONG_OK) {
        prong_writer_frame(prong_job_item(job), frame);
        prong_writer_uint(prong_job_result(job), frame->number);
        prong_frame_release(frame);
        err = prong_job_yield(job, NULL);
    }
    return err;
}

static prong_err
returns(prong_job *job, prong_buffer *b)
{
    prong_writer_buffer(prong_job_result(job), b);
    prong_buffer_free(b);
    return PRONG_OK;
}

static prong_err
fails(prong_job *job, prong_buffer *b)
{
    (void)returns(job, b);
    return prong_job_fail(job, PRONG_INTERNAL, "no");
}

static prong_err
fails_after_send(prong_job *job, prong_buffer *b)
{
    prong_writer_buffer(prong_job_result(job), b);
    prong_buffer_send(b, 2 * WAIT_MS);
    return prong_job_fail(job, PRONG_INTERNAL, "no");
}

static prong_err
fails_with_details(prong_job *job, prong_buffer *b)
{
    prong_writer_buffer(prong_job_details(job), b);
    prong_buffer_free(b);
    return prong_job_fail(job, PRONG_INTERNAL, "no");
}

static prong_err
yields_and_fails(prong_job *job, prong_buffer *b)
{
    prong_writer_buffer(prong_job_item(job), b);
    prong_buffer_free(b);
    (void)prong_job_yield(job, NULL);
    return prong_job_fail(job, PRONG_INTERNAL, "no");
}

static prong_err
does_not_yield(prong_job *job, prong_buffer *b)
{
    prong_writer_buffer(prong_job_item(job), b);
    prong_buffer_free(b);
    return PRONG_OK;
}

static prong_err
changes_its_mind(prong_job *job, prong_buffer *b)
{
    (void)returns(job, b);
    prong_writer_reset(prong_job_result(job));
    prong_writer_int(prong_job_result(job), 1);
    return PRONG_OK;
}

/* An array that is never complete. */
static prong_err
returns_half(prong_job *job, prong_buffer *b)
{
    prong_writer_array(prong_job_result(job), 2);
    return returns(job, b);
}

static prong_err
returns_too_late(prong_job *job, prong_buffer *b)
{
    (void)returns(job, b);
    while (!prong_job_is_cancelled(job)) {
        (void)prong_worker_pause(prong_job_worker(job), 1);
    }
    return PRONG_OK;
}

static const struct {
    const char *how;
    prong_err (*function)(prong_job *job, prong_buffer *b);
} ways[] = {
    {"returns", returns},
    {"fails", fails},
    {"fails_after_send", fails_after_send},
    {"fails_with_details", fails_with_details},
    {"yields_and_fails", yields_and_fails},
    {"does_not_yield", does_not_yield},
    {"changes_its_mind", changes_its_mind},
    {"returns_half", returns_half},
    {"returns_too_late", returns_too_late},
};

prong_err
probe_buffer(prong_job *job, const prong_value *args, void *context)
{
    struct probe_memory *m = context;
    prong_buffer *b = NULL;
    prong_value how;
    const char *name = ways[0].how;
    size_t len = strlen(name), i = 0;
    char why[200];
    prong_err err = PRONG_OK;
    if (prong_value_find(args, "how", &how)) {
        (void)prong_value_text(&how, &name, &len);
    }
    while (strlen(ways[i].how) != len || memcmp(ways[i].how, name, len) != 0) {
        if (++i == sizeof ways / sizeof ways[0]) {
            return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "no such way");
        }
    }
    if (m->memory == NULL) {
        err = prong_memory_open(getenv("PRONG_URL"), 0, &m->memory, why, sizeof why);
    }
    if (err == PRONG_OK) {
        err = prong_buffer_new(m->memory, 10000, NULL, &b);
    }
    if (err == PRONG_OK) {
        memset(b->data, 7, b->bytes);
        err = ways[i].function(job, b);
    }
    return err;
}

void
probe_memory_free(struct probe_memory *m)
{
    prong_reader_free(m->reader);
    prong_memory_free(m->memory);
    m->reader = NULL;
    m->memory = NULL;
}
