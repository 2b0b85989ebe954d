/* The native client on local sockets, the REQ side: one nonblocking descriptor and two buffers.
 *
 * Owns its socket; no thread, no callback. Any thread, one at a time. */
#include "proto/link/engine.h"
#include "proto/link/local.h"
#include "proto/link/sp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, KEEP_BYTES = 256 * 1024 };

struct ipc_client {
    struct link_client base;
    int fd;
    bool drained; /* the last read emptied the socket: poll before the next */
    bool ended;   /* the other end is gone, its last bytes are in `in` */
    bool refused; /* an answer above the limit came: the connection is given up */
    struct sp_parser parser;
    struct buf in, out;
};

static const struct link_client_ops client_ops;

static struct ipc_client *
client_of(struct link_client *base)
{
    return (struct ipc_client *)base;
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool
wants_write(const struct link_client *base)
{
    const struct ipc_client *c = (const struct ipc_client *)base;
    return c->out.w > c->out.r;
}

static int
fd_of(const struct link_client *base)
{
    return ((const struct ipc_client *)base)->fd;
}

static int
send_request(struct link_client *base, uint32_t id, struct span body, struct link_error *error)
{
    struct ipc_client *c = client_of(base);
    const uint8_t stack[SP_WORD_BYTES] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                                          (uint8_t)id};
    if ((id & SP_ID_BIT) == 0) {
        return link_fail(error, EINVAL, "request id without bit 31");
    }
    sp_put_message(&c->out, (struct span){stack, sizeof stack}, body);
    if (c->out.failed) {
        c->out.failed = false; /* nothing of this message was queued, what was there before still is */
        return link_fail(error, ENOMEM, "out of memory");
    }
    return 0;
}

static int
flush(struct link_client *base, struct link_error *error)
{
    struct ipc_client *c = client_of(base);
    while (c->out.w > c->out.r) {
        const struct span out = buf_span(&c->out);
        const ssize_t n = send(c->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN) {
            return link_fail(error, errno, "cannot write: %s", strerror(errno));
        }
        if (n > 0) {
            buf_skip(&c->out, (size_t)n);
        }
        if (n != (ssize_t)out.len) {
            return 0; /* the socket is full */
        }
        buf_reset(&c->out, KEEP_BYTES);
    }
    return 0;
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* Bring more bytes in. 0 also when the other end is gone: `ended` tells. */
static int
fill(struct ipc_client *c, struct link_error *error)
{
    const size_t have = c->in.w - c->in.r;
    const size_t step = have > READ_BYTES ? have : READ_BYTES; /* grow with what really came */
    if (!buf_reserve(&c->in, step)) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    const size_t room = c->in.cap - c->in.w;
    ssize_t n;
    do {
        n = read(c->fd, c->in.data + c->in.w, room);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        c->in.w += (size_t)n;
        c->drained = (size_t)n < room;
        return 0;
    }
    if (n < 0 && errno == EAGAIN) {
        c->drained = true;
        return 0;
    }
    if (n < 0 && errno != ECONNRESET) {
        return link_fail(error, errno, "cannot read: %s", strerror(errno));
    }
    c->ended = true;
    return 0;
}

/* What the parser finds next in the bytes that are there. */
static enum sp_event
next_event(struct ipc_client *c, struct sp_message *message)
{
    const struct span before = buf_span(&c->in);
    struct span left = before;
    const enum sp_event event = sp_parse(&c->parser, &left, message);
    c->in.r += before.len - left.len; /* not buf_skip(): the message must stay where it is */
    return event;
}

static int
recv_answer(struct link_client *base, uint32_t *id, struct span *body, struct link_error *error)
{
    struct ipc_client *c = client_of(base);
    if (c->refused) {
        return link_fail(error, EMSGSIZE, "an answer was larger than is taken");
    }
    for (;;) {
        if (c->in.r == c->in.w) {
            buf_reset(&c->in, KEEP_BYTES);
        }
        struct sp_message message;
        switch (next_event(c, &message)) {
        case SP_GREETED:
            continue;
        case SP_MESSAGE:
            *id = message.id;
            *body = message.body;
            return 1;
        case SP_OVERSIZED:
            c->refused = true;
            return link_fail(error, EMSGSIZE, "an answer of %llu bytes, at most %zu are taken",
                             (unsigned long long)message.body_bytes, c->parser.body_bytes_max);
        case SP_CLOSE:
            return link_fail(error, EPROTO, "not the protocol: %s", sp_fault_text(c->parser.fault));
        case SP_WAIT:
            break;
        }
        if (c->ended) {
            return link_fail(error, ECONNRESET, "the connection was closed by the other end");
        }
        if (c->drained) {
            c->drained = false; /* the caller polls before it comes again */
            return 0;
        }
        if (fill(c, error) < 0) {
            return -1;
        }
    }
}

/* ---- opening and closing -------------------------------------------------------------------- */

static int64_t
now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* this clock is always there */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The kernel itself waits for a place in the backlog when the socket blocks; its limit is the send
 * timeout. Nobody listening is an error at once. */
static int
connect_within(struct ipc_client *c, const struct sockaddr_un *address, int timeout_ms,
               struct link_error *error)
{
    const struct timeval limit = {.tv_sec = timeout_ms / 1000,
                                  .tv_usec = timeout_ms > 0 ? timeout_ms % 1000 * 1000 : 1000};
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
        return link_fail(error, errno, "cannot create a socket: %s", strerror(errno));
    }
    const int64_t end_ms = now_ms() + timeout_ms;
    while (connect(c->fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        if (errno == EINTR && now_ms() < end_ms) {
            continue;
        }
        const int code = errno == EAGAIN || errno == EINTR ? ETIMEDOUT : errno;
        return link_fail(error, code, "cannot connect to %s: %s", address->sun_path, strerror(code));
    }
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) {
        return link_fail(error, errno, "fcntl: %s", strerror(errno));
    }
    return 0;
}

