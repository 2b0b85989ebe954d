/* One stream at a time, opened again when it was lost: what tcp-connect, serial and fifo are. */
#ifndef PRONG_DEVICES_IO_CHANNEL_H
#define PRONG_DEVICES_IO_CHANNEL_H

#include "client/devices/stream.h"

struct channel {
    struct retry retry;
    struct stream stream; /* its descriptor is -1 while it is not open */
    bool is_open;         /* and not only being opened */
    const char *at_end;   /* why it is lost when it ends; NULL for one that does not end */
};

/* `attempt` opens it, now and whenever it was lost: it calls channel_is_open, or retry_later. */
prong_err channel_start(struct device *d, struct channel *c, const char *at_end,
                        void (*attempt)(struct device *d));
/* It is open: `stream` has the descriptor and the peer. With DEVICE_READ its frames are told from
 * now on, with 0 it is only written. */
void channel_is_open(struct device *d, struct channel *c, unsigned flags);
/* It is closed, and opened again later. */
void channel_lose(struct device *d, struct channel *c, const char *why);
void channel_stop(struct device *d, struct channel *c);

#endif
