/* The hub's side of shared memory: what is told of streams without being asked. See lender.h.
 *
 * Frames are written without the hub, so it looks at the numbers in the rings from time to time,
 * as long as there is something to look for: a stream that must not be silent, or a lossless reader
 * that may be given up. */
#include "broker/shell/lender_inside.h"

#include "proto/clock/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000, LOOK_MS = 1000, LOOKS_PER_SILENCE = 8 };

/* ---- telling ---------------------------------------------------------------------------------
 */

static void
tell(const struct lender *l, const struct hub_lent_news *news)
{
    if (l->options.tell != NULL) {
        l->options.tell(l->options.context, news);
    }
}

static uint64_t
newest_number(const struct lend_stream *s)
{
    const uint64_t newest = s->ring.slots != 0 ? lend_ring_newest(&s->ring) : 0;
    return newest < LEND_NUMBER_MAX ? newest : LEND_NUMBER_MAX;
}

static void
tell_writer(const struct lend_peer *writer, enum hub_lent_kind kind, const char *reason)
{
    const struct lend_stream *s = writer->stream;
    const struct hub_lent_news news = {.kind = kind,
                                       .pid = writer->pid,
                                       .uid = writer->uid,
                                       .stream = s->name,
                                       .reason = reason,
                                       .generation = s->ring.generation,
                                       .number = newest_number(s),
                                       .slots = s->ring.slots,
                                       .slot_bytes = s->ring.slot_bytes};
    tell(writer->lender, &news);
}

void
lender_tell_started(const struct lend_peer *writer, const char *reason)
{
    tell_writer(writer, HUB_STREAM_STARTED, reason);
}

void
lender_tell_changed(const struct lend_peer *writer)
{
    tell_writer(writer, HUB_STREAM_CHANGED, "");
}

void
lender_tell_stopped(const struct lend_peer *writer)
{
    if (writer->lender->options.tell != NULL) { /* to know why costs a look at the process */
        tell_writer(writer, HUB_STREAM_STOPPED,
                    writer->is_leaving        ? "closed"
                    : lender_has_died(writer) ? "ended"
                    : writer->has_left        ? "closed"
                                              : "disconnected");
    }
}

uint32_t
lender_fits(struct lend_peer *p, const char *stream, uint64_t more, uint64_t less,
            char why[LEND_WHY_BYTES])
{
    const uint32_t refused = lend_memory_fits(&p->lender->budget, more, less, why);
    if (refused != 0) {
        const struct hub_lent_news news = {
            .kind = HUB_MEMORY_REFUSED, .pid = p->pid, .uid = p->uid, .stream = stream};
        tell(p->lender, &news);
    }
    return refused;
}

/* ---- readers that were given up --------------------------------------------------------------
 */

static bool
may_be_dropped(const struct lend_seat *seat)
{
    const bool is_member = seat->kind == LEND_SEAT_READER && seat->group != LEND_NO_SEAT;
    return seat->kind != LEND_SEAT_FREE && seat->policy == RING_LOSSLESS && !is_member;
}

void
lender_note_drops(struct lender *l, struct lend_stream *s)
{
    for (uint32_t i = 0; i < RING_READERS_MAX && s->ring.slots != 0; i++) {
        struct lend_seat *seat = &s->seats[i];
        const uint32_t dropped = atomic_load(&lend_ring_head(&s->ring)->dropped[i]);
        /* 0 is that of a new ring, in which it was not given up yet. */
        if (may_be_dropped(seat) && dropped != seat->dropped && dropped != 0) {
            const struct lend_peer *p = seat->kind == LEND_SEAT_READER ? seat->peer : NULL;
            const struct hub_lent_news news = {.kind = HUB_STREAM_DROPPED,
                                               .pid = p != NULL ? p->pid : 0,
                                               .uid = p != NULL ? p->uid : 0,
                                               .stream = s->name,
                                               .group = seat->name};
            seat->dropped = dropped;
            s->drops++;
            tell(l, &news);
        }
    }
}

/* ---- silence ---------------------------------------------------------------------------------
 */

