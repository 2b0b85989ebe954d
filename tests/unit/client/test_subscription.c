#include "tests/support/test.h"

#include <poll.h>
#include <prong/prong.h>
#include <string.h>
#include <time.h>

#include "tests/unit/client/fake_hub.h"

static struct fake_hub hub;
static prong_client *c, *emitter;

static void
set_up(void)
{
    char why[300] = "";
    fake_init(&hub);
    fake_start(&hub);
    cr_assert_eq(prong_connect(hub.url, NULL, &c, why, sizeof why), PRONG_OK, "%s", why);
}

static void
tear_down(void)
{
    prong_client_free(c);
    prong_client_free(emitter);
    emitter = NULL;
    fake_deinit(&hub);
}

static prong_subscription *
subscribe(const char *filter, prong_subscribe_options o)
{
    prong_subscription *s = NULL;
    char text[200];
    o.size_bytes = sizeof o;
    const prong_err err = prong_subscribe(c, &filter, 1, &o, &s);
    prong_client_error_text(c, text, sizeof text);
    cr_assert_eq(err, PRONG_OK, "%s", text);
    return s;
}

static uint64_t
emit(const char *topic)
{
    uint64_t number = 0;
    cr_assert_eq(prong_emit(c, topic, NULL, 5000, &number), PRONG_OK);
    return number;
}

static void
notice_the_loss(void)
{
    while (prong_client_is_connected(c)) {
        cr_assert_eq(prong_dispatch(c, 5000), PRONG_OK);
    }
}

static const prong_event *
next(prong_subscription *s)
{
    const prong_event *e = NULL;
    cr_assert_eq(prong_subscription_next(s, 5000, &e), PRONG_OK);
    return e;
}

static void
expect_none(prong_subscription *s)
{
    const prong_event *e = NULL;
    cr_assert_eq(prong_subscription_next(s, 20, &e), PRONG_DEADLINE_EXCEEDED);
    cr_assert_eq(prong_subscription_next(s, 0, &e), PRONG_DEADLINE_EXCEEDED);
}

Test(subscription, what_is_emitted_after_subscribing_comes_in_order, .init = set_up,
     .fini = tear_down)
{
    (void)emit("a.before");
    prong_subscription *s = subscribe("a.>", (prong_subscribe_options){0});
    expect_none(s);
    (void)emit("b");
    const prong_value payload = {(const uint8_t *)"\xa2hi", 3};
    cr_assert_eq(prong_emit(c, "a.x", &payload, 0, NULL), PRONG_OK);
    (void)emit("a.y");
    const prong_event *e = next(s);
    cr_expect_str_eq(e->topic, "a.x");
    cr_expect_str_eq(e->source, "w/0");
    cr_expect_eq(e->number, 3);
    cr_expect_eq(e->time_us, 1003);
    cr_expect_eq(e->history, 1);
    cr_expect_eq(e->lost, 0);
    cr_expect_not(e->reset);
    cr_expect_eq(e->payload.len, 3);
    cr_expect_str_eq(next(s)->topic, "a.y");
    expect_none(s);
    prong_subscription_free(s);
}

Test(subscription, it_begins_where_it_is_told, .init = set_up, .fini = tear_down)
{
    uint64_t number, history;
    for (int i = 0; i < 10; i++) {
        (void)emit("a");
    }
    prong_subscription *s = subscribe("a", (prong_subscribe_options){.from = PRONG_FROM_OLDEST});
    prong_subscription_position(s, &number, &history);
    cr_expect_eq(number, 1);
    cr_expect_eq(next(s)->number, 1);
    prong_subscription_position(s, &number, &history);
    cr_expect_eq(number, 2);
    cr_expect_eq(history, 1);
    prong_subscription_free(s);
    s = subscribe("a", (prong_subscribe_options){
                           .from = PRONG_FROM_NUMBER, .number = 8, .items_max = 2, .history = 1});
    for (uint64_t i = 8; i <= 10; i++) {
        cr_expect_eq(next(s)->number, i);
    }
    prong_subscription_position(s, &number, &history);
    cr_expect_eq(number, 11);
    prong_subscription_free(s);
}

Test(subscription, what_was_lost_is_counted_exactly, .init = set_up, .fini = tear_down)
{
    hub.keep = 5;
    prong_subscription *s = subscribe("a", (prong_subscribe_options){.items_max = 1});
    for (int i = 0; i < 100; i++) {
        (void)emit("a"); /* one is fetched ahead at once, another when that is taken */
    }
    uint64_t seen = 0, lost = 0, last = 0;
    while (last < 100) {
        const prong_event *e = next(s);
        cr_expect_eq(e->number, last + e->lost + 1);
        last = e->number;
        lost += e->lost;
        seen++;
    }
    cr_expect_eq(seen + lost, 100);
    cr_expect_geq(lost, 90);
    cr_expect_eq(prong_subscription_lost(s), lost);
    prong_subscription_free(s);
}

