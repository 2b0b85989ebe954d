/* kind watch: what happens to files and in folders, as inotify(7) tells it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "client/devices/io/kinds.h"

enum {
    PATHS_MAX = 64, /* as the table has it */
    NOTES_BYTES = 16384,
    READS_MAX = 64,
    PAIR_MS = 20, /* the two halves of a move come right after each other */
};

#define WATCHED                                                                                    \
    (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |            \
     IN_DELETE_SELF | IN_MOVE_SELF)

struct state {
    struct retry retry;
    struct device_timer pair; /* until a move is told by its first half alone */
    int notes;                /* inotify */
    size_t count;
    int watches[PATHS_MAX]; /* of the paths in their order; -1: not watched now */
    uint32_t cookie;        /* of the first half; 0: none */
    bool is_folder;
    char from[PATH_MAX];
};

static void
put_path(prong_writer *out, const char *key, const char *path)
{
    prong_writer_key(out, key);
    if (path == NULL) {
        prong_writer_nil(out);
    } else {
        /* The name of a file may be anything; what is no text is told as bytes. */
        prong_writer *test = prong_writer_new();
        prong_value value;
        prong_writer_string(test, path);
        const bool is_text = test != NULL && prong_writer_finish(test, &value) == PRONG_OK;
        prong_writer_free(test);
        if (is_text) {
            prong_writer_string(out, path);
        } else {
            prong_writer_bin(out, path, strlen(path));
        }
    }
}

static void
emit(struct device *d, const char *what, const char *path, bool is_folder)
{
    const struct stamp now = stamp_now();
    d->count.frames++;
    d->count.last_us = now.time_us;
    prong_writer *out = device_event(d, &now, 2);
    put_path(out, "value", path);
    prong_writer_key(out, "folder");
    prong_writer_bool(out, is_folder);
    device_emit(d, what);
}

/* From somewhere to somewhere; NULL is a place that is not watched. */
static void
emit_move(struct device *d, const char *from, const char *to, bool is_folder)
{
    const struct stamp now = stamp_now();
    d->count.frames++;
    d->count.last_us = now.time_us;
    prong_writer *out = device_event(d, &now, 3);
    put_path(out, "value", to);
    put_path(out, "from", from);
    prong_writer_key(out, "folder");
    prong_writer_bool(out, is_folder);
    device_emit(d, "moved");
}

/* No second half has come: it has left. */
static void
flush_move(struct device *d)
{
    struct state *s = d->state;
    if (s->cookie != 0) {
        s->cookie = 0;
        device_timer_set(&s->pair, 0);
        emit_move(d, s->from, NULL, s->is_folder);
    }
}

static void
no_pair(struct device *d, uint64_t times, void *context)
{
    (void)times;
    (void)context;
    flush_move(d);
}

static void
moved_to(struct device *d, const struct inotify_event *note, const char *path)
{
    struct state *s = d->state;
    const bool is_pair = s->cookie != 0 && s->cookie == note->cookie;
    if (!is_pair) {
        flush_move(d);
    }
    s->cookie = 0;
    device_timer_set(&s->pair, 0);
    emit_move(d, is_pair ? s->from : NULL, path, (note->mask & IN_ISDIR) != 0);
}

static void
moved_from(struct device *d, const struct inotify_event *note, const char *path)
{
    struct state *s = d->state;
    flush_move(d);
    s->cookie = note->cookie;
    s->is_folder = (note->mask & IN_ISDIR) != 0;
    (void)snprintf(s->from, sizeof s->from, "%s", path);
    device_timer_set(&s->pair, PAIR_MS);
}

/* A path that is watched itself has gone. */
static void
lost(struct device *d, size_t index)
{
    struct state *s = d->state;
    char why[DEVICE_WHY_BYTES_MAX];
    s->watches[index] = -1;
    (void)snprintf(why, sizeof why, "%.150s is gone", options_item(&d->options, "paths", index));
    retry_later(d, &s->retry, why);
}

