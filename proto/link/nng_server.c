/* The server over libnng: bytes of REP peers by its streams (tcp, tls+tcp and, when asked, ipc).
 *
 * Owns the listener and the streams; rep.c does the rest. libnng's threads run the callbacks marked
 * so, which post to the mailbox; all else is the loop thread, in particular the start of every
 * operation and every close. A stream has at most one read and one write under way; it is freed
 * when both have come back.
 *
 * What libnng 1.5 keeps from us: on ipc, what a peer sent just before it left is lost when libnng
 * sees the hang-up before it has read it; with TLS, a connection that breaks between two of our
 * reads may be noticed only by the next send. Both are reasons why ipc is native by default. */
#include "proto/link/local.h"
#include "proto/link/nng_common.h"
#include "proto/link/rep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCEPT_PAUSE_MS = 100 /* after descriptors or memory ran out */ };

struct stream_peer {
    struct rep_peer rep;
    LIST_ENTRY(stream_peer) closing; /* closed and waiting for its operations */
    nng_stream *stream;
    /* One for each direction: an operation that is started twice aborts the process. */
    nng_aio *recv_aio, *send_aio;
    struct link_mail received, sent;
    bool receiving, sending, closed;
    uint8_t *scratch, *at; /* where the read under way goes */
    struct buf flying;     /* what the write under way takes from */
};

LIST_HEAD(stream_peer_list, stream_peer);

struct stream_server {
    struct rep rep;
    struct link_mailbox mailbox;
    nng_stream_listener *listener;
    nng_tls_config *tls;
    nng_aio *accept_aio;
    struct link_mail accepted;
    bool pausing;
    struct local_path path; /* ipc only */
    char *url;
    struct stream_peer_list closing;
};

static struct stream_server *
server_of(struct link_server *base)
{
    return (struct stream_server *)base;
}

static struct stream_server *
server_of_peer(const struct stream_peer *peer)
{
    return (struct stream_server *)peer->rep.rep;
}

/* ---- on libnng's threads -------------------------------------------------------------------- */

static void
recv_done(void *arg)
{
    struct stream_peer *peer = arg;
    link_mailbox_post(&server_of_peer(peer)->mailbox, &peer->received);
}

static void
send_done(void *arg)
{
    struct stream_peer *peer = arg;
    link_mailbox_post(&server_of_peer(peer)->mailbox, &peer->sent);
}

static void
accept_done(void *arg)
{
    struct stream_server *s = arg;
    link_mailbox_post(&s->mailbox, &s->accepted);
}

/* ---- one connection ------------------------------------------------------------------------- */

/* Waits for callbacks that have posted and are about to return, no longer. */
static void
free_peer(struct stream_peer *peer)
{
    if (peer->recv_aio != NULL) {
        nng_aio_free(peer->recv_aio);
    }
    if (peer->send_aio != NULL) {
        nng_aio_free(peer->send_aio);
    }
    nng_stream_free(peer->stream);
    buf_deinit(&peer->rep.in);
    buf_deinit(&peer->rep.out);
    buf_deinit(&peer->flying);
    free(peer->scratch);
    free(peer);
}

/* True, and the peer is gone, when it was closed and this was its last operation. */
static bool
free_if_over(struct stream_peer *peer)
{
    if (!peer->closed) {
        return false;
    }
    if (!peer->receiving && !peer->sending) {
        LIST_REMOVE(peer, closing);
        free_peer(peer);
    }
    return true;
}

static void
close_peer(struct rep_peer *rep)
{
    struct stream_peer *peer = (struct stream_peer *)rep;
    peer->closed = true;
    LIST_INSERT_HEAD(&server_of_peer(peer)->closing, peer, closing);
    nng_stream_close(peer->stream); /* both operations come back with an error */
    (void)free_if_over(peer);
}

static void
start_receiving(struct stream_peer *peer)
{
    size_t room;
    if (!rep_room(&peer->rep, peer->scratch, &peer->at, &room)) {
        rep_doom(&peer->rep);
        return;
    }
    const nng_iov iov = {.iov_buf = peer->at, .iov_len = room};
    (void)nng_aio_set_iov(peer->recv_aio, 1, &iov); /* cannot fail for one */
    nng_aio_set_timeout(peer->recv_aio, NNG_DURATION_INFINITE);
    peer->receiving = true;
    nng_stream_recv(peer->stream, peer->recv_aio);
}

