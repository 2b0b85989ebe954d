/* One connection of the native server: see ipc_server.h for its life. */
#include "proto/link/ipc_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- requests ------------------------------------------------------------------------------- */

static uint32_t
requests_max(const struct ipc_server *s)
{
    return s->options.requests_max > 0 ? s->options.requests_max : LINK_REQUESTS_MAX;
}

/* 0 when there are too many requests or no memory. */
static uint64_t
request_add(struct ipc_peer *peer, struct span stack)
{
    struct ipc_server *s = peer->server;
    if (s->requests.count >= requests_max(s)) {
        return 0;
    }
    struct ipc_request *request = LIST_FIRST(&s->free_requests);
    if (request != NULL) {
        LIST_REMOVE(request, of_peer);
    } else if ((request = malloc(sizeof *request)) == NULL) {
        return 0;
    }
    request->handle = handle_add(&s->requests, request);
    if (request->handle == 0) {
        LIST_INSERT_HEAD(&s->free_requests, request, of_peer);
        return 0;
    }
    request->peer = peer;
    request->stack_len = (uint8_t)stack.len;
    memcpy(request->stack, stack.data, stack.len);
    LIST_INSERT_HEAD(&peer->requests, request, of_peer);
    return request->handle;
}

void
ipc_request_release(struct ipc_request *request)
{
    struct ipc_server *s = request->peer->server;
    handle_remove(&s->requests, request->handle);
    LIST_REMOVE(request, of_peer);
    LIST_INSERT_HEAD(&s->free_requests, request, of_peer);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* EPOLLOUT is asked for only after the socket took no more: in the usual case a peer's epoll entry is
 * never touched again after it was made. */
static void
set_blocked(struct ipc_peer *peer, bool blocked)
{
    if (peer->blocked == blocked) {
        return;
    }
    peer->blocked = blocked;
    struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = peer};
    if (epoll_ctl(peer->server->options.epoll_fd, EPOLL_CTL_MOD, peer->fd, &event) != 0) {
        ipc_peer_doom(peer); /* out of kernel memory: better closed than never woken */
    }
}

static void
mark_dirty(struct ipc_peer *peer)
{
    if (!peer->dirty) {
        peer->dirty = true;
        TAILQ_INSERT_TAIL(&peer->server->dirty, peer, pending);
    }
}

/* A peer that sends its last report and exits must be heard although our answer no longer reaches it:
 * closing here would throw away what is still unread on our side. The end of file will follow. */
static void
set_mute(struct ipc_peer *peer)
{
    peer->mute = true;
    buf_reset(&peer->out, 0);
    set_blocked(peer, false);
}

