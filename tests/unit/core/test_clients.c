/* Who calls: client ids and those who give none, how long somebody is remembered, and every limit
 * that one client can meet. */
#include "tests/support/test.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { ONE = 1, OTHER = 2, USER = 900, NETWORK = 30, SP_ID = 7 };

#define ID "sixteen bytes id"

static void
many_waiting(struct worker_spec *spec)
{
    spec->queue_max = 100000;
}

static void
begin(struct world *w)
{
    world_init(w);
    world_worker(w, "echo", many_waiting);
    world_configured(w);
    world_open(w, ONE);
}

/* Attached, with room for many calls. */
static void
serve(struct world *w, uint64_t capacity)
{
    world_started(w, "echo/0");
    world_attach(w, "echo/0");
    world_poll(w, "echo/0", capacity);
}

static uint64_t
nameless(struct world *w, uint64_t peer, uint32_t sp_id, const char *args)
{
    return world_say_as(w, peer, sp_id, "[2,null,1,0,'echo','echo',20000,null,%s]", args);
}

/* ---- client ids --------------------------------------------------------------------------------
 */

Test(clients, an_id_belongs_to_the_user_who_used_it_first)
{
    struct world w;
    begin(&w);
    world_open(&w, USER);
    (void)world_say(&w, USER, "[2,b'" ID "',1,0,'hub','status',0,null,{}]");
    static const char *const requests[] = {
        "[2,b'" ID "',1,0,'hub','status',0,null,{}]", "[3,b'" ID "',1,0]", "[4,b'" ID "',1]",
        "[5,b'" ID "',1,'a',null,1]", "[6,b'" ID "',['>'],'new',1,1,0]"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        const uint64_t r = world_say(&w, ONE, "%s", requests[i]);
        cr_assert(world_says(&w, r, " 7 0 'this client id belongs to another user'"), "%s: %s",
                  requests[i], world_text(&w, r));
    }
    world_deinit(&w);
}

Test(clients, on_two_connections_at_once_it_leaves_with_the_last)
{
    struct world w;
    begin(&w);
    world_open(&w, OTHER);
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','echo',60000,null,{}]");
    const uint64_t r = world_say(&w, OTHER, "[3,b'" ID "',1,0]");
    world_close(&w, ONE);
    world_pass_ms(&w, 6000);
    cr_assert(world_outcome(&w, r, NULL) == -1 && hub_counts(w.hub).unfinished == 1, "it is here");
    world_close(&w, OTHER);
    world_pass_ms(&w, 4999);
    cr_assert(hub_counts(w.hub).unfinished == 1, "too early");
    world_pass_ms(&w, 1);
    cr_assert(hub_counts(w.hub).unfinished == 0 && hub_counts(w.hub).calls == 1, "cancelled, kept");
    world_pass_ms(&w, WIRE_KEEP_MS);
    cr_assert(hub_counts(w.hub).clients == 1 && hub_counts(w.hub).calls == 0, "the outcome goes");
    world_pass_ms(&w, WIRE_REMEMBER_MS - WIRE_KEEP_MS);
    cr_assert(hub_counts(w.hub).clients == 0, "forgotten");
    world_deinit(&w);
}

/* Name `count` clients on a connection; the last answer. */
static uint64_t
name_clients(struct world *w, uint64_t peer, unsigned from, unsigned count, const char *record)
{
    uint64_t r = 0;
    for (unsigned i = from; i < from + count; i++) {
        r = world_say(w, peer, "[%s,b'client number%3x',1,%s]", record[0] == 'W' ? "3" : "2", i,
                      record[0] == 'W' ? "0" : "0,'echo','echo',60000,null,{}");
    }
    return r;
}

Test(clients, a_connection_that_names_many_lets_the_oldest_quiet_one_go)
{
    struct world w;
    begin(&w);
    const uint64_t r = name_clients(&w, ONE, 0, 200, "WAIT");
    cr_assert(world_says(&w, r, "ERROR 1 5 1"), "%s", world_text(&w, r));
    cr_assert(hub_counts(w.hub).clients == 200, "clients");
    world_pass_ms(&w, 5000);
    cr_assert(hub_counts(w.hub).clients == 64, "%zu are present", hub_counts(w.hub).clients);
    world_deinit(&w);
}

