/* Reading a stream: see <prong/stream.h>. */
#include "client/stream/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "proto/clock/clock.h"

_Static_assert((int)PRONG_LATEST == (int)RING_LATEST, "the policies have the same numbers");
_Static_assert((int)PRONG_LOSSLESS == (int)RING_LOSSLESS, "the policies have the same numbers");
_Static_assert((int)PRONG_FRAME_DIMS_MAX == (int)RING_DIMS_MAX, "one limit");
_Static_assert((int)PRONG_FRAME_META_MAX == (int)RING_META_BYTES, "one limit");
_Static_assert((int)PRONG_STREAM_SLOTS_MAX == (int)RING_SLOTS_MAX, "one limit");
_Static_assert((int)PRONG_READER_HOLD_MAX == (int)RING_HOLD_MAX, "one limit");

/* ---- opening ---------------------------------------------------------------------------------
 */

static prong_err
check_options(prong_reader *r, const prong_reader_options *o, struct why why)
{
    static const prong_reader_options none = {.size_bytes = sizeof none};
    r->options = o != NULL ? *o : none;
    o = &r->options;
    if (o->size_bytes < sizeof *o) {
        return fail(why, PRONG_INVALID_ARGUMENT, "size_bytes of the options is not set");
    }
    if ((int)o->policy < 0 || o->policy > PRONG_LOSSLESS) {
        return fail(why, PRONG_INVALID_ARGUMENT, "policy must be latest or lossless");
    }
    if (o->hold > RING_HOLD_MAX) {
        return fail(why, PRONG_INVALID_ARGUMENT, "hold must be 1 to %d, not %u", RING_HOLD_MAX,
                    o->hold);
    }
    if (o->group != NULL && !stream_name_is_good(o->group)) {
        return fail(why, PRONG_INVALID_ARGUMENT,
                    "a group is named with 1 to 64 of a-z 0-9 _ -, not '%.80s'", o->group);
    }
    if (o->group != NULL) {
        (void)snprintf(r->group, sizeof r->group, "%s", o->group);
    }
    r->options.group = NULL; /* the caller's */
    r->options.hold = o->hold != 0 ? o->hold : 1;
    return PRONG_OK;
}

static prong_err
open_fds(prong_reader *r, struct why why)
{
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (r->epoll_fd < 0 || r->wake_fd < 0 || r->timer_fd < 0 || !reader_watch(r, r->wake_fd) ||
        !reader_watch(r, r->timer_fd)) {
        return fail(why, PRONG_RESOURCE_EXHAUSTED, "no descriptors: %s", strerror(errno));
    }
    return PRONG_OK;
}

/* What a wait looks at, at once: a hub's socket and bell, the wake, the timer, and bells of hubs
 * before.
 */
enum { EVENTS_MAX = 8 };
enum waited { WAITED_TOO_LONG, WAITED_FOR_NEWS, WAITED_AND_WOKEN };
static enum waited wait_until(prong_reader *r, int64_t until_ns);

/* Until there is a ring: a stream that is not there yet may come. */
static prong_err
wait_for_stream(prong_reader *r, struct why why)
{
    const int64_t until_ns = stream_until_ns(r->seat->has_ring && r->options.timeout_ms >= 0 &&
                                                     r->options.timeout_ms < ANSWER_MS
                                                 ? ANSWER_MS
                                                 : r->options.timeout_ms);
    for (;;) {
        reader_hear(r);
        const prong_err err = reader_refusal(r, why);
        if (r->track != NULL || err != PRONG_OK) {
            return err;
        }
        if (r->lacks_descriptors) {
            return fail(why, PRONG_RESOURCE_EXHAUSTED, "no descriptor for the memory of '%s'",
                        r->name);
        }
        if (wait_until(r, until_ns) == WAITED_TOO_LONG) {
            return fail(why, PRONG_NOT_FOUND, "there is no stream '%s'", r->name);
        }
    }
}

