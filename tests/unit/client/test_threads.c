#include "tests/support/test.h"

#include <poll.h>
#include <prong/prong.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/client/fake_hub.h"

enum { THREADS = 16, CALLS = 200 };

static struct fake_hub hub;
static prong_client *c;
static atomic_int good, bad;

static void
set_up(void)
{
    char why[300] = "";
    fake_init(&hub);
    fake_start(&hub);
    good = bad = 0;
    cr_assert_eq(prong_connect(hub.url, NULL, &c, why, sizeof why), PRONG_OK, "%s", why);
}

static void
tear_down(void)
{
    prong_client_free(c);
    fake_deinit(&hub);
}

static void
run(void *(*function)(void *), int count)
{
    pthread_t thread[THREADS];
    for (int i = 0; i < count; i++) {
        cr_assert_eq(pthread_create(&thread[i], NULL, function, (void *)(intptr_t)i), 0);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(thread[i], NULL);
    }
}

/* Its own argument must come back: no thread may get another one's answer. */
static void *
call_and_compare(void *context)
{
    prong_writer *w = prong_writer_new();
    for (int i = 0; i < CALLS; i++) {
        prong_reply *r = NULL;
        prong_value args = {0};
        int64_t n = -1;
        prong_writer_reset(w);
        prong_writer_array(w, 1);
        prong_writer_int(w, (intptr_t)context * CALLS + i);
        (void)prong_writer_finish(w, &args);
        const prong_err err = prong_call(c, "w", i % 8 == 7 ? "pend" : "echo", &args, 0, &r);
        prong_value item = {0};
        const bool fits =
            i % 8 == 7 || (prong_value_at(prong_reply_value(r), 0, &item) &&
                           prong_value_int(&item, &n) && n == (intptr_t)context * CALLS + i);
        atomic_fetch_add(err == PRONG_OK && fits ? &good : &bad, 1);
        prong_reply_free(r);
    }
    prong_writer_free(w);
    return NULL;
}

Test(threads, each_thread_gets_its_own_answers, .init = set_up, .fini = tear_down)
{
    run(call_and_compare, THREADS);
    cr_expect_eq(good, THREADS * CALLS);
    cr_expect_eq(bad, 0);
}

/* Everything at once: one of these per thread number. */
static void *
do_everything(void *context)
{
    static const char *const filter = "t";
    const intptr_t self = (intptr_t)context;
    prong_subscription *s = NULL;
    prong_reply *r[8] = {NULL}, *any;
    const prong_event *e;
    char text[100];
    if (self % 4 == 0 && prong_subscribe(c, &filter, 1, NULL, &s) != PRONG_OK) {
        bad++;
    }
    for (int round = 0; round < 20; round++) {
        bad += prong_call(c, "w", "echo", NULL, 0, NULL) != PRONG_OK;
        bad += prong_emit(c, "t", NULL, 0, NULL) != PRONG_OK;
        (void)prong_post(c, "t", NULL); /* may be refused when the window is full */
        for (int i = 0; i < 8; i++) {
            if (prong_call_async(c, "w", i == 0 ? "hold" : "echo", NULL, NULL, &r[i]) != PRONG_OK) {
                r[i] = NULL;
            }
        }
        if (self % 4 == 1) {
            (void)prong_dispatch(c, 1);
            (void)prong_fd(c);
        } else if (self % 4 == 2) {
            (void)prong_wait_any(c, 0, &any);
        }
        prong_reply_cancel(r[0] != NULL ? r[0] : r[1]);
        for (int i = 0; i < 8; i++) {
            bad += r[i] != NULL && prong_reply_wait(r[i], 10000) != PRONG_OK;
            prong_reply_free(r[i]);
        }
        if (s != NULL) {
            bad += prong_subscription_next(s, 10000, &e) != PRONG_OK;
        }
        prong_client_error_text(c, text, sizeof text);
        (void)prong_client_is_connected(c);
        (void)prong_flush(c);
        good++;
    }
    prong_subscription_free(s);
    return NULL;
}

Test(threads, everything_may_happen_at_once, .init = set_up, .fini = tear_down)
{
    run(do_everything, THREADS);
    cr_expect_eq(good, THREADS * 20);
    cr_expect_eq(bad, 0, "%d failures", bad);
}

static void *
call_through_losses(void *context)
{
    for (int i = 0; i < 20; i++) {
        prong_reply *r = NULL;
        const prong_err err =
            prong_call(c, "w", (intptr_t)context == 0 ? "drop" : "echo", NULL, 10000, &r);
        atomic_fetch_add(err == PRONG_OK ? &good : &bad, 1);
        prong_reply_free(r);
    }
    return NULL;
}

Test(threads, a_connection_that_breaks_again_and_again_loses_no_call, .init = set_up,
     .fini = tear_down)
{
    run(call_through_losses, 8);
    cr_expect_eq(good, 160);
    cr_expect_eq(bad, 0);
    cr_expect_geq(hub.opened, 20);
}

static void *
hold(void *context)
{
    (void)context;
    prong_reply *r = NULL;
    const prong_err err = prong_call(c, "w", "hold", NULL, 60000, &r);
    atomic_fetch_add(err == PRONG_CANCELLED ? &good : &bad, 1);
    prong_reply_free(r);
    return NULL;
}

Test(threads, freeing_the_client_sends_every_waiting_thread_home, .init = set_up, .fini = tear_down)
{
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&thread[i], NULL, hold, NULL), 0);
    }
    for (int i = 0; hub.messages < THREADS + 1; i++) {
        cr_assert_lt(i, 10000);
        (void)poll(NULL, 0, 1);
    }
    prong_client_free(c);
    c = NULL;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    cr_expect_eq(good, THREADS);
}

static prong_reply *shared;

static void *
cancel_soon(void *context)
{
    (void)context;
    prong_reply_cancel(shared);
    return NULL;
}

Test(threads, another_thread_can_cancel_what_the_leader_waits_for, .init = set_up,
     .fini = tear_down)
{
    pthread_t thread;
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(prong_call_async(c, "w", "hold", NULL, NULL, &shared), PRONG_OK);
        cr_assert_eq(prong_flush(c), PRONG_OK);
        cr_assert_eq(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
        cr_assert_eq(prong_reply_wait(shared, 10000), PRONG_OK);
        cr_expect_eq(prong_reply_code(shared), PRONG_CANCELLED);
        pthread_join(thread, NULL);
        prong_reply_free(shared);
    }
}