Test(clients, one_that_waits_for_something_is_not_let_go)
{
    struct world w;
    begin(&w);
    (void)name_clients(&w, ONE, 0, 1, "CALL");
    (void)name_clients(&w, ONE, 1, 200, "WAIT");
    world_pass_ms(&w, 20000);
    cr_assert(hub_counts(w.hub).unfinished == 1, "the oldest was let go and cancelled");
    world_deinit(&w);
}

Test(clients, a_65th_that_waits_on_one_connection_is_refused)
{
    struct world w;
    begin(&w);
    uint64_t r = name_clients(&w, ONE, 0, 64, "CALL");
    cr_assert(world_outcome(&w, r, NULL) == -1, "the 64th");
    r = name_clients(&w, ONE, 64, 1, "CALL");
    cr_assert(world_says(&w, r, "ERROR 1 8 0 'too many client ids of this connection"), "%s",
              world_text(&w, r));
    /* The 64 go on. */
    r = name_clients(&w, ONE, 3, 1, "WAIT");
    cr_assert(world_outcome(&w, r, NULL) == -1, "%s", world_text(&w, r));
    world_deinit(&w);
}

static void
fill_with_clients(struct world *w)
{
    for (unsigned i = 0; i < WIRE_CLIENTS_MAX / 64; i++) {
        world_open(w, 10000 + i);
        (void)name_clients(w, 10000 + i, i * 64, 64, "WAIT");
    }
    cr_assert(hub_counts(w->hub).clients == WIRE_CLIENTS_MAX, "clients");
}

Test(clients, when_there_are_too_many_the_one_away_longest_goes)
{
    struct world w;
    begin(&w);
    fill_with_clients(&w);
    uint64_t r = world_say(&w, ONE, "[3,b'" ID "',1,0]");
    cr_assert(world_says(&w, r, " 8 0 'the hub knows too many clients'"), "%s", world_text(&w, r));
    (void)world_say(&w, 10000, "[2,b'client number  0',2,0,'echo','echo',60000,null,{}]");
    world_close(&w, 10000);
    r = world_say(&w, ONE, "[3,b'" ID "',1,0]");
    cr_assert(world_says(&w, r, "ERROR 1 5 1"), "%s", world_text(&w, r));
    cr_assert(hub_counts(w.hub).clients == WIRE_CLIENTS_MAX, "one went for one");
    cr_assert(hub_counts(w.hub).unfinished == 1, "not the one that waits for something");
    world_deinit(&w);
}

Test(clients, when_there_are_too_many_one_with_a_call_in_the_background_stays)
{
    struct world w;
    begin(&w);
    fill_with_clients(&w);
    uint64_t r =
        world_say(&w, 10000, "[2,b'client number  0',2,0,'echo','echo',0,{'background':true},{}]");
    cr_assert(world_says(&w, r, "PENDING 2"), "%s", world_text(&w, r));
    world_close(&w, 10000);
    for (unsigned i = 0; i < 2; i++) {
        r = world_say(&w, ONE, "[3,b'another client%2u',1,0]", i);
        cr_assert(world_says(&w, r, "ERROR 1 5 1"), "%s", world_text(&w, r));
    }
    cr_assert(hub_counts(w.hub).unfinished == 1, "it runs on");
    world_open(&w, 10000);
    r = world_say(&w, 10000, "[3,b'client number  0',2,0]");
    cr_assert(world_outcome(&w, r, NULL) == -1, "%s", world_text(&w, r));
    world_deinit(&w);
}

/* ---- those who give none -----------------------------------------------------------------------
 */

