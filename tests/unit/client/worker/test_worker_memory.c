/* Memory: the n-th allocation fails, for each n, and a call in the usual way needs none. */
#include <prong/worker.h>

#include <stdlib.h>
#include <string.h>

#include "client/worker/pull.h"
#include "proto/name.h"
#include "proto/record.h"
#include "proto/write.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"

/* ---- the worker ------------------------------------------------------------------------------ */

static prong_err
answers(prong_job *job, const prong_value *args, void *context)
{
    (void)context;
    prong_job_progress(job, 0.5, "half");
    cr_expect(prong_job_yield(job, args) == PRONG_OK || memory.failed);
    prong_writer_string(prong_job_result(job), "a text that needs some memory");
    return PRONG_OK;
}

static void
plain(prong_worker *worker, void *context)
{
    (void)worker;
    (void)context;
}

static void
use_worker(void)
{
    static const prong_method table[] = {{"answers", answers, PRONG_SHARED, "some help", NULL}};
    prong_worker *w = prong_worker_new(table, 1);
    if (w == NULL) {
        cr_expect(memory.failed);
        return;
    }
    const bool is_whole = !memory.failed;
    const prong_err added = prong_worker_every(w, 10, plain, NULL);
    cr_expect(added == PRONG_OK || (memory.failed && added == PRONG_RESOURCE_EXHAUSTED));
    const prong_err told = prong_worker_arguments(w, "answers", "first second");
    cr_expect(told == PRONG_OK || memory.failed);
    const prong_err code = prong_worker_test_call(w, "answers", NULL, NULL);
    cr_expect(code == PRONG_OK || (memory.failed && (code == PRONG_RESOURCE_EXHAUSTED ||
                                                     code == PRONG_INTERNAL || !is_whole)),
              "%s", prong_err_name(code));
    prong_worker_free(w);
}

Test(worker_memory, setting_up_and_a_call_survive_each_failure)
{
    memory_fail_each(use_worker);
}

/* ---- the link -------------------------------------------------------------------------------- */

static struct buf welcome, work, ack, said;

static void
write_answers(void)
{
    (void)buf_reserve(&said, 65536); /* before anything is made to fail */
    write_op(&welcome, WIRE_WELCOME);
    write_map(&welcome, 2);
    write_text(&welcome, "replica");
    write_text(&welcome, "detector/1");
    write_text(&welcome, "session");
    write_uint(&welcome, 5);
    write_op(&ack, WIRE_ACK);
    write_array(&ack, 1);
    write_uint(&ack, 9);
    write_uint(&ack, 0);
}

static void
write_work(uint64_t number, uint32_t count)
{
    buf_reset(&work, SIZE_MAX);
    write_op(&work, WIRE_WORK);
    write_uint(&work, number);
    write_array(&work, count);
    for (uint32_t i = 0; i < count; i++) {
        write_array(&work, 6);
        write_uint(&work, 9 + i);
        write_text(&work, "detect");
        write_uint(&work, i == 0 ? 1000 : 0); /* the others are late */
        write_text(&work, "camera/0");
        write_nil(&work);
        write_array(&work, 0);
    }
}

/* What a hub does that gives call 9 and two late ones once, and sees them all reported. */
struct hub {
    struct pull *pull;
    unsigned runs;
    uint32_t given, items; /* of call 9 */
    bool reported[3];
};

static void
note(struct hub *hub, const struct record *report)
{
    struct record item;
    struct span inside = RECORD_FIELD(report, REPORT, ITEMS)->inside;
    while (record_item(&inside, WIRE_REC_REPORT_ITEM, &item)) {
        const uint64_t kind = RECORD_FIELD(&item, REPORT_ITEM, KIND)->item.uint;
        if (kind == WIRE_REPORT_PARTIAL) {
            struct span payload = RECORD_FIELD(&item, REPORT_ITEM, PAYLOAD)->raw;
            struct mp_item head, first, list;
            cr_assert(mp_next(&payload, &head) && mp_next(&payload, &first) &&
                      mp_next(&payload, &list));
            cr_expect(first.uint <= hub->items, "items are missing");
            hub->items = (uint32_t)first.uint + list.count;
        } else if (kind != WIRE_REPORT_PROGRESS) {
            cr_expect(hub->items == hub->given, "the outcome before its items");
            hub->reported[RECORD_FIELD(&item, REPORT_ITEM, CALL)->item.uint - 9] = true;
        }
    }
}

