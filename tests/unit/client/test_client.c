/* Calls, events and the event loop of a client that is connected. */
#include "tests/support/test.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/client/client_kit.h"

/* ---- blocking calls ------------------------------------------------------------------------- */

Test(client, a_call_returns_what_the_method_returned, .init = set_up, .fini = tear_down)
{
    prong_reply *r = NULL;
    const prong_value args = {(const uint8_t *)"\x81\xa1k\x07", 4};
    cr_assert_eq(prong_call(c, "w", "echo", &args, 0, &r), PRONG_OK);
    cr_expect(prong_reply_is_done(r));
    cr_expect_eq(prong_reply_value(r)->len, 4);
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_YES);
    cr_expect_str_eq(prong_reply_message(r), "");
    cr_expect_null(prong_reply_details(r));
    prong_reply_free(r);
    cr_expect_eq(prong_call(c, "w", "echo", &args, 0, NULL), PRONG_OK);
    cr_expect_str_eq(prong_client_url(c), hub.url);
    cr_expect(prong_client_is_connected(c));
}

Test(client, an_error_has_code_message_began_and_details, .init = set_up, .fini = tear_down)
{
    prong_reply *r = NULL;
    prong_value v;
    int64_t n = 0;
    cr_assert_eq(prong_call(c, "w", "fail", NULL, 0, &r), PRONG_ABORTED);
    cr_expect_eq(prong_reply_code(r), PRONG_ABORTED);
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_YES);
    cr_expect_str_eq(prong_reply_message(r), "it died");
    cr_expect(prong_value_find(prong_reply_details(r), "k", &v) && prong_value_int(&v, &n) &&
              n == 5);
    cr_expect_null(prong_reply_value(r));
    prong_reply_free(r);
    cr_expect_eq(prong_call(c, "w", "nothing", NULL, 0, NULL), PRONG_NOT_FOUND);
}

Test(client, a_pending_call_is_waited_for, .init = set_up, .fini = tear_down)
{
    cr_expect_eq(call_int("pend"), 1);
    cr_expect_eq(hub.messages, 3, "HELLO, CALL and WAIT");
}

Test(client, wrong_arguments_are_refused_with_a_text, .init = set_up, .fini = tear_down)
{
    prong_reply *r = NULL;
    cr_expect_eq(prong_call(c, "No Such", "echo", NULL, 0, &r), PRONG_INVALID_ARGUMENT);
    cr_expect_not_null(strstr(prong_reply_message(r), "worker's name"), "%s",
                       prong_reply_message(r));
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_NO);
    prong_reply_free(r);
    cr_expect_eq(prong_call(c, NULL, "echo", NULL, 0, NULL), PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_call(c, "w", NULL, NULL, 0, NULL), PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_call(c, "w", "echo", NULL, -1, NULL), PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_call(c, "w", "echo", NULL, 3600001, NULL), PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_emit(c, "a..b", NULL, 0, NULL), PRONG_INVALID_ARGUMENT);
    char text[200];
    prong_client_error_text(c, text, sizeof text);
    cr_expect_not_null(strstr(text, "topic"), "%s", text);
}

Test(client, a_hub_that_is_silent_costs_two_seconds_more, .init = set_up, .fini = tear_down)
{
    prong_reply *r = NULL;
    const int64_t begin = now_ms();
    cr_assert_eq(prong_call(c, "w", "hold", NULL, 100, &r), PRONG_DEADLINE_EXCEEDED);
    const int64_t took = now_ms() - begin;
    cr_expect(took >= 2100 && took < 4000, "%lld ms", (long long)took);
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_MAYBE);
    prong_reply_free(r);
}

Test(client, messages_of_megabytes_pass, .init = set_up, .fini = tear_down)
{
    const size_t len = 12 << 20;
    uint8_t *bytes = calloc(1, len);
    prong_writer *w = prong_writer_new();
    prong_reply *r = NULL;
    prong_value args, back;
    const uint8_t *data;
    size_t got = 0;
    prong_writer_map(w, 1);
    prong_writer_key(w, "k");
    prong_writer_bin(w, bytes, len);
    cr_assert_eq(prong_writer_finish(w, &args), PRONG_OK);
    cr_assert_eq(prong_call(c, "w", "echo", &args, 0, &r), PRONG_OK, "%s", prong_reply_message(r));
    cr_assert(prong_value_find(prong_reply_value(r), "k", &back) &&
              prong_value_bin(&back, &data, &got));
    cr_expect_eq(got, len);
    prong_reply_free(r);
    prong_writer_reset(w);
    prong_writer_array(w, 2);
    prong_writer_bin(w, bytes, len);
    prong_writer_bin(w, bytes, len);
    cr_assert_eq(prong_writer_finish(w, &args), PRONG_OK);
    cr_expect_eq(prong_call(c, "w", "echo", &args, 0, NULL), PRONG_RESOURCE_EXHAUSTED);
    prong_writer_free(w);
    free(bytes);
}

