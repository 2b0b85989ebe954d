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

#include "broker/core/hub.h"
#include "broker/shell/log.h"

struct lender;

struct lender_options {
    int epoll_fd;
    const char *path; /* of the socket, borrowed for ever */
    const struct log *log;
    uint64_t memory_bytes_max; /* that may be lent at a time */
    /* Streams on which a frame is to come again and again; borrowed for lender_new only. */
    const struct hub_silence *silences;
    size_t silence_count;
    /* What happens, as it happens; NULL: nobody wants to know. It must not call the lender. */
    void (*tell)(void *context, const struct hub_lent_news *news);
    void *context;
};

/* Listens already. NULL with a message in the log. */
struct lender *lender_new(const struct lender_options *options);
/* Accepts NULL. What was lent stays with those who have it. */
void lender_free(struct lender *l);
/* Once each turn of the loop. */
void lender_turn(struct lender *l);
/* When it wants a turn at the latest though nothing is ready; HUB_NEVER when never. */
int64_t lender_deadline_ns(const struct lender *l, int64_t now_ns);
/* What is lent now. The map of streams is built in `streams`, which the caller frees, and which has
 * failed when memory was out: then nothing of it is to be used. */
void lender_sum(const struct lender *l, struct hub_lent *out, struct buf *streams);

#endif
