/* The worker's side of the link, one rule after the other, against answers written by hand.
 *
 * mutants.cmake builds this program again with each rule left out of the link, and each must fail.
 */
#include "tests/unit/client/worker/pull_kit.h"

#include <stdlib.h>
#include <string.h>

/* ---- the usual way --------------------------------------------------------------------------- */

Test(pull, attaches_first_and_polls_only_after_welcome)
{
    struct peer *p = peer_new();
    struct field token, worker, pid;
    cr_expect(says(p) == 0, "nothing is said without a connection");
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_ATTACH);
    const struct field *about = RECORD_FIELD(&p->said[0], ATTACH, ABOUT);
    cr_assert(record_key(about, WIRE_KEY_ATTACH_token, &token));
    cr_assert(record_key(about, WIRE_KEY_ATTACH_worker, &worker));
    cr_assert(record_key(about, WIRE_KEY_ATTACH_pid, &pid));
    cr_expect(span_is(token.item.bytes, "7.secret") && span_is(worker.item.bytes, "detector"));
    cr_expect(pid.item.uint == 4711 && attach_number(p) == 1);
    cr_expect(says(p) == 0, "nothing more before WELCOME");
    welcome(p, 77, WIRE_MESSAGE_BYTES);
    cr_expect(strcmp(pull_replica(p->pull), "detector/1") == 0);
    polls(p, 77, 0, PULL_CALLS_MAX);
    controls(p);
    peer_free(p);
}

Test(pull, says_outcome_and_poll_in_one_message)
{
    struct peer *p = peer_new();
    uint64_t call = 0;
    const struct pull_job *job;
    give(p, ready(p, 5), 1, 9);
    cr_assert(says(p) == 0, "no POLL while it is busy");
    cr_assert(pull_begin(p->pull, p->now, &job));
    cr_expect(job->call == 9 && span_is(job->method, "detect") && span_is(job->caller, "camera/0"));
    cr_expect(job->args.len == 2 && job->deadline_ns == p->now + 5000 * MS);
    cr_expect(!begins_any(p), "one at a time");
    ends(p);
    polls(p, 5, 1, PULL_CALLS_MAX);
    cr_expect(p->count == 2 && reported(p, &call) == 1 && call == 9, "REPORT stands before POLL");
    cr_expect(says(p) == 0);
    peer_free(p);
}

Test(pull, runs_the_calls_of_one_work_in_order)
{
    struct peer *p = peer_new();
    const uint64_t calls[] = {3, 4};
    uint64_t call = 0;
    struct buf b = {0};
    const uint32_t poll = ready(p, 5);
    put_work(&b, 1, 2, calls, 5000);
    answer(p, poll, &b);
    cr_assert(begins(p, 3));
    ends(p);
    cr_expect(says(p) == 0, "the next one is short, too");
    cr_assert(begins(p, 4));
    ends(p);
    polls(p, 5, 1, PULL_CALLS_MAX);
    cr_expect(reported(p, &call) == 2 && call == 3, "one message for both");
    peer_free(p);
}

Test(pull, lets_no_outcome_wait_long_for_the_calls_behind_it)
{
    struct peer *p = peer_new();
    const uint64_t calls[] = {3, 4, 5};
    uint64_t call = 0;
    struct buf b = {0};
    const uint32_t poll = ready(p, 5);
    put_work(&b, 1, 3, calls, 5000);
    answer(p, poll, &b);
    cr_assert(begins(p, 3));
    p->now += PULL_TOGETHER_MS * 1000000 - 1;
    ends(p);
    cr_expect(says(p) == 0);
    cr_assert(begins(p, 4));
    p->now += 1;
    cr_expect(says(p) == 1 && reported(p, &call) == 1 && call == 3, "while the next one runs");
    cr_expect(says(p) == 0, "once");
    ends(p);
    cr_expect(says(p) == 0, "its own time counts anew");
    cr_assert(begins(p, 5));
    ends(p);
    polls(p, 5, 1, PULL_CALLS_MAX);
    cr_expect(reported(p, &call) == 2 && call == 4);
    peer_free(p);
}

