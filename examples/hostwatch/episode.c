/* When a deviation is worth telling: see episode.h. */
#include "episode.h"

#include <math.h>

enum episode_change
episode_step(struct episode *e, double score, int64_t at)
{
    const double bound = e->open ? EPISODE_SUM : 0, before = e->sum;
    score = isnan(score) ? 0 : score;
    e->sum = fmin(fmax(before + fmin(score - EPISODE_USUAL, EPISODE_GAIN), 0), EPISODE_SUM);
    if (before == bound && e->sum != bound) {
        e->left = at;
        if (!e->open) {
            e->peak = 0;
        }
    }
    e->peak = fmax(e->peak, score);
    if (!e->open && e->sum >= EPISODE_SUM) {
        e->open = true;
        e->began = e->left;
        return EPISODE_BEGIN;
    }
    if (e->open && e->sum <= 0) {
        e->open = false;
        e->ended = e->left;
        return EPISODE_END;
    }
    return EPISODE_SAME;
}
