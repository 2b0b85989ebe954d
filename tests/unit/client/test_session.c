#include "tests/unit/client/session_kit.h"

#include <string.h>

/* ---- one call ------------------------------------------------------------------------------- */

Test(session, a_call_waits_for_welcome_and_ends_with_its_result, .init = set_up, .fini = tear_down)
{
    (void)call_for(SECOND);
    expect_silence();
    connect_to(1, 1);
    now += 250 * MS;
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(seq_of_call(), 1);
    cr_expect_eq(RECORD_FIELD(&sent, CALL, ACK)->item.uint, 0);
    cr_expect_eq(RECORD_FIELD(&sent, CALL, TTL_MS)->item.uint, 750, "the time that is left");
    cr_expect_eq(RECORD_FIELD(&sent, CALL, CLIENT)->item.bytes.len, 16);
    expect_silence();
    give_result(sent_id, 1, 42);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    cr_expect(outcome.value.len == 1 && outcome.value.data[0] == 42);
    expect_nothing();
    cr_expect_eq(session_ack(s), 1);
    cr_expect_eq(session_outstanding(s), 0);
}

Test(session, pending_is_followed_by_wait_under_another_id, .init = set_up, .fini = tear_down)
{
    connect_to(1, 1);
    (void)call_for(60 * SECOND);
    expect_sent(WIRE_REC_CALL);
    const uint32_t first = sent_id;
    give_pending(first, 1);
    expect_sent(WIRE_REC_WAIT);
    cr_expect_neq(sent_id, first);
    cr_expect_eq(RECORD_FIELD(&sent, WAIT, SEQ)->item.uint, 1);
    give_result(first, 1, 7); /* the answer to CALL was PENDING; this one is not ours */
    expect_nothing();
    give_result(sent_id, 1, 8);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    cr_expect_eq(outcome.value.data[0], 8);
}

Test(session, an_error_of_the_hub_comes_through_one_to_one, .init = set_up, .fini = tear_down)
{
    connect_to(1, 1);
    (void)call_for(SECOND);
    expect_sent(WIRE_REC_CALL);
    buf_reset(&answer_bytes, 0);
    write_error(&answer_bytes, &(struct write_error){.seq = 1,
                                                     .code = 10,
                                                     .began = 2,
                                                     .message = span_text("it died"),
                                                     .details = span_text("\x81\xa1k\x05")});
    give(sent_id);
    expect_outcome(PRONG_ABORTED, PRONG_BEGAN_YES);
    cr_expect(span_is(outcome.message, "it died"));
    cr_expect_eq(outcome.details.len, 4);
}

Test(session, answers_that_do_not_fit_are_internal_and_leave_open_what_began, .init = set_up,
     .fini = tear_down)
{
    connect_to(1, 1);
    for (int i = 0; i < 4; i++) {
        (void)call_for(SECOND);
        expect_sent(WIRE_REC_CALL);
        if (i == 0) {
            session_answer(s, sent_id, span_text("\xc1"));
        } else if (i == 1) {
            write_nil(answer(WIRE_PONG));
            give(sent_id);
        } else if (i == 2) {
            give_result(sent_id, 99, 1); /* of another call */
        } else {
            session_answer(s, sent_id, (struct span){0});
        }
        expect_outcome(PRONG_INTERNAL, PRONG_BEGAN_MAYBE);
    }
}

