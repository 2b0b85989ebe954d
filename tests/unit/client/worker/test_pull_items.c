/* Items of calls that yield: together, bounded, before the outcome, and once each whatever breaks.
 */
#include "tests/unit/client/worker/pull_kit.h"

#include <stdlib.h>
#include <string.h>

/* The running call yields an object of `len` bytes, 1 or 5 and more; the last byte is `mark`. */
static bool
yields_large(struct peer *p, size_t len, uint8_t mark)
{
    uint8_t *bytes = calloc(1, len);
    bytes[0] = 0xc6; /* bin 32 */
    for (int i = 0; i < 4; i++) {
        bytes[1 + i] = (uint8_t)((len - 5) >> (24 - 8 * i));
    }
    bytes[len - 1] = mark;
    const bool may = pull_has_room(p->pull, len);
    cr_assert(!may || pull_yield(p->pull, (struct span){bytes, len}));
    free(bytes);
    return may;
}

static bool
yields(struct peer *p, uint8_t number)
{
    return pull_has_room(p->pull, 1) && pull_yield(p->pull, (struct span){&number, 1});
}

/* It says a REPORT of items of the call: `count` from `first` on, that are their own numbers. */
static uint32_t
tells(struct peer *p, uint64_t call, uint64_t first, uint32_t count)
{
    struct record item;
    struct mp_item head, number;
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_REPORT, "no REPORT of items alone");
    struct span inside = RECORD_FIELD(&p->said[0], REPORT, ITEMS)->inside;
    cr_assert(record_item(&inside, WIRE_REC_REPORT_ITEM, &item) && inside.len == 0);
    cr_assert(RECORD_FIELD(&item, REPORT_ITEM, CALL)->item.uint == call);
    cr_assert(RECORD_FIELD(&item, REPORT_ITEM, KIND)->item.uint == WIRE_REPORT_PARTIAL);
    struct span payload = RECORD_FIELD(&item, REPORT_ITEM, PAYLOAD)->raw;
    cr_assert(mp_next(&payload, &head) && head.kind == MP_ARRAY && head.count == 2);
    cr_assert(mp_next(&payload, &number) && number.kind == MP_UINT && number.uint == first,
              "from %d instead of %d", (int)number.uint, (int)first);
    cr_assert(mp_next(&payload, &head) && head.kind == MP_ARRAY && head.count == count,
              "%d instead of %d", (int)head.count, (int)count);
    for (uint32_t i = 0; i < count; i++) {
        struct span object;
        cr_assert(mp_skip(&payload, &object));
        cr_assert(object.data[object.len - 1] == (uint8_t)(first + i), "not item %d",
                  (int)(first + i));
    }
    return p->id;
}

static void
pending(struct peer *p, uint32_t id)
{
    struct buf b = {0};
    write_op(&b, WIRE_PENDING);
    write_uint(&b, 0);
    answer(p, id, &b);
}

/* Attached, and call 9 runs. */
static struct peer *
running(void)
{
    struct peer *p = peer_new();
    give(p, ready(p, 5), 1, 9);
    cr_assert(begins(p, 9));
    return p;
}

static void
reconnect(struct peer *p, uint64_t session)
{
    pull_lost(p->pull);
    attach(p, session);
}

Test(pull_items, the_first_leaves_at_once_and_those_behind_it_together)
{
    struct peer *p = running();
    uint64_t call = 0;
    cr_assert(yields(p, 0));
    const uint32_t first = tells(p, 9, 0, 1);
    cr_assert(yields(p, 1));
    cr_expect(says(p) == 0, "it is waited for others");
    p->now += PULL_TOGETHER_MS * MS - 1;
    cr_assert(yields(p, 2));
    cr_expect(says(p) == 0);
    p->now += 1;
    const uint32_t second = tells(p, 9, 1, 2);
    cr_expect(says(p) == 0);
    ack(p, first, 0);
    ack(p, second, 0);
    cr_assert(yields(p, 3));
    pull_flush(p->pull);
    tells(p, 9, 3, 1);
    cr_assert(yields(p, 4));
    cr_expect(says(p) == 0, "flush was for what there was");
    ends(p);
    tells(p, 9, 4, 1);
    polls(p, 5, 1, PULL_CALLS_MAX);
    cr_expect(p->count == 2 && reported(p, &call) == 1 && call == 9, "then its outcome");
    peer_free(p);
}

