/* What keeper and spawner say to each other over their SOCK_SEQPACKET pair. Both are one program,
 * so the record has no version. The exit code of the hub is the spawner's own exit status, and the
 * end of either is seen as the end of the pair. */
#ifndef PRONG_BROKER_SPAWN_CONTROL_H
#define PRONG_BROKER_SPAWN_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

enum control_op {
    CONTROL_NONE,
    /* keeper to spawner */
    CONTROL_STOP,   /* level 1: in order, 2: in a hurry */
    CONTROL_KILL,   /* sweep now and exit 0 */
    CONTROL_RELOAD, /* SIGHUP */
    CONTROL_REOPEN, /* SIGUSR1 */
    CONTROL_PING,   /* does the broker's loop turn? */
    /* spawner to keeper */
    CONTROL_READY,
    CONTROL_STOPPING,
    CONTROL_PONG,     /* it does */
    CONTROL_RELOADED, /* the reload is over, as the broker says or because it died with it */
};

struct control_record {
    int32_t op;
    int32_t level;
};

/* Send without waiting; false if it could not be sent. */
bool control_send(int socket, enum control_op op, int level);

/* What came from the other end. */
enum control_result {
    CONTROL_GOT,
    CONTROL_EMPTY,
    CONTROL_CLOSED, /* the other process is gone */
};

/* Receive without waiting. */
enum control_result control_receive(int socket, struct control_record *record);

#endif
