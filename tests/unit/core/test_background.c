/* Calls in the background: answered when they are accepted, they run although their caller leaves,
 * and what became of them is kept for ten minutes and told as an event. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { ONE = 1, OTHER = 2, USER = 900 };

#define ID "sixteen bytes id"

static void
begin_with(struct world *w, const struct hub_options *options)
{
    cr_assert(world_init_with(w, options), "memory");
    w->capacity = 1;
    world_worker(w, "echo", NULL);
    world_configured(w);
    world_open(w, ONE);
    world_open(w, OTHER);
    world_serve(w, "echo/0");
}

static void
begin(struct world *w)
{
    struct hub_options options;
    world_options(&options);
    options.events_bytes = 1 << 20;
    begin_with(w, &options);
}

static uint64_t
leave(struct world *w, unsigned seq, unsigned ttl_ms)
{
    return world_say(w, ONE, "[2,b'" ID "',%u,0,'echo','echo',%u,{'background':true},[%u]]", seq,
                     ttl_ms, seq);
}

static uint64_t
wait_for(struct world *w, uint64_t peer, unsigned seq)
{
    return world_say(w, peer, "[3,b'" ID "',%u,0]", seq);
}

/* A REPORT of one item with a POLL behind it. */
static void
report(struct world *w, unsigned kind, const char *payload)
{
    struct process *p = world_process(w, "echo/0");
    const uint64_t number = world_given(w, "echo/0");
    cr_assert(number != 0, "nothing was given");
    p->request =
        world_say(w, p->peer, "[18,'echo/0',%llu,[[%llu,%u,%s]]] [17,'echo/0',%llu,%llu,1]",
                  (unsigned long long)p->session, (unsigned long long)number, kind, payload,
                  (unsigned long long)p->session, (unsigned long long)p->taken);
}

static uint64_t
fetch(struct world *w, const char *topic)
{
    return world_say(w, OTHER, "[6,null,['%s'],'oldest',10,1000000,0]", topic);
}

#define expect_text(w, r, want) cr_assert_str_eq(world_text(w, r), want, "%s", world_text(w, r))
#define expect_says(w, r, want) cr_assert(world_says(w, r, want), "%s", world_text(w, r))

/* ---- accepted ----------------------------------------------------------------------------------
 */

Test(background, it_is_answered_when_it_is_accepted_and_repeats_run_nothing_again)
{
    struct world w;
    begin(&w);
    expect_text(&w, leave(&w, 1, 0), "PENDING 1");
    expect_text(&w, leave(&w, 1, 0), "PENDING 1");
    const uint64_t r = wait_for(&w, ONE, 1);
    cr_assert(world_reply(&w, r) == NULL, "%s", world_text(&w, r));
    report(&w, 0, "7");
    expect_text(&w, r, "RESULT 1 7");
    expect_text(&w, leave(&w, 1, 0), "RESULT 1 7");
    expect_text(&w, wait_for(&w, ONE, 1), "RESULT 1 7");
    cr_assert(world_given(&w, "echo/0") == 0, "it ran again");
    world_deinit(&w);
}

Test(background, a_batch_of_them_is_answered_at_once)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_say(&w, ONE,
                                 "[2,b'" ID "',1,0,'echo','echo',0,{'background':true},[1]] "
                                 "[2,b'" ID "',2,0,'echo','echo',0,{'background':true},[2]] "
                                 "[2,b'" ID "',3,0,'echo','echo',0,{'background':false},[3]]");
    expect_text(&w, r, "PENDING 1; PENDING 2; PENDING 3");
    world_deinit(&w);
}

Test(background, any_program_of_the_same_user_asks_for_the_outcome_and_no_other)
{
    struct world w;
    begin(&w);
    (void)leave(&w, 1, 0);
    world_open(&w, USER);
    expect_text(&w, wait_for(&w, USER, 1),
                "ERROR 1 7 0 'this client id belongs to another user' null");
    world_close(&w, ONE);
    const uint64_t r = wait_for(&w, OTHER, 1);
    report(&w, 1, "[3,2,'no such file',null]");
    expect_text(&w, r, "ERROR 1 3 2 'no such file' null");
    expect_text(&w, wait_for(&w, OTHER, 1), "ERROR 1 3 2 'no such file' null");
    expect_text(&w, wait_for(&w, USER, 1),
                "ERROR 1 7 0 'this client id belongs to another user' null");
    world_deinit(&w);
}

