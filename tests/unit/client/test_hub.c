/* The library against the real hub: what no script of ours could get wrong together with it. */
#include "tests/support/test.h"

#include <errno.h>
#include <poll.h>
#include <prong/prong.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char url[300];
static pid_t hub;
static prong_client *c;

static int64_t
now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
connect_again(void)
{
    char why[300] = "";
    const int64_t end = now_ms() + 10000;
    while (prong_connect(url, NULL, &c, why, sizeof why) != PRONG_OK) {
        cr_assert_lt(now_ms(), end, "%s", why);
        (void)poll(NULL, 0, 5);
    }
}

static void
set_up(void)
{
    char here[150], directory[200], program[300];
    const char *bin = getenv("PRONG_BIN_DIR");
    (void)snprintf(program, sizeof program, "%s/prongd", bin != NULL ? bin : ".");
    if (access(program, X_OK) != 0) {
        test_skip("there is no prongd in this build");
    }
    cr_assert(getcwd(here, sizeof here) != NULL);
    (void)snprintf(directory, sizeof directory, "%s/r%d", here, (int)getpid());
    cr_assert(mkdir(directory, 0700) == 0 || errno == EEXIST);
    (void)snprintf(url, sizeof url, "ipc://%s/hub.sock", directory);
    hub = fork();
    cr_assert_geq(hub, 0);
    if (hub == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        execl(program, "prongd", "--no-config", "--runtime-dir", directory, (char *)NULL);
        _exit(127);
    }
    connect_again();
}

static void
tear_down(void)
{
    int status;
    prong_client_free(c);
    c = NULL;
    if (hub > 0) {
        kill(hub, SIGTERM);
        cr_assert_eq(waitpid(hub, &status, 0), hub);
        hub = 0;
    }
}

static char *
json(const char *method, const char *args, prong_err expected)
{
    char *out = NULL;
    const prong_err err = prong_call_json(c, "hub", method, args, 5000, &out);
    cr_assert_eq(err, expected, "%s: %s", method, out);
    return out;
}

Test(hub, its_own_methods_answer, .init = set_up, .fini = tear_down)
{
    char *out = json("status", NULL, PRONG_OK);
    cr_expect_eq(out[0], '{', "%s", out);
    prong_free(out);
    prong_free(json("no_such_method", NULL, PRONG_UNIMPLEMENTED));
    out = NULL;
    cr_expect_eq(prong_call_json(c, "nobody", "m", NULL, 5000, &out), PRONG_NOT_FOUND);
    cr_expect_not_null(strstr(out, "\"began\":0"), "%s", out);
    prong_free(out);
}

Test(hub, a_thousand_calls_are_acknowledged_as_they_end, .init = set_up, .fini = tear_down)
{
    prong_reply *r[200];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 200; i++) {
            cr_assert_eq(prong_call_async(c, "hub", "describe", NULL, NULL, &r[i]), PRONG_OK);
        }
        for (int i = 0; i < 200; i++) {
            cr_assert_eq(prong_reply_wait(r[i], 5000), PRONG_OK);
            cr_expect_eq(prong_reply_code(r[i]), PRONG_OK, "%s", prong_reply_message(r[i]));
            prong_reply_free(r[i]);
        }
    }
}

