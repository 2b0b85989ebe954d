/* The client inside: one connection, one session, and who reads the socket for whom.
 *
 * All fields are guarded by `lock`, but those that are said not to change. There is no thread here:
 * the thread that waits first leads. It alone polls, receives, connects and closes, and lets go of
 * the lock only in poll and connect; whoever waits meanwhile follows, asleep until what it wants is
 * there or it is told to lead. Any thread may send. */
#ifndef PRONG_LIB_CLIENT_H
#define PRONG_LIB_CLIENT_H

#include <prong/prong.h>

#include <pthread.h>
#include "client/session/session.h"
#include "proto/link/link.h"

#define NS_PER_MS INT64_C(1000000)

/* What a callback is due for. Stands first in its reply or subscription. */
struct notice {
    struct notice *prev, *next;
    bool queued;
    void (*run)(struct notice *); /* NULL when no callback is wanted */
};

struct waiter; /* a thread that follows */

struct prong_client {
    pthread_mutex_t lock;
    pthread_cond_t left; /* users became 0 */
    uint8_t *mine;       /* 1, and 0 in a forked child: memory that is wiped there */
    char *url;           /* does not change after prong_connect, nor do the next five */
    char *tls_ca_file, *tls_name;
    size_t message_bytes_max;
    int32_t reconnect_ms;
    int64_t hello_ns;
    int wake_fd;    /* ends the leader's poll */
    uint32_t refs;  /* the handle, replies, subscriptions */
    uint32_t users; /* threads in client_wait or in callbacks */
    bool leading, polling, waking, broken, closed, gone;
    struct session *session;
    struct link_client *link;
    struct waiter *waiters;
    uint64_t news;    /* counts outcomes and losses of the connection */
    int64_t retry_ns; /* when to connect again */
    uint32_t retries; /* since the connection was lost */
    uint32_t slow;    /* attempts in a row at which nobody greeted in time */
    int64_t lost_ns;  /* when the connection was lost */
    int64_t heard_ns; /* when somebody looked at the socket */
    int64_t asked_ns; /* the newest request */
    int64_t sent_ns;  /* when what waited was sent */
    uint64_t random;  /* for jitter */
    struct notice *notices;
    bool dispatching;
    pthread_t dispatcher;
    struct prong_reply *finished; /* for prong_wait_any */
    size_t async_open;            /* asynchronous calls without a callback and without an outcome */
    uint64_t post_failures;
    uint64_t posts_open; /* without an outcome yet; in the session the client is their user */
    char error[300];
    /* for prong_fd; -1 until asked for */
    int epoll_fd, timer_fd, loop_fd;
    int64_t timer_ns;
    bool loop_told, link_in_epoll, link_wants_write;
};

/* ---- client.c ------------------------------------------------------------------------------- */

int64_t client_now(void);
/* false in a forked child, where nothing may be touched. */
bool client_is_mine(const struct prong_client *c);
/* When a wait of `timeout_ms` ends. */
int64_t client_until(int32_t timeout_ms);
/* Lock. Errors: PRONG_FAILED_PRECONDITION in a forked child, where nothing may be touched, and,
 * when `to_wait`, in a callback; then nothing is locked. */
prong_err client_enter(struct prong_client *c, bool to_wait);
void client_leave(struct prong_client *c);
/* Sleep and serve the connection until ready(context), or until_ns has passed and one look was
 * taken. `what` is named in client_wake. Errors: PRONG_DEADLINE_EXCEEDED, PRONG_CANCELLED (client
 * freed). */
typedef bool (*client_ready)(const void *context);
prong_err client_wait(struct prong_client *c, client_ready ready, const void *context,
                      const void *what, int64_t until_ns);
/* Take what came without waiting, when no other thread does. */
void client_look(struct prong_client *c);
/* Wake who waits for `what`; the client itself stands for "anything", NULL wakes everybody. */
void client_wake(struct prong_client *c, const void *what);
void client_notify(struct prong_client *c, struct notice *n);
void client_unnotify(struct prong_client *c, struct notice *n);
/* Send what waits. Any thread. */
void client_send(struct prong_client *c);
/* End the leader's poll, so that it looks again at what is to be sent and when. */
void client_poke(struct prong_client *c);
/* Let go of a reference; frees with the last. Unlocks. */
void client_unref(struct prong_client *c);
__attribute__((format(printf, 2, 3))) void client_failed(struct prong_client *c, const char *format,
                                                         ...);

/* ---- connect.c ------------------------------------------------------------------------------ */

/* As leader, without a connection: try again if it is time. Lets go of the lock meanwhile. */
void client_seek(struct prong_client *c, int64_t now_ns, int64_t until_ns);
/* Take all outcomes from the session to their replies and subscriptions. */
void client_collect(struct prong_client *c);
/* The connection is no good: forget it and plan the next. Only the leader, or nobody leads. */
void client_lost(struct prong_client *c, const char *why);

/* ---- loop.c --------------------------------------------------------------------------------- */

/* Bring the descriptors behind prong_fd up to date. */
void loop_update(struct prong_client *c);
void loop_unlink(struct prong_client *c);
void loop_close(struct prong_client *c);

/* ---- reply.c, subscription.c ---------------------------------------------------------------- */

struct prong_reply;
void reply_take(struct prong_reply *r, const struct session_outcome *o);
void subscription_take(struct prong_subscription *s, const struct session_outcome *o);

#endif
