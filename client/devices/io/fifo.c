/* kind fifo: a named pipe, read or written. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/devices/io/kinds.h"
#include "client/devices/stream.h"

struct state {
    struct retry retry;
    struct stream stream; /* its descriptor is -1 while it is not open */
};

static bool
is_writer(const struct device *d)
{
    return strcmp(options_text(&d->options, "direction"), "write") == 0;
}

static void
close_pipe(struct device *d)
{
    struct state *s = d->state;
    stream_close(d, &s->stream);
    stream_end(d, &s->stream);
}

static void
lose(struct device *d, const char *why)
{
    struct state *s = d->state;
    close_pipe(d);
    retry_later(d, &s->retry, why);
}

static void
readable(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    (void)context;
    struct state *s = d->state;
    const char *why = stream_take(d, &s->stream, NULL); /* it has no end: see open_pipe */
    if (why != NULL) {
        lose(d, why);
    }
}

/* The descriptor of a pipe, made if it may be; else -1 with `why`. A reader holds the writing end
 * as well, so that the pipe does not end when one of those who write has gone. */
static int
open_pipe(const struct device *d, const char **why)
{
    const char *path = options_text(&d->options, "path");
    struct stat status;
    if (options_number(&d->options, "create") == 1 && mkfifo(path, 0600) != 0 && errno != EEXIST) {
        *why = strerror(errno);
        return -1;
    }
    const int fd = open(path, (is_writer(d) ? O_WRONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        *why = errno == ENXIO ? "nobody reads the pipe" : strerror(errno);
        return -1;
    }
    if (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode)) {
        (void)close(fd);
        *why = "not a pipe";
        return -1;
    }
    return fd;
}

static void
attempt(struct device *d)
{
    struct state *s = d->state;
    const char *why = "";
    s->stream.fd = open_pipe(d, &why);
    if (s->stream.fd < 0) {
        retry_later(d, &s->retry, why);
        return;
    }
    retry_done(d, &s->retry);
    if (!is_writer(d)) {
        device_watch(d, s->stream.fd, DEVICE_READ, readable, NULL);
    }
    device_up(d, NULL);
}

static prong_err
start(struct device *d)
{
    struct state *s = d->state;
    s->stream.fd = -1;
    s->stream.framing = stream_framing(&d->options);
    return retry_start(d, &s->retry, attempt) ? PRONG_OK : PRONG_RESOURCE_EXHAUSTED;
}

static void
stop(struct device *d)
{
    struct state *s = d->state;
    retry_stop(d, &s->retry);
    close_pipe(d);
}

static prong_err
send_to(struct device *d, prong_job *job, const struct device_bytes *bytes, const char *to)
{
    struct state *s = d->state;
    if (to != NULL) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "a pipe has no peers");
    }
    if (!is_writer(d)) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION,
                              "the device reads the pipe: direction: write makes one that writes");
    }
    /* Who read may have gone without anything having told so. */
    struct pollfd p = {.fd = s->stream.fd};
    if (s->stream.fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0) {
        close_pipe(d);
        attempt(d);
    }
    if (s->stream.fd < 0) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "nobody reads the pipe");
    }
    const prong_err code = stream_send(d, job, &s->stream, bytes);
    if (code != PRONG_OK) {
        lose(d, "a frame could not be written whole");
    }
    return code;
}

const struct device_kind_ops io_fifo = {
    .kind = "fifo",
    .state_size = sizeof(struct state),
    .start = start,
    .stop = stop,
    .send = send_to,
};
