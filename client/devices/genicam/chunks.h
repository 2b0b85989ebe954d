/* What a camera sends beside each picture: numbers and texts that GenICam calls chunks. Knows no
 * hub.
 *
 * Threads: those of the camera, one at a time. */
#ifndef PRONG_DEVICES_GENICAM_CHUNKS_H
#define PRONG_DEVICES_GENICAM_CHUNKS_H

#include "client/devices/genicam/feature.h"
#include "client/devices/options.h"

enum { CHUNKS_MAX = 16 };

struct chunks;

/* Have the camera send those that the option `chunks` names. `out` is owned, freed with
 * chunks_close, and NULL when none are wanted. `why` has FEATURE_WHY_BYTES. */
bool chunks_open(ArvDevice *device, const struct options *options, struct chunks **out, char *why);
/* Whether a buffer of the camera has any. `c` may be NULL. */
bool chunks_are_in(const struct chunks *c, void *buffer);
/* Write them as a map by their names; one that is missing or cannot be read is nil. */
void chunks_put(struct chunks *c, void *buffer, prong_writer *out);
/* Accepts NULL. Before the camera is closed. */
void chunks_close(struct chunks *c);

#endif
