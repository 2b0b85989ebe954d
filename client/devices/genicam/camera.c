/* A camera by Aravis: see camera.h. */
#include "client/devices/genicam/camera.h"

#include <arpa/inet.h>
#include <arv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* As much as the system allows: the buffer of a plain socket is all that holds what comes while
 * this process does not run. */
enum { SOCKET_BYTES = 16 * 1024 * 1024 };

struct camera {
    const struct camera_options *options;
    ArvCamera *camera;
    ArvStream *stream; /* NULL while it is not started */
    struct camera_about about;
    struct camera_counts before; /* of the starts before this one */
    int fd;

    pthread_mutex_t lock; /* of all below, which Aravis' threads write */
    bool is_lost;
    struct arrival {
        const ArvBuffer *buffer;
        struct stamp stamp;
    } arrivals[CAMERA_BUFFERS_MAX];
    uint64_t arrived, taken; /* count up */
};

/* ---- what Aravis' threads call ----------------------------------------------------------------
 */

static void
control_lost(ArvDevice *device, gpointer context)
{
    struct camera *c = context;
    (void)device;
    pthread_mutex_lock(&c->lock);
    c->is_lost = true;
    pthread_mutex_unlock(&c->lock);
    bell_ring(c->fd);
}

/* Called for buffers that were put into the stream's queue, in its order. */
static void
stream_event(void *context, ArvStreamCallbackType type, ArvBuffer *buffer)
{
    struct camera *c = context;
    if (type == ARV_STREAM_CALLBACK_TYPE_BUFFER_DONE) {
        pthread_mutex_lock(&c->lock);
        c->arrivals[c->arrived++ % CAMERA_BUFFERS_MAX] = (struct arrival){buffer, stamp_now()};
        pthread_mutex_unlock(&c->lock);
        bell_ring(c->fd);
    }
}

/* ---- finding ----------------------------------------------------------------------------------
 */

static void
choose_interfaces(enum camera_interface wanted)
{
    static const struct {
        const char *id;
        enum camera_interface interface;
    } rows[] = {{"GigEVision", CAMERA_GIGE}, {"USB3Vision", CAMERA_USB}, {"Fake", CAMERA_FAKE}};
    for (unsigned i = 0; i < arv_get_n_interfaces(); i++) {
        const char *id = arv_get_interface_id(i);
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
            if (strcmp(rows[k].id, id) != 0) {
                continue;
            }
            const bool is_wanted = wanted == rows[k].interface ||
                                   (wanted == CAMERA_ANY && rows[k].interface != CAMERA_FAKE);
            if (is_wanted) {
                arv_enable_interface(id);
            } else {
                arv_disable_interface(id);
            }
        }
    }
}

static bool
is_address(const char *text)
{
    struct in_addr address;
    return inet_pton(AF_INET, text, &address) == 1;
}

static bool
is_meant(const char *camera, unsigned i)
{
    const char *const names[] = {arv_get_device_id(i), arv_get_device_serial_nbr(i),
                                 arv_get_device_physical_id(i), arv_get_device_address(i)};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (names[k] != NULL && strcmp(names[k], camera) == 0) {
            return true;
        }
    }
    return camera[0] == '\0';
}

/* By discovery, which takes a second. NULL with the reason. */
static ArvDevice *
look_for(const char *camera, char *why)
{
    char text[FEATURE_WHY_BYTES], others[FEATURE_WHY_BYTES / 2] = "";
    size_t used = 0;
    GError *error = NULL;
    arv_update_device_list();
    const unsigned count = arv_get_n_devices();
    for (unsigned i = 0; i < count; i++) {
        if (is_meant(camera, i)) {
            ArvDevice *device = arv_open_device(arv_get_device_id(i), &error);
            if (error != NULL) {
                (void)feature_failed(error, arv_get_device_id(i), why);
            } else if (device == NULL) {
                feature_copy_text(why, FEATURE_WHY_BYTES, "the camera does not answer");
            }
            return device;
        }
        if (used < sizeof others) {
            used += (size_t)snprintf(others + used, sizeof others - used, "%s%s", i > 0 ? ", " : "",
                                     arv_get_device_id(i));
        }
    }
    (void)snprintf(text, sizeof text, "no camera '%.80s' is there, but %s", camera,
                   count > 0 ? others : "none at all");
    feature_copy_text(why, FEATURE_WHY_BYTES, camera[0] != '\0' ? text : "no camera is there");
    return NULL;
}

