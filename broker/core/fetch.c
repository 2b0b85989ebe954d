/* Events out: FETCH.
 *
 * A reader keeps its position itself: the hub holds nothing of it but a FETCH that waits. */
#include "broker/core/state.h"

#include <stdlib.h>
#include <string.h>

enum { SCAN_MAX = 20000, EVENT_OVERHEAD_BYTES = 32 };

static struct fetch *
fetch_new(const struct record *r)
{
    const struct field *filters = RECORD_FIELD(r, FETCH, FILTERS);
    struct fetch *f = calloc(1, sizeof *f + filters->inside.len);
    if (f == NULL) {
        return NULL;
    }
    memcpy(f->text, filters->inside.data, filters->inside.len);
    struct span inside = {f->text, filters->inside.len};
    while (f->filter_count < filters->item.count &&
           record_text(&inside, &f->filters[f->filter_count])) {
        f->filter_count++;
    }
    f->items_max = RECORD_FIELD(r, FETCH, MAX_ITEMS)->item.uint;
    f->bytes_max = RECORD_FIELD(r, FETCH, MAX_BYTES)->item.uint;
    return f;
}

static bool
is_wanted(const struct fetch *f, struct span topic)
{
    for (uint32_t i = 0; i < f->filter_count; i++) {
        if (name_matches(f->filters[i], topic)) {
            return true;
        }
    }
    return false;
}

/* What it adds to an answer, about. */
static uint64_t
weight(const struct event_view *e)
{
    return e->topic.len + e->source.len + e->payload.len + EVENT_OVERHEAD_BYTES;
}

static void
write_event(struct buf *b, const struct event_view *e)
{
    write_array(b, 5);
    write_uint(b, e->number);
    write_uint(b, e->time_us);
    write_str(b, e->topic);
    write_str(b, e->source);
    write_raw(b, e->payload);
}

static void
answer(struct hub *hub, struct slot *slot, uint32_t count)
{
    const struct fetch *f = slot->fetch;
    const struct span items = buf_span(&hub->scratch);
    if (hub->scratch.failed) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
        return;
    }
    struct buf *b = slot_begin(slot);
    (void)buf_reserve(b, items.len + 64); /* a failure shows when b is sent */
    write_op(b, WIRE_EVENTS);
    write_uint(b, hub->history);
    write_uint(b, f->from);
    write_uint(b, f->lost);
    write_array(b, count);
    buf_put(b, items.data, items.len);
    slot_end(hub, slot);
}

/* Look on from the position; true when it was answered. */
static bool
look(struct hub *hub, struct slot *slot)
{
    struct fetch *f = slot->fetch;
    uint32_t count = 0;
    uint64_t scanned = 0, bytes = 0;
    if (f->from < hub->ring.first) {
        f->lost += hub->ring.first - f->from;
        f->from = hub->ring.first;
    }
    buf_reset(&hub->scratch, 1 << 20);
    while (f->from < hub->ring.next && scanned++ < SCAN_MAX) {
        struct event_view e;
        if (!ring_get(&hub->ring, f->from, &e)) {
            break;
        }
        if (is_wanted(f, e.topic)) {
            bytes += weight(&e);
            if (count > 0 && (bytes > f->bytes_max || count >= f->items_max)) {
                break;
            }
            write_event(&hub->scratch, &e);
            count++;
        }
        f->from++;
    }
    /* One that found nothing in a long stretch is asked to come again: nobody else waits for it. */
    if (count > 0 || f->lost > 0 || f->from < hub->ring.next) {
        answer(hub, slot, count);
        return true;
    }
    return false;
}

/* The newest event of each topic, then what follows. */
static bool
look_last(struct hub *hub, struct slot *slot)
{
    struct fetch *f = slot->fetch;
    uint32_t count = 0;
    uint64_t bytes = 0;
    uint64_t *numbers = malloc(WIRE_TOPICS_MAX * sizeof *numbers);
    if (numbers == NULL) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
        return true;
    }
    const size_t n = ring_last(&hub->ring, f->filters, f->filter_count, numbers, WIRE_TOPICS_MAX);
    f->from = hub->ring.next;
    buf_reset(&hub->scratch, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        struct event_view e;
        if (!ring_get(&hub->ring, numbers[i], &e)) {
            continue;
        }
        bytes += weight(&e);
        if (count > 0 && (bytes > f->bytes_max || count >= f->items_max)) {
            f->from = numbers[i]; /* the rest of the state comes with what follows from there */
            break;
        }
        write_event(&hub->scratch, &e);
        count++;
    }
    free(numbers);
    if (count > 0) {
        answer(hub, slot, count);
    }
    return count > 0;
}

void
fetch_take(struct hub *hub, struct slot *slot, const struct record *r)
{
    const struct mp_item *from = &RECORD_FIELD(r, FETCH, FROM)->item;
    const uint64_t wait_ms = RECORD_FIELD(r, FETCH, WAIT_MS)->item.uint;
    if (client_of(hub, slot, RECORD_FIELD(r, FETCH, CLIENT)) == NULL) {
        return;
    }
    if (hub->fetch_count >= WIRE_FETCHES_MAX) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, "too many wait for events of this hub");
        return;
    }
    slot->fetch = fetch_new(r);
    if (slot->fetch == NULL) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
        return;
    }
    struct fetch *f = slot->fetch;
    hub->fetch_count++;
    slot_park(hub, slot, &hub->fetches);
    if (from->kind == MP_UINT) {
        /* A position that does not exist yet is where the next event goes. */
        f->from = from->uint > hub->ring.next ? hub->ring.next : from->uint == 0 ? 1 : from->uint;
    } else {
        f->from = span_is(from->bytes, "oldest") ? hub->ring.first : hub->ring.next;
        if (span_is(from->bytes, "last") && look_last(hub, slot)) {
            return;
        }
    }
    if (!look(hub, slot) && wait_ms == 0) {
        fetch_answer_empty(hub, slot);
    } else if (slot->state == SLOT_PARKED && wait_ms < WIRE_PARK_MS) {
        struct deadline *d = &slot->ticket->deadline;
        const int64_t at_ns = hub->now_ns + (int64_t)wait_ms * NS_PER_MS;
        /* Another FETCH of the same message may have less patience. */
        if ((d->place == 0 || at_ns < d->at_ns) &&
            !deadline_set(&hub->deadlines, d, DEADLINE_TICKET, at_ns)) {
            hub->failed = true;
        }
    }
}

void
fetch_pump(struct hub *hub)
{
    hub->events_new = false;
    LIST_EACH(n, &hub->fetches)
    {
        (void)look(hub, CONTAINER(n, struct slot, link));
    }
}

void
fetch_answer_empty(struct hub *hub, struct slot *slot)
{
    buf_reset(&hub->scratch, 1 << 20);
    answer(hub, slot, 0);
}
