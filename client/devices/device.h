/* What every program of devices shares: the worker, the options, events with their stamps,
 * counters, back-pressure, and the methods pause, resume, stats and send.
 *
 * A program has a table of kinds (struct device_kind_ops) and calls device_main with it. Everything
 * runs in the worker's thread, one thing after the other; descriptors are waited for in its loop
 * (device_watch), and a kind never waits itself but in `send`.
 *
 * Nothing is dropped. An event that the hub does not take yet waits here, and while one waits, or
 * the device is paused, the gate is closed: descriptors with DEVICE_READ are not read, so the peer
 * is held up by its own system. When the gate opens each of them is called with `revents` 0 first,
 * for what it has read already. */
#ifndef PRONG_DEVICES_DEVICE_H
#define PRONG_DEVICES_DEVICE_H

#include <prong/worker.h>

#include "client/devices/backoff.h"
#include "client/devices/bell.h"
#include "client/devices/coding.h"
#include "client/devices/options.h"

enum {
    DEVICE_SOURCES_MAX = 112,   /* a worker watches at most 128 things */
    DEVICE_PEER_BYTES_MAX = 80, /* "[2001:db8::1]:65535", and its NUL */
    DEVICE_TOPIC_BYTES_MAX = 129,
    DEVICE_WHY_BYTES_MAX = 200,
    DEVICE_METHODS_MAX = 16,
    DEVICE_SEND_MS_MAX = 5000, /* how long `send` waits for a peer that takes nothing */
};

/* When something came: taken right after the read that brought it. */
struct stamp {
    int64_t time_us; /* microseconds since 1970 */
    int64_t mono_ns; /* CLOCK_MONOTONIC */
};
struct stamp stamp_now(void);

/* Parts that are written one after the other. */
struct device_bytes {
    struct {
        const uint8_t *data;
        size_t len;
    } part[3];
};

struct device;
struct device_waiting;

/* A method. Its context is the device. */
struct device_method {
    const char *name;
    prong_method_fn function;
    prong_policy policy;
    const char *help;
    const char *arguments; /* see arguments_check: others are refused before it begins */
};

/* A kind. Functions that are NULL are left out. */
struct device_kind_ops {
    const char *kind; /* as in proto/tbl/devices.def */
    /* Bytes, zeroed, that are `state` of the device. */
    size_t state_size;
    /* Look at options beyond what the table checks; false with a sentence ends the program with 78.
     */
    bool (*check)(const struct options *options, char *why, size_t why_bytes);
    /* Begin, in the worker's thread. A peer that is not there is no error: see struct retry. */
    prong_err (*start)(struct device *d);
    void (*stop)(struct device *d);
    /* A thread of its own, where a library blocks: begins after `start`, returns when
     * prong_worker_is_stopping, and has ended before `stop`. It touches nothing of `d` but
     * `worker`, `options` and its `state`. */
    void (*loop)(prong_worker *worker, void *device);
    /* The method `send`: bytes as they go on the way, for all peers or for `to` (NULL: all). It
     * writes the job's result, or fails the job. */
    prong_err (*send)(struct device *d, prong_job *job, const struct device_bytes *bytes,
                      const char *to);
    /* For a kind with a thread of its own: bring the counters up to date before they are shown, and
     * take note of `is_paused` when it has changed. */
    void (*refresh)(struct device *d);
    /* The hub has answered something, so device_safety may say something else now. */
    void (*answered)(struct device *d);
    /* Further pairs of `stats`, exactly `stat_count`. */
    void (*stats)(struct device *d, prong_writer *out);
    uint32_t stat_count;
    const struct device_method *methods; /* of its own */
    size_t method_count;
};

struct device_source {
    int fd; /* -1: free */
    unsigned flags;
    void (*function)(struct device *d, int fd, short revents, void *context);
    void *context;
    struct device *device;
};

struct device_counters {
    uint64_t frames, bytes, malformed, reconnects, errors, dropped, sends, sent_bytes;
    int64_t up_since_us; /* 0: not up */
    int64_t last_us;     /* of the last frame; 0: none yet */
};

/* A method that was told to the worker. */
struct device_call {
    struct device *device;
    struct device_method method;
};

struct device {
    prong_worker *worker;
    prong_client *client; /* from `start` on */
    struct options options;
    const struct device_kind_ops *ops;
    void *state;
    char name[PRONG_NAME_BYTES_MAX + 1]; /* of the device: its events are NAME.what */
    struct device_counters count;
    bool is_paused;

    /* Private to device.c. */
    prong_writer *event, *value;
    bool in_burst;                  /* of malformed frames: told already */
    char why[DEVICE_WHY_BYTES_MAX]; /* it is down; "" while it is up */
    bool is_said;                   /* the hub has a reason as its status */
    struct device_waiting *first, *last;
    size_t waiting_count;
    uint64_t lost_before;   /* prong_post_failures that were told */
    uint64_t dropped_asked; /* those of `count` that device_safety had told of */
    struct device_source sources[DEVICE_SOURCES_MAX];
    struct device_call calls[DEVICE_METHODS_MAX];
    size_t call_count;
};

/* Run a program of devices: reads PRONG_DEVICE, makes the worker, and returns its exit code. */
int device_main(const struct device_kind_ops *kinds, size_t count);

/* ---- events -----------------------------------------------------------------------------------
 */

/* Begin an event: a map with the stamp, to which exactly `more` pairs of key and value are added.
 * Borrowed until device_emit. */
