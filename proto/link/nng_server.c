/* The server over libnng, the REP side of tcp, tls+tcp and, when asked, ipc: see nng_server.h. */
#include "proto/link/nng_server.h"

#include "proto/link/sp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECEIVING_MIN = 16, /* slots that receive: below this more are started */
    RECEIVING_MAX = 64, /* above it a slot that has become free rests */
};

static const struct link_server_ops server_ops;

static struct rep_server *
server_of(struct link_server *base)
{
    return (struct rep_server *)base;
}

static uint32_t
requests_max(const struct rep_server *s)
{
    return s->options.requests_max > 0 ? s->options.requests_max : LINK_REQUESTS_MAX;
}

/* ---- connections: on libnng's threads ------------------------------------------------------- */

static struct rep_peer_list *
bucket_of(struct rep_server *s, nng_pipe pipe)
{
    return &s->buckets[(unsigned)nng_pipe_id(pipe) % REP_BUCKETS];
}

/* The peer of a pipe, under the lock of the mailbox. */
static struct rep_peer *
find_peer(struct rep_server *s, nng_pipe pipe)
{
    struct rep_peer *peer;
    LIST_FOREACH(peer, bucket_of(s, pipe), bucket)
    {
        if (nng_pipe_id(peer->pipe) == nng_pipe_id(pipe)) {
            return peer;
        }
    }
    return NULL;
}

static struct link_cred
cred_of(nng_pipe pipe)
{
    uint64_t uid, gid, pid;
    if (nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &uid) != 0 ||
        nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_GID, &gid) != 0 ||
        nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_PID, &pid) != 0) {
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

static void take_removed(struct link_mail *mail);

/* Before the connection is used, so that its state exists when its first message comes. The event
 * after this one may come later than a message, and even later than the end: it is not used. */
static void
pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct rep_server *s = arg;
    atomic_fetch_add(&s->accepted, 1);
    struct rep_peer *peer = NULL;
    if (atomic_fetch_add(&s->live, 1) < s->options.peers_max) {
        peer = calloc(1, sizeof *peer);
    }
    if (peer == NULL) {
        nng_pipe_close(pipe);
        return;
    }
    peer->server = s;
    peer->pipe = pipe;
    peer->cred = cred_of(pipe);
    peer->removed = (struct link_mail){.take = take_removed, .owner = peer};
    LIST_INIT(&peer->slots);
    pthread_mutex_lock(&s->mailbox.lock);
    LIST_INSERT_HEAD(bucket_of(s, pipe), peer, bucket);
    pthread_mutex_unlock(&s->mailbox.lock);
}

/* Comes once for each pipe_added(), also for a connection that was refused there. */
static void
pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct rep_server *s = arg;
    atomic_fetch_sub(&s->live, 1);
    pthread_mutex_lock(&s->mailbox.lock);
    struct rep_peer *peer = find_peer(s, pipe);
    if (peer != NULL) {
        LIST_REMOVE(peer, bucket);
    }
    pthread_mutex_unlock(&s->mailbox.lock);
    if (peer != NULL) {
        link_mailbox_post(&s->mailbox, &peer->removed);
    }
}

static void
recv_done(void *arg)
{
    struct rep_slot *slot = arg;
    link_mailbox_post(&slot->server->mailbox, &slot->received);
}

static void
send_done(void *arg)
{
    struct rep_slot *slot = arg;
    link_mailbox_post(&slot->server->mailbox, &slot->sent);
}

/* ---- slots ---------------------------------------------------------------------------------- */

static void take_received(struct link_mail *mail);
static void take_sent(struct link_mail *mail);

