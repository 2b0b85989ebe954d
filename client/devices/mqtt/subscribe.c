/* prong-mqtt: the methods subscribe and unsubscribe, on the connection that reads. They wait for
 * the broker's answer, no longer than the caller and DEVICE_SEND_MS_MAX, and serve the hub and that
 * connection meanwhile: what the broker sends comes before its answer, and is acknowledged when the
 * hub has it. What has no answer stays a wish of the device's. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "client/devices/mqtt/kind.h"
#include "proto/device/mqtt.h"

enum { WAIT_MS_MAX = 100 };

/* ---- answers ----------------------------------------------------------------------------------
 */

static void
tell_refused(struct device *d, const struct mqtt_filter *filter)
{
    const struct stamp now = stamp_now();
    const char *why = mqtt_filter_why(filter);
    device_fault(d, "the broker refuses the subscription to %s: %s", filter->text, why);
    prong_writer *out = device_event(d, &now, 2);
    device_put_text(out, "topic", filter->text);
    device_put_text(out, "why", why);
    device_emit(d, "refused");
}

bool
mqtt_subscribed(struct device *d, int mid, int count, const int *granted)
{
    struct mqtt *s = d->state;
    int i = 0;
    for (struct mqtt_filter *f = mqtt_filters_next(&s->filters, mid, NULL); f != NULL;
         f = mqtt_filters_next(&s->filters, mid, f), i++) {
        f->mid = 0;
        if (i < count && f->state != MQTT_FILTER_LEAVING) {
            f->answer = granted[i];
            f->state = granted[i] <= 2 ? MQTT_FILTER_STANDS : MQTT_FILTER_REFUSED;
        }
        if (f->state == MQTT_FILTER_REFUSED && mid != s->asked_mid) {
            tell_refused(d, f); /* else the method tells it */
        }
    }
    return i > 0;
}

void
mqtt_unsubscribed(struct device *d, int mid)
{
    struct mqtt *s = d->state;
    for (struct mqtt_filter *f = mqtt_filters_next(&s->filters, mid, NULL); f != NULL;
         f = mqtt_filters_next(&s->filters, mid, f)) {
        f->mid = 0;
        if (f->state == MQTT_FILTER_LEAVING) {
            mqtt_filter_remove(f);
        }
    }
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

/* Whether the answer to what was asked for this filter has come. */
static bool
wait_for_answer(struct device *d, prong_job *job, const struct mqtt_filter *f)
{
    struct mqtt *s = d->state;
    const int mid = f->mid;
    const int64_t mine = prong_job_remaining_ms(job);
    const int64_t until_ns =
        stamp_now().mono_ns +
        (mine < DEVICE_SEND_MS_MAX ? mine : (int64_t)DEVICE_SEND_MS_MAX) * 1000000;
    s->asked_mid = mid;
    for (;;) {
        const short events = s->is_up ? mqtt_pump(d) : (short)0;
        const int64_t left_ms = (until_ns - stamp_now().mono_ns) / 1000000;
        if (f->mid != mid || !s->is_up || left_ms <= 0 || prong_job_is_cancelled(job)) {
            break;
        }
        struct pollfd fds[] = {{.fd = prong_fd(d->client), .events = POLLIN},
                               {.fd = events != 0 ? s->link->fd : -1, .events = events}};
        /* What there is to do is seen by looking. */
        (void)poll(fds, 2, left_ms < WAIT_MS_MAX ? (int)left_ms : WAIT_MS_MAX);
        device_hear_hub(d);
    }
    s->asked_mid = 0;
    return f->mid != mid;
}

static prong_err
fail_unanswered(struct device *d, prong_job *job, const char *what)
{
    const struct mqtt *s = d->state;
    char why[2 * DEVICE_WHY_BYTES_MAX];
    snprintf(why, sizeof why, "the broker has not answered: %s; %s",
             s->is_up ? "no time left" : s->link->why, what);
    return prong_job_fail(job, PRONG_UNAVAILABLE, why);
}

/* ---- arguments --------------------------------------------------------------------------------
 */

/* The filter, owned, freed with prong_free; NULL after the job was failed. */
static char *
read_filter(prong_job *job)
{
    char why[DEVICE_WHY_BYTES_MAX] = "out of memory";
    prong_value value;
    const char *text;
    size_t len;
    char *filter = NULL;
    if (!device_argument(job, "topic", 0, &value) || !prong_value_text(&value, &text, &len)) {
        snprintf(why, sizeof why, "'topic' must be a filter of topics, a text");
    } else if (len > MQTT_FILTER_BYTES_MAX || memchr(text, '\0', len) != NULL) {
        snprintf(why, sizeof why, "'topic' has at most %d bytes, and no NUL",
                 MQTT_FILTER_BYTES_MAX);
    } else {
        filter = prong_value_string(&value);
    }
    if (filter != NULL && mqtt_check_filter(filter, why, sizeof why)) {
        return filter;
    }
    prong_free(filter);
    (void)prong_job_fail(job, PRONG_INVALID_ARGUMENT, why); /* the method passes it on */
    return NULL;
}

static bool
read_qos(struct device *d, prong_job *job, int64_t *qos)
{
    prong_value value;
    *qos = options_number(&d->options, "qos");
    return !device_argument(job, "qos", 1, &value) || prong_value_kind(&value) == PRONG_KIND_NIL ||
           (prong_value_int(&value, qos) && *qos >= 0 && *qos <= 2);
}

/* Whether the broker can be asked now; if not, the job is failed. */
static bool
is_ready(struct device *d, prong_job *job)
{
    const struct mqtt *s = d->state;
    char why[2 * DEVICE_WHY_BYTES_MAX];
    snprintf(why, sizeof why, "not connected: %s",
             s->link->why[0] != '\0' ? s->link->why : "not yet");
    if (s->is_up && !d->is_paused) {
        return true;
    }
    /* Nothing is read while it is paused, so no answer either. */
    (void)prong_job_fail(job, PRONG_FAILED_PRECONDITION,
                         d->is_paused ? "the device is paused" : why);
    return false;
}

static prong_err
fail_full(prong_job *job)
{
    char why[DEVICE_WHY_BYTES_MAX];
    snprintf(why, sizeof why, "a device has at most %d filters: unsubscribe from one",
             MQTT_FILTERS_MAX);
    return prong_job_fail(job, PRONG_RESOURCE_EXHAUSTED, why);
}

static prong_err
fail_unsent(prong_job *job, int code)
{
    char why[DEVICE_WHY_BYTES_MAX];
    snprintf(why, sizeof why, "not sent: %s", mosquitto_strerror(code));
    return prong_job_fail(job, PRONG_INVALID_ARGUMENT, why);
}

/* What the filter was before, when the broker was not asked or does not take it otherwise. */
static void
put_back(struct mqtt_filter *f, bool was_there, struct mqtt_filter before)
{
    if (was_there) {
        before.mid = 0;
        *f = before;
    } else {
        mqtt_filter_remove(f);
    }
}

/* ---- subscribe --------------------------------------------------------------------------------
 */

static prong_err
subscribe(struct device *d, prong_job *job, const char *text, int qos)
{
    struct mqtt *s = d->state;
    struct mqtt_filter *f = mqtt_filters_find(&s->filters, text);
    const bool was_there = f != NULL;
    f = was_there ? f : mqtt_filters_add(&s->filters, text, qos);
    if (f == NULL) {
        return fail_full(job);
    }
    const struct mqtt_filter before = *f;
    f->qos = qos;
    f->state = MQTT_FILTER_NEW;
    const int code = mosquitto_subscribe_v5(s->link->m, &f->mid, text, qos, 0, NULL);
    if (code != MOSQ_ERR_SUCCESS) {
        put_back(f, was_there, before);
        return fail_unsent(job, code);
    }
    if (!wait_for_answer(d, job, f) || f->state == MQTT_FILTER_NEW) {
        return fail_unanswered(d, job, "the device asks again when it connects");
    }
    if (f->state == MQTT_FILTER_REFUSED) {
        char why[DEVICE_WHY_BYTES_MAX];
        snprintf(why, sizeof why, "the broker refuses it: %s", mqtt_filter_why(f));
        put_back(f, was_there, before);
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, why);
    }
    prong_writer *out = prong_job_result(job);
    prong_writer_map(out, 2);
    device_put_text(out, "topic", text);
    prong_writer_key(out, "qos");
    prong_writer_int(out, f->answer);
    return PRONG_OK;
}

