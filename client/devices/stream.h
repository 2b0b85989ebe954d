/* A descriptor whose bytes are frames: sockets, ports, pipes, files. */
#ifndef PRONG_DEVICES_STREAM_H
#define PRONG_DEVICES_STREAM_H

#include "client/devices/device.h"
#include "client/devices/framing.h"

struct stream {
    int fd;                           /* -1: none; must not block */
    char peer[DEVICE_PEER_BYTES_MAX]; /* "": events have no peer */
    struct framing framing;
    struct stamp stamp; /* of what was read last */
};

enum stream_state {
    STREAM_OPEN,
    STREAM_END,   /* the other side has closed, and all was told */
    STREAM_ERROR, /* errno says why */
};

/* The framing that the options say. */
struct framing stream_framing(const struct options *options);
/* Tell the frames that were read, then read more as long as there is something and the gate is
 * open, up to a megabyte at a time so that others have their turn. */
enum stream_state stream_read(struct device *d, struct stream *stream);
/* The same for those who only ask whether it goes on: NULL when it does; `at_end` when the other
 * side has closed; else what the error is. */
const char *stream_take(struct device *d, struct stream *stream, const char *at_end);
/* Write a frame and the job's result, {peer: bytes}, or {"bytes": bytes} where there is no peer; or
 * fail the job. */
prong_err stream_send(struct device *d, prong_job *job, const struct stream *stream,
                      const struct device_bytes *bytes);
/* The end of the bytes: what is cut off is malformed. Forgets all of it. */
void stream_end(struct device *d, struct stream *stream);
/* The same, and wait for the descriptor no longer and close it, when there is one. */
void stream_close(struct device *d, struct stream *stream);

#endif
