/* What the last frames of a stream come to: rate, bytes and delays over a window of time. Pure. */
#ifndef PRONG_CLI_RATE_H
#define PRONG_CLI_RATE_H

#include <stddef.h>
#include <stdint.h>

enum { RATE_SAMPLES_MAX = 65536 }; /* of a window; older ones are left out */

/* A frame that came. */
struct rate_sample {
    int64_t at_ns;    /* when it was taken from the stream */
    int64_t delay_ns; /* since its own time; negative when that is in the future */
    uint64_t bytes;
    uint64_t missed; /* frames before it that the stream had, and that were not seen */
};

struct rate {
    struct rate_sample *samples; /* a ring; owned */
    size_t first, count;
};

/* What is in a window. All zero where there is too little to tell. */
struct rate_result {
    uint64_t frames, missed; /* that were seen; that were not */
    double hz;               /* of the stream: those that were missed count */
    double gap_mean_ns, gap_min_ns, gap_max_ns, gap_std_ns; /* from one frame to the next */
    double bytes_per_s;                                     /* of the stream */
    uint64_t bytes_min, bytes_max;                          /* of a frame */
    int64_t delay_p50_ns, delay_p99_ns, delay_max_ns;
};

/* NULL in `samples` when memory is out. */
void rate_init(struct rate *rate);
void rate_deinit(struct rate *rate);
void rate_add(struct rate *rate, const struct rate_sample *sample);
/* Of the samples after `since_ns`; what is older is forgotten, but for one sample, from which the
 * first gap is measured. */
void rate_look(struct rate *rate, int64_t since_ns, struct rate_result *out);

#endif
