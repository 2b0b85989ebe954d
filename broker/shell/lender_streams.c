/* The hub's side of shared memory: the requests of writers and readers. See lender.h. */
#include "broker/shell/lender_inside.h"

#include "proto/name.h"
#include "proto/ring/ring.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- streams ---------------------------------------------------------------------------------
 */

static void
remove_if_unused(struct lender *l, struct lend_stream *s)
{
    if (s->writer == NULL && s->readers == 0) {
        lend_memory_drop(&l->budget, &s->ring.memory);
        lend_streams_remove(&l->streams, s);
    }
}

/* End those of its peers that have left, though the loop has not come to them yet: a program that
 * was started again at once has its place back. */
static void
sweep(struct lender *l, const char *name)
{
    struct lend_peer *peers[RING_READERS_MAX + 1];
    struct pollfd fds[RING_READERS_MAX + 1];
    nfds_t n = 0;
    const struct lend_stream *s = lend_streams_find(&l->streams, name);
    if (s == NULL) {
        return;
    }
    if (s->writer != NULL) {
        peers[n++] = s->writer;
    }
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if (s->seats[i].kind == LEND_SEAT_READER) {
            peers[n++] = s->seats[i].peer;
        }
    }
    for (nfds_t i = 0; i < n; i++) {
        fds[i] = (struct pollfd){.fd = peers[i]->fd};
    }
    if (poll(fds, n, 0) <= 0) {
        return;
    }
    for (nfds_t i = 0; i < n; i++) {
        if ((fds[i].revents & (POLLHUP | POLLERR)) != 0) {
            lender_fail(peers[i]);
        }
    }
    lender_settle(l);
}

/* The one that is asked for, made when there is none; NULL when that was refused, or nobody waits
 * for the answer. */
static struct lend_stream *
stream_of(struct lend_peer *p, const char *name)
{
    struct lender *l = p->lender;
    if (!name_is_worker(span_text(name))) {
        lender_refuse(p, WIRE_ERR_INVALID_ARGUMENT,
                      "a stream is named with 1 to 64 of a-z 0-9 _ -");
        return NULL;
    }
    sweep(l, name);
    if (p->fd < 0) {
        return NULL; /* it asked, and was among those that have left */
    }
    struct lend_stream *s = lend_streams_find(&l->streams, name);
    if (s == NULL) {
        s = lend_streams_add(&l->streams, name);
    }
    if (s == NULL) {
        lender_refuse(p, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub has no room for one of %d streams",
                      LEND_STREAMS_MAX);
    }
    return s;
}

/* ---- what others are told --------------------------------------------------------------------
 */

/* A descriptor that can only read, which the caller closes after it was sent; -1 when there is
 * none to be had. */
static int
readable(const struct lend_memory *memory)
{
    return pass_read_only(memory->fd);
}

/* Tell the writer who sits there. false when the hub has no descriptor for it; a writer that
 * cannot be told ends. */
static bool
tell_desk(const struct lend_stream *s, uint32_t index)
{
    const struct lend_seat *seat = &s->seats[index];
    const bool is_member = seat->group != LEND_NO_SEAT;
    struct lend_record record = {.op = LEND_DESK,
                                 .index = index,
                                 .policy = (uint32_t)(is_member ? RING_MEMBER : seat->policy),
                                 .hold = seat->hold};
    int fds[LEND_FDS_MAX] = {readable(&seat->page)};
    uint32_t count = 1;
    if (fds[0] < 0) {
        return false;
    }
    if (seat->bell >= 0) {
        fds[count++] = seat->bell;
    }
    fds[count++] = is_member ? s->seats[seat->group].room : seat->room;
    lender_send(s->writer, &record, fds, count);
    (void)close(fds[0]);
    return true;
}

static void
tell_desk_gone(const struct lend_stream *s, uint32_t index)
{
    struct lend_record record = {.op = LEND_DESK_GONE, .index = index};
    if (s->writer != NULL) {
        lender_send(s->writer, &record, NULL, 0);
    }
}

/* Tell a reader of the ring that there is; `fd` can only read. */
static void
tell_ring(const struct lend_stream *s, struct lend_peer *reader, int fd)
{
    struct lend_record record = {.op = LEND_RING,
                                 .generation = s->ring.generation,
                                 .slots = s->ring.slots,
                                 .bytes = s->ring.slot_bytes};
    lender_send(reader, &record, &fd, 1);
}

/* Wake a reader: there may be a frame that its bell did not ring for. Not by the bell: the hub must
 * not wait, and any user of a bell can make writing to it wait. Whoever has something to read from
 * the hub wakes without it. */
