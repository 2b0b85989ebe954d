/* The native server on local sockets, the REP side: see ipc_server.h. */
#include "proto/link/ipc_server.h"

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
    BACKLOG = 1024,        /* the kernel lowers it to its own limit */
    ACCEPT_PAUSE_MS = 100, /* after descriptors or memory ran out */
};

static const struct link_server_ops server_ops;

static struct ipc_server *
server_of(struct link_server *base)
{
    return (struct ipc_server *)base;
}

/* ---- accepting ------------------------------------------------------------------------------ */

static void
listen_to(struct ipc_server *s, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = &s->listener};
    /* Changing an entry that exists does not allocate and does not fail. */
    (void)epoll_ctl(s->options.epoll_fd, EPOLL_CTL_MOD, s->listener.fd, &event);
}

/* Without descriptors the waiting connection stays readable for ever, and a level-triggered loop would
 * spin on it. It waits in the backlog instead until the timer fires; a peer that is hung up on would
 * come back at once. */
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

/* Whoever opens connections and says nothing must not lock others out: the oldest silent one makes
 * room. A greeted peer is never sacrificed. */
static bool
make_room(struct ipc_server *s)
{
    if (s->peer_count < s->options.peers_max) {
        return true;
    }
    struct ipc_peer *oldest = TAILQ_FIRST(&s->silent);
    if (oldest == NULL) {
        return false;
    }
    ipc_peer_end(oldest, true);
    return true;
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
            if (make_room(s)) {
                (void)ipc_peer_new(s, fd); /* without memory the connection is closed: it may retry */
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

/* ---- opening -------------------------------------------------------------------------------- */

static int
add_source(struct ipc_server *s, struct ipc_source *source, struct link_error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    source->server = s;
    if (epoll_ctl(s->options.epoll_fd, EPOLL_CTL_ADD, source->fd, &event) != 0) {
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
    if (chmod(address.sun_path, (mode_t)s->options.socket_mode) != 0 || listen(fd, BACKLOG) != 0) {
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
    s->scratch = malloc(IPC_SCRATCH_BYTES);
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
    s->base.ops = &server_ops;
    s->handler = *handler;
    s->options = *options;
    s->options.tls_cert_file = s->options.tls_key_file = NULL; /* borrowed for this call only */
    s->listener = (struct ipc_source){.source.ready = listener_ready, .fd = -1};
    s->retry = (struct ipc_source){.source.ready = retry_ready, .fd = -1};
    LIST_INIT(&s->free_requests);
    TAILQ_INIT(&s->silent);
    TAILQ_INIT(&s->greeted);
    TAILQ_INIT(&s->dirty);
    TAILQ_INIT(&s->doomed);
    TAILQ_INIT(&s->ended);
    if (start(s, url, error) < 0) {
        link_server_free(&s->base);
        return -1;
    }
    *out = &s->base;
    return 0;
}

/* ---- the table ------------------------------------------------------------------------------ */

static void
reply(struct link_server *base, uint64_t handle, struct span body)
{
    struct ipc_request *request = handle_find(&server_of(base)->requests, handle);
    if (request != NULL) {
        ipc_request_reply(request, body);
    }
}

static void
drop(struct link_server *base, uint64_t handle)
{
    struct ipc_request *request = handle_find(&server_of(base)->requests, handle);
    if (request != NULL) {
        ipc_request_release(request);
    }
}

static void
close_peer(struct link_server *base, uint64_t id)
{
    struct ipc_peer *peer = handle_find(&server_of(base)->peers, id);
    if (peer != NULL) {
        ipc_peer_doom(peer);
    }
}

static void
free_ended(struct ipc_server *s)
{
    struct ipc_peer *peer;
    while ((peer = TAILQ_FIRST(&s->ended)) != NULL) {
        TAILQ_REMOVE(&s->ended, peer, all);
        ipc_peer_free(peer);
    }
}

/* closed() may answer other peers, and a write may doom a peer: go on until both lists are empty. It
 * ends, because a peer ends once and is dirty again only after such a call. */
static void
turn(struct link_server *base)
{
    struct ipc_server *s = server_of(base);
    while (!TAILQ_EMPTY(&s->dirty) || !TAILQ_EMPTY(&s->doomed)) {
        struct ipc_peer *peer;
        while ((peer = TAILQ_FIRST(&s->dirty)) != NULL) {
            ipc_peer_flush(peer);
        }
        while ((peer = TAILQ_FIRST(&s->doomed)) != NULL) {
            ipc_peer_end(peer, false);
        }
    }
    free_ended(s);
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
        (void)epoll_ctl(s->options.epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
        close(source->fd);
        source->fd = -1;
    }
}

static void
free_server(struct link_server *base)
{
    struct ipc_server *s = server_of(base);
    struct ipc_peer *peer;
    while ((peer = TAILQ_FIRST(&s->silent)) != NULL || (peer = TAILQ_FIRST(&s->greeted)) != NULL) {
        ipc_peer_end(peer, true);
    }
    free_ended(s);
    struct ipc_request *request;
    while ((request = LIST_FIRST(&s->free_requests)) != NULL) {
        LIST_REMOVE(request, of_peer);
        free(request);
    }
    local_path_unlink(&s->path);
    remove_source(s, &s->listener);
    remove_source(s, &s->retry);
    handle_deinit(&s->peers);
    handle_deinit(&s->requests);
    free(s->scratch);
    free(s->url);
    free(s);
}

static const struct link_server_ops server_ops = {
    .reply = reply,
    .drop = drop,
    .close_peer = close_peer,
    .turn = turn,
    .url = url_of,
    .free = free_server,
};
