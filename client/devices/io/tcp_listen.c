/* kind tcp-listen: a port that others connect to; each connection is a stream of frames. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/devices/io/kinds.h"
#include "client/devices/io/port.h"
#include "client/devices/net.h"
#include "client/devices/stream.h"

struct peer {
    struct peer *next;
    struct stream stream;
};

struct state {
    struct port port;
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
    device_watch(d, s->port.fd, has_room ? DEVICE_ALWAYS : 0, connecting, NULL);
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
    stream_close(d, &peer->stream);
    device_down(d, why, peer->stream.peer);
    free(peer);
    if (s->port.fd >= 0) {
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
        port_close(d, &s->port);
        retry_later(d, &s->port.retry, strerror(error));
    } else if (peer >= 0 && !add(d, peer, &address)) {
        device_fault(d, "a peer was sent away: no memory or descriptors");
        (void)close(peer);
    } else if (peer >= 0) {
        watch_listener(d);
    }
}

static void
attempt(struct device *d)
{
    struct state *s = d->state;
    if (port_open(d, &s->port, SOCK_STREAM)) {
        watch_listener(d);
        port_is_open(d, &s->port);
    }
}

static prong_err
start(struct device *d)
{
    struct state *s = d->state;
    return port_start(d, &s->port, attempt);
}

static void
stop(struct device *d)
{
    struct state *s = d->state;
    port_stop(d, &s->port);
    while (s->peers != NULL) {
        drop(d, s->peers, "the device is stopped");
    }
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
    port_stats(&s->port, out);
    prong_writer_key(out, "peers");
    prong_writer_array(out, (uint32_t)s->count);
    for (const struct peer *p = s->peers; p != NULL; p = p->next) {
        prong_writer_string(out, p->stream.peer);
    }
}

const struct device_kind_ops io_tcp_listen = {
    .kind = "tcp-listen",
    .state_size = sizeof(struct state),
    .check = port_check,
    .start = start,
    .stop = stop,
    .send = send_to,
    .stats = stats,
    .stat_count = 2,
};
