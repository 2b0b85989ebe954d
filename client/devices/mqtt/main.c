/* prong-mqtt: messages of a broker as events. This file reads; subscribe.c says what comes, and
 * publish.c writes.
 *
 * A message of qos 1 is acknowledged when the hub has its event, and not before: the library's
 * packets are held back until then (see write_out), and nothing more is read meanwhile. So the
 * broker sends a message again when the device, or the hub, died with it. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/devices/mqtt/kind.h"
#include "client/devices/mqtt/properties.h"

enum {
    READS_MAX = 64, /* packets until what they brought is acknowledged */
    TURNS_MAX = 16, /* until others have their turn */
    GOODBYE_NS = 1000000000,
};

static void ready(struct device *d, int fd, short revents, void *context);

static struct device *
device_of(void *context)
{
    return ((struct mqtt_link *)context)->context;
}

static void
lose(struct device *d, const char *why)
{
    struct mqtt *s = d->state;
    if (s->link->fd >= 0) {
        device_watch(d, s->link->fd, 0, NULL, NULL);
    }
    mqtt_link_close(s->link);
    s->is_up = false;
    device_timer_set(&s->patience, 0);
    retry_later(d, &s->retry, why);
}

/* ---- messages ---------------------------------------------------------------------------------
 */

static void
malformed(struct device *d, const struct stamp *stamp, const char *topic, const char *why)
{
    enum { SHOWN_BYTES_MAX = 100 };
    char text[SHOWN_BYTES_MAX + DEVICE_WHY_BYTES_MAX + 8];
    size_t len = strnlen(topic, SHOWN_BYTES_MAX);
    while (len > 0 && ((unsigned char)topic[len] & 0xc0) == 0x80) {
        len--; /* not within a character */
    }
    snprintf(text, sizeof text, "%.*s%s: %s", (int)len, topic, topic[len] != '\0' ? "..." : "",
             why);
    device_malformed(d, stamp, text, NULL);
}

static void
tell(struct device *d, const struct mosquitto_message *m, const mosquitto_property *properties)
{
    char why[DEVICE_WHY_BYTES_MAX];
    const struct stamp now = stamp_now();
    const bool has_properties = mqtt_properties_any(properties);
    const size_t len = (size_t)m->payloadlen;
    d->count.bytes += len;
    if (len > (size_t)options_number(&d->options, "max_bytes")) {
        malformed(d, &now, m->topic, "longer than max_bytes");
        return;
    }
    if (mqtt_properties_are_many(properties)) {
        snprintf(why, sizeof why, "more than %d user properties", MQTT_USER_MAX);
        malformed(d, &now, m->topic, why);
        return;
    }
    prong_writer *out = device_data_begin(d, &now, m->payload, len,
                                          2 + (m->retain ? 1 : 0) + (has_properties ? 1 : 0), why);
    if (out == NULL) {
        malformed(d, &now, m->topic, why);
        return;
    }
    prong_writer_key(out, "topic");
    prong_writer_string(out, m->topic);
    prong_writer_key(out, "qos");
    prong_writer_int(out, m->qos);
    if (m->retain) {
        prong_writer_key(out, "retain");
        prong_writer_bool(out, true);
    }
    if (has_properties) {
        prong_writer_key(out, "properties");
        mqtt_properties_write(properties, out);
    }
    device_emit(d, "data");
}

static void
came(struct mosquitto *m, void *context, const struct mosquitto_message *message,
     const mosquitto_property *properties)
{
    (void)m;
    struct device *d = device_of(context);
    struct mqtt *s = d->state;
    s->has_taken = s->has_taken || message->qos > 0;
    if (mqtt_filters_want(&s->filters, message->topic)) {
        tell(d, message, properties);
    } else if (s->unwanted++ == 0) {
        device_log(d, 4,
                   "the broker sends %s, which no filter stands for: its session is older than "
                   "these topics, or this was on its way; unsubscribe ends it, and another "
                   "client_id has none of them",
                   message->topic);
    }
}

/* ---- the connection ---------------------------------------------------------------------------
 */

