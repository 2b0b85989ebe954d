/* What workers read: see input.h. */
#include "broker/shell/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct writer {
    struct source source;
    struct writer *next;
    struct input *input;
    uint64_t process;
    int fd; /* -1: closed, to be freed at the turn's end */
    bool ends;
    struct buf queue;
};

struct input {
    struct input_options options;
    struct writer *writers;
    bool has_closed;
};

struct input *
input_new(const struct input_options *options)
{
    struct input *in = calloc(1, sizeof *in);
    if (in != NULL) {
        in->options = *options;
    }
    return in;
}

static struct writer *
find(const struct input *in, uint64_t process)
{
    struct writer *w = in->writers;
    while (w != NULL && (w->process != process || w->fd < 0)) {
        w = w->next;
    }
    return w;
}

static void
close_writer(struct writer *w)
{
    if (w->fd < 0) {
        return;
    }
    /* Closing alone would not take it out: the spawner holds the same open pipe. */
    (void)epoll_ctl(w->input->options.epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    (void)close(w->fd);
    w->fd = -1;
    buf_deinit(&w->queue);
    w->input->has_closed = true;
}

/* Room in the pipe is waited for only when there is something for it; that nobody reads any more is
 * told in any case. */
static void
watch(struct writer *w)
{
    const bool waits = w->queue.w > w->queue.r;
    struct epoll_event e = {.events = waits ? EPOLLOUT : 0u, .data.ptr = w};
    (void)epoll_ctl(w->input->options.epoll_fd, EPOLL_CTL_MOD, w->fd,
                    &e); /* a descriptor that is in cannot fail */
}

/* As much of what waits as the pipe takes. */
static void
flush(struct writer *w)
{
    while (w->queue.w > w->queue.r) {
        const struct span s = buf_span(&w->queue);
        const ssize_t n = write(w->fd, s.data, s.len);
        if (n > 0) {
            buf_skip(&w->queue, (size_t)n);
        } else if (n < 0 && errno == EAGAIN) {
            break;
        } else if (n < 0 && errno != EINTR) {
            close_writer(w);
            return;
        }
    }
    if (w->ends && w->queue.w == w->queue.r) {
        const uint64_t process = w->process;
        close_writer(w);
        w->input->options.ended(w->input->options.context, process);
        return;
    }
    watch(w);
}

static void
writer_ready(struct source *source, uint32_t events)
{
    struct writer *w = (struct writer *)source;
    if (w->fd < 0) {
        return; /* it was closed earlier in this turn */
    }
    if ((events & EPOLLERR) != 0) {
        close_writer(w); /* nobody can read from it any more */
    } else {
        flush(w);
    }
}

void
input_add(struct input *in, uint64_t process, int fd)
{
    struct writer *w = calloc(1, sizeof *w);
    if (w == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        free(w);
        (void)close(fd);
        return;
    }
    *w = (struct writer){
        .source = {writer_ready}, .input = in, .process = process, .fd = fd, .next = in->writers};
    in->writers = w;
    struct epoll_event e = {.events = 0, .data.ptr = w};
    if (epoll_ctl(in->options.epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
        close_writer(w);
    }
}

void
input_end(struct input *in, uint64_t process)
{
    struct writer *w = find(in, process);
    if (w != NULL) {
        close_writer(w);
    }
}

size_t
input_held(const struct input *in, uint64_t process)
{
    const struct writer *w = find(in, process);
    return w != NULL ? w->queue.w - w->queue.r : 0;
}

enum input_outcome
input_send(struct input *in, uint64_t process, struct span bytes, bool ends)
{
    struct writer *w = find(in, process);
    if (w == NULL || w->ends) {
        return INPUT_CLOSED;
    }
    flush(w); /* there may be room that was not told yet; and whether somebody reads */
    if (w->fd >= 0 && w->queue.w - w->queue.r + bytes.len > INPUT_BYTES_MAX) {
        return INPUT_FULL;
    }
    if (w->fd >= 0) {
        buf_put(&w->queue, bytes.data, bytes.len);
        if (w->queue.failed) {
            w->queue.failed = false; /* what was taken before is still there */
            return INPUT_FULL;
        }
        w->ends = ends;
        flush(w);
    }
    return w->fd < 0 && !w->ends ? INPUT_CLOSED : INPUT_TAKEN;
}

void
input_turn(struct input *in)
{
    if (!in->has_closed) {
        return;
    }
    for (struct writer **at = &in->writers; *at != NULL;) {
        struct writer *w = *at;
        if (w->fd < 0) {
            *at = w->next;
            free(w);
        } else {
            at = &w->next;
        }
    }
    in->has_closed = false;
}

void
input_free(struct input *in)
{
    if (in == NULL) {
        return;
    }
    for (struct writer *w = in->writers; w != NULL; w = w->next) {
        close_writer(w);
    }
    input_turn(in);
    free(in);
}
