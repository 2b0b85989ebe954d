/* The native server on local sockets: what its two halves share.
 *
 * Private to proto/link. ipc_server.c owns the listening socket, the path and the list of peers;
 * ipc_peer.c owns one connection: bytes in, bytes out, its requests, its end. All on the loop thread.
 *
 * Life of a peer: accepted (silent) -> greeted (opened() was called) -> doomed, by itself, by us or by
 * the caller -> ended in the next turn (closed() is called, the descriptor is gone) -> freed at that
 * turn's end, because the batch of events that is being worked off may still point to it. */
#ifndef PRONG_LINK_IPC_SERVER_H
#define PRONG_LINK_IPC_SERVER_H

#include "proto/link/engine.h"
#include "proto/link/handles.h"
#include "proto/link/local.h"
#include "proto/link/source.h"
#include "proto/link/sp.h"

#include <sys/queue.h>

struct ipc_server;
struct ipc_peer;

/* A request that is neither answered nor dropped. Kept on a free list, so that a server in its steady
 * state allocates nothing. */
struct ipc_request {
    LIST_ENTRY(ipc_request) of_peer; /* or on the free list */
    struct ipc_peer *peer;
    uint64_t handle;
    uint8_t stack_len;
    uint8_t stack[SP_STACK_BYTES_MAX];
};

LIST_HEAD(ipc_request_list, ipc_request);

struct ipc_peer {
    struct source source;
    struct ipc_server *server;
    TAILQ_ENTRY(ipc_peer) all;     /* of its state: silent, greeted, or freed at the end of the turn */
    TAILQ_ENTRY(ipc_peer) pending; /* dirty: has bytes to write in this turn */
    TAILQ_ENTRY(ipc_peer) ending;  /* doomed */
    uint64_t id;
    int fd;
    bool greeted, dirty, doomed;
    bool blocked; /* the socket took no more: wait for EPOLLOUT */
    bool mute;    /* nobody reads our answers any more, but what was sent to us still counts */
    struct sp_parser parser;
    struct buf in, out;
    struct link_cred cred;
    struct ipc_request_list requests;
};

TAILQ_HEAD(ipc_peer_list, ipc_peer);

/* The part of a server that is a source of its own. */
struct ipc_source {
    struct source source;
    struct ipc_server *server;
    int fd;
};

struct ipc_server {
    struct link_server base;
    struct link_handler handler;
    struct link_server_options options;
    struct ipc_source listener;
    struct ipc_source retry; /* a timer that ends a pause in accepting */
    struct local_path path;
    char *url;
    uint8_t *scratch; /* IPC_SCRATCH_BYTES: where a peer without an unfinished message is read into */
    struct handle_table peers, requests;
    struct ipc_request_list free_requests;
    struct ipc_peer_list silent, greeted, dirty, doomed, ended;
    uint32_t peer_count;
};

enum {
    IPC_SCRATCH_BYTES = 128 * 1024,
    IPC_READS_MAX = 16,                /* of one peer in one turn */
    IPC_TURN_BYTES_MAX = 512 * 1024,   /* the same in bytes */
    IPC_BUFFER_KEEP_BYTES = 64 * 1024, /* what an emptied buffer may hold on to */
};

/* Take a new connection over: the peer owns `fd`, which is closed when this fails. */
bool ipc_peer_new(struct ipc_server *s, int fd);
/* Let the peer's life end with the next turn. */
void ipc_peer_doom(struct ipc_peer *peer);
/* Close the descriptor, forget the requests, call closed() unless `quiet`; the memory stays until
 * ipc_peer_free(). */
void ipc_peer_end(struct ipc_peer *peer, bool quiet);
void ipc_peer_free(struct ipc_peer *peer);
/* One write of what is pending. May doom the peer. */
void ipc_peer_flush(struct ipc_peer *peer);
/* Queue the answer to a request and forget the request. */
void ipc_request_reply(struct ipc_request *request, struct span body);
/* Forget a request. */
void ipc_request_release(struct ipc_request *request);

#endif
