/* The REP side without its transport: see rep.h. */
#include "proto/link/rep.h"

#include <stdlib.h>
#include <string.h>

static struct rep *
rep_of(struct link_server *base)
{
    return (struct rep *)base;
}

/* ---- requests ------------------------------------------------------------------------------- */

/* 0 when there are too many requests or no memory. */
static uint64_t
request_add(struct rep_peer *peer, struct span stack)
{
    struct rep *r = peer->rep;
    if (r->requests.count >= r->options.requests_max) {
        return 0;
    }
    struct rep_request *request = LIST_FIRST(&r->free_requests);
    if (request != NULL) {
        LIST_REMOVE(request, of_peer);
    } else if ((request = malloc(sizeof *request)) == NULL) {
        return 0;
    }
    request->handle = handle_add(&r->requests, request);
    if (request->handle == 0) {
        LIST_INSERT_HEAD(&r->free_requests, request, of_peer);
        return 0;
    }
    request->peer = peer;
    request->stack_len = (uint8_t)stack.len;
    memcpy(request->stack, stack.data, stack.len);
    LIST_INSERT_HEAD(&peer->requests, request, of_peer);
    return request->handle;
}

static void
release(struct rep_request *request)
{
    struct rep *r = request->peer->rep;
    handle_remove(&r->requests, request->handle);
    LIST_REMOVE(request, of_peer);
    LIST_INSERT_HEAD(&r->free_requests, request, of_peer);
}

/* ---- what is held --------------------------------------------------------------------------- */

/* Beyond what each may keep anyway. */
static size_t
held_in(const struct rep_peer *peer)
{
    return peer->in.cap > REP_BUFFER_KEEP_BYTES ? peer->in.cap : 0;
}

static size_t
held_by(const struct rep_peer *peer)
{
    const size_t out = peer->out.cap + peer->flying_bytes;
    return held_in(peer) + (out > REP_BUFFER_KEEP_BYTES ? out : 0);
}

static void
set_held(struct rep_peer *peer, size_t held_bytes)
{
    peer->rep->held_bytes += held_bytes - peer->held_bytes;
    peer->held_bytes = held_bytes;
}

static void
let_go(struct rep_peer *peer)
{
    if (peer->held_bytes > 0) {
        TAILQ_REMOVE(&peer->rep->holding, peer, holding);
        set_held(peer, 0);
    }
}

/* One alone is bounded by the limits of its own. */
static bool
is_too_much(const struct rep *r)
{
    const size_t max = r->options.held_bytes_max;
    const struct rep_peer *first = TAILQ_FIRST(&r->holding);
    return max > 0 && r->held_bytes > max && TAILQ_NEXT(first, holding) != NULL;
}

void
rep_weigh(struct rep_peer *peer, bool moved)
{
    struct rep *r = peer->rep;
    const size_t held = held_by(peer);
    if (peer->doomed || (held == 0 && peer->held_bytes == 0)) {
        return; /* nearly always: short messages, read at once */
    }
    if (held == 0) {
        let_go(peer);
        return;
    }
    if (peer->held_bytes > 0 && moved) {
        TAILQ_REMOVE(&r->holding, peer, holding);
    }
    if (peer->held_bytes == 0 || moved) {
        TAILQ_INSERT_TAIL(&r->holding, peer, holding);
    }
    set_held(peer, held);
    while (is_too_much(r)) {
        rep_doom(TAILQ_FIRST(&r->holding));
    }
}

/* ---- bytes in ------------------------------------------------------------------------------- */

static void
announce(struct rep_peer *peer)
{
    struct rep *r = peer->rep;
    TAILQ_REMOVE(&r->silent, peer, all);
    TAILQ_INSERT_TAIL(&r->greeted, peer, all);
    peer->greeted = true;
    r->handler.opened(r->handler.context, &r->base, peer->id, &peer->cred);
}

static void
deliver(struct rep_peer *peer, const struct sp_message *message, bool oversized)
{
    struct rep *r = peer->rep;
    const uint64_t request = request_add(peer, message->stack);
    if (request == 0) {
        rep_doom(peer);
    } else if (oversized) {
        r->handler.oversized(r->handler.context, &r->base, peer->id, request, message->body_bytes);
    } else {
        r->handler.message(r->handler.context, &r->base, peer->id, request, message->id,
                           message->body);
    }
}

