/* Bytes: a borrowed span and a growing buffer with a sticky failure.
 *
 * Owns the bytes of a buffer; knows nothing of msgpack or of any transport. Pure: usable from any
 * process, one thread per object. */
#ifndef PRONG_PROTO_BUF_H
#define PRONG_PROTO_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; `data` may be NULL only when `len` is 0. */
struct span {
    const uint8_t *data;
    size_t len;
};

/* Bytes r..w are live: what is read leaves at the front, what is written joins at the end.
 * All zero is an empty buffer. `failed` stays set after the first allocation that failed, and every
 * later write is then ignored, so that a writer checks once at its end. */
struct buf {
    uint8_t *data;
    size_t r, w, cap;
    bool failed;
};

/* One message in pieces, in their order, so that large payloads need not be copied behind their
 * heads first. */
enum { CUTS_MAX = 4, PIECES_MAX = 2 * CUTS_MAX + 1 };
struct pieces {
    uint32_t count;
    struct span part[PIECES_MAX];
};

/* A payload of so many bytes is worth it not to be copied on its way. */
enum { CUT_BYTES = 16384 };

/* Bytes that stand elsewhere and belong before byte `at` of what was written. */
struct cut {
    size_t at;
    struct span bytes;
};

struct pieces pieces_of(struct span whole);
/* What was written, with the cuts (at most CUTS_MAX, in order) where they belong. */
struct pieces pieces_cut(struct span written, const struct cut *cuts, uint32_t count);
size_t pieces_len(const struct pieces *p);
/* Make room for `len` more bytes after `w`; false (and `failed`) when memory is out. */
bool buf_reserve(struct buf *b, size_t len);
/* The same without more room than that: for what is written once and kept. */
bool buf_fit(struct buf *b, size_t len);
/* Append `len` bytes; ignored when the buffer has failed. */
void buf_put(struct buf *b, const void *data, size_t len);
/* Append what is behind the first `skip` bytes of the pieces. */
void buf_put_pieces(struct buf *b, const struct pieces *p, size_t skip);
/* Each gets the bytes and the memory of the other. */
void buf_swap(struct buf *a, struct buf *b);
/* The live bytes; valid until the next write to the buffer. */
struct span buf_span(const struct buf *b);
/* Forget the first `len` live bytes. */
void buf_skip(struct buf *b, size_t len);
/* Forget the content and the failure, keep the memory when it is not above `keep_bytes`. */
void buf_reset(struct buf *b, size_t keep_bytes);
/* As buf_reset, but memory above `keep_bytes` goes only when the content that is forgotten needed
 * less than a quarter of it: a program that sends a megabyte again and again does not take fresh
 * memory, and its page faults, each time; one that stops gives it back with its second smaller
 * message. */
void buf_recycle(struct buf *b, size_t keep_bytes);
/* Give the memory back; the buffer is empty again and may be used. */
void buf_deinit(struct buf *b);

#endif