Test(pull_items, two_reports_are_under_way_and_the_outcome_waits_for_what_waits)
{
    struct peer *p = running();
    uint64_t call = 0;
    cr_assert(yields(p, 0));
    const uint32_t first = tells(p, 9, 0, 1);
    cr_assert(yields(p, 1));
    p->now += 5 * MS;
    tells(p, 9, 1, 1);
    cr_assert(yields(p, 2));
    p->now += 5 * MS;
    cr_expect(says(p) == 0, "no third one");
    cr_expect(pull_is_blocked(p->pull));
    ends(p);
    const uint32_t poll = polls(p, 5, 1, PULL_CALLS_MAX);
    cr_expect(p->count == 1, "no outcome before its items");
    cr_expect(pull_has_untold(p->pull));
    give(p, poll, 2, 10); /* another call is run meanwhile */
    cr_assert(begins(p, 10));
    cr_assert(yields(p, 0));
    const uint32_t other = tells(p, 10, 0, 1);
    ack(p, other, 0);
    ends(p);
    polls(p, 5, 2, PULL_CALLS_MAX);
    cr_expect(reported(p, &call) == 1 && call == 10, "that one has told all");
    ack(p, first, 0);
    tells(p, 9, 2, 1);
    cr_assert(says(p) == 1 && reported(p, &call) == 1 && call == 9);
    cr_expect(says(p) == 0);
    peer_free(p);
}

Test(pull_items, an_answer_covers_the_reports_before_it)
{
    struct peer *p = running();
    cr_assert(yields(p, 0));
    const uint32_t first = tells(p, 9, 0, 1);
    cr_assert(yields(p, 1));
    p->now += 5 * MS;
    const uint32_t second = tells(p, 9, 1, 1);
    ack(p, second, 0);
    ack(p, first, 0);
    cr_assert(yields(p, 2));
    reconnect(p, 6);
    tells(p, 9, 2, 1);
    peer_free(p);
}

Test(pull_items, pending_is_asked_again_without_items)
{
    struct peer *p = running();
    cr_assert(yields(p, 0));
    const uint32_t first = tells(p, 9, 0, 1);
    pending(p, first);
    const uint32_t again = tells(p, 9, 1, 0);
    cr_expect(says(p) == 0, "once");
    cr_assert(yields(p, 1));
    p->now += 5 * MS;
    const uint32_t second = tells(p, 9, 1, 1);
    pending(p, again);
    cr_expect(says(p) == 0, "the other one is still under way");
    pending(p, second);
    cr_assert(yields(p, 2));
    p->now += 5 * MS;
    const uint32_t both = tells(p, 9, 2, 0);
    ack(p, both, 0);
    tells(p, 9, 2, 1);
    pending(p, p->id);
    ends(p);
    polls(p, 5, 1, PULL_CALLS_MAX);
    cr_expect(p->count == 2, "the hub has all: nothing is asked for an ended call");
    cr_expect(says(p) == 0);
    peer_free(p);
}

Test(pull_items, an_ended_call_asks_for_room_while_items_wait)
{
    struct peer *p = running();
    uint64_t call = 0;
    cr_assert(yields(p, 0));
    pending(p, tells(p, 9, 0, 1));
    const uint32_t asks = tells(p, 9, 1, 0);
    cr_assert(yields(p, 1));
    p->now += 5 * MS;
    const uint32_t second = tells(p, 9, 1, 1);
    cr_assert(yields(p, 2));
    ends(p);
    polls(p, 5, 1, PULL_CALLS_MAX);
    cr_assert(p->count == 1);
    pending(p, asks);
    cr_expect(says(p) == 0);
    pending(p, second);
    ack(p, tells(p, 9, 2, 0), 0);
    tells(p, 9, 2, 1);
    cr_assert(says(p) == 1 && reported(p, &call) == 1 && call == 9);
    peer_free(p);
}

/* ---- reconnects ------------------------------------------------------------------------------ */

Test(pull_items, what_no_ack_covered_is_told_again_under_the_same_numbers)
{
    struct peer *p = running();
    uint64_t call = 0;
    cr_assert(yields(p, 0));
    ack(p, tells(p, 9, 0, 1), 0);
    cr_assert(yields(p, 1));
    p->now += 5 * MS;
    const uint32_t old = tells(p, 9, 1, 1);
    cr_assert(yields(p, 2));
    reconnect(p, 6);
    const uint32_t again = tells(p, 9, 1, 2);
    ack(p, old, 0); /* of the connection that broke */
    reconnect(p, 7);
    tells(p, 9, 1, 2);
    pending(p, p->id); /* the hub has them, as far as this connection goes */
    tells(p, 9, 3, 0);
    reconnect(p, 8);
    tells(p, 9, 1, 2);
    pending(p, again);
    ends(p);
    polls(p, 8, 0, PULL_CALLS_MAX);
    cr_expect(reported(p, &call) == 1 && call == 9);
    reconnect(p, 9);
    tells(p, 9, 1, 2);
    ack(p, p->id, 0);
    polls(p, 9, 0, PULL_CALLS_MAX);
    cr_expect(reported(p, &call) == 1 && call == 9, "the outcome behind them");
    reconnect(p, 10);
    polls(p, 10, 0, PULL_CALLS_MAX);
    cr_expect(reported(p, &call) == 1, "and they are done with");
    peer_free(p);
}