static void
tell_look(struct lend_peer *reader)
{
    struct lend_record record = {.op = LEND_LOOK};
    int unread = 0;
    if (ioctl(reader->fd, SIOCOUTQ, &unread) != 0 || unread == 0) {
        lender_send(reader, &record, NULL, 0);
    }
}

/* ---- writers ---------------------------------------------------------------------------------
 */

static uint32_t
make_ring(struct lend_peer *p, struct lend_stream *s, const struct lend_plan *plan,
          uint32_t patience_ms, char why[LEND_WHY_BYTES])
{
    struct lender *l = p->lender;
    char name[LEND_NAME_BYTES + 16];
    struct lend_memory memory = LEND_MEMORY_NONE;
    const uint64_t bytes = ring_size(plan->slots, plan->slot_bytes);
    (void)snprintf(name, sizeof name, "prong-%s", s->name);
    uint32_t refused = lender_fits(p, s->name, bytes, s->ring.memory.size, why);
    if (refused == 0) {
        refused = lend_memory_make(&l->budget, name, (size_t)bytes, true, &memory, why);
    }
    if (refused != 0) {
        return refused;
    }
    struct ring_head *head = memory.page;
    head->magic = RING_MAGIC;
    head->version = RING_VERSION;
    head->slots = plan->slots;
    head->slot_bytes = plan->slot_bytes;
    head->generation = plan->generation;
    head->first = plan->first;
    head->patience_ms = patience_ms < LEND_PATIENCE_MS_MAX ? patience_ms : LEND_PATIENCE_MS_MAX;
    if (s->ring.slots != 0) {
        struct ring_head *old = lend_ring_head(&s->ring);
        lender_note_drops(l, s);
        head->frames = old->frames; /* the counts, for people, are those of the stream */
        head->bytes = old->bytes;
        head->skipped = old->skipped;
        atomic_store(&old->ended, RING_REPLACED);
        lend_memory_drop(&l->budget, &s->ring.memory);
    }
    s->ring = (struct lend_ring){.memory = memory,
                                 .slots = plan->slots,
                                 .slot_bytes = plan->slot_bytes,
                                 .generation = plan->generation,
                                 .first = plan->first};
    return 0;
}

/* Of a ring that is new; who cannot be told ends, comes again, and gets it then. */
static void
tell_readers(const struct lend_stream *s)
{
    const int fd = readable(&s->ring.memory);
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if (s->seats[i].kind == LEND_SEAT_READER && fd >= 0) {
            tell_ring(s, s->seats[i].peer, fd);
        } else if (s->seats[i].kind == LEND_SEAT_READER) {
            lender_cut(s->seats[i].peer);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* LEND_CREATED and all desks. false when the hub has no descriptors for it. */
static bool
tell_writer(const struct lend_stream *s)
{
    struct lend_record record = {.op = LEND_CREATED,
                                 .generation = s->ring.generation,
                                 .slots = s->ring.slots,
                                 .bytes = s->ring.slot_bytes};
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        record.index += s->seats[i].kind != LEND_SEAT_FREE;
    }
    lender_send(s->writer, &record, &s->ring.memory.fd, 1);
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if (s->seats[i].kind != LEND_SEAT_FREE && !tell_desk(s, i)) {
            return false;
        }
    }
    return true;
}

void
lender_create(struct lend_peer *p, const struct lend_record *ask)
{
    struct lender *l = p->lender;
    struct lend_plan plan;
    char why[LEND_WHY_BYTES];
    if (p->stream != NULL && strcmp(p->stream->name, ask->name) != 0) {
        lender_fail(p); /* a connection is one writer */
        return;
    }
    struct lend_stream *s = stream_of(p, ask->name);
    if (s == NULL) {
        return;
    }
    if (s->writer != NULL && s->writer != p) {
        lender_refuse(p, WIRE_ERR_ALREADY_EXISTS, "'%s' is written by the process %d", s->name,
                      (int)s->writer->pid);
        return;
    }
    uint32_t refused = lend_plan_ring(s, ask, &plan, why);
    if (refused == 0 && !plan.is_same) {
        refused = make_ring(p, s, &plan, ask->patience_ms, why);
    }
    if (refused != 0) {
        lender_refuse(p, refused, "%s", why);
        remove_if_unused(l, s);
        return;
    }
    const bool is_new = s->writer == NULL;
    s->writer = p;
    p->stream = s;
    p->role = LEND_ROLE_WRITER;
    if (is_new) {
        /* A writer knows numbers only from a hub that it had before. */
        lender_tell_started(p, ask->generation > 0 ? "back" : "opened");
    } else if (!plan.is_same) {
        lender_tell_changed(p);
    }
    lender_watch_begin(l);
    /* Readers first: whoever looks after the first frame was written finds the ring it is in. */
    if (!plan.is_same) {
        tell_readers(s);
    }
    if (!tell_writer(s)) {
        lender_fail(p); /* it does not know all its readers, so it must not write */
    }
}

