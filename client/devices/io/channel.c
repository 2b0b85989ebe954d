/* A stream that is opened again: see channel.h. */
#include "client/devices/io/channel.h"

static void
readable(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    struct channel *c = context;
    const char *why = stream_take(d, &c->stream, c->at_end);
    if (why != NULL) {
        channel_lose(d, c, why);
    }
}

prong_err
channel_start(struct device *d, struct channel *c, const char *at_end,
              void (*attempt)(struct device *d))
{
    c->stream.fd = -1;
    c->stream.framing = stream_framing(&d->options);
    c->at_end = at_end;
    return retry_start(d, &c->retry, attempt) ? PRONG_OK : PRONG_RESOURCE_EXHAUSTED;
}

void
channel_is_open(struct device *d, struct channel *c, unsigned flags)
{
    retry_opened(d, &c->retry);
    c->is_open = true;
    device_watch(d, c->stream.fd, flags, readable, c);
    device_up(d, c->stream.peer[0] != '\0' ? c->stream.peer : NULL);
}

void
channel_lose(struct device *d, struct channel *c, const char *why)
{
    stream_close(d, &c->stream);
    c->is_open = false;
    retry_later(d, &c->retry, why);
}

void
channel_stop(struct device *d, struct channel *c)
{
    retry_stop(d, &c->retry);
    stream_close(d, &c->stream);
}