Test(session, what_is_wrong_is_refused_before_it_is_sent, .init = set_up, .fini = tear_down)
{
    static const struct {
        enum session_kind kind;
        const char *worker, *name, *payload, *options;
    } bad[] = {
        {SESSION_CALL, "W", "m", "\x90", ""},          {SESSION_CALL, "w", "m-", "\x90", ""},
        {SESSION_CALL, "", "m", "\x90", ""},           {SESSION_CALL, "w", "m", "\x01", ""},
        {SESSION_CALL, "w", "m", "\x91", ""},          {SESSION_CALL, "w", "m", "", ""},
        {SESSION_CALL, "w", "m", "\x90\x90", ""},      {SESSION_CALL, "w", "m", "\x90", "\x90"},
        {SESSION_CALL, "w", "m", "\x90", "\x81\xa1k"}, {SESSION_CALL, "w", "m", "\x90", "\x80\x80"},
        {SESSION_EMIT, "", "a..b", "\x90", ""},        {SESSION_EMIT, "", "a", "\x91", ""},
    };
    uint64_t ticket = 0;
    const char *problem;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct session_ask a = {.kind = bad[i].kind,
                                      .deadline_ns = now + SECOND,
                                      .worker = span_text(bad[i].worker),
                                      .name = span_text(bad[i].name),
                                      .payload = span_text(bad[i].payload),
                                      .options = span_text(bad[i].options)};
        problem = NULL;
        cr_expect_eq(session_ask(s, &a, &ticket, &problem), PRONG_INVALID_ARGUMENT, "case %zu", i);
        cr_expect_not_null(problem);
    }
    cr_expect_eq(session_outstanding(s), 0);
}

/* ---- ack and window ------------------------------------------------------------------------- */

Test(session, ack_is_the_highest_number_without_a_gap, .init = set_up, .fini = tear_down)
{
    uint32_t id[3];
    connect_to(1, 1);
    for (int i = 0; i < 3; i++) {
        (void)call_for(SECOND);
        expect_sent(WIRE_REC_CALL);
        id[i] = sent_id;
    }
    give_result(id[1], 2, 0);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    cr_expect_eq(session_ack(s), 0);
    give_result(id[0], 1, 0);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    cr_expect_eq(session_ack(s), 2);
    (void)call_for(SECOND);
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(RECORD_FIELD(&sent, CALL, ACK)->item.uint, 2);
    give_result(id[2], 3, 0);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    cr_expect_eq(session_ack(s), 3);
}

Test(session, the_window_is_bounded, .init = set_up, .fini = tear_down)
{
    uint64_t ticket;
    const char *problem;
    connect_to(1, 1);
    for (int i = 0; i < WIRE_WINDOW; i++) {
        cr_assert_not(session_is_full(s));
        (void)call_for(SECOND);
    }
    cr_assert(session_is_full(s));
    const struct session_ask more = {.kind = SESSION_EMIT,
                                     .deadline_ns = now + SECOND,
                                     .name = span_text("t"),
                                     .payload = span_text("\xc0")};
    cr_expect_eq(session_ask(s, &more, &ticket, &problem), PRONG_RESOURCE_EXHAUSTED);
    size_t flying = 0;
    while (leaves()) {
        flying++;
    }
    cr_expect_lt(flying, WIRE_PARKED_MAX, "a hub takes no more at a time");
    give_result(sent_id, seq_of_call(), 0);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    expect_sent(WIRE_REC_CALL);
    cr_expect_not(session_is_full(s));
}

/* ---- reconnect ------------------------------------------------------------------------------ */

Test(session, the_same_broker_is_asked_again_under_the_same_numbers, .init = set_up,
     .fini = tear_down)
{
    connect_to(5, 1);
    (void)call_for(10 * SECOND);
    (void)call_for(10 * SECOND);
    expect_sent(WIRE_REC_CALL);
    expect_sent(WIRE_REC_CALL);
    const uint32_t old = sent_id;
    give_pending(old, 2);
    expect_sent(WIRE_REC_WAIT);
    (void)call_for(10 * SECOND);
    now += 4 * SECOND;
    session_lost(s);
    expect_silence();
    connect_to(5, 1);
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(seq_of_call(), 1);
    cr_expect_eq(RECORD_FIELD(&sent, CALL, TTL_MS)->item.uint, 6000);
    const uint32_t again = sent_id;
    expect_sent(WIRE_REC_WAIT);
    cr_expect_eq(RECORD_FIELD(&sent, WAIT, SEQ)->item.uint, 2, "the hub has this one");
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(seq_of_call(), 3);
    expect_silence();
    give_result(old, 2, 1); /* of the old connection */
    expect_nothing();
    give_result(again, 1, 1);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
}

