/* What the spawner and the broker say to each other, over an inherited SOCK_SEQPACKET pair.
 *
 * One datagram is one `struct spawn_record`, for SPAWN followed by `text_bytes` of NUL-terminated
 * strings. Both ends are built from this header and run on one machine, so plain structs in host
 * order; the first field says the version all the same. No msgpack: the spawner is libc only. */
#ifndef PRONG_SPAWN_RECORDS_H
#define PRONG_SPAWN_RECORDS_H

#include <stdint.h>

enum {
    SPAWN_RECORDS_VERSION = 1,
    SPAWN_TEXT_BYTES_MAX = 128 * 1024, /* argv, environment and folder of one worker together */
    SPAWN_NAME_BYTES_MAX = 80,         /* "name/replica" and the NUL */
    SPAWN_BROKER_FD = 3,               /* the broker's end of the pair, at this number after exec */
    SPAWN_CHILDREN_MAX = 4096,
};

enum spawn_op {
    /* broker to spawner */
    SPAWN_START = 1, /* id, argc, envc, name; text: working folder, argv..., environment... */
    SPAWN_SIGNAL,    /* id, signal, whole_group: 1 the process group, 0 the process alone */
    SPAWN_READY,     /* every autostart worker is ready: the keeper says so to the service manager */
    SPAWN_STOPPING,  /* a stop has begun (sd_notify STOPPING=1) */
    SPAWN_END,       /* all is stopped as asked: sweep, exit with `status` */
    /* spawner to broker */
    SPAWN_STARTED = 32, /* id, pid, time_ns; carries the read end of the worker's output (one fd) */
    SPAWN_FAILED,       /* id, step, error: the child could not be made or could not exec */
    SPAWN_EXITED,       /* id, pid, status (as waitpid gives it), time_ns */
    SPAWN_ALIVE,        /* id, pid, name, one per living worker, with fd: to a broker that was started anew */
    SPAWN_ALIVE_END,    /* all living workers were told; epoch */
    SPAWN_STOP,         /* the keeper was asked to stop (SIGTERM, SIGINT): end everything in order */
    SPAWN_RELOAD,       /* the keeper got SIGHUP */
};

/* Where a child failed before it ran its program; the text stands in spawn_step_text(). */
enum spawn_step {
    SPAWN_STEP_NONE,
    SPAWN_STEP_RECORD, /* the request itself was malformed or too large */
    SPAWN_STEP_PIPE,
    SPAWN_STEP_FORK,
    SPAWN_STEP_SESSION,
    SPAWN_STEP_SIGNALS,
    SPAWN_STEP_OUTPUT,
    SPAWN_STEP_FDS,
    SPAWN_STEP_FOLDER,
    SPAWN_STEP_EXEC,
    SPAWN_STEP_COUNT,
};

struct spawn_record {
    uint16_t version, op;
    int32_t pid;
    uint64_t id; /* chosen by the broker, never used twice: one incarnation of one replica */
    int32_t status, signal, step, error;
    uint32_t argc, envc, text_bytes, whole_group;
    uint64_t epoch;   /* counts the brokers of this hub, from 1 */
    int64_t time_ns;  /* CLOCK_MONOTONIC of what is told */
    char name[SPAWN_NAME_BYTES_MAX]; /* shown in /proc/PID/comm, cut to 15 bytes there */
};

const char *spawn_step_text(enum spawn_step step);

#endif
