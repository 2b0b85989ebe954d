/* What the parts of the lender share: lender.c has the connections, lender_death.c the ends of the
 * processes behind them, lender_streams.c the requests of writers and readers, lender_buffers.c
 * those for buffers, lender_spares.c what is lent again, lender_list.c the list for people,
 * lender_watch.c what is told without being asked, lender_sum.c the figures. */
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
    uint64_t number;               /* of its memory: the same again are the same pages */
    const struct lend_peer *maker; /* whom it was made for; NULL: that one has left */
    uint32_t holds;                /* of all connections */
    uint32_t arrivals, expected;   /* how often it was taken, and will have been by what one says */
    uint64_t written;              /* handles of it, by all who have let go of it */
    bool is_exposed;               /* one who let go of it may still reach it */
    int64_t keep_until_ns;         /* without any hold, for whoever has the handle; 0: not */
};

/* Where a list is, that is sent as it is read. */
struct lend_list {
    bool is_on;
    uint64_t stream; /* serial number of the stream, going down */
    uint32_t place;  /* 0: the stream itself; then seats, from 1 */
};

/* The end of the process that made the connection. */
struct lend_death {
    struct source source;
    struct lend_peer *peer;
    int fd; /* a pidfd; -1: it is not watched */
};

/* A timer of the loop. */
struct lend_timer {
    struct source source;
    struct lender *lender;
    int fd;        /* -1 until it is needed */
    int64_t at_ns; /* 0: it is not set */
};

/* A stream that must not be silent. */
struct lend_watch {
    char name[LEND_NAME_BYTES];
    int64_t max_ns, since_ns;
    uint64_t serial, number; /* of the stream, and of the newest frame in it that was seen */
    bool is_silent;
};

struct lend_peer {
    struct source source;
    struct lend_death death;
    struct lend_peer *next;
    struct lender *lender;
    int fd; /* -1: it has ended, and its memory stays for the turn */
    int32_t pid;
    uint32_t uid;
    enum lend_role role;
    bool is_spare;              /* one too many: it is refused when it asks */
    bool failed;                /* it ends before anything else happens */
    bool is_orphan;             /* its process has ended: it ends when what was sent is read */
    bool is_cut;                /* it is told nothing more, and ends when it has seen that */
    bool is_leaving;            /* it has said that it ends the connection */
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
    uint64_t last_number;       /* of a buffer's memory */
    struct lend_buffer *spares; /* that wait to be lent again, the newest first */
    uint32_t spare_count;
    uint64_t spare_bytes;
    struct lend_timer timer; /* for buffers that nobody holds, and for spares */
    struct lend_timer look;  /* for what has to be looked at again and again */
    struct lend_watch *watches;
    size_t watch_count;
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
/* Take what it has sent, and settle. */
void lender_hear(struct lend_peer *p);

/* A descriptor outlives the process that opened it where that has forked, and so does a connection.
 * What was lent is for that process alone, so its end is watched beside the end of the connection;
 * without a descriptor for that only the latter. */
void lender_death_watch(struct lend_peer *p);
void lender_death_forget(struct lend_peer *p);
/* Its process has ended, or is about to. */
bool lender_has_died(const struct lend_peer *p);

/* News. Each does nothing when nobody wants to know. */
void lender_tell_started(const struct lend_peer *writer, const char *reason);
void lender_tell_stopped(const struct lend_peer *writer);
void lender_tell_changed(const struct lend_peer *writer);
/* Whether there is room in the budget, as lend_memory_fits; that there is none is told. `stream` is
 * empty for a buffer. */
uint32_t lender_fits(struct lend_peer *p, const char *stream, uint64_t more, uint64_t less,
                     char why[LEND_WHY_BYTES]);

/* false when memory is out. */
bool lender_watch_init(struct lender *l);
void lender_watch_deinit(struct lender *l);
/* Somebody came: perhaps there is something to look at from now on. */
void lender_watch_begin(struct lender *l);
/* Find and tell which lossless readers the writer has given up. To be done before its ring or a
 * seat goes. */
void lender_note_drops(struct lender *l, struct lend_stream *s);

/* Requests. Each answers or fails the peer. */
void lender_create(struct lend_peer *p, const struct lend_record *ask);
void lender_leave(struct lend_peer *p, const struct lend_record *ask);
void lender_open(struct lend_peer *p, const struct lend_record *ask);
void lender_list(struct lend_peer *p, const struct lend_record *ask);
/* The next record of the list; LEND_END is the last one. */
void lender_list_next(const struct lender *l, struct lend_list *at, struct lend_record *record);
void lender_buffer_new(struct lend_peer *p, const struct lend_record *ask);
void lender_buffer_take(struct lend_peer *p, const struct lend_record *ask);
void lender_buffer_give(struct lend_peer *p, const struct lend_record *ask);

/* Let go of the buffers that nobody has come for, all of them at the end of the hub. */
void lender_buffers_deinit(struct lender *l);

/* Set a buffer aside that nobody holds or can reach; moved. Its end is told: it may be earlier. */
int64_t lender_spare_add(struct lender *l, struct lend_buffer *buffer, int64_t now_ns);
/* One of so many pages that was made for this connection; NULL when there is none. Moved. */
struct lend_buffer *lender_spare_take(const struct lend_peer *p, uint64_t bytes);
/* Free what has waited long enough. When there is more to do, 0 for never. */
int64_t lender_spares_expire(struct lender *l, int64_t now_ns);
/* Nobody comes back for those of this connection. */
void lender_spares_leave(const struct lend_peer *p);

/* A connection of this kind is over. */
void lender_writer_left(struct lend_peer *p);
void lender_reader_left(struct lend_peer *p);
void lender_holder_left(struct lend_peer *p);

#endif
