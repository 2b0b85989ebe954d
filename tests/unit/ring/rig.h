/* A ring with its writer and readers, one after another in one thread. Everything here asserts. */
#ifndef TESTS_UNIT_RING_RIG_H
#define TESTS_UNIT_RING_RIG_H

#include "tests/unit/ring/kit.h"

enum { SLOT_BYTES = RING_PAGE, GROUP = 60 };

/* A writer, and readers 0..7; 4.. are members of the group, when there is one. */
struct rig {
    struct kit_ring ring;
    struct ring_writer writer;
    struct ring_desk *desks[8];
    struct ring_group *group;
    struct ring_reader readers[8];
};

struct rig rig_new(uint32_t slots);
void rig_free(struct rig *rig);
/* Places for a reader, and for a member of the group, which the first of them makes. */
struct ring_reader *rig_reader(struct rig *rig, uint32_t i, enum ring_policy policy, uint32_t hold,
                               uint64_t next);
struct ring_reader *rig_member(struct rig *rig, uint32_t i, enum ring_policy policy, uint32_t hold,
                               uint64_t next);
/* What the hub does when a member is gone. */
uint32_t rig_bury(struct rig *rig, uint32_t i);
/* The slot of the next frame, or RING_NO_SLOT. */
int rig_write(struct rig *rig);
void rig_write_many(struct rig *rig, uint32_t count);
/* Takes the next frame, which is `number`, whole. */
struct ring_taken rig_take(struct rig *rig, struct ring_reader *r, uint64_t number,
                           uint64_t missed);
void rig_take_and_release(struct rig *rig, struct ring_reader *r, uint64_t number, uint64_t missed);
void rig_expect_next(struct ring_reader *r, enum ring_result expected);
uint64_t rig_oldest(const struct rig *rig);

#endif
