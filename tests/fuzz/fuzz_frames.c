/* Any bytes as what comes in at a device: the first two say how it is framed and decoded. The
 * frames are the same in one piece and byte by byte, none is longer than it may be, and what is
 * decoded can be sent again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/devices/coding.h"
#include "client/devices/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 40 };

struct seen {
    uint64_t hash; /* of all frames, in their order */
    size_t frames, malformed;
};

static void
require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void
mix(struct seen *seen, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        seen->hash = (seen->hash ^ data[i]) * UINT64_C(0x100000001b3);
    }
    seen->hash = (seen->hash ^ len) * UINT64_C(0x100000001b3);
}

static void
decode(enum coding coding, const struct frame *frame)
{
    char why[200] = "";
    size_t len = 0;
    prong_value value;
    prong_writer *out = prong_writer_new();
    require(out != NULL);
    if (coding_decode(coding, frame->data, frame->len, out, why, sizeof why)) {
        require(prong_writer_finish(out, &value) == PRONG_OK);
        uint8_t *again = coding_encode(coding, &value, &len);
        require(again != NULL || coding == CODING_JSON); /* JSON has no word for all of msgpack */
        prong_free(again);
    } else {
        require(why[0] != '\0');
    }
    prong_writer_free(out);
}

static void
drain(struct framing *f, enum coding coding, struct seen *seen)
{
    struct frame frame;
    enum framing_step step;
    while ((step = framing_next(f, &frame)) != FRAMING_MORE) {
        if (step == FRAMING_MALFORMED) {
            require(frame.why != NULL);
            seen->malformed++;
            mix(seen, (const uint8_t *)"!", 1);
            continue;
        }
        require(frame.len <= BYTES_MAX);
        seen->frames++;
        mix(seen, frame.data, frame.len);
        decode(coding, &frame);
    }
}

/* In pieces of `piece` bytes. */
static struct seen
feed(struct framing f, enum coding coding, const uint8_t *data, size_t size, size_t piece)
{
    struct seen seen = {0};
    struct frame end;
    for (size_t at = 0; at < size; at += piece) {
        const size_t len = size - at < piece ? size - at : piece;
        uint8_t *room = framing_room(&f);
        require(room != NULL);
        memcpy(room, data + at, len);
        framing_fed(&f, len);
        drain(&f, coding, &seen);
    }
    seen.malformed += framing_end(&f, &end) == FRAMING_MALFORMED;
    framing_deinit(&f);
    return seen;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > FRAMING_READ_BYTES) {
        return 0;
    }
    struct framing f = {
        .mode = (enum framing_mode)(data[0] & 3),
        .length_bytes = (size_t)1 << (data[0] >> 2 & 3) % 3,
        .is_little = (data[0] & 16) != 0,
        .bytes_max = BYTES_MAX,
        .delimiter = "\n",
        .delimiter_len = 1,
    };
    if (f.mode == FRAMING_DELIMITER) {
        f.delimiter_len = (size_t)(1 + (data[0] >> 5 & 3));
        memcpy(f.delimiter, "aaba", f.delimiter_len);
    }
    const enum coding coding = (enum coding)(data[1] % 5);
    const struct seen whole = feed(f, coding, data + 2, size - 2, size - 1);
    const struct seen single = feed(f, coding, data + 2, size - 2, 1);
    if (f.mode != FRAMING_RAW) { /* whose frames are the pieces */
        require(whole.hash == single.hash && whole.frames == single.frames &&
                whole.malformed == single.malformed);
    }
    return 0;
}
