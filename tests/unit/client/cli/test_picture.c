/* Frames as pictures: which are some, in which order their bytes stand, and the files of netpbm. */
#include "client/picture/picture.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

/* Two rows of three pixels. */
static const uint8_t pixels[2 * 3 * 4] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120,
                                          11, 21, 31, 41, 51, 61, 71, 81, 91, 101, 111, 121};

static prong_frame
frame_of(uint32_t dims, uint64_t channels)
{
    return (prong_frame){.dtype = "|u1",
                         .dims = dims,
                         .shape = {2, 3, channels},
                         .data = pixels,
                         .bytes = (size_t)(6 * (dims == 3 ? channels : 1))};
}

static enum picture_format
format_of(const prong_frame *frame, const char *format)
{
    struct picture p = {0};
    char why[PICTURE_WHY_BYTES] = "";
    cr_assert(picture_of(frame, format, &p, why), "%s", why);
    cr_assert_eq(p.width, 3u);
    cr_assert_eq(p.height, 2u);
    cr_assert_eq(p.pixels, frame->data);
    return p.format;
}

Test(cli_picture, shapes_and_what_frames_say_decide)
{
    static const uint8_t bgr[] = {0x81, 0xa6, 'f', 'o', 'r', 'm', 'a',
                                  't',  0xa5, 'b', 'g', 'r', '2', '4'};
    prong_frame gray = frame_of(2, 0), gray1 = frame_of(3, 1), three = frame_of(3, 3),
                four = frame_of(3, 4);
    cr_assert_eq(format_of(&gray, NULL), PICTURE_GRAY);
    cr_assert_eq(format_of(&gray1, NULL), PICTURE_GRAY);
    cr_assert_eq(format_of(&three, NULL), PICTURE_RGB);
    cr_assert_eq(format_of(&four, NULL), PICTURE_RGBA);
    cr_assert_eq(format_of(&four, "bgra"), PICTURE_BGRA);
    three.meta = (prong_value){bgr, sizeof bgr};
    cr_assert_eq(format_of(&three, NULL), PICTURE_BGR);
    cr_assert_eq(format_of(&three, "rgb24"), PICTURE_RGB);
}

Test(cli_picture, of_two_bytes_the_upper_eight_bits_are_shown)
{
    static const uint8_t words[] = {0x34, 0x02, 0xff, 0x0f, 0x00, 0x00,
                                    0x0f, 0x00, 0x10, 0x00, 0x00, 0x80};
    static const uint8_t mono12[] = {0x81, 0xa6, 'f', 'o', 'r', 'm', 'a', 't',
                                     0xa6, 'M',  'o', 'n', 'o', '1', '2'};
    static const uint8_t upper[] = {0x02, 0x0f, 0, 0, 0, 0x80},
                         upper12[] = {0x23, 0xff, 0, 0, 1, 0xff};
    prong_frame f = frame_of(2, 0);
    struct picture p = {0};
    char why[PICTURE_WHY_BYTES] = "";
    memcpy(f.dtype, "<u2", 4);
    f.data = words;
    f.bytes = sizeof words;
    cr_assert(picture_of(&f, NULL, &p, why), "%s", why);
    cr_expect(p.format == PICTURE_GRAY && p.width == 3 && p.height == 2);
    cr_expect(memcmp(p.pixels, upper, sizeof upper) == 0, "without a word of it: of 16");
    picture_deinit(&p);
    f.meta = (prong_value){mono12, sizeof mono12};
    cr_assert(picture_of(&f, "gray8", &p, why), "%s", why);
    cr_expect(memcmp(p.pixels, upper12, sizeof upper12) == 0, "what does not fit is white");
    picture_deinit(&p);
    cr_expect_not(picture_of(&f, "rgb24", &p, why));
    cr_expect_not_null(strstr(why, "are gray, and not rgb24"), "%s", why);
    f.dims = 3;
    f.shape[2] = 3;
    f.bytes *= 3;
    cr_expect_not(picture_of(&f, NULL, &p, why), "coloured");
}

static void
refused(prong_frame frame, const char *format, const char *with)
{
    struct picture p;
    char why[PICTURE_WHY_BYTES] = "";
    cr_assert_not(picture_of(&frame, format, &p, why));
    cr_assert_not_null(strstr(why, with), "%s", why);
}

