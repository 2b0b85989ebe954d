/* The hub's side of shared memory: see lender.h. This file has the socket and its connections. */
#include "broker/shell/lender_inside.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    RECORDS_PER_TURN = 16,
    PEERS_SPARE = 64, /* that are told that there are too many */
    ACCEPT_AGAIN_NS = 100000000,
    SEND_BYTES = 1 << 20, /* all desks of a stream fit at once; the kernel may give less */
};

/* ---- sending ---------------------------------------------------------------------------------
 */

void
lender_fail(struct lend_peer *p)
{
    p->failed = true;
    p->lender->has_failed = true;
}

void
lender_send(struct lend_peer *p, struct lend_record *record, const int *fds, uint32_t count)
{
    record->version = LEND_VERSION;
    if (p->failed || p->is_cut || p->fd < 0) {
        return;
    }
    const enum pass_result sent = pass_send(p->fd, record, fds, count);
    if (sent != PASS_OK && p->role == LEND_ROLE_READER) {
        lender_cut(p); /* whatever the reason is: it may hold frames */
    } else if (sent != PASS_OK) {
        lender_fail(p);
    }
}

void
lender_cut(struct lend_peer *p)
{
    p->is_cut = true;
    if (shutdown(p->fd, SHUT_WR) != 0) {
        lender_fail(p); /* it is gone */
    }
}

void
lender_refuse(struct lend_peer *p, uint32_t code, const char *format, ...)
{
    struct lend_record record = {.op = LEND_REFUSED, .code = code};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(record.text, sizeof record.text, format, args);
    va_end(args);
    lender_send(p, &record, NULL, 0);
}

/* As many records of a list as there is room for; the rest when there is more. */
static void
send_list(struct lend_peer *p)
{
    struct lend_record record;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &p->source};
    while (p->list.is_on && !p->failed) {
        lender_list_next(p->lender, &p->list, &record);
        record.version = LEND_VERSION;
        const enum pass_result sent = pass_send(p->fd, &record, NULL, 0);
        if (sent == PASS_EMPTY) {
            e.events = EPOLLOUT; /* and nothing more is asked meanwhile */
            break;
        }
        p->list.place++;
        p->list.is_on = record.op != LEND_END;
        if (sent == PASS_GONE) {
            lender_fail(p);
        }
    }
    if (epoll_ctl(p->lender->options.epoll_fd, EPOLL_CTL_MOD, p->fd, &e) != 0) {
        lender_fail(p);
    }
}

/* ---- the end of a connection -----------------------------------------------------------------
 */

/* What a writer said last may not have been read: an answer that it did not wait for comes back as
 * an error before that, and its end may be found by somebody who wants its place. */
static void
hear_last_words(struct lend_peer *p)
{
    struct lend_record record;
    int fds[LEND_FDS_MAX];
    for (int errors = 0, i = 0; errors < 2 && i < RECORDS_PER_TURN; i++) {
        const enum pass_result got = pass_receive(p->fd, &record, fds);
        if (got == PASS_OK) {
            pass_close(fds, record.fds);
            p->is_leaving |= record.op == LEND_LEAVE;
        }
        errors += got == PASS_EMPTY ? 2 : got == PASS_GONE;
    }
}

static void
end(struct lend_peer *p)
{
    struct lender *l = p->lender;
    struct pollfd look = {.fd = p->fd};
    p->has_left = poll(&look, 1, 0) == 1 && (look.revents & POLLHUP) != 0;
    if (p->role == LEND_ROLE_WRITER) {
        hear_last_words(p);
        lender_tell_stopped(p);
    }
    (void)close(p->fd);
    p->fd = -1;
    lender_death_forget(p);
    l->has_ended = true;
    l->peer_count--;
    switch (p->role) {
    case LEND_ROLE_WRITER:
        lender_writer_left(p);
        break;
    case LEND_ROLE_READER:
        lender_reader_left(p);
        break;
    case LEND_ROLE_HOLDER:
        lender_holder_left(p);
        break;
    case LEND_ROLE_NONE:
        break;
    }
    free(p->holds); /* also when it was refused a first buffer */
    p->holds = NULL;
}

void
lender_settle(struct lender *l)
{
    while (l->has_failed) { /* telling others of an end may end others */
        l->has_failed = false;
        for (struct lend_peer *p = l->peers; p != NULL; p = p->next) {
            if (p->failed && p->fd >= 0) {
                end(p);
            }
        }
    }
}

static void
free_ended(struct lender *l)
{
    for (struct lend_peer **at = &l->peers; *at != NULL;) {
        struct lend_peer *p = *at;
        if (p->fd < 0) {
            *at = p->next;
            free(p);
        } else {
            at = &p->next;
        }
    }
    l->has_ended = false;
}

/* ---- requests --------------------------------------------------------------------------------
 */

static const struct request {
    void (*serve)(struct lend_peer *p, const struct lend_record *ask);
    unsigned roles; /* that may ask for it */
} requests[] = {
    [LEND_CREATE] = {lender_create, LEND_ROLE_NONE | LEND_ROLE_WRITER},
    [LEND_OPEN] = {lender_open, LEND_ROLE_NONE},
    [LEND_LIST] = {lender_list, LEND_ROLE_NONE},
    [LEND_NEW] = {lender_buffer_new, LEND_ROLE_NONE | LEND_ROLE_HOLDER},
    [LEND_TAKE] = {lender_buffer_take, LEND_ROLE_NONE | LEND_ROLE_HOLDER},
    [LEND_GIVE] = {lender_buffer_give, LEND_ROLE_NONE | LEND_ROLE_HOLDER},
    [LEND_LEAVE] = {lender_leave, LEND_ROLE_WRITER},
};

