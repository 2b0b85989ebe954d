/* The invariants of events: see check.c. */
#include "broker/core/parts.h"

#include <assert.h>
#include <string.h>

#define HOLDS(condition) assert(condition)

enum { FEW = 200, OFTEN = 61 }; /* beyond FEW events all are looked at after some steps only */

static bool
is_linked(const struct topic *t, const struct filter *f)
{
    for (const struct node *n = t->links.next; n != &t->links; n = n->next) {
        if (CONTAINER(n, struct link, of_topic)->filter == f) {
            return true;
        }
    }
    return false;
}

static void
check_topic(const struct ring *ring, const struct topic *t)
{
    struct event_view e;
    uint64_t last = 0;
    HOLDS(t->count <= t->cap && (t->cap & (t->cap - 1)) == 0);
    HOLDS((t->count > 0) != (t->last != NULL));
    HOLDS(list_is_empty(&t->kept) == (t->last == NULL));
    HOLDS(t->last == NULL || t->last->number < ring->first);
    for (uint32_t i = 0; i < t->count; i++) {
        const uint64_t number = topic_number(ring, t, i);
        HOLDS(number > last && ring_get(ring, number, &e) && e.of == t);
        last = number;
    }
}

/* In the order of their numbers, so that the one kept longest goes first. */
static void
check_kept(const struct ring *ring)
{
    size_t bytes = 0;
    uint64_t last = 0;
    HOLDS(check_length(&ring->kept) == ring->kept_count);
    for (const struct node *n = ring->kept.next; n != &ring->kept; n = n->next) {
        const struct topic *t = CONTAINER(n, struct topic, kept);
        HOLDS(t->last != NULL && t->last->number > last);
        bytes += sizeof *t->last + t->len + t->last->source_len + t->last->payload_len;
        last = t->last->number;
    }
    HOLDS(bytes == ring->kept_bytes);
}

static void
check_filter(const struct hub *hub, const struct filter *f)
{
    const struct ring *ring = &hub->ring;
    const struct span text = {(const uint8_t *)f->text, f->len};
    HOLDS(check_length(&f->topics) == f->topic_count);
    HOLDS(list_is_empty(&f->waiting) != list_is_empty(&f->unused));
    HOLDS(!f->all || f->loose);
    HOLDS(list_is_empty(&f->place) == (!f->wild && !f->loose));
    for (const struct table_entry *e = ring->topics.head; e != NULL; e = e->hh.next) {
        const struct topic *t = CONTAINER(e, struct topic, entry);
        HOLDS(is_linked(t, f) == (!f->loose && name_matches(text, topic_name(t))));
    }
}

static void
check_silences(const struct hub *hub)
{
    const struct ring *ring = &hub->ring;
    HOLDS(list_is_empty(&ring->heard));
    for (size_t i = 0; i < ring->silence_count; i++) {
        const struct silence *s = &ring->silences[i];
        HOLDS((s->deadline.place != 0) == (hub->configured && !s->silent) || hub->failed);
    }
}

static void
check_fetches(const struct hub *hub)
{
    for (const struct node *n = hub->fetches.next; n != &hub->fetches; n = n->next) {
        const struct slot *slot = CONTAINER(n, struct slot, link);
        const struct fetch *f = slot->fetch;
        HOLDS(f->slot == slot && list_is_empty(&f->woken));
        for (uint32_t i = 0; i < f->use_count; i++) {
            HOLDS(f->uses[i].fetch == f && !list_is_empty(&f->uses[i].waiting));
        }
    }
}

void
check_events(const struct hub *hub)
{
    const struct ring *ring = &hub->ring;
    size_t events = 0, live = 0, links = 0;
    HOLDS(ring->first <= ring->next && ring->seen <= ring->next && ring->taking == NULL);
    HOLDS(ring->live <= ring->topics_max);
    check_silences(hub);
    HOLDS(check_length(&ring->unused) == ring->unused_count &&
          ring->unused_count <= WIRE_FILTERS_KEPT);
    HOLDS(ring->link_count <= WIRE_MATCHES_MAX);
    HOLDS(ring->kept_count <= WIRE_TOPICS_MAX && ring->kept_bytes <= WIRE_LAST_BYTES);
    if (table_count(&ring->topics) + ring->next - ring->first > FEW && ring->next % OFTEN != 0) {
        return;
    }
    check_kept(ring);
    for (const struct table_entry *e = ring->topics.head; e != NULL; e = e->hh.next) {
        const struct topic *t = CONTAINER(e, struct topic, entry);
        check_topic(ring, t);
        events += t->count;
        live += t->count > 0;
        links += check_length(&t->links);
    }
    HOLDS(events == ring->next - ring->first && live == ring->live && links == ring->link_count);
    for (const struct table_entry *e = ring->filters.head;
         e != NULL && table_count(&ring->topics) <= FEW; e = e->hh.next) {
        check_filter(hub, CONTAINER(e, struct filter, entry));
    }
    check_fetches(hub);
}
