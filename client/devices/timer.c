/* Timers and attempts of a device: see device.h. */
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/devices/device.h"

static void
ran_out(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    struct device_timer *timer = context;
    uint64_t times = 0;
    if (read(fd, &times, sizeof times) == sizeof times) {
        timer->function(d, times, timer->context);
    }
}

bool
device_timer_start(struct device *d, struct device_timer *timer,
                   void (*function)(struct device *d, uint64_t times, void *context), void *context)
{
    *timer =
        (struct device_timer){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                              .function = function,
                              .context = context};
    if (timer->fd >= 0 && device_watch(d, timer->fd, DEVICE_ALWAYS, ran_out, timer)) {
        return true;
    }
    device_fault(d, "no timer: %s", timer->fd < 0 ? strerror(errno) : "too many descriptors");
    device_timer_stop(d, timer);
    return false;
}

void
device_timer_set(struct device_timer *timer, int64_t in_ms)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = in_ms / 1000, .tv_nsec = (long)(in_ms % 1000) * 1000000}};
    (void)timerfd_settime(timer->fd, 0, &when, NULL); /* cannot fail for a time that is one */
}

void
device_timer_stop(struct device *d, struct device_timer *timer)
{
    if (timer->function != NULL && timer->fd >= 0) {
        device_watch(d, timer->fd, 0, NULL, NULL);
        (void)close(timer->fd); /* nothing is written to it */
    }
    *timer = (struct device_timer){.fd = -1};
}

static void
try_again(struct device *d, uint64_t times, void *context)
{
    (void)times;
    struct retry *retry = context;
    d->count.reconnects++;
    retry->attempt(d);
}

bool
retry_start(struct device *d, struct retry *retry, void (*attempt)(struct device *d))
{
    *retry = (struct retry){
        .backoff = {.min_ms = options_number(&d->options, "reconnect_min"),
                    .max_ms = options_number(&d->options, "reconnect_max"),
                    .seed = (uint64_t)stamp_now().mono_ns ^ (uint64_t)getpid() << 40},
        .attempt = attempt,
    };
    if (!device_timer_start(d, &retry->timer, try_again, retry)) {
        return false;
    }
    attempt(d);
    return true;
}

void
retry_later(struct device *d, struct retry *retry, const char *why)
{
    device_down(d, why, NULL);
    if (retry->opened_ns != 0) {
        backoff_lasted(&retry->backoff, (stamp_now().mono_ns - retry->opened_ns) / 1000000);
        retry->opened_ns = 0;
    }
    device_timer_set(&retry->timer, backoff_next(&retry->backoff));
}

void
retry_opened(struct device *d, struct retry *retry)
{
    (void)d;
    retry->opened_ns = stamp_now().mono_ns;
    device_timer_set(&retry->timer, 0);
}

void
retry_done(struct device *d, struct retry *retry)
{
    (void)d;
    backoff_reset(&retry->backoff);
    device_timer_set(&retry->timer, 0);
}

void
retry_stop(struct device *d, struct retry *retry)
{
    device_timer_stop(d, &retry->timer);
}
