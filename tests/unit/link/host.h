/* A link server in a thread of its own, and what tests say to it.
 *
 * The first byte of a request's body is a command:
 *   e        echo: the whole body comes back
 *   b<n>     a body of n bytes comes back
 *   p        park: no answer yet
 *   r        release: all that is parked is answered, the last first, each with its own body; then
 * this d        drop: never answered c        the peer is closed, and then answered all the same i
 * who asks, as text: "known=1 local=1 uid=0 pid=1 start=1 sp=80000001" A message above the limit is
 * answered with "oversized <bytes>". */
#ifndef PRONG_TESTS_UNIT_LINK_HOST_H
#define PRONG_TESTS_UNIT_LINK_HOST_H

#include "proto/link/link.h"

#include <pthread.h>
#include <stdatomic.h>

enum { HOST_BODY_MAX = 16 * 1024 * 1024, HOST_PARKED_MAX = 4096, HOST_PEERS_MAX = 512 };

enum host_kind { HOST_IPC, HOST_IPC_NNG, HOST_TCP, HOST_TLS, HOST_KINDS };

struct host_parked {
    uint64_t request;
    struct buf body;
};

struct host_peer {
    uint64_t id;
    struct link_cred cred;
};

struct host {
    enum host_kind kind;
    char url[256];
    struct link_server *server;
    struct link_server_options options;
    int epoll_fd, stop_fd;
    pthread_t thread;
    bool running;
    atomic_int opened, closed, messages, oversized, parked_count;
    /* Used by the server's thread only. */
    struct host_parked parked[HOST_PARKED_MAX];
    struct host_peer peers[HOST_PEERS_MAX];
};

/* Text of a kind for messages. */
const char *host_kind_name(enum host_kind kind);
/* Usual options; tests change them before host_start(). */
void host_init(struct host *h, enum host_kind kind);
/* Open on a fresh path below the test's directory or on a free port, and run. Fails the test. */
void host_start(struct host *h);
/* The same on a given URL. */
void host_start_at(struct host *h, const char *url);
void host_stop(struct host *h);

/* A client of the host; fails the test when it cannot. */
struct link_client *host_client(const struct host *h);
/* The options that fit the host's certificate. */
struct link_client_options host_client_options(const struct host *h);

/* Send and flush. */
void client_say(struct link_client *c, uint32_t id, struct span body);
/* Wait for the next answer; false when the connection broke (or `timeout_ms` passed, which fails).
 */
bool client_hear(struct link_client *c, uint32_t *id, struct span *body, int64_t timeout_ms);
/* One request, one answer, compared by length and content with `expected`. */
void client_call(struct link_client *c, uint32_t id, struct span body, struct span expected);
/* A call that succeeds in the end although the server may hang up meanwhile: a new connection each
 * time. Fails the test when it does not within `timeout_ms`. */
void host_call_at_last(const struct host *h, int64_t timeout_ms);

struct span text(const char *s);
/* `len` bytes of a pattern behind the first byte 'e'; owned, free(). */
uint8_t *pattern(size_t len);
int64_t clock_ms(void);

/* ---- a peer that writes bytes itself -------------------------------------------------------- */

struct raw {
    int fd;
    bool tcp; /* no type byte before the length */
};

/* Connect and send nothing. */
struct raw raw_connect(const struct host *h);
/* Connect, send the greeting of REQ and read the server's. */
struct raw raw_open(const struct host *h);
void raw_close(struct raw *r);
/* Write everything, at most `chunk` bytes at a time (0: all at once); false when the peer is gone.
 */
bool raw_write(struct raw *r, const void *data, size_t len, size_t chunk);
/* The head of a message of `length` bytes: as many bytes as come back. */
size_t raw_frame(const struct raw *r, uint8_t out[9], uint64_t length);
/* A message with this stack of words (host byte order) and body. */
bool raw_send(struct raw *r, const uint32_t *words, int count, struct span body, size_t chunk);
/* Read one message: its content (stack and body) into *out, replacing what was there. False at end
 * of file. */
bool raw_recv(struct raw *r, struct buf *out);
/* Wait until the other end closes; false when it does not within the time. */
bool raw_is_closed(struct raw *r, int64_t timeout_ms);

#endif
