/* Growing buffer: see buf.h. */
#include "proto/buf.h"

#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_BYTES = 512 };

bool
buf_reserve(struct buf *b, size_t len)
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
    size_t cap = b->cap > 0 ? b->cap : BUF_FIRST_BYTES;
    while (cap - b->w < len) {
        cap *= 2;
    }
    uint8_t *data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
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
buf_deinit(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
