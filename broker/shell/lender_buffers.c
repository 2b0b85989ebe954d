/* The hub's side of shared memory: buffers, which have a handle that cannot be guessed. See
 * lender.h. */
#include "broker/shell/lender_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "proto/clock/clock.h"

enum { KEEP_MS_MAX = 600000, NS_PER_MS = 1000000 };

static struct lend_buffer *
find(const struct lender *l, const uint8_t handle[LEND_HANDLE_BYTES])
{
    struct lend_buffer *b = l->buffers;
    while (b != NULL && memcmp(b->handle, handle, LEND_HANDLE_BYTES) != 0) {
        b = b->next;
    }
    return b;
}

/* Room for one more hold of this connection; otherwise it is refused. */
static bool
make_room(struct lend_peer *p)
{
    if (p->hold_count < p->hold_cap) {
        return true;
    }
    const uint32_t cap = p->hold_cap == 0 ? 8 : p->hold_cap * 2;
    struct lend_buffer **holds =
        p->hold_count < LEND_HOLDS_MAX ? realloc(p->holds, cap * sizeof(*holds)) : NULL;
    if (holds == NULL) {
        lender_refuse(p, WIRE_ERR_RESOURCE_EXHAUSTED,
                      "a connection holds at most %d buffers at a time", LEND_HOLDS_MAX);
        return false;
    }
    p->holds = holds;
    p->hold_cap = cap;
    return true;
}

static void
hold(struct lend_peer *p, struct lend_buffer *buffer)
{
    struct lend_record record = {.op = LEND_BUFFER,
                                 .bytes = buffer->bytes,
                                 .generation = buffer->number,
                                 .index = buffer->arrivals};
    memcpy(record.handle, buffer->handle, sizeof record.handle);
    p->role = LEND_ROLE_HOLDER;
    p->holds[p->hold_count++] = buffer;
    buffer->holds++;
    lender_send(p, &record, &buffer->memory.fd, 1);
}

/* ---- buffers that nobody holds -----------------------------------------------------------------
 */

/* Be told at this time; what is earlier already stays. */
static void
set_timer(struct lender *l, int64_t at_ns)
{
    const struct itimerspec at = {.it_value = {at_ns / 1000000000, at_ns % 1000000000}};
    if (l->timer.at_ns == 0 || at_ns < l->timer.at_ns) {
        l->timer.at_ns = at_ns;
        (void)timerfd_settime(l->timer.fd, TFD_TIMER_ABSTIME, &at, NULL); /* it is in range */
    }
}

static void timer_ready(struct source *source, uint32_t events);

static bool
has_timer(struct lender *l)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &l->timer.source};
    if (l->timer.fd >= 0) {
        return true;
    }
    l->timer.source.ready = timer_ready;
    l->timer.lender = l;
    l->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->timer.fd >= 0 && epoll_ctl(l->options.epoll_fd, EPOLL_CTL_ADD, l->timer.fd, &e) != 0) {
        (void)close(l->timer.fd);
        l->timer.fd = -1;
    }
    return l->timer.fd >= 0;
}

static void
drop(struct lender *l, struct lend_buffer *buffer)
{
    struct lend_buffer **at = &l->buffers;
    while (*at != buffer) {
        at = &(*at)->next;
    }
    *at = buffer->next;
    l->buffer_count--;
    if (buffer->maker != NULL && !buffer->is_exposed && has_timer(l)) {
        set_timer(l, lender_spare_add(l, buffer, clock_mono_ns()));
        return;
    }
    if (buffer->is_exposed) {
        lend_memory_drop(&l->budget, &buffer->memory);
    } else { /* some may keep a map of it, although they do not look at it */
        lend_memory_set_aside(&l->budget, &buffer->memory);
        lend_memory_discard(&buffer->memory);
    }
    free(buffer);
}

/* Whether somebody is still to take it. Only to be asked when nobody holds it: then all have said
 * how many handles they wrote, and each is for one who takes it. Where one handle is taken several
 * times, as by all replicas that one call went to, that number is too small; what each of them says
 * of himself and those before him may be larger. */
static bool
is_awaited(const struct lend_buffer *buffer)
{
    const uint64_t expected =
        buffer->written > buffer->expected ? buffer->written : buffer->expected;
    return buffer->keep_until_ns != 0 && buffer->arrivals < expected;
}

static void
let_go(struct lender *l, struct lend_buffer *buffer)
{
    if (--buffer->holds == 0 && !is_awaited(buffer)) {
        drop(l, buffer);
    }
}

static void
timer_ready(struct source *source, uint32_t events)
{
    struct lender *l = ((struct lend_timer *)source)->lender;
    const int64_t now_ns = clock_mono_ns();
    int64_t next_ns = 0;
    uint64_t ticks;
    (void)events;
    if (read(l->timer.fd, &ticks, sizeof ticks) < 0) {
        return; /* not yet */
    }
    for (struct lend_buffer *b = l->buffers, *next; b != NULL; b = next) {
        next = b->next;
        if (b->keep_until_ns != 0 && b->keep_until_ns <= now_ns) {
            b->keep_until_ns = 0;
            if (b->holds == 0) {
                drop(l, b);
            }
        } else if (b->keep_until_ns != 0 && (next_ns == 0 || b->keep_until_ns < next_ns)) {
            next_ns = b->keep_until_ns;
        }
    }
    const int64_t spare_ns = lender_spares_expire(l, now_ns);
    l->timer.at_ns = 0;
    if (next_ns != 0) {
        set_timer(l, next_ns);
    }
    if (spare_ns != 0) {
        set_timer(l, spare_ns);
    }
}

/* Keep it for a while although nobody may hold it, and no shorter than another one said. Without a
 * timer, which needs a descriptor, it is as if the time was over at once. */
