/* The device prong-genicam: what its thread, which has the camera (genicam/play.c), and its
 * worker's thread, which tells events and answers methods (genicam/main.c), have in common. */
#ifndef PRONG_DEVICES_GENICAM_KIND_H
#define PRONG_DEVICES_GENICAM_KIND_H

#include <prong/stream.h>

#include <pthread.h>

#include "client/devices/genicam/camera.h"
#include "client/devices/genicam/chunks.h"

enum genicam_state {
    GENICAM_OPENING, /* or waiting to try again */
    GENICAM_OPEN,
    GENICAM_OVER, /* the thread has ended */
};

/* Counted by the thread. */
struct genicam_counts {
    uint64_t frames, bytes; /* written to the stream */
    uint64_t malformed;     /* frames that were not whole */
    uint64_t skipped;       /* frames for which the stream had no room */
    uint64_t reconnects;    /* that the camera was opened again after a failure */
    uint64_t errors;        /* frames that could not be written */
    int64_t last_us;        /* time of the last frame; 0: none yet */
    struct camera_counts camera;
};

/* What the thread has to tell. */
struct genicam_note {
    enum { NOTE_NONE, NOTE_UP, NOTE_DOWN, NOTE_MALFORMED } what;
    struct stamp stamp;
    uint64_t count; /* MALFORMED: new ones */
    char why[DEVICE_WHY_BYTES_MAX];
};

struct genicam;

/* What a method wants of the camera: done by the thread, while the method waits. Until it has begun
 * the method may take it back, when nobody waits for it any longer. */
struct genicam_request {
    prong_err (*run)(struct genicam *g, struct genicam_request *r);
    const char *name;  /* of a feature; NULL: none */
    char value[512];   /* for `set` */
    prong_writer *out; /* the job's result */
    char why[FEATURE_WHY_BYTES];
    int64_t until_ns; /* the caller's deadline: it does not begin after that */
    prong_err code;
    bool has_begun, is_done;
};

struct genicam {
    /* Constant while the thread runs. */
    prong_worker *worker;
    const struct options *options;
    const char *url;                     /* of the hub's local socket */
    char name[PRONG_NAME_BYTES_MAX + 1]; /* of the device */
    const char *stream_name;
    prong_stream_options stream_options;
    struct camera_options camera_options;
    int32_t timeout_ms;
    bool keeps_damaged;
    bool is_free, is_software; /* the trigger */
    int wake_fd; /* the thread looks up: paused, resumed, a request, its note was taken */
    int note_fd; /* the worker's thread looks up: there is a note */

    /* The thread's own, until it has ended. */
    struct backoff backoff;
    struct camera *camera;
    struct chunks *chunks; /* of this camera; NULL: none are wanted */
    prong_stream *stream;
    prong_writer *meta;
    int64_t waiting_since_ns;    /* for a frame; 0: none is due */
    struct camera_counts before; /* of the cameras before this one */
    uint64_t malformed_told;
    int64_t malformed_told_ns;
    char malformed_why[DEVICE_WHY_BYTES_MAX];

    /* Guarded by the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* the request was done, or there is a note */
    bool is_paused;
    enum genicam_state state;
    bool is_running; /* the camera takes frames */
    struct genicam_counts counts;
    struct camera_about about; /* of what was opened last */
    struct genicam_note note;
    char why[DEVICE_WHY_BYTES_MAX];  /* it is not open; "" before it was tried */
    struct genicam_request *request; /* borrowed from the method that waits */
};

/* The thread: see `loop` in device.h. */
void genicam_play(prong_worker *worker, void *device);

/* request.c: what methods want. Run by the thread, with a camera that is open. */
prong_err genicam_get(struct genicam *g, struct genicam_request *r);
prong_err genicam_set(struct genicam *g, struct genicam_request *r);
prong_err genicam_execute(struct genicam *g, struct genicam_request *r);
prong_err genicam_list(struct genicam *g, struct genicam_request *r);
prong_err genicam_trigger(struct genicam *g, struct genicam_request *r);

/* play.c, for request.c: write the frames that are there, and start or stop the camera. */
void genicam_take_frames(struct genicam *g);
bool genicam_start(struct genicam *g, char *why);
void genicam_stop(struct genicam *g);

/* snapshot.c: the method. The worker's thread. */
prong_err genicam_snapshot(prong_job *job, const prong_value *args, void *context);

#endif
