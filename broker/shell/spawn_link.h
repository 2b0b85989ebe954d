/* The broker's end of the pair to the spawner: records out, queued when the socket is full, records
 * in. Runs on the loop thread. */
#ifndef PRONG_SHELL_SPAWN_LINK_H
#define PRONG_SHELL_SPAWN_LINK_H

#include "broker/spawn/records.h"
#include "proto/buf.h"
#include "proto/link/source.h"

struct spawn_link {
    struct source source;
    int epoll_fd, fd;
    bool wants_write;
    struct buf queue; /* records with their texts, one after another */
    void *context;
    /* A record from the spawner; `fd` is owned by whoever takes it, -1 for none. */
    void (*record)(void *context, const struct spawn_record *record, int fd);
    /* The spawner is gone: nothing is left to do. */
    void (*gone)(void *context);
};

/* `link` has context, record and gone set. false with errno set. */
bool spawn_link_open(struct spawn_link *link, int epoll_fd, int fd);
/* Send a record, now or when there is room; `text` is copied. */
void spawn_link_send(struct spawn_link *link, const struct spawn_record *record, const char *text);
/* Wait until everything queued is sent, a second at most. For the end of the program. */
void spawn_link_flush(struct spawn_link *link);
void spawn_link_close(struct spawn_link *link);

#endif
