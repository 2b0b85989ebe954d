/* Maps of buffers that were let go of: the hub lends the same memory again, and who still has it
 * mapped needs no page fault for it. Nothing can be reached through them meanwhile.
 *
 * Bounded in number, bytes and time. Used under the lock of whoever owns it. */
#ifndef PRONG_CLIENT_STREAM_MAPS_H
#define PRONG_CLIENT_STREAM_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAPS_MAX = 32 };

struct map {
    uint64_t number; /* of the memory, by the hub */
    void *at;
    size_t size; /* in bytes, whole pages */
    int64_t since_ns;
};

struct maps {
    struct map list[MAPS_MAX]; /* the oldest first */
    uint32_t count;
    size_t bytes, bytes_max;
};

/* The map of this memory, to read and write; NULL when there is none. */
void *maps_take(struct maps *m, uint64_t number, size_t size);
/* Keep it out of reach, or end it when there is no room; moved. false: it may still be reached. */
bool maps_keep(struct maps *m, const struct map *map);
/* End those that are older than this, all of them with INT64_MAX, and what is beyond the bounds. */
void maps_drop(struct maps *m, int64_t before_ns);

/* How often this process has forked, and whether it has since, or just does: then a child has a
 * map, too, of what was mapped at that time. To be asked when there is no map any more that a child
 * that comes after the answer could have. Any thread. */
uint64_t maps_forks(void);
bool maps_forked_since(uint64_t forks);

#endif
