/* The REQ side without its transport: bytes in and out, answers out of bytes.
 *
 * Private to proto/link. ipc_client.c (a socket) and nng_client.c (a stream of libnng) bring the
 * bytes. One thread at a time. */
#ifndef PRONG_LINK_REQ_H
#define PRONG_LINK_REQ_H

#include "proto/link/engine.h"
#include "proto/link/sp.h"

/* First member of a transport's client. */
struct req {
    struct link_client base;
    enum sp_framing framing;
    struct sp_parser parser;
    struct buf in, out;
    bool refused; /* an answer above the limit came: the connection is given up */
    /* Append what came to `in`: 1 when there are more bytes, 0 when there are none now (the caller
     * polls before it comes again), -1 with *error when there will be none. */
    int (*fill)(struct req *r, struct link_error *error);
};

enum {
    REQ_READ_BYTES = 64 * 1024,  /* the least room for a read */
    REQ_KEEP_BYTES = 256 * 1024, /* what an emptied buffer may hold on to */
};

void req_init(struct req *r, enum sp_framing framing, size_t message_bytes_max);
void req_deinit(struct req *r);
/* Send our greeting and wait for the server's until the time on the clock of req_now_ms(). */
int req_greet(struct req *r, const char *url, int64_t end_ms, struct link_error *error);
/* Make room in `in` for the next read: grows with what really came. False when memory is out. */
bool req_room(struct req *r);
int64_t req_now_ms(void);

/* The header of a request. */
void req_stack(uint8_t out[SP_WORD_BYTES], uint32_t id);
/* As link_client_send and link_client_recv. */
int req_send(struct link_client *base, uint32_t id, const struct pieces *body,
             struct link_error *error);
int req_recv(struct link_client *base, uint32_t *id, struct span *body, struct link_error *error);

#endif