static void
come_up(struct device *d)
{
    struct mqtt *s = d->state;
    char peer[300];
    const int port = (int)options_number(&d->options, "port");
    const char *host = options_text(&d->options, "host");
    snprintf(peer, sizeof peer, port > 0 && host[0] != '/' ? "%s:%d" : "%s", host, port);
    s->is_up = true;
    s->link->why[0] = '\0';
    device_timer_set(&s->patience, 0);
    device_log(d, 6, "up: %s, %s session", peer, s->has_session ? "the old" : "a new");
    prong_writer *out = device_up_begin(d, 2);
    prong_writer_key(out, "peer");
    prong_writer_string(out, peer);
    prong_writer_key(out, "session");
    prong_writer_bool(out, s->has_session);
    device_emit(d, "up");
}

static void
subscribed(struct mosquitto *m, void *context, int mid, int count, const int *granted,
           const mosquitto_property *properties)
{
    (void)m;
    (void)properties;
    struct device *d = device_of(context);
    const struct mqtt *s = d->state;
    if (mqtt_subscribed(d, mid, count, granted) && !s->is_up && !mqtt_filters_wait(&s->filters)) {
        come_up(d);
    }
}

static void
unsubscribed(struct mosquitto *m, void *context, int mid, const mosquitto_property *properties)
{
    (void)m;
    (void)properties;
    mqtt_unsubscribed(device_of(context), mid);
}

static void
answered_connect(struct mosquitto *m, void *context, int code, int flags,
                 const mosquitto_property *properties)
{
    (void)m;
    struct mqtt_link *link = context;
    struct device *d = device_of(context);
    struct mqtt *s = d->state;
    if (code != 0) { /* and so the read that brought it fails */
        mqtt_link_refused(link, code);
        return;
    }
    mqtt_link_accepted(link, properties);
    s->has_session = (flags & 1) != 0;
    const int asked = mqtt_filters_ask(&s->filters, s->link->m, s->has_session);
    if (asked != MOSQ_ERR_SUCCESS) { /* patience ends it */
        device_fault(d, "the subscriptions cannot be made: %s", mosquitto_strerror(asked));
    } else if (!mqtt_filters_wait(&s->filters)) {
        come_up(d);
    }
}

/* ---- reading and writing ----------------------------------------------------------------------
 */

enum turn { GOES_ON, HOLDS, ENDED };

/* What is to be written are acknowledgements as a rule. They leave when the hub has all that was
 * read; when it has lost some of it, the broker is asked for it again, by a new connection. Should
 * that happen twice in a row, the hub will never take it. */
static enum turn
write_out(struct device *d)
{
    struct mqtt *s = d->state;
    if (!mqtt_link_wants_write(s->link)) {
        return GOES_ON;
    }
    const enum device_safety safety = device_safety(d);
    if (safety == DEVICE_ON_THE_WAY) {
        return HOLDS;
    }
    if (s->has_taken) {
        const bool asks = safety == DEVICE_LOST && !s->has_asked_again &&
                          options_number(&d->options, "clean") == 0;
        s->has_taken = false;
        s->has_asked_again = asks;
        if (asks) {
            lose(d, "the hub did not take what came: the broker is asked for it again");
            return ENDED;
        }
    }
    if (!mqtt_link_write(s->link)) {
        lose(d, s->link->why);
        return ENDED;
    }
    return GOES_ON;
}

/* HOLDS: there is nothing more to read, or it may not be read. */
static enum turn
read_in(struct device *d)
{
    struct mqtt *s = d->state;
    for (int i = 0; i < READS_MAX && device_is_open(d); i++) {
        const enum mqtt_read got = mqtt_link_read(s->link);
        if (got == MQTT_ENDED) {
            lose(d, s->link->why);
            return ENDED;
        }
        if (got == MQTT_NOTHING) {
            return i > 0 ? GOES_ON : HOLDS;
        }
    }
    return device_is_open(d) ? GOES_ON : HOLDS;
}