static void
tell(struct device *d, const struct inotify_event *note, const char *name)
{
    static const struct {
        uint32_t bit;
        const char *what;
    } rows[] = {{IN_CREATE, "created"},
                {IN_MODIFY, "modified"},
                {IN_CLOSE_WRITE, "closed"},
                {IN_DELETE | IN_DELETE_SELF, "deleted"}};
    struct state *s = d->state;
    char path[PATH_MAX];
    size_t index = 0;
    while (index < s->count && s->watches[index] != note->wd) {
        index++;
    }
    if (index == s->count) {
        return; /* of a watch that has ended */
    }
    const char *base = options_item(&d->options, "paths", index);
    (void)snprintf(path, sizeof path, "%s%s%s", base, name[0] != '\0' ? "/" : "", name);
    if ((note->mask & IN_MOVED_FROM) != 0) {
        moved_from(d, note, path);
        return;
    }
    if ((note->mask & IN_MOVED_TO) != 0) {
        moved_to(d, note, path);
        return;
    }
    flush_move(d);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((note->mask & rows[i].bit) != 0) {
            emit(d, rows[i].what, path, (note->mask & IN_ISDIR) != 0);
        }
    }
    if ((note->mask & IN_MOVE_SELF) != 0) {
        emit_move(d, path, NULL, (note->mask & IN_ISDIR) != 0);
        (void)inotify_rm_watch(s->notes, note->wd); /* the name is not its own any more */
    }
    if ((note->mask & IN_IGNORED) != 0) {
        lost(d, index);
    }
}

static void
overflow(struct device *d)
{
    const struct stamp now = stamp_now();
    d->count.dropped++;
    device_fault(d, "the system had no room for all that happened");
    (void)device_event(d, &now, 0);
    device_emit(d, "overflow");
}

static void
noted(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    (void)context;
    union {
        struct inotify_event align;
        char bytes[NOTES_BYTES];
    } notes;
    for (int i = 0; i < READS_MAX && device_is_open(d); i++) {
        const ssize_t n = read(fd, &notes, sizeof notes);
        if (n <= 0) {
            return;
        }
        d->count.bytes += (uint64_t)n;
        for (ssize_t at = 0; at < n;) {
            struct inotify_event note;
            memcpy(&note, notes.bytes + at, sizeof note);
            if ((note.mask & IN_Q_OVERFLOW) != 0) {
                overflow(d);
            } else {
                tell(d, &note, note.len > 0 ? notes.bytes + at + sizeof note : "");
            }
            at += (ssize_t)(sizeof note + note.len);
        }
    }
}

/* Watch those that are not watched yet. */
static void
attempt(struct device *d)
{
    struct state *s = d->state;
    char why[DEVICE_WHY_BYTES_MAX] = "";
    for (size_t i = 0; i < s->count; i++) {
        const char *path = options_item(&d->options, "paths", i);
        if (s->watches[i] < 0) {
            s->watches[i] = inotify_add_watch(s->notes, path, WATCHED);
        }
        if (s->watches[i] < 0 && why[0] == '\0') {
            (void)snprintf(why, sizeof why, "%.150s: %s", path, strerror(errno));
        }
    }
    if (why[0] != '\0') {
        retry_later(d, &s->retry, why);
        return;
    }
    retry_done(d, &s->retry);
    device_up(d, NULL);
}

static prong_err
start(struct device *d)
{
    struct state *s = d->state;
    s->count = options_count(&d->options, "paths");
    for (size_t i = 0; i < PATHS_MAX; i++) {
        s->watches[i] = -1;
    }
    s->notes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->notes < 0 || !device_watch(d, s->notes, DEVICE_READ, noted, NULL)) {
        device_log(d, 3, "nothing can be watched: %s", strerror(errno));
        return PRONG_RESOURCE_EXHAUSTED;
    }
    return device_timer_start(d, &s->pair, no_pair, NULL) && retry_start(d, &s->retry, attempt)
               ? PRONG_OK
               : PRONG_RESOURCE_EXHAUSTED;
}

static void
stop(struct device *d)
{
    struct state *s = d->state;
    retry_stop(d, &s->retry);
    device_timer_stop(d, &s->pair);
    if (s->notes >= 0) {
        device_watch(d, s->notes, 0, NULL, NULL);
        (void)close(s->notes);
        s->notes = -1;
    }
}

const struct device_kind_ops io_watch = {
    .kind = "watch",
    .state_size = sizeof(struct state),
    .start = start,
    .stop = stop,
};
