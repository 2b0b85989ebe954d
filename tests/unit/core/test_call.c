/* A call from its request to its outcome: waiting, progress, cancelling, and how long what is kept.
 */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { ONE = 1 };

#define ID "sixteen bytes id"

static void
begin(struct world *w)
{
    world_init(w);
    world_worker(w, "echo", NULL);
    world_configured(w);
    world_open(w, ONE);
    world_serve(w, "echo/0");
}

static uint64_t
call(struct world *w, unsigned seq, const char *options)
{
    return world_say(w, ONE, "[2,b'" ID "',%u,0,'echo','echo',3600000,%s,{}]", seq, options);
}

static uint64_t
wait_for(struct world *w, unsigned seq)
{
    return world_say(w, ONE, "[3,b'" ID "',%u,0]", seq);
}

/* A REPORT of one item with a POLL behind it. */
static void
report(struct world *w, uint64_t number, unsigned kind, const char *payload)
{
    struct process *p = world_process(w, "echo/0");
    p->request =
        world_say(w, p->peer, "[18,'echo/0',%llu,[[%llu,%u,%s]]] [17,'echo/0',%llu,%llu,1]",
                  (unsigned long long)p->session, (unsigned long long)number, kind, payload,
                  (unsigned long long)p->session, (unsigned long long)p->taken);
}

#define expect_text(w, r, want) cr_assert_str_eq(world_text(w, r), want, "%s", world_text(w, r))

/* ---- waiting -----------------------------------------------------------------------------------
 */

Test(call, one_that_takes_long_is_pending_after_25_s_and_is_waited_for)
{
    struct world w;
    begin(&w);
    uint64_t r = call(&w, 1, "null");
    const uint64_t number = world_given(&w, "echo/0");
    for (int i = 0; i < 3; i++) {
        world_pass_ms(&w, WIRE_PARK_MS - 1);
        cr_assert(world_reply(&w, r) == NULL, "too early");
        world_pass_ms(&w, 1);
        expect_text(&w, r, "PENDING 1");
        r = wait_for(&w, 1);
    }
    report(&w, number, 0, "'done'");
    expect_text(&w, r, "RESULT 1 'done'");
    r = wait_for(&w, 1);
    expect_text(&w, r, "RESULT 1 'done'");
    world_deinit(&w);
}

Test(call, several_may_wait_for_one_outcome)
{
    struct world w;
    begin(&w);
    const uint64_t a = call(&w, 1, "null"), b = call(&w, 1, "null"), c = wait_for(&w, 1);
    report(&w, world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, a, "RESULT 1 7");
    expect_text(&w, b, "RESULT 1 7");
    expect_text(&w, c, "RESULT 1 7");
    world_deinit(&w);
}

Test(call, an_unknown_one_cannot_be_waited_for)
{
    struct world w;
    begin(&w);
    expect_text(&w, wait_for(&w, 9), "ERROR 9 5 1 'the hub does not know this call' null");
    const uint64_t r = world_say(&w, ONE, "[3,null,9,0]");
    expect_text(&w, r, "ERROR 9 3 0 'WAIT needs the client id of the call' null");
    world_deinit(&w);
}

