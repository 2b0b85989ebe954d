/* A worker that yields against a hub that does what the test says. */
#include "tests/unit/client/worker/stage.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "proto/name.h"
#include "proto/write.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"

enum { LEN = 60000 };

/* Yields for ever, until somebody says that it is enough; the result is how it ended. */
static prong_err
floods(prong_job *job, const prong_value *args, void *context)
{
    static const uint8_t bytes[LEN];
    prong_err err = PRONG_OK;
    (void)args;
    (void)context;
    while (err == PRONG_OK && access("enough", F_OK) != 0) {
        prong_writer_bin(prong_job_item(job), bytes, LEN);
        err = prong_job_yield(job, NULL);
    }
    return err;
}

/* Seven items, and the outcome at once. */
static prong_err
seven(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    (void)context;
    for (int i = 0; i < 7; i++) {
        prong_writer_int(prong_job_item(job), i);
        if (prong_job_yield(job, NULL) != PRONG_OK) {
            return PRONG_INTERNAL;
        }
    }
    return PRONG_OK;
}

static prong_err
too_long(prong_job *job, const prong_value *args, void *context)
{
    static const uint8_t bytes[WIRE_MESSAGE_BYTES];
    (void)args;
    (void)context;
    prong_writer_bin(prong_job_item(job), bytes, sizeof bytes);
    return prong_job_yield(job, NULL) == PRONG_RESOURCE_EXHAUSTED ? PRONG_OK : PRONG_INTERNAL;
}

static int
usual(void)
{
    const prong_method methods[] = {{.name = "floods", .function = floods},
                                    {.name = "seven", .function = seven},
                                    {.name = "too_long", .function = too_long}};
    prong_worker *worker = prong_worker_new(methods, 3);
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}

static void
acknowledge(struct request *r)
{
    struct buf b = {0};
    write_op(&b, WIRE_ACK);
    write_array(&b, 0);
    write_uint(&b, 0);
    stage_answer(r, &b);
}

/* The next REPORT is one of items of the call: how many, the first of them in *first. */
static uint32_t
items(struct request *r, uint64_t call, uint64_t *first)
{
    struct record item;
    struct mp_item head, number, list;
    struct span inside = RECORD_FIELD(&r->record[0], REPORT, ITEMS)->inside;
    cr_assert(record_item(&inside, WIRE_REC_REPORT_ITEM, &item), "nothing is reported");
    cr_assert(RECORD_FIELD(&item, REPORT_ITEM, CALL)->item.uint == call);
    cr_assert(RECORD_FIELD(&item, REPORT_ITEM, KIND)->item.uint == WIRE_REPORT_PARTIAL);
    struct span payload = RECORD_FIELD(&item, REPORT_ITEM, PAYLOAD)->raw;
    cr_assert(mp_next(&payload, &head) && mp_next(&payload, &number) && mp_next(&payload, &list));
    cr_assert(list.kind == MP_ARRAY);
    *first = number.uint;
    return list.count;
}

static struct request
begin(const char *method, uint64_t ttl_ms)
{
    stage_attach(5);
    stage_give(stage_expect(WIRE_REC_POLL), 1, 9, method, ttl_ms);
    struct request control = *stage_control();
    return control;
}

/* Take REPORTs of items without an answer, until two are under way. */
static void
fill(uint64_t from)
{
    uint64_t first = 0;
    for (int i = 0; i < 2; i++) {
        from += items(stage_expect(WIRE_REC_REPORT), 9, &first);
        cr_assert(first < from);
    }
}

static void
command(const char *verb, uint64_t call)
{
    struct buf b = {0};
    write_op(&b, WIRE_COMMAND);
    write_text(&b, verb);
    write_map(&b, call != 0);
    if (call != 0) {
        write_text(&b, "call");
        write_uint(&b, call);
    }
    stage_answer(stage_control(), &b);
}

Test(yield, gives_all_items_in_order_and_then_the_outcome, .init = stage_enter, .fini = stage_leave)
{
    bool is_error = true;
    uint64_t first = 0, next = 0;
    const pid_t worker = stage_start(usual);
    (void)begin("seven", 60000);
    while (next < 7) {
        struct request *r = stage_expect(WIRE_REC_REPORT);
        const uint32_t count = items(r, 9, &first);
        cr_assert(r->count == 1 && first == next && count > 0);
        next += count;
        acknowledge(r);
    }
    struct request *r = stage_expect(WIRE_REC_REPORT);
    cr_expect(stage_reported(r, &is_error) == 9 && !is_error && r->count == 2);
    stage_give(r, 2, 10, "too_long", 60000);
    r = stage_expect(WIRE_REC_REPORT);
    cr_expect(stage_reported(r, &is_error) == 10 && !is_error);
    kill(worker, SIGKILL);
    (void)stage_exit();
}

