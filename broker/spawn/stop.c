/* The bounds of a stop: see stop.h. */
#include "broker/spawn/stop.h"

#include "broker/spawn/clock.h"

enum { LEVEL_HURRY = 2 };

void
stop_init(struct stop *stop)
{
    *stop = (struct stop){.timeout_ms = STOP_TIMEOUT_DEFAULT_MS, .began_ns = CLOCK_NEVER_NS};
}

bool
stop_set_timeout(struct stop *stop, int64_t timeout_ms)
{
    if (timeout_ms <= 0) {
        return false;
    }
    stop->timeout_ms = timeout_ms;
    return true;
}

static void
begin(struct stop *stop, int64_t now_ns)
{
    if (stop->began_ns == CLOCK_NEVER_NS) {
        stop->began_ns = now_ns;
    }
}

void
stop_note_asked(struct stop *stop, int level, int64_t now_ns)
{
    begin(stop, now_ns);
    stop->level = level;
    stop->hurried_ns = now_ns;
}

void
stop_note_answer(struct stop *stop, int level, int64_t now_ns)
{
    begin(stop, now_ns);
    if (level > stop->answered) {
        stop->answered = level;
    }
}

void
stop_note_broker_gone(struct stop *stop, int64_t now_ns)
{
    /* One that never answered leaves no more time than it had itself: else brokers that die one
     * after another would keep a stop in a hurry waiting. */
    if (stop->answered >= LEVEL_HURRY) {
        stop->hurried_ns = now_ns;
    }
    stop->answered = 0;
    if (stop->level == 0) {
        stop->began_ns = CLOCK_NEVER_NS;
    }
}

static int64_t
late_ns(const struct stop *stop)
{
    return stop->began_ns + (stop->timeout_ms + STOP_GRACE_MS) * NS_PER_MS;
}

static bool
is_unanswered(const struct stop *stop)
{
    return stop->level >= LEVEL_HURRY && stop->answered < LEVEL_HURRY;
}

static int64_t
answer_ns(const struct stop *stop)
{
    return stop->hurried_ns + (int64_t)STOP_ANSWER_MS * NS_PER_MS;
}

int64_t
stop_deadline_ns(const struct stop *stop)
{
    if (stop->began_ns == CLOCK_NEVER_NS) {
        return CLOCK_NEVER_NS;
    }
    const int64_t late = late_ns(stop);
    return is_unanswered(stop) && answer_ns(stop) < late ? answer_ns(stop) : late;
}

enum stop_verdict
stop_check(const struct stop *stop, int64_t now_ns)
{
    if (stop->began_ns == CLOCK_NEVER_NS) {
        return STOP_GOES_ON;
    }
    if (is_unanswered(stop) && now_ns >= answer_ns(stop)) {
        return STOP_UNANSWERED;
    }
    return now_ns >= late_ns(stop) ? STOP_LATE : STOP_GOES_ON;
}
