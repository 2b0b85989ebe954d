/* How long to wait before the next attempt: twice as long each time, a fifth more or less so that
 * many do not come at once. Pure. */
#ifndef PRONG_DEVICES_BACKOFF_H
#define PRONG_DEVICES_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t min_ms, max_ms;
    int64_t next_ms; /* 0: the first time */
    uint64_t seed;   /* any */
};

/* From 1 to `max_ms`. */
int64_t backoff_next(struct backoff *backoff);
/* It worked: the next wait is the first one again. */
void backoff_reset(struct backoff *backoff);
/* It has worked for so long and does not any more. Less than the next wait counts for nothing: a
 * peer that takes each connection and ends it at once is tried later and later. */
void backoff_lasted(struct backoff *backoff, int64_t ms);

#endif
