/* The thread of prong-video: open the source, play it into the stream, begin again. */
#include "client/devices/video/kind.h"

#include <errno.h>
#include <libavutil/frame.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_SECOND = 1000 * 1000 * 1000, BURST_NS = NS_PER_SECOND };

static void
count(struct video *v, uint64_t *counter)
{
    pthread_mutex_lock(&v->lock);
    ++*counter;
    pthread_mutex_unlock(&v->lock);
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static bool
is_paused(struct video *v)
{
    pthread_mutex_lock(&v->lock);
    const bool is = v->is_paused;
    pthread_mutex_unlock(&v->lock);
    return is;
}

/* Until this time (INT64_MAX: none), a method that changed something, or the worker's end, which
 * gives true. */
static bool
wait_until(struct video *v, int64_t due_ns)
{
    const int64_t left_ns = due_ns == INT64_MAX ? 0 : due_ns - stamp_now().mono_ns;
    const struct timespec left = {left_ns / NS_PER_SECOND, left_ns % NS_PER_SECOND};
    struct pollfd fds[] = {{.fd = prong_worker_stop_fd(v->worker), .events = POLLIN},
                           {.fd = v->wake_fd, .events = POLLIN}};
    if (left_ns >= 0 && ppoll(fds, 2, due_ns == INT64_MAX ? NULL : &left, NULL) > 0 &&
        (fds[1].revents & POLLIN) != 0) {
        bell_hear(v->wake_fd);
    }
    return prong_worker_is_stopping(v->worker);
}

/* A file waits while it is paused, and until the frame is due. True when the worker ends. */
static bool
wait_for_turn(struct video *v, struct video_pace *pace, int64_t pts_us)
{
    bool is_due = false;
    while (!is_due) {
        while (is_paused(v)) {
            if (wait_until(v, INT64_MAX)) {
                return true;
            }
        }
        const int64_t due_ns = video_pace_due(pace, pts_us, stamp_now().mono_ns);
        while (!is_paused(v) && stamp_now().mono_ns < due_ns) {
            if (wait_until(v, due_ns)) {
                return true;
            }
        }
        is_due = !is_paused(v);
        if (!is_due) {
            pace->has_begun = false; /* the pause is no delay that could be caught up with */
        }
    }
    return prong_worker_is_stopping(v->worker);
}

/* ---- telling ----------------------------------------------------------------------------------
 */

/* Events are told by the worker's thread, one after the other; until it has taken a note the next
 * one waits. One that the end of the worker overtakes is taken by video_stop. */
static void
tell(struct video *v, struct video_note note)
{
    note.stamp = stamp_now();
    pthread_mutex_lock(&v->lock);
    while (v->note.what != NOTE_NONE) {
        pthread_mutex_unlock(&v->lock);
        if (wait_until(v, INT64_MAX)) {
            return;
        }
        pthread_mutex_lock(&v->lock);
    }
    v->note = note;
    pthread_mutex_unlock(&v->lock);
    bell_ring(v->note_fd);
}

/* What broke since it was last told, once a second at most; `now`: however long that is ago. */
static void
tell_malformed(struct video *v, bool now)
{
    const uint64_t malformed = v->malformed_before + video_source_malformed(v->source);
    const uint64_t news = malformed - v->malformed_told;
    const int64_t at_ns = stamp_now().mono_ns;
    if (news == 0 || (!now && at_ns < v->malformed_told_ns + BURST_NS)) {
        return;
    }
    v->malformed_told = malformed;
    v->malformed_told_ns = at_ns;
    pthread_mutex_lock(&v->lock);
    v->counts.malformed = malformed;
    pthread_mutex_unlock(&v->lock);
    tell(v, (struct video_note){.what = NOTE_MALFORMED, .malformed = news});
}

/* ---- a frame ----------------------------------------------------------------------------------
 */

static prong_err
write_meta(struct video *v, const struct video_frame *frame, prong_value *meta)
{
    prong_writer_reset(v->meta);
    prong_writer_map(v->meta, frame->is_damaged ? 4 : 3);
    prong_writer_key(v->meta, "format");
    prong_writer_string(v->meta, video_format_name(v->wanted.format));
    prong_writer_key(v->meta, "pts_us");
    prong_writer_int(v->meta, frame->pts_us);
    prong_writer_key(v->meta, "device");
    prong_writer_string(v->meta, v->name);
    if (frame->is_damaged) {
        prong_writer_key(v->meta, "damaged");
        prong_writer_bool(v->meta, true);
    }
    return prong_writer_finish(v->meta, meta);
}

/* For the method snapshot: the decoder's own picture is kept, not a copy of it. */
static void
keep_newest(struct video *v, const struct video_frame *frame, const struct video_geometry *to,
            uint64_t number)
{
    AVFrame *newest = av_frame_clone(frame->picture);
    pthread_mutex_lock(&v->lock);
    if (newest != NULL) {
        av_frame_free(&v->newest);
        v->newest = newest;
        v->newest_geometry = *to;
        v->newest_number = number;
    }
    v->counts.frames++;
    v->counts.bytes += video_bytes(to);
    v->counts.last_us = frame->time_us;
    pthread_mutex_unlock(&v->lock);
}

static void
put_frame(struct video *v, const struct video_frame *frame)
{
    const struct video_geometry to =
        video_fit(v->wanted.format, v->wanted.width, v->wanted.height, frame->width, frame->height);
    const uint64_t shape[] = {to.height, to.width, video_format_channels(to.format)};
    prong_frame_info info = {.dtype = "|u1",
                             .dims = shape[2] == 1 ? 2 : 3,
                             .shape = shape,
                             .mono_ns = frame->mono_ns,
                             .time_us = frame->time_us};
    uint64_t number;
    void *slot = NULL;
    prong_err err = prong_stream_reserve(v->stream, video_bytes(&to), &slot);
    if (err == PRONG_RESOURCE_EXHAUSTED) {
        count(v, &v->counts.skipped);
        return;
    }
    if (err == PRONG_OK) {
        err = video_scale(&v->scaler, frame->picture, &to, slot);
    }
    if (err == PRONG_OK) {
        err = write_meta(v, frame, &info.meta);
    }
    if (err == PRONG_OK) {
        err = prong_stream_commit(v->stream, &info, &number);
    }
    if (err != PRONG_OK) {
        prong_stream_cancel(v->stream);
        count(v, &v->counts.errors);
        return;
    }
    keep_newest(v, frame, &to, number);
}

/* A camera's frames come whether they are wanted or not. */
static bool
is_wanted(struct video *v, struct video_pace *pace, const struct video_frame *frame)
{
    if (!is_paused(v) && video_pace_takes(pace, frame->mono_ns)) {
        return true;
    }
    count(v, &v->counts.left_out);
    return false;
}

/* All frames of the source that is open, until something ends it; `frames` are how many there
 * were. */
static enum video_step
play_source(struct video *v, uint64_t *frames)
{
    struct video_pace pace = v->pace;
    struct video_frame frame;
    enum video_step step;
    const bool is_live = video_source_about(v->source)->is_live;
    while ((step = video_source_next(v->source, &frame)) == VIDEO_FRAME) {
        ++*frames;
        tell_malformed(v, false);
        if (is_live) {
            if (is_wanted(v, &pace, &frame)) {
                put_frame(v, &frame);
            }
            continue;
        }
        if (wait_for_turn(v, &pace, frame.pts_us)) {
            return VIDEO_STOPPED;
        }
        /* A file is played as if a camera took the frames now. */
        const struct stamp now = stamp_now();
        frame.mono_ns = now.mono_ns;
        frame.time_us = now.time_us;
        put_frame(v, &frame);
    }
    return step;
}

/* ---- opening and ending -----------------------------------------------------------------------
 */

static prong_err
open_stream(struct video *v, char *why, size_t why_size)
{
    if (v->stream != NULL) {
        return PRONG_OK;
    }
    const struct video_about *about = video_source_about(v->source);
    if (about->width != 0 && about->height != 0) {
        const struct video_geometry to = video_fit(v->wanted.format, v->wanted.width,
                                                   v->wanted.height, about->width, about->height);
        v->stream_options.slot_bytes = video_bytes(&to);
    }
    return prong_stream_create(v->url, v->stream_name, &v->stream_options, &v->stream, why,
                               why_size);
}

/* A file that is played again and again is up all the time, unless another one took its place. */
static bool
is_news(const struct video *v)
{
    const struct video_about *about = video_source_about(v->source);
    return !v->is_up || about->width != v->about.width || about->height != v->about.height ||
           strcmp(about->codec, v->about.codec) != 0;
}

static void
set_state(struct video *v, enum video_state state)
{
    pthread_mutex_lock(&v->lock);
    v->state = state;
    if (state == VIDEO_PLAYING) {
        v->about = *video_source_about(v->source);
    }
    pthread_mutex_unlock(&v->lock);
}

static void
close_source(struct video *v)
{
    if (v->source != NULL) {
        tell_malformed(v, true);
        v->malformed_before += video_source_malformed(v->source);
        video_source_close(v->source);
        v->source = NULL;
    }
}

/* One source from its opening to its end. `why` is written when it failed. */
static enum video_step
play_once(struct video *v, bool is_again, char *why, size_t why_size)
{
    uint64_t frames = 0;
    if (video_source_open(&v->options, &v->source, why, why_size) != PRONG_OK ||
        open_stream(v, why, why_size) != PRONG_OK) {
        return prong_worker_is_stopping(v->worker) ? VIDEO_STOPPED : VIDEO_FAILED;
    }
    if (is_again) {
        count(v, &v->counts.reconnects);
    }
    const bool tells = is_news(v); /* the thread alone writes to `about`, so it may look */
    set_state(v, VIDEO_PLAYING);
    if (tells) {
        v->is_up = true;
        tell(v, (struct video_note){.what = NOTE_UP});
    }
    const enum video_step step = play_source(v, &frames);
    if (frames > 0) {
        backoff_reset(&v->backoff);
    }
    if (step == VIDEO_ENDED && frames > 0) {
        count(v, &v->counts.passes);
        tell_malformed(v, true);
        tell(v, (struct video_note){.what = NOTE_ENDED,
                                    .frames = frames,
                                    .malformed = video_source_malformed(v->source)});
        return step;
    }
    /* Played again and again at once, a file without a frame would keep a processor busy. */
    snprintf(why, why_size, "%s",
             step == VIDEO_ENDED ? "no frame in it can be decoded" : video_source_why(v->source));
    return step == VIDEO_ENDED ? VIDEO_FAILED : step;
}

static void
fail(struct video *v, const char *why)
{
    struct video_note note = {.what = NOTE_DOWN};
    video_copy_text(note.why, sizeof note.why, why);
    v->is_up = false;
    set_state(v, VIDEO_OPENING);
    tell(v, note);
    /* What comes of it is asked by the loop. */
    (void)prong_worker_pause(v->worker, (int32_t)backoff_next(&v->backoff));
}

void
video_play(prong_worker *worker, void *device)
{
    struct video *v = ((const struct device *)device)->state;
    bool is_again = false;
    char why[VIDEO_WHY_BYTES];
    while (!prong_worker_is_stopping(worker)) {
        const enum video_step step = play_once(v, is_again, why, sizeof why);
        close_source(v);
        is_again = step == VIDEO_FAILED;
        if (step == VIDEO_FAILED) {
            fail(v, why);
        } else if (step == VIDEO_ENDED && !v->loops) {
            set_state(v, VIDEO_OVER);
            return;
        }
    }
}
