/* Seats and tracks: see reader.h. */
#include "client/stream/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct why
reader_why(prong_reader *r)
{
    return (struct why){r->error, sizeof r->error};
}

/* ---- seats and tracks ------------------------------------------------------------------------
 */

void
reader_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* From now on the hub knows. */
void
seat_leave(struct seat *s)
{
    if (s->fd >= 0) {
        lend_leave(s->fd, s->owner);
        s->fd = -1;
    }
}

void
seat_unref(struct seat *s)
{
    if (s == NULL || --s->refs > 0) {
        return;
    }
    seat_leave(s);
    reader_close(&s->bell);
    reader_close(&s->room);
    if (s->desk != NULL) {
        (void)munmap(s->desk, RING_PAGE);
    }
    if (s->group != NULL) {
        (void)munmap(s->group, RING_PAGE);
    }
    free(s);
}

void
track_unref(struct track *t)
{
    if (t == NULL || --t->refs > 0) {
        return;
    }
    (void)munmap(t->map, t->map_bytes);
    seat_unref(t->seat);
    free(t);
}

bool
reader_watch(prong_reader *r, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void
unwatch(prong_reader *r, int fd)
{
    if (fd >= 0 && epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, fd, NULL) != 0) {
        /* It was not watched. */
    }
}

/* LEND_OPENED: [desk, bell, room (, group)], kept or closed. */
static struct seat *
seat_new(int fd, const struct lend_record *record, int fds[LEND_FDS_MAX])
{
    struct seat *s = calloc(1, sizeof *s);
    if (s == NULL || record->op != LEND_OPENED || record->fds < 3 || record->hold < 1 ||
        record->hold > RING_HOLD_MAX || record->policy > RING_LOSSLESS) {
        free(s);
        pass_close(fds, record->fds);
        return NULL;
    }
    *s = (struct seat){.refs = 1,
                       .owner = getpid(),
                       .fd = fd,
                       .bell = fds[1],
                       .room = fds[2],
                       .desk = lend_map(fds[0], RING_PAGE, true),
                       .group = record->fds > 3 ? lend_map(fds[3], RING_PAGE, true) : NULL,
                       .hold = record->hold,
                       .policy = (enum ring_policy)record->policy,
                       .has_ring = record->slots > 0};
    const bool is_whole = s->desk != NULL && (record->fds == 3 || s->group != NULL);
    (void)close(fds[0]);
    if (record->fds > 3) {
        (void)close(fds[3]);
    }
    if (!is_whole) {
        s->fd = -1; /* the caller's */
        seat_unref(s);
        return NULL;
    }
    return s;
}

/* A writer that knows nothing of the frames before begins with 1 again; what it wrote is all new.
 */
static void
count_again(struct seat *s, const struct ring_head *head)
{
    const uint64_t newest = atomic_load(&head->newest) >> 8;
    const uint64_t next = atomic_load(&s->desk->next);
    if (s->group == NULL && next > head->first && next > newest + 1) {
        atomic_store(&s->desk->next, 0);
    }
}

/* LEND_RING: read it when what is before it has been read. */
static prong_err
add_track(prong_reader *r, const struct lend_record *record, int fd)
{
    const bool is_good = record->slots >= RING_SLOTS_MIN && record->slots <= RING_SLOTS_MAX &&
                         record->bytes % RING_PAGE == 0 && record->bytes <= LEND_SLOT_BYTES_MAX;
    const size_t bytes = is_good ? ring_size(record->slots, record->bytes) : 0;
    if (!is_good) {
        return PRONG_INTERNAL;
    }
    struct track *t = calloc(1, sizeof *t);
    void *map = t != NULL ? lend_map(fd, bytes, false) : NULL;
    const struct ring_head *head = map;
    if (map == NULL || head->magic != RING_MAGIC || head->version != RING_VERSION) {
        if (map != NULL) {
            (void)munmap(map, bytes);
        }
        free(t);
        return map == NULL ? PRONG_RESOURCE_EXHAUSTED : PRONG_INTERNAL;
    }
    *t = (struct track){.refs = 1,
                        .seat = r->seat,
                        .map = map,
                        .map_bytes = bytes,
                        .slots = record->slots,
                        .slot_bytes = record->bytes,
                        .ring = {.head = head,
                                 .desk = r->seat->desk,
                                 .group = r->seat->group,
                                 .slots = record->slots,
                                 .hold = r->seat->hold,
                                 .generation = record->generation,
                                 .policy = r->seat->policy}};
    r->seat->refs++;
    count_again(r->seat, head);
    if (r->newest != NULL) {
        r->newest->next = t;
    } else {
        r->track = t;
    }
    r->newest = t;
    return PRONG_OK;
}