Test(session, another_broker_is_not_asked_what_the_old_one_may_have_begun, .init = set_up,
     .fini = tear_down)
{
    uint64_t ticket;
    const char *problem;
    connect_to(5, 1);
    (void)call_for(10 * SECOND);
    expect_sent(WIRE_REC_CALL);
    cr_assert_eq(session_ask(s,
                             &(struct session_ask){.kind = SESSION_EMIT,
                                                   .user = &now,
                                                   .deadline_ns = now + SECOND,
                                                   .name = span_text("t"),
                                                   .payload = span_text("\xc0")},
                             &ticket, &problem),
                 PRONG_OK);
    expect_sent(WIRE_REC_EMIT);
    (void)call_for(10 * SECOND); /* never sent */
    session_lost(s);
    (void)call_for(10 * SECOND); /* nor this */
    connect_to(6, 1);
    expect_outcome(PRONG_UNAVAILABLE, PRONG_BEGAN_MAYBE);
    expect_outcome(PRONG_UNAVAILABLE, PRONG_BEGAN_MAYBE);
    expect_nothing();
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(seq_of_call(), 3);
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(seq_of_call(), 4);
    expect_silence();
}

Test(session, a_connection_lost_before_welcome_changes_nothing, .init = set_up, .fini = tear_down)
{
    connect_to(5, 1);
    (void)call_for(10 * SECOND);
    expect_sent(WIRE_REC_CALL);
    session_lost(s);
    session_connected(s, now);
    expect_sent(WIRE_REC_HELLO);
    session_lost(s);
    connect_to(5, 1);
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(seq_of_call(), 1);
}

Test(session, a_refused_hello_is_told, .init = set_up, .fini = tear_down)
{
    const char *text;
    session_connected(s, now);
    expect_sent(WIRE_REC_HELLO);
    cr_expect_eq(session_refusal(s, &text), PRONG_OK);
    buf_reset(&answer_bytes, 0);
    write_error(&answer_bytes, &(struct write_error){.code = 16, .message = span_text("token?")});
    give(sent_id);
    cr_expect_eq(session_refusal(s, &text), PRONG_UNAUTHENTICATED);
    cr_expect_str_eq(text, "token?");
    cr_expect(session_is_dead(s, now));
    cr_expect_not(session_is_welcome(s));
}

/* ---- time ----------------------------------------------------------------------------------- */

Test(session, a_silent_hub_is_given_two_seconds_more, .init = set_up, .fini = tear_down)
{
    connect_to(1, 1);
    const int64_t start = now;
    (void)call_for(3 * SECOND);
    expect_sent(WIRE_REC_CALL);
    pass_to(start + 5 * SECOND - 1);
    expect_nothing();
    pass_to(start + 5 * SECOND);
    expect_outcome(PRONG_DEADLINE_EXCEEDED, PRONG_BEGAN_MAYBE);
    cr_expect_eq(session_ack(s), 1);
}

Test(session, without_a_connection_the_deadline_is_the_end, .init = set_up, .fini = tear_down)
{
    const int64_t start = now;
    (void)call_for(3 * SECOND);
    pass_to(start + 3 * SECOND - 1);
    expect_nothing();
    pass_to(start + 3 * SECOND);
    expect_outcome(PRONG_DEADLINE_EXCEEDED, PRONG_BEGAN_NO);
    connect_to(1, 1);
    (void)call_for(3 * SECOND);
    expect_sent(WIRE_REC_CALL);
    session_lost(s);
    pass_to(start + 6 * SECOND);
    expect_outcome(PRONG_DEADLINE_EXCEEDED, PRONG_BEGAN_MAYBE);
    connect_to(1, 1);
    expect_silence();
}

