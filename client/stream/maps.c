/* Maps that are kept: see maps.h. */
#include "client/stream/maps.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

static void
remove_at(struct maps *m, uint32_t i)
{
    m->bytes -= m->list[i].size;
    m->count--;
    memmove(&m->list[i], &m->list[i + 1], (m->count - i) * sizeof m->list[0]);
}

void *
maps_take(struct maps *m, uint64_t number, size_t size)
{
    for (uint32_t i = m->count; i-- > 0;) {
        const struct map found = m->list[i];
        if (found.number == number && found.size == size) {
            remove_at(m, i);
            if (mprotect(found.at, size, PROT_READ | PROT_WRITE) == 0) {
                return found.at;
            }
            (void)munmap(found.at, size); /* whole, so it cannot fail */
        }
    }
    return NULL;
}

void
maps_drop(struct maps *m, int64_t before_ns)
{
    while (m->count > 0 && (m->list[0].since_ns < before_ns || m->bytes > m->bytes_max)) {
        (void)munmap(m->list[0].at, m->list[0].size); /* whole, so it cannot fail */
        remove_at(m, 0);
    }
}

bool
maps_keep(struct maps *m, const struct map *map)
{
    if (map->size > m->bytes_max) {
        return munmap(map->at, map->size) == 0;
    }
    /* Not only unused: a pointer that a program kept would write into what somebody else, whom the
     * memory was lent to next, has in it. So it faults, as it does when there is no map. */
    if (mprotect(map->at, map->size, PROT_NONE) != 0) {
        return munmap(map->at, map->size) == 0;
    }
    if (m->count == MAPS_MAX) {
        maps_drop(m, m->list[0].since_ns + 1);
    }
    m->list[m->count++] = *map;
    m->bytes += map->size;
    maps_drop(m, INT64_MIN);
    return true;
}

/* A fork is the process's, and nothing but a handler tells the parent of it. */
static atomic_uint_fast64_t fork_count;
static atomic_uint forking; /* the child may be there already */
static atomic_bool is_blind;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
begin_fork(void)
{
    atomic_fetch_add(&forking, 1);
}

static void
end_fork(void)
{
    atomic_fetch_add(&fork_count, 1);
    atomic_fetch_sub(&forking, 1);
}

static void
begin_child(void)
{
    atomic_fetch_add(&fork_count, 1);
    atomic_store(&forking, 0); /* other threads that forked are not here */
}

static void
watch_forks(void)
{
    /* Fails when memory is out. */
    atomic_store(&is_blind, pthread_atfork(begin_fork, end_fork, begin_child) != 0);
}

uint64_t
maps_forks(void)
{
    (void)pthread_once(&once, watch_forks); /* cannot fail */
    return atomic_load(&fork_count);
}

bool
maps_forked_since(uint64_t forks)
{
    return atomic_load(&is_blind) || atomic_load(&forking) != 0 ||
           atomic_load(&fork_count) != forks;
}
