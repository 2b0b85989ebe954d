/* The streams that the hub knows: who writes, who reads, and what each of them may have.
 *
 * A stream is there as long as it has a writer or a reader. Each reader has a seat, the number of
 * which is the index of its desk; a group has one more. This file decides and keeps the books; it
 * makes no system call, and who sits where is for lender_streams.c. Runs on the loop thread. */
#ifndef PRONG_SHELL_LEND_STREAMS_H
#define PRONG_SHELL_LEND_STREAMS_H

#include "broker/shell/lend_memory.h"

enum {
    LEND_NO_SEAT = RING_READERS_MAX,
    LEND_SPARE_SLOTS = 2, /* beside what readers hold: the newest frame, and one in the making */
    LEND_PATIENCE_MS_MAX = 60000,
};
/* Numbers that a writer says are believed up to here: pins and claims have 48 bits for them. */
#define LEND_NUMBER_MAX (UINT64_C(1) << 47)

struct lend_peer;

struct lend_seat {
    enum { LEND_SEAT_FREE, LEND_SEAT_READER, LEND_SEAT_GROUP } kind;
    enum ring_policy policy;    /* of a member: that of its group */
    uint32_t hold;              /* frames; of a group: all its pins count */
    uint32_t group;             /* seat of a member's group, or LEND_NO_SEAT */
    uint32_t members;           /* of a group */
    char name[LEND_NAME_BYTES]; /* of a group */
    struct lend_memory page;
    int bell, room;   /* -1: none, or that of the group */
    uint32_t dropped; /* what the ring's head said of it last */
    struct lend_peer *peer;
};

struct lend_ring {
    struct lend_memory memory; /* its page is the head */
    uint32_t slots;            /* 0: there is none */
    uint64_t slot_bytes, generation, first;
    bool is_doubtful; /* its last writer was disconnected, and may not know it yet: no other one
                         may write there */
};

struct lend_stream {
    struct lend_stream *next;
    uint64_t serial; /* counts up with each stream that is made */
    char name[LEND_NAME_BYTES];
    struct lend_peer *writer; /* NULL: it has none now */
    struct lend_ring ring;
    uint32_t readers;       /* without the seats of groups */
    uint64_t drops;         /* how often a lossless reader was given up */
    uint64_t taken, missed; /* frames, by readers that have left */
    struct lend_seat seats[RING_READERS_MAX];
};

struct lend_streams {
    struct lend_stream *first; /* the newest first */
    uint32_t count;
    uint64_t serial; /* of the newest */
};

struct lend_stream *lend_streams_find(const struct lend_streams *streams, const char *name);
/* A new one, empty; NULL when there are too many or memory is out. */
struct lend_stream *lend_streams_add(struct lend_streams *streams, const char *name);
/* Free it. Its memory was given back before. */
void lend_streams_remove(struct lend_streams *streams, struct lend_stream *stream);

/* The ring as its head says it is, in numbers that are bounded. */
struct ring_head *lend_ring_head(const struct lend_ring *ring);
/* Number of the newest frame, first - 1 when there is none. */
uint64_t lend_ring_newest(const struct lend_ring *ring);
/* Frames that readers may hold at a time. */
uint32_t lend_stream_holds(const struct lend_stream *stream);
uint32_t lend_stream_group(const struct lend_stream *stream, const char *name);

/* What a writer gets that asks for a ring: 0, or the code of the refusal with a text. */
struct lend_plan {
    bool is_same; /* it goes on in the ring that is there */
    uint32_t slots;
    uint64_t slot_bytes, generation, first;
};
uint32_t lend_plan_ring(const struct lend_stream *stream, const struct lend_record *ask,
                        struct lend_plan *out, char why[LEND_WHY_BYTES]);

/* What a reader gets. */
struct lend_grant {
    uint32_t seat, hold, group; /* `group` is LEND_NO_SEAT for a reader without one */
    bool is_new_group;
    enum ring_policy policy;
};
uint32_t lend_plan_reader(const struct lend_stream *stream, const struct lend_record *ask,
                          struct lend_grant *out, char why[LEND_WHY_BYTES]);

#endif