static void
serve(struct hub *hub, uint32_t id, struct span body)
{
    struct record r;
    struct wire_diag diag;
    while (body.len > 0) {
        cr_assert(record_next(&body, &r, &diag), "%s", diag.text);
        if (r.record == WIRE_REC_ATTACH) {
            pull_answer(hub->pull, 0, id, buf_span(&welcome), NULL);
        } else if (r.record == WIRE_REC_REPORT) {
            note(hub, &r);
        } else if (r.record == WIRE_REC_POLL && hub->runs == 0) {
            pull_answer(hub->pull, 0, id, buf_span(&work), NULL);
        }
    }
}

static void
run_calls(struct hub *hub)
{
    static const uint8_t value[] = {0x92, 1, 2};
    const struct pull_job *job;
    while (pull_begin(hub->pull, 0, &job)) {
        cr_assert(job->call == 9);
        hub->runs++;
        pull_progress(hub->pull, (struct span){value, 3});
        for (int i = 0; i < 100; i++) {
            const bool given = pull_yield(hub->pull, (struct span){value, 3});
            cr_expect(given || memory.failed);
            hub->given += given;
        }
        struct buf outcome = {0};
        for (int i = 0; i < 2 && outcome.w == 0; i++) { /* only one allocation fails */
            buf_reset(&outcome, SIZE_MAX);
            buf_put(&outcome, value, 3);
        }
        if (!pull_end(hub->pull, false, &outcome)) {
            cr_expect(memory.failed);
            cr_assert(pull_end(hub->pull, false, &outcome), "only one fails");
        }
        buf_deinit(&outcome);
    }
}

static void
use_pull(void)
{
    static const uint8_t methods = 0x80;
    struct hub hub = {.pull = pull_new(&(struct pull_options){.worker = span_text("detector"),
                                                              .token = span_text("7.secret"),
                                                              .methods = {&methods, 1}})};
    if (hub.pull == NULL) {
        cr_expect(memory.failed);
        return;
    }
    for (int turn = 0; turn < 20; turn++) {
        uint32_t id;
        struct pieces body;
        if (turn == 0 || pull_is_dead(hub.pull, 0)) {
            cr_expect(turn == 0 || memory.failed);
            pull_lost(hub.pull);
            pull_connected(hub.pull, 0);
        }
        while (pull_send(hub.pull, 0, &id, &body)) {
            buf_reset(&said, SIZE_MAX);
            buf_put_pieces(&said, &body, 0);
            serve(&hub, id, buf_span(&said));
        }
        run_calls(&hub);
    }
    cr_expect(hub.runs == 1, "%u runs", hub.runs);
    cr_expect(hub.reported[0] && hub.reported[1] && hub.reported[2], "an outcome is lost");
    pull_free(hub.pull);
}

Test(worker_memory, no_outcome_is_lost_by_a_failure)
{
    write_answers();
    write_work(1, 3);
    memory_fail_each(use_pull);
    buf_deinit(&welcome);
    buf_deinit(&work);
    buf_deinit(&ack);
    buf_deinit(&said);
}

Test(worker_memory, a_call_allocates_nothing)
{
    static const uint8_t methods = 0x80, value = 7;
    const struct pull_job *job;
    uint32_t id;
    struct pieces body;
    struct buf outcome = {0};
    write_answers();
    struct pull *p = pull_new(&(struct pull_options){
        .worker = span_text("detector"), .token = span_text("7.secret"), .methods = {&methods, 1}});
    pull_connected(p, 0);
    cr_assert(pull_send(p, 0, &id, &body));
    pull_answer(p, 0, id, buf_span(&welcome), NULL);
    for (uint64_t i = 1; i <= 200; i++) {
        memory.allocations = i == 101 ? 0 : memory.allocations;
        cr_assert(pull_send(p, 0, &id, &body)); /* POLL, with REPORT before it */
        write_work(i, 1);
        buf_put(&work, buf_span(&ack).data, buf_span(&ack).len);
        pull_answer(p, 0, id, buf_span(&work), NULL);
        cr_assert(pull_begin(p, 0, &job), "call %d", (int)i);
        buf_reset(&outcome, SIZE_MAX);
        buf_put(&outcome, &value, 1);
        cr_assert(pull_end(p, false, &outcome));
    }
    cr_expect(memory.allocations == 0, "%d allocations in 100 calls", memory.allocations);
    pull_free(p);
    buf_deinit(&outcome);
    buf_deinit(&welcome);
    buf_deinit(&work);
    buf_deinit(&ack);
    buf_deinit(&said);
}
