/* The counters of the hub: how calls ended, how long they took and waited, why replicas were
 * started again.
 *
 * Bounded: a worker has a tally for each method that it declared when it attached, at most
 * WIRE_METHODS_MAX in its life, and one for all other names. Nothing is allocated for a call, and a
 * call carries the place of its tally, so that counting looks nothing up. Counters go up for as
 * long as the broker and the worker live, also over an ATTACH with other methods. */
#ifndef PRONG_CORE_METRICS_H
#define PRONG_CORE_METRICS_H

#include "proto/buf.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct call;
struct hub;
struct replica;
struct worker;

enum {
#define BOUND(us) METRICS_BOUND_##us,
#include "broker/core/metrics.def"
#undef BOUND
    METRICS_BOUNDS,
};

enum restart_reason {
#define RESTART(name, help) RESTART_##name,
#include "broker/core/metrics.def"
#undef RESTART
    RESTART_REASONS,
};

/* How many took at most so long as each bound, and more than the one before; the last one is for
 * what took longer than all. */
struct histogram {
    uint64_t counts[METRICS_BOUNDS + 1];
    uint64_t sum_ns;
};

/* The calls of one method. */
struct tally {
    char name[WIRE_NAME_BYTES_MAX + 1];
    uint64_t outcomes[WIRE_ERR_COUNT]; /* by code */
    struct histogram duration;         /* from when a call was given to its outcome */
    struct histogram queue;            /* from when it began to wait until it was given */
};

/* The first one is for methods that the worker did not declare. */
struct tallies {
    struct tally *list;
    uint32_t count;
};
enum { TALLY_OTHER = 0 };
#define TALLY_OTHER_NAME "*" /* no method can be called that */

bool tallies_init(struct tallies *tallies);
void tallies_deinit(struct tallies *tallies);
/* The place of the tally of a method, which is made unless there is one. TALLY_OTHER when the
 * worker had so many different ones, or memory is out. */
uint16_t tally_place(struct tallies *tallies, const char *name);

/* A call is given to a replica; it has its outcome. */
void metrics_given(const struct hub *hub, const struct call *call);
void metrics_done(const struct hub *hub, const struct call *call, enum wire_error code);
/* A replica whose process ended, or could not be started, is to be started again by itself. */
void metrics_restart(struct replica *replica);

/* A value for the methods of the hub. */
void metrics_write_bounds(struct buf *b);
/* Keys of one worker, for a map that is being written: METRICS_WORKER_KEYS of them. */
void metrics_write_worker(struct buf *b, const struct worker *worker);
enum { METRICS_WORKER_KEYS = 7 };
/* Keys of the hub, likewise. */
void metrics_write_hub(struct buf *b, const struct hub *hub);
enum { METRICS_HUB_KEYS = 9 };
/* A value: the map of streams. */
void metrics_write_streams(struct buf *b, const struct hub *hub);

#endif
