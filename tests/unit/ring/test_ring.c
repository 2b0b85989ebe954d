/* The steps of one writer and its readers, one after another: whom a slot is taken from, and what
 * each policy gets. Groups are in test_ring_groups.c, what junk in each page does in
 * test_ring_junk.c, orders and deaths in test_steps.c. */
#include "tests/unit/ring/rig.h"

#include "tests/support/test.h"

/* ---- the writer's choice ---------------------------------------------------------------------
 */

Test(ring, empty_slots_come_first_then_the_oldest_frame)
{
    struct rig rig = rig_new(4);
    rig_write_many(&rig, 4);
    cr_expect_eq(rig_oldest(&rig), 1);
    for (uint64_t i = 2; i < 20; i++) {
        rig_write_many(&rig, 1);
        cr_expect_eq(rig_oldest(&rig), i);
    }
    rig_free(&rig);
}

Test(ring, the_newest_frame_is_never_taken)
{
    struct rig rig = rig_new(2);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    for (uint64_t i = 1; i < 10; i++) {
        rig_write_many(&rig, 1);
        uint64_t blockers;
        const int slot = ring_writer_mark(&rig.writer, &blockers);
        cr_assert_eq(slot, (int)(i & 1));
        rig_take_and_release(&rig, r, i, 0);
        ring_writer_cancel(&rig.writer, slot);
    }
    rig_free(&rig);
}

Test(ring, a_held_frame_stays_and_the_others_go_round_it)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    rig_write_many(&rig, 3);
    const struct ring_taken t = rig_take(&rig, r, 3, 0);
    for (int i = 0; i < 20; i++) {
        const int slot = rig_write(&rig);
        cr_assert(slot != RING_NO_SLOT && slot != (int)t.slot);
    }
    cr_expect(kit_is_whole(&rig.ring, t.slot, 3, NULL));
    cr_expect(!ring_reader_release(r, &t));
    bool was_used = false;
    for (int i = 0; i < 4; i++) {
        was_used = rig_write(&rig) == (int)t.slot || was_used;
    }
    cr_expect(was_used);
    rig_free(&rig);
}

Test(ring, no_slot_when_all_are_held_and_nobody_to_blame)
{
    struct rig rig = rig_new(3);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LOSSLESS, 3, 0);
    uint64_t blockers = 7;
    rig_write_many(&rig, 3);
    const struct ring_taken first = rig_take(&rig, r, 1, 0);
    (void)rig_take(&rig, r, 2, 0);
    (void)rig_take(&rig, r, 3, 0);
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, 0);
    (void)ring_reader_release(r, &first);
    cr_expect_eq(rig_write(&rig), (int)first.slot);
    rig_free(&rig);
}

Test(ring, more_pins_than_the_hub_granted_do_not_count)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 2, 0);
    rig_write_many(&rig, 4);
    for (uint64_t i = 0; i < RING_HOLD_MAX; i++) {
        atomic_store(&r->desk->pins[i], UINT64_C(1) << 16 | (i % 4 + 1));
    }
    cr_expect_eq(rig_write(&rig), 2);
    rig_free(&rig);
}

Test(ring, only_those_who_want_the_oldest_frame_are_blamed)
{
    struct rig rig = rig_new(4);
    struct ring_reader *quick = rig_reader(&rig, 3, RING_LOSSLESS, 1, 1);
    (void)rig_reader(&rig, 5, RING_LOSSLESS, 1, 1);
    (void)rig_reader(&rig, 6, RING_LATEST, 1, 0);
    uint64_t blockers = 0;
    rig_write_many(&rig, 4);
    rig_take_and_release(&rig, quick, 1, 0);
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, UINT64_C(1) << 5);
    ring_writer_drop(&rig.writer, 5);
    rig_write_many(&rig, 1);
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, UINT64_C(1) << 3);
    rig_take_and_release(&rig, quick, 2, 0);
    rig_free(&rig);
}

