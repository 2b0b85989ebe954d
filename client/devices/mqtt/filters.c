/* What the device is subscribed to: see filters.h. */
#include "client/devices/mqtt/filters.h"

#include <stdlib.h>
#include <string.h>

#include "proto/device/mqtt.h"

/* ---- the table --------------------------------------------------------------------------------
 */

static bool
is_wished(const struct mqtt_filter *filter)
{
    return filter->text != NULL && filter->state != MQTT_FILTER_LEAVING;
}

bool
mqtt_filters_load(struct mqtt_filters *f, const struct options *options)
{
    const int qos = (int)options_number(options, "qos");
    for (size_t i = 0; i < options_count(options, "topics"); i++) {
        const char *text = options_item(options, "topics", i);
        if (mqtt_filters_find(f, text) == NULL && mqtt_filters_add(f, text, qos) == NULL) {
            return false;
        }
    }
    return true;
}

void
mqtt_filters_deinit(struct mqtt_filters *f)
{
    for (size_t i = 0; i < MQTT_FILTERS_MAX; i++) {
        mqtt_filter_remove(&f->at[i]);
    }
}

struct mqtt_filter *
mqtt_filters_find(struct mqtt_filters *f, const char *text)
{
    for (size_t i = 0; i < MQTT_FILTERS_MAX; i++) {
        if (f->at[i].text != NULL && strcmp(f->at[i].text, text) == 0) {
            return &f->at[i];
        }
    }
    return NULL;
}

struct mqtt_filter *
mqtt_filters_add(struct mqtt_filters *f, const char *text, int qos)
{
    for (size_t i = 0; i < MQTT_FILTERS_MAX; i++) {
        if (f->at[i].text == NULL) {
            f->at[i] = (struct mqtt_filter){.text = strdup(text), .qos = qos};
            return f->at[i].text != NULL ? &f->at[i] : NULL;
        }
    }
    return NULL;
}

void
mqtt_filter_remove(struct mqtt_filter *filter)
{
    free(filter->text);
    *filter = (struct mqtt_filter){0};
}

bool
mqtt_filters_want(const struct mqtt_filters *f, const char *topic)
{
    bool is_match = false;
    for (size_t i = 0; i < MQTT_FILTERS_MAX && !is_match; i++) {
        const struct mqtt_filter *filter = &f->at[i];
        if (is_wished(filter) && mosquitto_topic_matches_sub(mqtt_unshared(filter->text), topic,
                                                             &is_match) != MOSQ_ERR_SUCCESS) {
            is_match = false;
        }
    }
    return is_match;
}

const char *
mqtt_filter_why(const struct mqtt_filter *filter)
{
    return filter->answer == MQTT_REFUSED ? "the broker does not say why"
                                          : mosquitto_reason_string(filter->answer);
}

void
mqtt_filters_write(const struct mqtt_filters *f, prong_writer *out)
{
    uint32_t count = 0;
    for (size_t i = 0; i < MQTT_FILTERS_MAX; i++) {
        count += is_wished(&f->at[i]);
    }
    prong_writer_map(out, count);
    for (size_t i = 0; i < MQTT_FILTERS_MAX; i++) {
        const struct mqtt_filter *filter = &f->at[i];
        if (!is_wished(filter)) {
            continue;
        }
        prong_writer_key(out, filter->text);
        if (filter->state == MQTT_FILTER_STANDS) {
            prong_writer_int(out, filter->answer);
        } else {
            prong_writer_nil(out);
        }
    }
}

/* ---- asking -----------------------------------------------------------------------------------
 */

/* Each with a packet of its own, because all in one may be more than a broker takes, in bytes or in
 * filters: what it has taken one by one it takes again. */
static int
ask(struct mqtt_filter *filter, struct mosquitto *m)
{
    return filter->state == MQTT_FILTER_LEAVING
               ? mosquitto_unsubscribe_v5(m, &filter->mid, filter->text, NULL)
               : mosquitto_subscribe_v5(m, &filter->mid, filter->text, filter->qos, 0, NULL);
}

int
mqtt_filters_ask(struct mqtt_filters *f, struct mosquitto *m, bool has_session)
{
    int code = MOSQ_ERR_SUCCESS;
    for (size_t i = 0; i < MQTT_FILTERS_MAX; i++) {
        struct mqtt_filter *filter = &f->at[i];
        filter->mid = 0;
        if (filter->text != NULL && !has_session && filter->state == MQTT_FILTER_LEAVING) {
            mqtt_filter_remove(filter);
        } else if (filter->text != NULL && !has_session) {
            filter->state = MQTT_FILTER_NEW;
        }
        /* What a session has is not said again: all retained messages would come again. */
        if (filter->text != NULL && code == MOSQ_ERR_SUCCESS &&
            (filter->state == MQTT_FILTER_NEW || filter->state == MQTT_FILTER_LEAVING)) {
            code = ask(filter, m);
        }
    }
    return code;
}

bool
mqtt_filters_wait(const struct mqtt_filters *f)
{
    for (size_t i = 0; i < MQTT_FILTERS_MAX; i++) {
        if (is_wished(&f->at[i]) && f->at[i].mid != 0) {
            return true;
        }
    }
    return false;
}

struct mqtt_filter *
mqtt_filters_next(struct mqtt_filters *f, int mid, struct mqtt_filter *before)
{
    struct mqtt_filter *filter = before != NULL ? before + 1 : f->at;
    while (filter < f->at + MQTT_FILTERS_MAX && (filter->text == NULL || filter->mid != mid)) {
        filter++;
    }
    return filter < f->at + MQTT_FILTERS_MAX ? filter : NULL;
}