Test(background, it_ends_by_its_deadline_and_by_who_cancels_it)
{
    struct world w;
    begin(&w);
    (void)leave(&w, 1, 2000);
    (void)leave(&w, 2, 0);
    (void)leave(&w, 3, 0);
    (void)world_say(&w, OTHER, "[4,b'" ID "',2]");
    world_pass_ms(&w, 2000);
    expect_says(&w, wait_for(&w, OTHER, 1), "ERROR 1 4 1 ");
    expect_says(&w, wait_for(&w, OTHER, 2), "ERROR 2 1 0 ");
    world_pass_ms(&w, WIRE_TTL_MS_MAX - 2001);
    const uint64_t r = wait_for(&w, OTHER, 3);
    cr_assert(world_reply(&w, r) == NULL, "it lives an hour");
    world_pass_ms(&w, 1);
    expect_says(&w, r, "ERROR 3 4 0 ");
    world_deinit(&w);
}

/* ---- the caller goes ---------------------------------------------------------------------------
 */

Test(background, it_is_not_given_up_by_an_acknowledgement)
{
    struct world w;
    begin(&w);
    (void)leave(&w, 1, 0);
    (void)leave(&w, 2, 0);
    (void)world_say(&w, ONE, "[2,b'" ID "',4,3,'hub','status',0,null,{}]");
    report(&w, 0, "7");
    report(&w, 0, "8");
    (void)world_say(&w, ONE, "[2,b'" ID "',5,4,'hub','status',0,null,{}]");
    expect_text(&w, wait_for(&w, ONE, 1), "RESULT 1 7");
    expect_text(&w, leave(&w, 2, 0), "RESULT 2 8");
    world_deinit(&w);
}

Test(background, it_runs_although_its_caller_leaves)
{
    struct world w;
    begin(&w);
    (void)leave(&w, 1, 0);
    (void)leave(&w, 2, 0);
    world_close(&w, ONE);
    world_pass_ms(&w, 10 * WIRE_AWAY_MS);
    cr_assert(hub_counts(w.hub).unfinished == 2, "it was cancelled");
    report(&w, 0, "7");
    report(&w, 0, "8");
    world_pass_ms(&w, WIRE_BACKGROUND_KEEP_MS - 1);
    expect_text(&w, wait_for(&w, OTHER, 1), "RESULT 1 7");
    world_deinit(&w);
}

Test(background, the_outcome_of_one_that_took_an_hour_is_kept_as_long_as_any)
{
    struct world w;
    begin(&w);
    (void)leave(&w, 1, 0);
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_TTL_MS_MAX - 1000);
    report(&w, 0, "7");
    world_pass_ms(&w, WIRE_BACKGROUND_KEEP_MS - 1);
    expect_text(&w, wait_for(&w, OTHER, 1), "RESULT 1 7");
    world_close(&w, OTHER);
    world_pass_ms(&w, WIRE_REMEMBER_MS + 2 * WIRE_AWAY_MS);
    cr_assert(hub_counts(w.hub).clients == 0 && hub_counts(w.hub).calls == 0, "something is kept");
    world_deinit(&w);
}

Test(background, after_ten_minutes_it_is_unknown_and_its_repeat_does_not_run)
{
    struct world w;
    begin(&w);
    (void)leave(&w, 1, 0);
    report(&w, 0, "7");
    world_pass_ms(&w, WIRE_BACKGROUND_KEEP_MS - 1);
    expect_text(&w, wait_for(&w, ONE, 1), "RESULT 1 7");
    world_pass_ms(&w, 1);
    expect_text(&w, wait_for(&w, ONE, 1), "ERROR 1 5 1 'the hub does not know this call' null");
    expect_text(&w, leave(&w, 1, 0),
                "ERROR 1 9 1 'the outcome of a call so far back is no longer kept' null");
    cr_assert(world_given(&w, "echo/0") == 0, "it ran again");
    cr_assert(hub_counts(w.hub).calls == 0 && hub_counts(w.hub).payload_bytes == 0, "it is kept");
    world_deinit(&w);
}