Test(ring, a_slot_that_is_held_just_now_is_given_back)
{
    struct rig rig = rig_new(3);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    uint64_t blockers;
    rig_write_many(&rig, 3);
    const int slot = ring_writer_mark(&rig.writer, &blockers);
    /* The reader was between "I hold it" and the look at the number. */
    atomic_store(&r->desk->pins[0], UINT64_C(1) << 16 | (uint64_t)(slot + 1));
    cr_expect(!ring_writer_confirm(&rig.writer, slot));
    cr_expect_eq(atomic_load(&rig.ring.head->number[slot]), 1);
    cr_expect(ring_writer_mark(&rig.writer, &blockers) != slot);
    rig_free(&rig);
}

Test(ring, a_slot_that_a_new_reader_wants_is_given_back)
{
    struct rig rig = rig_new(3);
    uint64_t blockers;
    rig_write_many(&rig, 3);
    const int slot = ring_writer_mark(&rig.writer, &blockers);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    cr_expect(!ring_writer_confirm(&rig.writer, slot));
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, 1);
    rig_take_and_release(&rig, r, 1, 0);
    rig_free(&rig);
}

Test(ring, a_cancelled_slot_is_empty_and_the_next_to_be_used)
{
    struct rig rig = rig_new(3);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_taken t;
    uint64_t blockers;
    rig_write_many(&rig, 3);
    const int slot = ring_writer_mark(&rig.writer, &blockers);
    cr_assert(ring_writer_confirm(&rig.writer, slot));
    kit_fill(&rig.ring, (uint32_t)slot, 99, NULL);
    ring_writer_cancel(&rig.writer, slot);
    cr_expect_eq(ring_reader_number(r, 1, &t), RING_NOTHING);
    cr_expect_eq(ring_reader_number(r, 99, &t), RING_NOTHING);
    cr_expect_eq(rig_write(&rig), slot);
    rig_free(&rig);
}

Test(ring, the_head_tells_what_was_written)
{
    struct rig rig = rig_new(4);
    uint64_t bytes = 0;
    rig_write_many(&rig, 6);
    for (uint64_t i = 1; i <= 6; i++) {
        bytes += kit_bytes(&rig.ring, i);
    }
    cr_expect_eq(atomic_load(&rig.ring.head->frames), 6);
    cr_expect_eq(atomic_load(&rig.ring.head->bytes), bytes);
    cr_expect_eq(atomic_load(&rig.ring.head->newest) >> 8, 6);
    rig_free(&rig);
}

/* ---- another writer --------------------------------------------------------------------------
 */

Test(ring, a_new_writer_goes_on_after_the_newest_frame)
{
    struct rig rig = rig_new(4);
    rig_write_many(&rig, 6);
    struct ring_writer next;
    ring_writer_init(&next, rig.ring.head);
    cr_expect_eq(next.number, 6);
    cr_expect_eq(next.newest, rig.writer.newest);
    cr_expect_eq(rig_oldest(&rig), 3);
    rig_free(&rig);
}

Test(ring, a_new_writer_begins_with_the_first_number_of_the_ring)
{
    struct kit_ring ring = kit_ring_new(2, SLOT_BYTES, 7, 40);
    struct ring_writer w;
    uint64_t blockers;
    cr_assert(ring.head != NULL);
    ring_writer_init(&w, ring.head);
    const int slot = ring_writer_mark(&w, &blockers);
    cr_assert(ring_writer_confirm(&w, slot));
    cr_expect_eq(ring_writer_publish(&w, slot, 1), 40);
    cr_expect_eq(w.generation, 7);
    kit_ring_free(&ring);
}