Test(clients, a_process_that_repeats_its_request_meanwhile_waits_for_the_same_call)
{
    struct world w;
    begin(&w);
    serve(&w, 5);
    const uint64_t first = nameless(&w, ONE, SP_ID, "[1]");
    const uint64_t call = world_given(&w, "echo/0");
    world_poll(&w, "echo/0", 5);
    /* After a reconnect: another connection of the same process. */
    world_open(&w, ONE + 10);
    const uint64_t again = nameless(&w, ONE + 10, SP_ID, "[1]");
    cr_assert(world_given(&w, "echo/0") == 0, "it was run twice");
    world_done(&w, "echo/0", call);
    cr_assert(world_outcome(&w, first, NULL) == 0 && world_outcome(&w, again, NULL) == 0,
              "outcome");
    world_deinit(&w);
}

Test(clients, a_process_that_repeats_its_request_later_gets_the_kept_answer)
{
    struct world w;
    begin(&w);
    serve(&w, 1);
    (void)nameless(&w, ONE, SP_ID, "[1]");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    world_close(&w, ONE);
    world_pass_ms(&w, 4000);
    world_open(&w, ONE + 10);
    const uint64_t again = nameless(&w, ONE + 10, SP_ID, "[1]");
    cr_assert_str_eq(world_text(&w, again), "RESULT 1 'done'", "%s", world_text(&w, again));
    cr_assert(world_given(&w, "echo/0") == 0, "it was run twice");
    world_pass_ms(&w, WIRE_DEDUP_MS_NIL_CLIENT);
    cr_assert(hub_counts(w.hub).calls == 0, "kept for ever");
    const uint64_t late = nameless(&w, ONE + 10, SP_ID, "[1]");
    cr_assert(world_outcome(&w, late, NULL) == -1, "after two minutes it is another call");
    world_deinit(&w);
}

Test(clients, a_process_that_was_away_for_two_minutes_is_still_known)
{
    struct world w;
    begin(&w);
    serve(&w, 1);
    (void)nameless(&w, ONE, SP_ID, "[1]");
    world_close(&w, ONE);
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    world_pass_ms(&w, WIRE_DEDUP_MS_NIL_CLIENT - 1);
    world_open(&w, ONE + 10);
    const uint64_t again = nameless(&w, ONE + 10, SP_ID, "[1]");
    cr_assert_str_eq(world_text(&w, again), "RESULT 1 'done'", "%s", world_text(&w, again));
    world_deinit(&w);
}

Test(clients, the_same_id_with_other_bytes_is_another_call)
{
    struct world w;
    begin(&w);
    serve(&w, 1);
    (void)nameless(&w, ONE, SP_ID, "[1]");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    const uint64_t r = nameless(&w, ONE, SP_ID, "[2]");
    cr_assert(world_outcome(&w, r, NULL) == -1 && world_given(&w, "echo/0") != 0, "it was not run");
    world_deinit(&w);
}

Test(clients, the_same_bytes_of_another_process_are_another_call)
{
    struct world w;
    begin(&w);
    world_open(&w, OTHER);
    serve(&w, 1);
    (void)nameless(&w, ONE, SP_ID, "[1]");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    const uint64_t r = nameless(&w, OTHER, SP_ID, "[1]");
    cr_assert(world_outcome(&w, r, NULL) == -1 && world_given(&w, "echo/0") != 0, "it was not run");
    world_deinit(&w);
}

Test(clients, equal_records_of_one_message_are_two_calls)
{
    struct world w;
    begin(&w);
    serve(&w, 2);
    (void)world_say(&w, ONE,
                    "[2,null,1,0,'echo','echo',0,null,{}] [2,null,1,0,'echo','echo',0,null,{}]");
    cr_assert(hub_counts(w.hub).unfinished == 2, "%zu calls", hub_counts(w.hub).unfinished);
    world_deinit(&w);
}

static void
open_network(struct world *w)
{
    begin(w);
    world_open_network(w, NETWORK);
    (void)world_say(w, NETWORK, "[1,{'token':'a token of the network'}]");
}

