/* The items of calls that yield: numbered through the whole call, told before its outcome, and kept
 * until the hub has said that it has room for more. See pull.h. */
#include "client/worker/pull_inside.h"

#include <stdlib.h>

enum {
    FLYING_MAX = 64, /* REPORTs of items of all calls: a hub bounds what waits on a connection */
    WAITING_MAX = WIRE_STREAM_BYTES / 4,
};

static size_t
unsent_bytes(const struct stream *s)
{
    return s->bytes.w - s->bytes.r - s->sent_bytes;
}

bool
stream_is_told(const struct stream *s)
{
    return s == NULL || s->sent == s->count;
}

void
stream_free(struct pull *p, struct stream **s)
{
    if (*s != NULL) {
        p->stream_count--;
        p->stream_bytes -= (*s)->bytes.w - (*s)->bytes.r;
        buf_deinit(&(*s)->bytes);
        free(*s);
        *s = NULL;
    }
}

/* Where the i-th stream is, the running call's at last; NULL behind it. */
static struct stream **
place(struct pull *p, uint32_t i)
{
    return i < p->kept_count ? &p->kept[i].stream : i == p->kept_count ? &p->stream : NULL;
}

void
stream_rewind(struct pull *p)
{
    struct stream **at;
    for (uint32_t i = 0; (at = place(p, i)) != NULL; i++) {
        if (*at != NULL) {
            (*at)->sent = 0;
            (*at)->sent_bytes = 0;
            (*at)->sent_ns = 0;
            for (int k = 0; k < STREAM_REPORTS; k++) {
                (*at)->told[k] = (struct told){0};
            }
        }
    }
}

/* ---- telling --------------------------------------------------------------------------------- */

static uint32_t
flying_count(const struct stream *s)
{
    uint32_t count = 0;
    for (int i = 0; i < STREAM_REPORTS; i++) {
        count += s->told[i].id != 0;
    }
    return count;
}

static struct told *
free_place(struct stream *s)
{
    for (int i = 0; i < STREAM_REPORTS; i++) {
        if (s->told[i].end == 0) {
            return &s->told[i];
        }
    }
    return NULL;
}

/* The first item leaves at once, and so does one that comes some time after the last; those between
 * wait for each other. */
static bool
is_due(const struct pull *p, const struct stream *s, int64_t now_ns)
{
    return s->sent < s->count &&
           (s != p->stream || s->hurry || now_ns - s->sent_ns >= PULL_TOGETHER_MS * MS_NS ||
            unsent_bytes(s) >= WAITING_MAX / 2);
}

/* The hub has no room, and nothing is under way that would say when it has. */
static struct told *
asks_for_room(const struct pull *p, struct stream *s)
{
    struct told *last = NULL;
    for (int i = 0; i < STREAM_REPORTS; i++) {
        if (s->told[i].end != 0 && (last == NULL || s->told[i].end > last->end)) {
            last = &s->told[i];
        }
    }
    return flying_count(s) == 0 && (s == p->stream || s->sent < s->count) ? last : NULL;
}

/* As many of the items that wait as one message takes; one at least. */
static void
take_items(const struct pull *p, const struct stream *s, uint32_t *count, struct span *items)
{
    const struct span all = buf_span(&s->bytes);
    struct span rest = {all.data + s->sent_bytes, all.len - s->sent_bytes};
    size_t bytes_max = p->message_bytes - REPORT_BYTES;
    bytes_max = bytes_max < WIRE_PARTIAL_BYTES ? bytes_max : WIRE_PARTIAL_BYTES;
    *items = (struct span){rest.data, 0};
    *count = 0;
    while (mp_skip(&rest, NULL)) {
        const size_t len = (size_t)(rest.data - items->data);
        if (*count > 0 && len > bytes_max) {
            break;
        }
        items->len = len;
        ++*count;
    }
}

static uint32_t
write_report(struct pull *p, struct stream *s, struct told *told, int64_t now_ns)
{
    const uint64_t first = s->first + s->sent;
    struct span items = {0};
    uint32_t count = 0;
    if (told->end == 0) {
        take_items(p, s, &count, &items);
    }
    pull_write_head(p, WIRE_REPORT);
    write_array(&p->out, 1);
    write_array(&p->out, 3);
    write_uint(&p->out, s->call);
    write_uint(&p->out, WIRE_REPORT_PARTIAL);
    write_array(&p->out, 2);
    write_uint(&p->out, first);
    write_array(&p->out, count);
    pull_write_bytes(p, items);
    s->sent += count;
    s->sent_bytes += items.len;
    s->sent_ns = count > 0 ? now_ns : s->sent_ns;
    s->hurry &= s->sent < s->count;
    told->end = s->first + s->sent;
    return told->id = pull_new_id(p);
}

