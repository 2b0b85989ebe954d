/* See pull_kit.h. */
#include "tests/unit/client/worker/pull_kit.h"

#include <stdlib.h>

struct peer *
peer_new(void)
{
    static const uint8_t methods = 0x80;
    struct peer *p = calloc(1, sizeof *p);
    cr_assert(p != NULL);
    p->now = 1000 * MS;
    p->pull = pull_new(&(struct pull_options){.worker = span_text("detector"),
                                              .token = span_text("7.secret"),
                                              .methods = {&methods, 1},
                                              .pid = 4711,
                                              .sp_first = UINT32_MAX - 2});
    cr_assert(p->pull != NULL);
    return p;
}

void
peer_free(struct peer *p)
{
    pull_free(p->pull);
    buf_deinit(&p->bytes);
    free(p);
}

size_t
says(struct peer *p)
{
    struct pieces body;
    struct wire_diag diag;
    p->count = 0;
    buf_reset(&p->bytes, SIZE_MAX);
    uint32_t id;
    if (pull_send(p->pull, p->now, &id, &body)) {
        p->id = id;
        cr_assert((p->id & 1u << 31) != 0, "an SP id without bit 31");
        buf_put_pieces(&p->bytes, &body, 0);
        p->count = record_message(buf_span(&p->bytes), p->said, 8, &diag);
        cr_assert(p->count > 0, "the hub would refuse it: %s", diag.text);
    }
    return p->count;
}

enum wire_record
op(const struct peer *p, size_t index)
{
    return index < p->count ? p->said[index].record : WIRE_REC_COUNT;
}

void
answer(struct peer *p, uint32_t id, struct buf *b)
{
    cr_assert(!b->failed);
    pull_answer(p->pull, p->now, id, buf_span(b), NULL);
    buf_deinit(b);
}

void
put_work(struct buf *b, uint64_t number, uint32_t count, const uint64_t *calls, uint64_t ttl_ms)
{
    write_op(b, WIRE_WORK);
    write_uint(b, number);
    write_array(b, count);
    for (uint32_t i = 0; i < count; i++) {
        write_array(b, 6);
        write_uint(b, calls[i]);
        write_text(b, "detect");
        write_uint(b, ttl_ms);
        write_text(b, "camera/0");
        write_nil(b);
        write_array(b, 1);
        write_uint(b, calls[i]);
    }
}

void
give(struct peer *p, uint32_t id, uint64_t number, uint64_t call)
{
    struct buf b = {0};
    put_work(&b, number, 1, &call, 5000);
    answer(p, id, &b);
}

void
give_none(struct peer *p, uint32_t id, uint64_t number)
{
    struct buf b = {0};
    put_work(&b, number, 0, NULL, 0);
    answer(p, id, &b);
}

void
ack(struct peer *p, uint32_t id, uint64_t call)
{
    struct buf b = {0};
    write_op(&b, WIRE_ACK);
    write_array(&b, call != 0);
    if (call != 0) {
        write_uint(&b, call);
    }
    write_uint(&b, 0);
    answer(p, id, &b);
}

void
fail(struct peer *p, uint32_t id, unsigned code)
{
    struct buf b = {0};
    write_error(&b, &(struct write_error){.code = code, .message = span_text("attach first")});
    answer(p, id, &b);
}

void
command(struct peer *p, uint32_t id, const char *verb, uint64_t call)
{
    struct buf b = {0};
    write_op(&b, WIRE_COMMAND);
    write_text(&b, verb);
    write_map(&b, call != 0);
    if (call != 0) {
        write_text(&b, "call");
        write_uint(&b, call);
    }
    answer(p, id, &b);
}

void
welcome(struct peer *p, uint64_t session, uint64_t message_bytes)
{
    struct buf b = {0};
    write_op(&b, WIRE_WELCOME);
    write_map(&b, 3);
    write_text(&b, "replica");
    write_text(&b, "detector/1");
    write_text(&b, "session");
    write_uint(&b, session);
    write_text(&b, "limits");
    write_map(&b, 2);
    write_text(&b, "park_ms");
    write_uint(&b, 25000);
    write_text(&b, "message_bytes");
    write_uint(&b, message_bytes);
    answer(p, p->id, &b);
}

