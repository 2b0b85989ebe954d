/* Free lists: see parts.h. */
#include "broker/core/parts.h"

bool
spares_put(struct spares *spares, struct node *n)
{
    static const size_t count_max = CORE_SPARES_MAX;
    if (spares->count >= count_max) {
        return false;
    }
    list_init(n);
    list_append(&spares->list, n);
    spares->count++;
    return true;
}

/* The one put last: its memory is in the processor's cache. */
struct node *
spares_get(struct spares *spares)
{
    struct node *n = spares->list.prev;
    if (n == &spares->list) {
        return NULL;
    }
    list_remove(n);
    spares->count--;
    return n;
}