Test(hub, events_reach_whoever_subscribed_before_and_the_last_are_kept, .init = set_up,
     .fini = tear_down)
{
    static const char *const filter = "test.*";
    const prong_subscribe_options last = {.size_bytes = sizeof last, .from = PRONG_FROM_LAST};
    const prong_value payload = {(const uint8_t *)"\x2a", 1};
    prong_subscription *s = NULL, *late = NULL;
    const prong_event *e;
    uint64_t number = 0;
    cr_assert_eq(prong_subscribe(c, &filter, 1, NULL, &s), PRONG_OK);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(prong_post(c, i % 2 == 0 ? "test.a" : "test.b", &payload), PRONG_OK);
        if (i % 100 == 99) {
            cr_assert_eq(prong_emit(c, "other", NULL, 0, &number), PRONG_OK);
        }
    }
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(prong_subscription_next(s, 5000, &e), PRONG_OK, "%d", i);
        cr_expect_str_eq(e->topic, i % 2 == 0 ? "test.a" : "test.b");
        cr_expect_eq(e->lost, 0);
    }
    cr_expect_eq(prong_subscription_next(s, 20, &e), PRONG_DEADLINE_EXCEEDED);
    cr_assert_eq(prong_subscribe(c, &filter, 1, &last, &late), PRONG_OK);
    cr_assert_eq(prong_subscription_next(late, 5000, &e), PRONG_OK);
    cr_expect_str_eq(e->topic, "test.a");
    cr_assert_eq(prong_subscription_next(late, 5000, &e), PRONG_OK);
    cr_expect_str_eq(e->topic, "test.b");
    cr_expect_eq(prong_subscription_next(late, 20, &e), PRONG_DEADLINE_EXCEEDED);
    cr_expect_eq(prong_post_failures(c), 0);
    cr_expect_eq(prong_emit(c, "hub.mine", NULL, 0, &number), PRONG_PERMISSION_DENIED);
    prong_subscription_free(s);
    prong_subscription_free(late);
}

/* The broker is the one child of the spawner, which is the one child of the keeper. */
static pid_t
only_child(pid_t parent)
{
    char path[100], text[100] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f);
    (void)!fgets(text, sizeof text, f);
    (void)fclose(f);
    return (pid_t)strtol(text, NULL, 10);
}

Test(hub, a_broker_that_is_killed_costs_a_reconnect, .init = set_up, .fini = tear_down)
{
    static const char *const filter = ">";
    prong_subscription *s = NULL;
    const prong_event *e = NULL;
    cr_assert_eq(prong_subscribe(c, &filter, 1, NULL, &s), PRONG_OK);
    const pid_t broker = only_child(only_child(hub));
    cr_assert_gt(broker, 1);
    cr_assert_eq(kill(broker, SIGKILL), 0);
    while (prong_client_is_connected(c)) {
        cr_assert_eq(prong_dispatch(c, 5000), PRONG_OK);
    }
    const int64_t begin = now_ms();
    prong_free(json("status", NULL, PRONG_OK));
    cr_expect_lt(now_ms() - begin, 2000);
    uint64_t number = 0;
    cr_assert_eq(prong_emit(c, "after", NULL, 0, &number), PRONG_OK);
    do {
        cr_assert_eq(prong_subscription_next(s, 5000, &e), PRONG_OK);
    } while (strcmp(e->topic, "after") != 0);
    cr_expect_eq(e->number, number);
    prong_subscription_free(s);
}

Test(hub, a_worker_that_never_attaches_keeps_the_caller_waiting_no_longer_than_asked,
     .init = set_up, .fini = tear_down)
{
    char *out = json(
        "run", "{\"name\": \"idle\", \"command\": [\"sleep\", \"60\"], \"working_dir\": \"/\"}",
        PRONG_OK);
    prong_free(out);
    out = NULL;
    const int64_t begin = now_ms();
    cr_expect_eq(prong_call_json(c, "idle", "m", NULL, 200, &out), PRONG_DEADLINE_EXCEEDED, "%s",
                 out);
    cr_expect_lt(now_ms() - begin, 1500);
    cr_expect_not_null(strstr(out, "\"began\":0"), "%s", out);
    prong_free(out);
    prong_reply *r = NULL;
    cr_assert_eq(prong_call_async(c, "idle", "m", NULL, NULL, &r), PRONG_OK);
    cr_assert_eq(prong_flush(c), PRONG_OK);
    prong_reply_cancel(r);
    cr_assert_eq(prong_reply_wait(r, 5000), PRONG_OK);
    cr_expect_eq(prong_reply_code(r), PRONG_CANCELLED);
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_NO);
    prong_reply_free(r);
}
