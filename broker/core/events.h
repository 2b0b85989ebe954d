/* The structures of events, a part of state.h.
 *
 *   ring.c    the bytes of the events
 *   topic.c   what is known of a topic that has events: their numbers
 *   filter.c  filters that readers wait with, and which topics they match
 *   pick.c    which events a reader gets
 *   silence.c topics on which nothing comes for too long
 *   fetch.c   FETCH      emit.c  EMIT, and the hub's own events
 *
 * The ring owns topics and filters. A topic is there as long as it has an event, in the ring or
 * its newest one kept aside when the ring let go of it; a filter as long as a FETCH waits with it,
 * and the last few that nobody waits with, because who reads events asks with the same ones again
 * and again. A topic knows the filters that match it, so an event wakes exactly those who want it;
 * a filter knows its topics, so that who comes later finds its events without looking at those of
 * others. */
#ifndef PRONG_CORE_EVENTS_H
#define PRONG_CORE_EVENTS_H

#include "broker/core/deadline.h"
#include "broker/core/list.h"
#include "broker/core/table.h"
#include "proto/record.h"

struct hub;
struct hub_options;
struct slot;

/* A topic that is watched. Its deadline is moved when it is over, not at each event. */
struct silence {
    struct deadline deadline; /* not set while it is silent */
    struct node heard;        /* in ring->heard: it is silent no longer, which is to be told */
    int64_t max_ns;
    int64_t since_ns;  /* its newest event, or the beginning */
    int64_t lasted_ns; /* how long it was silent, while in ring->heard */
    uint64_t number;   /* of its newest event, 0 for none */
    bool silent;       /* that was told */
    uint16_t len;
    char topic[WIRE_TOPIC_BYTES_MAX + 1];
};

/* The newest event of a topic, after the ring let go of it. */
struct last_event {
    uint64_t number, time_us;
    uint32_t payload_len;
    uint16_t source_len;
    uint8_t bytes[];
};

/* One topic. The numbers of its events are a queue that begins at `head` of a circle of `cap`, a
 * power of two, and are kept as their lower halves: the ring never holds 2^32 events. The circle is
 * halved when it is three quarters empty, so all of them together have 16 bytes for each event, of
 * which each has 64 in the ring at least. */
struct topic {
    struct table_entry entry; /* by name, in ring->topics */
    struct node links;        /* to the filters that match it */
    struct node fresh;       /* in ring->fresh: it has events that waiting readers were not given */
    struct node kept;        /* in ring->kept, when it has `last` */
    struct last_event *last; /* when none of its events is in the ring */
    struct silence *silence; /* when it is watched */
    uint32_t *numbers;
    uint32_t head, count, cap;
    uint32_t few[2]; /* the usual topic of a program that has many needs no memory of its own */
    uint64_t asked;  /* ring->asked of the FETCH for which `wanted` was found out */
    bool wanted;
    uint16_t len;
    char name[];
};

/* A distinct text that somebody waits with, or did lately. One that is `loose` has no list of
 * topics, and every topic is compared with it: >, which matches all, and whichever would have made
 * the lists longer than they may be, or found no memory. */
struct filter {
    struct table_entry entry; /* by text, in ring->filters */
    bool wild, loose, all;    /* wild: not a plain topic; all: it is > */
    uint32_t topic_count;
    struct node topics;  /* links to those that it matches */
    struct node waiting; /* uses by FETCHes */
    struct node place;   /* in ring->wild or ring->loose */
    struct node unused;  /* in ring->unused while nobody waits with it */
    uint16_t len;
    char text[];
};

struct link {
    struct node of_topic, of_filter;
    struct topic *topic;
    struct filter *filter;
};

/* A filter of a FETCH. */
struct use {
    struct node waiting; /* in filter->waiting */
    struct filter *filter;
    struct fetch *fetch;
};

/* A FETCH that waits. It has seen all events below `from`, and below ring->seen. */
struct fetch {
    uint64_t from; /* next number to look at */
    uint64_t lost;
    uint64_t items_max, bytes_max;
    struct slot *slot;
    struct node woken; /* while a turn ends and there is something for it */
    uint32_t use_count;
    struct use uses[];
};

/* The next event of one topic, while those of several are brought into one order. */
struct cursor {
    uint64_t number;
    struct topic *topic;
    uint32_t index; /* in its numbers */
};

