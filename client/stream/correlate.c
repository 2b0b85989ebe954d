/* The frame of an event: see <prong/stream.h>. */
#include <prong/stream.h>

#include "proto/clock/clock.h"

int64_t
prong_event_mono_ns(const prong_event *event)
{
    prong_value told;
    int64_t mono_ns;
    if (prong_value_find(&event->payload, "mono_ns", &told) && prong_value_int(&told, &mono_ns)) {
        return mono_ns;
    }
    return clock_mono_ns() - (clock_wall_us() - event->time_us) * 1000;
}

prong_err
prong_reader_at_event(prong_reader *r, const prong_event *event, int32_t timeout_ms,
                      const prong_frame **frame, int64_t *delay_ns)
{
    const int64_t mono_ns = prong_event_mono_ns(event);
    const prong_err err = prong_reader_at(r, mono_ns, timeout_ms, frame);
    if (err == PRONG_OK && delay_ns != NULL) {
        *delay_ns = (*frame)->mono_ns - mono_ns;
    }
    return err;
}
