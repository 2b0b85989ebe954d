/* The device prong-modbus: what its thread, which speaks with the unit (talk.c, scan.c), and its
 * worker's thread, which tells events (main.c) and answers methods (methods.c), have in common. */
#ifndef PRONG_DEVICES_MODBUS_KIND_H
#define PRONG_DEVICES_MODBUS_KIND_H

#include <pthread.h>

#include "client/devices/device.h"
#include "client/devices/modbus/bus.h"
#include "client/devices/modbus/plan.h"
#include "client/devices/modbus/value.h"

/* Counted by the thread. */
struct modbus_counts {
    uint64_t bytes;      /* of values that were read: two a register, one a bit */
    uint64_t requests;   /* that were answered, by an exception too */
    uint64_t exceptions; /* of them */
    uint64_t timeouts, malformed, reconnects, errors, dropped;
    uint64_t late; /* readings that were left out because the ones before took too long */
};

/* What the thread has to tell. */
struct modbus_note {
    struct modbus_note *next;
    enum { MODBUS_UP, MODBUS_DOWN, MODBUS_DATA, MODBUS_FAULT } what;
    struct stamp stamp;
    int exception;                  /* FAULT; -1: none */
    char why[DEVICE_WHY_BYTES_MAX]; /* UP: the peer */
    size_t len;
    uint8_t value[]; /* DATA: a map of points and values. FAULT: an array of points */
};

/* What is known about a point; the thread's own. */
struct modbus_cell {
    size_t at;     /* of its words in `last` */
    bool is_known; /* `last` has what was told last */
    bool is_news;  /* while an answer is looked at */
    int fault;     /* told as not readable: 0 it is not, else see scan.c */
};

/* A part of what a method asks for: one request to the unit, or two. */
struct modbus_step {
    enum modbus_table table;
    uint16_t address, count;
    int bit;         /* of a register that is written; -1: all of it */
    uint16_t *words; /* to write, or what was read */
};

/* Methods run one after the other, so there is one at a time. */
struct modbus_request {
    bool is_write;
    struct modbus_step *steps;
    size_t count;
    /* Filled by the thread. */
    size_t done;            /* steps that the unit has confirmed */
    struct bus_error error; /* of the one behind them; BUS_FINE and PRONG_OK when there is none */
};

enum modbus_stage {
    MODBUS_IDLE,
    MODBUS_WAITING, /* for the thread to begin; may be taken back */
    MODBUS_RUNNING,
    MODBUS_DONE,
    MODBUS_OVER, /* the thread has ended: nothing begins any more */
};

struct modbus {
    /* Constant while the thread runs. */
    prong_worker *worker;
    struct bus_options bus_options;
    struct modbus_point *points;
    const char **names;
    size_t count;
    int64_t poll_ns;
    bool tells_all; /* each reading, changed or not */
    int wake_fd;    /* the thread looks up: a request, paused, resumed, notes were taken */
    int note_fd;    /* the worker's thread looks up: there is a note */
    int done_fd;    /* the method that waits looks up */

    /* The thread's own, until it has ended. */
    struct bus *bus; /* NULL: not connected */
    struct backoff backoff;
    int64_t try_ns;                 /* not before this; 0: at once */
    char why[DEVICE_WHY_BYTES_MAX]; /* it is not connected */
    int64_t opened_ns;              /* when it was connected */
    bool is_up;                     /* told so: somebody has answered */
    bool was_held;
    struct plan plan;
    struct modbus_cell *cells;
    uint16_t *last;
    prong_writer *value, *scratch;

    /* Guarded by the lock. */
    pthread_mutex_t lock;
    bool is_held;     /* nothing is read on its own: paused, or the hub takes no more */
    bool is_unwanted; /* nobody waits for the request any more: nothing more of it begins */
    enum modbus_stage stage;
    struct modbus_request *request;
    struct modbus_note *first, *last_note;
    size_t untold; /* notes that are there or being told */
    struct modbus_counts counts;
};

/* The thread: see `loop` in device.h. */
void modbus_talk(prong_worker *worker, void *device);

/* talk.c, for scan.c: */
void modbus_count(struct modbus *m, uint64_t *counter, uint64_t more);
/* `value` may be NULL. */
void modbus_tell(struct modbus *m, const struct modbus_note *note, const prong_value *value);
/* Somebody has answered: it is up. */
void modbus_answered(struct modbus *m);
/* The connection is of no more use. */
void modbus_lose(struct modbus *m, const struct bus_error *error);

/* scan.c: forget what is known, and read all points as soon as may be. */
void modbus_scan_begin(struct modbus *m);
/* When the next points are due; INT64_MAX without points. */
int64_t modbus_scan_due(const struct modbus *m);
/* Read what is due first. */
void modbus_scan_next(struct modbus *m);

/* methods.c */
prong_err modbus_call_read(prong_job *job, const prong_value *args, void *context);
prong_err modbus_call_write(prong_job *job, const prong_value *args, void *context);

#endif
