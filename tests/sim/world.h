/* What world.c and net.c share: see sim.h. */
#ifndef PRONG_TESTS_SIM_WORLD_H
#define PRONG_TESTS_SIM_WORLD_H

#include "tests/sim/sim.h"

enum event_kind {
    EVENT_OPENED,
    EVENT_CUT,
    EVENT_TO_HUB,
    EVENT_TO_ACTOR,
    EVENT_HUB_HEARS_END,
    EVENT_ACTOR_HEARS_END,
    EVENT_CLIENT,
    EVENT_STOCK,
    EVENT_PROCESS,
    EVENT_TURN,
    EVENT_TIME,
    EVENT_STARTED,
    EVENT_EXITED,
    EVENT_FAULTS,
    EVENT_BROKER,
    EVENT_RELOAD,
};

struct event {
    int64_t at_ns;
    uint64_t number; /* of equal times the first planned comes first */
    enum event_kind kind;
    uint32_t place; /* of a connection, client, stock or process */
    uint64_t whose; /* its peer or process id: the place may be somebody else's by then */
    uint32_t id;    /* of a request; of the broker that is to reload */
    int status;
    uint8_t *bytes;
    size_t len;
};

/* Never before now; of equal times the first planned comes first. */
void world_plan(struct sim *s, struct event e);
/* How long something takes that takes next to nothing. */
int64_t world_delay(struct sim *s);
/* One step of the core, and its turn, at once or when more has come. */
void world_feed(struct sim *s, struct hub_input *in);

void net_reply(struct sim *s, const struct hub_effect *e);
/* Of what it had sent a part may still come. */
void net_broker_died(struct sim *s);
/* A connection breaks. */
void net_cut(struct sim *s, struct connection *k);
/* One of the network's events; its bytes are taken when they are wanted again. */
void net_happen(struct sim *s, struct event *e);

#endif
