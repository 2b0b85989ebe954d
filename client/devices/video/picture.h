/* Pictures in the formats that readers get: one plane, row after row without a gap. By FFmpeg's
 * libswscale and its PNG encoder.
 *
 * Threads: a video_scaler is used by one thread at a time. */
#ifndef PRONG_DEVICES_VIDEO_PICTURE_H
#define PRONG_DEVICES_VIDEO_PICTURE_H

#include <prong/codes.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct AVFrame;

/* In the order of the names in devices.def. */
enum video_format {
    VIDEO_BGR24,
    VIDEO_RGB24,
    VIDEO_GRAY8,
    VIDEO_FORMATS,
};

struct video_geometry {
    enum video_format format;
    uint32_t width, height;
};

/* Zero is an empty one. It keeps what libswscale worked out for the last picture. */
struct video_scaler {
    struct SwsContext *scale;
    uint8_t *rows; /* owned, NULL until there is a picture that cannot be written in place */
    size_t rows_bytes;
};

/* "bgr24", static; and the format of a name, false when it is none. */
const char *video_format_name(enum video_format format);
bool video_format_find(const char *name, enum video_format *format);
/* Bytes of a pixel, and of a picture. */
uint32_t video_format_channels(enum video_format format);
size_t video_bytes(const struct video_geometry *to);
/* `width` and `height` as wanted; one that is 0 follows the other in the picture's proportion, both
 * 0 are those of the picture. */
struct video_geometry video_fit(enum video_format format, uint32_t width, uint32_t height,
                                uint32_t picture_width, uint32_t picture_height);

/* Write a decoded picture in this format and size to `data`, which has video_bytes(to). Nothing
 * outside is written. Errors: PRONG_INVALID_ARGUMENT (a pixel format that libswscale cannot read),
 * PRONG_RESOURCE_EXHAUSTED (memory). */
prong_err video_scale(struct video_scaler *s, const struct AVFrame *picture,
                      const struct video_geometry *to, void *data);
/* Leaves it empty; may be called twice. */
void video_scaler_deinit(struct video_scaler *s);

/* A picture as PNG. `png` is owned, freed with free. Errors: PRONG_RESOURCE_EXHAUSTED (memory),
 * PRONG_UNIMPLEMENTED (this FFmpeg has no PNG encoder), PRONG_INTERNAL. */
prong_err video_png(const struct AVFrame *picture, const struct video_geometry *size, uint8_t **png,
                    size_t *len);

#endif
