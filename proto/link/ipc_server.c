/* The native server on local sockets: bytes of REP peers by sockets in the caller's epoll.
 *
 * Owns the listening socket, its path, and the descriptors of its peers; rep.c does the rest. One
 * request costs one epoll_wait, one read and one send, and no allocation. Loop thread only. */
#include "proto/link/local.h"
#include "proto/link/rep.h"
#include "proto/link/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    ACCEPTS_MAX = 64,      /* in one turn */
    READS_MAX = 16,        /* of one peer in one turn */
    BACKLOG = 1024,        /* the kernel lowers it to its own limit */
    ACCEPT_PAUSE_MS = 100, /* after descriptors or memory ran out */
};

struct ipc_peer {
    struct source source;
    struct rep_peer rep;
    int fd;
    TAILQ_ENTRY(ipc_peer) ended;
};

TAILQ_HEAD(ipc_peer_list, ipc_peer);

/* The part of a server that is a source of its own. */
struct ipc_source {
    struct source source;
    struct ipc_server *server;
    int fd;
};

struct ipc_server {
    struct rep rep;
    struct ipc_source listener;
    struct ipc_source retry; /* a timer that ends a pause in accepting */
    struct local_path path;
    char *url;
    uint8_t *scratch;
    struct ipc_peer_list ended; /* freed at the end of the turn */
};

static struct ipc_server *
server_of(struct link_server *base)
{
    return (struct ipc_server *)base;
}

static struct ipc_server *
server_of_peer(struct ipc_peer *peer)
{
    return (struct ipc_server *)peer->rep.rep;
}

static struct ipc_peer *
peer_of(struct rep_peer *rep)
{
    return (struct ipc_peer *)(void *)((char *)rep - offsetof(struct ipc_peer, rep));
}

/* ---- one connection ------------------------------------------------------------------------- */

/* EPOLLOUT is asked for only after the socket took no more: in the usual case a peer's epoll entry
 * is never touched again after it was made. */
static void
set_blocked(struct ipc_peer *peer, bool blocked)
{
    if (peer->rep.blocked == blocked) {
        return;
    }
    peer->rep.blocked = blocked;
    struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = peer};
    if (epoll_ctl(peer->rep.rep->options.epoll_fd, EPOLL_CTL_MOD, peer->fd, &event) != 0) {
        rep_doom(&peer->rep); /* out of kernel memory: better closed than never woken */
    }
}

