/* The pictures of the cameras that Aravis makes up: a diagonal ramp, so that a frame of which a
 * part is another one's is seen. */
#include "tests/e2e/devices/stream_frames.h"

#include <string.h>

/* The pixel above and to the right of each one is the same. */
static bool
is_diagonal(const prong_frame *f)
{
    const uint8_t *data = f->data;
    const size_t height = f->shape[0], width = f->shape[1];
    const size_t pixel = f->bytes / (height * width);
    for (size_t y = 1; y < height; y++) {
        if (memcmp(data + y * width * pixel, data + ((y - 1) * width + 1) * pixel,
                   (width - 1) * pixel) != 0) {
            return false;
        }
    }
    return true;
}

/* The first row counts up, from the first pixel on. */
static bool
is_ramp(const prong_frame *f)
{
    const uint8_t *data = f->data;
    const bool is_wide = f->bytes == 2 * f->shape[0] * f->shape[1];
    for (uint32_t x = 0; x < f->shape[1]; x++) {
        const uint32_t number = is_wide ? data[2 * x] | (uint32_t)data[2 * x + 1] << 8 : data[x];
        const uint32_t first = is_wide ? data[0] | (uint32_t)data[1] << 8 : data[0];
        if (number != (is_wide ? (first + 256 * x) % 65535 : (first + x) % 255)) {
            return false;
        }
    }
    return true;
}

int
stream_shows(const prong_frame *f)
{
    if (f->dims < 2 || !is_diagonal(f) || (f->dims == 2 && !is_ramp(f))) {
        return -1;
    }
    return *(const uint8_t *)f->data;
}
