/* Waiting and dispatching: leader and followers, callbacks. See client.h. */
#include "client/lib/client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "proto/clock/clock.h"

enum { TOGETHER_US = 200 };

struct waiter {
    struct waiter *prev, *next;
    pthread_cond_t cond;
    const void *what;
};

int64_t
client_now(void)
{
    return clock_mono_ns();
}

/* Asked for by every function; getpid() is a system call. */
bool
client_is_mine(const struct prong_client *c)
{
    return *(const volatile uint8_t *)c->mine != 0;
}

int64_t
client_until(int32_t timeout_ms)
{
    return timeout_ms < 0 ? SESSION_NEVER : client_now() + timeout_ms * NS_PER_MS;
}

prong_err
client_enter(struct prong_client *c, bool to_wait)
{
    if (!client_is_mine(c)) {
        return PRONG_FAILED_PRECONDITION;
    }
    (void)pthread_mutex_lock(&c->lock); /* an ordinary mutex that we do not hold */
    if (to_wait && c->dispatching && pthread_equal(c->dispatcher, pthread_self())) {
        (void)pthread_mutex_unlock(&c->lock);
        return PRONG_FAILED_PRECONDITION;
    }
    return PRONG_OK;
}

void
client_leave(struct prong_client *c)
{
    if (c->epoll_fd >= 0) {
        loop_update(c);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void
client_failed(struct prong_client *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->error, sizeof c->error, format, args);
    va_end(args);
}

void
client_unref(struct prong_client *c)
{
    const bool last = --c->refs == 0;
    client_leave(c);
    if (last) {
        (void)pthread_mutex_destroy(&c->lock);
        (void)pthread_cond_destroy(&c->left);
        (void)munmap(c->mine, 1); /* the page that was mapped */
        free(c->url);
        free(c->tls_ca_file);
        free(c->tls_name);
        free(c);
    }
}

/* ---- who waits ------------------------------------------------------------------------------ */

void
client_wake(struct prong_client *c, const void *what)
{
    struct waiter *w;
    DL_FOREACH(c->waiters, w)
    {
        if (w->what == what || what == NULL) {
            (void)pthread_cond_signal(&w->cond);
        }
    }
}

void
client_poke(struct prong_client *c)
{
    const uint64_t one = 1;
    if (c->polling && !c->waking) {
        c->waking = true;
        (void)!write(c->wake_fd, &one, sizeof one); /* cannot fail: the counter is far from full */
    }
}

void
client_notify(struct prong_client *c, struct notice *n)
{
    if (n->run != NULL && !n->queued) {
        n->queued = true;
        DL_APPEND(c->notices, n);
        client_wake(c, c);
    }
}

void
client_unnotify(struct prong_client *c, struct notice *n)
{
    if (n->queued) {
        n->queued = false;
        DL_DELETE(c->notices, n);
    }
}

/* ---- the leader ----------------------------------------------------------------------------- */

static void
receive(struct prong_client *c)
{
    struct link_error error = {0};
    uint32_t id;
    struct span body;
    int got;
    while ((got = link_client_recv(c->link, &id, &body, &error)) > 0) {
        session_answer(c->session, id, body);
        client_collect(c);
    }
    const char *why;
    c->heard_ns = client_now();
    if (got < 0) {
        client_lost(c, error.text);
    } else if (session_refusal(c->session, &why) != PRONG_OK) {
        client_lost(c, why);
    }
}

/* Nobody has looked at the socket for a while: if the hub has gone meanwhile, what is sent now
 * would have to end with "maybe", although it never arrived. */
static void
look_before_sending(struct prong_client *c, int64_t now)
{
    if (c->link == NULL || c->polling || now - c->heard_ns < NS_PER_MS) {
        return;
    }
    struct pollfd p = {.fd = link_client_fd(c->link), .events = POLLIN};
    c->heard_ns = now;
    if (poll(&p, 1, 0) > 0) {
        receive(c);
    }
}

void
client_send(struct prong_client *c)
{
    const int64_t now = client_now();
    uint32_t id;
    struct pieces body;
    c->sent_ns = now;
    if (session_wants_send(c->session)) {
        look_before_sending(c, now);
    }
    while (c->link != NULL && !c->broken && session_send(c->session, now, &id, &body)) {
        /* Not queued means out of memory. It counts as sent, so it is asked again on a new
         * connection. */
        c->broken = link_client_send(c->link, id, &body, NULL) < 0;
        if (pieces_len(&body) >= CUT_BYTES && link_client_wants_write(c->link)) {
            break; /* the socket is full: what is large waits where it is */
        }
    }
    if (c->link != NULL && !c->broken) {
        c->broken = link_client_flush(c->link, NULL) < 0;
        if (c->broken || link_client_wants_write(c->link)) {
            client_poke(c);
        }
    }
}

/* Wait for the socket, the next deadline or another thread's wish. */
static void
wait_for_io(struct prong_client *c, int64_t until_ns)
{
    const int64_t session_ns = session_deadline_ns(c->session);
    int64_t end_ns = c->link == NULL && !c->gone && c->retry_ns < until_ns ? c->retry_ns : until_ns;
    end_ns = session_ns < end_ns ? session_ns : end_ns;
    const int64_t left_ns = end_ns - client_now();
    const struct timespec left = {.tv_sec = left_ns > 0 ? left_ns / (1000 * NS_PER_MS) : 0,
                                  .tv_nsec = left_ns > 0 ? left_ns % (1000 * NS_PER_MS) : 0};
    struct pollfd fds[2] = {{.fd = c->wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    if (c->link != NULL) {
        fds[1].fd = link_client_fd(c->link);
        fds[1].events |= link_client_wants_write(c->link) ? POLLOUT : 0;
    }
    c->polling = true;
    (void)pthread_mutex_unlock(&c->lock);
    const int ready = ppoll(fds, 2, end_ns == SESSION_NEVER ? NULL : &left, NULL);
    (void)pthread_mutex_lock(&c->lock);
    c->polling = false;
    if (c->waking) {
        uint64_t count;
        c->waking = false;
        (void)!read(c->wake_fd, &count, sizeof count); /* it is nonblocking and only wakes */
    }
    if (ready > 0 && fds[1].revents != 0 && !c->closed) {
        receive(c);
    }
}

static void
pass_time(struct prong_client *c)
{
    const int64_t now = client_now();
    if (now < session_deadline_ns(c->session)) {
        return;
    }
    const bool dead = c->link != NULL && session_is_dead(c->session, now);
    session_tick(c->session, now);
    client_collect(c);
    if (dead) {
        client_lost(c, session_is_welcome(c->session) ? "the hub is silent"
                                                      : "the hub does not answer HELLO");
    }
}

/* One turn of the loop; returns when something is new, or when there was something to do. */
static void
lead(struct prong_client *c, int64_t until_ns)
{
    const uint64_t news = c->news;
    c->leading = true;
    pass_time(c);
    if (c->link == NULL) {
        client_seek(c, client_now(), until_ns);
    }
    client_send(c);
    client_collect(c);
    if (c->link != NULL && c->broken) {
        receive(c); /* what came before is still there */
        if (c->link != NULL && c->broken) {
            client_lost(c, "the connection takes no more");
        }
    }
    if (c->news == news && !c->closed) {
        wait_for_io(c, until_ns);
        pass_time(c);
    }
    c->leading = false;
}

static void
follow(struct prong_client *c, const void *what, int64_t until_ns)
{
    struct waiter self = {.what = what};
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr); /* neither can fail in glibc and musl */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self.cond, &attr);
    DL_APPEND(c->waiters, &self);
    if (until_ns == SESSION_NEVER) {
        (void)pthread_cond_wait(&self.cond, &c->lock);
    } else {
        const struct timespec until = {.tv_sec = until_ns / (1000 * NS_PER_MS),
                                       .tv_nsec = until_ns % (1000 * NS_PER_MS)};
        (void)pthread_cond_timedwait(&self.cond, &c->lock,
                                     &until); /* the caller looks at the clock */
    }
    DL_DELETE(c->waiters, &self);
    (void)pthread_cond_destroy(&self.cond);
    (void)pthread_condattr_destroy(&attr);
}

/* A thread is done with waiting: the next one leads, and whoever frees the client may go on. Who
 * did not have to wait will ask for more, mostly: what was asked in a row leaves in one write, but
 * does not wait long for the rest of the row. */
static void
hand_on(struct prong_client *c, bool waited)
{
    if (!c->closed && session_wants_send(c->session) &&
        (waited || c->asked_ns - c->sent_ns >= TOGETHER_US * 1000)) {
        client_send(c); /* WAIT and FETCH, too, that came about by what was received */
    }
    if (!c->leading && c->waiters != NULL) {
        (void)pthread_cond_signal(&c->waiters->cond);
    }
    if (--c->users == 0 && c->closed) {
        (void)pthread_cond_signal(&c->left);
    }
}

prong_err
client_wait(struct prong_client *c, client_ready ready, const void *context, const void *what,
            int64_t until_ns)
{
    prong_err err = PRONG_OK;
    bool looked = false;
    c->users++;
    while (!ready(context)) {
        if (c->closed || (looked && client_now() >= until_ns)) {
            err = c->closed ? PRONG_CANCELLED : PRONG_DEADLINE_EXCEEDED;
            break;
        }
        if (c->leading) {
            client_send(c); /* not left to the leader: that would be a switch of threads more */
            follow(c, what, until_ns);
        } else {
            lead(c, until_ns);
        }
        looked = true;
    }
    hand_on(c, looked);
    return err;
}

void
client_look(struct prong_client *c)
{
    if (!c->leading && !c->closed) {
        c->users++;
        lead(c, 0);
        hand_on(c, true);
    }
}

/* ---- the public part ------------------------------------------------------------------------ */

static void
run_callbacks(struct prong_client *c)
{
    if (c->dispatching) {
        return; /* another thread runs them */
    }
    c->dispatching = true;
    c->dispatcher = pthread_self();
    c->users++;
    while (c->notices != NULL && !c->closed) {
        struct notice *n = c->notices;
        client_unnotify(c, n);
        (void)pthread_mutex_unlock(&c->lock);
        n->run(n);
        (void)pthread_mutex_lock(&c->lock);
    }
    c->dispatching = false;
    hand_on(c, true);
}

struct dispatch {
    const struct prong_client *c;
    uint64_t news;
};

static bool
has_news(const void *context)
{
    const struct dispatch *d = context;
    return d->c->news != d->news || d->c->gone || (d->c->notices != NULL && !d->c->dispatching);
}

prong_err
prong_dispatch(prong_client *c, int32_t timeout_ms)
{
    prong_err err = client_enter(c, true);
    if (err != PRONG_OK) {
        return err;
    }
    const struct dispatch d = {c, c->news};
    err = client_wait(c, has_news, &d, c, client_until(timeout_ms));
    run_callbacks(c);
    if (err == PRONG_DEADLINE_EXCEEDED && timeout_ms == 0) {
        err = PRONG_OK;
    } else if (err == PRONG_OK && c->gone) {
        err = PRONG_UNAVAILABLE;
    }
    client_leave(c);
    return err;
}

bool
prong_client_is_connected(prong_client *c)
{
    if (client_enter(c, false) != PRONG_OK) {
        return false;
    }
    const bool connected = session_is_welcome(c->session) && !c->broken;
    client_leave(c);
    return connected;
}

prong_err
prong_flush(prong_client *c)
{
    const prong_err err = client_enter(c, false);
    if (err != PRONG_OK) {
        return err;
    }
    client_send(c);
    client_leave(c);
    return prong_client_is_connected(c) ? PRONG_OK : PRONG_UNAVAILABLE;
}

const char *
prong_client_url(const prong_client *c)
{
    return c->url;
}

void
prong_client_error_text(prong_client *c, char *text, size_t size)
{
    const bool mine = client_enter(c, false) == PRONG_OK;
    (void)snprintf(text, size, "%s", mine ? c->error : "the client belongs to another process");
    if (mine) {
        client_leave(c);
    }
}
