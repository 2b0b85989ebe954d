/* The thread of prong-genicam: open the camera, write its frames into the stream, do what methods
 * want, begin again. */
#include "client/devices/genicam/kind.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NS_PER_MS = 1000 * 1000, BURST_NS = 1000 * NS_PER_MS };

static void
count(struct genicam *g, uint64_t *counter)
{
    pthread_mutex_lock(&g->lock);
    ++*counter;
    pthread_mutex_unlock(&g->lock);
}

/* ---- waiting and telling ----------------------------------------------------------------------
 */

/* Until this time (INT64_MAX: none), a frame, what a method wants, or the worker's end. */
static void
wait_until(struct genicam *g, int64_t due_ns)
{
    const int64_t left_ns = due_ns - stamp_now().mono_ns;
    const int64_t left_ms = left_ns < 0 ? 0 : left_ns / NS_PER_MS + 1;
    struct pollfd fds[] = {{.fd = prong_worker_stop_fd(g->worker), .events = POLLIN},
                           {.fd = g->wake_fd, .events = POLLIN},
                           {.fd = g->camera != NULL ? camera_fd(g->camera) : -1, .events = POLLIN}};
    /* What has come is looked for whatever this says. */
    (void)poll(fds, 3, left_ms > 1000 ? 1000 : (int)left_ms);
    for (size_t i = 1; i < 3; i++) {
        if ((fds[i].revents & POLLIN) != 0) {
            bell_hear(fds[i].fd);
        }
    }
}

/* Events are told by the worker's thread, one after the other; until it has taken a note the next
 * one waits. One that the end of the worker overtakes is taken when it stops. */
static void
tell(struct genicam *g, struct genicam_note note)
{
    note.stamp = stamp_now();
    pthread_mutex_lock(&g->lock);
    while (g->note.what != NOTE_NONE && !prong_worker_is_stopping(g->worker)) {
        pthread_mutex_unlock(&g->lock);
        wait_until(g, INT64_MAX);
        pthread_mutex_lock(&g->lock);
    }
    if (g->note.what == NOTE_NONE) {
        g->note = note;
        pthread_cond_broadcast(&g->changed);
    }
    pthread_mutex_unlock(&g->lock);
    bell_ring(g->note_fd);
}

/* What was malformed since it was last told, once a second at most; `now`: however long that is
 * ago. */
static void
tell_malformed(struct genicam *g, bool now)
{
    /* The thread alone writes to the counter, so it may look. */
    const uint64_t news = g->counts.malformed - g->malformed_told;
    const int64_t at_ns = stamp_now().mono_ns;
    if (news == 0 || (!now && at_ns < g->malformed_told_ns + BURST_NS)) {
        return;
    }
    g->malformed_told = g->counts.malformed;
    g->malformed_told_ns = at_ns;
    struct genicam_note note = {.what = NOTE_MALFORMED, .count = news};
    memcpy(note.why, g->malformed_why, sizeof note.why);
    tell(g, note);
}

static void
malformed(struct genicam *g, const char *why)
{
    feature_copy_text(g->malformed_why, sizeof g->malformed_why, why);
    count(g, &g->counts.malformed);
}

/* ---- a frame ----------------------------------------------------------------------------------
 */

static prong_err
write_meta(struct genicam *g, const struct camera_frame *frame, prong_value *meta)
{
    const bool has_chunks = chunks_are_in(g->chunks, frame->buffer);
    prong_writer_reset(g->meta);
    prong_writer_map(g->meta, 4 + (frame->damage != NULL) + has_chunks);
    prong_writer_key(g->meta, "format");
    prong_writer_string(g->meta, frame->picture.format->shown);
    prong_writer_key(g->meta, "device");
    prong_writer_string(g->meta, g->name);
    prong_writer_key(g->meta, "camera_ns");
    prong_writer_int(g->meta, frame->camera_ns);
    prong_writer_key(g->meta, "frame_id");
    prong_writer_uint(g->meta, frame->id);
    if (frame->damage != NULL) {
        prong_writer_key(g->meta, "damaged");
        prong_writer_bool(g->meta, true);
    }
    if (has_chunks) {
        prong_writer_key(g->meta, "chunks");
        chunks_put(g->chunks, frame->buffer, g->meta);
    }
    return prong_writer_finish(g->meta, meta);
}

/* One writer has one slot at a time, so that the camera cannot fill slots itself: this is the one
 * copy. */
