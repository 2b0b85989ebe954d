/* Logs, levels and stdin: what the core asks of the shell for those who look at a worker or write
 * to it. */
#include "tests/support/test.h"
#include "tests/unit/core/admin.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static void
give_logs(struct world *w, const char *lines)
{
    struct buf b = {0};
    struct hub_input in = {.kind = HUB_IN_LOGS};
    notation_write(&b, lines);
    in.logs.call = w->logs.call;
    in.logs.payload = buf_span(&b);
    world_step(w, &in);
    buf_deinit(&b);
}

Test(admin, logs_are_asked_of_the_shell_and_answered_when_they_come)
{
    struct world w;
    admin_begin(&w);
    const uint64_t r = admin_ask(&w, ROOT, "logs", "['echo']");
    cr_assert(world_outcome(&w, r, NULL) == -1, "it waits");
    cr_assert_str_eq(w.logs_worker, "echo", "worker");
    cr_assert(w.logs.lines == 20 && !w.logs.logs.follows, "%u lines", w.logs.lines);
    give_logs(&w, "[{'line':'hello'}]");
    cr_assert_str_eq(world_text(&w, r), "RESULT 1 [{'line': 'hello'}]", "%s", world_text(&w, r));
    /* A second answer is nobody's. */
    give_logs(&w, "[]");
    world_deinit(&w);
}

Test(admin, logs_of_one_replica_and_at_most_a_thousand_lines)
{
    struct world w;
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "logs", "['echo/0',7]");
    cr_assert_str_eq(w.logs_worker, "echo/0", "%s", w.logs_worker);
    cr_assert(w.logs.lines == 7, "%u lines", w.logs.lines);
    (void)admin_ask(&w, ROOT, "logs", "['echo',9007199254740991]");
    cr_assert(w.logs.lines == 1000, "%u lines", w.logs.lines);
    world_deinit(&w);
}

Test(admin, an_environment_is_asked_of_the_shell_and_its_reader_told)
{
    struct world w;
    admin_begin(&w);
    uint64_t r = admin_ask(&w, ROOT, "env", "['echo']");
    cr_assert(w.logs.kind == HUB_OUT_ENV && w.logs.replica == 0 && !w.logs.reveal, "masked");
    cr_assert_str_eq(w.logs_worker, "echo", "worker");
    cr_assert(strstr(w.events, "hub.admin") != NULL, "nobody is told: %s", w.events);
    give_logs(&w, "[{'name':'A'}]");
    cr_assert_str_eq(world_text(&w, r), "RESULT 1 [{'name': 'A'}]", "%s", world_text(&w, r));
    (void)admin_ask(&w, ROOT, "env", "{'worker':'echo/0','reveal':1}");
    cr_assert(w.logs.kind == HUB_OUT_ENV && w.logs.reveal, "as it is");
    world_deinit(&w);
}

Test(admin, logs_that_never_come_end_with_the_deadline)
{
    struct world w;
    admin_begin(&w);
    const uint64_t r =
        world_say(&w, ROOT, "[2,b'sixteen bytes id',1,0,'hub','logs',500,null,['echo']]");
    world_pass_ms(&w, 500);
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_DEADLINE_EXCEEDED, "%s", world_text(&w, r));
    give_logs(&w, "[]");
    world_deinit(&w);
}

Test(admin, logs_that_come_after_the_caller_has_left_are_dropped)
{
    struct world w;
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "logs", "['echo']");
    world_close(&w, ROOT);
    world_pass_ms(&w, 200000);
    give_logs(&w, "[]");
    cr_assert(hub_counts(w.hub).calls == 0, "something was kept");
    world_deinit(&w);
}