uint32_t
stream_write(struct pull *p, int64_t now_ns)
{
    struct stream **at;
    uint32_t flying = 0;
    for (uint32_t i = 0; p->stream_count > 0 && (at = place(p, i)) != NULL; i++) {
        flying += *at != NULL ? flying_count(*at) : 0;
    }
    for (uint32_t i = 0; p->stream_count > 0 && flying < FLYING_MAX && (at = place(p, i)) != NULL;
         i++) {
        struct told *told = NULL;
        if (*at != NULL) {
            told = is_due(p, *at, now_ns) ? free_place(*at) : NULL;
            told = told != NULL ? told : asks_for_room(p, *at);
        }
        if (told != NULL) {
            return write_report(p, *at, told, now_ns);
        }
    }
    return 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

uint32_t *
stream_awaits(struct pull *p, uint32_t id)
{
    struct stream **at;
    for (uint32_t i = 0; p->stream_count > 0 && (at = place(p, i)) != NULL; i++) {
        for (int k = 0; *at != NULL && k < STREAM_REPORTS; k++) {
            if ((*at)->told[k].id == id) {
                return &(*at)->told[k].id;
            }
        }
    }
    return NULL;
}

/* The hub has every item below `end`, and room for more. */
static void
drop(struct pull *p, struct stream *s, uint64_t end)
{
    struct span rest = buf_span(&s->bytes);
    const size_t before = rest.len;
    for (; s->first < end && s->count > 0; s->first++, s->count--, s->sent--) {
        (void)mp_skip(&rest, NULL); /* they are objects, or they would not be here */
    }
    const size_t gone = before - rest.len;
    buf_skip(&s->bytes, gone);
    s->sent_bytes -= gone;
    p->stream_bytes -= gone;
    for (int i = 0; i < STREAM_REPORTS; i++) {
        if (s->told[i].end <= end) {
            s->told[i] = (struct told){0}; /* what came after it in the answers covers it */
        }
    }
}

void
stream_take_ack(struct pull *p, uint32_t id)
{
    struct stream **at;
    for (uint32_t i = 0; id != 0 && p->stream_count > 0 && (at = place(p, i)) != NULL; i++) {
        for (int k = 0; *at != NULL && k < STREAM_REPORTS; k++) {
            if ((*at)->told[k].id == id) {
                drop(p, *at, (*at)->told[k].end);
                if ((*at)->count == 0 && *at != p->stream) {
                    stream_free(p, at);
                }
            }
        }
    }
}

/* ---- what the running call yields ------------------------------------------------------------ */

bool
pull_has_room(const struct pull *p, size_t len)
{
    const size_t waits = p->stream != NULL ? unsent_bytes(p->stream) : 0;
    return waits == 0 || waits + len <= WAITING_MAX;
}

bool
pull_fits(const struct pull *p, size_t len)
{
    return len + REPORT_BYTES <= p->message_bytes;
}

bool
pull_yield(struct pull *p, struct span item)
{
    struct stream *s = p->stream;
    if (s == NULL) {
        s = p->running ? calloc(1, sizeof *s) : NULL;
        if (s == NULL) {
            return false;
        }
        s->call = p->items[p->next].job.call;
        p->stream = s;
        p->stream_count++;
    }
    if (!buf_reserve(&s->bytes, item.len)) {
        s->bytes.failed = false; /* the items before it are as they were */
        return false;
    }
    buf_put(&s->bytes, item.data, item.len);
    s->count++;
    p->stream_bytes += item.len;
    return true;
}

void
pull_flush(struct pull *p)
{
    if (p->stream != NULL) {
        p->stream->hurry = true;
    }
}

bool
pull_is_blocked(const struct pull *p)
{
    return p->welcome && !stream_is_told(p->stream) && free_place(p->stream) == NULL;
}

void
pull_drop_items(struct pull *p)
{
    stream_free(p, &p->stream);
}
