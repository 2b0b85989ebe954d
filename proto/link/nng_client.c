/* The client over libnng, the REQ side of tcp and tls+tcp: a raw REQ socket, so that any number of
 * requests may be outstanding and nothing is ever repeated.
 *
 * Owns the socket with its one connection, and an eventfd that is readable while there is something to
 * take. libnng's threads run the callbacks marked so; what they share with the caller is under `lock`.
 * One thread at a time for all else. */
#include "proto/link/nng_common.h"

#include "proto/link/sp.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MESSAGES_QUEUED = 128, /* inside libnng, in each direction */
    NEVER_AGAIN_MS = 24 * 3600 * 1000, /* this client does not reconnect: its caller opens another */
};

struct req_client {
    struct link_client base;
    size_t message_bytes_max;
    nng_socket socket;
    bool open;
    nng_aio *recv_aio, *send_aio;
    int event_fd;
    nng_msg *current; /* whose body the caller may be reading */
    bool waiting;     /* recv_aio is in use */
    bool refused;     /* an answer above the limit came: the connection is given up */
    pthread_mutex_t lock;
    /* Under the lock. */
    nng_msg *arrived;
    bool sending, broken;
    unsigned connections;
    nng_msg **queue; /* waiting to be sent: a ring of `queue_cap`, a power of two */
    size_t queue_cap, queue_head, queue_len;
};

static const struct link_client_ops client_ops;

static struct req_client *
client_of(struct link_client *base)
{
    return (struct req_client *)base;
}

/* Make the descriptor readable; under the lock. */
static void
signal_caller(struct req_client *c)
{
    const uint64_t one = 1;
    (void)!write(c->event_fd, &one, sizeof one); /* a full counter is readable already */
}

/* ---- on libnng's threads -------------------------------------------------------------------- */

static void
pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct req_client *c = arg;
    pthread_mutex_lock(&c->lock);
    const bool first = c->connections++ == 0;
    pthread_mutex_unlock(&c->lock);
    if (!first) {
        nng_pipe_close(pipe); /* the requests of a lost connection must not travel on another */
    }
}

static void
pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)pipe;
    (void)event;
    struct req_client *c = arg;
    pthread_mutex_lock(&c->lock);
    c->broken = true;
    signal_caller(c);
    pthread_mutex_unlock(&c->lock);
}

static void
recv_done(void *arg)
{
    struct req_client *c = arg;
    pthread_mutex_lock(&c->lock);
    if (nng_aio_result(c->recv_aio) == 0) {
        c->arrived = nng_aio_get_msg(c->recv_aio);
        nng_aio_set_msg(c->recv_aio, NULL);
    } else {
        c->broken = true;
    }
    signal_caller(c);
    pthread_mutex_unlock(&c->lock);
}

/* The next message to send, or NULL and `sending` is over; under the lock. */
static nng_msg *
next_to_send(struct req_client *c)
{
    if (c->broken || c->queue_len == 0) {
        c->sending = false;
        return NULL;
    }
    nng_msg *msg = c->queue[c->queue_head];
    c->queue_head = (c->queue_head + 1) & (c->queue_cap - 1);
    c->queue_len--;
    c->sending = true;
    return msg;
}

static void
start_sending(struct req_client *c, nng_msg *msg)
{
    nng_aio_set_msg(c->send_aio, msg);
    nng_aio_set_timeout(c->send_aio, NNG_DURATION_INFINITE);
    nng_send_aio(c->socket, c->send_aio);
}

/* Sending goes on without the caller, who is only woken by answers. */
static void
send_done(void *arg)
{
    struct req_client *c = arg;
    const bool failed = nng_aio_result(c->send_aio) != 0;
    if (failed) {
        nng_msg_free(nng_aio_get_msg(c->send_aio));
        nng_aio_set_msg(c->send_aio, NULL);
    }
    pthread_mutex_lock(&c->lock);
    if (failed) {
        c->broken = true;
        signal_caller(c);
    }
    nng_msg *msg = next_to_send(c);
    pthread_mutex_unlock(&c->lock);
    if (msg != NULL) {
        start_sending(c, msg);
    }
}

