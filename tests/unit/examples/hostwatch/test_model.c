/* Series of numbers in; scores, and the episodes that are made of them, out. */
#include "examples/hostwatch/model.h"
#include "tests/support/test.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* A series as a frontend sees it: each sample is scored, then learned. */
struct series {
    struct model model;
    struct episode episode;
    int at; /* number of the next sample */
    int begun, ended;
    int told; /* the sample with which the last change was told */
    double peak;
    struct model_score last;
};

static void
series_init(struct series *s, double floor)
{
    *s = (struct series){.at = 0};
    model_init(&s->model, floor);
}

static void
feed(struct series *s, double value)
{
    s->last = model_score(&s->model, value);
    const enum episode_change change =
        episode_step(&s->episode, s->last.ready ? s->last.score : 0, s->at);
    s->begun += change == EPISODE_BEGIN;
    s->ended += change == EPISODE_END;
    if (change != EPISODE_SAME) {
        s->told = s->at;
        s->peak = s->episode.peak;
    }
    model_add(&s->model, value);
    s->at++;
}

/* Pseudo-random numbers that are the same in every run. */
static double
uniform(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) / (1 << 24);
}

static double
normal(uint32_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += uniform(state);
    }
    return sum;
}

static void
feed_normal(struct series *s, uint32_t *state, int count, double mean, double sigma)
{
    for (int i = 0; i < count; i++) {
        feed(s, mean + sigma * normal(state));
    }
}

static void
expect(const struct series *s, int begun, int ended, const char *what)
{
    cr_assert(s->begun == begun && s->ended == ended, "%s: %d begun, %d ended, at %d", what,
              s->begun, s->ended, s->at);
}

static bool
near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(1, fabs(b));
}

Test(model, without_a_sample_it_says_nothing)
{
    struct model m;
    model_init(&m, 1);
    const struct model_score s = model_score(&m, 1e9);
    cr_assert(!s.ready && !s.outlier && near(s.score, 0) && near(s.spread, 0), "score %f", s.score);
}

Test(model, with_few_samples_it_scores_but_is_not_ready)
{
    struct series s;
    series_init(&s, 0.05);
    for (int i = 0; i < MODEL_READY; i++) {
        feed(&s, i % 2 == 0 ? 1000 : -1000);
        cr_assert(!s.last.ready && !s.last.outlier, "ready at %d", i);
    }
    feed(&s, 1e6);
    cr_assert(s.last.ready && s.last.outlier, "not ready");
    expect(&s, 0, 0, "warming up");
}

Test(model, whatever_comes_first_is_learned)
{
    struct model m;
    model_init(&m, 0.05);
    for (size_t i = 0; i < MODEL_READY; i++) {
        cr_assert(m.count == i, "%zu after %zu samples", m.count, i);
        model_add(&m, i < 20 ? 0 : 100);
    }
}

Test(model, a_constant_series_has_the_floor_as_its_spread_and_no_episode)
{
    struct series s;
    series_init(&s, 0.05);
    for (int i = 0; i < 5000; i++) {
        feed(&s, 0.25);
    }
    expect(&s, 0, 0, "constant");
    cr_assert(near(s.last.expected, 0.25) && near(s.last.spread, 0.05) && near(s.last.score, 0),
              "%f +- %f, score %f", s.last.expected, s.last.spread, s.last.score);
    cr_assert(near(model_score(&s.model, 0.45).score, 4), "four floors");
}

Test(model, less_than_the_floor_is_never_worth_a_word)
{
    struct series s;
    series_init(&s, 0.05);
    for (int i = 0; i < 3000; i++) {
        feed(&s, i / 500 % 2 == 0 ? 0.5 : 0.57);
    }
    expect(&s, 0, 0, "a step of 1.4 floors");
}

Test(model, noise_has_no_episode_and_its_spread_is_its_standard_deviation)
{
    struct series s;
    uint32_t state = 1;
    series_init(&s, 0.001);
    feed_normal(&s, &state, 20000, 7, 0.5);
    expect(&s, 0, 0, "noise");
    cr_assert(fabs(s.last.expected - 7) < 0.2 && fabs(s.last.spread - 0.5) < 0.2, "%f +- %f",
              s.last.expected, s.last.spread);
}

/* What a processor does: nothing, and now and then a burst. */
Test(model, a_series_of_bursts_has_no_episode)
{
    struct series s;
    uint32_t state = 2;
    series_init(&s, 0.05);
    for (int i = 0; i < 2000; i++) {
        const int length = 1 + (int)(uniform(&state) * 5), pause = 10 + (int)(uniform(&state) * 60);
        for (int k = 0; k < length; k++) {
            feed(&s, 0.5 + 0.5 * uniform(&state));
        }
        for (int k = 0; k < pause; k++) {
            feed(&s, 0.05 * uniform(&state));
        }
    }
    expect(&s, 0, 0, "bursts");
}

