/* The ring of events: each stored once, numbered, the oldest overwritten by the newest.
 *
 * An event is a header, its source and its payload in one piece; a piece never wraps, the rest of
 * the ring's end is left empty instead. offsets[number % cap] says where an event stands. The topic
 * is told by its entry (topic.c). */
#include "broker/core/parts.h"

#include <stdlib.h>
#include <string.h>

enum {
    EVENT_BYTES_MIN = 64,
    /* A topic with its name, its place in the table and its numbers takes about as much, at worst
     * half as much again. Beyond WIRE_TOPICS_MAX there may be as many as make that of the ring, and
     * never so many that it takes long to go through them. */
    TOPIC_BYTES = 256,
};

struct header {
    struct topic *topic;
    uint64_t time_us;
    uint32_t payload_len;
    uint16_t source_len;
};

bool
ring_init(struct ring *ring, size_t bytes)
{
    struct node *const lists[] = {&ring->fresh,  &ring->wild, &ring->loose,
                                  &ring->unused, &ring->kept, &ring->heard};
    *ring = (struct ring){.size = bytes, .end = bytes, .first = 1, .next = 1, .seen = 1};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        list_init(lists[i]);
    }
    ring->topics_max = bytes / TOPIC_BYTES;
    ring->topics_max = ring->topics_max < WIRE_TOPICS_MAX        ? WIRE_TOPICS_MAX
                       : ring->topics_max > WIRE_RING_TOPICS_MAX ? WIRE_RING_TOPICS_MAX
                                                                 : ring->topics_max;
    ring->offsets_cap = bytes / EVENT_BYTES_MIN;
    ring->bytes = malloc(bytes);
    ring->offsets = calloc(ring->offsets_cap, sizeof *ring->offsets);
    return ring->bytes != NULL && ring->offsets != NULL;
}

void
ring_deinit(struct ring *ring)
{
    filters_deinit(ring);
    while (ring->topics.head != NULL) {
        topic_forget(ring, CONTAINER(ring->topics.head, struct topic, entry));
    }
    free(ring->bytes);
    free(ring->offsets);
    free(ring->cursors);
    free(ring->silences);
    *ring = (struct ring){0};
}

static size_t
piece_bytes(const struct header *h)
{
    const size_t n = sizeof *h + h->source_len + h->payload_len;
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
    topic_pop(ring, h.topic);
    if (h.topic->count == 0 && h.topic != ring->taking) {
        struct event_view newest;
        (void)ring_get(ring, ring->first, &newest); /* it is there */
        topic_keep(ring, h.topic, &newest);
    }
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

/* The topic of an event that is to be stored, with all the memory that it needs; NULL without. */
static struct topic *
take_topic(struct ring *ring, struct span name)
{
    struct topic *t = topic_take(ring, name);
    if (t != NULL && !topic_reserve(t)) {
        return NULL; /* it had a full circle: it is not new */
    }
    if (t != NULL) {
        topic_unkeep(ring, t);
    }
    return t;
}

static struct header
header_of(const struct event_view *event)
{
    return (struct header){
        .time_us = event->time_us,
        .payload_len = (uint32_t)event->payload.len,
        .source_len = (uint16_t)event->source.len,
    };
}

bool
ring_fits(const struct ring *ring, const struct event_view *event)
{
    const struct header h = header_of(event);
    return event->payload.len <= ring->size / 2 && piece_bytes(&h) <= ring->size / 2;
}

uint64_t
ring_add(struct hub *hub, const struct event_view *event)
{
    struct ring *ring = &hub->ring;
    struct header h = header_of(event);
    const uint64_t number = ring->next;
    if (!ring_fits(ring, event) || (h.topic = take_topic(ring, event->topic)) == NULL) {
        return 0;
    }
    const size_t need = piece_bytes(&h);
    ring->taking = h.topic;
    make_room(ring, need);
    while (h.topic->count == 0 && ring->live >= ring->topics_max) {
        drop_oldest(ring);
    }
    ring->taking = NULL;
    uint8_t *p = ring->bytes + ring->head;
    memcpy(p, &h, sizeof h);
    p += sizeof h;
    if (event->source.len > 0) {
        memcpy(p, event->source.data, event->source.len);
        p += event->source.len;
    }
    memcpy(p, event->payload.data, event->payload.len);
    ring->offsets[number % ring->offsets_cap] = ring->head;
    ring->head += need;
    ring->next++;
    topic_push(ring, h.topic, number);
    hub->events_new = true;
    if (h.topic->silence != NULL) {
        silence_ends(hub, h.topic->silence, number);
    }
    return number;
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
    out->number = number;
    out->time_us = h.time_us;
    out->of = h.topic;
    out->topic = topic_name(h.topic);
    out->source = (struct span){p, h.source_len};
    out->payload = (struct span){p + h.source_len, h.payload_len};
    return true;
}
