/* The client over libnng: bytes of the REQ side by one of its streams (tcp and tls+tcp).
 *
 * Owns the stream and an eventfd that is readable while there is something to do. At most one read
 * and one write are under way; libnng's threads run the callbacks marked so, and what they share
 * with the caller is under `lock`. One thread at a time for all else. */
#include "proto/link/nng_common.h"
#include "proto/link/req.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct stream_client {
    struct req req;
    nng_stream_dialer *dialer;
    nng_stream *stream;
    nng_aio *dial_aio, *recv_aio, *send_aio;
    int event_fd;
    bool receiving; /* `in` is libnng's behind its last byte */
    pthread_mutex_t lock;
    /* Under the lock. */
    bool received; /* the read has come back */
    bool sending;  /* `flying` is libnng's; `req.out` is filled under the lock too */
    int send_code; /* why nothing can be sent any more, one of libnng's codes */
    struct buf flying;
};

/* Make the descriptor readable; under the lock. */
static void
wake(struct stream_client *c)
{
    const uint64_t one = 1;
    (void)!write(c->event_fd, &one, sizeof one); /* a full counter is readable already */
}

/* ---- sending -------------------------------------------------------------------------------- */

static void
send_flying(struct stream_client *c)
{
    const nng_iov iov = {.iov_buf = c->flying.data + c->flying.r,
                         .iov_len = c->flying.w - c->flying.r};
    (void)nng_aio_set_iov(c->send_aio, 1, &iov); /* cannot fail for one */
    nng_aio_set_timeout(c->send_aio, NNG_DURATION_INFINITE);
    nng_stream_send(c->stream, c->send_aio);
}

/* Let libnng have what was queued; what is queued next collects in the other buffer. True when
 * there is something to send. Under the lock. */
static bool
swap_buffers(struct stream_client *c)
{
    struct buf *out = &c->req.out;
    if (c->send_code != 0 || out->w == out->r) {
        c->sending = false;
        return false;
    }
    const struct buf empty = c->flying;
    c->flying = *out;
    *out = empty;
    buf_reset(out, REQ_KEEP_BYTES);
    c->sending = true;
    return true;
}

/* On libnng's thread, which goes on alone until all is sent: only answers wake the caller. */
static void
send_done(void *arg)
{
    struct stream_client *c = arg;
    pthread_mutex_lock(&c->lock);
    c->send_code = nng_aio_result(c->send_aio);
    if (c->send_code == 0) {
        buf_skip(&c->flying, nng_aio_count(c->send_aio));
    } else {
        wake(c);
    }
    const bool again = (c->send_code == 0 && c->flying.w > c->flying.r) || swap_buffers(c);
    pthread_mutex_unlock(&c->lock);
    if (again) {
        send_flying(c);
    }
}

static int
send_request(struct link_client *base, uint32_t id, const struct pieces *body,
             struct link_error *error)
{
    struct stream_client *c = (struct stream_client *)base;
    pthread_mutex_lock(&c->lock);
    const int result = req_send(base, id, body, error);
    pthread_mutex_unlock(&c->lock);
    return result;
}

static int
flush(struct link_client *base, struct link_error *error)
{
    struct stream_client *c = (struct stream_client *)base;
    pthread_mutex_lock(&c->lock);
    const int code = c->send_code;
    const bool start = !c->sending && swap_buffers(c);
    pthread_mutex_unlock(&c->lock);
    if (start) {
        send_flying(c);
    }
    return code == 0 ? 0 : link_nng_fail(error, code, "cannot write");
}

/* What is queued goes out by itself once it was flushed. */
static bool
wants_write(const struct link_client *base)
{
    (void)base;
    return false;
}

