/* A descriptor whose bytes are frames: see stream.h. */
#include "client/devices/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READS_MAX = 16 };

struct framing
stream_framing(const struct options *options)
{
    struct framing f = {
        .mode = (enum framing_mode)options_number(options, "framing"),
        .length_bytes = (size_t)1 << options_number(options, "length_bytes"), /* 1, 2, 4 */
        .is_little = options_number(options, "byte_order") == 1,
        .bytes_max = (size_t)options_number(options, "max_bytes"),
        .delimiter = "\n",
        .delimiter_len = 1,
    };
    const char *delimiter = options_text(options, "delimiter");
    if (f.mode == FRAMING_DELIMITER && delimiter != NULL) {
        f.delimiter_len = strlen(delimiter);
        memcpy(f.delimiter, delimiter, f.delimiter_len); /* the table has its length */
    }
    return f;
}

static const char *
peer_of(const struct stream *stream)
{
    return stream->peer[0] != '\0' ? stream->peer : NULL;
}

/* Whether all that was read has been told. */
static bool
tell(struct device *d, struct stream *stream)
{
    struct frame frame;
    while (device_is_open(d)) {
        switch (framing_next(&stream->framing, &frame)) {
        case FRAMING_MORE:
            return true;
        case FRAMING_FRAME:
            device_frame(d, &stream->stamp, frame.data, frame.len, peer_of(stream));
            break;
        case FRAMING_MALFORMED:
            device_malformed(d, &stream->stamp, frame.why, peer_of(stream));
            break;
        }
    }
    return false;
}

enum stream_state
stream_read(struct device *d, struct stream *stream)
{
    for (int i = 0; i < READS_MAX && tell(d, stream); i++) {
        uint8_t *room = framing_room(&stream->framing);
        if (room == NULL) {
            errno = ENOMEM;
            return STREAM_ERROR;
        }
        const ssize_t n = read(stream->fd, room, FRAMING_READ_BYTES);
        if (n == 0) {
            return STREAM_END;
        }
        if (n < 0) {
            return errno == EAGAIN || errno == EINTR ? STREAM_OPEN : STREAM_ERROR;
        }
        stream->stamp = stamp_now();
        d->count.bytes += (uint64_t)n;
        framing_fed(&stream->framing, (size_t)n);
    }
    (void)tell(d, stream); /* what is left is told when the gate opens, or with the next read */
    return STREAM_OPEN;
}

const char *
stream_take(struct device *d, struct stream *stream, const char *at_end)
{
    switch (stream_read(d, stream)) {
    case STREAM_OPEN:
        return NULL;
    case STREAM_END:
        return at_end;
    case STREAM_ERROR:
        break;
    }
    return strerror(errno);
}

void
stream_end(struct device *d, struct stream *stream)
{
    struct frame frame;
    if (framing_end(&stream->framing, &frame) == FRAMING_MALFORMED) {
        device_malformed(d, &stream->stamp, frame.why, peer_of(stream));
    }
    framing_deinit(&stream->framing);
}

void
stream_close(struct device *d, struct stream *stream)
{
    stream_end(d, stream);
    if (stream->fd >= 0) {
        device_watch(d, stream->fd, 0, NULL, NULL);
        (void)close(stream->fd); /* what was written is the system's; there is nothing to tell */
        stream->fd = -1;
    }
}

prong_err
stream_send(struct device *d, prong_job *job, const struct stream *stream,
            const struct device_bytes *bytes)
{
    char why[DEVICE_WHY_BYTES_MAX];
    int error = 0;
    const size_t sent = device_write(job, stream->fd, bytes, &error);
    d->count.sent_bytes += sent;
    if (error != 0) {
        (void)snprintf(why, sizeof why, "%s after %zu of %zu bytes", strerror(error), sent,
                       device_bytes_len(bytes));
        return prong_job_fail(job, PRONG_UNAVAILABLE, why);
    }
    prong_writer *out = prong_job_result(job);
    prong_writer_map(out, 1);
    prong_writer_key(out, stream->peer[0] != '\0' ? stream->peer : "bytes");
    prong_writer_uint(out, sent);
    return PRONG_OK;
}