void
lender_leave(struct lend_peer *p, const struct lend_record *ask)
{
    (void)ask;
    p->is_leaving = true;
}

void
lender_writer_left(struct lend_peer *p)
{
    struct lend_stream *s = p->stream;
    s->writer = NULL;
    s->ring.is_doubtful = !p->has_left;
    /* It may have died between showing a frame and ringing for it. */
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if (s->seats[i].kind == LEND_SEAT_READER) {
            tell_look(s->seats[i].peer);
        }
    }
    remove_if_unused(p->lender, s);
}

/* ---- readers ---------------------------------------------------------------------------------
 */

static void
empty_seat(struct lender *l, struct lend_seat *seat)
{
    if (seat->kind == LEND_SEAT_FREE) {
        return;
    }
    if (seat->bell >= 0) {
        (void)close(seat->bell);
    }
    if (seat->room >= 0) {
        (void)close(seat->room);
    }
    lend_memory_drop(&l->budget, &seat->page);
    *seat = (struct lend_seat){.kind = LEND_SEAT_FREE};
}

/* Give a seat its page and eventfds; on failure it is free again. */
static uint32_t
fill_seat(struct lend_peer *p, struct lend_seat *seat, const struct lend_stream *s,
          char why[LEND_WHY_BYTES])
{
    struct lender *l = p->lender;
    const bool is_group = seat->kind == LEND_SEAT_GROUP, is_member = seat->group != LEND_NO_SEAT;
    const int flags = EFD_NONBLOCK | EFD_CLOEXEC;
    seat->page = LEND_MEMORY_NONE;
    seat->bell = is_group ? -1 : eventfd(0, flags);
    seat->room = is_member ? -1 : eventfd(0, flags);
    uint32_t refused = lender_fits(p, s->name, RING_PAGE, 0, why);
    if (refused == 0 && ((!is_group && seat->bell < 0) || (!is_member && seat->room < 0))) {
        (void)snprintf(why, LEND_WHY_BYTES, "the hub has no descriptors for a reader: %s",
                       strerror(errno));
        refused = WIRE_ERR_RESOURCE_EXHAUSTED;
    }
    if (refused == 0) {
        refused = lend_memory_make(&l->budget, is_group ? "prong-group" : "prong-desk", RING_PAGE,
                                   true, &seat->page, why);
    }
    if (refused != 0) {
        empty_seat(l, seat);
    }
    return refused;
}

/* Where somebody who sits down begins. */
static void
begin_seat(struct lend_stream *s, uint32_t index, uint64_t next)
{
    struct lend_seat *seat = &s->seats[index];
    struct ring_desk *desk = seat->page.page;
    seat->dropped = s->ring.slots != 0 ? atomic_load(&lend_ring_head(&s->ring)->dropped[index]) : 0;
    desk->version = RING_VERSION;
    desk->index = index;
    atomic_store(&desk->next, next);
    atomic_store(&desk->joined, seat->dropped + 1);
    desk->magic = DESK_MAGIC;
}

static uint32_t
sit_down(struct lend_peer *p, struct lend_stream *s, const struct lend_record *ask,
         const struct lend_grant *grant, char why[LEND_WHY_BYTES])
{
    struct lender *l = p->lender;
    struct lend_seat *seat = &s->seats[grant->seat];
    struct lend_seat *group = grant->is_new_group ? &s->seats[grant->group] : NULL;
    const bool is_next = grant->policy == RING_LOSSLESS && ask->from_oldest == 0;
    /* Without a ring all that will come is new. */
    const uint64_t next = is_next && s->ring.slots != 0 ? lend_ring_newest(&s->ring) + 1 : 0;
    uint32_t refused = 0;
    if (group != NULL) {
        *group = (struct lend_seat){.kind = LEND_SEAT_GROUP,
                                    .policy = grant->policy,
                                    .hold = RING_HOLD_MAX,
                                    .group = LEND_NO_SEAT};
        (void)snprintf(group->name, sizeof group->name, "%s", ask->group);
        refused = fill_seat(p, group, s, why);
    }
    if (refused == 0) {
        *seat = (struct lend_seat){.kind = LEND_SEAT_READER,
                                   .policy = grant->policy,
                                   .hold = grant->hold,
                                   .group = grant->group,
                                   .peer = p};
        refused = fill_seat(p, seat, s, why);
    }
    if (refused != 0) {
        if (group != NULL) {
            empty_seat(l, group);
        }
        return refused;
    }
    begin_seat(s, grant->seat, next);
    if (group != NULL) {
        begin_seat(s, grant->group, next);
    }
    s->readers++;
    p->role = LEND_ROLE_READER;
    p->stream = s;
    p->seat = grant->seat;
    if (seat->group != LEND_NO_SEAT) {
        s->seats[seat->group].members++;
    }
    return 0;
}