/* One write; the socket's answer decides whether more is possible now. */
static void
write_once(struct ipc_peer *peer)
{
    const struct span out = buf_span(&peer->out);
    ssize_t n;
    do {
        n = send(peer->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        set_mute(peer);
        return;
    }
    if (n > 0) {
        buf_skip(&peer->out, (size_t)n);
    }
    if (n == (ssize_t)out.len) {
        buf_reset(&peer->out, IPC_BUFFER_KEEP_BYTES);
        set_blocked(peer, false);
    } else {
        set_blocked(peer, true);
    }
}

void
ipc_peer_flush(struct ipc_peer *peer)
{
    if (peer->dirty) {
        peer->dirty = false;
        TAILQ_REMOVE(&peer->server->dirty, peer, pending);
    }
    if (!peer->doomed && !peer->mute && !peer->blocked && peer->out.w > peer->out.r) {
        write_once(peer);
    }
}

/* The limit is on what the peer leaves unread, so the socket is tried before the peer is given up, and
 * an answer that is alone in the queue may be of any size. */
static bool
out_has_room(struct ipc_peer *peer, size_t len)
{
    const size_t max = peer->server->options.out_bytes_max;
    if (peer->out.w - peer->out.r + len <= max) {
        return true;
    }
    if (peer->out.w > peer->out.r && !peer->blocked) {
        write_once(peer);
    }
    const size_t unread = peer->out.w - peer->out.r;
    return unread == 0 || unread + len <= max;
}

void
ipc_request_reply(struct ipc_request *request, struct span body)
{
    struct ipc_peer *peer = request->peer;
    ipc_request_release(request);
    if (peer->doomed || peer->mute) {
        return;
    }
    if (!out_has_room(peer, SP_FRAME_BYTES + (size_t)request->stack_len + body.len)) {
        ipc_peer_doom(peer);
        return;
    }
    if (peer->mute) {
        return; /* found out by the write that was to make room */
    }
    sp_put_message(&peer->out, (struct span){request->stack, request->stack_len}, body);
    if (peer->out.failed) {
        ipc_peer_doom(peer);
        return;
    }
    if (!peer->blocked) {
        mark_dirty(peer);
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

static void
announce(struct ipc_peer *peer)
{
    struct ipc_server *s = peer->server;
    TAILQ_REMOVE(&s->silent, peer, all);
    TAILQ_INSERT_TAIL(&s->greeted, peer, all);
    peer->greeted = true;
    s->handler.opened(s->handler.context, &s->base, peer->id, &peer->cred);
}

static void
deliver(struct ipc_peer *peer, const struct sp_message *message, bool oversized)
{
    struct ipc_server *s = peer->server;
    const uint64_t request = request_add(peer, message->stack);
    if (request == 0) {
        ipc_peer_doom(peer);
    } else if (oversized) {
        s->handler.oversized(s->handler.context, &s->base, peer->id, request, message->body_bytes);
    } else {
        s->handler.message(s->handler.context, &s->base, peer->id, request, message->id,
                           message->body);
    }
}

/* Work off what is complete in `input`; returns how many bytes were used. */
static size_t
take_messages(struct ipc_peer *peer, struct span input)
{
    struct span left = input;
    while (!peer->doomed) {
        struct sp_message message;
        switch (sp_parse(&peer->parser, &left, &message)) {
        case SP_WAIT:
            return input.len - left.len;
        case SP_GREETED:
            announce(peer);
            break;
        case SP_MESSAGE:
            deliver(peer, &message, false);
            break;
        case SP_OVERSIZED:
            deliver(peer, &message, true);
            break;
        case SP_CLOSE:
            ipc_peer_doom(peer);
            break;
        }
    }
    return input.len - left.len;
}

/* Where the next read goes: with nothing unfinished into the server's scratch memory, so that an idle
 * peer costs no buffer; else behind the unfinished message. That buffer grows with what really came
 * (at most doubling) and never by what a header merely announces. */
static bool
choose_target(struct ipc_peer *peer, uint8_t **at, size_t *room)
{
    const size_t have = peer->in.w - peer->in.r;
    if (have == 0) {
        *at = peer->server->scratch;
        *room = IPC_SCRATCH_BYTES;
        return true;
    }
    uint64_t want = peer->parser.want_bytes > have ? peer->parser.want_bytes - have : 1;
    const size_t step = have > IPC_SCRATCH_BYTES ? have : IPC_SCRATCH_BYTES;
    if (want > step) {
        want = step;
    }
    if (!buf_reserve(&peer->in, (size_t)want)) {
        return false;
    }
    *at = peer->in.data + peer->in.w;
    *room = peer->in.cap - peer->in.w;
    if (*room > IPC_TURN_BYTES_MAX) {
        *room = IPC_TURN_BYTES_MAX;
    }
    return true;
}

static void
take_bytes(struct ipc_peer *peer, const uint8_t *at, size_t len)
{
    if (at != peer->server->scratch) {
        peer->in.w += len;
        buf_skip(&peer->in, take_messages(peer, buf_span(&peer->in)));
        if (peer->in.w == 0) {
            buf_reset(&peer->in, IPC_BUFFER_KEEP_BYTES);
        }
        return;
    }
    const size_t used = take_messages(peer, (struct span){at, len});
    if (!peer->doomed) {
        buf_put(&peer->in, at + used, len - used);
        if (peer->in.failed) {
            ipc_peer_doom(peer);
        }
    }
}

/* Bounded, so that one peer cannot hold the loop: epoll is level-triggered and brings the rest in the
 * next turn. A read that does not fill its room has emptied the socket; asking once more would cost a
 * system call per message only to hear EAGAIN. */
static void
read_some(struct ipc_peer *peer)
{
    size_t total = 0;
    for (int reads = 0; reads < IPC_READS_MAX && total < IPC_TURN_BYTES_MAX && !peer->doomed; reads++) {
        uint8_t *at;
        size_t room;
        if (!choose_target(peer, &at, &room)) {
            ipc_peer_doom(peer);
            return;
        }
        const ssize_t n = read(peer->fd, at, room);
        if (n > 0) {
            total += (size_t)n;
            take_bytes(peer, at, (size_t)n);
            if ((size_t)n < room) {
                return;
            }
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            return;
        } else {
            /* A script may have closed its half only and still read what was answered before. */
            ipc_peer_flush(peer);
            ipc_peer_doom(peer);
        }
    }
}

static void
peer_ready(struct source *self, uint32_t events)
{
    struct ipc_peer *peer = (struct ipc_peer *)self;
    if (peer->doomed) {
        return; /* by an earlier event of the same batch */
    }
    if ((events & EPOLLOUT) != 0) {
        write_once(peer);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        read_some(peer);
    }
}

/* ---- beginning and end ---------------------------------------------------------------------- */

bool
ipc_peer_new(struct ipc_server *s, int fd)
{
    struct ipc_peer *peer = calloc(1, sizeof *peer);
    if (peer != NULL) {
        peer->id = handle_add(&s->peers, peer);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (peer == NULL || peer->id == 0 ||
        epoll_ctl(s->options.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        if (peer != NULL) {
            handle_remove(&s->peers, peer->id);
        }
        free(peer);
        close(fd);
        return false;
    }
    peer->source.ready = peer_ready;
    peer->server = s;
    peer->fd = fd;
    peer->cred = local_cred(fd);
    sp_parser_init(&peer->parser, SP_REQ, s->options.message_bytes_max);
    LIST_INIT(&peer->requests);
    TAILQ_INSERT_TAIL(&s->silent, peer, all);
    s->peer_count++;
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting(greeting, SP_REP);
    /* A fresh socket takes eight bytes; when it does not, its peer has gone, perhaps after a message. */
    if (send(fd, greeting, sizeof greeting, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof greeting) {
        peer->mute = true;
    }
    return true;
}

void
ipc_peer_doom(struct ipc_peer *peer)
{
    if (!peer->doomed) {
        peer->doomed = true;
        TAILQ_INSERT_TAIL(&peer->server->doomed, peer, ending);
    }
}

void
ipc_peer_end(struct ipc_peer *peer, bool quiet)
{
    struct ipc_server *s = peer->server;
    struct ipc_request *request;
    while ((request = LIST_FIRST(&peer->requests)) != NULL) {
        ipc_request_release(request);
    }
    if (peer->dirty) {
        TAILQ_REMOVE(&s->dirty, peer, pending);
    }
    if (peer->doomed) {
        TAILQ_REMOVE(&s->doomed, peer, ending);
    }
    TAILQ_REMOVE(peer->greeted ? &s->greeted : &s->silent, peer, all);
    TAILQ_INSERT_TAIL(&s->ended, peer, all);
    handle_remove(&s->peers, peer->id);
    s->peer_count--;
    /* Not left to close(): a descriptor that a forked child still holds would keep its epoll entry. The
     * call can only fail when the entry is gone, which is what we want. */
    (void)epoll_ctl(s->options.epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
    close(peer->fd);
    peer->fd = -1;
    peer->doomed = true;
    if (peer->greeted && !quiet) {
        s->handler.closed(s->handler.context, &s->base, peer->id);
    }
}

void
ipc_peer_free(struct ipc_peer *peer)
{
    buf_deinit(&peer->in);
    buf_deinit(&peer->out);
    free(peer);
}