/* ---- sending -------------------------------------------------------------------------------- */

static int
fd_of(const struct link_client *base)
{
    return ((const struct req_client *)base)->event_fd;
}

static bool
wants_write(const struct link_client *base)
{
    (void)base;
    return false;
}

/* Under the lock. */
static bool
enqueue(struct req_client *c, nng_msg *msg)
{
    if (c->queue_len == c->queue_cap) {
        const size_t cap = c->queue_cap > 0 ? c->queue_cap * 2 : 16;
        nng_msg **queue = calloc(cap, sizeof *queue);
        if (queue == NULL) {
            return false;
        }
        for (size_t i = 0; i < c->queue_len; i++) {
            queue[i] = c->queue[(c->queue_head + i) & (c->queue_cap - 1)];
        }
        free(c->queue);
        c->queue = queue;
        c->queue_cap = cap;
        c->queue_head = 0;
    }
    c->queue[(c->queue_head + c->queue_len++) & (c->queue_cap - 1)] = msg;
    return true;
}

static int
send_request(struct link_client *base, uint32_t id, struct span body, struct link_error *error)
{
    struct req_client *c = client_of(base);
    if ((id & SP_ID_BIT) == 0) {
        return link_fail(error, EINVAL, "request id without bit 31");
    }
    nng_msg *msg = NULL;
    int code = nng_msg_alloc(&msg, body.len);
    if (code == 0) {
        code = nng_msg_header_append_u32(msg, id);
    }
    if (code != 0) {
        nng_msg_free(msg);
        return link_nng_fail(error, code, "cannot queue a request");
    }
    if (body.len > 0) {
        memcpy(nng_msg_body(msg), body.data, body.len);
    }
    pthread_mutex_lock(&c->lock);
    const bool queued = enqueue(c, msg);
    pthread_mutex_unlock(&c->lock);
    if (!queued) {
        nng_msg_free(msg);
        return link_fail(error, ENOMEM, "out of memory");
    }
    return 0;
}

static int
broken(struct link_error *error)
{
    return link_fail(error, ECONNRESET, "the connection was closed");
}

/* As long as libnng's queue has room a message goes in without a callback, which would cost a switch
 * of threads each; the first that finds it full waits in the aio, and the callback goes on from there. */
static int
flush(struct link_client *base, struct link_error *error)
{
    struct req_client *c = client_of(base);
    for (;;) {
        pthread_mutex_lock(&c->lock);
        const bool is_broken = c->broken;
        nng_msg *msg = c->sending ? NULL : next_to_send(c);
        pthread_mutex_unlock(&c->lock);
        if (msg == NULL) {
            return is_broken ? broken(error) : 0;
        }
        if (nng_sendmsg(c->socket, msg, NNG_FLAG_NONBLOCK) != 0) {
            start_sending(c, msg); /* full, or it fails and the callback says so */
            return 0;
        }
        pthread_mutex_lock(&c->lock);
        c->sending = false;
        pthread_mutex_unlock(&c->lock);
    }
}

/* ---- receiving ------------------------------------------------------------------------------ */

static void
receive(struct req_client *c)
{
    c->waiting = true;
    nng_aio_set_timeout(c->recv_aio, NNG_DURATION_INFINITE);
    nng_recv_aio(c->socket, c->recv_aio);
}

/* What the operation that waits has got, and whether the connection is broken. */
static nng_msg *
take_arrived(struct req_client *c, bool *is_broken)
{
    pthread_mutex_lock(&c->lock);
    nng_msg *msg = c->arrived;
    c->arrived = NULL;
    *is_broken = c->broken;
    if (!c->broken) {
        uint64_t count;
        /* Under the lock, so that a signal for what comes later is not swept away. Nothing to read is
         * fine too. A broken connection stays readable. */
        (void)!read(c->event_fd, &count, sizeof count);
    }
    pthread_mutex_unlock(&c->lock);
    return msg;
}

