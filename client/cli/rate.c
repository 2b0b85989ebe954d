/* Rates of a stream: see rate.h. */
#include "client/cli/rate.h"

#include <math.h>
#include <stdlib.h>

#define NS_PER_S 1e9

void
rate_init(struct rate *rate)
{
    *rate = (struct rate){.samples = calloc(RATE_SAMPLES_MAX, sizeof *rate->samples)};
}

void
rate_deinit(struct rate *rate)
{
    free(rate->samples);
    *rate = (struct rate){0};
}

static const struct rate_sample *
sample_at(const struct rate *rate, size_t index)
{
    return &rate->samples[(rate->first + index) % RATE_SAMPLES_MAX];
}

void
rate_add(struct rate *rate, const struct rate_sample *sample)
{
    if (rate->count == RATE_SAMPLES_MAX) {
        rate->first = (rate->first + 1) % RATE_SAMPLES_MAX;
        rate->count--;
    }
    rate->samples[(rate->first + rate->count++) % RATE_SAMPLES_MAX] = *sample;
}

static int
compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* By nearest rank. */
static void
find_delays(const struct rate *rate, size_t from, struct rate_result *out)
{
    const size_t n = rate->count - from;
    int64_t *delays = malloc(n * sizeof *delays);
    if (delays == NULL) {
        return; /* shown as 0 for once */
    }
    for (size_t i = 0; i < n; i++) {
        delays[i] = sample_at(rate, from + i)->delay_ns;
    }
    qsort(delays, n, sizeof *delays, compare);
    out->delay_p50_ns = delays[(n + 1) / 2 - 1];
    out->delay_p99_ns = delays[(n * 99 + 99) / 100 - 1];
    out->delay_max_ns = delays[n - 1];
    free(delays);
}

/* The gap before a sample, shared among it and those that were missed. */
static double
gap_before(const struct rate *rate, size_t index)
{
    const struct rate_sample *s = sample_at(rate, index);
    return (double)(s->at_ns - sample_at(rate, index - 1)->at_ns) / (double)(s->missed + 1);
}

static void
find_gaps(const struct rate *rate, size_t from, struct rate_result *out)
{
    const size_t begin = from > 0 ? from : 1; /* the first of all has none before it */
    double squares = 0, frames = 0, bytes = 0;
    if (begin >= rate->count) {
        return;
    }
    const double span_ns =
        (double)(sample_at(rate, rate->count - 1)->at_ns - sample_at(rate, begin - 1)->at_ns);
    out->gap_min_ns = INFINITY;
    for (size_t i = begin; i < rate->count; i++) {
        const double gap = gap_before(rate, i), weight = (double)(sample_at(rate, i)->missed + 1);
        out->gap_min_ns = fmin(out->gap_min_ns, gap);
        out->gap_max_ns = fmax(out->gap_max_ns, gap);
        squares += weight * gap * gap;
        frames += weight;
        bytes += weight * (double)sample_at(rate, i)->bytes;
    }
    out->gap_mean_ns = span_ns / frames;
    out->gap_std_ns = sqrt(fmax(0, squares / frames - out->gap_mean_ns * out->gap_mean_ns));
    if (span_ns > 0) {
        out->hz = frames * NS_PER_S / span_ns;
        out->bytes_per_s = bytes * NS_PER_S / span_ns;
    }
}

void
rate_look(struct rate *rate, int64_t since_ns, struct rate_result *out)
{
    size_t from = 0;
    *out = (struct rate_result){0};
    while (from < rate->count && sample_at(rate, from)->at_ns <= since_ns) {
        from++;
    }
    if (from > 1) {
        rate->first = (rate->first + from - 1) % RATE_SAMPLES_MAX;
        rate->count -= from - 1;
        from = 1;
    }
    out->frames = rate->count - from;
    if (out->frames == 0) {
        return;
    }
    out->bytes_min = UINT64_MAX;
    for (size_t i = from; i < rate->count; i++) {
        const struct rate_sample *s = sample_at(rate, i);
        out->missed += s->missed;
        out->bytes_min = s->bytes < out->bytes_min ? s->bytes : out->bytes_min;
        out->bytes_max = s->bytes > out->bytes_max ? s->bytes : out->bytes_max;
    }
    find_gaps(rate, from, out);
    find_delays(rate, from, out);
}
