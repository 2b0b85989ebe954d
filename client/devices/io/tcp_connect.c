/* kind tcp-connect: a port of somebody else, connected to again and again until it works. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/devices/io/kinds.h"
#include "client/devices/net.h"
#include "client/devices/stream.h"

enum { CONNECT_MS_MAX = 10000 };

struct state {
    struct retry retry;
    struct device_timer patience; /* runs while a connection is being made */
    struct stream stream;         /* its descriptor is -1 between connections */
    struct addrinfo *found;       /* the addresses of `host`, and the one that is tried */
    const struct addrinfo *at;
    bool is_connected;
};

static void connect_next(struct device *d, const char *why);

static void
forget_addresses(struct state *s)
{
    if (s->found != NULL) {
        freeaddrinfo(s->found);
    }
    s->found = NULL;
    s->at = NULL;
}

static void
lose(struct device *d, const char *why)
{
    struct state *s = d->state;
    stream_end(d, &s->stream);
    stream_close(d, &s->stream);
    s->is_connected = false;
    retry_later(d, &s->retry, why);
}

static void
readable(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    (void)context;
    struct state *s = d->state;
    const char *why = stream_take(d, &s->stream, "the peer has closed the connection");
    if (why != NULL) {
        lose(d, why);
    }
}

/* A port of this machine that nobody listens at may be given to the very socket that connects to
 * it, which is then connected to itself. */
static bool
is_itself(int fd, const char *peer)
{
    struct net_address own;
    char text[DEVICE_PEER_BYTES_MAX];
    if (!net_own(fd, &own)) {
        return false;
    }
    net_format(&own, text);
    return strcmp(text, peer) == 0;
}

static void
connected(struct device *d)
{
    struct state *s = d->state;
    struct net_address peer = {.len = s->at->ai_addrlen};
    memcpy(&peer.at, s->at->ai_addr, s->at->ai_addrlen);
    net_format(&peer, s->stream.peer);
    if (is_itself(s->stream.fd, s->stream.peer)) {
        stream_close(d, &s->stream);
        connect_next(d, strerror(ECONNREFUSED));
        return;
    }
    net_tune(s->stream.fd);
    forget_addresses(s);
    device_timer_set(&s->patience, 0);
    retry_done(d, &s->retry);
    s->is_connected = true;
    device_watch(d, s->stream.fd, DEVICE_READ, readable, NULL);
    device_up(d, s->stream.peer);
}

static void
decided(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    (void)context;
    struct state *s = d->state;
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error == 0) {
        connected(d);
        return;
    }
    stream_close(d, &s->stream);
    connect_next(d, strerror(error));
}

static void
too_late(struct device *d, uint64_t times, void *context)
{
    (void)times;
    (void)context;
    struct state *s = d->state;
    stream_close(d, &s->stream);
    connect_next(d, "no answer");
}

/* Try the address that comes next; `why` the one before failed. */
static void
connect_next(struct device *d, const char *why)
{
    struct state *s = d->state;
    const char *reason = why;
    for (;;) {
        s->at = s->at != NULL ? s->at->ai_next : s->found;
        if (s->at == NULL) {
            break;
        }
        const int fd = socket(s->at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            reason = strerror(errno);
            continue;
        }
        s->stream.fd = fd;
        if (connect(fd, s->at->ai_addr, s->at->ai_addrlen) == 0) {
            connected(d);
            return;
        }
        if (errno == EINPROGRESS && device_watch(d, fd, DEVICE_WRITE, decided, NULL)) {
            device_timer_set(&s->patience, CONNECT_MS_MAX);
            return;
        }
        reason = strerror(errno);
        stream_close(d, &s->stream);
    }
    device_timer_set(&s->patience, 0);
    forget_addresses(s);
    retry_later(d, &s->retry, reason);
}

static void
attempt(struct device *d)
{
    struct state *s = d->state;
    char port[8];
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    (void)snprintf(port, sizeof port, "%d", (int)options_number(&d->options, "port"));
    const int code = getaddrinfo(options_text(&d->options, "host"), port, &wanted, &s->found);
    if (code != 0) {
        s->found = NULL;
        retry_later(d, &s->retry, code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
        return;
    }
    connect_next(d, "there is no address");
}

static prong_err
start(struct device *d)
{
    struct state *s = d->state;
    s->stream.fd = -1;
    s->stream.framing = stream_framing(&d->options);
    return device_timer_start(d, &s->patience, too_late, NULL) && retry_start(d, &s->retry, attempt)
               ? PRONG_OK
               : PRONG_RESOURCE_EXHAUSTED;
}

static void
stop(struct device *d)
{
    struct state *s = d->state;
    device_timer_stop(d, &s->patience);
    retry_stop(d, &s->retry);
    forget_addresses(s);
    stream_close(d, &s->stream);
    stream_end(d, &s->stream);
}

static prong_err
send_to(struct device *d, prong_job *job, const struct device_bytes *bytes, const char *to)
{
    struct state *s = d->state;
    if (!s->is_connected) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "not connected");
    }
    if (to != NULL && strcmp(to, s->stream.peer) != 0) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "no such peer is connected");
    }
    const prong_err code = stream_send(d, job, &s->stream, bytes);
    if (code != PRONG_OK) {
        lose(d, "a frame could not be sent whole"); /* what followed would be garbage to the peer */
    }
    return code;
}

const struct device_kind_ops io_tcp_connect = {
    .kind = "tcp-connect",
    .state_size = sizeof(struct state),
    .start = start,
    .stop = stop,
    .send = send_to,
};
