/* What the parts of the lender share: lender.c has the connections, lender_streams.c the requests
 * of writers and readers, lender_buffers.c those for buffers, lender_list.c the list for people. */
#ifndef PRONG_SHELL_LENDER_INSIDE_H
#define PRONG_SHELL_LENDER_INSIDE_H

#include "broker/shell/lend_streams.h"
#include "broker/shell/lender.h"
#include "proto/link/source.h"
#include "proto/ring/pass.h"
#include "proto/wire.h"

/* What a connection has become by its first request; bits, for the table of requests. */
enum lend_role {
    LEND_ROLE_NONE = 1,
    LEND_ROLE_WRITER = 2,
    LEND_ROLE_READER = 4,
    LEND_ROLE_HOLDER = 8,
};

struct lend_buffer {
    struct lend_buffer *next;
    struct lend_memory memory;
    uint8_t handle[LEND_HANDLE_BYTES];
    uint64_t bytes;
    uint32_t holds;        /* of all connections */
    bool has_arrived;      /* somebody has taken it */
    int64_t keep_until_ns; /* without any, for whoever has the handle; 0: not */
};

/* Where a list is, that is sent as it is read. */
struct lend_list {
    bool is_on;
    uint64_t stream; /* serial number of the stream, going down */
    uint32_t place;  /* 0: the stream itself; then seats, from 1 */
};

struct lend_peer {
    struct source source;
    struct lend_peer *next;
    struct lender *lender;
    int fd; /* -1: it has ended, and its memory stays for the turn */
    int32_t pid;
    uint32_t uid;
    enum lend_role role;
    bool is_spare;              /* one too many: it is refused when it asks */
    bool failed;                /* it ends before anything else happens */
    bool is_cut;                /* it is told nothing more, and ends when it has seen that */
    bool has_left;              /* its end is one by itself, so that it uses nothing any more */
    struct lend_stream *stream; /* of a writer or reader */
    uint32_t seat;              /* of a reader */
    struct lend_list list;
    struct lend_buffer **holds; /* of a holder */
    uint32_t hold_count, hold_cap;
};

struct lender {
    struct source source;
    struct lender_options options;
    int fd;
    bool accept_due; /* descriptors were out when somebody came */
    bool has_failed, has_ended;
    struct lend_peer *peers;
    uint32_t peer_count;
    struct lend_budget budget;
    struct lend_streams streams;
    struct lend_buffer *buffers;
    uint32_t buffer_count;
    struct lend_timer {
        struct source source;
        struct lender *lender;
        int fd; /* -1 until it is needed */
        int64_t at_ns;
    } timer; /* for buffers that nobody holds */
};

/* Send a record, whose version is set here. Nothing happens with a peer that has failed; one that
 * cannot be told fails. */
void lender_send(struct lend_peer *p, struct lend_record *record, const int *fds, uint32_t count);
__attribute__((format(printf, 3, 4))) void lender_refuse(struct lend_peer *p, uint32_t code,
                                                         const char *format, ...);
/* End a reader that cannot be told something, but not before it has let go of the frames that it
 * may hold: a stopped process must not wake to find them written over. It finds the end of what it
 * is told, and hangs up. */
void lender_cut(struct lend_peer *p);
/* It is to end: when the request is done with, or in lender_settle. */
void lender_fail(struct lend_peer *p);
void lender_settle(struct lender *l);

/* Requests. Each answers or fails the peer. */
void lender_create(struct lend_peer *p, const struct lend_record *ask);
void lender_open(struct lend_peer *p, const struct lend_record *ask);
void lender_list(struct lend_peer *p, const struct lend_record *ask);
/* The next record of the list; LEND_END is the last one. */
void lender_list_next(const struct lender *l, struct lend_list *at, struct lend_record *record);
void lender_buffer_new(struct lend_peer *p, const struct lend_record *ask);
void lender_buffer_take(struct lend_peer *p, const struct lend_record *ask);
void lender_buffer_give(struct lend_peer *p, const struct lend_record *ask);

/* Let go of the buffers that nobody has come for, all of them at the end of the hub. */
void lender_buffers_deinit(struct lender *l);

/* A connection of this kind is over. */
void lender_writer_left(struct lend_peer *p);
void lender_reader_left(struct lend_peer *p);
void lender_holder_left(struct lend_peer *p);

#endif
