/* Calls that a worker makes while it runs a call: they have its deadline and end with it, and those
 * that could never begin are refused at once. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { ONE = 1 };

#define ID "sixteen bytes id"

/* Workers `echo` and `other` with replicas that run so many calls at a time; those with number 0
 * serve. */
static void
begin(struct world *w, void (*set)(struct worker_spec *), uint64_t capacity)
{
    world_init(w);
    w->capacity = capacity;
    world_worker(w, "echo", set);
    world_worker(w, "other", set);
    world_configured(w);
    world_open(w, ONE);
    world_serve(w, "echo/0");
    world_serve(w, "other/0");
}

static uint64_t
outer(struct world *w, const char *method, unsigned ttl_ms)
{
    return world_say(w, ONE, "[2,b'" ID "',1,0,'echo','%s',%u,null,[0]]", method, ttl_ms);
}

/* A call that the process `name` makes inside the call `parent`. */
static uint64_t
inner(struct world *w, const char *name, uint64_t parent, const char *target, const char *more)
{
    return world_say(w, world_process(w, name)->peer,
                     "[2,b'client of %6.6s',%u,0,%s,{'parent':%llu%s},[[1]]]", name,
                     (unsigned)w->next_request, target, (unsigned long long)parent, more);
}

/* The process takes what it was given and can take more. */
static uint64_t
take(struct world *w, const char *name)
{
    const uint64_t number = world_given(w, name);
    world_poll(w, name, 1);
    return number;
}

#define expect_text(w, r, want) cr_assert_str_eq(world_text(w, r), want, "%s", world_text(w, r))
#define expect_says(w, r, want) cr_assert(world_says(w, r, want), "%s", world_text(w, r))
#define expect_waits(w, r)      cr_assert(world_reply(w, r) == NULL, "%s", world_text(w, r))

/* ---- deadlines ---------------------------------------------------------------------------------
 */

Test(nest, a_call_inside_another_has_the_earlier_deadline_of_both)
{
    static const unsigned ttls[][3] = {{60000, 1000, 1000}, {300, 1000, 300}, {0, 1000, 1000}};
    for (size_t i = 0; i < 3; i++) {
        struct world w;
        char target[40];
        begin(&w, NULL, 1);
        (void)outer(&w, "echo", ttls[i][1]);
        (void)snprintf(target, sizeof target, "'other','echo',%u", ttls[i][0]);
        const uint64_t r = inner(&w, "echo/0", world_given(&w, "echo/0"), target, "");
        world_pass_ms(&w, ttls[i][2] - 1);
        expect_waits(&w, r);
        world_pass_ms(&w, 1);
        cr_assert(world_reply(&w, r) != NULL, "its time is over");
        world_deinit(&w);
    }
}

/* ---- the end of the outer call -----------------------------------------------------------------
 */

static void
cancelled(struct world *w)
{
    (void)world_say(w, ONE, "[4,b'" ID "',1]");
}

static void
given_up(struct world *w)
{
    (void)world_say(w, ONE, "[2,b'" ID "',2,1,'hub','status',0,null,{}]");
}

static void
expired(struct world *w)
{
    world_pass_ms(w, 20000);
}

static void
left(struct world *w)
{
    world_close(w, ONE);
    world_pass_ms(w, WIRE_AWAY_MS);
}

static void
died(struct world *w)
{
    struct process *p = world_process(w, "echo/0");
    const uint64_t peer = p->peer;
    p->peer = 0; /* its connection is told to be closed later, so that its answers are seen */
    world_exited(w, "echo/0", 9);
    p->peer = peer;
}

static void (*const ends[])(struct world *w) = {cancelled, given_up, expired, left, died};

