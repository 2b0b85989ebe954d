/* A device of one's own: a line camera. The native side reads it, row by row, into frames in shared
 * memory; what is to be done with them others say, in Python (inspector.py).
 *
 * camera DEVICE: a file that gives rows of 512 bytes: a driver's, a pipe, or /dev/urandom. */
#include <prong/stream.h>
#include <prong/worker.h>

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { COLUMNS = 512, ROWS = 64 };

struct camera {
    const char *device;
    prong_stream *stream;
    _Atomic uint64_t frames; /* counted by the thread that grabs */
};

/* The next row, to its end; false when there is no more, or the worker ends. */
static bool
read_row(prong_worker *worker, int fd, uint8_t *row)
{
    struct pollfd wait[] = {{.fd = fd, .events = POLLIN},
                            {.fd = prong_worker_stop_fd(worker), .events = POLLIN}};
    for (size_t have = 0; have < COLUMNS;) {
        if (poll(wait, 2, -1) < 0 || wait[1].revents != 0) {
            return false;
        }
        const ssize_t got = read(fd, row + have, COLUMNS - have);
        if (got <= 0) {
            return false;
        }
        have += (size_t)got;
    }
    return true;
}

/* In a thread of its own, beside the calls. */
static void
grab(prong_worker *worker, void *context)
{
    static const uint64_t shape[] = {ROWS, COLUMNS};
    static const prong_frame_info info = {.dims = 2, .shape = shape};
    struct camera *camera = context;
    const int fd = open(camera->device, O_RDONLY);
    bool goes_on = fd >= 0;
    while (goes_on) {
        void *rows; /* filled in place: nobody copies it */
        if (prong_stream_reserve(camera->stream, ROWS * COLUMNS, &rows) != PRONG_OK) {
            fprintf(stderr, "%s\n", prong_stream_error_text(camera->stream));
            break;
        }
        for (int i = 0; i < ROWS && goes_on; i++) {
            goes_on = read_row(worker, fd, (uint8_t *)rows + i * COLUMNS);
        }
        if (goes_on && prong_stream_commit(camera->stream, &info, NULL) != PRONG_OK) {
            fprintf(stderr, "%s\n", prong_stream_error_text(camera->stream));
            goes_on = false;
        }
        camera->frames += goes_on;
    }
    if (fd < 0) {
        perror(camera->device);
        prong_worker_stop(worker, 1);
    } else {
        (void)close(fd);
    }
}

static prong_err
setup(prong_worker *worker, void *context)
{
    struct camera *camera = context;
    const prong_stream_options options = {.size_bytes = sizeof options,
                                          .slot_bytes = ROWS * COLUMNS};
    char why[256];
    (void)worker;
    const prong_err err = prong_stream_create(getenv("PRONG_URL"), "lines", &options,
                                              &camera->stream, why, sizeof why);
    if (err != PRONG_OK) {
        fprintf(stderr, "%s\n", why);
    }
    return err;
}

static void
teardown(prong_worker *worker, void *context)
{
    struct camera *camera = context;
    (void)worker;
    prong_stream_free(camera->stream);
}

static prong_err
frames(prong_job *job, const prong_value *args, void *context)
{
    const struct camera *camera = context;
    (void)args;
    prong_writer_uint(prong_job_result(job), camera->frames);
    return PRONG_OK;
}

int
main(int argc, char *argv[])
{
    struct camera camera = {.device = argc > 1 ? argv[1] : "/dev/urandom"};
    const prong_method methods[] = {
        {"frames", frames, PRONG_IDEMPOTENT, "how many frames there were", &camera},
    };
    prong_worker *worker = prong_worker_new(methods, 1);
    prong_worker_setup(worker, setup, teardown, &camera);
    prong_worker_loop(worker, grab, &camera);
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}