Test(ring, what_a_dead_writer_was_making_is_never_seen)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_taken t;
    uint64_t blockers;
    rig_write_many(&rig, 5);
    const int slot = ring_writer_mark(&rig.writer, &blockers);
    cr_assert(ring_writer_confirm(&rig.writer, slot));
    /* It dies with half of the frame written; or with its number, before it is the newest. */
    for (uint64_t number = 0; number <= 6; number += 6) {
        atomic_store(&rig.ring.head->number[slot], number);
        cr_expect_eq(ring_reader_number(r, 6, &t), RING_NOTHING);
        cr_expect_eq(ring_reader_nearest(r, 6000, &t), RING_TAKEN);
        cr_expect_eq(t.number, 5);
        (void)ring_reader_release(r, &t);
    }
    rig.ring.head->wants_room = 1;
    ring_writer_init(&rig.writer, rig.ring.head);
    cr_expect(!ring_wants_room(rig.ring.head));
    cr_expect_eq(atomic_load(&rig.ring.head->number[slot]), 0);
    rig_reader(&rig, 0, RING_LATEST, 1, 0);
    cr_expect_eq(rig_write(&rig), slot);
    rig_take_and_release(&rig, r, 6, 0);
    rig_free(&rig);
}

/* ---- readers ---------------------------------------------------------------------------------
 */

Test(ring, latest_gets_the_newest_frame_and_is_told_what_it_missed)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    rig_expect_next(r, RING_NOTHING);
    rig_write_many(&rig, 3);
    rig_take_and_release(&rig, r, 3, 0);
    rig_expect_next(r, RING_NOTHING);
    rig_write_many(&rig, 1);
    rig_take_and_release(&rig, r, 4, 0);
    rig_write_many(&rig, 10);
    rig_take_and_release(&rig, r, 14, 9);
    cr_expect_eq(atomic_load(&r->desk->missed), 9);
    cr_expect_eq(atomic_load(&r->desk->taken), 3);
    rig_free(&rig);
}

Test(ring, lossless_gets_each_frame_in_order)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    for (uint64_t i = 0; i < 10; i++) {
        rig_write_many(&rig, 3);
        cr_expect_eq(i > 0 ? rig_oldest(&rig) : 0, i * 3);
        for (uint64_t k = 1; k <= 3; k++) {
            rig_take_and_release(&rig, r, i * 3 + k, 0);
        }
        rig_expect_next(r, RING_NOTHING);
    }
    rig_free(&rig);
}

Test(ring, lossless_from_the_oldest_sees_no_empty_slot_and_none_in_the_making)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LOSSLESS, 1, 0);
    struct ring_taken t;
    uint64_t blockers;
    rig_expect_next(r, RING_NOTHING);
    rig_write_many(&rig, 2);
    const int slot = ring_writer_mark(&rig.writer, &blockers);
    cr_assert(slot != RING_NO_SLOT);
    cr_expect_eq(ring_reader_number(r, 0, &t), RING_NOTHING);
    rig_take_and_release(&rig, r, 1, 0);
    rig_take_and_release(&rig, r, 2, 0);
    rig_expect_next(r, RING_NOTHING);
    rig_free(&rig);
}

Test(ring, a_lossless_reader_that_was_dropped_is_told_once_and_goes_on)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    rig_write_many(&rig, 4);
    cr_expect_eq(rig_write(&rig), RING_NO_SLOT);
    ring_writer_drop(&rig.writer, 0);
    rig_write_many(&rig, 5);
    rig_expect_next(r, RING_LOST);
    cr_expect_eq(rig_write(&rig), RING_NO_SLOT, "it is waited for again");
    rig_take_and_release(&rig, r, 6, 0);
    rig_take_and_release(&rig, r, 7, 0);
    rig_write_many(&rig, 2);
    rig_take_and_release(&rig, r, 8, 0);
    rig_free(&rig);
}

Test(ring, who_sits_down_where_somebody_was_dropped_is_not_dropped)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    rig_write_many(&rig, 4);
    ring_writer_drop(&rig.writer, 0);
    r = rig_reader(&rig, 0, RING_LOSSLESS, 1, 0);
    cr_expect_eq(rig_write(&rig), RING_NO_SLOT);
    rig_take_and_release(&rig, r, 1, 0);
    rig_free(&rig);
}

Test(ring, a_reader_holds_no_more_than_it_may)
{
    struct rig rig = rig_new(8);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LOSSLESS, 2, 1);
    struct ring_taken t;
    rig_write_many(&rig, 4);
    const struct ring_taken first = rig_take(&rig, r, 1, 0);
    (void)rig_take(&rig, r, 2, 0);
    rig_expect_next(r, RING_FULL);
    cr_expect_eq(ring_reader_number(r, 3, &t), RING_FULL);
    cr_expect_eq(ring_reader_nearest(r, 0, &t), RING_FULL);
    (void)ring_reader_release(r, &first);
    (void)rig_take(&rig, r, 3, 0);
    rig_expect_next(r, RING_FULL);
    rig_free(&rig);
}