Test(nest, what_was_made_inside_a_call_is_cancelled_when_that_ends_without_an_outcome)
{
    for (size_t i = 0; i < 2 * sizeof ends / sizeof ends[0]; i++) {
        struct world w;
        begin(&w, NULL, 1);
        (void)outer(&w, i % 2 == 0 ? "echo" : "again", 20000);
        const uint64_t parent = world_given(&w, "echo/0");
        const uint64_t runs = inner(&w, "echo/0", parent, "'other','echo',60000", "");
        const uint64_t waits = inner(&w, "echo/0", parent, "'other','echo',60000", "");
        struct process *other = world_process(&w, "other/0");
        const uint64_t number = world_given(&w, "other/0");
        const uint64_t control =
            world_say(&w, other->peer, "[19,'other/0',%llu]", (unsigned long long)other->session);
        char want[80];
        ends[i / 2](&w);
        cr_assert(world_outcome(&w, runs, NULL) == WIRE_ERR_CANCELLED ||
                      world_outcome(&w, runs, NULL) == WIRE_ERR_DEADLINE_EXCEEDED,
                  "%zu: %s", i, world_text(&w, runs));
        cr_assert(world_outcome(&w, waits, NULL) == WIRE_ERR_CANCELLED ||
                      world_outcome(&w, waits, NULL) == WIRE_ERR_DEADLINE_EXCEEDED,
                  "%zu: %s", i, world_text(&w, waits));
        (void)snprintf(want, sizeof want, "COMMAND 'cancel' {'call': %llu}",
                       (unsigned long long)number);
        expect_says(&w, control, want);
        world_done(&w, "other/0", number);
        cr_assert(world_given(&w, "other/0") == 0, "%zu: it was given all the same", i);
        world_deinit(&w);
    }
}

Test(nest, what_was_made_inside_a_call_is_cancelled_through_all_levels)
{
    struct world w;
    begin(&w, NULL, 3);
    (void)outer(&w, "echo", 60000);
    uint64_t parent = take(&w, "echo/0"), r[3];
    for (unsigned i = 0; i < 3; i++) {
        r[i] = inner(&w, i % 2 == 0 ? "echo/0" : "other/0", parent,
                     i % 2 == 0 ? "'other','echo',60000" : "'echo','echo',60000", "");
        parent = take(&w, i % 2 == 0 ? "other/0" : "echo/0");
        cr_assert(parent != 0, "level %u", i);
    }
    cancelled(&w);
    for (unsigned i = 0; i < 3; i++) {
        expect_says(&w, r[i], " 1 1 'the call inside which it was made has ended' null");
    }
    cr_assert(hub_counts(w.hub).unfinished == 0, "something is left");
    world_deinit(&w);
}

Test(nest, what_was_made_inside_a_call_that_returned_goes_on)
{
    struct world w;
    begin(&w, NULL, 1);
    const uint64_t r = outer(&w, "echo", 60000), parent = world_given(&w, "echo/0");
    const uint64_t inside = inner(&w, "echo/0", parent, "'other','echo',60000", "");
    world_done(&w, "echo/0", parent);
    expect_text(&w, r, "RESULT 1 'done'");
    expect_waits(&w, inside);
    world_done(&w, "other/0", world_given(&w, "other/0"));
    expect_says(&w, inside, "RESULT ");
    world_deinit(&w);
}

Test(nest, what_was_made_inside_in_the_background_has_its_own_time_and_is_not_cancelled)
{
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct world w;
        begin(&w, NULL, 1);
        (void)outer(&w, "echo", 20000);
        const uint64_t r = inner(&w, "echo/0", world_given(&w, "echo/0"), "'other','echo',0",
                                 ",'background':true");
        expect_says(&w, r, "PENDING ");
        const uint64_t number = world_given(&w, "other/0");
        ends[i](&w);
        world_pass_ms(&w, 30000);
        cr_assert(hub_counts(w.hub).unfinished == 1, "%zu: it was cancelled", i);
        world_done(&w, "other/0", number);
        cr_assert(hub_counts(w.hub).unfinished == 0, "something is left");
        world_deinit(&w);
    }
}

