/* Writing to a stream: see <prong/stream.h>.
 *
 * The memory belongs to the hub, which tells by messages who reads; they are looked at for each
 * frame, between taking a slot and writing to it (proto/ring/ring.h says why there). When the hub
 * is gone the stream goes on with the readers it has, and is made anew, in fresh memory and with
 * numbers that go on, once there is a hub again. */
#include "client/stream/inside.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/clock/clock.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum {
    SLOT_BYTES = 1024 * 1024,
    PATIENCE_MS = 1000,
    PATIENCE_MS_MAX = 60000,
    TRIES_MAX = 1000, /* slots that are held just when they were chosen */
};

struct bells {
    int bell, room; /* -1 when there is none */
};

struct prong_stream {
    int fd; /* -1 while there is no hub */
    pid_t owner;
    char *url;
    char name[LEND_NAME_BYTES];
    uint32_t slots;
    uint64_t slot_bytes;
    int32_t patience_ms;
    void *map;
    size_t map_bytes;
    struct ring_writer ring;
    struct bells bells[RING_READERS_MAX];
    int slot; /* reserved, or RING_NO_SLOT */
    size_t bytes;
    bool is_broken; /* a reader could not be taken on: nobody may write any more */
    bool is_blind;  /* not all who read this ring are known: not before there is another */
    int64_t retry_ns;
    uint64_t frames, written_bytes, skipped, dropped; /* also of rings before */
    char error[STREAM_TEXT];
};

static struct why
own(prong_stream *s)
{
    return (struct why){s->error, sizeof s->error};
}

/* ---- readers ---------------------------------------------------------------------------------
 */

static void
forget_desk(prong_stream *s, uint32_t index)
{
    struct ring_known *known = &s->ring.desks[index];
    struct bells *bells = &s->bells[index];
    if (known->desk != NULL) {
        (void)munmap((void *)(uintptr_t)known->desk, RING_PAGE);
        *known = (struct ring_known){0};
    }
    if (bells->bell >= 0) {
        (void)close(bells->bell);
    }
    if (bells->room >= 0) {
        (void)close(bells->room);
    }
    *bells = (struct bells){-1, -1};
}

static void
forget_desks(prong_stream *s)
{
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        forget_desk(s, i);
    }
}

/* Closes or keeps the descriptors. false when the reader cannot be respected. */
static bool
know_desk(prong_stream *s, const struct lend_record *record, int fds[LEND_FDS_MAX])
{
    const uint32_t i = record->index;
    const struct ring_desk *desk = NULL;
    if (i < RING_READERS_MAX && record->fds >= 2 && record->hold <= RING_HOLD_MAX) {
        desk = lend_map(fds[0], RING_PAGE, false);
    }
    if (desk == NULL) {
        pass_close(fds, record->fds);
        return false;
    }
    forget_desk(s, i);
    s->ring.desks[i] = (struct ring_known){.desk = desk,
                                           .policy = (enum ring_policy)record->policy,
                                           .hold = record->hold,
                                           .is_group = record->fds == 2};
    /* A group's desk has no bell: its members have theirs. */
    s->bells[i].bell = record->fds > 2 ? fds[1] : -1;
    s->bells[i].room = record->fds > 2 ? fds[2] : fds[1];
    pass_close(fds, 1);
    return true;
}

static void
lose_hub(prong_stream *s)
{
    if (s->fd >= 0) {
        /* A hub that is still there may have told of a reader: what it said could not be taken,
         * as without a descriptor for it, or came too late. */
        struct pollfd look = {.fd = s->fd};
        s->is_blind |= poll(&look, 1, 0) != 1 || (look.revents & POLLHUP) == 0;
        lend_leave(s->fd, s->owner);
        s->fd = -1;
        s->retry_ns = clock_mono_ns();
    }
}

static void
take_record(prong_stream *s, const struct lend_record *record, int fds[LEND_FDS_MAX])
{
    if (record->op == LEND_DESK) {
        s->is_broken = !know_desk(s, record, fds) || s->is_broken;
        return;
    }
    pass_close(fds, record->fds);
    if (record->op == LEND_DESK_GONE && record->index < RING_READERS_MAX) {
        forget_desk(s, record->index);
    }
}

