/* The device prong-mqtt: what its reading part (main.c, subscribe.c) and its writing part
 * (publish.c) have in common. Each has a connection of its own, so that one that is held up does
 * not hold up the other, and what was published and not acknowledged dies with its connection. */
#ifndef PRONG_DEVICES_MQTT_KIND_H
#define PRONG_DEVICES_MQTT_KIND_H

#include "client/devices/mqtt/filters.h"
#include "client/devices/mqtt/link.h"

enum { MQTT_ID_BYTES_MAX = 300 };

/* The connection that publishes: made by the first call that needs it, and again by the next one
 * after it has ended. */
struct mqtt_sender {
    struct mqtt_link *link; /* NULL: none */
    bool is_up;
    int mid;    /* of what is on its way */
    int reason; /* how the broker took it */
    bool is_done;
};

struct mqtt {
    struct mqtt_link *link; /* that reads */
    struct retry retry;
    struct device_timer patience; /* runs while a connection is being made */
    struct device_timer pulse;    /* to look after the keepalive */
    struct mqtt_filters filters;
    int asked_mid;        /* of the packet whose answer a method waits for; 0: none */
    bool is_up;           /* and the broker has answered to the subscriptions */
    bool has_session;     /* the broker still knew the device */
    bool has_taken;       /* messages of qos 1 or 2 that are not acknowledged */
    bool has_asked_again; /* for what the hub had not taken; once in a row */
    uint64_t unwanted;    /* messages that no filter stands for */
    char id[MQTT_ID_BYTES_MAX];
    struct mqtt_sender sender;
};

/* main.c: acknowledge and read as far as it goes. Returns what to wait for at the connection until
 * it is called again: POLLIN, POLLOUT, or 0 when only the hub's next answer goes on. */
short mqtt_pump(struct device *d);

/* subscribe.c: the broker's answers (false: to nothing that was asked), and methods. */
bool mqtt_subscribed(struct device *d, int mid, int count, const int *granted);
void mqtt_unsubscribed(struct device *d, int mid);
prong_err mqtt_subscribe(prong_job *job, const prong_value *args, void *context);
prong_err mqtt_unsubscribe(prong_job *job, const prong_value *args, void *context);

/* publish.c */
prong_err mqtt_publish(prong_job *job, const prong_value *args, void *context);
prong_err mqtt_send(struct device *d, prong_job *job, const struct device_bytes *bytes,
                    const char *to);
/* Now and then, while the device lives. */
void mqtt_sender_tend(struct device *d);
/* False when a thread of it still runs. */
bool mqtt_sender_stop(struct device *d);

#endif
