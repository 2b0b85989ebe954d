/* Corners of the core that no story of the other files comes to, found by scripts/coverage. */
#include "tests/support/test.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { ONE = 1, OTHER = 2, THIRD = 3, NETWORK = 30 };

#define ID "sixteen bytes id"

static void
patient(struct worker_spec *spec)
{
    spec->queue_max = 100000;
}

static void
two(struct worker_spec *spec)
{
    spec->replicas = 2;
}

static void
by_hand(struct worker_spec *spec)
{
    spec->autostart = false;
}

static void
begin(struct world *w, void (*set)(struct worker_spec *))
{
    world_init(w);
    world_worker(w, "echo", set);
    world_configured(w);
    world_open(w, ONE);
}

Test(corners, a_hub_that_is_none_may_be_freed)
{
    hub_free(NULL);
}

Test(corners, what_a_replica_is_made_from_is_known_by_its_name)
{
    struct world w;
    begin(&w, two);
    const struct worker_spec *spec = hub_replica_spec(w.hub, "echo/1");
    cr_assert(spec != NULL && spec->replicas == 2, "echo/1 is not known");
    static const char *const none[] = {"echo/2", "nobody/0", "no name/0", ""};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        cr_assert(hub_replica_spec(w.hub, none[i]) == NULL, "%s is known", none[i]);
    }
    world_deinit(&w);
}

Test(corners, time_that_stands_still_is_no_news)
{
    struct world w;
    begin(&w, NULL);
    const int64_t deadline_ns = hub_deadline_ns(w.hub);
    world_step(&w, &(struct hub_input){.kind = HUB_IN_TIME});
    world_step(&w, &(struct hub_input){.kind = HUB_IN_TIME});
    cr_assert(hub_deadline_ns(w.hub) == deadline_ns, "the deadline has moved");
    world_deinit(&w);
}

Test(corners, before_the_configuration_is_known_only_what_starts_by_itself_has_hope)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", by_hand);
    world_open(&w, ONE);
    const uint64_t r = world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','echo',0,null,{}]");
    cr_assert(world_says(&w, r, " 14 0 'no replica runs"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(corners, a_second_stop_hurries_those_that_drain_and_those_that_stop)
{
    struct world w;
    begin(&w, two);
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo/0','echo',60000,null,{}]");
    (void)world_given(&w, "echo/0");
    world_stop(&w);
    expect_state(&w, "echo/0", "draining");
    expect_state(&w, "echo/1", "stopping");
    world_stop(&w);
    expect_state(&w, "echo/0", "stopping");
    cr_assert(world_process(&w, "echo/1")->killed, "the idle one is not killed");
    world_exited(&w, "echo/0", 0);
    world_exited(&w, "echo/1", 9);
    cr_assert(w.ended, "the hub does not end");
    world_deinit(&w);
}

Test(corners, a_name_is_shown_without_what_a_terminal_would_obey)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    (void)world_say(&w, ONE, "[1,{'name':'a\x7f\x1b\xc3\xa4z'}]");
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','echo',60000,null,{}]");
    const uint64_t poll = world_process(&w, "echo/0")->request;
    cr_assert(world_says(&w, poll, "'a??\xc3\xa4z pid "), "%s", world_text(&w, poll));
    world_deinit(&w);
}

/* 64 clients of one connection that all wait for something. */
static void
speak_for_many(struct world *w, uint64_t peer)
{
    for (unsigned i = 0; i < WIRE_PEER_CLIENTS_MAX; i++) {
        (void)world_say(w, peer, "[2,b'client number%3x',1,0,'echo','echo',60000,null,{}]", i);
    }
}

Test(corners, a_client_that_a_full_connection_may_not_speak_for_stays_what_it_was)
{
    static const char again[] = "too many client ids of this connection";
    struct world w;
    begin(&w, patient);
    world_open(&w, OTHER);
    world_open(&w, THIRD);
    (void)world_say(&w, OTHER, "[2,b'client of other!',1,0,'echo','echo',60000,null,{}]");
    (void)world_say(&w, THIRD, "[2,b'client of third!',1,0,'echo','echo',60000,null,{}]");
    world_close(&w, THIRD);
    speak_for_many(&w, ONE);
    const size_t clients = hub_counts(w.hub).clients;
    /* One that another connection speaks for, one that is away, one that nobody knew. */
    static const char *const ids[] = {"client of other!", "client of third!", "nobodies client!"};
    for (size_t i = 0; i < 3; i++) {
        const uint64_t r = world_say(&w, ONE, "[2,b'%s',2,0,'echo','echo',60000,null,{}]", ids[i]);
        cr_assert(world_says(&w, r, again), "%s: %s", ids[i], world_text(&w, r));
    }
    cr_assert(hub_counts(w.hub).clients == clients, "%zu clients, %zu before",
              hub_counts(w.hub).clients, clients);
    world_deinit(&w);
}

Test(corners, a_connection_of_the_network_without_client_id_is_forgotten)
{
    struct world w;
    begin(&w, NULL);
    world_open_network(&w, NETWORK);
    (void)world_say(&w, NETWORK,
                    "[1,{'token':'a token of the network'}] [2,null,1,0,'echo','echo',"
                    "20000,null,{}]");
    world_close(&w, NETWORK);
    world_pass_ms(&w, WIRE_AWAY_MS + WIRE_KEEP_MS + 1000);
    cr_assert(hub_counts(w.hub).clients == 0, "it is still known");
    world_deinit(&w);
}

Test(corners, what_the_hub_itself_answered_is_kept_as_long_as_other_outcomes)
{
    struct world w;
    begin(&w, NULL);
    static const char call[] = "[2,b'" ID "',1,0,'hub','status',0,null,{}]";
    (void)world_say(&w, ONE, "%s", call);
    world_pass_ms(&w, WIRE_KEEP_MS - 1000);
    uint64_t r = world_say(&w, ONE, "%s", call);
    cr_assert(world_says(&w, r, "RESULT 1 "), "%s", world_text(&w, r));
    world_pass_ms(&w, 2000);
    r = world_say(&w, ONE, "%s", call);
    cr_assert(world_says(&w, r, "ERROR 1 15 1 "), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(corners, of_two_large_results_in_one_message_each_is_whole)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    for (int seq = 1; seq <= 2; seq++) {
        (void)world_say(&w, ONE, "[2,b'" ID "',%d,0,'echo','echo',60000,null,{}]", seq);
        const uint64_t call = world_given(&w, "echo/0");
        const struct process *p = world_process(&w, "echo/0");
        (void)world_say(&w, p->peer, "[18,'echo/0',%llu,[[%llu,0,<20000>]]]",
                        (unsigned long long)p->session, (unsigned long long)call);
        world_poll(&w, "echo/0", 1);
    }
    const uint64_t r = world_say(&w, ONE,
                                 "[2,b'" ID "',1,0,'echo','echo',60000,null,{}] "
                                 "[2,b'" ID "',2,0,'echo','echo',60000,null,{}] [7,1]");
    for (size_t i = 0; i < 2; i++) {
        const struct record *result = world_expect(&w, r, i, WIRE_REC_RESULT);
        cr_assert(RECORD_FIELD(result, RESULT, SEQ)->item.uint == i + 1 &&
                      RECORD_FIELD(result, RESULT, VALUE)->raw.len > 20000,
                  "result %zu is not whole", i);
    }
    (void)world_expect(&w, r, 2, WIRE_REC_PONG);
    world_deinit(&w);
}

Test(corners, of_many_large_arguments_that_are_given_together_each_is_whole)
{
    enum { CALLS = 6 };
    struct world w;
    begin(&w, NULL);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 100);
    w.crowd = true;
    for (int seq = 1; seq <= CALLS; seq++) {
        (void)world_say(&w, ONE, "[2,b'" ID "',%d,0,'echo','echo',60000,null,[%d,<20000>]]", seq,
                        seq);
    }
    w.crowd = false;
    world_turn(&w);
    const struct record *work =
        world_expect(&w, world_process(&w, "echo/0")->request, 0, WIRE_REC_WORK);
    struct span items = RECORD_FIELD(work, WORK, ITEMS)->inside;
    struct record item;
    uint64_t count = 0;
    while (record_item(&items, WIRE_REC_WORK_ITEM, &item)) {
        struct span args = RECORD_FIELD(&item, WORK_ITEM, ARGS)->raw;
        struct mp_item head, number, bytes;
        cr_assert(mp_next(&args, &head) && mp_next(&args, &number) && mp_next(&args, &bytes),
                  "arguments");
        cr_assert(number.uint == ++count && bytes.bytes.len == 20000, "call %u",
                  (unsigned)number.uint);
    }
    cr_assert(count == CALLS, "%u were given", (unsigned)count);
    world_deinit(&w);
}

Test(corners, tokens_that_are_none_open_nothing)
{
    static const char *const tokens[] = {
        "12345678901234567890123.x", "12345", "", ".", "x.y", "7.0123456789abcdef0123456789abcdef"};
    struct world w;
    begin(&w, NULL);
    world_started(&w, "echo/0");
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        const uint64_t r = world_say(&w, ONE, "[16,{'token':'%s','worker':'echo'}]", tokens[i]);
        cr_assert(world_says(&w, r, "ERROR 0 7 0 "), "%s: %s", tokens[i], world_text(&w, r));
    }
    world_deinit(&w);
}

