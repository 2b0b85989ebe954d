/* The pixels of a camera: see pixels.h. */
#include "client/devices/genicam/pixels.h"

#include <prong/stream.h>

#include <string.h>

/* clang-format off */
static const struct pixels_format formats[] = {
    {"Mono8",          0x01080001, "gray8",     1,  8, PIXELS_WHOLE},
    {"Mono10",         0x01100003, "Mono10",    1, 10, PIXELS_WHOLE},
    {"Mono10p",        0x010a0046, "Mono10",    1, 10, PIXELS_STREAM},
    {"Mono10Packed",   0x010c0004, "Mono10",    1, 10, PIXELS_PAIRS},
    {"Mono12",         0x01100005, "Mono12",    1, 12, PIXELS_WHOLE},
    {"Mono12p",        0x010c0047, "Mono12",    1, 12, PIXELS_STREAM},
    {"Mono12Packed",   0x010c0006, "Mono12",    1, 12, PIXELS_PAIRS},
    {"Mono14",         0x01100025, "Mono14",    1, 14, PIXELS_WHOLE},
    {"Mono16",         0x01100007, "Mono16",    1, 16, PIXELS_WHOLE},
    {"RGB8",           0x02180014, "rgb24",     3,  8, PIXELS_WHOLE},
    {"BGR8",           0x02180015, "bgr24",     3,  8, PIXELS_WHOLE},
    {"RGBa8",          0x02200016, "rgba",      4,  8, PIXELS_WHOLE},
    {"BGRa8",          0x02200017, "bgra",      4,  8, PIXELS_WHOLE},
    {"BayerGR8",       0x01080008, "BayerGR8",  1,  8, PIXELS_WHOLE},
    {"BayerRG8",       0x01080009, "BayerRG8",  1,  8, PIXELS_WHOLE},
    {"BayerGB8",       0x0108000a, "BayerGB8",  1,  8, PIXELS_WHOLE},
    {"BayerBG8",       0x0108000b, "BayerBG8",  1,  8, PIXELS_WHOLE},
    {"BayerGR10",      0x0110000c, "BayerGR10", 1, 10, PIXELS_WHOLE},
    {"BayerRG10",      0x0110000d, "BayerRG10", 1, 10, PIXELS_WHOLE},
    {"BayerGB10",      0x0110000e, "BayerGB10", 1, 10, PIXELS_WHOLE},
    {"BayerBG10",      0x0110000f, "BayerBG10", 1, 10, PIXELS_WHOLE},
    {"BayerGR10p",     0x010a0056, "BayerGR10", 1, 10, PIXELS_STREAM},
    {"BayerRG10p",     0x010a0058, "BayerRG10", 1, 10, PIXELS_STREAM},
    {"BayerGB10p",     0x010a0054, "BayerGB10", 1, 10, PIXELS_STREAM},
    {"BayerBG10p",     0x010a0052, "BayerBG10", 1, 10, PIXELS_STREAM},
    {"BayerGR10Packed", 0x010c0026, "BayerGR10", 1, 10, PIXELS_PAIRS},
    {"BayerRG10Packed", 0x010c0027, "BayerRG10", 1, 10, PIXELS_PAIRS},
    {"BayerGB10Packed", 0x010c0028, "BayerGB10", 1, 10, PIXELS_PAIRS},
    {"BayerBG10Packed", 0x010c0029, "BayerBG10", 1, 10, PIXELS_PAIRS},
    {"BayerGR12",      0x01100010, "BayerGR12", 1, 12, PIXELS_WHOLE},
    {"BayerRG12",      0x01100011, "BayerRG12", 1, 12, PIXELS_WHOLE},
    {"BayerGB12",      0x01100012, "BayerGB12", 1, 12, PIXELS_WHOLE},
    {"BayerBG12",      0x01100013, "BayerBG12", 1, 12, PIXELS_WHOLE},
    {"BayerGR12p",     0x010c0057, "BayerGR12", 1, 12, PIXELS_STREAM},
    {"BayerRG12p",     0x010c0059, "BayerRG12", 1, 12, PIXELS_STREAM},
    {"BayerGB12p",     0x010c0055, "BayerGB12", 1, 12, PIXELS_STREAM},
    {"BayerBG12p",     0x010c0053, "BayerBG12", 1, 12, PIXELS_STREAM},
    {"BayerGR12Packed", 0x010c002a, "BayerGR12", 1, 12, PIXELS_PAIRS},
    {"BayerRG12Packed", 0x010c002b, "BayerRG12", 1, 12, PIXELS_PAIRS},
    {"BayerGB12Packed", 0x010c002c, "BayerGB12", 1, 12, PIXELS_PAIRS},
    {"BayerBG12Packed", 0x010c002d, "BayerBG12", 1, 12, PIXELS_PAIRS},
    {"BayerGR16",      0x0110002e, "BayerGR16", 1, 16, PIXELS_WHOLE},
    {"BayerRG16",      0x0110002f, "BayerRG16", 1, 16, PIXELS_WHOLE},
    {"BayerGB16",      0x01100030, "BayerGB16", 1, 16, PIXELS_WHOLE},
    {"BayerBG16",      0x01100031, "BayerBG16", 1, 16, PIXELS_WHOLE},
};
/* clang-format on */

