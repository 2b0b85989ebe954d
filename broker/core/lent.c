/* Streams and lent memory, as events: see lent.h. */
#include "broker/core/parts.h"

#include <stdio.h>

static const enum hub_event events[] = {
    [HUB_STREAM_STARTED] = HUB_EVENT_stream_started,
    [HUB_STREAM_STOPPED] = HUB_EVENT_stream_stopped,
    [HUB_STREAM_CHANGED] = HUB_EVENT_stream_changed,
    [HUB_STREAM_DROPPED] = HUB_EVENT_stream_dropped,
    [HUB_STREAM_SILENT] = HUB_EVENT_stream_silent,
    [HUB_STREAM_HEARD] = HUB_EVENT_stream_heard,
};

enum { WHO_BYTES = 96 };

/* A replica by its name, another process by its number. */
static void
put_who(struct hub *hub, const struct hub_lent_news *n, char out[WHO_BYTES])
{
    const struct replica *r =
        n->pid > 0 ? replica_of_process(hub, hub_process_of_pid(hub, n->pid)) : NULL;
    out[0] = '\0'; /* a group is nobody */
    if (r != NULL) {
        replica_name(r, out);
    } else if (n->pid > 0) {
        (void)snprintf(out, WHO_BYTES, "pid %d uid %u", (int)n->pid, (unsigned)n->uid);
    }
}

static void
put_text(struct buf *b, const char *key, const char *text)
{
    write_text(b, key);
    write_text(b, text);
}

static void
put_number(struct buf *b, const char *key, uint64_t number)
{
    write_text(b, key);
    write_uint(b, number);
}

/* Whether it is told, of the kinds that peers cause. */
static bool
may_tell(struct hub *hub)
{
    const int64_t each_ns = INT64_C(1000) * NS_PER_MS / LENT_NEWS_PER_SECOND;
    struct lent *lent = &hub->lent;
    const int64_t full_ns = lent->full_ns > hub->now_ns ? lent->full_ns : hub->now_ns;
    if (full_ns + each_ns > hub->now_ns + each_ns * LENT_NEWS_BURST) {
        lent->untold++;
        return false;
    }
    lent->full_ns = full_ns + each_ns;
    return true;
}

/* What all of these kinds have. */
static void
put_common(struct hub *hub, const struct hub_lent_news *n)
{
    struct buf *b = &hub->scratch;
    char who[WHO_BYTES];
    put_who(hub, n, who);
    put_text(b, "stream", n->stream);
    put_number(b, "pid", n->pid > 0 ? (uint64_t)n->pid : 0);
    put_number(b, "untold", hub->lent.untold);
    put_text(b, "who", who);
    hub->lent.untold = 0;
}
enum { COMMON = 4 };

static void
tell_silence(struct buf *b, const struct hub_lent_news *n)
{
    const bool is_begin = n->kind == HUB_STREAM_SILENT;
    write_map(b, is_begin ? 3 : 2);
    put_text(b, "stream", n->stream);
    put_number(b, "silent_ms", n->silent_ms);
    if (is_begin) {
        put_number(b, "number", n->number);
    }
}

static void
tell_writer(struct hub *hub, const struct hub_lent_news *n)
{
    struct buf *b = &hub->scratch;
    const bool has_ring = n->kind != HUB_STREAM_STOPPED;
    const bool has_reason = n->kind != HUB_STREAM_CHANGED;
    write_map(b, COMMON + 2U + has_reason + 2U * has_ring);
    put_common(hub, n);
    put_number(b, "generation", n->generation);
    put_number(b, "number", n->number);
    if (has_ring) {
        put_number(b, "slots", n->slots);
        put_number(b, "slot_bytes", n->slot_bytes);
    }
    if (has_reason) {
        put_text(b, "reason", n->reason);
    }
}

static void
tell(struct hub *hub, const struct hub_lent_news *n)
{
    struct buf *b = &hub->scratch;
    const bool is_silence = n->kind == HUB_STREAM_SILENT || n->kind == HUB_STREAM_HEARD;
    if (!is_silence && !may_tell(hub)) {
        return;
    }
    buf_reset(b, SIZE_MAX);
    if (is_silence) {
        tell_silence(b, n);
    } else if (n->kind == HUB_STREAM_DROPPED) {
        write_map(b, COMMON + 1U);
        put_common(hub, n);
        put_text(b, "group", n->group);
    } else {
        tell_writer(hub, n);
    }
    hub_event(hub, events[n->kind], buf_span(b));
}

void
lent_take(struct hub *hub, const struct hub_input *in)
{
    char who[WHO_BYTES];
    if (in->lent.kind == HUB_MEMORY_REFUSED) {
        put_who(hub, &in->lent, who);
        hub_limit(hub, LIMIT_MEMORY, in->lent.stream, who);
    } else {
        tell(hub, &in->lent);
    }
}
