/* "Did you mean": the candidate that is nearest to a mistyped word. Pure, no memory. */
#ifndef PRONG_CLI_SUGGEST_H
#define PRONG_CLI_SUGGEST_H

/* Start with `word` alone; `best` is NULL while nothing near was offered. Both borrowed. */
struct suggestion {
    const char *word, *best;
    unsigned distance;
};

void suggest_offer(struct suggestion *suggestion, const char *candidate);

#endif
