/* What an epoll loop needs to know of a descriptor: a function to call when it is ready.
 *
 * The epoll entry's data.ptr points to the source, which stands first in its owner's struct. The
 * loop belongs to the program; this header is all that a link and a loop share. */
#ifndef PRONG_LINK_SOURCE_H
#define PRONG_LINK_SOURCE_H

#include <stdint.h>

struct source {
    /* `events` as epoll reports them. May close any source; its memory stays for the turn. */
    void (*ready)(struct source *self, uint32_t events);
};

#endif
