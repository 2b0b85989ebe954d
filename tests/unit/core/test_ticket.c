/* Messages and their parts: batches, what makes an answer due, limits, and what is malformed. */
#include "tests/support/test.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { ONE = 1, NETWORK = 30 };

#define ID        "sixteen bytes id"
#define CALL(seq) "[2,b'" ID "'," seq ",0,'echo','echo',0,null,{}]"

static void
begin(struct world *w)
{
    world_init(w);
    world_worker(w, "echo", NULL);
    world_configured(w);
    world_open(w, ONE);
}

#define expect_text(w, r, want) cr_assert_str_eq(world_text(w, r), want, "%s", world_text(w, r))

/* ---- batches ------------------------------------------------------------------------------------
 */

Test(ticket, two_calls_in_a_message_the_first_outcome_answers_it)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    uint64_t r = world_say(&w, ONE, CALL("1") CALL("2"));
    cr_assert(world_reply(&w, r) == NULL, "nothing is known yet");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    expect_text(&w, r, "RESULT 1 'done'; PENDING 2");
    r = world_say(&w, ONE, "[3,b'" ID "',2,0]");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    expect_text(&w, r, "RESULT 2 'done'");
    world_deinit(&w);
}

Test(ticket, something_that_needs_no_waiting_answers_the_message)
{
    struct world w;
    begin(&w);
    expect_text(&w, world_say(&w, ONE, CALL("1") "[7,5]"), "PONG 5; PENDING 1");
    world_deinit(&w);
}

Test(ticket, without_a_client_id_the_whole_message_waits_for_its_calls)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t r = world_say(&w, ONE, "[7,5] [2,null,1,0,'echo','echo',0,null,{}] [7,6]");
    cr_assert(world_reply(&w, r) == NULL, "nobody could ask for the outcome again");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    expect_text(&w, r, "PONG 5; PONG 6; RESULT 1 'done'");
    world_deinit(&w);
}