static void
receive(struct rep_slot *slot)
{
    slot->state = REP_RECEIVING;
    slot->server->receiving++;
    /* Said each time: "default" would be replaced by the socket's and stick. No limit on waiting. */
    nng_aio_set_timeout(slot->recv_aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(slot->context, slot->recv_aio);
}

static void
free_slot(struct rep_slot *slot)
{
    if (slot->recv_aio != NULL) {
        nng_aio_free(slot->recv_aio);
    }
    if (slot->send_aio != NULL) {
        nng_aio_free(slot->send_aio);
    }
    free(slot);
}

static struct rep_slot *
new_slot(struct rep_server *s)
{
    struct rep_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL) {
        return NULL;
    }
    slot->server = s;
    slot->received = (struct link_mail){.take = take_received, .owner = slot};
    slot->sent = (struct link_mail){.take = take_sent, .owner = slot};
    if (nng_aio_alloc(&slot->recv_aio, recv_done, slot) != 0 ||
        nng_aio_alloc(&slot->send_aio, send_done, slot) != 0 ||
        nng_ctx_open(&slot->context, s->socket) != 0) {
        free_slot(slot);
        return NULL;
    }
    LIST_INSERT_HEAD(&s->slots, slot, all);
    return slot;
}

/* Without memory there are fewer; the requests then wait inside libnng. */
static void
keep_receiving(struct rep_server *s)
{
    if (s->receiving >= RECEIVING_MIN) {
        return;
    }
    while (s->receiving < RECEIVING_MIN * 2) {
        struct rep_slot *slot = LIST_FIRST(&s->spares);
        if (slot != NULL) {
            LIST_REMOVE(slot, spare);
        } else if ((slot = new_slot(s)) == NULL) {
            return;
        }
        receive(slot);
    }
}

/* The slot's request is over: to receive again is also how a context forgets one unanswered. */
static void
recycle(struct rep_slot *slot)
{
    struct rep_server *s = slot->server;
    if (slot->peer != NULL) {
        LIST_REMOVE(slot, of_peer);
        slot->peer->out_bytes -= slot->out_bytes;
        slot->peer = NULL;
    }
    slot->out_bytes = 0;
    if (s->receiving < RECEIVING_MAX) {
        receive(slot);
    } else {
        slot->state = REP_SPARE;
        LIST_INSERT_HEAD(&s->spares, slot, spare);
    }
}

static void
release_request(struct rep_slot *slot)
{
    handle_remove(&slot->server->requests, slot->request);
    slot->request = 0;
}

/* ---- requests: on the loop thread ----------------------------------------------------------- */

/* The id of a request. A cooked context has moved the SP header out of the message into itself; its
 * bytes are still in the message's header buffer, of which only the length was set to 0 (so in 1.5 to
 * 1.12). Where a version wipes them there is no bit 31, and the id is "not told". */
static uint32_t
id_of(nng_msg *msg)
{
    const uint8_t *words = nng_msg_header(msg);
    for (int i = 0; i < SP_STACK_BYTES_MAX; i += SP_WORD_BYTES) {
        if ((words[i] & 0x80) != 0) {
            return (uint32_t)words[i] << 24 | (uint32_t)words[i + 1] << 16 |
                   (uint32_t)words[i + 2] << 8 | words[i + 3];
        }
    }
    return 0;
}

static void
hang_up(struct rep_peer *peer)
{
    struct rep_slot *slot = LIST_FIRST(&peer->slots);
    peer->closing = true;
    while (slot != NULL) {
        struct rep_slot *next = LIST_NEXT(slot, of_peer);
        if (slot->state == REP_HELD) {
            release_request(slot);
            recycle(slot);
        }
        slot = next;
    }
    nng_pipe_close(peer->pipe);
}

/* Give the slot's request a number, and its peer too when it is its first. */
static bool
admit(struct rep_slot *slot, struct rep_peer *peer)
{
    struct rep_server *s = slot->server;
    if (peer->id == 0) {
        peer->id = handle_add(&s->peers, peer);
        if (peer->id == 0) {
            return false;
        }
        s->handler.opened(s->handler.context, &s->base, peer->id, &peer->cred);
    }
    if (peer->closing || s->requests.count >= requests_max(s)) {
        return false;
    }
    slot->request = handle_add(&s->requests, slot);
    if (slot->request == 0) {
        return false;
    }
    slot->state = REP_HELD;
    slot->peer = peer;
    LIST_INSERT_HEAD(&peer->slots, slot, of_peer);
    return true;
}

