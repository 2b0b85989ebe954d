/* The server over libnng: what its parts share.
 *
 * Private to proto/link. nng_server.c owns the socket, the contexts ("slots") and the peers;
 * nng_watchdog.c owns the listener, and on libnng before 1.6 looks after it. libnng's threads run only
 * the callbacks marked so; all else is the loop thread.
 *
 * A slot goes receiving -> held (a request the handler knows) -> sending -> receiving. Some slots are
 * always receiving, because libnng stops watching a connection whose message nobody takes: it then
 * notices no disconnect, and may spin. */
#ifndef PRONG_LINK_NNG_SERVER_H
#define PRONG_LINK_NNG_SERVER_H

#include "proto/link/handles.h"
#include "proto/link/local.h"
#include "proto/link/nng_common.h"

#include <stdatomic.h>

struct rep_server;
struct rep_slot;

LIST_HEAD(rep_slot_list, rep_slot);
LIST_HEAD(rep_peer_list, rep_peer);

/* One connection. Made on libnng's thread before the connection is used; given to the loop for good
 * with the mail `removed`. */
struct rep_peer {
    LIST_ENTRY(rep_peer) bucket; /* under the mailbox's lock */
    struct rep_server *server;
    struct link_mail removed;
    nng_pipe pipe;
    struct link_cred cred;
    /* Loop thread only. */
    uint64_t id; /* 0 until its first message: who connects and says nothing is never told */
    bool closing;
    size_t out_bytes; /* answers that libnng has not taken yet */
    struct rep_slot_list slots;
};

enum rep_state { REP_SPARE, REP_RECEIVING, REP_HELD, REP_SENDING };

struct rep_slot {
    LIST_ENTRY(rep_slot) all;
    LIST_ENTRY(rep_slot) of_peer;
    LIST_ENTRY(rep_slot) spare;
    struct rep_server *server;
    struct link_mail received, sent;
    nng_ctx context;
    /* One aio for each direction: an answer's aio may still be running when the peer's next request is
     * there, and an aio that is started twice aborts the process. */
    nng_aio *recv_aio, *send_aio;
    enum rep_state state;
    struct rep_peer *peer; /* while held or sending; NULL when it has gone */
    uint64_t request;
    size_t out_bytes;
};

/* The listener and, where libnng needs it, the timer that looks after it. */
struct rep_listener {
    struct source source;
    struct rep_server *server;
    nng_listener listener;
    bool open;
    struct local_path path;    /* ipc only */
    nng_tls_config *tls;       /* tls+tcp only */
    int timer_fd, probe_fd;    /* -1: none */
    unsigned ticks;            /* since the probe began */
    unsigned accepted_at_start;
};

enum { REP_BUCKETS = 256 };

struct rep_server {
    struct link_server base;
    struct link_handler handler;
    struct link_server_options options;
    struct link_mailbox mailbox;
    struct rep_listener listener;
    nng_socket socket;
    bool open, closing;
    char *url;
    struct rep_peer_list buckets[REP_BUCKETS]; /* by pipe; under the mailbox's lock */
    atomic_uint live;                          /* connections */
    atomic_uint accepted;                      /* connections that libnng ever brought */
    struct handle_table peers, requests;
    struct rep_slot_list slots, spares;
    unsigned receiving;
};

/* Create, configure and start the listener; fills the server's URL. -1 with *error. */
int link_rep_listen(struct rep_server *s, const char *url, struct link_error *error);
/* Stop listening and looking after it; the ipc path is unlinked if it is ours. */
void link_rep_unlisten(struct rep_server *s);

#endif
