/* What junk in each page of a ring does: nothing to those who may not trust it. */
#include "tests/unit/ring/rig.h"

#include <string.h>

#include "tests/support/test.h"

enum { ROUNDS = 3000, GUARD = 0x5a };

/* Behind each page that is scribbled on, and what is written must not reach. */
static struct ring_group *
guarded(void)
{
    unsigned char *memory = kit_memory(2 * RING_PAGE);
    cr_assert(memory != NULL);
    memset(memory + RING_PAGE, GUARD, RING_PAGE);
    return (struct ring_group *)(void *)memory;
}

static bool
is_guarded(const struct ring_group *group)
{
    const unsigned char *behind = (const unsigned char *)group + RING_PAGE;
    for (size_t i = 0; i < RING_PAGE; i++) {
        if (behind[i] != GUARD) {
            return false;
        }
    }
    return true;
}

/* Everything that a reader does; results are within what is allowed, and it ends. */
static void
use_reader(struct ring_reader *r, uint64_t number)
{
    struct ring_taken t;
    ring_reader_wait(r, (number & 1) != 0);
    for (int i = 0; i < 4; i++) {
        const enum ring_result result = i == 0   ? ring_reader_number(r, number, &t)
                                        : i == 1 ? ring_reader_nearest(r, (int64_t)number, &t)
                                                 : ring_reader_next(r, &t);
        cr_assert(result <= RING_LOST);
        if (result == RING_TAKEN) {
            cr_assert(t.slot < r->slots && t.pin < r->hold);
            (void)ring_reader_release(r, &t);
        }
    }
}

Test(ring, junk_in_desks_and_groups_hurts_neither_writer_nor_hub)
{
    uint64_t seed = 6;
    struct rig rig = rig_new(8);
    struct ring_reader *good = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    rig_reader(&rig, 1, RING_LOSSLESS, 2, 1);
    rig_member(&rig, 4, RING_LOSSLESS, 2, 1);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t blockers;
        kit_junk(rig.desks[1], RING_PAGE, &seed);
        kit_junk(rig.desks[4], RING_PAGE, &seed);
        kit_junk(rig.group, RING_PAGE, &seed);
        int slot = ring_writer_mark(&rig.writer, &blockers);
        if (slot == RING_NO_SLOT) { /* patience is over */
            cr_assert(blockers != 0, "readers held more than they may");
            cr_assert_eq(blockers & ~(UINT64_C(1) << 1 | UINT64_C(1) << GROUP), 0);
            ring_writer_drop(&rig.writer, 1);
            ring_writer_drop(&rig.writer, GROUP);
            slot = ring_writer_mark(&rig.writer, &blockers);
        }
        cr_assert(slot >= 0 && slot < 8);
        cr_assert(ring_writer_confirm(&rig.writer, slot));
        const uint64_t number = rig.writer.number + 1;
        kit_fill(&rig.ring, (uint32_t)slot, number, NULL);
        cr_assert_eq(ring_writer_publish(&rig.writer, slot, 1), number);
        (void)ring_group_bury(rig.group, rig.ring.head, rig.desks[4], 2);
        rig_take_and_release(&rig, good, number, 0);
    }
    rig_free(&rig);
}

Test(ring, junk_in_the_pages_of_others_hurts_no_reader)
{
    uint64_t seed = 7;
    struct rig rig = rig_new(8);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 2, 0);
    struct ring_reader *all = rig_reader(&rig, 1, RING_LOSSLESS, 2, 1);
    struct ring_reader member = *rig_reader(&rig, 2, RING_LOSSLESS, 2, 1);
    member.group = guarded();
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t number = kit_random(&seed) % 20;
        if (round % 3 != 0) { /* the writer's; then a member's, with and without that */
            kit_junk(rig.ring.head, ring_data_offset(8, SLOT_BYTES, 0), &seed);
        } else {
            (void)rig_write(&rig);
        }
        if (round % 3 != 1) {
            kit_junk(member.group, RING_PAGE, &seed);
        }
        use_reader(r, number);
        use_reader(all, number);
        member.policy = (round & 1) != 0 ? RING_LATEST : RING_LOSSLESS;
        use_reader(&member, number);
        for (uint32_t i = 0; i < 3; i++) {
            cr_assert_eq(atomic_load(&rig.desks[i]->pins[0]), 0, "let go of what it did not hold");
        }
        cr_assert(is_guarded(member.group));
    }
    kit_memory_free(member.group, 2 * RING_PAGE);
    rig_free(&rig);
}

Test(ring, junk_makes_the_hub_write_nowhere_else)
{
    uint64_t seed = 8;
    struct ring_group *group = guarded(), *desk = guarded();
    struct ring_head *head = kit_memory(RING_PAGE);
    for (int round = 0; round < ROUNDS; round++) {
        kit_junk(group, RING_PAGE, &seed);
        kit_junk(desk, RING_PAGE, &seed);
        kit_junk(head, RING_PAGE, &seed);
        head->generation = 1;
        /* A claim of its own in a slot that a group has no room for, if the hub believed `slots`.
         */
        atomic_store(&desk->desk.pins[0], UINT64_C(1) << 16 | (600 + kit_random(&seed) % 100));
        cr_assert(ring_group_bury(group, head, &desk->desk, UINT32_MAX) <= RING_HOLD_MAX);
        cr_assert(is_guarded(group) && is_guarded(desk));
    }
    kit_memory_free(group, 2 * RING_PAGE);
    kit_memory_free(desk, 2 * RING_PAGE);
    kit_memory_free(head, RING_PAGE);
}

Test(ring, a_newest_frame_that_is_not_in_its_slot_holds_nobody)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_reader *member = rig_member(&rig, 4, RING_LATEST, 1, 0);
    rig_write_many(&rig, 3);
    atomic_store(&rig.ring.head->newest, UINT64_C(3) << 8 | 1);
    rig_expect_next(r, RING_NOTHING);
    rig_expect_next(member, RING_NOTHING);
    atomic_store(&rig.ring.head->newest, UINT64_C(3) << 8 | 200);
    rig_expect_next(r, RING_NOTHING);
    rig_expect_next(member, RING_NOTHING);
    rig_free(&rig);
}