static int
fd_of(const struct link_client *base)
{
    return ((const struct stream_client *)base)->event_fd;
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* On libnng's thread. */
static void
recv_done(void *arg)
{
    struct stream_client *c = arg;
    pthread_mutex_lock(&c->lock);
    c->received = true;
    wake(c);
    pthread_mutex_unlock(&c->lock);
}

static void
start_receiving(struct stream_client *c)
{
    const nng_iov iov = {.iov_buf = c->req.in.data + c->req.in.w,
                         .iov_len = c->req.in.cap - c->req.in.w};
    (void)nng_aio_set_iov(c->recv_aio, 1, &iov); /* cannot fail for one */
    nng_aio_set_timeout(c->recv_aio, NNG_DURATION_INFINITE);
    c->receiving = true;
    nng_stream_recv(c->stream, c->recv_aio);
}

/* The descriptor stays readable when the read has failed: the connection is broken for good. */
static int
fill(struct req *r, struct link_error *error)
{
    struct stream_client *c = (struct stream_client *)r;
    if (!c->receiving) {
        if (!req_room(r)) {
            return link_fail(error, ENOMEM, "out of memory");
        }
        start_receiving(c);
    }
    pthread_mutex_lock(&c->lock);
    const bool received = c->received;
    const int code = received ? nng_aio_result(c->recv_aio) : 0;
    if (code == 0) {
        uint64_t count;
        c->received = false;
        /* Under the lock, so that a signal for what comes later is not swept away. Nothing to read
         * is fine too. */
        (void)!read(c->event_fd, &count, sizeof count);
    }
    pthread_mutex_unlock(&c->lock);
    if (code != 0 && r->parser.greeted) {
        /* Whatever TLS calls it: it was good and is over. */
        return link_fail(error, ECONNRESET, "the connection was closed: %s", nng_strerror(code));
    }
    if (code != 0) {
        return link_nng_fail(error, code, "cannot read the greeting");
    }
    if (received) {
        r->in.w += nng_aio_count(c->recv_aio);
        c->receiving = false;
    }
    return received ? 1 : 0;
}

/* ---- opening and closing -------------------------------------------------------------------- */

/* The host of an URL, without brackets; -1 when it does not fit. */
static int
host_of(const char *url, char *out, size_t cap)
{
    const char *host = strstr(url, "://") + strlen("://");
    const char *end = strrchr(host, ':');
    size_t len = end != NULL ? (size_t)(end - host) : strlen(host);
    if (len >= 2 && host[0] == '[') {
        host++;
        len -= 2;
    }
    if (len >= cap) {
        return -1;
    }
    memcpy(out, host, len);
    out[len] = '\0';
    return 0;
}

static int
configure(struct stream_client *c, const char *url, const struct link_client_options *options,
          struct link_error *error)
{
    int code = nng_stream_dialer_set_bool(c->dialer, NNG_OPT_TCP_NODELAY, true);
    if (code == 0) {
        code = nng_stream_dialer_set_bool(c->dialer, NNG_OPT_TCP_KEEPALIVE, true);
    }
    if (code == 0 && strncmp(url, "tls", 3) == 0) {
        nng_tls_config *tls;
        char host[256];
        if (host_of(url, host, sizeof host) < 0) {
            return link_fail(error, EINVAL, "the host in the URL is too long");
        }
        const char *name = options->tls_name != NULL ? options->tls_name : host;
        if (link_nng_tls_client(&tls, options->tls_ca_file, name, error) < 0) {
            return -1;
        }
        code = nng_stream_dialer_set_ptr(c->dialer, NNG_OPT_TLS_CONFIG, tls);
        nng_tls_config_free(tls); /* the dialer holds it on */
    }
    return code != 0 ? link_nng_fail(error, code, url) : 0;
}

/* On libnng's thread. */
static void
dial_done(void *arg)
{
    struct stream_client *c = arg;
    pthread_mutex_lock(&c->lock);
    wake(c);
    pthread_mutex_unlock(&c->lock);
}

/* The limit is our own, because libnng's cancels an operation in a way that may get lost (#2208),
 * and it runs on the clock that people set. Closing the dialer always brings the operation back. */
static int
dial(struct stream_client *c, const char *url, int64_t end_ms, struct link_error *error)
{
    nng_aio_set_timeout(c->dial_aio, NNG_DURATION_INFINITE);
    nng_stream_dialer_dial(c->dialer, c->dial_aio);
    const int64_t left_ms = end_ms - req_now_ms();
    struct pollfd pollfd = {.fd = c->event_fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&pollfd, 1, left_ms > 0 ? (int)left_ms : 0);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        nng_stream_dialer_close(c->dialer);
    }
    nng_aio_wait(c->dial_aio);
    const int code = nng_aio_result(c->dial_aio);
    if (code != 0) {
        return link_nng_fail(error, ready == 0 ? NNG_ETIMEDOUT : code, url);
    }
    c->stream = nng_aio_get_output(c->dial_aio, 0);
    return 0;
}

static int
start(struct stream_client *c, const char *url, const struct link_client_options *options,
      int timeout_ms, struct link_error *error)
{
    const int64_t end_ms = req_now_ms() + timeout_ms;
    c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->event_fd < 0) {
        return link_fail(error, errno, "eventfd: %s", strerror(errno));
    }
    int code = nng_aio_alloc(&c->dial_aio, dial_done, c);
    if (code == 0) {
        code = nng_aio_alloc(&c->recv_aio, recv_done, c);
    }
    if (code == 0) {
        code = nng_aio_alloc(&c->send_aio, send_done, c);
    }
    if (code == 0) {
        code = nng_stream_dialer_alloc(&c->dialer, url);
    }
    if (code != 0) {
        return link_nng_fail(error, code, url);
    }
    if (configure(c, url, options, error) < 0 || dial(c, url, end_ms, error) < 0) {
        return -1;
    }
    return req_greet(&c->req, url, end_ms, error);
}

static void
free_aio(nng_aio *aio)
{
    if (aio != NULL) {
        nng_aio_stop(aio);
        nng_aio_free(aio);
    }
}

/* Closing the stream brings both operations back, so that nothing below waits for the peer. */
static void
free_client(struct link_client *base)
{
    struct stream_client *c = (struct stream_client *)base;
    if (c->stream != NULL) {
        nng_stream_close(c->stream);
    }
    free_aio(c->recv_aio);
    free_aio(c->send_aio);
    free_aio(c->dial_aio);
    nng_stream_free(c->stream);
    if (c->dialer != NULL) {
        nng_stream_dialer_free(c->dialer);
    }
    if (c->event_fd >= 0) {
        close(c->event_fd);
    }
    buf_deinit(&c->flying);
    req_deinit(&c->req);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static const struct link_client_ops client_ops = {
    .fd = fd_of,
    .wants_write = wants_write,
    .send = send_request,
    .flush = flush,
    .recv = req_recv,
    .free = free_client,
};

int
link_nng_client_open(const char *url, const struct link_client_options *options, int timeout_ms,
                     struct link_client **out, struct link_error *error)
{
    struct stream_client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    c->req.base.ops = &client_ops;
    c->req.fill = fill;
    req_init(&c->req, SP_TCP, options->message_bytes_max);
    c->event_fd = -1;
    pthread_mutex_init(&c->lock, NULL); /* cannot fail for a default mutex on Linux */
    if (start(c, url, options, timeout_ms, error) < 0) {
        free_client(&c->req.base);
        return -1;
    }
    *out = &c->req.base;
    return 0;
}
