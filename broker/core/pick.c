/* Which events a FETCH gets: see events.h.
 *
 * Two ways lead from a position to what is wanted behind it: look at every event of the ring, or
 * bring the numbers of the wanted topics into one order. The first is for those who want most of
 * what there is, the second costs nothing for the events of others. */
#include "broker/core/parts.h"

#include <stdlib.h>

enum {
    SCAN_MAX = 20000, /* events looked at in one step: nobody else waits for one reader for long */
    SCAN_PER_TOPIC = 4,
    EVENT_OVERHEAD_BYTES = 32,
};

struct given {
    uint32_t count;
    uint64_t bytes;
};

/* What it adds to an answer, about. */
static uint64_t
weight(const struct event_view *e)
{
    return e->topic.len + e->source.len + e->payload.len + EVENT_OVERHEAD_BYTES;
}

static bool
is_full(const struct fetch *f, const struct given *g, const struct event_view *e)
{
    return g->count > 0 && (g->bytes + weight(e) > f->bytes_max || g->count >= f->items_max);
}

static void
put(struct hub *hub, struct given *g, const struct event_view *e)
{
    struct buf *b = &hub->scratch;
    write_array(b, 5);
    write_uint(b, e->number);
    write_uint(b, e->time_us);
    write_str(b, e->topic);
    write_str(b, e->source);
    write_raw(b, e->payload);
    g->bytes += weight(e);
    g->count++;
}

/* Into the answer; false when it is full. */
static bool
give(struct hub *hub, const struct fetch *f, struct given *g, const struct event_view *e)
{
    if (is_full(f, g, e)) {
        return false;
    }
    put(hub, g, e);
    return true;
}

/* Found out once for each topic and look. */
static bool
is_wanted(struct ring *ring, const struct fetch *f, struct topic *t)
{
    if (t->asked != ring->asked) {
        t->asked = ring->asked;
        t->wanted = false;
        for (uint32_t i = 0; i < f->use_count && !t->wanted; i++) {
            t->wanted = filter_matches(ring, f->uses[i].filter, t);
        }
    }
    return t->wanted;
}

static void
scan(struct hub *hub, struct fetch *f, struct given *g)
{
    struct ring *ring = &hub->ring;
    const uint64_t far = f->from + SCAN_MAX, end = far < ring->next ? far : ring->next;
    struct event_view e;
    for (; f->from < end && ring_get(ring, f->from, &e); f->from++) {
        ring->looks++;
        if (is_wanted(ring, f, e.of) && !give(hub, f, g, &e)) {
            return;
        }
    }
}

/* ---- the wanted topics ------------------------------------------------------------------------
 */

static bool
has_loose(const struct fetch *f)
{
    for (uint32_t i = 0; i < f->use_count; i++) {
        if (f->uses[i].filter->loose) {
            return true;
        }
    }
    return false;
}

/* How many topics its filters have; one that two of them match counts twice. */
static size_t
topic_count(const struct ring *ring, const struct fetch *f)
{
    size_t count = 0;
    for (uint32_t i = 0; i < f->use_count; i++) {
        count += f->uses[i].filter->topic_count;
    }
    return has_loose(f) ? table_count(&ring->topics) : count;
}

static void
add_cursor(struct ring *ring, struct topic *t, uint64_t from)
{
    const uint32_t index = topic_search(ring, t, from);
    ring->looks++;
    if (t->last != NULL && t->last->number >= from) {
        ring->cursors[ring->cursor_count++] = (struct cursor){t->last->number, t, 0};
    } else if (index < t->count) {
        ring->cursors[ring->cursor_count++] =
            (struct cursor){topic_number(ring, t, index), t, index};
    }
}

/* A cursor for each wanted topic that has events from `from` on: at the first of them. false when
 * memory is out. */
static bool
gather(struct ring *ring, const struct fetch *f, uint64_t from)
{
    const size_t cap = topic_count(ring, f);
    ring->cursor_count = 0;
    if (cap > ring->cursor_cap) {
        struct cursor *cursors = realloc(ring->cursors, cap * sizeof *cursors);
        if (cursors == NULL) {
            return false;
        }
        ring->cursors = cursors;
        ring->cursor_cap = cap;
    }
    if (has_loose(f)) {
        for (struct table_entry *e = ring->topics.head; e != NULL; e = e->hh.next) {
            struct topic *t = CONTAINER(e, struct topic, entry);
            if (is_wanted(ring, f, t)) {
                add_cursor(ring, t, from);
            }
        }
        return true;
    }
    for (uint32_t i = 0; i < f->use_count; i++) {
        LIST_EACH(n, &f->uses[i].filter->topics)
        {
            struct topic *t = CONTAINER(n, struct link, of_filter)->topic;
            if (t->asked != ring->asked) {
                t->asked = ring->asked;
                t->wanted = true;
                add_cursor(ring, t, from);
            }
        }
    }
    return true;
}