Test(pull_items, an_outcome_that_is_acknowledged_needs_its_items_no_more)
{
    struct peer *p = running();
    cr_assert(yields(p, 0));
    tells(p, 9, 0, 1);
    ends(p);
    ack(p, polls(p, 5, 1, PULL_CALLS_MAX), 9);
    reconnect(p, 6);
    polls(p, 6, 0, PULL_CALLS_MAX);
    cr_expect(p->count == 1);
    peer_free(p);
}

Test(pull_items, attach_first_makes_them_be_told_again)
{
    struct peer *p = running();
    cr_assert(yields(p, 0));
    fail(p, tells(p, 9, 0, 1), WIRE_ERR_FAILED_PRECONDITION);
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_ATTACH);
    welcome(p, 6, WIRE_MESSAGE_BYTES);
    tells(p, 9, 0, 1);
    peer_free(p);
}

Test(pull_items, they_wait_for_a_connection)
{
    struct peer *p = running();
    pull_lost(p->pull);
    cr_assert(yields(p, 0));
    cr_expect(says(p) == 0 && !pull_is_blocked(p->pull));
    cr_assert(yields(p, 1));
    attach(p, 6);
    tells(p, 9, 0, 2);
    peer_free(p);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

Test(pull_items, what_waits_is_bounded_and_so_is_a_report)
{
    enum { LEN = 50000 };
    struct peer *p = running();
    uint8_t n = 0;
    cr_assert(yields_large(p, LEN, n++));
    tells(p, 9, 0, 1);
    while (yields_large(p, LEN, n)) {
        n++;
    }
    cr_expect(n == 6, "256 KiB wait, %u", n);
    tells(p, 9, 1, 5); /* without waiting for more */
    cr_assert(yields_large(p, 3 * WIRE_PARTIAL_BYTES, n++), "nothing waits: any length");
    cr_expect(!yields_large(p, LEN, n) && pull_is_blocked(p->pull));
    reconnect(p, 6);
    tells(p, 9, 0, 5);
    p->now += 5 * MS;
    tells(p, 9, 5, 1);
    ack(p, p->id, 0);
    p->now += 5 * MS;
    tells(p, 9, 6, 1);
    cr_expect(pull_fits(p->pull, WIRE_MESSAGE_BYTES - 1000) &&
              !pull_fits(p->pull, WIRE_MESSAGE_BYTES));
    peer_free(p);
}

Test(pull_items, reports_keep_to_the_length_of_messages)
{
    struct peer *p = peer_new();
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1);
    welcome(p, 5, 2000);
    give(p, polls(p, 5, 0, PULL_CALLS_MAX), 1, 9);
    controls(p);
    cr_assert(begins(p, 9));
    for (uint8_t i = 0; i < 3; i++) {
        cr_assert(yields_large(p, 700, i));
    }
    tells(p, 9, 0, 2);
    cr_expect(p->bytes.w <= 2000);
    p->now += 5 * MS;
    tells(p, 9, 2, 1);
    peer_free(p);
}

Test(pull_items, many_calls_do_not_fill_the_connection)
{
    struct peer *p = peer_new();
    uint32_t poll = ready(p, 5), flying = 0;
    for (uint64_t i = 1; i <= 100; i++) {
        give(p, poll, i, i);
        cr_assert(begins(p, i));
        cr_assert(yields(p, 0));
        if (says(p) == 1) {
            flying++;
        }
        ends(p);
        cr_assert(says(p) > 0 && op(p, p->count - 1) == WIRE_REC_POLL);
        poll = p->id;
    }
    cr_expect(flying == 64, "%u", flying);
    peer_free(p);
}

Test(pull_items, nobody_takes_what_is_dropped)
{
    struct peer *p = running();
    uint64_t call = 0;
    cr_assert(yields(p, 0));
    tells(p, 9, 0, 1);
    cr_assert(yields(p, 1));
    pull_drop_items(p->pull);
    ends(p);
    polls(p, 5, 1, PULL_CALLS_MAX);
    cr_expect(reported(p, &call) == 1 && call == 9);
    reconnect(p, 6);
    polls(p, 6, 0, PULL_CALLS_MAX);
    peer_free(p);
}
