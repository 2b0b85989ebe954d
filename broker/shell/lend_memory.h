/* Memory that is lent: memfds of a fixed size, within one budget for all of them.
 *
 * Pages are charged to whom touches them first, so the budget is of what may be touched. Memory
 * that was given back and that somebody still maps is not in it any more, nor is what was set aside
 * to be lent again, which has a bound of its own (lender_buffers.c). Runs on the loop thread;
 * large memory is freed by a thread of its own, because that takes 0.2 s for each GiB. */
#ifndef PRONG_SHELL_LEND_MEMORY_H
#define PRONG_SHELL_LEND_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ring/lend.h"

struct lend_budget {
    uint64_t used_bytes, bytes_max;
};

struct lend_memory {
    int fd;      /* -1: there is none */
    size_t size; /* in bytes, a multiple of RING_PAGE */
    void *page;  /* the first page, to read and write; NULL where nobody asked for it */
};

#define LEND_MEMORY_NONE ((struct lend_memory){.fd = -1})

/* Make memory of this size (rounded up to pages), all zero; with `has_page` its first page is
 * mapped. 0, or the code of the refusal (enum wire_error) with a text for people. */
uint32_t lend_memory_make(struct lend_budget *budget, const char *name, size_t bytes, bool has_page,
                          struct lend_memory *out, char why[LEND_WHY_BYTES]);
/* Whether so much more fits, when `less` is given back first; else the refusal as above. */
uint32_t lend_memory_fits(const struct lend_budget *budget, uint64_t more, uint64_t less,
                          char why[LEND_WHY_BYTES]);
/* Give it back; accepts LEND_MEMORY_NONE, and leaves that. */
void lend_memory_drop(struct lend_budget *budget, struct lend_memory *memory);
/* Have it stay for a while, outside of the budget, and lend it again: when it fits. */
void lend_memory_set_aside(struct lend_budget *budget, const struct lend_memory *memory);
void lend_memory_use_again(struct lend_budget *budget, const struct lend_memory *memory);
/* Free memory that was set aside, and its pages even where it is still mapped. */
void lend_memory_discard(struct lend_memory *memory);

#endif
