/* A writer inside: for those who move what was written instead of copying it. */
#ifndef PRONG_VALUE_WRITER_H
#define PRONG_VALUE_WRITER_H

#include <prong/value.h>

#include "proto/buf.h"

/* The bytes of a writer that was finished, and its own memory: whoever takes them leaves a buffer
 * that prong_writer_reset can use. Borrowed, valid until the writer is freed. */
struct buf *writer_bytes(prong_writer *w);

/* Have whoever sends what is written hold the things that handles in it stand for: `hold` gets each
 * of them, moved, with what lets go of it; false: memory is out. */
typedef bool (*writer_hold_fn)(void *context, void *thing, void (*let_go)(void *thing));
void writer_set_holder(prong_writer *w, writer_hold_fn hold, void *context);
bool writer_has_holder(const prong_writer *w);
/* Hold this one, moved. Only when there is a holder. */
void writer_hold(prong_writer *w, void *thing, void (*let_go)(void *thing));

#endif