/* An address is asked directly: a camera in another network does not hear the discovery. */
static ArvDevice *
find(const struct camera_options *options, char *why)
{
    const char *camera = options->camera != NULL ? options->camera : "";
    GError *error = NULL;
    ArvDevice *device = NULL;
    choose_interfaces(options->interface);
    if ((options->interface == CAMERA_ANY || options->interface == CAMERA_GIGE) &&
        is_address(camera)) {
        device = arv_interface_open_device(arv_gv_interface_get_instance(), camera, &error);
        if (error != NULL) {
            g_error_free(error);
            error = NULL;
        }
        if (device == NULL) {
            char text[FEATURE_WHY_BYTES];
            (void)snprintf(text, sizeof text, "no camera answers at %.80s", camera);
            feature_copy_text(why, FEATURE_WHY_BYTES, text);
        }
        return device;
    }
    return look_for(camera, why);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static void
describe(struct camera *c)
{
    ArvDevice *device = arv_camera_get_device(c->camera);
    struct camera_about *about = &c->about;
    feature_copy_text(about->vendor, sizeof about->vendor,
                      arv_camera_get_vendor_name(c->camera, NULL));
    feature_copy_text(about->model, sizeof about->model,
                      arv_camera_get_model_name(c->camera, NULL));
    const char *serial = arv_camera_get_device_serial_number(c->camera, NULL);
    feature_copy_text(about->serial, sizeof about->serial,
                      serial != NULL ? serial : arv_camera_get_device_id(c->camera, NULL));
    if (ARV_IS_GV_DEVICE(device)) {
        GSocketAddress *address = arv_gv_device_get_device_address(ARV_GV_DEVICE(device));
        char *text = g_inet_address_to_string(
            g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address)));
        feature_copy_text(about->address, sizeof about->address, text);
        g_free(text);
    }
}

/* The trigger of each frame, as Aravis knows of the ways that makers have. */
static bool
set_trigger(struct camera *c, char *why)
{
    ArvDevice *device = arv_camera_get_device(c->camera);
    const char *trigger = c->options->trigger;
    GError *error = NULL;
    if (strcmp(trigger, "free") == 0) {
        /* A camera without triggers runs free. */
        if (arv_camera_is_feature_available(c->camera, "TriggerMode", NULL)) {
            arv_camera_clear_triggers(c->camera, &error);
        }
    } else {
        trigger = strcmp(trigger, "software") == 0 ? "Software" : trigger;
        if (feature_set(device, "TriggerSource", trigger, why) != PRONG_OK) {
            return false; /* it says which sources there are, Aravis does not */
        }
        arv_camera_set_trigger(c->camera, trigger, &error);
    }
    if (error == NULL && arv_camera_is_feature_available(c->camera, "AcquisitionMode", NULL)) {
        arv_camera_set_acquisition_mode(c->camera, ARV_ACQUISITION_MODE_CONTINUOUS, &error);
    }
    if (error != NULL) {
        (void)feature_failed(error, "the trigger cannot be set", why);
        return false;
    }
    return true;
}

static bool
set_packets(struct camera *c, char *why)
{
    ArvDevice *device = arv_camera_get_device(c->camera);
    GError *error = NULL;
    if (!ARV_IS_GV_DEVICE(device)) {
        return true;
    }
    if (!c->options->has_packet_socket) {
        arv_gv_device_set_stream_options(ARV_GV_DEVICE(device),
                                         ARV_GV_STREAM_OPTION_PACKET_SOCKET_DISABLED);
    }
    if (c->options->packet_bytes > 0) {
        arv_gv_device_set_packet_size_adjustment(ARV_GV_DEVICE(device),
                                                 ARV_GV_PACKET_SIZE_ADJUSTMENT_NEVER);
        arv_gv_device_set_packet_size(ARV_GV_DEVICE(device), (gint)c->options->packet_bytes,
                                      &error);
    }
    if (error != NULL) {
        (void)feature_failed(error, "the packets' size cannot be set", why);
        return false;
    }
    return true;
}

bool
camera_open(const struct camera_options *options, struct camera **out, char *why)
{
    GError *error = NULL;
    ArvDevice *device = find(options, why);
    if (device == NULL) {
        return false;
    }
    struct camera *c = calloc(1, sizeof *c);
    ArvCamera *camera = c != NULL ? arv_camera_new_with_device(device, &error) : NULL;
    const int fd = c != NULL ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
    g_object_unref(device); /* the camera has it */
    if (c == NULL || fd < 0 || camera == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
        if (error != NULL) {
            (void)feature_failed(error, "the camera cannot be used", why);
        } else {
            feature_copy_text(why, FEATURE_WHY_BYTES, "no memory or descriptors");
        }
        if (fd >= 0) {
            close(fd);
        }
        g_clear_object(&camera);
        free(c);
        return false;
    }
    c->options = options;
    c->camera = camera;
    c->fd = fd;
    g_signal_connect(device, "control-lost", G_CALLBACK(control_lost), c);
    describe(c);
    if (!set_trigger(c, why) || !set_packets(c, why)) {
        camera_close(c, false);
        return false;
    }
    *out = c;
    return true;
}

