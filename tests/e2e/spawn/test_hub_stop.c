/* A stop that the broker does not bring to its end is ended from outside; one that it works on has
 * its time. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/spawn/clock.h"
#include "broker/spawn/stop.h"
#include "tests/e2e/spawn/hub.h"
#include "tests/support/test.h"

#define HUB_TEST(name) Test(hub_stop, name, .init = hub_enter, .fini = hub_leave)

enum { TIMEOUT_MS = 1000 };

static void
tell(enum spawn_op op, int status)
{
    const struct spawn_record record = {
        .version = SPAWN_RECORDS_VERSION, .op = (uint16_t)op, .status = status};
    hub_send(&record, NULL);
}

/* A hub with a worker that asks for SIGKILL, whose broker has told that a stop may take a second.
 */
static void
up(void)
{
    int output;
    hub_up();
    hub_probe(1, "stubborn", &output);
    cr_assert(hub_read_until(output, "up"));
    close(output);
    tell(SPAWN_STOP_TIMEOUT, TIMEOUT_MS);
    hub_expect_silence(); /* so it was read */
}

static void
ask(int level)
{
    kill(hub_get()->keeper, SIGTERM);
    cr_assert_eq(hub_expect(SPAWN_STOP, 0, NULL).status, level);
}

/* The hub ends because of `why`, with everything below it and not before its time. */
static void
expect_end(int64_t since_ns, int64_t not_before_ms, const char *why)
{
    cr_expect_eq(hub_wait(), 0, "%s", hub_log());
    const int64_t took_ms = (clock_now_ns() - since_ns) / NS_PER_MS;
    cr_expect(took_ms >= not_before_ms, "after %lld ms", (long long)took_ms);
    cr_expect_eq(hub_process_count(), 0);
    cr_expect_not_null(strstr(hub_log(), why), "%s", hub_log());
    cr_expect_eq(access("run/hub.sock", F_OK), -1);
}

HUB_TEST(a_broker_that_hangs_does_not_keep_one_signal_from_ending_the_hub)
{
    up();
    cr_assert_eq(kill(hub_get()->hello.pid, SIGSTOP), 0);
    const int64_t since_ns = clock_now_ns();
    ask(1);
    expect_end(since_ns, TIMEOUT_MS + STOP_GRACE_MS, "hub.stop_timeout, 1000 ms, and 6000 ms more");
}

HUB_TEST(a_broker_that_does_not_answer_a_second_signal_dies_soon)
{
    up();
    ask(1);
    tell(SPAWN_STOPPING, 1);
    hub_expect_silence();
    cr_assert_eq(kill(hub_get()->hello.pid, SIGSTOP), 0);
    const int64_t since_ns = clock_now_ns();
    ask(2);
    expect_end(since_ns, STOP_ANSWER_MS, "does not answer: killing everything");
}

HUB_TEST(a_broker_that_answers_a_second_signal_has_the_time_of_the_whole)
{
    up();
    const int64_t since_ns = clock_now_ns();
    ask(1);
    ask(2);
    tell(SPAWN_STOPPING, 2);
    expect_end(since_ns, TIMEOUT_MS + STOP_GRACE_MS, "hub.stop_timeout");
}

HUB_TEST(a_stop_that_a_client_asked_for_has_the_same_bound)
{
    up();
    const int64_t since_ns = clock_now_ns();
    tell(SPAWN_STOPPING, 0);
    expect_end(since_ns, TIMEOUT_MS + STOP_GRACE_MS, "hub.stop_timeout");
}

HUB_TEST(the_next_broker_is_told_when_the_stop_began_and_has_to_answer_for_itself)
{
    int output;
    up();
    ask(1);
    kill(hub_get()->keeper, SIGTERM);
    const int64_t asked_ns = hub_expect(SPAWN_STOP, 0, NULL).time_ns;
    tell(SPAWN_STOPPING, 2);
    hub_expect_silence();
    hub_broker_kill();
    hub_accept(true);
    const int64_t since_ns = clock_now_ns();
    hub_expect(SPAWN_ALIVE, 1, &output);
    close(output);
    hub_expect(SPAWN_ALIVE_END, 0, NULL);
    const struct spawn_record stop = hub_expect(SPAWN_STOP, 0, NULL);
    cr_expect_eq(stop.status, 2);
    cr_expect(stop.time_ns < asked_ns, "its time is not that of the first signal");
    expect_end(since_ns, STOP_ANSWER_MS - 1000, "does not answer");
}

HUB_TEST(a_time_that_is_none_is_refused)
{
    hub_up();
    tell(SPAWN_STOP_TIMEOUT, 0);
    hub_expect_silence();
    cr_expect_not_null(strstr(hub_log(), "no such time"), "%s", hub_log());
    hub_down();
}
