/* The rules of the worker link, one by one: what a broken connection, a repeat and a second session
 * do. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <string.h>

enum { CLIENT = 1 };

static const struct world_call call_echo = {"echo", "echo", 1, 0, 20000, NULL};

static void
begin(struct world *w)
{
    world_init(w);
    world_worker(w, "echo", NULL);
    world_configured(w);
    world_open(w, CLIENT);
    world_serve(w, "echo/0");
}

/* ATTACH with a number and an inventory; the request. */
struct inventory {
    uint64_t attach, running, done;
};

static uint64_t
attach(struct world *w, const char *name, const struct inventory *inventory)
{
    struct process *p = world_process(w, name);
    struct buf b = {0};
    write_op(&b, WIRE_ATTACH);
    write_map(&b, 4);
    write_text(&b, "token");
    write_text(&b, p->token);
    write_text(&b, "attach");
    write_uint(&b, inventory->attach);
    write_text(&b, "running");
    write_array(&b, inventory->running != 0);
    if (inventory->running != 0) {
        write_uint(&b, inventory->running);
    }
    write_text(&b, "done");
    write_array(&b, inventory->done != 0);
    if (inventory->done != 0) {
        write_uint(&b, inventory->done);
    }
    const uint64_t request = world_send(w, p->peer, buf_span(&b));
    buf_deinit(&b);
    return request;
}

static void
take_session(struct world *w, const char *name, uint64_t request)
{
    const struct record *r = world_expect(w, request, 0, WIRE_REC_WELCOME);
    struct field session;
    cr_assert(record_key(RECORD_FIELD(r, WELCOME, ABOUT), WIRE_KEY_WELCOME_session, &session),
              "session");
    world_process(w, name)->session = session.item.uint;
    world_process(w, name)->taken = 0;
}

/* The worker's connection breaks while it holds a call; it comes back on another one. */
static uint64_t
break_link(struct world *w, const struct inventory *inventory)
{
    struct process *p = world_process(w, "echo/0");
    world_close(w, p->peer);
    p->peer += 1;
    world_open(w, p->peer);
    return attach(w, "echo/0", inventory);
}

Test(link, a_broken_connection_decides_nothing)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_call(&w, CLIENT, &call_echo);
    world_close(&w, world_process(&w, "echo/0")->peer);
    world_pass_ms(&w, 10000);
    cr_assert(world_outcome(&w, r, NULL) == -1, "the call ended with the connection");
    world_deinit(&w);
}

Test(link, a_running_call_goes_on_over_a_new_session)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_call(&w, CLIENT, &call_echo);
    const uint64_t call = world_given(&w, "echo/0");
    take_session(&w, "echo/0", break_link(&w, &(struct inventory){1, call, 0}));
    world_poll(&w, "echo/0", 1);
    cr_assert(world_given(&w, "echo/0") == 0, "a running call was given again");
    world_done(&w, "echo/0", call);
    cr_assert(world_outcome(&w, r, NULL) == 0, "no result");
    world_deinit(&w);
}

Test(link, work_that_never_arrived_is_given_again)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_call(&w, CLIENT, &call_echo);
    /* The reply with the WORK was lost with the connection: the inventory is empty. */
    take_session(&w, "echo/0", break_link(&w, &(struct inventory){1, 0, 0}));
    world_poll(&w, "echo/0", 1);
    const uint64_t again = world_given(&w, "echo/0");
    cr_assert(again != 0, "the call was lost");
    world_done(&w, "echo/0", again);
    cr_assert(world_outcome(&w, r, NULL) == 0, "no result");
    world_deinit(&w);
}

Test(link, a_program_without_inventory_never_gets_a_once_call_again)
{
    struct world w;
    unsigned began = 0;
    begin(&w);
    const uint64_t r = world_call(&w, CLIENT, &call_echo);
    world_close(&w, world_process(&w, "echo/0")->peer);
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 1);
    cr_assert(world_given(&w, "echo/0") == 0, "a once call was given again");
    cr_assert(world_outcome(&w, r, &began) == WIRE_ERR_ABORTED && began == WIRE_BEGAN_MAYBE,
              "outcome");
    world_deinit(&w);
}

Test(link, an_old_attach_is_refused)
{
    struct world w;
    begin(&w);
    take_session(&w, "echo/0", break_link(&w, &(struct inventory){5, 0, 0}));
    (void)world_expect(&w, attach(&w, "echo/0", &(struct inventory){4, 0, 0}), 0, WIRE_REC_ERROR);
    /* The session of the newer one still holds. */
    world_poll(&w, "echo/0", 1);
    (void)world_call(&w, CLIENT, &call_echo);
    cr_assert(world_given(&w, "echo/0") != 0, "the session was lost");
    world_deinit(&w);
}

Test(link, a_repeated_attach_keeps_the_session)
{
    struct world w;
    begin(&w);
    take_session(&w, "echo/0", break_link(&w, &(struct inventory){5, 0, 0}));
    const uint64_t session = world_process(&w, "echo/0")->session;
    take_session(&w, "echo/0", attach(&w, "echo/0", &(struct inventory){5, 0, 0}));
    cr_assert(world_process(&w, "echo/0")->session == session, "another session");
    world_deinit(&w);
}

Test(link, an_old_session_is_told_to_attach)
{
    struct world w;
    begin(&w);
    world_process(&w, "echo/0")->session++;
    world_poll(&w, "echo/0", 1);
    const struct record *e =
        world_expect(&w, world_process(&w, "echo/0")->request, 0, WIRE_REC_ERROR);
    cr_assert(RECORD_FIELD(e, ERROR, CODE)->item.uint == WIRE_ERR_FAILED_PRECONDITION, "code");
    world_deinit(&w);
}

