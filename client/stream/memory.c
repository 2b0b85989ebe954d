/* Frames and buffers as values: see <prong/stream.h>.
 *
 * Handles are msgpack ext objects (limits.def): of a frame [stream, generation, number], of a
 * buffer [16 bytes, dtype, shape]. Requests to the hub are made one at a time, under the lock. */
#include "client/stream/inside.h"

#include "proto/wire.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    READERS_MAX = 64, /* streams of which frames were taken; the one used longest ago makes room */
    LINGER_MS_MAX = 600000,
};

struct taker {
    prong_reader *reader; /* NULL: free */
    char stream[LEND_NAME_BYTES];
    uint64_t used;
};

struct prong_memory {
    pthread_mutex_t lock;
    char *url;
    int fd; /* -1: there was no hub when it was last needed */
    pid_t owner;
    uint32_t hold, refs;
    uint64_t uses;
    struct taker takers[READERS_MAX];
    char error[STREAM_TEXT];
};

struct buffer {
    prong_buffer shown; /* first: the program has its address */
    prong_memory *memory;
    uint8_t handle[LEND_HANDLE_BYTES];
};

static struct why
own(prong_memory *m)
{
    return (struct why){m->error, sizeof m->error};
}

prong_err
prong_memory_open(const char *url, uint32_t hold, prong_memory **out, char *text, size_t size)
{
    const struct why why = {text, size};
    if (out == NULL || hold > RING_HOLD_MAX) {
        return fail(why, PRONG_INVALID_ARGUMENT, "hold must be 1 to %d, not %u", RING_HOLD_MAX,
                    hold);
    }
    prong_memory *m = calloc(1, sizeof *m);
    if (m == NULL || pthread_mutex_init(&m->lock, NULL) != 0) {
        free(m);
        return fail(why, PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    m->refs = 1;
    m->fd = -1;
    m->owner = getpid();
    m->hold = hold != 0 ? hold : 1;
    prong_err err = lend_connect(url, &m->fd, why);
    if (err == PRONG_OK && (m->url = strdup(url)) == NULL) {
        err = fail(why, PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    if (err != PRONG_OK) {
        prong_memory_free(m);
        return err;
    }
    *out = m;
    return PRONG_OK;
}

/* Unlocks; frees with the last. */
static void
unref(prong_memory *m)
{
    const bool is_last = --m->refs == 0;
    (void)pthread_mutex_unlock(&m->lock);
    if (!is_last) {
        return;
    }
    for (size_t i = 0; i < READERS_MAX; i++) {
        prong_reader_free(m->takers[i].reader);
    }
    if (m->fd >= 0) {
        lend_leave(m->fd, m->owner);
    }
    (void)pthread_mutex_destroy(&m->lock);
    free(m->url);
    free(m);
}

void
prong_memory_free(prong_memory *m)
{
    if (m != NULL) {
        (void)pthread_mutex_lock(&m->lock);
        unref(m);
    }
}

void
prong_memory_error_text(prong_memory *m, char *text, size_t size)
{
    (void)pthread_mutex_lock(&m->lock);
    if (size > 0) {
        (void)snprintf(text, size, "%s", m->error);
    }
    (void)pthread_mutex_unlock(&m->lock);
}

/* ---- buffers ---------------------------------------------------------------------------------
 */

static void
lose_hub(prong_memory *m)
{
    if (m->fd >= 0) {
        lend_leave(m->fd, m->owner);
        m->fd = -1;
    }
}

/* Ask for a buffer, new or there, and map it. With the lock. */
static prong_err
borrow(prong_memory *m, struct lend_record *record, void **map)
{
    int fds[LEND_FDS_MAX];
    const struct lend_record request = *record;
    prong_err err = PRONG_UNAVAILABLE;
    /* Twice: the connection may be that of a hub that is gone. */
    for (int tries = 0; tries < 2 && err == PRONG_UNAVAILABLE; tries++) {
        err = m->fd >= 0 ? PRONG_OK : lend_connect(m->url, &m->fd, own(m));
        if (err == PRONG_OK) {
            *record = request;
            err = lend_ask(m->fd, record, own(m));
        }
        if (err == PRONG_OK) {
            err = lend_answer(m->fd, record, fds, own(m));
        }
        if (err == PRONG_UNAVAILABLE || err == PRONG_DEADLINE_EXCEEDED) {
            lose_hub(m);
        }
    }
    if (err != PRONG_OK) {
        return err;
    }
    /* Whole pages: of these the buffer is the beginning. */
    const size_t pages = ((size_t)record->bytes + RING_PAGE - 1) / RING_PAGE * RING_PAGE;
    *map = record->op == LEND_BUFFER && record->fds == 1 ? lend_map(fds[0], pages, true) : NULL;
    pass_close(fds, record->fds);
    return *map != NULL ? PRONG_OK
                        : fail(own(m), PRONG_RESOURCE_EXHAUSTED, "no memory for %llu bytes",
                               (unsigned long long)record->bytes);
}

static void
give(prong_memory *m, const uint8_t handle[LEND_HANDLE_BYTES], int32_t linger_ms)
{
    struct lend_record record = {.op = LEND_GIVE, .patience_ms = (uint32_t)linger_ms};
    memcpy(record.handle, handle, LEND_HANDLE_BYTES);
    if (m->fd >= 0 && lend_ask(m->fd, &record, (struct why){NULL, 0}) != PRONG_OK) {
        lose_hub(m); /* the end of the connection gives it, too */
    }
}

static prong_err
show_buffer(prong_memory *m, const struct lend_record *record, void *map, const struct shape *shape,
            prong_buffer **out)
{
    struct buffer *b = calloc(1, sizeof *b);
    if (b == NULL) {
        (void)munmap(map, (size_t)record->bytes);
        give(m, record->handle, 0);
        return fail(own(m), PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    b->memory = m;
    b->shown.data = map;
    b->shown.bytes = (size_t)record->bytes;
    b->shown.dims = shape->dims;
    memcpy(b->shown.dtype, shape->dtype, sizeof shape->dtype);
    memcpy(b->shown.shape, shape->shape, sizeof shape->shape);
    memcpy(b->handle, record->handle, sizeof b->handle);
    m->refs++;
    *out = &b->shown;
    return PRONG_OK;
}

prong_err
prong_buffer_new(prong_memory *m, size_t bytes, const prong_frame_info *info, prong_buffer **out)
{
    static const prong_frame_info none = {0};
    struct lend_record record = {.op = LEND_NEW, .bytes = bytes};
    struct shape shape;
    void *map = NULL;
    (void)pthread_mutex_lock(&m->lock);
    prong_err err =
        bytes > 0 && bytes <= LEND_SLOT_BYTES_MAX
            ? shape_check(info != NULL ? info : &none, bytes, &shape, own(m))
            : fail(own(m), PRONG_INVALID_ARGUMENT, "a buffer has 1 to %llu bytes, not %zu",
                   (unsigned long long)LEND_SLOT_BYTES_MAX, bytes);
    if (err == PRONG_OK) {
        err = borrow(m, &record, &map);
    }
    if (err == PRONG_OK) {
        err = show_buffer(m, &record, map, &shape, out);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return err;
}

void
prong_buffer_send(prong_buffer *shown, int32_t linger_ms)
{
    if (shown == NULL) {
        return;
    }
    struct buffer *b = (struct buffer *)shown;
    prong_memory *m = b->memory;
    (void)munmap(shown->data, shown->bytes);
    (void)pthread_mutex_lock(&m->lock);
    give(m, b->handle, linger_ms < 0 ? 0 : linger_ms > LINGER_MS_MAX ? LINGER_MS_MAX : linger_ms);
    free(b);
    unref(m);
}

void
prong_buffer_free(prong_buffer *shown)
{
    prong_buffer_send(shown, 0);
}

/* ---- handles ---------------------------------------------------------------------------------
 */

/* Write what `inside` has as one ext object. */
static void
write_handle(prong_writer *w, prong_writer *inside, int type)
{
    prong_value value;
    if (inside == NULL || prong_writer_finish(inside, &value) != PRONG_OK) {
        prong_writer_ext(w, type, NULL, SIZE_MAX); /* memory is out: its finish says so */
    } else {
        prong_writer_ext(w, type, value.data, value.len);
    }
    prong_writer_free(inside);
}

void
prong_writer_buffer(prong_writer *w, const prong_buffer *b)
{
    prong_writer *inside = prong_writer_new();
    if (inside != NULL) {
        prong_writer_array(inside, 3);
        prong_writer_bin(inside, ((const struct buffer *)b)->handle, LEND_HANDLE_BYTES);
        prong_writer_string(inside, b->dtype);
        prong_writer_array(inside, b->dims);
        for (uint32_t i = 0; i < b->dims; i++) {
            prong_writer_uint(inside, b->shape[i]);
        }
    }
    write_handle(w, inside, WIRE_EXT_BUFFER);
}

void
prong_writer_frame(prong_writer *w, const prong_frame *frame)
{
    prong_writer *inside = prong_writer_new();
    if (inside != NULL) {
        prong_writer_array(inside, 3);
        prong_writer_string(inside, frame_stream(frame));
        prong_writer_uint(inside, frame->generation);
        prong_writer_uint(inside, frame->number);
    }
    write_handle(w, inside, WIRE_EXT_FRAME);
}

/* The three parts of a handle of this type; false when it is none. */
static bool
read_handle(const prong_value *handle, int type, prong_value part[3])
{
    int is = 0;
    prong_value inside;
    return prong_value_ext(handle, &is, &inside.data, &inside.len) && is == type &&
           prong_value_is_whole(&inside) && prong_value_count(&inside) == 3 &&
           prong_value_at(&inside, 0, &part[0]) && prong_value_at(&inside, 1, &part[1]) &&
           prong_value_at(&inside, 2, &part[2]);
}

static bool
read_text(const prong_value *value, char *text, size_t size)
{
    const char *at;
    size_t len;
    if (!prong_value_text(value, &at, &len) || len >= size || memchr(at, '\0', len) != NULL) {
        return false;
    }
    memcpy(text, at, len);
    text[len] = '\0';
    return true;
}

static bool
read_shape(const prong_value part[3], char dtype[RING_DTYPE_BYTES + 1],
           uint64_t shape[RING_DIMS_MAX], uint32_t *dims)
{
    prong_value item;
    *dims = prong_value_count(&part[2]);
    if (!read_text(&part[1], dtype, RING_DTYPE_BYTES + 1) || *dims > RING_DIMS_MAX) {
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
    void *map = NULL;
    (void)pthread_mutex_lock(&m->lock);
    prong_err err = PRONG_OK;
    if (!read_handle(handle, WIRE_EXT_BUFFER, part) || !prong_value_bin(&part[0], &id, &len) ||
        len != LEND_HANDLE_BYTES || !read_shape(part, dtype, dims_of, &info.dims)) {
        err = fail(own(m), PRONG_INVALID_ARGUMENT, "this is no handle of a buffer");
    } else {
        memcpy(record.handle, id, len);
        err = borrow(m, &record, &map);
        err = err == PRONG_NOT_FOUND ? PRONG_DATA_LOSS : err;
    }
    if (err == PRONG_OK) {
        err = shape_check(&info, (size_t)record.bytes, &shape, own(m));
        if (err != PRONG_OK) {
            (void)munmap(map, (size_t)record.bytes);
            give(m, record.handle, 0);
        }
    }
    if (err == PRONG_OK) {
        err = show_buffer(m, &record, map, &shape, out);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return err;
}

/* ---- frames ----------------------------------------------------------------------------------
 */

/* The reader for frames of a stream; opened when it is needed first. With the lock. */
static prong_err
taker_of(prong_memory *m, const char *stream, prong_reader **reader)
{
    struct taker *best = &m->takers[0];
    const prong_reader_options o = {.size_bytes = sizeof o, .hold = m->hold};
    for (size_t i = 0; i < READERS_MAX; i++) {
        struct taker *t = &m->takers[i];
        if (t->reader != NULL && strcmp(t->stream, stream) == 0) {
            t->used = ++m->uses;
            *reader = t->reader;
            return PRONG_OK;
        }
        if (best->reader != NULL && (t->reader == NULL || t->used < best->used)) {
            best = t;
        }
    }
    prong_reader_free(best->reader);
    best->reader = NULL;
    const prong_err err =
        prong_stream_open(m->url, stream, &o, &best->reader, m->error, sizeof m->error);
    if (err != PRONG_OK) {
        return err == PRONG_NOT_FOUND ? PRONG_DATA_LOSS : err;
    }
    (void)snprintf(best->stream, sizeof best->stream, "%s", stream);
    best->used = ++m->uses;
    *reader = best->reader;
    return PRONG_OK;
}

prong_err
prong_frame_take(prong_memory *m, const prong_value *handle, const prong_frame **frame)
{
    prong_value part[3];
    char stream[LEND_NAME_BYTES];
    uint64_t generation, number;
    prong_reader *reader = NULL;
    const prong_frame *found = NULL;
    (void)pthread_mutex_lock(&m->lock);
    prong_err err = PRONG_OK;
    if (!read_handle(handle, WIRE_EXT_FRAME, part) || !read_text(&part[0], stream, sizeof stream) ||
        !prong_value_uint(&part[1], &generation) || !prong_value_uint(&part[2], &number)) {
        err = fail(own(m), PRONG_INVALID_ARGUMENT, "this is no handle of a frame");
    }
    if (err == PRONG_OK) {
        err = taker_of(m, stream, &reader);
    }
    if (err == PRONG_OK) {
        err = prong_reader_number(reader, number, &found);
        if (err != PRONG_OK) {
            err = fail(own(m), err, "%s", prong_reader_error_text(reader));
        }
    }
    if (err == PRONG_OK && found->generation != generation) {
        prong_frame_release(found);
        err = fail(own(m), PRONG_DATA_LOSS, "frame %llu of '%s' is of another generation",
                   (unsigned long long)number, stream);
    }
    if (err == PRONG_OK) {
        *frame = found;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return err;
}