/* More than is put together: the message has to be the same. */
Test(pull, tells_large_outcomes_among_small_ones)
{
    enum { LARGE = 40000 };
    struct peer *p = peer_new();
    const uint64_t calls[] = {3, 4, 5, 6};
    uint64_t call = 0;
    struct buf b = {0};
    struct span inside;
    struct record item;
    uint8_t *big = calloc(1, LARGE);
    big[0] = 0xc5; /* bin 16 */
    big[1] = (LARGE - 3) / 256;
    big[2] = (LARGE - 3) % 256;
    const uint32_t poll = ready(p, 5);
    put_work(&b, 1, 4, calls, 5000);
    answer(p, poll, &b);
    for (uint64_t i = 3; i <= 6; i++) {
        cr_assert(begins(p, i));
        big[LARGE - 1] = (uint8_t)i;
        ends_with(p, i % 3 == 0 ? (const uint8_t[]){42} : big, i % 3 == 0 ? 1 : LARGE);
    }
    polls(p, 5, 1, PULL_CALLS_MAX);
    cr_assert(reported(p, &call) == 4);
    inside = RECORD_FIELD(&p->said[0], REPORT, ITEMS)->inside;
    for (uint64_t i = 3; i <= 6; i++) {
        cr_assert(record_item(&inside, WIRE_REC_REPORT_ITEM, &item));
        const struct span payload = RECORD_FIELD(&item, REPORT_ITEM, PAYLOAD)->raw;
        cr_expect(RECORD_FIELD(&item, REPORT_ITEM, CALL)->item.uint == i);
        cr_expect(payload.len == (i % 3 == 0 ? 1 : LARGE));
        cr_expect(payload.data[payload.len - 1] == (i % 3 == 0 ? 42 : i), "its own bytes");
    }
    free(big);
    peer_free(p);
}

Test(pull, takes_the_memory_of_its_calls_when_it_may)
{
    struct peer *p = peer_new();
    const uint64_t calls[] = {3, 4};
    const struct pull_job *job;
    struct buf b = {0}, memory = {0};
    const uint32_t poll = ready(p, 5);
    put_work(&b, 1, 0, NULL, 0); /* an empty one in front has no calls to keep */
    put_work(&b, 2, 2, calls, 5000);
    buf_swap(&b, &memory);
    const uint8_t *at = memory.data;
    pull_answer(p->pull, p->now, poll, buf_span(&memory), &memory);
    cr_expect(memory.data != at, "it was moved");
    buf_deinit(&memory);
    for (uint64_t i = 3; i <= 4; i++) {
        cr_assert(pull_begin(p->pull, p->now, &job) && job->call == i);
        cr_expect(span_is(job->method, "detect"), "its texts are there");
        ends(p);
    }
    buf_deinit(&b);
    peer_free(p);
}

Test(pull, tells_what_is_done_when_it_is_to_stop)
{
    struct peer *p = peer_new();
    const uint64_t calls[] = {3, 4};
    uint64_t call = 0;
    struct buf b = {0};
    const uint32_t poll = ready(p, 5);
    put_work(&b, 1, 2, calls, 5000);
    answer(p, poll, &b);
    cr_assert(begins(p, 3));
    ends(p);
    pull_stop(p->pull);
    cr_expect(says(p) == 1 && reported(p, &call) == 1 && call == 3);
    cr_expect(begins(p, 4), "what was given is run");
    peer_free(p);
}

/* ---- the rules ------------------------------------------------------------------------------- */

Test(pull, runs_a_repeated_work_once)
{
    struct peer *p = peer_new();
    give(p, ready(p, 5), 1, 9);
    cr_assert(begins(p, 9));
    ends(p);
    give(p, polls(p, 5, 1, PULL_CALLS_MAX), 1, 9);
    cr_expect(!begins_any(p), "WORK 1 was taken");
    give(p, polls(p, 5, 1, PULL_CALLS_MAX), 2, 10);
    cr_expect(begins(p, 10));
    peer_free(p);
}