/* The next answer in libnng's hands, or NULL. Only when its queue is empty an operation is left waiting
 * there: one answer through a callback costs a switch of threads, those behind it are just taken. */
static nng_msg *
next_answer(struct req_client *c, bool *is_broken)
{
    nng_msg *msg = take_arrived(c, is_broken);
    if (msg == NULL && c->waiting && *is_broken) {
        nng_aio_stop(c->recv_aio); /* what came before the connection went is still handed out */
        msg = take_arrived(c, is_broken);
        c->waiting = false;
    }
    if (msg != NULL) {
        c->waiting = false;
        return msg;
    }
    if (!c->waiting && nng_recvmsg(c->socket, &msg, NNG_FLAG_NONBLOCK) == 0) {
        return msg;
    }
    if (!c->waiting && !*is_broken) {
        receive(c);
    }
    return NULL;
}

static int
recv_answer(struct link_client *base, uint32_t *id, struct span *body, struct link_error *error)
{
    struct req_client *c = client_of(base);
    bool is_broken;
    nng_msg_free(c->current);
    c->current = NULL;
    if (c->refused) {
        return link_fail(error, EMSGSIZE, "an answer was larger than is taken");
    }
    nng_msg *msg = c->current = next_answer(c, &is_broken);
    if (msg == NULL) {
        return is_broken ? broken(error) : 0;
    }
    const size_t len = nng_msg_len(msg);
    const size_t header_len = nng_msg_header_len(msg);
    if (header_len < SP_WORD_BYTES) {
        return link_fail(error, EPROTO, "an answer without an id"); /* libnng never lets one through */
    }
    if (len > c->message_bytes_max) {
        c->refused = true;
        return link_fail(error, EMSGSIZE, "an answer of %zu bytes, at most %zu are taken", len,
                         c->message_bytes_max);
    }
    const uint8_t *word = (const uint8_t *)nng_msg_header(msg) + header_len - SP_WORD_BYTES;
    *id = (uint32_t)word[0] << 24 | (uint32_t)word[1] << 16 | (uint32_t)word[2] << 8 | word[3];
    *body = len > 0 ? (struct span){nng_msg_body(msg), len} : (struct span){0};
    return 1;
}

/* ---- opening and closing -------------------------------------------------------------------- */

/* libnng's own start waits as long as the kernel tries, and its other start never tells why it failed.
 * So the first runs in a thread of its own, which ends early when the dialer is closed. */
struct dial {
    nng_dialer dialer;
    int code;
    int done_fd;
};

static void *
dial_thread(void *arg)
{
    struct dial *dial = arg;
    dial->code = nng_dialer_start(dial->dialer, 0);
    const uint64_t one = 1;
    (void)!write(dial->done_fd, &one, sizeof one); /* an empty eventfd takes it */
    return NULL;
}

static int
dial_within(nng_dialer dialer, const char *url, int timeout_ms, struct link_error *error)
{
    struct dial dial = {.dialer = dialer, .done_fd = eventfd(0, EFD_CLOEXEC)};
    pthread_t thread;
    if (dial.done_fd < 0) {
        return link_fail(error, errno, "eventfd: %s", strerror(errno));
    }
    const int failed = pthread_create(&thread, NULL, dial_thread, &dial);
    if (failed != 0) {
        close(dial.done_fd);
        return link_fail(error, failed, "cannot start a thread: %s", strerror(failed));
    }
    struct pollfd pollfd = {.fd = dial.done_fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&pollfd, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        nng_dialer_close(dialer);
    }
    pthread_join(thread, NULL);
    close(dial.done_fd);
    if (ready == 0) {
        return link_fail(error, ETIMEDOUT, "%s: no connection within %d ms", url, timeout_ms);
    }
    return dial.code != 0 ? link_nng_fail(error, dial.code, url) : 0;
}

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
configure(nng_dialer dialer, const char *url, const struct link_client_options *options,
          struct link_error *error)
{
    int code = nng_dialer_set_size(dialer, NNG_OPT_RECVMAXSZ,
                                   link_nng_receive_max(options->message_bytes_max));
    if (code == 0) {
        code = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMINT, NEVER_AGAIN_MS);
    }
    if (code == 0) {
        code = nng_dialer_set_bool(dialer, NNG_OPT_TCP_KEEPALIVE, true);
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
        code = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, tls);
        nng_tls_config_free(tls); /* the dialer holds it on */
    }
    return code != 0 ? link_nng_fail(error, code, url) : 0;
}

