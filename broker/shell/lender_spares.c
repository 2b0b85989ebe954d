/* The hub's side of shared memory: what came back and is lent again. See lender.h.
 *
 * Fresh memory costs a page fault for each page on either side, ten times what the copy costs. So a
 * buffer that all have let go of waits a moment for the one that it was made for, who mostly wants
 * one of the same size next, and still has it mapped, as those have it was sent to. It is never
 * lent to another one first: what a program left in its memory is nobody's business but of those
 * that it sends something to. */
#include "broker/shell/lender_inside.h"

#include <stdlib.h>

enum {
    SPARES_MAX = 64,
    SPARE_MS = 2000, /* who does not come back within that can do with fresh memory */
};
#define SPARE_BYTES_MAX (UINT64_C(256) << 20)

/* Free this one and all that are older. */
static void
discard_from(struct lender *l, struct lend_buffer **at)
{
    while (*at != NULL) {
        struct lend_buffer *gone = *at;
        *at = gone->next;
        l->spare_count--;
        l->spare_bytes -= gone->memory.size;
        lend_memory_discard(&gone->memory);
        free(gone);
    }
}

/* Those that are too many or too much, the oldest first: the list begins with the newest. */
static void
keep_bounds(struct lender *l)
{
    struct lend_buffer **at = &l->spares;
    uint64_t bytes = 0;
    for (uint32_t count = 0; *at != NULL && count < SPARES_MAX; count++) {
        bytes += (*at)->memory.size;
        if (bytes > SPARE_BYTES_MAX) {
            break;
        }
        at = &(*at)->next;
    }
    discard_from(l, at);
}

int64_t
lender_spare_add(struct lender *l, struct lend_buffer *buffer, int64_t now_ns)
{
    lend_memory_set_aside(&l->budget, &buffer->memory);
    buffer->keep_until_ns = now_ns + (int64_t)SPARE_MS * 1000000;
    buffer->next = l->spares;
    l->spares = buffer;
    l->spare_count++;
    l->spare_bytes += buffer->memory.size;
    const int64_t until_ns = buffer->keep_until_ns;
    keep_bounds(l);
    return until_ns;
}

struct lend_buffer *
lender_spare_take(const struct lend_peer *p, uint64_t bytes)
{
    struct lender *l = p->lender;
    for (struct lend_buffer **at = &l->spares; *at != NULL; at = &(*at)->next) {
        struct lend_buffer *b = *at;
        if (b->maker == p && b->memory.size - bytes < RING_PAGE && b->memory.size >= bytes) {
            *at = b->next;
            l->spare_count--;
            l->spare_bytes -= b->memory.size;
            lend_memory_use_again(&l->budget, &b->memory);
            return b;
        }
    }
    return NULL;
}

int64_t
lender_spares_expire(struct lender *l, int64_t now_ns)
{
    struct lend_buffer **at = &l->spares;
    int64_t next_ns = 0;
    while (*at != NULL && (*at)->keep_until_ns > now_ns) {
        next_ns = (*at)->keep_until_ns; /* the last one is the first to go */
        at = &(*at)->next;
    }
    discard_from(l, at);
    return next_ns;
}

void
lender_spares_leave(const struct lend_peer *p)
{
    struct lender *l = p->lender;
    struct lend_buffer *gone = NULL, **end = &gone;
    for (struct lend_buffer **at = &l->spares; *at != NULL;) {
        struct lend_buffer *b = *at;
        if (b->maker == p) {
            *at = b->next;
            b->next = NULL;
            *end = b;
            end = &b->next;
        } else {
            at = &b->next;
        }
    }
    discard_from(l, &gone);
}
