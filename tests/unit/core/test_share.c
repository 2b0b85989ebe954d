/* Equal calls of a shared method in flight are answered by one run; who cannot be answered by it
 * goes its own way, and each has exactly one outcome. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

/* Clients 1 to 5 are connections 1 to 5. */
enum { A = 1, B, C, D, CLIENTS = 5 };

static void
begin(struct world *w, void (*set)(struct worker_spec *))
{
    world_init(w);
    w->capacity = 1;
    world_worker(w, "echo", set);
    world_configured(w);
    for (unsigned i = 1; i <= CLIENTS; i++) {
        world_open(w, i);
    }
    world_serve(w, "echo/0");
}

static uint64_t
ask(struct world *w, unsigned client, unsigned seq, const char *rest)
{
    return world_say(w, client, "[2,b'client number%3x',%u,0,%s]", client, seq, rest);
}

/* The first call of a client, equal to those of the others. */
static uint64_t
same(struct world *w, unsigned client)
{
    return ask(w, client, 1, "'echo','same',60000,null,[1]");
}

static void
cancel(struct world *w, unsigned client)
{
    (void)world_say(w, client, "[4,b'client number%3x',1]", client);
}

/* A REPORT of one item with a POLL behind it. */
static void
report(struct world *w, const char *name, uint64_t number, unsigned kind, const char *payload)
{
    struct process *p = world_process(w, name);
    p->request =
        world_say(w, p->peer, "[18,'%s',%llu,[[%llu,%u,%s]]] [17,'%s',%llu,%llu,1]", name,
                  (unsigned long long)p->session, (unsigned long long)number, kind, payload, name,
                  (unsigned long long)p->session, (unsigned long long)p->taken);
}

static void
dies(struct world *w, const char *name)
{
    world_exited(w, name, 9);
    world_pass_ms(w, 1000);
    world_serve(w, name);
}

#define expect_text(w, r, want) cr_assert_str_eq(world_text(w, r), want, "%s", world_text(w, r))
#define expect_waits(w, r)      cr_assert(world_reply(w, r) == NULL, "%s", world_text(w, r))

/* ---- one run -----------------------------------------------------------------------------------
 */

static void
two(struct worker_spec *spec)
{
    spec->replicas = 2;
}

Test(share, equal_calls_in_flight_are_answered_by_one_run)
{
    struct world w;
    begin(&w, two);
    world_serve(&w, "echo/1");
    const uint64_t a = same(&w, A), b = same(&w, B);
    const uint64_t number = world_given(&w, "echo/0");
    const uint64_t c = same(&w, C);
    cr_assert(number != 0 && world_given(&w, "echo/1") == 0, "it was given twice");
    report(&w, "echo/0", number, 0, "7");
    expect_text(&w, a, "RESULT 1 7");
    expect_text(&w, b, "RESULT 1 7");
    expect_text(&w, c, "RESULT 1 7");
    cr_assert(world_given(&w, "echo/0") == 0 && world_given(&w, "echo/1") == 0, "it ran again");
    const uint64_t later = same(&w, D);
    cr_assert(world_given(&w, "echo/0") != 0 || world_given(&w, "echo/1") != 0, "nothing is kept");
    expect_waits(&w, later);
    world_deinit(&w);
}

Test(share, a_repeat_of_a_call_that_follows_waits_for_the_same_outcome)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t a = same(&w, A), b = same(&w, B), again = same(&w, B);
    const uint64_t waits = world_say(&w, B, "[3,b'client number%3x',1,0]", B);
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "7");
    const uint64_t all[] = {a, b, again, waits};
    for (size_t i = 0; i < 4; i++) {
        expect_text(&w, all[i], "RESULT 1 7");
    }
    expect_text(&w, same(&w, B), "RESULT 1 7");
    world_deinit(&w);
}

