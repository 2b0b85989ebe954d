/* Events out: FETCH.
 *
 * A reader keeps its position itself: the hub holds nothing of it but a FETCH that waits, which is
 * linked to its filters. When a turn ends those are woken whose topics have new events. */
#include "broker/core/parts.h"

#include <stdlib.h>

void
fetch_free(struct hub *hub, struct fetch *f)
{
    if (f == NULL) {
        return;
    }
    for (uint32_t i = 0; i < f->use_count; i++) {
        list_remove(&f->uses[i].waiting);
        filter_release(&hub->ring, f->uses[i].filter);
    }
    list_remove(&f->woken);
    free(f);
}

static bool
has_filter(const struct fetch *f, const struct filter *filter)
{
    for (uint32_t i = 0; i < f->use_count; i++) {
        if (f->uses[i].filter == filter) {
            return true;
        }
    }
    return false;
}

static struct fetch *
fetch_new(struct hub *hub, struct slot *slot, const struct record *r)
{
    const struct field *filters = RECORD_FIELD(r, FETCH, FILTERS);
    struct fetch *f = malloc(sizeof *f + filters->item.count * sizeof f->uses[0]);
    if (f == NULL) {
        return NULL;
    }
    *f = (struct fetch){
        .slot = slot,
        .items_max = RECORD_FIELD(r, FETCH, MAX_ITEMS)->item.uint,
        .bytes_max = RECORD_FIELD(r, FETCH, MAX_BYTES)->item.uint,
    };
    struct span inside = filters->inside, text;
    list_init(&f->woken);
    while (f->use_count < filters->item.count && record_text(&inside, &text)) {
        struct filter *filter = filter_take(&hub->ring, text);
        if (filter == NULL) {
            fetch_free(hub, f);
            return NULL;
        }
        if (!has_filter(f, filter)) {
            struct use *use = &f->uses[f->use_count++];
            use->fetch = f;
            use->filter = filter;
            list_append(&filter->waiting, &use->waiting);
        }
    }
    return f;
}

/* With the events in hub->scratch. */
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
    hub->events_lost += f->lost;
    write_array(b, count);
    buf_put(b, items.data, items.len);
    slot_end(hub, slot);
}

/* Look for events; true when it was answered. */
static bool
look(struct hub *hub, struct slot *slot, bool (*pick)(struct hub *, struct fetch *, uint32_t *))
{
    struct fetch *f = slot->fetch;
    uint32_t count = 0;
    buf_reset(&hub->scratch, 1 << 20);
    if (!pick(hub, f, &count)) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
        return true;
    }
    /* One that found nothing in a long stretch is asked to come again: nobody else waits for it. */
    if (count > 0 || f->lost > 0 || f->from < hub->ring.next) {
        answer(hub, slot, count);
        return true;
    }
    return false;
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
    slot->fetch = fetch_new(hub, slot, r);
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
        if (span_is(from->bytes, "last") && look(hub, slot, pick_last)) {
            return;
        }
    }
    if (!look(hub, slot, pick_from) && wait_ms == 0) {
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

/* ---- waking -----------------------------------------------------------------------------------
 */

static void
wake(struct fetch *f, struct node *woken)
{
    list_remove(&f->woken); /* another of its topics may have woken it before */
    list_append(woken, &f->woken);
}

static void
wake_filter(struct filter *f, struct node *woken)
{
    LIST_EACH(n, &f->waiting)
    {
        wake(CONTAINER(n, struct use, waiting)->fetch, woken);
    }
}

static void
wake_topic(struct ring *ring, struct topic *t, struct node *woken)
{
    LIST_EACH(n, &t->links)
    {
        wake_filter(CONTAINER(n, struct link, of_topic)->filter, woken);
    }
    LIST_EACH(n, &ring->loose)
    {
        struct filter *f = CONTAINER(n, struct filter, place);
        if (!list_is_empty(&f->waiting) && filter_matches(ring, f, t)) {
            wake_filter(f, woken);
        }
    }
}

void
fetch_pump(struct hub *hub)
{
    struct ring *ring = &hub->ring;
    struct node woken;
    list_init(&woken);
    hub->events_new = false;
    LIST_EACH(n, &ring->fresh)
    {
        struct topic *t = CONTAINER(n, struct topic, fresh);
        list_remove(n);
        wake_topic(ring, t, &woken);
    }
    if (ring->seen < ring->first) {
        /* So much came in one turn that some of it is gone again: whoever waits is told. */
        LIST_EACH(n, &hub->fetches)
        {
            wake(CONTAINER(n, struct slot, link)->fetch, &woken);
        }
    }
    LIST_EACH(n, &woken)
    {
        struct fetch *f = CONTAINER(n, struct fetch, woken);
        list_remove(n);
        f->from = f->from < ring->seen ? ring->seen : f->from;
        (void)look(hub, f->slot, pick_from);
    }
    ring->seen = ring->next;
}

void
fetch_answer_empty(struct hub *hub, struct slot *slot)
{
    struct fetch *f = slot->fetch;
    f->from = f->from < hub->ring.seen ? hub->ring.seen : f->from;
    buf_reset(&hub->scratch, 1 << 20);
    answer(hub, slot, 0);
}
