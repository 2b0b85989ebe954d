/* Writing msgpack into a buffer, with msgpack-c's packer. The buffer's sticky failure is the only
 * error: check buf.failed once at the end. Pure. */
#ifndef PRONG_PROTO_WRITE_H
#define PRONG_PROTO_WRITE_H

#include "proto/buf.h"
#include "proto/wire.h"

void write_nil(struct buf *b);
void write_bool(struct buf *b, bool v);
void write_uint(struct buf *b, uint64_t v);
void write_int(struct buf *b, int64_t v);
void write_double(struct buf *b, double v);
void write_text(struct buf *b, const char *text);
void write_str(struct buf *b, struct span text);
void write_bin(struct buf *b, struct span bytes);
/* -128..127: the application's types, and msgpack's own below 0. */
void write_ext(struct buf *b, int type, struct span bytes);
void write_array(struct buf *b, uint32_t count);
void write_map(struct buf *b, uint32_t pairs);
/* An already encoded object; nil when it is empty. */
void write_raw(struct buf *b, struct span object);
/* The head of a record: an array of its fields with the operation in front. */
void write_op(struct buf *b, enum wire_op op);
/* A whole ERROR record; `details` is one encoded object or empty for nil. */
struct write_error {
    uint64_t seq;
    unsigned code, began;
    struct span message, details;
};
void write_error(struct buf *b, const struct write_error *e);

#endif
