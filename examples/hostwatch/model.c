/* What is usual for a series of numbers: see model.h. */
#include "model.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* The outlier of Iglewicz and Hoaglin. */
static const double outlier = 3.5;
/* These make of the median and of the upper decile of the distances of normally distributed
 * numbers their standard deviation. */
static const double median_to_sigma = 1.4826, decile_to_sigma = 1 / 1.6449;

void
model_init(struct model *m, double floor)
{
    *m = (struct model){.floor = floor};
}

/* How many of the numbers are below the value. A worker that is started anew reads all of the past,
 * so the order is kept from sample to sample instead of being made for each score. */
static size_t
rank(const struct model *m, double value)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (m->sorted[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static double
median(const struct model *m)
{
    const size_t half = m->count / 2;
    return m->count % 2 == 1 ? m->sorted[half] : m->sorted[half - 1] / 2 + m->sorted[half] / 2;
}

/* The larger estimate of a standard deviation. The distances are met in ascending order by walking
 * from the center to both sides. */
static double
spread(const struct model *m, double center)
{
    const size_t half = m->count / 2, decile = m->count * 9 / 10;
    size_t right = rank(m, center), left = right;
    double distance = 0, of_half = 0;
    for (size_t i = 0; i <= decile; i++) {
        const double below = left > 0 ? center - m->sorted[left - 1] : INFINITY;
        const double above = right < m->count ? m->sorted[right] - center : INFINITY;
        if (right == m->count || (left > 0 && below <= above)) {
            distance = below;
            left--;
        } else {
            distance = above;
            right++;
        }
        if (i == half) {
            of_half = distance;
        }
    }
    const double widest = fmax(median_to_sigma * of_half, decile_to_sigma * distance);
    return fmin(fmax(widest, m->floor), DBL_MAX);
}

struct model_score
model_score(const struct model *m, double value)
{
    struct model_score s = {0};
    if (m->count == 0 || !isfinite(value)) {
        return s;
    }
    s.expected = median(m);
    s.spread = spread(m, s.expected);
    s.score = fmin(fabs(value - s.expected) / s.spread, MODEL_SCORE_MAX);
    s.ready = m->count >= MODEL_READY;
    s.outlier = s.ready && s.score > outlier;
    return s;
}

static void
remove_sorted(struct model *m, double value)
{
    const size_t place = rank(m, value);
    m->count--;
    memmove(m->sorted + place, m->sorted + place + 1, (m->count - place) * sizeof *m->sorted);
}

static void
learn(struct model *m, double value)
{
    if (m->count == MODEL_WINDOW) {
        remove_sorted(m, m->window[m->next]);
    }
    const size_t place = rank(m, value);
    memmove(m->sorted + place + 1, m->sorted + place, (m->count - place) * sizeof *m->sorted);
    m->sorted[place] = value;
    m->window[m->next] = value;
    m->next = (m->next + 1) % MODEL_WINDOW;
    m->count++;
}

/* The episode that begins had begun some samples ago, and these were learned. With too few left
 * nobody would know any longer what is usual. */
static void
forget_newest(struct model *m, size_t count)
{
    for (size_t i = 0; i < count && m->count > MODEL_READY; i++) {
        m->next = (m->next + MODEL_WINDOW - 1) % MODEL_WINDOW;
        remove_sorted(m, m->window[m->next]);
    }
}

/* What was kept aside is all that is known from now on. */
static void
begin_anew(struct model *m)
{
    m->count = 0;
    m->next = 0;
    for (size_t i = 0; i < m->aside_count; i++) {
        learn(m, m->aside[i]);
    }
    m->aside_count = 0;
    m->episode = (struct episode){0};
}

void
model_add(struct model *m, double value)
{
    const struct model_score s = model_score(m, value);
    if (!isfinite(value)) {
        return;
    }
    /* When it began is not asked here. */
    if (episode_step(&m->episode, s.ready ? s.score : 0, 0) == EPISODE_BEGIN) {
        forget_newest(m, m->doubtful);
    }
    if (!m->episode.open) {
        m->aside_count = 0;
        m->doubtful = m->episode.sum > 0 ? m->doubtful + 1 : 0;
        learn(m, value);
        return;
    }
    m->doubtful = 0;
    if (m->aside_count < MODEL_WINDOW) {
        m->aside[m->aside_count++] = value;
    }
    /* Not when it is about to end: what came back is the old usual. */
    if (m->aside_count == MODEL_WINDOW && m->episode.sum >= EPISODE_SUM) {
        begin_anew(m);
    }
}