Test(nest, what_was_made_inside_a_part_ends_with_the_whole)
{
    struct world w;
    begin(&w, NULL, 1);
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','echo',60000,{'map':'completed'},[[1],[2]]]");
    const uint64_t r = inner(&w, "echo/0", world_given(&w, "echo/0"), "'other','echo',60000", "");
    const uint64_t more =
        inner(&w, "echo/0", world_given(&w, "echo/0"), "'other','echo',60000", ",'map':'ordered'");
    cancelled(&w);
    expect_says(&w, r, " 1 1 'the call inside which it was made has ended' null");
    expect_says(&w, more, " 1 0 'the call inside which it was made has ended' null");
    cr_assert(hub_counts(w.hub).unfinished == 0, "something is left");
    world_deinit(&w);
}

Test(nest, a_replica_that_dies_with_both_calls_ends_both)
{
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        begin(&w, NULL, 2);
        const uint64_t r = outer(&w, i == 0 ? "echo" : "again", 60000);
        const uint64_t inside = inner(&w, "echo/0", take(&w, "echo/0"), "'echo','again',60000", "");
        cr_assert(take(&w, "echo/0") != 0, "it has room for two");
        died(&w);
        expect_says(&w, inside, " 1 1 'the call inside which it was made has ended' null");
        world_pass_ms(&w, 1000);
        world_serve(&w, "echo/0");
        cr_assert((world_given(&w, "echo/0") != 0) == (i == 1), "%s", world_text(&w, r));
        world_deinit(&w);
    }
}

Test(nest, one_cannot_be_made_inside_a_call_that_has_ended)
{
    struct world w;
    begin(&w, NULL, 1);
    (void)outer(&w, "echo", 60000);
    const uint64_t parent = world_given(&w, "echo/0");
    cancelled(&w);
    static const char *const options[] = {"", ",'background':true", ",'map':'ordered'"};
    for (size_t i = 0; i < 3; i++) {
        const uint64_t r = inner(&w, "echo/0", parent, "'other','echo',60000", options[i]);
        expect_says(&w, r,
                    " 1 0 'the call that the option parent names does not run (any more)' null");
    }
    cr_assert(world_given(&w, "other/0") == 0, "it was run");
    world_deinit(&w);
}

/* ---- who could never begin ---------------------------------------------------------------------
 */

#define NEVER                                                                                      \
    " 9 0 'it could never begin: the calls inside which it was made occupy its worker' null"

static void
two(struct worker_spec *spec)
{
    spec->replicas = 2;
}

Test(nest, a_replica_that_calls_itself_alone_is_refused_at_once)
{
    static const char *const targets[] = {"'echo','echo',60000", "'echo/0','echo',60000",
                                          "'echo','same',60000"};
    struct world w;
    begin(&w, NULL, 1);
    (void)outer(&w, "same", 60000);
    const uint64_t parent = world_given(&w, "echo/0");
    for (size_t i = 0; i < 3; i++) {
        expect_says(&w, inner(&w, "echo/0", parent, targets[i], ""), NEVER);
    }
    expect_says(&w, inner(&w, "echo/0", parent, targets[0], ",'key':'k'"), NEVER);
    expect_says(&w, inner(&w, "echo/0", parent, targets[0], ",'map':'ordered'"), NEVER);
    world_deinit(&w);
}

Test(nest, a_replica_may_leave_itself_a_call_in_the_background)
{
    struct world w;
    begin(&w, NULL, 1);
    (void)outer(&w, "echo", 60000);
    const uint64_t parent = world_given(&w, "echo/0");
    const uint64_t r = inner(&w, "echo/0", parent, "'echo','echo',60000", ",'background':true");
    expect_says(&w, r, "PENDING ");
    world_done(&w, "echo/0", parent);
    cr_assert(world_given(&w, "echo/0") > parent, "it is its turn now");
    world_deinit(&w);
}

Test(nest, a_circle_of_two_workers_is_refused_where_it_closes)
{
    struct world w;
    begin(&w, NULL, 1);
    (void)outer(&w, "echo", 60000);
    const uint64_t there =
        inner(&w, "echo/0", world_given(&w, "echo/0"), "'other','echo',60000", "");
    const uint64_t back =
        inner(&w, "other/0", world_given(&w, "other/0"), "'echo','echo',60000", "");
    expect_says(&w, back, NEVER);
    expect_waits(&w, there);
    world_deinit(&w);
}

