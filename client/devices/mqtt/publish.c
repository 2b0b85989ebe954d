/* prong-mqtt: the methods publish and send, on a connection of their own. Both wait for the
 * broker's answer, no longer than the caller and DEVICE_SEND_MS_MAX. A connection on which one did
 * not come is closed: the library would send the message again later, when nobody reckons with it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "client/devices/mqtt/kind.h"
#include "client/devices/mqtt/properties.h"
#include "proto/device/mqtt.h"

enum { WAIT_MS_MAX = 100, READS_MAX = 64 };

struct order {
    char *topic; /* owned */
    const uint8_t *data;
    size_t len;
    int64_t qos;
    bool is_retained;
    mosquitto_property *properties; /* owned */
};

/* ---- the connection ---------------------------------------------------------------------------
 */

static struct mqtt_sender *
sender_of(struct device *d)
{
    return &((struct mqtt *)d->state)->sender;
}

static void
close_link(struct device *d)
{
    struct mqtt_sender *s = sender_of(d);
    if (s->link != NULL) {
        device_watch(d, s->link->done_fd, 0, NULL, NULL);
        if (s->link->fd >= 0) {
            device_watch(d, s->link->fd, 0, NULL, NULL);
        }
        mqtt_link_free(s->link);
    }
    *s = (struct mqtt_sender){0};
}

static void
answered_connect(struct mosquitto *m, void *context, int code, int flags,
                 const mosquitto_property *properties)
{
    (void)m;
    (void)flags;
    struct mqtt_link *link = context;
    if (code != 0) {
        mqtt_link_refused(link, code);
        return;
    }
    mqtt_link_accepted(link, properties);
    sender_of(link->context)->is_up = true;
}

static void
published(struct mosquitto *m, void *context, int mid, int reason,
          const mosquitto_property *properties)
{
    (void)m;
    (void)properties;
    struct mqtt_sender *s = sender_of(((struct mqtt_link *)context)->context);
    if (mid == s->mid) {
        s->is_done = true;
        s->reason = reason;
    }
}

/* Write and read as far as it goes, but not without end: whoever waits looks at the time in
 * between. False when the connection has ended. */
static bool
serve(struct mqtt_link *link)
{
    enum mqtt_read got;
    int reads = 0;
    do {
        if (mqtt_link_wants_write(link) && !mqtt_link_write(link)) {
            return false;
        }
        got = mqtt_link_read(link);
        reads++;
    } while (got == MQTT_SOME && (reads < READS_MAX || mqtt_link_has_rest(link)));
    return got != MQTT_ENDED;
}

/* Between the calls: answers to pings, and the end. */
static void
ready(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    (void)context;
    struct mqtt_sender *s = sender_of(d);
    if (!serve(s->link)) {
        device_log(d, 6, "the connection that publishes has ended: %s", s->link->why);
        close_link(d);
    }
}

/* The thread has ended; `opened` also runs between the calls when a call had no patience. */
static void
opened(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    (void)context;
    struct mqtt_sender *s = sender_of(d);
    device_watch(d, fd, 0, NULL, NULL);
    if (mqtt_link_opened(s->link)) {
        device_watch(d, s->link->fd, DEVICE_ALWAYS, ready, NULL);
    } else {
        device_log(d, 6, "no connection to publish: %s", s->link->why);
    }
}

static struct mqtt_link *
new_link(struct device *d)
{
    const struct mqtt *s = d->state;
    char id[MQTT_ID_BYTES_MAX + 8];
    snprintf(id, sizeof id, "%s-send", s->id);
    struct mqtt_link *link = mqtt_link_new(&d->options, id, true, d);
    if (link != NULL) {
        mosquitto_connect_v5_callback_set(link->m, answered_connect);
        mosquitto_publish_v5_callback_set(link->m, published);
    }
    return link;
}

/* Wait until one of the two may go on, a moment at most; false when the time is over. */
static bool
wait_for(prong_job *job, int64_t until_ns, const struct mqtt_link *link)
{
    const int64_t left_ms = (until_ns - stamp_now().mono_ns) / 1000000;
    if (left_ms <= 0 || prong_job_is_cancelled(job)) {
        return false;
    }
    struct pollfd p = {.fd = link->is_opening ? link->done_fd : link->fd, .events = POLLIN};
    if (!link->is_opening && mqtt_link_wants_write(link)) {
        p.events |= POLLOUT;
    }
    (void)poll(&p, 1, left_ms < WAIT_MS_MAX ? (int)left_ms : WAIT_MS_MAX); /* a look tells more */
    if (link->is_opening && p.revents != 0) {
        opened(link->context, link->done_fd, 0, NULL);
    }
    return true;
}

