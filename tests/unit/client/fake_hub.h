/* A hub for tests: real sockets, one thread, and an answer for each method that says what it does.
 *
 *   echo      RESULT: the arguments          fail      ERROR 10, began 2, "it died", {"k": 5}
 *   pend      PENDING, then RESULT 1         hold      no answer until `release`
 *   release   RESULT nil, after all that is held got theirs
 *   items     three items at a time, ten in all, then RESULT; with option progress: [0.5, "half"]
 *             first
 *   flood     items of 1 MiB without an end
 *   map       items [0, 0, "a"], [1, 1, [5, 2, "no", nil]], [2, 0, nil], then RESULT
 *   options   RESULT: the options            drop      the connection is closed, nothing answered
 *   count     RESULT: how many calls were run so far (a repeated one counts once)
 *   acked     RESULT: the ack of this very CALL
 *
 * All methods of the worker hub: RESULT {"replica": "w/1"}. With the option background: PENDING at
 * once, then RESULT 1. CANCEL ends what is held or pending with CANCELLED. EMIT stores events for
 * FETCH; the oldest go when there are more than `keep`. */
#ifndef PRONG_TESTS_UNIT_CLIENT_FAKE_HUB_H
#define PRONG_TESTS_UNIT_CLIENT_FAKE_HUB_H

#include "proto/link/link.h"

#include <pthread.h>
#include <stdatomic.h>

enum { FAKE_CALLS_MAX = 65536, FAKE_EVENTS_MAX = 65536 };

struct fake_call {
    bool known, cancelled, done, held, flood, many;
    uint64_t request, sent_items;
    struct buf outcome; /* encoded RESULT, once it ended */
};

struct fake_event {
    char topic[32];
    struct buf payload;
};

struct fake_hub {
    char url[200];
    /* set before fake_start */
    uint64_t epoch, history, keep;
    bool refuse, mute; /* HELLO: answered with UNAUTHENTICATED, or not at all */
    bool network;      /* tcp on a free port */
    atomic_int opened, closed, messages, calls;
    /* the thread's */
    struct link_server *server;
    int epoll_fd, stop_fd;
    pthread_t thread;
    struct fake_call *call; /* by seq; one client at a time, or disjoint */
    struct fake_event *event;
    uint64_t first, next; /* events in store */
    uint64_t parked[1024];
    struct buf parked_body[1024];
};

/* Fills in the defaults: epoch 1, history 1, a fresh path in the test's directory. */
void fake_init(struct fake_hub *h);
void fake_start(struct fake_hub *h);
/* Close everything; state stays, so that fake_start goes on as the same hub at the same place, or
 * as another one when the epoch was changed and fake_forget called. */
void fake_stop(struct fake_hub *h);
void fake_forget(struct fake_hub *h);
void fake_deinit(struct fake_hub *h);

#endif