static void
deliver(struct rep_slot *slot, struct rep_peer *peer, nng_msg *msg)
{
    struct rep_server *s = slot->server;
    if (!admit(slot, peer)) {
        recycle(slot);
        if (!peer->closing) {
            hang_up(peer);
        }
        return;
    }
    const struct span body = {nng_msg_body(msg), nng_msg_len(msg)};
    if (body.len > s->options.message_bytes_max) {
        s->handler.oversized(s->handler.context, &s->base, peer->id, slot->request, body.len);
    } else {
        s->handler.message(s->handler.context, &s->base, peer->id, slot->request, id_of(msg), body);
    }
}

static void
take_received(struct link_mail *mail)
{
    struct rep_slot *slot = mail->owner;
    struct rep_server *s = slot->server;
    if (s->closing) {
        return;
    }
    s->receiving--;
    if (nng_aio_result(slot->recv_aio) != 0) {
        slot->state = REP_SPARE; /* out of memory inside libnng: try later, not in a circle */
        LIST_INSERT_HEAD(&s->spares, slot, spare);
        return;
    }
    nng_msg *msg = nng_aio_get_msg(slot->recv_aio);
    nng_aio_set_msg(slot->recv_aio, NULL);
    pthread_mutex_lock(&s->mailbox.lock);
    struct rep_peer *peer = find_peer(s, nng_msg_get_pipe(msg));
    pthread_mutex_unlock(&s->mailbox.lock);
    /* Gone already: its removal may be behind this mail, but nobody would get the answer. A peer that
     * was found stays valid, because its removal is mail to this thread. */
    if (peer == NULL || peer->closing) {
        recycle(slot);
    } else {
        deliver(slot, peer, msg);
    }
    nng_msg_free(msg);
    keep_receiving(s);
}

static void
take_sent(struct link_mail *mail)
{
    struct rep_slot *slot = mail->owner;
    if (slot->server->closing) {
        return;
    }
    const int code = nng_aio_result(slot->send_aio);
    if (code != 0) {
        nng_msg_free(nng_aio_get_msg(slot->send_aio));
        nng_aio_set_msg(slot->send_aio, NULL);
        if (slot->peer != NULL && !slot->peer->closing) {
            hang_up(slot->peer); /* it read nothing for the whole time that a send may take */
        }
    }
    recycle(slot);
}

static void
take_removed(struct link_mail *mail)
{
    struct rep_peer *peer = mail->owner;
    struct rep_server *s = peer->server;
    struct rep_slot *slot;
    while (!s->closing && (slot = LIST_FIRST(&peer->slots)) != NULL) {
        if (slot->state == REP_HELD) {
            release_request(slot);
            recycle(slot);
        } else {
            LIST_REMOVE(slot, of_peer); /* sending: libnng still has to say that it is over */
            slot->peer = NULL;
        }
    }
    if (peer->id != 0 && !s->closing) {
        handle_remove(&s->peers, peer->id);
        s->handler.closed(s->handler.context, &s->base, peer->id);
    }
    free(peer);
}

/* ---- the table ------------------------------------------------------------------------------ */

static void
reply(struct link_server *base, uint64_t request, struct span body)
{
    struct rep_server *s = server_of(base);
    struct rep_slot *slot = handle_find(&s->requests, request);
    if (slot == NULL) {
        return;
    }
    struct rep_peer *peer = slot->peer;
    nng_msg *msg;
    /* One answer alone may be of any size. */
    const bool full = peer->out_bytes > 0 && peer->out_bytes + body.len > s->options.out_bytes_max;
    if (full || nng_msg_alloc(&msg, body.len) != 0) {
        hang_up(peer);
        return;
    }
    if (body.len > 0) {
        memcpy(nng_msg_body(msg), body.data, body.len);
    }
    release_request(slot);
    slot->state = REP_SENDING;
    slot->out_bytes = body.len;
    peer->out_bytes += body.len;
    nng_aio_set_msg(slot->send_aio, msg);
    nng_aio_set_timeout(slot->send_aio, s->options.send_timeout_ms > 0 ? s->options.send_timeout_ms
                                                                       : LINK_SEND_TIMEOUT_MS);
    nng_ctx_send(slot->context, slot->send_aio);
}

