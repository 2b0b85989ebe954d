/* A replica that serves one client only: how it is taken, held and given back. */
#include "tests/unit/core/story.h"

#include <stdio.h>

#define NUMBER(n) (unsigned long long)(n)

static uint64_t
lease(struct world *w, unsigned who, unsigned seq, unsigned call_ms, unsigned ttl_ms)
{
    return story_call(w, who, seq, "'hub','lease',%u,null,{'worker':'echo','ttl_ms':%u}", call_ms,
                      ttl_ms);
}

static uint64_t
release(struct world *w, unsigned who, unsigned seq, const char *replica)
{
    return story_call(w, who, seq, "'hub','release',1000,null,{'replica':'%s'}", replica);
}

/* Whether a replica serves all who come. */
static void
expect_free(struct world *w, unsigned who, unsigned seq, const char *replica)
{
    const uint64_t r = story_call(w, who, seq, "'%s','echo',60000,null,{}", replica);
    const uint64_t call = world_given(w, replica);
    cr_assert(call != 0, "%s is not free: %s", replica, world_text(w, r));
    story_done(w, replica, call, "null");
    expect_says(w, r, "RESULT");
}

/* ---- who is served -----------------------------------------------------------------------------
 */

Test(lease, one_replica_can_be_asked_for_by_its_name)
{
    struct world w;
    story_begin(&w, 2);
    const uint64_t r = story_call(&w, ONE, 1, "'hub','lease',0,null,{'worker':'echo/1'}");
    const uint64_t other = story_call(&w, TWO, 1, "'hub','lease',0,null,{'worker':'echo/1'}");
    expect_says(&w, r, "RESULT 1 {'replica': 'echo/1', 'ttl_ms': 30000}");
    cr_assert_str_eq(world_text(&w, other), "", "it waits for that one");
    expect_free(&w, TWO, 2, "echo/0");
    story_end(&w);
}

Test(lease, an_idle_replica_is_granted_at_once_and_serves_its_holder_only)
{
    struct world w;
    story_begin(&w, 2);
    expect_text(&w, lease(&w, ONE, 1, 1000, 5000),
                "RESULT 1 {'replica': 'echo/0', 'ttl_ms': 5000}");
    cr_assert(story_events(&w, "hub.lease") == 1, "it is told");
    (void)story_call(&w, TWO, 1, "'echo','echo',60000,null,{}");
    (void)story_call(&w, TWO, 2, "'echo','echo',60000,null,{}");
    expect_text(&w, story_call(&w, TWO, 3, "'echo/0','echo',60000,null,{}"),
                "ERROR 3 14 0 'the replica is leased to another client' {'retry_after_ms': 1000}");
    cr_assert(world_given(&w, "echo/0") == 0, "others go elsewhere");
    const uint64_t r = story_call(&w, ONE, 2, "'echo/0','echo',60000,null,{}");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "'mine'");
    expect_text(&w, r, "RESULT 2 'mine'");
    story_done(&w, "echo/1", world_given(&w, "echo/1"), "null");
    cr_assert(world_given(&w, "echo/0") == 0, "others still wait for the other one");
    expect_text(&w, release(&w, ONE, 3, "echo/0"), "RESULT 3 null");
    cr_assert(story_events(&w, "hub.lease") == 2, "that is told, too");
    story_done(&w, "echo/1", world_given(&w, "echo/1"), "null");
    expect_free(&w, TWO, 4, "echo/0");
    story_end(&w);
}

Test(lease, it_waits_until_a_replica_is_idle_which_takes_nothing_new)
{
    struct world w;
    story_begin(&w, 1);
    (void)story_call(&w, TWO, 1, "'echo','echo',60000,null,{}");
    const uint64_t by_name = story_call(&w, TWO, 2, "'echo/0','echo',60000,null,{}");
    const uint64_t waits = story_call(&w, TWO, 3, "'echo','echo',60000,null,{}");
    const uint64_t r = lease(&w, ONE, 1, 60000, 5000);
    expect_nothing(&w, r);
    expect_says(&w, by_name, "ERROR 2 14 0 'the replica is leased to another client'");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    expect_text(&w, r, "RESULT 1 {'replica': 'echo/0', 'ttl_ms': 5000}");
    expect_nothing(&w, waits);
    cr_assert(world_given(&w, "echo/0") == 0, "others wait");
    expect_text(&w, release(&w, ONE, 2, "echo/0"), "RESULT 2 null");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "7");
    expect_text(&w, waits, "RESULT 3 7");
    story_end(&w);
}

