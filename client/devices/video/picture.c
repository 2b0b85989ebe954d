#include "client/devices/video/picture.h"

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libavutil/mem.h>
#include <libswscale/swscale.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* libswscale writes whole vectors, past the end of a row that is no multiple of them. */
    VECTOR_PIXELS = 32,
    VECTOR_SLACK = 64,
};

static const struct {
    const char *name;
    enum AVPixelFormat pixel;
    uint32_t channels;
} FORMATS[VIDEO_FORMATS] = {
    [VIDEO_BGR24] = {"bgr24", AV_PIX_FMT_BGR24, 3},
    [VIDEO_RGB24] = {"rgb24", AV_PIX_FMT_RGB24, 3},
    [VIDEO_GRAY8] = {"gray8", AV_PIX_FMT_GRAY8, 1},
};

const char *
video_format_name(enum video_format format)
{
    return FORMATS[format].name;
}

bool
video_format_find(const char *name, enum video_format *format)
{
    for (int i = 0; i < VIDEO_FORMATS; i++) {
        if (strcmp(FORMATS[i].name, name) == 0) {
            *format = (enum video_format)i;
            return true;
        }
    }
    return false;
}

uint32_t
video_format_channels(enum video_format format)
{
    return FORMATS[format].channels;
}

size_t
video_bytes(const struct video_geometry *to)
{
    return (size_t)to->width * to->height * FORMATS[to->format].channels;
}

static uint32_t
in_proportion(uint32_t side, uint32_t other, uint32_t picture_other)
{
    const uint64_t scaled = ((uint64_t)side * other + picture_other / 2) / picture_other;
    return scaled == 0 ? 1 : (uint32_t)scaled;
}

struct video_geometry
video_fit(enum video_format format, uint32_t width, uint32_t height, uint32_t picture_width,
          uint32_t picture_height)
{
    struct video_geometry to = {.format = format, .width = width, .height = height};
    if (width == 0 && height == 0) {
        to.width = picture_width;
        to.height = picture_height;
    } else if (width == 0) {
        to.width = in_proportion(picture_width, height, picture_height);
    } else if (height == 0) {
        to.height = in_proportion(picture_height, width, picture_width);
    }
    return to;
}

/* libswscale takes ITU-R BT.601 for everything, and so it stays where the source does not say. */
static void
set_colours(struct SwsContext *scale, const AVFrame *picture)
{
    const int space =
        picture->colorspace == AVCOL_SPC_UNSPECIFIED ? SWS_CS_DEFAULT : (int)picture->colorspace;
    int *source, *target;
    int source_full, target_full, brightness, contrast, saturation;
    if (sws_getColorspaceDetails(scale, &source, &source_full, &target, &target_full, &brightness,
                                 &contrast, &saturation) < 0) {
        return; /* no conversion of colours in this pair of formats */
    }
    if (picture->color_range != AVCOL_RANGE_UNSPECIFIED) {
        source_full = picture->color_range == AVCOL_RANGE_JPEG;
    }
    (void)sws_setColorspaceDetails(scale, sws_getCoefficients(space), source_full,
                                   sws_getCoefficients(SWS_CS_DEFAULT), 1, brightness, contrast,
                                   saturation); /* refused for the same reason */
}

static prong_err
grow(struct video_scaler *s, size_t bytes)
{
    if (s->rows_bytes >= bytes) {
        return PRONG_OK;
    }
    av_free(s->rows);
    s->rows = av_malloc(bytes); /* aligned for vectors */
    s->rows_bytes = s->rows != NULL ? bytes : 0;
    return s->rows != NULL ? PRONG_OK : PRONG_RESOURCE_EXHAUSTED;
}

