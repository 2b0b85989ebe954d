#include "client/devices/video/inside.h"

#include <errno.h>
#include <libavdevice/avdevice.h>
#include <libavutil/cpu.h>
#include <libavutil/dict.h>
#include <libavutil/imgutils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/clock/clock.h"
#include "proto/mask.h"

enum {
    NS_PER_MS = 1000 * 1000,
    PIXELS_MAX = 1 << 28, /* of a picture; more is junk, and FFmpeg would take the memory for it */
    DECODERS_MAX = 4,     /* threads */
};

static const char *const LIVE_SCHEMES[] = {"rtsp", "rtsps", "rtp", "srt", "udp", "rtmp"};

/* ---- words ------------------------------------------------------------------------------------
 */

void
video_copy_text(char *to, size_t size, const char *from)
{
    const size_t len = strlen(from);
    size_t end = len < size ? len : size - 1;
    while (end < len && end > 0 && ((unsigned char)from[end] & 0xC0) == 0x80) {
        end--; /* not within a character of UTF-8 */
    }
    memmove(to, from, end);
    to[end] = '\0';
}

void
video_shown_url(const char *url, char *shown, size_t size)
{
    char text[2 * VIDEO_WHY_BYTES];
    mask_url(url, text, sizeof text);
    video_copy_text(shown, size, text);
}

void
video_explain(const struct video_source *s, const char *what, int error, char *why, size_t why_size)
{
    char url[VIDEO_WHY_BYTES / 2], text[AV_ERROR_MAX_STRING_SIZE] = "";
    video_shown_url(s->options->url, url, sizeof url);
    if (s->cut == CUT_LATE) {
        snprintf(text, sizeof text, "nothing came within %d ms", s->options->timeout_ms);
    } else if (s->cut == CUT_STOPPED) {
        snprintf(text, sizeof text, "stopped");
    } else if (s->about.is_live && error == AVERROR_EOF) {
        snprintf(text, sizeof text, "the other side has ended it");
    } else {
        av_strerror(error, text, sizeof text);
    }
    snprintf(why, why_size, "cannot %s %s: %s%s%s%s", what, url, text,
             s->said[0] != '\0' ? " (" : "", s->said, s->said[0] != '\0' ? ")" : "");
}

/* FFmpeg's complaints often say more than its error numbers. Only those about the container are
 * kept: they come in the thread that reads, and lead to the source by the one field that is the
 * caller's. Those of the decoders are counted as errors, and there may be thousands. */
static void __attribute__((format(printf, 3, 0)))
hear(void *about, int level, const char *format, va_list arguments)
{
    const AVClass *const *class = about;
    if (level > AV_LOG_ERROR || class == NULL || *class == NULL || *class != avformat_get_class()) {
        return;
    }
    struct video_source *s = ((AVFormatContext *)about)->opaque;
    if (s == NULL) {
        return;
    }
    char said[VIDEO_WHY_BYTES];
    vsnprintf(said, sizeof said, format, arguments);
    mask_text(said, s->said, sizeof s->said); /* a part of the address is enough for a password */
    s->said[strcspn(s->said, "\r\n")] = '\0';
    for (char *at = s->said; *at != '\0'; at++) {
        *at = *at < ' ' || *at > '~' ? '?' : *at; /* it may be out of the file */
    }
    if (strstr(s->said, "://") != NULL) {
        s->said[0] = '\0'; /* the address says nothing new, and cut it hides where a login ends */
    }
}

