/* What the hub and those who share memory through it say to each other, on the socket `memory.sock`
 * beside the hub's own: SOCK_SEQPACKET, one struct lend_record each, descriptors beside it.
 *
 * A connection is one writer, one reader or one holder of buffers, from its first record to its
 * end; its end, which the kernel tells whatever it died of, is how the hub learns that it left. So
 * is the end of the process that connected, though a child of it has the connection, too.
 * Both ends are on one machine: plain structs in host order; the first field says the version.
 *
 *   LEND_CREATE    -> LEND_CREATED [ring, to write], then a LEND_DESK for each reader there is
 *   LEND_OPEN      -> LEND_OPENED [desk, bell, room (, group)], then LEND_RING when there is one
 *   LEND_LIST      -> LEND_STREAM for each stream and LEND_READER for each of its readers, LEND_END
 *   LEND_NEW       -> LEND_BUFFER [memory]
 *   LEND_TAKE      -> LEND_BUFFER [memory]
 *   LEND_GIVE      (no answer)
 *   LEND_LEAVE     (no answer)
 *
 * or, to each of them, LEND_REFUSED. A writer whose frames change says LEND_CREATE again. */
#ifndef PRONG_RING_LEND_H
#define PRONG_RING_LEND_H

#include "proto/ring/layout.h"

#define LEND_SOCKET "memory.sock"

enum {
    LEND_VERSION = 1,
    LEND_NAME_BYTES = 65, /* with the NUL: a stream or a group, named as workers are */
    LEND_WHY_BYTES = 200,
    LEND_HANDLE_BYTES = 16,
    LEND_FDS_MAX = 4,
    LEND_STREAMS_MAX = 256,
    LEND_PEERS_MAX = 1024,
    LEND_BUFFERS_MAX = 4096,
    LEND_HOLDS_MAX = 1024, /* buffers that one connection holds */
};
#define LEND_SLOT_BYTES_MAX (UINT64_C(1) << 30)

enum lend_op {
    /* to the hub */
    LEND_CREATE = 1, /* name, slots, bytes (of a slot), patience_ms; generation and numbers[0] that
                        a writer has, whose hub was another one: it goes on after them */
    LEND_OPEN,       /* name, policy, hold, group ("" for none), from_oldest */
    LEND_LIST,
    LEND_NEW,  /* bytes */
    LEND_TAKE, /* handle: hold it, too */
    LEND_GIVE, /* handle, patience_ms, hold: no longer hold it; keep it so long for others, until it
                  was taken so often in all; numbers[0]: how many handles of it were written here,
                  each of them for one more who takes it, or 1 when it could not be taken, and is to
                  be once more; index: 1 when nothing here reaches the memory any more, so that it
                  may be lent again */
    LEND_LEAVE, /* by a writer: the end of the connection, which comes next, is meant; without it
                   that of a program that ends at once looks like the end of its process */
    /* from the hub */
    LEND_REFUSED = 65, /* code (errors.def), text */
    LEND_CREATED,      /* generation, slots, bytes: may be the ring of a writer before; index: how
                          many LEND_DESK follow at once */
    LEND_OPENED,       /* index, hold, policy (that of the group, if any), slots: of the ring that
                          a LEND_RING follows with, 0 when there is none yet */
    LEND_RING,         /* to a reader: generation, slots, bytes: go on here when the old is read */
    LEND_DESK,         /* to a writer: index, policy, hold; [desk, bell (, room)] */
    LEND_DESK_GONE,    /* to a writer: index */
    LEND_BUFFER,       /* handle, bytes; index: how often it was taken; generation: the number of
                          its memory, which comes again when that is lent again */
    LEND_STREAM,       /* name, slots, bytes, generation, numbers, pid of the writer or 0 */
    LEND_READER,       /* name, policy, group, hold, numbers, pid */
    LEND_END,
    LEND_LOOK, /* to a reader: look once more, though no bell rang; a writer or a member died */
};

struct lend_record {
    uint16_t version, op;
    uint32_t code; /* of LEND_REFUSED */
    uint32_t slots, hold, index, policy, patience_ms, from_oldest;
    int32_t pid;
    uint32_t fds; /* that came with it; set when it is received */
    uint64_t bytes, generation;
    uint64_t numbers[6]; /* LEND_STREAM: newest, frames, bytes, skipped, us of the newest frame,
                            readers. LEND_READER: next, taken, missed, delay_ns, frames held, uid */
    uint8_t handle[LEND_HANDLE_BYTES];
    char name[LEND_NAME_BYTES], group[LEND_NAME_BYTES];
    char text[LEND_WHY_BYTES]; /* for people */
};

#endif