prong_err
video_scale(struct video_scaler *s, const AVFrame *picture, const struct video_geometry *to,
            void *data)
{
    const size_t row = (size_t)to->width * FORMATS[to->format].channels;
    const bool in_place = to->width % VECTOR_PIXELS == 0;
    const size_t stride =
        in_place ? row : (row + VECTOR_SLACK + VECTOR_SLACK - 1) / VECTOR_SLACK * VECTOR_SLACK;
    if (!in_place && grow(s, stride * to->height + VECTOR_SLACK) != PRONG_OK) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    s->scale = sws_getCachedContext(
        s->scale, picture->width, picture->height, (enum AVPixelFormat)picture->format,
        (int)to->width, (int)to->height, FORMATS[to->format].pixel, SWS_AREA, NULL, NULL, NULL);
    if (s->scale == NULL) {
        return PRONG_INVALID_ARGUMENT;
    }
    set_colours(s->scale, picture);
    uint8_t *const planes[4] = {in_place ? data : s->rows};
    const int strides[4] = {(int)stride};
    if (sws_scale(s->scale, (const uint8_t *const *)picture->data, picture->linesize, 0,
                  picture->height, planes, strides) < 0) {
        return PRONG_INVALID_ARGUMENT;
    }
    for (uint32_t y = 0; !in_place && y < to->height; y++) {
        memcpy((uint8_t *)data + y * row, s->rows + y * stride, row);
    }
    return PRONG_OK;
}

void
video_scaler_deinit(struct video_scaler *s)
{
    sws_freeContext(s->scale);
    av_free(s->rows);
    *s = (struct video_scaler){0};
}

/* ---- PNG --------------------------------------------------------------------------------------
 */

/* The picture as the encoder wants it, owned by `out`. */
static prong_err
for_png(const AVFrame *picture, const struct video_geometry *to, AVFrame *out)
{
    struct video_scaler scaler = {0};
    out->width = (int)to->width;
    out->height = (int)to->height;
    out->format = FORMATS[to->format].pixel;
    if (av_frame_get_buffer(out, 1) < 0) { /* without gaps between the rows */
        return PRONG_RESOURCE_EXHAUSTED;
    }
    prong_err code = PRONG_INTERNAL;
    if (out->linesize[0] == (int)(to->width * FORMATS[to->format].channels)) {
        code = video_scale(&scaler, picture, to, out->data[0]);
    }
    video_scaler_deinit(&scaler);
    return code;
}

static prong_err
encode(const AVFrame *picture, AVPacket *packet, uint8_t **png, size_t *len)
{
    const AVCodec *encoder = avcodec_find_encoder(AV_CODEC_ID_PNG);
    AVCodecContext *codec = encoder != NULL ? avcodec_alloc_context3(encoder) : NULL;
    prong_err code = encoder == NULL ? PRONG_UNIMPLEMENTED : PRONG_RESOURCE_EXHAUSTED;
    if (codec == NULL) {
        return code;
    }
    codec->width = picture->width;
    codec->height = picture->height;
    codec->pix_fmt = (enum AVPixelFormat)picture->format;
    codec->time_base = (AVRational){1, 1};
    code = PRONG_INTERNAL;
    if (avcodec_open2(codec, encoder, NULL) < 0 || avcodec_send_frame(codec, picture) < 0 ||
        avcodec_receive_packet(codec, packet) < 0) {
        goto out;
    }
    code = PRONG_RESOURCE_EXHAUSTED;
    *png = malloc((size_t)packet->size);
    if (*png != NULL) {
        memcpy(*png, packet->data, (size_t)packet->size);
        *len = (size_t)packet->size;
        code = PRONG_OK;
    }
out:
    avcodec_free_context(&codec);
    return code;
}

prong_err
video_png(const AVFrame *picture, const struct video_geometry *size, uint8_t **png, size_t *len)
{
    struct video_geometry to = *size;
    AVFrame *rgb = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    prong_err code = PRONG_RESOURCE_EXHAUSTED;
    if (to.format == VIDEO_BGR24) {
        to.format = VIDEO_RGB24; /* PNG has no other order */
    }
    if (rgb != NULL && packet != NULL) {
        code = for_png(picture, &to, rgb);
    }
    if (code == PRONG_OK) {
        code = encode(rgb, packet, png, len);
    }
    av_packet_free(&packet);
    av_frame_free(&rgb);
    return code;
}
