/* Buffers: see <prong/stream.h>.
 *
 * Memory that the hub lends again, to the one who had it made first, is still mapped here, and
 * where it was sent to: such maps are kept while nobody holds a buffer in it (maps.h). */
#include "client/stream/memory.h"
#include "client/value/writer.h"

#include "proto/clock/clock.h"
#include "proto/wire.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    LINGER_MS_MAX = 600000,
    RESULT_LINGER_MS = 60000, /* of what was written to a result, for its caller */
    LINGER_BY_RESULTS = -1,   /* so long if there is such a result, else not at all */
    KEEP_MS = 2000,           /* of a map; the hub lends memory again no later than that */
    NS_PER_MS = 1000000,
};

struct buffer {
    prong_buffer shown; /* first: the program has its address */
    prong_memory *memory;
    uint8_t handle[LEND_HANDLE_BYTES];
    size_t size;     /* of the map, in whole pages: of these the buffer is the beginning */
    uint64_t number; /* of its memory; 0: it is not lent again */
    uint64_t hub;    /* whose it is: how many connections were lost before */
    uint64_t forks;  /* that there were when it was mapped */
    uint32_t taken;  /* times until then, by anybody */
    uint32_t written, results; /* handles of it that somebody may take; those of them in results */
    uint32_t refs;             /* the program's, and one for each result that is not sent yet */
    bool is_unsent;            /* some results never got to anybody */
    int32_t linger_ms;         /* what the program said when it let go of it */
};

/* ---- having one ------------------------------------------------------------------------------
 */

/* Ask for a buffer, new or there, and map it. With the lock. `b` is not in use before. */
static prong_err
borrow(prong_memory *m, struct lend_record *record, struct buffer *b)
{
    int fd;
    const prong_err err = memory_borrow(m, record, &fd);
    if (err != PRONG_OK) {
        return err;
    }
    *b = (struct buffer){
        .memory = m,
        .size = ((size_t)record->bytes + RING_PAGE - 1) / RING_PAGE * RING_PAGE,
        .number = record->generation,
        .hub = m->hubs,
        .forks = maps_forks(),
        .taken = record->index,
        .refs = 1,
        .shown.bytes = (size_t)record->bytes,
    };
    memcpy(b->handle, record->handle, sizeof b->handle);
    b->shown.data = b->number != 0 ? maps_take(&m->maps, b->number, b->size) : NULL;
    if (b->shown.data == NULL) {
        b->shown.data = lend_map(fd, b->size, true);
    }
    (void)close(fd);
    if (b->shown.data != NULL) {
        return PRONG_OK;
    }
    record->index = 1;
    memory_give(m, record);
    return fail(memory_why(m), PRONG_RESOURCE_EXHAUSTED, "no memory for %zu bytes", b->shown.bytes);
}

/* Have the hub let go of it. With the lock. */
static void
let_go(struct buffer *b, int32_t linger_ms)
{
    prong_memory *m = b->memory;
    const int64_t now_ns = clock_mono_ns();
    const struct map map = {b->number, b->shown.data, b->size, now_ns};
    struct lend_record record = {
        .hold = b->taken + b->written, .numbers = {b->written}, .patience_ms = (uint32_t)linger_ms};
    memcpy(record.handle, b->handle, sizeof b->handle);
    maps_drop(&m->maps, now_ns - (int64_t)KEEP_MS * NS_PER_MS);
    if (m->owner != getpid()) {
        (void)munmap(map.at, map.size); /* of a child; what the hub lent is its parent's */
        return;
    }
    if (map.number != 0 && b->hub == m->hubs && map.size <= m->maps.bytes_max &&
        !maps_forked_since(b->forks)) {
        record.index = maps_keep(&m->maps, &map) && !maps_forked_since(b->forks);
    } else {
        (void)munmap(map.at, map.size);
    }
    memory_give(m, &record);
}

/* The end of making or taking one: it is the program's, or freed when that failed. Unlocks `m`. */
static prong_err
hand_out(prong_memory *m, struct buffer *b, prong_err err, const struct shape *shape,
         prong_buffer **out)
{
    if (err == PRONG_OK) {
        b->shown.dims = shape->dims;
        memcpy(b->shown.dtype, shape->dtype, sizeof shape->dtype);
        memcpy(b->shown.shape, shape->shape, sizeof shape->shape);
        memory_ref(m);
        *out = &b->shown;
        b = NULL;
    }
    (void)pthread_mutex_unlock(&m->lock);
    free(b);
    return err;
}

