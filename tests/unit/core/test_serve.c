/* What the worker's requests may hold and what follows: the corners that test_link.c leaves out. */
#include "tests/support/test.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { ONE = 1, NETWORK = 30 };

#define ID "sixteen bytes id"

static void
begin(struct world *w)
{
    world_init(w);
    world_worker(w, "echo", NULL);
    world_configured(w);
    world_open(w, ONE);
}

static uint64_t
call(struct world *w, unsigned seq)
{
    return world_say(w, ONE, "[2,b'" ID "',%u,0,'echo','again',60000,null,{}]", seq);
}

static unsigned long long
session_of(struct world *w)
{
    return world_process(w, "echo/0")->session;
}

#define expect_text(w, r, want) cr_assert_str_eq(world_text(w, r), want, "%s", world_text(w, r))

/* ---- ATTACH -------------------------------------------------------------------------------------
 */

Test(serve, a_token_that_is_none_is_refused)
{
    static const char *const tokens[] = {
        "{}",
        "{'token':''}",
        "{'token':'.'}",
        "{'token':'1'}",
        "{'token':'1.'}",
        "{'token':'1.0123456789abcdef0123456789abcdef'}",
        "{'token':'99999999999999999999999999999.x'}",
        "{'token':'1099511627777.0123456789abcdef0123456789abcdef'}",
        "{'token':'1099511627777.'}"};
    struct world w;
    begin(&w);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        const uint64_t r = world_say(&w, ONE, "[16,%s]", tokens[i]);
        cr_assert(world_says(&w, r, "ERROR 0 7 0 'ATTACH needs the token"), "%s: %s", tokens[i],
                  world_text(&w, r));
    }
    world_deinit(&w);
}

Test(serve, a_worker_may_attach_from_a_network)
{
    struct world w;
    begin(&w);
    world_open_network(&w, NETWORK);
    uint64_t r = world_say(&w, NETWORK, "[16,{'token':'%s'}]", world_process(&w, "echo/0")->token);
    cr_assert(world_says(&w, r, "ERROR 0 16"), "HELLO comes first: %s", world_text(&w, r));
    r = world_say(&w, NETWORK, "[1,{'token':'a token of the network'}] [16,{'token':'%s'}]",
                  world_process(&w, "echo/0")->token);
    cr_assert(world_says(&w, r, "'replica': 'echo/0'"), "%s", world_text(&w, r));
    world_deinit(&w);
}

/* The worker says what it can do; the policy decides whether a call runs again. */
struct policy {
    const char *about;
    bool again;
};

static const struct policy policies[] = {
    {"{}", false},
    {"{'policy':'once'}", false},
    {"{'policy':'idempotent','help':'text'}", true},
    {"{'policy':'shared'}", true},
    {"{'policy':'unheard of'}", false},
};

Test(serve, the_policy_of_a_method_decides_whether_it_runs_again)
{
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        struct world w;
        begin(&w);
        struct process *p = world_process(&w, "echo/0");
        const uint64_t r =
            world_say(&w, ONE, "[16,{'token':'%s','capacity':4,'methods':{'again':%s}}]", p->token,
                      policies[i].about);
        struct field session;
        const struct record *welcome = world_expect(&w, r, 0, WIRE_REC_WELCOME);
        cr_assert(
            record_key(RECORD_FIELD(welcome, WELCOME, ABOUT), WIRE_KEY_WELCOME_session, &session),
            "s");
        p->session = session.item.uint;
        p->peer = ONE;
        world_poll(&w, "echo/0", 1);
        const uint64_t c = call(&w, 1);
        cr_assert(world_given(&w, "echo/0") != 0, "given");
        p->peer = 0;
        world_exited(&w, "echo/0", 9);
        cr_assert((world_outcome(&w, c, NULL) == -1) == policies[i].again, "%s: %s",
                  policies[i].about, world_text(&w, c));
        world_deinit(&w);
    }
}

