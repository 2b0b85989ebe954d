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
#include "client/devices/net.h"

enum { DATAGRAM_BYTES_MAX = 65536, READS_MAX = 256 };

struct state {
    struct retry retry;
    int fd;
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
    const ssize_t n = recvmsg(s->fd, &message, 0);
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
    struct net_address address;
    char own[DEVICE_PEER_BYTES_MAX];
    const int on = 1;
    (void)net_parse(options_text(&d->options, "address"),
                    (uint16_t)options_number(&d->options, "port"), &address); /* was checked */
    s->fd = socket(address.at.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (const struct sockaddr *)&address.at, address.len) != 0) {
        const int error = errno;
        if (s->fd >= 0) {
            (void)close(s->fd);
        }
        s->fd = -1;
        retry_later(d, &s->retry, strerror(error));
        return;
    }
    /* Without it losses are not counted, but everything else works. */
    (void)setsockopt(s->fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    s->lost = 0;
    (void)net_own(s->fd, &address); /* a socket that is bound has one */
    net_format(&address, own);
    retry_done(d, &s->retry);
    device_watch(d, s->fd, DEVICE_READ, readable, NULL);
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
}

static bool
check(const struct options *options, char *why, size_t why_bytes)
{
    struct net_address address;
    const char *to = options_text(options, "to");
    if (!net_parse(options_text(options, "address"), 0, &address)) {
        snprintf(why, why_bytes, "'address' must be an IPv4 or IPv6 address");
        return false;
    }
    if (to != NULL && !net_parse_both(to, &address)) {
        snprintf(why, why_bytes, "'to' must be ADDRESS:PORT, an IPv6 address in brackets");
        return false;
    }
    return true;
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
    if (s->fd < 0) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "the port is not open");
    }
    const struct msghdr message = {
        .msg_name = &address.at, .msg_namelen = address.len, .msg_iov = &part, .msg_iovlen = 1};
    const ssize_t n = sendmsg(s->fd, &message, MSG_NOSIGNAL);
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
    struct state *s = d->state;
    struct net_address own = {0};
    prong_writer_key(out, "port");
    prong_writer_uint(out, s->fd >= 0 && net_own(s->fd, &own) ? net_port(&own) : 0);
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
