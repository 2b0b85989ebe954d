/* Numbers for things: a table that gives each pointer a 64-bit handle never used twice.
 *
 * Owns the table, not what its entries point to. A handle is an index and a generation, so a stale
 * one finds nothing instead of a stranger. One thread per table. */
#ifndef PRONG_LINK_HANDLES_H
#define PRONG_LINK_HANDLES_H

#include <stdint.h>

struct handle_entry;

/* All zero is an empty table. */
struct handle_table {
    struct handle_entry *entries;
    uint32_t used, capacity; /* entries ever used; entries allocated */
    uint32_t free_head;      /* index + 1 of the first free entry, 0 for none */
    uint32_t count;          /* handles that are valid now */
};

/* A new handle for `item` (not NULL); 0, which is never valid, when memory or the 2^20 places are
 * out. */
uint64_t handle_add(struct handle_table *t, void *item);
/* What was added under this handle, or NULL when it is gone. */
void *handle_find(const struct handle_table *t, uint64_t handle);
/* Make the handle invalid for ever; an invalid one is ignored. */
void handle_remove(struct handle_table *t, uint64_t handle);
void handle_deinit(struct handle_table *t);

#endif