prong_err
prong_buffer_new(prong_memory *m, size_t bytes, const prong_frame_info *info, prong_buffer **out)
{
    static const prong_frame_info none = {0};
    struct lend_record record = {.op = LEND_NEW, .bytes = bytes};
    struct shape shape;
    struct buffer *b = malloc(sizeof *b);
    (void)pthread_mutex_lock(&m->lock);
    prong_err err =
        b == NULL ? fail(memory_why(m), PRONG_RESOURCE_EXHAUSTED, "out of memory")
        : bytes > 0 && bytes <= LEND_SLOT_BYTES_MAX
            ? shape_check(info != NULL ? info : &none, bytes, &shape, memory_why(m))
            : fail(memory_why(m), PRONG_INVALID_ARGUMENT, "a buffer has 1 to %llu bytes, not %zu",
                   (unsigned long long)LEND_SLOT_BYTES_MAX, bytes);
    if (err == PRONG_OK) {
        err = borrow(m, &record, b);
    }
    return hand_out(m, b, err, &shape, out);
}

/* One less of those that use it. With the lock, which it lets go of. */
static void
unref(struct buffer *b)
{
    prong_memory *m = b->memory;
    if (--b->refs > 0) {
        (void)pthread_mutex_unlock(&m->lock);
        return;
    }
    const bool is_result_only = b->linger_ms == LINGER_BY_RESULTS;
    const int32_t linger_ms = is_result_only ? RESULT_LINGER_MS : b->linger_ms;
    const bool has_taker = is_result_only ? b->results > 0 : b->written > 0 || !b->is_unsent;
    let_go(b, has_taker ? linger_ms : 0);
    free(b);
    memory_unref(m);
}

static void
program_lets_go(prong_buffer *shown, int32_t linger_ms)
{
    if (shown != NULL) {
        struct buffer *b = (struct buffer *)shown;
        (void)pthread_mutex_lock(&b->memory->lock);
        b->linger_ms = linger_ms;
        unref(b);
    }
}

void
prong_buffer_send(prong_buffer *shown, int32_t linger_ms)
{
    program_lets_go(shown, linger_ms < 0               ? 0
                           : linger_ms > LINGER_MS_MAX ? LINGER_MS_MAX
                                                       : linger_ms);
}

void
prong_buffer_free(prong_buffer *shown)
{
    program_lets_go(shown, LINGER_BY_RESULTS);
}

/* A result with a handle of it was sent, or never will be. */
static void
end_result(void *thing, bool is_sent)
{
    struct buffer *b = thing;
    (void)pthread_mutex_lock(&b->memory->lock);
    if (!is_sent) { /* nobody takes it by that handle */
        b->written--;
        b->results--;
        b->is_unsent = true;
    }
    unref(b);
}

/* Whoever has it is given no pointer into the map, so nothing has to wait: the hub keeps it. */
static const struct writer_kind held_buffer = {.let_go = end_result, .waits = false};

/* ---- handles ---------------------------------------------------------------------------------
 */

/* Of the hub that is there now, or will be soon, when that which lent it is gone. A hub that stays
 * away is waited for once, and not with each buffer: callers may have deadlines, or an event loop.
 * With the lock. */
static prong_err
borrow_again(prong_memory *m, struct buffer *next, size_t bytes)
{
    const int64_t until_ns = m->lost_ns + (int64_t)RENEW_MS * NS_PER_MS;
    struct lend_record record = {.op = LEND_NEW, .bytes = bytes};
    prong_err err = borrow(m, &record, next);
    while (err == PRONG_UNAVAILABLE && stream_left_ms(until_ns) != 0) {
        (void)poll(NULL, 0, RETRY_MS);
        record = (struct lend_record){.op = LEND_NEW, .bytes = bytes};
        err = borrow(m, &record, next);
    }
    return err;
}

