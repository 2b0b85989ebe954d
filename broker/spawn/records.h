/* What the spawner and the broker say to each other, over an inherited SOCK_SEQPACKET pair.
 *
 * One datagram is one `struct spawn_record`, for SPAWN_START followed by `text_bytes` of
 * NUL-terminated strings. Both ends are built from this header and run on one machine, so plain
 * structs in host order; the first field says the version all the same. No msgpack: the spawner is
 * libc only.
 *
 * Every broker, the first one too, is greeted with what the spawner knows: SPAWN_ALIVE per living
 * worker, SPAWN_EXITED or SPAWN_FAILED per end that no broker has acknowledged, SPAWN_ALIVE_END,
 * and SPAWN_STOP if a stop was asked for. So a broker waits for SPAWN_ALIVE_END before it decides
 * anything, and what it remembers as running but was not told of is gone. A worker that was being
 * born while brokers changed follows with SPAWN_STARTED or SPAWN_FAILED.
 *
 * The end of a worker is repeated to every new broker until one says SPAWN_FORGET, because a record
 * that lay unread in the socket of a broker dies with it. What the worker wrote last goes the same
 * way: the spawner keeps the read end of the output until then. */
#ifndef PRONG_BROKER_SPAWN_RECORDS_H
#define PRONG_BROKER_SPAWN_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/spawn/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SPAWN_RECORDS_VERSION = 3,
    SPAWN_TEXT_BYTES_MAX = 128 * 1024, /* argv, environment, folder, limits of one worker */
    SPAWN_NAME_BYTES_MAX = 80,         /* "name/replica" and the NUL */
    SPAWN_WHY_BYTES = 96,              /* of a reason for people, with the NUL */
    SPAWN_BROKER_FD = 3,               /* the broker's end of the pair, at this number after exec */
    SPAWN_CHILDREN_MAX = 4096,         /* workers that live or are being born */
    SPAWN_ENDED_MAX = 256, /* ends kept for SPAWN_FORGET; the oldest is dropped beyond that */
};

/* In the id of a process: it is the template of a worker, from which members are forked
 * (template.h), "detector/template". The spawner starts and ends it by itself; a broker is told of
 * it for its output, and says SPAWN_FORGET. */
#define SPAWN_TEMPLATE (UINT64_C(1) << 63)

/* Files of the runtime directory that the broker writes and prongd removes at the end, for they
 * have secrets in them: what the configuration came to, and the same until it is complete. */
#define SPAWN_FILE_CONFIG     "config.last"
#define SPAWN_FILE_CONFIG_NEW "config.last.new"

enum spawn_op {
    /* broker to spawner */
    SPAWN_START = 1, /* id, argc, envc, limitc, name, template_key; status: enum spawn_input; text:
                        working folder, argv..., environment..., limits... (limits.h) */
    SPAWN_SIGNAL,    /* id, signal, whole_group: 1 the process group, 0 the process alone */
    SPAWN_READY,     /* every autostart worker is ready: the keeper tells the service manager */
    SPAWN_STOPPING, /* a stop has begun (sd_notify STOPPING=1); status: 0, or that of the SPAWN_STOP
                       that it answers. A broker that does not answer is killed (stop.h). */
    SPAWN_END,      /* all is stopped as asked: sweep, exit with `status` (0..255) */
    SPAWN_FORGET,   /* id: its end was noted for good and need not be told to a later broker */
    SPAWN_STOP_TIMEOUT, /* status: hub.stop_timeout in milliseconds. Neither keeper nor spawner
                           reads the configuration, and a stop has to end though the broker hangs */
    SPAWN_INPUT_END,    /* id: nothing more is for its stdin, whose end it is to see */
    SPAWN_PONG,         /* the answer to a SPAWN_PING: the broker's loop turns */
    SPAWN_RELOADED,     /* the answer to a SPAWN_RELOAD, once it is carried out or refused */
    /* spawner to broker; all carry `epoch`, those with an id carry `name`, too */
    SPAWN_STARTED = 32, /* id, pid, time_ns; with the read end of the worker's output (one fd) */
    SPAWN_FAILED,       /* id, step, error, time_ns: no worker came of that SPAWN_START; of one with
                           a template also why, and status if the template ended. With step
                           SPAWN_STEP_SIGNAL it answers a SPAWN_SIGNAL (`signal`) that could not be
                           sent, mostly because the worker has just ended: nothing ended by it. */
    SPAWN_EXITED,       /* id, pid, status (as waitpid gives it), time_ns, out_of_memory; told to a
                           later broker than the one that saw the worker live, it carries the
                           output's fd */
    SPAWN_ALIVE,        /* id, pid, time_ns of its start; with the output's fd */
    SPAWN_ALIVE_END,    /* all that is known was told */
    SPAWN_STOP,         /* SIGTERM or SIGINT: end everything in order. status 1: as configured;
                           2: asked twice, use a short budget. (A third time kills all at once,
                           without the broker.) Told to a later broker than the one that was asked
                           first, time_ns is that of the first time: the budget is one */
    SPAWN_RELOAD,       /* the keeper got SIGHUP */
    SPAWN_INPUT,        /* id; with the write end of the worker's stdin. Follows SPAWN_STARTED and
                           SPAWN_ALIVE of a worker that has one which was not ended */
    SPAWN_REOPEN,       /* the keeper got SIGUSR1: log files are to be opened anew */
    SPAWN_PING,         /* only when a service manager asked for a watchdog; one at a time */
};