Test(session, a_hub_that_does_not_greet_or_falls_silent_is_dead, .init = set_up, .fini = tear_down)
{
    session_connected(s, now);
    expect_sent(WIRE_REC_HELLO);
    cr_expect_not(session_is_dead(s, now + 5 * SECOND - 1));
    cr_expect_leq(session_deadline_ns(s), now + 5 * SECOND);
    cr_expect(session_is_dead(s, now + 5 * SECOND));
    session_lost(s);
    connect_to(1, 1);
    (void)call_for(3000 * SECOND);
    expect_sent(WIRE_REC_CALL);
    cr_expect_not(session_is_dead(s, now + 39 * SECOND));
    cr_expect_leq(session_deadline_ns(s), now + 40 * SECOND);
    cr_expect(session_is_dead(s, now + 40 * SECOND));
    give_pending(sent_id, 1);
    now += 39 * SECOND;
    expect_sent(WIRE_REC_WAIT);
    cr_expect_not(session_is_dead(s, now + 39 * SECOND));
}

/* ---- cancel --------------------------------------------------------------------------------- */

Test(session, a_call_that_was_not_sent_is_cancelled_at_once, .init = set_up, .fini = tear_down)
{
    const uint64_t ticket = call_for(SECOND);
    session_cancel(s, ticket);
    expect_outcome(PRONG_CANCELLED, PRONG_BEGAN_NO);
    connect_to(1, 1);
    expect_silence();
    session_cancel(s, ticket); /* nobody any more */
    session_more(s, ticket);
    session_retarget(s, ticket, NULL);
}

Test(session, cancel_is_sent_once_a_connection_and_the_outcome_awaited, .init = set_up,
     .fini = tear_down)
{
    connect_to(1, 1);
    const uint64_t ticket = call_for(10 * SECOND);
    expect_sent(WIRE_REC_CALL);
    session_cancel(s, ticket);
    session_cancel(s, ticket);
    expect_sent(WIRE_REC_CANCEL);
    cr_expect_eq(RECORD_FIELD(&sent, CANCEL, SEQ)->item.uint, 1);
    expect_silence();
    write_uint(answer(WIRE_ACK), 1);
    write_uint(&answer_bytes, 0);
    give(sent_id);
    expect_nothing();
    session_lost(s);
    connect_to(1, 1);
    expect_sent(WIRE_REC_CALL);
    const uint32_t call = sent_id;
    expect_sent(WIRE_REC_CANCEL);
    expect_silence();
    buf_reset(&answer_bytes, 0);
    write_error(
        &answer_bytes,
        &(struct write_error){.seq = 1, .code = 1, .began = 1, .message = span_text("cancelled")});
    give(call);
    expect_outcome(PRONG_CANCELLED, PRONG_BEGAN_MAYBE);
    expect_silence();
}

Test(session, everything_can_be_ended, .init = set_up, .fini = tear_down)
{
    connect_to(1, 1);
    (void)call_for(10 * SECOND);
    expect_sent(WIRE_REC_CALL);
    (void)call_for(10 * SECOND);
    session_end_all(s, PRONG_CANCELLED, "the end");
    expect_outcome(PRONG_CANCELLED, PRONG_BEGAN_MAYBE);
    expect_outcome(PRONG_CANCELLED, PRONG_BEGAN_NO);
    expect_silence();
    cr_expect_eq(session_deadline_ns(s) > now, true);
}

/* ---- many results --------------------------------------------------------------------------- */