Test(share, what_is_not_equal_or_not_to_be_shared_runs_by_itself)
{
    static const char *const others[] = {
        "'echo','same',60000,null,[2]",
        "'echo','same',60000,null,{'a':1}",
        "'echo','again',60000,null,[1]",
        "'echo/1','same',60000,null,[1]",
        "'echo/0','same',60000,null,[1]",
        "'echo','same',60000,{'key':'k'},[1]",
        "'echo','same',60000,{'policy':'idempotent'},[1]",
        "'echo','same',60000,{'policy':'once'},[1]",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct world w;
        begin(&w, two);
        const uint64_t a = same(&w, A);
        const uint64_t number = world_given(&w, "echo/0");
        const uint64_t b = ask(&w, B, 1, others[i]);
        report(&w, "echo/0", number, 0, "7");
        expect_text(&w, a, "RESULT 1 7");
        expect_waits(&w, b);
        world_serve(&w, "echo/1");
        cr_assert(world_given(&w, "echo/0") != 0 || world_given(&w, "echo/1") != 0, "%s",
                  others[i]);
        world_deinit(&w);
    }
}

Test(share, calls_with_one_key_share_and_those_with_another_do_not)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t a = ask(&w, A, 1, "'echo','same',60000,{'key':'k'},[1]");
    const uint64_t b = ask(&w, B, 1, "'echo','same',60000,{'key':'k'},[1]");
    const uint64_t c = ask(&w, C, 1, "'echo','same',60000,{'key':'l'},[1]");
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, a, "RESULT 1 7");
    expect_text(&w, b, "RESULT 1 7");
    expect_waits(&w, c);
    world_deinit(&w);
}

static void
no_queue(struct worker_spec *spec)
{
    spec->queue_max = 0;
}

Test(share, who_can_be_answered_by_a_run_needs_no_place_in_the_queue)
{
    struct world w;
    begin(&w, no_queue);
    const uint64_t a = same(&w, A), b = same(&w, B);
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, a, "RESULT 1 7");
    expect_text(&w, b, "RESULT 1 7");
    world_deinit(&w);
}

Test(share, equal_argument_sets_of_one_call_are_answered_by_one_run)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t r = ask(&w, A, 1, "'echo','same',60000,{'map':'ordered'},[[1],[2],[1],[1]]");
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "11");
    expect_text(&w, r, "PARTIAL 1 0 null [[0, 0, 11]]");
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "22");
    const uint64_t rest = world_say(&w, A, "[3,b'client number%3x',1,1]", A);
    expect_text(&w, rest, "PARTIAL 1 1 null [[1, 0, 22], [2, 0, 11], [3, 0, 11]]");
    world_deinit(&w);
}

/* ---- errors ------------------------------------------------------------------------------------
 */

Test(share, an_error_of_the_worker_holds_for_all)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t a = same(&w, A), b = same(&w, B);
    report(&w, "echo/0", world_given(&w, "echo/0"), 1, "[3,2,'no such file',{'type':'OSError'}]");
    expect_text(&w, a, "ERROR 1 3 2 'no such file' {'type': 'OSError'}");
    expect_text(&w, b, "ERROR 1 3 2 'no such file' {'type': 'OSError'}");
    world_deinit(&w);
}

Test(share, what_did_not_begin_in_the_last_run_may_have_begun_in_one_before)
{
    struct world w;
    begin(&w, NULL);
    (void)same(&w, A);
    const uint64_t first = world_given(&w, "echo/0");
    const uint64_t b = same(&w, B), c = same(&w, C);
    cancel(&w, A); /* it runs all the same, and B goes its own way */
    report(&w, "echo/0", first, 0, "7");
    report(&w, "echo/0", world_given(&w, "echo/0"), 1, "[14,0,'not now',null]");
    expect_text(&w, b, "ERROR 1 14 1 'not now' null");
    expect_text(&w, c, "ERROR 1 14 1 'not now' null");
    world_deinit(&w);
}

/* ---- the leader goes ---------------------------------------------------------------------------
 */