/* What a hub lent that is gone nobody can take any more. So before it is passed it becomes memory
 * of the hub that is there now, at the same place and with the same bytes: the program has its
 * address. Who took it before has the memory that it was. When that fails, whoever is to take it is
 * told that it is gone. */
static void
renew(struct buffer *b)
{
    prong_memory *m = b->memory;
    struct buffer next;
    if (m->owner != getpid() || memory_is_of_now(m, b->hub) ||
        borrow_again(m, &next, b->shown.bytes) != PRONG_OK) {
        return;
    }
    memcpy(next.shown.data, b->shown.data, b->shown.bytes);
    if (next.size != b->size ||
        mremap(next.shown.data, next.size, next.size, MREMAP_MAYMOVE | MREMAP_FIXED,
               b->shown.data) == MAP_FAILED) {
        let_go(&next, 0);
        return;
    }
    memcpy(b->handle, next.handle, sizeof b->handle);
    b->number = next.number;
    b->hub = next.hub;
    b->forks = next.forks;
    b->taken = next.taken;
    b->written = b->results = b->refs - 1; /* by results that may still turn out not to be sent */
}

void
prong_writer_buffer(prong_writer *w, const prong_buffer *shown)
{
    struct buffer *b = (struct buffer *)(uintptr_t)shown;
    const bool is_result = writer_has_holder(w);
    (void)pthread_mutex_lock(&b->memory->lock);
    renew(b);
    b->written++;
    b->results += is_result;
    b->refs += is_result;
    (void)pthread_mutex_unlock(&b->memory->lock);
    prong_writer *inside = prong_writer_new();
    if (inside != NULL) {
        prong_writer_array(inside, 3);
        prong_writer_bin(inside, b->handle, LEND_HANDLE_BYTES);
        prong_writer_string(inside, shown->dtype);
        prong_writer_array(inside, shown->dims);
        for (uint32_t i = 0; i < shown->dims; i++) {
            prong_writer_uint(inside, shown->shape[i]);
        }
    }
    handle_write(w, inside, WIRE_EXT_BUFFER);
    if (is_result) {
        writer_hold(w, &held_buffer, b);
    }
}

static bool
read_shape(const prong_value part[3], char dtype[RING_DTYPE_BYTES + 1],
           uint64_t shape[RING_DIMS_MAX], uint32_t *dims)
{
    prong_value item;
    *dims = prong_value_count(&part[2]);
    if (!handle_text(&part[1], dtype, RING_DTYPE_BYTES + 1) || *dims > RING_DIMS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < *dims; i++) {
        if (!prong_value_at(&part[2], i, &item) || !prong_value_uint(&item, &shape[i])) {
            return false;
        }
    }
    return true;
}

prong_err
prong_buffer_take(prong_memory *m, const prong_value *handle, prong_buffer **out)
{
    struct lend_record record = {.op = LEND_TAKE};
    prong_value part[3];
    char dtype[RING_DTYPE_BYTES + 1];
    uint64_t dims_of[RING_DIMS_MAX];
    const uint8_t *id;
    size_t len;
    struct shape shape;
    prong_frame_info info = {.dtype = dtype, .shape = dims_of};
    struct buffer *b = malloc(sizeof *b);
    (void)pthread_mutex_lock(&m->lock);
    prong_err err = PRONG_OK;
    if (b == NULL) {
        err = fail(memory_why(m), PRONG_RESOURCE_EXHAUSTED, "out of memory");
    } else if (!handle_read(handle, WIRE_EXT_BUFFER, part) ||
               !prong_value_bin(&part[0], &id, &len) || len != LEND_HANDLE_BYTES ||
               !read_shape(part, dtype, dims_of, &info.dims)) {
        err = fail(memory_why(m), PRONG_INVALID_ARGUMENT, "this is no handle of a buffer");
    } else {
        memcpy(record.handle, id, len);
        err = borrow(m, &record, b);
        err = err == PRONG_NOT_FOUND ? PRONG_DATA_LOSS : err;
    }
    if (err == PRONG_OK) {
        err = shape_check(&info, b->shown.bytes, &shape, memory_why(m));
        if (err != PRONG_OK) {
            let_go(b, 0);
        }
    }
    return hand_out(m, b, err, &shape, out);
}
