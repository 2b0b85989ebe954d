/* The log file of one replica: see logfile.h. */
#include "broker/shell/logfile.h"
#include "broker/shell/logline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PATH_BYTES = 4200 };

void
logfile_init(struct logfile *f, const char *dir, const struct log *log, const char *worker,
             uint32_t replica)
{
    *f = (struct logfile){.dir = dir, .log = log, .replica = replica, .fd = -1};
    (void)snprintf(f->worker, sizeof f->worker, "%s", worker);
}

static void
path_of(const struct logfile *f, uint32_t backup, char out[PATH_BYTES])
{
    char number[LOGLINE_NUMBER_BYTES];
    (void)logline_number(f->replica, number);
    if (backup == 0) {
        (void)snprintf(out, PATH_BYTES, "%s/%s.%s.log", f->dir, f->worker, number);
    } else {
        (void)snprintf(out, PATH_BYTES, "%s/%s.%s.log.%u", f->dir, f->worker, number,
                       (unsigned)backup);
    }
}

static void
open_file(struct logfile *f)
{
    char path[PATH_BYTES];
    struct stat st;
    (void)mkdir(f->dir, 0700); /* when it cannot be made, opening the file tells */
    path_of(f, 0, path);
    /* Without waiting: a named pipe of this name would hold the whole hub up until it is read. */
    f->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd >= 0 && (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        logfile_close(f);
        errno = EEXIST;
    }
    if (f->fd < 0) {
        if (f->dropped == 0) {
            log_write(f->log, LOG_WARN, "cannot write %s: %s", path, strerror(errno));
        }
        return;
    }
    f->bytes = (size_t)st.st_size;
}

void
logfile_close(struct logfile *f)
{
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
    f->fd = -1;
}

static void
rotate(struct logfile *f)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    logfile_close(f);
    for (uint32_t i = f->backups; i > 0; i--) {
        path_of(f, i - 1, from);
        path_of(f, i, to);
        (void)rename(from, to); /* the older ones need not be there */
    }
    if (f->backups == 0) {
        path_of(f, 0, from);
        (void)unlink(from); /* one that stays grows on, and the next line tries again */
    }
    open_file(f);
}

/* Told with the first line that is lost and again when lines go through. */
static void
note_dropped(struct logfile *f, uint64_t lines)
{
    char number[LOGLINE_NUMBER_BYTES];
    if (lines > 0 && f->dropped == 0) {
        log_write(f->log, LOG_WARN, "%s/%s: its log cannot be written, lines are dropped",
                  f->worker, logline_number(f->replica, number));
    }
    f->dropped += lines;
}

static void
tell_dropped(struct logfile *f)
{
    char number[LOGLINE_NUMBER_BYTES];
    if (f->dropped > 0) {
        log_write(f->log, LOG_WARN, "%s/%s: %llu lines of its log were dropped", f->worker,
                  logline_number(f->replica, number), (unsigned long long)f->dropped);
    }
    f->dropped = 0;
}

void
logfile_deinit(struct logfile *f)
{
    tell_dropped(f);
    logfile_close(f);
}

static uint64_t
count_lines(const char *bytes, size_t len)
{
    uint64_t lines = 0;
    for (const char *end = bytes + len, *p = bytes; p < end; lines++) {
        p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
    }
    return lines;
}

/* A disk that is full takes a part: whole lines of it stay, a piece of one does not, nor does the
 * line about a gap alone. What follows is dropped without another try, which would cost a system
 * call for each line. */
static void
keep_part(struct logfile *f, const struct logfile_batch *batch, size_t gap, size_t written)
{
    const char *end = written > gap ? memrchr(batch->bytes, '\n', written - gap) : NULL;
    const size_t whole = end == NULL ? 0 : (size_t)(end - batch->bytes) + 1;
    const size_t kept = whole > 0 ? gap + whole : 0;
    if (written > kept && ftruncate(f->fd, (off_t)(f->bytes + kept)) != 0) {
        f->bytes += written - kept; /* the piece stays */
    }
    f->bytes += kept;
    if (whole > 0) {
        tell_dropped(f);
    }
    note_dropped(f, count_lines(batch->bytes + whole, batch->len - whole));
}

enum { GAP_BYTES = LOGLINE_HEADING_BYTES + 80 };

