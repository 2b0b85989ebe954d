/* The steps of one writer and its readers, one after another: whom a slot is taken from, what each
 * policy gets, and what junk in each page does. Orders and deaths are in test_steps.c. */
#include "tests/unit/ring/kit.h"

#include <string.h>

#include "tests/support/test.h"

enum { SLOT_BYTES = RING_PAGE, GROUP = 60 };

/* A writer, and readers 0..7; 4.. are members of the group, when there is one. */
struct rig {
    struct kit_ring ring;
    struct ring_writer writer;
    struct ring_desk *desks[8];
    struct ring_group *group;
    struct ring_reader readers[8];
};

static struct rig
rig_new(uint32_t slots)
{
    struct rig rig = {.ring = kit_ring_new(slots, SLOT_BYTES, 1, 1)};
    cr_assert(rig.ring.head != NULL);
    ring_writer_init(&rig.writer, rig.ring.head);
    return rig;
}

static void
rig_free(struct rig *rig)
{
    for (uint32_t i = 0; i < 8; i++) {
        kit_memory_free(rig->desks[i], RING_PAGE);
    }
    kit_memory_free(rig->group, RING_PAGE);
    kit_ring_free(&rig->ring);
}

static struct ring_reader *
add_reader(struct rig *rig, uint32_t i, enum ring_policy policy, uint32_t hold, uint64_t next)
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

static struct ring_reader *
add_member(struct rig *rig, uint32_t i, enum ring_policy policy, uint32_t hold, uint64_t next)
{
    if (rig->group == NULL) {
        rig->group = kit_memory(RING_PAGE);
        cr_assert(rig->group != NULL);
        kit_desk_begin(&rig->group->desk, GROUP, rig->ring.head, next);
        rig->writer.desks[GROUP] = (struct ring_known){
            .desk = &rig->group->desk, .policy = policy, .hold = RING_HOLD_MAX, .is_group = true};
    }
    struct ring_reader *r = add_reader(rig, i, policy, hold, next);
    rig->writer.desks[i].policy = RING_MEMBER;
    r->group = rig->group;
    return r;
}

/* What the hub does when a member is gone. */
static uint32_t
bury(struct rig *rig, uint32_t i)
{
    const uint32_t offered =
        ring_group_bury(rig->group, rig->ring.head, rig->desks[i], rig->readers[i].hold);
    rig->writer.desks[i] = (struct ring_known){0};
    return offered;
}

/* The slot of the next frame, or RING_NO_SLOT. */
static int
write_frame(struct rig *rig)
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

static void
write_frames(struct rig *rig, uint32_t count)
{
    while (count-- > 0) {
        cr_assert(write_frame(rig) != RING_NO_SLOT);
    }
}

/* Takes the next frame, which is `number`, whole. */
static struct ring_taken
take(struct rig *rig, struct ring_reader *r, uint64_t number, uint64_t missed)
{
    struct ring_taken t = {0};
    const enum ring_result result = ring_reader_next(r, &t);
    cr_assert(result == RING_TAKEN, "frame %d: result %d", (int)number, (int)result);
    cr_expect(t.number == number, "%d, not %d", (int)t.number, (int)number);
    cr_expect(t.missed == missed, "%d missed, not %d", (int)t.missed, (int)missed);
    cr_expect(kit_is_whole(&rig->ring, t.slot, t.number, NULL), "frame %d is torn", (int)number);
    return t;
}

static void
take_and_release(struct rig *rig, struct ring_reader *r, uint64_t number, uint64_t missed)
{
    const struct ring_taken t = take(rig, r, number, missed);
    (void)ring_reader_release(r, &t);
}

static void
expect_next(struct ring_reader *r, enum ring_result expected)
{
    struct ring_taken t;
    const enum ring_result result = ring_reader_next(r, &t);
    cr_expect(result == expected, "%d, not %d", (int)result, (int)expected);
}

static uint64_t
oldest(const struct rig *rig)
{
    uint64_t found = UINT64_MAX;
    for (uint32_t i = 0; i < rig->ring.slots; i++) {
        const uint64_t number = atomic_load(&rig->ring.head->number[i]);
        found = number != 0 && number < found ? number : found;
    }
    return found;
}

/* ---- the writer's choice ---------------------------------------------------------------------
 */

