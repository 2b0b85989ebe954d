/* Telling the service manager (sd_notify(3)), without libsystemd. */
#ifndef PRONG_BROKER_SPAWN_NOTIFY_H
#define PRONG_BROKER_SPAWN_NOTIFY_H

enum notify_result {
    NOTIFY_SENT,
    NOTIFY_LATER, /* the receiver's queue is full: try again in a while */
    NOTIFY_FAILED /* the address is wrong or nobody is there */
};

/* Send `text` ("READY=1\n...") to the datagram socket `address`: a path, or "@name" in the abstract
 * namespace. Never waits. */
enum notify_result notify_send(const char *address, const char *text);

#endif
