/* The ring of events: each stored once, numbered, the oldest overwritten by the newest.
 *
 * An event is a header and three texts in one piece; a piece never wraps, the rest of the ring's
 * end is left empty instead. offsets[number % cap] says where an event stands. */
#include "broker/core/state.h"

#include <stdlib.h>
#include <string.h>

enum { EVENT_BYTES_MIN = 64 };

struct header {
    uint64_t number, time_us;
    uint32_t payload_len;
    uint16_t topic_len, source_len;
};

/* The newest number of a topic, so that a late reader gets the state of things. */
struct topic_entry {
    struct table_entry entry;
    uint64_t newest;
    size_t len;
    char name[];
};

bool
ring_init(struct ring *ring, size_t bytes)
{
    *ring = (struct ring){.size = bytes, .end = bytes, .first = 1, .next = 1};
    ring->offsets_cap = bytes / EVENT_BYTES_MIN;
    ring->bytes = malloc(bytes);
    ring->offsets = calloc(ring->offsets_cap, sizeof *ring->offsets);
    return ring->bytes != NULL && ring->offsets != NULL;
}

static void
forget_topic(struct ring *ring, struct topic_entry *t)
{
    table_remove(&ring->topics, &t->entry);
    free(t);
}

void
ring_deinit(struct ring *ring)
{
    while (ring->topics.head != NULL) {
        forget_topic(ring, CONTAINER(ring->topics.head, struct topic_entry, entry));
    }
    free(ring->bytes);
    free(ring->offsets);
    *ring = (struct ring){0};
}

static size_t
piece_bytes(const struct header *h)
{
    const size_t n = sizeof *h + h->topic_len + h->source_len + h->payload_len;
    return n < EVENT_BYTES_MIN ? EVENT_BYTES_MIN : (n + 7) & ~(size_t)7;
}

static struct header
header_at(const struct ring *ring, size_t at)
{
    struct header h;
    memcpy(&h, ring->bytes + at, sizeof h);
    return h;
}

/* Let the oldest event go. */
static void
drop_oldest(struct ring *ring)
{
    const struct header h = header_at(ring, ring->tail);
    ring->tail += piece_bytes(&h);
    ring->first++;
    if (ring->first == ring->next) {
        ring->head = ring->tail = 0;
        ring->end = ring->size;
    } else if (ring->tail == ring->end) {
        ring->tail = 0;
        ring->end = ring->size;
    }
}

/* Make `need` bytes in one piece free at head. */
static void
make_room(struct ring *ring, size_t need)
{
    for (;;) {
        const bool empty = ring->first == ring->next;
        const bool wrapped = !empty && ring->head <= ring->tail;
        const size_t room = wrapped ? ring->tail - ring->head : ring->size - ring->head;
        if (room >= need && ring->next - ring->first < ring->offsets_cap) {
            return;
        }
        if (!wrapped && !empty && room < need) {
            ring->end = ring->head;
            ring->head = 0;
        } else {
            drop_oldest(ring);
        }
    }
}

static void
note_topic(struct ring *ring, struct span topic, uint64_t number)
{
    struct table_entry *e = table_find(&ring->topics, topic.data, topic.len);
    if (e != NULL) {
        CONTAINER(e, struct topic_entry, entry)->newest = number;
        return;
    }
    if (table_count(&ring->topics) >= WIRE_TOPICS_MAX) {
        forget_topic(ring, CONTAINER(ring->topics.head, struct topic_entry, entry));
    }
    struct topic_entry *t = calloc(1, sizeof *t + topic.len);
    if (t == NULL) {
        return; /* only "last" suffers */
    }
    t->newest = number;
    t->len = topic.len;
    memcpy(t->name, topic.data, topic.len);
    if (!table_add(&ring->topics, &t->entry, t->name, t->len)) {
        free(t);
    }
}

uint64_t
ring_add(struct hub *hub, const struct event_view *event)
{
    struct ring *ring = &hub->ring;
    const struct header h = {
        .number = ring->next,
        .time_us = event->time_us,
        .payload_len = (uint32_t)event->payload.len,
        .topic_len = (uint16_t)event->topic.len,
        .source_len = (uint16_t)event->source.len,
    };
    const size_t need = piece_bytes(&h);
    if (event->payload.len > ring->size / 2 || need > ring->size / 2) {
        return 0;
    }
    make_room(ring, need);
    uint8_t *p = ring->bytes + ring->head;
    memcpy(p, &h, sizeof h);
    p += sizeof h;
    memcpy(p, event->topic.data, event->topic.len);
    p += event->topic.len;
    if (event->source.len > 0) {
        memcpy(p, event->source.data, event->source.len);
        p += event->source.len;
    }
    memcpy(p, event->payload.data, event->payload.len);
    ring->offsets[h.number % ring->offsets_cap] = ring->head;
    ring->head += need;
    ring->next++;
    note_topic(ring, event->topic, h.number);
    hub->events_new = true;
    return h.number;
}

bool
ring_get(const struct ring *ring, uint64_t number, struct event_view *out)
{
    if (number < ring->first || number >= ring->next) {
        return false;
    }
    const size_t at = ring->offsets[number % ring->offsets_cap];
    const struct header h = header_at(ring, at);
    const uint8_t *p = ring->bytes + at + sizeof h;
    out->number = h.number;
    out->time_us = h.time_us;
    out->topic = (struct span){p, h.topic_len};
    out->source = (struct span){p + h.topic_len, h.source_len};
    out->payload = (struct span){p + h.topic_len + h.source_len, h.payload_len};
    return true;
}

static int
by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

size_t
ring_last(const struct ring *ring, const struct span *filters, size_t filter_count,
          uint64_t *numbers, size_t max)
{
    size_t n = 0;
    for (struct table_entry *e = ring->topics.head; e != NULL && n < max; e = e->hh.next) {
        const struct topic_entry *t = CONTAINER(e, struct topic_entry, entry);
        const struct span name = {(const uint8_t *)t->name, t->len};
        for (size_t i = 0; i < filter_count && t->newest >= ring->first; i++) {
            if (name_matches(filters[i], name)) {
                numbers[n++] = t->newest;
                break;
            }
        }
    }
    qsort(numbers, n, sizeof *numbers, by_number);
    return n;
}
