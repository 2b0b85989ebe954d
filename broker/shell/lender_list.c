/* The hub's side of shared memory: what there is, for people. See lender.h. */
#include "broker/shell/lender_inside.h"

#include <stdio.h>
#include <unistd.h>

/* When the newest frame was taken. Read through the descriptor: only the first page is mapped. */
static uint64_t
newest_us(const struct lend_ring *ring)
{
    const uint64_t newest = atomic_load(&lend_ring_head(ring)->newest);
    const uint32_t slot = (uint32_t)(newest & 0xff);
    int64_t time_us = 0;
    const off_t at = (off_t)(ring_frame_offset(slot) + offsetof(struct ring_frame, time_us));
    if (newest == 0 || slot >= ring->slots ||
        pread(ring->memory.fd, &time_us, sizeof time_us, at) != (ssize_t)sizeof time_us) {
        return 0;
    }
    return (uint64_t)time_us;
}

static void
fill_stream(struct lend_record *record, const struct lend_stream *s)
{
    *record = (struct lend_record){.op = LEND_STREAM,
                                   .slots = s->ring.slots,
                                   .bytes = s->ring.slot_bytes,
                                   .generation = s->ring.generation,
                                   .pid = s->writer != NULL ? s->writer->pid : 0};
    (void)snprintf(record->name, sizeof record->name, "%s", s->name);
    if (s->ring.slots != 0) {
        const struct ring_head *head = lend_ring_head(&s->ring);
        record->numbers[0] = atomic_load(&head->newest) >> 8;
        record->numbers[1] = atomic_load(&head->frames);
        record->numbers[2] = atomic_load(&head->bytes);
        record->numbers[3] = atomic_load(&head->skipped);
        record->numbers[4] = newest_us(&s->ring);
    }
    record->numbers[5] = s->readers;
}

static uint32_t
held(const struct ring_desk *desk, uint32_t hold)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < hold; i++) {
        count += atomic_load(&desk->pins[i]) != 0;
    }
    return count;
}

static void
fill_reader(struct lend_record *record, const struct lend_stream *s, const struct lend_seat *seat)
{
    const struct lend_seat *group = seat->group != LEND_NO_SEAT ? &s->seats[seat->group] : NULL;
    const struct ring_desk *desk = seat->page.page;
    const struct ring_desk *reads = group != NULL ? group->page.page : desk;
    *record =
        (struct lend_record){.op = LEND_READER,
                             .policy = (uint32_t)seat->policy,
                             .hold = seat->hold,
                             .pid = seat->peer->pid,
                             .numbers = {atomic_load(&reads->next), atomic_load(&desk->taken),
                                         atomic_load(&desk->missed), atomic_load(&desk->delay_ns),
                                         held(desk, seat->hold), seat->peer->uid}};
    (void)snprintf(record->name, sizeof record->name, "%s", s->name);
    (void)snprintf(record->group, sizeof record->group, "%s", group != NULL ? group->name : "");
}

/* Streams and readers may come and go between two records, so the place is looked up each time:
 * streams stand in the order of their serial numbers. */
void
lender_list_next(const struct lender *l, struct lend_list *at, struct lend_record *record)
{
    for (const struct lend_stream *s = l->streams.first; s != NULL; s = s->next) {
        if (s->serial > at->stream) {
            continue; /* it was listed, or is newer than the list */
        }
        if (s->serial < at->stream) {
            at->stream = s->serial;
            at->place = 0;
        }
        if (at->place == 0) {
            fill_stream(record, s);
            return;
        }
        for (; at->place <= RING_READERS_MAX; at->place++) {
            if (s->seats[at->place - 1].kind == LEND_SEAT_READER) {
                fill_reader(record, s, &s->seats[at->place - 1]);
                return;
            }
        }
    }
    *record = (struct lend_record){.op = LEND_END};
}

void
lender_list(struct lend_peer *p, const struct lend_record *ask)
{
    (void)ask;
    p->list = (struct lend_list){.is_on = true, .stream = UINT64_MAX};
}
