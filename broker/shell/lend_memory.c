/* Memory that is lent: see lend_memory.h. */
#include "broker/shell/lend_memory.h"

#include "proto/ring/pass.h"
#include "proto/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLOSE_AT_ONCE_BYTES = 16 << 20, STACK_BYTES = 256 << 10 };

static uint64_t
rounded(uint64_t bytes)
{
    return (bytes + RING_PAGE - 1) / RING_PAGE * RING_PAGE;
}

uint32_t
lend_memory_fits(const struct lend_budget *budget, uint64_t more, uint64_t less,
                 char why[LEND_WHY_BYTES])
{
    const uint64_t kept = budget->used_bytes - less;
    if (rounded(more) <= budget->bytes_max && kept <= budget->bytes_max - rounded(more)) {
        return 0;
    }
    (void)snprintf(why, LEND_WHY_BYTES,
                   "%llu bytes do not fit: the hub lends at most %llu (hub: memory_max), and %llu "
                   "are lent",
                   (unsigned long long)more, (unsigned long long)budget->bytes_max,
                   (unsigned long long)kept);
    return WIRE_ERR_RESOURCE_EXHAUSTED;
}

uint32_t
lend_memory_make(struct lend_budget *budget, const char *name, size_t bytes, bool has_page,
                 struct lend_memory *out, char why[LEND_WHY_BYTES])
{
    struct lend_memory memory = {.size = (size_t)rounded(bytes)};
    memory.fd = pass_memory(name, memory.size);
    if (memory.fd >= 0 && has_page) {
        memory.page = mmap(NULL, RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0);
    }
    if (memory.fd < 0 || memory.page == MAP_FAILED) {
        (void)snprintf(why, LEND_WHY_BYTES, "the hub has no memory to lend: %s", strerror(errno));
        if (memory.fd >= 0) {
            (void)close(memory.fd);
        }
        return WIRE_ERR_RESOURCE_EXHAUSTED;
    }
    budget->used_bytes += memory.size;
    *out = memory;
    return 0;
}

static void *
close_it(void *fd)
{
    (void)close((int)(intptr_t)fd); /* nothing was written to it */
    return NULL;
}

/* Its pages go although there are maps of it, in which zeros are seen from now on. */
static void *
empty_it(void *fd)
{
    struct stat st;
    if (fstat((int)(intptr_t)fd, &st) != 0 ||
        fallocate((int)(intptr_t)fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size) !=
            0) {
        /* Then they go with the last map. */
    }
    return close_it(fd);
}

/* In a thread; false when there can be none. */
static bool
run_apart(void *(*function)(void *fd), int fd)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    /* Signals are for the loop. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool ok = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
                    pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
                    pthread_create(&thread, &attributes, function, (void *)(intptr_t)fd) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return ok;
}

/* Large memory takes long. */
static void
let_go(struct lend_memory *memory, void *(*function)(void *fd))
{
    if (memory->page != NULL) {
        (void)munmap(memory->page, RING_PAGE);
    }
    if (memory->size < CLOSE_AT_ONCE_BYTES || !run_apart(function, memory->fd)) {
        (void)function((void *)(intptr_t)memory->fd);
    }
    *memory = LEND_MEMORY_NONE;
}

void
lend_memory_drop(struct lend_budget *budget, struct lend_memory *memory)
{
    if (memory->fd < 0) {
        return;
    }
    budget->used_bytes -= memory->size;
    let_go(memory, close_it);
}

void
lend_memory_set_aside(struct lend_budget *budget, const struct lend_memory *memory)
{
    budget->used_bytes -= memory->size;
}

void
lend_memory_use_again(struct lend_budget *budget, const struct lend_memory *memory)
{
    budget->used_bytes += memory->size;
}

void
lend_memory_discard(struct lend_memory *memory)
{
    let_go(memory, empty_it);
}