Test(serve, a_worker_that_tells_no_methods_is_believed_to_have_any)
{
    struct world w;
    begin(&w);
    const uint64_t r =
        world_say(&w, ONE, "[16,{'token':'%s'}]", world_process(&w, "echo/0")->token);
    (void)world_expect(&w, r, 0, WIRE_REC_WELCOME);
    cr_assert(world_outcome(&w, call(&w, 1), NULL) == -1, "it waits for a POLL");
    world_deinit(&w);
}

Test(serve, a_worker_that_tells_no_methods_is_given_calls_one_by_one)
{
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    struct process *p = world_process(&w, "echo/0");
    p->peer = 77;
    world_open(&w, p->peer);
    const uint64_t r = world_say(&w, p->peer, "[16,{'token':'%s'}]", p->token);
    struct field session;
    cr_assert(record_key(RECORD_FIELD(world_expect(&w, r, 0, WIRE_REC_WELCOME), WELCOME, ABOUT),
                         WIRE_KEY_WELCOME_session, &session),
              "no session");
    p->session = session.item.uint;
    world_poll(&w, "echo/0", 9);
    uint64_t calls[4];
    w.crowd = true;
    for (unsigned i = 0; i < 4; i++) {
        calls[i] = call(&w, i + 1);
    }
    w.crowd = false;
    world_turn(&w);
    for (unsigned i = 0; i < 4; i++) {
        const struct record *work = world_expect(&w, p->request, i > 0, WIRE_REC_WORK);
        cr_assert(RECORD_FIELD(work, WORK, ITEMS)->item.count == 1, "nobody knows how long it is");
        const uint64_t given = world_given(&w, "echo/0");
        p->request =
            world_say(&w, p->peer, "[18,'echo/0',%llu,[[%llu,0,%u]]] [17,'echo/0',%llu,%llu,9]",
                      session_of(&w), (unsigned long long)given, i, session_of(&w),
                      (unsigned long long)p->taken);
        cr_assert(world_outcome(&w, calls[i], NULL) == 0, "%s", world_text(&w, calls[i]));
    }
    world_deinit(&w);
}

/* ATTACH anew with an inventory, on the connection of before. */
static void
attach(struct world *w, unsigned number, const char *running, const char *done)
{
    struct process *p = world_process(w, "echo/0");
    const uint64_t r =
        world_say(w, p->peer, "[16,{'token':'%s','attach':%u,'running':%s,'done':%s,'capacity':9}]",
                  p->token, number, running, done);
    struct field session;
    cr_assert(record_key(RECORD_FIELD(world_expect(w, r, 0, WIRE_REC_WELCOME), WELCOME, ABOUT),
                         WIRE_KEY_WELCOME_session, &session),
              "no session");
    p->session = session.item.uint;
    p->taken = 0;
}

Test(serve, several_that_never_arrived_keep_their_order)
{
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    for (unsigned i = 1; i <= 5; i++) {
        (void)call(&w, i);
    }
    world_poll(&w, "echo/0", 3); /* 1 to 3 are on their way, and lost with the connection */
    attach(&w, 1, "[]", "[]");
    world_poll(&w, "echo/0", 5);
    const struct record *work =
        world_expect(&w, world_process(&w, "echo/0")->request, 0, WIRE_REC_WORK);
    struct span items = RECORD_FIELD(work, WORK, ITEMS)->inside;
    struct record item;
    uint64_t last = 0;
    unsigned count = 0;
    while (record_item(&items, WIRE_REC_WORK_ITEM, &item)) {
        const uint64_t number = RECORD_FIELD(&item, WORK_ITEM, CALL)->item.uint;
        cr_assert(number > last, "they came in another order: %s",
                  world_text(&w, world_process(&w, "echo/0")->request));
        last = number;
        count++;
    }
    cr_assert(count == 5, "%u of 5", count);
    world_deinit(&w);
}

Test(serve, several_that_a_dead_worker_had_keep_their_order)
{
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 3);
    for (unsigned i = 1; i <= 4; i++) {
        (void)call(&w, i);
        (void)world_given(&w, "echo/0");
        world_poll(&w, "echo/0", 1);
    }
    world_exited(&w, "echo/0", 9);
    world_pass_ms(&w, 200);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    uint64_t last = 0;
    for (unsigned i = 1; i <= 4; i++) {
        world_poll(&w, "echo/0", 1);
        const uint64_t number = world_given(&w, "echo/0");
        cr_assert(number > last, "call %u came in another order", i);
        last = number;
    }
    world_deinit(&w);
}

