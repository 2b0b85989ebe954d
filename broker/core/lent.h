/* What the core tells of streams and of the memory that the hub lends. The shell has both, and says
 * what happens to them; here it becomes events, at a rate that is bounded whatever peers do. */
#ifndef PRONG_CORE_LENT_H
#define PRONG_CORE_LENT_H

#include <stdint.h>

struct hub;
struct hub_input;

/* News of streams that may be told now, and those that were not. Writers that come and go as fast
 * as they can must not push what others say out of the ring of events. */
enum { LENT_NEWS_BURST = 50, LENT_NEWS_PER_SECOND = 10 };

struct lent {
    int64_t full_ns; /* when all LENT_NEWS_BURST may be told again */
    uint64_t untold; /* since the last one that was told */
};

/* lent.c */
void lent_take(struct hub *hub, const struct hub_input *in);

#endif