Test(ring, empty_slots_come_first_then_the_oldest_frame)
{
    struct rig rig = rig_new(4);
    write_frames(&rig, 4);
    cr_expect_eq(oldest(&rig), 1);
    for (uint64_t i = 2; i < 20; i++) {
        write_frames(&rig, 1);
        cr_expect_eq(oldest(&rig), i);
    }
    rig_free(&rig);
}

Test(ring, the_newest_frame_is_never_taken)
{
    struct rig rig = rig_new(2);
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    for (uint64_t i = 1; i < 10; i++) {
        write_frames(&rig, 1);
        uint64_t blockers;
        const int slot = ring_writer_mark(&rig.writer, &blockers);
        cr_assert_eq(slot, (int)(i & 1));
        take_and_release(&rig, r, i, 0);
        ring_writer_cancel(&rig.writer, slot);
    }
    rig_free(&rig);
}

Test(ring, a_held_frame_stays_and_the_others_go_round_it)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    write_frames(&rig, 3);
    const struct ring_taken t = take(&rig, r, 3, 0);
    for (int i = 0; i < 20; i++) {
        const int slot = write_frame(&rig);
        cr_assert(slot != RING_NO_SLOT && slot != (int)t.slot);
    }
    cr_expect(kit_is_whole(&rig.ring, t.slot, 3, NULL));
    cr_expect(!ring_reader_release(r, &t));
    bool was_used = false;
    for (int i = 0; i < 4; i++) {
        was_used = write_frame(&rig) == (int)t.slot || was_used;
    }
    cr_expect(was_used);
    rig_free(&rig);
}

Test(ring, no_slot_when_all_are_held_and_nobody_to_blame)
{
    struct rig rig = rig_new(3);
    struct ring_reader *r = add_reader(&rig, 0, RING_LOSSLESS, 3, 0);
    uint64_t blockers = 7;
    write_frames(&rig, 3);
    const struct ring_taken first = take(&rig, r, 1, 0);
    (void)take(&rig, r, 2, 0);
    (void)take(&rig, r, 3, 0);
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, 0);
    (void)ring_reader_release(r, &first);
    cr_expect_eq(write_frame(&rig), (int)first.slot);
    rig_free(&rig);
}

Test(ring, more_pins_than_the_hub_granted_do_not_count)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 2, 0);
    write_frames(&rig, 4);
    for (uint64_t i = 0; i < RING_HOLD_MAX; i++) {
        atomic_store(&r->desk->pins[i], UINT64_C(1) << 16 | (i % 4 + 1));
    }
    cr_expect_eq(write_frame(&rig), 2);
    rig_free(&rig);
}

Test(ring, only_those_who_want_the_oldest_frame_are_blamed)
{
    struct rig rig = rig_new(4);
    struct ring_reader *quick = add_reader(&rig, 3, RING_LOSSLESS, 1, 1);
    (void)add_reader(&rig, 5, RING_LOSSLESS, 1, 1);
    (void)add_reader(&rig, 6, RING_LATEST, 1, 0);
    uint64_t blockers = 0;
    write_frames(&rig, 4);
    take_and_release(&rig, quick, 1, 0);
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, UINT64_C(1) << 5);
    ring_writer_drop(&rig.writer, 5);
    write_frames(&rig, 1);
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, UINT64_C(1) << 3);
    take_and_release(&rig, quick, 2, 0);
    rig_free(&rig);
}

Test(ring, a_slot_that_is_held_just_now_is_given_back)
{
    struct rig rig = rig_new(3);
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    uint64_t blockers;
    write_frames(&rig, 3);
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
    write_frames(&rig, 3);
    const int slot = ring_writer_mark(&rig.writer, &blockers);
    struct ring_reader *r = add_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    cr_expect(!ring_writer_confirm(&rig.writer, slot));
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, 1);
    take_and_release(&rig, r, 1, 0);
    rig_free(&rig);
}

Test(ring, a_cancelled_slot_is_empty_and_the_next_to_be_used)
{
    struct rig rig = rig_new(3);
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_taken t;
    uint64_t blockers;
    write_frames(&rig, 3);
    const int slot = ring_writer_mark(&rig.writer, &blockers);
    cr_assert(ring_writer_confirm(&rig.writer, slot));
    kit_fill(&rig.ring, (uint32_t)slot, 99, NULL);
    ring_writer_cancel(&rig.writer, slot);
    cr_expect_eq(ring_reader_number(r, 1, &t), RING_NOTHING);
    cr_expect_eq(ring_reader_number(r, 99, &t), RING_NOTHING);
    cr_expect_eq(write_frame(&rig), slot);
    rig_free(&rig);
}

