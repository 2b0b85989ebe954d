/* Readers that share the frames of a ring, and what becomes of those that one of them had. */
#include "tests/unit/ring/rig.h"

#include "tests/support/test.h"

Test(ring, a_group_gets_each_frame_once)
{
    struct rig rig = rig_new(6);
    struct ring_reader *a = rig_member(&rig, 4, RING_LOSSLESS, 2, 1);
    struct ring_reader *b = rig_member(&rig, 5, RING_LOSSLESS, 2, 1);
    struct ring_reader *alone = rig_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    rig_write_many(&rig, 5);
    const struct ring_taken t = rig_take(&rig, a, 1, 0);
    rig_take_and_release(&rig, b, 2, 0);
    rig_take_and_release(&rig, b, 3, 0);
    rig_take_and_release(&rig, a, 4, 0);
    (void)ring_reader_release(a, &t);
    rig_take_and_release(&rig, a, 5, 0);
    rig_expect_next(a, RING_NOTHING);
    rig_expect_next(b, RING_NOTHING);
    for (uint64_t i = 1; i <= 5; i++) {
        rig_take_and_release(&rig, alone, i, 0);
    }
    cr_expect_eq(atomic_load(&a->desk->taken), 3);
    cr_expect_eq(atomic_load(&b->desk->taken), 2);
    rig_free(&rig);
}

Test(ring, the_writer_waits_for_a_lossless_group_as_for_one_reader)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = rig_member(&rig, 4, RING_LOSSLESS, 1, 1);
    struct ring_reader *b = rig_member(&rig, 5, RING_LOSSLESS, 1, 1);
    uint64_t blockers;
    rig_write_many(&rig, 4);
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, UINT64_C(1) << GROUP);
    ring_writer_drop(&rig.writer, GROUP);
    rig_write_many(&rig, 3);
    rig_expect_next(a, RING_LOST);
    rig_take_and_release(&rig, b, 4, 0);
    rig_take_and_release(&rig, a, 5, 0);
    rig_free(&rig);
}

Test(ring, a_latest_group_shares_the_newest_frames)
{
    struct rig rig = rig_new(6);
    struct ring_reader *a = rig_member(&rig, 4, RING_LATEST, 1, 0);
    struct ring_reader *b = rig_member(&rig, 5, RING_LATEST, 1, 0);
    rig_write_many(&rig, 3);
    const struct ring_taken t = rig_take(&rig, a, 3, 0);
    rig_expect_next(b, RING_NOTHING);
    rig_write_many(&rig, 12);
    rig_take_and_release(&rig, b, 15, 11);
    (void)ring_reader_release(a, &t);
    rig_expect_next(a, RING_NOTHING);
    rig_free(&rig);
}

Test(ring, what_a_member_claimed_and_did_not_pass_is_passed_by_the_next)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = rig_member(&rig, 4, RING_LOSSLESS, 1, 1);
    struct ring_reader *b = rig_member(&rig, 5, RING_LOSSLESS, 1, 1);
    rig_write_many(&rig, 2);
    (void)rig_take(&rig, a, 1, 0);
    atomic_store(&rig.group->desk.next, 1); /* as when it stands still, or dies, before that */
    (void)rig_take(&rig, b, 2, 0);
    cr_expect_eq(atomic_load(&rig.group->desk.next), 3);
    rig_free(&rig);
}

Test(ring, what_a_dead_member_had_is_offered_once_more_and_only_once)
{
    struct rig rig = rig_new(8);
    struct ring_reader *a = rig_member(&rig, 4, RING_LOSSLESS, 3, 1);
    struct ring_reader *b = rig_member(&rig, 5, RING_LOSSLESS, 3, 1);
    struct ring_reader *c = rig_member(&rig, 6, RING_LOSSLESS, 1, 1);
    rig_write_many(&rig, 5);
    rig_take_and_release(&rig, a, 1, 0);
    (void)rig_take(&rig, a, 2, 0);
    (void)rig_take(&rig, a, 3, 0);
    cr_expect_eq(rig_bury(&rig, 4), 2);
    rig_write_many(&rig, 3);
    rig_take_and_release(&rig, c, 2, 0);
    (void)rig_take(&rig, b, 3, 0); /* once more; it stayed, although nobody held it */
    for (uint64_t i = 4; i <= 7; i++) {
        rig_take_and_release(&rig, c, i, 0);
    }
    (void)rig_take(&rig, b, 8, 0);
    cr_expect_eq(rig_bury(&rig, 5), 1, "3 has had its second time");
    rig_take_and_release(&rig, c, 8, 0);
    rig_expect_next(c, RING_NOTHING);
    for (uint32_t i = 0; i < RING_HOLD_MAX; i++) {
        cr_expect_eq(atomic_load(&rig.group->desk.pins[i]), 0);
    }
    rig_free(&rig);
}