Test(clients, on_a_network_a_repeat_cannot_be_told_from_another_call)
{
    struct world w;
    open_network(&w);
    serve(&w, 1);
    const uint64_t first = nameless(&w, NETWORK, SP_ID, "[1]");
    const uint64_t second = nameless(&w, NETWORK, SP_ID, "[2]");
    cr_assert(hub_counts(w.hub).unfinished == 2, "the second was taken for the first");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(world_outcome(&w, first, NULL) == 0 && world_outcome(&w, second, NULL) == -1,
              "outcomes");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(world_outcome(&w, second, NULL) == 0, "outcome");
    cr_assert(hub_counts(w.hub).calls == 0, "what nobody can ask for again is kept");
    world_deinit(&w);
}

Test(clients, on_a_network_a_repeated_emit_is_another_event)
{
    struct world w;
    open_network(&w);
    for (unsigned i = 1; i <= 2; i++) {
        const uint64_t r = world_say_as(&w, NETWORK, SP_ID, "[5,null,1,'a',null,1]");
        char want[32];
        (void)snprintf(want, sizeof want, "ACK 1 %u", i);
        cr_assert_str_eq(world_text(&w, r), want, "%s", world_text(&w, r));
    }
    cr_assert(hub_counts(w.hub).calls == 0, "something is kept");
    world_deinit(&w);
}