Test(share, when_the_first_is_cancelled_while_it_waits_the_next_takes_its_place)
{
    struct world w;
    begin(&w, NULL);
    (void)ask(&w, D, 1, "'echo','echo',60000,null,{}");
    const uint64_t a = same(&w, A), b = same(&w, B), c = same(&w, C);
    cancel(&w, A);
    cr_assert(world_says(&w, a, "ERROR 1 1 0 "), "%s", world_text(&w, a));
    cancel(&w, C);
    cr_assert(world_says(&w, c, "ERROR 1 1 0 "), "%s", world_text(&w, c));
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, b, "RESULT 1 7");
    cr_assert(world_given(&w, "echo/0") == 0, "it ran again");
    world_deinit(&w);
}

Test(share, when_the_first_is_cancelled_while_it_runs_the_others_have_a_run_of_their_own)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t a = same(&w, A), b = same(&w, B), c = same(&w, C), d = same(&w, D);
    const uint64_t first = world_given(&w, "echo/0");
    cancel(&w, A);
    cr_assert(world_says(&w, a, "ERROR 1 1 1 "), "%s", world_text(&w, a));
    cancel(&w, D);
    cr_assert(world_says(&w, d, "ERROR 1 1 1 "), "the first run may have begun for it, too");
    report(&w, "echo/0", first, 0, "6");
    expect_waits(&w, b);
    const uint64_t second = world_given(&w, "echo/0");
    cr_assert(second > first, "no second run");
    report(&w, "echo/0", second, 0, "7");
    expect_text(&w, b, "RESULT 1 7");
    expect_text(&w, c, "RESULT 1 7");
    world_deinit(&w);
}

Test(share, each_has_a_deadline_of_its_own)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t a = ask(&w, A, 1, "'echo','same',1000,null,[1]");
    const uint64_t b = ask(&w, B, 1, "'echo','same',500,null,[1]");
    const uint64_t c = ask(&w, C, 1, "'echo','same',3000,null,[1]");
    const uint64_t first = world_given(&w, "echo/0");
    world_pass_ms(&w, 500);
    cr_assert(world_says(&w, b, "ERROR 1 4 1 "), "%s", world_text(&w, b));
    expect_waits(&w, a);
    world_pass_ms(&w, 500);
    cr_assert(world_says(&w, a, "ERROR 1 4 1 "), "%s", world_text(&w, a));
    expect_waits(&w, c);
    report(&w, "echo/0", first, 0, "6");
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, c, "RESULT 1 7");
    world_deinit(&w);
}

Test(share, one_that_waits_for_a_call_that_waits_has_not_begun_when_its_deadline_passes)
{
    struct world w;
    begin(&w, NULL);
    (void)ask(&w, D, 1, "'echo','echo',60000,null,{}");
    (void)same(&w, A);
    const uint64_t b = ask(&w, B, 1, "'echo','same',500,null,[1]");
    world_pass_ms(&w, 500);
    expect_text(&w, b, "ERROR 1 4 0 'no replica was free before the deadline' null");
    world_deinit(&w);
}

Test(share, when_the_worker_dies_once_all_are_answered_by_the_second_run)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t a = same(&w, A), b = same(&w, B);
    dies(&w, "echo/0");
    const uint64_t c = same(&w, C);
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, a, "RESULT 1 7");
    expect_text(&w, b, "RESULT 1 7");
    expect_text(&w, c, "RESULT 1 7");
    world_deinit(&w);
}

Test(share, when_the_worker_dies_twice_each_is_told_once_and_nobody_tries_a_third_time)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t a = same(&w, A), b = same(&w, B), c = same(&w, C);
    dies(&w, "echo/0");
    dies(&w, "echo/0");
    cr_assert(world_says(&w, a, "ERROR 1 10 1 "), "%s", world_text(&w, a));
    cr_assert(world_says(&w, b, "ERROR 1 9 1 "), "%s", world_text(&w, b));
    cr_assert(world_says(&w, c, "ERROR 1 9 1 "), "%s", world_text(&w, c));
    cr_assert(world_given(&w, "echo/0") == 0, "it is poison");
    world_deinit(&w);
}

Test(share, when_the_client_of_the_first_leaves_the_others_go_on)
{
    struct world w;
    begin(&w, NULL);
    (void)same(&w, A);
    const uint64_t b = same(&w, B), first = world_given(&w, "echo/0");
    world_close(&w, A);
    world_pass_ms(&w, WIRE_AWAY_MS);
    expect_waits(&w, b);
    report(&w, "echo/0", first, 0, "6");
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, b, "RESULT 1 7");
    world_deinit(&w);
}