static int
start(struct req_client *c, const char *url, const struct link_client_options *options, int timeout_ms,
      struct link_error *error)
{
    c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->event_fd < 0) {
        return link_fail(error, errno, "eventfd: %s", strerror(errno));
    }
    int code = nng_req0_open_raw(&c->socket);
    c->open = code == 0;
    if (code == 0) {
        code = nng_socket_set_int(c->socket, NNG_OPT_RECVBUF, MESSAGES_QUEUED);
    }
    if (code == 0) {
        code = nng_socket_set_int(c->socket, NNG_OPT_SENDBUF, MESSAGES_QUEUED);
    }
    if (code == 0) {
        code = nng_pipe_notify(c->socket, NNG_PIPE_EV_ADD_PRE, pipe_added, c);
    }
    if (code == 0) {
        code = nng_pipe_notify(c->socket, NNG_PIPE_EV_REM_POST, pipe_removed, c);
    }
    if (code == 0) {
        code = nng_aio_alloc(&c->recv_aio, recv_done, c);
    }
    if (code == 0) {
        code = nng_aio_alloc(&c->send_aio, send_done, c);
    }
    nng_dialer dialer;
    if (code == 0) {
        code = nng_dialer_create(&dialer, c->socket, url);
    }
    if (code != 0) {
        return link_nng_fail(error, code, url);
    }
    if (configure(dialer, url, options, error) < 0 || dial_within(dialer, url, timeout_ms, error) < 0) {
        return -1;
    }
    receive(c);
    return 0;
}

static void
free_client(struct link_client *base)
{
    struct req_client *c = client_of(base);
    /* The callbacks are over when these return; the socket's when it is closed. */
    if (c->recv_aio != NULL) {
        nng_aio_stop(c->recv_aio);
    }
    if (c->send_aio != NULL) {
        nng_aio_stop(c->send_aio);
    }
    if (c->open) {
        nng_close(c->socket);
    }
    if (c->recv_aio != NULL) {
        nng_aio_free(c->recv_aio);
    }
    if (c->send_aio != NULL) {
        nng_msg_free(nng_aio_get_msg(c->send_aio)); /* one that was refused while stopping */
        nng_aio_free(c->send_aio);
    }
    nng_msg_free(c->current);
    nng_msg_free(c->arrived);
    for (size_t i = 0; i < c->queue_len; i++) {
        nng_msg_free(c->queue[(c->queue_head + i) & (c->queue_cap - 1)]);
    }
    free(c->queue);
    if (c->event_fd >= 0) {
        close(c->event_fd);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}

int
link_nng_client_open(const char *url, const struct link_client_options *options, int timeout_ms,
                     struct link_client **out, struct link_error *error)
{
    struct req_client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    c->base.ops = &client_ops;
    c->message_bytes_max = options->message_bytes_max;
    c->event_fd = -1;
    pthread_mutex_init(&c->lock, NULL); /* cannot fail for a default mutex on Linux */
    if (start(c, url, options, timeout_ms, error) < 0) {
        free_client(&c->base);
        return -1;
    }
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