Test(cli_picture, what_is_no_picture_is_refused_with_what_is_allowed)
{
    prong_frame f = frame_of(3, 3);
    memcpy(f.dtype, "<f4", 4);
    refused(f, NULL, "dtype <f4 and shape (2, 3, 3)");
    refused(f, NULL, "dtype |u1 and shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)");
    refused(frame_of(1, 0), NULL, "shape (2)");
    refused(frame_of(4, 3), NULL, "are no pictures");
    refused(frame_of(3, 2), NULL, "(2, 3, 2)");
    refused(frame_of(3, 5), NULL, "(2, 3, 5)");
    f = frame_of(3, 3);
    f.bytes--;
    refused(f, NULL, "are no pictures");
    f = frame_of(3, 3);
    f.shape[0] = f.shape[1] = UINT64_MAX;
    refused(f, NULL, "are no pictures");
    refused(frame_of(3, 3), "gray8", "cannot be gray8");
    refused(frame_of(3, 3), "yuyv", "only gray8 rgb24 bgr24 rgba bgra");
}

/* The file that comes of it; false in *good when it was refused. */
static size_t
file_of(enum picture_format format, enum picture_file file, char out[256], bool *good)
{
    const struct picture p = {format, 3, 2, pixels, NULL};
    char why[PICTURE_WHY_BYTES] = "", *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    cr_assert_not_null(to);
    *good = picture_write(&p, file, to, why);
    cr_assert_eq(fclose(to), 0);
    cr_assert_lt(len, (size_t)256);
    memcpy(out, text, len);
    free(text);
    return len;
}

Test(cli_picture, netpbm_has_red_green_and_blue_in_this_order)
{
    static const char head[] = "P6\n3 2\n255\n", gray_head[] = "P5\n3 2\n255\n";
    const size_t n = sizeof head - 1;
    char out[256];
    bool good = false;
    cr_assert_eq(file_of(PICTURE_RGB, PICTURE_PPM, out, &good), n + 18);
    cr_assert(good && memcmp(out, head, n) == 0 && memcmp(out + n, pixels, 18) == 0);
    cr_assert_eq(file_of(PICTURE_BGR, PICTURE_PPM, out, &good), n + 18);
    static const char turned[] = {30, 20, 10, 60, 50, 40};
    cr_assert(good && memcmp(out + n, turned, sizeof turned) == 0);
    cr_assert_eq(file_of(PICTURE_BGRA, PICTURE_PPM, out, &good), n + 18);
    static const char no_alpha[] = {30, 20, 10, 70, 60, 50};
    cr_assert(good && memcmp(out + n, no_alpha, sizeof no_alpha) == 0);
    cr_assert_eq(file_of(PICTURE_GRAY, PICTURE_PPM, out, &good), n + 18);
    static const char thrice[] = {10, 10, 10, 20, 20, 20};
    cr_assert(good && memcmp(out + n, thrice, sizeof thrice) == 0);
    cr_assert_eq(file_of(PICTURE_GRAY, PICTURE_PGM, out, &good), n + 6);
    cr_assert(good && memcmp(out, gray_head, n) == 0 && memcmp(out + n, pixels, 6) == 0);
    cr_assert_eq(file_of(PICTURE_RGB, PICTURE_PGM, out, &good), (size_t)0);
    cr_assert_not(good);
}

Test(cli_picture, a_png_is_one_or_says_what_is_missing)
{
    const struct picture p = {PICTURE_BGR, 3, 2, pixels, NULL};
    char why[PICTURE_WHY_BYTES] = "", *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    cr_assert_not_null(to);
    const bool good = picture_write(&p, PICTURE_PNG, to, why);
    cr_assert_eq(fclose(to), 0);
    cr_assert_eq(good, picture_has_png(), "%s", why);
    cr_assert(good || strstr(why, "libpng-dev") != NULL, "%s", why);
    cr_assert(!good || (len > 8 && memcmp(text, "\x89PNG\r\n\x1a\n", 8) == 0));
    free(text);
}

Test(cli_picture, the_end_of_a_name_says_what_it_will_be)
{
    enum picture_file file = PICTURE_PNG;
    cr_assert(picture_file_of("a.b/c.PPM", &file));
    cr_assert_eq(file, PICTURE_PPM);
    cr_assert(picture_file_of("x.pgm", &file));
    cr_assert_eq(file, PICTURE_PGM);
    cr_assert_not(picture_file_of("png", &file));
    cr_assert_not(picture_file_of("x.jpg", &file));
}