void
attach(struct peer *p, uint64_t session)
{
    pull_connected(p->pull, p->now);
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_ATTACH, "ATTACH comes first");
    welcome(p, session, WIRE_MESSAGE_BYTES);
    cr_assert(pull_is_attached(p->pull));
}

uint32_t
polls(struct peer *p, uint64_t session, uint64_t taken, uint64_t capacity)
{
    cr_assert(says(p) > 0 && op(p, p->count - 1) == WIRE_REC_POLL, "it does not POLL");
    const struct record *poll = &p->said[p->count - 1];
    cr_assert(RECORD_FIELD(poll, POLL, SESSION)->item.uint == session, "another session");
    cr_assert(RECORD_FIELD(poll, POLL, TAKEN)->item.uint == taken, "taken %d instead of %d",
              (int)RECORD_FIELD(poll, POLL, TAKEN)->item.uint, (int)taken);
    cr_assert(RECORD_FIELD(poll, POLL, CAPACITY)->item.uint == capacity, "capacity");
    return p->id;
}

uint32_t
controls(struct peer *p)
{
    cr_assert(says(p) == 1 && op(p, 0) == WIRE_REC_CONTROL, "it does not say CONTROL");
    return p->id;
}

uint32_t
ready(struct peer *p, uint64_t session)
{
    attach(p, session);
    const uint32_t id = polls(p, session, 0, PULL_CALLS_MAX);
    controls(p);
    cr_assert(says(p) == 0, "nothing more is to be said");
    return id;
}

bool
begins(struct peer *p, uint64_t call)
{
    const struct pull_job *job;
    return pull_begin(p->pull, p->now, &job) && job->call == call;
}

bool
begins_any(struct peer *p)
{
    const struct pull_job *job;
    return pull_begin(p->pull, p->now, &job);
}

void
ends_with(struct peer *p, const uint8_t *value, size_t len)
{
    struct buf b = {0};
    buf_put(&b, value, len);
    cr_assert(pull_end(p->pull, false, &b));
    buf_deinit(&b);
}

void
ends(struct peer *p)
{
    static const uint8_t value = 42;
    ends_with(p, &value, 1);
}

uint32_t
reported(const struct peer *p, uint64_t *first)
{
    struct record item;
    if (op(p, 0) != WIRE_REC_REPORT) {
        return 0;
    }
    const struct field *items = RECORD_FIELD(&p->said[0], REPORT, ITEMS);
    struct span inside = items->inside;
    if (record_item(&inside, WIRE_REC_REPORT_ITEM, &item)) {
        *first = RECORD_FIELD(&item, REPORT_ITEM, CALL)->item.uint;
    }
    return items->item.count;
}

bool
reported_failure(const struct peer *p, struct wire_failure *f)
{
    struct record item;
    struct span inside = RECORD_FIELD(&p->said[0], REPORT, ITEMS)->inside;
    cr_assert(record_item(&inside, WIRE_REC_REPORT_ITEM, &item));
    return RECORD_FIELD(&item, REPORT_ITEM, KIND)->item.uint == WIRE_REPORT_ERROR &&
           record_failure(RECORD_FIELD(&item, REPORT_ITEM, PAYLOAD)->raw, f);
}

bool
names(const struct peer *p, enum wire_key list, uint64_t call)
{
    struct field calls;
    uint64_t number;
    if (!record_key(RECORD_FIELD(&p->said[0], ATTACH, ABOUT), list, &calls)) {
        return false;
    }
    while (record_number(&calls.inside, &number)) {
        if (number == call) {
            return true;
        }
    }
    return false;
}

uint64_t
attach_number(const struct peer *p)
{
    struct field n = {0};
    cr_assert(record_key(RECORD_FIELD(&p->said[0], ATTACH, ABOUT), WIRE_KEY_ATTACH_attach, &n));
    return n.item.uint;
}
