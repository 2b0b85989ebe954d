#include "tests/unit/devices/make_video.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdio.h>
#include <string.h>

enum { BARS = 16, BLACK = 16, WHITE = 235, LIGHT = 128 };

struct maker {
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream;
    AVFrame *frame;
    AVPacket *packet;
};

int
make_video_number(const uint8_t *pixels, int width, int height, int channels)
{
    int number = 0;
    for (int bar = 0; bar < BARS; bar++) {
        const int x = (2 * bar + 1) * width / (2 * BARS);
        const size_t at = ((size_t)(height / 4) * (size_t)width + (size_t)x) * (size_t)channels;
        number |= (pixels[at] > LIGHT) << bar;
    }
    return number;
}

/* The number in the upper half, a ramp in the lower one. */
static void
draw(AVFrame *frame, int number)
{
    for (int y = 0; y < frame->height; y++) {
        for (int x = 0; x < frame->width; x++) {
            const bool is_set = (number >> (x * BARS / frame->width) & 1) != 0;
            const int ramp = BLACK + (WHITE - BLACK) * x / frame->width;
            frame->data[0][y * frame->linesize[0] + x] = (uint8_t)(y >= frame->height / 2 ? ramp
                                                                   : is_set               ? WHITE
                                                                                          : BLACK);
        }
    }
    for (int plane = 1; plane < 3; plane++) {
        for (int y = 0; y < (frame->height + 1) / 2; y++) {
            memset(frame->data[plane] + y * frame->linesize[plane], LIGHT,
                   (size_t)(frame->width + 1) / 2);
        }
    }
}

static int
begin(struct maker *m, const char *path, const struct make_video *what)
{
    const AVCodec *encoder = avcodec_find_encoder_by_name(what->codec);
    if (encoder == NULL) {
        return AVERROR_ENCODER_NOT_FOUND;
    }
    m->codec = avcodec_alloc_context3(encoder);
    m->frame = av_frame_alloc();
    m->packet = av_packet_alloc();
    int error = avformat_alloc_output_context2(&m->format, NULL, NULL, path);
    if (error < 0 || m->codec == NULL || m->frame == NULL || m->packet == NULL) {
        return error < 0 ? error : AVERROR(ENOMEM);
    }
    m->codec->width = what->width;
    m->codec->height = what->height;
    m->codec->pix_fmt = encoder->id == AV_CODEC_ID_MJPEG ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P;
    m->codec->time_base = (AVRational){1, what->rate};
    m->codec->framerate = (AVRational){what->rate, 1};
    m->codec->gop_size = 10;
    m->codec->max_b_frames = what->reorder;
    m->codec->bit_rate = 2000000;
    if ((m->format->oformat->flags & AVFMT_GLOBALHEADER) != 0) {
        m->codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    }
    m->stream = avformat_new_stream(m->format, NULL);
    if (m->stream == NULL) {
        return AVERROR(ENOMEM);
    }
    m->stream->time_base = m->codec->time_base;
    m->stream->avg_frame_rate = m->codec->framerate;
    error = avcodec_open2(m->codec, encoder, NULL);
    if (error >= 0) {
        error = avcodec_parameters_from_context(m->stream->codecpar, m->codec);
    }
    m->frame->width = what->width;
    m->frame->height = what->height;
    m->frame->format = m->codec->pix_fmt;
    return error < 0 ? error : av_frame_get_buffer(m->frame, 0);
}

/* `frame` NULL: the end. */
static int
encode(struct maker *m, const AVFrame *frame)
{
    int error = avcodec_send_frame(m->codec, frame);
    while (error >= 0) {
        error = avcodec_receive_packet(m->codec, m->packet);
        if (error < 0) {
            return error == AVERROR(EAGAIN) || error == AVERROR_EOF ? 0 : error;
        }
        m->packet->duration = 1;
        av_packet_rescale_ts(m->packet, m->codec->time_base, m->stream->time_base);
        m->packet->stream_index = 0;
        error = av_interleaved_write_frame(m->format, m->packet);
    }
    return error;
}

static int
write_all(struct maker *m, const char *path, const struct make_video *what)
{
    AVDictionary *dictionary = NULL;
    if (what->append) {
        av_dict_set(&dictionary, "truncate", "0", 0);
    }
    int error = avio_open2(&m->format->pb, path, AVIO_FLAG_WRITE, NULL, &dictionary);
    av_dict_free(&dictionary);
    if (error >= 0 && what->append) {
        const int64_t end = avio_seek(m->format->pb, avio_size(m->format->pb), SEEK_SET);
        error = end < 0 ? (int)end : 0;
    }
    if (error >= 0) {
        error = avformat_write_header(m->format, NULL);
    }
    for (int i = 0; error >= 0 && i < what->frames; i++) {
        error = av_frame_make_writable(m->frame);
        if (error >= 0) {
            draw(m->frame, what->first + i);
            m->frame->pts = i;
            error = encode(m, m->frame);
        }
    }
    if (error >= 0) {
        error = encode(m, NULL);
    }
    return error < 0 ? error : av_write_trailer(m->format);
}

bool
make_video(const char *path, const struct make_video *what)
{
    struct maker m = {0};
    av_log_set_level(AV_LOG_ERROR);
    int error = begin(&m, path, what);
    if (error >= 0) {
        error = write_all(&m, path, what);
    }
    if (m.format != NULL && m.format->pb != NULL) {
        const int closed = avio_closep(&m.format->pb);
        error = error < 0 ? error : closed;
    }
    avformat_free_context(m.format);
    avcodec_free_context(&m.codec);
    av_frame_free(&m.frame);
    av_packet_free(&m.packet);
    if (error < 0) {
        char text[AV_ERROR_MAX_STRING_SIZE] = "";
        av_strerror(error, text, sizeof text);
        fprintf(stderr, "%s: %s\n", path, text);
    }
    return error >= 0;
}