Test(subscription, a_reconnect_is_not_noticed, .init = set_up, .fini = tear_down)
{
    prong_subscription *s = subscribe("a", (prong_subscribe_options){0});
    (void)emit("a");
    cr_expect_eq(next(s)->number, 1);
    fake_stop(&hub);
    hub.epoch = 2; /* another broker with the same events */
    fake_forget(&hub);
    fake_start(&hub);
    notice_the_loss();
    (void)emit("a");
    const prong_event *e = next(s);
    cr_expect_eq(e->number, 2);
    cr_expect_eq(e->lost, 0);
    cr_expect_not(e->reset);
    prong_subscription_free(s);
}

Test(subscription, a_new_history_is_told_and_read_from_its_beginning, .init = set_up,
     .fini = tear_down)
{
    const prong_event *e;
    uint64_t history;
    prong_subscription *s = subscribe("a", (prong_subscribe_options){0});
    for (int i = 0; i < 5; i++) {
        (void)emit("a");
    }
    cr_expect_eq(next(s)->number, 1);
    fake_stop(&hub);
    fake_forget(&hub);
    hub.epoch = 2;
    hub.history = 2;
    hub.first = hub.next = 1;
    for (int i = 1; i < 6; i++) {
        buf_deinit(&hub.event[i].payload);
    }
    fake_start(&hub);
    notice_the_loss();
    (void)emit("a");
    (void)emit("a");
    uint64_t last = 1;
    do { /* what was fetched ahead of the old history comes first */
        e = next(s);
        cr_expect(e->reset || e->number == last + 1);
        last = e->number;
    } while (!e->reset);
    cr_expect_eq(e->number, 1);
    cr_expect_eq(e->history, 2);
    e = next(s);
    cr_expect_eq(e->number, 2);
    cr_expect_not(e->reset);
    prong_subscription_position(s, NULL, &history);
    cr_expect_eq(history, 2);
    prong_subscription_free(s);
    s = subscribe(
        "a", (prong_subscribe_options){.from = PRONG_FROM_NUMBER, .number = 400, .history = 1});
    e = next(s);
    cr_expect(e->reset && e->number == 1, "a position of a history that is gone");
    prong_subscription_free(s);
}

Test(subscription, wrong_filters_are_refused, .init = set_up, .fini = tear_down)
{
    static const char *const bad[] = {"", "a..b", "a.>.b", "a b"};
    prong_subscription *s = NULL;
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(prong_subscribe(c, &bad[i], 1, NULL, &s), PRONG_INVALID_ARGUMENT, "%s",
                     bad[i]);
    }
    cr_expect_eq(prong_subscribe(c, bad, 0, NULL, &s), PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_subscribe(c, bad, 33, NULL, &s), PRONG_INVALID_ARGUMENT);
    cr_expect_null(s);
    prong_subscription_free(NULL);
}

Test(subscription, without_a_hub_subscribing_ends_in_time, .init = set_up, .fini = tear_down)
{
    static const char *const all = ">";
    const prong_subscribe_options o = {.size_bytes = sizeof o, .timeout_ms = 100};
    prong_subscription *s = NULL;
    fake_stop(&hub);
    cr_expect_eq(prong_subscribe(c, &all, 1, &o, &s), PRONG_DEADLINE_EXCEEDED);
}

Test(subscription, it_outlives_its_client, .init = set_up, .fini = tear_down)
{
    const prong_event *e;
    prong_subscription *s = subscribe(">", (prong_subscribe_options){0});
    (void)emit("a");
    cr_expect_eq(next(s)->number, 1);
    prong_client_free(c);
    c = NULL;
    cr_expect_eq(prong_subscription_next(s, PRONG_FOREVER, &e), PRONG_CANCELLED);
    prong_subscription_free(s);
}

static int taken;

static void
on_events(void *context, prong_subscription *s)
{
    const prong_event *e;
    cr_expect_eq(context, &taken);
    cr_expect_eq(prong_subscription_next(s, 1, &e), PRONG_FAILED_PRECONDITION,
                 "waiting in a callback");
    while (prong_subscription_next(s, 0, &e) == PRONG_OK) {
        taken++;
    }
}

Test(subscription, a_loop_is_told_of_events, .init = set_up, .fini = tear_down)
{
    cr_assert_eq(prong_connect(hub.url, NULL, &emitter, NULL, 0), PRONG_OK);
    prong_subscription *s = subscribe(
        "a", (prong_subscribe_options){.notify = on_events, .context = &taken, .items_max = 7});
    struct pollfd p = {.fd = prong_fd(c), .events = POLLIN};
    taken = 0;
    fake_stop(&hub); /* so that the other client's numbers do not meet those of this one */
    fake_forget(&hub);
    fake_start(&hub);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(prong_emit(emitter, "a", NULL, 0, NULL), PRONG_OK);
    }
    while (taken < 100) {
        cr_assert_eq(poll(&p, 1, 5000), 1);
        cr_assert_eq(prong_dispatch(c, 0), PRONG_OK);
    }
    cr_expect_eq(prong_subscription_lost(s), 0);
    prong_subscription_free(s);
}