Test(call, the_default_time_to_live_is_30_s)
{
    struct world w;
    begin(&w);
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','echo',0,null,{}]");
    world_pass_ms(&w, WIRE_TTL_MS_DEFAULT - 1);
    uint64_t r = wait_for(&w, 1);
    cr_assert(world_reply(&w, r) == NULL, "too early");
    world_pass_ms(&w, 1);
    cr_assert(world_says(&w, r, "ERROR 1 4 1"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(call, the_worker_is_told_how_much_time_is_left)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_configured(&w);
    world_open(&w, ONE);
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','echo',9000,null,{'a':[1,'x']}]");
    world_pass_ms(&w, 2500);
    world_serve(&w, "echo/0");
    const uint64_t r = world_process(&w, "echo/0")->request;
    cr_assert(world_says(&w, r, "'echo', 6500, 'pid 101 uid 0', null, {'a': [1, 'x']}]]"), "%s",
              world_text(&w, r));
    world_deinit(&w);
}

/* ---- how long an outcome is kept ----------------------------------------------------------------
 */

Test(call, an_outcome_is_kept_for_a_minute_then_only_that_there_was_one)
{
    struct world w;
    begin(&w);
    (void)call(&w, 1, "null");
    report(&w, world_given(&w, "echo/0"), 0, "7");
    world_pass_ms(&w, WIRE_KEEP_MS - 1);
    expect_text(&w, call(&w, 1, "null"), "RESULT 1 7");
    world_pass_ms(&w, 1);
    const uint64_t r = call(&w, 1, "null");
    cr_assert(world_says(&w, r, "ERROR 1 15 1"), "%s", world_text(&w, r));
    cr_assert(world_given(&w, "echo/0") == 0, "it ran again");
    world_pass_ms(&w, 10 * WIRE_KEEP_MS);
    cr_assert(world_says(&w, wait_for(&w, 1), "ERROR 1 15 1"), "for as long as the client is here");
    world_deinit(&w);
}

Test(call, the_outcome_of_one_who_left_goes_with_him)
{
    struct world w;
    begin(&w);
    (void)call(&w, 1, "null");
    report(&w, world_given(&w, "echo/0"), 0, "7");
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_KEEP_MS + 5000);
    cr_assert(hub_counts(w.hub).calls == 0, "it is kept");
    world_pass_ms(&w, WIRE_REMEMBER_MS - WIRE_KEEP_MS);
    cr_assert(hub_counts(w.hub).clients == 0, "something is kept");
    world_deinit(&w);
}

Test(call, bytes_are_counted_while_they_are_held)
{
    struct world w;
    begin(&w);
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','echo',0,null,[<100000>]]");
    cr_assert(hub_counts(w.hub).payload_bytes >= 100000, "arguments");
    report(&w, world_given(&w, "echo/0"), 0, "<50000>");
    const size_t held = hub_counts(w.hub).payload_bytes;
    cr_assert(held >= 50000 && held < 100000, "%zu bytes", held);
    (void)call(&w, 2, "null");
    (void)world_say(&w, ONE, "[2,b'" ID "',3,2,'hub','status',0,null,{}]");
    cr_assert(hub_counts(w.hub).payload_bytes < 50000, "%zu bytes",
              hub_counts(w.hub).payload_bytes);
    world_deinit(&w);
}

/* ---- progress -----------------------------------------------------------------------------------
 */

Test(call, progress_is_told_to_whoever_asked_for_it)
{
    struct world w;
    begin(&w);
    uint64_t r = call(&w, 1, "{'progress':true}");
    const uint64_t number = world_given(&w, "echo/0");
    report(&w, number, 3, "[5,'half']");
    expect_text(&w, r, "PARTIAL 1 0 [5, 'half'] []");
    r = wait_for(&w, 1);
    cr_assert(world_reply(&w, r) == NULL, "the same is told once");
    report(&w, number, 0, "'done'");
    expect_text(&w, r, "RESULT 1 'done'");
    world_deinit(&w);
}

Test(call, only_the_newest_progress_waits_for_who_comes_back)
{
    struct world w;
    begin(&w);
    (void)call(&w, 1, "{'progress':true}");
    const uint64_t number = world_given(&w, "echo/0");
    world_pass_ms(&w, WIRE_PARK_MS);
    report(&w, number, 3, "[1,'first']");
    report(&w, number, 3, "[2,'second']");
    expect_text(&w, wait_for(&w, 1), "PARTIAL 1 0 [2, 'second'] []");
    cr_assert(world_reply(&w, wait_for(&w, 1)) == NULL, "the same is told once");
    world_deinit(&w);
}

Test(call, progress_that_nobody_asked_for_is_dropped)
{
    static const char *const options[] = {"null", "{}", "{'progress':false}", "{'other':true}"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct world w;
        begin(&w);
        const uint64_t r = call(&w, 1, options[i]);
        const uint64_t number = world_given(&w, "echo/0");
        report(&w, number, 3, "[1,'first']");
        cr_assert(world_reply(&w, r) == NULL, "%s: %s", options[i], world_text(&w, r));
        report(&w, number, 0, "1");
        report(&w, number, 3, "[1,'late']");
        world_deinit(&w);
    }
}

Test(call, progress_is_not_for_those_who_cannot_wait_again)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_say(&w, ONE, "[2,null,1,0,'echo','echo',0,{'progress':true},{}]");
    report(&w, world_given(&w, "echo/0"), 3, "[1,'first']");
    cr_assert(world_reply(&w, r) == NULL, "%s", world_text(&w, r));
    world_deinit(&w);
}