Test(serve, a_cancelled_call_that_never_arrived_is_forgotten)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t r = call(&w, 1);
    (void)world_say(&w, ONE, "[4,b'" ID "',1]");
    attach(&w, 1, "[]", "[]");
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_CANCELLED, "outcome");
    world_poll(&w, "echo/0", 1);
    cr_assert(world_given(&w, "echo/0") == 0, "it was given all the same");
    world_deinit(&w);
}

Test(serve, what_the_inventory_says_is_done_is_reported_once_more)
{
    struct world w;
    char number[40];
    begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t r = call(&w, 1), given = world_given(&w, "echo/0");
    (void)snprintf(number, sizeof number, "[%llu]", (unsigned long long)given);
    attach(&w, 1, "[]", number);
    world_done(&w, "echo/0", given);
    cr_assert(world_outcome(&w, r, NULL) == 0, "%s", world_text(&w, r));
    world_deinit(&w);
}

/* ---- POLL
 * ---------------------------------------------------------------------------------------- */

Test(serve, a_poll_that_took_what_was_never_given_is_refused)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    (void)call(&w, 1);
    (void)world_given(&w, "echo/0");
    world_poll(&w, "echo/0", 1);
    const uint64_t peer = world_process(&w, "echo/0")->peer;
    static const unsigned takens[] = {0, 2, 99};
    for (size_t i = 0; i < 3; i++) {
        const uint64_t r =
            world_say(&w, peer, "[17,'echo/0',%llu,%u,1]", session_of(&w), takens[i]);
        cr_assert(world_says(&w, r, "ERROR 0 3 0 'POLL: taken"), "%u: %s", takens[i],
                  world_text(&w, r));
    }
    world_deinit(&w);
}

Test(serve, a_poll_without_room_waits_and_gets_nothing)
{
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 0);
    (void)call(&w, 1);
    cr_assert(world_reply(&w, world_process(&w, "echo/0")->request) == NULL, "it had no room");
    world_pass_ms(&w, WIRE_PARK_MS);
    expect_text(&w, world_process(&w, "echo/0")->request, "WORK 0 []");
    world_deinit(&w);
}

Test(serve, requests_for_nobody_are_refused)
{
    static const char *const bodies[] = {
        "[17,'nobody/0',1,0,1]", "[17,'echo/9',1,0,1]", "[17,'echo',1,0,1]", "[17,'echo/0',0,0,1]",
        "[18,'nobody/0',1,[]]",  "[18,'echo/9',1,[]]",  "[19,'nobody/0',1]", "[19,'echo/0',0]"};
    struct world w;
    begin(&w);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        const uint64_t r = world_say(&w, ONE, "%s", bodies[i]);
        expect_text(&w, r, "ERROR 0 9 0 'attach first' null");
    }
    world_deinit(&w);
}

/* ---- REPORT
 * -------------------------------------------------------------------------------------- */

Test(serve, reports_of_unknown_calls_may_be_forgotten)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t r = world_say(&w, world_process(&w, "echo/0")->peer,
                                 "[18,'echo/0',%llu,[[77,0,1],[78,1,2]]]", session_of(&w));
    expect_text(&w, r, "ACK [77, 78] 0");
    world_deinit(&w);
}

Test(serve, another_user_cannot_report_for_a_worker)
{
    struct world w;
    begin(&w);
    world_open(&w, 900);
    world_serve(&w, "echo/0");
    const uint64_t c = call(&w, 1), given = world_given(&w, "echo/0");
    const uint64_t r =
        world_say(&w, 900, "[18,'echo/0',12345,[[%llu,0,'forged']]]", (unsigned long long)given);
    expect_text(&w, r, "ERROR 0 9 0 'attach first' null");
    cr_assert(world_outcome(&w, c, NULL) == -1, "a forged result");
    world_deinit(&w);
}

