/* See session_kit.h. */
#include "tests/unit/client/session_kit.h"

#include <string.h>

struct session *s;
int64_t now;
struct record sent;
uint32_t sent_id;
struct buf answer_bytes;
static struct buf sent_bytes;
struct session_outcome outcome;

void
set_up(void)
{
    s = session_new(&(struct session_options){.client = "0123456789abcde",
                                              .sp_first = 0xfffffffe,
                                              .name = "test",
                                              .hello_ns = 5 * SECOND});
    cr_assert_not_null(s);
    now = 1000 * SECOND;
    answer_bytes = (struct buf){0};
}

void
tear_down(void)
{
    session_free(s);
    buf_deinit(&answer_bytes);
    buf_deinit(&sent_bytes);
}

bool
leaves(void)
{
    struct pieces body;
    struct wire_diag diag;
    if (!session_send(s, now, &sent_id, &body)) {
        return false;
    }
    buf_reset(&sent_bytes, SIZE_MAX);
    buf_put_pieces(&sent_bytes, &body, 0);
    cr_assert(sent_id >> 31, "an SP id without bit 31");
    cr_assert_eq(record_message(buf_span(&sent_bytes), &sent, 1, &diag), 1, "%s", diag.text);
    return true;
}

void
expect_sent(enum wire_record record)
{
    cr_assert(leaves(), "nothing left, a %s was expected", wire_record_row(record)->name);
    cr_assert_str_eq(wire_record_row(sent.record)->name, wire_record_row(record)->name);
}

void
expect_silence(void)
{
    cr_assert_not(leaves(), "an unexpected %s", wire_record_row(sent.record)->name);
    cr_assert_not(session_wants_send(s));
}

struct buf *
answer(enum wire_op op)
{
    buf_reset(&answer_bytes, 4096);
    write_op(&answer_bytes, op);
    return &answer_bytes;
}

void
give(uint32_t id)
{
    session_answer(s, id, buf_span(&answer_bytes));
}

void
give_welcome(uint64_t epoch, uint64_t history)
{
    struct buf *b = answer(WIRE_WELCOME);
    write_map(b, 2);
    write_text(b, "epoch");
    write_uint(b, epoch);
    write_text(b, "history");
    write_uint(b, history);
    give(sent_id);
}

void
connect_to(uint64_t epoch, uint64_t history)
{
    session_connected(s, now);
    expect_sent(WIRE_REC_HELLO);
    cr_assert_not(leaves(), "something left before WELCOME");
    give_welcome(epoch, history);
    cr_assert(session_is_welcome(s));
}

void
give_result(uint32_t id, uint64_t seq, int64_t value)
{
    struct buf *b = answer(WIRE_RESULT);
    write_uint(b, seq);
    write_int(b, value);
    give(id);
}

void
give_pending(uint32_t id, uint64_t seq)
{
    write_uint(answer(WIRE_PENDING), seq);
    give(id);
}

uint64_t
call_for(int64_t ttl_ns)
{
    uint64_t ticket = 0;
    const char *problem = "";
    cr_assert_eq(session_ask(s,
                             &(struct session_ask){.kind = SESSION_CALL,
                                                   .user = &now,
                                                   .deadline_ns = now + ttl_ns,
                                                   .worker = span_text("w"),
                                                   .name = span_text("m"),
                                                   .payload = span_text("\x90")},
                             &ticket, &problem),
                 PRONG_OK, "%s", problem);
    return ticket;
}

uint64_t
seq_of_call(void)
{
    return RECORD_FIELD(&sent, CALL, SEQ)->item.uint;
}

void
expect_outcome(prong_err code, unsigned began)
{
    cr_assert(session_next(s, &outcome), "no outcome");
    cr_assert(outcome.ended);
    cr_assert_eq(outcome.code, code, "code %d: %.*s", outcome.code, (int)outcome.message.len,
                 (const char *)outcome.message.data);
    cr_assert_eq(outcome.began, began, "began %u", outcome.began);
    cr_assert_eq(outcome.user, &now);
}

void
expect_nothing(void)
{
    cr_assert_not(session_next(s, &outcome));
}

void
pass_to(int64_t at)
{
    while (session_deadline_ns(s) <= at) { /* as the library does: every time it asks for */
        const int64_t due = session_deadline_ns(s);
        now = due > now ? due : now;
        session_tick(s, now);
        cr_assert_gt(session_deadline_ns(s), now, "it asks for the same time again");
    }
    now = at;
    session_tick(s, now);
}

void
give_partial(uint32_t id, uint64_t first, unsigned count)
{
    struct buf *b = answer(WIRE_PARTIAL);
    write_uint(b, 1);
    write_uint(b, first);
    write_nil(b);
    write_array(b, count);
    for (unsigned i = 0; i < count; i++) {
        write_uint(b, first + i);
    }
    give(id);
}

void
expect_items(uint64_t first, unsigned count)
{
    cr_assert(session_next(s, &outcome));
    cr_assert_not(outcome.ended);
    cr_assert_eq(outcome.item_count, count);
    cr_assert_eq(outcome.items.len, count, "numbers below 128 have one byte");
    cr_assert(count == 0 || outcome.items.data[0] == first);
}