enum { FORMATS = sizeof formats / sizeof formats[0] };

const struct pixels_format *
pixels_find(uint32_t code)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (formats[i].code == code) {
            return &formats[i];
        }
    }
    return NULL;
}

const struct pixels_format *
pixels_find_name(const char *name)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

const char *
pixels_name(size_t index)
{
    return index < FORMATS ? formats[index].name : NULL;
}

/* Bytes of a number in the rows that readers get. */
static size_t
wide(const struct pixels_format *format)
{
    return format->bits > 8 ? 2 : 1;
}

const char *
pixels_dtype(const struct pixels_format *format)
{
    return wide(format) == 2 ? "<u2" : "|u1";
}

size_t
pixels_bytes(const struct pixels_format *format, uint32_t width, uint32_t height)
{
    return (size_t)width * height * format->channels * wide(format);
}

/* Bytes of so many numbers as they are sent. */
static size_t
sent(const struct pixels_format *format, size_t count)
{
    switch (format->packing) {
    case PIXELS_WHOLE:
        return count * wide(format);
    case PIXELS_STREAM:
        return (count * format->bits + 7) / 8;
    case PIXELS_PAIRS:
        return (count * 3 + 1) / 2;
    }
    return 0;
}

/* Without padding the rows follow each other without regard to bytes, so that they are one row. */
static size_t
row_numbers(const struct pixels_picture *p)
{
    return (size_t)p->width * p->format->channels * (p->padding == 0 ? p->height : 1);
}

static size_t
row_count(const struct pixels_picture *p)
{
    return p->padding == 0 ? 1 : p->height;
}

size_t
pixels_sent_bytes(const struct pixels_picture *p)
{
    return row_count(p) * (sent(p->format, row_numbers(p)) + p->padding);
}

static void
put(uint8_t *to, size_t index, uint32_t number)
{
    to[2 * index] = (uint8_t)number;
    to[2 * index + 1] = (uint8_t)(number >> 8);
}

static void
unpack_stream(const uint8_t *from, size_t count, uint32_t bits, uint8_t *to)
{
    uint32_t held = 0, held_bits = 0;
    for (size_t i = 0; i < count; i++) {
        while (held_bits < bits) {
            held |= (uint32_t)*from++ << held_bits;
            held_bits += 8;
        }
        put(to, i, held & ((1U << bits) - 1));
        held >>= bits;
        held_bits -= bits;
    }
}

/* The upper eight bits of the first number, the lower ones of both, the upper ones of the second.
 */
static void
unpack_pairs(const uint8_t *from, size_t count, uint32_t bits, uint8_t *to)
{
    const uint32_t low = bits - 8, mask = (1U << low) - 1;
    for (size_t i = 0; i < count; i += 2, from += 3) {
        put(to, i, (uint32_t)from[0] << low | (from[1] & mask));
        if (i + 1 < count) {
            put(to, i + 1, (uint32_t)from[2] << low | ((uint32_t)from[1] >> 4 & mask));
        }
    }
}

bool
pixels_copy(const struct pixels_picture *p, uint8_t *to)
{
    const size_t count = row_numbers(p), row = sent(p->format, count);
    /* What is behind the last row may be missing. */
    if (p->len + p->padding < pixels_sent_bytes(p)) {
        return false;
    }
    const uint8_t *from = p->data;
    for (size_t i = 0; i < row_count(p); i++, from += row + p->padding) {
        switch (p->format->packing) {
        case PIXELS_WHOLE:
            prong_stream_copy(to, from, row);
            break;
        case PIXELS_STREAM:
            unpack_stream(from, count, p->format->bits, to);
            break;
        case PIXELS_PAIRS:
            unpack_pairs(from, count, p->format->bits, to);
            break;
        }
        to += count * wide(p->format);
    }
    return true;
}

void
pixels_upper(const struct pixels_format *format, const uint8_t *from, size_t count, uint8_t *to)
{
    if (wide(format) == 1) {
        memcpy(to, from, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t number = from[2 * i] | (uint32_t)from[2 * i + 1] << 8;
        to[i] = (uint8_t)(number >> (format->bits - 8));
    }
}