Test(serve, a_replica_cannot_report_for_another)
{
    struct world w;
    begin(&w);
    const uint64_t scaled = world_say(&w, ONE, "[2,null,1,0,'hub','scale',0,null,['echo',2]]");
    cr_assert(world_outcome(&w, scaled, NULL) == 0, "scale");
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    const uint64_t c = call(&w, 1);
    const bool first = world_given(&w, "echo/0") != 0;
    const uint64_t given = world_given(&w, first ? "echo/0" : "echo/1");
    const struct process *p = world_process(&w, first ? "echo/1" : "echo/0");
    const uint64_t r = world_say(&w, p->peer, "[18,'%s',%llu,[[%llu,0,'not mine']]]", p->name,
                                 (unsigned long long)p->session, (unsigned long long)given);
    expect_text(&w, r, "ACK [] 0");
    cr_assert(world_outcome(&w, c, NULL) == -1, "%s", world_text(&w, c));
    world_deinit(&w);
}

Test(serve, a_worker_that_polls_rarely_is_told_of_many_calls_that_it_may_forget)
{
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 100);
    unsigned seq = 0;
    struct process *p = world_process(&w, "echo/0");
    for (int i = 0; i < 80; i++) {
        (void)call(&w, ++seq);
        const uint64_t given = world_given(&w, "echo/0");
        p->request = world_say(&w, p->peer, "[18,'echo/0',%llu,[[%llu,0,null]]]", session_of(&w),
                               (unsigned long long)given);
        world_poll(&w, "echo/0", 100);
    }
    /* All at once, more than are waited for: the parked POLL is answered although there is no work.
     */
    (void)world_say(&w, ONE, "[2,b'" ID "',%u,%u,'hub','describe',0,null,{}]", seq + 1, seq);
    const struct record *ack = world_expect(&w, p->request, 0, WIRE_REC_ACK);
    cr_assert(RECORD_FIELD(ack, ACK, WHAT)->item.count == 80, "%u",
              RECORD_FIELD(ack, ACK, WHAT)->item.count);
    cr_assert(world_says(&w, p->request, "; WORK 80 []"), "%s", world_text(&w, p->request));
    world_deinit(&w);
}

Test(serve, a_worker_that_does_not_poll_is_told_of_1024_calls_that_it_may_forget)
{
    enum { CLIENTS = 5, EACH = 220 };
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    struct process *p = world_process(&w, "echo/0");
    for (unsigned i = 0; i < CLIENTS * EACH; i++) {
        world_poll(&w, "echo/0", 1);
        (void)world_say(&w, ONE, "[2,b'client number%3u',%u,0,'echo','again',0,null,{}]", i / EACH,
                        i % EACH + 1);
        (void)world_say(&w, p->peer, "[18,'echo/0',%llu,[[%llu,0,null]]]", session_of(&w),
                        (unsigned long long)world_given(&w, "echo/0"));
    }
    for (unsigned k = 0; k < CLIENTS; k++) {
        (void)world_say(&w, ONE, "[2,b'client number%3u',%u,%u,'hub','describe',0,null,{}]", k,
                        EACH + 1, EACH);
    }
    world_poll(&w, "echo/0", 1);
    const struct record *ack = world_expect(&w, p->request, 0, WIRE_REC_ACK);
    cr_assert(RECORD_FIELD(ack, ACK, WHAT)->item.count == 1024, "%u",
              RECORD_FIELD(ack, ACK, WHAT)->item.count);
    world_deinit(&w);
}

Test(serve, acknowledgements_that_piled_up_answer_the_next_poll)
{
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    struct process *p = world_process(&w, "echo/0");
    for (unsigned i = 1; i <= 70; i++) {
        world_poll(&w, "echo/0", 1);
        (void)call(&w, i);
        (void)world_say(&w, p->peer, "[18,'echo/0',%llu,[[%llu,0,null]]]", session_of(&w),
                        (unsigned long long)world_given(&w, "echo/0"));
    }
    (void)world_say(&w, ONE, "[2,b'" ID "',71,70,'hub','describe',0,null,{}]");
    world_poll(&w, "echo/0", 1);
    const struct record *ack = world_expect(&w, p->request, 0, WIRE_REC_ACK);
    cr_assert(RECORD_FIELD(ack, ACK, WHAT)->item.count == 70, "%u",
              RECORD_FIELD(ack, ACK, WHAT)->item.count);
    world_deinit(&w);
}

