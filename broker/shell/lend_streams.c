/* The streams that the hub knows: see lend_streams.h. */
#include "broker/shell/lend_streams.h"

#include "proto/name.h"
#include "proto/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static uint32_t
refuse(char why[LEND_WHY_BYTES], uint32_t code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, LEND_WHY_BYTES, format, args);
    va_end(args);
    return code;
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t
believed(uint64_t number)
{
    return number < LEND_NUMBER_MAX ? number : LEND_NUMBER_MAX;
}

/* ---- the list --------------------------------------------------------------------------------
 */

struct lend_stream *
lend_streams_find(const struct lend_streams *streams, const char *name)
{
    struct lend_stream *s = streams->first;
    while (s != NULL && strcmp(s->name, name) != 0) {
        s = s->next;
    }
    return s;
}

struct lend_stream *
lend_streams_add(struct lend_streams *streams, const char *name)
{
    struct lend_stream *s = streams->count < LEND_STREAMS_MAX ? calloc(1, sizeof *s) : NULL;
    if (s == NULL) {
        return NULL;
    }
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    s->ring.memory = LEND_MEMORY_NONE;
    s->serial = ++streams->serial;
    s->next = streams->first;
    streams->first = s;
    streams->count++;
    return s;
}

void
lend_streams_remove(struct lend_streams *streams, struct lend_stream *stream)
{
    struct lend_stream **at = &streams->first;
    while (*at != stream) {
        at = &(*at)->next;
    }
    *at = stream->next;
    streams->count--;
    free(stream);
}

/* ---- one stream ------------------------------------------------------------------------------
 */

struct ring_head *
lend_ring_head(const struct lend_ring *ring)
{
    return ring->memory.page;
}

uint64_t
lend_ring_newest(const struct lend_ring *ring)
{
    const uint64_t newest = ring->slots != 0 ? atomic_load(&lend_ring_head(ring)->newest) >> 8 : 0;
    return newest != 0 || ring->slots == 0 ? believed(newest) : ring->first - 1;
}

uint32_t
lend_stream_holds(const struct lend_stream *stream)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        sum += stream->seats[i].kind == LEND_SEAT_READER ? stream->seats[i].hold : 0;
    }
    return sum;
}

uint32_t
lend_stream_group(const struct lend_stream *stream, const char *name)
{
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if (stream->seats[i].kind == LEND_SEAT_GROUP && strcmp(stream->seats[i].name, name) == 0) {
            return i;
        }
    }
    return LEND_NO_SEAT;
}

/* The first free one but `except`. */
static uint32_t
free_seat(const struct lend_stream *stream, uint32_t except)
{
    uint32_t i = 0;
    while (i < RING_READERS_MAX && (stream->seats[i].kind != LEND_SEAT_FREE || i == except)) {
        i++;
    }
    return i;
}

/* ---- a ring ----------------------------------------------------------------------------------
 */

static uint32_t
check_ring(const struct lend_stream *stream, const struct lend_record *ask, uint32_t slots,
           char why[LEND_WHY_BYTES])
{
    if (ask->slots < RING_SLOTS_MIN || ask->slots > RING_SLOTS_MAX) {
        return refuse(why, WIRE_ERR_INVALID_ARGUMENT, "a stream has %d to %d slots, not %u",
                      RING_SLOTS_MIN, RING_SLOTS_MAX, (unsigned)ask->slots);
    }
    if (ask->bytes < 1 || ask->bytes > LEND_SLOT_BYTES_MAX) {
        return refuse(why, WIRE_ERR_INVALID_ARGUMENT, "a slot has 1 to %llu bytes, not %llu",
                      (unsigned long long)LEND_SLOT_BYTES_MAX, (unsigned long long)ask->bytes);
    }
    if (slots > RING_SLOTS_MAX) { /* plan_reader sees to it */
        return refuse(why, WIRE_ERR_RESOURCE_EXHAUSTED, "the readers of '%s' hold too many frames",
                      stream->name);
    }
    return 0;
}