/* Work off what is complete in `input`; returns how many bytes were used. */
static size_t
take_messages(struct rep_peer *peer, struct span input)
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
            rep_doom(peer);
            break;
        }
    }
    return input.len - left.len;
}

bool
rep_room(struct rep_peer *peer, uint8_t *scratch, uint8_t **at, size_t *room)
{
    const size_t have = peer->in.w - peer->in.r;
    if (have == 0) {
        *at = scratch;
        *room = REP_SCRATCH_BYTES;
        return true;
    }
    uint64_t want = peer->parser.want_bytes > have ? peer->parser.want_bytes - have : 1;
    const size_t step = have > REP_SCRATCH_BYTES ? have : REP_SCRATCH_BYTES;
    if (want > step) {
        want = step;
    }
    const size_t left = peer->in.cap - peer->in.w;
    if (left < want && left < REP_ROOM_BYTES_MIN) {
        if (!buf_fit(&peer->in, (size_t)want)) {
            return false;
        }
        rep_weigh(peer, true);
    }
    *at = peer->in.data + peer->in.w;
    *room = peer->in.cap - peer->in.w;
    if (*room > REP_TURN_BYTES_MAX) {
        *room = REP_TURN_BYTES_MAX;
    }
    return true;
}

void
rep_took(struct rep_peer *peer, uint8_t *at, size_t len)
{
    struct buf *in = &peer->in;
    if (in->w > in->r) {
        in->w += len;
        buf_skip(in, take_messages(peer, buf_span(in)));
        if (in->w == 0) {
            buf_reset(in, REP_BUFFER_KEEP_BYTES);
        }
        rep_weigh(peer, held_in(peer) > 0);
        return;
    }
    const size_t used = take_messages(peer, (struct span){at, len});
    if (!peer->doomed) {
        buf_put(in, at + used, len - used);
        if (in->failed) {
            rep_doom(peer);
        }
        rep_weigh(peer, held_in(peer) > 0);
    }
}

/* ---- bytes out ------------------------------------------------------------------------------ */

static size_t
unread(const struct rep_peer *peer)
{
    return peer->out.w - peer->out.r + peer->flying_bytes;
}

void
rep_mute(struct rep_peer *peer)
{
    peer->mute = true;
    buf_reset(&peer->out, 0);
    rep_weigh(peer, false);
}

/* The limit is on what the peer leaves unread, so the transport is tried before the peer is given
 * up, and an answer that is alone in the queue may be of any size. */
static bool
out_has_room(struct rep_peer *peer, size_t len)
{
    const size_t max = peer->rep->options.out_bytes_max;
    if (unread(peer) > 0 && unread(peer) + len > max && !peer->blocked) {
        peer->rep->transport->write(peer);
    }
    return unread(peer) == 0 || unread(peer) + len <= max;
}

static void
append_answer(struct rep_peer *peer, const struct rep_request *request, const struct pieces *body)
{
    struct rep *r = peer->rep;
    const struct span stack = {request->stack, request->stack_len};
    const size_t len = pieces_len(body);
    if (!out_has_room(peer, SP_HEAD_BYTES_MAX + len)) {
        rep_doom(peer);
        return;
    }
    if (peer->mute) {
        return; /* found out by the write that was to make room */
    }
    if (len >= CUT_BYTES && !peer->blocked && r->transport->write_through != NULL) {
        uint8_t head[SP_HEAD_BYTES_MAX];
        const size_t head_len = sp_head(head, r->transport->framing, stack, len);
        r->transport->write_through(peer, (struct span){head, head_len}, body);
    } else {
        sp_put_message(&peer->out, r->transport->framing, stack, body);
    }
    rep_weigh(peer, false);
    if (peer->out.failed) {
        rep_doom(peer);
    } else if (!peer->blocked && !peer->dirty) {
        peer->dirty = true;
        TAILQ_INSERT_TAIL(&r->dirty, peer, pending);
    }
}

void
rep_reply(struct link_server *base, uint64_t handle, const struct pieces *body)
{
    struct rep_request *request = handle_find(&rep_of(base)->requests, handle);
    if (request != NULL) {
        struct rep_peer *peer = request->peer;
        if (!peer->doomed && !peer->mute) {
            append_answer(peer, request, body);
        }
        release(request);
    }
}

void
rep_drop(struct link_server *base, uint64_t handle)
{
    struct rep_request *request = handle_find(&rep_of(base)->requests, handle);
    if (request != NULL) {
        release(request);
    }
}

/* ---- beginning and end ---------------------------------------------------------------------- */

