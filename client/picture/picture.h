/* Frames as files of pictures: PNG, and the portable pixmap and graymap of netpbm. Knows no hub. */
#ifndef PRONG_PICTURE_H
#define PRONG_PICTURE_H

#include <stdbool.h>
#include <stdio.h>

#include <prong/stream.h>

#define PICTURE_FORMATS "gray8 rgb24 bgr24 rgba bgra"

enum picture_format { PICTURE_GRAY, PICTURE_RGB, PICTURE_BGR, PICTURE_RGBA, PICTURE_BGRA };

struct picture {
    enum picture_format format;
    uint32_t width, height;
    const uint8_t *pixels; /* rows from the top, without gaps; borrowed */
    uint8_t *own;          /* where they had to be made; NULL, or see picture_deinit */
};

enum picture_file { PICTURE_PNG, PICTURE_PPM, PICTURE_PGM };

enum { PICTURE_WHY_BYTES = 300 };

/* What a frame of bytes shows: (h, w) and (h, w, 1) gray, (h, w, 3) and (h, w, 4) coloured, in the
 * order that `format` says, else the text "format" of its map, else rgb. Of numbers of two bytes,
 * which are gray, the upper eight bits: how many they have "format" says with its end, as Mono12,
 * else 16. False with the reason; else the caller ends it with picture_deinit. */
bool picture_of(const prong_frame *frame, const char *format, struct picture *picture,
                char why[PICTURE_WHY_BYTES]);
void picture_deinit(struct picture *picture);
/* The kind of file that a name means by its end; false when it is none of them. */
bool picture_file_of(const char *name, enum picture_file *file);
/* Write it. A file of netpbm knows no transparency, and a PGM no colour. False with the reason. */
bool picture_write(const struct picture *picture, enum picture_file file, FILE *out,
                   char why[PICTURE_WHY_BYTES]);

/* Of the file that was built: with libpng or without. */
bool picture_has_png(void);
bool picture_write_png(const struct picture *picture, FILE *out, char why[PICTURE_WHY_BYTES]);

#endif