static void
take_received(struct link_mail *mail)
{
    struct stream_peer *peer = mail->owner;
    peer->receiving = false;
    if (free_if_over(peer)) {
        return;
    }
    if (nng_aio_result(peer->recv_aio) != 0) {
        rep_doom(&peer->rep); /* the end of the stream among others */
        return;
    }
    rep_took(&peer->rep, peer->at, nng_aio_count(peer->recv_aio));
    if (!peer->rep.doomed) {
        start_receiving(peer);
    }
}

/* The limit is for each piece that the stream takes, so a slow reader is not cut off. */
static void
send_flying(struct stream_peer *peer)
{
    const int32_t limit_ms = peer->rep.rep->options.send_timeout_ms;
    const nng_iov iov = {.iov_buf = peer->flying.data + peer->flying.r,
                         .iov_len = peer->flying.w - peer->flying.r};
    (void)nng_aio_set_iov(peer->send_aio, 1, &iov); /* cannot fail for one */
    nng_aio_set_timeout(peer->send_aio, limit_ms > 0 ? limit_ms : LINK_SEND_TIMEOUT_MS);
    peer->rep.flying_bytes = iov.iov_len;
    peer->rep.blocked = true;
    peer->sending = true;
    nng_stream_send(peer->stream, peer->send_aio);
}

/* What is written next collects in the other buffer meanwhile. */
static void
write_peer(struct rep_peer *rep)
{
    struct stream_peer *peer = (struct stream_peer *)rep;
    const struct buf empty = peer->flying;
    peer->flying = rep->out;
    rep->out = empty;
    send_flying(peer);
}

static void
take_sent(struct link_mail *mail)
{
    struct stream_peer *peer = mail->owner;
    peer->sending = false;
    if (free_if_over(peer)) {
        return;
    }
    const int code = nng_aio_result(peer->send_aio);
    if (code == NNG_ETIMEDOUT) {
        rep_doom(&peer->rep); /* it read nothing for the whole time */
        return;
    }
    if (code != 0) {
        rep_mute(&peer->rep);
        buf_reset(&peer->flying, 0);
    } else {
        buf_skip(&peer->flying, nng_aio_count(peer->send_aio));
    }
    if (peer->flying.w > peer->flying.r) {
        send_flying(peer);
        rep_weigh(&peer->rep, true);
        return;
    }
    buf_reset(&peer->flying, REP_BUFFER_KEEP_BYTES);
    peer->rep.flying_bytes = 0;
    rep_weigh(&peer->rep, true);
    peer->rep.blocked = false;
    if (peer->rep.out.w > peer->rep.out.r && !peer->rep.doomed) {
        write_peer(&peer->rep);
    }
}

static struct link_cred
cred_of(nng_stream *stream)
{
    uint64_t uid, gid, pid;
    if (nng_stream_get_uint64(stream, NNG_OPT_IPC_PEER_UID, &uid) != 0 ||
        nng_stream_get_uint64(stream, NNG_OPT_IPC_PEER_GID, &gid) != 0 ||
        nng_stream_get_uint64(stream, NNG_OPT_IPC_PEER_PID, &pid) != 0) {
        return (struct link_cred){0};
    }
    return (struct link_cred){
        .known = true,
        .local = true,
        .uid = (uint32_t)uid,
        .gid = (uint32_t)gid,
        .pid = (int32_t)pid,
        .start_ticks = local_start_ticks((int32_t)pid),
    };
}

static const struct rep_transport ipc_transport = {
    .framing = SP_IPC, .write = write_peer, .close = close_peer};
static const struct rep_transport tcp_transport = {
    .framing = SP_TCP, .write = write_peer, .close = close_peer};

