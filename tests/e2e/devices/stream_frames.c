/* stream_frames URL STREAM latest|lossless COUNT: read so many frames of a stream and print one
 * line of JSON for each, with the number that the picture itself shows (shows_video.c; ramp_frames
 * is the same with shows_ramp.c). The stream may come later.
 *
 * stream_frames URL --readers STREAM: print how many readers it has. */
#include "tests/e2e/devices/stream_frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_TIMEOUT_MS = 3600 * 1000 };

/* The pixel in the middle, as a number for each channel. */
static void
print_middle(const prong_frame *f)
{
    const uint64_t channels = f->dims == 3 ? f->shape[2] : 1;
    const uint8_t *at =
        (const uint8_t *)f->data + (f->shape[0] / 2 * f->shape[1] + f->shape[1] / 2) * channels;
    for (uint64_t i = 0; i < channels; i++) {
        printf("%s%d", i == 0 ? "[" : ", ", at[i]);
    }
    printf("]");
}

static void
print_frame(const prong_frame *f)
{
    char *meta = NULL;
    printf("{\"number\": %" PRIu64 ", \"missed\": %" PRIu64 ", \"generation\": %" PRIu64
           ", \"mono_ns\": %" PRId64 ", \"time_us\": %" PRId64
           ", \"dtype\": \"%s\", \"bytes\": %zu",
           f->number, f->missed, f->generation, f->mono_ns, f->time_us, f->dtype, f->bytes);
    for (uint32_t i = 0; i < f->dims; i++) {
        printf("%s%" PRIu64, i == 0 ? ", \"shape\": [" : ", ", f->shape[i]);
    }
    if (f->meta.len != 0 && prong_value_to_json(&f->meta, 0, &meta) == PRONG_OK) {
        printf("], \"meta\": %s", meta);
        prong_free(meta);
    } else {
        printf("], \"meta\": null");
    }
    printf(", \"middle\": ");
    print_middle(f);
    printf(", \"shows\": %d}\n", stream_shows(f));
}

static int
print_readers(const char *url, const char *name)
{
    char why[256] = "";
    prong_stream_info *infos = NULL;
    size_t count = 0;
    uint32_t readers = 0;
    if (prong_stream_list(url, &infos, &count, why, sizeof why) != PRONG_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        readers += infos[i].is_reader && strcmp(infos[i].name, name) == 0;
    }
    prong_free(infos);
    printf("%u\n", readers);
    return 0;
}

int
main(int argc, char **argv)
{
    char why[256] = "";
    prong_reader *reader = NULL;
    if (argc == 4 && strcmp(argv[2], "--readers") == 0) {
        return print_readers(argv[1], argv[3]);
    }
    if (argc != 5) {
        fputs("usage: stream_frames URL STREAM latest|lossless COUNT\n", stderr);
        return 64;
    }
    const prong_reader_options options = {
        .size_bytes = sizeof options,
        .policy = strcmp(argv[3], "lossless") == 0 ? PRONG_LOSSLESS : PRONG_LATEST,
        .timeout_ms = STREAM_TIMEOUT_MS,
    };
    if (prong_stream_open(argv[1], argv[2], &options, &reader, why, sizeof why) != PRONG_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    for (long left = strtol(argv[4], NULL, 10); left > 0; left--) {
        const prong_frame *frame = NULL;
        const prong_err err = prong_reader_next(reader, PRONG_FOREVER, &frame);
        if (err != PRONG_OK) {
            fprintf(stderr, "%s: %s\n", prong_err_name(err), prong_reader_error_text(reader));
            return 1;
        }
        print_frame(frame);
        prong_frame_release(frame);
        if (fflush(stdout) != 0) {
            return 1;
        }
    }
    prong_reader_free(reader);
    return 0;
}
