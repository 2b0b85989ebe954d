/* kinds timer and cron: ticks. They cannot be held up: what comes due while the gate is closed is
 * counted, and told with the next tick. */
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/devices/io/kinds.h"
#include "proto/device/cron.h"

struct state {
    int fd;
    uint64_t number, skipped;
    struct cron cron;
    time_t due; /* cron: the next one */
};

/* `due_us`: when it was to come, on the wall clock; 0 without. */
static void
tick(struct device *d, uint64_t times, int64_t due_us)
{
    struct state *s = d->state;
    const struct stamp now = stamp_now();
    s->number += times;
    s->skipped += times - 1;
    if (!device_is_open(d)) {
        s->skipped++;
        d->count.dropped += times;
        return;
    }
    d->count.dropped += times - 1;
    d->count.frames++;
    d->count.last_us = now.time_us;
    prong_writer *out = device_event(d, &now, due_us != 0 ? 3 : 2);
    prong_writer_key(out, "value");
    prong_writer_uint(out, s->number);
    prong_writer_key(out, "skipped");
    prong_writer_uint(out, s->skipped);
    if (due_us != 0) {
        prong_writer_key(out, "due_us");
        prong_writer_int(out, due_us);
    }
    s->skipped = 0;
    device_emit(d, "tick");
}

static void
stop(struct device *d)
{
    struct state *s = d->state;
    if (s->fd >= 0) {
        device_watch(d, s->fd, 0, NULL, NULL);
        (void)close(s->fd);
        s->fd = -1;
    }
}

static prong_err
open_timer(struct device *d, int clock,
           void (*function)(struct device *d, int fd, short revents, void *context))
{
    struct state *s = d->state;
    s->fd = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->fd < 0 || !device_watch(d, s->fd, DEVICE_ALWAYS, function, NULL)) {
        device_log(d, 3, "no timer: %s", strerror(errno));
        stop(d);
        return PRONG_RESOURCE_EXHAUSTED;
    }
    return PRONG_OK;
}

/* ---- timer ------------------------------------------------------------------------------------
 */

static void
timer_ran_out(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    (void)context;
    uint64_t times = 0;
    if (read(fd, &times, sizeof times) == sizeof times) {
        tick(d, times, 0);
    }
}

static prong_err
timer_start(struct device *d)
{
    struct state *s = d->state;
    const int64_t every_ms = options_number(&d->options, "every");
    const struct timespec period = {.tv_sec = every_ms / 1000,
                                    .tv_nsec = (long)(every_ms % 1000) * 1000000};
    /* The system counts from the start, so being late once does not make the next ones late. */
    const struct itimerspec when = {.it_interval = period, .it_value = period};
    const prong_err code = open_timer(d, CLOCK_MONOTONIC, timer_ran_out);
    if (code == PRONG_OK) {
        (void)timerfd_settime(s->fd, 0, &when, NULL); /* cannot fail for a period that is one */
        device_up(d, NULL);
    }
    return code;
}

static void
timer_stats(struct device *d, prong_writer *out)
{
    const struct state *s = d->state;
    prong_writer_key(out, "ticks");
    prong_writer_uint(out, s->number);
}

const struct device_kind_ops io_timer = {
    .kind = "timer",
    .state_size = sizeof(struct state),
    .start = timer_start,
    .stop = stop,
    .stats = timer_stats,
    .stat_count = 1,
};

/* ---- cron -------------------------------------------------------------------------------------
 */

/* The next time behind `after`. The timer also runs out when somebody sets the clock. */
static void
cron_set(struct device *d, time_t after)
{
    struct state *s = d->state;
    s->due = cron_next(&s->cron, after);
    const struct itimerspec when = {.it_value.tv_sec = s->due > 0 ? s->due : 0};
    if (timerfd_settime(s->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL) != 0 &&
        errno != ECANCELED) {
        device_fault(d, "the timer cannot be set: %s", strerror(errno));
    }
    if (s->due < 0) {
        device_down(d, "no such time comes any more", NULL);
    }
}

static void
cron_ran_out(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    (void)context;
    struct state *s = d->state;
    uint64_t times = 0;
    const time_t now = (time_t)(stamp_now().time_us / 1000000);
    const ssize_t n = read(fd, &times, sizeof times);
    if (n < 0 && errno != ECANCELED) {
        return;
    }
    /* After the clock was set what lies between is left out, as crontab(5) has it for long ones. */
    const time_t due = s->due;
    if (n > 0 && due > 0 && now >= due) {
        cron_set(d, now > due ? now : due);
        tick(d, 1, (int64_t)due * 1000000);
    } else {
        cron_set(d, now);
    }
}

static prong_err
cron_start(struct device *d)
{
    struct state *s = d->state;
    char why[DEVICE_WHY_BYTES_MAX];
    (void)cron_parse(options_text(&d->options, "schedule"), &s->cron, why,
                     sizeof why); /* the table's check has read it */
    const prong_err code = open_timer(d, CLOCK_REALTIME, cron_ran_out);
    if (code == PRONG_OK) {
        device_up(d, NULL);
        cron_set(d, (time_t)(stamp_now().time_us / 1000000));
    }
    return code;
}

static void
cron_stats(struct device *d, prong_writer *out)
{
    const struct state *s = d->state;
    prong_writer_key(out, "ticks");
    prong_writer_uint(out, s->number);
    prong_writer_key(out, "next_us");
    prong_writer_int(out, s->due > 0 ? (int64_t)s->due * 1000000 : 0);
}

const struct device_kind_ops io_cron = {
    .kind = "cron",
    .state_size = sizeof(struct state),
    .start = cron_start,
    .stop = stop,
    .stats = cron_stats,
    .stat_count = 2,
};
