/* When a deviation is worth telling: not each unusual sample, but the episode that they make.
 *
 * A sum of the scores above what is usual, never below zero (the CUSUM of E. S. Page, "Continuous
 * inspection schemes", 1954): an episode begins when the sum reaches EPISODE_SUM, and ends when it
 * is back at zero. It rises by at most EPISODE_GAIN with one sample and stops at EPISODE_SUM, so
 * that neither one outlier nor a burst of a second begins an episode, and one that was long ends
 * as soon as a short one.
 *
 * Nothing here allocates, fails or knows a clock. */
#ifndef HOSTWATCH_EPISODE_H
#define HOSTWATCH_EPISODE_H

#include <stdbool.h>
#include <stdint.h>

/* In units of the score, see model.h. A usual sample has about 0.7 and takes that from the sum, so
 * noise lets it fall; a deviation of 2.5 begins an episode after 30 samples, one of 4 and more
 * after 12: three seconds and 1.2 at ten samples a second. */
#define EPISODE_USUAL 1.5
#define EPISODE_GAIN  2.5
#define EPISODE_SUM   30.0

struct episode {
    double sum;
    double peak;   /* highest score since the sum left zero */
    int64_t left;  /* the sample with which the sum last left zero, or its upper end when open */
    int64_t began; /* while open, and when EPISODE_END is told: its first sample */
    int64_t ended; /* when EPISODE_END is told: the first sample that was usual again */
    bool open;
};

enum episode_change { EPISODE_SAME, EPISODE_BEGIN, EPISODE_END };

/* Take the score of the next sample. Zero is the beginning of everything: struct episode e = {0}.
 *
 *   score  how unusual it is, >= 0; NaN counts as 0
 *   at     its time or number, in a unit of the caller; the samples of a series come in order */
enum episode_change episode_step(struct episode *e, double score, int64_t at);

#endif
