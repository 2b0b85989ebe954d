/* What video/open.c and video/source.c share: the source itself. Nobody else includes it. */
#ifndef PRONG_DEVICES_VIDEO_INSIDE_H
#define PRONG_DEVICES_VIDEO_INSIDE_H

#include "client/devices/video/source.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

enum { VIDEO_STAMPS = 64 };

/* When a packet was read. Decoders put frames into another order and hold some back, so the frame
 * that comes out finds its packet by the time of showing, which both have. */
struct video_stamp {
    int64_t pts, mono_ns, time_us;
};

struct video_source {
    const struct video_options *options;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream; /* the format's */
    AVPacket *packet;
    AVFrame *frame;
    struct video_about about;
    bool is_camera; /* of this machine */
    struct video_stamp stamps[VIDEO_STAMPS];
    size_t stamped;                              /* counts up */
    int64_t deadline_ns;                         /* of what may block now; 0: none */
    enum { NOT_CUT, CUT_STOPPED, CUT_LATE } cut; /* why FFmpeg was told to give up */
    bool is_draining;          /* nothing more is read, the decoder gives what it has */
    int read_error;            /* why; AVERROR_EOF at a file's end */
    int64_t first_us, last_us; /* the times of frames; INT64_MIN before the first */
    uint64_t packets, malformed;
    uint64_t broken;            /* reads that failed one after the other, and in the end frames */
    char said[VIDEO_WHY_BYTES]; /* FFmpeg's last complaint about the container or the peer */
    char why[VIDEO_WHY_BYTES];
};

/* "cannot read URL: " and the reason, of FFmpeg's error number and what it said. */
void video_explain(const struct video_source *s, const char *what, int error, char *why,
                   size_t why_size);

#endif
