/* Workers made with prong/worker.h under a real prongd: real processes, sockets and signals. */
#include "tests/e2e/worker/hub.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

static int64_t
number(const prong_value *map, const char *key)
{
    prong_value v;
    int64_t n = -1;
    cr_assert(prong_value_find(map, key, &v) && prong_value_int(&v, &n), "%s", key);
    return n;
}

static bool
text_is(const prong_value *map, const char *key, const char *expected)
{
    prong_value v;
    const char *text;
    size_t len;
    return prong_value_find(map, key, &v) && prong_value_text(&v, &text, &len) &&
           len == strlen(expected) && memcmp(text, expected, len) == 0;
}

static void
ok(const char *method)
{
    prong_reply_free(hub_call(method, NULL, PRONG_OK));
}

Test(worker, answers_calls, .init = hub_enter, .fini = hub_leave)
{
    prong_value v;
    int64_t seven = 0;
    hub_up("plain");
    prong_reply *r = hub_call("echo", "{\"a\": 7}", PRONG_OK);
    cr_expect(prong_value_find(prong_reply_value(r), "a", &v) && prong_value_int(&v, &seven));
    cr_expect(seven == 7);
    prong_reply_free(r);
    r = hub_call("nothing", NULL, PRONG_OK);
    cr_expect(prong_value_kind(prong_reply_value(r)) == PRONG_KIND_NIL);
    prong_reply_free(r);
    hub_down();
    cr_expect(hub_file("torn") == 1, "teardown ran once");
}

Test(worker, tells_why_a_method_failed, .init = hub_enter, .fini = hub_leave)
{
    hub_up("plain");
    prong_reply *r = hub_call("fails", NULL, PRONG_NOT_FOUND);
    cr_expect(strcmp(prong_reply_message(r), "no such camera") == 0);
    cr_expect(prong_reply_began(r) == PRONG_BEGAN_YES);
    cr_expect(number(prong_reply_details(r), "k") == 5);
    prong_reply_free(r);
    r = hub_call("fails_mute", NULL, PRONG_UNAVAILABLE);
    cr_expect(strstr(prong_reply_message(r), "UNAVAILABLE") != NULL, "%s", prong_reply_message(r));
    prong_reply_free(r);
    r = hub_call("half", NULL, PRONG_INTERNAL);
    cr_expect(strstr(prong_reply_message(r), "not complete") != NULL, "%s", prong_reply_message(r));
    prong_reply_free(r);
    prong_reply_free(hub_call("none_of_that_name", NULL, PRONG_UNIMPLEMENTED));
    hub_down();
}

Test(worker, has_one_thread_and_a_name, .init = hub_enter, .fini = hub_leave)
{
    hub_up("plain");
    prong_reply *r = hub_call("about", NULL, PRONG_OK);
    const prong_value *v = prong_reply_value(r);
    /* This process has one, too; ThreadSanitizer adds one to both. */
    cr_expect(number(v, "threads") <= procs_thread_count(getpid()), "%d threads",
              (int)number(v, "threads"));
    cr_expect(text_is(v, "comm", "probe/0") && text_is(v, "name", "probe/0"));
    cr_expect(text_is(v, "method", "about") && !text_is(v, "caller", ""));
    const int64_t left = number(v, "remaining");
    cr_expect(left > 0 && left <= HUB_MS, "%d ms left", (int)left);
    prong_reply_free(r);
    hub_down();
}

static bool
has_progress(void *reply)
{
    double fraction = 0;
    char note[16];
    return prong_reply_wait(reply, 0) == PRONG_DEADLINE_EXCEEDED &&
           prong_reply_progress(reply, &fraction, note, sizeof note) &&
           fabs(fraction - 0.5) < 1e-9 && strcmp(note, "half") == 0;
}

Test(worker, tells_progress, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    prong_reply *r = NULL;
    const prong_call_options options = {
        .size_bytes = sizeof options, .timeout_ms = HUB_MS, .flags = PRONG_CALL_PROGRESS};
    cr_assert(prong_call_async(hub->client, "probe", "hold", NULL, &options, &r) == PRONG_OK);
    cr_expect(until(HUB_MS, has_progress, r), "no progress");
    dir_write("go", "", 0600);
    hub_end(r, PRONG_OK);
    hub_down();
}

Test(worker, sees_that_its_call_was_cancelled, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    prong_reply *r = hub_begin("hold", NULL);
    cr_assert(hub_file("began") == 1);
    prong_reply_cancel(r);
    (void)prong_flush(hub->client);
    hub_end(r, PRONG_CANCELLED);
    cr_expect(hub_file("cancelled") == 1);
    ok("nothing");
    hub_down();
}

Test(worker, calls_and_emits_inside_a_call, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    const char *const filter = "probe.nested";
    const prong_event *event;
    prong_subscription *s = NULL;
    cr_assert(prong_subscribe(hub->client, &filter, 1, NULL, &s) == PRONG_OK);
    prong_reply_free(hub_call("nest", "[3]", PRONG_OK));
    cr_assert(prong_subscription_next(s, HUB_MS, &event) == PRONG_OK);
    /* Empty when the worker was faster than the spawner's word that it was started. */
    cr_expect(strcmp(event->source, "probe/0") == 0 || event->source[0] == '\0', "source '%s'",
              event->source);
    prong_subscription_free(s);
    hub_down();
}

Test(worker, is_no_burden_for_children_that_a_method_forks, .init = hub_enter, .fini = hub_leave)
{
    bool is_so = false;
    hub_up("plain");
    prong_reply *r = hub_call("forks", NULL, PRONG_OK);
    cr_expect(prong_value_bool(prong_reply_value(r), &is_so) && is_so);
    prong_reply_free(r);
    hub_down();
}