Test(client, json_goes_in_and_comes_out, .init = set_up, .fini = tear_down)
{
    char *out = NULL;
    cr_expect_eq(prong_call_json(c, "w", "echo", "{\"a\": [1, 2.5]}", 0, &out), PRONG_OK);
    cr_expect_str_eq(out, "{\"a\":[1,2.5]}");
    prong_free(out);
    cr_expect_eq(prong_call_json(c, "w", "echo", NULL, 0, &out), PRONG_OK);
    cr_expect_str_eq(out, "{}");
    prong_free(out);
    cr_expect_eq(prong_call_json(c, "w", "fail", NULL, 0, &out), PRONG_ABORTED);
    cr_expect_str_eq(out, "{\"code\":10,\"name\":\"ABORTED\",\"began\":2,\"message\":\"it died\","
                          "\"details\":{\"k\":5}}");
    prong_free(out);
    cr_expect_eq(prong_call_json(c, "w", "echo", "{\"a\":", 0, &out), PRONG_INVALID_ARGUMENT);
    cr_expect_not_null(strstr(out, "line 1, column"), "%s", out);
    prong_free(out);
}

/* ---- asynchronous calls --------------------------------------------------------------------- */

Test(client, sixty_four_calls_are_in_flight_at_once, .init = set_up, .fini = tear_down)
{
    prong_reply *r[64], *done = NULL;
    bool seen[64] = {0};
    for (uint64_t i = 0; i < 64; i++) {
        r[i] = start("echo", 0, 0, i);
    }
    cr_expect_eq(hub.messages, 1, "nothing leaves before somebody waits");
    for (int i = 0; i < 64; i++) {
        cr_assert_eq(prong_wait_any(c, 5000, &done), PRONG_OK);
        cr_expect_eq(prong_reply_code(done), PRONG_OK);
        cr_expect_not(seen[prong_reply_tag(done)]);
        seen[prong_reply_tag(done)] = true;
    }
    cr_expect_eq(prong_wait_any(c, 0, &done), PRONG_NOT_FOUND);
    for (int i = 0; i < 64; i++) {
        prong_reply_free(r[i]);
    }
}

Test(client, one_can_wait_for_one_of_many, .init = set_up, .fini = tear_down)
{
    prong_reply *held = start("hold", 30000, 0, 1), *pend = start("pend", 0, 0, 2), *done = NULL;
    cr_expect_eq(prong_reply_wait(held, 20), PRONG_DEADLINE_EXCEEDED);
    cr_expect_not(prong_reply_is_done(held));
    cr_expect_eq(prong_reply_code(held), PRONG_UNKNOWN);
    cr_expect_str_eq(prong_reply_message(held), "");
    cr_expect_eq(prong_reply_wait(pend, 5000), PRONG_OK);
    cr_expect_eq(prong_reply_wait(pend, 0), PRONG_OK, "again");
    cr_expect_eq(prong_wait_any(c, 20, &done), PRONG_DEADLINE_EXCEEDED, "that one was waited for");
    cr_expect_eq(prong_call(c, "w", "release", NULL, 0, NULL), PRONG_OK);
    cr_expect_eq(prong_wait_any(c, 5000, &done), PRONG_OK);
    cr_expect_eq(done, held);
    prong_reply_free(held);
    prong_reply_free(pend);
}

Test(client, cancel_ends_a_call, .init = set_up, .fini = tear_down)
{
    prong_reply *r = start("hold", 30000, 0, 0);
    cr_assert_eq(prong_flush(c), PRONG_OK);
    await_messages(2);
    prong_reply_cancel(r);
    cr_assert_eq(prong_reply_wait(r, 5000), PRONG_OK);
    cr_expect_eq(prong_reply_code(r), PRONG_CANCELLED);
    prong_reply_cancel(r);
    prong_reply_free(r);
    r = start("hold", 30000, 0, 0); /* never sent */
    prong_reply_cancel(r);
    cr_assert_eq(prong_reply_wait(r, 0), PRONG_OK);
    cr_expect_eq(prong_reply_code(r), PRONG_CANCELLED);
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_NO);
    prong_reply_free(r);
    r = start("hold", 30000, 0, 0);
    cr_assert_eq(prong_flush(c), PRONG_OK);
    prong_reply_free(r); /* without an outcome: cancelled and forgotten */
    cr_expect_eq(call_int("acked"), 2, "the freed one has no outcome yet");
    cr_expect_eq(call_int("acked"), 4);
}