/* Attach anew while a call is running, with an inventory that has this or another call in its only
 * list; the state of the replica. */
static const char *
attach_with(struct world *w, const char *kind, uint64_t beside)
{
    begin(w, NULL);
    world_serve(w, "echo/0");
    (void)world_say(w, ONE, "[2,b'" ID "',1,0,'echo','echo',60000,null,{}]");
    const unsigned long long call = world_given(w, "echo/0");
    const struct process *p = world_process(w, "echo/0");
    char list[80];
    (void)snprintf(list, sizeof list, "'%s':[%llu]", kind, call + beside);
    world_open(w, 77);
    (void)world_say(w, 77, "[16,{'token':'%llu.%s','worker':'echo','attach':2,%s}]",
                    (unsigned long long)p->id, strchr(p->token, '.') + 1, list);
    return world_state(w, "echo/0");
}

Test(corners, an_inventory_may_have_one_list_only)
{
    static const struct {
        const char *kind, *state;
        uint64_t beside;
    } rows[] = {
        {"running", "busy", 0}, {"done", "busy", 0}, {"running", "ready", 9}, {"done", "ready", 9}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        const char *state = attach_with(&w, rows[i].kind, rows[i].beside);
        cr_assert_str_eq(state, rows[i].state, "row %zu: %s", i, state);
        world_deinit(&w);
    }
}

Test(corners, a_process_without_session_is_told_nothing)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','echo',60000,null,{}]");
    (void)world_given(&w, "echo/0");
    world_exited(&w, "echo/0", 9);
    (void)world_say(&w, ONE, "[4,b'" ID "',1]");
    world_pass_ms(&w, 1000);
    world_serve(&w, "echo/0");
    const struct process *p = world_process(&w, "echo/0");
    const uint64_t r = world_say(&w, p->peer, "[19,'echo/0',%llu]", (unsigned long long)p->session);
    cr_assert_str_eq(world_text(&w, r), "", "it is told of what was before it");
    world_deinit(&w);
}
