/* Transports: Scalability Protocols REQ/REP, one interface, the engine chosen by the URL.
 *
 *   ipc://PATH            AF_UNIX sockets in the caller's epoll (or libnng's streams when asked)
 *   tcp://HOST:PORT       libnng's streams
 *   tls+tcp://HOST:PORT   libnng's streams, with its TLS
 *
 * The protocol is spoken by this project's own code (sp.h, rep.h, req.h) on all of them.
 *
 * This folder is the only code that knows a transport. It moves message bodies and knows nothing of
 * what is in them, except that a message too large to take is reported with its request so that an
 * answer can be sent. Servers run on the loop thread of their program; nng's threads only post. */
#ifndef PRONG_LINK_LINK_H
#define PRONG_LINK_LINK_H

#include "proto/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text of a failure, for people. */
struct link_error {
    int code; /* an errno value; ETIMEDOUT, ECONNREFUSED, EADDRINUSE, EINVAL, ... */
    char text[200];
};

/* Who is at the other end. On transports that cannot tell, `known` is false and the rest is 0. */
struct link_cred {
    bool known;
    bool local; /* an AF_UNIX peer: nobody outside this machine */
    uint32_t uid, gid;
    int32_t pid;
    uint64_t start_ticks; /* when the pid began, field 22 of /proc/PID/stat; 0 when unknown */
};

/* ---- server: the REP side ------------------------------------------------------------------- */

struct link_server;

/* Called on the loop thread, from a source's ready() or from link_server_turn(); every call may use
 * every link_server function but turn and free. `peer` is a number never used twice in a server's
 * life, never 0. `request` names one request until it is answered or dropped, or its peer is
 * closed; never 0. `sp_id` is the last word of the request's SP header, bit 31 included: the same
 * on a repeat by the same socket. `body` is borrowed for the call. */
struct link_handler {
    void *context;
    /* A peer that spoke the greeting; who only connects, or speaks otherwise, is never told. */
    void (*opened)(void *context, struct link_server *s, uint64_t peer,
                   const struct link_cred *cred);
    void (*message)(void *context, struct link_server *s, uint64_t peer, uint64_t request,
                    uint32_t sp_id, struct span body);
    /* A message above the limit, up to 1 GiB, as soon as its id is there: its body is being
     * discarded, it may still be answered. */
    void (*oversized)(void *context, struct link_server *s, uint64_t peer, uint64_t request,
                      uint64_t size_bytes);
    /* All of this peer's requests are gone with it. Comes once for each opened(), also after
     * link_server_close_peer(); not from link_server_free(). */
    void (*closed)(void *context, struct link_server *s, uint64_t peer);
};

struct link_server_options {
    int epoll_fd;             /* where the server adds its sources; borrowed */
    bool use_nng;             /* serve ipc:// by libnng too */
    size_t message_bytes_max; /* of a body; larger ones go to oversized() */
    uint32_t socket_mode;     /* ipc: permissions of the socket file, 0600 or 0660 */
    uint32_t peers_max;       /* further connections are closed at once */
    uint32_t requests_max; /* unanswered ones of all peers; who exceeds it is closed; 0 is 65536 */
    size_t out_bytes_max;  /* unread answers of one peer; above it the peer is closed; a single
                            * answer may be of any size */
    size_t held_bytes_max; /* messages that are coming in and unread answers of all peers; above it
                            * those are closed that went on longest ago; 0 is no limit */
    int32_t send_timeout_ms; /* libnng: who reads nothing for so long is closed; 0 is 10 s */
    const char *tls_cert_file, *tls_key_file; /* tls+tcp: PEM; borrowed for the call */
};

/* Listen. ipc:// binds under a temporary name and renames it over PATH, so PATH is never missing or
 * half open, and a server that is there already goes on with the peers it has; whoever calls holds
 * the lock of the directory. PATH is replaced only if it is a socket. On success *out is owned,
 * freed by link_server_free. Errors: -1 with *error filled (here and below `error` may be NULL).
 * The first server or client that is not native starts libnng's threads. */
int link_server_open(const char *url, const struct link_server_options *options,
                     const struct link_handler *handler, struct link_server **out,
                     struct link_error *error);
/* Answer a request; the bytes are copied, or, when they are CUT_BYTES and the transport can,
 * written at once behind what is queued.
 * Unknown or gone requests are ignored. Sent by the next link_server_turn() at the latest. */
void link_server_reply(struct link_server *s, uint64_t request, const struct pieces *body);
/* Give a request up without an answer. */
void link_server_drop(struct link_server *s, uint64_t request);
/* Its requests are ignored from now on; closed() comes from the next link_server_turn(). */
void link_server_close_peer(struct link_server *s, uint64_t peer);
/* At the end of every turn of the loop, after all its events: write what was answered, one write
 * per peer, and free what was closed. */
void link_server_turn(struct link_server *s);
/* The URL that clients can use, with the real port when 0 was asked; valid until free. */
const char *link_server_url(const struct link_server *s);
/* Closes everything without calling the handler; unlinks the ipc path unless another server took it
 * over. Not inside a batch of events. Accepts NULL. */
void link_server_free(struct link_server *s);

/* ---- client: the REQ side ------------------------------------------------------------------- */

/* One connection. Any number of requests may be outstanding; answers come in any order. The client
 * never repeats a request: its sender knows whether that is safe. One thread at a time. */
struct link_client;

struct link_client_options {
    size_t message_bytes_max; /* of an answer; a larger one breaks the connection with EMSGSIZE */
    const char *tls_ca_file;  /* tls+tcp: PEM of who signed the server; NULL for the system's */
    const char *tls_name; /* tls+tcp: name to expect in the certificate; NULL for the URL's host */
};

/* Connect; waits until connected and greeted, or `timeout_ms` (>= 0) passed. Nobody listening is
 * told at once (ECONNREFUSED, ENOENT); a full backlog is waited for. -1 with *error. */
int link_client_open(const char *url, const struct link_client_options *options, int timeout_ms,
                     struct link_client **out, struct link_error *error);
/* Descriptor to poll for POLLIN, and for POLLOUT too while link_client_wants_write(). Borrowed.
 * After POLLIN call link_client_recv() until it returns 0: a wake-up may also mean progress in
 * writing. */
int link_client_fd(const struct link_client *c);
bool link_client_wants_write(const struct link_client *c);
/* Queue a request; `id` must have bit 31 set and be unused among the outstanding. The bytes are
 * copied, or, when they are CUT_BYTES and the transport can, written at once. */
int link_client_send(struct link_client *c, uint32_t id, const struct pieces *body,
                     struct link_error *error);
/* Write what is queued without blocking. 0 even if some is left; -1 when the connection takes no
 * more; answers that came before are still there for link_client_recv(). */
int link_client_flush(struct link_client *c, struct link_error *error);
/* Take the next answer without blocking: 1 with *id and *body (valid until the next call on this
 * client), 0 when there is none now, -1 when the connection is broken (*error) and every answer
 * that came was taken. Ids are not compared with what was sent. */
int link_client_recv(struct link_client *c, uint32_t *id, struct span *body,
                     struct link_error *error);
/* After an answer: whether its bytes stand alone in their memory and that is the caller's now, in
 * exchange for the memory of `memory`. `body` stays valid as long as `memory` is left alone. */
bool link_client_take(struct link_client *c, struct buf *memory);
/* Accepts NULL. */
void link_client_free(struct link_client *c);

#endif
