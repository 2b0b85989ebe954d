/* A writer of a stream for the tests of the command line: stream_writer URL NAME SLOTS FORMAT
 * PATIENCE_MS.
 *
 * Reads lines from stdin: "shape 4,6,3" and "dtype <f4" say what frames will be, a number writes so
 * many, "close" ends the stream, "fork" leaves a child that has all it has, and ends with stdin.
 * "ok N" is answered when it is done and N were written in all. Byte i of the n-th frame is
 * 7 n + i. */
#include <prong/stream.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct writer {
    prong_stream *stream;
    uint64_t shape[PRONG_FRAME_DIMS_MAX];
    uint32_t dims;
    char dtype[9];
    prong_value meta;
    uint64_t written;
};

static int
write_one(struct writer *w)
{
    size_t bytes = strtoul(w->dtype + 2, NULL, 10);
    void *data = NULL;
    const prong_frame_info info = {
        .dtype = w->dtype, .dims = w->dims, .shape = w->shape, .meta = w->meta};
    for (uint32_t i = 0; i < w->dims; i++) {
        bytes *= w->shape[i];
    }
    prong_err err = prong_stream_reserve(w->stream, bytes, &data);
    for (size_t i = 0; err == PRONG_OK && i < bytes; i++) {
        ((uint8_t *)data)[i] = (uint8_t)((w->written + 1) * 7 + i);
    }
    err = err == PRONG_OK ? prong_stream_commit(w->stream, &info, NULL) : err;
    if (err != PRONG_OK) {
        fprintf(stderr, "writing: %s\n", prong_stream_error_text(w->stream));
        return 1;
    }
    w->written++;
    return 0;
}

static void
leave_child(void)
{
    char byte;
    if (fork() == 0) {
        while (read(STDIN_FILENO, &byte, 1) == 1) {
        }
        _exit(0);
    }
}

static int
obey(struct writer *w, char *line)
{
    int code = 0;
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "shape ", 6) == 0) {
        w->dims = 0;
        for (char *p = line + 5; *p != '\0' && w->dims < PRONG_FRAME_DIMS_MAX;) {
            w->shape[w->dims++] = strtoul(p + 1, &p, 10);
        }
    } else if (strncmp(line, "dtype ", 6) == 0) {
        (void)snprintf(w->dtype, sizeof w->dtype, "%.8s", line + 6);
    } else if (strcmp(line, "close") == 0) {
        prong_stream_free(w->stream);
        w->stream = NULL;
    } else if (strcmp(line, "fork") == 0) {
        leave_child();
    } else {
        for (unsigned long n = strtoul(line, NULL, 10); n > 0 && code == 0; n--) {
            code = write_one(w);
        }
    }
    printf("ok %llu\n", (unsigned long long)w->written);
    (void)fflush(stdout);
    return code;
}

int
main(int argc, char *argv[])
{
    struct writer w = {.shape = {4, 6, 3}, .dims = 3, .dtype = "|u1"};
    char why[300] = "", line[200];
    prong_writer *meta = prong_writer_new();
    int code = 0;
    if (argc < 6 || meta == NULL) {
        return 2;
    }
    prong_writer_map(meta, 1);
    prong_writer_key(meta, "format");
    prong_writer_string(meta, argv[4]);
    code = prong_writer_finish(meta, &w.meta) != PRONG_OK;
    const prong_stream_options o = {.size_bytes = sizeof o,
                                    .slot_bytes = 4096,
                                    .slots = (uint32_t)strtoul(argv[3], NULL, 10),
                                    .patience_ms = (int32_t)strtol(argv[5], NULL, 10)};
    if (prong_stream_create(argv[1], argv[2], &o, &w.stream, why, sizeof why) != PRONG_OK) {
        fprintf(stderr, "creating: %s\n", why);
        code = 1;
    } else {
        printf("ok 0\n");
        (void)fflush(stdout);
    }
    while (code == 0 && fgets(line, sizeof line, stdin) != NULL) {
        code = obey(&w, line);
    }
    prong_stream_free(w.stream);
    prong_writer_free(meta);
    return code;
}
