/* A writer inside: for those who move what was written instead of copying it. */
#ifndef PRONG_VALUE_WRITER_H
#define PRONG_VALUE_WRITER_H

#include <prong/value.h>

#include "proto/buf.h"

/* The bytes of a writer that was finished, and its own memory: whoever takes them leaves a buffer
 * that prong_writer_reset can use. Borrowed, valid until the writer is freed. */
struct buf *writer_bytes(prong_writer *w);

/* What a handle stands for, to whoever sends what is written. */
struct writer_kind {
    void (*let_go)(void *thing, bool is_sent);
    bool waits; /* what was sent is held on, until its receiver has it */
};

/* Whoever sends it: `hold` gets each such thing, moved; false: memory is out. `forget`: what was
 * written since the last time will not be sent; the writer is reset or freed. */
struct writer_holder {
    bool (*hold)(struct writer_holder *holder, const struct writer_kind *kind, void *thing);
    void (*forget)(struct writer_holder *holder);
};
/* Borrowed, until the writer is freed. */
void writer_set_holder(prong_writer *w, struct writer_holder *holder);
bool writer_has_holder(const prong_writer *w);
/* Hold this one, moved. Only when there is a holder. */
void writer_hold(prong_writer *w, const struct writer_kind *kind, void *thing);

#endif