/* Whether anything was told. */
static bool
take_records(prong_stream *s)
{
    struct lend_record record;
    int fds[LEND_FDS_MAX];
    enum pass_result got = PASS_EMPTY;
    bool has_news = false;
    while (s->fd >= 0 && (got = pass_receive(s->fd, &record, fds)) == PASS_OK) {
        take_record(s, &record, fds);
        has_news = true;
    }
    if (got == PASS_GONE) {
        lose_hub(s);
    }
    return has_news;
}

/* ---- memory ----------------------------------------------------------------------------------
 */

/* Touch all pages now: the first touch of a page costs twenty times a copy into it. */
static bool
populate(void *map, size_t bytes)
{
    if (madvise(map, bytes, MADV_POPULATE_WRITE) == 0) {
        return true;
    }
    return errno == EINVAL; /* an older kernel: then the first frames are slower */
}

/* Take the ring that the hub made; what went before is let go of. */
static prong_err
take_ring(prong_stream *s, const struct lend_record *record, int fds[LEND_FDS_MAX], struct why why)
{
    const size_t bytes = ring_size(record->slots, record->bytes);
    struct ring_head *head = record->fds == 1 ? lend_map(fds[0], bytes, true) : NULL;
    pass_close(fds, record->fds);
    if (head == NULL) {
        return fail(why, PRONG_RESOURCE_EXHAUSTED, "no memory for %u slots of %llu bytes",
                    record->slots, (unsigned long long)record->bytes);
    }
    if (!populate(head, bytes)) {
        (void)munmap(head, bytes);
        return fail(why, PRONG_RESOURCE_EXHAUSTED, "no memory for %u slots of %llu bytes",
                    record->slots, (unsigned long long)record->bytes);
    }
    if (head->magic != RING_MAGIC || head->version != RING_VERSION ||
        head->slots != record->slots || head->slot_bytes != record->bytes) {
        (void)munmap(head, bytes);
        return fail(why, PRONG_INTERNAL, "the hub's memory is laid out in another way");
    }
    forget_desks(s);
    if (s->map != NULL) {
        (void)munmap(s->map, s->map_bytes);
    }
    s->map = head;
    s->map_bytes = bytes;
    s->slot_bytes = record->bytes;
    s->is_blind = true; /* until the desks have come */
    ring_writer_init(&s->ring, head);
    return PRONG_OK;
}

/* Ask for a ring with slots of so many bytes, and for those who read already. */
static prong_err
ask_for_ring(prong_stream *s, int fd, uint64_t bytes, struct why why)
{
    int fds[LEND_FDS_MAX];
    struct lend_record record = {.op = LEND_CREATE,
                                 .slots = s->slots,
                                 .bytes = bytes,
                                 .patience_ms = (uint32_t)s->patience_ms,
                                 .generation = s->ring.generation};
    (void)snprintf(record.name, sizeof record.name, "%s", s->name);
    record.numbers[0] = s->ring.number;
    prong_err err = lend_ask(fd, &record, why);
    while (err == PRONG_OK && (err = lend_answer(fd, &record, fds, why)) == PRONG_OK &&
           record.op != LEND_CREATED) {
        take_record(s, &record, fds); /* of the ring before */
    }
    if (err == PRONG_OK) {
        err = take_ring(s, &record, fds, why);
    }
    for (uint32_t desks = record.index; err == PRONG_OK && desks > 0; desks--) {
        err = lend_answer(fd, &record, fds, why);
        if (err == PRONG_OK) {
            take_record(s, &record, fds);
        }
    }
    s->is_blind = s->is_blind && err != PRONG_OK;
    return err;
}

/* Another hub may be there: go on in its memory. Failing is no error, as long as there is a ring.
 */
static void
seek_hub(prong_stream *s)
{
    char text[STREAM_TEXT];
    const struct why why = {text, sizeof text};
    int fd = -1;
    if (s->fd >= 0 || clock_mono_ns() < s->retry_ns) {
        return;
    }
    s->retry_ns = clock_mono_ns() + (int64_t)RETRY_MS * 1000000;
    if (lend_connect(s->url, &fd, why) != PRONG_OK) {
        return;
    }
    if (ask_for_ring(s, fd, s->slot_bytes, why) == PRONG_OK) {
        s->fd = fd;
    } else {
        (void)close(fd);
    }
}

