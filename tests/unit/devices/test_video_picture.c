#include "client/devices/video/picture.h"
#include "tests/support/test.h"

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 4096, CANARY = 0xA5 };

static AVFrame *
picture(enum AVPixelFormat format, int width, int height)
{
    AVFrame *frame = av_frame_alloc();
    cr_assert(frame != NULL, "memory");
    frame->format = format;
    frame->width = width;
    frame->height = height;
    cr_assert_eq(av_frame_get_buffer(frame, 0), 0, "memory");
    return frame;
}

/* A plain picture of one colour, in RGB. */
static AVFrame *
plain(int width, int height, uint8_t red, uint8_t green, uint8_t blue)
{
    AVFrame *frame = picture(AV_PIX_FMT_RGB24, width, height);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t *at = frame->data[0] + y * frame->linesize[0] + 3 * x;
            at[0] = red;
            at[1] = green;
            at[2] = blue;
        }
    }
    return frame;
}

static AVFrame *
grey_yuv(int width, int height, int luma)
{
    AVFrame *frame = picture(AV_PIX_FMT_YUV420P, width, height);
    for (int y = 0; y < height; y++) {
        memset(frame->data[0] + y * frame->linesize[0], luma, (size_t)width);
    }
    for (int plane = 1; plane < 3; plane++) {
        for (int y = 0; y < (height + 1) / 2; y++) {
            memset(frame->data[plane] + y * frame->linesize[plane], 128, (size_t)(width + 1) / 2);
        }
    }
    return frame;
}

Test(video_picture, nothing_outside_the_picture_is_written)
{
    static const uint32_t widths[] = {1,  2,  3,   15,  16,  17,  31,  32,  33, 50,
                                      64, 96, 100, 127, 128, 161, 320, 333, 352};
    struct video_scaler scaler = {0};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        for (int format = 0; format < VIDEO_FORMATS; format++) {
            for (int is_same = 0; is_same < 2; is_same++) {
                const struct video_geometry to = {(enum video_format)format, widths[i], 9};
                AVFrame *frame = grey_yuv(is_same ? (int)widths[i] : 200, is_same ? 9 : 40, 126);
                const size_t bytes = video_bytes(&to);
                uint8_t *room = malloc(bytes + (size_t)2 * GUARD);
                cr_assert(room != NULL, "memory");
                memset(room, CANARY, bytes + (size_t)2 * GUARD);
                cr_assert_eq(video_scale(&scaler, frame, &to, room + GUARD), PRONG_OK, "scale");
                for (size_t k = 0; k < GUARD; k++) {
                    cr_assert(room[k] == CANARY && room[GUARD + bytes + k] == CANARY,
                              "written outside: width %u, %s", widths[i],
                              video_format_name(to.format));
                }
                for (size_t k = 0; k < bytes; k++) {
                    cr_assert(room[GUARD + k] >= 126 && room[GUARD + k] <= 130,
                              "byte %zu of width %u is %d", k, widths[i], room[GUARD + k]);
                }
                free(room);
                av_frame_free(&frame);
            }
        }
    }
    video_scaler_deinit(&scaler);
}

Test(video_picture, each_format_has_its_order_of_bytes)
{
    struct video_scaler scaler = {0};
    AVFrame *frame = plain(64, 4, 200, 100, 50);
    uint8_t out[64 * 4 * 3];
    struct video_geometry to = {VIDEO_BGR24, 64, 4};
    cr_assert_eq(video_scale(&scaler, frame, &to, out), PRONG_OK, "scale");
    cr_expect(out[0] == 50 && out[1] == 100 && out[2] == 200, "bgr24: %d %d %d", out[0], out[1],
              out[2]);
    to.format = VIDEO_RGB24;
    cr_assert_eq(video_scale(&scaler, frame, &to, out), PRONG_OK, "scale");
    cr_expect(out[0] == 200 && out[1] == 100 && out[2] == 50, "rgb24: %d %d %d", out[0], out[1],
              out[2]);
    to.format = VIDEO_GRAY8; /* 0.299 R + 0.587 G + 0.114 B */
    cr_assert_eq(video_scale(&scaler, frame, &to, out), PRONG_OK, "scale");
    cr_expect(abs(out[0] - 124) <= 2, "gray8: %d", out[0]);
    av_frame_free(&frame);
    video_scaler_deinit(&scaler);
}

