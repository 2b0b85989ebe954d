/* One connection to a broker of MQTT, through libmosquitto.
 *
 * All of it runs in the worker's thread but the looking up of the name and the connecting itself,
 * which may take minutes and have a thread as long as they do. What the library wants to write is
 * written only by mqtt_link_write: an acknowledgement does not leave before it is called. */
#ifndef PRONG_DEVICES_MQTT_LINK_H
#define PRONG_DEVICES_MQTT_LINK_H

#include <mosquitto.h>
#include <pthread.h>

#include "client/devices/device.h"

enum { MQTT_CONNECT_MS_MAX = 10000 };

struct mqtt_link {
    struct mosquitto *m; /* its callbacks get the link */
    void *context;
    int done_fd; /* readable when the thread has ended */
    int fd;      /* of the connection, to wait for; -1: none */
    bool is_opening;
    int keepalive_s;
    char why[DEVICE_WHY_BYTES_MAX]; /* it has ended, or was not made */

    /* Private. */
    const struct options *options;
    bool is_clean;
    pthread_t thread;
    mosquitto_property *properties;
    int code, error; /* of the thread */
};

/* A link without a connection. `id` is its name for the broker, `is_clean` that the broker forgets
 * it. Owned, freed with mqtt_link_free. NULL when memory or descriptors are out. */
struct mqtt_link *mqtt_link_new(const struct options *options, const char *id, bool is_clean,
                                void *context);
/* Accepts NULL. One that is being opened is left to its thread. */
void mqtt_link_free(struct mqtt_link *link);

/* Begin to connect: `done_fd` gets readable when mqtt_link_opened is to be called. False with `why`
 * when that is not possible. */
bool mqtt_link_open(struct mqtt_link *link);
/* Whether there is a connection; if not, `why`. */
bool mqtt_link_opened(struct mqtt_link *link);
/* For the callback of the answer to a connection: note what it says. */
void mqtt_link_refused(struct mqtt_link *link, int code);
void mqtt_link_accepted(struct mqtt_link *link, const mosquitto_property *properties);
/* Take what has come, one packet as a rule. */
enum mqtt_read { MQTT_NOTHING, MQTT_SOME, MQTT_ENDED };
enum mqtt_read mqtt_link_read(struct mqtt_link *link);
/* Whether TLS holds bytes that were not taken yet: the descriptor does not tell of them. */
bool mqtt_link_has_rest(const struct mqtt_link *link);
/* Write what is to be written as far as it goes; false when the connection has ended. */
bool mqtt_link_write(struct mqtt_link *link);
bool mqtt_link_wants_write(const struct mqtt_link *link);
/* Look after the keepalive, each mqtt_link_pulse_ms; false when the connection has ended. */
bool mqtt_link_tend(struct mqtt_link *link);
int64_t mqtt_link_pulse_ms(const struct mqtt_link *link);
/* Tell the broker that somebody is here while nothing is read. */
void mqtt_link_ping(struct mqtt_link *link);
/* Say goodbye, so that the broker does not execute the will; then mqtt_link_close. */
void mqtt_link_leave(struct mqtt_link *link);
/* End the connection, if there is one, and forget what is not written. The link can be opened
 * again, and knows then which messages of qos 2 it has got. */
void mqtt_link_close(struct mqtt_link *link);

#endif