Test(session, items_are_asked_for_when_the_reader_wants_more, .init = set_up, .fini = tear_down)
{
    connect_to(1, 1);
    const uint64_t ticket = call_for(10 * SECOND);
    expect_sent(WIRE_REC_CALL);
    give_partial(sent_id, 0, 3);
    expect_items(0, 3);
    expect_silence();
    session_more(s, ticket);
    expect_sent(WIRE_REC_WAIT);
    cr_expect_eq(RECORD_FIELD(&sent, WAIT, RECEIVED)->item.uint, 3);
    give_partial(sent_id, 2, 3); /* number 2 came before */
    expect_items(3, 2);
    session_lost(s);
    connect_to(1, 1);
    expect_silence();
    session_more(s, ticket);
    expect_sent(WIRE_REC_WAIT);
    cr_expect_eq(RECORD_FIELD(&sent, WAIT, RECEIVED)->item.uint, 5);
    give_result(sent_id, 1, 0);
    expect_outcome(PRONG_OK, PRONG_BEGAN_YES);
    cr_expect_eq(outcome.item_count, 0);
}

Test(session, a_gap_in_the_items_is_data_loss, .init = set_up, .fini = tear_down)
{
    connect_to(1, 1);
    (void)call_for(10 * SECOND);
    expect_sent(WIRE_REC_CALL);
    give_partial(sent_id, 4, 1);
    expect_outcome(PRONG_DATA_LOSS, PRONG_BEGAN_YES);
}

Test(session, a_paused_call_can_be_cancelled, .init = set_up, .fini = tear_down)
{
    connect_to(1, 1);
    const uint64_t ticket = call_for(10 * SECOND);
    expect_sent(WIRE_REC_CALL);
    give_partial(sent_id, 0, 1);
    expect_items(0, 1);
    session_cancel(s, ticket);
    expect_sent(WIRE_REC_WAIT);
    const uint32_t wait = sent_id;
    expect_sent(WIRE_REC_CANCEL);
    expect_silence();
    give_partial(wait, 1, 1); /* it left before CANCEL arrived */
    expect_items(1, 1);
    expect_sent(WIRE_REC_WAIT);
}

Test(session, items_that_came_twice_over_a_reconnect_are_given_once, .init = set_up,
     .fini = tear_down)
{
    connect_to(1, 1);
    const uint64_t ticket = call_for(10 * SECOND);
    expect_sent(WIRE_REC_CALL);
    session_lost(s); /* with the answer under way */
    connect_to(1, 1);
    expect_sent(WIRE_REC_CALL);
    give_partial(sent_id, 0, 4);
    expect_items(0, 4);
    session_more(s, ticket);
    expect_sent(WIRE_REC_WAIT);
    const uint32_t old = sent_id;
    session_lost(s);
    connect_to(1, 1);
    give_partial(old, 4, 1);
    expect_nothing();
    expect_sent(WIRE_REC_WAIT);
    cr_expect_eq(RECORD_FIELD(&sent, WAIT, RECEIVED)->item.uint, 4);
    give_partial(sent_id, 0, 4); /* the WAIT before it was lost on its way */
    expect_items(0, 0);
    session_more(s, ticket);
    expect_sent(WIRE_REC_WAIT);
    give_partial(sent_id, 2, 4);
    expect_items(4, 2);
}

/* ---- events --------------------------------------------------------------------------------- */

static uint64_t
fetch_from(enum session_from from, uint64_t number, uint64_t history)
{
    uint64_t ticket;
    const char *problem = "";
    cr_assert_eq(session_ask(s,
                             &(struct session_ask){.kind = SESSION_FETCH,
                                                   .user = &now,
                                                   .deadline_ns = SESSION_NEVER,
                                                   .name = span_text("\x91\xa1>"),
                                                   .from = from,
                                                   .number = number,
                                                   .history = history,
                                                   .items_max = 10,
                                                   .bytes_max = 1000,
                                                   .wait_ms = 25000},
                             &ticket, &problem),
                 PRONG_OK, "%s", problem);
    return ticket;
}

static void
give_events(uint64_t history, uint64_t next, uint64_t lost)
{
    struct buf *b = answer(WIRE_EVENTS);
    write_uint(b, history);
    write_uint(b, next);
    write_uint(b, lost);
    write_array(b, 0);
    give(sent_id);
}

