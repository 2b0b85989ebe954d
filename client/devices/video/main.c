/* prong-video: a camera or a video file as frames of a stream. The worker's thread: events and
 * methods; video/play.c has the thread that plays. */
#include "client/devices/video/kind.h"

#include <inttypes.h>
#include <libavutil/frame.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/device/rate.h"

/* ---- events -----------------------------------------------------------------------------------
 */

static void
put_source(const struct video *v, prong_writer *w)
{
    device_put_text(w, "url", v->shown);
    device_put_text(w, "stream", v->stream_name);
    device_put_text(w, "codec", v->about.codec);
    device_put_text(w, "container", v->about.container);
    device_put_uint(w, "width", v->about.width);
    device_put_uint(w, "height", v->about.height);
    prong_writer_key(w, "rate");
    prong_writer_double(w, v->about.rate);
}

enum { SOURCE_PAIRS = 7 };

static void
tell_up(struct device *d, const struct video *v)
{
    prong_writer *w = device_up_begin(d, SOURCE_PAIRS + 1);
    device_log(d, 6, "%s: %s in %s, %ux%u, %g frames a second", v->shown, v->about.codec,
               v->about.container, v->about.width, v->about.height, v->about.rate);
    put_source(v, w);
    device_put_uint(w, "frames", v->about.frames);
    device_emit(d, "up");
}

static void
tell_ended(struct device *d, const struct video *v, const struct video_note *note)
{
    prong_writer *w = device_event(d, &note->stamp, 4);
    device_log(d, v->loops ? 7 : 6, "%s: ended after %" PRIu64 " frames", v->shown, note->frames);
    device_put_text(w, "url", v->shown);
    device_put_uint(w, "frames", note->frames);
    device_put_uint(w, "expected", v->about.frames);
    device_put_uint(w, "malformed", note->malformed);
    device_emit(d, "ended");
}

static void
tell_malformed(struct device *d, const struct video *v, const struct video_note *note)
{
    prong_writer *w = device_event(d, &note->stamp, 3);
    device_log(d, 4, "%s: %" PRIu64 " pieces are broken or missing", v->shown, note->malformed);
    device_put_text(w, "url", v->shown);
    device_put_uint(w, "count", note->malformed);
    device_put_uint(w, "total", v->counts.malformed);
    device_emit(d, "malformed");
}

/* Tell what the thread has noted, if anything. */
static void
take_note(struct device *d)
{
    struct video *v = d->state;
    pthread_mutex_lock(&v->lock);
    const struct video_note note = v->note;
    v->note.what = NOTE_NONE;
    switch (note.what) {
    case NOTE_NONE:
        break;
    case NOTE_UP:
        tell_up(d, v);
        break;
    case NOTE_DOWN:
        d->count.errors++;
        device_down(d, note.why, NULL);
        break;
    case NOTE_ENDED:
        d->count.up_since_us = v->loops ? d->count.up_since_us : 0;
        tell_ended(d, v, &note);
        break;
    case NOTE_MALFORMED:
        tell_malformed(d, v, &note);
        break;
    }
    pthread_mutex_unlock(&v->lock);
    bell_ring(v->wake_fd);
}

static void
there_is_a_note(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    (void)context;
    bell_hear(fd);
    take_note(d);
}

/* ---- methods ----------------------------------------------------------------------------------
 */

/* The worker was paused or resumed, or somebody wants to see its counters. */
static void
refresh(struct device *d)
{
    struct video *v = d->state;
    pthread_mutex_lock(&v->lock);
    v->is_paused = d->is_paused;
    d->count.frames = v->counts.frames;
    d->count.bytes = v->counts.bytes;
    d->count.malformed = v->counts.malformed;
    d->count.reconnects = v->counts.reconnects;
    d->count.last_us = v->counts.last_us;
    d->count.errors += v->counts.errors;
    v->counts.errors = 0;
    pthread_mutex_unlock(&v->lock);
    bell_ring(v->wake_fd);
}

enum { STAT_PAIRS = SOURCE_PAIRS + 4 };

static void
stats(struct device *d, prong_writer *w)
{
    static const char *const states[] = {
        [VIDEO_OPENING] = "opening", [VIDEO_PLAYING] = "playing", [VIDEO_OVER] = "ended"};
    struct video *v = d->state;
    pthread_mutex_lock(&v->lock);
    put_source(v, w);
    device_put_text(w, "state", states[v->state]);
    device_put_uint(w, "left_out", v->counts.left_out);
    device_put_uint(w, "skipped", v->counts.skipped);
    device_put_uint(w, "passes", v->counts.passes);
    pthread_mutex_unlock(&v->lock);
}

static prong_err
give_png(prong_job *job, const AVFrame *picture, const struct video_geometry *geometry)
{
    uint8_t *png = NULL;
    size_t len = 0;
    const prong_err err = video_png(picture, geometry, &png, &len);
    if (err == PRONG_OK) {
        prong_writer_bin(prong_job_result(job), png, len);
    }
    free(png);
    return err == PRONG_OK ? err : prong_job_fail(job, err, "the picture cannot be made a PNG");
}

