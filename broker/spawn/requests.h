/* What the broker asks of the spawner. A broker may be broken: whatever it sends is checked first.
 */
#ifndef PRONG_BROKER_SPAWN_REQUESTS_H
#define PRONG_BROKER_SPAWN_REQUESTS_H

#include "broker/spawn/spawner.h"

/* Read and answer what the broker has sent, at most a fair share of it. */
void requests_read(struct spawner *spawner);

/* The broker is dead. Of what is still unread only its word on ends counts: SPAWN_END,
 * SPAWN_FORGET, SPAWN_READY and SPAWN_STOPPING. Starts and signals are dropped: the next broker
 * decides anew, and what a former one ordered must not happen behind its back. */
void requests_read_last(struct spawner *spawner);

/* Tell the keeper what the service manager has to hear and what it has not been told yet; what
 * cannot be sent now is tried again at spawner->keeper_ns. */
void requests_tell_keeper(struct spawner *spawner);
/* A reload that the keeper asked for is over; nothing if it asked for none. */
void requests_reloaded(struct spawner *spawner);

#endif
