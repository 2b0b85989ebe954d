/* What the two files of the world share. */
#ifndef PRONG_TESTS_CORE_WORLD_INSIDE_H
#define PRONG_TESTS_CORE_WORLD_INSIDE_H

#include "tests/unit/core/world.h"

/* What a test without memory may see; anywhere else it is the end. */
void world_disappoint(struct world *w, const char *what);
/* The buffer in which the next message is written, empty. */
struct buf *world_message(struct world *w);

#endif