/* ---- CONTROL
 * ------------------------------------------------------------------------------------- */

static uint64_t
control(struct world *w)
{
    return world_say(w, world_process(w, "echo/0")->peer, "[19,'echo/0',%llu]", session_of(w));
}

Test(serve, a_control_without_news_is_answered_after_25_s)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t r = control(&w);
    world_pass_ms(&w, WIRE_PARK_MS - 1);
    cr_assert(world_reply(&w, r) == NULL, "too early");
    world_pass_ms(&w, 1);
    expect_text(&w, r, "COMMAND '' {}");
    world_deinit(&w);
}

Test(serve, a_newer_control_ends_the_older_one)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t older = control(&w), newer = control(&w);
    expect_text(&w, older, "COMMAND '' {}");
    cr_assert(world_reply(&w, newer) == NULL, "the newer one waits");
    world_deinit(&w);
}

Test(serve, commands_wait_for_the_next_control_and_come_together)
{
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 2);
    (void)call(&w, 1);
    (void)world_given(&w, "echo/0");
    world_poll(&w, "echo/0", 2);
    (void)call(&w, 2);
    (void)world_say(&w, ONE, "[4,b'" ID "',1]");
    (void)world_say(&w, ONE, "[4,b'" ID "',2]");
    const uint64_t r = control(&w);
    cr_assert(world_says(&w, r, "COMMAND 'cancel' {'call': ") &&
                  world_says(&w, r, "; COMMAND 'cancel' "),
              "%s", world_text(&w, r));
    cr_assert(world_reply(&w, control(&w)) == NULL, "they are told once");
    world_deinit(&w);
}

Test(serve, commands_of_one_process_are_not_for_the_next)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    (void)call(&w, 1);
    (void)world_say(&w, ONE, "[4,b'" ID "',1]");
    world_exited(&w, "echo/0", 9);
    world_pass_ms(&w, 200);
    world_serve(&w, "echo/0");
    cr_assert(world_reply(&w, control(&w)) == NULL, "a command of its predecessor");
    world_deinit(&w);
}

Test(serve, a_worker_that_never_asks_has_at_most_64_commands_waiting)
{
    struct world w;
    begin(&w);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    for (unsigned i = 1; i <= 80; i++) {
        world_poll(&w, "echo/0", 1);
        (void)call(&w, i);
        (void)world_given(&w, "echo/0");
        (void)world_say(&w, ONE, "[4,b'" ID "',%u]", i);
    }
    struct buf b = {0};
    struct hub_effects out;
    char text[80];
    (void)snprintf(text, sizeof text, "[19,'echo/0',%llu]", session_of(&w));
    notation_write(&b, text);
    struct hub_input in = {
        .kind = HUB_IN_MESSAGE, .peer = world_process(&w, "echo/0")->peer, .now_ns = w.now_ns};
    in.message.body = buf_span(&b);
    cr_assert(hub_step(w.hub, &in, &out) && out.count == 1, "answered at once");
    struct span body = out.list[0].body;
    unsigned count = 0;
    while (body.len > 0 && mp_skip(&body, NULL)) {
        count++;
    }
    cr_assert(count == 64, "%u commands", count);
    buf_deinit(&b);
    world_deinit(&w);
}

Test(serve, another_session_ends_what_the_old_one_waited_for)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t c = control(&w), poll = world_process(&w, "echo/0")->request;
    attach(&w, 1, "[]", "[]");
    expect_text(&w, c, "ERROR 0 9 0 'attach first' null");
    expect_text(&w, poll, "ERROR 0 9 0 'attach first' null");
    world_deinit(&w);
}
