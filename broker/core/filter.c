/* Filters, and which topics they match: see events.h.
 *
 * The pairs are kept up to date when a topic or a filter comes or goes, and only then is a filter
 * compared with topics by its text; a plain topic as filter is looked up. Were there no bound on
 * the pairs, a few filters of many readers times a few thousand topics would be gigabytes. */
#include "broker/core/parts.h"

#include <stdlib.h>
#include <string.h>

bool
filter_matches(struct ring *ring, const struct filter *f, const struct topic *t)
{
    if (f->all) {
        return true;
    }
    if (!f->wild) {
        return f->len == t->len && memcmp(f->text, t->name, f->len) == 0;
    }
    ring->matches++;
    return name_matches((struct span){(const uint8_t *)f->text, f->len}, topic_name(t));
}

static void
unlink_pair(struct ring *ring, struct link *l)
{
    list_remove(&l->of_topic);
    list_remove(&l->of_filter);
    l->filter->topic_count--;
    ring->link_count--;
    free(l);
}

static void
unlink_all(struct ring *ring, struct filter *f)
{
    LIST_EACH(n, &f->topics)
    {
        unlink_pair(ring, CONTAINER(n, struct link, of_filter));
    }
}

static void
make_loose(struct ring *ring, struct filter *f)
{
    unlink_all(ring, f);
    list_remove(&f->place);
    list_append(&ring->loose, &f->place);
    f->loose = true;
}

/* Without room or memory for the pair the filter becomes loose. */
static void
link_pair(struct ring *ring, struct filter *f, struct topic *t)
{
    struct link *l = ring->link_count < WIRE_MATCHES_MAX ? malloc(sizeof *l) : NULL;
    if (l == NULL) {
        make_loose(ring, f);
        return;
    }
    *l = (struct link){.topic = t, .filter = f};
    list_init(&l->of_topic);
    list_init(&l->of_filter);
    list_append(&t->links, &l->of_topic);
    list_append(&f->topics, &l->of_filter);
    f->topic_count++;
    ring->link_count++;
}

/* Which of the topics that are there it matches. */
static void
meet_topics(struct ring *ring, struct filter *f)
{
    if (f->all) {
        make_loose(ring, f);
        return;
    }
    if (!f->wild) {
        struct topic *t = topic_find(ring, (struct span){(const uint8_t *)f->text, f->len});
        if (t != NULL) {
            link_pair(ring, f, t);
        }
        return;
    }
    list_append(&ring->wild, &f->place);
    for (struct table_entry *e = ring->topics.head; e != NULL && !f->loose; e = e->hh.next) {
        struct topic *t = CONTAINER(e, struct topic, entry);
        if (filter_matches(ring, f, t)) {
            link_pair(ring, f, t);
        }
    }
}

static void
filter_free(struct ring *ring, struct filter *f)
{
    unlink_all(ring, f);
    if (!list_is_empty(&f->unused)) {
        list_remove(&f->unused);
        ring->unused_count--;
    }
    list_remove(&f->place);
    table_remove(&ring->filters, &f->entry);
    ring->recent = ring->recent == f ? NULL : ring->recent;
    free(f);
}

static struct filter *
filter_find(struct ring *ring, struct span text)
{
    struct filter *f = ring->recent; /* a loop of FETCHes asks with the same one */
    if (f != NULL && span_equal((struct span){(const uint8_t *)f->text, f->len}, text)) {
        return f;
    }
    struct table_entry *e = table_find(&ring->filters, text.data, text.len);
    return e == NULL ? NULL : CONTAINER(e, struct filter, entry);
}

struct filter *
filter_take(struct ring *ring, struct span text)
{
    struct filter *known = filter_find(ring, text);
    if (known != NULL) {
        ring->recent = known;
        if (!list_is_empty(&known->unused)) {
            list_remove(&known->unused);
            ring->unused_count--;
        }
        return known;
    }
    struct filter *f = calloc(1, sizeof *f + text.len);
    if (f == NULL) {
        return NULL;
    }
    f->len = (uint16_t)text.len;
    memcpy(f->text, text.data, text.len);
    f->wild = memchr(text.data, '*', text.len) != NULL || text.data[text.len - 1] == '>';
    f->all = span_is(text, ">");
    list_init(&f->topics);
    list_init(&f->waiting);
    list_init(&f->place);
    list_init(&f->unused);
    if (!table_add(&ring->filters, &f->entry, f->text, f->len)) {
        free(f);
        return NULL;
    }
    ring->recent = f;
    meet_topics(ring, f);
    return f;
}

void
filter_release(struct ring *ring, struct filter *f)
{
    if (!list_is_empty(&f->waiting)) {
        return;
    }
    if (f->loose && !f->all) {
        filter_free(ring, f); /* the next time there may be room for its pairs */
        return;
    }
    if (ring->unused_count == WIRE_FILTERS_KEPT) {
        filter_free(ring, CONTAINER(ring->unused.next, struct filter, unused));
    }
    list_append(&ring->unused, &f->unused);
    ring->unused_count++;
}

void
filters_deinit(struct ring *ring)
{
    while (ring->filters.head != NULL) {
        filter_free(ring, CONTAINER(ring->filters.head, struct filter, entry));
    }
}

void
filters_meet(struct ring *ring, struct topic *t)
{
    struct table_entry *e = table_find(&ring->filters, t->name, t->len);
    if (e != NULL && !CONTAINER(e, struct filter, entry)->loose) {
        link_pair(ring, CONTAINER(e, struct filter, entry), t);
    }
    LIST_EACH(n, &ring->wild)
    {
        struct filter *f = CONTAINER(n, struct filter, place);
        if (filter_matches(ring, f, t)) {
            link_pair(ring, f, t);
        }
    }
}

void
filters_part(struct ring *ring, struct topic *t)
{
    LIST_EACH(n, &t->links)
    {
        unlink_pair(ring, CONTAINER(n, struct link, of_topic));
    }
}
