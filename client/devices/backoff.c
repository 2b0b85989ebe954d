/* How long to wait: see backoff.h. */
#include "client/devices/backoff.h"

/* xorshift64, which must not be at 0. */
static uint64_t
draw(uint64_t *seed)
{
    uint64_t x = *seed != 0 ? *seed : UINT64_C(0x9e3779b97f4a7c15);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *seed = x;
    return x;
}

int64_t
backoff_next(struct backoff *b)
{
    const int64_t base = b->next_ms > 0 ? b->next_ms : b->min_ms;
    b->next_ms = base < b->max_ms / 2 ? 2 * base : b->max_ms;
    const int64_t spread = base / 5;
    const int64_t wait = base - spread + (int64_t)(draw(&b->seed) % (uint64_t)(2 * spread + 1));
    return wait < 1 ? 1 : wait > b->max_ms ? b->max_ms : wait;
}

void
backoff_reset(struct backoff *b)
{
    b->next_ms = 0;
}

void
backoff_lasted(struct backoff *b, int64_t ms)
{
    if (ms >= b->next_ms) {
        backoff_reset(b);
    }
}