/* Go on with the ring that the hub has told of, unless that was done. One that there is no memory
 * for is tried again whenever somebody looks, until there is some, or another ring. */
static void
follow_ring(prong_reader *r)
{
    if (r->ring_fd >= 0) {
        r->refusal = add_track(r, &r->ring, r->ring_fd);
    }
    if (r->refusal == PRONG_OK) {
        reader_close(&r->ring_fd);
    }
}

prong_err
reader_refusal(const prong_reader *r, struct why why)
{
    if (r->refusal == PRONG_RESOURCE_EXHAUSTED) {
        return fail(why, r->refusal, "no memory for the %u slots of %llu bytes of '%s'",
                    r->ring.slots, (unsigned long long)r->ring.bytes, r->name);
    }
    return r->refusal == PRONG_OK
               ? PRONG_OK
               : fail(why, r->refusal, "the memory of '%s' is laid out in another way", r->name);
}

/* ---- the hub ---------------------------------------------------------------------------------
 */

static void
set_timer(prong_reader *r, int32_t ms)
{
    const struct itimerspec at = {.it_value = {ms / 1000, (long)(ms % 1000) * 1000000}};
    (void)timerfd_settime(r->timer_fd, 0, &at, NULL); /* its fields are in range */
}

static void
lose_hub(prong_reader *r)
{
    unwatch(r, r->seat->fd); /* a forked child may have it, and then epoll does not forget it */
    r->seat->is_lost = true;
    if (r->seat->frames == 0) {
        seat_leave(r->seat); /* else with the last one: a hub that is there keeps them until then */
    }
    set_timer(r, RETRY_MS);
}

prong_err
reader_take_seat(prong_reader *r, struct why why)
{
    int fd = -1, fds[LEND_FDS_MAX];
    struct lend_record record = {.op = LEND_OPEN,
                                 .policy = (uint32_t)r->options.policy,
                                 .hold = r->options.hold,
                                 .from_oldest = r->options.oldest || r->seat != NULL};
    (void)snprintf(record.name, sizeof record.name, "%s", r->name);
    (void)snprintf(record.group, sizeof record.group, "%s", r->group);
    prong_err err = lend_connect(r->url, &fd, why);
    if (err == PRONG_OK) {
        err = lend_ask(fd, &record, why);
    }
    if (err == PRONG_OK) {
        err = lend_answer(fd, &record, fds, why);
    }
    struct seat *seat = err == PRONG_OK ? seat_new(fd, &record, fds) : NULL;
    if (seat == NULL) {
        reader_close(&fd);
        return err != PRONG_OK ? err : fail(why, PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    if (!reader_watch(r, seat->fd) || !reader_watch(r, seat->bell)) {
        err = fail(why, PRONG_RESOURCE_EXHAUSTED, "the hub cannot be waited for: %s",
                   strerror(errno));
        seat_unref(seat);
        return err;
    }
    if (r->seat != NULL && seat->group == NULL) {
        /* Frames that it has taken are not new again. */
        const uint64_t next = atomic_load(&r->seat->desk->next);
        atomic_store(&seat->desk->next, next);
    }
    seat_unref(r->seat);
    r->seat = seat;
    reader_close(&r->ring_fd); /* what it waited for is not this hub's, and not of this seat */
    r->refusal = PRONG_OK;
    return PRONG_OK;
}

/* Take what the hub says, and look for another hub when it is gone. */
void
reader_hear(prong_reader *r)
{
    struct lend_record record;
    int fds[LEND_FDS_MAX];
    enum pass_result got = PASS_EMPTY;
    uint64_t ticks;
    follow_ring(r);
    while (!r->seat->is_lost && (got = pass_receive(r->seat->fd, &record, fds)) == PASS_OK) {
        if (record.op == LEND_RING && record.fds == 1) {
            reader_close(&r->ring_fd);
            r->ring = record;
            r->ring_fd = fds[0];
            follow_ring(r);
        } else {
            pass_close(fds, record.fds);
        }
    }
    if (got == PASS_GONE) {
        r->lacks_descriptors = errno == EMFILE;
        lose_hub(r);
    }
    if (r->seat->is_lost && read(r->timer_fd, &ticks, sizeof ticks) == (ssize_t)sizeof ticks) {
        char text[STREAM_TEXT];
        if (reader_take_seat(r, (struct why){text, sizeof text}) != PRONG_OK) {
            set_timer(r, RETRY_MS);
        }
    }
}

/* Go on with the next one, which is there. */
void
track_leave(prong_reader *r)
{
    struct track *t = r->track;
    r->track = t->next;
    if (r->track->seat != t->seat) {
        unwatch(r, t->seat->bell);
    }
    track_unref(t);
}
