/* The hub's side of shared memory: it makes the memory of streams and buffers, and lends it to
 * whoever connects to `memory.sock` (proto/ring/lend.h has the records).
 *
 * Owns the socket, its connections and the descriptors of all that is lent. It never waits: a peer
 * that does not read what it has to be told is disconnected, and comes again; a reader
 * keeps its place until it hangs up, so that nobody writes over what it holds. Of shared pages it
 * reads only numbers, to show them or as bounded hints; what it decides by it keeps in its own
 * books (lend_streams.h). Runs on the loop thread. */
#ifndef PRONG_SHELL_LENDER_H
#define PRONG_SHELL_LENDER_H

#include <stdint.h>

#include "broker/shell/log.h"

struct lender;

struct lender_options {
    int epoll_fd;
    const char *path; /* of the socket, borrowed for ever */
    const struct log *log;
    uint64_t memory_bytes_max; /* that may be lent at a time */
};

/* Listens already. NULL with a message in the log. */
struct lender *lender_new(const struct lender_options *options);
/* Accepts NULL. What was lent stays with those who have it. */
void lender_free(struct lender *l);
/* Once each turn of the loop. */
void lender_turn(struct lender *l);

#endif