Test(ring, the_head_tells_what_was_written)
{
    struct rig rig = rig_new(4);
    uint64_t bytes = 0;
    write_frames(&rig, 6);
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
    write_frames(&rig, 6);
    struct ring_writer next;
    ring_writer_init(&next, rig.ring.head);
    cr_expect_eq(next.number, 6);
    cr_expect_eq(next.newest, rig.writer.newest);
    cr_expect_eq(oldest(&rig), 3);
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
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_taken t;
    uint64_t blockers;
    write_frames(&rig, 5);
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
    add_reader(&rig, 0, RING_LATEST, 1, 0);
    cr_expect_eq(write_frame(&rig), slot);
    take_and_release(&rig, r, 6, 0);
    rig_free(&rig);
}

/* ---- readers ---------------------------------------------------------------------------------
 */

Test(ring, latest_gets_the_newest_frame_and_is_told_what_it_missed)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    expect_next(r, RING_NOTHING);
    write_frames(&rig, 3);
    take_and_release(&rig, r, 3, 0);
    expect_next(r, RING_NOTHING);
    write_frames(&rig, 1);
    take_and_release(&rig, r, 4, 0);
    write_frames(&rig, 10);
    take_and_release(&rig, r, 14, 9);
    cr_expect_eq(atomic_load(&r->desk->missed), 9);
    cr_expect_eq(atomic_load(&r->desk->taken), 3);
    rig_free(&rig);
}

Test(ring, lossless_gets_each_frame_in_order)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = add_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    for (uint64_t i = 0; i < 10; i++) {
        write_frames(&rig, 3);
        cr_expect_eq(i > 0 ? oldest(&rig) : 0, i * 3);
        for (uint64_t k = 1; k <= 3; k++) {
            take_and_release(&rig, r, i * 3 + k, 0);
        }
        expect_next(r, RING_NOTHING);
    }
    rig_free(&rig);
}

Test(ring, lossless_from_the_oldest_sees_no_empty_slot_and_none_in_the_making)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = add_reader(&rig, 0, RING_LOSSLESS, 1, 0);
    struct ring_taken t;
    uint64_t blockers;
    expect_next(r, RING_NOTHING);
    write_frames(&rig, 2);
    const int slot = ring_writer_mark(&rig.writer, &blockers);
    cr_assert(slot != RING_NO_SLOT);
    cr_expect_eq(ring_reader_number(r, 0, &t), RING_NOTHING);
    take_and_release(&rig, r, 1, 0);
    take_and_release(&rig, r, 2, 0);
    expect_next(r, RING_NOTHING);
    rig_free(&rig);
}

Test(ring, a_lossless_reader_that_was_dropped_is_told_once_and_goes_on)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = add_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    write_frames(&rig, 4);
    cr_expect_eq(write_frame(&rig), RING_NO_SLOT);
    ring_writer_drop(&rig.writer, 0);
    write_frames(&rig, 5);
    expect_next(r, RING_LOST);
    cr_expect_eq(write_frame(&rig), RING_NO_SLOT, "it is waited for again");
    take_and_release(&rig, r, 6, 0);
    take_and_release(&rig, r, 7, 0);
    write_frames(&rig, 2);
    take_and_release(&rig, r, 8, 0);
    rig_free(&rig);
}

Test(ring, who_sits_down_where_somebody_was_dropped_is_not_dropped)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = add_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    write_frames(&rig, 4);
    ring_writer_drop(&rig.writer, 0);
    r = add_reader(&rig, 0, RING_LOSSLESS, 1, 0);
    cr_expect_eq(write_frame(&rig), RING_NO_SLOT);
    take_and_release(&rig, r, 1, 0);
    rig_free(&rig);
}

