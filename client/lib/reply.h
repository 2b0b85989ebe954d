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
    bool stream, async, in_finished, resumed;
    const char *problem; /* why we cancelled it ourselves */
    bool done;           /* atomic: set last, and nothing of the outcome changes afterwards */
    prong_err code;
    prong_began began;
    bool accepted; /* in the background, with its handle */
    struct session_handle handle;
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

/* ---- call.c: any thread, not locked ---------------------------------------------------------- */

/* Besides PRONG_CALL_*: prong_wait_any does not give it. */
enum { CALL_UNLISTED = 1 << 30 };

/* What the caller's options say, in our version of the struct; NULL, or what is wrong. */
const char *call_options_read(const prong_call_options *given, prong_call_options *o);
/* Ask, with `problem` NULL, else refuse; as prong_call_async. */
prong_err call_begin(prong_client *c, struct session_ask *a, const prong_call_options *o,
                     const char *problem, prong_reply **out);
/* A CALL, all borrowed. */
struct session_ask call_ask(const char *worker, const char *method, const prong_value *args);
/* prong_call_async, with more flags. */
prong_err call_async(prong_client *c, struct session_ask *a, const prong_call_options *options,
                     uint32_t flags, prong_reply **out);

#endif