/* ---- the stream ------------------------------------------------------------------------------
 */

static prong_err
check_options(const prong_stream_options *o, prong_stream *s, struct why why)
{
    static const prong_stream_options none = {.size_bytes = sizeof none};
    if (o == NULL) {
        o = &none;
    }
    if (o->size_bytes < sizeof *o) {
        return fail(why, PRONG_INVALID_ARGUMENT, "size_bytes of the options is not set");
    }
    if (o->slots != 0 && (o->slots < RING_SLOTS_MIN || o->slots > RING_SLOTS_MAX)) {
        return fail(why, PRONG_INVALID_ARGUMENT, "slots must be %d to %d, not %u", RING_SLOTS_MIN,
                    RING_SLOTS_MAX, o->slots);
    }
    if (o->slot_bytes > LEND_SLOT_BYTES_MAX) {
        return fail(why, PRONG_INVALID_ARGUMENT, "slot_bytes must be at most %llu",
                    (unsigned long long)LEND_SLOT_BYTES_MAX);
    }
    if (o->patience_ms < -1 || o->patience_ms > PATIENCE_MS_MAX) {
        return fail(why, PRONG_INVALID_ARGUMENT, "patience_ms must be -1 to %d", PATIENCE_MS_MAX);
    }
    s->slots = o->slots != 0 ? o->slots : RING_SLOTS_DEFAULT;
    s->slot_bytes = o->slot_bytes != 0 ? o->slot_bytes : SLOT_BYTES;
    s->patience_ms = o->patience_ms == 0 ? PATIENCE_MS : o->patience_ms < 0 ? 0 : o->patience_ms;
    return PRONG_OK;
}

prong_err
prong_stream_create(const char *url, const char *name, const prong_stream_options *options,
                    prong_stream **out, char *text, size_t size)
{
    const struct why why = {text, size};
    if (out == NULL || !stream_name_is_good(name)) {
        return stream_bad_name(name, why);
    }
    prong_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return fail(why, PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    s->fd = -1;
    s->owner = getpid();
    s->slot = RING_NO_SLOT;
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        s->bells[i] = (struct bells){-1, -1};
    }
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    prong_err err = check_options(options, s, why);
    if (err == PRONG_OK) {
        err = lend_connect(url, &s->fd, why);
    }
    if (err == PRONG_OK && (s->url = strdup(url)) == NULL) {
        err = fail(why, PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    if (err == PRONG_OK) {
        err = ask_for_ring(s, s->fd, s->slot_bytes, why);
    }
    if (err != PRONG_OK) {
        prong_stream_free(s);
        return err;
    }
    *out = s;
    return PRONG_OK;
}

void
prong_stream_free(prong_stream *s)
{
    if (s == NULL) {
        return;
    }
    prong_stream_cancel(s);
    if (s->fd >= 0 && s->owner == getpid()) {
        /* A hub that is gone need not hear it, and one that does not read guesses. */
        (void)lend_ask(s->fd, &(struct lend_record){.op = LEND_LEAVE}, (struct why){NULL, 0});
    }
    lose_hub(s);
    forget_desks(s);
    if (s->map != NULL) {
        (void)munmap(s->map, s->map_bytes);
    }
    free(s->url);
    free(s);
}

const char *
prong_stream_error_text(const prong_stream *s)
{
    return s->error;
}

void
prong_stream_stats(const prong_stream *s, prong_stream_counts *out)
{
    *out = (prong_stream_counts){s->frames, s->written_bytes, s->skipped, s->dropped,
                                 s->ring.generation};
}

/* ---- a frame ---------------------------------------------------------------------------------
 */

static void
ring_bell(int fd)
{
    const uint64_t one = 1;
    if (fd >= 0 && write(fd, &one, sizeof one) < 0) {
        /* Full: then it rings already. */
    }
}

/* Wait until some reader may have made room: any of them, since one that lets go of an older frame
 * does it, too. false when the time is over. */
static bool
wait_for_room(prong_stream *s, int64_t until_ns)
{
    struct pollfd fds[RING_READERS_MAX + 1];
    uint64_t rung;
    nfds_t n = 0;
    const int left_ms = stream_left_ms(until_ns);
    if (left_ms == 0) {
        return false;
    }
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if (s->bells[i].room >= 0) {
            fds[n++] = (struct pollfd){.fd = s->bells[i].room, .events = POLLIN};
        }
    }
    fds[n] = (struct pollfd){.fd = s->fd, .events = POLLIN};
    (void)poll(fds, n + 1, left_ms); /* whatever came of it, the slots are looked at again */
    for (nfds_t i = 0; i < n; i++) {
        if ((fds[i].revents & POLLIN) != 0 && read(fds[i].fd, &rung, sizeof rung) < 0) {
            /* Somebody else took it: the slots are looked at all the same. */
        }
    }
    return true;
}

static void
give_up(prong_stream *s, uint64_t blockers)
{
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if ((blockers >> i & 1) != 0 && s->ring.desks[i].desk != NULL) {
            ring_writer_drop(&s->ring, i);
            ring_bell(s->bells[i].bell);
            s->dropped++;
        }
    }
}