/* ---- errors of the worker -----------------------------------------------------------------------
 */

struct outcome {
    unsigned kind;
    const char *payload, *text;
};

static const struct outcome outcomes[] = {
    {0, "null", "RESULT 1 null"},
    {0, "[{'a':b'bytes'}]", "RESULT 1 [{'a': <5>}]"},
    {1, "[3,2,'no such file',{'type':'OSError'}]",
     "ERROR 1 3 2 'no such file' {'type': 'OSError'}"},
    {1, "[9,0,'later',null]", "ERROR 1 9 0 'later' null"},
    {1, "'oops'",
     "ERROR 1 13 2 'the worker reported an error that is not [code, began, message, "
     "details]' null"},
    {1, "[3,2,7,null]",
     "ERROR 1 13 2 'the worker reported an error that is not [code, began, message, "
     "details]' null"},
    {2, "[1,2]",
     "ERROR 1 13 2 'the worker reported items that are not [number of the first, [items]], or left "
     "some out' null"},
};

Test(call, results_and_errors_of_the_worker_are_passed_on)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        struct world w;
        begin(&w);
        const uint64_t r = call(&w, 1, "null");
        report(&w, world_given(&w, "echo/0"), outcomes[i].kind, outcomes[i].payload);
        expect_text(&w, r, outcomes[i].text);
        world_deinit(&w);
    }
}

/* ---- cancelling ---------------------------------------------------------------------------------
 */

Test(call, to_cancel_what_is_unknown_or_done_is_acknowledged_all_the_same)
{
    struct world w;
    begin(&w);
    expect_text(&w, world_say(&w, ONE, "[4,b'" ID "',9]"), "ACK 9 0");
    expect_text(&w, world_say(&w, ONE, "[4,null,9]"), "ACK 9 0");
    (void)call(&w, 1, "null");
    report(&w, world_given(&w, "echo/0"), 0, "7");
    expect_text(&w, world_say(&w, ONE, "[4,b'" ID "',1]"), "ACK 1 0");
    expect_text(&w, wait_for(&w, 1), "RESULT 1 7");
    world_deinit(&w);
}

Test(call, the_replica_of_a_cancelled_call_is_busy_until_it_says_otherwise)
{
    struct world w;
    begin(&w);
    (void)call(&w, 1, "null");
    const uint64_t number = world_given(&w, "echo/0");
    (void)world_say(&w, ONE, "[4,b'" ID "',1]");
    expect_state(&w, "echo/0", "busy");
    report(&w, number, 0, "'too late'");
    expect_state(&w, "echo/0", "ready");
    cr_assert(world_says(&w, wait_for(&w, 1), "ERROR 1 1 1"), "the outcome stands");
    world_deinit(&w);
}

Test(call, one_that_was_given_up_and_forgotten_ends_quietly)
{
    struct world w;
    begin(&w);
    (void)call(&w, 1, "null");
    const uint64_t number = world_given(&w, "echo/0");
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_AWAY_MS + WIRE_REMEMBER_MS);
    cr_assert(hub_counts(w.hub).clients == 0, "nobody is left");
    report(&w, number, 0, "7");
    cr_assert(hub_counts(w.hub).calls == 0, "something is kept");
    /* Its worker may forget what it kept. */
    const uint64_t other = world_process(&w, "echo/0")->request;
    world_open(&w, 5);
    (void)world_say(&w, 5, "[2,b'another identity',1,0,'echo','echo',0,null,{}]");
    char want[40];
    (void)snprintf(want, sizeof want, "ACK [%llu] 0; ", (unsigned long long)number);
    cr_assert(strncmp(world_text(&w, other), want, strlen(want)) == 0, "%s", world_text(&w, other));
    world_deinit(&w);
}

