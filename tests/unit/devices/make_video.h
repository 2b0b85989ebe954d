/* Videos for tests, made by FFmpeg's own encoders: each frame shows its number in sixteen bars, so
 * that whoever reads it back knows which one it is. */
#ifndef PRONG_TESTS_MAKE_VIDEO_H
#define PRONG_TESTS_MAKE_VIDEO_H

#include <stdbool.h>
#include <stdint.h>

struct make_video {
    const char *codec; /* an encoder: "mjpeg", "mpeg2video", "mpeg4", "ffv1" */
    int width, height; /* at least 64 each */
    int frames, rate;
    int first;   /* the number that the first frame shows */
    int reorder; /* B-frames between two others */
    bool append; /* behind what is in the file already */
};

/* The container goes by the name's end. False, with a line on stderr, when it fails. */
bool make_video(const char *path, const struct make_video *what);
/* The number that a picture of one byte for each pixel, or of three, shows. */
int make_video_number(const uint8_t *pixels, int width, int height, int channels);

#endif
