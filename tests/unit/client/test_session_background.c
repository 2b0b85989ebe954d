/* Calls in the background, and those that are resumed. */
#include "tests/unit/client/session_kit.h"

#include <string.h>

static struct session_ask
background(uint32_t ttl_ms)
{
    return (struct session_ask){.kind = SESSION_CALL,
                                .user = &now,
                                .deadline_ns = now + 30 * SECOND,
                                .worker = span_text("w/*"),
                                .name = span_text("m"),
                                .payload = span_text("\x90"),
                                .background = true,
                                .ttl_ms = ttl_ms};
}

static uint64_t
ask_for(struct session_ask ask)
{
    uint64_t ticket = 0;
    const char *problem = "";
    cr_assert_eq(session_ask(s, &ask, &ticket, &problem), PRONG_OK, "%s", problem);
    return ticket;
}

Test(session_background, a_call_in_the_background_ends_when_it_is_accepted, .init = set_up,
     .fini = tear_down)
{
    connect_to(1, 1);
    (void)ask_for(background(0));
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(RECORD_FIELD(&sent, CALL, TTL_MS)->item.uint, 0, "the hub's own");
    give_pending(sent_id, 1);
    expect_outcome(PRONG_OK, PRONG_BEGAN_MAYBE);
    cr_expect(outcome.accepted && outcome.handle.seq == 1 && outcome.value.len == 0);
    cr_expect(memcmp(outcome.handle.client, "0123456789abcde", 16) == 0);
    expect_silence();
    cr_expect_eq(session_ack(s), 1, "it holds nothing back");
    (void)ask_for(background(500000));
    session_lost(s);
    connect_to(1, 1);
    now += 5 * SECOND;
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(RECORD_FIELD(&sent, CALL, TTL_MS)->item.uint, 500000);
    session_lost(s);
    connect_to(1, 1);
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(seq_of_call(), 2, "asked again until it is accepted");
    give_result(sent_id, 2, 7); /* so late that it has ended */
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    cr_expect(outcome.accepted && outcome.handle.seq == 2 && outcome.value.data[0] == 7);
}

Test(session_background, a_call_in_the_background_that_is_cancelled_early_goes_on_to_its_outcome,
     .init = set_up, .fini = tear_down)
{
    connect_to(1, 1);
    const uint64_t ticket = ask_for(background(0));
    expect_sent(WIRE_REC_CALL);
    session_cancel(s, ticket);
    give_pending(sent_id, 1);
    expect_nothing();
    expect_sent(WIRE_REC_WAIT);
    expect_sent(WIRE_REC_CANCEL);
}

static const struct session_handle elsewhere = {"fedcba987654321", 77};

static uint64_t
resume(int64_t ttl_ns)
{
    return ask_for((struct session_ask){
        .kind = SESSION_CALL, .user = &now, .deadline_ns = now + ttl_ns, .resume = &elsewhere});
}

static void
expect_wait(uint64_t received)
{
    expect_sent(WIRE_REC_WAIT);
    cr_expect(memcmp(RECORD_FIELD(&sent, WAIT, CLIENT)->item.bytes.data, elsewhere.client, 16) ==
              0);
    cr_expect_eq(RECORD_FIELD(&sent, WAIT, SEQ)->item.uint, 77);
    cr_expect_eq(RECORD_FIELD(&sent, WAIT, RECEIVED)->item.uint, received);
}

Test(session_background, a_resumed_call_is_only_waited_for, .init = set_up, .fini = tear_down)
{
    const uint64_t ticket = resume(100 * SECOND);
    connect_to(1, 1);
    expect_wait(0);
    give_pending(sent_id, 77);
    expect_wait(0);
    session_lost(s);
    connect_to(1, 1);
    expect_wait(0);
    struct buf *b = answer(WIRE_PARTIAL);
    write_uint(b, 77);
    write_uint(b, 9); /* another waiter took what was before */
    write_nil(b);
    write_array(b, 1);
    write_uint(b, 9);
    give(sent_id);
    expect_items(9, 1);
    session_more(s, ticket);
    expect_wait(10);
    (void)call_for(SECOND);
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(seq_of_call(), 1);
    give_result(sent_id, 1, 0);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    cr_expect_eq(session_ack(s), 1, "it is no number of this session");
    session_cancel(s, ticket);
    expect_sent(WIRE_REC_CANCEL);
    cr_expect_eq(RECORD_FIELD(&sent, CANCEL, SEQ)->item.uint, 77);
    session_lost(s);
    connect_to(1, 1);
    expect_wait(10);
    const uint32_t wait = sent_id;
    expect_sent(WIRE_REC_CANCEL);
    expect_silence();
    give_result(wait, 77, 5);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    expect_silence();
}

Test(session_background, a_resumed_call_that_nobody_knows_may_have_begun, .init = set_up,
     .fini = tear_down)
{
    (void)resume(100 * SECOND);
    connect_to(1, 1);
    expect_wait(0);
    buf_reset(&answer_bytes, 0);
    write_error(&answer_bytes,
                &(struct write_error){.seq = 77, .code = 5, .message = span_text("no such call")});
    give(sent_id);
    expect_outcome(PRONG_NOT_FOUND, PRONG_BEGAN_MAYBE);
    (void)resume(100 * SECOND);
    expect_wait(0);
    session_lost(s);
    connect_to(2, 1);
    expect_outcome(PRONG_UNAVAILABLE, PRONG_BEGAN_MAYBE);
    expect_silence();
}

Test(session_background, a_resumed_call_can_be_left_alone, .init = set_up, .fini = tear_down)
{
    connect_to(1, 1);
    for (size_t i = 0; i < 5 * WIRE_WINDOW; i++) {
        session_abandon(s, resume(100 * SECOND));
        cr_assert(session_next(s, &outcome) && outcome.user == NULL);
        const uint64_t ticket = resume(100 * SECOND);
        while (leaves()) {
            cr_assert_eq(sent.record, WIRE_REC_WAIT);
        }
        session_abandon(s, ticket); /* while the hub has its WAIT */
        cr_assert(session_next(s, &outcome) && outcome.user == NULL);
    }
    (void)call_for(SECOND);
    expect_silence(); /* as many as may be are with the hub */
    give_pending(sent_id, 77);
    expect_sent(WIRE_REC_CALL);
    expect_nothing();
}

Test(session_background, a_resumed_call_ends_at_its_deadline_exactly, .init = set_up,
     .fini = tear_down)
{
    connect_to(1, 1);
    const int64_t start = now;
    (void)resume(3 * SECOND);
    expect_wait(0);
    pass_to(start + 3 * SECOND);
    expect_outcome(PRONG_DEADLINE_EXCEEDED, PRONG_BEGAN_MAYBE);
}
