/* Frames and buffers as values: see <prong/stream.h>.
 *
 * Handles are msgpack ext objects (limits.def): of a frame [stream, generation, number], of a
 * buffer [16 bytes, dtype, shape]. Requests to the hub are made one at a time, under the lock. */
#include "client/stream/memory.h"
#include "client/stream/reader.h"
#include "client/value/writer.h"

#include "proto/clock/clock.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAPS_BYTES_MAX (256 << 20)

struct why
memory_why(prong_memory *m)
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
    m->maps.bytes_max = MAPS_BYTES_MAX;
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

void
memory_ref(prong_memory *m)
{
    m->refs++;
}

void
memory_unref(prong_memory *m)
{
    const bool is_last = --m->refs == 0;
    (void)pthread_mutex_unlock(&m->lock);
    if (!is_last) {
        return;
    }
    for (size_t i = 0; i < READERS_MAX; i++) {
        prong_reader_free(m->takers[i].reader);
    }
    maps_drop(&m->maps, INT64_MAX);
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
        memory_unref(m);
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

void
prong_memory_keep(prong_memory *m, size_t bytes)
{
    (void)pthread_mutex_lock(&m->lock);
    m->maps.bytes_max = bytes;
    maps_drop(&m->maps, INT64_MIN);
    (void)pthread_mutex_unlock(&m->lock);
}

/* ---- the hub ---------------------------------------------------------------------------------
 */

static void
lose_hub(prong_memory *m)
{
    if (m->fd >= 0) {
        lend_leave(m->fd, m->owner);
        m->fd = -1;
        /* Another hub has other numbers for its memory. What is let go of from now on is of one
         * that is gone, whether or not there is another one yet. */
        m->hubs++;
        m->lost_ns = clock_mono_ns();
        maps_drop(&m->maps, INT64_MAX);
    }
}

static prong_err
of_another(prong_memory *m)
{
    return fail(memory_why(m), PRONG_FAILED_PRECONDITION,
                "this connection to the hub's memory belongs to the process that opened it");
}

/* The answer came, and no descriptor was left for the memory: the hub has lent it all the same.
 * What was to be taken may be tried again, as if one more handle of it was on its way. */
static void
give_back(prong_memory *m, const struct lend_record *answer, bool was_taken)
{
    struct lend_record record = {.numbers = {was_taken}, .index = 1};
    memcpy(record.handle, answer->handle, sizeof record.handle);
    memory_give(m, &record);
}

prong_err
memory_borrow(prong_memory *m, struct lend_record *record, int *fd)
{
    int fds[LEND_FDS_MAX];
    const struct lend_record request = *record;
    prong_err err = PRONG_UNAVAILABLE;
    if (m->owner != getpid()) {
        return of_another(m);
    }
    /* Twice: the connection may be that of a hub that is gone. */
    for (int tries = 0; tries < 2 && err == PRONG_UNAVAILABLE; tries++) {
        err = m->fd >= 0 ? PRONG_OK : lend_connect(m->url, &m->fd, memory_why(m));
        if (err == PRONG_OK) {
            *record = request;
            err = lend_ask(m->fd, record, memory_why(m));
        }
        if (err == PRONG_OK) {
            err = lend_answer(m->fd, record, fds, memory_why(m));
        }
        if (err == PRONG_UNAVAILABLE || err == PRONG_DEADLINE_EXCEEDED) {
            lose_hub(m);
        }
    }
    if (err == PRONG_RESOURCE_EXHAUSTED && record->op == LEND_BUFFER) {
        give_back(m, record, request.op == LEND_TAKE);
    }
    if (err == PRONG_OK && (record->op != LEND_BUFFER || record->fds != 1)) {
        pass_close(fds, record->fds);
        err = fail(memory_why(m), PRONG_INTERNAL, "the hub lent no memory");
    }
    if (err == PRONG_OK) {
        *fd = fds[0];
    }
    return err;
}

bool
memory_is_of_now(prong_memory *m, uint64_t hub)
{
    char byte;
    const ssize_t got = m->fd >= 0 ? recv(m->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 0;
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        lose_hub(m);
    }
    return hub == m->hubs;
}

void
memory_give(prong_memory *m, struct lend_record *record)
{
    record->op = LEND_GIVE;
    if (m->fd >= 0 && lend_ask(m->fd, record, (struct why){NULL, 0}) != PRONG_OK) {
        lose_hub(m); /* the end of the connection gives it, too */
    }
}

/* ---- handles ---------------------------------------------------------------------------------
 */

void
handle_write(prong_writer *w, prong_writer *inside, int type)
{
    prong_value value;
    if (inside == NULL || prong_writer_finish(inside, &value) != PRONG_OK) {
        prong_writer_ext(w, type, NULL, SIZE_MAX); /* memory is out: its finish says so */
    } else {
        prong_writer_ext(w, type, value.data, value.len);
    }
    prong_writer_free(inside);
}

static void
release(void *frame, bool is_sent)
{
    (void)is_sent;
    prong_frame_release(frame);
}

static const struct writer_kind held_frame = {.let_go = release, .waits = true};

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
    handle_write(w, inside, WIRE_EXT_FRAME);
    if (writer_has_holder(w)) {
        frame_ref(frame);
        writer_hold(w, &held_frame, (void *)(uintptr_t)frame);
    }
}

bool
handle_read(const prong_value *handle, int type, prong_value part[3])
{
    int is = 0;
    prong_value inside;
    return prong_value_ext(handle, &is, &inside.data, &inside.len) && is == type &&
           prong_value_is_whole(&inside) && prong_value_count(&inside) == 3 &&
           prong_value_at(&inside, 0, &part[0]) && prong_value_at(&inside, 1, &part[1]) &&
           prong_value_at(&inside, 2, &part[2]);
}

bool
handle_text(const prong_value *value, char *text, size_t size)
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
    if (m->owner != getpid()) {
        err = of_another(m);
    } else if (!handle_read(handle, WIRE_EXT_FRAME, part) ||
               !handle_text(&part[0], stream, sizeof stream) ||
               !prong_value_uint(&part[1], &generation) || !prong_value_uint(&part[2], &number)) {
        err = fail(memory_why(m), PRONG_INVALID_ARGUMENT, "this is no handle of a frame");
    }
    if (err == PRONG_OK) {
        err = taker_of(m, stream, &reader);
    }
    if (err == PRONG_OK) {
        err = reader_find(reader, number, generation, ANSWER_MS, &found);
        if (err != PRONG_OK) {
            err = fail(memory_why(m), err, "%s", prong_reader_error_text(reader));
        }
    }
    if (err == PRONG_OK) {
        *frame = found;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return err;
}
