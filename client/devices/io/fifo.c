/* kind fifo: a named pipe, read or written. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/devices/io/channel.h"
#include "client/devices/io/kinds.h"

static bool
is_writer(const struct device *d)
{
    return strcmp(options_text(&d->options, "direction"), "write") == 0;
}

/* The descriptor of a pipe, made if it may be; else -1 with `why`. A reader holds the writing end
 * as well, so that the pipe does not end when one of those who write has gone: so there is no end.
 */
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
    struct channel *c = d->state;
    const char *why = "";
    c->stream.fd = open_pipe(d, &why);
    if (c->stream.fd < 0) {
        retry_later(d, &c->retry, why);
        return;
    }
    channel_is_open(d, c, is_writer(d) ? 0 : DEVICE_READ);
}

static prong_err
start(struct device *d)
{
    return channel_start(d, d->state, NULL, attempt);
}

static void
stop(struct device *d)
{
    channel_stop(d, d->state);
}

static prong_err
send_to(struct device *d, prong_job *job, const struct device_bytes *bytes, const char *to)
{
    struct channel *c = d->state;
    if (to != NULL) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "a pipe has no peers");
    }
    if (!is_writer(d)) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION,
                              "the device reads the pipe: direction: write makes one that writes");
    }
    /* Who read may have gone without anything having told so. */
    struct pollfd p = {.fd = c->stream.fd};
    if (c->stream.fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0) {
        stream_close(d, &c->stream);
        attempt(d);
    }
    if (c->stream.fd < 0) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "nobody reads the pipe");
    }
    const prong_err code = stream_send(d, job, &c->stream, bytes);
    if (code != PRONG_OK) {
        channel_lose(d, c, "a frame could not be written whole");
    }
    return code;
}

const struct device_kind_ops io_fifo = {
    .kind = "fifo",
    .state_size = sizeof(struct channel),
    .start = start,
    .stop = stop,
    .send = send_to,
};