Test(pull, goes_on_after_an_empty_work_with_a_new_number)
{
    struct peer *p = peer_new();
    give_none(p, ready(p, 5), 0);
    give_none(p, polls(p, 5, 0, PULL_CALLS_MAX), 3); /* its calls ended before they were taken */
    give(p, polls(p, 5, 3, PULL_CALLS_MAX), 4, 9);
    cr_expect(begins(p, 9));
    peer_free(p);
}

Test(pull, attaches_with_the_next_number_and_its_inventory)
{
    struct peer *p = peer_new();
    give(p, ready(p, 5), 1, 9);
    cr_assert(begins(p, 9));
    ends(p);
    give(p, polls(p, 5, 1, PULL_CALLS_MAX), 2, 10);
    cr_assert(begins(p, 10));
    pull_lost(p->pull);
    cr_expect(says(p) == 0 && !pull_is_attached(p->pull));
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_ATTACH);
    cr_expect(attach_number(p) == 2);
    cr_expect(names(p, WIRE_KEY_ATTACH_running, 10) && names(p, WIRE_KEY_ATTACH_done, 9));
    cr_expect(!names(p, WIRE_KEY_ATTACH_running, 9) && !names(p, WIRE_KEY_ATTACH_done, 10));
    peer_free(p);
}

Test(pull, counts_what_it_took_and_has_not_begun_as_running)
{
    struct peer *p = peer_new();
    give(p, ready(p, 5), 1, 9);
    pull_lost(p->pull);
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1);
    cr_expect(names(p, WIRE_KEY_ATTACH_running, 9));
    welcome(p, 6, WIRE_MESSAGE_BYTES);
    cr_expect(begins(p, 9), "and runs it");
    peer_free(p);
}

Test(pull, counts_the_numbers_of_work_anew_in_each_session)
{
    struct peer *p = peer_new();
    give(p, ready(p, 5), 1, 9);
    cr_assert(begins(p, 9));
    ends(p);
    pull_lost(p->pull);
    attach(p, 6);
    give(p, polls(p, 6, 0, PULL_CALLS_MAX), 1, 10);
    cr_expect(begins(p, 10));
    peer_free(p);
}

/* The answer to a POLL that was given up comes after the inventory was taken: the hub gives that
 * call to somebody else, because the inventory does not name it. */
Test(pull, drops_work_of_a_poll_it_gave_up)
{
    struct peer *p = peer_new();
    attach(p, 5);
    const uint32_t old = polls(p, 5, 0, PULL_CALLS_MAX);
    fail(p, controls(p), WIRE_ERR_FAILED_PRECONDITION);
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_ATTACH && attach_number(p) == 2);
    const uint32_t attaching = p->id;
    give(p, old, 1, 9);
    cr_expect(!begins_any(p), "before WELCOME");
    p->id = attaching;
    welcome(p, 6, WIRE_MESSAGE_BYTES);
    give(p, old, 1, 9);
    cr_expect(!begins_any(p), "after WELCOME");
    polls(p, 6, 0, PULL_CALLS_MAX);
    peer_free(p);
}

Test(pull, drops_work_that_comes_while_it_is_busy)
{
    struct peer *p = peer_new();
    const uint32_t poll = ready(p, 5);
    struct buf b = {0};
    put_work(&b, 1, 1, (const uint64_t[]){9}, 5000);
    put_work(&b, 2, 1, (const uint64_t[]){10}, 5000); /* no hub does this */
    answer(p, poll, &b);
    cr_assert(begins(p, 9));
    ends(p);
    polls(p, 5, 1, PULL_CALLS_MAX); /* so that the hub tells 2 again */
    peer_free(p);
}

Test(pull, attaches_again_when_the_hub_says_attach_first)
{
    struct peer *p = peer_new();
    fail(p, ready(p, 5), WIRE_ERR_FAILED_PRECONDITION);
    cr_expect(!pull_is_dead(p->pull, p->now));
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_ATTACH && attach_number(p) == 2);
    welcome(p, 6, WIRE_MESSAGE_BYTES);
    polls(p, 6, 0, PULL_CALLS_MAX);
    peer_free(p);
}

