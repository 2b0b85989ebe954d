/* A ring in memory, frames whose content can be checked, and the hub's part, for the tests of
 * proto/ring. Nothing here asserts, so forked children and both frameworks use it.
 *
 * The memory is shared and anonymous: it stays the same memory after a fork. */
#ifndef TESTS_UNIT_RING_KIT_H
#define TESTS_UNIT_RING_KIT_H

#include "proto/ring/ring.h"

/* Zeroed, at a page's start; NULL when there is none. */
void *kit_memory(size_t bytes);
void kit_memory_free(void *memory, size_t bytes);

struct kit_ring {
    struct ring_head *head;
    uint32_t slots;
    uint64_t slot_bytes;
};

/* As the hub makes it. */
struct kit_ring kit_ring_new(uint32_t slots, uint64_t slot_bytes, uint64_t generation,
                             uint64_t first);
void kit_ring_free(struct kit_ring *ring);

/* A desk, or a group's page, as the hub makes it for a reader of this ring; 4096 bytes. */
void kit_desk_begin(struct ring_desk *desk, uint32_t index, const struct ring_head *head,
                    uint64_t next);

/* Fill a slot with the frame of this number, and say what belongs to it. `between` is called
 * between the words, unless it is NULL. */
void kit_fill(const struct kit_ring *ring, uint32_t slot, uint64_t number, void (*between)(void));
/* Whether all of it is there: the words, their checksum, and what belongs to it. */
bool kit_is_whole(const struct kit_ring *ring, uint32_t slot, uint64_t number,
                  void (*between)(void));
/* Bytes of the frame of this number: not all are of one size. */
uint64_t kit_bytes(const struct kit_ring *ring, uint64_t number);

/* The next of a row of random numbers; `state` is not 0. */
uint64_t kit_random(uint64_t *state);
/* `bytes` random ones, among which small numbers and the words that mean something are frequent. */
void kit_junk(void *memory, size_t bytes, uint64_t *state);

#endif