Test(client, what_was_acknowledged_is_told_to_the_hub, .init = set_up, .fini = tear_down)
{
    for (int64_t i = 0; i < 600; i++) {
        cr_assert_eq(call_int("acked"), i);
    }
}

Test(client, too_many_calls_are_refused_not_queued, .init = set_up, .fini = tear_down)
{
    prong_reply *r[256], *one_more = NULL;
    for (int i = 0; i < 256; i++) {
        r[i] = start("echo", 0, 0, 0);
    }
    cr_expect_eq(prong_call_async(c, "w", "echo", NULL, NULL, &one_more), PRONG_RESOURCE_EXHAUSTED);
    cr_expect_eq(prong_call(c, "w", "echo", NULL, 0, NULL), PRONG_OK,
                 "a blocking one waits for room");
    for (int i = 0; i < 256; i++) {
        cr_expect_eq(prong_reply_wait(r[i], 5000), PRONG_OK);
        prong_reply_free(r[i]);
    }
}

Test(client, items_come_one_by_one, .init = set_up, .fini = tear_down)
{
    prong_reply *r = start("items", 30000, PRONG_CALL_STREAM | PRONG_CALL_PROGRESS, 0);
    prong_value item;
    double fraction = 0;
    char note[20];
    cr_expect_not(prong_reply_progress(r, &fraction, note, sizeof note));
    for (int64_t i = 0; i < 10; i++) {
        int64_t n = -1;
        cr_assert_eq(prong_reply_next(r, 5000, &item), PRONG_OK, "item %d", (int)i);
        cr_expect(prong_value_int(&item, &n) && n == i, "%d", (int)n);
        if (i == 0) {
            cr_expect(prong_reply_progress(r, &fraction, note, sizeof note));
            cr_expect_eq(fraction, 0.5);
            cr_expect_str_eq(note, "half");
        }
    }
    cr_expect_eq(prong_reply_next(r, 5000, &item), PRONG_OUT_OF_RANGE);
    cr_expect_eq(prong_reply_next(r, 5000, &item), PRONG_OUT_OF_RANGE);
    cr_expect_eq(prong_reply_code(r), PRONG_OK);
    prong_reply_free(r);
}

Test(client, a_stream_that_nobody_reads_stands_still, .init = set_up, .fini = tear_down)
{
    prong_reply *r = start("items", 30000, PRONG_CALL_STREAM, 0);
    prong_value item;
    cr_assert_eq(prong_reply_next(r, 5000, &item), PRONG_OK);
    cr_expect_eq(prong_reply_wait(r, 50), PRONG_DEADLINE_EXCEEDED);
    cr_expect_eq(hub.messages, 3, "HELLO, CALL and one WAIT ahead");
    prong_reply_free(r);
}

Test(client, items_without_a_reader_are_collected_up_to_a_limit, .init = set_up, .fini = tear_down)
{
    prong_reply *r = NULL;
    prong_value item;
    cr_assert_eq(prong_call(c, "w", "items", NULL, 0, &r), PRONG_OK);
    for (int i = 0; i < 10; i++) {
        cr_expect_eq(prong_reply_next(r, 0, &item), PRONG_OK);
    }
    cr_expect_eq(prong_reply_next(r, 0, &item), PRONG_OUT_OF_RANGE);
    prong_reply_free(r);
    cr_assert_eq(prong_call(c, "w", "flood", NULL, 0, &r), PRONG_RESOURCE_EXHAUSTED);
    cr_expect_not_null(strstr(prong_reply_message(r), "PRONG_CALL_STREAM"));
    prong_reply_free(r);
}

/* ---- events --------------------------------------------------------------------------------- */

Test(client, emit_tells_the_number_and_post_counts_failures, .init = set_up, .fini = tear_down)
{
    uint64_t number = 0;
    char text[100];
    cr_expect_eq(prong_emit(c, "a.b", NULL, 0, &number), PRONG_OK);
    cr_expect_eq(number, 1);
    cr_expect_eq(prong_emit(c, "bad", NULL, 0, &number), PRONG_PERMISSION_DENIED);
    prong_client_error_text(c, text, sizeof text);
    cr_expect_str_eq(text, "not this topic");
    for (int i = 0; i < 1000; i++) {
        prong_err err = prong_post(c, i == 500 ? "bad" : "a.b", NULL);
        while (err == PRONG_RESOURCE_EXHAUSTED) { /* the hub is slower than this loop */
            cr_assert_eq(prong_dispatch(c, 5000), PRONG_OK);
            err = prong_post(c, i == 500 ? "bad" : "a.b", NULL);
        }
        cr_assert_eq(err, PRONG_OK, "%d", i);
    }
    cr_expect_eq(prong_emit(c, "a.b", NULL, 0, &number), PRONG_OK);
    cr_expect_eq(number, 1001);
    cr_expect_eq(prong_post_failures(c), 1);
}