Test(ticket, a_fetch_beside_such_a_call_does_not_end_its_waiting)
{
    struct world w;
    begin(&w);
    const uint64_t r =
        world_say(&w, ONE, "[2,null,1,0,'echo','echo',0,null,{}] [6,null,['a'],'new',1,1,100]");
    world_pass_ms(&w, 1000);
    cr_assert(world_reply(&w, r) == NULL, "%s", world_text(&w, r));
    world_pass_ms(&w, 23500);
    cr_assert(world_says(&w, r, "ERROR 1 4 0"), "%s", world_text(&w, r));
    cr_assert(world_says(&w, r, "; EVENTS"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(ticket, the_shorter_wait_of_two_fetches_holds)
{
    static const char *const bodies[] = {
        "[6,null,['a'],'new',1,1,100] [6,null,['b'],'new',1,1,20000]",
        "[6,null,['b'],'new',1,1,20000] [6,null,['a'],'new',1,1,100]",
        "[6,null,['b'],'new',1,1,60000] [6,null,['a'],'new',1,1,100]",
        "[6,null,['a'],'new',1,1,100] [6,null,['b'],'new',1,1,60000]"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct world w;
        begin(&w);
        const uint64_t r = world_say(&w, ONE, "%s", bodies[i]);
        world_pass_ms(&w, 99);
        cr_assert(world_reply(&w, r) == NULL, "%s: too early", bodies[i]);
        world_pass_ms(&w, 1);
        cr_assert(world_reply(&w, r) != NULL, "%s: too late", bodies[i]);
        world_deinit(&w);
    }
}

Test(ticket, hello_and_a_call_may_come_together_from_a_network)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    world_open_network(&w, NETWORK);
    uint64_t r = world_say(&w, NETWORK, "[1,{'token':'a token of the network'}]" CALL("1"));
    cr_assert(world_reply(&w, r) == NULL, "HELLO alone is no hurry");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(world_says(&w, r, "WELCOME {") && world_says(&w, r, "; RESULT 1 'done'"), "%s",
              world_text(&w, r));
    /* With a wrong token nothing of it is done. */
    world_open_network(&w, NETWORK + 1);
    r = world_say(&w, NETWORK + 1, "[1,{'token':'nonsense'}]" CALL("2"));
    cr_assert(world_says(&w, r, "ERROR 0 16 0 'HELLO") &&
                  world_says(&w, r, "; ERROR 0 16 0 'say who"),
              "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(ticket, hello_alone_is_answered_at_once)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_say(&w, ONE, "[1,{'proto':1,'role':'client','name':'test'}]");
    cr_assert(world_says(&w, r, "WELCOME {'hub': 'test', 'version': '1', 'proto': 1, 'epoch': 1, "),
              "%s", world_text(&w, r));
    cr_assert(
        world_says(&w, r, "'limits': {'message_bytes': 1048576, 'park_ms': 25000, 'window': 256"),
        "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(ticket, report_and_poll_together_are_answered_when_there_is_work)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t a = world_say(&w, ONE, CALL("1"));
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(world_outcome(&w, a, NULL) == 0, "the result is acted on at once");
    const uint64_t r = world_process(&w, "echo/0")->request;
    cr_assert(world_reply(&w, r) == NULL, "there is no work");
    (void)world_say(&w, ONE, CALL("2"));
    cr_assert(world_says(&w, r, "ACK [] 0; WORK 2 [["), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(ticket, poll_and_control_together_are_answered_by_the_first_of_both)
{
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    const struct process *p = world_process(&w, "echo/0");
    const unsigned long long session = p->session;
    uint64_t r =
        world_say(&w, p->peer, "[17,'echo/0',%llu,0,1] [19,'echo/0',%llu]", session, session);
    (void)world_say(&w, ONE, CALL("1"));
    cr_assert(world_says(&w, r, "WORK 1 [[") && world_says(&w, r, "; COMMAND '' {}"), "%s",
              world_text(&w, r));
    r = world_say(&w, p->peer, "[17,'echo/0',%llu,1,1] [19,'echo/0',%llu]", session, session);
    (void)world_say(&w, ONE, "[4,b'" ID "',1]");
    cr_assert(world_says(&w, r, "COMMAND 'cancel' {'call': ") && world_says(&w, r, "; WORK 1 []"),
              "%s", world_text(&w, r));
    world_deinit(&w);
}

/* `count` PINGs as one message. */
static uint64_t
pings(struct world *w, unsigned count)
{
    struct buf b = {0};
    for (unsigned i = 0; i < count; i++) {
        notation_write(&b, "[7,null]");
    }
    const uint64_t r = world_send(w, ONE, buf_span(&b));
    buf_deinit(&b);
    return r;
}

Test(ticket, a_message_has_at_most_256_records)
{
    struct world w;
    begin(&w);
    struct buf b = {0};
    struct hub_effects out;
    for (unsigned i = 0; i < WIRE_RECORDS_MAX; i++) {
        notation_write(&b, "[7,null]");
    }
    struct hub_input in = {.kind = HUB_IN_MESSAGE, .peer = ONE, .now_ns = w.now_ns};
    in.message.body = buf_span(&b);
    cr_assert(hub_step(w.hub, &in, &out) && out.count == 1, "one answer");
    cr_assert(out.list[0].body.len == 3 * WIRE_RECORDS_MAX, "%zu bytes", out.list[0].body.len);
    const uint64_t r = pings(&w, WIRE_RECORDS_MAX + 1);
    cr_assert(world_says(&w, r, "ERROR 0 3 0"), "%s", world_text(&w, r));
    buf_deinit(&b);
    world_deinit(&w);
}

/* ---- limits -------------------------------------------------------------------------------------
 */

Test(ticket, more_than_256_waiting_requests_of_a_connection_are_refused)
{
    struct world w;
    begin(&w);
    world_open(&w, 2);
    for (unsigned i = 0; i < WIRE_PARKED_MAX; i++) {
        (void)world_say(&w, ONE, "[6,null,['a'],'new',1,1,60000]");
    }
    cr_assert(hub_counts(w.hub).parked == WIRE_PARKED_MAX, "%zu wait", hub_counts(w.hub).parked);
    uint64_t r = world_say(&w, ONE, "[7,null]");
    cr_assert(world_says(&w, r, "ERROR 0 8 0 'too many requests of this connection"), "%s",
              world_text(&w, r));
    r = world_say(&w, 2, "[7,null]");
    expect_text(&w, r, "PONG null");
    world_pass_ms(&w, WIRE_PARK_MS);
    expect_text(&w, world_say(&w, ONE, "[7,null]"), "PONG null");
    world_deinit(&w);
}

Test(ticket, what_was_too_large_is_told_with_its_size)
{
    struct world w;
    begin(&w);
    struct hub_input in = {.kind = HUB_IN_OVERSIZED, .peer = ONE};
    in.message.request = w.open[w.open_count++] = 4242;
    in.message.size_bytes = 99999999;
    world_step(&w, &in);
    expect_text(&w, 4242,
                "ERROR 0 8 0 'the message has 99999999 bytes, at most 1048576 are allowed (hub: "
                "message_max)' null");
    world_deinit(&w);
}

Test(ticket, a_stranger_may_send_only_little)
{
    struct world w;
    begin(&w);
    world_open_network(&w, NETWORK);
    const uint64_t r = world_say(&w, NETWORK, "[7,<70000>]");
    cr_assert(world_says(&w, r, "ERROR 0 16 0 'say who you are first"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(ticket, what_comes_from_a_connection_that_is_closed_is_nothing)
{
    struct world w;
    begin(&w);
    world_close(&w, ONE);
    world_close(&w, ONE);
    (void)world_say(&w, ONE, "[7,null]");
    cr_assert(w.effects == 0, "an answer to nobody");
    world_deinit(&w);
}

/* ---- what is malformed
 * --------------------------------------------------------------------------- */

struct bad {
    const char *body, *answer;
};

static const struct bad bads[] = {
    {"", "ERROR 0 3 0"},
    {"1", "ERROR 0 3 0"},
    {"[]", "ERROR 0 3 0"},
    {"[99]", "ERROR 0 12 0"},
    {"[2,1]", "ERROR 0 3 0"},
    {"[7,null] 1", "ERROR 0 3 0"},
    {"[66,1,null]", "ERROR 0 12 0 'this operation is a reply, not a request'"},
    {"[7,null] [66,1,null]", "PONG null; ERROR 0 12 0 'this operation is a reply"},
    {"[2,b'short',1,0,'echo','echo',0,null,{}]", "ERROR 0 3 0"},
    {"[2,null,0,0,'echo','echo',0,null,{}]", "ERROR 0 3 0"},
    {"[2,null,1,0,'Echo','echo',0,null,{}]", "ERROR 0 3 0"},
    {"[2,null,1,0,'echo','echo',3600001,null,{}]", "ERROR 0 3 0"},
    {"[2,null,1,0,'echo','echo',0,null,'text']", "ERROR 0 3 0"},
    {"[2,null,1,0,'echo','echo',0,null,{1:2}]", "ERROR 0 3 0"},
    {"[2,null,1,0,'echo','echo',0,{'progress':1},{}]", "ERROR 0 3 0"},
    {"[6,null,[],'new',1,1,0]", "ERROR 0 3 0"},
    {"[6,null,['a'],'soon',1,1,0]", "ERROR 0 3 0"},
};

Test(ticket, what_is_malformed_is_answered_and_nothing_of_it_is_done)
{
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct world w;
        begin(&w);
        const uint64_t r = world_say(&w, ONE, "%s", bads[i].body);
        cr_assert(strncmp(world_text(&w, r), bads[i].answer, strlen(bads[i].answer)) == 0, "%s: %s",
                  bads[i].body, world_text(&w, r));
        cr_assert(hub_counts(w.hub).clients == 0 && hub_counts(w.hub).parked == 0, "%s",
                  bads[i].body);
        world_deinit(&w);
    }
}

/* Records are counted, not messages: a batch is as many requests. */
Test(ticket, a_connection_waits_for_256_records_at_a_time)
{
    struct world w;
    struct buf b = {0};
    begin(&w);
    for (unsigned i = 0; i < 4; i++) {
        buf_reset(&b, SIZE_MAX);
        for (unsigned k = 0; k < 64; k++) {
            notation_write(&b, "[6,null,['a'],'new',1,1,25000]");
        }
        (void)world_send(&w, ONE, buf_span(&b));
    }
    cr_assert(hub_counts(w.hub).parked == 256, "%zu", hub_counts(w.hub).parked);
    uint64_t r = world_say(&w, ONE, "[6,null,['a'],'new',1,1,25000]");
    cr_assert(world_says(&w, r, "ERROR 0 8 0 'too many requests of this connection"), "%s",
              world_text(&w, r));
    r = world_say(&w, ONE, "[7,1]");
    cr_assert(world_says(&w, r, "PONG 1"), "what does not wait is answered");
    world_close(&w, ONE);
    cr_assert(hub_counts(w.hub).parked == 0, "%zu", hub_counts(w.hub).parked);
    buf_deinit(&b);
    world_deinit(&w);
}

Test(ticket, of_all_connections_4096_wait_for_events)
{
    struct world w;
    struct buf b = {0};
    begin(&w);
    uint64_t r = 0;
    for (unsigned k = 0; k < 256; k++) {
        notation_write(&b, "[6,null,['a'],'new',1,1,25000]");
    }
    for (uint64_t peer = 2000; peer < 2000 + WIRE_FETCHES_MAX / 256; peer++) {
        world_open(&w, peer);
        r = world_send(&w, peer, buf_span(&b));
        cr_assert(world_reply(&w, r) == NULL, "they wait");
    }
    r = world_say(&w, ONE, "[6,null,['a'],'new',1,1,25000]");
    cr_assert(world_says(&w, r, "ERROR 0 8 0 'too many wait for events"), "%s", world_text(&w, r));
    world_close(&w, 2000);
    r = world_say(&w, ONE, "[6,null,['a'],'new',1,1,25000]");
    cr_assert(world_reply(&w, r) == NULL, "there is room again");
    buf_deinit(&b);
    world_deinit(&w);
}
