/* A writer inside: for those who move what was written instead of copying it. */
#ifndef PRONG_VALUE_WRITER_H
#define PRONG_VALUE_WRITER_H

#include <prong/value.h>

#include "proto/buf.h"

/* The bytes of a writer that was finished, and its own memory: whoever takes them leaves a buffer
 * that prong_writer_reset can use. Borrowed, valid until the writer is freed. */
struct buf *writer_bytes(prong_writer *w);

#endif
