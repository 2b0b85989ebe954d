/* Time for deadlines: CLOCK_MONOTONIC in nanoseconds. */
#ifndef PRONG_BROKER_SPAWN_CLOCK_H
#define PRONG_BROKER_SPAWN_CLOCK_H

#include <stdint.h>

enum { NS_PER_MS = 1000 * 1000, NS_PER_US = 1000 };

/* "No deadline": later than any time. */
#define CLOCK_NEVER_NS INT64_MAX

/* The time now. */
int64_t clock_now_ns(void);

/* The timeout for poll(2) until `deadline_ns`: rounded up, so that a loop does not spin in the last
 * millisecond; 0 if it is past, -1 for CLOCK_NEVER_NS. */
int clock_poll_timeout_ms(int64_t deadline_ns);

#endif