static prong_err
code_of(const struct video_source *s, int error)
{
    static const struct {
        int error;
        prong_err code;
    } codes[] = {
        {AVERROR(ENOENT), PRONG_NOT_FOUND},
        {AVERROR(ENODEV), PRONG_NOT_FOUND},
        {AVERROR_HTTP_NOT_FOUND, PRONG_NOT_FOUND},
        {AVERROR_STREAM_NOT_FOUND, PRONG_INVALID_ARGUMENT},
        {AVERROR(EACCES), PRONG_PERMISSION_DENIED},
        {AVERROR_HTTP_UNAUTHORIZED, PRONG_PERMISSION_DENIED},
        {AVERROR_HTTP_FORBIDDEN, PRONG_PERMISSION_DENIED},
        {AVERROR(ENOMEM), PRONG_RESOURCE_EXHAUSTED},
        {AVERROR_INVALIDDATA, PRONG_INVALID_ARGUMENT},
        {AVERROR(EINVAL), PRONG_INVALID_ARGUMENT},
        {AVERROR(EISDIR), PRONG_INVALID_ARGUMENT},
        {AVERROR_EOF, PRONG_INVALID_ARGUMENT},
        {AVERROR_PROTOCOL_NOT_FOUND, PRONG_INVALID_ARGUMENT},
        {AVERROR_DEMUXER_NOT_FOUND, PRONG_INVALID_ARGUMENT},
        {AVERROR_DECODER_NOT_FOUND, PRONG_INVALID_ARGUMENT},
    };
    if (s->cut != NOT_CUT) {
        return s->cut == CUT_LATE ? PRONG_DEADLINE_EXCEEDED : PRONG_CANCELLED;
    }
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i].error == error) {
            return codes[i].code;
        }
    }
    return PRONG_UNAVAILABLE;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/* FFmpeg asks this again and again while it waits for a peer. */
static int
is_cut(void *context)
{
    struct video_source *s = context;
    if (s->cut == NOT_CUT && s->options->is_stopping != NULL &&
        s->options->is_stopping(s->options->context)) {
        s->cut = CUT_STOPPED;
    }
    if (s->cut == NOT_CUT && s->deadline_ns != 0 && clock_mono_ns() > s->deadline_ns) {
        s->cut = CUT_LATE;
    }
    return s->cut != NOT_CUT;
}

static bool
has_live_scheme(const char *url)
{
    for (size_t i = 0; i < sizeof LIVE_SCHEMES / sizeof *LIVE_SCHEMES; i++) {
        const size_t len = strlen(LIVE_SCHEMES[i]);
        if (strncmp(url, LIVE_SCHEMES[i], len) == 0 && strncmp(url + len, "://", 3) == 0) {
            return true;
        }
    }
    return false;
}

/* What a path stands for. A pipe would keep open() waiting where nothing can end it, so anything
 * that is neither a file nor a camera is refused. Returns an AVERROR, or 0. */
static int
look_at_path(const char *path, bool *is_camera)
{
    struct stat is;
    *is_camera = false;
    if (strstr(path, "://") != NULL) {
        return 0;
    }
    if (stat(path, &is) != 0) {
        return AVERROR(errno);
    }
    *is_camera = S_ISCHR(is.st_mode);
    if (S_ISDIR(is.st_mode)) {
        return AVERROR(EISDIR);
    }
    return S_ISREG(is.st_mode) || *is_camera ? 0 : AVERROR(EINVAL);
}

static void
set_options(const struct video_source *s, bool is_camera, AVDictionary **dictionary)
{
    const struct video_options *o = s->options;
    if (is_camera && o->width != 0 && o->height != 0) {
        char size[32];
        snprintf(size, sizeof size, "%ux%u", o->width, o->height);
        av_dict_set(dictionary, "video_size", size, 0);
    }
    if (is_camera && o->rate > 0) {
        char rate[32];
        snprintf(rate, sizeof rate, "%.3f", o->rate);
        av_dict_set(dictionary, "framerate", rate, 0);
    }
    if (strncmp(o->url, "rtsp", 4) == 0) {
        av_dict_set(dictionary, "rtsp_transport", o->transport != NULL ? o->transport : "tcp", 0);
    }
}