/* Connect unless that is done. False with `why`: nothing can have been sent. */
static bool
connect_now(struct device *d, prong_job *job, int64_t until_ns, char why[DEVICE_WHY_BYTES_MAX])
{
    struct mqtt_sender *s = sender_of(d);
    if (s->link != NULL && s->is_up && serve(s->link)) {
        return true;
    }
    if (s->link == NULL || !s->link->is_opening) {
        close_link(d);
        s->link = new_link(d);
        if (s->link == NULL) {
            snprintf(why, DEVICE_WHY_BYTES_MAX, "out of memory");
            return false;
        }
        if (!mqtt_link_open(s->link) ||
            !device_watch(d, s->link->done_fd, DEVICE_ALWAYS, opened, NULL)) {
            snprintf(why, DEVICE_WHY_BYTES_MAX, "%s", s->link->why);
            close_link(d);
            return false;
        }
    }
    while (!s->is_up) {
        if (!wait_for(job, until_ns, s->link)) {
            snprintf(why, DEVICE_WHY_BYTES_MAX, "no answer");
            return false;
        }
        if (!s->link->is_opening && (s->link->fd < 0 || !serve(s->link))) {
            snprintf(why, DEVICE_WHY_BYTES_MAX, "%s", s->link->why);
            close_link(d);
            return false;
        }
    }
    return true;
}

void
mqtt_sender_tend(struct device *d)
{
    struct mqtt_sender *s = sender_of(d);
    if (s->link != NULL && s->link->fd >= 0 &&
        (!serve(s->link) || !mqtt_link_tend(s->link) || !serve(s->link))) {
        close_link(d);
    }
}

bool
mqtt_sender_stop(struct device *d)
{
    struct mqtt_sender *s = sender_of(d);
    const bool is_opening = s->link != NULL && s->link->is_opening;
    if (s->link != NULL && s->is_up) {
        mqtt_link_leave(s->link);
    }
    close_link(d);
    return !is_opening;
}

/* ---- publishing -------------------------------------------------------------------------------
 */

/* Give it to the library; false when it cannot be sent at all. */
static bool
hand_over(struct mqtt_sender *s, const struct order *o, char why[DEVICE_WHY_BYTES_MAX])
{
    s->is_done = false;
    s->reason = 0;
    const int code = mosquitto_publish_v5(s->link->m, &s->mid, o->topic, (int)o->len, o->data,
                                          (int)o->qos, o->is_retained, o->properties);
    if (code == MOSQ_ERR_SUCCESS) {
        return true;
    }
    snprintf(why, DEVICE_WHY_BYTES_MAX, "not sent: %s", mosquitto_strerror(code));
    return false;
}

static prong_err
tell_done(struct device *d, prong_job *job, const struct order *o)
{
    const struct mqtt_sender *s = sender_of(d);
    char why[DEVICE_WHY_BYTES_MAX];
    if (s->reason >= MQTT_REFUSED) {
        snprintf(why, sizeof why, "the broker refuses it: %s", mosquitto_reason_string(s->reason));
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, why);
    }
    d->count.sent_bytes += o->len;
    prong_writer *out = prong_job_result(job);
    prong_writer_map(out, s->reason != 0 ? 3 : 2);
    prong_writer_key(out, "bytes");
    prong_writer_uint(out, o->len);
    prong_writer_key(out, "qos");
    prong_writer_int(out, o->qos);
    if (s->reason != 0) {
        prong_writer_key(out, "note");
        prong_writer_string(out, mosquitto_reason_string(s->reason));
    }
    return PRONG_OK;
}

