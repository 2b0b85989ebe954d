/* The native client on local sockets: bytes of the REQ side by one nonblocking descriptor.
 *
 * Owns its socket; no thread, no callback. One thread at a time. */
#include "proto/link/local.h"
#include "proto/link/req.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct ipc_client {
    struct req req;
    int fd;
    bool drained; /* the last read emptied the socket: poll before the next */
};

static bool
wants_write(const struct link_client *base)
{
    const struct ipc_client *c = (const struct ipc_client *)base;
    return c->req.out.w > c->req.out.r;
}

static int
fd_of(const struct link_client *base)
{
    return ((const struct ipc_client *)base)->fd;
}

static int
flush(struct link_client *base, struct link_error *error)
{
    struct ipc_client *c = (struct ipc_client *)base;
    struct buf *out = &c->req.out;
    while (out->w > out->r) {
        const size_t len = out->w - out->r;
        const ssize_t n = send(c->fd, out->data + out->r, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN) {
            return link_fail(error, errno, "cannot write: %s", strerror(errno));
        }
        if (n != (ssize_t)len) {
            buf_skip(out, n > 0 ? (size_t)n : 0);
            return 0; /* the socket is full */
        }
        buf_recycle(out, REQ_KEEP_BYTES);
    }
    return 0;
}

/* A large request is written at once, behind what is queued; what the socket does not take now is
 * queued. That the connection takes no more is told by the next flush. */
static int
send_request(struct link_client *base, uint32_t id, const struct pieces *body,
             struct link_error *error)
{
    struct ipc_client *c = (struct ipc_client *)base;
    struct buf *out = &c->req.out;
    const size_t len = pieces_len(body);
    if (len < CUT_BYTES || (id & SP_ID_BIT) == 0) {
        return req_send(base, id, body, error);
    }
    uint8_t stack[SP_WORD_BYTES], head[SP_HEAD_BYTES_MAX];
    req_stack(stack, id);
    const size_t head_len = sp_head(head, SP_IPC, (struct span){stack, sizeof stack}, len);
    if (local_write_through(c->fd, out, (struct span){head, head_len}, body) < 0) {
        return req_send(base, id, body, error);
    }
    return out->failed ? link_fail(error, ENOMEM, "out of memory") : 0;
}

static int
fill(struct req *r, struct link_error *error)
{
    struct ipc_client *c = (struct ipc_client *)r;
    if (c->drained) {
        c->drained = false;
        return 0;
    }
    if (!req_room(r)) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    const size_t room = r->in.cap - r->in.w;
    ssize_t n;
    do {
        n = read(c->fd, r->in.data + r->in.w, room);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        r->in.w += (size_t)n;
        c->drained = (size_t)n < room;
        return 1;
    }
    if (n < 0 && errno == EAGAIN) {
        return 0;
    }
    const int code = n == 0 ? ECONNRESET : errno;
    return link_fail(error, code, "the connection was closed: %s", strerror(code));
}

static bool
take(struct link_client *base, struct buf *memory)
{
    struct buf *in = &((struct ipc_client *)base)->req.in;
    if (in->w > in->r) {
        return false; /* more has come behind it */
    }
    buf_swap(in, memory);
    buf_reset(in, REQ_KEEP_BYTES);
    return true;
}

static void
free_client(struct link_client *base)
{
    struct ipc_client *c = (struct ipc_client *)base;
    if (c->fd >= 0) {
        close(c->fd);
    }
    req_deinit(&c->req);
    free(c);
}

/* The kernel itself waits for a place in the backlog when the socket blocks; its limit is the send
 * timeout. Nobody listening is an error at once. */
static int
connect_until(struct ipc_client *c, const struct sockaddr_un *address, int64_t end_ms,
              struct link_error *error)
{
    const int64_t left_ms = end_ms - req_now_ms();
    const struct timeval limit = {.tv_sec = left_ms / 1000,
                                  .tv_usec = left_ms > 0 ? left_ms % 1000 * 1000 + 1 : 1};
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
        return link_fail(error, errno, "cannot create a socket: %s", strerror(errno));
    }
    while (connect(c->fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        if (errno == EINTR && req_now_ms() < end_ms) {
            continue;
        }
        const int code = errno == EAGAIN || errno == EINTR ? ETIMEDOUT : errno;
        return link_fail(error, code, "cannot connect to %s: %s", address->sun_path,
                         strerror(code));
    }
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) {
        return link_fail(error, errno, "fcntl: %s", strerror(errno));
    }
    return 0;
}

static const struct link_client_ops client_ops = {
    .fd = fd_of,
    .wants_write = wants_write,
    .send = send_request,
    .flush = flush,
    .recv = req_recv,
    .take = take,
    .free = free_client,
};

int
link_ipc_client_open(const char *url, const struct link_client_options *options, int timeout_ms,
                     struct link_client **out, struct link_error *error)
{
    const int64_t end_ms = req_now_ms() + timeout_ms;
    struct sockaddr_un address;
    if (local_address(&address, url, error) < 0) {
        return -1;
    }
    struct ipc_client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    c->req.base.ops = &client_ops;
    c->req.fill = fill;
    c->fd = -1;
    req_init(&c->req, SP_IPC, options->message_bytes_max);
    if (connect_until(c, &address, end_ms, error) < 0 ||
        req_greet(&c->req, url, end_ms, error) < 0) {
        free_client(&c->req.base);
        return -1;
    }
    *out = &c->req.base;
    return 0;
}
