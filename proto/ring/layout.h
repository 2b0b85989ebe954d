/* How a stream of frames lies in shared memory: the layout that its writer, its readers and the hub
 * agree on. README.md beside this file says how it is used; ring.h has the steps.
 *
 * A ring is one memfd: a page that begins with struct ring_head, a table with a struct ring_frame
 * for each slot, then the slots themselves, each `slot_bytes` long and at a page's start. The hub
 * makes it, of its final size and sealed against shrinking and growing; the writer maps it to read
 * and write, readers to read only. Each reader has a desk of its own, one page that it alone
 * writes, and the members of a group share one more. So what a reader writes, no other reader
 * trusts, and the writer believes no more of it than the hub has granted.
 *
 * All in host order: both ends are on one machine. Sizes and offsets are fixed and asserted in
 * ring.c; a change of any is a new RING_VERSION, which is checked when a ring is opened. */
#ifndef PRONG_RING_LAYOUT_H
#define PRONG_RING_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RING_MAGIC UINT64_C(0x474e4952474e5250) /* "PRNGRING" */
#define DESK_MAGIC UINT64_C(0x4b534544474e5250) /* "PRNGDESK" */

enum {
    RING_VERSION = 1,
    RING_PAGE = 4096,
    RING_SLOTS_MIN = 2,
    RING_SLOTS_MAX = 256,
    RING_SLOTS_DEFAULT = 8,
    RING_READERS_MAX = 64, /* of one stream, each group counted as one more */
    RING_HOLD_MAX = 32,    /* frames that one reader may hold at a time */
    RING_META_BYTES = 1024,
    RING_DIMS_MAX = 8,
    RING_DTYPE_BYTES = 8,
};

/* How a reader is served. */
enum ring_policy {
    RING_LATEST,   /* it gets the newest frame; the writer never waits for it */
    RING_LOSSLESS, /* it gets every frame; the writer waits, but not for ever */
    RING_MEMBER,   /* of a group, which has a desk with one of the policies above */
};

/* Why nothing is written to this ring any more. */
enum ring_end {
    RING_OPEN,
    RING_REPLACED, /* a newer generation follows */
};

/* The page of the writer; What is before `newest` is the hub's, and never changes but
 * `ended`. */
struct ring_head {
    uint64_t magic;
    uint32_t version, slots;
    uint64_t slot_bytes; /* a multiple of RING_PAGE */
    uint64_t generation; /* of the stream, from 1 */
    uint64_t first;      /* number that the first frame of this ring gets; frames count from 1 */
    uint32_t patience_ms;
    _Atomic uint32_t ended;  /* enum ring_end */
    _Atomic uint64_t newest; /* number << 8 | slot of the newest frame, 0 when there is none */
    _Atomic uint32_t wants_room;
    uint32_t unused;
    _Atomic uint64_t frames, bytes, skipped;    /* written so far; not written for want of a slot */
    _Atomic uint32_t dropped[RING_READERS_MAX]; /* `joined` of the lossless reader given up last */
    _Atomic uint64_t number[RING_SLOTS_MAX];    /* of the frame in each slot; 0: in the making */
};

/* What is known of the frame in a slot. */
struct ring_frame {
    int64_t mono_ns, time_us; /* CLOCK_MONOTONIC, and microseconds since the epoch */
    uint64_t bytes, shape[RING_DIMS_MAX];
    uint32_t dims, meta_bytes;
    char dtype[RING_DTYPE_BYTES]; /* of numpy, as "|u1"; NUL behind it where there is room */
    uint64_t unused[3];
    uint8_t meta[RING_META_BYTES]; /* one msgpack map, or nothing */
};

/* The page of a reader. */
struct ring_desk {
    uint64_t magic;
    uint32_t version, index;  /* among the desks of the stream; the hub's, as is `magic` */
    _Atomic uint32_t waiting; /* ring its bell when there is a frame */
    _Atomic uint32_t joined;  /* counts up each time that it comes back after it was dropped */
    _Atomic uint64_t next;    /* the first frame that it has not taken */
    _Atomic uint64_t taken, missed, delay_ns; /* told to people; the last: commit to taking */
    _Atomic uint64_t pins[RING_HOLD_MAX];     /* generation << 16 | slot + 1 of what it holds */
};

/* The page of a group: a desk, and who took what. */
struct ring_group {
    struct ring_desk desk;     /* `pins`: what dead members held, offered once more */
    _Atomic uint64_t returned; /* counts these up, so that members look there */
    /* For each slot: number << 16 | member << 8 | enum ring_claim */
    _Atomic uint64_t claims[RING_SLOTS_MAX];
};

enum ring_claim {
    RING_CLAIMED,       /* a member works on it */
    RING_CLAIMED_AGAIN, /* the same, after another one died with it */
    RING_OFFERED,       /* its member died; whoever comes first may have it */
    RING_DONE,
};

/* Where a slot's parts are. */
static inline size_t
ring_frame_offset(uint32_t slot)
{
    return RING_PAGE + (size_t)slot * (2 * RING_META_BYTES);
}

static inline size_t
ring_data_offset(uint32_t slots, uint64_t slot_bytes, uint32_t slot)
{
    const size_t table = ring_frame_offset(slots);
    return (table + RING_PAGE - 1) / RING_PAGE * RING_PAGE + (size_t)slot * (size_t)slot_bytes;
}

/* Of the whole ring. */
static inline size_t
ring_size(uint32_t slots, uint64_t slot_bytes)
{
    return ring_data_offset(slots, slot_bytes, slots);
}

#endif