static prong_err
give_raw(prong_job *job, const AVFrame *picture, const struct video_geometry *geometry,
         uint64_t number)
{
    struct video_scaler scaler = {0};
    const uint32_t channels = video_format_channels(geometry->format);
    uint8_t *data = malloc(video_bytes(geometry));
    prong_err err =
        data != NULL ? video_scale(&scaler, picture, geometry, data) : PRONG_RESOURCE_EXHAUSTED;
    if (err == PRONG_OK) {
        prong_writer *w = prong_job_result(job);
        prong_writer_map(w, 5);
        device_put_uint(w, "number", number);
        device_put_text(w, "format", video_format_name(geometry->format));
        device_put_text(w, "dtype", "|u1");
        prong_writer_key(w, "shape");
        prong_writer_array(w, channels == 1 ? 2 : 3);
        prong_writer_uint(w, geometry->height);
        prong_writer_uint(w, geometry->width);
        if (channels != 1) {
            prong_writer_uint(w, channels);
        }
        prong_writer_key(w, "data");
        prong_writer_bin(w, data, video_bytes(geometry));
    }
    free(data);
    video_scaler_deinit(&scaler);
    return err == PRONG_OK ? err : prong_job_fail(job, err, "the picture cannot be converted");
}

static prong_err
snapshot(prong_job *job, const prong_value *args, void *context)
{
    struct video *v = ((struct device *)context)->state;
    bool png;
    (void)args;
    if (!device_wants_png(job, &png)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "as is \"png\" or \"raw\"");
    }
    pthread_mutex_lock(&v->lock);
    AVFrame *picture = v->newest != NULL ? av_frame_clone(v->newest) : NULL;
    const bool is_there = v->newest != NULL;
    const struct video_geometry geometry = v->newest_geometry;
    const uint64_t number = v->newest_number;
    pthread_mutex_unlock(&v->lock);
    if (picture == NULL) {
        return is_there ? prong_job_fail(job, PRONG_RESOURCE_EXHAUSTED, "out of memory")
                        : prong_job_fail(job, PRONG_FAILED_PRECONDITION, "there was no frame yet");
    }
    const prong_err err =
        png ? give_png(job, picture, &geometry) : give_raw(job, picture, &geometry, number);
    av_frame_free(&picture);
    return err;
}

/* ---- beginning and end ------------------------------------------------------------------------
 */

static bool
is_stopping(void *context)
{
    return prong_worker_is_stopping(context);
}

static void
configure(struct video *v, const struct options *options)
{
    struct rate rate;
    char why[DEVICE_WHY_BYTES_MAX];
    const char *stream = options_text(options, "stream");
    v->options = (struct video_options){
        .url = options_text(options, "url"),
        .transport = options_text(options, "rtsp_transport"),
        .width = (uint32_t)options_number(options, "width"),
        .height = (uint32_t)options_number(options, "height"),
        .timeout_ms = (int32_t)options_number(options, "timeout"),
        .is_stopping = is_stopping,
        .context = v->worker,
    };
    video_shown_url(v->options.url, v->shown, sizeof v->shown);
    v->stream_name = stream != NULL ? stream : v->name;
    v->stream_options = (prong_stream_options){
        .size_bytes = sizeof v->stream_options,
        .slots = (uint32_t)options_number(options, "slots"),
        .patience_ms = (int32_t)options_number(options, "patience"),
    };
    v->wanted = (struct video_geometry){(enum video_format)options_number(options, "format"),
                                        v->options.width, v->options.height};
    if (rate_parse(options_text(options, "rate"), &rate, why, sizeof why)) { /* checked before */
        v->pace = (struct video_pace){.rate = rate.per_second, .is_source = rate.is_source};
        v->options.rate = rate.per_second;
    }
    v->backoff = (struct backoff){.min_ms = options_number(options, "reconnect_min"),
                                  .max_ms = options_number(options, "reconnect_max"),
                                  .seed = (uint64_t)stamp_now().mono_ns};
    v->loops = options_number(options, "loop") != 0;
}

static prong_err
start(struct device *d)
{
    struct video *v = d->state;
    v->worker = d->worker;
    v->url = getenv("PRONG_URL"); /* of this very worker, so it is there */
    snprintf(v->name, sizeof v->name, "%s", d->name);
    configure(v, &d->options);
    v->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    v->note_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    v->meta = prong_writer_new();
    if (v->wake_fd < 0 || v->note_fd < 0 || v->meta == NULL ||
        pthread_mutex_init(&v->lock, NULL) != 0 ||
        !device_watch(d, v->note_fd, DEVICE_ALWAYS, there_is_a_note, NULL)) {
        device_log(d, 3, "no memory or descriptors");
        return PRONG_RESOURCE_EXHAUSTED;
    }
    return PRONG_OK;
}

/* The thread has ended. */
static void
stop(struct device *d)
{
    struct video *v = d->state;
    take_note(d);
    device_watch(d, v->note_fd, 0, NULL, NULL);
    prong_stream_free(v->stream);
    video_scaler_deinit(&v->scaler);
    prong_writer_free(v->meta);
    av_frame_free(&v->newest);
    close(v->wake_fd);
    close(v->note_fd);
    pthread_mutex_destroy(&v->lock);
}

int
main(void)
{
    static const struct device_method methods[] = {
        {"snapshot", snapshot, PRONG_IDEMPOTENT,
         "the newest frame: as=\"png\" (bytes, the default) or as=\"raw\"", "as"},
    };
    static const struct device_kind_ops kinds[] = {{
        .kind = "video",
        .state_size = sizeof(struct video),
        .start = start,
        .stop = stop,
        .loop = video_play,
        .refresh = refresh,
        .stats = stats,
        .stat_count = STAT_PAIRS,
        .methods = methods,
        .method_count = sizeof methods / sizeof *methods,
    }};
    return device_main(kinds, sizeof kinds / sizeof *kinds);
}