short
mqtt_pump(struct device *d)
{
    struct mqtt *s = d->state;
    enum turn turn = GOES_ON;
    bool is_held = false;
    for (int i = 0; i < TURNS_MAX && turn == GOES_ON; i++) {
        turn = write_out(d);
        is_held = turn == HOLDS;
        turn = turn == GOES_ON ? read_in(d) : turn;
    }
    if (turn == ENDED) {
        return 0;
    }
    /* A rest is no reason to wait: there is room to write at once. */
    const bool has_rest = device_is_open(d) && mqtt_link_has_rest(s->link);
    const bool writes = has_rest || mqtt_link_wants_write(s->link);
    /* While it is held the hub's next answer goes on. */
    const unsigned flags = is_held ? 0 : DEVICE_READ | (writes ? DEVICE_WRITE : 0U);
    device_watch(d, s->link->fd, flags, ready, NULL);
    const int reads = device_is_open(d) ? POLLIN : 0;
    return (short)(is_held ? 0 : reads | (writes ? POLLOUT : 0));
}

static void
ready(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    (void)context;
    (void)mqtt_pump(d);
}

static void
hub_answered(struct device *d)
{
    const struct mqtt *s = d->state;
    if (s->link->fd >= 0) {
        (void)mqtt_pump(d);
    }
}

static void
tend(struct device *d, uint64_t times, void *context)
{
    (void)times;
    (void)context;
    struct mqtt *s = d->state;
    device_timer_set(&s->pulse, mqtt_link_pulse_ms(s->link));
    mqtt_sender_tend(d);
    if (s->is_up) {
        /* Not as soon as it is up: two of one client_id that throw each other out get slower. */
        retry_done(d, &s->retry);
    }
    if (s->link->fd >= 0 && !device_is_open(d)) {
        mqtt_link_ping(s->link);
    } else if (s->link->fd >= 0) {
        (void)mqtt_pump(d); /* first, so that an answer that is there is seen */
    }
    if (s->link->fd >= 0 && device_is_open(d)) {
        if (mqtt_link_tend(s->link)) {
            (void)mqtt_pump(d);
        } else {
            lose(d, s->link->why);
        }
    }
}

/* ---- beginning and end ------------------------------------------------------------------------
 */

static void
opened(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    (void)context;
    struct mqtt *s = d->state;
    device_watch(d, fd, 0, NULL, NULL);
    if (mqtt_link_opened(s->link)) {
        device_timer_set(&s->patience, MQTT_CONNECT_MS_MAX);
        (void)mqtt_pump(d);
    } else {
        lose(d, s->link->why);
    }
}

static void
too_late(struct device *d, uint64_t times, void *context)
{
    (void)times;
    (void)context;
    struct mqtt *s = d->state;
    if (!device_is_open(d)) {
        device_timer_set(&s->patience, MQTT_CONNECT_MS_MAX); /* it may lie there, unread */
    } else if (s->link->is_opening) {
        device_down(d, "no answer", NULL); /* the system goes on trying, and says when it is over */
    } else {
        lose(d, "no answer");
    }
}

static void
attempt(struct device *d)
{
    struct mqtt *s = d->state;
    if (!mqtt_link_open(s->link) ||
        !device_watch(d, s->link->done_fd, DEVICE_ALWAYS, opened, NULL)) {
        retry_later(d, &s->retry, s->link->why);
        return;
    }
    device_timer_set(&s->patience, MQTT_CONNECT_MS_MAX);
}

static bool
set_will(struct mqtt_link *link, const struct options *options)
{
    const char *topic = options_text(options, "will_topic");
    const char *payload = options_text(options, "will_payload");
    return topic == NULL ||
           mosquitto_will_set(link->m, topic, payload != NULL ? (int)strlen(payload) : 0, payload,
                              (int)options_number(options, "will_qos"),
                              options_number(options, "will_retain") != 0) == MOSQ_ERR_SUCCESS;
}

