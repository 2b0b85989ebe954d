#include "broker/spawn/stop.h"
#include "broker/spawn/clock.h"
#include "tests/support/test.h"

#define MS(n)     ((int64_t)(n)*NS_PER_MS)
#define SECOND(n) MS((n)*1000)

/* When it is over for a stop that is left alone, and why. */
static void
expect_end(const struct stop *stop, int64_t at_ns, enum stop_verdict verdict)
{
    cr_expect_eq(stop_deadline_ns(stop), at_ns, "the deadline is %lld, expected %lld",
                 (long long)stop_deadline_ns(stop), (long long)at_ns);
    if (at_ns == CLOCK_NEVER_NS) {
        cr_expect_eq(stop_check(stop, CLOCK_NEVER_NS), STOP_GOES_ON);
        return;
    }
    cr_expect_eq(stop_check(stop, at_ns - 1), STOP_GOES_ON);
    cr_expect_eq(stop_check(stop, at_ns), verdict);
}

Test(stop, without_one_there_is_no_deadline)
{
    struct stop stop;
    stop_init(&stop);
    expect_end(&stop, CLOCK_NEVER_NS, STOP_GOES_ON);
    cr_expect(stop_set_timeout(&stop, 1000));
    stop_note_broker_gone(&stop, SECOND(5));
    expect_end(&stop, CLOCK_NEVER_NS, STOP_GOES_ON);
}

Test(stop, takes_30_s_and_the_grace_before_a_broker_has_told_the_time)
{
    struct stop stop;
    stop_init(&stop);
    stop_note_asked(&stop, 1, SECOND(100));
    expect_end(&stop, SECOND(100) + SECOND(30) + MS(STOP_GRACE_MS), STOP_LATE);
}

Test(stop, takes_the_time_that_the_broker_told_and_the_grace_whether_it_answers_or_not)
{
    struct stop stop;
    stop_init(&stop);
    stop_note_asked(&stop, 1, SECOND(100));
    cr_expect(stop_set_timeout(&stop, 3600 * 1000)); /* told late: it counts all the same */
    const int64_t end_ns = SECOND(100) + SECOND(3600) + MS(STOP_GRACE_MS);
    expect_end(&stop, end_ns, STOP_LATE);
    stop_note_answer(&stop, 0, SECOND(101));
    stop_note_answer(&stop, 1, SECOND(101));
    expect_end(&stop, end_ns, STOP_LATE);
}

Test(stop, a_time_that_is_none_is_refused)
{
    struct stop stop;
    stop_init(&stop);
    cr_expect_not(stop_set_timeout(&stop, 0));
    cr_expect_not(stop_set_timeout(&stop, -1));
    cr_expect_eq(stop.timeout_ms, STOP_TIMEOUT_DEFAULT_MS);
}

Test(stop, in_a_hurry_waits_for_an_answer_only_shortly)
{
    struct stop stop;
    stop_init(&stop);
    stop_note_asked(&stop, 1, SECOND(100));
    stop_note_answer(&stop, 1, SECOND(100)); /* to the first signal, not to the second */
    stop_note_asked(&stop, 2, SECOND(110));
    expect_end(&stop, SECOND(110) + MS(STOP_ANSWER_MS), STOP_UNANSWERED);
}

Test(stop, in_a_hurry_that_was_answered_has_the_time_of_the_whole)
{
    struct stop stop;
    stop_init(&stop);
    stop_note_asked(&stop, 1, SECOND(100));
    stop_note_asked(&stop, 2, SECOND(110));
    stop_note_answer(&stop, 2, SECOND(111));
    expect_end(&stop, SECOND(130) + MS(STOP_GRACE_MS), STOP_LATE);
}

Test(stop, in_a_hurry_never_makes_the_whole_longer)
{
    struct stop stop;
    stop_init(&stop);
    const int64_t end_ns = SECOND(130) + MS(STOP_GRACE_MS);
    stop_note_asked(&stop, 1, SECOND(100));
    stop_note_asked(&stop, 2, end_ns - 1);
    expect_end(&stop, end_ns, STOP_LATE);
}

Test(stop, goes_on_with_the_next_broker_which_has_to_answer_for_itself)
{
    struct stop stop;
    stop_init(&stop);
    stop_note_asked(&stop, 1, SECOND(100));
    stop_note_broker_gone(&stop, SECOND(105));
    expect_end(&stop, SECOND(130) + MS(STOP_GRACE_MS), STOP_LATE);
    stop_note_asked(&stop, 2, SECOND(110));
    stop_note_answer(&stop, 2, SECOND(110));
    stop_note_broker_gone(&stop, SECOND(120));
    expect_end(&stop, SECOND(120) + MS(STOP_ANSWER_MS), STOP_UNANSWERED);
    /* One that died without an answer leaves the next no more than it had. */
    stop_note_broker_gone(&stop, SECOND(121));
    expect_end(&stop, SECOND(120) + MS(STOP_ANSWER_MS), STOP_UNANSWERED);
    stop_note_answer(&stop, 2, SECOND(122));
    expect_end(&stop, SECOND(130) + MS(STOP_GRACE_MS), STOP_LATE);
}

Test(stop, that_a_client_asked_for_ends_with_its_broker)
{
    struct stop stop;
    stop_init(&stop);
    stop_note_answer(&stop, 0, SECOND(100));
    stop_note_answer(&stop, 0, SECOND(110));
    expect_end(&stop, SECOND(130) + MS(STOP_GRACE_MS), STOP_LATE);
    stop_note_broker_gone(&stop, SECOND(115)); /* the next one knows nothing of it */
    expect_end(&stop, CLOCK_NEVER_NS, STOP_GOES_ON);
}

Test(stop, that_a_client_asked_for_counts_when_a_signal_comes_too)
{
    struct stop stop;
    stop_init(&stop);
    stop_note_answer(&stop, 0, SECOND(100));
    stop_note_asked(&stop, 1, SECOND(120));
    expect_end(&stop, SECOND(130) + MS(STOP_GRACE_MS), STOP_LATE);
    stop_note_broker_gone(&stop, SECOND(121));
    expect_end(&stop, SECOND(130) + MS(STOP_GRACE_MS), STOP_LATE);
}
