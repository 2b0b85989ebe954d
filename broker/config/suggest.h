/* "Did you mean": the candidate that is nearest to a mistyped word. Pure, no memory. */
#ifndef PRONG_CONFIG_SUGGEST_H
#define PRONG_CONFIG_SUGGEST_H

/* Start with `word` alone; `best` is NULL while nothing near was offered. Both borrowed. */
struct config_suggestion {
    const char *word, *best;
    unsigned distance;
};

void config_suggest_offer(struct config_suggestion *suggestion, const char *candidate);

#endif
