/* Frames as pictures: see picture.h. */
#include "client/picture/picture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name; /* as meta says it */
    uint32_t channels;
    int red, green, blue; /* where they stand in a pixel */
} formats[] = {[PICTURE_GRAY] = {"gray8", 1, 0, 0, 0},
               [PICTURE_RGB] = {"rgb24", 3, 0, 1, 2},
               [PICTURE_BGR] = {"bgr24", 3, 2, 1, 0},
               [PICTURE_RGBA] = {"rgba", 4, 0, 1, 2},
               [PICTURE_BGRA] = {"bgra", 4, 2, 1, 0}};

enum { FORMATS = sizeof formats / sizeof formats[0], PIXELS_AT_A_TIME = 1024 };

/* "(480, 640, 3)", as numpy writes it. */
static void
shape_text(const prong_frame *frame, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "(");
    for (uint32_t i = 0; i < frame->dims && i < PRONG_FRAME_DIMS_MAX && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, i > 0 ? ", " : "",
                                 frame->shape[i]);
    }
    if (used < size) {
        (void)snprintf(out + used, size - used, ")");
    }
}

static bool
refuse(const prong_frame *frame, char why[PICTURE_WHY_BYTES])
{
    char shape[120];
    shape_text(frame, shape, sizeof shape);
    (void)snprintf(why, PICTURE_WHY_BYTES,
                   "frames of dtype %s and shape %s are no pictures: dtype |u1 and shape (h, w), "
                   "(h, w, 1), (h, w, 3) or (h, w, 4) are, and dtype <u2 and shape (h, w) or "
                   "(h, w, 1)",
                   frame->dtype, shape);
    return false;
}

/* What the frame's map says of it; "" when it does not. */
static void
said_format(const prong_frame *frame, char *out, size_t size)
{
    prong_value value;
    const char *text = "";
    size_t len = 0;
    if (prong_value_find(&frame->meta, "format", &value)) {
        (void)prong_value_text(&value, &text, &len);
    }
    (void)snprintf(out, size, "%.*s", (int)len, text);
}

/* Whether the frame is as many pixels as it says. */
static bool
is_picture(const prong_frame *frame, uint64_t channels, uint64_t item_bytes)
{
    return frame->dims >= 2 && frame->dims <= 3 && channels >= 1 && channels != 2 &&
           channels <= (item_bytes == 1 ? 4 : 1) && frame->shape[0] >= 1 && frame->shape[1] >= 1 &&
           frame->shape[0] <= INT32_MAX && frame->shape[1] <= INT32_MAX / (channels * item_bytes) &&
           frame->shape[0] * frame->shape[1] * channels * item_bytes == frame->bytes;
}

/* How many bits the numbers of "Mono12" and its like have. */
static unsigned
bits_of(const char *format)
{
    size_t at = strlen(format);
    while (at > 0 && format[at - 1] >= '0' && format[at - 1] <= '9') {
        at--;
    }
    const unsigned long bits = strtoul(format + at, NULL, 10);
    return bits > 8 && bits < 16 ? (unsigned)bits : 16;
}

