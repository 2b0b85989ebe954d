/* The newest event of each topic, in the ring and beyond it: FETCH from last, and what a reader
 * gets who comes late. */
#include "tests/support/test.h"
#include "tests/unit/core/events.h"

#include "proto/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(last, is_the_newest_of_each_topic_and_then_what_follows)
{
    struct world w;
    char topics[100];
    events_begin(&w);
    (void)emit(&w, &(struct emit){1, "a.x", 10, NULL});
    (void)emit(&w, &(struct emit){2, "a.y", 10, NULL});
    (void)emit(&w, &(struct emit){3, "a.x", 10, NULL});
    (void)emit(&w, &(struct emit){4, "b", 10, NULL});
    const uint64_t r = fetch(&w, &(struct fetch){.filter = "a.>", .word = "last"});
    topics_of(&w, r, topics, sizeof topics);
    cr_assert_str_eq(topics, "a.y a.x", "state");
    cr_assert(field_of(&w, r, WIRE_FIELD_EVENTS_NEXT) == 5, "position");
    world_deinit(&w);
}

Test(last, that_does_not_fit_into_one_answer_goes_on_where_it_ended)
{
    static const char *const limits[] = {"2,100000", "100,250"};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        char numbers[100];
        events_begin(&w);
        (void)emit(&w, &(struct emit){1, "a.z", 100, NULL});
        (void)emit(&w, &(struct emit){2, "a.x", 100, NULL});
        (void)emit(&w, &(struct emit){3, "a.z", 100, NULL});
        (void)emit(&w, &(struct emit){4, "a.y", 100, NULL});
        uint64_t r = world_say(&w, READER, "[6,null,['a.*'],'last',%s,0]", limits[i]);
        numbers_of(&w, r, numbers, sizeof numbers);
        cr_assert_str_eq(numbers, i == 0 ? "2 3 next 4" : "2 next 3", "%s", numbers);
        r = world_say(&w, READER, "[6,null,['a.*'],%u,100,100000,0]", i == 0 ? 4 : 3);
        numbers_of(&w, r, numbers, sizeof numbers);
        cr_assert_str_eq(numbers, i == 0 ? "4 next 5" : "3 4 next 5", "%s", numbers);
        world_deinit(&w);
    }
}

/* A ring of 64 KiB is full of this. */
static uint64_t
fill(struct world *w, uint64_t seq)
{
    for (unsigned i = 0; i < 70; i++) {
        (void)emit(w, &(struct emit){seq++, "fill", 1000, NULL});
    }
    return seq;
}

Test(last, is_given_when_the_ring_has_let_go_of_it)
{
    struct world w;
    char topics[100], numbers[100];
    events_begin(&w);
    (void)emit(&w, &(struct emit){1, "a.x", 10, NULL});
    (void)emit(&w, &(struct emit){2, "a.y", 300, NULL});
    (void)emit(&w, &(struct emit){3, "a.x", 20, NULL});
    uint64_t seq = fill(&w, 4);
    uint64_t r = fetch(&w, &(struct fetch){.filter = "a.*", .word = "last"});
    topics_of(&w, r, topics, sizeof topics);
    numbers_of(&w, r, numbers, sizeof numbers);
    cr_assert_str_eq(topics, "a.y a.x", "%s", topics);
    cr_assert_str_eq(numbers, "2 3 next 74", "%s", numbers);
    cr_assert(field_of(&w, r, WIRE_FIELD_EVENTS_LOST) == 0, "lost");
    cr_assert(world_says(&w, r, "'a.x', '', <20>"), "%s", world_text(&w, r));
    (void)emit(&w, &(struct emit){seq++, "a.y", 10, NULL});
    r = fetch(&w, &(struct fetch){.filter = ">", .word = "last"});
    numbers_of(&w, r, numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "3 73 74 next 75", "%s", numbers);
    (void)fill(&w, seq);
    r = fetch(&w, &(struct fetch){.filter = ">", .word = "last"});
    numbers_of(&w, r, numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "3 74 144 next 145", "%s", numbers);
    world_deinit(&w);
}

Test(last, of_more_topics_than_are_kept_forgets_those_kept_longest)
{
    struct world w;
    events_begin(&w);
    for (unsigned i = 1; i <= 6000; i++) {
        (void)world_say(&w, PUBLISHER, "[5,b'client of a test',%u,'t.%u',null,1]", i, i);
    }
    const uint64_t r = fetch(&w, &(struct fetch){.filter = ">", .word = "last", .items = 10000});
    cr_assert(count_of(&w, r) == WIRE_TOPICS_MAX + 1024, "%u topics", count_of(&w, r));
    cr_assert(world_says(&w, r, "[[881, "), "%.60s", world_text(&w, r));
    cr_assert(hub_counts(w.hub).topics == WIRE_TOPICS_MAX + 1024, "topics");
    world_deinit(&w);
}

