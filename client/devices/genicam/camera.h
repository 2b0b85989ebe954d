/* A camera by Aravis: found, opened, started, and its frames as they come. Knows no hub.
 *
 * Threads: one at a time. Aravis has threads of its own, which receive and watch; they only wake
 * camera_fd. */
#ifndef PRONG_DEVICES_GENICAM_CAMERA_H
#define PRONG_DEVICES_GENICAM_CAMERA_H

#include "client/devices/device.h"
#include "client/devices/genicam/feature.h"
#include "client/devices/genicam/pixels.h"

enum { CAMERA_TEXT_BYTES = 80, CAMERA_BUFFERS_MAX = 256 };

/* In the order of the words in devices.def. */
enum camera_interface {
    CAMERA_ANY,
    CAMERA_GIGE,
    CAMERA_USB,
    CAMERA_FAKE,
};

struct camera_options {
    enum camera_interface interface;
    const char *camera;     /* an IPv4 address, id, serial number or MAC; NULL: the first one */
    const char *trigger;    /* "free", "software", or the name of a source */
    uint32_t packet_bytes;  /* of GigE Vision; 0: what both sides can */
    uint32_t buffers;       /* 2..CAMERA_BUFFERS_MAX */
    bool has_packet_socket; /* read datagrams from the network's card where that is allowed */
};

/* What was opened, and how it is set up since the last start. */
struct camera_about {
    char vendor[CAMERA_TEXT_BYTES], model[CAMERA_TEXT_BYTES], serial[CAMERA_TEXT_BYTES];
    char address[CAMERA_TEXT_BYTES];      /* "" where there is none */
    char pixel_format[CAMERA_TEXT_BYTES]; /* "" before the first start */
    uint32_t width, height;
    size_t payload_bytes; /* of the largest frame */
};

/* Of all starts. */
struct camera_counts {
    uint64_t completed, failures, underruns, resent, missing_packets;
};

struct camera_frame {
    struct stamp stamp;            /* when the last part of it came */
    int64_t camera_ns;             /* the camera's own time; 0 when it has none */
    uint64_t id;                   /* the camera's own number */
    const char *damage;            /* what is wrong with it, or NULL */
    struct pixels_picture picture; /* its format is NULL when there is none */
    void *buffer;
};

struct camera;

/* Look for it and set up its trigger. `options` are borrowed until the close. `out` is owned, freed
 * with camera_close. `why` has FEATURE_WHY_BYTES. */
bool camera_open(const struct camera_options *options, struct camera **out, char *why);
/* `is_gone`: do not wait for answers of it. Accepts NULL. */
void camera_close(struct camera *c, bool is_gone);
ArvDevice *camera_device(struct camera *c);
const struct camera_about *camera_about(const struct camera *c);

/* Begin to take frames, as the features are now. */
bool camera_start(struct camera *c, char *why);
/* Frames that were not taken are lost. Nothing happens when it is not started. */
void camera_stop(struct camera *c);
bool camera_is_started(const struct camera *c);
/* Readable when there is a frame, or the camera was lost. Borrowed. */
int camera_fd(const struct camera *c);
/* The next frame that is there; false when there is none. Valid until camera_done. */
bool camera_next(struct camera *c, struct camera_frame *frame);
void camera_done(struct camera *c, struct camera_frame *frame);
/* Another program has taken it over, or it does not answer. */
bool camera_is_lost(struct camera *c);
struct camera_counts camera_counts(const struct camera *c);

#endif
