/* The SDK against a hub that does what the test says: what a real one does too seldom. */
#include "client/worker/pull.h"
#include "tests/unit/client/worker/stage.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/name.h"
#include "proto/write.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

/* ---- programs -------------------------------------------------------------------------------- */

static prong_err
one(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    (void)context;
    prong_writer_int(prong_job_result(job), 1);
    return PRONG_OK;
}

/* Until the file `go` is there; looks at the hub meanwhile. */
static prong_err
looks(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    (void)context;
    while (access("go", F_OK) != 0) {
        (void)poll(NULL, 0, 1);
        if (prong_job_is_cancelled(job)) {
            return PRONG_CANCELLED;
        }
    }
    return PRONG_OK;
}

static prong_err
blind(prong_job *job, const prong_value *args, void *context)
{
    (void)job;
    (void)args;
    (void)context;
    while (access("go", F_OK) != 0) {
        (void)poll(NULL, 0, 1);
    }
    return PRONG_OK;
}

static const prong_method methods[] = {
    {"one", one, PRONG_SHARED, "gives 1", NULL},
    {.name = "looks", .function = looks},
    {.name = "blind", .function = blind},
};

static prong_worker *
new_worker(void)
{
    return prong_worker_new(methods, sizeof methods / sizeof methods[0]);
}

static int
run(prong_worker *worker)
{
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}

static int
usual(void)
{
    return run(new_worker());
}

static void
torn_down(prong_worker *worker, void *context)
{
    (void)worker;
    (void)context;
    (void)raise(SIGTERM);
}

/* Told once more on every stretch of its end. */
static int
told_again(void)
{
    prong_worker *worker = new_worker();
    (void)prong_worker_setup(worker, NULL, torn_down, NULL);
    const int code = run(worker);
    (void)raise(SIGTERM);
    return code;
}

static prong_err
ends(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    (void)context;
    prong_worker_stop(prong_job_worker(job), 3);
    return PRONG_OK;
}

/* It ends by itself, and what comes then is a program like any other. */
static int
told_afterwards(void)
{
    prong_worker *worker = new_worker();
    (void)prong_worker_method(worker, "ends", ends, PRONG_ONCE, NULL, NULL);
    const int code = run(worker);
    (void)raise(SIGTERM);
    return code;
}

static int
impatient(void)
{
    prong_worker *worker = new_worker();
    (void)prong_worker_reconnect(worker, 150);
    return run(worker);
}

static prong_err
refuses(prong_worker *worker, void *context)
{
    (void)worker;
    (void)context;
    return PRONG_INTERNAL;
}

static int
cannot_set_up(void)
{
    prong_worker *worker = new_worker();
    (void)prong_worker_setup(worker, refuses, NULL, NULL);
    return run(worker);
}

static int
mistaken(void)
{
    prong_worker *worker = new_worker();
    (void)prong_worker_method(worker, "not a name", one, PRONG_ONCE, NULL, NULL);
    return run(worker);
}

static int
homeless(void)
{
    unsetenv("PRONG_TOKEN");
    return usual();
}

