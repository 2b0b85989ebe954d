/* prong-genicam: an industrial camera as frames of a stream, by Aravis. The worker's thread: events
 * and methods; genicam/play.c has the thread that has the camera. */
#include "client/devices/genicam/kind.h"

#include <arv.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_SECOND = 1000000000, NS_PER_MS = 1000000, LOOK_NS = 20 * NS_PER_MS };

/* ---- events -----------------------------------------------------------------------------------
 */

enum { CAMERA_PAIRS = 8 };

static void
put_camera(const struct genicam *g, prong_writer *w)
{
    const struct camera_about *about = &g->about;
    device_put_text(w, "vendor", about->vendor);
    device_put_text(w, "model", about->model);
    device_put_text(w, "serial", about->serial);
    device_put_text(w, "address", about->address);
    device_put_text(w, "stream", g->stream_name);
    device_put_text(w, "pixel_format", about->pixel_format);
    device_put_uint(w, "width", about->width);
    device_put_uint(w, "height", about->height);
}

static void
tell_up(struct device *d, const struct genicam *g)
{
    const struct camera_about *about = &g->about;
    prong_writer *w = device_up_begin(d, CAMERA_PAIRS);
    device_log(d, 6, "%s %s %s%s%s, %ux%u %s", about->vendor, about->model, about->serial,
               about->address[0] != '\0' ? " at " : "", about->address, about->width, about->height,
               about->pixel_format);
    put_camera(g, w);
    device_emit(d, "up");
}

static void
tell_malformed(struct device *d, const struct genicam *g, const struct genicam_note *note)
{
    prong_writer *w = device_event(d, &note->stamp, 3);
    device_log(d, 4, "%" PRIu64 " frames are not whole; of the last one: %s", note->count,
               note->why);
    device_put_text(w, "why", note->why);
    device_put_uint(w, "count", note->count);
    device_put_uint(w, "total", g->counts.malformed);
    device_emit(d, "malformed");
}

/* Tell what the thread has noted, if anything. Called with the lock. */
static void
take_note(struct device *d)
{
    struct genicam *g = d->state;
    const struct genicam_note note = g->note;
    g->note.what = NOTE_NONE;
    switch (note.what) {
    case NOTE_NONE:
        return;
    case NOTE_UP:
        tell_up(d, g);
        break;
    case NOTE_DOWN:
        d->count.errors++;
        device_down(d, note.why, NULL);
        break;
    case NOTE_MALFORMED:
        tell_malformed(d, g, &note);
        break;
    }
    bell_ring(g->wake_fd);
}

static void
there_is_a_note(struct device *d, int fd, short revents, void *context)
{
    struct genicam *g = d->state;
    (void)revents;
    (void)context;
    bell_hear(fd);
    pthread_mutex_lock(&g->lock);
    take_note(d);
    pthread_mutex_unlock(&g->lock);
}

/* ---- methods ----------------------------------------------------------------------------------
 */

/* The worker was paused or resumed, or somebody wants to see its counters. */
static void
refresh(struct device *d)
{
    struct genicam *g = d->state;
    pthread_mutex_lock(&g->lock);
    g->is_paused = d->is_paused;
    d->count.frames = g->counts.frames;
    d->count.bytes = g->counts.bytes;
    d->count.malformed = g->counts.malformed;
    d->count.reconnects = g->counts.reconnects;
    d->count.last_us = g->counts.last_us;
    d->count.errors += g->counts.errors;
    g->counts.errors = 0;
    pthread_mutex_unlock(&g->lock);
    bell_ring(g->wake_fd);
}

enum { STAT_PAIRS = CAMERA_PAIRS + 7 };

static void
stats(struct device *d, prong_writer *w)
{
    struct genicam *g = d->state;
    pthread_mutex_lock(&g->lock);
    put_camera(g, w);
    device_put_text(w, "state",
                    g->state != GENICAM_OPEN ? "opening"
                    : g->is_running          ? "running"
                                             : "paused");
    device_put_uint(w, "skipped", g->counts.skipped);
    device_put_uint(w, "completed", g->counts.camera.completed);
    device_put_uint(w, "failures", g->counts.camera.failures);
    device_put_uint(w, "underruns", g->counts.camera.underruns);
    device_put_uint(w, "resent", g->counts.camera.resent);
    device_put_uint(w, "missing_packets", g->counts.camera.missing_packets);
    pthread_mutex_unlock(&g->lock);
}

/* Until the thread has changed something, a moment at most: then it is seen whether somebody still
 * waits for the call. Called with the lock. */
