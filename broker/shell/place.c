/* Who is asked about, and where somebody is in their lines: see place.h. */
#include "broker/shell/place.h"

#include "proto/name.h"
#include "proto/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES_MAX = (PLACE_NAMES_MAX + 2) * 21 };

/* ---- who is asked about -----------------------------------------------------------------------
 */

void
place_names_read(struct span text, struct place_names *names)
{
    names->count = 0;
    while (text.len > 0 && names->count < PLACE_NAMES_MAX) {
        const uint8_t *end = memchr(text.data, '\0', text.len);
        const size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        struct target t;
        if (name_target((struct span){text.data, len}, &t)) {
            names->list[names->count++] =
                (struct place_name){t.worker, t.one ? (int64_t)t.index : -1};
        }
        const size_t used = end != NULL ? len + 1 : len;
        text.data += used;
        text.len -= used;
    }
}

bool
place_name_is_of(const struct stream *s, const struct place_name *name)
{
    return span_is(name->worker, s->crowd->worker) &&
           (name->replica < 0 || s->file.replica == (uint64_t)name->replica);
}

bool
place_names_has(const struct stream *s, const struct place_names *names)
{
    bool is = names->count == 0;
    for (uint32_t i = 0; i < names->count && !is; i++) {
        is = place_name_is_of(s, &names->list[i]);
    }
    return is;
}

uint64_t
place_number(const struct line *l, const struct place_names *names, uint32_t n)
{
    return l->number.all < STREAM_FIRST_LINE ? 0
           : names->count == 0               ? l->number.all
           : names->list[n].replica < 0      ? l->number.worker
                                             : l->number.replica;
}

struct place_range
place_range(const struct streams *all, const struct place_names *names, uint32_t n,
            uint64_t otherwise)
{
    char worker[sizeof all->crowds->worker];
    if (names->count == 0) {
        return (struct place_range){STREAM_FIRST_LINE, all->last_line};
    }
    const struct place_name *name = &names->list[n];
    (void)snprintf(worker, sizeof worker, "%.*s", (int)name->worker.len,
                   (const char *)name->worker.data);
    if (name->replica < 0) {
        const struct crowd *c = crowd_find(all, worker);
        return c == NULL ? (struct place_range){otherwise, otherwise}
                         : (struct place_range){c->first, c->last};
    }
    const struct stream *s = stream_find(all, worker, (uint32_t)name->replica);
    return s == NULL ? (struct place_range){otherwise, otherwise}
                     : (struct place_range){s->first_number, s->last_number};
}

uint32_t
place_count(const struct place_names *names)
{
    return names->count == 0 ? 1 : names->count;
}

/* ---- places -----------------------------------------------------------------------------------
 */

void
place_end(const struct streams *all, uint64_t epoch, const struct place_names *names,
          struct place *p)
{
    p->epoch = epoch;
    p->time_us = all->last_time_us;
    p->count = place_count(names);
    for (uint32_t i = 0; i < p->count; i++) {
        p->numbers[i] = place_range(all, names, i, all->last_line).last;
    }
}

/* "EPOCH.TIME.NUMBER..." */
void
place_write(struct buf *out, const struct place *p)
{
    char text[TEXT_BYTES_MAX];
    int n = snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64, p->epoch, p->time_us);
    for (uint32_t i = 0; i < p->count; i++) {
        n += snprintf(text + n, sizeof text - (size_t)n, ".%" PRIu64, p->numbers[i]);
    }
    write_text(out, text);
}

bool
place_read(struct span text, uint32_t count, struct place *p)
{
    uint64_t values[PLACE_NAMES_MAX + 2];
    uint32_t n = 0;
    for (size_t at = 0; at <= text.len; at++) {
        uint64_t value = 0;
        const size_t begin = at;
        for (; at < text.len && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
            value = value * 10 + text.data[at] - '0'; /* what is too large comes to another place */
        }
        if (at == begin || at - begin > 20 || (at < text.len && text.data[at] != '.') ||
            n == PLACE_NAMES_MAX + 2) {
            return false;
        }
        values[n++] = value;
    }
    if (n != count + 2) {
        return false;
    }
    *p = (struct place){.epoch = values[0], .time_us = values[1], .count = count};
    memcpy(p->numbers, values + 2, count * sizeof values[0]);
    return true;
}

void
place_enter(const struct streams *all, uint64_t epoch, const struct place_names *names,
            struct place *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        const bool is_same = p->epoch == epoch;
        const struct place_range r =
            place_range(all, names, i, is_same ? p->numbers[i] : STREAM_FIRST_LINE);
        const bool is_ours = is_same && p->numbers[i] >= r.first;
        p->numbers[i] = !is_ours ? r.first : p->numbers[i] < r.last ? p->numbers[i] : r.last;
    }
}
