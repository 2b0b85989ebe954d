/* What is usual for a series of numbers, and how far a number is from it.
 *
 * The score is a robust z-score: the distance from the median of a window, in units of a spread
 * that outliers do not widen. The spread is the larger of two estimates of a standard deviation:
 * from the median of the distances (the MAD of Iglewicz and Hoaglin, "How to detect and handle
 * outliers", 1993), and from their upper decile, because what a machine does is mostly nothing and
 * now and then a burst, for which the MAD alone is next to zero and each burst an alarm. Below both
 * is a floor, in the unit of the series: less is never worth a word.
 *
 * While a series deviates (an episode, see episode.h) its values are kept aside, and the first ones
 * are forgotten, so a disturbance does not teach the model that it is normal. One that lasts for a
 * whole window is the new normal.
 *
 * What a model knows follows from the samples alone, so two that saw the same ones agree. Nothing
 * here allocates, fails or knows a clock. */
#ifndef HOSTWATCH_MODEL_H
#define HOSTWATCH_MODEL_H

#include "episode.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    MODEL_WINDOW = 256, /* samples: 25 s at ten a second */
    MODEL_READY = 50,   /* with fewer nobody knows what is usual */
};

#define MODEL_SCORE_MAX 1e6 /* finite, whatever comes: JSON knows no infinity */

struct model {
    double window[MODEL_WINDOW]; /* a ring in the order of the samples, the oldest at `next` */
    double sorted[MODEL_WINDOW]; /* the same numbers in ascending order */
    double aside[MODEL_WINDOW];
    size_t count, next, aside_count;
    size_t doubtful; /* the newest in the window: an episode may have begun with them */
    double floor;    /* smallest deviation that counts as one, in the unit of the series; > 0 */
    struct episode episode;
};

struct model_score {
    double score, expected, spread;
    bool ready;   /* enough samples were seen; before that the score means little */
    bool outlier; /* the number by itself is an outlier: ready, and a score above 3.5 */
};

void model_init(struct model *m, double floor);
/* Learn the next sample. What is no number (NaN, infinite) teaches nothing. */
void model_add(struct model *m, double value);
/* Score a value against what was learned: all zero without a sample, or when it is no number. */
struct model_score model_score(const struct model *m, double value);

#endif