Test(link, a_result_of_an_old_session_is_taken_all_the_same)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_call(&w, CLIENT, &call_echo);
    const uint64_t call = world_given(&w, "echo/0");
    world_process(&w, "echo/0")->session++;
    world_done(&w, "echo/0", call);
    (void)world_expect(&w, world_process(&w, "echo/0")->request, 0, WIRE_REC_ERROR);
    cr_assert(world_outcome(&w, r, NULL) == 0, "the result was thrown away");
    world_deinit(&w);
}

Test(link, work_that_was_not_taken_is_told_again_under_its_number)
{
    struct world w;
    begin(&w);
    struct process *p = world_process(&w, "echo/0");
    (void)world_call(&w, CLIENT, &call_echo);
    const uint64_t call = world_given(&w, "echo/0"), number = p->taken;
    p->taken = 0; /* as if that reply had not come */
    world_poll(&w, "echo/0", 1);
    cr_assert(world_given(&w, "echo/0") == call && p->taken == number, "another WORK");
    world_deinit(&w);
}

Test(link, a_newer_poll_ends_the_older_one_empty)
{
    struct world w;
    begin(&w);
    struct process *p = world_process(&w, "echo/0");
    const uint64_t older = p->request;
    world_poll(&w, "echo/0", 1);
    const struct record *work = world_expect(&w, older, 0, WIRE_REC_WORK);
    cr_assert(RECORD_FIELD(work, WORK, ITEMS)->item.count == 0, "the older POLL got a call");
    (void)world_call(&w, CLIENT, &call_echo);
    cr_assert(world_given(&w, "echo/0") != 0, "the newer POLL got none");
    world_deinit(&w);
}

Test(link, the_result_may_be_forgotten_only_when_the_client_has_it)
{
    struct world w;
    begin(&w);
    (void)world_call(&w, CLIENT, &call_echo);
    const uint64_t call = world_given(&w, "echo/0");
    world_done(&w, "echo/0", call);
    /* Receipt alone forgets nothing: the ACK of that REPORT is empty. */
    (void)world_call(&w, CLIENT, &(struct world_call){"echo", "echo", 2, 0, 20000, NULL});
    struct process *p = world_process(&w, "echo/0");
    const struct record *ack = world_expect(&w, p->request, 0, WIRE_REC_ACK);
    cr_assert(RECORD_FIELD(ack, ACK, WHAT)->item.count == 0, "forgotten on receipt");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    /* The next request of the client acknowledges both. */
    (void)world_call(&w, CLIENT, &(struct world_call){"echo", "echo", 3, 2, 20000, NULL});
    ack = world_expect(&w, p->request, 1, WIRE_REC_ACK);
    struct span inside = RECORD_FIELD(ack, ACK, WHAT)->inside;
    uint64_t number = 0;
    cr_assert(record_number(&inside, &number) && number == call, "the worker was not told");
    world_deinit(&w);
}

Test(link, a_wrong_token_attaches_nobody)
{
    struct world w;
    begin(&w);
    struct process *p = world_process(&w, "echo/0");
    p->token[strlen(p->token) - 1] ^= 1;
    const struct record *e =
        world_expect(&w, attach(&w, "echo/0", &(struct inventory){9, 0, 0}), 0, WIRE_REC_ERROR);
    cr_assert(RECORD_FIELD(e, ERROR, CODE)->item.uint == WIRE_ERR_PERMISSION_DENIED, "code");
    world_deinit(&w);
}

Test(link, a_cancelled_call_is_told_to_the_worker_that_runs_it)
{
    struct world w;
    begin(&w);
    struct process *p = world_process(&w, "echo/0");
    struct buf b = {0};
    write_op(&b, WIRE_CONTROL);
    write_text(&b, "echo/0");
    write_uint(&b, p->session);
    const uint64_t control = world_send(&w, p->peer, buf_span(&b));
    (void)world_call(&w, CLIENT, &call_echo);
    const uint64_t call = world_given(&w, "echo/0");
    world_pass_ms(&w, 20001); /* its deadline passes */
    const struct record *command = world_expect(&w, control, 0, WIRE_REC_COMMAND);
    struct field number;
    cr_assert(span_is(RECORD_FIELD(command, COMMAND, VERB)->item.bytes, "cancel"), "verb");
    cr_assert(record_key(RECORD_FIELD(command, COMMAND, ABOUT), WIRE_KEY_COMMAND_call, &number) &&
                  number.item.uint == call,
              "call");
    buf_deinit(&b);
    world_deinit(&w);
}

Test(link, a_poll_is_answered_after_25_s_even_without_work)
{
    struct world w;
    begin(&w);
    const uint64_t poll = world_process(&w, "echo/0")->request;
    world_pass_ms(&w, 24999);
    cr_assert(world_reply(&w, poll) == NULL, "too early");
    world_pass_ms(&w, 1);
    (void)world_expect(&w, poll, 0, WIRE_REC_WORK);
    world_deinit(&w);
}

static void
two_replicas(struct worker_spec *spec)
{
    spec->replicas = 2;
}

Test(link, calls_go_to_the_least_busy_replica)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", two_replicas);
    world_configured(&w);
    world_open(&w, CLIENT);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 2);
    (void)world_call(&w, CLIENT, &call_echo);
    cr_assert(world_given(&w, "echo/0") != 0, "the first call");
    world_poll(&w, "echo/0", 1); /* it has room for another */
    world_serve(&w, "echo/1");
    (void)world_call(&w, CLIENT, &(struct world_call){"echo", "echo", 2, 0, 20000, NULL});
    cr_assert(world_given(&w, "echo/1") != 0, "the second call went to the busy one");
    world_deinit(&w);
}
