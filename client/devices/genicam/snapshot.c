/* The method snapshot of prong-genicam: the newest frame of its own stream, read as everybody
 * reads it, so that no copy is kept for it. */
#include "client/picture/picture.h"
#include "client/devices/genicam/kind.h"

#include <stdlib.h>
#include <string.h>

static prong_err
give_raw(prong_job *job, const prong_frame *frame)
{
    prong_value format;
    prong_writer *w = prong_job_result(job);
    prong_writer_map(w, 5);
    prong_writer_key(w, "number");
    prong_writer_uint(w, frame->number);
    prong_writer_key(w, "format");
    if (prong_value_find(&frame->meta, "format", &format)) {
        prong_writer_raw(w, &format);
    } else {
        prong_writer_nil(w);
    }
    prong_writer_key(w, "dtype");
    prong_writer_string(w, frame->dtype);
    prong_writer_key(w, "shape");
    prong_writer_array(w, frame->dims);
    for (uint32_t i = 0; i < frame->dims; i++) {
        prong_writer_uint(w, frame->shape[i]);
    }
    prong_writer_key(w, "data");
    prong_writer_bin(w, frame->data, frame->bytes);
    return PRONG_OK;
}

/* The format of a frame by the name in its map, which is not always one of a camera's. */
static const struct pixels_format *
format_of(const prong_frame *frame)
{
    prong_value value;
    const char *text = NULL;
    size_t len = 0;
    if (!prong_value_find(&frame->meta, "format", &value) ||
        !prong_value_text(&value, &text, &len)) {
        return NULL;
    }
    for (size_t i = 0; pixels_name(i) != NULL; i++) {
        const struct pixels_format *format = pixels_find_name(pixels_name(i));
        if (strlen(format->shown) == len && memcmp(format->shown, text, len) == 0) {
            return format;
        }
    }
    return NULL;
}

/* What is deeper than eight bits is shown by the upper eight. */
static prong_err
give_png(prong_job *job, const prong_frame *frame)
{
    static const enum picture_format by_channels[] = {
        [1] = PICTURE_GRAY, [3] = PICTURE_RGB, [4] = PICTURE_RGBA};
    const struct pixels_format *format = format_of(frame);
    if (format == NULL || frame->dims < 2 || frame->shape[0] > INT32_MAX ||
        frame->shape[1] > INT32_MAX ||
        frame->bytes !=
            pixels_bytes(format, (uint32_t)frame->shape[1], (uint32_t)frame->shape[0])) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION,
                              "the newest frame of the stream is another writer's");
    }
    struct picture picture = {by_channels[format->channels], (uint32_t)frame->shape[1],
                              (uint32_t)frame->shape[0], NULL, NULL};
    const size_t count = (size_t)picture.width * picture.height * format->channels;
    char why[PICTURE_WHY_BYTES] = "out of memory";
    char *png = NULL;
    size_t len = 0;
    uint8_t *pixels = malloc(count > 0 ? count : 1);
    FILE *out = pixels != NULL ? open_memstream(&png, &len) : NULL;
    bool is_good = out != NULL;
    if (is_good) {
        if (format->shown[0] == 'b' && format->channels >= 3) {
            picture.format = format->channels == 3 ? PICTURE_BGR : PICTURE_BGRA;
        }
        pixels_upper(format, frame->data, count, pixels);
        picture.pixels = pixels;
        is_good = picture_write_png(&picture, out, why);
        is_good = fclose(out) == 0 && is_good;
    }
    if (is_good) {
        prong_writer_bin(prong_job_result(job), png, len);
    }
    free(png);
    free(pixels);
    return is_good
               ? PRONG_OK
               : prong_job_fail(job, picture_has_png() ? PRONG_INTERNAL : PRONG_UNIMPLEMENTED, why);
}

prong_err
genicam_snapshot(prong_job *job, const prong_value *args, void *context)
{
    struct genicam *g = ((struct device *)context)->state;
    prong_reader *reader = NULL;
    const prong_frame *frame = NULL;
    char why[FEATURE_WHY_BYTES] = "";
    bool png;
    (void)args;
    if (!device_wants_png(job, &png)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "as is \"png\" or \"raw\"");
    }
    pthread_mutex_lock(&g->lock);
    const bool is_there = g->counts.frames > 0;
    pthread_mutex_unlock(&g->lock);
    if (!is_there) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "there was no frame yet");
    }
    prong_err code = prong_stream_open(g->url, g->stream_name, NULL, &reader, why, sizeof why);
    if (code != PRONG_OK) {
        return prong_job_fail(job, code, why);
    }
    /* The newest is there already, unless the writer is making it anew. */
    code = prong_reader_next(reader, prong_job_remaining_ms(job), &frame);
    if (code != PRONG_OK) {
        code = prong_job_fail(job, code, prong_reader_error_text(reader));
    } else {
        code = png ? give_png(job, frame) : give_raw(job, frame);
    }
    prong_frame_release(frame);
    prong_reader_free(reader);
    return code;
}
