#include "client/devices/genicam/pixels.h"

#include <string.h>

#include "tests/support/test.h"

static struct pixels_picture
picture(const char *name, uint32_t width, uint32_t height, const uint8_t *data, size_t len)
{
    const struct pixels_format *format = pixels_find_name(name);
    cr_assert(format != NULL, "%s", name);
    return (struct pixels_picture){
        .format = format, .width = width, .height = height, .data = data, .len = len};
}

Test(pixels, every_format_is_found_by_name_and_code_and_its_code_says_its_bits)
{
    size_t count = 0;
    for (; pixels_name(count) != NULL; count++) {
        const struct pixels_format *f = pixels_find_name(pixels_name(count));
        cr_assert_eq(pixels_find(f->code), f, "%s", f->name);
        const uint32_t sent_bits = f->code >> 16 & 0xff;
        const uint32_t whole = f->bits > 8 ? 16 : 8;
        const uint32_t expected = f->packing == PIXELS_WHOLE    ? whole * f->channels
                                  : f->packing == PIXELS_STREAM ? f->bits
                                                                : 12;
        cr_assert_eq(sent_bits, expected, "%s", f->name);
        cr_assert_eq(f->code >> 24, f->channels == 1 ? 1 : 2, "%s", f->name);
        const size_t len = strlen(f->name);
        cr_assert_eq(f->packing == PIXELS_STREAM, f->name[len - 1] == 'p', "%s", f->name);
        cr_assert_eq(f->packing == PIXELS_PAIRS, strstr(f->name, "Packed") != NULL, "%s", f->name);
        cr_assert_str_eq(pixels_dtype(f), f->bits > 8 ? "<u2" : "|u1", "%s", f->name);
    }
    cr_assert_eq(count, 45);
    cr_assert(pixels_find(0) == NULL);
    cr_assert(pixels_find_name("Mono") == NULL);
}

Test(pixels, rows_without_padding_are_copied)
{
    const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    uint8_t to[12];
    const struct pixels_picture p = picture("RGB8", 2, 2, data, sizeof data);
    cr_assert_eq(pixels_bytes(p.format, 2, 2), 12);
    cr_assert(pixels_copy(&p, to));
    cr_assert(memcmp(to, data, 12) == 0);
}

Test(pixels, padding_is_left_out_and_may_be_missing_behind_the_last_row)
{
    const uint8_t data[] = {1, 0, 2, 0, 99, 99, 3, 0, 4, 0};
    const uint8_t expected[] = {1, 0, 2, 0, 3, 0, 4, 0};
    uint8_t to[8];
    struct pixels_picture p = picture("Mono16", 2, 2, data, sizeof data);
    p.padding = 2;
    cr_assert_eq(pixels_sent_bytes(&p), 12);
    cr_assert(pixels_copy(&p, to));
    cr_assert(memcmp(to, expected, 8) == 0);
}

/* 0x123 0x456 0x789: the lowest bits come first. */
Test(pixels, a_stream_of_bits_is_unpacked_across_rows)
{
    const uint8_t data[] = {0x23, 0x61, 0x45, 0x89, 0x07};
    const uint8_t expected[] = {0x23, 0x01, 0x56, 0x04, 0x89, 0x07};
    uint8_t to[6];
    const struct pixels_picture p = picture("Mono12p", 1, 3, data, sizeof data);
    cr_assert_eq(pixels_sent_bytes(&p), 5);
    cr_assert(pixels_copy(&p, to));
    cr_assert(memcmp(to, expected, 6) == 0);
}

/* 1 2 3 4 5: ten bits each. */
Test(pixels, ten_bits_are_unpacked)
{
    const uint8_t data[] = {0x01, 0x08, 0x30, 0x00, 0x01, 0x05, 0x00};
    const uint8_t expected[] = {1, 0, 2, 0, 3, 0, 4, 0, 5, 0};
    uint8_t to[10];
    const struct pixels_picture p = picture("BayerRG10p", 5, 1, data, sizeof data);
    cr_assert(pixels_copy(&p, to));
    cr_assert(memcmp(to, expected, 10) == 0);
}

/* Each row begins with a byte of its own then. */
Test(pixels, a_stream_of_bits_with_padding_begins_anew_with_each_row)
{
    const uint8_t data[] = {0x23, 0x01, 99, 0x56, 0x04, 99};
    const uint8_t expected[] = {0x23, 0x01, 0x56, 0x04};
    uint8_t to[4];
    struct pixels_picture p = picture("Mono12p", 1, 2, data, sizeof data);
    p.padding = 1;
    cr_assert(pixels_copy(&p, to));
    cr_assert(memcmp(to, expected, 4) == 0);
}

Test(pixels, pairs_are_unpacked_also_when_the_last_is_alone)
{
    const uint8_t twelve[] = {0x12, 0x63, 0x45, 0x78, 0x09};
    const uint8_t twelve_expected[] = {0x23, 0x01, 0x56, 0x04, 0x89, 0x07};
    const uint8_t ten[] = {0xff, 0x12, 0x80};
    const uint8_t ten_expected[] = {0xfe, 0x03, 0x01, 0x02};
    uint8_t to[6];
    struct pixels_picture p = picture("Mono12Packed", 3, 1, twelve, sizeof twelve);
    cr_assert_eq(pixels_sent_bytes(&p), 5);
    cr_assert(pixels_copy(&p, to));
    cr_assert(memcmp(to, twelve_expected, 6) == 0);
    p = picture("Mono10Packed", 2, 1, ten, sizeof ten);
    cr_assert(pixels_copy(&p, to));
    cr_assert(memcmp(to, ten_expected, 4) == 0);
}

Test(pixels, a_picture_that_is_too_short_is_refused_whatever_its_format)
{
    const uint8_t data[64] = {0};
    uint8_t to[64], before[64];
    memset(to, 7, sizeof to);
    memcpy(before, to, sizeof to);
    for (size_t i = 0; pixels_name(i) != NULL; i++) {
        struct pixels_picture p = picture(pixels_name(i), 3, 2, data, 0);
        p.len = pixels_sent_bytes(&p) - 1;
        cr_assert_not(pixels_copy(&p, to), "%s", p.format->name);
        cr_assert(memcmp(to, before, sizeof to) == 0);
        p.len++;
        cr_assert(pixels_copy(&p, before), "%s", p.format->name);
        memcpy(before, to, sizeof to);
    }
}

Test(pixels, the_upper_eight_bits_are_what_a_picture_of_eight_bits_shows)
{
    const uint8_t mono12[] = {0xff, 0x0f, 0x10, 0x00, 0x0f, 0x00};
    const uint8_t rgb[] = {1, 2, 3};
    uint8_t to[3];
    pixels_upper(pixels_find_name("Mono12"), mono12, 3, to);
    cr_assert_eq(to[0], 255);
    cr_assert_eq(to[1], 1);
    cr_assert_eq(to[2], 0);
    pixels_upper(pixels_find_name("RGB8"), rgb, 3, to);
    cr_assert(memcmp(to, rgb, 3) == 0);
}
