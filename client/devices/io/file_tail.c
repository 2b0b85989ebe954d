/* kind file-tail: what is added to a file, across rotation and truncation.
 *
 * The folder is watched, so that something new is noticed at once; and the file is looked at twice
 * a second besides, because not every file system tells what other machines do. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/devices/io/kinds.h"
#include "client/devices/stream.h"

enum { LOOK_MS = 500, NOTES_BYTES = 4096 };

struct state {
    struct device_timer timer; /* when to look next */
    struct stream stream;      /* its descriptor is -1 while there is no file */
    int notes;                 /* inotify */
    int folder;                /* the watch of it; -1: none yet */
    bool has_begun;            /* whatever comes now is new, and read from its start */
    int64_t leave_ns; /* the path is another file's, and this one is left then; 0: it is not */
};

static void
emit_change(struct device *d, const char *what)
{
    const struct stamp now = stamp_now();
    prong_writer *out = device_event(d, &now, 1);
    prong_writer_key(out, "path");
    prong_writer_string(out, options_text(&d->options, "path"));
    device_emit(d, what);
}

static void
watch_folder(struct device *d)
{
    struct state *s = d->state;
    const char *path = options_text(&d->options, "path");
    const char *slash = strrchr(path, '/');
    const size_t len = slash == path ? 1 : slash != NULL ? (size_t)(slash - path) : 1;
    char *folder = s->folder < 0 ? strndup(slash != NULL ? path : ".", len) : NULL;
    if (folder != NULL) {
        /* When it fails there are still the looks in between. */
        s->folder = inotify_add_watch(s->notes, folder,
                                      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF);
    }
    free(folder);
}

static void
close_file(struct device *d)
{
    struct state *s = d->state;
    stream_close(d, &s->stream);
    s->leave_ns = 0;
}

static bool
open_file(struct device *d)
{
    struct state *s = d->state;
    struct stat status;
    const char *path = options_text(&d->options, "path");
    const bool from_end = !s->has_begun && options_number(&d->options, "from") == 0;
    s->has_begun = true;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        device_down(d, strerror(errno), NULL);
        return false;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
        (from_end && lseek(fd, 0, SEEK_END) < 0)) {
        (void)close(fd);
        device_down(d, "not a file", NULL);
        return false;
    }
    s->stream.fd = fd;
    device_up(d, NULL);
    return true;
}

/* All was read: whether there is more to read at once, because the file was cut or is another. */
static bool
follow(struct device *d)
{
    struct state *s = d->state;
    struct stat open_one, named;
    const off_t at = lseek(s->stream.fd, 0, SEEK_CUR);
    if (fstat(s->stream.fd, &open_one) == 0 && open_one.st_size < at) {
        stream_end(d, &s->stream);
        emit_change(d, "truncated");
        return lseek(s->stream.fd, 0, SEEK_SET) == 0;
    }
    const bool is_gone = stat(options_text(&d->options, "path"), &named) != 0;
    if (!is_gone && named.st_ino == open_one.st_ino && named.st_dev == open_one.st_dev) {
        s->leave_ns = 0;
        return false;
    }
    /* Who writes may go on with the old file for a moment. */
    const int64_t now = stamp_now().mono_ns;
    if (s->leave_ns == 0) {
        s->leave_ns = now + INT64_C(1000000) * LOOK_MS;
    }
    if (is_gone || now < s->leave_ns) {
        return false;
    }
    close_file(d);
    emit_change(d, "rotated");
    return open_file(d);
}

static void
look(struct device *d)
{
    struct state *s = d->state;
    bool again = true;
    watch_folder(d);
    if (s->stream.fd < 0 && !open_file(d)) {
        device_timer_set(&s->timer, LOOK_MS);
        return;
    }
    while (again && device_is_open(d)) {
        switch (stream_read(d, &s->stream)) {
        case STREAM_OPEN: /* others have their turn first */
            device_timer_set(&s->timer, 1);
            return;
        case STREAM_END:
            again = follow(d);
            break;
        case STREAM_ERROR:
            device_down(d, strerror(errno), NULL);
            close_file(d);
            again = false;
            break;
        }
    }
    device_timer_set(&s->timer, LOOK_MS);
}

static void
is_time(struct device *d, uint64_t times, void *context)
{
    (void)times;
    (void)context;
    if (device_is_open(d)) {
        look(d); /* else the gate calls, when it opens */
    }
}

/* Something happened in the folder, or the gate was opened. */
static void
noted(struct device *d, int fd, short revents, void *context)
{
    (void)revents;
    (void)context;
    struct state *s = d->state;
    const char *path = options_text(&d->options, "path");
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    union {
        struct inotify_event align;
        char bytes[NOTES_BYTES];
    } notes;
    bool is_ours = revents == 0;
    const ssize_t n = read(fd, &notes, sizeof notes);
    for (ssize_t at = 0; at < n;) {
        struct inotify_event note;
        memcpy(&note, notes.bytes + at, sizeof note);
        const char *which = note.len > 0 ? notes.bytes + at + sizeof note : "";
        is_ours = is_ours || strcmp(which, name) == 0;
        if ((note.mask & IN_IGNORED) != 0) {
            s->folder = -1;
        }
        at += (ssize_t)(sizeof note + note.len);
    }
    if (is_ours) {
        look(d);
    }
}

static prong_err
start(struct device *d)
{
    struct state *s = d->state;
    s->stream.fd = -1;
    s->stream.framing = stream_framing(&d->options);
    s->folder = -1;
    s->notes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->notes < 0 || !device_watch(d, s->notes, DEVICE_READ, noted, NULL) ||
        !device_timer_start(d, &s->timer, is_time, NULL)) {
        device_log(d, 3, "the folder cannot be watched: %s", strerror(errno));
        return PRONG_RESOURCE_EXHAUSTED;
    }
    look(d);
    return PRONG_OK;
}

static void
stop(struct device *d)
{
    struct state *s = d->state;
    device_timer_stop(d, &s->timer);
    if (s->notes >= 0) {
        device_watch(d, s->notes, 0, NULL, NULL);
        (void)close(s->notes);
        s->notes = -1;
    }
    if (s->stream.fd >= 0) {
        (void)close(s->stream.fd);
        s->stream.fd = -1;
    }
    framing_deinit(&s->stream.framing); /* half a line may be completed when the device is back */
}

static void
stats(struct device *d, prong_writer *out)
{
    const struct state *s = d->state;
    prong_writer_key(out, "offset");
    prong_writer_int(out, s->stream.fd >= 0 ? (int64_t)lseek(s->stream.fd, 0, SEEK_CUR) : 0);
}

const struct device_kind_ops io_file_tail = {
    .kind = "file-tail",
    .state_size = sizeof(struct state),
    .start = start,
    .stop = stop,
    .stats = stats,
    .stat_count = 1,
};
