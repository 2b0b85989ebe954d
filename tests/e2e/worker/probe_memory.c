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

prong_err
probe_buffer(prong_job *job, const prong_value *args, void *context)
{
    struct probe_memory *m = context;
    prong_buffer *b = NULL;
    char why[200];
    prong_err err = PRONG_OK;
    (void)args;
    if (m->memory == NULL) {
        err = prong_memory_open(getenv("PRONG_URL"), 0, &m->memory, why, sizeof why);
    }
    if (err == PRONG_OK) {
        err = prong_buffer_new(m->memory, 10000, NULL, &b);
    }
    if (err == PRONG_OK) {
        memset(b->data, 7, b->bytes);
        prong_writer_buffer(prong_job_result(job), b);
        prong_buffer_free(b);
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
