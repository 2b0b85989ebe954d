/* Deadlines: a binary heap whose items know their place, so that any of them is moved or taken out
 * in logarithmic time (the idea is beanstalkd's heap.c). Items stand inside their owners. */
#ifndef PRONG_CORE_DEADLINE_H
#define PRONG_CORE_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum deadline_kind {
    DEADLINE_TICKET,
    DEADLINE_CALL,
    DEADLINE_REPLICA,
    DEADLINE_RENEWAL,
    DEADLINE_VIGIL,
    DEADLINE_USAGE,
    DEADLINE_CLIENT,
    DEADLINE_PEER,
    DEADLINE_LEASE,
    DEADLINE_POISON,
    DEADLINE_SILENCE,
    DEADLINE_KINDS
};

/* All zero: not in any heap. */
struct deadline {
    int64_t at_ns;
    uint32_t place; /* index in the heap + 1, 0 when not in it */
    enum deadline_kind kind;
};

struct deadlines {
    struct deadline **heap;
    size_t count, cap;
};

/* Set or move. false when memory is out; a deadline that was set before stays as it was. */
bool deadline_set(struct deadlines *all, struct deadline *d, enum deadline_kind kind,
                  int64_t at_ns);
/* Take out; nothing happens when it is not in. */
void deadline_clear(struct deadlines *all, struct deadline *d);
/* The earliest, or NULL. */
struct deadline *deadline_first(const struct deadlines *all);
bool deadline_is_heap(const struct deadlines *all);
void deadline_deinit(struct deadlines *all);

#endif