Test(ring, a_reader_holds_no_more_than_it_may)
{
    struct rig rig = rig_new(8);
    struct ring_reader *r = add_reader(&rig, 0, RING_LOSSLESS, 2, 1);
    struct ring_taken t;
    write_frames(&rig, 4);
    const struct ring_taken first = take(&rig, r, 1, 0);
    (void)take(&rig, r, 2, 0);
    expect_next(r, RING_FULL);
    cr_expect_eq(ring_reader_number(r, 3, &t), RING_FULL);
    cr_expect_eq(ring_reader_nearest(r, 0, &t), RING_FULL);
    (void)ring_reader_release(r, &first);
    (void)take(&rig, r, 3, 0);
    expect_next(r, RING_FULL);
    rig_free(&rig);
}

Test(ring, a_frame_is_found_by_its_number_while_it_is_there)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_taken t;
    write_frames(&rig, 6);
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
    take_and_release(&rig, r, 6, 0);
    rig_free(&rig);
}

Test(ring, the_frame_of_the_nearest_time_is_found)
{
    struct rig rig = rig_new(4);
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_taken t;
    cr_expect_eq(ring_reader_nearest(r, 0, &t), RING_NOTHING);
    write_frames(&rig, 6);
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
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    cr_expect(!ring_desk_is_waiting(r->desk));
    ring_reader_wait(r, true);
    cr_expect(ring_desk_is_waiting(r->desk));
    ring_reader_wait(r, false);
    cr_expect(!ring_desk_is_waiting(r->desk));
    write_frames(&rig, 1);
    const struct ring_taken t = take(&rig, r, 1, 0);
    atomic_store(&rig.ring.head->wants_room, 1);
    cr_expect(ring_reader_release(r, &t));
    rig_free(&rig);
}

/* ---- generations -----------------------------------------------------------------------------
 */

Test(ring, what_is_held_in_one_generation_takes_no_slot_in_another)
{
    struct rig rig = rig_new(2);
    struct ring_reader *r = add_reader(&rig, 0, RING_LOSSLESS, 2, 1);
    write_frames(&rig, 2);
    const struct ring_taken first = take(&rig, r, 1, 0);
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
    cr_expect_eq(write_frame(&next), 0);
    write_frames(&next, 2);
    cr_expect_eq(write_frame(&next), RING_NO_SLOT, "it wants 2 and all that follow");
    take_and_release(&rig, r, 2, 0);
    take_and_release(&next, &later, 3, 0);
    write_frames(&next, 1);
    /* Let go of through another ring's reader, as the client does. */
    (void)take(&next, &later, 4, 0);
    expect_next(&later, RING_FULL);
    (void)ring_reader_release(r, &first);
    (void)take(&next, &later, 5, 0);
    kit_ring_free(&ring);
    rig_free(&rig);
}

/* ---- groups ----------------------------------------------------------------------------------
 */

Test(ring, a_group_gets_each_frame_once)
{
    struct rig rig = rig_new(6);
    struct ring_reader *a = add_member(&rig, 4, RING_LOSSLESS, 2, 1);
    struct ring_reader *b = add_member(&rig, 5, RING_LOSSLESS, 2, 1);
    struct ring_reader *alone = add_reader(&rig, 0, RING_LOSSLESS, 1, 1);
    write_frames(&rig, 5);
    const struct ring_taken t = take(&rig, a, 1, 0);
    take_and_release(&rig, b, 2, 0);
    take_and_release(&rig, b, 3, 0);
    take_and_release(&rig, a, 4, 0);
    (void)ring_reader_release(a, &t);
    take_and_release(&rig, a, 5, 0);
    expect_next(a, RING_NOTHING);
    expect_next(b, RING_NOTHING);
    for (uint64_t i = 1; i <= 5; i++) {
        take_and_release(&rig, alone, i, 0);
    }
    cr_expect_eq(atomic_load(&a->desk->taken), 3);
    cr_expect_eq(atomic_load(&b->desk->taken), 2);
    rig_free(&rig);
}

Test(ring, the_writer_waits_for_a_lossless_group_as_for_one_reader)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = add_member(&rig, 4, RING_LOSSLESS, 1, 1);
    struct ring_reader *b = add_member(&rig, 5, RING_LOSSLESS, 1, 1);
    uint64_t blockers;
    write_frames(&rig, 4);
    cr_expect_eq(ring_writer_mark(&rig.writer, &blockers), RING_NO_SLOT);
    cr_expect_eq(blockers, UINT64_C(1) << GROUP);
    ring_writer_drop(&rig.writer, GROUP);
    write_frames(&rig, 3);
    expect_next(a, RING_LOST);
    take_and_release(&rig, b, 4, 0);
    take_and_release(&rig, a, 5, 0);
    rig_free(&rig);
}