/* One write; what the socket took of it tells whether more is possible now. */
static void
write_peer(struct rep_peer *rep)
{
    struct ipc_peer *peer = peer_of(rep);
    const struct span out = buf_span(&rep->out);
    ssize_t n;
    do {
        n = send(peer->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        rep_mute(rep);
        set_blocked(peer, false);
        return;
    }
    if (n > 0) {
        buf_skip(&rep->out, (size_t)n);
    }
    if (n == (ssize_t)out.len) {
        buf_reset(&rep->out, REP_BUFFER_KEEP_BYTES);
        set_blocked(peer, false);
    } else {
        set_blocked(peer, true);
    }
    rep_weigh(rep, n > 0);
}

static void
write_through(struct rep_peer *rep, struct span head, const struct pieces *body)
{
    struct ipc_peer *peer = peer_of(rep);
    const int all = local_write_through(peer->fd, &rep->out, head, body);
    if (all < 0) {
        rep_mute(rep);
    } else if (all == 0) {
        set_blocked(peer, true);
    }
}

/* Bounded, so that one peer cannot hold the loop: epoll is level-triggered and brings the rest in
 * the next turn. A read that does not fill its room has emptied the socket; asking once more would
 * cost a system call per message only to hear EAGAIN. */
static void
read_peer(struct ipc_peer *peer)
{
    struct rep_peer *rep = &peer->rep;
    uint8_t *scratch = server_of_peer(peer)->scratch;
    size_t total = 0;
    for (int reads = 0; reads < READS_MAX && total < REP_TURN_BYTES_MAX && !rep->doomed; reads++) {
        uint8_t *at;
        size_t room;
        if (!rep_room(rep, scratch, &at, &room)) {
            rep_doom(rep);
            return;
        }
        const ssize_t n = read(peer->fd, at, room);
        if (n > 0) {
            total += (size_t)n;
            rep_took(rep, at, (size_t)n);
            if ((size_t)n < room) {
                return;
            }
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            return;
        } else {
            /* A script may have closed its half only and still read what was answered before. */
            if (!rep->mute && !rep->blocked && rep->out.w > rep->out.r) {
                write_peer(rep);
            }
            rep_doom(rep);
        }
    }
}

static void
peer_ready(struct source *self, uint32_t events)
{
    struct ipc_peer *peer = (struct ipc_peer *)self;
    if (peer->rep.doomed) {
        return; /* by an earlier event of the same batch */
    }
    if ((events & EPOLLOUT) != 0) {
        write_peer(&peer->rep);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        read_peer(peer);
    }
}

static void
close_peer(struct rep_peer *rep)
{
    struct ipc_peer *peer = peer_of(rep);
    /* Not left to close(): a descriptor that a forked child still holds would keep its epoll entry.
     * The call can only fail when the entry is gone, which is what we want. */
    (void)epoll_ctl(rep->rep->options.epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
    close(peer->fd);
    peer->fd = -1;
    TAILQ_INSERT_TAIL(&server_of_peer(peer)->ended, peer, ended);
}

static const struct rep_transport transport = {
    .framing = SP_IPC, .write = write_peer, .write_through = write_through, .close = close_peer};

/* Takes `fd` over. Without memory the connection is closed; its owner may try again. */
static void
new_peer(struct ipc_server *s, int fd)
{
    struct ipc_peer *peer = calloc(1, sizeof *peer);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (peer == NULL || epoll_ctl(s->rep.options.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(peer);
        close(fd);
        return;
    }
    peer->source.ready = peer_ready;
    peer->fd = fd;
    const struct link_cred cred = local_cred(fd);
    if (!rep_add(&s->rep, &peer->rep, &cred)) {
        free(peer);
        close(fd);
        return;
    }
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting(greeting, SP_REP);
    /* A fresh socket takes eight bytes; when it does not, its peer has gone, perhaps after a
     * message. */
    if (send(fd, greeting, sizeof greeting, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof greeting) {
        rep_mute(&peer->rep);
    }
}

/* ---- accepting ------------------------------------------------------------------------------ */

static void
listen_to(struct ipc_server *s, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = &s->listener};
    /* Changing an entry that exists does not allocate and does not fail. */
    (void)epoll_ctl(s->rep.options.epoll_fd, EPOLL_CTL_MOD, s->listener.fd, &event);
}

/* Without descriptors the waiting connection stays readable for ever, and a level-triggered loop
 * would spin on it. It waits in the backlog instead until the timer fires; a peer that is hung up
 * on would come back at once. */
static void
pause_accepting(struct ipc_server *s)
{
    const struct itimerspec once = {.it_value.tv_nsec = ACCEPT_PAUSE_MS * 1000000L};
    if (timerfd_settime(s->retry.fd, 0, &once, NULL) == 0) {
        listen_to(s, 0);
    }
}

static void
retry_ready(struct source *self, uint32_t events)
{
    (void)events;
    struct ipc_source *retry = (struct ipc_source *)self;
    uint64_t expirations;
    if (read(retry->fd, &expirations, sizeof expirations) == sizeof expirations) {
        listen_to(retry->server, EPOLLIN);
    }
}

static void
listener_ready(struct source *self, uint32_t events)
{
    (void)events;
    struct ipc_source *listener = (struct ipc_source *)self;
    struct ipc_server *s = listener->server;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        const int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            if (rep_make_room(&s->rep)) {
                new_peer(s, fd);
            } else {
                close(fd);
            }
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(s);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN: nobody is waiting */
        }
    }
}

/* ---- the server ----------------------------------------------------------------------------- */

static void
free_ended(struct ipc_server *s)
{
    struct ipc_peer *peer;
    while ((peer = TAILQ_FIRST(&s->ended)) != NULL) {
        TAILQ_REMOVE(&s->ended, peer, ended);
        buf_deinit(&peer->rep.in);
        free(peer);
    }
}

static void
turn(struct link_server *base)
{
    rep_turn(base);
    free_ended(server_of(base));
}

static const char *
url_of(const struct link_server *base)
{
    return ((const struct ipc_server *)base)->url;
}

static void
remove_source(struct ipc_server *s, struct ipc_source *source)
{
    if (source->fd >= 0) {
        /* Fails only when it never came into the set. */
        (void)epoll_ctl(s->rep.options.epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
        close(source->fd);
        source->fd = -1;
    }
}

static void
free_server(struct link_server *base)
{
    struct ipc_server *s = server_of(base);
    rep_deinit(&s->rep);
    free_ended(s);
    local_path_unlink(&s->path);
    remove_source(s, &s->listener);
    remove_source(s, &s->retry);
    free(s->scratch);
    free(s->url);
    free(s);
}

static const struct link_server_ops server_ops = {
    .reply = rep_reply,
    .drop = rep_drop,
    .close_peer = rep_close_peer,
    .turn = turn,
    .url = url_of,
    .free = free_server,
};

static int
add_source(struct ipc_server *s, struct ipc_source *source, struct link_error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    source->server = s;
    if (epoll_ctl(s->rep.options.epoll_fd, EPOLL_CTL_ADD, source->fd, &event) != 0) {
        return link_fail(error, errno, "epoll_ctl: %s", strerror(errno));
    }
    return 0;
}

/* The permissions are set between bind and listen, so nobody can connect under wider ones. */
static int
bind_and_listen(struct ipc_server *s, struct link_error *error)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    s->listener.fd = fd;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, s->path.temp, sizeof address.sun_path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        return link_fail(error, errno, "cannot create a socket in the directory of %s: %s",
                         s->path.path, strerror(errno));
    }
    if (chmod(address.sun_path, (mode_t)s->rep.options.socket_mode) != 0 ||
        listen(fd, BACKLOG) != 0) {
        const int code = errno;
        (void)unlink(address.sun_path); /* best effort on the way out */
        return link_fail(error, code, "cannot listen on %s: %s", s->path.path, strerror(code));
    }
    return local_path_publish(&s->path, error);
}

static int
start(struct ipc_server *s, const char *url, struct link_error *error)
{
    if (local_path_init(&s->path, url, error) < 0) {
        return -1;
    }
    s->url = strdup(url);
    s->scratch = malloc(REP_SCRATCH_BYTES);
    if (s->url == NULL || s->scratch == NULL) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    s->retry.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->retry.fd < 0) {
        return link_fail(error, errno, "timerfd_create: %s", strerror(errno));
    }
    if (bind_and_listen(s, error) < 0 || add_source(s, &s->retry, error) < 0) {
        return -1;
    }
    return add_source(s, &s->listener, error);
}

int
link_ipc_server_open(const char *url, const struct link_server_options *options,
                     const struct link_handler *handler, struct link_server **out,
                     struct link_error *error)
{
    struct ipc_server *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    s->rep.base.ops = &server_ops;
    rep_init(&s->rep, options, handler, &transport);
    s->listener = (struct ipc_source){.source.ready = listener_ready, .fd = -1};
    s->retry = (struct ipc_source){.source.ready = retry_ready, .fd = -1};
    TAILQ_INIT(&s->ended);
    if (start(s, url, error) < 0) {
        free_server(&s->rep.base);
        return -1;
    }
    *out = &s->rep.base;
    return 0;
}
