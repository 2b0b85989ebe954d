/* kind udp: each datagram is a frame. Nothing can be pushed back: what the system has no room for
 * while the gate is closed is gone, and counted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/devices/io/kinds.h"
#include "client/devices/io/port.h"
#include "client/devices/net.h"

enum { DATAGRAM_BYTES_MAX = 65536, READS_MAX = 256 };

struct state {
    struct port port;
    uint32_t lost; /* as the system counts it, modulo 2^32 */
    uint8_t data[DATAGRAM_BYTES_MAX];
};

static void
note_lost(struct device *d, struct msghdr *message)
{
    struct state *s = d->state;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            uint32_t lost;
            memcpy(&lost, CMSG_DATA(c), sizeof lost);
            if (lost != s->lost) {
                d->count.dropped += lost - s->lost;
                device_fault(d, "%u datagrams were lost", lost - s->lost);
                s->lost = lost;
            }
        }
    }
}

/* Whether one was there. */
static bool
receive(struct device *d)
{
    struct state *s = d->state;
    struct net_address from = {0};
    char peer[DEVICE_PEER_BYTES_MAX];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(uint32_t))];
    } control;
    struct iovec part = {s->data, sizeof s->data};
    struct msghdr message = {.msg_name = &from.at,
                             .msg_namelen = sizeof from.at,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    const ssize_t n = recvmsg(s->port.fd, &message, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) { /* an ICMP answer to what was sent, for example */
            device_fault(d, "receiving: %s", strerror(errno));
        }
        return false;
    }
    const struct stamp now = stamp_now();
    from.len = message.msg_namelen;
    net_format(&from, peer);
    d->count.bytes += (uint64_t)n;
    note_lost(d, &message);
    device_frame(d, &now, s->data, (size_t)n, peer);
    return true;
}

static void
readable(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    (void)context;
    for (int i = 0; i < READS_MAX && device_is_open(d) && receive(d); i++) {
    }
}

static void
attempt(struct device *d)
{
    struct state *s = d->state;
    const int on = 1;
    if (port_open(d, &s->port, SOCK_DGRAM)) {
        /* Without it losses are not counted, but everything else works. */
        (void)setsockopt(s->port.fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
        s->lost = 0;
        device_watch(d, s->port.fd, DEVICE_READ, readable, NULL);
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
}

static bool
check(const struct options *options, char *why, size_t why_bytes)
{
    struct net_address address;
    const char *to = options_text(options, "to");
    if (to != NULL && !net_parse_both(to, &address)) {
        snprintf(why, why_bytes, "'to' must be ADDRESS:PORT, an IPv6 address in brackets");
        return false;
    }
    return port_check(options, why, why_bytes);
}

static prong_err
send_to(struct device *d, prong_job *job, const struct device_bytes *bytes, const char *to)
{
    struct state *s = d->state;
    const char *peer = to != NULL ? to : options_text(&d->options, "to");
    struct net_address address;
    struct iovec part = {(void *)(uintptr_t)bytes->part[1].data, bytes->part[1].len};
    if (peer == NULL || !net_parse_both(peer, &address)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "'to' must be ADDRESS:PORT, or stand in the device's options");
    }
    if (s->port.fd < 0) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "the port is not open");
    }
    const struct msghdr message = {
        .msg_name = &address.at, .msg_namelen = address.len, .msg_iov = &part, .msg_iovlen = 1};
    const ssize_t n = sendmsg(s->port.fd, &message, MSG_NOSIGNAL);
    if (n < 0) {
        return prong_job_fail(job, errno == EMSGSIZE ? PRONG_INVALID_ARGUMENT : PRONG_UNAVAILABLE,
                              strerror(errno));
    }
    d->count.sent_bytes += (uint64_t)n;
    prong_writer *out = prong_job_result(job);
    prong_writer_map(out, 1);
    prong_writer_key(out, peer);
    prong_writer_uint(out, (uint64_t)n);
    return PRONG_OK;
}

static void
stats(struct device *d, prong_writer *out)
{
    const struct state *s = d->state;
    port_stats(&s->port, out);
}

const struct device_kind_ops io_udp = {
    .kind = "udp",
    .state_size = sizeof(struct state),
    .check = check,
    .start = start,
    .stop = stop,
    .send = send_to,
    .stats = stats,
    .stat_count = 1,
};
