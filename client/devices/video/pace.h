/* When the frames of a file are shown, and which frames of a camera are taken: arithmetic on times
 * that the caller brings. */
#ifndef PRONG_DEVICES_VIDEO_PACE_H
#define PRONG_DEVICES_VIDEO_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Zero is: as fast as they come. */
struct video_pace {
    double rate;    /* frames a second; 0: no pace of its own */
    bool is_source; /* the source's own times */
    bool has_begun;
    int64_t base_ns; /* the time at which `base_us` is due; with a rate: the last frame was */
    int64_t base_us, last_us;
};

/* When a frame of a file is due; a time that has passed when it is late. A source that is behind,
 * because it was paused or its readers are slow, goes on from now and does not hurry; so does one
 * whose own clock jumps. */
int64_t video_pace_due(struct video_pace *p, int64_t pts_us, int64_t now_ns);
/* Whether a frame of a live source that came at `mono_ns` is one of at most `rate` a second. */
bool video_pace_takes(struct video_pace *p, int64_t mono_ns);

#endif