/* Numbers first..next-1 are in the ring. */
struct ring {
    uint8_t *bytes;
    size_t size;
    size_t head, tail; /* where the next event goes; where the oldest stands */
    size_t end;        /* bytes before the wrap, when head has wrapped and tail has not */
    size_t *offsets;   /* of event n at n % offsets_cap */
    size_t offsets_cap;
    uint64_t first, next;
    uint64_t seen; /* who waits was given everything below */
    struct table topics, filters;
    size_t topics_max, live; /* topics that may have, and that have events in the ring */
    struct topic *taking; /* whose event is about to be stored: it stays, whatever else must go */
    struct node fresh;    /* topics with events from `seen` on that somebody may wait for */
    struct node wild, loose; /* filters */
    struct node unused;      /* filters, the one unused longest first */
    struct filter *recent;   /* the one taken last, or NULL */
    size_t unused_count, link_count;
    struct node kept; /* topics whose newest event is kept aside, in the order of their numbers */
    size_t kept_count, kept_bytes;
    struct silence *silences;
    size_t silence_count;
    struct node heard;      /* silences */
    uint64_t asked;         /* counts looks for a FETCH */
    struct cursor *cursors; /* a heap; kept from one look to the next */
    size_t cursor_count, cursor_cap;
    uint64_t matches, looks; /* how often a filter was compared with a topic, an event looked at */
};

struct event_view {
    uint64_t number, time_us;
    struct span topic, source, payload;
    struct topic *of; /* the topic once more, when it comes out of the ring */
};

/* ring.c */
bool ring_init(struct ring *ring, size_t bytes);
void ring_deinit(struct ring *ring);
/* The event's number, 0 when memory was out or it is larger than half the ring. */
uint64_t ring_add(struct hub *hub, const struct event_view *event);
bool ring_fits(const struct ring *ring, const struct event_view *event);
bool ring_get(const struct ring *ring, uint64_t number, struct event_view *out);

/* topic.c */
struct topic *topic_find(const struct ring *ring, struct span name);
/* Finds or makes it; NULL when memory is out. One that gets no event is to be forgotten again. */
struct topic *topic_take(struct ring *ring, struct span name);
void topic_forget(struct ring *ring, struct topic *topic);
/* Room for one more number; false when memory is out. */
bool topic_reserve(struct topic *topic);
void topic_push(struct ring *ring, struct topic *topic, uint64_t number);
void topic_pop(struct ring *ring, struct topic *topic); /* its oldest number */
/* The ring lets go of its newest event: keep it aside, or forget the topic. */
void topic_keep(struct ring *ring, struct topic *topic, const struct event_view *event);
void topic_unkeep(struct ring *ring, struct topic *topic);          /* a newer one comes, perhaps */
void topic_last(const struct topic *topic, struct event_view *out); /* what was kept aside */
uint64_t topic_number(const struct ring *ring, const struct topic *topic, uint32_t index);
/* Index of the first of its numbers that is not below `from`; its count when there is none. */
uint32_t topic_search(const struct ring *ring, const struct topic *topic, uint64_t from);
struct span topic_name(const struct topic *topic);

/* filter.c */
/* Finds or makes it; NULL when memory is out. */
struct filter *filter_take(struct ring *ring, struct span text);
/* Nobody waits with it any more, perhaps. */
void filter_release(struct ring *ring, struct filter *filter);
void filters_deinit(struct ring *ring);
bool filter_matches(struct ring *ring, const struct filter *filter, const struct topic *topic);
/* A topic is new: link it to the filters that match it. Without memory they become loose. */
void filters_meet(struct ring *ring, struct topic *topic);
void filters_part(struct ring *ring, struct topic *topic);

/* silence.c */
bool silences_init(struct ring *ring, const struct hub_options *options);
void silences_begin(struct hub *hub); /* all that is there was told: from now on they count */
struct silence *silence_find(struct ring *ring, struct span topic); /* NULL: not watched */
void silence_ends(struct hub *hub, struct silence *silence, uint64_t number); /* an event came */
void silence_expired(struct hub *hub, struct silence *silence);
/* Events about those that ended. Not told at once, because the event that ended one may be the
 * hub's own, and stands in hub->scratch. */
void silences_tell(struct hub *hub);

/* fetch.c */
void fetch_take(struct hub *hub, struct slot *slot, const struct record *r);
void fetch_pump(struct hub *hub);
void fetch_answer_empty(struct hub *hub, struct slot *slot);
void fetch_free(struct hub *hub, struct fetch *fetch); /* accepts NULL */

/* pick.c: events for a FETCH into hub->scratch, and its position behind them; their count. false
 * when memory is out. */
bool pick_from(struct hub *hub, struct fetch *fetch, uint32_t *count);
bool pick_last(struct hub *hub, struct fetch *fetch,
               uint32_t *count); /* the newest of each topic */

/* emit.c */
void emit_take(struct hub *hub, struct slot *slot, const struct record *r);
struct hub_input;
/* A line of a worker's output becomes an event <worker>.line. */
void emit_line(struct hub *hub, const struct hub_input *in);
/* An event of the hub itself; the payload is built in hub->scratch by the caller. */
enum hub_event {
#define EVENT(name, topic, keys, when) HUB_EVENT_##name,
#include "proto/tbl/events.def"
#undef EVENT
};
void hub_event(struct hub *hub, enum hub_event event, struct span payload);

/* check.c, check_events.c */
size_t check_length(const struct node *head); /* of a list whose links are whole */
void check_events(const struct hub *hub);

#endif