Test(ring, a_latest_group_shares_the_newest_frames)
{
    struct rig rig = rig_new(6);
    struct ring_reader *a = add_member(&rig, 4, RING_LATEST, 1, 0);
    struct ring_reader *b = add_member(&rig, 5, RING_LATEST, 1, 0);
    write_frames(&rig, 3);
    const struct ring_taken t = take(&rig, a, 3, 0);
    expect_next(b, RING_NOTHING);
    write_frames(&rig, 12);
    take_and_release(&rig, b, 15, 11);
    (void)ring_reader_release(a, &t);
    expect_next(a, RING_NOTHING);
    rig_free(&rig);
}

Test(ring, what_a_member_claimed_and_did_not_pass_is_passed_by_the_next)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = add_member(&rig, 4, RING_LOSSLESS, 1, 1);
    struct ring_reader *b = add_member(&rig, 5, RING_LOSSLESS, 1, 1);
    write_frames(&rig, 2);
    (void)take(&rig, a, 1, 0);
    atomic_store(&rig.group->desk.next, 1); /* as when it stands still, or dies, before that */
    (void)take(&rig, b, 2, 0);
    cr_expect_eq(atomic_load(&rig.group->desk.next), 3);
    rig_free(&rig);
}

Test(ring, what_a_dead_member_had_is_offered_once_more_and_only_once)
{
    struct rig rig = rig_new(8);
    struct ring_reader *a = add_member(&rig, 4, RING_LOSSLESS, 3, 1);
    struct ring_reader *b = add_member(&rig, 5, RING_LOSSLESS, 3, 1);
    struct ring_reader *c = add_member(&rig, 6, RING_LOSSLESS, 1, 1);
    write_frames(&rig, 5);
    take_and_release(&rig, a, 1, 0);
    (void)take(&rig, a, 2, 0);
    (void)take(&rig, a, 3, 0);
    cr_expect_eq(bury(&rig, 4), 2);
    write_frames(&rig, 3);
    take_and_release(&rig, c, 2, 0);
    (void)take(&rig, b, 3, 0); /* once more; it stayed, although nobody held it */
    for (uint64_t i = 4; i <= 7; i++) {
        take_and_release(&rig, c, i, 0);
    }
    (void)take(&rig, b, 8, 0);
    cr_expect_eq(bury(&rig, 5), 1, "3 has had its second time");
    take_and_release(&rig, c, 8, 0);
    expect_next(c, RING_NOTHING);
    for (uint32_t i = 0; i < RING_HOLD_MAX; i++) {
        cr_expect_eq(atomic_load(&rig.group->desk.pins[i]), 0);
    }
    rig_free(&rig);
}

Test(ring, a_frame_that_a_member_took_by_its_number_is_not_the_groups)
{
    struct rig rig = rig_new(8);
    struct ring_reader *a = add_member(&rig, 4, RING_LOSSLESS, 3, 1);
    struct ring_reader *b = add_member(&rig, 5, RING_LOSSLESS, 3, 1);
    struct ring_taken again, other;
    write_frames(&rig, 3);
    (void)take(&rig, a, 1, 0);
    take_and_release(&rig, b, 2, 0);
    cr_assert_eq(ring_reader_number(a, 1, &again), RING_TAKEN);
    cr_assert_eq(ring_reader_number(a, 2, &other), RING_TAKEN);
    (void)ring_reader_release(a, &again);
    cr_expect_eq(bury(&rig, 4), 1, "it works on 1, and only looks at 2");
    take_and_release(&rig, b, 1, 0);
    take_and_release(&rig, b, 3, 0);
    expect_next(b, RING_NOTHING);
    rig_free(&rig);
}

