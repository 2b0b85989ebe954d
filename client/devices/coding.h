/* Frames to values, and values to the bytes of a frame: pure. */
#ifndef PRONG_DEVICES_CODING_H
#define PRONG_DEVICES_CODING_H

#include <prong/value.h>

/* In the order of the words in proto/tbl/devices.def. */
enum coding { CODING_TEXT, CODING_JSON, CODING_MSGPACK, CODING_NUMBER, CODING_BYTES };

/* Write what a frame is as one object. False, with a sentence in `why` and the writer to be reset,
 * when it is no such thing. `data` may be NULL when `len` is 0. */
bool coding_decode(enum coding coding, const uint8_t *data, size_t len, prong_writer *out,
                   char *why, size_t why_bytes);

/* The bytes for a value, as the other side would have written it: bytes stay as they are, and a
 * text is taken as it is but for JSON and msgpack. Owned, freed with prong_free; NULL when it
 * cannot be written so, or memory is out. */
uint8_t *coding_encode(enum coding coding, const prong_value *value, size_t *len);

#endif
