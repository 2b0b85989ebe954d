/* Bytes to frames, and back: pure, whatever pieces the bytes come in.
 *
 * Owns the bytes that are not a frame yet, at most `bytes_max` and what was read at a time. A frame
 * that is longer, or cut off by the end, is malformed: it is told once and skipped. */
#ifndef PRONG_DEVICES_FRAMING_H
#define PRONG_DEVICES_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of the words in proto/tbl/devices.def. */
enum framing_mode { FRAMING_LINE, FRAMING_LENGTH, FRAMING_DELIMITER, FRAMING_RAW };

enum { FRAMING_DELIMITER_MAX = 16, FRAMING_READ_BYTES = 64 * 1024 };

struct framing {
    enum framing_mode mode;
    uint8_t delimiter[FRAMING_DELIMITER_MAX]; /* line: a newline */
    size_t delimiter_len;
    size_t length_bytes; /* of the number of FRAMING_LENGTH: 1, 2 or 4 */
    bool is_little;
    size_t bytes_max;
    uint8_t *data;
    size_t r, w, cap;
    size_t seen;      /* of the bytes from `r`: no delimiter begins in them */
    uint64_t to_skip; /* FRAMING_LENGTH: of a frame that was too long */
    bool is_skipping; /* up to the next delimiter */
};

enum framing_step {
    FRAMING_MORE,      /* nothing until more bytes come */
    FRAMING_FRAME,     /* a frame */
    FRAMING_MALFORMED, /* one that is left out; see `why` */
};

struct frame {
    const uint8_t *data; /* valid until the next call on the framing */
    size_t len;
    const char *why; /* of FRAMING_MALFORMED; static */
};

/* Room for FRAMING_READ_BYTES more; NULL when memory is out. framing_fed says how many came. */
uint8_t *framing_room(struct framing *framing);
void framing_fed(struct framing *framing, size_t len);
/* The next frame of what was fed. */
enum framing_step framing_next(struct framing *framing, struct frame *frame);
/* Nothing more will come: MALFORMED when a frame is cut off, else MORE. Begins anew. */
enum framing_step framing_end(struct framing *framing, struct frame *frame);
/* Give the memory back and begin anew; the settings stay. */
void framing_deinit(struct framing *framing);

/* The bytes that make a frame of `len` bytes go on its way: `head` in front (at most 4 bytes) and
 * `tail` behind. False when the frame cannot be one: too long, or a delimiter within. */
struct framing_ends {
    uint8_t head[4];
    size_t head_len;
    const uint8_t *tail;
    size_t tail_len;
};
bool framing_ends(const struct framing *framing, const uint8_t *data, size_t len,
                  struct framing_ends *ends);

#endif