static int
exchange_greetings(struct ipc_client *c, const char *path, int64_t end_ms, struct link_error *error)
{
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting(greeting, SP_REQ);
    buf_put(&c->out, greeting, sizeof greeting);
    /* A failure to write is followed by a failure to read, which says more. */
    (void)flush(&c->base, NULL);
    while (!c->parser.greeted) {
        struct sp_message unused;
        if (next_event(c, &unused) == SP_CLOSE) {
            return link_fail(error, EPROTO, "%s: %s", path, sp_fault_text(c->parser.fault));
        }
        if (c->parser.greeted) {
            break;
        }
        if (c->ended) {
            return link_fail(error, ECONNRESET, "%s: closed before the greeting", path);
        }
        const int64_t left_ms = end_ms - now_ms();
        struct pollfd pollfd = {.fd = c->fd, .events = POLLIN};
        const int ready = poll(&pollfd, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready == 0) {
            return link_fail(error, ETIMEDOUT, "%s: connected, but nobody greets", path);
        }
        if (ready > 0 && fill(c, error) < 0) {
            return -1;
        }
    }
    return 0;
}

static void
free_client(struct link_client *base)
{
    struct ipc_client *c = client_of(base);
    if (c->fd >= 0) {
        close(c->fd);
    }
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    free(c);
}

int
link_ipc_client_open(const char *url, const struct link_client_options *options, int timeout_ms,
                struct link_client **out, struct link_error *error)
{
    struct sockaddr_un address;
    if (local_address(&address, url, error) < 0) {
        return -1;
    }
    struct ipc_client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    c->base.ops = &client_ops;
    c->fd = -1;
    sp_parser_init(&c->parser, SP_REP, options->message_bytes_max);
    const int64_t end_ms = now_ms() + timeout_ms;
    if (connect_within(c, &address, timeout_ms, error) < 0 ||
        exchange_greetings(c, address.sun_path, end_ms, error) < 0) {
        free_client(&c->base);
        return -1;
    }
    c->drained = false;
    *out = &c->base;
    return 0;
}

static const struct link_client_ops client_ops = {
    .fd = fd_of,
    .wants_write = wants_write,
    .send = send_request,
    .flush = flush,
    .recv = recv_answer,
    .free = free_client,
};
