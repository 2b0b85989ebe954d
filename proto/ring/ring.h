/* The steps of a stream's writer and readers on the memory of layout.h. No system call is made and
 * nothing waits; the callers ring bells and pass descriptors (client/stream).
 *
 * Nobody ever reads a frame that is being written, whoever dies where. For that a reader, before it
 * looks at a slot, says in its desk that it holds it, and then looks whether the slot still has the
 * frame it wants. The writer, before it writes, takes the slot's number away, and then looks
 * whether somebody holds it; if so it gives the number back and takes another slot. With a full
 * barrier between the two steps on both sides, at least one of them sees the other (hazard
 * pointers, Maged Michael 2004).
 *
 * A reader that joins is known to the writer in time although the hub tells it by a message: the
 * hub sends that before the reader gets its desk, and the writer looks for messages between taking
 * the number away and looking at the desks. */
#ifndef PRONG_RING_H
#define PRONG_RING_H

#include <stdbool.h>

#include "proto/ring/layout.h"

enum { RING_NO_SLOT = -1 };

/* A desk as its writer sees it. */
struct ring_known {
    const struct ring_desk *desk; /* NULL when the place is free */
    enum ring_policy policy;
    uint32_t hold; /* how many of its pins count */
    bool is_group; /* a group's own: what it holds is let go when there is no other slot */
};

struct ring_writer {
    struct ring_head *head;
    uint32_t slots;
    uint64_t generation, number; /* of the newest frame */
    int newest;                  /* its slot, or RING_NO_SLOT */
    uint64_t taken;              /* the number that the marked slot had */
    bool spares_offered;         /* the slot was chosen so that no group loses what it offers */
    struct ring_known desks[RING_READERS_MAX];
};

/* Begin to write to a ring, new or one whose writer died: what was in the making is gone. */
void ring_writer_init(struct ring_writer *w, struct ring_head *head);
/* Choose the slot for the next frame and take its number away: the one with the oldest frame that
 * nobody needs, and never the newest. RING_NO_SLOT when there is none; then *blockers has a bit for
 * each lossless reader that would have to be dropped so that there is one: those who want the
 * oldest frame that nobody holds. 0 when all slots are held. What a group offers once more is
 * overwritten when all other slots are held, because nobody granted these slots to it. */
int ring_writer_mark(struct ring_writer *w, uint64_t *blockers);
/* Whether the marked slot is free indeed; if not it is given back. To be asked after new desks were
 * put into `desks`. */
bool ring_writer_confirm(struct ring_writer *w, int slot);
/* Give the marked slot back without a frame: what it had is gone. */
void ring_writer_cancel(struct ring_writer *w, int slot);
/* Show the frame in the marked slot to all; its number. struct ring_frame was filled in before. */
uint64_t ring_writer_publish(struct ring_writer *w, int slot, uint64_t bytes);
/* Wait no longer for a lossless reader. */
void ring_writer_drop(struct ring_writer *w, uint32_t index);
/* Whether somebody waits at this desk for a frame. To be asked after ring_writer_publish. */
bool ring_desk_is_waiting(const struct ring_desk *desk);

struct ring_reader {
    const struct ring_head *head;
    struct ring_desk *desk;
    struct ring_group *group; /* NULL: it has all frames for itself */
    uint32_t slots, hold;
    uint64_t generation;
    enum ring_policy policy; /* LATEST or LOSSLESS: that of the group when there is one */
};

/* A frame that is held: it stays as it is until ring_reader_release. */
struct ring_taken {
    uint64_t number, generation;
    uint32_t slot, pin;
    bool is_claimed; /* it works on it for its group */
    uint64_t missed; /* frames between the one taken before and this one */
};

enum ring_result {
    RING_TAKEN,
    RING_NOTHING, /* no such frame, or not yet */
    RING_FULL,    /* it holds as many as it may */
    RING_LOST,    /* frames that a lossless reader was to get are gone, `missed` of them */
};

/* Take the next frame, as the policy says. */
enum ring_result ring_reader_next(struct ring_reader *r, struct ring_taken *out);
/* Take the frame with this number, if it is still there. `next` stays. */
enum ring_result ring_reader_number(struct ring_reader *r, uint64_t number, struct ring_taken *out);
/* Take the frame whose mono_ns is nearest. `next` stays. */
enum ring_result ring_reader_nearest(struct ring_reader *r, int64_t mono_ns,
                                     struct ring_taken *out);
/* Let go of it. True when the writer waits for room and has to be told. Also for a frame of an
 * earlier generation. */
bool ring_reader_release(struct ring_reader *r, const struct ring_taken *taken);
/* Say that it waits (or not): a frame that comes after this rings the bell. Look once more
 * afterwards. */
void ring_reader_wait(struct ring_reader *r, bool waiting);
/* Whether the writer of the ring waits for room. */
bool ring_wants_room(const struct ring_head *head);

/* The hub's part when a member of a group died: what it was working on is offered once more. The
 * number of frames that are. `desk` is the dead one's. */
uint32_t ring_group_bury(struct ring_group *group, const struct ring_head *head,
                         const struct ring_desk *desk, uint32_t hold);

#endif
