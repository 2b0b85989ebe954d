/* The hub's side of shared memory: the figures of what is lent. See lender.h. */
#include "broker/shell/lender_inside.h"

#include "proto/clock/clock.h"
#include "proto/write.h"

#include <string.h>
#include <unistd.h>

/* How old its newest frame is; -1 when there is none. Read through the descriptor: only the first
 * page is mapped. */
static int64_t
age_ms(const struct lend_ring *ring)
{
    const uint64_t newest = atomic_load(&lend_ring_head(ring)->newest);
    const uint32_t slot = (uint32_t)(newest & 0xff);
    const off_t at = (off_t)(ring_frame_offset(slot) + offsetof(struct ring_frame, mono_ns));
    int64_t mono_ns = 0;
    if (newest == 0 || slot >= ring->slots ||
        pread(ring->memory.fd, &mono_ns, sizeof mono_ns, at) != (ssize_t)sizeof mono_ns) {
        return -1;
    }
    const int64_t now_ns = clock_mono_ns();
    return mono_ns > 0 && mono_ns < now_ns ? (now_ns - mono_ns) / 1000000 : 0;
}

static void
put(struct buf *b, const char *key, uint64_t number)
{
    write_text(b, key);
    write_uint(b, number);
}

static uint64_t
held_bytes(const struct lend_stream *s)
{
    uint64_t bytes = s->ring.memory.size;
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        bytes += s->seats[i].kind != LEND_SEAT_FREE ? s->seats[i].page.size : 0;
    }
    return bytes;
}

/* Of those that have left, and of those that are there. */
static void
put_readers(struct buf *b, const struct lend_stream *s)
{
    uint64_t taken = s->taken, missed = s->missed;
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if (s->seats[i].kind == LEND_SEAT_READER) {
            const struct ring_desk *desk = s->seats[i].page.page;
            taken += atomic_load(&desk->taken);
            missed += atomic_load(&desk->missed);
        }
    }
    put(b, "readers", s->readers);
    put(b, "taken", taken);
    put(b, "missed", missed);
    put(b, "dropped", s->drops);
}

static bool
is_silent(const struct lender *l, const struct lend_stream *s)
{
    for (size_t i = 0; i < l->watch_count; i++) {
        if (l->watches[i].is_silent && strcmp(l->watches[i].name, s->name) == 0) {
            return true;
        }
    }
    return false;
}

static void
put_stream(struct buf *b, const struct lender *l, const struct lend_stream *s)
{
    static const struct ring_head none;
    const struct ring_head *head = s->ring.slots != 0 ? lend_ring_head(&s->ring) : &none;
    const int64_t age = s->ring.slots != 0 ? age_ms(&s->ring) : -1;
    write_text(b, s->name);
    write_map(b, 15);
    write_text(b, "up");
    write_bool(b, s->writer != NULL);
    write_text(b, "silent");
    write_bool(b, is_silent(l, s));
    put(b, "pid", s->writer != NULL ? (uint64_t)s->writer->pid : 0);
    put(b, "generation", s->ring.generation);
    put(b, "slots", s->ring.slots);
    put(b, "slot_bytes", s->ring.slot_bytes);
    put(b, "memory_bytes", held_bytes(s));
    put(b, "frames", atomic_load(&head->frames));
    put(b, "bytes", atomic_load(&head->bytes));
    put(b, "skipped", atomic_load(&head->skipped));
    write_text(b, "age_ms");
    if (age >= 0) {
        write_uint(b, (uint64_t)age);
    } else {
        write_nil(b);
    }
    put_readers(b, s);
}

void
lender_sum(const struct lender *l, struct hub_lent *out, struct buf *streams)
{
    uint32_t silent = 0;
    for (size_t i = 0; i < l->watch_count; i++) {
        silent += l->watches[i].is_silent;
    }
    for (const struct lend_stream *s = l->streams.first; s != NULL; s = s->next) {
        put_stream(streams, l, s);
    }
    *out = (struct hub_lent){.bytes = l->budget.used_bytes,
                             .bytes_max = l->budget.bytes_max,
                             .buffers = l->buffer_count,
                             .connections = l->peer_count,
                             .silent = silent,
                             .stream_count = l->streams.count,
                             .streams = buf_span(streams)};
}
