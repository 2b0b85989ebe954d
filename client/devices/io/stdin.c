/* kind stdin: what prong send sends to the device. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client/devices/io/kinds.h"
#include "client/devices/stream.h"

struct state {
    struct stream stream;
};

static void
finish(struct device *d, const char *why)
{
    struct state *s = d->state;
    device_watch(d, STDIN_FILENO, 0, NULL, NULL);
    stream_end(d, &s->stream);
    device_down(d, why, NULL);
}

static void
readable(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    (void)context;
    struct state *s = d->state;
    const char *why = stream_take(d, &s->stream, "the input has ended");
    if (why != NULL) {
        finish(d, why);
    }
}

static prong_err
start(struct device *d)
{
    struct state *s = d->state;
    const int flags = fcntl(STDIN_FILENO, F_GETFL);
    s->stream.fd = STDIN_FILENO;
    s->stream.framing = stream_framing(&d->options);
    if (flags < 0 || fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK) != 0) {
        device_log(d, 3, "there is no input: %s", strerror(errno));
        return PRONG_FAILED_PRECONDITION;
    }
    device_watch(d, STDIN_FILENO, DEVICE_READ, readable, NULL);
    device_up(d, NULL);
    return PRONG_OK;
}

static void
stop(struct device *d)
{
    struct state *s = d->state;
    device_watch(d, STDIN_FILENO, 0, NULL, NULL);
    stream_end(d, &s->stream);
}

const struct device_kind_ops io_stdin = {
    .kind = "stdin",
    .state_size = sizeof(struct state),
    .start = start,
    .stop = stop,
};