prong_err
prong_stream_open(const char *url, const char *name, const prong_reader_options *options,
                  prong_reader **out, char *text, size_t size)
{
    const struct why why = {text, size};
    if (out == NULL || !stream_name_is_good(name)) {
        return stream_bad_name(name, why);
    }
    prong_reader *r = calloc(1, sizeof *r);
    if (r == NULL || pthread_mutex_init(&r->lock, NULL) != 0) {
        free(r);
        return fail(why, PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    r->refs = 1;
    r->owner = getpid();
    r->epoll_fd = r->wake_fd = r->timer_fd = r->ring_fd = -1;
    (void)snprintf(r->name, sizeof r->name, "%s", name);
    prong_err err = check_options(r, options, why);
    if (err == PRONG_OK) {
        err = open_fds(r, why);
    }
    if (err == PRONG_OK && (r->url = strdup(url != NULL ? url : "")) == NULL) {
        err = fail(why, PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    if (err == PRONG_OK) {
        err = reader_take_seat(r, why);
    }
    if (err == PRONG_OK) {
        err = wait_for_stream(r, why);
    }
    if (err != PRONG_OK) {
        prong_reader_free(r);
        return err;
    }
    *out = r;
    return PRONG_OK;
}

/* Unlocks; frees with the last. */
static void
unref(prong_reader *r)
{
    const bool is_last = --r->refs == 0;
    (void)pthread_mutex_unlock(&r->lock);
    if (!is_last) {
        return;
    }
    while (r->track != NULL) {
        struct track *t = r->track;
        r->track = t->next;
        track_unref(t);
    }
    seat_unref(r->seat);
    reader_close(&r->epoll_fd);
    reader_close(&r->wake_fd);
    reader_close(&r->timer_fd);
    reader_close(&r->ring_fd);
    (void)pthread_mutex_destroy(&r->lock);
    free(r->url);
    free(r);
}

void
prong_reader_free(prong_reader *r)
{
    if (r != NULL) {
        (void)pthread_mutex_lock(&r->lock);
        unref(r);
    }
}

/* ---- taking ----------------------------------------------------------------------------------
 */

/* Whether the next ring is to be read: what is before it was read, or does not matter. */
static bool
is_followed(const struct track *t)
{
    return t->next != NULL && t->ring.policy == RING_LATEST &&
           atomic_load(&t->next->ring.head->newest) != 0;
}

static uint64_t
at_most(uint64_t value, uint64_t max)
{
    return value < max ? value : max;
}

/* What the writer says of a frame, believed no further than the ring reaches. */
static const prong_frame *
show(prong_reader *r, struct track *t, const struct ring_taken *taken)
{
    struct held *h = r->held;
    const char *base = t->map;
    const struct ring_frame *f = (const struct ring_frame *)(base + ring_frame_offset(taken->slot));
    while (h->reader != NULL) {
        h++; /* there is one: see is_full */
    }
    h->reader = r;
    h->refs = 1;
    h->track = t;
    h->taken = *taken;
    h->frame = (prong_frame){
        .number = taken->number,
        .missed = taken->missed,
        .generation = taken->generation,
        .mono_ns = f->mono_ns,
        .time_us = f->time_us,
        .data = base + ring_data_offset(t->slots, t->slot_bytes, taken->slot),
        .bytes = (size_t)at_most(f->bytes, t->slot_bytes),
        .dims = (uint32_t)at_most(f->dims, RING_DIMS_MAX),
        .meta = {f->meta, (size_t)at_most(f->meta_bytes, RING_META_BYTES)},
    };
    memcpy(h->frame.shape, f->shape, sizeof f->shape);
    memcpy(h->frame.dtype, f->dtype, sizeof f->dtype);
    t->refs++;
    t->seat->frames++;
    r->refs++;
    r->held_count++;
    return &h->frame;
}

static void
tell_delay(struct track *t, const prong_frame *frame)
{
    const int64_t delay_ns = clock_mono_ns() - frame->mono_ns;
    atomic_store_explicit(&t->seat->desk->delay_ns, delay_ns > 0 ? (uint64_t)delay_ns : 0,
                          memory_order_relaxed);
}

static prong_err
full(prong_reader *r)
{
    return fail(reader_why(r), PRONG_RESOURCE_EXHAUSTED,
                "this reader holds %u frames, as many as it asked for: release one first",
                r->options.hold);
}

/* Of all its seats together. */
static bool
is_full(const prong_reader *r)
{
    return r->held_count >= r->options.hold;
}

static prong_err
of_another(prong_reader *r)
{
    return fail(reader_why(r), PRONG_FAILED_PRECONDITION,
                "this reader belongs to the process that opened it");
}

/* PRONG_DEADLINE_EXCEEDED, unless there may be something that cannot be seen. */
static prong_err
nothing_there(prong_reader *r)
{
    const prong_err err = reader_refusal(r, reader_why(r));
    return err != PRONG_OK ? err : PRONG_DEADLINE_EXCEEDED;
}

/* With the lock. PRONG_DEADLINE_EXCEEDED: nothing is there. */
static prong_err
take_next(prong_reader *r, const prong_frame **frame)
{
    struct ring_taken taken;
    if (is_full(r)) {
        return full(r);
    }
    for (;;) {
        if (r->track == NULL || r->track->ring.head->ended != RING_OPEN) {
            reader_hear(r);
        }
        while (r->track != NULL && is_followed(r->track)) {
            track_leave(r);
        }
        struct track *t = r->track;
        if (t == NULL) {
            return nothing_there(r);
        }
        switch (ring_reader_next(&t->ring, &taken)) {
        case RING_TAKEN:
            r->missed += taken.missed;
            taken.missed += r->lost;
            r->lost = 0;
            *frame = show(r, t, &taken);
            tell_delay(t, *frame);
            r->taken++;
            return PRONG_OK;
        case RING_FULL:
            return full(r);
        case RING_LOST:
            r->dropped++;
            r->lost += taken.missed;
            r->missed += taken.missed;
            return fail(reader_why(r), PRONG_DATA_LOSS,
                        "the writer of '%s' has waited long enough: %llu frames are lost", r->name,
                        (unsigned long long)taken.missed);
        case RING_NOTHING:
            break;
        }
        reader_hear(r);
        if (t->next == NULL) {
            return nothing_there(r);
        }
        if (t->ring.policy == RING_LATEST && atomic_load(&t->next->ring.head->newest) == 0) {
            return PRONG_DEADLINE_EXCEEDED; /* nothing is in it yet */
        }
        track_leave(r);
    }
}

/* Whether it rang; no longer. */
static bool
hush(int bell)
{
    uint64_t rung;
    return read(bell, &rung, sizeof rung) == (ssize_t)sizeof rung;
}

/* Let the writer ring when a frame comes. Look again after that. Whether it had rung. */
static bool
listen_for(prong_reader *r, bool listens)
{
    bool rung = listens && hush(r->seat->bell);
    for (struct track *t = r->track; t != NULL; t = t->next) {
        rung |= listens && t->seat != r->seat && hush(t->seat->bell);
        ring_reader_wait(&t->ring, listens);
    }
    r->listening = listens;
    return rung;
}

/* Whether prong_reader_wake was called; takes note of it. */
static bool
is_woken(prong_reader *r)
{
    uint64_t count;
    return read(r->wake_fd, &count, sizeof count) == (ssize_t)sizeof count;
}

/* Sleep until something may have happened; without the lock. Whoever is woken by a frame has no
 * other call to make before it has it. */
static enum waited
wait_until(prong_reader *r, int64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    const int left_ms = stream_left_ms(until_ns);
    if (left_ms == 0) {
        return is_woken(r) ? WAITED_AND_WOKEN : WAITED_TOO_LONG;
    }
    const int count = epoll_wait(r->epoll_fd, events, EVENTS_MAX, left_ms);
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == r->wake_fd && is_woken(r)) {
            return WAITED_AND_WOKEN;
        }
    }
    return WAITED_FOR_NEWS; /* all is looked at again */
}

typedef prong_err (*take_fn)(prong_reader *r, const prong_frame **frame);

static prong_err
take_or_wait(prong_reader *r, take_fn take, int32_t timeout_ms, const prong_frame **frame)
{
    const int64_t until_ns = stream_until_ns(timeout_ms);
    if (r->owner != getpid()) {
        return of_another(r);
    }
    (void)pthread_mutex_lock(&r->lock);
    prong_err err = take(r, frame);
    while (err == PRONG_DEADLINE_EXCEEDED) {
        (void)listen_for(r, true);
        err = take(r, frame);
        if (err != PRONG_DEADLINE_EXCEEDED) {
            break;
        }
        (void)pthread_mutex_unlock(&r->lock);
        const enum waited waited = wait_until(r, until_ns);
        (void)pthread_mutex_lock(&r->lock);
        if (waited == WAITED_AND_WOKEN) {
            err = fail(reader_why(r), PRONG_CANCELLED, "woken");
        } else if (waited == WAITED_TOO_LONG) {
            /* It goes on listening, for those who wait for the descriptor. */
            (void)pthread_mutex_unlock(&r->lock);
            return PRONG_DEADLINE_EXCEEDED;
        } else {
            err = take(r, frame);
        }
    }
    if (r->listening) {
        (void)listen_for(r, false);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return err;
}

prong_err
prong_reader_next(prong_reader *r, int32_t timeout_ms, const prong_frame **frame)
{
    return take_or_wait(r, take_next, timeout_ms, frame);
}

/* ---- by time and number ----------------------------------------------------------------------
 */

static prong_err
taken_as(prong_reader *r, enum ring_result result, const struct ring_taken *taken,
         const prong_frame **frame)
{
    if (result == RING_TAKEN) {
        *frame = show(r, r->track, taken);
        return PRONG_OK;
    }
    return result == RING_FULL ? full(r)
                               : fail(reader_why(r), PRONG_NOT_FOUND, "there is no such frame");
}

/* The time of the newest frame; false when there is none. It is not overwritten while it is that,
 * and a time that is wrong because it no longer is only leads to one more look. */
static bool
newest_time(const struct track *t, int64_t *mono_ns)
{
    const uint64_t newest = atomic_load(&t->ring.head->newest);
    const uint32_t slot = (uint32_t)(newest & 0xff);
    if (newest == 0 || slot >= t->slots) {
        return false;
    }
    *mono_ns =
        ((const struct ring_frame *)((const char *)t->map + ring_frame_offset(slot)))->mono_ns;
    return true;
}

/* Somebody who waits for the descriptor goes on with that, and is told again what rang meanwhile:
 * that may have been the next frame. */
static void
listen_on(prong_reader *r, bool rung)
{
    const uint64_t one = 1;
    rung |= listen_for(r, true);
    if (rung && write(r->seat->bell, &one, sizeof one) < 0) {
        /* Full: then it rings already. */
    }
}

prong_err
prong_reader_at(prong_reader *r, int64_t mono_ns, int32_t timeout_ms, const prong_frame **frame)
{
    const int64_t until_ns = stream_until_ns(timeout_ms);
    struct ring_taken taken;
    int64_t newest_ns = 0;
    enum waited waited = WAITED_FOR_NEWS;
    if (r->owner != getpid()) {
        return of_another(r);
    }
    (void)pthread_mutex_lock(&r->lock);
    const struct seat *seat = r->seat;
    const bool listened = r->listening;
    bool rung = false;
    for (;;) {
        reader_hear(r);
        while (r->track != NULL && r->track->next != NULL &&
               atomic_load(&r->track->next->ring.head->newest) != 0) {
            track_leave(r);
        }
        if (waited != WAITED_FOR_NEWS ||
            (r->track != NULL && newest_time(r->track, &newest_ns) && newest_ns >= mono_ns) ||
            r->refusal != PRONG_OK) {
            break;
        }
        rung |= listen_for(r, true);
        if (r->track != NULL && newest_time(r->track, &newest_ns) && newest_ns >= mono_ns) {
            break;
        }
        (void)pthread_mutex_unlock(&r->lock);
        waited = wait_until(r, until_ns);
        (void)pthread_mutex_lock(&r->lock);
    }
    if (listened) {
        listen_on(r, rung || seat != r->seat);
    } else {
        (void)listen_for(r, false);
    }
    prong_err err = waited == WAITED_AND_WOKEN ? fail(reader_why(r), PRONG_CANCELLED, "woken")
                    : r->refusal != PRONG_OK && newest_ns < mono_ns
                        ? reader_refusal(r, reader_why(r))
                    : r->track == NULL ? fail(reader_why(r), PRONG_NOT_FOUND, "there is no frame")
                                       : PRONG_OK;
    if (err == PRONG_OK) {
        err = is_full(r) ? full(r)
                         : taken_as(r, ring_reader_nearest(&r->track->ring, mono_ns, &taken),
                                    &taken, frame);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return err;
}

/* Of rings that went before, one is enough for numbers that are just on their way; a reader that
 * only asks for numbers would otherwise keep all that there ever were. */
static void
leave_old(prong_reader *r)
{
    while (r->track != NULL && r->track->next != NULL && is_followed(r->track->next)) {
        track_leave(r);
    }
}

/* Whether there may be a ring that it has not heard of: the hub is gone and another one not found
 * yet, or that one's ring is on its way. */
static bool
is_behind(const prong_reader *r)
{
    return r->seat->is_lost || (r->refusal == PRONG_OK && r->seat->has_ring &&
                                (r->track == NULL || r->newest->seat != r->seat));
}

/* Whether frames of this generation, 0: of any, are to be looked for in a ring. Another hub may
 * count generations from the beginning again; then what is asked for is in the later ring. */
static bool
is_asked_for(const struct track *t, uint64_t generation)
{
    const struct track *later = t->next;
    while (later != NULL && later->ring.generation != t->ring.generation) {
        later = later->next;
    }
    return generation == 0 || (t->ring.generation == generation && later == NULL);
}

prong_err
reader_find(prong_reader *r, uint64_t number, uint64_t generation, int32_t timeout_ms,
            const prong_frame **frame)
{
    const int64_t until_ns = stream_until_ns(timeout_ms);
    struct ring_taken taken;
    if (r->owner != getpid()) {
        return of_another(r);
    }
    (void)pthread_mutex_lock(&r->lock);
    reader_hear(r);
    while (is_behind(r) && stream_left_ms(until_ns) != 0) {
        (void)pthread_mutex_unlock(&r->lock);
        (void)wait_until(r, until_ns); /* whatever came, all is looked at again */
        (void)pthread_mutex_lock(&r->lock);
        reader_hear(r);
    }
    leave_old(r);
    prong_err err = is_full(r) ? full(r) : PRONG_DATA_LOSS;
    for (struct track *t = r->track; t != NULL && err == PRONG_DATA_LOSS; t = t->next) {
        const enum ring_result result = is_asked_for(t, generation)
                                            ? ring_reader_number(&t->ring, number, &taken)
                                            : RING_NOTHING;
        if (result == RING_TAKEN) {
            *frame = show(r, t, &taken);
            err = PRONG_OK;
        } else if (result == RING_FULL) {
            err = full(r);
        }
    }
    if (err == PRONG_DATA_LOSS && r->refusal != PRONG_OK) {
        err = reader_refusal(r, reader_why(r));
    } else if (err == PRONG_DATA_LOSS) {
        err = fail(reader_why(r), PRONG_DATA_LOSS, "frame %llu of '%s' is gone",
                   (unsigned long long)number, r->name);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return err;
}

prong_err
prong_reader_number(prong_reader *r, uint64_t number, const prong_frame **frame)
{
    return reader_find(r, number, 0, 0, frame);
}

void
prong_frame_release(const prong_frame *frame)
{
    if (frame == NULL) {
        return;
    }
    struct held *h = (struct held *)(uintptr_t)frame;
    prong_reader *r = h->reader;
    const uint64_t one = 1;
    (void)pthread_mutex_lock(&r->lock);
    if (--h->refs > 0) {
        (void)pthread_mutex_unlock(&r->lock);
        return;
    }
    struct track *t = h->track;
    /* In a forked child it stays what its parent holds. */
    if (r->owner == getpid() && ring_reader_release(&t->ring, &h->taken) &&
        write(t->seat->room, &one, sizeof one) < 0) {
        /* Full: then it is told already. */
    }
    if (--t->seat->frames == 0 && t->seat->is_lost) {
        seat_leave(t->seat);
    }
    track_unref(t);
    h->reader = NULL;
    r->held_count--;
    unref(r);
}

void
frame_ref(const prong_frame *frame)
{
    struct held *h = (struct held *)(uintptr_t)frame;
    (void)pthread_mutex_lock(&h->reader->lock);
    h->refs++;
    (void)pthread_mutex_unlock(&h->reader->lock);
}

const char *
frame_stream(const prong_frame *frame)
{
    return ((const struct held *)frame)->reader->name;
}

/* ---- the rest --------------------------------------------------------------------------------
 */

int
prong_reader_fd(prong_reader *r)
{
    return r->epoll_fd;
}

void
prong_reader_wake(prong_reader *r)
{
    const uint64_t one = 1;
    if (write(r->wake_fd, &one, sizeof one) < 0) {
        /* Full: then it is woken already. */
    }
}

const char *
prong_reader_error_text(const prong_reader *r)
{
    return r->error;
}

void
prong_reader_stats(const prong_reader *r, prong_reader_counts *out)
{
    *out = (prong_reader_counts){r->taken, r->missed, r->dropped,
                                 r->track != NULL ? r->track->ring.generation : 0};
}