Test(ring, a_frame_that_a_member_took_by_its_number_is_not_the_groups)
{
    struct rig rig = rig_new(8);
    struct ring_reader *a = rig_member(&rig, 4, RING_LOSSLESS, 3, 1);
    struct ring_reader *b = rig_member(&rig, 5, RING_LOSSLESS, 3, 1);
    struct ring_taken again, other;
    rig_write_many(&rig, 3);
    (void)rig_take(&rig, a, 1, 0);
    rig_take_and_release(&rig, b, 2, 0);
    cr_assert_eq(ring_reader_number(a, 1, &again), RING_TAKEN);
    cr_assert_eq(ring_reader_number(a, 2, &other), RING_TAKEN);
    (void)ring_reader_release(a, &again);
    cr_expect_eq(rig_bury(&rig, 4), 1, "it works on 1, and only looks at 2");
    rig_take_and_release(&rig, b, 1, 0);
    rig_take_and_release(&rig, b, 3, 0);
    rig_expect_next(b, RING_NOTHING);
    rig_free(&rig);
}

Test(ring, offered_frames_give_way_when_there_is_no_other_slot)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = rig_member(&rig, 4, RING_LATEST, 1, 0);
    struct ring_reader *b = rig_member(&rig, 5, RING_LATEST, 1, 0);
    struct ring_reader *alone = rig_reader(&rig, 0, RING_LATEST, 2, 0);
    rig_write_many(&rig, 1);
    (void)rig_take(&rig, a, 1, 0);
    cr_expect_eq(rig_bury(&rig, 4), 1);
    rig_write_many(&rig, 1);
    (void)rig_take(&rig, alone, 2, 0);
    rig_write_many(&rig, 1);
    (void)rig_take(&rig, alone, 3, 0);
    rig_write_many(&rig, 1);
    cr_expect_eq(rig_oldest(&rig), 1, "there was another slot");
    rig_write_many(&rig, 1);
    cr_expect_eq(rig_oldest(&rig), 2);
    rig_take_and_release(&rig, b, 5, 3);
    cr_expect_eq(atomic_load(&rig.group->desk.pins[0]), 0, "what is lost is struck off");
    rig_free(&rig);
}

Test(ring, what_is_offered_stays_while_the_writer_looks_whether_it_is_free)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = rig_member(&rig, 4, RING_LATEST, 1, 0);
    struct ring_reader *b = rig_member(&rig, 5, RING_LATEST, 1, 0);
    rig_write_many(&rig, 2);
    (void)rig_take(&rig, a, 2, 0);
    cr_expect_eq(rig_bury(&rig, 4), 1);
    atomic_store(&rig.ring.head->number[1], 0); /* marked before it was held */
    rig_expect_next(b, RING_NOTHING);
    atomic_store(&rig.ring.head->number[1], 2); /* given back */
    rig_take_and_release(&rig, b, 2, 0);
    rig_free(&rig);
}

Test(ring, what_was_offered_in_another_generation_makes_way)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = rig_member(&rig, 4, RING_LATEST, 1, 0);
    struct ring_reader *b = rig_member(&rig, 5, RING_LATEST, 1, 0);
    for (uint64_t i = 0; i < RING_HOLD_MAX; i++) {
        atomic_store(&rig.group->desk.pins[i], UINT64_C(9) << 16 | 1);
    }
    rig_write_many(&rig, 1);
    (void)rig_take(&rig, a, 1, 0);
    cr_expect_eq(rig_bury(&rig, 4), 1);
    rig_take_and_release(&rig, b, 1, 0);
    rig_free(&rig);
}

Test(ring, frames_of_a_generation_that_is_over_are_not_offered)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = rig_member(&rig, 4, RING_LATEST, 1, 0);
    rig_write_many(&rig, 1);
    (void)rig_take(&rig, a, 1, 0);
    const struct ring_head known = {.generation = 2, .slots = 4};
    cr_expect_eq(ring_group_bury(rig.group, &known, a->desk, 1), 0);
    rig_free(&rig);
}
