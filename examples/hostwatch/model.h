/* What is usual for a series of numbers, and how far a number is from it.
 *
 * The score is the modified z-score of Iglewicz and Hoaglin ("How to detect and handle outliers",
 * 1993): the distance from the median of a window in units of the median absolute deviation. Median
 * and MAD hardly move while up to half of the window is unusual, so a disturbance of some seconds
 * does not teach the model that it is normal, as it would a mean and a variance. */
#ifndef HOSTWATCH_MODEL_H
#define HOSTWATCH_MODEL_H

#include <stdbool.h>
#include <stddef.h>

enum {
    MODEL_WINDOW = 256, /* samples: 25 s at ten a second */
    MODEL_READY = 20,   /* below this many nothing is called unusual */
};

struct model {
    double window[MODEL_WINDOW];
    size_t count, next;
    double floor; /* smallest deviation that counts as one, in the unit of the series */
};

struct model_score {
    double score, expected, spread;
    bool anomaly;
};

void model_init(struct model *m, double floor);
/* Learn one sample. */
void model_add(struct model *m, double value);
/* Score a value against what was learned. */
struct model_score model_score(const struct model *m, double value);

#endif
