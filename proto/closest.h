/* "Did you mean": the candidate that is closest to a mistyped word. Pure, no memory. Nothing of it
 * goes over a wire; it is here because the broker's configuration and the command line share it. */
#ifndef PRONG_PROTO_CLOSEST_H
#define PRONG_PROTO_CLOSEST_H

#include <stdbool.h>
#include <stddef.h>

/* Nothing is close to a longer word, nor a longer candidate to any. */
enum { CLOSEST_BYTES_MAX = 64 };

/* Start with `word` and the rules alone; `best` is NULL while nothing close was offered. Both
 * borrowed. */
struct closest {
    const char *word, *best;
    unsigned distance;
    bool loose;       /* capital letters, and '-' for '_', are no mistakes */
    size_t bytes_max; /* of word and candidate; 0: CLOSEST_BYTES_MAX */
};

void closest_offer(struct closest *closest, const char *candidate);

#endif