/* The line that says in the file itself how many are missing before those of the batch. */
static size_t
make_gap(const struct logfile *f, const struct logfile_batch *batch, char text[GAP_BYTES])
{
    char who[LOGLINE_WHO_BYTES], number[LOGLINE_NUMBER_BYTES];
    struct logline_head head = {.level = LOG_WARN, .who = who, .call = ""};
    /* The time of the line that follows, so that times in a file go up. */
    (void)log_time_read((struct span){(const uint8_t *)batch->bytes, batch->len}, &head.time_us);
    (void)snprintf(who, sizeof who, "%s/%s", f->worker, logline_number(f->replica, number));
    const size_t n = logline_write(&head, text);
    return n + (size_t)snprintf(text + n, GAP_BYTES - n, "(prong: %llu line%s lost here)\n",
                                (unsigned long long)f->dropped,
                                f->dropped == 1 ? " was" : "s were");
}

void
logfile_flush(struct logfile *f, struct logfile_batch *batch)
{
    char text[GAP_BYTES];
    ssize_t n = -1;
    if (batch->len == 0) {
        return;
    }
    const size_t gap = f->fd >= 0 && f->dropped > 0 ? make_gap(f, batch, text) : 0;
    if (gap > 0) {
        const struct iovec parts[] = {{text, gap}, {batch->bytes, batch->len}};
        n = writev(f->fd, parts, 2);
    } else if (f->fd >= 0) {
        n = write(f->fd, batch->bytes, batch->len);
    }
    if (n == (ssize_t)(gap + batch->len)) {
        f->bytes += gap + batch->len;
        tell_dropped(f);
    } else {
        keep_part(f, batch, gap, n > 0 ? (size_t)n : 0);
    }
    batch->len = 0;
}

void
logfile_put(struct logfile *f, struct logfile_batch *batch, struct span heading, struct span text)
{
    const size_t len = heading.len + text.len + 1;
    /* Once for all lines of a batch: the size of the file has to be known before the first. */
    if (f->fd < 0 && batch->len == 0) {
        open_file(f);
    }
    if (f->fd >= 0 && f->bytes + batch->len + len > f->bytes_max) {
        logfile_flush(f, batch);
        if (f->bytes > 0 && f->bytes + len > f->bytes_max) {
            rotate(f);
        }
    }
    if (batch->len + len > sizeof batch->bytes) {
        logfile_flush(f, batch);
    }
    char *at = batch->bytes + batch->len;
    memcpy(at, heading.data, heading.len);
    memcpy(at + heading.len, text.data, text.len);
    at[len - 1] = '\n';
    batch->len += len;
}

/* ---- of an earlier broker ---------------------------------------------------------------------
 */

void
logfile_mark_past(struct logfile *f)
{
    char path[PATH_BYTES];
    struct stat st;
    path_of(f, 0, path);
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        f->past.device = st.st_dev;
        f->past.inode = st.st_ino;
        f->past.bytes = (size_t)st.st_size;
    }
}

/* Open it again, by its old name or as the first that was put aside; -1 when it is neither. */
static int
open_past(const struct logfile *f)
{
    for (uint32_t backup = 0; backup <= 1; backup++) {
        char path[PATH_BYTES];
        struct stat st;
        path_of(f, backup, path);
        const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == f->past.device &&
            st.st_ino == f->past.inode) {
            return fd;
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return -1;
}

struct span
logfile_take_past(struct logfile *f, struct logfile_batch *batch)
{
    const size_t len = f->past.bytes < sizeof batch->bytes ? f->past.bytes : sizeof batch->bytes;
    const size_t from = f->past.bytes - len;
    const int fd = len > 0 ? open_past(f) : -1;
    f->past.bytes = 0;
    if (fd < 0) {
        return (struct span){0};
    }
    const ssize_t n = pread(fd, batch->bytes, len, (off_t)from);
    (void)close(fd);
    /* Not the rest of a line at its beginning, nor a piece at its end. */
    const char *end = n > 0 ? memrchr(batch->bytes, '\n', (size_t)n) : NULL;
    const char *begin = batch->bytes;
    if (end != NULL && from > 0) {
        begin = memchr(begin, '\n', len);
        begin++;
    }
    if (end == NULL || begin > end) {
        return (struct span){0};
    }
    return (struct span){(const uint8_t *)begin, (size_t)(end + 1 - begin)};
}