Test(pull, takes_attach_first_from_an_earlier_session_for_nothing)
{
    struct peer *p = peer_new();
    attach(p, 5);
    const uint32_t old = polls(p, 5, 0, PULL_CALLS_MAX);
    fail(p, controls(p), WIRE_ERR_FAILED_PRECONDITION);
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_ATTACH);
    welcome(p, 6, WIRE_MESSAGE_BYTES);
    fail(p, old, WIRE_ERR_FAILED_PRECONDITION); /* its POLL, refused at the same time */
    cr_expect(pull_is_attached(p->pull));
    polls(p, 6, 0, PULL_CALLS_MAX);
    peer_free(p);
}

Test(pull, keeps_an_outcome_until_ack_names_its_call)
{
    struct peer *p = peer_new();
    uint64_t call = 0;
    give(p, ready(p, 5), 1, 9);
    cr_assert(begins(p, 9));
    ends(p);
    ack(p, polls(p, 5, 1, PULL_CALLS_MAX), 0); /* received, but its caller does not have it yet */
    pull_lost(p->pull);
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1 && names(p, WIRE_KEY_ATTACH_done, 9));
    welcome(p, 6, WIRE_MESSAGE_BYTES);
    ack(p, polls(p, 6, 0, PULL_CALLS_MAX), 9);
    cr_expect(reported(p, &call) == 1 && call == 9, "it is told again");
    pull_lost(p->pull);
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1);
    cr_expect(!names(p, WIRE_KEY_ATTACH_done, 9), "now it is forgotten");
    peer_free(p);
}

Test(pull, takes_ack_from_an_answer_of_an_earlier_session)
{
    struct peer *p = peer_new();
    give(p, ready(p, 5), 1, 9);
    cr_assert(begins(p, 9));
    ends(p);
    const uint32_t old = polls(p, 5, 1, PULL_CALLS_MAX);
    pull_lost(p->pull);
    attach(p, 6);
    ack(p, old, 9);
    polls(p, 6, 0, PULL_CALLS_MAX);
    cr_expect(p->count == 1, "nothing is left to report");
    peer_free(p);
}

Test(pull, reports_outcomes_of_a_lost_connection_first)
{
    struct peer *p = peer_new();
    uint64_t call = 0;
    give(p, ready(p, 5), 1, 9);
    cr_assert(begins(p, 9));
    pull_lost(p->pull);
    ends(p); /* while there is no hub */
    cr_expect(pull_has_untold(p->pull));
    attach(p, 6);
    polls(p, 6, 0, PULL_CALLS_MAX);
    cr_expect(p->count == 2 && reported(p, &call) == 1 && call == 9);
    peer_free(p);
}

/* ---- commands -------------------------------------------------------------------------------- */

Test(pull, hears_cancel_of_the_running_call_only)
{
    struct peer *p = peer_new();
    attach(p, 5);
    const uint32_t poll = polls(p, 5, 0, PULL_CALLS_MAX);
    const uint32_t control = controls(p);
    give(p, poll, 1, 9);
    cr_assert(begins(p, 9));
    command(p, control, "cancel", 8);
    cr_expect(!pull_is_cancelled(p->pull));
    command(p, controls(p), "", 0);
    command(p, controls(p), "cancel", 9);
    cr_expect(pull_is_cancelled(p->pull));
    controls(p);
    peer_free(p);
}

Test(pull, does_not_begin_what_was_cancelled_or_is_late)
{
    struct peer *p = peer_new();
    struct wire_failure f = {0};
    const uint64_t calls[] = {3, 4, 5};
    struct buf b = {0};
    attach(p, 5);
    const uint32_t poll = polls(p, 5, 0, PULL_CALLS_MAX);
    const uint32_t control = controls(p);
    put_work(&b, 1, 3, calls, 1000);
    answer(p, poll, &b);
    cr_assert(begins(p, 3));
    command(p, control, "cancel", 4);
    cr_expect(!pull_is_cancelled(p->pull));
    ends(p);
    p->now += 2000 * MS; /* 5 is too late */
    uint64_t first = 0;
    cr_assert(says(p) == 1 && reported(p, &first) == 1 && first == 3);
    cr_expect(!begins_any(p));
    uint64_t call = 0;
    cr_assert(says(p) == 2 && reported(p, &call) == 2 && call == 4);
    cr_assert(reported_failure(p, &f));
    cr_expect(f.code == WIRE_ERR_CANCELLED && f.began == WIRE_BEGAN_NO);
    peer_free(p);
}