static prong_err
publish(struct device *d, prong_job *job, const struct order *o)
{
    struct mqtt_sender *s = sender_of(d);
    char why[DEVICE_WHY_BYTES_MAX], text[2 * DEVICE_WHY_BYTES_MAX];
    const int64_t mine = prong_job_remaining_ms(job);
    const int64_t until_ns =
        stamp_now().mono_ns +
        (mine < DEVICE_SEND_MS_MAX ? mine : (int64_t)DEVICE_SEND_MS_MAX) * 1000000;
    if (!connect_now(d, job, until_ns, why)) {
        snprintf(text, sizeof text, "not connected: %s", why);
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, text);
    }
    if (!hand_over(s, o, why)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, why);
    }
    bool is_alive = serve(s->link);
    while (!s->is_done && is_alive && wait_for(job, until_ns, s->link)) {
        is_alive = serve(s->link);
    }
    if (s->is_done) {
        return tell_done(d, job, o);
    }
    snprintf(text, sizeof text, "it may have arrived, the broker has not answered: %s",
             is_alive ? "no time left" : s->link->why);
    close_link(d);
    return prong_job_fail(job, PRONG_UNAVAILABLE, text);
}

/* ---- arguments --------------------------------------------------------------------------------
 */

/* An argument that is there and not nil. */
static bool
is_given(prong_job *job, const char *name, uint32_t index, prong_value *out)
{
    return device_argument(job, name, index, out) && prong_value_kind(out) != PRONG_KIND_NIL;
}

static bool
read_topic(prong_job *job, struct order *o, char *why, size_t why_bytes)
{
    prong_value value;
    const char *text;
    size_t len;
    if (!is_given(job, "topic", 0, &value) || !prong_value_text(&value, &text, &len)) {
        snprintf(why, why_bytes, "publish needs 'topic', a text");
        return false;
    }
    if (!mqtt_is_topic(text, len, why, why_bytes)) {
        return false;
    }
    o->topic = prong_value_string(&value);
    snprintf(why, why_bytes, "out of memory");
    return o->topic != NULL;
}

static bool
read_rest(struct device *d, prong_job *job, struct order *o, char *why, size_t why_bytes)
{
    prong_value value;
    o->qos = options_number(&d->options, "qos");
    if (is_given(job, "qos", 2, &value) &&
        (!prong_value_int(&value, &o->qos) || o->qos < 0 || o->qos > 2)) {
        snprintf(why, why_bytes, "'qos' is 0, 1 or 2");
        return false;
    }
    if (is_given(job, "retain", 3, &value) && !prong_value_bool(&value, &o->is_retained)) {
        snprintf(why, why_bytes, "'retain' is true or false");
        return false;
    }
    if (!is_given(job, "properties", 4, &value)) {
        return true;
    }
    if (strcmp(options_text(&d->options, "version"), "5") != 0) {
        snprintf(why, why_bytes, "'properties' need version: 5 in the options of the device");
        return false;
    }
    return mqtt_properties_read(&value, &o->properties, why, why_bytes);
}

/* The bytes of the payload, owned, freed with prong_free; empty without one, which forgets a
 * message that is retained. */
static uint8_t *
read_payload(struct device *d, prong_job *job, size_t *len)
{
    const uint8_t nothing[] = {0xc4, 0};
    prong_value value = {nothing, sizeof nothing};
    (void)is_given(job, "payload", 1, &value);
    return coding_encode((enum coding)options_number(&d->options, "decode"), &value, len);
}

prong_err
mqtt_publish(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    struct device *d = context;
    struct order o = {0};
    char why[DEVICE_WHY_BYTES_MAX];
    prong_err code = PRONG_OK;
    uint8_t *data = read_payload(d, job, &o.len);
    if (data == NULL) {
        code = prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "'payload' must be a text, bytes, or what the device's decode says");
    } else if (!read_topic(job, &o, why, sizeof why) || !read_rest(d, job, &o, why, sizeof why)) {
        code = prong_job_fail(job, PRONG_INVALID_ARGUMENT, why);
    } else {
        o.data = data;
        code = publish(d, job, &o);
        d->count.sends += code == PRONG_OK;
    }
    prong_free(data);
    prong_free(o.topic);
    mosquitto_property_free_all(&o.properties);
    return code;
}

prong_err
mqtt_send(struct device *d, prong_job *job, const struct device_bytes *bytes, const char *to)
{
    char why[DEVICE_WHY_BYTES_MAX];
    const char *topic = to != NULL ? to : options_text(&d->options, "publish_topic");
    const struct order o = {
        .topic = (char *)(uintptr_t)topic, /* only read here */
        .data = bytes->part[1].data,
        .len = bytes->part[1].len,
        .qos = options_number(&d->options, "qos"),
    };
    if (topic == NULL) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "'to' must be a topic, or publish_topic stand in the options");
    }
    if (!mqtt_check_topic(topic, why, sizeof why)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, why);
    }
    return publish(d, job, &o);
}
