/* The number that a frame of a video for tests shows. */
#include "tests/e2e/devices/stream_frames.h"

#include "tests/unit/devices/make_video.h"

int
stream_shows(const prong_frame *f)
{
    const int channels = f->dims == 3 ? (int)f->shape[2] : 1;
    return f->dims < 2 ? -1
                       : make_video_number(f->data, (int)f->shape[1], (int)f->shape[0], channels);
}