Test(background, everything_is_as_before_when_its_time_is_over)
{
    struct world w;
    begin(&w);
    const struct hub_counts before = hub_counts(w.hub);
    for (unsigned i = 1; i <= 20; i++) {
        expect_says(&w, leave(&w, i, i % 3 == 0 ? 1000 : 0), "PENDING ");
    }
    for (unsigned i = 0; i < 10; i++) {
        report(&w, i % 2, i % 2 == 0 ? "7" : "[3,2,'no',null]");
    }
    world_pass_ms(&w, 1000);
    (void)world_say(&w, ONE,
                    "[2,b'" ID
                    "',21,0,'echo','echo',0,{'background':true,'map':'ordered'},[[1],[2]]]");
    world_close(&w, ONE);
    world_exited(&w, "echo/0", 9);
    world_pass_ms(&w, 1000);
    world_serve(&w, "echo/0");
    while (world_given(&w, "echo/0") != 0) {
        report(&w, 0, "1");
    }
    cr_assert(hub_counts(w.hub).unfinished == 0, "all have ended");
    world_pass_ms(&w, WIRE_BACKGROUND_KEEP_MS);
    const struct hub_counts after = hub_counts(w.hub);
    cr_assert(after.calls == before.calls && after.payload_bytes == before.payload_bytes &&
                  after.parked == 0,
              "%zu calls, %zu bytes", after.calls, after.payload_bytes);
    world_pass_ms(&w, WIRE_REMEMBER_MS + WIRE_AWAY_MS);
    cr_assert(hub_counts(w.hub).clients == before.clients, "clients");
    world_deinit(&w);
}

/* ---- limits ------------------------------------------------------------------------------------
 */

Test(background, a_client_may_have_1024_with_those_that_are_kept)
{
    struct world w;
    begin(&w);
    for (unsigned i = 1; i <= WIRE_BACKGROUND_MAX; i++) {
        (void)leave(&w, i, i > 1000 ? 1000 : 0);
        if (i <= 500) {
            report(&w, 0, "7");
        }
    }
    cr_assert(hub_counts(w.hub).unfinished == WIRE_BACKGROUND_MAX - 500, "all were accepted");
    expect_text(&w, leave(&w, 2000, 0),
                "ERROR 2000 8 0 'too many calls of this client are in the background, kept "
                "outcomes included' {'retry_after_ms': 1000}");
    const uint64_t told = world_say(&w, ONE, "[6,null,['hub.limit'],'oldest',9,9999,0]");
    expect_says(&w, told, "{'limit': 'background', 'worker': '', 'who': 'pid 101 uid 0'}");
    const uint64_t r = world_say(&w, ONE, "[2,b'" ID "',2001,0,'echo','echo',0,null,{}]");
    cr_assert(world_reply(&w, r) == NULL, "others are not counted with them");
    world_pass_ms(&w, WIRE_BACKGROUND_KEEP_MS);
    expect_text(&w, leave(&w, 2002, 0), "PENDING 2002");
    world_deinit(&w);
}

static void
queue_of_one(struct worker_spec *spec)
{
    spec->queue_max = 1;
}

Test(background, those_that_were_refused_are_not_among_them)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", queue_of_one);
    world_configured(&w);
    world_open(&w, ONE);
    world_open(&w, OTHER);
    (void)leave(&w, 1, 0);
    for (unsigned i = 2; i <= WIRE_BACKGROUND_MAX + 10; i++) {
        expect_says(&w, leave(&w, i, 0), " 8 0 'too many calls wait for this worker (queue_size)'");
    }
    expect_says(&w, fetch(&w, "*.done"), " 0 []");
    world_serve(&w, "echo/0");
    report(&w, 0, "7");
    expect_text(&w, leave(&w, 2000, 0), "PENDING 2000");
    world_deinit(&w);
}