/* ---- the end of a worker --------------------------------------------------------------------- */

Test(worker, ends_its_job_when_sigterm_comes, .init = hub_enter, .fini = hub_leave)
{
    hub_up("plain");
    const pid_t worker = hub_process("probe/0", 0);
    prong_reply *r = hub_begin("hold", NULL);
    cr_assert(hub_file("began") == 1);
    kill(worker, SIGTERM);
    cr_expect(!until_gone(worker, 100) && !hub_has_file("torn"), "it has a job");
    dir_write("go", "", 0600);
    hub_end(r, PRONG_OK);
    cr_expect(until_gone(worker, HUB_MS));
    cr_expect(hub_file("torn") == 1);
    hub_down();
}

Test(worker, ends_when_idle_at_sigterm, .init = hub_enter, .fini = hub_leave)
{
    hub_up("plain");
    const pid_t worker = hub_process("probe/0", 0);
    kill(worker, SIGTERM);
    cr_expect(until_gone(worker, HUB_MS));
    cr_expect(hub_file("torn") == 1);
    hub_down();
}

Test(worker, tells_the_outcome_of_the_call_that_stops_it, .init = hub_enter, .fini = hub_leave)
{
    hub_up("plain");
    const pid_t worker = hub_process("probe/0", 0);
    ok("stop");
    cr_expect(until_gone(worker, HUB_MS));
    hub_down();
}

/* ---- the broker dies --------------------------------------------------------------------------
 */

static void
kill_broker(void)
{
    const pid_t broker = hub_process("prong-broker", 0);
    kill(broker, SIGKILL);
    hub_process("prong-broker", broker);
}

/* Whatever a new broker knows of the old one's calls: this call ends once, the method ran once, and
 * the worker serves on. */
static void
survives_the_broker(const char *args)
{
    hub_up("plain");
    const pid_t worker = hub_process("probe/0", 0);
    prong_reply *r = hub_begin("hold", args);
    cr_assert(hub_file("began") == 1);
    kill_broker();
    dir_write("go", "", 0600);
    cr_assert(prong_reply_wait(r, 2 * HUB_MS) == PRONG_OK, "no outcome");
    const prong_err code = prong_reply_code(r);
    cr_expect(code == PRONG_OK || code == PRONG_UNAVAILABLE || code == PRONG_ABORTED, "%s: %s",
              prong_err_name(code), prong_reply_message(r));
    prong_reply_free(r);
    ok("nothing");
    cr_expect(hub_file("began") == 1, "the method ran once");
    cr_expect(procs_is_alive(worker) && !hub_has_file("torn"), "it is the same process");
    hub_down();
}

Test(worker, lives_on_when_the_broker_dies_in_a_job_that_looks, .init = hub_enter,
     .fini = hub_leave)
{
    survives_the_broker("[true]");
}

Test(worker, lives_on_when_the_broker_dies_in_a_job_that_does_not_look, .init = hub_enter,
     .fini = hub_leave)
{
    survives_the_broker("[false]");
}

Test(worker, lives_on_when_the_broker_dies_while_it_is_idle, .init = hub_enter, .fini = hub_leave)
{
    hub_up("full");
    const pid_t worker = hub_process("probe/0", 0);
    for (int i = 0; i < 3; i++) {
        kill_broker();
        ok("nothing");
    }
    cr_expect(procs_is_alive(worker) && !hub_has_file("torn"));
    hub_down();
}

/* ---- beside the calls ------------------------------------------------------------------------ */

Test(worker, handles_events_descriptors_timers_and_loops, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up("full");
    const char *const filters[] = {"probe.heard", "probe.watched", "probe.loop"};
    const prong_event *event;
    prong_subscription *s = NULL;
    unsigned seen = 0, loops = 0;
    cr_assert(prong_subscribe(hub->client, filters, 3, NULL, &s) == PRONG_OK);
    cr_assert(prong_emit(hub->client, "test.a.b", NULL, HUB_MS, NULL) == PRONG_OK);
    ok("poke");
    while (seen != 3 || loops < 3) {
        cr_assert(prong_subscription_next(s, HUB_MS, &event) == PRONG_OK, "seen %u", seen);
        seen |= strcmp(event->topic, "probe.heard") == 0     ? 1U
                : strcmp(event->topic, "probe.watched") == 0 ? 2U
                                                             : 0U;
        loops += strcmp(event->topic, "probe.loop") == 0;
    }
    prong_subscription_free(s);
    prong_reply *r = hub_call("about", NULL, PRONG_OK);
    cr_expect(number(prong_reply_value(r), "ticks") > 0, "the timer does not run");
    cr_expect(number(prong_reply_value(r), "threads") <= procs_thread_count(getpid()) + 1,
              "its own and the loop's, no more");
    prong_reply_free(r);
    hub_down();
    cr_expect(hub_file("looped") == 1 && hub_file("torn") == 1, "the loop ended before teardown");
}

Test(worker, hears_events_after_the_broker_died, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up("full");
    const char *const filter = "probe.heard";
    const prong_event *event;
    prong_subscription *s = NULL;
    kill_broker();
    ok("nothing");
    cr_assert(prong_subscribe(hub->client, &filter, 1, NULL, &s) == PRONG_OK);
    cr_assert(prong_emit(hub->client, "test.a", NULL, HUB_MS, NULL) == PRONG_OK);
    cr_expect(prong_subscription_next(s, HUB_MS, &event) == PRONG_OK);
    prong_subscription_free(s);
    hub_down();
}