static void
look_at(struct lender *l, struct lend_watch *w, int64_t now_ns)
{
    const struct lend_stream *s = lend_streams_find(&l->streams, w->name);
    const bool has_frame =
        s != NULL && s->ring.slots != 0 && atomic_load(&lend_ring_head(&s->ring)->newest) != 0;
    const uint64_t number = has_frame ? newest_number(s) : 0;
    struct hub_lent_news news = {.stream = w->name,
                                 .silent_ms = (uint64_t)((now_ns - w->since_ns) / NS_PER_MS)};
    if (has_frame && (s->serial != w->serial || number != w->number)) {
        news.kind = HUB_STREAM_HEARD;
        if (w->is_silent) {
            tell(l, &news);
        }
        w->is_silent = false;
        w->since_ns = now_ns;
        w->serial = s->serial;
        w->number = number;
    } else if (!w->is_silent && now_ns - w->since_ns >= w->max_ns) {
        w->is_silent = true;
        news.kind = HUB_STREAM_SILENT;
        news.number = w->number;
        tell(l, &news);
    }
}

/* ---- the look --------------------------------------------------------------------------------
 */

/* When it is to look again, from now; 0: there is nothing to look for. */
static int64_t
pause_ns(const struct lender *l)
{
    int64_t pause = 0;
    for (const struct lend_stream *s = l->streams.first; s != NULL && pause == 0; s = s->next) {
        for (uint32_t i = 0; i < RING_READERS_MAX && s->writer != NULL && pause == 0; i++) {
            pause = may_be_dropped(&s->seats[i]) ? (int64_t)LOOK_MS * NS_PER_MS : 0;
        }
    }
    for (size_t i = 0; i < l->watch_count; i++) {
        const int64_t each = l->watches[i].max_ns / LOOKS_PER_SILENCE;
        const int64_t most = (int64_t)LOOK_MS * NS_PER_MS;
        const int64_t wanted = each < most ? each : most;
        pause = pause == 0 || wanted < pause ? wanted : pause;
    }
    return pause;
}

static void
set_look(struct lender *l)
{
    const int64_t pause = pause_ns(l);
    const struct itimerspec in = {.it_value = {pause / 1000000000, pause % 1000000000}};
    l->look.at_ns = pause;
    if (pause != 0) {
        (void)timerfd_settime(l->look.fd, 0, &in, NULL); /* it is in range */
    }
}

static void
look_ready(struct source *source, uint32_t events)
{
    struct lender *l = ((struct lend_timer *)source)->lender;
    const int64_t now_ns = clock_mono_ns();
    uint64_t ticks;
    (void)events;
    if (read(l->look.fd, &ticks, sizeof ticks) < 0) {
        return; /* not yet */
    }
    for (struct lend_stream *s = l->streams.first; s != NULL; s = s->next) {
        lender_note_drops(l, s);
    }
    for (size_t i = 0; i < l->watch_count; i++) {
        look_at(l, &l->watches[i], now_ns);
    }
    set_look(l);
}

static bool
has_timer(struct lender *l)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &l->look.source};
    if (l->look.fd >= 0) {
        return true;
    }
    l->look = (struct lend_timer){.source = {look_ready}, .lender = l};
    l->look.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->look.fd >= 0 && epoll_ctl(l->options.epoll_fd, EPOLL_CTL_ADD, l->look.fd, &e) != 0) {
        (void)close(l->look.fd);
        l->look.fd = -1;
    }
    return l->look.fd >= 0;
}

void
lender_watch_begin(struct lender *l)
{
    if (l->options.tell != NULL && l->look.at_ns == 0 && pause_ns(l) != 0 && has_timer(l)) {
        set_look(l);
    }
}

bool
lender_watch_init(struct lender *l)
{
    const size_t count = l->options.silence_count;
    l->watches = count > 0 ? calloc(count, sizeof *l->watches) : NULL;
    if (count > 0 && l->watches == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct lend_watch *w = &l->watches[i];
        (void)snprintf(w->name, sizeof w->name, "%s", l->options.silences[i].topic);
        w->max_ns = l->options.silences[i].max_ms * NS_PER_MS;
        w->since_ns = clock_mono_ns();
    }
    l->options.silences = NULL; /* borrowed for now only */
    l->watch_count = count;
    lender_watch_begin(l);
    return true;
}

void
lender_watch_deinit(struct lender *l)
{
    free(l->watches);
    l->watches = NULL;
    l->watch_count = 0;
    if (l->look.fd >= 0) {
        (void)close(l->look.fd);
        l->look.fd = -1;
    }
}