Test(client, posts_are_pending_until_the_hub_has_answered_each, .init = set_up, .fini = tear_down)
{
    cr_expect_eq(prong_post_pending(c), 0);
    fake_stop(&hub);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(prong_post(c, i == 2 ? "bad" : "a.b", NULL), PRONG_OK);
        cr_expect_eq(prong_post_pending(c), i);
    }
    fake_start(&hub);
    const int64_t end = now_ms() + 5000;
    while (prong_post_pending(c) > 0 && now_ms() < end) {
        (void)prong_dispatch(c, 100);
    }
    cr_expect_eq(prong_post_pending(c), 0);
    cr_expect_eq(prong_post_failures(c), 1, "the one that was refused");
    cr_expect_eq(prong_emit(c, "a.b", NULL, 0, NULL), PRONG_OK);
    cr_expect_eq(prong_post_pending(c), 0);
}

/* ---- event loop ----------------------------------------------------------------------------- */

static bool
is_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static int notified;

static void
on_reply(void *context, prong_reply *r)
{
    notified++;
    cr_expect_eq(context, &notified);
    if (prong_reply_is_done(r)) {
        cr_expect_eq(prong_reply_wait(r, 0), PRONG_FAILED_PRECONDITION, "waiting in a callback");
        cr_expect_eq(prong_call(c, "w", "echo", NULL, 0, NULL), PRONG_FAILED_PRECONDITION);
        cr_expect_eq(prong_dispatch(c, 0), PRONG_FAILED_PRECONDITION);
        prong_reply_free(r);
    }
}

static void
loop_until(int fd, const int *counter, int value)
{
    const int64_t end = now_ms() + 10000;
    while (*counter < value) {
        cr_assert_lt(now_ms(), end);
        if (is_readable(fd, 1000)) {
            cr_assert_eq(prong_dispatch(c, 0), PRONG_OK);
        }
    }
}

Test(client, a_loop_that_watches_the_descriptor_needs_nothing_else, .init = set_up,
     .fini = tear_down)
{
    const prong_call_options o = {.size_bytes = sizeof o, .notify = on_reply, .context = &notified};
    prong_reply *r = NULL;
    notified = 0;
    const int fd = prong_fd(c);
    cr_assert_geq(fd, 0);
    cr_expect_eq(prong_fd(c), fd);
    cr_expect_not(is_readable(fd, 0));
    cr_assert_eq(prong_call_async(c, "w", "echo", NULL, &o, &r), PRONG_OK);
    cr_assert_eq(prong_call_async(c, "w", "pend", NULL, &o, &r), PRONG_OK);
    cr_expect(is_readable(fd, 0), "something is to be sent");
    loop_until(fd, &notified, 2);
    cr_expect_not(is_readable(fd, 0));
    cr_assert_eq(prong_call_async(c, "w", "drop", NULL, &o, &r), PRONG_OK);
    loop_until(fd, &notified, 3);
    cr_expect_eq(hub.opened, 2, "the loop connected again");
    cr_assert_eq(prong_call_async(c, "w", "hold", NULL,
                                  &(prong_call_options){.size_bytes = sizeof o,
                                                        .timeout_ms = 10,
                                                        .notify = on_reply,
                                                        .context = &notified},
                                  &r),
                 PRONG_OK);
    loop_until(fd, &notified, 4);
}

Test(client, dispatch_waits_as_long_as_it_is_told, .init = set_up, .fini = tear_down)
{
    const int64_t begin = now_ms();
    cr_expect_eq(prong_dispatch(c, 0), PRONG_OK);
    cr_expect_eq(prong_dispatch(c, 50), PRONG_DEADLINE_EXCEEDED);
    cr_expect_geq(now_ms() - begin, 49);
    prong_reply *r = start("echo", 0, 0, 0);
    cr_expect_eq(prong_dispatch(c, PRONG_FOREVER), PRONG_OK);
    cr_expect(prong_reply_is_done(r));
    prong_reply_free(r);
}

Test(client, tcp_works_as_well)
{
    fake_init(&hub);
    hub.network = true;
    fake_start(&hub);
    connect_with((prong_options){.name = "network"});
    prong_reply *r[64];
    for (int i = 0; i < 64; i++) {
        r[i] = start(i % 2 == 0 ? "echo" : "pend", 0, 0, 0);
    }
    for (int i = 0; i < 64; i++) {
        cr_expect_eq(prong_reply_wait(r[i], 5000), PRONG_OK);
        cr_expect_eq(prong_reply_code(r[i]), PRONG_OK, "%s", prong_reply_message(r[i]));
        prong_reply_free(r[i]);
    }
    cr_expect_eq(call_int("drop"), 65);
    tear_down();
}