Test(lease, several_are_granted_one_by_one_in_the_order_in_which_they_were_asked_for)
{
    struct world w;
    story_begin(&w, 2);
    expect_says(&w, lease(&w, ONE, 1, 60000, 9000), "'echo/0'");
    expect_says(&w, lease(&w, ONE, 2, 60000, 9000), "'echo/1'");
    const uint64_t a = lease(&w, TWO, 1, 60000, 9000), b = lease(&w, ONE, 3, 60000, 9000);
    expect_nothing(&w, a);
    (void)release(&w, ONE, 4, "echo/1");
    expect_text(&w, a, "RESULT 1 {'replica': 'echo/1', 'ttl_ms': 9000}");
    expect_nothing(&w, b);
    (void)release(&w, ONE, 5, "echo/0");
    expect_text(&w, b, "RESULT 3 {'replica': 'echo/0', 'ttl_ms': 9000}");
    story_end(&w);
}

Test(lease, one_that_is_asked_for_again_after_a_lost_connection_is_the_same)
{
    struct world w;
    story_begin(&w, 2);
    (void)lease(&w, ONE, 1, 60000, 30000);
    world_close(&w, ONE);
    world_open(&w, ONE);
    expect_text(&w, lease(&w, ONE, 1, 60000, 30000),
                "RESULT 1 {'replica': 'echo/0', 'ttl_ms': 30000}");
    expect_free(&w, TWO, 1, "echo/1");
    story_end(&w);
}

/* ---- how it ends -------------------------------------------------------------------------------
 */

Test(lease, it_ends_when_it_is_not_renewed)
{
    struct world w;
    story_begin(&w, 1);
    (void)lease(&w, ONE, 1, 1000, 2000);
    world_pass_ms(&w, 1999);
    expect_text(
        &w, story_call(&w, ONE, 2, "'hub','renew',1000,null,{'replica':'echo/0','ttl_ms':3000}"),
        "RESULT 2 null");
    world_pass_ms(&w, 2999);
    expect_says(&w, story_call(&w, TWO, 1, "'echo/0','echo',60000,null,{}"), "ERROR 1 14");
    world_pass_ms(&w, 1);
    expect_free(&w, TWO, 2, "echo/0");
    expect_text(&w, story_call(&w, ONE, 3, "'hub','renew',1000,null,{'replica':'echo/0'}"),
                "ERROR 3 9 0 'this client does not hold this replica' null");
    cr_assert(story_events(&w, "hub.lease") == 2, "granted and ended");
    story_end(&w);
}

Test(lease, it_lasts_although_the_outcome_of_its_call_is_acknowledged_or_no_longer_kept)
{
    struct world w;
    story_begin(&w, 2);
    (void)lease(&w, ONE, 1, 1000, 3600000);
    (void)lease(&w, TWO, 1, 1000, 3600000);
    (void)world_say(&w, ONE, "[2," STORY_ONE ",2,1,'hub','status',1000,null,{}]");
    expect_says(&w, story_call(&w, TWO, 2, "'echo/0','echo',60000,null,{}"), "ERROR 2 14");
    world_pass_ms(&w, WIRE_KEEP_MS);
    expect_says(&w, story_wait(&w, TWO, 1, 0), "ERROR 1 15 1");
    expect_says(&w, story_call(&w, ONE, 3, "'echo/1','echo',60000,null,{}"), "ERROR 3 14");
    (void)world_say(&w, TWO, "[2," STORY_TWO ",3,2,'hub','status',1000,null,{}]");
    expect_says(&w, story_call(&w, ONE, 4, "'echo/1','echo',60000,null,{}"), "ERROR 4 14");
    world_poll(&w, "echo/1", 1);
    expect_free(&w, TWO, 4, "echo/1");
    expect_text(&w, release(&w, TWO, 5, "echo/1"), "RESULT 5 null");
    story_end(&w);
}

Test(lease, it_ends_when_its_holder_has_been_away_for_5_s)
{
    struct world w;
    story_begin(&w, 1);
    (void)lease(&w, ONE, 1, 1000, 60000);
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_AWAY_MS - 1);
    world_open(&w, ONE);
    expect_says(&w, story_wait(&w, ONE, 1, 0), "RESULT");
    world_pass_ms(&w, WIRE_AWAY_MS);
    expect_says(&w, story_call(&w, TWO, 1, "'echo/0','echo',60000,null,{}"), "ERROR 1 14");
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_AWAY_MS);
    expect_free(&w, TWO, 2, "echo/0");
    world_open(&w, ONE);
    story_end(&w);
}

