/* Topics that have events: see events.h. */
#include "broker/core/state.h"

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
    t->len = (uint16_t)name.len;
    memcpy(t->name, name.data, name.len);
    list_init(&t->links);
    list_init(&t->fresh);
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
