/* The time and what poll needs of it; keeps no state. Runs in keeper and spawner. */
#include "broker/spawn/clock.h"

#include <limits.h>
#include <time.h>

int64_t
clock_now_ns(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock and a valid pointer */
    return (int64_t)now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

int
clock_poll_timeout_ms(int64_t deadline_ns)
{
    if (deadline_ns == CLOCK_NEVER_NS) {
        return -1;
    }
    const int64_t left_ns = deadline_ns - clock_now_ns();
    if (left_ns <= 0) {
        return 0;
    }
    const int64_t left_ms = (left_ns + NS_PER_MS - 1) / NS_PER_MS;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}