Test(model, a_jump_is_one_episode_with_a_begin_and_an_end)
{
    for (int sign = -1; sign <= 1; sign += 2) {
        struct series s;
        uint32_t state = 3;
        series_init(&s, 0.05);
        feed_normal(&s, &state, 300, 10, 1);
        feed_normal(&s, &state, 80, 10 + sign * 10, 1);
        expect(&s, 1, 0, "the jump");
        cr_assert(s.told >= 311 && s.told < 316, "told at %d", s.told);
        cr_assert(s.episode.began >= 298 && s.episode.began <= 300, "%d", (int)s.episode.began);
        feed_normal(&s, &state, 100, 10, 1);
        expect(&s, 1, 1, "back again");
        cr_assert(s.episode.ended >= 380 && s.episode.ended < 390, "%d", (int)s.episode.ended);
        cr_assert(s.peak > 8, "peak %f", s.peak);
    }
}

Test(model, a_jump_in_wild_noise_takes_longer_to_be_seen_and_is_seen)
{
    struct series s;
    uint32_t state = 4;
    series_init(&s, 0.05);
    feed_normal(&s, &state, 300, 0, 1);
    feed_normal(&s, &state, 100, 3, 1);
    expect(&s, 1, 0, "three standard deviations");
    cr_assert(s.told > 311 && s.told < 340, "told at %d", s.told);
}

Test(model, a_disturbance_does_not_teach_that_it_is_usual)
{
    struct series s;
    uint32_t state = 5;
    series_init(&s, 0.05);
    feed_normal(&s, &state, 100, 10, 1); /* less than the disturbance is long */
    const struct model_score before = model_score(&s.model, 20);
    feed_normal(&s, &state, MODEL_WINDOW, 20, 1);
    const struct model_score after = model_score(&s.model, 20);
    cr_assert(fabs(after.expected - before.expected) < 0.5, "%f", after.expected);
    cr_assert(after.outlier && after.score > before.score / 4, "%f", after.score);
    feed_normal(&s, &state, 100, 10, 1);
    expect(&s, 1, 1, "one disturbance");
}

Test(model, many_disturbances_do_not_add_up_to_a_new_usual)
{
    struct series s;
    uint32_t state = 12;
    series_init(&s, 0.05);
    feed_normal(&s, &state, 300, 10, 1);
    for (int i = 1; i <= 10; i++) {
        feed_normal(&s, &state, MODEL_WINDOW / 2, 20, 1);
        feed_normal(&s, &state, 60, 10, 1);
        expect(&s, i, i, "one more");
        cr_assert(fabs(s.last.expected - 10) < 0.6, "%f", s.last.expected);
    }
}

Test(model, what_lasts_for_a_window_is_the_new_usual)
{
    struct series s;
    uint32_t state = 6;
    series_init(&s, 0.05);
    feed_normal(&s, &state, 1000, 10, 1);
    feed_normal(&s, &state, MODEL_WINDOW + 100, 20, 1);
    expect(&s, 1, 1, "a step that stays");
    cr_assert(s.model.count == MODEL_WINDOW && fabs(s.last.expected - 20) < 0.5, "%f",
              s.last.expected);
    feed_normal(&s, &state, 10000, 20, 1);
    expect(&s, 1, 1, "and stays");
    feed_normal(&s, &state, 40, 10, 1);
    expect(&s, 2, 1, "what was usual before is not any longer");
}

Test(model, a_slow_drift_is_followed)
{
    struct series s;
    uint32_t state = 7;
    series_init(&s, 0.05);
    for (int i = 0; i < 20000; i++) {
        feed(&s, i * 0.0005 + 0.05 * normal(&state));
    }
    expect(&s, 0, 0, "to 200 times the floor");
    series_init(&s, 0.05);
    for (int i = 0; i < 20000; i++) {
        feed(&s, -0.01 * i); /* without noise, so the drift is all that there is */
    }
    expect(&s, 0, 0, "a fifth of the floor with each sample");
}

Test(model, single_outliers_are_told_as_such_and_make_no_episode)
{
    struct series s;
    uint32_t state = 8;
    series_init(&s, 0.05);
    feed_normal(&s, &state, 300, 10, 1);
    for (int i = 0; i < 500; i++) {
        feed(&s, 1e9);
        cr_assert(s.last.outlier, "not told, number %d", i);
        feed_normal(&s, &state, 14, 10, 1);
        cr_assert(fabs(s.last.expected - 10) < 0.6 && s.last.spread < 2, "%f +- %f",
                  s.last.expected, s.last.spread);
    }
    expect(&s, 0, 0, "one sample in fifteen");
}