/* ---- routing ------------------------------------------------------------------------------------
 */

static void
two(struct worker_spec *spec)
{
    spec->replicas = 2;
}

Test(call, one_for_a_replica_waits_for_that_replica)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", two);
    world_configured(&w);
    world_open(&w, ONE);
    world_serve(&w, "echo/0");
    const uint64_t r = world_say(&w, ONE, "[2,b'" ID "',1,0,'echo/1','echo',0,null,{}]");
    cr_assert(world_given(&w, "echo/0") == 0, "the wrong one got it");
    world_serve(&w, "echo/1");
    world_done(&w, "echo/1", world_given(&w, "echo/1"));
    cr_assert(world_outcome(&w, r, NULL) == 0, "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(call, those_for_anyone_and_for_one_replica_go_in_the_order_in_which_they_came)
{
    struct world w;
    begin(&w);
    (void)call(&w, 1, "null");
    static const char *const targets[] = {"echo", "echo/0", "echo", "echo/0"};
    for (unsigned i = 0; i < 4; i++) {
        (void)world_say(&w, ONE, "[2,b'" ID "',%u,0,'%s','echo',0,null,{}]", i + 2, targets[i]);
    }
    uint64_t last = 0;
    for (unsigned i = 0; i < 5; i++) {
        const uint64_t number = world_given(&w, "echo/0");
        cr_assert(number > last, "call %u came out of order", i);
        last = number;
        report(&w, number, 0, "null");
    }
    world_deinit(&w);
}

Test(call, several_are_given_at_once_to_one_that_has_room)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_configured(&w);
    world_open(&w, ONE);
    for (unsigned i = 1; i <= 4; i++) {
        (void)call(&w, i, "null");
    }
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 3);
    const struct record *work =
        world_expect(&w, world_process(&w, "echo/0")->request, 0, WIRE_REC_WORK);
    cr_assert(RECORD_FIELD(work, WORK, ITEMS)->item.count == 3, "three of four");
    world_deinit(&w);
}

Test(call, a_full_queue_says_when_to_come_again)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_configured(&w);
    uint64_t r = 0;
    for (unsigned i = 0; i < 1025; i++) {
        if (i % 200 == 0) {
            world_open(&w, 100 + i);
        }
        r = world_say(&w, 100 + i / 200 * 200,
                      "[2,b'client number%3x',%u,0,'echo','echo',0,null,{}]", i / 200, i + 1);
    }
    expect_text(&w, r,
                "ERROR 1025 8 0 'too many calls wait for this worker (queue_size)' "
                "{'retry_after_ms': 1000}");
    world_deinit(&w);
}

Test(call, one_that_comes_before_the_hub_has_started_its_workers_waits_for_them)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_open(&w, ONE);
    const uint64_t r = call(&w, 1, "null");
    cr_assert(world_reply(&w, r) == NULL, "%s", world_text(&w, r));
    world_configured(&w);
    world_serve(&w, "echo/0");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    expect_text(&w, r, "RESULT 1 'done'");
    world_deinit(&w);
}

static void
no_queue(struct worker_spec *spec)
{
    spec->queue_max = 0;
}

Test(call, a_worker_without_a_queue_takes_what_it_is_free_for)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", no_queue);
    world_configured(&w);
    world_open(&w, ONE);
    cr_assert(world_outcome(&w, call(&w, 1, "null"), NULL) == WIRE_ERR_RESOURCE_EXHAUSTED,
              "not yet");
    world_serve(&w, "echo/0");
    cr_assert(world_outcome(&w, call(&w, 2, "null"), NULL) == -1, "it is free");
    cr_assert(world_outcome(&w, call(&w, 3, "null"), NULL) == WIRE_ERR_RESOURCE_EXHAUSTED, "busy");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    const uint64_t r = world_say(&w, ONE, "[2,b'" ID "',4,0,'echo/0','echo',0,null,{}]");
    cr_assert(world_outcome(&w, r, NULL) == -1, "%s", world_text(&w, r));
    world_deinit(&w);
}