Test(ring, a_frame_is_found_by_its_number_while_it_is_there)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_taken t;
    rig_write_many(&rig, 6);
    for (uint64_t i = 0; i < 10; i++) {
        const bool is_there = i >= 3 && i <= 6;
        cr_expect_eq(ring_reader_number(r, i, &t), is_there ? RING_TAKEN : RING_NOTHING, "frame %d",
                     (int)i);
        if (is_there) {
            cr_expect_eq(t.number, i);
            cr_expect(kit_is_whole(&rig.ring, t.slot, i, NULL));
            (void)ring_reader_release(r, &t);
        }
    }
    rig_take_and_release(&rig, r, 6, 0);
    rig_free(&rig);
}

Test(ring, the_frame_of_the_nearest_time_is_found)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_taken t;
    cr_expect_eq(ring_reader_nearest(r, 0, &t), RING_NOTHING);
    rig_write_many(&rig, 6);
    /* 3..6 are there, taken at 3000, 4000, 5000 and 6000. */
    static const int64_t rows[][2] = {{INT64_MIN, 3}, {-1, 3},   {0, 3},
                                      {3499, 3},      {3501, 4}, {5000, 5},
                                      {5501, 6},      {9999, 6}, {INT64_MAX, 6}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(ring_reader_nearest(r, rows[i][0], &t), RING_TAKEN);
        cr_expect(t.number == (uint64_t)rows[i][1], "row %d: %d", (int)i, (int)t.number);
        (void)ring_reader_release(r, &t);
    }
    rig_free(&rig);
}

Test(ring, who_waits_is_seen_and_so_is_who_wants_room)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LATEST, 1, 0);
    cr_expect(!ring_desk_is_waiting(r->desk));
    ring_reader_wait(r, true);
    cr_expect(ring_desk_is_waiting(r->desk));
    ring_reader_wait(r, false);
    cr_expect(!ring_desk_is_waiting(r->desk));
    rig_write_many(&rig, 1);
    const struct ring_taken t = rig_take(&rig, r, 1, 0);
    atomic_store(&rig.ring.head->wants_room, 1);
    cr_expect(ring_reader_release(r, &t));
    rig_free(&rig);
}

/* ---- generations -----------------------------------------------------------------------------
 */

Test(ring, what_is_held_in_one_generation_takes_no_slot_in_another)
{
    struct rig rig = rig_new(2);
    struct ring_reader *r = rig_reader(&rig, 0, RING_LOSSLESS, 2, 1);
    rig_write_many(&rig, 2);
    const struct ring_taken first = rig_take(&rig, r, 1, 0);
    struct kit_ring ring = kit_ring_new(3, SLOT_BYTES, 2, 3);
    cr_assert(ring.head != NULL);
    struct ring_writer w;
    ring_writer_init(&w, ring.head);
    w.desks[0] = rig.writer.desks[0];
    struct rig next = {.ring = ring, .writer = w};
    struct ring_reader later = *r;
    later.head = ring.head;
    later.slots = 3;
    later.generation = 2;
    cr_expect_eq(rig_write(&next), 0);
    rig_write_many(&next, 2);
    cr_expect_eq(rig_write(&next), RING_NO_SLOT, "it wants 2 and all that follow");
    rig_take_and_release(&rig, r, 2, 0);
    rig_take_and_release(&next, &later, 3, 0);
    rig_write_many(&next, 1);
    /* Let go of through another ring's reader, as the client does. */
    (void)rig_take(&next, &later, 4, 0);
    rig_expect_next(&later, RING_FULL);
    (void)ring_reader_release(r, &first);
    (void)rig_take(&next, &later, 5, 0);
    kit_ring_free(&ring);
    rig_free(&rig);
}