/* Takes the stream over; without memory it is closed, and its owner may try again. */
static void
new_peer(struct stream_server *s, nng_stream *stream)
{
    struct stream_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        nng_stream_free(stream);
        return;
    }
    const struct link_cred cred = cred_of(stream);
    peer->stream = stream;
    peer->received = (struct link_mail){.take = take_received, .owner = peer};
    peer->sent = (struct link_mail){.take = take_sent, .owner = peer};
    peer->scratch = malloc(REP_SCRATCH_BYTES);
    if (peer->scratch == NULL || nng_aio_alloc(&peer->recv_aio, recv_done, peer) != 0 ||
        nng_aio_alloc(&peer->send_aio, send_done, peer) != 0 ||
        !rep_add(&s->rep, &peer->rep, &cred)) {
        free_peer(peer);
        return;
    }
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting(greeting, SP_REP);
    buf_put(&peer->rep.out, greeting, sizeof greeting);
    if (peer->rep.out.failed) {
        rep_doom(&peer->rep);
        return;
    }
    write_peer(&peer->rep);
    start_receiving(peer);
}

/* ---- accepting ------------------------------------------------------------------------------ */

static void
start_accepting(struct stream_server *s)
{
    nng_aio_set_timeout(s->accept_aio, NNG_DURATION_INFINITE);
    nng_stream_listener_accept(s->listener, s->accept_aio);
}

static void
take_accepted(struct link_mail *mail)
{
    struct stream_server *s = mail->owner;
    const int code = nng_aio_result(s->accept_aio);
    if (code == 0 && !s->pausing) {
        nng_stream *stream = nng_aio_get_output(s->accept_aio, 0);
        if (rep_make_room(&s->rep)) {
            new_peer(s, stream);
        } else {
            nng_stream_free(stream);
        }
    } else if (code != 0 && code != NNG_ECONNABORTED && code != NNG_ECONNRESET) {
        s->pausing = true; /* out of descriptors, mostly: no circle */
        nng_sleep_aio(ACCEPT_PAUSE_MS, s->accept_aio);
        return;
    }
    s->pausing = false;
    start_accepting(s);
}

/* ---- the server ----------------------------------------------------------------------------- */

static const char *
url_of(const struct link_server *base)
{
    return ((const struct stream_server *)base)->url;
}

/* Accepting first, while all that the mailbox holds is still there; then the streams, whose
 * operations come back at once when they are closed. What is in the mailbox after that belongs to
 * what has been freed, and is not looked at. */
static void
free_server(struct link_server *base)
{
    struct stream_server *s = server_of(base);
    local_path_unlink(&s->path);
    if (s->listener != NULL) {
        nng_stream_listener_close(s->listener);
    }
    if (s->accept_aio != NULL) {
        nng_aio_stop(s->accept_aio);
        if (link_mailbox_has(&s->mailbox, &s->accepted) && !s->pausing &&
            nng_aio_result(s->accept_aio) == 0) {
            nng_stream_free(nng_aio_get_output(s->accept_aio, 0));
        }
        nng_aio_free(s->accept_aio);
    }
    rep_deinit(&s->rep);
    struct stream_peer *peer;
    /* No peer may go while a callback of another one can still post: the mailbox links their mail.
     */
    LIST_FOREACH(peer, &s->closing, closing)
    {
        if (peer->recv_aio != NULL) {
            nng_aio_stop(peer->recv_aio);
        }
        if (peer->send_aio != NULL) {
            nng_aio_stop(peer->send_aio);
        }
    }
    while ((peer = LIST_FIRST(&s->closing)) != NULL) {
        LIST_REMOVE(peer, closing);
        free_peer(peer);
    }
    if (s->listener != NULL) {
        nng_stream_listener_free(s->listener);
    }
    if (s->tls != NULL) {
        nng_tls_config_free(s->tls);
    }
    link_mailbox_deinit(&s->mailbox);
    free(s->url);
    free(s);
}

static const struct link_server_ops server_ops = {
    .reply = rep_reply,
    .drop = rep_drop,
    .close_peer = rep_close_peer,
    .turn = rep_turn,
    .url = url_of,
    .free = free_server,
};

static bool
is_ipc(const char *url)
{
    return strncmp(url, "ipc://", strlen("ipc://")) == 0;
}