/* The frames that it worked on go to the other members. */
static void
bury(const struct lend_stream *s, uint32_t index)
{
    const struct lend_seat *seat = &s->seats[index];
    struct ring_desk *desk = seat->page.page;
    /* What the hub itself knows, because both pages can be scribbled on. */
    const struct ring_head known = {.generation = s->ring.generation, .slots = s->ring.slots};
    desk->index = index;
    (void)ring_group_bury(s->seats[seat->group].page.page, &known, desk, seat->hold);
}

void
lender_reader_left(struct lend_peer *p)
{
    struct lend_stream *s = p->stream;
    struct lender *l = p->lender;
    const uint32_t group = s->seats[p->seat].group;
    const struct ring_desk *desk = s->seats[p->seat].page.page;
    lender_note_drops(l, s);
    s->taken += atomic_load(&desk->taken);
    s->missed += atomic_load(&desk->missed);
    if (group != LEND_NO_SEAT) {
        bury(s, p->seat);
        s->seats[group].members--;
    }
    tell_desk_gone(s, p->seat);
    empty_seat(l, &s->seats[p->seat]);
    s->readers--;
    if (group != LEND_NO_SEAT && s->seats[group].members == 0) {
        tell_desk_gone(s, group);
        empty_seat(l, &s->seats[group]);
    }
    for (uint32_t i = 0; i < RING_READERS_MAX && group != LEND_NO_SEAT; i++) {
        if (s->seats[i].kind == LEND_SEAT_READER && s->seats[i].group == group) {
            tell_look(s->seats[i].peer);
        }
    }
    remove_if_unused(l, s);
}

static void
tell_opened(const struct lend_stream *s, struct lend_peer *p)
{
    const struct lend_seat *seat = &s->seats[p->seat];
    const struct lend_seat *group = seat->group != LEND_NO_SEAT ? &s->seats[seat->group] : NULL;
    struct lend_record record = {.op = LEND_OPENED,
                                 .slots = s->ring.slots,
                                 .index = p->seat,
                                 .hold = seat->hold,
                                 .policy = (uint32_t)seat->policy};
    const int fds[LEND_FDS_MAX] = {seat->page.fd, seat->bell,
                                   group != NULL ? group->room : seat->room,
                                   group != NULL ? group->page.fd : -1};
    lender_send(p, &record, fds, group != NULL ? 4 : 3);
}

void
lender_open(struct lend_peer *p, const struct lend_record *ask)
{
    char why[LEND_WHY_BYTES];
    struct lend_grant grant;
    struct lend_stream *s = stream_of(p, ask->name);
    if (s == NULL) {
        return;
    }
    uint32_t refused = lend_plan_reader(s, ask, &grant, why);
    if (refused == 0) {
        refused = sit_down(p, s, ask, &grant, why);
    }
    if (refused != 0) {
        lender_refuse(p, refused, "%s", why);
        remove_if_unused(p->lender, s);
        return;
    }
    /* First the writer, so that it knows of the reader before the reader can look at a frame. */
    const int ring_fd = s->ring.slots != 0 ? readable(&s->ring.memory) : -1;
    const bool is_told = s->writer == NULL || ((!grant.is_new_group || tell_desk(s, grant.group)) &&
                                               tell_desk(s, grant.seat));
    if (!is_told || (s->ring.slots != 0 && ring_fd < 0)) {
        lender_refuse(p, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub has no descriptors for a reader");
        lender_fail(p); /* the end of the connection undoes all of it */
    } else {
        lender_watch_begin(p->lender);
        tell_opened(s, p);
        if (ring_fd >= 0) {
            tell_ring(s, p, ring_fd);
        }
    }
    if (ring_fd >= 0) {
        (void)close(ring_fd);
    }
}
