/* Topics that have events: see events.h. */
#include "broker/core/parts.h"

#include <stdlib.h>
#include <string.h>

struct span
topic_name(const struct topic *t)
{
    return (struct span){(const uint8_t *)t->name, t->len};
}

struct topic *
topic_find(const struct ring *ring, struct span name)
{
    struct table_entry *e = table_find(&ring->topics, name.data, name.len);
    return e == NULL ? NULL : CONTAINER(e, struct topic, entry);
}

struct topic *
topic_take(struct ring *ring, struct span name)
{
    struct topic *t = topic_find(ring, name);
    if (t != NULL) {
        return t;
    }
    t = calloc(1, sizeof *t + name.len);
    if (t == NULL) {
        return NULL;
    }
    t->numbers = t->few;
    t->cap = sizeof t->few / sizeof t->few[0];
    t->silence = silence_find(ring, name);
    t->len = (uint16_t)name.len;
    memcpy(t->name, name.data, name.len);
    list_init(&t->links);
    list_init(&t->fresh);
    list_init(&t->kept);
    if (!table_add(&ring->topics, &t->entry, t->name, t->len)) {
        free(t);
        return NULL;
    }
    filters_meet(ring, t);
    return t;
}

void
topic_forget(struct ring *ring, struct topic *t)
{
    filters_part(ring, t);
    topic_unkeep(ring, t);
    list_remove(&t->fresh);
    table_remove(&ring->topics, &t->entry);
    if (t->numbers != t->few) {
        free(t->numbers);
    }
    free(t);
}

/* Move the numbers into a circle of another size; false when memory is out. */
static bool
resize(struct topic *t, uint32_t cap)
{
    uint32_t *numbers = malloc(cap * sizeof *numbers);
    if (numbers == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        numbers[i] = t->numbers[(t->head + i) & (t->cap - 1)];
    }
    if (t->numbers != t->few) {
        free(t->numbers);
    }
    t->numbers = numbers;
    t->cap = cap;
    t->head = 0;
    return true;
}

bool
topic_reserve(struct topic *t)
{
    return t->count < t->cap || resize(t, 2 * t->cap);
}

void
topic_push(struct ring *ring, struct topic *t, uint64_t number)
{
    ring->live += t->count == 0;
    t->numbers[(t->head + t->count++) & (t->cap - 1)] = (uint32_t)number;
    /* Nobody waits for it when nobody could be woken by it. */
    if (list_is_empty(&t->fresh) && (!list_is_empty(&t->links) || !list_is_empty(&ring->loose))) {
        list_append(&ring->fresh, &t->fresh);
    }
}

void
topic_pop(struct ring *ring, struct topic *t)
{
    t->head = (t->head + 1) & (t->cap - 1);
    ring->live -= --t->count == 0;
    if (t->cap > 8 && t->count <= t->cap / 4) {
        (void)resize(t, t->cap / 2); /* without memory it stays large for now */
    }
}

/* ---- the newest event, beyond the ring --------------------------------------------------------
 */

static size_t
last_bytes(const struct topic *t, const struct last_event *l)
{
    return sizeof *l + t->len + l->source_len + l->payload_len;
}

void
topic_keep(struct ring *ring, struct topic *t, const struct event_view *e)
{
    const size_t bytes = sizeof *t->last + t->len + e->source.len + e->payload.len;
    struct last_event *l = NULL;
    if (bytes <= WIRE_LAST_BYTES) {
        l = malloc(sizeof *l + e->source.len + e->payload.len);
    }
    if (l == NULL) {
        topic_forget(ring, t); /* without memory too: only who asks for the last one misses it */
        return;
    }
    while (ring->kept_count == WIRE_TOPICS_MAX || ring->kept_bytes + bytes > WIRE_LAST_BYTES) {
        topic_forget(ring, CONTAINER(ring->kept.next, struct topic, kept));
    }
    *l = (struct last_event){
        .number = e->number,
        .time_us = e->time_us,
        .payload_len = (uint32_t)e->payload.len,
        .source_len = (uint16_t)e->source.len,
    };
    memcpy(l->bytes, e->source.data, e->source.len);
    memcpy(l->bytes + e->source.len, e->payload.data, e->payload.len);
    t->last = l;
    list_append(&ring->kept,
                &t->kept); /* the ring lets go of events in the order of their numbers */
    ring->kept_count++;
    ring->kept_bytes += bytes;
}

void
topic_unkeep(struct ring *ring, struct topic *t)
{
    if (t->last != NULL) {
        list_remove(&t->kept);
        ring->kept_count--;
        ring->kept_bytes -= last_bytes(t, t->last);
        free(t->last);
        t->last = NULL;
    }
}

void
topic_last(const struct topic *t, struct event_view *out)
{
    const struct last_event *l = t->last;
    *out = (struct event_view){
        .number = l->number,
        .time_us = l->time_us,
        .topic = topic_name(t),
        .source = {l->bytes, l->source_len},
        .payload = {l->bytes + l->source_len, l->payload_len},
    };
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

uint64_t
topic_number(const struct ring *ring, const struct topic *t, uint32_t index)
{
    const uint32_t lower = t->numbers[(t->head + index) & (t->cap - 1)];
    return ring->first + (uint32_t)(lower - (uint32_t)ring->first);
}

uint32_t
topic_search(const struct ring *ring, const struct topic *t, uint64_t from)
{
    uint32_t low = 0, high = t->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (topic_number(ring, t, middle) < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