prong_err
mqtt_subscribe(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    struct device *d = context;
    int64_t qos;
    if (!read_qos(d, job, &qos)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'qos' is 0, 1 or 2");
    }
    char *text = read_filter(job);
    if (text == NULL) {
        return PRONG_INVALID_ARGUMENT;
    }
    const prong_err code =
        is_ready(d, job) ? subscribe(d, job, text, (int)qos) : PRONG_FAILED_PRECONDITION;
    prong_free(text);
    return code;
}

/* ---- unsubscribe ------------------------------------------------------------------------------
 */

/* Also of a filter that the device does not know: a session that is older may have it. */
static prong_err
unsubscribe(struct device *d, prong_job *job, const char *text)
{
    struct mqtt *s = d->state;
    struct mqtt_filter *f = mqtt_filters_find(&s->filters, text);
    const bool was_there = f != NULL;
    f = was_there ? f : mqtt_filters_add(&s->filters, text, 0);
    if (f == NULL) {
        return fail_full(job);
    }
    const struct mqtt_filter before = *f;
    f->state = MQTT_FILTER_LEAVING;
    const int code = mosquitto_unsubscribe_v5(s->link->m, &f->mid, text, NULL);
    if (code != MOSQ_ERR_SUCCESS) {
        put_back(f, was_there, before);
        return fail_unsent(job, code);
    }
    if (!wait_for_answer(d, job, f)) {
        return fail_unanswered(d, job, "nothing is told of it any more");
    }
    prong_writer *out = prong_job_result(job);
    prong_writer_map(out, 1);
    device_put_text(out, "topic", text);
    return PRONG_OK;
}

prong_err
mqtt_unsubscribe(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    struct device *d = context;
    char *text = read_filter(job);
    if (text == NULL) {
        return PRONG_INVALID_ARGUMENT;
    }
    const prong_err code = is_ready(d, job) ? unsubscribe(d, job, text) : PRONG_FAILED_PRECONDITION;
    prong_free(text);
    return code;
}
