/* What the tests of events share: a publisher and a reader, EMIT and FETCH, answers taken apart. */
#ifndef PRONG_TESTS_CORE_EVENTS_H
#define PRONG_TESTS_CORE_EVENTS_H

#include "tests/unit/core/world.h"

enum { PUBLISHER = 1, READER = 2 };

struct emit {
    uint64_t seq;
    const char *topic;
    size_t bytes;
    const uint8_t *client; /* NULL: the world's; world_nil: none */
};

struct fetch {
    const char *filter, *word; /* word: NULL for a number */
    uint64_t from, items, wait_ms;
};

/* A hub without workers and both of them. */
void events_begin(struct world *w);
/* The same with a ring of this size. */
void events_begin_with(struct world *w, uint64_t ring_bytes);
uint64_t emit_as(struct world *w, uint32_t sp_id, const struct emit *e);
/* The number that the hub gave the event. */
uint64_t emit(struct world *w, const struct emit *e);
uint64_t fetch(struct world *w, const struct fetch *f);
uint64_t field_of(struct world *w, uint64_t request, enum wire_field field);
uint32_t count_of(struct world *w, uint64_t request);
/* "a.b c.d": the topics of an answer in a row. */
void topics_of(struct world *w, uint64_t request, char *out, size_t size);
/* The numbers of the events of an answer in a row, and the position behind it: "1 2 next 3". */
void numbers_of(struct world *w, uint64_t request, char *out, size_t size);

#endif
