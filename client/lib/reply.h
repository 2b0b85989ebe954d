/* A reply: an outcome that is there or is still to come. Guarded by the client's lock, but what the
 * reader has taken, and the outcome once `done` is set. */
#ifndef PRONG_LIB_REPLY_H
#define PRONG_LIB_REPLY_H

#include "client/lib/client.h"

struct prong_reply {
    struct notice notice;
    struct prong_client *c;
    struct prong_reply *prev, *next; /* in c->finished */
    prong_reply_fn notify;
    void *context;
    uint64_t tag, ticket;
    bool stream, async, in_finished;
    const char *problem; /* why we cancelled it ourselves */
    bool done;           /* atomic: set last, and nothing of the outcome changes afterwards */
    prong_err code;
    prong_began began;
    uint64_t number;    /* of the event */
    struct buf outcome; /* message and its end, then details or value */
    prong_value value, details;
    struct buf progress;
    struct buf items; /* came and not taken */
    struct buf taken; /* the reader's: no other thread touches it, so items stay where they are */
    size_t item_len;  /* of the item that the reader has */
    uint64_t item_bytes; /* of all items */
};

/* All three: locked. */
/* NULL when memory is out. Owned, prong_reply_free; before it was asked for only. */
struct prong_reply *reply_new(struct prong_client *c, prong_reply_fn notify);
/* It ends here and now, with a code of our own. */
void reply_end(struct prong_reply *r, prong_err code, const char *text);
/* Send, and wait for the outcome, which the session guarantees; its code. */
prong_err reply_finish(struct prong_reply *r);

#endif
