/* What handles in a result stand for, from when they are written until their receiver has them.
 *
 * Owns the holds, not the writer whose handles they are for. Used by the worker's thread. */
#ifndef PRONG_WORKER_HOLDS_H
#define PRONG_WORKER_HOLDS_H

#include "client/value/writer.h"

struct hold;

/* Of one writer; what is not sent when that is reset or freed is let go of then. */
struct holds {
    struct writer_holder holder; /* first: the writer has its address */
    struct hold *list;
};

/* `holds` stays as long as the writer does. */
void holds_init(struct holds *holds, prong_writer *w);
/* What was written is on its way: what is to wait goes before those in `waiting`, the rest is let
 * go of. */
void holds_sent(struct holds *holds, struct hold **waiting);
/* Its receiver has what was waiting, moved; of NULL nothing. */
void holds_let_go(struct hold *waiting);

#endif
