/* Hash tables inside their elements: uthash with a keyed hash, because peers choose names.
 *
 * Only the forms that take the hash's value are used, so the key of the hash lives with the table
 * and not in a global. Running out of memory is an answer, not an exit. */
#ifndef PRONG_CORE_TABLE_H
#define PRONG_CORE_TABLE_H

#include "broker/core/siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM              1 /* an element that found no memory has no table (hh.tbl) */
#define HASH_FUNCTION(key, len, value) _Static_assert(0, "use the forms with a hash value")
#include <uthash.h>

/* Stands in an element once for each table that it is in. `key` must stay where it is. */
struct table_entry {
    UT_hash_handle hh; /* hh.tbl is NULL while it is in none */
};

struct table {
    struct siphash_key key;
    bool plain; /* keys are numbers that the hub itself gives out: nobody can choose them badly */
    struct table_entry *head;
};

/* false when memory is out. The key must not be in the table. */
bool table_add(struct table *t, struct table_entry *e, const void *key, size_t len);
struct table_entry *table_find(const struct table *t, const void *key, size_t len);
/* An entry that is in no table stays as it is. */
void table_remove(struct table *t, struct table_entry *e);
size_t table_count(const struct table *t);

#endif