static void
sift_down(struct cursor *heap, size_t count, size_t i)
{
    const struct cursor moved = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < count && heap[child + 1].number < heap[child].number) {
            child++;
        }
        if (child >= count || heap[child].number >= moved.number) {
            break;
        }
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

/* The cursor with the least number goes on to the next event of its topic. */
static void
advance(struct ring *ring)
{
    struct cursor *c = ring->cursors;
    if (++c->index < c->topic->count) {
        c->number = topic_number(ring, c->topic, c->index);
    } else {
        *c = ring->cursors[--ring->cursor_count];
    }
    if (ring->cursor_count > 0) {
        sift_down(ring->cursors, ring->cursor_count, 0);
    }
}

/* The event of a cursor: below the ring it is the one that was kept aside. */
static void
view(const struct ring *ring, const struct cursor *c, struct event_view *out)
{
    if (!ring_get(ring, c->number, out)) {
        topic_last(c->topic, out);
    }
}

/* Move the position. Events below the ring that it passes over are lost. */
static void
move_to(const struct ring *ring, struct fetch *f, uint64_t number)
{
    const uint64_t gone = number < ring->first ? number : ring->first;
    f->lost += gone > f->from ? gone - f->from : 0;
    f->from = number;
}

static void
merge(struct hub *hub, struct fetch *f, struct given *g)
{
    struct ring *ring = &hub->ring;
    struct cursor *heap = ring->cursors;
    struct event_view e;
    for (size_t i = ring->cursor_count / 2; i-- > 0;) {
        sift_down(heap, ring->cursor_count, i);
    }
    while (ring->cursor_count > 0 && g->count < SCAN_MAX) {
        view(ring, heap, &e);
        ring->looks++;
        if (!give(hub, f, g, &e)) {
            break;
        }
        move_to(ring, f, e.number);
        f->from++;
        advance(ring);
    }
    move_to(ring, f, ring->cursor_count > 0 ? heap->number : ring->next);
}

/* ---- from a position, and from the state of things --------------------------------------------
 */

/* Most of what is behind its position is its own, or the rest is little. Whoever comes too late
 * gets what was kept aside first. */
static bool
is_scanned(const struct ring *ring, const struct fetch *f)
{
    return f->from >= ring->first &&
           (has_loose(f) || ring->next - f->from <= SCAN_PER_TOPIC * topic_count(ring, f));
}

bool
pick_from(struct hub *hub, struct fetch *f, uint32_t *count)
{
    struct ring *ring = &hub->ring;
    struct given g = {0};
    ring->asked++;
    if (f->from < ring->next && is_scanned(ring, f)) {
        scan(hub, f, &g);
    } else if (f->from < ring->next) {
        if (!gather(ring, f, f->from)) {
            return false;
        }
        merge(hub, f, &g);
    }
    *count = g.count;
    return true;
}

static int
by_number(const void *a, const void *b)
{
    const struct cursor *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

bool
pick_last(struct hub *hub, struct fetch *f, uint32_t *count)
{
    struct ring *ring = &hub->ring;
    struct given g = {0};
    ring->asked++;
    if (!gather(ring, f, 0)) {
        return false;
    }
    for (size_t i = 0; i < ring->cursor_count; i++) {
        struct cursor *c = &ring->cursors[i];
        if (c->topic->last == NULL) {
            c->number = topic_number(ring, c->topic, c->topic->count - 1);
        }
    }
    if (ring->cursor_count > 0) {
        qsort(ring->cursors, ring->cursor_count, sizeof *ring->cursors, by_number);
    }
    f->from = ring->next;
    for (size_t i = 0; i < ring->cursor_count; i++) {
        struct event_view e;
        view(ring, &ring->cursors[i], &e);
        if (e.number >= ring->first && is_full(f, &g, &e)) {
            f->from = e.number; /* the rest of the state comes with what follows from there */
            break;
        }
        put(hub, &g, &e); /* what was kept aside whatever its size: decision 012 */
    }
    *count = g.count;
    return true;
}
