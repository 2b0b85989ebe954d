/* The device prong-video: what its thread, which plays (video/play.c), and its worker's thread,
 * which tells events and answers methods (video.c), have in common. */
#ifndef PRONG_DEVICES_VIDEO_KIND_H
#define PRONG_DEVICES_VIDEO_KIND_H

#include <prong/stream.h>

#include <pthread.h>

#include "client/devices/device.h"
#include "client/devices/video/pace.h"
#include "client/devices/video/picture.h"
#include "client/devices/video/source.h"

enum video_state {
    VIDEO_OPENING, /* or waiting to try again */
    VIDEO_PLAYING,
    VIDEO_OVER, /* a file's end, and it does not begin again */
};

/* Counted by the thread. */
struct video_counts {
    uint64_t frames, bytes; /* written to the stream */
    uint64_t malformed;     /* pieces of the source that were broken */
    uint64_t left_out;      /* frames of a live source above its rate, or while it was paused */
    uint64_t skipped;       /* frames for which the stream had no room */
    uint64_t reconnects;    /* that the source was opened again after a failure */
    uint64_t errors;        /* frames that could not be converted or written */
    uint64_t passes;        /* ends of a file */
    int64_t last_us;        /* time of the last frame; 0: none yet */
};

/* What the thread has to tell. */
struct video_note {
    enum { NOTE_NONE, NOTE_UP, NOTE_DOWN, NOTE_ENDED, NOTE_MALFORMED } what;
    struct stamp stamp;
    uint64_t frames, malformed;     /* ENDED: of this pass. MALFORMED: new ones, in `malformed` */
    char why[DEVICE_WHY_BYTES_MAX]; /* DOWN */
};

struct video {
    /* Constant while the thread runs. */
    prong_worker *worker;
    const char *url;                     /* of the hub's local socket */
    char name[PRONG_NAME_BYTES_MAX + 1]; /* of the device */
    char shown[VIDEO_WHY_BYTES];         /* the source, without a password */
    struct video_options options;
    const char *stream_name;
    prong_stream_options stream_options;
    struct video_geometry wanted;
    struct video_pace pace; /* as configured */
    bool loops;
    int wake_fd; /* the thread looks up: paused, resumed, its note was taken */
    int note_fd; /* the worker's thread looks up: there is a note */

    /* The thread's own, until it has ended. */
    struct backoff backoff;
    prong_stream *stream;
    struct video_source *source;
    bool is_up; /* told so */
    struct video_scaler scaler;
    prong_writer *meta;
    uint64_t malformed_before, malformed_told; /* of the sources before this one; of all */
    int64_t malformed_told_ns;

    /* Guarded by the lock. */
    pthread_mutex_t lock;
    bool is_paused;
    enum video_state state;
    struct video_counts counts;
    struct video_about about; /* of what was opened last */
    struct video_note note;
    struct AVFrame *newest; /* owned; NULL before the first frame */
    struct video_geometry newest_geometry;
    uint64_t newest_number;
};

/* The thread: see `loop` in device.h. */
void video_play(prong_worker *worker, void *device);

#endif
