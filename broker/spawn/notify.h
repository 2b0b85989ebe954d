/* Telling the service manager (sd_notify(3)), without libsystemd. */
#ifndef PRONG_BROKER_SPAWN_NOTIFY_H
#define PRONG_BROKER_SPAWN_NOTIFY_H

#include <stdint.h>

#define NOTIFY_WATCHDOG_US_MAX INT64_C(31536000000000) /* a year */

enum notify_result {
    NOTIFY_SENT,
    NOTIFY_LATER, /* the receiver's queue is full: try again in a while */
    NOTIFY_FAILED /* the address is wrong or nobody is there */
};

/* Send `text` ("READY=1\n...") to the datagram socket `address`: a path, or "@name" in the abstract
 * namespace. Never waits. */
enum notify_result notify_send(const char *address, const char *text);

/* Within which time WATCHDOG=1 has to come again and again, in microseconds; 0: the service manager
 * did not ask this process for it, or said so in a way that cannot be read.
 *
 *   usec, pid   $WATCHDOG_USEC and $WATCHDOG_PID, each NULL if it is not set
 *   own_pid     of this process: with another one in $WATCHDOG_PID it was not meant */
int64_t notify_watchdog_us(const char *usec, const char *pid, long own_pid);

#endif