/* Numbers of two bytes, little end first: the upper eight of their bits. */
static bool
of_words(const prong_frame *frame, const char *format, struct picture *picture,
         char why[PICTURE_WHY_BYTES])
{
    const unsigned shift = bits_of(format) - 8;
    const uint8_t *from = frame->data;
    const size_t count = frame->bytes / 2;
    uint8_t *own = malloc(count);
    if (own == NULL) {
        (void)snprintf(why, PICTURE_WHY_BYTES, "out of memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const unsigned value = (from[2 * i] | (unsigned)from[2 * i + 1] << 8) >> shift;
        own[i] = (uint8_t)(value < 255 ? value : 255);
    }
    *picture = (struct picture){.format = PICTURE_GRAY,
                                .width = (uint32_t)frame->shape[1],
                                .height = (uint32_t)frame->shape[0],
                                .pixels = own,
                                .own = own};
    return true;
}

void
picture_deinit(struct picture *picture)
{
    free(picture->own);
    *picture = (struct picture){0};
}

bool
picture_of(const prong_frame *frame, const char *format, struct picture *picture,
           char why[PICTURE_WHY_BYTES])
{
    const uint64_t channels = frame->dims == 3 ? frame->shape[2] : 1;
    char said[16];
    said_format(frame, said, sizeof said);
    if (strcmp(frame->dtype, "<u2") == 0 && is_picture(frame, channels, 2)) {
        if (format != NULL && strcmp(format, formats[PICTURE_GRAY].name) != 0) {
            (void)snprintf(why, PICTURE_WHY_BYTES, "frames of dtype <u2 are gray, and not %s",
                           format);
            return false;
        }
        return of_words(frame, said, picture, why);
    }
    if (strcmp(frame->dtype, "|u1") != 0 || !is_picture(frame, channels, 1)) {
        return refuse(frame, why);
    }
    format = format != NULL ? format : said;
    *picture = (struct picture){.format = channels == 1   ? PICTURE_GRAY
                                          : channels == 3 ? PICTURE_RGB
                                                          : PICTURE_RGBA,
                                .width = (uint32_t)frame->shape[1],
                                .height = (uint32_t)frame->shape[0],
                                .pixels = frame->data};
    for (uint32_t i = 0; format[0] != '\0' && i < FORMATS; i++) {
        if (strcmp(formats[i].name, format) != 0) {
            continue;
        }
        if (formats[i].channels != channels) {
            (void)snprintf(why, PICTURE_WHY_BYTES,
                           "frames with %d bytes a pixel cannot be %s, which has %u", (int)channels,
                           format, formats[i].channels);
            return false;
        }
        picture->format = (enum picture_format)i;
        return true;
    }
    if (format[0] != '\0') {
        (void)snprintf(why, PICTURE_WHY_BYTES,
                       "frames of the format '%.16s' cannot be shown: only " PICTURE_FORMATS,
                       format);
    }
    return format[0] == '\0';
}

bool
picture_file_of(const char *name, enum picture_file *file)
{
    static const char *const ends[] = {
        [PICTURE_PNG] = ".png", [PICTURE_PPM] = ".ppm", [PICTURE_PGM] = ".pgm"};
    const char *end = strrchr(name, '.');
    for (size_t i = 0; end != NULL && i < sizeof ends / sizeof ends[0]; i++) {
        if (strcasecmp(end, ends[i]) == 0) {
            *file = (enum picture_file)i;
            return true;
        }
    }
    return false;
}

/* Pixels as a file of netpbm has them: three bytes each, one with `is_gray`. */
static bool
write_pixels(const struct picture *p, bool is_gray, FILE *out)
{
    uint8_t row[3 * PIXELS_AT_A_TIME];
    const uint32_t channels = formats[p->format].channels;
    const size_t count = (size_t)p->width * p->height;
    const uint8_t *from = p->pixels;
    size_t used = 0;
    for (size_t i = 0; i < count; i++, from += channels) {
        row[used++] = from[formats[p->format].red];
        if (!is_gray) {
            row[used++] = from[formats[p->format].green];
            row[used++] = from[formats[p->format].blue];
        }
        if (used > sizeof row - 3 || i + 1 == count) {
            if (fwrite(row, 1, used, out) != used) {
                return false;
            }
            used = 0;
        }
    }
    return true;
}

bool
picture_write(const struct picture *p, enum picture_file file, FILE *out,
              char why[PICTURE_WHY_BYTES])
{
    const bool is_gray = file == PICTURE_PGM;
    if (file == PICTURE_PNG) {
        return picture_write_png(p, out, why);
    }
    if (is_gray && p->format != PICTURE_GRAY) {
        (void)snprintf(why, PICTURE_WHY_BYTES,
                       "a .pgm is gray, and this frame is coloured: use "
                       "a .ppm");
        return false;
    }
    if (fprintf(out, "P%d\n%u %u\n255\n", is_gray ? 5 : 6, p->width, p->height) < 0 ||
        !write_pixels(p, is_gray, out)) {
        (void)snprintf(why, PICTURE_WHY_BYTES, "%s", strerror(errno));
        return false;
    }
    return true;
}