static void
put_frame(struct genicam *g, const struct camera_frame *frame)
{
    const struct pixels_picture *p = &frame->picture;
    const uint64_t shape[] = {p->height, p->width, p->format->channels};
    const size_t bytes = pixels_bytes(p->format, p->width, p->height);
    prong_frame_info info = {.dtype = pixels_dtype(p->format),
                             .dims = shape[2] == 1 ? 2 : 3,
                             .shape = shape,
                             .mono_ns = frame->stamp.mono_ns,
                             .time_us = frame->stamp.time_us};
    void *slot = NULL;
    prong_err err = prong_stream_reserve(g->stream, bytes, &slot);
    if (err == PRONG_RESOURCE_EXHAUSTED) {
        count(g, &g->counts.skipped);
        return;
    }
    if (err == PRONG_OK && !pixels_copy(p, slot)) {
        prong_stream_cancel(g->stream);
        malformed(g, "it is shorter than its size says");
        return;
    }
    if (err == PRONG_OK) {
        err = write_meta(g, frame, &info.meta);
    }
    if (err == PRONG_OK) {
        err = prong_stream_commit(g->stream, &info, NULL);
    }
    if (err != PRONG_OK) {
        prong_stream_cancel(g->stream);
        count(g, &g->counts.errors);
        return;
    }
    pthread_mutex_lock(&g->lock);
    g->counts.frames++;
    g->counts.bytes += bytes;
    g->counts.last_us = frame->stamp.time_us;
    pthread_mutex_unlock(&g->lock);
}

static void
look_at_frame(struct genicam *g, const struct camera_frame *frame)
{
    if (frame->damage != NULL) {
        malformed(g, frame->damage);
        if (g->keeps_damaged && frame->picture.format != NULL) {
            put_frame(g, frame);
        }
    } else if (frame->picture.format == NULL) {
        malformed(g, "there is no picture in it that can be shown");
    } else {
        put_frame(g, frame);
    }
}

void
genicam_take_frames(struct genicam *g)
{
    struct camera_frame frame;
    while (camera_next(g->camera, &frame)) {
        look_at_frame(g, &frame);
        if (frame.damage == NULL) {
            backoff_reset(&g->backoff);
            g->waiting_since_ns = g->is_free ? stamp_now().mono_ns : 0;
        }
        camera_done(g->camera, &frame);
    }
}

/* ---- the camera -------------------------------------------------------------------------------
 */

bool
genicam_start(struct genicam *g, char *why)
{
    if (!camera_start(g->camera, why)) {
        return false;
    }
    g->waiting_since_ns = g->is_free ? stamp_now().mono_ns : 0;
    pthread_mutex_lock(&g->lock);
    g->about = *camera_about(g->camera);
    g->is_running = true;
    pthread_mutex_unlock(&g->lock);
    return true;
}

void
genicam_stop(struct genicam *g)
{
    if (!camera_is_started(g->camera)) {
        return;
    }
    genicam_take_frames(g);
    camera_stop(g->camera);
    g->waiting_since_ns = 0;
    pthread_mutex_lock(&g->lock);
    g->is_running = false;
    pthread_mutex_unlock(&g->lock);
}

static void
add(struct camera_counts *sum, const struct camera_counts *more)
{
    sum->completed += more->completed;
    sum->failures += more->failures;
    sum->underruns += more->underruns;
    sum->resent += more->resent;
    sum->missing_packets += more->missing_packets;
}

static void
bring_counts(struct genicam *g)
{
    struct camera_counts counts = g->before;
    const struct camera_counts mine = camera_counts(g->camera);
    add(&counts, &mine);
    pthread_mutex_lock(&g->lock);
    g->counts.camera = counts;
    pthread_mutex_unlock(&g->lock);
}

static bool
set_features(struct genicam *g, char *why)
{
    void *at = NULL;
    const char *name, *value;
    while (options_pair(g->options, "features", &at, &name, &value)) {
        if (feature_set(camera_device(g->camera), name, value, why) != PRONG_OK) {
            return false;
        }
    }
    return chunks_open(camera_device(g->camera), g->options, &g->chunks, why);
}

static bool
open_stream(struct genicam *g, char *why)
{
    char text[FEATURE_WHY_BYTES];
    if (g->stream != NULL) {
        return true;
    }
    const struct camera_about *about = camera_about(g->camera);
    g->stream_options.slot_bytes =
        pixels_bytes(pixels_find_name(about->pixel_format), about->width, about->height);
    if (prong_stream_create(g->url, g->stream_name, &g->stream_options, &g->stream, text,
                            sizeof text) == PRONG_OK) {
        return true;
    }
    feature_copy_text(why, FEATURE_WHY_BYTES, text);
    return false;
}

/* What became of a request. Called with the lock. */
static void
end_request(struct genicam *g, struct genicam_request *request, prong_err code)
{
    request->code = code;
    request->is_done = true;
    g->request = NULL;
    pthread_cond_broadcast(&g->changed);
}