/* The URL as it was asked for, with the port that was given instead of 0. */
static int
fill_url(struct stream_server *s, const char *url, struct link_error *error)
{
    const char *colon = strrchr(url, ':');
    if (is_ipc(url) || strcmp(colon, ":0") != 0) {
        s->url = strdup(url);
        return s->url != NULL ? 0 : link_fail(error, ENOMEM, "out of memory");
    }
    nng_sockaddr address;
    const int code = nng_stream_listener_get_addr(s->listener, NNG_OPT_LOCADDR, &address);
    if (code != 0) {
        return link_nng_fail(error, code, "cannot find out the port");
    }
    const uint16_t wire =
        address.s_family == NNG_AF_INET6 ? address.s_in6.sa_port : address.s_in.sa_port;
    uint8_t port[2];
    memcpy(port, &wire, sizeof port);
    if (asprintf(&s->url, "%.*s:%d", (int)(colon - url), url, port[0] << 8 | port[1]) < 0) {
        s->url = NULL;
        return link_fail(error, ENOMEM, "out of memory");
    }
    return 0;
}

static int
configure(struct stream_server *s, const char *url)
{
    if (is_ipc(url)) {
        return nng_stream_listener_set_int(s->listener, NNG_OPT_IPC_PERMISSIONS,
                                           (int)s->rep.options.socket_mode);
    }
    int code = nng_stream_listener_set_bool(s->listener, NNG_OPT_TCP_NODELAY, true);
    if (code == 0) {
        /* A peer whose machine vanished would hold its parked requests for ever. */
        code = nng_stream_listener_set_bool(s->listener, NNG_OPT_TCP_KEEPALIVE, true);
    }
    if (code == 0 && s->tls != NULL) {
        code = nng_stream_listener_set_ptr(s->listener, NNG_OPT_TLS_CONFIG, s->tls);
    }
    return code;
}

/* On ipc libnng never sees the public name: it would delete whatever stands there, and probe it by
 * a connection that kills a server of its own kind. */
static int
listen_on(struct stream_server *s, const char *url, struct link_error *error)
{
    char temp[sizeof s->path.temp + 8];
    const char *name = url;
    if (is_ipc(url)) {
        if (local_path_init(&s->path, url, error) < 0) {
            return -1;
        }
        snprintf(temp, sizeof temp, "ipc://%s", s->path.temp);
        name = temp;
    }
    int code = nng_stream_listener_alloc(&s->listener, name);
    if (code == 0) {
        code = configure(s, url);
    }
    if (code == 0) {
        code = nng_stream_listener_listen(s->listener);
    }
    if (code != 0) {
        return link_nng_fail(error, code, url);
    }
    if (is_ipc(url) && local_path_publish(&s->path, error) < 0) {
        return -1;
    }
    return fill_url(s, url, error);
}

static int
start(struct stream_server *s, const char *url, const struct link_server_options *options,
      struct link_error *error)
{
    if (link_mailbox_init(&s->mailbox, options->epoll_fd, error) < 0) {
        return -1;
    }
    if (strncmp(url, "tls", 3) == 0 &&
        link_nng_tls_server(&s->tls, options->tls_cert_file, options->tls_key_file, error) < 0) {
        return -1;
    }
    s->accepted = (struct link_mail){.take = take_accepted, .owner = s};
    const int code = nng_aio_alloc(&s->accept_aio, accept_done, s);
    if (code != 0) {
        return link_nng_fail(error, code, url);
    }
    if (listen_on(s, url, error) < 0) {
        return -1;
    }
    start_accepting(s);
    return 0;
}

int
link_nng_server_open(const char *url, const struct link_server_options *options,
                     const struct link_handler *handler, struct link_server **out,
                     struct link_error *error)
{
    struct stream_server *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    s->rep.base.ops = &server_ops;
    rep_init(&s->rep, options, handler, is_ipc(url) ? &ipc_transport : &tcp_transport);
    LIST_INIT(&s->closing);
    if (start(s, url, options, error) < 0) {
        free_server(&s->rep.base);
        return -1;
    }
    *out = &s->rep.base;
    return 0;
}