Test(nest, with_two_replicas_one_may_call_the_other_and_that_none_any_more)
{
    struct world w;
    begin(&w, two, 1);
    (void)outer(&w, "echo", 60000);
    const uint64_t parent = world_given(&w, "echo/0");
    expect_says(&w, inner(&w, "echo/0", parent, "'echo/0','echo',60000", ""), NEVER);
    const uint64_t r = inner(&w, "echo/0", parent, "'echo','echo',60000", "");
    expect_waits(&w, r); /* for one that is about to start */
    world_serve(&w, "echo/1");
    const uint64_t second = world_given(&w, "echo/1");
    cr_assert(second != 0, "the other one has room");
    expect_says(&w, inner(&w, "echo/1", second, "'echo','echo',60000", ""), NEVER);
    const uint64_t each = inner(&w, "echo/0", parent, "'echo/*','echo',60000", "");
    expect_says(&w, each, "[0, 1, [9, 0, ");
    world_deinit(&w);
}

Test(nest, a_replica_with_room_for_two_may_call_itself_once)
{
    struct world w;
    begin(&w, NULL, 2);
    (void)outer(&w, "echo", 60000);
    const uint64_t r = inner(&w, "echo/0", take(&w, "echo/0"), "'echo','echo',60000", "");
    expect_waits(&w, r);
    const uint64_t second = take(&w, "echo/0");
    cr_assert(second != 0, "it has room");
    expect_says(&w, inner(&w, "echo/0", second, "'echo','echo',60000", ""), NEVER);
    world_deinit(&w);
}

Test(nest, a_key_whose_replica_is_occupied_is_refused_though_others_are_free)
{
    struct world w;
    unsigned refused = 0;
    begin(&w, two, 1);
    (void)outer(&w, "echo", 60000);
    world_serve(&w, "echo/1");
    const uint64_t parent = world_given(&w, "echo/0");
    for (unsigned i = 0; i < 40; i++) {
        char key[24];
        (void)snprintf(key, sizeof key, ",'key':'k%u'", i);
        const uint64_t r = inner(&w, "echo/0", parent, "'echo','echo',60000", key);
        const bool never = world_says(&w, r, NEVER);
        cr_assert(never || world_reply(&w, r) == NULL, "%s", world_text(&w, r));
        refused += never;
    }
    cr_assert(refused > 5 && refused < 35, "%u of 40 are keys of this replica", refused);
    /* What was not refused is for the other one. */
    for (uint64_t number; (number = world_given(&w, "echo/1")) != 0;) {
        world_done(&w, "echo/1", number);
        refused++;
    }
    cr_assert(refused == 40, "%u", refused);
    world_deinit(&w);
}

Test(nest, a_call_does_not_wait_for_an_equal_one_that_waits_for_it)
{
    struct world w;
    begin(&w, two, 1);
    world_serve(&w, "echo/1");
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','same',60000,null,[[1]]]");
    const uint64_t r = inner(&w, "echo/0", world_given(&w, "echo/0"), "'echo','same',60000", "");
    cr_assert(world_given(&w, "echo/1") != 0, "it waits for its own outer call");
    world_done(&w, "echo/1", world_given(&w, "echo/1"));
    expect_says(&w, r, "RESULT ");
    world_deinit(&w);
}

Test(nest, calls_are_made_inside_calls_32_deep)
{
    struct world w;
    begin(&w, NULL, 100);
    (void)outer(&w, "echo", 60000);
    uint64_t parent = take(&w, "echo/0");
    for (unsigned depth = 2; depth <= WIRE_NESTING_MAX; depth++) {
        expect_waits(&w, inner(&w, "echo/0", parent, "'echo','echo',60000", ""));
        parent = take(&w, "echo/0");
        cr_assert(parent != 0, "%u", depth);
    }
    expect_says(&w, inner(&w, "echo/0", parent, "'echo','echo',60000", ""),
                " 9 0 'calls are made inside calls 32 deep at most' null");
    cancelled(&w);
    cr_assert(hub_counts(w.hub).unfinished == 0, "all are cancelled");
    world_deinit(&w);
}