Test(session, fetches_do_not_count_as_requests_with_numbers, .init = set_up, .fini = tear_down)
{
    connect_to(1, 9);
    (void)fetch_from(SESSION_FROM_LAST, 0, 0);
    expect_sent(WIRE_REC_FETCH);
    cr_expect(span_is(RECORD_FIELD(&sent, FETCH, FROM)->item.bytes, "last"));
    (void)call_for(SECOND);
    expect_sent(WIRE_REC_CALL);
    cr_expect_eq(seq_of_call(), 1);
    session_lost(s);
    connect_to(2, 9); /* another broker, the same events */
    expect_outcome(PRONG_UNAVAILABLE, PRONG_BEGAN_MAYBE);
    expect_sent(WIRE_REC_FETCH);
    give_events(9, 17, 3);
    cr_assert(session_next(s, &outcome));
    cr_expect_eq(outcome.next, 17);
    cr_expect_eq(outcome.lost, 3);
    cr_expect_eq(outcome.history, 9);
}

Test(session, a_position_of_another_history_is_not_asked_for, .init = set_up, .fini = tear_down)
{
    connect_to(1, 9);
    (void)fetch_from(SESSION_FROM_NUMBER, 500, 9);
    expect_sent(WIRE_REC_FETCH);
    cr_expect_eq(RECORD_FIELD(&sent, FETCH, FROM)->item.uint, 500);
    session_lost(s);
    connect_to(2, 10);
    expect_silence();
    cr_assert(session_next(s, &outcome));
    cr_expect(outcome.ended);
    cr_expect_eq(outcome.code, PRONG_OK);
    cr_expect_eq(outcome.history, 10);
    cr_expect_eq(outcome.item_count, 0);
}

Test(session, subscriptions_are_bounded, .init = set_up, .fini = tear_down)
{
    uint64_t ticket;
    const char *problem;
    for (int i = 0; i < SESSION_OTHERS_MAX; i++) {
        (void)fetch_from(SESSION_FROM_NEW, 0, 0);
    }
    const struct session_ask more = {
        .kind = SESSION_FETCH, .deadline_ns = SESSION_NEVER, .name = span_text("\x91\xa1>")};
    cr_expect_eq(session_ask(s, &more, &ticket, &problem), PRONG_RESOURCE_EXHAUSTED);
}

Test(session, ten_thousand_calls_with_random_losses_all_end_once, .init = set_up, .fini = tear_down)
{
    uint32_t state = 12345, flying[WIRE_WINDOW] = {0};
    uint64_t seqs[WIRE_WINDOW], asked = 0, ended = 0, epoch = 1;
    size_t n = 0;
    connect_to(epoch, 1);
    while (ended < 10000) {
        state = state * 1664525 + 1013904223;
        const uint32_t dice = state >> 24;
        if (dice < 120 && !session_is_full(s)) {
            (void)call_for((dice % 7 + 1) * 100 * MS);
            asked++;
        } else if (dice < 200 && leaves()) {
            seqs[n % WIRE_WINDOW] = sent.record == WIRE_REC_CALL
                                        ? seq_of_call()
                                        : RECORD_FIELD(&sent, WAIT, SEQ)->item.uint;
            flying[n++ % WIRE_WINDOW] = sent_id;
        } else if (dice < 245 && n > 0) {
            const size_t i = (state >> 8) % (n < WIRE_WINDOW ? n : WIRE_WINDOW);
            if (dice % 4 == 0) {
                give_pending(flying[i], seqs[i]);
            } else {
                give_result(flying[i], seqs[i], 1);
            }
        } else if (dice < 248) {
            session_lost(s);
            epoch += dice % 2;
            connect_to(epoch, 1);
        } else {
            now += 50 * MS;
            session_tick(s, now);
        }
        while (session_next(s, &outcome)) {
            cr_assert(outcome.ended);
            ended++;
        }
        cr_assert_eq(session_outstanding(s), asked - ended);
        cr_assert_leq(session_ack(s), asked);
    }
}
