/* A ring in memory: see kit.h. */
#include "tests/unit/ring/kit.h"

#include <string.h>
#include <sys/mman.h>

void *
kit_memory(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

void
kit_memory_free(void *memory, size_t bytes)
{
    if (memory != NULL) {
        (void)munmap(memory, bytes); /* it is what mmap gave */
    }
}

struct kit_ring
kit_ring_new(uint32_t slots, uint64_t slot_bytes, uint64_t generation, uint64_t first)
{
    struct ring_head *head = kit_memory(ring_size(slots, slot_bytes));
    if (head != NULL) {
        head->magic = RING_MAGIC;
        head->version = RING_VERSION;
        head->slots = slots;
        head->slot_bytes = slot_bytes;
        head->generation = generation;
        head->first = first;
    }
    return (struct kit_ring){head, slots, slot_bytes};
}

void
kit_ring_free(struct kit_ring *ring)
{
    kit_memory_free(ring->head, ring_size(ring->slots, ring->slot_bytes));
    ring->head = NULL;
}

void
kit_desk_begin(struct ring_desk *desk, uint32_t index, const struct ring_head *head, uint64_t next)
{
    memset(desk, 0, RING_PAGE);
    desk->version = RING_VERSION;
    desk->index = index;
    atomic_store(&desk->next, next);
    atomic_store(&desk->joined, atomic_load(&head->dropped[index]) + 1);
    desk->magic = DESK_MAGIC;
}

/* ---- frames ----------------------------------------------------------------------------------
 */

static uint64_t
mixed(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static struct ring_frame *
frame_of(const struct kit_ring *ring, uint32_t slot)
{
    return (struct ring_frame *)(void *)((char *)ring->head + ring_frame_offset(slot));
}

static uint64_t *
words_of(const struct kit_ring *ring, uint32_t slot)
{
    return (uint64_t *)(void *)((char *)ring->head +
                                ring_data_offset(ring->slots, ring->slot_bytes, slot));
}

uint64_t
kit_bytes(const struct kit_ring *ring, uint64_t number)
{
    return ring->slot_bytes - number % 4 * sizeof(uint64_t);
}

void
kit_fill(const struct kit_ring *ring, uint32_t slot, uint64_t number, void (*between)(void))
{
    struct ring_frame *frame = frame_of(ring, slot);
    uint64_t *words = words_of(ring, slot), sum = number;
    const uint64_t count = kit_bytes(ring, number) / sizeof *words;
    for (uint64_t i = 0; i < count; i++) {
        words[i] = mixed(number << 20 ^ i);
        sum = mixed(sum ^ words[i]);
        if (between != NULL) {
            between();
        }
    }
    frame->mono_ns = (int64_t)number * 1000;
    frame->time_us = (int64_t)number;
    frame->bytes = count * sizeof *words;
    frame->dims = 1;
    frame->shape[0] = count;
    frame->meta_bytes = sizeof sum;
    memcpy(frame->meta, &sum, sizeof sum);
}

bool
kit_is_whole(const struct kit_ring *ring, uint32_t slot, uint64_t number, void (*between)(void))
{
    const struct ring_frame *frame = frame_of(ring, slot);
    const uint64_t *words = words_of(ring, slot);
    const uint64_t count = kit_bytes(ring, number) / sizeof *words;
    uint64_t sum = number, said;
    bool is_whole = frame->time_us == (int64_t)number && frame->shape[0] == count &&
                    frame->bytes == count * sizeof *words;
    for (uint64_t i = 0; i < count; i++) {
        is_whole = is_whole && words[i] == mixed(number << 20 ^ i);
        sum = mixed(sum ^ words[i]);
        if (between != NULL) {
            between();
        }
    }
    memcpy(&said, frame->meta, sizeof said);
    return is_whole && said == sum;
}

/* ---- chance ----------------------------------------------------------------------------------
 */

uint64_t
kit_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return mixed(*state);
}

void
kit_junk(void *memory, size_t bytes, uint64_t *state)
{
    uint64_t *words = memory;
    for (size_t i = 0; i < bytes / sizeof *words; i++) {
        const uint64_t any = kit_random(state), small = kit_random(state) % 20;
        switch (kit_random(state) % 6) {
        case 0:
            words[i] = any;
            break;
        case 1:
            words[i] = 0;
            break;
        case 2:
            words[i] = small;
            break;
        case 3:
            words[i] = 1 << 16 | small; /* a pin, or a claim of frame 1 */
            break;
        case 4:
            words[i] = small << 16 | any % 3 << 8 | any % 4; /* a claim */
            break;
        default:
            words[i] = small << 8 | any % 8; /* the newest frame */
        }
    }
}
