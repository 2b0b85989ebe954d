/* Connections: strangers from a network, and what is told when somebody has said who he is. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <string.h>

enum { STRANGER = 50 };

#define HELLO "[1,{'token':'a token of the network'}]"

Test(peer, a_stranger_has_five_seconds_to_say_who_it_is)
{
    struct world w;
    world_init(&w);
    world_open_network(&w, STRANGER);
    world_pass_ms(&w, WIRE_UNTRUSTED_MS - 1);
    cr_assert(w.closes == 0, "too early");
    world_pass_ms(&w, 1);
    cr_assert(w.closes == 1, "it is still here");
    world_close(&w, STRANGER);
    cr_assert(hub_counts(w.hub).peers == 0, "something is left");
    world_deinit(&w);
}

Test(peer, who_has_said_it_stays)
{
    struct world w;
    world_init(&w);
    world_open_network(&w, STRANGER);
    const uint64_t r = world_say(&w, STRANGER, HELLO);
    cr_assert(world_says(&w, r, "WELCOME"), "%s", world_text(&w, r));
    world_pass_ms(&w, 10 * WIRE_UNTRUSTED_MS);
    cr_assert(w.closes == 0, "it was closed");
    world_deinit(&w);
}

Test(peer, local_ones_are_no_strangers)
{
    struct world w;
    world_init(&w);
    for (unsigned i = 0; i < 3 * WIRE_UNTRUSTED_MAX; i++) {
        world_open(&w, STRANGER + i);
    }
    world_pass_ms(&w, 10 * WIRE_UNTRUSTED_MS);
    cr_assert(w.closes == 0, "%zu were closed", w.closes);
    world_deinit(&w);
}

Test(peer, of_too_many_strangers_the_one_that_waited_longest_goes)
{
    struct world w;
    world_init(&w);
    for (unsigned i = 0; i < WIRE_UNTRUSTED_MAX; i++) {
        world_open_network(&w, STRANGER + i);
    }
    /* One says who it is, one leaves: two places. */
    (void)world_say(&w, STRANGER, HELLO);
    world_close(&w, STRANGER + 1);
    world_open_network(&w, STRANGER + 100);
    world_open_network(&w, STRANGER + 101);
    cr_assert(w.closes == 0, "there was room");
    world_open_network(&w, STRANGER + 102);
    cr_assert(w.closes == 1, "one too many");
    /* The oldest went, not one of those after it. */
    const uint64_t r = world_say(&w, STRANGER + 3, HELLO);
    cr_assert(world_says(&w, r, "WELCOME"), "it was not the oldest: %s", world_text(&w, r));
    world_deinit(&w);
}

Test(peer, what_waits_on_a_connection_goes_with_it)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_configured(&w);
    world_open(&w, 1);
    (void)world_say(&w, 1, "[6,null,['a'],'new',1,1,20000]");
    (void)world_say(&w, 1, "[2,null,1,0,'echo','echo',0,null,{}] [6,null,['a'],'new',1,1,20000]");
    cr_assert(hub_counts(w.hub).parked == 3, "%zu wait", hub_counts(w.hub).parked);
    world_close(&w, 1);
    cr_assert(hub_counts(w.hub).parked == 0 && hub_counts(w.hub).peers == 0, "something is left");
    world_deinit(&w);
}