static void
want_room(prong_stream *s, bool wants)
{
    atomic_store(&s->ring.head->wants_room, wants);
}

/* A slot nobody needs, or RING_NO_SLOT. */
static int
find_slot(prong_stream *s)
{
    const int64_t until_ns = stream_until_ns(s->patience_ms);
    uint64_t blockers = 0;
    bool wants = false;
    int slot = RING_NO_SLOT;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        slot = ring_writer_mark(&s->ring, &blockers);
        const bool has_news = take_records(s);
        if (slot != RING_NO_SLOT && ring_writer_confirm(&s->ring, slot)) {
            break;
        }
        if (slot != RING_NO_SLOT || has_news) {
            slot = RING_NO_SLOT; /* somebody came or left just now */
            continue;
        }
        if (blockers == 0) {
            break; /* all are held */
        }
        if (blockers != 0 && !wants) {
            want_room(s, true); /* and look again: who let go before did not see it */
            wants = true;
        } else if (blockers != 0 && !wait_for_room(s, until_ns)) {
            give_up(s, blockers);
        }
    }
    if (wants) {
        want_room(s, false);
    }
    return slot;
}

/* A slot that none of all who read needs. Where the connection is lost meanwhile, but not the hub,
 * somebody may have come of whom it could not tell: it tells of all when it is asked again. */
static void
find_known_slot(prong_stream *s)
{
    const bool had_hub = s->fd >= 0;
    s->slot = s->is_broken || s->is_blind ? RING_NO_SLOT : find_slot(s);
    if (had_hub && s->fd < 0) {
        prong_stream_cancel(s);
        seek_hub(s);
        s->slot = s->is_broken || s->is_blind ? RING_NO_SLOT : find_slot(s);
    }
}

/* Two writers would overwrite what readers hold. */
static prong_err
of_another(prong_stream *s)
{
    return fail(own(s), PRONG_FAILED_PRECONDITION,
                "this stream belongs to the process that made it");
}

prong_err
prong_stream_reserve(prong_stream *s, size_t bytes, void **data)
{
    if (s->owner != getpid()) {
        return of_another(s);
    }
    prong_stream_cancel(s);
    seek_hub(s);
    if (bytes > LEND_SLOT_BYTES_MAX) {
        return fail(own(s), PRONG_INVALID_ARGUMENT, "a frame has at most %llu bytes, not %zu",
                    (unsigned long long)LEND_SLOT_BYTES_MAX, bytes);
    }
    if (bytes > s->slot_bytes) {
        take_records(s);
        if (s->fd < 0) {
            return fail(own(s), PRONG_UNAVAILABLE,
                        "a frame of %zu bytes needs larger slots, and the hub is gone", bytes);
        }
        const prong_err err = ask_for_ring(s, s->fd, bytes, own(s));
        if (err == PRONG_UNAVAILABLE || err == PRONG_DEADLINE_EXCEEDED) {
            lose_hub(s);
        }
        if (err != PRONG_OK) {
            return err;
        }
    }
    find_known_slot(s);
    if (s->is_broken || s->is_blind) {
        prong_stream_cancel(s);
        return s->is_broken
                   ? fail(own(s), PRONG_RESOURCE_EXHAUSTED,
                          "no memory to take on a reader: nothing can be written any more")
                   : fail(own(s), PRONG_RESOURCE_EXHAUSTED,
                          "not all readers are known: the hub, or this process, has no descriptors "
                          "for them");
    }
    if (s->slot == RING_NO_SLOT) {
        s->skipped++;
        atomic_fetch_add_explicit(&s->ring.head->skipped, 1, memory_order_relaxed);
        return fail(own(s), PRONG_RESOURCE_EXHAUSTED, "all %u slots are held by readers",
                    s->ring.slots);
    }
    s->bytes = bytes;
    *data = (char *)s->map + ring_data_offset(s->ring.slots, s->slot_bytes, (uint32_t)s->slot);
    return PRONG_OK;
}