Test(model, what_is_no_number_teaches_nothing_and_scores_nothing)
{
    static const double wrong[] = {NAN, INFINITY, -INFINITY};
    struct series s, twin;
    uint32_t state = 9;
    series_init(&s, 0.05);
    series_init(&twin, 0.05);
    for (int i = 0; i < 400; i++) {
        const double value = normal(&state) + (i >= 350 ? 10 : 0);
        feed(&s, value);
        feed(&twin, value);
        const struct model_score of_wrong = model_score(&s.model, wrong[i % 3]);
        cr_assert(near(of_wrong.score, 0) && !of_wrong.ready && !of_wrong.outlier, "a score");
        model_add(&s.model, wrong[i % 3]);
    }
    const struct model_score a = model_score(&s.model, 3), b = model_score(&twin.model, 3);
    cr_assert(near(a.score, b.score) && near(a.expected, b.expected) && s.begun == 1 &&
                  s.model.count == twin.model.count,
              "%f, %f", a.score, b.score);
}

Test(model, the_largest_numbers_there_are_leave_it_finite)
{
    static const double values[] = {DBL_MAX, -DBL_MAX, 0, DBL_MIN, -0.0, 1};
    struct model m;
    model_init(&m, 0.05);
    for (int i = 0; i < 5000; i++) {
        const struct model_score s = model_score(&m, values[i * 7 % 11 % 6]);
        cr_assert(isfinite(s.score) && isfinite(s.expected) && isfinite(s.spread), "at %d", i);
        model_add(&m, values[i % 6]);
        model_add(&m, i % 1000 < 500 ? DBL_MAX : -DBL_MAX);
    }
    /* Distances to one side only, and infinite ones among them. */
    for (int sign = -1; sign <= 1; sign += 2) {
        model_init(&m, 0.05);
        for (int i = 0; i < 2 * MODEL_WINDOW; i++) {
            model_add(&m, i % 10 < 6 ? sign * DBL_MAX : -sign * DBL_MAX);
            const struct model_score s = model_score(&m, 1);
            cr_assert(isfinite(s.score) && isfinite(s.expected) && isfinite(s.spread), "at %d", i);
            cr_assert(i != 49 || s.spread > DBL_MAX / 2, "%g", s.spread);
        }
    }
}

/* A replica that is started anew, and one that has been there all the time. */
Test(model, two_that_saw_the_same_window_agree)
{
    struct model old, new;
    uint32_t state = 10;
    model_init(&old, 0.05);
    model_init(&new, 0.05);
    for (int i = 0; i < 2000; i++) {
        const double value = normal(&state);
        model_add(&old, value);
        if (i >= 2000 - 2 * MODEL_WINDOW) { /* some are kept aside */
            model_add(&new, value);
        }
    }
    const struct model_score a = model_score(&old, 5), b = model_score(&new, 5);
    cr_assert(near(a.score, b.score) && near(a.expected, b.expected) && near(a.spread, b.spread),
              "%f, %f", a.score, b.score);
}

static int
ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The same by sorting all of it, as the book says. */
static struct model_score
score_by_the_book(const double *window, size_t count, double floor, double value)
{
    double v[MODEL_WINDOW];
    struct model_score s = {0};
    for (size_t i = 0; i < count; i++) {
        v[i] = window[i];
    }
    qsort(v, count, sizeof *v, ascending);
    s.expected = count % 2 == 1 ? v[count / 2] : (v[count / 2 - 1] + v[count / 2]) / 2;
    for (size_t i = 0; i < count; i++) {
        v[i] = fabs(v[i] - s.expected);
    }
    qsort(v, count, sizeof *v, ascending);
    s.spread = fmax(fmax(1.4826 * v[count / 2], v[count * 9 / 10] / 1.6449), floor);
    s.score = fabs(value - s.expected) / s.spread;
    return s;
}

Test(model, scores_are_those_of_the_book)
{
    struct model m;
    uint32_t state = 11;
    model_init(&m, 0.01);
    for (int i = 0; i < 3000; i++) {
        /* Many equal ones, as a share of ten ticks has; from the middle on with a long tail. */
        const double share = floor(uniform(&state) * 10) / 10;
        model_add(&m, i < 1500 ? share : share * share * share);
        const double value = 2 * uniform(&state);
        const struct model_score s = model_score(&m, value),
                                 book = score_by_the_book(m.window, m.count, 0.01, value);
        cr_assert(near(s.score, book.score) && near(s.expected, book.expected) &&
                      near(s.spread, book.spread),
                  "at %d: %f, %f by the book", i, s.score, book.score);
    }
}