/* What methods wait for is answered when the camera is not open any more. */
static void
set_state(struct genicam *g, enum genicam_state state)
{
    pthread_mutex_lock(&g->lock);
    g->state = state;
    if (state != GENICAM_OPEN && g->request != NULL) {
        feature_copy_text(g->request->why, sizeof g->request->why, "the camera is gone");
        end_request(g, g->request, PRONG_UNAVAILABLE);
    }
    pthread_mutex_unlock(&g->lock);
}

/* A request whose time is over is not begun, also when its method has not seen that yet. */
static struct genicam_request *
begin_request(struct genicam *g)
{
    pthread_mutex_lock(&g->lock);
    struct genicam_request *request = g->request;
    if (request != NULL && stamp_now().mono_ns >= request->until_ns) {
        feature_copy_text(request->why, sizeof request->why,
                          "it has not begun: the camera was busy until the deadline");
        end_request(g, request, PRONG_DEADLINE_EXCEEDED);
        request = NULL;
    }
    if (request != NULL) {
        request->has_begun = true;
    }
    pthread_mutex_unlock(&g->lock);
    return request;
}

static void
serve(struct genicam *g)
{
    struct genicam_request *request = begin_request(g);
    if (request != NULL) {
        const prong_err code = request->run(g, request);
        pthread_mutex_lock(&g->lock);
        end_request(g, request, code);
        pthread_mutex_unlock(&g->lock);
    }
}

static bool
is_paused(struct genicam *g)
{
    pthread_mutex_lock(&g->lock);
    const bool is = g->is_paused;
    pthread_mutex_unlock(&g->lock);
    return is;
}

/* From the opening to the first failure, or the worker's end. `is_gone` when the camera does not
 * answer. */
static void
run_camera(struct genicam *g, bool *is_gone, char *why)
{
    const int64_t timeout_ns = (int64_t)g->timeout_ms * NS_PER_MS;
    while (!prong_worker_is_stopping(g->worker)) {
        tell_malformed(g,
                       false); /* first: it may take a wake with it that is meant for the others */
        serve(g);
        if (is_paused(g)) {
            genicam_stop(g);
        } else if (!camera_is_started(g->camera) && !genicam_start(g, why)) {
            return;
        }
        genicam_take_frames(g);
        bring_counts(g);
        if (camera_is_lost(g->camera)) {
            *is_gone = true;
            feature_copy_text(why, FEATURE_WHY_BYTES,
                              "the camera does not answer, or another program has taken it");
            return;
        }
        const int64_t due_ns =
            g->waiting_since_ns != 0 ? g->waiting_since_ns + timeout_ns : INT64_MAX;
        if (stamp_now().mono_ns >= due_ns) {
            char text[FEATURE_WHY_BYTES];
            *is_gone = true;
            (void)snprintf(text, sizeof text, "no frame for %d ms", (int)g->timeout_ms);
            feature_copy_text(why, FEATURE_WHY_BYTES, text);
            return;
        }
        wait_until(g, due_ns);
    }
}

static void
fail(struct genicam *g, const char *why)
{
    struct genicam_note note = {.what = NOTE_DOWN};
    feature_copy_text(note.why, sizeof note.why, why);
    pthread_mutex_lock(&g->lock);
    memcpy(g->why, note.why, sizeof g->why);
    pthread_mutex_unlock(&g->lock);
    tell(g, note);
}

/* Gives false when it has to be tried again later. */
static bool
play_once(struct genicam *g, bool is_again)
{
    char why[FEATURE_WHY_BYTES] = "";
    bool is_gone = false;
    if (camera_open(&g->camera_options, &g->camera, why) && set_features(g, why) &&
        genicam_start(g, why) && open_stream(g, why)) {
        if (is_again) {
            count(g, &g->counts.reconnects);
        }
        set_state(g, GENICAM_OPEN);
        tell(g, (struct genicam_note){.what = NOTE_UP});
        run_camera(g, &is_gone, why);
        set_state(g, GENICAM_OPENING);
        tell_malformed(g, true);
    }
    /* Told before the close, which waits for the answer of a camera that may be dead. */
    const bool is_over = prong_worker_is_stopping(g->worker);
    if (!is_over) {
        fail(g, why);
    }
    if (g->camera != NULL) {
        bring_counts(g);
        g->before = g->counts.camera;
        chunks_close(g->chunks);
        g->chunks = NULL;
        camera_close(g->camera, is_gone);
        g->camera = NULL;
    }
    return is_over;
}

void
genicam_play(prong_worker *worker, void *device)
{
    struct genicam *g = ((const struct device *)device)->state;
    bool is_again = false;
    while (!prong_worker_is_stopping(worker) && !play_once(g, is_again)) {
        is_again = true;
        /* What comes of it is asked by the loop. */
        (void)prong_worker_pause(worker, (int32_t)backoff_next(&g->backoff));
    }
    set_state(g, GENICAM_OVER);
}