uint32_t
lend_plan_ring(const struct lend_stream *stream, const struct lend_record *ask,
               struct lend_plan *out, char why[LEND_WHY_BYTES])
{
    const struct lend_ring *ring = &stream->ring;
    const uint32_t needed = lend_stream_holds(stream) + LEND_SPARE_SLOTS;
    const uint32_t slots = ask->slots > needed ? ask->slots : needed;
    const uint32_t refused = check_ring(stream, ask, slots, why);
    if (refused != 0) {
        return refused;
    }
    const uint64_t newest = lend_ring_newest(ring);
    const uint64_t number = believed(ask->numbers[0]), generation = believed(ask->generation);
    if (!ring->is_doubtful && ring->slots == slots && ask->bytes <= ring->slot_bytes &&
        number <= newest && generation <= ring->generation) {
        *out = (struct lend_plan){.is_same = true,
                                  .slots = slots,
                                  .slot_bytes = ring->slot_bytes,
                                  .generation = ring->generation,
                                  .first = ring->first};
        return 0;
    }
    *out = (struct lend_plan){.slots = slots,
                              .slot_bytes = (ask->bytes + RING_PAGE - 1) / RING_PAGE * RING_PAGE,
                              .generation = larger(ring->generation, generation) + 1,
                              .first = larger(newest, number) + 1};
    return 0;
}

/* ---- a reader --------------------------------------------------------------------------------
 */

static uint32_t
check_room(const struct lend_stream *stream, uint32_t hold, char why[LEND_WHY_BYTES])
{
    const uint32_t holds = lend_stream_holds(stream), needed = holds + hold + LEND_SPARE_SLOTS;
    const uint32_t slots = stream->ring.slots != 0 ? stream->ring.slots : RING_SLOTS_MAX;
    if (needed <= slots) {
        return 0;
    }
    return refuse(
        why, WIRE_ERR_RESOURCE_EXHAUSTED,
        "'%s' has %u slots: %u frames that readers hold, %u more and %d for the writer do "
        "not fit; give it %u slots, or hold fewer",
        stream->name, (unsigned)slots, (unsigned)holds, (unsigned)hold, LEND_SPARE_SLOTS,
        (unsigned)needed);
}

static uint32_t
check_group(const struct lend_seat *group, const struct lend_record *ask, char why[LEND_WHY_BYTES])
{
    static const char *const words[] = {[RING_LATEST] = "latest", [RING_LOSSLESS] = "lossless"};
    if (group->policy == (enum ring_policy)ask->policy) {
        return 0;
    }
    return refuse(why, WIRE_ERR_INVALID_ARGUMENT, "the group '%s' reads %s, not %s", group->name,
                  words[group->policy], words[ask->policy]);
}

uint32_t
lend_plan_reader(const struct lend_stream *stream, const struct lend_record *ask,
                 struct lend_grant *out, char why[LEND_WHY_BYTES])
{
    const bool wants_group = ask->group[0] != '\0';
    struct lend_grant grant = {.hold = ask->hold < 1               ? 1
                                       : ask->hold > RING_HOLD_MAX ? RING_HOLD_MAX
                                                                   : ask->hold,
                               .group = LEND_NO_SEAT,
                               .policy = (enum ring_policy)ask->policy};
    if (ask->policy > RING_LOSSLESS) {
        return refuse(why, WIRE_ERR_INVALID_ARGUMENT, "a reader reads latest or lossless");
    }
    if (wants_group && !name_is_worker(span_text(ask->group))) {
        return refuse(why, WIRE_ERR_INVALID_ARGUMENT,
                      "a group is named with 1 to 64 of a-z 0-9 _ -");
    }
    grant.seat = free_seat(stream, LEND_NO_SEAT);
    if (wants_group) {
        grant.group = lend_stream_group(stream, ask->group);
        grant.is_new_group = grant.group == LEND_NO_SEAT;
    }
    if (grant.is_new_group) {
        grant.group = free_seat(stream, grant.seat);
    } else if (wants_group) {
        const uint32_t refused = check_group(&stream->seats[grant.group], ask, why);
        if (refused != 0) {
            return refused;
        }
    }
    if (grant.seat == LEND_NO_SEAT || (wants_group && grant.group == LEND_NO_SEAT)) {
        return refuse(why, WIRE_ERR_RESOURCE_EXHAUSTED,
                      "'%s' has %d readers already, groups counted in", stream->name,
                      RING_READERS_MAX);
    }
    *out = grant;
    return check_room(stream, grant.hold, why);
}