Test(ring, offered_frames_give_way_when_there_is_no_other_slot)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = add_member(&rig, 4, RING_LATEST, 1, 0);
    struct ring_reader *b = add_member(&rig, 5, RING_LATEST, 1, 0);
    struct ring_reader *alone = add_reader(&rig, 0, RING_LATEST, 2, 0);
    write_frames(&rig, 1);
    (void)take(&rig, a, 1, 0);
    cr_expect_eq(bury(&rig, 4), 1);
    write_frames(&rig, 1);
    (void)take(&rig, alone, 2, 0);
    write_frames(&rig, 1);
    (void)take(&rig, alone, 3, 0);
    write_frames(&rig, 1);
    cr_expect_eq(oldest(&rig), 1, "there was another slot");
    write_frames(&rig, 1);
    cr_expect_eq(oldest(&rig), 2);
    take_and_release(&rig, b, 5, 3);
    cr_expect_eq(atomic_load(&rig.group->desk.pins[0]), 0, "what is lost is struck off");
    rig_free(&rig);
}

Test(ring, what_is_offered_stays_while_the_writer_looks_whether_it_is_free)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = add_member(&rig, 4, RING_LATEST, 1, 0);
    struct ring_reader *b = add_member(&rig, 5, RING_LATEST, 1, 0);
    write_frames(&rig, 2);
    (void)take(&rig, a, 2, 0);
    cr_expect_eq(bury(&rig, 4), 1);
    atomic_store(&rig.ring.head->number[1], 0); /* marked before it was held */
    expect_next(b, RING_NOTHING);
    atomic_store(&rig.ring.head->number[1], 2); /* given back */
    take_and_release(&rig, b, 2, 0);
    rig_free(&rig);
}

Test(ring, what_was_offered_in_another_generation_makes_way)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = add_member(&rig, 4, RING_LATEST, 1, 0);
    struct ring_reader *b = add_member(&rig, 5, RING_LATEST, 1, 0);
    for (uint64_t i = 0; i < RING_HOLD_MAX; i++) {
        atomic_store(&rig.group->desk.pins[i], UINT64_C(9) << 16 | 1);
    }
    write_frames(&rig, 1);
    (void)take(&rig, a, 1, 0);
    cr_expect_eq(bury(&rig, 4), 1);
    take_and_release(&rig, b, 1, 0);
    rig_free(&rig);
}

Test(ring, frames_of_a_generation_that_is_over_are_not_offered)
{
    struct rig rig = rig_new(4);
    struct ring_reader *a = add_member(&rig, 4, RING_LATEST, 1, 0);
    write_frames(&rig, 1);
    (void)take(&rig, a, 1, 0);
    const struct ring_head known = {.generation = 2, .slots = 4};
    cr_expect_eq(ring_group_bury(rig.group, &known, a->desk, 1), 0);
    rig_free(&rig);
}

/* ---- junk ------------------------------------------------------------------------------------
 */

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
    struct ring_reader *good = add_reader(&rig, 0, RING_LATEST, 1, 0);
    add_reader(&rig, 1, RING_LOSSLESS, 2, 1);
    add_member(&rig, 4, RING_LOSSLESS, 2, 1);
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
        take_and_release(&rig, good, number, 0);
    }
    rig_free(&rig);
}

Test(ring, junk_in_the_pages_of_others_hurts_no_reader)
{
    uint64_t seed = 7;
    struct rig rig = rig_new(8);
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 2, 0);
    struct ring_reader *all = add_reader(&rig, 1, RING_LOSSLESS, 2, 1);
    struct ring_reader member = *add_reader(&rig, 2, RING_LOSSLESS, 2, 1);
    member.group = guarded();
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t number = kit_random(&seed) % 20;
        if (round % 3 != 0) { /* the writer's; then a member's, with and without that */
            kit_junk(rig.ring.head, ring_data_offset(8, SLOT_BYTES, 0), &seed);
        } else {
            (void)write_frame(&rig);
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
    struct ring_reader *r = add_reader(&rig, 0, RING_LATEST, 1, 0);
    struct ring_reader *member = add_member(&rig, 4, RING_LATEST, 1, 0);
    write_frames(&rig, 3);
    atomic_store(&rig.ring.head->newest, UINT64_C(3) << 8 | 1);
    expect_next(r, RING_NOTHING);
    expect_next(member, RING_NOTHING);
    atomic_store(&rig.ring.head->newest, UINT64_C(3) << 8 | 200);
    expect_next(r, RING_NOTHING);
    expect_next(member, RING_NOTHING);
    rig_free(&rig);
}