static void
wait_a_moment(struct genicam *g)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* it cannot fail */
    until.tv_nsec += LOOK_NS;
    until.tv_sec += until.tv_nsec / NS_PER_SECOND;
    until.tv_nsec %= NS_PER_SECOND;
    (void)pthread_cond_timedwait(&g->changed, &g->lock,
                                 &until); /* the caller looks in either case */
}

/* Take back what has not begun. What has is waited for: it cannot be undone, and its outcome says
 * what has become of it. Called with the lock. */
static void
take_back(struct genicam *g, struct genicam_request *r)
{
    if (r->is_done || r->has_begun) {
        return;
    }
    g->request = NULL;
    r->code = PRONG_CANCELLED;
    r->is_done = true;
    feature_copy_text(r->why, sizeof r->why,
                      "it has not begun, and nobody waits for it any longer");
}

/* Have the thread do it, and wait: the camera answers, or Aravis gives it up after a few seconds.
 * Notes are taken meanwhile, because the thread may be waiting for that. */
static prong_err
ask(struct device *d, prong_job *job, struct genicam_request *r)
{
    struct genicam *g = d->state;
    r->out = prong_job_result(job);
    r->until_ns = stamp_now().mono_ns + (int64_t)prong_job_remaining_ms(job) * NS_PER_MS;
    pthread_mutex_lock(&g->lock);
    const bool is_open = g->state == GENICAM_OPEN;
    if (is_open) {
        g->request = r;
        bell_ring(g->wake_fd);
    } else {
        (void)snprintf(r->why, sizeof r->why, "the camera is not there%s%s",
                       g->why[0] != '\0' ? ": " : "", g->why);
        r->code = PRONG_FAILED_PRECONDITION;
        r->is_done = true;
    }
    while (!r->is_done) {
        take_note(d);
        wait_a_moment(g);
        pthread_mutex_unlock(&g->lock); /* the look may wait for a hub that was started anew */
        const bool is_over = prong_job_is_cancelled(job);
        pthread_mutex_lock(&g->lock);
        if (is_over) {
            take_back(g, r);
        }
    }
    pthread_mutex_unlock(&g->lock);
    return r->code == PRONG_OK ? PRONG_OK : prong_job_fail(job, r->code, r->why);
}

/* The first argument, as a text of the caller's; false when there is none. */
static bool
name_of(prong_job *job, char *name, size_t size)
{
    prong_value value;
    const char *text = NULL;
    size_t len = 0;
    if (!device_argument(job, "name", 0, &value) || !prong_value_text(&value, &text, &len) ||
        len == 0 || len >= size || memchr(text, '\0', len) != NULL) {
        return false;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    return true;
}

static prong_err
about_feature(prong_job *job, void *context, struct genicam_request *r)
{
    char name[128];
    if (!name_of(job, name, sizeof name)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'name' must be that of a feature");
    }
    r->name = name;
    return ask(context, job, r);
}

static prong_err
call_get(prong_job *job, const prong_value *args, void *context)
{
    struct genicam_request r = {.run = genicam_get};
    (void)args;
    return about_feature(job, context, &r);
}

static prong_err
call_execute(prong_job *job, const prong_value *args, void *context)
{
    struct genicam_request r = {.run = genicam_execute};
    (void)args;
    return about_feature(job, context, &r);
}

/* A value as the configuration would have it. */
static bool
value_text(const prong_value *value, char *text, size_t size)
{
    bool is_true;
    int64_t number;
    double real;
    const char *from;
    size_t len;
    if (prong_value_bool(value, &is_true)) {
        (void)snprintf(text, size, "%s", is_true ? "true" : "false");
    } else if (prong_value_int(value, &number)) {
        (void)snprintf(text, size, "%" PRId64, number);
    } else if (prong_value_double(value, &real)) {
        (void)snprintf(text, size, "%.17g", real);
    } else if (prong_value_text(value, &from, &len) && len < size &&
               memchr(from, '\0', len) == NULL) {
        memcpy(text, from, len);
        text[len] = '\0';
    } else {
        return false;
    }
    return true;
}

static prong_err
call_set(prong_job *job, const prong_value *args, void *context)
{
    struct genicam_request r = {.run = genicam_set};
    prong_value value;
    (void)args;
    if (!device_argument(job, "value", 1, &value) || !value_text(&value, r.value, sizeof r.value)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "'value' must be a number, true or false, or a text");
    }
    return about_feature(job, context, &r);
}

