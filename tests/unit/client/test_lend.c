/* How long an answer of the hub's memory is waited for. */
#include "client/stream/inside.h"
#include "tests/support/test.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STANDS_STILL_S = 60, NS_PER_MS = 1000000 };

/* What the clock and poll of this program do, once `is_on`. */
static struct {
    bool is_on;
    int64_t now_ns;
    int hub; /* its end of the connection */
    /* The how manieth wait takes a minute, ends with an answer, or with all read that was said; 0:
     * none */
    int stops, answers, reads;
    int waits;
} play;

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

int
__wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    if (!play.is_on) {
        return __real_clock_gettime(clock, out);
    }
    *out = (struct timespec){play.now_ns / 1000000000, play.now_ns % 1000000000};
    return 0;
}

int
__wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (!play.is_on) {
        return __real_poll(fds, count, timeout_ms);
    }
    play.waits++;
    if (play.waits == play.answers) {
        const struct lend_record answer = {.version = LEND_VERSION, .op = LEND_END};
        cr_assert(pass_send(play.hub, &answer, NULL, 0) == PASS_OK);
        return 1;
    }
    if (play.waits == play.reads) {
        struct lend_record said;
        int none[LEND_FDS_MAX];
        while (pass_receive(play.hub, &said, none) == PASS_OK) {
        }
        return 1;
    }
    play.now_ns += play.waits == play.stops ? INT64_C(1000000000) * STANDS_STILL_S
                                            : (int64_t)timeout_ms * NS_PER_MS;
    return 0;
}

/* What comes of waiting when it goes like this. */
static prong_err
wait_for_answer(int stops, int answers)
{
    struct lend_record record;
    int ends[2], fds[LEND_FDS_MAX];
    char why[100] = "";
    cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    play.hub = ends[1];
    play.stops = stops;
    play.answers = answers;
    play.waits = 0;
    play.is_on = true;
    const prong_err err = lend_answer(ends[0], &record, fds, (struct why){why, sizeof why});
    play.is_on = false;
    cr_expect(err == PRONG_OK || strstr(why, "the hub did not answer in 5 s") != NULL, "%s", why);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return err;
}

Test(lend, an_answer_is_waited_for_and_then_no_more)
{
    const int64_t since_ns = play.now_ns;
    cr_expect(wait_for_answer(0, 0) == PRONG_DEADLINE_EXCEEDED);
    cr_expect(play.now_ns - since_ns == INT64_C(5000) * NS_PER_MS, "%lld ms",
              (long long)(play.now_ns - since_ns) / NS_PER_MS);
    cr_expect(wait_for_answer(0, 1) == PRONG_OK);
    cr_expect(wait_for_answer(0, play.waits + 40) == PRONG_OK);
}

/* A process that was stopped, a machine that was asleep: nobody could answer, or see the answer. */
Test(lend, time_in_which_this_process_did_not_run_is_no_waiting)
{
    cr_expect(wait_for_answer(1, 2) == PRONG_OK);
    cr_expect(wait_for_answer(20, 45) == PRONG_OK);
    cr_expect(wait_for_answer(20, 0) == PRONG_DEADLINE_EXCEEDED, "but not for ever");
}

/* A burst of what needs no answer, to a hub that is slow. */
Test(lend, a_hub_that_takes_nothing_is_waited_for_as_well)
{
    struct lend_record record = {.op = LEND_GIVE};
    int ends[2];
    char why[100] = "";
    const struct why told = {why, sizeof why};
    cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    play.hub = ends[1];
    play.stops = play.answers = play.waits = 0;
    play.reads = 3;
    play.is_on = true;
    prong_err err = PRONG_OK;
    while (err == PRONG_OK && play.waits < 3) {
        err = lend_ask(ends[0], &record, told);
    }
    cr_expect(err == PRONG_OK, "it took them in time");
    while (err == PRONG_OK) {
        err = lend_ask(ends[0], &record, told);
    }
    play.is_on = false;
    cr_expect(err == PRONG_DEADLINE_EXCEEDED && strstr(why, "did not answer in 5 s") != NULL, "%s",
              why);
    (void)close(ends[1]);
    cr_expect(lend_ask(ends[0], &record, told) == PRONG_UNAVAILABLE, "it is gone");
    (void)close(ends[0]);
}
