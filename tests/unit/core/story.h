/* What the tests of calls share: a worker `echo` whose replicas say what a test tells them to, and
 * two clients that have an id each. */
#ifndef PRONG_TESTS_CORE_STORY_H
#define PRONG_TESTS_CORE_STORY_H

#include "tests/support/test.h"
#include "tests/unit/core/world.h"

/* Peers. Clients 1 and 2 have the ids below, as the notation of tests has them. */
enum { ONE = 1, TWO = 2, THREE = 3 };
#define STORY_ONE "b'sixteen bytes id'"
#define STORY_TWO "b'the other client'"

#define expect_text(w, r, want) cr_assert_str_eq(world_text(w, r), want, "%s", world_text(w, r))
#define expect_says(w, r, part)                                                                    \
    cr_assert(world_says(w, r, part), "not '%s': %s", part, world_text(w, r))
#define expect_nothing(w, r) expect_text(w, r, "")

/* Worker `echo` with so many replicas that run one call at a time, ready, and both clients. */
void story_begin(struct world *w, uint32_t replicas);
/* The same under other limits of the hub. */
void story_begin_with(struct world *w, uint32_t replicas, const struct hub_options *options);
/* Clients leave, and nothing of what they did remains; processes may. */
void story_end(struct world *w);
/* The setting under which calls of this worker queue; a worker of that name with it. */
void story_worker(struct world *w, const char *name, uint32_t replicas, uint32_t queue_max);

/* CALL of client 1 or 2: what stands behind `ack`, which is 0. */
__attribute__((format(printf, 4, 5))) uint64_t story_call(struct world *w, unsigned who,
                                                          unsigned seq, const char *format, ...);
uint64_t story_wait(struct world *w, unsigned who, unsigned seq, unsigned received);
void story_cancel(struct world *w, unsigned who, unsigned seq);

/* A REPORT alone: the elements of its list. */
__attribute__((format(printf, 3, 4))) uint64_t story_report(struct world *w, const char *replica,
                                                            const char *format, ...);
/* The outcome of a call with a POLL behind it. Kinds as in REPORT_ITEM. */
void story_done(struct world *w, const char *replica, uint64_t call, const char *value);
void story_failed(struct world *w, const char *replica, uint64_t call);
/* The same connection is lost and there is a new one: ATTACH with this number and inventory, as
 * "'running':[7],'done':[]"; then a POLL with room for one. */
void story_attach(struct world *w, const char *replica, unsigned attach, const char *about);
/* CONTROL of a replica. */
uint64_t story_control(struct world *w, const char *replica);
/* How often the hub has told an event of this topic. */
unsigned story_events(const struct world *w, const char *topic);

#endif