static prong_err
call_features(prong_job *job, const prong_value *args, void *context)
{
    struct genicam_request r = {.run = genicam_list};
    (void)args;
    return ask(context, job, &r);
}

static prong_err
call_trigger(prong_job *job, const prong_value *args, void *context)
{
    struct genicam_request r = {.run = genicam_trigger};
    (void)args;
    return ask(context, job, &r);
}

/* ---- beginning and end ------------------------------------------------------------------------
 */

static void
configure(struct genicam *g, const struct options *options)
{
    const char *stream = options_text(options, "stream");
    g->options = options;
    g->camera_options = (struct camera_options){
        .interface = (enum camera_interface)options_number(options, "interface"),
        .camera = options_text(options, "camera"),
        .trigger = options_text(options, "trigger"),
        .packet_bytes = (uint32_t)options_number(options, "packet_size"),
        .buffers = (uint32_t)options_number(options, "buffers"),
        .has_packet_socket = options_number(options, "packet_socket") != 0,
    };
    g->is_free = strcmp(g->camera_options.trigger, "free") == 0;
    g->is_software = strcmp(g->camera_options.trigger, "software") == 0;
    g->stream_name = stream != NULL ? stream : g->name;
    g->stream_options = (prong_stream_options){
        .size_bytes = sizeof g->stream_options,
        .slots = (uint32_t)options_number(options, "slots"),
        .patience_ms = (int32_t)options_number(options, "patience"),
    };
    g->timeout_ms = (int32_t)options_number(options, "timeout");
    g->keeps_damaged = options_number(options, "incomplete") != 0;
    g->backoff = (struct backoff){.min_ms = options_number(options, "reconnect_min"),
                                  .max_ms = options_number(options, "reconnect_max"),
                                  .seed = (uint64_t)stamp_now().mono_ns};
}

/* On the clock of wait_a_moment. */
static bool
start_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return false;
    }
    const bool is_good = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                         pthread_cond_init(condition, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes); /* the condition has a copy */
    return is_good;
}

static prong_err
start(struct device *d)
{
    struct genicam *g = d->state;
    g->worker = d->worker;
    g->url = getenv("PRONG_URL"); /* of this very worker, so it is there */
    snprintf(g->name, sizeof g->name, "%s", d->name);
    configure(g, &d->options);
    g->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    g->note_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    g->meta = prong_writer_new();
    if (g->wake_fd < 0 || g->note_fd < 0 || g->meta == NULL ||
        pthread_mutex_init(&g->lock, NULL) != 0 || !start_condition(&g->changed) ||
        !device_watch(d, g->note_fd, DEVICE_ALWAYS, there_is_a_note, NULL)) {
        device_log(d, 3, "no memory or descriptors");
        return PRONG_RESOURCE_EXHAUSTED;
    }
    return PRONG_OK;
}

/* The thread has ended. */
static void
stop(struct device *d)
{
    struct genicam *g = d->state;
    pthread_mutex_lock(&g->lock);
    take_note(d);
    pthread_mutex_unlock(&g->lock);
    device_watch(d, g->note_fd, 0, NULL, NULL);
    prong_stream_free(g->stream);
    prong_writer_free(g->meta);
    close(g->wake_fd);
    close(g->note_fd);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    arv_shutdown();
}

int
main(void)
{
    static const struct device_method methods[] = {
        {"get", call_get, PRONG_IDEMPOTENT, "the value of a feature: name", "name"},
        {"set", call_set, PRONG_ONCE, "change a feature: name and value; gives what it is then",
         "name value"},
        {"features", call_features, PRONG_IDEMPOTENT,
         "all features: name, type, access, value, range, unit", ""},
        {"execute", call_execute, PRONG_ONCE, "have the camera do a command: name", "name"},
        {"trigger", call_trigger, PRONG_ONCE,
         "take a frame, with 'trigger: software'; gives the time of the trigger", ""},
        {"snapshot", genicam_snapshot, PRONG_IDEMPOTENT,
         "the newest frame: as=\"png\" (bytes, the default) or as=\"raw\"", "as"},
    };
    static const struct device_kind_ops kinds[] = {{
        .kind = "genicam",
        .state_size = sizeof(struct genicam),
        .start = start,
        .stop = stop,
        .loop = genicam_play,
        .refresh = refresh,
        .stats = stats,
        .stat_count = STAT_PAIRS,
        .methods = methods,
        .method_count = sizeof methods / sizeof *methods,
    }};
    return device_main(kinds, sizeof kinds / sizeof *kinds);
}