static void
keep(struct lender *l, struct lend_buffer *buffer, uint32_t ms)
{
    const int64_t until_ns =
        clock_mono_ns() + (int64_t)(ms < KEEP_MS_MAX ? ms : KEEP_MS_MAX) * NS_PER_MS;
    if (ms > 0 && until_ns > buffer->keep_until_ns && has_timer(l)) {
        buffer->keep_until_ns = until_ns;
        set_timer(l, buffer->keep_until_ns);
    }
}

void
lender_buffers_deinit(struct lender *l)
{
    while (l->buffers != NULL) { /* those who made them have left: they go */
        drop(l, l->buffers);
    }
    if (l->timer.fd >= 0) {
        (void)close(l->timer.fd);
        l->timer.fd = -1;
    }
}

/* ---- requests ----------------------------------------------------------------------------------
 */

/* With memory that came back, or still without any; NULL when the hub's own is out. */
static struct lend_buffer *
again_or_new(const struct lend_peer *p, const struct lend_record *ask)
{
    struct lend_buffer *spare = lender_spare_take(p, ask->bytes);
    struct lend_buffer *buffer = spare != NULL ? spare : malloc(sizeof *buffer);
    if (buffer != NULL) {
        *buffer = (struct lend_buffer){
            .memory = spare != NULL ? spare->memory : LEND_MEMORY_NONE,
            .number = spare != NULL ? spare->number : ++p->lender->last_number,
            .bytes = ask->bytes,
            .maker = p,
            .expected = 1,
        };
    }
    return buffer;
}

/* 0 with memory and a handle, or the code of the refusal. */
static uint32_t
fill(struct lend_peer *p, struct lend_buffer *buffer, char why[LEND_WHY_BYTES])
{
    struct lender *l = p->lender;
    uint32_t refused = 0;
    if (buffer->memory.fd < 0) {
        refused = lend_memory_make(&l->budget, "prong-buffer", (size_t)buffer->bytes, false,
                                   &buffer->memory, why);
    }
    if (refused == 0 && getrandom(buffer->handle, sizeof buffer->handle, 0) !=
                            (ssize_t)sizeof buffer->handle) { /* never, in a kernel that runs */
        (void)snprintf(why, LEND_WHY_BYTES, "the kernel has no random numbers");
        refused = WIRE_ERR_INTERNAL;
    }
    return refused;
}

void
lender_buffer_new(struct lend_peer *p, const struct lend_record *ask)
{
    struct lender *l = p->lender;
    char why[LEND_WHY_BYTES];
    if (ask->bytes < 1 || ask->bytes > LEND_SLOT_BYTES_MAX) {
        lender_refuse(p, WIRE_ERR_INVALID_ARGUMENT, "a buffer has 1 to %llu bytes, not %llu",
                      (unsigned long long)LEND_SLOT_BYTES_MAX, (unsigned long long)ask->bytes);
        return;
    }
    if (!make_room(p)) {
        return;
    }
    uint32_t refused = lender_fits(p, "", ask->bytes, 0, why); /* what comes back, too */
    if (refused != 0) {
        lender_refuse(p, refused, "%s", why);
        return;
    }
    struct lend_buffer *buffer = l->buffer_count < LEND_BUFFERS_MAX ? again_or_new(p, ask) : NULL;
    if (buffer == NULL) {
        lender_refuse(p, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub has no room for one of %d buffers",
                      LEND_BUFFERS_MAX);
        return;
    }
    refused = fill(p, buffer, why);
    if (refused != 0) {
        lend_memory_drop(&l->budget, &buffer->memory);
        free(buffer);
        lender_refuse(p, refused, "%s", why);
        return;
    }
    buffer->next = l->buffers;
    l->buffers = buffer;
    l->buffer_count++;
    hold(p, buffer);
}

void
lender_buffer_take(struct lend_peer *p, const struct lend_record *ask)
{
    struct lend_buffer *buffer = find(p->lender, ask->handle);
    if (buffer == NULL) {
        lender_refuse(p, WIRE_ERR_NOT_FOUND, "there is no such buffer: nobody holds it any more");
    } else if (make_room(p)) {
        buffer->arrivals++;
        /* What another user had is not used again. */
        buffer->is_exposed |= buffer->maker != NULL && buffer->maker->uid != p->uid;
        hold(p, buffer);
    }
}

void
lender_buffer_give(struct lend_peer *p, const struct lend_record *ask)
{
    for (uint32_t i = 0; i < p->hold_count; i++) {
        struct lend_buffer *buffer = p->holds[i];
        if (memcmp(buffer->handle, ask->handle, LEND_HANDLE_BYTES) == 0) {
            p->holds[i] = p->holds[--p->hold_count];
            buffer->is_exposed |= ask->index == 0;
            /* Whoever lets go of it last may know less of who is still to take it. */
            buffer->expected = ask->hold > buffer->expected ? ask->hold : buffer->expected;
            buffer->written += ask->numbers[0] < UINT32_MAX ? ask->numbers[0] : UINT32_MAX;
            keep(p->lender, buffer, ask->patience_ms);
            let_go(p->lender, buffer);
            return;
        }
    }
    /* It held no such buffer: then there is nothing to give, and nobody asked for an answer. */
}

void
lender_holder_left(struct lend_peer *p)
{
    for (struct lend_buffer *b = p->lender->buffers; b != NULL; b = b->next) {
        b->maker = b->maker == p ? NULL : b->maker;
    }
    lender_spares_leave(p);
    while (p->hold_count > 0) {
        struct lend_buffer *buffer = p->holds[--p->hold_count];
        buffer->is_exposed = true; /* it may have died, and children of it still have a map */
        let_go(p->lender, buffer);
    }
}
