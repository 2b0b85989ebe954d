#include "client/devices/video/pace.h"

enum {
    NS_PER_US = 1000,
    LATE_NS_MAX = 200 * 1000 * 1000, /* more is not caught up with */
    JUMP_US_MAX = 10 * 1000 * 1000,  /* between two frames: not a pause, another clock */
};
#define NS_PER_SECOND 1e9

static int64_t
begin(struct video_pace *p, int64_t pts_us, int64_t now_ns)
{
    p->has_begun = true;
    p->base_ns = now_ns;
    p->base_us = pts_us;
    p->last_us = pts_us;
    return now_ns;
}

int64_t
video_pace_due(struct video_pace *p, int64_t pts_us, int64_t now_ns)
{
    if (!p->is_source && p->rate <= 0) {
        return now_ns;
    }
    const int64_t step_us = pts_us - p->last_us;
    if (!p->has_begun || (p->is_source && (step_us < 0 || step_us > JUMP_US_MAX))) {
        return begin(p, pts_us, now_ns);
    }
    int64_t due_ns;
    if (p->is_source) {
        due_ns = p->base_ns + (pts_us - p->base_us) * NS_PER_US;
    } else {
        due_ns = p->base_ns + (int64_t)(NS_PER_SECOND / p->rate);
        p->base_ns = due_ns;
    }
    p->last_us = pts_us;
    return due_ns + LATE_NS_MAX < now_ns ? begin(p, pts_us, now_ns) : due_ns;
}

bool
video_pace_takes(struct video_pace *p, int64_t mono_ns)
{
    if (p->rate <= 0) {
        return true;
    }
    const int64_t period_ns = (int64_t)(NS_PER_SECOND / p->rate);
    /* A frame that comes a little early belongs to its own turn, or every second one of a camera
     * with just this rate would be left out whenever it trembles. */
    if (p->has_begun && mono_ns < p->base_ns + period_ns - period_ns / 4) {
        return false;
    }
    const bool is_in_step = p->has_begun && mono_ns < p->base_ns + 2 * period_ns;
    p->base_ns = is_in_step ? p->base_ns + period_ns : mono_ns;
    p->has_begun = true;
    return true;
}