static prong_err
start(struct device *d)
{
    struct mqtt *s = d->state;
    char host[64] = "";
    const char *id = options_text(&d->options, "client_id");
    (void)gethostname(host, sizeof host - 1); /* without a name the device's has to do */
    snprintf(s->id, sizeof s->id, id != NULL ? "%s" : "prong-%s-%s", id != NULL ? id : d->name,
             host);
    if (mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    s->link = mqtt_link_new(&d->options, s->id, options_number(&d->options, "clean") != 0, d);
    if (s->link == NULL || !set_will(s->link, &d->options) ||
        !mqtt_filters_load(&s->filters, &d->options)) {
        device_log(d, 3, "no memory, or the will is none");
        return PRONG_RESOURCE_EXHAUSTED;
    }
    mosquitto_connect_v5_callback_set(s->link->m, answered_connect);
    mosquitto_subscribe_v5_callback_set(s->link->m, subscribed);
    mosquitto_unsubscribe_v5_callback_set(s->link->m, unsubscribed);
    mosquitto_message_v5_callback_set(s->link->m, came);
    if (!device_timer_start(d, &s->patience, too_late, NULL) ||
        !device_timer_start(d, &s->pulse, tend, NULL) || !retry_start(d, &s->retry, attempt)) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    device_timer_set(&s->pulse, mqtt_link_pulse_ms(s->link));
    return PRONG_OK;
}

/* Acknowledge what the hub has, and leave in order; what it has not comes again. */
static void
say_goodbye(struct device *d)
{
    struct mqtt *s = d->state;
    const int64_t until_ns = stamp_now().mono_ns + GOODBYE_NS;
    enum device_safety safety = device_safety(d);
    while (safety == DEVICE_ON_THE_WAY && stamp_now().mono_ns < until_ns &&
           prong_client_is_connected(d->client)) {
        (void)prong_dispatch(d->client, 50); /* the next look tells */
        safety = device_safety(d);
    }
    if (safety == DEVICE_SAFE) {
        mqtt_link_leave(s->link);
    }
}

static void
stop(struct device *d)
{
    struct mqtt *s = d->state;
    const bool is_opening = s->link->is_opening;
    if (s->is_up) {
        say_goodbye(d);
    }
    if (s->link->fd >= 0) {
        device_watch(d, s->link->fd, 0, NULL, NULL);
    }
    device_watch(d, s->link->done_fd, 0, NULL, NULL);
    device_timer_stop(d, &s->patience);
    device_timer_stop(d, &s->pulse);
    retry_stop(d, &s->retry);
    mqtt_link_free(s->link);
    s->link = NULL;
    mqtt_filters_deinit(&s->filters);
    if (mqtt_sender_stop(d) && !is_opening) {
        (void)mosquitto_lib_cleanup(); /* nobody uses it any more */
    }
}

enum { STAT_PAIRS = 4 };

static void
stats(struct device *d, prong_writer *out)
{
    const struct mqtt *s = d->state;
    prong_writer_key(out, "client_id");
    prong_writer_string(out, s->id);
    prong_writer_key(out, "session");
    prong_writer_bool(out, s->has_session);
    prong_writer_key(out, "unwanted");
    prong_writer_uint(out, s->unwanted);
    prong_writer_key(out, "topics");
    mqtt_filters_write(&s->filters, out);
}

int
main(void)
{
    static const struct device_method methods[] = {
        {"publish", mqtt_publish, PRONG_ONCE,
         "publish payload at topic, with qos, retain and properties",
         "topic payload qos retain properties"},
        {"subscribe", mqtt_subscribe, PRONG_IDEMPOTENT,
         "take messages of topic, a filter, with qos, while the device lives", "topic qos"},
        {"unsubscribe", mqtt_unsubscribe, PRONG_IDEMPOTENT,
         "take no more of them: topic, as it was subscribed to", "topic"},
    };
    const struct device_kind_ops kinds[] = {{
        .kind = "mqtt",
        .state_size = sizeof(struct mqtt),
        .start = start,
        .stop = stop,
        .answered = hub_answered,
        .send = mqtt_send,
        .stats = stats,
        .stat_count = STAT_PAIRS,
        .methods = methods,
        .method_count = sizeof methods / sizeof methods[0],
    }};
    return device_main(kinds, sizeof kinds / sizeof kinds[0]);
}