Test(pull, tells_the_newest_progress_when_the_hub_is_slow)
{
    struct peer *p = peer_new();
    static const uint8_t half[] = {0x92, 1, 0xc0}, most[] = {0x92, 2, 0xc0};
    uint32_t first = 0;
    give(p, ready(p, 5), 1, 9);
    pull_progress(p->pull, (struct span){half, 3});
    cr_expect(says(p) == 0, "nothing runs");
    cr_assert(begins(p, 9));
    for (int i = 0; i < 8; i++) {
        pull_progress(p->pull, (struct span){half, 3});
        cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_REPORT);
        first = i == 0 ? p->id : first;
    }
    pull_progress(p->pull, (struct span){half, 3});
    cr_expect(says(p) == 0, "eight without an answer are enough");
    pull_progress(p->pull, (struct span){most, 3});
    ack(p, first, 0);
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_REPORT);
    const struct span said = buf_span(&p->bytes);
    cr_expect(memcmp(said.data + said.len - 3, most, 3) == 0);
    ack(p, p->id, 0);
    cr_expect(says(p) == 0);
    pull_progress(p->pull, (struct span){half, 3});
    ends(p);
    cr_expect(says(p) == 2, "progress of a call that ended is not told");
    cr_expect(says(p) == 0);
    peer_free(p);
}

/* ---- the end --------------------------------------------------------------------------------- */

Test(pull, runs_the_work_that_crossed_its_stop)
{
    struct peer *p = peer_new();
    uint64_t call = 0;
    const uint32_t poll = ready(p, 5);
    cr_expect(!pull_is_over(p->pull));
    pull_stop(p->pull);
    cr_expect(!pull_is_over(p->pull), "the hub may have given something");
    const uint32_t last = polls(p, 5, 0, 0);
    give(p, poll, 1, 9);
    give(p, last, 1, 9); /* the hub repeats what was not taken */
    cr_assert(begins(p, 9));
    ends(p);
    cr_assert(says(p) == 1 && reported(p, &call) == 1 && call == 9);
    cr_expect(!pull_is_over(p->pull), "not told yet");
    ack(p, p->id, 0);
    cr_expect(pull_is_over(p->pull));
    cr_expect(says(p) == 0);
    peer_free(p);
}

Test(pull, is_over_when_its_poll_came_back_empty)
{
    struct peer *p = peer_new();
    const uint32_t poll = ready(p, 5);
    command(p, p->id, "stop", 0);
    cr_expect(pull_is_asked_to_stop(p->pull));
    controls(p);
    pull_stop(p->pull);
    polls(p, 5, 0, 0);
    give_none(p, poll, 0);
    cr_expect(pull_is_over(p->pull));
    peer_free(p);
}

/* ---- limits and faults ----------------------------------------------------------------------- */

Test(pull, takes_no_more_when_it_keeps_too_much)
{
    struct peer *p = peer_new();
    uint32_t poll = ready(p, 5);
    for (uint64_t i = 1; i <= PULL_KEPT_MAX; i++) {
        give(p, poll, i, i);
        cr_assert(begins(p, i));
        ends(p);
        poll = i < PULL_KEPT_MAX ? polls(p, 5, i, PULL_CALLS_MAX) : 0;
    }
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_REPORT, "the last one without POLL");
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_ATTACH, "the hub shall say what it knows");
    cr_expect(names(p, WIRE_KEY_ATTACH_done, 1) && names(p, WIRE_KEY_ATTACH_done, PULL_KEPT_MAX));
    welcome(p, 6, WIRE_MESSAGE_BYTES);
    uint64_t call;
    cr_assert(says(p) == 1 && reported(p, &call) == PULL_KEPT_MAX);
    poll = polls(p, 6, 0, 0);
    ack(p, poll, 17);
    give_none(p, polls(p, 6, 0, PULL_CALLS_MAX), 0);
    peer_free(p);
}