static void
serve(struct lend_peer *p, const struct lend_record *ask)
{
    const size_t op = ask->op;
    if (op >= sizeof requests / sizeof requests[0] || requests[op].serve == NULL ||
        (requests[op].roles & (unsigned)p->role) == 0) {
        lender_fail(p);
    } else if (p->is_spare) {
        lender_refuse(p, WIRE_ERR_RESOURCE_EXHAUSTED,
                      "%d connections to the hub's memory are all there can be", LEND_PEERS_MAX);
        lender_fail(p);
    } else {
        requests[op].serve(p, ask);
    }
}

void
lender_hear(struct lend_peer *p)
{
    struct lend_record ask;
    int fds[LEND_FDS_MAX];
    for (int i = 0; i < RECORDS_PER_TURN && p->fd >= 0 && !p->failed && !p->list.is_on; i++) {
        const enum pass_result got = pass_receive(p->fd, &ask, fds);
        if (got == PASS_GONE || (got == PASS_EMPTY && p->is_orphan)) {
            lender_fail(p);
        }
        if (got != PASS_OK) {
            break;
        }
        pass_close(fds, ask.fds); /* nobody has a descriptor for the hub */
        serve(p, &ask);
        if (p->list.is_on) {
            send_list(p);
        }
    }
    if (p->is_orphan && p->list.is_on) {
        lender_fail(p); /* nobody reads it */
    }
    lender_settle(p->lender);
}

static void
peer_ready(struct source *source, uint32_t events)
{
    struct lend_peer *p = (struct lend_peer *)source;
    (void)events; /* what there is to do shows when it is done */
    if (p->fd >= 0 && p->list.is_on) {
        send_list(p);
    }
    lender_hear(p);
}

/* ---- the socket ------------------------------------------------------------------------------
 */

static void
add_peer(struct lender *l, int fd)
{
    struct lend_peer *p =
        l->peer_count < LEND_PEERS_MAX + PEERS_SPARE ? calloc(1, sizeof *p) : NULL;
    struct ucred who = {0};
    socklen_t len = sizeof who;
    const int bytes = SEND_BYTES;
    if (p == NULL) {
        (void)close(fd);
        return;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &p->source};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 ||
        epoll_ctl(l->options.epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
        (void)close(fd);
        free(p);
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes); /* only a wish */
    *p = (struct lend_peer){.source = {peer_ready},
                            .next = l->peers,
                            .lender = l,
                            .fd = fd,
                            .pid = who.pid,
                            .uid = who.uid,
                            .role = LEND_ROLE_NONE,
                            .is_spare = l->peer_count >= LEND_PEERS_MAX};
    l->peers = p;
    l->peer_count++;
    lender_death_watch(p);
}

int64_t
lender_deadline_ns(const struct lender *l, int64_t now_ns)
{
    return l->accept_due ? now_ns + ACCEPT_AGAIN_NS : HUB_NEVER;
}

/* Until nobody waits. The listener is told of by edges: when descriptors are out, it would
 * otherwise be ready again at once, for ever; so it is tried again in each turn, and after a while
 * in any case: it may be others who have them all. */
static void
accept_peers(struct lender *l)
{
    for (;;) {
        const int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            add_peer(l, fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            l->accept_due = errno != EAGAIN;
            return;
        }
    }
}

static void
listener_ready(struct source *source, uint32_t events)
{
    (void)events;
    accept_peers((struct lender *)source);
}

static bool
listen_at(struct lender *l, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = &l->source};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    (void)unlink(path); /* of an earlier broker; when it cannot be removed bind says so */
    l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return l->fd >= 0 && bind(l->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
           chmod(path, 0600) == 0 && listen(l->fd, SOMAXCONN) == 0 &&
           epoll_ctl(l->options.epoll_fd, EPOLL_CTL_ADD, l->fd, &e) == 0;
}

struct lender *
lender_new(const struct lender_options *options)
{
    struct lender *l = calloc(1, sizeof *l);
    if (l == NULL) {
        log_write(options->log, LOG_ERROR, "out of memory");
        return NULL;
    }
    l->options = *options;
    l->source.ready = listener_ready;
    l->budget.bytes_max = options->memory_bytes_max;
    l->fd = l->timer.fd = l->look.fd = -1;
    if (!lender_watch_init(l)) {
        log_write(options->log, LOG_ERROR, "out of memory");
        lender_free(l);
        return NULL;
    }
    if (!listen_at(l, options->path)) {
        log_write(options->log, LOG_ERROR, "cannot listen on %s: %s", options->path,
                  strerror(errno));
        lender_free(l);
        return NULL;
    }
    return l;
}

void
lender_free(struct lender *l)
{
    if (l == NULL) {
        return;
    }
    l->options.tell = NULL; /* it is the end of the hub, not theirs */
    for (struct lend_peer *p = l->peers; p != NULL; p = p->next) {
        lender_fail(p); /* those who are told of the end of others are not told */
    }
    lender_settle(l);
    free_ended(l);
    lender_buffers_deinit(l);
    lender_watch_deinit(l);
    if (l->fd >= 0) {
        (void)close(l->fd);
        (void)unlink(l->options.path);
    }
    free(l);
}

void
lender_turn(struct lender *l)
{
    if (l->has_ended) {
        free_ended(l);
    }
    if (l->accept_due) {
        accept_peers(l);
    }
}
