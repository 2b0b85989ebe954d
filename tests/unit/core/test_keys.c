/* Calls with a key: one replica for each key, as long as it serves. */
#include "tests/unit/core/story.h"

#include <stdio.h>
#include <string.h>

enum { KEYS = 40, REPLICAS_MAX = 8 };

/* Call with a key and let it be served: the replica that did. */
static unsigned
ask(struct world *w, unsigned *seq, unsigned key)
{
    char name[16];
    const uint64_t r = story_call(w, ONE, ++*seq, "'echo','again',60000,{'key':'key %u'},{}", key);
    for (unsigned i = 0; i < REPLICAS_MAX; i++) {
        bool is_there = false;
        (void)snprintf(name, sizeof name, "echo/%u", i);
        for (size_t k = 0; k < w->process_count; k++) {
            is_there |= strcmp(w->process[k].name, name) == 0 && w->process[k].running;
        }
        const uint64_t call = is_there ? world_given(w, name) : 0;
        if (call != 0) {
            story_done(w, name, call, "null");
            expect_says(w, r, "RESULT");
            /* Acknowledge, so that nothing piles up. */
            (void)world_say(w, ONE, "[2," STORY_ONE ",%u,%u,'hub','describe',1000,null,{}]",
                            *seq + 1, *seq);
            ++*seq;
            return i;
        }
    }
    cr_assert(false, "nobody got it: %s", world_text(w, r));
    return 0;
}

static void
ask_all(struct world *w, unsigned *seq, unsigned homes[KEYS])
{
    for (unsigned k = 0; k < KEYS; k++) {
        homes[k] = ask(w, seq, k);
    }
}

Test(keys, one_key_has_one_replica_and_many_keys_have_them_all)
{
    struct world w;
    unsigned seq = 0, homes[KEYS], again[KEYS], count[4] = {0};
    story_begin(&w, 4);
    ask_all(&w, &seq, homes);
    ask_all(&w, &seq, again);
    for (unsigned k = 0; k < KEYS; k++) {
        cr_assert(homes[k] == again[k], "key %u moved", k);
        count[homes[k]]++;
    }
    for (unsigned i = 0; i < 4; i++) {
        cr_assert(count[i] > 2 && count[i] < 20, "echo/%u has %u of %u keys", i, count[i], KEYS);
    }
    story_end(&w);
}

Test(keys, a_call_waits_for_its_replica_although_others_are_free)
{
    struct world w;
    unsigned seq = 0;
    story_begin(&w, 2);
    const unsigned home = ask(&w, &seq, 7);
    const char *mine = home == 0 ? "echo/0" : "echo/1", *other = home == 0 ? "echo/1" : "echo/0";
    (void)story_call(&w, ONE, seq + 1, "'echo','again',60000,{'key':'key 7'},{}");
    const uint64_t r = story_call(&w, TWO, 1, "'echo','again',60000,{'key':'key 7'},{}");
    cr_assert(world_given(&w, other) == 0, "it is given to another");
    story_done(&w, mine, world_given(&w, mine), "null");
    story_done(&w, mine, world_given(&w, mine), "7");
    expect_text(&w, r, "RESULT 1 7");
    story_end(&w);
}

Test(keys, when_a_replica_goes_only_its_own_keys_move_and_they_come_back_with_it)
{
    struct world w;
    unsigned seq = 0, homes[KEYS], without[KEYS], back[KEYS];
    story_begin(&w, 4);
    ask_all(&w, &seq, homes);
    world_tell(&w, "stop", "echo/2");
    world_exited(&w, "echo/2", 0);
    ask_all(&w, &seq, without);
    for (unsigned k = 0; k < KEYS; k++) {
        cr_assert(without[k] == homes[k] || homes[k] == 2, "key %u moved from echo/%u", k,
                  homes[k]);
    }
    world_tell(&w, "start", "echo/2");
    world_serve(&w, "echo/2");
    ask_all(&w, &seq, back);
    cr_assert(memcmp(homes, back, sizeof homes) == 0, "some did not come back");
    story_end(&w);
}

Test(keys, a_new_replica_takes_keys_of_all_and_no_other_key_moves)
{
    struct world w;
    unsigned seq = 0, homes[KEYS], more[KEYS], fewer[KEYS], moved = 0;
    story_begin(&w, 3);
    ask_all(&w, &seq, homes);
    (void)story_call(&w, TWO, 1, "'hub','scale',1000,null,{'worker':'echo','replicas':4}");
    world_serve(&w, "echo/3");
    ask_all(&w, &seq, more);
    for (unsigned k = 0; k < KEYS; k++) {
        cr_assert(more[k] == homes[k] || more[k] == 3, "key %u moved to echo/%u", k, more[k]);
        moved += more[k] != homes[k];
    }
    cr_assert(moved > 2 && moved < 20, "%u moved", moved);
    (void)story_call(&w, TWO, 2, "'hub','scale',1000,null,{'worker':'echo','replicas':3}");
    world_exited(&w, "echo/3", 0);
    ask_all(&w, &seq, fewer);
    cr_assert(memcmp(homes, fewer, sizeof homes) == 0, "some did not come back");
    story_end(&w);
}

/* ---- calls that wait ---------------------------------------------------------------------------
 */

/* Three calls of one key: one runs, two wait for the same replica. Its name and that of the other.
 */
