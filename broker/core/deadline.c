/* Deadlines: see deadline.h. */
#include "broker/core/deadline.h"

#include <stdlib.h>

static void
put(struct deadlines *all, size_t i, struct deadline *d)
{
    all->heap[i] = d;
    d->place = (uint32_t)(i + 1); /* what may wait has limits far below 2^32 */
}

static void
sift_up(struct deadlines *all, size_t i, struct deadline *d)
{
    while (i > 0 && all->heap[(i - 1) / 2]->at_ns > d->at_ns) {
        put(all, i, all->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(all, i, d);
}

static void
sift_down(struct deadlines *all, size_t i, struct deadline *d)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= all->count) {
            break;
        }
        if (child + 1 < all->count && all->heap[child + 1]->at_ns < all->heap[child]->at_ns) {
            child++;
        }
        if (all->heap[child]->at_ns >= d->at_ns) {
            break;
        }
        put(all, i, all->heap[child]);
        i = child;
    }
    put(all, i, d);
}

bool
deadline_set(struct deadlines *all, struct deadline *d, enum deadline_kind kind, int64_t at_ns)
{
    if (d->place == 0) {
        if (all->count == all->cap) {
            const size_t cap = all->cap > 0 ? all->cap * 2 : 64;
            struct deadline **heap = realloc(all->heap, cap * sizeof(struct deadline *));
            if (heap == NULL) {
                return false;
            }
            all->heap = heap;
            all->cap = cap;
        }
        d->kind = kind;
        d->at_ns = at_ns;
        sift_up(all, all->count++, d);
        return true;
    }
    const bool later = at_ns > d->at_ns;
    d->at_ns = at_ns;
    if (later) {
        sift_down(all, d->place - 1, d);
    } else {
        sift_up(all, d->place - 1, d);
    }
    return true;
}

void
deadline_clear(struct deadlines *all, struct deadline *d)
{
    if (d->place == 0) {
        return;
    }
    const size_t i = d->place - 1;
    struct deadline *last = all->heap[--all->count];
    d->place = 0;
    if (last == d) {
        return;
    }
    /* The last one fills the hole and may have to go either way from there. */
    if (i > 0 && all->heap[(i - 1) / 2]->at_ns > last->at_ns) {
        sift_up(all, i, last);
    } else {
        sift_down(all, i, last);
    }
}

struct deadline *
deadline_first(const struct deadlines *all)
{
    return all->count > 0 ? all->heap[0] : NULL;
}

bool
deadline_is_heap(const struct deadlines *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->heap[i]->place != i + 1 ||
            (i > 0 && all->heap[(i - 1) / 2]->at_ns > all->heap[i]->at_ns)) {
            return false;
        }
    }
    return true;
}

void
deadline_deinit(struct deadlines *all)
{
    free(all->heap);
    *all = (struct deadlines){0};
}