Test(last, keeps_no_more_bytes_than_its_limit)
{
    struct world w;
    char topic[20];
    events_begin_with(&w, 1 << 20);
    for (unsigned i = 1; i <= 20; i++) {
        (void)snprintf(topic, sizeof topic, "t.%u", i);
        (void)emit(&w, &(struct emit){i, topic, 500000, NULL});
    }
    const uint64_t r = world_say(&w, READER, "[6,null,['>'],'last',1,1,0]");
    cr_assert(count_of(&w, r) == 8, "%u: 8 beyond the ring, however few are asked for",
              count_of(&w, r));
    cr_assert(field_of(&w, r, WIRE_FIELD_EVENTS_NEXT) == 19, "%s",
              "next is the first one in the ring");
    world_deinit(&w);
}

Test(last, is_not_kept_of_an_event_that_is_larger_than_all_that_is_kept)
{
    struct world w;
    char topics[100];
    events_begin_with(&w, 3 * WIRE_LAST_BYTES);
    (void)emit(&w, &(struct emit){1, "huge", WIRE_LAST_BYTES, NULL});
    (void)emit(&w, &(struct emit){2, "small", 10, NULL});
    (void)emit(&w, &(struct emit){3, "next", WIRE_LAST_BYTES, NULL});
    (void)emit(&w, &(struct emit){4, "next", WIRE_LAST_BYTES, NULL});
    (void)emit(&w, &(struct emit){5, "next", WIRE_LAST_BYTES, NULL});
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t r =
            fetch(&w, &(struct fetch){.filter = i == 0 ? "small" : "huge", .word = "last"});
        topics_of(&w, r, topics, sizeof topics);
        cr_assert_str_eq(topics, i == 0 ? "small" : "", "%s", topics);
    }
    world_deinit(&w);
}

Test(last, of_a_reader_that_comes_late_is_given_once_and_not_lost)
{
    struct world w;
    char numbers[100];
    events_begin(&w);
    (void)emit(&w, &(struct emit){1, "b", 10, NULL});
    (void)emit(&w, &(struct emit){2, "a.x", 10, NULL});
    (void)emit(&w, &(struct emit){3, "a.x", 10, NULL});
    (void)emit(&w, &(struct emit){4, "a.y", 10, NULL});
    (void)fill(&w, 5);
    const uint64_t oldest = fetch(&w, &(struct fetch){.filter = ">", .word = "oldest", .items = 1});
    const uint64_t first = field_of(&w, oldest, WIRE_FIELD_EVENTS_NEXT) - 1;
    uint64_t r = fetch(&w, &(struct fetch){.filter = "a.*", .from = 1, .items = 1});
    numbers_of(&w, r, numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "3 next 4", "%s", numbers);
    cr_assert(field_of(&w, r, WIRE_FIELD_EVENTS_LOST) == 2, "1 and 2 are not there any more");
    r = fetch(&w, &(struct fetch){.filter = "a.*", .from = 4, .items = 5});
    numbers_of(&w, r, numbers, sizeof numbers);
    cr_assert_str_eq(numbers, "4 next 75", "%s", numbers);
    cr_assert(field_of(&w, r, WIRE_FIELD_EVENTS_LOST) == first - 5, "all but one up to the ring");
    r = fetch(&w, &(struct fetch){.filter = "a.*", .from = 5});
    cr_assert(count_of(&w, r) == 0 && field_of(&w, r, WIRE_FIELD_EVENTS_LOST) == first - 5, "%s",
              world_text(&w, r));
    world_deinit(&w);
}

/* ---- against a model: what is there is a list of all topics, and a number below which the ring
 * has nothing ------------------------------------------------------------------------------------
 */

enum { EVENTS = 4000, TOPICS = 40 };

struct model {
    uint32_t seed;
    uint64_t first, next;      /* of the ring */
    uint8_t topic[EVENTS + 1]; /* by number */
    uint64_t newest[TOPICS];   /* by topic */
    char name[TOPICS][12];
};

static uint32_t
draw(struct model *m, uint32_t below)
{
    m->seed = m->seed * 1664525 + 1013904223;
    return (m->seed >> 8) % below;
}

struct answer {
    uint64_t numbers[EVENTS], next, lost;
    size_t count;
};