static void
drop(struct link_server *base, uint64_t request)
{
    struct rep_slot *slot = handle_find(&server_of(base)->requests, request);
    if (slot != NULL) {
        release_request(slot);
        recycle(slot);
    }
}

static void
close_peer(struct link_server *base, uint64_t id)
{
    struct rep_peer *peer = handle_find(&server_of(base)->peers, id);
    if (peer != NULL && !peer->closing) {
        hang_up(peer);
    }
}

static void
turn(struct link_server *base)
{
    keep_receiving(server_of(base));
}

static const char *
url_of(const struct link_server *base)
{
    return ((const struct rep_server *)base)->url;
}

/* Contexts first, because closing the socket waits for them; then the operations, whose end waits for
 * their callbacks; then the socket, which waits for every connection to be removed. After that no
 * thread of libnng knows the server any more. */
static void
free_server(struct link_server *base)
{
    struct rep_server *s = server_of(base);
    struct rep_slot *slot;
    s->closing = true;
    link_rep_unlisten(s);
    LIST_FOREACH(slot, &s->slots, all)
    {
        nng_ctx_close(slot->context);
        nng_aio_stop(slot->recv_aio);
        nng_aio_stop(slot->send_aio);
    }
    if (s->open) {
        nng_close(s->socket);
    }
    while ((slot = LIST_FIRST(&s->slots)) != NULL) {
        LIST_REMOVE(slot, all);
        /* Received and not taken, or not sent; NULL is accepted. */
        nng_msg_free(nng_aio_get_msg(slot->recv_aio));
        nng_msg_free(nng_aio_get_msg(slot->send_aio));
        free_slot(slot);
    }
    if (s->mailbox.event_fd >= 0) {
        link_mailbox_deliver(&s->mailbox); /* frees the peers */
    }
    link_mailbox_deinit(&s->mailbox);
    handle_deinit(&s->peers);
    handle_deinit(&s->requests);
    free(s->url);
    free(s);
}

static int
start(struct rep_server *s, const char *url, struct link_error *error)
{
    if (link_mailbox_init(&s->mailbox, s->options.epoll_fd, error) < 0) {
        return -1;
    }
    int code = nng_rep0_open(&s->socket);
    if (code != 0) {
        return link_nng_fail(error, code, "nng_rep0_open");
    }
    s->open = true;
    code = nng_pipe_notify(s->socket, NNG_PIPE_EV_ADD_PRE, pipe_added, s);
    if (code == 0) {
        code = nng_pipe_notify(s->socket, NNG_PIPE_EV_REM_POST, pipe_removed, s);
    }
    if (code != 0) {
        return link_nng_fail(error, code, "nng_pipe_notify");
    }
    keep_receiving(s);
    if (s->receiving == 0) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    return link_rep_listen(s, url, error);
}

int
link_nng_server_open(const char *url, const struct link_server_options *options,
                     const struct link_handler *handler, struct link_server **out,
                     struct link_error *error)
{
    struct rep_server *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return link_fail(error, ENOMEM, "out of memory");
    }
    s->base.ops = &server_ops;
    s->handler = *handler;
    s->options = *options;
    s->mailbox.event_fd = -1;
    s->listener.server = s;
    s->listener.timer_fd = s->listener.probe_fd = -1;
    const int result = start(s, url, error);
    s->options.tls_cert_file = s->options.tls_key_file = NULL; /* borrowed for this call only */
    if (result < 0) {
        free_server(&s->base);
        return -1;
    }
    *out = &s->base;
    return 0;
}

static const struct link_server_ops server_ops = {
    .reply = reply,
    .drop = drop,
    .close_peer = close_peer,
    .turn = turn,
    .url = url_of,
    .free = free_server,
};
