/* What methods want of the camera: see kind.h. */
#include "client/devices/genicam/kind.h"

#include <stdio.h>
#include <string.h>

/* Features that say how large a frame is: a camera has to stand still for them, and the buffers are
 * made anew. */
static bool
is_geometry(const char *name)
{
    static const char *const names[] = {
        "Width",
        "Height",
        "PixelFormat",
        "PixelSize",
        "BinningSelector",
        "BinningHorizontal",
        "BinningVertical",
        "DecimationHorizontal",
        "DecimationVertical",
        "ChunkModeActive",
        "ChunkEnable",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

prong_err
genicam_get(struct genicam *g, struct genicam_request *r)
{
    return feature_get(camera_device(g->camera), r->name, r->out, r->why);
}

/* A camera that cannot start with it gets back the format that it had. What else keeps it from
 * starting is found by the thread, which tries it again. */
static prong_err
set_geometry(struct genicam *g, struct genicam_request *r)
{
    ArvDevice *device = camera_device(g->camera);
    const bool was_started = camera_is_started(g->camera);
    char before[CAMERA_TEXT_BYTES], why[FEATURE_WHY_BYTES];
    memcpy(before, camera_about(g->camera)->pixel_format, sizeof before);
    genicam_stop(g);
    prong_err code = feature_set(device, r->name, r->value, r->why);
    if (was_started && !genicam_start(g, why) && code == PRONG_OK) {
        memcpy(r->why, why, sizeof why);
        code = PRONG_FAILED_PRECONDITION;
        if (strcmp(r->name, "PixelFormat") == 0 &&
            feature_set(device, r->name, before, why) == PRONG_OK) {
            (void)genicam_start(g, why);
            code = PRONG_INVALID_ARGUMENT;
        }
    }
    return code;
}

/* The result is what the camera made of it. */
prong_err
genicam_set(struct genicam *g, struct genicam_request *r)
{
    ArvDevice *device = camera_device(g->camera);
    const prong_err code =
        is_geometry(r->name) ? set_geometry(g, r) : feature_set(device, r->name, r->value, r->why);
    char why[FEATURE_WHY_BYTES];
    if (code == PRONG_OK && feature_get(device, r->name, r->out, why) != PRONG_OK) {
        prong_writer_reset(r->out); /* one that can only be written */
        prong_writer_nil(r->out);
    }
    return code;
}

prong_err
genicam_execute(struct genicam *g, struct genicam_request *r)
{
    if (strcmp(r->name, "AcquisitionStart") == 0 || strcmp(r->name, "AcquisitionStop") == 0 ||
        strcmp(r->name, "AcquisitionAbort") == 0) {
        feature_copy_text(r->why, sizeof r->why,
                          "the device does that itself: call pause and resume");
        return PRONG_FAILED_PRECONDITION;
    }
    return feature_execute(camera_device(g->camera), r->name, r->why);
}

static void
between(void *context)
{
    genicam_take_frames(context);
}

prong_err
genicam_list(struct genicam *g, struct genicam_request *r)
{
    return feature_list(camera_device(g->camera), r->out, between, g, r->why);
}

/* The result is the time right before the camera was told, to find the frame by. */
prong_err
genicam_trigger(struct genicam *g, struct genicam_request *r)
{
    if (!g->is_software || !camera_is_started(g->camera)) {
        feature_copy_text(r->why, sizeof r->why,
                          g->is_software ? "the device is paused"
                                         : "the device needs 'trigger: software' for that");
        return PRONG_FAILED_PRECONDITION;
    }
    const struct stamp now = stamp_now();
    const prong_err code = feature_execute(camera_device(g->camera), "TriggerSoftware", r->why);
    if (code == PRONG_OK) {
        g->waiting_since_ns = g->waiting_since_ns != 0 ? g->waiting_since_ns : now.mono_ns;
        prong_writer_map(r->out, 2);
        prong_writer_key(r->out, "time_us");
        prong_writer_int(r->out, now.time_us);
        prong_writer_key(r->out, "mono_ns");
        prong_writer_int(r->out, now.mono_ns);
    }
    return code;
}
