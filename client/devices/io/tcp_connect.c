/* kind tcp-connect: a port of somebody else, connected to again and again until it works. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "client/devices/io/channel.h"
#include "client/devices/io/kinds.h"
#include "client/devices/net.h"
#include "client/devices/resolve.h"

enum { PATIENCE_MS = 10000 };

struct state {
    struct channel channel;
    struct device_timer patience; /* runs while a name server is asked or a connection made */
    struct resolve *question;     /* NULL: none is open */
    struct addrinfo *found;       /* the addresses of `host`, and the one that is tried */
    const struct addrinfo *at;
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
    net_format(&peer, s->channel.stream.peer);
    if (is_itself(s->channel.stream.fd, s->channel.stream.peer)) {
        stream_close(d, &s->channel.stream);
        connect_next(d, strerror(ECONNREFUSED));
        return;
    }
    net_tune(s->channel.stream.fd);
    forget_addresses(s);
    device_timer_set(&s->patience, 0);
    channel_is_open(d, &s->channel, DEVICE_READ);
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
    stream_close(d, &s->channel.stream);
    connect_next(d, strerror(error));
}

static void
too_late(struct device *d, uint64_t times, void *context)
{
    (void)times;
    (void)context;
    struct state *s = d->state;
    if (s->question != NULL) {
        device_down(d, "no answer of the name server", NULL); /* it is waited for all the same */
        return;
    }
    stream_close(d, &s->channel.stream);
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
        s->channel.stream.fd = fd;
        if (connect(fd, s->at->ai_addr, s->at->ai_addrlen) == 0) {
            connected(d);
            return;
        }
        if (errno == EINPROGRESS && device_watch(d, fd, DEVICE_WRITE, decided, NULL)) {
            device_timer_set(&s->patience, PATIENCE_MS);
            return;
        }
        reason = strerror(errno);
        stream_close(d, &s->channel.stream);
    }
    device_timer_set(&s->patience, 0);
    forget_addresses(s);
    retry_later(d, &s->channel.retry, reason);
}

static void
forget_question(struct device *d)
{
    struct state *s = d->state;
    if (s->question != NULL) {
        device_watch(d, resolve_fd(s->question), 0, NULL, NULL);
        resolve_end(&s->question);
    }
}

static void
answered(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    (void)context;
    struct state *s = d->state;
    const char *why = resolve_take(s->question, &s->found);
    forget_question(d);
    device_timer_set(&s->patience, 0);
    if (why != NULL) {
        retry_later(d, &s->channel.retry, why);
    } else {
        connect_next(d, "there is no address");
    }
}

static void
attempt(struct device *d)
{
    struct state *s = d->state;
    s->question = resolve_begin(options_text(&d->options, "host"),
                                (uint16_t)options_number(&d->options, "port"), SOCK_STREAM);
    if (s->question == NULL) {
        retry_later(d, &s->channel.retry, strerror(errno));
    } else if (!device_watch(d, resolve_fd(s->question), DEVICE_ALWAYS, answered, NULL)) {
        forget_question(d);
        retry_later(d, &s->channel.retry, "too many descriptors");
    } else {
        device_timer_set(&s->patience, PATIENCE_MS);
    }
}

static prong_err
start(struct device *d)
{
    struct state *s = d->state;
    return device_timer_start(d, &s->patience, too_late, NULL)
               ? channel_start(d, &s->channel, "the peer has closed the connection", attempt)
               : PRONG_RESOURCE_EXHAUSTED;
}

static void
stop(struct device *d)
{
    struct state *s = d->state;
    device_timer_stop(d, &s->patience);
    channel_stop(d, &s->channel);
    forget_question(d);
    forget_addresses(s);
}

static prong_err
send_to(struct device *d, prong_job *job, const struct device_bytes *bytes, const char *to)
{
    struct state *s = d->state;
    if (!s->channel.is_open) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "not connected");
    }
    if (to != NULL && strcmp(to, s->channel.stream.peer) != 0) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "no such peer is connected");
    }
    const prong_err code = stream_send(d, job, &s->channel.stream, bytes);
    if (code != PRONG_OK) {
        /* What followed would be garbage to the peer. */
        channel_lose(d, &s->channel, "a frame could not be sent whole");
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