void
rep_init(struct rep *r, const struct link_server_options *options,
         const struct link_handler *handler, const struct rep_transport *transport)
{
    r->handler = *handler;
    r->options = *options;
    r->options.tls_cert_file = r->options.tls_key_file = NULL; /* borrowed by open() only */
    if (r->options.requests_max == 0) {
        r->options.requests_max = LINK_REQUESTS_MAX;
    }
    r->transport = transport;
    LIST_INIT(&r->free_requests);
    TAILQ_INIT(&r->silent);
    TAILQ_INIT(&r->greeted);
    TAILQ_INIT(&r->dirty);
    TAILQ_INIT(&r->doomed);
    TAILQ_INIT(&r->holding);
}

bool
rep_add(struct rep *r, struct rep_peer *peer, const struct link_cred *cred)
{
    peer->id = handle_add(&r->peers, peer);
    if (peer->id == 0) {
        return false;
    }
    peer->rep = r;
    peer->cred = *cred;
    sp_parser_init(&peer->parser, SP_REQ, r->transport->framing, r->options.message_bytes_max);
    LIST_INIT(&peer->requests);
    TAILQ_INSERT_TAIL(&r->silent, peer, all);
    r->peer_count++;
    return true;
}

void
rep_doom(struct rep_peer *peer)
{
    if (!peer->doomed) {
        peer->doomed = true;
        let_go(peer); /* it is freed when the turn ends */
        TAILQ_INSERT_TAIL(&peer->rep->doomed, peer, ending);
    }
}

/* The transport may free the peer in close(), so nothing is done to it afterwards. */
static void
end(struct rep_peer *peer, bool quiet)
{
    struct rep *r = peer->rep;
    const uint64_t id = peer->id;
    const bool tell = peer->greeted && !quiet;
    struct rep_request *request;
    while ((request = LIST_FIRST(&peer->requests)) != NULL) {
        release(request);
    }
    if (peer->dirty) {
        TAILQ_REMOVE(&r->dirty, peer, pending);
        peer->dirty = false;
    }
    if (peer->doomed) {
        TAILQ_REMOVE(&r->doomed, peer, ending);
    }
    TAILQ_REMOVE(peer->greeted ? &r->greeted : &r->silent, peer, all);
    handle_remove(&r->peers, id);
    r->peer_count--;
    let_go(peer);
    peer->doomed = peer->ended = true;
    buf_deinit(&peer->out);
    r->transport->close(peer);
    if (tell) {
        r->handler.closed(r->handler.context, &r->base, id);
    }
}

bool
rep_make_room(struct rep *r)
{
    if (r->peer_count < r->options.peers_max) {
        return true;
    }
    struct rep_peer *oldest = TAILQ_FIRST(&r->silent);
    if (oldest == NULL) {
        return false;
    }
    end(oldest, true);
    return true;
}

void
rep_close_peer(struct link_server *base, uint64_t id)
{
    struct rep_peer *peer = handle_find(&rep_of(base)->peers, id);
    if (peer != NULL) {
        rep_doom(peer);
    }
}

/* closed() may answer other peers, and a write may doom a peer: go on until both lists are empty.
 * It ends, because a peer ends once and is dirty again only after such a call. */
void
rep_turn(struct link_server *base)
{
    struct rep *r = rep_of(base);
    struct rep_peer *peer;
    while (!TAILQ_EMPTY(&r->dirty) || !TAILQ_EMPTY(&r->doomed)) {
        while ((peer = TAILQ_FIRST(&r->dirty)) != NULL) {
            peer->dirty = false;
            TAILQ_REMOVE(&r->dirty, peer, pending);
            if (!peer->doomed && !peer->mute && !peer->blocked && peer->out.w > peer->out.r) {
                r->transport->write(peer);
            }
        }
        while ((peer = TAILQ_FIRST(&r->doomed)) != NULL) {
            end(peer, false);
        }
    }
}

void
rep_deinit(struct rep *r)
{
    struct rep_peer *peer;
    while ((peer = TAILQ_FIRST(&r->silent)) != NULL || (peer = TAILQ_FIRST(&r->greeted)) != NULL) {
        end(peer, true);
    }
    struct rep_request *request;
    while ((request = LIST_FIRST(&r->free_requests)) != NULL) {
        LIST_REMOVE(request, of_peer);
        free(request);
    }
    handle_deinit(&r->peers);
    handle_deinit(&r->requests);
}