Test(lease, it_ends_with_its_replica_whose_next_process_serves_all)
{
    struct world w;
    story_begin(&w, 1);
    (void)lease(&w, ONE, 1, 1000, 3600000);
    const uint64_t r = story_call(&w, ONE, 2, "'echo/0','echo',60000,null,{}");
    (void)world_given(&w, "echo/0");
    world_exited(&w, "echo/0", 9);
    expect_says(&w, r, "ERROR 2 10 1");
    cr_assert(story_events(&w, "hub.lease") == 2, "granted and ended");
    world_pass_ms(&w, 2000);
    world_serve(&w, "echo/0");
    expect_free(&w, TWO, 1, "echo/0");
    expect_says(&w, release(&w, ONE, 3, "echo/0"), "ERROR 3 9 0 'this client does not hold");
    story_end(&w);
}

Test(lease, it_ends_when_the_worker_is_scaled_down_below_it)
{
    struct world w;
    story_begin(&w, 2);
    (void)lease(&w, ONE, 1, 1000, 60000);
    expect_says(&w, lease(&w, ONE, 2, 1000, 3600000), "'echo/1'");
    expect_text(&w,
                story_call(&w, TWO, 1, "'hub','scale',1000,null,{'worker':'echo','replicas':1}"),
                "RESULT 1 null");
    world_exited(&w, "echo/1", 0);
    expect_state(&w, "echo/1", "none");
    expect_says(&w, release(&w, ONE, 3, "echo/1"), "ERROR 3 5 0 'there is no replica 'echo/1''");
    world_pass_ms(&w, WIRE_KEEP_MS); /* and the call that granted it is forgotten */
    (void)world_say(&w, ONE, "[2," STORY_ONE ",4,3,'hub','status',1000,null,{}]");
    story_end(&w);
}

/* ---- while it waits ----------------------------------------------------------------------------
 */

Test(lease, one_that_is_cancelled_or_late_while_it_waits_leaves_the_replica_to_all)
{
    struct world w;
    story_begin(&w, 1);
    (void)story_call(&w, TWO, 1, "'echo','echo',60000,null,{}");
    uint64_t r = lease(&w, ONE, 1, 60000, 5000);
    const uint64_t late = lease(&w, ONE, 2, 3000, 5000);
    story_cancel(&w, ONE, 1);
    expect_text(&w, r, "ERROR 1 1 0 'the caller cancelled it' null");
    world_pass_ms(&w, 3000);
    expect_text(&w, late, "ERROR 2 4 0 'no replica was free before the deadline' null");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    expect_free(&w, TWO, 2, "echo/0");
    cr_assert(story_events(&w, "hub.lease") == 0, "nothing was granted");
    r = lease(&w, ONE, 3, 60000, 5000);
    expect_says(&w, r, "RESULT 3");
    story_end(&w);
}

Test(lease, one_whose_replica_dies_while_it_waits_waits_for_another)
{
    struct world w;
    story_begin(&w, 2);
    for (unsigned i = 1; i <= 2; i++) {
        (void)story_call(&w, TWO, i, "'echo','echo',60000,null,{}");
    }
    const uint64_t a = lease(&w, ONE, 1, 60000, 5000), b = lease(&w, ONE, 2, 60000, 5000);
    expect_nothing(&w, a);
    world_exited(&w, "echo/0", 9);
    /* The first in the row has nothing to wait for now; that does not hold up the second. */
    story_done(&w, "echo/1", world_given(&w, "echo/1"), "null");
    expect_nothing(&w, a);
    expect_text(&w, b, "RESULT 2 {'replica': 'echo/1', 'ttl_ms': 5000}");
    world_pass_ms(&w, 2000);
    world_serve(&w, "echo/0");
    expect_text(&w, a, "RESULT 1 {'replica': 'echo/0', 'ttl_ms': 5000}");
    story_end(&w);
}

