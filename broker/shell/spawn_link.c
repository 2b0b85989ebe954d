/* The broker's end of the pair to the spawner: see spawn_link.h. */
#include "broker/shell/spawn_link.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

enum { RECORDS_PER_TURN = 256, FLUSH_MS = 1000 };

static void
want_write(struct spawn_link *l, bool wanted)
{
    if (l->wants_write == wanted) {
        return;
    }
    l->wants_write = wanted;
    struct epoll_event e = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0u), .data.ptr = &l->source};
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, l->fd,
                    &e); /* a descriptor that is in cannot fail */
}

static void
send_queued(struct spawn_link *l)
{
    while (l->queue.w > l->queue.r) {
        struct spawn_record r;
        const char *at = (const char *)l->queue.data + l->queue.r;
        memcpy(&r, at, sizeof r);
        const enum spawn_io io =
            spawn_record_send(l->fd, &r, r.text_bytes > 0 ? at + sizeof r : NULL, -1);
        if (io == SPAWN_IO_LATER || io == SPAWN_IO_NO_ROOM) {
            want_write(l, true);
            return;
        }
        buf_skip(&l->queue, sizeof r + r.text_bytes);
    }
    want_write(l, false);
}

static void
ready(struct source *source, uint32_t events)
{
    struct spawn_link *l = (struct spawn_link *)source;
    if ((events & EPOLLOUT) != 0) {
        send_queued(l);
    }
    for (int i = 0; i < RECORDS_PER_TURN; i++) {
        struct spawn_record r;
        int fd = -1;
        switch (spawn_record_receive(l->fd, &r, NULL, 0, &fd)) {
        case SPAWN_IO_DONE:
            l->record(l->context, &r, fd);
            break;
        case SPAWN_IO_CLOSED:
            l->gone(l->context);
            return;
        case SPAWN_IO_LATER:
        case SPAWN_IO_NO_ROOM:
            return;
        case SPAWN_IO_JUNK:
            break; /* both ends are one program: this cannot come, and is nothing to act on */
        }
    }
}

bool
spawn_link_open(struct spawn_link *l, int epoll_fd, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &l->source};
    l->source.ready = ready;
    l->epoll_fd = epoll_fd;
    l->fd = fd;
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

void
spawn_link_send(struct spawn_link *l, const struct spawn_record *r, const char *text)
{
    if (!buf_reserve(&l->queue, sizeof *r + r->text_bytes)) {
        l->gone(
            l->context); /* what it was to do is lost, so this broker is worth nothing any more */
        return;
    }
    buf_put(&l->queue, r, sizeof *r);
    buf_put(&l->queue, text, r->text_bytes);
    send_queued(l);
}

void
spawn_link_flush(struct spawn_link *l)
{
    while (l->queue.w > l->queue.r) {
        struct pollfd p = {.fd = l->fd, .events = POLLOUT};
        if (poll(&p, 1, FLUSH_MS) <= 0) {
            return;
        }
        send_queued(l);
    }
}

void
spawn_link_close(struct spawn_link *l)
{
    buf_deinit(&l->queue);
    /* The descriptor stays open to the very end of the process: the spawner kills a broker whose
     * end of the pair is closed, and then a stop in order would be cut short and told as a death.
     */
    l->fd = -1;
}
