/* What the device prong-mqtt is subscribed to: filters of the configuration, and those that methods
 * add and take out. They are wished for as long as the process lives: a connection to a broker that
 * does not know the device any more asks for all of them, one to a broker that does for those that
 * it has not answered. */
#ifndef PRONG_DEVICES_MQTT_FILTERS_H
#define PRONG_DEVICES_MQTT_FILTERS_H

#include <mosquitto.h>
#include <prong/value.h>

#include "client/devices/options.h"

enum {
    MQTT_FILTERS_MAX = 128,       /* those of the configuration, 64 at most, among them */
    MQTT_FILTER_BYTES_MAX = 1024, /* of one that a method adds */
    MQTT_REFUSED = 128,           /* an answer from here on is a refusal */
};

enum mqtt_filter_state {
    MQTT_FILTER_NEW, /* the broker has not answered yet */
    MQTT_FILTER_STANDS,
    MQTT_FILTER_REFUSED,
    MQTT_FILTER_LEAVING, /* until the broker has confirmed it; nothing is told of it any more */
};

struct mqtt_filter {
    char *text; /* owned; NULL: the place is free */
    int qos;    /* that was asked for */
    int answer; /* of the broker: the qos that it grants, or why not */
    int mid;    /* of the packet whose answer is waited for; 0: none */
    enum mqtt_filter_state state;
};

struct mqtt_filters {
    struct mqtt_filter at[MQTT_FILTERS_MAX]; /* one stays where it is */
};

/* Those of the configuration. False without memory. */
bool mqtt_filters_load(struct mqtt_filters *f, const struct options *options);
void mqtt_filters_deinit(struct mqtt_filters *f);
/* The one with this text, or NULL. */
struct mqtt_filter *mqtt_filters_find(struct mqtt_filters *f, const char *text);
/* One more, new; `text` is copied. NULL when there are too many, or no memory. */
struct mqtt_filter *mqtt_filters_add(struct mqtt_filters *f, const char *text, int qos);
/* Accepts one that is gone. */
void mqtt_filter_remove(struct mqtt_filter *filter);
/* Whether a message with this topic is one of those that are wished for. */
bool mqtt_filters_want(const struct mqtt_filters *f, const char *topic);

/* A connection was made: ask for what this broker has not got, which is all without a session.
 * Returns what the library says. */
int mqtt_filters_ask(struct mqtt_filters *f, struct mosquitto *m, bool has_session);
/* Whether the answer to a subscription is waited for. */
bool mqtt_filters_wait(const struct mqtt_filters *f);
/* Pass by the filters of the packet `mid` one after the other: NULL first, then the one before.
 * NULL after the last one. */
struct mqtt_filter *mqtt_filters_next(struct mqtt_filters *f, int mid, struct mqtt_filter *before);
/* Why the broker refuses it. */
const char *mqtt_filter_why(const struct mqtt_filter *filter);
/* A map of those that are wished for with the qos that the broker grants, or nil. */
void mqtt_filters_write(const struct mqtt_filters *f, prong_writer *out);

#endif
