/* Growing buffer: see buf.h. */
#include "proto/buf.h"

#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_BYTES = 512 };

static bool
make_room(struct buf *b, size_t len, bool exactly)
{
    if (b->failed) {
        return false;
    }
    if (b->cap - b->w >= len) {
        return true;
    }
    if (b->r > 0) {
        memmove(b->data, b->data + b->r, b->w - b->r);
        b->w -= b->r;
        b->r = 0;
        if (b->cap - b->w >= len) {
            return true;
        }
    }
    if (len > SIZE_MAX / 4 - b->w) {
        b->failed = true;
        return false;
    }
    /* At least doubled, so that many small writes stay cheap; but one large write gets what it
     * needs, because most buffers hold one payload: twice a megabyte is a megabyte of page faults.
     */
    const size_t need = (b->w + len + BUF_FIRST_BYTES - 1) / BUF_FIRST_BYTES * BUF_FIRST_BYTES;
    const size_t cap = exactly ? b->w + len : need > 2 * b->cap ? need : 2 * b->cap;
    uint8_t *data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

bool
buf_reserve(struct buf *b, size_t len)
{
    return make_room(b, len, false);
}

bool
buf_fit(struct buf *b, size_t len)
{
    return make_room(b, len, true);
}

void
buf_put(struct buf *b, const void *data, size_t len)
{
    /* Most writes are a few bytes into room that is there: those make no call but memcpy's. */
    if (len == 0 || b->failed || (b->cap - b->w < len && !buf_reserve(b, len))) {
        return;
    }
    memcpy(b->data + b->w, data, len);
    b->w += len;
}

struct pieces
pieces_of(struct span whole)
{
    struct pieces p; /* what is not counted is not read, and need not be filled */
    p.count = 1;
    p.part[0] = whole;
    return p;
}

struct pieces
pieces_cut(struct span written, const struct cut *cuts, uint32_t count)
{
    struct pieces p;
    size_t at = 0;
    if (count == 0) {
        return pieces_of(written);
    }
    p.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        p.part[p.count++] = (struct span){written.data + at, cuts[i].at - at};
        p.part[p.count++] = cuts[i].bytes;
        at = cuts[i].at;
    }
    p.part[p.count++] = (struct span){written.data + at, written.len - at};
    return p;
}

size_t
pieces_len(const struct pieces *p)
{
    size_t len = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        len += p->part[i].len;
    }
    return len;
}

void
buf_put_pieces(struct buf *b, const struct pieces *p, size_t skip)
{
    for (uint32_t i = 0; i < p->count; i++) {
        const struct span part = p->part[i];
        const size_t passed = skip < part.len ? skip : part.len;
        if (passed < part.len) {
            buf_put(b, part.data + passed, part.len - passed);
        }
        skip -= passed;
    }
}

void
buf_swap(struct buf *a, struct buf *b)
{
    const struct buf other = *a;
    *a = *b;
    *b = other;
}

struct span
buf_span(const struct buf *b)
{
    if (b->w == b->r) {
        return (struct span){0};
    }
    return (struct span){b->data + b->r, b->w - b->r};
}

void
buf_skip(struct buf *b, size_t len)
{
    b->r += len;
    if (b->r >= b->w) {
        b->r = b->w = 0;
    }
}

void
buf_reset(struct buf *b, size_t keep_bytes)
{
    if (b->cap > keep_bytes) {
        buf_deinit(b);
    }
    b->r = b->w = 0;
    b->failed = false;
}

void
buf_recycle(struct buf *b, size_t keep_bytes)
{
    buf_reset(b, b->w >= b->cap / 4 ? b->cap : keep_bytes);
}

void
buf_deinit(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
