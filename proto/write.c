/* Writing msgpack: see write.h. */
#include "proto/write.h"

#include <msgpack.h>
#include <string.h>

/* msgpack-c writes through this; a failure is kept in the buffer, so it is not told twice. Hence
 * every (void) in this file: the packer fails only when this does. */
static int
append(void *data, const char *bytes, size_t len)
{
    buf_put(data, bytes, len);
    return 0;
}

#define PACKER(b) (&(msgpack_packer){.data = (b), .callback = append})

void
write_nil(struct buf *b)
{
    (void)msgpack_pack_nil(PACKER(b));
}

void
write_bool(struct buf *b, bool v)
{
    (void)(v ? msgpack_pack_true(PACKER(b)) : msgpack_pack_false(PACKER(b)));
}

void
write_uint(struct buf *b, uint64_t v)
{
    (void)msgpack_pack_uint64(PACKER(b), v);
}

void
write_int(struct buf *b, int64_t v)
{
    (void)msgpack_pack_int64(PACKER(b), v);
}

void
write_double(struct buf *b, double v)
{
    (void)msgpack_pack_double(PACKER(b), v);
}

void
write_text(struct buf *b, const char *text)
{
    write_str(b, (struct span){(const uint8_t *)text, strlen(text)});
}

void
write_str(struct buf *b, struct span text)
{
    (void)msgpack_pack_str(PACKER(b), text.len);
    buf_put(b, text.data, text.len);
}

void
write_bin(struct buf *b, struct span bytes)
{
    (void)msgpack_pack_bin(PACKER(b), bytes.len);
    buf_put(b, bytes.data, bytes.len);
}

void
write_ext(struct buf *b, int type, struct span bytes)
{
    (void)msgpack_pack_ext(PACKER(b), bytes.len, (int8_t)type);
    buf_put(b, bytes.data, bytes.len);
}

void
write_array(struct buf *b, uint32_t count)
{
    (void)msgpack_pack_array(PACKER(b), count);
}

void
write_map(struct buf *b, uint32_t pairs)
{
    (void)msgpack_pack_map(PACKER(b), pairs);
}

void
write_raw(struct buf *b, struct span object)
{
    if (object.len == 0) {
        write_nil(b);
    } else {
        buf_put(b, object.data, object.len);
    }
}

void
write_op(struct buf *b, enum wire_op op)
{
    const struct wire_record_row *row = wire_record_row(wire_record_of_op((uint64_t)op));
    write_array(b, (uint32_t)row->count + 1);
    write_uint(b, (uint64_t)op);
}

void
write_error(struct buf *b, const struct write_error *e)
{
    write_op(b, WIRE_ERROR);
    write_uint(b, e->seq);
    write_uint(b, e->code);
    write_uint(b, e->began);
    write_str(b, e->message);
    write_raw(b, e->details);
}
