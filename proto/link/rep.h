/* The REP side without its transport: peers, their requests, their bytes in and out, their limits.
 *
 * Private to proto/link. ipc_server.c (sockets in the caller's epoll) and nng_server.c (libnng's
 * byte streams) are its transports: they bring bytes with rep_room() and rep_took(), and carry away
 * what is in `out`. All on the loop thread.
 *
 * Life of a peer: added (silent) -> greeted (opened() was called) -> doomed, by itself, by us or by
 * the caller -> ended in the next turn (closed() is called, its transport is closed) -> freed by
 * its transport, because the batch of events that is being worked off may still point to it. */
#ifndef PRONG_LINK_REP_H
#define PRONG_LINK_REP_H

#include "proto/link/engine.h"
#include "proto/link/handles.h"
#include "proto/link/sp.h"

#include <sys/queue.h>

struct rep;
struct rep_peer;

/* A request that is neither answered nor dropped. Kept on a free list, so that a server in its
 * steady state allocates nothing. */
struct rep_request {
    LIST_ENTRY(rep_request) of_peer; /* or on the free list */
    struct rep_peer *peer;
    uint64_t handle;
    uint8_t stack_len;
    uint8_t stack[SP_STACK_BYTES_MAX];
};

LIST_HEAD(rep_request_list, rep_request);

/* First member of a transport's own struct or not, as it likes; filled by rep_add(). */
struct rep_peer {
    struct rep *rep;
    TAILQ_ENTRY(rep_peer) all;     /* of its state: silent or greeted */
    TAILQ_ENTRY(rep_peer) pending; /* dirty: has bytes to write in this turn */
    TAILQ_ENTRY(rep_peer) ending;  /* doomed */
    TAILQ_ENTRY(rep_peer) holding; /* when it has held_bytes */
    uint64_t id;
    bool greeted, dirty, doomed, ended;
    bool blocked; /* the transport takes no more for now and will call rep_flushed() */
    bool mute;    /* nobody reads our answers any more, but what was sent to us still counts */
    struct sp_parser parser;
    struct buf in, out;
    size_t flying_bytes; /* taken out of `out` by the transport and not yet gone */
    size_t held_bytes;   /* of `in`, `out` and what flies, as rep_weigh() found them */
    struct link_cred cred;
    struct rep_request_list requests;
};

TAILQ_HEAD(rep_peer_list, rep_peer);

struct rep_transport {
    enum sp_framing framing;
    /* Write what is in `out`, as far as it goes: set `blocked`, rep_mute() when nobody reads. */
    void (*write)(struct rep_peer *peer);
    /* Write what is in `out` and a large message behind it without copying it there first: what the
     * transport does not take now goes there. NULL when it cannot. */
    void (*write_through)(struct rep_peer *peer, struct span head, const struct pieces *body);
    /* The peer has ended: stop, close, and free it when nothing points to it any more. */
    void (*close)(struct rep_peer *peer);
};

/* Stands first in a transport's server, because it begins with the link_server. */
struct rep {
    struct link_server base;
    struct link_handler handler;
    struct link_server_options options;
    const struct rep_transport *transport;
    struct handle_table peers, requests;
    struct rep_request_list free_requests;
    struct rep_peer_list silent, greeted, dirty, doomed;
    struct rep_peer_list holding; /* who went on longest ago stands first */
    size_t held_bytes;            /* of all of them */
    uint32_t peer_count;
};

enum {
    REP_SCRATCH_BYTES = 256 * 1024,    /* the least room for a read that begins no known message:
                                        * more than a local socket holds */
    REP_TURN_BYTES_MAX = 512 * 1024,   /* what one peer may bring in one turn */
    REP_ROOM_BYTES_MIN = 64 * 1024,    /* less than that is not worth a read of its own */
    REP_BUFFER_KEEP_BYTES = 64 * 1024, /* what an emptied buffer may hold on to */
};

void rep_init(struct rep *r, const struct link_server_options *options,
              const struct link_handler *handler, const struct rep_transport *transport);
/* End every peer without calling the handler, and free what the core owns. */
void rep_deinit(struct rep *r);

/* Whether one more connection may be taken. The oldest that said nothing yet makes room: whoever
 * opens connections and is silent must not lock others out. A greeted peer is never sacrificed. */
bool rep_make_room(struct rep *r);
/* A new connection, all zero but for the transport's own. False when memory is out. */
bool rep_add(struct rep *r, struct rep_peer *peer, const struct link_cred *cred);
/* Let the peer's life end with the next turn. */
void rep_doom(struct rep_peer *peer);
/* Nobody reads what we write. A peer that sends its last report and exits must be heard all the
 * same: closing here would throw away what is still unread on our side. The end of file will
 * follow. */
void rep_mute(struct rep_peer *peer);

/* Its buffers have changed; `moved`: because it sent or read some of a long message. Messages on
 * their way have a limit for all peers together (held_bytes_max). Who does not go on with one is
 * closed first, so that many who stop in the middle do not get in the way of those who do not. */
void rep_weigh(struct rep_peer *peer, bool moved);

/* Where the next bytes of a peer go: into the scratch memory given (REP_SCRATCH_BYTES) while no
 * message is unfinished, so that an idle peer costs no buffer; else behind the unfinished message.
 * That buffer grows with what really came (at most doubling) and never by what a header merely
 * announces. False when memory is out. */
bool rep_room(struct rep_peer *peer, uint8_t *scratch, uint8_t **at, size_t *room);
/* `len` bytes stand at the place that rep_room() named: work off what is complete. */
void rep_took(struct rep_peer *peer, uint8_t *at, size_t len);

/* The functions of the link_server_ops that need nothing of the transport. */
void rep_reply(struct link_server *base, uint64_t handle, const struct pieces *body);
void rep_drop(struct link_server *base, uint64_t handle);
void rep_close_peer(struct link_server *base, uint64_t id);
void rep_turn(struct link_server *base);

#endif
