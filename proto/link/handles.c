/* Numbers for things: see handles.h. */
#include "proto/link/handles.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* 20 bits of index leave 44 of generation: at a million uses a second of one entry, 500 years. */
enum { INDEX_BITS = 20, CAPACITY_FIRST = 64 };
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)

struct handle_entry {
    uint64_t generation; /* counts up with each use, so it is never 0 in a valid handle */
    void *item;          /* NULL while the entry is free */
    uint32_t next_free;  /* as free_head */
};

static bool
grow(struct handle_table *t)
{
    if (t->capacity > INDEX_MASK) {
        return false;
    }
    const uint32_t capacity = t->capacity > 0 ? t->capacity * 2 : CAPACITY_FIRST;
    struct handle_entry *entries = realloc(t->entries, capacity * sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    t->entries = entries;
    t->capacity = capacity;
    return true;
}

uint64_t
handle_add(struct handle_table *t, void *item)
{
    uint32_t index;
    if (t->free_head > 0) {
        index = t->free_head - 1;
        t->free_head = t->entries[index].next_free;
    } else {
        if (t->used == t->capacity && !grow(t)) {
            return 0;
        }
        index = t->used++;
        t->entries[index] = (struct handle_entry){0};
    }
    struct handle_entry *entry = &t->entries[index];
    entry->item = item;
    entry->generation++;
    t->count++;
    return entry->generation << INDEX_BITS | index;
}

static struct handle_entry *
entry_of(const struct handle_table *t, uint64_t handle)
{
    const uint64_t index = handle & INDEX_MASK;
    if (index >= t->used) {
        return NULL;
    }
    struct handle_entry *entry = &t->entries[index];
    return entry->item != NULL && entry->generation == handle >> INDEX_BITS ? entry : NULL;
}

void *
handle_find(const struct handle_table *t, uint64_t handle)
{
    const struct handle_entry *entry = entry_of(t, handle);
    return entry != NULL ? entry->item : NULL;
}

void
handle_remove(struct handle_table *t, uint64_t handle)
{
    struct handle_entry *entry = entry_of(t, handle);
    if (entry == NULL) {
        return;
    }
    entry->item = NULL;
    entry->next_free = t->free_head;
    t->free_head = (uint32_t)(handle & INDEX_MASK) + 1;
    t->count--;
}

void
handle_deinit(struct handle_table *t)
{
    free(t->entries);
    *t = (struct handle_table){0};
}