/* Returns an AVERROR, or 0. */
static int
open_container(struct video_source *s)
{
    AVDictionary *dictionary = NULL;
    bool is_camera;
    int error = look_at_path(s->options->url, &is_camera);
    if (error < 0) {
        return error;
    }
    s->is_camera = is_camera;
    s->about.is_live = is_camera || has_live_scheme(s->options->url);
    if (s->about.is_live) {
        s->deadline_ns = clock_mono_ns() + (int64_t)s->options->timeout_ms * NS_PER_MS;
    }
    s->format = avformat_alloc_context();
    if (s->format == NULL) {
        return AVERROR(ENOMEM);
    }
    s->format->opaque = s;
    s->format->interrupt_callback = (AVIOInterruptCB){.callback = is_cut, .opaque = s};
    if (is_camera) {
        /* The driver's read would wait without end; so the next frame is asked for instead. */
        s->format->flags |= AVFMT_FLAG_NONBLOCK;
    }
    set_options(s, is_camera, &dictionary);
    const AVInputFormat *input = is_camera ? av_find_input_format("v4l2") : NULL;
    error = is_camera && input == NULL
                ? AVERROR_DEMUXER_NOT_FOUND
                : avformat_open_input(&s->format, s->options->url, input, &dictionary);
    av_dict_free(&dictionary);
    /* A camera has said everything already, and has no frame yet. */
    return error < 0 || is_camera ? error : avformat_find_stream_info(s->format, NULL);
}

/* Returns an AVERROR, or 0. */
static int
open_decoder(struct video_source *s)
{
    const AVCodec *decoder = NULL;
    const int index = av_find_best_stream(s->format, AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0);
    if (index < 0) {
        return index;
    }
    for (unsigned i = 0; i < s->format->nb_streams; i++) {
        s->format->streams[i]->discard = (int)i == index ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    s->stream = s->format->streams[index];
    s->codec = avcodec_alloc_context3(decoder);
    if (s->codec == NULL) {
        return AVERROR(ENOMEM);
    }
    const int error = avcodec_parameters_to_context(s->codec, s->stream->codecpar);
    if (error < 0) {
        return error;
    }
    s->codec->pkt_timebase = s->stream->time_base;
    s->codec->max_pixels = PIXELS_MAX;
    s->codec->thread_count = av_cpu_count() < DECODERS_MAX ? av_cpu_count() : DECODERS_MAX;
    /* Each thread that decodes a frame of its own delays the next one by one. */
    s->codec->thread_type = s->about.is_live ? FF_THREAD_SLICE : FF_THREAD_FRAME | FF_THREAD_SLICE;
    s->codec->flags |= s->about.is_live ? AV_CODEC_FLAG_LOW_DELAY : 0;
    return avcodec_open2(s->codec, decoder, NULL);
}

static void
describe(struct video_source *s)
{
    const AVRational rate = av_guess_frame_rate(s->format, s->stream, NULL);
    snprintf(s->about.codec, sizeof s->about.codec, "%s", avcodec_get_name(s->codec->codec_id));
    snprintf(s->about.container, sizeof s->about.container, "%s", s->format->iformat->name);
    s->about.width = s->codec->width > 0 ? (uint32_t)s->codec->width : 0;
    s->about.height = s->codec->height > 0 ? (uint32_t)s->codec->height : 0;
    s->about.rate = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
    s->about.frames = s->stream->nb_frames > 0 ? (uint64_t)s->stream->nb_frames : 0;
}

prong_err
video_source_open(const struct video_options *options, struct video_source **out, char *why,
                  size_t why_size)
{
    struct video_source *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(why, why_size, "out of memory");
        return PRONG_RESOURCE_EXHAUSTED;
    }
    s->options = options;
    s->first_us = INT64_MIN;
    s->last_us = INT64_MIN;
    av_log_set_callback(hear);
    avdevice_register_all();
    s->packet = av_packet_alloc();
    s->frame = av_frame_alloc();
    int error = s->packet != NULL && s->frame != NULL ? open_container(s) : AVERROR(ENOMEM);
    if (error >= 0) {
        error = open_decoder(s);
    }
    if (error < 0) {
        const prong_err code = code_of(s, error);
        video_explain(s, "open", error, why, why_size);
        video_source_close(s);
        return code;
    }
    describe(s);
    *out = s;
    return PRONG_OK;
}

void
video_source_close(struct video_source *s)
{
    if (s == NULL) {
        return;
    }
    avcodec_free_context(&s->codec);
    avformat_close_input(&s->format);
    av_packet_free(&s->packet);
    av_frame_free(&s->frame);
    free(s);
}
