/* The link inside: one machine in three files.
 *
 * pull.c owns the connection, its sessions and what is said in them; kept.c the calls, and their
 * outcomes until the hub needs them no more; stream.c the items of calls that yield. */
#ifndef PRONG_WORKER_PULL_INSIDE_H
#define PRONG_WORKER_PULL_INSIDE_H

#include "client/worker/pull.h"
#include "proto/record.h"
#include "proto/write.h"

enum {
    /* What an emptied buffer may hold on to, beside what it needed last (buf_recycle): memory that
     * is taken anew for each call costs its page faults each time, 60 us for a call of 64 KiB.
     * Outcomes are many, so all of them have one bound. */
    KEEP_BYTES = 65536,
    KEEP_BYTES_EACH = 4096,
    KEEP_BYTES_ALL = 4 << 20,
    ITEM_BYTES = 16,
    REPORT_BYTES = 256,
    STREAM_REPORTS = 2, /* of items of one call, under way at a time */
};

#define MS_NS INT64_C(1000000)

/* Requests that have no answer yet. Several of PROGRESS: the newest shall not wait for an ACK that
 * the method is too busy to read. Those of items are in their streams. */
enum wait { ATTACH, POLL, STOP, CONTROL, REPORT, PROGRESS, WAITS = PROGRESS + 8 };

struct item {
    struct pull_job job;
    bool cancelled;
};

/* A REPORT of items. */
struct told {
    uint64_t end; /* number behind its last item; 0: there is no such REPORT */
    uint32_t id;  /* 0: it was answered with PENDING, so the hub has no room for more */
};

/* The items of a call that yields, from the first that no ACK has covered. */
struct stream {
    uint64_t call, first; /* number of the first one in `bytes` */
    struct buf bytes;
    uint32_t count, sent; /* how many they are; those of them that left on this connection */
    size_t sent_bytes;
    struct told told[STREAM_REPORTS];
    int64_t sent_ns; /* when something left last on this connection */
    bool hurry;      /* what waits leaves with the next look */
};

/* An outcome that the hub may still need. `payload` keeps its memory for the next one. */
struct kept {
    uint64_t call;
    bool is_error;
    bool told; /* on this connection */
    struct buf payload;
    struct stream *stream; /* its items, which are told first; NULL: none, or the hub has all */
    void *held;            /* NULL: it needs nothing */
};

struct pull {
    struct buf worker, token, methods;
    uint64_t pid;
    void (*let_go)(void *held);
    /* Of this process. */
    uint64_t attach;  /* number of the last ATTACH */
    uint32_t last_id; /* SP ids count up */
    bool stopping, stop_asked;
    /* Of this connection. */
    bool connected, dead, welcome;
    bool attach_due;
    uint32_t awaits[WAITS]; /* SP ids; 0: none */
    int64_t heard_ns;
    unsigned refusal;
    char text[256];
    /* Of this session. */
    char replica[WIRE_NAME_BYTES_MAX + 16];
    uint64_t session, taken;
    uint64_t message_bytes;
    /* Calls: items[next] runs or is the next one. */
    struct buf work; /* the WORK that they point into */
    struct item *items;
    uint32_t item_count, item_room, next;
    bool running;
    void *held; /* of the running call */
    struct buf progress;
    struct stream *stream; /* of the running call; NULL when it has not yielded */
    uint32_t stream_count; /* this one and those of kept calls */
    uint64_t stream_bytes; /* of all of them */
    struct kept *kept;
    uint32_t kept_count, kept_room, untold;
    uint64_t kept_bytes;
    uint64_t spare_bytes; /* memory of kept[kept_count..kept_room), for the next outcomes */
    int64_t untold_ns;    /* no untold one was there before */
    struct buf out;
    struct cut cuts[CUTS_MAX]; /* what is large in it */
    uint32_t cut_count;
};

/* ---- pull.c ---------------------------------------------------------------------------------- */

bool pull_is_busy(const struct pull *p);
uint32_t pull_new_id(struct pull *p);
/* The head of POLL, REPORT and CONTROL. */
void pull_write_head(struct pull *p, enum wire_op op);
/* One object that stands elsewhere, or several in a row: copied unless it is large. */
void pull_write_bytes(struct pull *p, struct span bytes);

/* ---- kept.c ---------------------------------------------------------------------------------- */

/* Outcomes of calls that came together are told together, because a message costs more than a short
 * call; but nobody waits long for what is done. */
bool kept_is_due(const struct pull *p, int64_t now_ns);
/* Untold outcomes that may be told: those whose items were. */
uint32_t kept_tellable(const struct pull *p);
/* As many of them as one message takes. */
void kept_write(struct pull *p);
void kept_forget(struct pull *p, uint64_t call);
/* What an outcome needed is needed no more. */
void kept_let_go(const struct pull *p, void **held);

/* ---- stream.c -------------------------------------------------------------------------------- */

/* Every item was told on this connection. NULL: there are none. */
bool stream_is_told(const struct stream *s);
void stream_free(struct pull *p, struct stream **s);
/* The connection is lost: what no ACK has covered is told again. */
void stream_rewind(struct pull *p);
/* Write the next REPORT of items that is due; its SP id, 0 when there is none. */
uint32_t stream_write(struct pull *p, int64_t now_ns);
/* Where the id of such a REPORT stands; NULL when it is none of those under way. */
uint32_t *stream_awaits(struct pull *p, uint32_t id);
/* It was answered with ACK. */
void stream_take_ack(struct pull *p, uint32_t id);

#endif