/* ---- the event ---------------------------------------------------------------------------------
 */

struct told {
    unsigned kind;
    const char *payload, *event;
};

static const struct told tolds[] = {
    {0, "{'found':3}",
     "'echo.done', 'hub', {'client': <16>, 'seq': 1, 'method': 'echo', 'code': 0, "
     "'value': {'found': 3}}]]"},
    {1, "[3,2,'no such file',{'type':'OSError'}]",
     "'echo.done', 'hub', {'client': <16>, 'seq': 1, 'method': 'echo', 'code': 3, 'message': 'no "
     "such file'}]]"},
    {0, "<65533>", "'code': 0, 'value': <65533>}]]"},
    {0, "<65534>", "'method': 'echo', 'code': 0}]]"},
};

Test(background, its_end_is_an_event_with_its_value_or_message_unless_that_is_long)
{
    for (size_t i = 0; i < sizeof tolds / sizeof tolds[0]; i++) {
        struct world w;
        begin(&w);
        (void)leave(&w, 1, 0);
        report(&w, tolds[i].kind, tolds[i].payload);
        expect_says(&w, fetch(&w, "echo.done"), tolds[i].event);
        world_deinit(&w);
    }
}

Test(background, how_it_ends_without_its_worker_is_an_event_too)
{
    struct world w;
    begin(&w);
    (void)leave(&w, 1, 1000);
    (void)leave(&w, 2, 0);
    (void)world_say(&w, OTHER, "[4,b'" ID "',2]");
    world_pass_ms(&w, 1000);
    const uint64_t r = fetch(&w, "echo.done");
    expect_says(&w, r,
                "'seq': 2, 'method': 'echo', 'code': 1, 'message': 'the caller cancelled it'}");
    expect_says(&w, r,
                "'seq': 1, 'method': 'echo', 'code': 4, 'message': 'the method did not end ");
    world_deinit(&w);
}

Test(background, a_value_that_does_not_fit_into_the_ring_is_left_out_of_the_event)
{
    struct hub_options options;
    struct world w;
    world_options(&options); /* a ring of 64 KiB */
    begin_with(&w, &options);
    (void)leave(&w, 1, 0);
    report(&w, 0, "<60000>");
    expect_says(&w, fetch(&w, "echo.done"), "'method': 'echo', 'code': 0}]]");
    expect_text(&w, wait_for(&w, ONE, 1), "RESULT 1 <60000>");
    world_deinit(&w);
}

/* ---- in parts ----------------------------------------------------------------------------------
 */

Test(background, many_calls_in_one_are_fetched_later)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_say(
        &w, ONE, "[2,b'" ID "',1,0,'echo','echo',0,{'background':true,'map':'ordered'},[[1],[2]]]");
    expect_text(&w, r, "PENDING 1");
    world_close(&w, ONE);
    world_pass_ms(&w, 2 * WIRE_AWAY_MS);
    report(&w, 0, "11");
    report(&w, 1, "[3,2,'no',null]");
    expect_says(&w, fetch(&w, "echo.done"), "'value': {'done': 1, 'failed': 1}}");
    expect_text(&w, wait_for(&w, OTHER, 1),
                "PARTIAL 1 0 null [[0, 0, 11], [1, 1, [3, 2, 'no', null]]]");
    expect_text(&w, world_say(&w, OTHER, "[3,b'" ID "',1,2]"), "RESULT 1 {'done': 1, 'failed': 1}");
    world_deinit(&w);
}

Test(background, many_of_none_end_at_once)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_say(
        &w, ONE, "[2,b'" ID "',1,0,'echo','echo',0,{'background':true,'map':'ordered'},[]]");
    expect_text(&w, r, "RESULT 1 {'done': 0, 'failed': 0}");
    world_deinit(&w);
}