Test(yield, waits_for_room_and_hears_that_it_was_cancelled, .init = stage_enter,
     .fini = stage_leave)
{
    bool is_error = false;
    stage_start(usual);
    (void)begin("floods", 60000);
    fill(0);
    command("cancel", 9);
    struct request *r = stage_expect(WIRE_REC_REPORT);
    cr_expect(stage_reported(r, &is_error) == 9 && is_error && r->count == 2, "the outcome");
}

Test(yield, waits_no_longer_than_the_caller, .init = stage_enter, .fini = stage_leave)
{
    bool is_error = false;
    stage_start(usual);
    (void)begin("floods", 300);
    /* Up to two of items; on a machine that is busy the time may be over before they are out. */
    for (int i = 0; i < 3 && !is_error; i++) {
        cr_expect(stage_reported(stage_expect(WIRE_REC_REPORT), &is_error) == 9);
    }
    cr_expect(is_error, "no outcome");
}

Test(yield, an_outcome_without_its_last_items_is_an_error, .init = stage_enter, .fini = stage_leave)
{
    bool is_error = false;
    stage_start(usual);
    (void)begin("floods", 2000);
    struct request *r = stage_expect(WIRE_REC_REPORT);
    acknowledge(r);
    fill(1);
    dir_write("enough", "", 0600); /* it waits in its last yield, or in its end */
    r = stage_expect(WIRE_REC_REPORT);
    cr_expect(stage_reported(r, &is_error) == 9 && is_error);
}

Test(yield, goes_on_when_there_is_room_and_on_another_connection, .init = stage_enter,
     .fini = stage_leave)
{
    uint64_t first = 0, next = 0;
    bool is_error = true;
    stage_start(usual);
    (void)begin("floods", 60000);
    for (int i = 0; i < 20; i++) {
        struct request *r = stage_expect(WIRE_REC_REPORT);
        const uint32_t count = items(r, 9, &first);
        cr_assert(first == next && count > 0, "from %d instead of %d", (int)first, (int)next);
        next += count;
        acknowledge(r);
    }
    const uint64_t acked = next;
    next += items(stage_expect(WIRE_REC_REPORT), 9, &first);
    next += items(stage_expect(WIRE_REC_REPORT), 9, &first);
    stage_hang_up();
    stage_attach(6);
    next = acked;
    for (int i = 0; i < 20; i++) {
        if (i == 10) {
            dir_write("enough", "", 0600);
        }
        struct request *r = stage_expect(WIRE_REC_REPORT);
        if (i > 10 && r->count == 2) {
            cr_expect(stage_reported(r, &is_error) == 9 && !is_error);
            return;
        }
        const uint32_t count = items(r, 9, &first);
        cr_assert(first == next && count > 0, "from %d instead of %d", (int)first, (int)next);
        next += count;
        acknowledge(r);
    }
    cr_assert(false, "no outcome");
}

Test(yield, asks_again_after_pending, .init = stage_enter, .fini = stage_leave)
{
    uint64_t first = 0, next = 0;
    struct buf b = {0};
    stage_start(usual);
    (void)begin("floods", 60000);
    for (int i = 0; i < 2; i++) {
        struct request *r = stage_expect(WIRE_REC_REPORT);
        next += items(r, 9, &first);
        write_op(&b, WIRE_PENDING);
        write_uint(&b, 0);
        stage_answer(r, &b);
    }
    struct request *r = stage_expect(WIRE_REC_REPORT);
    uint32_t count = items(r, 9, &first);
    while (count > 0) { /* those that left before the answers came */
        next += count;
        write_op(&b, WIRE_PENDING);
        write_uint(&b, 0);
        stage_answer(r, &b);
        r = stage_expect(WIRE_REC_REPORT);
        count = items(r, 9, &first);
    }
    cr_expect(first == next);
    acknowledge(r);
    cr_expect(items(stage_expect(WIRE_REC_REPORT), 9, &first) > 0 && first == next);
}