Test(admin, who_follows_is_told_by_the_shell_and_may_wait)
{
    struct world w;
    admin_begin(&w);
    uint64_t r = admin_ask(&w, ROOT, "follow", "{}");
    cr_assert(w.logs.logs.follows && w.logs.lines == 20 && w.logs.body.len == 0, "everybody");
    cr_assert(w.logs.level == SPEC_LEVEL_DEBUG && w.logs.logs.wait_ms == 0, "of all levels, now");
    give_logs(&w, "{'lines':[]}");
    cr_assert(world_says(&w, r, "RESULT 1 {'lines': []}"), "%s", world_text(&w, r));
    r = admin_ask(
        &w, ROOT, "follow",
        "{'workers':['echo/0','echo'],'lines':3,'level':'warn','since_us':5,'wait_ms':90000}");
    cr_assert(w.logs.body.len == strlen("echo/0") + 1 + strlen("echo") + 1, "two names");
    cr_assert_str_eq(w.logs_worker, "echo/0", "%s", w.logs_worker);
    cr_assert(w.logs.lines == 3 && w.logs.level == SPEC_LEVEL_WARN && w.logs.logs.since_us == 5 &&
                  w.logs.logs.wait_ms == 60000,
              "what was asked");
    struct hub_input in = {.kind = HUB_IN_LOGS};
    in.logs.call = w.logs.call;
    in.logs.refused = "after is nonsense";
    world_step(&w, &in);
    cr_assert(world_says(&w, r, "ERROR 1 3 0 'after is nonsense' null"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(admin, at_most_64_workers_can_be_followed_by_name)
{
    struct world w;
    char names[64 * 8 + 20];
    admin_begin(&w);
    for (int count = 64; count <= 65; count++) {
        size_t n = (size_t)snprintf(names, sizeof names, "[[");
        for (int i = 0; i < count; i++) {
            n += (size_t)snprintf(names + n, sizeof names - n, "%s'echo'", i > 0 ? "," : "");
        }
        (void)snprintf(names + n, sizeof names - n, "]]");
        const uint64_t r = admin_ask(&w, ROOT, "follow", names);
        cr_assert(world_outcome(&w, r, NULL) == (count == 64 ? -1 : WIRE_ERR_INVALID_ARGUMENT),
                  "%d: %s", count, world_text(&w, r));
    }
    world_deinit(&w);
}

Test(admin, a_level_is_set_by_the_shell_and_by_nobody_without_the_right_to)
{
    struct world w;
    admin_begin(&w);
    world_open(&w, USER);
    (void)admin_ask(&w, ROOT, "log_level", "['debug']");
    cr_assert(w.level.kind == HUB_OUT_LOG_LEVEL && w.level.spec == NULL &&
                  w.level.level == SPEC_LEVEL_DEBUG,
              "of the hub");
    (void)admin_ask(&w, ROOT, "log_level", "['error','echo']");
    cr_assert(w.level.spec != NULL && w.level.level == SPEC_LEVEL_ERROR, "of a worker");
    w.level = (struct hub_effect){0};
    uint64_t r = admin_ask(&w, USER, "log_level", "['error','echo']");
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_PERMISSION_DENIED && w.level.spec == NULL,
              "%s", world_text(&w, r));
    r = admin_ask(&w, USER, "send", "['echo','x']");
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_PERMISSION_DENIED, "%s", world_text(&w, r));
    world_deinit(&w);
}

/* ---- stdin -------------------------------------------------------------------------------------
 */

static void
reads(struct worker_spec *spec)
{
    spec->output.takes_input = true;
    spec->ready = SPEC_READY_STARTED;
}

static void
answer_send(struct world *w, enum hub_sent what)
{
    struct hub_input in = {.kind = HUB_IN_SENT};
    in.sent.call = w->sent.call;
    in.sent.what = what;
    in.sent.held_bytes = 65000;
    world_step(w, &in);
}

Test(admin, what_is_sent_goes_to_the_shell_and_its_answer_to_who_sent)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "cat", reads);
    world_configured(&w);
    world_open(&w, ROOT);
    uint64_t r = admin_ask(&w, ROOT, "send", "['cat','x']");
    cr_assert(world_says(&w, r, "ERROR 1 14 0 'cat/0 is starting' null"), "%s", world_text(&w, r));
    world_started(&w, "cat/0");
    r = admin_ask(&w, ROOT, "send", "['cat','hello']");
    cr_assert(world_outcome(&w, r, NULL) == -1, "it waits for the shell");
    cr_assert(w.sent.process == world_process(&w, "cat/0")->id && !w.sent.ends, "the process");
    cr_assert_str_eq(w.sent_bytes, "hello", "%s", w.sent_bytes);
    answer_send(&w, HUB_SENT);
    cr_assert(world_says(&w, r, "RESULT 1 null"), "%s", world_text(&w, r));
    r = admin_ask(&w, ROOT, "send", "{'replica':'cat/0','end':true}");
    cr_assert(w.sent.ends && w.sent.body.len == 0, "the end alone");
    answer_send(&w, HUB_SENT_CLOSED);
    cr_assert(world_says(&w, r, "ERROR 1 14 0 'the program's stdin is closed' null"), "%s",
              world_text(&w, r));
    r = admin_ask(&w, ROOT, "send", "['cat',b'bytes']");
    answer_send(&w, HUB_SENT_FULL);
    cr_assert(world_says(&w, r,
                         "ERROR 1 8 0 'the program does not read: 65000 bytes wait for it "
                         "already'"),
              "%s", world_text(&w, r));
    answer_send(&w, HUB_SENT); /* a second answer is nobody's */
    world_exited(&w, "cat/0", 0);
    r = admin_ask(&w, ROOT, "send", "['cat','x']");
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_UNAVAILABLE, "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(admin, who_sends_names_a_replica_where_there_are_several)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "cat", reads);
    world_configured(&w);
    world_open(&w, ROOT);
    (void)admin_ask(&w, ROOT, "scale", "['cat',2]");
    const uint64_t r = admin_ask(&w, ROOT, "send", "['cat','x']");
    cr_assert(world_says(&w, r, "ERROR 1 3 0 'cat has 2 replicas: name one, as cat/0' null"), "%s",
              world_text(&w, r));
    world_deinit(&w);
}
