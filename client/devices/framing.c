/* Bytes to frames: see framing.h. */
#include "client/devices/framing.h"

#include <stdlib.h>
#include <string.h>

uint8_t *
framing_room(struct framing *f)
{
    const size_t live = f->w - f->r;
    if (f->r > 0 && (live == 0 || f->cap - f->w < FRAMING_READ_BYTES)) {
        memmove(f->data, f->data + f->r, live);
        f->r = 0;
        f->w = live;
    }
    if (f->cap - f->w < FRAMING_READ_BYTES) {
        const size_t cap = f->w + 2 * (size_t)FRAMING_READ_BYTES;
        uint8_t *grown = realloc(f->data, cap);
        if (grown == NULL) {
            return NULL;
        }
        f->data = grown;
        f->cap = cap;
    }
    return f->data + f->w;
}

void
framing_fed(struct framing *f, size_t len)
{
    f->w += len;
}

void
framing_deinit(struct framing *f)
{
    free(f->data);
    f->data = NULL;
    f->r = f->w = f->cap = f->seen = 0;
    f->to_skip = 0;
    f->is_skipping = false;
}

static enum framing_step
give(struct framing *f, struct frame *frame, size_t len, size_t taken)
{
    *frame = (struct frame){.data = f->data + f->r, .len = len};
    f->r += taken;
    f->seen = 0;
    return FRAMING_FRAME;
}

static enum framing_step
refuse(struct frame *frame, const char *why)
{
    *frame = (struct frame){.why = why};
    return FRAMING_MALFORMED;
}

/* Everything but a beginning of the delimiter that may be at the end. */
static void
drop_skipped(struct framing *f)
{
    const size_t keep = f->delimiter_len - 1, live = f->w - f->r;
    if (live > keep) {
        f->r = f->w - keep;
    }
    f->seen = 0;
}

static enum framing_step
next_delimited(struct framing *f, struct frame *frame)
{
    static const char why[] = "longer than max_bytes";
    for (;;) {
        const size_t live = f->w - f->r;
        const uint8_t *begin = f->data + f->r;
        const uint8_t *end =
            live > f->seen ? memmem(begin + f->seen, live - f->seen, f->delimiter, f->delimiter_len)
                           : NULL;
        if (end == NULL && f->is_skipping) {
            drop_skipped(f);
            return FRAMING_MORE;
        }
        if (end == NULL && live > f->bytes_max + f->delimiter_len) {
            f->is_skipping = true;
            drop_skipped(f);
            return refuse(frame, why);
        }
        if (end == NULL) {
            f->seen = live >= f->delimiter_len ? live - f->delimiter_len + 1 : 0;
            return FRAMING_MORE;
        }
        const size_t taken = (size_t)(end - begin) + f->delimiter_len;
        size_t len = (size_t)(end - begin);
        if (f->is_skipping) {
            f->is_skipping = false;
            f->r += taken;
            f->seen = 0;
            continue;
        }
        if (f->mode == FRAMING_LINE && len > 0 && begin[len - 1] == '\r') {
            len--;
        }
        if (len <= f->bytes_max) {
            return give(f, frame, len, taken);
        }
        f->r += taken;
        f->seen = 0;
        return refuse(frame, why);
    }
}

static uint64_t
length_at(const struct framing *f)
{
    uint64_t length = 0;
    for (size_t i = 0; i < f->length_bytes; i++) {
        const size_t place = f->is_little ? f->length_bytes - 1 - i : i;
        length = length << 8 | f->data[f->r + place];
    }
    return length;
}

static enum framing_step
next_counted(struct framing *f, struct frame *frame)
{
    const size_t skipped = f->to_skip < f->w - f->r ? (size_t)f->to_skip : f->w - f->r;
    f->r += skipped;
    f->to_skip -= skipped;
    const size_t live = f->w - f->r;
    if (f->to_skip > 0 || live < f->length_bytes) {
        return FRAMING_MORE;
    }
    const uint64_t length = length_at(f);
    if (length > f->bytes_max) {
        f->r += f->length_bytes;
        f->to_skip = length;
        return refuse(frame, "longer than max_bytes");
    }
    if (live - f->length_bytes < length) {
        return FRAMING_MORE;
    }
    f->r += f->length_bytes;
    return give(f, frame, (size_t)length, (size_t)length);
}

static enum framing_step
next_raw(struct framing *f, struct frame *frame)
{
    const size_t live = f->w - f->r, len = live < f->bytes_max ? live : f->bytes_max;
    return len > 0 ? give(f, frame, len, len) : FRAMING_MORE;
}

enum framing_step
framing_next(struct framing *f, struct frame *frame)
{
    if (f->data == NULL) {
        return FRAMING_MORE;
    }
    switch (f->mode) {
    case FRAMING_LINE:
    case FRAMING_DELIMITER:
        return next_delimited(f, frame);
    case FRAMING_LENGTH:
        return next_counted(f, frame);
    case FRAMING_RAW:
        return next_raw(f, frame);
    }
    return FRAMING_MORE;
}

enum framing_step
framing_end(struct framing *f, struct frame *frame)
{
    /* Of one that is being skipped it was told already. */
    const bool is_cut = f->w > f->r && !f->is_skipping;
    f->r = f->w = f->seen = 0;
    f->to_skip = 0;
    f->is_skipping = false;
    return is_cut ? refuse(frame, "cut off by the end") : FRAMING_MORE;
}

bool
framing_ends(const struct framing *f, const uint8_t *data, size_t len, struct framing_ends *ends)
{
    *ends = (struct framing_ends){0};
    switch (f->mode) {
    case FRAMING_RAW:
        return true;
    case FRAMING_LINE:
    case FRAMING_DELIMITER:
        ends->tail = f->delimiter;
        ends->tail_len = f->delimiter_len;
        return len == 0 || memmem(data, len, f->delimiter, f->delimiter_len) == NULL;
    case FRAMING_LENGTH:
        for (size_t i = 0; i < f->length_bytes; i++) {
            const size_t shift = 8 * (f->is_little ? i : f->length_bytes - 1 - i);
            ends->head[i] = (uint8_t)((uint64_t)len >> shift);
        }
        ends->head_len = f->length_bytes;
        return ((uint64_t)len >> (8 * f->length_bytes)) == 0;
    }
    return false;
}