Test(video_picture, the_range_that_a_source_tells_is_used)
{
    struct video_scaler scaler = {0};
    uint8_t out[64 * 4 * 3];
    const struct video_geometry to = {VIDEO_BGR24, 64, 4};
    AVFrame *frame = grey_yuv(64, 4, 235);
    cr_assert_eq(video_scale(&scaler, frame, &to, out), PRONG_OK, "scale");
    cr_expect(out[0] >= 254, "235 is white where the source says nothing: %d", out[0]);
    frame->color_range = AVCOL_RANGE_JPEG;
    cr_assert_eq(video_scale(&scaler, frame, &to, out), PRONG_OK, "scale");
    cr_expect(abs(out[0] - 235) <= 1, "and 235 where it uses all of a byte: %d", out[0]);
    av_frame_free(&frame);
    video_scaler_deinit(&scaler);
}

Test(video_picture, a_size_that_is_not_given_follows_the_other)
{
    const struct video_geometry same = video_fit(VIDEO_BGR24, 0, 0, 640, 480);
    const struct video_geometry wide = video_fit(VIDEO_BGR24, 320, 0, 640, 480);
    const struct video_geometry high = video_fit(VIDEO_BGR24, 0, 120, 640, 480);
    const struct video_geometry both = video_fit(VIDEO_BGR24, 100, 100, 640, 480);
    const struct video_geometry thin = video_fit(VIDEO_BGR24, 1, 0, 640, 4);
    cr_expect(same.width == 640 && same.height == 480, "%ux%u", same.width, same.height);
    cr_expect(wide.width == 320 && wide.height == 240, "%ux%u", wide.width, wide.height);
    cr_expect(high.width == 160 && high.height == 120, "%ux%u", high.width, high.height);
    cr_expect(both.width == 100 && both.height == 100, "%ux%u", both.width, both.height);
    cr_expect(thin.width == 1 && thin.height == 1, "%ux%u", thin.width, thin.height);
}

Test(video_picture, names_of_formats_are_found)
{
    enum video_format format;
    for (int i = 0; i < VIDEO_FORMATS; i++) {
        cr_assert(video_format_find(video_format_name((enum video_format)i), &format) &&
                      (int)format == i,
                  "%d", i);
    }
    cr_expect(!video_format_find("yuv420p", &format), "there is no such format");
}

/* The picture in a PNG, as FFmpeg's decoder reads it. */
static AVFrame *
decode(const uint8_t *png, size_t len)
{
    const AVCodec *decoder = avcodec_find_decoder(AV_CODEC_ID_PNG);
    AVCodecContext *codec = avcodec_alloc_context3(decoder);
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    cr_assert(codec != NULL && packet != NULL && frame != NULL, "memory");
    cr_assert_eq(av_new_packet(packet, (int)len), 0, "memory");
    memcpy(packet->data, png, len);
    cr_assert(avcodec_open2(codec, decoder, NULL) == 0 && avcodec_send_packet(codec, packet) == 0 &&
                  avcodec_send_packet(codec, NULL) == 0 && avcodec_receive_frame(codec, frame) == 0,
              "no picture");
    avcodec_free_context(&codec);
    av_packet_free(&packet);
    return frame;
}

Test(video_picture, a_png_has_the_same_pixels)
{
    AVFrame *frame = plain(51, 7, 200, 100, 50);
    for (int format = 0; format < VIDEO_FORMATS; format++) {
        const struct video_geometry to = {(enum video_format)format, 51, 7};
        uint8_t *png = NULL;
        size_t len = 0;
        cr_assert_eq(video_png(frame, &to, &png, &len), PRONG_OK, "png");
        cr_assert(len > 8 && memcmp(png, "\x89PNG\r\n\x1a\n", 8) == 0, "no PNG");
        AVFrame *back = decode(png, len);
        cr_assert(back->width == 51 && back->height == 7, "%dx%d", back->width, back->height);
        const uint8_t *last = back->data[0] + 6 * back->linesize[0];
        if (format == VIDEO_GRAY8) {
            cr_expect(back->format == AV_PIX_FMT_GRAY8 && abs(last[50] - 124) <= 2, "%d", last[50]);
        } else {
            cr_expect(back->format == AV_PIX_FMT_RGB24 && last[150] == 200 && last[151] == 100 &&
                          last[152] == 50,
                      "%d %d %d", last[150], last[151], last[152]);
        }
        av_frame_free(&back);
        free(png);
    }
    av_frame_free(&frame);
}
