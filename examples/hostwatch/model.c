/* What is usual for a series of numbers: see model.h. */
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A modified z-score above 3.5 is the outlier of the book; a machine that watches at ten samples a
 * second and several series wants fewer false alarms. */
static const double threshold = 8.0;
/* Scales the MAD of normally distributed numbers to their standard deviation. */
static const double mad_to_sigma = 1.4826;

void
model_init(struct model *m, double floor)
{
    *m = (struct model){.floor = floor};
}

void
model_add(struct model *m, double value)
{
    m->window[m->next] = value;
    m->next = (m->next + 1) % MODEL_WINDOW;
    if (m->count < MODEL_WINDOW) {
        m->count++;
    }
}

static int
ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median; puts the values in order. */
static double
median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, ascending);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct model_score
model_score(const struct model *m, double value)
{
    double values[MODEL_WINDOW];
    struct model_score s = {0};
    if (m->count == 0) {
        return s;
    }
    memcpy(values, m->window, m->count * sizeof *values);
    s.expected = median(values, m->count);
    for (size_t i = 0; i < m->count; i++) {
        values[i] = fabs(values[i] - s.expected);
    }
    s.spread = fmax(mad_to_sigma * median(values, m->count), m->floor);
    s.score = fabs(value - s.expected) / s.spread;
    s.anomaly = m->count >= MODEL_READY && s.score > threshold;
    return s;
}
