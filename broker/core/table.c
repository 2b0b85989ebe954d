/* Hash tables: see table.h. */
#include "broker/core/table.h"

#include <string.h>

static unsigned
hash(const struct table *t, const void *key, size_t len)
{
    if (t->plain) {
        uint64_t number;
        memcpy(&number, key, sizeof number); /* the only kind of key that there is then */
        return (unsigned)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32); /* Knuth's, by 2^64 */
    }
    return (unsigned)siphash13(&t->key, key, len);
}

bool
table_add(struct table *t, struct table_entry *e, const void *key, size_t len)
{
    const unsigned value = hash(t, key, len); /* the macros evaluate it more than once */
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, t->head, key, len, value, e);
    return e->hh.tbl != NULL;
}

struct table_entry *
table_find(const struct table *t, const void *key, size_t len)
{
    const unsigned value = hash(t, key, len);
    struct table_entry *e;
    HASH_FIND_BYHASHVALUE(hh, t->head, key, len, value, e);
    return e;
}

void
table_remove(struct table *t, struct table_entry *e)
{
    if (e->hh.tbl != NULL) {
        HASH_DELETE(hh, t->head, e);
        e->hh.tbl = NULL;
    }
}

size_t
table_count(const struct table *t)
{
    return HASH_COUNT(t->head);
}
