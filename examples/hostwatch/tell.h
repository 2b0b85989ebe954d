/* How `watch` tells what it found: lines on stdout for people, events for others.
 *
 *   watch.anomaly   {state: "begin" or "end", series, value, expected, spread, score, replica,
 *                   began_us, ended_us}    of an episode. `score` of an end is the highest one,
 *                   `replica` scored the sample; the times are those of samples, in microseconds
 *                   since 1970, `ended_us` is nil while it goes on
 *   watch.answers   {from_us, by: {"detector/0": N, ...}, again, failed}    of the samples of each
 *                   tenth of a second: who answered how often */
#ifndef HOSTWATCH_TELL_H
#define HOSTWATCH_TELL_H

#include "episode.h"

#include <prong/prong.h>

enum { TELL_NAME_BYTES = 96, TELL_REPLICAS_MAX = 16, TELL_SLOT_US = 100000 };

/* An answer of the detector, as far as it is used here. */
struct answer {
    double score, expected, spread;
    bool ready;
    char replica[TELL_NAME_BYTES];
};

/* One sample and what came of it; all borrowed. */
struct tell_sample {
    const char *series;
    double value;
    int64_t time_us;
    const struct answer *answer;
};

/* What is counted in the slot of the samples that are being taken. */
struct tell {
    prong_client *hub; /* borrowed */
    prong_writer *writer;
    int64_t slot; /* TELL_SLOT_US each, since 1970; 0 before the first */
    struct {
        char name[TELL_NAME_BYTES];
        uint64_t answers;
    } by[TELL_REPLICAS_MAX];
    uint32_t replicas;
    uint64_t again, failed;
};

/* The samples of this time come now: what was counted of another slot is told. 0: no more come. */
void tell_enter(struct tell *t, int64_t time_us);
/* Count one answer of a replica in this slot. */
void tell_count(struct tell *t, const char *replica);
/* An episode began or ended with a sample. */
void tell_change(struct tell *t, const struct tell_sample *s, const struct episode *e,
                 enum episode_change change);

/* Write a pair of a map. */
void tell_string(prong_writer *w, const char *key, const char *text);
void tell_double(prong_writer *w, const char *key, double value);

#endif