Test(lease, a_replica_that_is_stopped_is_not_granted_when_it_has_become_idle)
{
    struct world w;
    story_begin(&w, 2);
    for (unsigned i = 1; i <= 2; i++) {
        (void)story_call(&w, TWO, i, "'echo','echo',60000,null,{}");
    }
    const uint64_t r = lease(&w, ONE, 1, 60000, 5000);
    world_tell(&w, "stop", "echo/0");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    expect_nothing(&w, r);
    expect_state(&w, "echo/0", "stopping");
    story_done(&w, "echo/1", world_given(&w, "echo/1"), "null");
    expect_text(&w, r, "RESULT 1 {'replica': 'echo/1', 'ttl_ms': 5000}");
    world_exited(&w, "echo/0", 0);
    story_end(&w);
}

Test(lease, those_who_wait_are_refused_when_the_worker_is_stopped)
{
    struct world w;
    story_begin(&w, 1);
    (void)story_call(&w, TWO, 1, "'echo','echo',60000,null,{}");
    const uint64_t a = lease(&w, ONE, 1, 60000, 5000), b = lease(&w, ONE, 2, 60000, 5000);
    world_tell(&w, "stop", "echo");
    expect_says(&w, a, "ERROR 1 14 0 'the worker has stopped or failed'");
    expect_says(&w, b, "ERROR 2 14 0 'the worker has stopped or failed'");
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    world_exited(&w, "echo/0", 0);
    expect_says(&w, lease(&w, ONE, 3, 60000, 5000),
                "ERROR 3 14 0 'no replica runs and none will start by itself (see prong status)'");
    story_end(&w);
}

Test(lease, who_waits_and_goes_away_gets_none)
{
    struct world w;
    story_begin(&w, 1);
    (void)story_call(&w, TWO, 1, "'echo','echo',60000,null,{}");
    (void)lease(&w, ONE, 1, 60000, 60000);
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_AWAY_MS);
    story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
    expect_free(&w, TWO, 2, "echo/0");
    world_open(&w, ONE);
    story_end(&w);
}

Test(lease, none_is_left_when_the_hub_ends)
{
    struct world w;
    story_begin(&w, 2);
    (void)lease(&w, ONE, 1, 1000, 60000);
    (void)story_call(&w, TWO, 1, "'echo','echo',60000,null,{}");
    (void)lease(&w, TWO, 2, 60000, 60000);
    world_stop(&w);
    world_deinit(&w);
}

/* ---- what is refused ---------------------------------------------------------------------------
 */

Test(lease, what_is_wrong_is_refused_and_says_what_is_allowed)
{
    static const struct {
        const char *call, *want;
    } rows[] = {
        {"'hub','lease',0,null,{}", "3 0 'missing argument 'worker'; allowed: worker (a text, "
                                    "needed) ttl_ms (a whole number)'"},
        {"'hub','lease',0,null,{'worker':'nobody'}", "5 0 'there is no worker 'nobody''"},
        {"'hub','lease',0,null,{'worker':'hub'}",
         "5 0 'there is no worker 'hub' beside the hub itself'"},
        {"'hub','lease',0,null,{'worker':'echo','ttl_ms':0}",
         "3 0 'ttl_ms must be from 1 to 3600000'"},
        {"'hub','lease',0,null,{'worker':'echo','ttl_ms':3600001}", "3 0 'ttl_ms must be from 1"},
        {"'hub','lease',0,null,{'worker':'echo','ttl_ms':-1}", "3 0 'wrong type of argument"},
        {"'hub','renew',0,null,{'replica':'echo/0','ttl_ms':0}", "3 0 'ttl_ms must be from 1"},
        {"'hub','renew',0,null,{'replica':'echo'}", "3 0 'name a replica: worker/number'"},
        {"'hub','renew',0,null,{'replica':'echo/0'}",
         "9 0 'this client does not hold this replica'"},
        {"'hub','release',0,null,{'replica':'echo'}", "3 0 'name a replica: worker/number'"},
        {"'hub','release',0,null,{'replica':'echo/7'}", "5 0 'there is no replica 'echo/7''"},
        {"'hub','release',0,null,{'replica':'echo/0'}", "9 0 'this client does not hold"},
    };
    struct world w;
    story_begin(&w, 1);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[200];
        const uint64_t r = story_call(&w, ONE, i + 1, "%s", rows[i].call);
        (void)snprintf(want, sizeof want, "ERROR %u %s", i + 1, rows[i].want);
        expect_says(&w, r, want);
    }
    expect_says(&w, world_say(&w, ONE, "[2,null,1,0,'hub','lease',0,null,{'worker':'echo'}]"),
                "ERROR 1 3 0 'a lease needs a client id'");
    expect_free(&w, TWO, 1, "echo/0");
    story_end(&w);
}
