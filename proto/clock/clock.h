/* The clocks of the system as whole numbers. For what is not pure: a core is told the time. */
#ifndef PRONG_CLOCK_CLOCK_H
#define PRONG_CLOCK_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC: nanoseconds. */
static inline int64_t
clock_mono_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* CLOCK_REALTIME: microseconds since 1970. */
static inline int64_t
clock_wall_us(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail with this clock */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#endif
