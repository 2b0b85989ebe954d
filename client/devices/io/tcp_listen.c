/* kind tcp-listen: a port that others connect to; each connection is a stream of frames. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/devices/io/kinds.h"
#include "client/devices/net.h"
#include "client/devices/stream.h"

struct peer {
    struct peer *next;
    struct stream stream;
};

struct state {
    struct retry retry;
    int fd; /* that listens; -1: none */
    struct peer *peers;
    size_t count;
};

static void connecting(struct device *d, int fd, short revents, void *context);

/* Who comes when all places are taken waits in the system's queue. */
static void
watch_listener(struct device *d)
{
    const struct state *s = d->state;
    const bool has_room = s->count < (size_t)options_number(&d->options, "max_peers");
    device_watch(d, s->fd, has_room ? DEVICE_ALWAYS : 0, connecting, NULL);
}

static void
drop(struct device *d, struct peer *peer, const char *why)
{
    struct state *s = d->state;
    struct peer **at = &s->peers;
    while (*at != peer) {
        at = &(*at)->next;
    }
    *at = peer->next;
    s->count--;
    stream_end(d, &peer->stream);
    stream_close(d, &peer->stream);
    device_down(d, why, peer->stream.peer);
    free(peer);
    if (s->fd >= 0) {
        watch_listener(d);
    }
}

static void
readable(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    struct peer *peer = context;
    const char *why = stream_take(d, &peer->stream, "the peer has closed the connection");
    if (why != NULL) {
        drop(d, peer, why);
    }
}

static bool
add(struct device *d, int fd, const struct net_address *address)
{
    struct state *s = d->state;
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        return false;
    }
    net_tune(fd);
    peer->stream.fd = fd;
    peer->stream.framing = stream_framing(&d->options);
    net_format(address, peer->stream.peer);
    if (!device_watch(d, fd, DEVICE_READ, readable, peer)) {
        free(peer);
        return false;
    }
    peer->next = s->peers;
    s->peers = peer;
    s->count++;
    device_up(d, peer->stream.peer);
    return true;
}

static void
connecting(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    (void)context;
    struct net_address address = {.len = sizeof address.at};
    const int peer =
        accept4(fd, (struct sockaddr *)&address.at, &address.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* Out of descriptors, most likely: again when the first one is due, not at once. */
        struct state *s = d->state;
        const int error = errno;
        device_watch(d, fd, 0, NULL, NULL);
        (void)close(fd);
        s->fd = -1;
        retry_later(d, &s->retry, strerror(error));
    } else if (peer >= 0 && !add(d, peer, &address)) {
        device_fault(d, "a peer was sent away: no memory or descriptors");
        (void)close(peer);
    } else if (peer >= 0) {
        watch_listener(d);
    }
}

static int
open_listener(const struct net_address *address)
{
    const int on = 1;
    const int fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address->at, address->len) != 0 ||
        listen(fd, SOMAXCONN) != 0) {
        const int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void
attempt(struct device *d)
{
    struct state *s = d->state;
    struct net_address address;
    char own[DEVICE_PEER_BYTES_MAX];
    (void)net_parse(options_text(&d->options, "address"),
                    (uint16_t)options_number(&d->options, "port"), &address); /* was checked */
    s->fd = open_listener(&address);
    if (s->fd < 0) {
        retry_later(d, &s->retry, strerror(errno));
        return;
    }
    (void)net_own(s->fd, &address); /* a socket that is bound has one */
    net_format(&address, own);
    retry_done(d, &s->retry);
    watch_listener(d);
    device_listening(d, own, net_port(&address));
}

static prong_err
start(struct device *d)
{
    struct state *s = d->state;
    s->fd = -1;
    return retry_start(d, &s->retry, attempt) ? PRONG_OK : PRONG_RESOURCE_EXHAUSTED;
}

static void
stop(struct device *d)
{
    struct state *s = d->state;
    retry_stop(d, &s->retry);
    if (s->fd >= 0) {
        device_watch(d, s->fd, 0, NULL, NULL);
        (void)close(s->fd);
        s->fd = -1;
    }
    while (s->peers != NULL) {
        drop(d, s->peers, "the device is stopped");
    }
}

static bool
check(const struct options *options, char *why, size_t why_bytes)
{
    struct net_address address;
    if (!net_parse(options_text(options, "address"), 0, &address)) {
        snprintf(why, why_bytes, "'address' must be an IPv4 or IPv6 address");
        return false;
    }
    return true;
}

static prong_err
send_to(struct device *d, prong_job *job, const struct device_bytes *bytes, const char *to)
{
    struct state *s = d->state;
    prong_writer *out = prong_job_result(job);
    size_t count = 0;
    for (struct peer *p = s->peers; p != NULL; p = p->next) {
        count += to == NULL || strcmp(to, p->stream.peer) == 0;
    }
    if (count == 0) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION,
                              to != NULL ? "no such peer is connected" : "no peer is connected");
    }
    prong_writer_map(out, (uint32_t)count);
    for (struct peer *p = s->peers, *next; p != NULL; p = next) {
        next = p->next;
        if (to != NULL && strcmp(to, p->stream.peer) != 0) {
            continue;
        }
        int error = 0;
        const size_t sent = device_write(job, p->stream.fd, bytes, &error);
        d->count.sent_bytes += sent;
        prong_writer_key(out, p->stream.peer);
        prong_writer_uint(out, sent);
        if (error != 0) {
            /* It may have part of a frame, so what followed would be garbage to it. */
            drop(d, p, strerror(error));
            if (to != NULL) {
                return prong_job_fail(job, PRONG_UNAVAILABLE, strerror(error));
            }
        }
    }
    return PRONG_OK;
}

static void
stats(struct device *d, prong_writer *out)
{
    struct state *s = d->state;
    struct net_address own = {0};
    prong_writer_key(out, "port");
    prong_writer_uint(out, s->fd >= 0 && net_own(s->fd, &own) ? net_port(&own) : 0);
    prong_writer_key(out, "peers");
    prong_writer_array(out, (uint32_t)s->count);
    for (const struct peer *p = s->peers; p != NULL; p = p->next) {
        prong_writer_string(out, p->stream.peer);
    }
}

const struct device_kind_ops io_tcp_listen = {
    .kind = "tcp-listen",
    .state_size = sizeof(struct state),
    .check = check,
    .start = start,
    .stop = stop,
    .send = send_to,
    .stats = stats,
    .stat_count = 2,
};
