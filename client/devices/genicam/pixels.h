/* What the pixels of a camera are and how they become rows of numbers: the formats that
 * prong-genicam shows, by their names and numbers in GenICam's Pixel Format Naming Convention.
 * Pure. */
#ifndef PRONG_DEVICES_GENICAM_PIXELS_H
#define PRONG_DEVICES_GENICAM_PIXELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pixels_packing {
    PIXELS_WHOLE,  /* one or two whole bytes for each number, the lower one first */
    PIXELS_STREAM, /* bits one after the other, the lowest first: the names end with "p" */
    PIXELS_PAIRS,  /* two numbers in three bytes: the names end with "Packed" */
};

struct pixels_format {
    const char *name; /* as the camera says it */
    uint32_t code;
    const char *shown; /* "format" of a frame's map: packed ones are unpacked */
    uint8_t channels, bits;
    enum pixels_packing packing;
};

/* NULL when there is none. */
const struct pixels_format *pixels_find(uint32_t code);
const struct pixels_format *pixels_find_name(const char *name);
/* The name at a place, NULL behind the last one. */
const char *pixels_name(size_t index);

/* "|u1" or "<u2". */
const char *pixels_dtype(const struct pixels_format *format);

/* A picture as the camera sends it. */
struct pixels_picture {
    const struct pixels_format *format;
    uint32_t width, height;
    uint32_t padding; /* bytes behind each row */
    const uint8_t *data;
    size_t len;
};

/* Bytes of the picture in rows without gaps. */
size_t pixels_bytes(const struct pixels_format *format, uint32_t width, uint32_t height);
/* Bytes that it has as the camera sends it. */
size_t pixels_sent_bytes(const struct pixels_picture *picture);
/* Write it as rows to `to`, which has pixels_bytes. False, and nothing written, when the picture is
 * shorter than its size says. */
bool pixels_copy(const struct pixels_picture *picture, uint8_t *to);
/* The upper eight bits of each of `count` numbers of such rows. */
void pixels_upper(const struct pixels_format *format, const uint8_t *from, size_t count,
                  uint8_t *to);

#endif