void
prong_stream_cancel(prong_stream *s)
{
    if (s->slot != RING_NO_SLOT && s->owner == getpid()) { /* a child's copy says nothing */
        ring_writer_cancel(&s->ring, s->slot);
    }
    s->slot = RING_NO_SLOT;
}

static prong_err
fill_meta(prong_stream *s, struct ring_frame *frame, const prong_value *meta)
{
    frame->meta_bytes = 0;
    if (meta->len == 0) {
        return PRONG_OK;
    }
    if (meta->len > RING_META_BYTES || prong_value_kind(meta) != PRONG_KIND_MAP ||
        !prong_value_is_whole(meta)) {
        return fail(own(s), PRONG_INVALID_ARGUMENT, "meta must be one map of at most %d bytes",
                    RING_META_BYTES);
    }
    frame->meta_bytes = (uint32_t)meta->len;
    memcpy(frame->meta, meta->data, meta->len);
    return PRONG_OK;
}

static void
fill_times(struct ring_frame *frame, const prong_frame_info *info)
{
    frame->mono_ns = info->mono_ns;
    frame->time_us = info->time_us;
    if (info->mono_ns != 0 && info->time_us != 0) {
        return;
    }
    const int64_t now_ns = clock_mono_ns();
    frame->mono_ns = info->mono_ns != 0 ? info->mono_ns : now_ns;
    if (info->time_us == 0) {
        frame->time_us = clock_wall_us() - (now_ns - frame->mono_ns) / 1000;
    }
}

prong_err
prong_stream_commit(prong_stream *s, const prong_frame_info *info, uint64_t *number)
{
    static const prong_frame_info none = {0};
    if (s->owner != getpid()) {
        return of_another(s);
    }
    if (s->slot == RING_NO_SLOT) {
        return fail(own(s), PRONG_FAILED_PRECONDITION, "no slot is reserved");
    }
    if (info == NULL) {
        info = &none;
    }
    struct ring_frame *frame =
        (struct ring_frame *)((char *)s->map + ring_frame_offset((uint32_t)s->slot));
    struct shape shape;
    prong_err err = shape_check(info, s->bytes, &shape, own(s));
    if (err == PRONG_OK) {
        err = fill_meta(s, frame, &info->meta);
    }
    if (err != PRONG_OK) {
        return err;
    }
    fill_times(frame, info);
    memcpy(frame->dtype, shape.dtype, sizeof frame->dtype);
    memcpy(frame->shape, shape.shape, sizeof frame->shape);
    frame->dims = shape.dims;
    frame->bytes = s->bytes;
    const uint64_t given = ring_writer_publish(&s->ring, s->slot, s->bytes);
    s->slot = RING_NO_SLOT;
    s->frames++;
    s->written_bytes += s->bytes;
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if (s->bells[i].bell >= 0 && ring_desk_is_waiting(s->ring.desks[i].desk)) {
            ring_bell(s->bells[i].bell);
        }
    }
    if (number != NULL) {
        *number = given;
    }
    return PRONG_OK;
}

prong_err
prong_stream_write(prong_stream *s, const void *data, size_t bytes, const prong_frame_info *info)
{
    void *to = NULL;
    prong_err err = prong_stream_reserve(s, bytes, &to);
    if (err == PRONG_OK) {
        prong_stream_copy(to, data, bytes);
        err = prong_stream_commit(s, info, NULL);
        prong_stream_cancel(s);
    }
    return err;
}