static void
three(struct world *w, const char **mine, const char **other)
{
    unsigned seq = 0;
    story_begin(w, 2);
    const unsigned home = ask(w, &seq, 7);
    *mine = home == 0 ? "echo/0" : "echo/1";
    *other = home == 0 ? "echo/1" : "echo/0";
    for (unsigned i = 1; i <= 3; i++) {
        (void)story_call(w, TWO, i, "'echo','echo',60000,{'key':'key 7'},[%u]", i);
    }
    cr_assert(world_given(w, *other) == 0, "they wait");
}

static void
expect_served(struct world *w, const char *replica, unsigned first, unsigned last)
{
    char want[32];
    for (unsigned i = first; i <= last; i++) {
        const uint64_t call = world_given(w, replica);
        cr_assert(call != 0, "%s has no call %u", replica, i);
        story_done(w, replica, call, "null");
        (void)snprintf(want, sizeof want, "RESULT %u null", i);
        expect_text(w, story_wait(w, TWO, i, 0), want);
    }
}

Test(keys, calls_that_wait_for_a_replica_that_dies_move_to_another)
{
    struct world w;
    const char *mine, *other;
    three(&w, &mine, &other);
    world_exited(&w, mine, 9);
    expect_says(&w, story_wait(&w, TWO, 1, 0), "ERROR 1 10 1");
    expect_served(&w, other, 2, 3);
    story_end(&w);
}

Test(keys, calls_that_wait_for_a_replica_that_is_stopped_move_at_once)
{
    struct world w;
    const char *mine, *other;
    three(&w, &mine, &other);
    world_tell(&w, "stop", mine);
    expect_served(&w, other, 2, 3);
    expect_served(&w, mine, 1, 1);
    world_exited(&w, mine, 0);
    story_end(&w);
}

Test(keys, calls_that_wait_for_a_replica_that_is_leased_move_at_once)
{
    struct world w;
    const char *mine, *other;
    three(&w, &mine, &other);
    (void)story_call(&w, ONE, 10, "'echo/%c','echo',60000,null,{}", other[5]);
    (void)story_call(&w, ONE, 11, "'hub','lease',60000,null,{'worker':'echo'}");
    (void)story_call(&w, ONE, 12, "'hub','lease',60000,null,{'worker':'echo'}");
    expect_served(&w, mine, 1, 1);
    story_done(&w, other, world_given(&w, other), "null");
    cr_assert(world_given(&w, mine) == 0 && world_given(&w, other) == 0, "both are leased");
    (void)story_call(&w, ONE, 13, "'hub','release',1000,null,{'replica':'%s'}", mine);
    expect_served(&w, mine, 2, 3);
    story_end(&w);
}

Test(keys, calls_that_waited_for_no_replica_go_to_the_one_of_their_key_when_there_is_one)
{
    struct world w;
    const char *mine, *other;
    three(&w, &mine, &other);
    world_exited(&w, mine, 9);
    world_exited(&w, other, 9);
    world_pass_ms(&w, 10);
    for (unsigned i = 4; i <= 6; i++) {
        (void)story_call(&w, TWO, i, "'echo','echo',60000,{'key':'key 7'},[%u]", i);
    }
    world_pass_ms(&w, 2000); /* both are started */
    world_serve(&w, other);
    cr_assert(world_given(&w, other) == 0, "the one of the key is on its way");
    world_serve(&w, mine);
    expect_served(&w, mine, 3, 6); /* the second ended with the other */
    story_end(&w);
}

Test(keys, calls_that_wait_elsewhere_come_back_with_the_replica_of_their_key)
{
    struct world w;
    const char *mine, *other;
    three(&w, &mine, &other);
    world_exited(&w, mine, 9);
    cr_assert(world_given(&w, other) != 0, "the second");
    world_pass_ms(&w, 2000);
    world_serve(&w, mine);
    expect_served(&w, mine, 3, 3);
    expect_served(&w, other, 2, 2);
    story_end(&w);
}

/* ---- what a key may be -------------------------------------------------------------------------
 */

Test(keys, a_key_is_up_to_128_bytes_of_anything_and_not_for_one_replica)
{
    char key[WIRE_KEY_BYTES_MAX + 2];
    struct world w;
    story_begin(&w, 1);
    memset(key, 'k', sizeof key);
    key[WIRE_KEY_BYTES_MAX] = '\0';
    for (unsigned i = 1; i <= 3; i++) {
        const char *const keys[] = {key, "", "\xff\xfe"};
        const uint64_t r =
            story_call(&w, ONE, i, "'echo','echo',60000,{'key':b'%s'},{}", keys[i - 1]);
        story_done(&w, "echo/0", world_given(&w, "echo/0"), "null");
        expect_says(&w, r, "RESULT");
    }
    key[WIRE_KEY_BYTES_MAX] = 'k';
    key[WIRE_KEY_BYTES_MAX + 1] = '\0';
    expect_says(&w, story_call(&w, ONE, 4, "'echo','echo',60000,{'key':'%s'},{}", key),
                "ERROR 0 3 0 'CALL key: must have at most 128 bytes, got 129'");
    expect_says(&w, story_call(&w, ONE, 5, "'echo','echo',60000,{'key':7},{}"), "ERROR 0 3 0");
    expect_text(&w, story_call(&w, ONE, 6, "'echo/0','echo',60000,{'key':'a'},{}"),
                "ERROR 6 3 0 'the option key chooses a replica: name the worker alone' null");
    story_end(&w);
}