static bool
is_wanted(const struct model *m, const char *const *filters, size_t count, uint64_t number)
{
    bool wanted = false;
    for (size_t i = 0; i < count; i++) {
        wanted |= name_matches(span_text(filters[i]), span_text(m->name[m->topic[number]]));
    }
    return wanted;
}

static void
expect_from(const struct model *m, const char *const *filters, size_t count, uint64_t from,
            size_t items, struct answer *a)
{
    size_t given = 0;
    *a = (struct answer){.next = from};
    for (; a->next < m->next; a->next++) {
        const bool there = a->next >= m->first || m->newest[m->topic[a->next]] == a->next;
        if (!there || !is_wanted(m, filters, count, a->next)) {
            continue;
        }
        if (a->count == items) {
            break;
        }
        a->numbers[a->count++] = a->next;
        given += a->next < m->first;
    }
    const uint64_t passed = a->next < m->first ? a->next : m->first;
    a->lost = passed > from ? passed - from - given : 0;
}

static void
expect_last(const struct model *m, const char *const *filters, size_t count, size_t items,
            struct answer *a)
{
    *a = (struct answer){.next = m->next};
    for (uint64_t number = 1; number < m->next; number++) {
        if (m->newest[m->topic[number]] != number || !is_wanted(m, filters, count, number)) {
            continue;
        }
        if (number >= m->first && a->count >= items) {
            a->next = number;
            return;
        }
        a->numbers[a->count++] = number;
    }
}

static void
compare(struct world *w, uint64_t request, const struct answer *a)
{
    struct span items =
        RECORD_FIELD(world_expect(w, request, 0, WIRE_REC_EVENTS), EVENTS, ITEMS)->inside;
    struct record item;
    size_t n = 0;
    while (record_item(&items, WIRE_REC_EVENT_ITEM, &item)) {
        const uint64_t number = RECORD_FIELD(&item, EVENT_ITEM, NUMBER)->item.uint;
        cr_assert(n < a->count && number == a->numbers[n], "%llu is the %zuth",
                  (unsigned long long)number, n);
        n++;
    }
    cr_assert(n == a->count, "%zu of %zu", n, a->count);
    cr_assert(field_of(w, request, WIRE_FIELD_EVENTS_NEXT) == a->next, "next");
    cr_assert(field_of(w, request, WIRE_FIELD_EVENTS_LOST) == a->lost, "lost");
}

static void
ask(struct world *w, struct model *m)
{
    static const char *const known[] = {">",   "a.*", "*.1", "b.>",     "a.1", "c.2",
                                        "*.*", "d",   "a.>", "nothing", "*",   "c.*"};
    static struct answer a;
    const char *filters[3];
    char text[100];
    size_t count = 1 + draw(m, 3), n = 0;
    for (size_t i = 0; i < count; i++) {
        filters[i] = known[draw(m, sizeof known / sizeof known[0])];
        n += (size_t)snprintf(text + n, sizeof text - n, "'%s',", filters[i]);
    }
    const uint32_t items = draw(m, 2) == 0 ? 1 + draw(m, 5) : 5000;
    const uint64_t from = 1 + draw(m, (uint32_t)m->next);
    const uint64_t oldest = world_say(w, READER, "[6,null,['>'],'oldest',1,1,0]");
    m->first = field_of(w, oldest, WIRE_FIELD_EVENTS_NEXT) - 1;
    expect_from(m, filters, count, from, items, &a);
    compare(w,
            world_say(w, READER, "[6,null,[%s],%llu,%u,10000000,0]", text, (unsigned long long)from,
                      items),
            &a);
    expect_last(m, filters, count, items, &a);
    compare(w, world_say(w, READER, "[6,null,[%s],'last',%u,10000000,0]", text, items), &a);
}

Test(last, and_every_position_give_what_a_simple_model_says)
{
    for (uint32_t seed = 1; seed <= 4; seed++) {
        static struct model m;
        struct world w;
        m = (struct model){.seed = seed, .next = 1};
        events_begin(&w);
        for (unsigned i = 0; i < TOPICS; i++) {
            (void)snprintf(m.name[i], sizeof m.name[i], i == 0 ? "d" : "%c.%u", "abc"[i % 3],
                           i / 3);
        }
        for (uint64_t i = 1; i < EVENTS; i++) {
            /* Some topics have most of the events, some hardly any. */
            const uint32_t t = draw(&m, 1 + draw(&m, TOPICS));
            const uint64_t number = emit(&w, &(struct emit){i, m.name[t], draw(&m, 300), NULL});
            m.topic[number] = (uint8_t)t;
            m.newest[t] = number;
            m.next = number + 1;
            if (i % 20 == 0) {
                ask(&w, &m);
            }
        }
        world_deinit(&w);
    }
}