/* A binding: takes jobs and ends them itself. */
static int
pulls(void)
{
    prong_worker *worker = prong_worker_new(NULL, 0);
    prong_job *job = NULL;
    prong_err err;
    (void)prong_worker_method(worker, "bound", NULL, PRONG_ONCE, NULL, NULL);
    if (prong_worker_next(worker, 0, &job) != PRONG_DEADLINE_EXCEEDED) {
        return 90;
    }
    while ((err = prong_worker_next(worker, PRONG_FOREVER, &job)) == PRONG_OK) {
        if (strcmp(prong_job_method(job), "bound") != 0) {
            return 91;
        }
        prong_writer_int(prong_job_result(job), 2);
        prong_job_end(job, PRONG_OK);
        prong_job_end(job, PRONG_INTERNAL); /* it is gone: nothing happens */
    }
    const int code = err == PRONG_CANCELLED ? prong_worker_finish(worker) : 92;
    prong_worker_free(worker);
    return code;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static struct request *
expect_poll(uint64_t taken, bool takes)
{
    const uint64_t capacity = takes ? PULL_CALLS_MAX : 0;
    struct request *r = stage_expect(WIRE_REC_POLL);
    cr_assert(r->count == 1);
    cr_assert(RECORD_FIELD(&r->record[0], POLL, TAKEN)->item.uint == taken);
    cr_assert(RECORD_FIELD(&r->record[0], POLL, CAPACITY)->item.uint == capacity);
    return r;
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

/* SIGTERM while it polls, and its end. */
static void
end_idle(uint64_t taken, pid_t worker)
{
    struct request old = {.request = stage_poll()};
    kill(worker, SIGTERM);
    expect_poll(taken, false);
    stage_give_none(&old, taken);
    cr_expect(stage_exit() == 0);
}

Test(run, costs_one_message_for_a_call_and_has_one_thread, .init = stage_enter, .fini = stage_leave)
{
    bool is_error = true;
    const pid_t worker = stage_start(usual);
    stage_attach(5);
    struct request *r = expect_poll(0, true);
    for (uint64_t i = 1; i <= 3; i++) {
        stage_give(r, i, 10 + i, "one", 1000);
        r = stage_expect(WIRE_REC_REPORT);
        cr_assert(r->count == 2 && r->record[1].record == WIRE_REC_POLL, "REPORT and POLL");
        cr_expect(stage_reported(r, &is_error) == 10 + i && !is_error);
    }
    char comm[32];
    procs_comm(worker, comm);
    cr_expect(strcmp(comm, "detector/1") == 0, "%s", comm);
    /* As many as this process, which has none but its first either: ThreadSanitizer adds one to
     * both. */
    cr_expect(procs_thread_count(worker) <= procs_thread_count(getpid()));
    stage_control();
    end_idle(3, worker);
}

Test(run, attaches_while_a_job_runs_that_looks, .init = stage_enter, .fini = stage_leave)
{
    struct field running;
    uint64_t call = 0;
    bool is_error;
    const pid_t worker = stage_start(usual);
    stage_attach(5);
    stage_give(expect_poll(0, true), 1, 9, "looks", 60000);
    stage_control();
    stage_hang_up();
    struct request *r = stage_expect(WIRE_REC_ATTACH);
    cr_assert(
        record_key(RECORD_FIELD(&r->record[0], ATTACH, ABOUT), WIRE_KEY_ATTACH_running, &running));
    cr_expect(record_number(&running.inside, &call) && call == 9);
    stage_welcome(r, 6);
    dir_write("go", "", 0600);
    r = stage_expect(WIRE_REC_REPORT);
    cr_expect(stage_reported(r, &is_error) == 9 && !is_error && r->count == 2);
    cr_expect(RECORD_FIELD(&r->record[1], POLL, SESSION)->item.uint == 6);
    cr_expect(RECORD_FIELD(&r->record[1], POLL, TAKEN)->item.uint == 0);
    end_idle(0, worker);
}

Test(run, attaches_with_what_is_done_after_a_job_that_did_not_look, .init = stage_enter,
     .fini = stage_leave)
{
    struct field done;
    uint64_t call = 0;
    bool is_error;
    const pid_t worker = stage_start(usual);
    stage_attach(5);
    stage_give(expect_poll(0, true), 1, 9, "blind", 60000);
    stage_hang_up();
    dir_write("go", "", 0600);
    struct request *r = stage_expect(WIRE_REC_ATTACH);
    cr_assert(record_key(RECORD_FIELD(&r->record[0], ATTACH, ABOUT), WIRE_KEY_ATTACH_done, &done));
    cr_expect(record_number(&done.inside, &call) && call == 9);
    stage_welcome(r, 6);
    r = stage_expect(WIRE_REC_REPORT);
    cr_expect(stage_reported(r, &is_error) == 9 && r->count == 2);
    end_idle(0, worker);
}

Test(run, finds_a_hub_that_comes_back, .init = stage_enter, .fini = stage_leave)
{
    const pid_t worker = stage_start(usual);
    stage_attach(5);
    expect_poll(0, true);
    stage_close();
    stage_open();
    stage_attach(6);
    stage_give(expect_poll(0, true), 1, 9, "one", 1000);
    cr_expect(stage_expect(WIRE_REC_REPORT)->count == 2);
    end_idle(1, worker);
}

Test(run, ends_with_75_when_the_hub_is_gone, .init = stage_enter, .fini = stage_leave)
{
    stage_start(impatient);
    stage_attach(5);
    expect_poll(0, true);
    stage_close();
    cr_expect(stage_exit() == 75);
    cr_expect(stage_logged("the hub is gone"));
}

Test(run, ends_with_77_when_the_hub_refuses_it, .init = stage_enter, .fini = stage_leave)
{
    struct buf b = {0};
    stage_start(usual);
    struct request *r = stage_expect(WIRE_REC_ATTACH);
    write_error(&b, &(struct write_error){.code = WIRE_ERR_PERMISSION_DENIED,
                                          .message = span_text("not with that token")});
    stage_answer(r, &b);
    cr_expect(stage_exit() == 77);
    cr_expect(stage_logged("not with that token"));
}

Test(run, says_how_workers_are_started, .init = stage_enter, .fini = stage_leave)
{
    stage_run(homeless);
    cr_expect(stage_exit() == 64);
    cr_expect(stage_logged("this program is a worker: start it with `prong run -- ...`"));
}

Test(run, ends_with_1_when_setup_fails, .init = stage_enter, .fini = stage_leave)
{
    stage_run(cannot_set_up);
    cr_expect(stage_exit() == 1);
}

Test(run, ends_with_78_when_it_was_set_up_wrongly, .init = stage_enter, .fini = stage_leave)
{
    stage_run(mistaken);
    cr_expect(stage_exit() == 78);
    cr_expect(stage_logged("not a name"));
}

Test(run, hears_cancel_while_a_job_runs, .init = stage_enter, .fini = stage_leave)
{
    struct buf b = {0};
    bool is_error = false;
    const pid_t worker = stage_start(usual);
    stage_attach(5);
    stage_give(expect_poll(0, true), 1, 9, "looks", 60000);
    write_op(&b, WIRE_COMMAND);
    write_text(&b, "cancel");
    write_map(&b, 1);
    write_text(&b, "call");
    write_uint(&b, 9);
    stage_answer(stage_control(), &b);
    cr_expect(stage_reported(stage_expect(WIRE_REC_REPORT), &is_error) == 9 && is_error);
    stage_control();
    end_idle(1, worker);
}

Test(run, takes_the_deadline_of_its_caller_for_a_cancel, .init = stage_enter, .fini = stage_leave)
{
    bool is_error = false;
    const pid_t worker = stage_start(usual);
    stage_attach(5);
    stage_give(expect_poll(0, true), 1, 9, "looks", 20);
    cr_expect(stage_reported(stage_expect(WIRE_REC_REPORT), &is_error) == 9 && is_error);
    end_idle(1, worker);
}

Test(run, runs_what_the_hub_gave_while_it_stopped, .init = stage_enter, .fini = stage_leave)
{
    bool is_error = true;
    const pid_t worker = stage_start(usual);
    stage_attach(5);
    struct request poll = *expect_poll(0, true);
    poll.body = (struct buf){0};
    kill(worker, SIGTERM);
    expect_poll(0, false);
    stage_give(&poll, 1, 9, "one", 1000);
    struct request *r = stage_expect(WIRE_REC_REPORT);
    cr_expect(r->count == 1, "%zu records", r->count);
    cr_expect(stage_reported(r, &is_error) == 9);
    cr_expect(!is_error);
    acknowledge(r);
    cr_expect(stage_exit() == 0);
}

Test(run, ends_although_the_hub_is_silent, .init = stage_enter, .fini = stage_leave)
{
    const pid_t worker = stage_start(usual);
    stage_attach(5);
    expect_poll(0, true);
    kill(worker, SIGTERM);
    cr_expect(stage_exit() == 0);
}

Test(run, ends_in_order_however_often_it_is_told_to, .init = stage_enter, .fini = stage_leave)
{
    const pid_t worker = stage_start(told_again);
    stage_attach(5);
    expect_poll(0, true);
    end_idle(0, worker);
}

Test(run, leaves_sigterm_as_it_was_when_nobody_told_it_to_end, .init = stage_enter,
     .fini = stage_leave)
{
    bool is_error = true;
    (void)stage_start(told_afterwards);
    stage_attach(5);
    stage_give(expect_poll(0, true), 1, 9, "ends", 1000);
    struct request *r = stage_expect(WIRE_REC_REPORT);
    cr_expect(stage_reported(r, &is_error) == 9 && !is_error);
    acknowledge(r);
    cr_expect(stage_exit() == 1000 + SIGTERM);
}

Test(run, gives_jobs_to_a_binding, .init = stage_enter, .fini = stage_leave)
{
    bool is_error = true;
    const pid_t worker = stage_start(pulls);
    stage_attach(5);
    stage_give(expect_poll(0, true), 1, 9, "bound", 1000);
    struct request *r = stage_expect(WIRE_REC_REPORT);
    cr_expect(stage_reported(r, &is_error) == 9 && !is_error);
    stage_give(r, 2, 10, "unbound", 1000);
    r = stage_expect(WIRE_REC_REPORT);
    cr_expect(stage_reported(r, &is_error) == 10 && is_error);
    end_idle(2, worker);
}
