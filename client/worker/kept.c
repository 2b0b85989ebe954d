/* Calls, and what came of them: an outcome is kept until ACK names its call. See pull.h. */
#include "client/worker/pull_inside.h"

#include <stdlib.h>
#include <string.h>

/* ---- telling --------------------------------------------------------------------------------- */

static bool
may_tell(const struct kept *k)
{
    return !k->told && stream_is_told(k->stream);
}

uint32_t
kept_tellable(const struct pull *p)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->kept_count && p->stream_count > 0; i++) {
        count += may_tell(&p->kept[i]);
    }
    return p->stream_count > 0 ? count : p->untold;
}

static void
write_item(struct pull *p, const struct kept *k)
{
    const struct span payload = buf_span(&k->payload);
    const bool fits = payload.len + REPORT_BYTES <= p->message_bytes;
    write_array(&p->out, 3);
    write_uint(&p->out, k->call);
    write_uint(&p->out, fits && !k->is_error ? WIRE_REPORT_RESULT : WIRE_REPORT_ERROR);
    if (fits && payload.len > 0) {
        pull_write_bytes(p, payload);
        return;
    }
    if (fits) {
        write_nil(&p->out);
        return;
    }
    write_array(&p->out, 4);
    write_uint(&p->out, WIRE_ERR_RESOURCE_EXHAUSTED);
    write_uint(&p->out, WIRE_BEGAN_YES);
    write_text(&p->out, "the outcome is longer than the hub takes in one message");
    write_nil(&p->out);
}

bool
kept_is_due(const struct pull *p, int64_t now_ns)
{
    return kept_tellable(p) > 0 &&
           (!pull_is_busy(p) || p->stopping || now_ns - p->untold_ns >= PULL_TOGETHER_MS * MS_NS);
}

void
kept_write(struct pull *p)
{
    uint64_t bytes = REPORT_BYTES;
    uint32_t count = 0, end = 0;
    while (end < p->kept_count && count < WIRE_REPORT_ITEMS_MAX) {
        const struct kept *k = &p->kept[end];
        const uint64_t more = ITEM_BYTES + k->payload.w - k->payload.r;
        const bool tells = may_tell(k);
        if (tells && count > 0 && bytes + more > p->message_bytes) {
            break;
        }
        bytes += tells ? more : 0;
        count += tells;
        end++;
    }
    pull_write_head(p, WIRE_REPORT);
    write_array(&p->out, count);
    for (uint32_t i = 0; i < end; i++) {
        if (may_tell(&p->kept[i])) {
            write_item(p, &p->kept[i]);
            p->kept[i].told = true;
        }
    }
    p->untold -= count;
}

void
kept_let_go(const struct pull *p, void **held)
{
    if (*held != NULL) {
        p->let_go(*held);
        *held = NULL;
    }
}

void
kept_forget(struct pull *p, uint64_t call)
{
    for (uint32_t i = 0; i < p->kept_count; i++) {
        if (p->kept[i].call == call) {
            stream_free(p, &p->kept[i].stream);
            kept_let_go(p, &p->kept[i].held);
            const struct kept gone = p->kept[i];
            p->untold -= !gone.told;
            p->kept_bytes -= gone.payload.w - gone.payload.r;
            p->kept[i] = p->kept[--p->kept_count];
            p->kept[p->kept_count] = gone; /* its memory is for the next one */
            struct buf *spare = &p->kept[p->kept_count].payload;
            buf_recycle(spare, KEEP_BYTES_EACH);
            if (p->spare_bytes + spare->cap > KEEP_BYTES_ALL) {
                buf_reset(spare, KEEP_BYTES_EACH);
            }
            p->spare_bytes += spare->cap;
            return;
        }
    }
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* items[next] has its outcome. */
static bool
keep(struct pull *p, bool is_error, struct buf *payload)
{
    if (p->kept_count == p->kept_room) {
        const uint32_t room = p->kept_room > 0 ? 2 * p->kept_room : 8;
        struct kept *more = realloc(p->kept, room * sizeof *more);
        if (more == NULL) {
            return false;
        }
        memset(more + p->kept_room, 0, (room - p->kept_room) * sizeof *more);
        p->kept = more;
        p->kept_room = room;
    }
    struct kept *k = &p->kept[p->kept_count];
    p->spare_bytes -= k->payload.cap;
    buf_swap(&k->payload, payload);
    k->call = p->items[p->next++].job.call;
    k->is_error = is_error;
    k->held = p->held;
    p->held = NULL;
    k->told = false;
    k->stream = p->stream;
    if (p->stream != NULL && p->stream->count == 0) {
        stream_free(p, &k->stream); /* the hub has all */
    }
    p->stream = NULL;
    p->kept_count++;
    p->kept_bytes += k->payload.w - k->payload.r;
    p->untold++;
    p->running = false;
    buf_reset(&p->progress, KEEP_BYTES);
    return true;
}

bool
pull_has_work(const struct pull *p)
{
    return !p->running && p->next < p->item_count;
}

bool
pull_begin(struct pull *p, int64_t now_ns, const struct pull_job **job)
{
    p->untold_ns = p->untold == 0 ? now_ns : p->untold_ns;
    while (pull_has_work(p)) {
        const struct item *i = &p->items[p->next];
        if (!i->cancelled && now_ns < i->job.deadline_ns) {
            p->running = true;
            *job = &i->job;
            return true;
        }
        struct buf b = {0};
        write_array(&b, 4);
        write_uint(&b, i->cancelled ? WIRE_ERR_CANCELLED : WIRE_ERR_DEADLINE_EXCEEDED);
        write_uint(&b, WIRE_BEGAN_NO);
        write_text(&b, i->cancelled ? "cancelled before it began"
                                    : "the deadline passed before it began");
        write_nil(&b);
        const bool is_kept = !b.failed && keep(p, true, &b);
        buf_deinit(&b);
        if (!is_kept) {
            p->dead = true; /* no memory: it stays, and is tried again */
            return false;
        }
    }
    return false;
}

bool
pull_is_cancelled(const struct pull *p)
{
    return p->running && p->items[p->next].cancelled;
}

void
pull_progress(struct pull *p, struct span payload)
{
    if (p->running) {
        buf_recycle(&p->progress, KEEP_BYTES);
        buf_put(&p->progress, payload.data, payload.len);
    }
}

void
pull_hold(struct pull *p, void *held)
{
    p->held = held;
}

bool
pull_end(struct pull *p, bool is_error, struct buf *payload)
{
    return p->running && !payload->failed && keep(p, is_error, payload);
}