Test(clients, a_call_without_an_id_has_24_5_seconds_at_most)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_say(&w, ONE, "[2,null,9,0,'echo','echo',3600000,null,{}]");
    world_pass_ms(&w, 24499);
    cr_assert(world_reply(&w, r) == NULL, "too early");
    world_pass_ms(&w, 1);
    cr_assert(world_says(&w, r, "ERROR 9 4 0"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(clients, a_process_without_an_id_keeps_at_most_a_window_of_outcomes)
{
    struct world w;
    begin(&w);
    for (int i = 0; i < 2 * WIRE_WINDOW; i++) {
        (void)world_say(&w, ONE, "[2,null,1,0,'hub','describe',0,null,{}]");
        (void)world_say(&w, ONE, "[5,null,1,'a',null,1]");
    }
    cr_assert(hub_counts(w.hub).calls <= WIRE_WINDOW + 1, "%zu are kept", hub_counts(w.hub).calls);
    world_deinit(&w);
}

/* ---- windows and other limits ------------------------------------------------------------------
 */

static uint64_t
call(struct world *w, unsigned seq, unsigned ack)
{
    return world_say(w, ONE, "[2,b'" ID "',%u,%u,'echo','echo',3600000,null,{}]", seq, ack);
}

Test(clients, a_257th_call_without_an_outcome_is_refused)
{
    struct world w;
    begin(&w);
    for (unsigned i = 1; i <= WIRE_WINDOW; i++) {
        cr_assert(world_outcome(&w, call(&w, i, 0), NULL) == -1, "call %u", i);
        if (i % 200 == 0) {
            world_pass_ms(&w, 25000); /* so that they do not park on one connection */
        }
    }
    const uint64_t r = call(&w, WIRE_WINDOW + 1, 0);
    cr_assert(world_says(&w, r, "ERROR 257 8 0 'too many calls of this client have no outcome"),
              "%s", world_text(&w, r));
    /* To give one up makes room. */
    cr_assert(world_outcome(&w, call(&w, WIRE_WINDOW + 2, 1), NULL) == -1, "there is room");
    world_deinit(&w);
}

Test(clients, one_that_never_acknowledges_loses_its_oldest_outcomes)
{
    struct world w;
    begin(&w);
    serve(&w, 1);
    for (unsigned i = 1; i <= 2 * WIRE_WINDOW; i++) {
        const uint64_t r = call(&w, i, 0);
        world_done(&w, "echo/0", world_given(&w, "echo/0"));
        cr_assert(world_outcome(&w, r, NULL) == 0, "call %u: %s", i, world_text(&w, r));
    }
    cr_assert(hub_counts(w.hub).calls <= WIRE_WINDOW + 1, "%zu are kept", hub_counts(w.hub).calls);
    cr_assert(world_says(&w, call(&w, 1, 0), "ERROR 1 9 1 'the outcome of a call so far back"),
              "never run again");
    cr_assert_str_eq(world_text(&w, call(&w, 2 * WIRE_WINDOW, 0)), "RESULT 512 'done'",
                     "the newest");
    world_deinit(&w);
}

Test(clients, a_call_that_runs_long_does_not_hold_up_those_behind_it)
{
    struct world w;
    begin(&w);
    serve(&w, 2);
    const uint64_t slow = call(&w, 1, 0), number = world_given(&w, "echo/0");
    world_poll(&w, "echo/0", 1);
    for (unsigned seq = 2; seq <= 3 * WIRE_WINDOW; seq++) {
        const uint64_t r = call(&w, seq, 0);
        world_done(&w, "echo/0", world_given(&w, "echo/0"));
        cr_assert(world_outcome(&w, r, NULL) == 0, "call %u: %s", seq, world_text(&w, r));
        world_poll(&w, "echo/0", 1);
    }
    cr_assert(world_outcome(&w, slow, NULL) == -1, "it runs on");
    const uint64_t repeat = call(&w, 1, 0);
    world_done(&w, "echo/0", number);
    cr_assert(world_outcome(&w, repeat, NULL) == 0, "%s", world_text(&w, repeat));
    world_deinit(&w);
}

Test(clients, a_cancelled_call_with_which_a_worker_is_busy_is_known_until_that_ends)
{
    struct world w;
    begin(&w);
    serve(&w, 2);
    const uint64_t slow = call(&w, 1, 0), number = world_given(&w, "echo/0");
    (void)world_say(&w, ONE, "[4,b'" ID "',1]");
    cr_assert(world_says(&w, slow, "ERROR 1 1 1"), "%s", world_text(&w, slow));
    world_poll(&w, "echo/0", 1);
    for (unsigned seq = 2; seq <= 2 * WIRE_WINDOW; seq++) {
        (void)call(&w, seq, 0);
        world_done(&w, "echo/0", world_given(&w, "echo/0"));
    }
    cr_assert(world_says(&w, call(&w, 2, 0), "ERROR 2 9 1 'the outcome of a call so far back"),
              "those behind it are forgotten");
    cr_assert(world_says(&w, call(&w, 1, 0), "ERROR 1 1 1"), "it is not");
    world_done(&w, "echo/0", number);
    (void)call(&w, 2 * WIRE_WINDOW + 1, 0);
    cr_assert(world_says(&w, call(&w, 1, 0), "ERROR 1 9 1 'the outcome of a call so far back"),
              "now it is");
    world_deinit(&w);
}

Test(clients, the_hub_takes_no_more_calls_than_its_limit)
{
    struct world w;
    struct buf b = {0};
    begin(&w);
    for (unsigned i = 0; i < WIRE_CALLS_MAX / WIRE_WINDOW; i++) {
        world_open(&w, 10000 + i);
        buf_reset(&b, SIZE_MAX);
        for (unsigned k = 1; k <= WIRE_WINDOW; k++) {
            char text[100];
            (void)snprintf(text, sizeof text,
                           "[2,b'client number%3x',%u,0,'echo','echo',0,null,{}]", i, k);
            notation_write(&b, text);
        }
        (void)world_send(&w, 10000 + i, buf_span(&b));
    }
    cr_assert(hub_counts(w.hub).unfinished == WIRE_CALLS_MAX, "%zu", hub_counts(w.hub).unfinished);
    const uint64_t r = call(&w, 1, 0);
    cr_assert(world_says(&w, r, "ERROR 1 8 0 'the hub has too many calls (hub: calls_max)'"), "%s",
              world_text(&w, r));
    buf_deinit(&b);
    world_deinit(&w);
}

Test(clients, the_hub_holds_no_more_bytes_than_its_limit)
{
    enum { BYTES = 33000000 };
    struct world w;
    uint64_t r = 0;
    unsigned taken = 0;
    begin(&w);
    for (unsigned i = 1; i <= 12 && world_outcome(&w, r, NULL) != WIRE_ERR_RESOURCE_EXHAUSTED;
         i++) {
        r = world_say(&w, ONE, "[2,b'client number%3x',1,0,'echo','echo',5000,null,[<%u>]]", i,
                      (unsigned)BYTES);
        taken += world_outcome(&w, r, NULL) == -1;
    }
    cr_assert(world_says(&w, r, "'the hub holds too many bytes"), "%s", world_text(&w, r));
    cr_assert(taken >= 3 && hub_counts(w.hub).payload_bytes <= WIRE_PAYLOAD_BYTES_MAX,
              "%u, %zu bytes", taken, hub_counts(w.hub).payload_bytes);
    world_pass_ms(&w, 5000);
    cr_assert(hub_counts(w.hub).payload_bytes < 100000, "arguments go with the outcome: %zu bytes",
              hub_counts(w.hub).payload_bytes);
    world_deinit(&w);
}

Test(clients, one_client_holds_no_more_bytes_than_its_limit)
{
    enum { BYTES = 34000000 };
    struct world w;
    begin(&w);
    (void)world_say(&w, ONE, "[2,b'" ID "',1,0,'echo','echo',5000,null,[<%u>]]", (unsigned)BYTES);
    const uint64_t r =
        world_say(&w, ONE, "[2,b'" ID "',2,0,'echo','echo',5000,null,[<%u>]]", (unsigned)BYTES);
    const uint64_t other = world_say(
        &w, ONE, "[2,b'another client..',1,0,'echo','echo',5000,null,[<%u>]]", (unsigned)BYTES);
    cr_assert(world_says(&w, r, "of this client (hub: client_bytes)'"), "%s", world_text(&w, r));
    cr_assert(world_outcome(&w, other, NULL) == -1, "%s", world_text(&w, other));
    world_deinit(&w);
}

Test(clients, more_connections_than_the_limit_are_closed)
{
    struct world w;
    begin(&w);
    for (unsigned i = 1; i < WIRE_PEERS_MAX; i++) {
        world_open(&w, 10000 + i);
    }
    cr_assert(w.closes == 0 && hub_counts(w.hub).peers == WIRE_PEERS_MAX, "all came in");
    for (unsigned i = 0; i < WIRE_PEERS_SPARE; i++) {
        world_open(&w, 20000 + i);
    }
    cr_assert(w.closes == 0, "the last ones are for workers and administration");
    world_open(&w, 30000);
    cr_assert(w.closes == 1, "one more");
    cr_assert(hub_counts(w.hub).peers == WIRE_PEERS_MAX + WIRE_PEERS_SPARE, "peers");
    /* The one that was closed is nobody. */
    world_close(&w, 30000);
    world_deinit(&w);
}

Test(clients, the_last_connections_are_for_workers_and_for_who_can_end_it)
{
    enum { SPARE = 20000 };
    struct world w;
    begin(&w);
    for (unsigned i = 1; i < WIRE_PEERS_MAX; i++) {
        world_open(&w, 10000 + i);
    }
    world_open(&w, SPARE);
    uint64_t r = world_say(&w, SPARE, "[1,{}]");
    cr_assert(world_says(&w, r, "WELCOME"), "%s", world_text(&w, r));
    r = world_say(&w, SPARE, "[2,b'" ID "',1,0,'echo','echo',0,null,{}]");
    cr_assert(world_says(&w, r, "ERROR 0 8 0 'the hub has too many connections'"), "%s",
              world_text(&w, r));
    r = world_say(&w, SPARE, "[2,b'" ID "',1,0,'hub','describe',0,null,{}]");
    cr_assert(world_outcome(&w, r, NULL) == 0, "%s", world_text(&w, r));
    r = world_say(&w, SPARE, "[5,b'" ID "',1,'a',null,'x']");
    cr_assert(world_says(&w, r, "ERROR 0 8 0 'the hub has too many connections'"), "%s",
              world_text(&w, r));
    world_open(&w, USER);
    r = world_say(&w, USER, "[2,b'" ID "',1,0,'hub','describe',0,null,{}]");
    cr_assert(world_says(&w, r, "ERROR 0 8 0 'the hub has too many connections'"),
              "it administers nothing: %s", world_text(&w, r));
    world_close(&w, USER);
    world_serve(&w, "echo/0");
    r = world_say(&w, ONE, "[2,b'" ID "',2,0,'echo','echo',0,null,{}]");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(world_outcome(&w, r, NULL) == 0, "the worker came in");
    world_close(&w, 10001);
    world_close(&w, 10002);
    r = world_say(&w, SPARE, "[2,b'" ID "',3,0,'nobody','echo',0,null,{}]");
    cr_assert(world_says(&w, r, "ERROR 3 5 0"), "as any other when there is room: %s",
              world_text(&w, r));
    world_deinit(&w);
}

/* ---- acknowledging -----------------------------------------------------------------------------
 */

Test(clients, an_acknowledged_call_is_forgotten_and_never_runs_again)
{
    struct world w;
    begin(&w);
    serve(&w, 1);
    (void)call(&w, 1, 0);
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(hub_counts(w.hub).calls == 1, "kept");
    (void)call(&w, 2, 1);
    cr_assert(hub_counts(w.hub).calls == 1, "forgotten");
    cr_assert(world_says(&w, call(&w, 1, 1), "ERROR 1 9 1"), "it ran again");
    cr_assert(world_says(&w, world_say(&w, ONE, "[3,b'" ID "',1,0]"), "ERROR 1 5 1"), "WAIT");
    world_deinit(&w);
}

Test(clients, to_acknowledge_a_call_without_an_outcome_gives_it_up)
{
    struct world w;
    begin(&w);
    serve(&w, 1);
    const uint64_t running = call(&w, 1, 0), queued = call(&w, 2, 0);
    (void)call(&w, 3, 2);
    unsigned began = 9;
    cr_assert(world_outcome(&w, running, &began) == WIRE_ERR_CANCELLED && began == 1,
              "the running one");
    cr_assert(world_outcome(&w, queued, &began) == WIRE_ERR_CANCELLED && began == 0,
              "the queued one");
    world_deinit(&w);
}

Test(clients, who_calls_is_told_to_the_worker)
{
    struct world w;
    open_network(&w);
    serve(&w, 10);
    (void)call(&w, 1, 0);
    cr_assert(world_says(&w, world_process(&w, "echo/0")->request, "'pid 101 uid 0'"), "%s",
              world_text(&w, world_process(&w, "echo/0")->request));
    (void)world_given(&w, "echo/0");
    world_poll(&w, "echo/0", 10);
    (void)nameless(&w, NETWORK, SP_ID, "[1]");
    cr_assert(world_says(&w, world_process(&w, "echo/0")->request, "'network'"), "%s",
              world_text(&w, world_process(&w, "echo/0")->request));
    world_deinit(&w);
}

/* A worker that calls and emits is known by its process. */
Test(clients, a_worker_that_calls_and_emits_is_named)
{
    struct world w;
    begin(&w);
    struct process *p = world_process(&w, "echo/0");
    struct hub_input in = {.kind = HUB_IN_STARTED};
    in.process.id = p->id;
    in.process.pid = 105; /* as peers ending in 5 have it */
    in.process.name = "echo/0";
    world_step(&w, &in);
    world_open(&w, 15);
    (void)world_say(&w, 15, "[5,b'" ID "',1,'a',null,'x']");
    const uint64_t r = world_say(&w, ONE, "[6,null,['a'],'oldest',10,10000,0]");
    cr_assert(world_says(&w, r, "'a', 'echo/0', 'x'"), "%s", world_text(&w, r));
    world_deinit(&w);
}

/* The system gives the numbers of processes again. */
Test(clients, of_a_worker_that_has_ended_are_not_those_of_the_next_with_its_number)
{
    struct world w;
    begin(&w);
    struct hub_input in = {.kind = HUB_IN_STARTED};
    in.process.id = world_process(&w, "echo/0")->id;
    in.process.pid = 105; /* as peers ending in 5 have it */
    in.process.name = "echo/0";
    world_step(&w, &in);
    world_open(&w, 15);
    (void)world_say(&w, 15, "[5,b'" ID "',1,'a',null,'x']");
    world_exited(&w, "echo/0", 9);
    world_worker(&w, "other", NULL);
    world_tell(&w, "start", "other");
    in.process.id = world_process(&w, "other/0")->id;
    in.process.name = "other/0";
    world_step(&w, &in);
    (void)world_say(&w, 15, "[5,b'" ID "',2,'a',null,'y']");
    const uint64_t r = world_say(&w, ONE, "[6,null,['a'],'oldest',10,10000,0]");
    cr_assert(world_says(&w, r, "'a', 'echo/0', 'x'"), "%s", world_text(&w, r));
    cr_assert(world_says(&w, r, "'a', 'echo/0', 'y'"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(clients, a_worker_that_speaks_before_its_start_was_told_is_named_all_the_same)
{
    struct world w;
    begin(&w);
    world_open(&w, 15);
    world_open(&w, 16);
    (void)world_say(&w, 15, "[5,b'" ID "',1,'a',null,'early']");
    (void)world_say(&w, 16, "[5,b'another identity',1,'a',null,'other']");
    struct hub_input in = {.kind = HUB_IN_STARTED};
    in.process.id = world_process(&w, "echo/0")->id;
    in.process.pid = 105;
    in.process.name = "echo/0";
    world_step(&w, &in);
    (void)world_say(&w, 15, "[5,b'" ID "',2,'a',null,'late']");
    (void)world_say(&w, 16, "[5,b'another identity',2,'a',null,'other']");
    const uint64_t r = world_say(&w, ONE, "[6,null,['a'],'oldest',10,10000,0]");
    cr_assert(world_says(&w, r, "'a', '', 'early'") && world_says(&w, r, "'a', 'echo/0', 'late'"),
              "%s", world_text(&w, r));
    cr_assert(!world_says(&w, r, "'echo/0', 'other'"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(clients, a_worker_that_shows_its_token_is_the_source_of_its_first_event)
{
    struct world w;
    begin(&w);
    char wrong[64];
    const char *token = world_process(&w, "echo/0")->token;
    (void)snprintf(wrong, sizeof wrong, "%s", token);
    wrong[strlen(wrong) - 1] ^= 1;
    world_open(&w, 15);
    world_open(&w, 16);
    /* Nobody has told yet which pid the process has. A token that is wrong is no fault. */
    uint64_t r = world_say(&w, 15, "[1,{'token':'%s'}] [5,b'" ID "',1,'a',null,'early']", token);
    cr_assert(world_says(&w, r, "WELCOME"), "%s", world_text(&w, r));
    r = world_say(&w, 16, "[1,{'token':'%s'}] [5,b'another identity',1,'a',null,'other']", wrong);
    cr_assert(world_says(&w, r, "WELCOME"), "%s", world_text(&w, r));
    r = world_say(&w, ONE, "[6,null,['a'],'oldest',10,10000,0]");
    cr_assert(world_says(&w, r, "'a', 'echo/0', 'early'") && world_says(&w, r, "'a', '', 'other'"),
              "%s", world_text(&w, r));
    world_deinit(&w);
}

/* Its broker was started anew, and it spoke to the next one before that knew which processes run.
 */
Test(clients, a_worker_that_a_new_broker_finds_alive_is_named)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_open(&w, 15);
    (void)world_say(&w, 15, "[5,b'" ID "',1,'a',null,'early']");
    struct hub_input in = {.kind = HUB_IN_ALIVE};
    in.process.id = 77;
    in.process.pid = 105; /* as peers ending in 5 have it */
    in.process.name = "echo/0";
    world_step(&w, &in);
    (void)world_say(&w, 15, "[5,b'" ID "',2,'a',null,'late']");
    world_open(&w, ONE);
    const uint64_t r = world_say(&w, ONE, "[6,null,['a'],'oldest',10,10000,0]");
    cr_assert(world_says(&w, r, "'a', 'echo/0', 'late'"), "%s", world_text(&w, r));
    world_deinit(&w);
}