Test(pull, splits_reports_by_the_size_of_messages)
{
    struct peer *p = peer_new();
    uint8_t big[700] = {0xc5, 700 / 256, (700 - 3) % 256};
    uint64_t call = 0;
    big[1] = (sizeof big - 3) / 256;
    big[2] = (sizeof big - 3) % 256;
    uint32_t poll = ready(p, 5);
    for (uint64_t i = 1; i <= 3; i++) {
        give(p, poll, i, i);
        cr_assert(begins(p, i));
        ends_with(p, big, sizeof big);
        poll = polls(p, 5, i, PULL_CALLS_MAX);
    }
    pull_lost(p->pull);
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1);
    welcome(p, 6, 2000);
    cr_assert(says(p) == 1 && reported(p, &call) == 2 && call == 1 && p->bytes.w <= 2000);
    cr_assert(says(p) == 2 && reported(p, &call) == 1 && call == 3);
    peer_free(p);
}

Test(pull, reports_an_outcome_too_long_for_a_message_as_an_error)
{
    struct peer *p = peer_new();
    uint8_t big[1500] = {0xc5, (1500 - 3) / 256, (1500 - 3) % 256};
    struct wire_failure f = {0};
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1);
    welcome(p, 5, 1024);
    give(p, polls(p, 5, 0, PULL_CALLS_MAX), 1, 9);
    cr_assert(begins(p, 9));
    ends_with(p, big, sizeof big);
    polls(p, 5, 1, PULL_CALLS_MAX);
    cr_assert(reported_failure(p, &f));
    cr_expect(f.code == WIRE_ERR_RESOURCE_EXHAUSTED && f.began == WIRE_BEGAN_YES);
    cr_expect(p->bytes.w <= 1024);
    peer_free(p);
}

Test(pull, gives_a_silent_hub_up)
{
    struct peer *p = peer_new();
    cr_expect(!pull_is_dead(p->pull, INT64_MAX) && pull_deadline_ns(p->pull) == PULL_NEVER);
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1);
    cr_expect(!pull_is_dead(p->pull, p->now + 4999 * MS));
    cr_expect(pull_is_dead(p->pull, p->now + 5000 * MS), "WELCOME does not come");
    welcome(p, 5, WIRE_MESSAGE_BYTES);
    cr_expect(!pull_is_dead(p->pull, p->now + 39999 * MS));
    cr_expect(pull_is_dead(p->pull, p->now + 40000 * MS));
    pull_lost(p->pull);
    cr_expect(!pull_is_dead(p->pull, p->now + 40000 * MS));
    peer_free(p);
}

Test(pull, gives_a_connection_up_that_speaks_nonsense)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {{"\xc1", 1}, {"\x93\x51\x01", 3}, {"hello", 5}, {"\x92\x41\x80", 3}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct peer *p = peer_new();
        pull_connected(p->pull, p->now);
        cr_assert(says(p) == 1);
        pull_answer(p->pull, p->now, p->id,
                    (struct span){(const uint8_t *)rows[i].bytes, rows[i].len}, NULL);
        cr_expect(pull_is_dead(p->pull, p->now), "row %zu", i);
        cr_expect(says(p) == 0);
        peer_free(p);
    }
}

Test(pull, tells_why_attach_was_refused)
{
    struct peer *p = peer_new();
    const char *text;
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1);
    cr_expect(pull_refusal(p->pull, &text) == 0);
    fail(p, p->id, WIRE_ERR_PERMISSION_DENIED);
    cr_expect(pull_refusal(p->pull, &text) == WIRE_ERR_PERMISSION_DENIED);
    cr_expect(strcmp(text, "attach first") == 0);
    cr_expect(says(p) == 0 && pull_is_dead(p->pull, p->now));
    pull_lost(p->pull);
    cr_expect(pull_refusal(p->pull, &text) == 0);
    peer_free(p);
}
