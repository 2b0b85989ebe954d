/* Topics on which nothing comes for too long. */
#include "tests/support/test.h"
#include "tests/unit/core/events.h"

#include <string.h>

static void
begin(struct world *w, const struct hub_silence *silences, size_t count)
{
    struct hub_options options;
    world_options(&options);
    options.silences = silences;
    options.silence_count = count;
    cr_assert(world_init_with(w, &options), "no hub");
    world_open(w, PUBLISHER);
    world_open(w, READER);
    world_pass_ms(w, 3000); /* nothing counts before the hub is configured */
    world_configured(w);
}

static uint64_t
told(struct world *w)
{
    return world_say(w, READER, "[6,null,['hub.silent','hub.heard'],1,100,100000,0]");
}

Test(silence, is_told_once_until_something_comes)
{
    static const struct hub_silence silences[] = {{"a.b", 1000}, {"never.heard.of", 5000}};
    struct world w;
    char topics[200];
    begin(&w, silences, 2);
    world_pass_ms(&w, 999);
    cr_assert_str_eq(w.events, "", "%s", w.events);
    world_pass_ms(&w, 1);
    cr_assert_str_eq(w.events, "hub.silent ", "%s", w.events);
    world_pass_ms(&w, 2500);
    cr_assert_str_eq(w.events, "hub.silent ", "%s", w.events);
    (void)emit(&w, &(struct emit){1, "a.b", 10, NULL});
    cr_assert_str_eq(w.events, "hub.silent hub.heard ", "%s", w.events);
    const uint64_t r = told(&w);
    topics_of(&w, r, topics, sizeof topics);
    cr_assert_str_eq(topics, "hub.silent hub.heard", "%s", topics);
    cr_assert(world_says(&w, r, "{'topic': 'a.b', 'silent_ms': 1000, 'number': 0}"), "%s",
              world_text(&w, r));
    cr_assert(world_says(&w, r, "{'topic': 'a.b', 'silent_ms': 3500}"), "%s", world_text(&w, r));
    world_pass_ms(&w, 1000);
    cr_assert(world_says(&w, told(&w), "{'topic': 'a.b', 'silent_ms': 1000, 'number': 2}"), "%s",
              world_text(&w, told(&w)));
    world_pass_ms(&w, 500);
    cr_assert(world_says(&w, told(&w), "'never.heard.of', 'silent_ms': 5000"), "the other one too");
    world_deinit(&w);
}

Test(silence, is_counted_from_the_newest_event)
{
    static const struct hub_silence silences[] = {{"a", 1000}};
    struct world w;
    begin(&w, silences, 1);
    for (uint64_t i = 1; i <= 50; i++) {
        world_pass_ms(&w, 300);
        (void)emit(&w, &(struct emit){i, "a", 10, NULL});
    }
    cr_assert_str_eq(w.events, "", "%s", w.events);
    world_pass_ms(&w, 999);
    cr_assert_str_eq(w.events, "", "%s", w.events);
    world_pass_ms(&w, 1);
    cr_assert(world_says(&w, told(&w), "{'topic': 'a', 'silent_ms': 1000, 'number': 50}"), "%s",
              world_text(&w, told(&w)));
    world_deinit(&w);
}

Test(silence, wakes_who_waits_for_it)
{
    static const struct hub_silence silences[] = {{"a", 1000}};
    struct world w;
    begin(&w, silences, 1);
    const uint64_t silent = world_say(&w, READER, "[6,null,['hub.silent'],'new',9,10000,20000]");
    const uint64_t heard = world_say(&w, READER, "[6,null,['hub.heard'],'new',9,10000,20000]");
    world_pass_ms(&w, 1000);
    cr_assert(count_of(&w, silent) == 1, "silent");
    cr_assert(world_reply(&w, heard) == NULL, "heard too early");
    (void)emit(&w, &(struct emit){1, "a", 10, NULL});
    cr_assert(count_of(&w, heard) == 1, "heard");
    world_deinit(&w);
}

Test(silence, of_a_topic_that_the_ring_has_forgotten_goes_on)
{
    static const struct hub_silence silences[] = {{"a", 1000}};
    struct world w;
    begin(&w, silences, 1);
    (void)emit(&w, &(struct emit){1, "a", 10, NULL});
    for (unsigned i = 2; i < 6000; i++) {
        (void)world_say(&w, PUBLISHER, "[5,b'client of a test',%u,'t.%u',null,1]", i, i);
    }
    world_pass_ms(&w, 1000);
    cr_assert_str_eq(w.events, "hub.silent ", "%s", w.events);
    (void)emit(&w, &(struct emit){6000, "a", 10, NULL});
    cr_assert_str_eq(w.events, "hub.silent hub.heard ", "%s", w.events);
    world_deinit(&w);
}

Test(silence, of_the_hub_may_be_watched_even_that_of_silence)
{
    static const struct hub_silence silences[] = {
        {"hub.worker.ready", 1000}, {"hub.silent", 1500}, {"hub.heard", 2000}};
    struct world w;
    begin(&w, silences, 3);
    world_pass_ms(&w, 1000);
    cr_assert_str_eq(w.events, "hub.silent ", "%s", w.events);
    world_pass_ms(&w, 1000); /* hub.heard is silent, and that is told as hub.silent */
    cr_assert_str_eq(w.events, "hub.silent hub.silent ", "%s", w.events);
    world_pass_ms(&w, 1500); /* hub.silent is silent, which ends it, which ends that of hub.heard */
    cr_assert_str_eq(w.events, "hub.silent hub.silent hub.silent hub.heard hub.heard ", "%s",
                     w.events);
    world_deinit(&w);
}