void
camera_close(struct camera *c, bool is_gone)
{
    if (c == NULL) {
        return;
    }
    /* A camera of GigE Vision stops by itself when it is left. */
    if (!is_gone || !ARV_IS_GV_DEVICE(arv_camera_get_device(c->camera))) {
        camera_stop(c);
    }
    g_clear_object(&c->stream);
    g_clear_object(&c->camera); /* ends the thread that control_lost is called by */
    close(c->fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

ArvDevice *
camera_device(struct camera *c)
{
    return arv_camera_get_device(c->camera);
}

const struct camera_about *
camera_about(const struct camera *c)
{
    return &c->about;
}

/* ---- acquisition ------------------------------------------------------------------------------
 */

/* What a frame will be. */
static bool
look_at_geometry(struct camera *c, char *why)
{
    GError *error = NULL;
    char text[FEATURE_WHY_BYTES];
    gint x = 0, y = 0, width = 0, height = 0;
    const char *format = arv_camera_get_pixel_format_as_string(c->camera, &error);
    feature_copy_text(c->about.pixel_format, sizeof c->about.pixel_format, format);
    if (error == NULL) {
        arv_camera_get_region(c->camera, &x, &y, &width, &height, &error);
    }
    if (error == NULL) {
        c->about.width = (uint32_t)width;
        c->about.height = (uint32_t)height;
        c->about.payload_bytes = arv_camera_get_payload(c->camera, &error);
    }
    if (error != NULL) {
        (void)feature_failed(error, "the camera does not say what its frames are", why);
        return false;
    }
    if (pixels_find_name(c->about.pixel_format) == NULL || width <= 0 || height <= 0) {
        (void)snprintf(text, sizeof text, "frames of %dx%d with PixelFormat %s cannot be shown",
                       width, height, c->about.pixel_format);
        feature_copy_text(why, FEATURE_WHY_BYTES, text);
        return false;
    }
    return true;
}

bool
camera_start(struct camera *c, char *why)
{
    GError *error = NULL;
    if (c->stream != NULL) {
        return true;
    }
    if (!look_at_geometry(c, why)) {
        return false;
    }
    pthread_mutex_lock(&c->lock);
    c->taken = c->arrived; /* those of the start before this one are gone */
    pthread_mutex_unlock(&c->lock);
    c->stream = arv_camera_create_stream(c->camera, stream_event, c, &error);
    if (error == NULL && ARV_IS_GV_STREAM(c->stream)) {
        g_object_set(c->stream, "socket-buffer", ARV_GV_STREAM_SOCKET_BUFFER_FIXED,
                     "socket-buffer-size", (gint)SOCKET_BYTES, NULL);
    }
    for (uint32_t i = 0; error == NULL && i < c->options->buffers; i++) {
        /* Zeros: what does not arrive may be shown. */
        void *memory = g_malloc0(c->about.payload_bytes);
        arv_stream_push_buffer(c->stream,
                               arv_buffer_new_full(c->about.payload_bytes, memory, memory, g_free));
    }
    if (error == NULL) {
        arv_camera_start_acquisition(c->camera, &error);
    }
    if (error != NULL) {
        g_clear_object(&c->stream);
        (void)feature_failed(error, "the camera cannot be started", why);
        return false;
    }
    return true;
}

void
camera_stop(struct camera *c)
{
    if (c->stream == NULL) {
        return;
    }
    arv_camera_stop_acquisition(c->camera, NULL); /* one that does not answer has ended, too */
    c->before = camera_counts(c);
    g_clear_object(&c->stream);
}

bool
camera_is_started(const struct camera *c)
{
    return c->stream != NULL;
}

int
camera_fd(const struct camera *c)
{
    return c->fd;
}

bool
camera_is_lost(struct camera *c)
{
    pthread_mutex_lock(&c->lock);
    const bool is_lost = c->is_lost;
    pthread_mutex_unlock(&c->lock);
    return is_lost;
}

struct camera_counts
camera_counts(const struct camera *c)
{
    struct camera_counts counts = c->before;
    guint64 completed = 0, failures = 0, underruns = 0;
    if (c->stream != NULL) {
        arv_stream_get_statistics(c->stream, &completed, &failures, &underruns);
        counts.completed += completed;
        counts.failures += failures;
        counts.underruns += underruns;
    }
    if (ARV_IS_GV_STREAM(c->stream)) {
        counts.resent += arv_stream_get_info_uint64_by_name(c->stream, "n_resent_packets");
        counts.missing_packets +=
            arv_stream_get_info_uint64_by_name(c->stream, "n_missing_packets");
    }
    return counts;
}

/* ---- frames -----------------------------------------------------------------------------------
 */

/* What is wrong with a buffer, or NULL. */
static const char *
damage_of(ArvBufferStatus status)
{
    static const struct {
        ArvBufferStatus status;
        const char *damage;
    } rows[] = {
        {ARV_BUFFER_STATUS_TIMEOUT, "a part of it did not come in time"},
        {ARV_BUFFER_STATUS_MISSING_PACKETS, "packets are missing"},
        {ARV_BUFFER_STATUS_WRONG_PACKET_ID, "packets have wrong numbers"},
        {ARV_BUFFER_STATUS_SIZE_MISMATCH, "it is larger than the camera said"},
        {ARV_BUFFER_STATUS_ABORTED, "it was cut off"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == status) {
            return rows[i].damage;
        }
    }
    return status == ARV_BUFFER_STATUS_SUCCESS ? NULL : "it is not complete";
}

/* The first picture in a whole one. */
static struct pixels_picture
picture_of(ArvBuffer *buffer)
{
    struct pixels_picture p = {0};
    gint x_padding = 0, y_padding = 0;
    if (arv_buffer_get_n_parts(buffer) < 1 ||
        arv_buffer_get_part_data_type(buffer, 0) != ARV_BUFFER_PART_DATA_TYPE_2D_IMAGE) {
        return p;
    }
    const gint width = arv_buffer_get_part_width(buffer, 0);
    const gint height = arv_buffer_get_part_height(buffer, 0);
    arv_buffer_get_part_padding(buffer, 0, &x_padding, &y_padding);
    p.data = arv_buffer_get_part_data(buffer, 0, &p.len);
    if (width > 0 && height > 0 && x_padding >= 0 && p.data != NULL) {
        p.width = (uint32_t)width;
        p.height = (uint32_t)height;
        p.padding = (uint32_t)x_padding;
        p.format = pixels_find(arv_buffer_get_part_pixel_format(buffer, 0));
    }
    return p;
}

/* Of a damaged one Aravis does not say what it is, nor a camera of one that has data beside the
 * picture: then it is what the camera said at the start. What did not come is what was there
 * before. */
static struct pixels_picture
expected_picture(const struct camera *c, ArvBuffer *buffer)
{
    struct pixels_picture p = {
        .format = pixels_find_name(c->about.pixel_format),
        .width = c->about.width,
        .height = c->about.height,
    };
    p.data = arv_buffer_get_data(buffer, &p.len);
    if (arv_buffer_get_status(buffer) != ARV_BUFFER_STATUS_SUCCESS) {
        p.len = c->about.payload_bytes;
    }
    return p;
}

/* The next buffer that is there, with its stamp; NULL when there is none. */
static ArvBuffer *
take(struct camera *c, struct stamp *stamp)
{
    pthread_mutex_lock(&c->lock);
    const bool is_there = c->taken < c->arrived;
    const struct arrival next = c->arrivals[c->taken % CAMERA_BUFFERS_MAX];
    pthread_mutex_unlock(&c->lock);
    ArvBuffer *buffer = is_there ? arv_stream_try_pop_buffer(c->stream) : NULL;
    *stamp = next.stamp;
    /* Of one that has no picture at all Aravis does not say that it came. */
    if (is_there && (buffer == NULL || buffer == next.buffer)) {
        pthread_mutex_lock(&c->lock);
        c->taken++;
        pthread_mutex_unlock(&c->lock);
    }
    return buffer;
}

bool
camera_next(struct camera *c, struct camera_frame *frame)
{
    *frame = (struct camera_frame){0};
    ArvBuffer *buffer = c->stream != NULL ? take(c, &frame->stamp) : NULL;
    if (buffer == NULL) {
        return false;
    }
    frame->buffer = buffer;
    frame->camera_ns = (int64_t)arv_buffer_get_timestamp(buffer);
    frame->id = arv_buffer_get_frame_id(buffer);
    frame->damage = damage_of(arv_buffer_get_status(buffer));
    const bool is_unsaid = frame->damage != NULL || arv_buffer_get_payload_type(buffer) ==
                                                        ARV_BUFFER_PAYLOAD_TYPE_CHUNK_DATA;
    if (!is_unsaid) {
        frame->picture = picture_of(buffer);
    } else if (frame->id != 0) {
        frame->picture = expected_picture(c, buffer);
    }
    return true;
}

void
camera_done(struct camera *c, struct camera_frame *frame)
{
    ArvBuffer *buffer = frame->buffer;
    if (c->stream != NULL) {
        /* Where the packet is missing that says what the picture is, this stays as it is. */
        arv_buffer_set_frame_id(buffer, 0);
        arv_buffer_set_timestamp(buffer, 0);
        arv_stream_push_buffer(c->stream, buffer);
    } else {
        g_object_unref(buffer);
    }
    frame->buffer = NULL;
}
