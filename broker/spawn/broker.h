/* The spawner's care for the broker: start it, greet it with what is known, start the next one. */
#ifndef PRONG_BROKER_SPAWN_BROKER_H
#define PRONG_BROKER_SPAWN_BROKER_H

#include "broker/spawn/spawner.h"

/* Start the next broker, one epoch further, and queue its greeting (records.h). On failure it is
 * tried again a little later or, if no broker ever ran, the spawner is finished with 71. */
void broker_start(struct spawner *spawner);

/* How the broker's exec went, as far as it is known. */
void broker_read_birth(struct spawner *spawner);

/* The broker was reaped: read what it said last, then decide between the end and the next one. */
void broker_note_death(struct spawner *spawner, int wait_status);

/* SIGKILL to the broker, which is broken in the way that `why` says; its death restarts it. */
void broker_kill(struct spawner *spawner, const char *why);

#endif
