/* A ring with its writer and readers: see rig.h. */
#include "tests/unit/ring/rig.h"

#include "tests/support/test.h"

struct rig
rig_new(uint32_t slots)
{
    struct rig rig = {.ring = kit_ring_new(slots, SLOT_BYTES, 1, 1)};
    cr_assert(rig.ring.head != NULL);
    ring_writer_init(&rig.writer, rig.ring.head);
    return rig;
}

void
rig_free(struct rig *rig)
{
    for (uint32_t i = 0; i < 8; i++) {
        kit_memory_free(rig->desks[i], RING_PAGE);
    }
    kit_memory_free(rig->group, RING_PAGE);
    kit_ring_free(&rig->ring);
}

struct ring_reader *
rig_reader(struct rig *rig, uint32_t i, enum ring_policy policy, uint32_t hold, uint64_t next)
{
    struct ring_desk *desk = rig->desks[i] != NULL ? rig->desks[i] : kit_memory(RING_PAGE);
    cr_assert(desk != NULL);
    rig->desks[i] = desk;
    kit_desk_begin(desk, i, rig->ring.head, next);
    rig->writer.desks[i] = (struct ring_known){.desk = desk, .policy = policy, .hold = hold};
    rig->readers[i] = (struct ring_reader){.head = rig->ring.head,
                                           .desk = desk,
                                           .slots = rig->ring.slots,
                                           .hold = hold,
                                           .generation = rig->ring.head->generation,
                                           .policy = policy};
    return &rig->readers[i];
}

struct ring_reader *
rig_member(struct rig *rig, uint32_t i, enum ring_policy policy, uint32_t hold, uint64_t next)
{
    if (rig->group == NULL) {
        rig->group = kit_memory(RING_PAGE);
        cr_assert(rig->group != NULL);
        kit_desk_begin(&rig->group->desk, GROUP, rig->ring.head, next);
        rig->writer.desks[GROUP] = (struct ring_known){
            .desk = &rig->group->desk, .policy = policy, .hold = RING_HOLD_MAX, .is_group = true};
    }
    struct ring_reader *r = rig_reader(rig, i, policy, hold, next);
    rig->writer.desks[i].policy = RING_MEMBER;
    r->group = rig->group;
    return r;
}

/* What the hub does when a member is gone. */
uint32_t
rig_bury(struct rig *rig, uint32_t i)
{
    const uint32_t offered =
        ring_group_bury(rig->group, rig->ring.head, rig->desks[i], rig->readers[i].hold);
    rig->writer.desks[i] = (struct ring_known){0};
    return offered;
}

/* The slot of the next frame, or RING_NO_SLOT. */
int
rig_write(struct rig *rig)
{
    uint64_t blockers;
    const int slot = ring_writer_mark(&rig->writer, &blockers);
    if (slot == RING_NO_SLOT) {
        return slot;
    }
    cr_assert(ring_writer_confirm(&rig->writer, slot));
    const uint64_t number = rig->writer.number + 1;
    kit_fill(&rig->ring, (uint32_t)slot, number, NULL);
    cr_expect_eq(ring_writer_publish(&rig->writer, slot, kit_bytes(&rig->ring, number)), number);
    return slot;
}

void
rig_write_many(struct rig *rig, uint32_t count)
{
    while (count-- > 0) {
        cr_assert(rig_write(rig) != RING_NO_SLOT);
    }
}

/* Takes the next frame, which is `number`, whole. */
struct ring_taken
rig_take(struct rig *rig, struct ring_reader *r, uint64_t number, uint64_t missed)
{
    struct ring_taken t = {0};
    const enum ring_result result = ring_reader_next(r, &t);
    cr_assert(result == RING_TAKEN, "frame %d: result %d", (int)number, (int)result);
    cr_expect(t.number == number, "%d, not %d", (int)t.number, (int)number);
    cr_expect(t.missed == missed, "%d missed, not %d", (int)t.missed, (int)missed);
    cr_expect(kit_is_whole(&rig->ring, t.slot, t.number, NULL), "frame %d is torn", (int)number);
    return t;
}

void
rig_take_and_release(struct rig *rig, struct ring_reader *r, uint64_t number, uint64_t missed)
{
    const struct ring_taken t = rig_take(rig, r, number, missed);
    (void)ring_reader_release(r, &t);
}

void
rig_expect_next(struct ring_reader *r, enum ring_result expected)
{
    struct ring_taken t;
    const enum ring_result result = ring_reader_next(r, &t);
    cr_expect(result == expected, "%d, not %d", (int)result, (int)expected);
}

uint64_t
rig_oldest(const struct rig *rig)
{
    uint64_t found = UINT64_MAX;
    for (uint32_t i = 0; i < rig->ring.slots; i++) {
        const uint64_t number = atomic_load(&rig->ring.head->number[i]);
        found = number != 0 && number < found ? number : found;
    }
    return found;
}