Test(share, when_the_client_of_a_follower_leaves_the_first_goes_on)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t a = same(&w, A);
    (void)same(&w, B);
    world_close(&w, B);
    world_pass_ms(&w, WIRE_AWAY_MS);
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, a, "RESULT 1 7");
    cr_assert(hub_counts(w.hub).unfinished == 0, "something is left");
    world_deinit(&w);
}

Test(share, many_may_go_one_after_another_without_comparing_all_with_all)
{
    struct world w;
    begin(&w, NULL);
    for (unsigned c = 0; c < 16; c++) {
        world_open(&w, 1000 + c);
        for (unsigned i = 1; i <= 200; i++) {
            (void)world_say(&w, 1000 + c,
                            "[2,b'client number%3x',%u,0,'echo','same',20000,null,[<4000>]]",
                            c + 100, i);
        }
    }
    world_pass_ms(&w, 20000); /* this takes long when it is done in the square of their number */
    cr_assert(hub_counts(w.hub).unfinished == 0, "all have ended");
    world_deinit(&w);
}

Test(share, when_the_worker_is_stopped_all_are_told)
{
    struct world w;
    begin(&w, NULL);
    (void)ask(&w, D, 1, "'echo','echo',60000,null,{}");
    const uint64_t a = same(&w, A), b = same(&w, B);
    cr_assert(world_admin(&w, "stop", "worker", "echo") == 0, "stop");
    world_exited(&w, "echo/0", 0);
    cr_assert(world_says(&w, a, "ERROR 1 14 0 "), "%s", world_text(&w, a));
    cr_assert(world_says(&w, b, "ERROR 1 14 0 "), "%s", world_text(&w, b));
    world_deinit(&w);
}

Test(share, a_method_that_yields_gives_its_items_to_one_and_runs_again_for_the_others)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t a = same(&w, A), b = same(&w, B), c = same(&w, C);
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t number = world_given(&w, "echo/0");
        cr_assert(number != 0, "run %u", i);
        report(&w, "echo/0", number, 2, "[0,['x','y']]");
        report(&w, "echo/0", number, 0, "'end'");
    }
    const uint64_t all[] = {a, b, c};
    for (unsigned i = 0; i < 3; i++) {
        expect_text(&w, all[i], "PARTIAL 1 0 null ['x', 'y']");
        const uint64_t r = world_say(&w, A + i, "[3,b'client number%3x',1,2]", A + i);
        expect_text(&w, r, "RESULT 1 'end'");
    }
    cr_assert(world_given(&w, "echo/0") == 0, "a fourth run");
    world_deinit(&w);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

Test(share, a_call_of_equal_sets_ends_at_once_when_nobody_may_take_its_place)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t other = ask(&w, B, 1, "'echo','same',60000,null,[1]");
    const uint64_t r = ask(&w, A, 1, "'echo','same',60000,{'map':'ordered'},[[1],[1],[2],[2],[2]]");
    world_stop(&w); /* whoever is sent on is refused from now on */
    cancel(&w, A);
    cr_assert(world_says(&w, r, "ERROR 1 1 "), "%s", world_text(&w, r));
    cr_assert(hub_counts(w.hub).unfinished == 1, "the other one");
    report(&w, "echo/0", world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, other, "RESULT 1 7");
    world_deinit(&w);
}

Test(share, the_hub_may_end_while_calls_follow_others)
{
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        begin(&w, NULL);
        (void)ask(&w, C, 1, "'echo','same',60000,{'map':'ordered'},[[1],[1],[2],[2],[2]]");
        (void)same(&w, A);
        (void)same(&w, B);
        (void)ask(&w, D, 1, "'echo','same',60000,{'map':'completed'},[[1],[1],[2],[2],[2]]");
        if (i > 0) {
            world_stop(&w);
        }
        world_deinit(&w);
    }
}