/* What a worker has as its stdin. */
enum spawn_input {
    SPAWN_INPUT_NULL, /* /dev/null */
    SPAWN_INPUT_PIPE, /* a pipe, see SPAWN_INPUT */
};

/* Where a child failed before it ran its program; the text stands in spawn_step_text(). */
enum spawn_step {
    SPAWN_STEP_NONE,
    SPAWN_STEP_RECORD, /* the request itself was malformed, too large, or its id is taken (EEXIST)
                        */
    SPAWN_STEP_PIPE,
    SPAWN_STEP_FORK, /* also: SPAWN_CHILDREN_MAX live (EAGAIN) */
    SPAWN_STEP_SESSION,
    SPAWN_STEP_SIGNALS,
    SPAWN_STEP_OUTPUT,
    SPAWN_STEP_FDS,
    SPAWN_STEP_FOLDER,
    SPAWN_STEP_EXEC,
    SPAWN_STEP_SIGNAL,   /* not of a start: see SPAWN_FAILED */
    SPAWN_STEP_TEMPLATE, /* being forked by its template */
/* One for each limit, in the order of enum limit. */
#define LIMIT(id, key, accepts) SPAWN_STEP_##id,
#include "broker/spawn/limits.def"
    SPAWN_STEP_COUNT,
};

struct spawn_record {
    uint16_t version, op;
    int32_t pid;
    /* Chosen by the broker, not 0, never used twice: one incarnation of one replica. The broker
     * also puts it into the worker's environment as PRONG_INCARNATION, in decimal: by that the
     * spawner knows to which worker a daemonised process belongs (orphans.h). */
    uint64_t id;
    int32_t status, signal, step, error;
    uint32_t argc, envc, limitc, text_bytes;
    uint32_t whole_group;
    uint32_t out_of_memory; /* 1: the kernel killed in its cgroup for want of memory */
    uint64_t epoch;         /* counts the brokers of this hub, from 1 */
    int64_t time_ns;        /* CLOCK_MONOTONIC of what is told */
    uint64_t template_key;  /* not 0: it is forked by the template of its worker that was started
                               with this key; one with another key has had its time */
    char name[SPAWN_NAME_BYTES_MAX]; /* for people: "detector/0" */
    char why[SPAWN_WHY_BYTES];       /* for people, printable; "": the errno says it */
};

/* What became of one attempt to send or receive a record. */
enum spawn_io {
    SPAWN_IO_DONE,
    SPAWN_IO_LATER,   /* the socket is full or empty: wait for it with poll */
    SPAWN_IO_NO_ROOM, /* the system is short of memory or descriptors: try again in a while */
    SPAWN_IO_CLOSED,  /* the other end is gone */
    SPAWN_IO_JUNK,    /* a datagram came that is no record of this version */
};

/* The text of a step for people ("working folder"); static. Never NULL, also for foreign numbers.
 */
const char *spawn_step_text(enum spawn_step step);

/* True for an errno by which a start fails now, though it may succeed later: what the system is
 * short of for a while, or a program that is being written at this moment. */
bool spawn_error_passes(int error);

/* The limit whose step this is; LIMIT_COUNT if it is another one. */
enum limit spawn_step_limit(enum spawn_step step);

/* Write folder, argv and environment into `text` and set op, version, argc, envc, limitc (to none)
 * and text_bytes of `record` to match: what a SPAWN_START needs besides id and name.
 *
 *   text           caller's storage of `capacity` bytes
 *   folder         borrowed; "" or NULL: the worker starts in the hub's own folder
 *   argv, envp     borrowed, NULL-terminated
 *
 * Returns false, with nothing of `record` changed, if it does not fit `capacity` or
 * SPAWN_TEXT_BYTES_MAX, or argv is empty. */
bool spawn_text_pack(struct spawn_record *record, char *text, size_t capacity, const char *folder,
                     char *const argv[], char *const envp[]);

/* Append one limit, KEY=VALUE, to what spawn_text_pack wrote; false, with nothing changed, if it
 * does not fit `capacity` or SPAWN_TEXT_BYTES_MAX. */
bool spawn_text_limit(struct spawn_record *record, char *text, size_t capacity,
                      const char *setting);

/* True if a SPAWN_START can be trusted: `record->text_bytes` bytes of text hold exactly a folder,
 * argc >= 1 arguments of which the first is not empty, envc entries with '=' behind a name and
 * limitc limits that limits_add takes, and id and name are set, the name NUL-terminated and
 * printable. */
bool spawn_start_check(const struct spawn_record *record, const char *text);

/* Send one record without waiting.
 *
 *   text       borrowed, record->text_bytes bytes; NULL if that is 0
 *   passed_fd  borrowed; sent along if >= 0
 *
 * Returns DONE, LATER, NO_ROOM or CLOSED. */
enum spawn_io spawn_record_send(int socket, const struct spawn_record *record, const char *text,
                                int passed_fd);

/* Receive one record without waiting.
 *
 *   record         filled if DONE; with JUNK filled as far as it came, id 0 if it did not come
 *   text           caller's storage of `capacity` bytes, may be NULL if `capacity` is 0
 *   passed_fd      -1 or a descriptor that the caller owns from now on, close-on-exec; NULL
 *                  refuses descriptors (they are closed by the kernel)
 *
 * Returns DONE, LATER, NO_ROOM, CLOSED or JUNK. A record whose text does not fit is JUNK. */
enum spawn_io spawn_record_receive(int socket, struct spawn_record *record, char *text,
                                   size_t capacity, int *passed_fd);

#ifdef __cplusplus
}
#endif
#endif