prong_writer *device_event(struct device *d, const struct stamp *stamp, uint32_t more);
/* A pair of it, or of another map: the key and its value. */
void device_put_uint(prong_writer *w, const char *key, uint64_t value);
void device_put_text(prong_writer *w, const char *key, const char *text);
/* Send it as NAME.what, or let it wait. */
void device_emit(struct device *d, const char *what);
/* A frame: NAME.data with {"value": ...} and `peer` unless that is NULL; or malformed. */
void device_frame(struct device *d, const struct stamp *stamp, const uint8_t *data, size_t len,
                  const char *peer);
/* The same for a kind that has `more` pairs of its own: counts the frame and begins NAME.data,
 * which device_emit sends. NULL with the reason, to be passed to device_malformed, when it is none.
 */
prong_writer *device_data_begin(struct device *d, const struct stamp *stamp, const uint8_t *data,
                                size_t len, uint32_t more, char why[DEVICE_WHY_BYTES_MAX]);
/* Whether the hub has all events that were begun so far, for a kind whose peer is told so. LOST,
 * once: it has answered to all of them, but did not take some of those since the question before,
 * or nobody knows. */
enum device_safety { DEVICE_ON_THE_WAY, DEVICE_SAFE, DEVICE_LOST };
enum device_safety device_safety(struct device *d);
/* Take what the hub has answered, and send what waits, for a method that waits itself: otherwise it
 * is done between the calls. `answered` is not called. */
void device_hear_hub(struct device *d);
/* A frame that is none: counted, and NAME.malformed once for those in a row. */
void device_malformed(struct device *d, const struct stamp *stamp, const char *why,
                      const char *peer);
/* The device works, or a peer has come: NAME.up. `peer` may be NULL. */
void device_up(struct device *d, const char *peer);
/* The same with pairs of the kind's own: begins an event as device_event does. */
prong_writer *device_up_begin(struct device *d, uint32_t more);
/* The device listens: up, and NAME.listening with {"address": own, "port": port}. */
void device_listening(struct device *d, const char *own, uint16_t port);
/* It does not: NAME.down with `why`, once for each reason. With a peer: that one has left. */
void device_down(struct device *d, const char *why, const char *peer);
/* A fault that is no end: counted and logged. */
__attribute__((format(printf, 2, 3))) void device_fault(struct device *d, const char *format, ...);

/* ---- waiting ----------------------------------------------------------------------------------
 */

enum {
    DEVICE_READ = 1,   /* POLLIN while the gate is open */
    DEVICE_WRITE = 2,  /* POLLOUT */
    DEVICE_ALWAYS = 4, /* POLLIN, gate or not */
};

/* Wait for a descriptor; a second call for it replaces the first, `flags` 0 ends it. False when
 * there are too many. `revents` is 0 when the gate has just been opened. */
bool device_watch(struct device *d, int fd, unsigned flags,
                  void (*function)(struct device *d, int fd, short revents, void *context),
                  void *context);
/* Whether something may be read now: not paused, and no event waits. */
bool device_is_open(const struct device *d);

/* A timer that calls `function` in the worker's thread with the number of times that it has run out
 * (always 1 without a period). */
struct device_timer {
    int fd; /* -1: none */
    void (*function)(struct device *d, uint64_t times, void *context);
    void *context;
};
bool device_timer_start(struct device *d, struct device_timer *timer,
                        void (*function)(struct device *d, uint64_t times, void *context),
                        void *context);
/* Once, in so many milliseconds; 0: not any more. */
void device_timer_set(struct device_timer *timer, int64_t in_ms);
void device_timer_stop(struct device *d, struct device_timer *timer);

/* Attempts to connect or open, one after the other: `attempt` runs at once and then after each
 * retry_later. It tells by retry_done that it was successful. */
struct retry {
    struct backoff backoff;
    struct device_timer timer;
    void (*attempt)(struct device *d);
    int64_t opened_ns; /* 0: not, or it was no matter */
};
bool retry_start(struct device *d, struct retry *retry, void (*attempt)(struct device *d));
/* It failed, or is down again: tells `why` by device_down and tries again later. */
void retry_later(struct device *d, struct retry *retry, const char *why);
void retry_done(struct device *d, struct retry *retry);
/* The same where that alone says little, such as a connection: it counts as far as it lasts. */
void retry_opened(struct device *d, struct retry *retry);
void retry_stop(struct device *d, struct retry *retry);

/* ---- sending ----------------------------------------------------------------------------------
 */

size_t device_bytes_len(const struct device_bytes *bytes);
/* Write all of it to a descriptor that does not block, waiting no longer than the job has time and
 * DEVICE_SEND_MS_MAX. Returns how many bytes went; `error` is 0 when that is all, else an errno. */
size_t device_write(prong_job *job, int fd, const struct device_bytes *bytes, int *error);
/* The argument `name` of a job, or the one at `index` when they are positional. */
bool device_argument(prong_job *job, const char *name, uint32_t index, prong_value *out);
/* The first argument, `as`, of a method that gives a picture: "png", also when nothing is said, or
 * "raw". False when it is neither of the two. */
bool device_wants_png(prong_job *job, bool *png);

/* One line of the log; level as sd-daemon(3) has it: 3 error, 4 warning, 6 info, 7 debug. */
__attribute__((format(printf, 3, 4))) void device_log(const struct device *d, int level,
                                                      const char *format, ...);

#endif
