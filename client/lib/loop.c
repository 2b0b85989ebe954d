/* prong_fd: one descriptor that is readable whenever prong_dispatch has something to do.
 *
 * An epoll instance over the socket, a timer for deadlines and reconnects, and an eventfd for what
 * waits to be sent or told. It can be polled like any descriptor and outlives every connection. */
#include "client/lib/client.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static bool
watch(struct prong_client *c, int op, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    return epoll_ctl(c->epoll_fd, op, fd, &e) == 0;
}

static void
update_link(struct prong_client *c)
{
    if (c->link == NULL) {
        return;
    }
    const bool wants_write = link_client_wants_write(c->link);
    if (!c->link_in_epoll || wants_write != c->link_wants_write) {
        (void)watch(c, c->link_in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, link_client_fd(c->link),
                    EPOLLIN | (wants_write ? EPOLLOUT : 0)); /* fails only without kernel memory */
        c->link_in_epoll = true;
        c->link_wants_write = wants_write;
    }
}

void
loop_unlink(struct prong_client *c)
{
    if (c->link_in_epoll) {
        (void)watch(c, EPOLL_CTL_DEL, link_client_fd(c->link), 0); /* closing does the same */
        c->link_in_epoll = false;
    }
}

void
loop_update(struct prong_client *c)
{
    int64_t timer_ns = session_deadline_ns(c->session);
    if (c->link == NULL && !c->gone && c->retry_ns < timer_ns) {
        timer_ns = c->retry_ns;
    }
    if (timer_ns != c->timer_ns) {
        c->timer_ns = timer_ns;
        timer_ns = timer_ns == SESSION_NEVER ? 0 : timer_ns > 0 ? timer_ns : 1;
        const struct itimerspec at = {.it_value = {.tv_sec = timer_ns / (1000 * NS_PER_MS),
                                                   .tv_nsec = timer_ns % (1000 * NS_PER_MS)}};
        (void)timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &at,
                              NULL); /* its arguments are good */
    }
    const bool tell = session_wants_send(c->session) || c->notices != NULL || c->broken;
    if (tell != c->loop_told) {
        uint64_t count = 1;
        c->loop_told = tell;
        (void)!(tell ? write(c->loop_fd, &count, sizeof count)
                     : read(c->loop_fd, &count, sizeof count)); /* nonblocking, 0 or 1 */
    }
    update_link(c);
}

void
loop_close(struct prong_client *c)
{
    int *const fds[] = {&c->epoll_fd, &c->timer_fd, &c->loop_fd};
    for (size_t i = 0; i < 3; i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
        }
        *fds[i] = -1;
    }
}

int
prong_fd(prong_client *c)
{
    if (client_enter(c, false) != PRONG_OK) {
        return -1;
    }
    if (c->epoll_fd < 0) {
        c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        c->loop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        c->timer_ns = SESSION_NEVER;
        if (c->epoll_fd < 0 || c->timer_fd < 0 || c->loop_fd < 0 ||
            !watch(c, EPOLL_CTL_ADD, c->timer_fd, EPOLLIN) ||
            !watch(c, EPOLL_CTL_ADD, c->loop_fd, EPOLLIN)) {
            loop_close(c);
        }
    }
    const int fd = c->epoll_fd;
    client_leave(c);
    return fd;
}
