#include "client/devices/video/inside.h"

#include <libavutil/avutil.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "proto/clock/clock.h"

enum {
    NS_PER_US = 1000,
    NS_PER_MS = 1000 * 1000,
    US_PER_SECOND = 1000 * 1000,
    CAMERA_AGE_US_MAX = 10 * US_PER_SECOND, /* its driver has only a few buffers */
    NAP_MS = 2,       /* between two looks at a camera that has no frame yet */
    BROKEN_MAX = 256, /* reads that fail one after the other, until it is given up */
    RATE_GUESSED = 25,
};

const struct video_about *
video_source_about(const struct video_source *s)
{
    return &s->about;
}

const char *
video_source_why(const struct video_source *s)
{
    return s->why;
}

uint64_t
video_source_malformed(const struct video_source *s)
{
    return s->malformed;
}

/* ---- packets to the decoder -------------------------------------------------------------------
 */

/* Drivers of cameras say when they had the picture, in microseconds of CLOCK_MONOTONIC; those few
 * that take another clock are not near it, and then the time of the reading stands. */
static int64_t
camera_age_us(const struct video_stamp *at)
{
    const int64_t now_us = at->mono_ns / NS_PER_US;
    const bool is_near = at->pts > now_us - CAMERA_AGE_US_MAX && at->pts <= now_us;
    return is_near ? now_us - at->pts : 0;
}

static void
stamp(struct video_source *s)
{
    struct video_stamp *at = &s->stamps[s->stamped++ % VIDEO_STAMPS];
    at->mono_ns = clock_mono_ns();
    at->time_us = clock_wall_us();
    at->pts = s->packet->pts != AV_NOPTS_VALUE ? s->packet->pts : s->packet->dts;
    const int64_t age_us = s->is_camera ? camera_age_us(at) : 0;
    at->mono_ns -= age_us * NS_PER_US;
    at->time_us -= age_us;
}

/* The packet's times; those of the newest packet when the decoder does not tell which it was. */
static const struct video_stamp *
stamp_of(const struct video_source *s, int64_t pts)
{
    for (size_t back = 1; pts != AV_NOPTS_VALUE && back <= s->stamped && back <= VIDEO_STAMPS;
         back++) {
        const struct video_stamp *at = &s->stamps[(s->stamped - back) % VIDEO_STAMPS];
        if (at->pts == pts) {
            return at;
        }
    }
    return &s->stamps[(s->stamped + VIDEO_STAMPS - 1) % VIDEO_STAMPS];
}

/* The end of what is read: the decoder gives what it still has. */
static void
drain(struct video_source *s, int error)
{
    s->is_draining = true;
    s->broken = 0;
    s->read_error = error;
    (void)avcodec_send_packet(s->codec, NULL); /* it cannot refuse its own end */
    /* What a container promised and does not have was cut off. */
    if (error == AVERROR_EOF && s->about.frames > s->packets) {
        s->malformed += s->about.frames - s->packets;
    }
}

static void
read_failed(struct video_source *s, int error)
{
    if (error == AVERROR(EAGAIN) && s->format->interrupt_callback.callback(s) == 0) {
        (void)poll(NULL, 0, NAP_MS); /* woken early it only looks once more */
        return;
    }
    if (error == AVERROR_INVALIDDATA && s->cut == NOT_CUT && ++s->broken < BROKEN_MAX) {
        s->malformed++;
        return;
    }
    drain(s, error);
}

static void
feed(struct video_source *s)
{
    s->said[0] = '\0'; /* what was said before is not why this fails */
    const int error = av_read_frame(s->format, s->packet);
    if (error < 0) {
        read_failed(s, error);
        return;
    }
    s->broken = 0;
    if (s->packet->stream_index == s->stream->index) {
        s->packets++;
        stamp(s);
        /* What a camera's driver calls damaged comes with nothing in it, and to a decoder nothing
         * would be the end. */
        const bool is_refused =
            s->packet->size == 0 || avcodec_send_packet(s->codec, s->packet) < 0;
        s->malformed += is_refused || (s->packet->flags & AV_PKT_FLAG_CORRUPT) != 0;
    }
    av_packet_unref(s->packet);
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static int64_t
pts_us(struct video_source *s)
{
    const int64_t pts = s->frame->best_effort_timestamp;
    const double rate = s->about.rate > 0 ? s->about.rate : RATE_GUESSED;
    int64_t us;
    if (pts != AV_NOPTS_VALUE) {
        us = av_rescale_q(pts, s->stream->time_base, AV_TIME_BASE_Q);
    } else {
        us = s->last_us == INT64_MIN ? 0 : s->last_us + (int64_t)(US_PER_SECOND / rate);
    }
    if (s->first_us == INT64_MIN) {
        s->first_us = us;
    }
    s->last_us = us;
    return us - s->first_us;
}

static void
show(struct video_source *s, struct video_frame *frame)
{
    const struct video_stamp *at = stamp_of(s, s->frame->pts);
    const bool is_damaged =
        (s->frame->flags & AV_FRAME_FLAG_CORRUPT) != 0 || s->frame->decode_error_flags != 0;
    s->malformed += is_damaged;
    *frame = (struct video_frame){
        .picture = s->frame,
        .width = (uint32_t)s->frame->width,
        .height = (uint32_t)s->frame->height,
        .pts_us = pts_us(s),
        .mono_ns = at->mono_ns,
        .time_us = at->time_us,
        .is_damaged = is_damaged,
    };
}

static enum video_step
finish(struct video_source *s)
{
    if (s->cut == CUT_STOPPED) {
        return VIDEO_STOPPED;
    }
    if (s->cut == NOT_CUT && s->read_error == AVERROR_EOF && !s->about.is_live) {
        return VIDEO_ENDED;
    }
    video_explain(s, "read", s->read_error, s->why, sizeof s->why);
    return VIDEO_FAILED;
}

enum video_step
video_source_next(struct video_source *s, struct video_frame *frame)
{
    if (s->about.is_live) {
        s->deadline_ns = clock_mono_ns() + (int64_t)s->options->timeout_ms * NS_PER_MS;
    }
    for (;;) {
        /* Also where nothing is waited for: a long file of junk has no frame to return with. */
        if (!s->is_draining && s->format->interrupt_callback.callback(s) != 0) {
            drain(s, AVERROR_EXIT);
        }
        const int error = avcodec_receive_frame(s->codec, s->frame);
        if (error == 0) {
            show(s, frame);
            return VIDEO_FRAME;
        }
        if (error == AVERROR_EOF) {
            return finish(s);
        }
        s->malformed += error != AVERROR(EAGAIN);
        if (!s->is_draining) {
            feed(s);
        } else if (++s->broken > BROKEN_MAX) {
            return finish(s); /* a decoder that does not come to its own end */
        }
    }
}
