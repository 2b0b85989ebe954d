/* What becomes of the edges that the kernel reports for one input: which are told, which are
 * bounces, and how many are missing. Pure; times are CLOCK_MONOTONIC.
 *
 * Missing ones. Where the kernel does not number the edges, a line that reports both rises and
 * falls in turn; the same edge twice means that the other one between them was lost. So what is
 * found is the least that is missing: an even number of lost edges leaves no trace, and a line that
 * reports one kind leaves none at all.
 *
 * Bounces. With a debounce time an edge counts when the line then stays as it is for so long; it
 * has the time of the edge, not that of the waiting. */
#ifndef PRONG_DEVICES_GPIO_TRACK_H
#define PRONG_DEVICES_GPIO_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/device/gpio.h"

struct gpio_edge {
    int64_t mono_ns;
    uint32_t line; /* its place among the lines of the device */
    bool value;    /* after the edge */
    uint32_t
        lost; /* edges of the line that came right before and are missing, as the kernel says */
};

struct gpio_track {
    int wanted; /* enum gpio_edge_kind */
    int64_t debounce_ns;
    bool alternates; /* an edge is missing where the same one is reported twice */
    bool level;      /* after the last edge that was reported */
    bool steady;     /* after the last edge that counted */
    bool is_waiting; /* for `level` to stay as it is */
    int64_t since_ns;
    uint64_t sequence; /* of the edge told last: how many there were, those missing included */
    uint64_t missed;
};

/* Begin, with the level that the line has now; `is_numbered`: `lost` of edges is to be relied on.
 * Counts from before go on. */
void gpio_track_begin(struct gpio_track *t, const struct gpio_line *line, bool level,
                      bool is_numbered);
/* An edge was reported. True when there is one to tell, in `out`, which may be the one before. */
bool gpio_track_edge(struct gpio_track *t, const struct gpio_edge *edge, struct gpio_edge *out);
/* When gpio_track_settle is to be called; INT64_MAX: not at all. */
int64_t gpio_track_due_ns(const struct gpio_track *t);
/* All edges up to `now` were reported, and the line has this level now: true when an edge has come
 * to count by that. One that was lost is made good: the level is what counts. */
bool gpio_track_settle(struct gpio_track *t, const struct gpio_edge *now, struct gpio_edge *out);

/* In the order of their times; edges of one time stay as they were. */
void gpio_edges_sort(struct gpio_edge *edges, size_t count);

#endif
