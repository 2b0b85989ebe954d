/* What workers write: see output.h. */
#include "broker/shell/output.h"
#include "broker/shell/logfile.h"

#include "proto/mp.h"
#include "proto/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* A read is small because each line of it, of a byte even, costs its heading in the file: who
 * writes short lines without end may not hold up the calls of others for long. */
enum {
    LINE_BYTES_MAX = 8192,
    KEPT_LINES = 1000,
    KEPT_BYTES_MAX = 128 * 1024,
    READ_BYTES_MAX = 1024,
    HEADING_BYTES_MAX = 160,
};
#define FIRST_LINE (UINT64_C(1) << 40)

struct line {
    /* Over all replicas, so that lines can be told in the order in which they came. Those of an
     * earlier broker are below FIRST_LINE, downwards as they are read: between replicas only their
     * time tells it. */
    uint64_t number;
    uint64_t time_us;
    const struct stream *of;
    int32_t pid;
    char *text;
    size_t len;
};

/* One replica, over all of its processes. The list begins with those that run and those that ended
 * last. */
struct stream {
    struct stream *next;
    struct line *lines; /* a ring of KEPT_LINES, made with the first line */
    size_t first, count, bytes;
    size_t pipes; /* that are open: 0 when no process of it runs */
    struct logfile file;
};

struct pipe {
    struct source source;
    struct pipe *next;
    struct output *output;
    struct stream *stream; /* NULL when closed */
    uint64_t process;
    int32_t pid;
    int fd; /* -1: closed, to be freed at the turn's end */
    size_t len;
    char text[LINE_BYTES_MAX];
};

struct output {
    struct output_options options;
    struct stream *streams;
    struct pipe *pipes;
    bool has_closed, has_ended;
    uint64_t last_line, oldest_line;
    struct logfile_batch batch; /* of the read that is being taken */
};

struct output *
output_new(const struct output_options *options)
{
    struct output *o = calloc(1, sizeof *o);
    if (o != NULL) {
        o->options = *options;
        o->last_line = o->oldest_line = FIRST_LINE;
    }
    return o;
}

/* The stream of a replica, made when there is none; NULL when memory is out. */
static struct stream *
get_stream(struct output *o, const char *worker, uint32_t replica)
{
    for (struct stream *s = o->streams; s != NULL; s = s->next) {
        if (s->file.replica == replica && strcmp(s->file.worker, worker) == 0) {
            return s;
        }
    }
    struct stream *s = calloc(1, sizeof *s);
    if (s != NULL) {
        logfile_init(&s->file, o->options.dir, o->options.log, worker, replica);
        s->next = o->streams;
        o->streams = s;
    }
    return s;
}

static void
put_first(struct output *o, struct stream *s)
{
    struct stream **at = &o->streams;
    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
    s->next = o->streams;
    o->streams = s;
}

/* ---- lines ------------------------------------------------------------------------------------
 */

static void
forget_line(struct stream *s)
{
    struct line *l = &s->lines[s->first];
    s->bytes -= l->len;
    free(l->text);
    *l = (struct line){0};
    s->first = (s->first + 1) % KEPT_LINES;
    s->count--;
}

/* A copy of a text, when there is a ring to keep it in; NULL when memory is out. */
static char *
copy_text(struct stream *s, const char *text, size_t len)
{
    if (s->lines == NULL) {
        s->lines = calloc(KEPT_LINES, sizeof *s->lines);
    }
    char *copy = s->lines == NULL ? NULL : malloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
    }
    return copy;
}

static void
keep_line(struct pipe *p, uint64_t time_us, const char *text, size_t len)
{
    struct stream *s = p->stream;
    char *copy = copy_text(s, text, len);
    if (copy == NULL) {
        return; /* the file still has it */
    }
    while (s->count == KEPT_LINES || (s->count > 0 && s->bytes + len > KEPT_BYTES_MAX)) {
        forget_line(s);
    }
    s->lines[(s->first + s->count++) % KEPT_LINES] =
        (struct line){++p->output->last_line, time_us, s, p->pid, copy, len};
    s->bytes += len;
}

/* What stands before each line in the file: "2026-01-31T12:00:00.123456Z echo/0[7] ". Lines that
 * came with one read have one time. */
struct heading {
    uint64_t time_us;
    size_t len;
    char text[HEADING_BYTES_MAX];
};

static void
heading_init(struct heading *h, const struct pipe *p)
{
    char when[LOG_TIME_BYTES];
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    h->time_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
    log_time(h->time_us, when);
    h->len =
        (size_t)snprintf(h->text, sizeof h->text, "%s %s/%u[%d] ", when, p->stream->file.worker,
                         (unsigned)p->stream->file.replica, (int)p->pid);
}

static void
take_line(struct pipe *p, const struct heading *h, const char *text, size_t len)
{
    while (len > 0 && text[len - 1] == '\r') {
        len--;
    }
    logfile_put(&p->stream->file, &p->output->batch,
                (struct span){(const uint8_t *)h->text, h->len},
                (struct span){(const uint8_t *)text, len});
    keep_line(p, h->time_us, text, len);
}

/* Whole lines, and pieces of what is longer than a line may be; `is_last`: the rest, too. */
static void
take_text(struct pipe *p, bool is_last)
{
    struct heading h;
    char *from = p->text, *end = p->text + p->len, *newline;
    heading_init(&h, p);
    while ((newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
        take_line(p, &h, from, (size_t)(newline - from));
        from = newline + 1;
    }
    p->len = (size_t)(end - from);
    if (p->len == sizeof p->text || (is_last && p->len > 0)) {
        take_line(p, &h, from, p->len);
        p->len = 0;
    }
    memmove(p->text, from, p->len);
    logfile_flush(&p->stream->file, &p->output->batch);
}

/* ---- pipes ------------------------------------------------------------------------------------
 */

static void
pipe_close(struct pipe *p)
{
    if (p->fd < 0) {
        return;
    }
    take_text(p, true);
    if (--p->stream->pipes == 0) {
        logfile_close(&p->stream->file); /* a replica that has ended for good needs no descriptor */
        put_first(p->output, p->stream);
    }
    /* Closing alone would not take it out: the spawner holds the same open pipe. */
    (void)epoll_ctl(p->output->options.epoll_fd, EPOLL_CTL_DEL, p->fd, NULL);
    (void)close(p->fd);
    p->fd = -1;
    p->stream = NULL;
    p->output->has_closed = true;
}

/* At most `reads` pieces; true while there may be more. */
static bool
pipe_read(struct pipe *p, int reads)
{
    for (int i = 0; i < reads && p->fd >= 0; i++) {
        const size_t room = sizeof p->text - p->len;
        const ssize_t n =
            read(p->fd, p->text + p->len, room < READ_BYTES_MAX ? room : READ_BYTES_MAX);
        if (n > 0) {
            p->len += (size_t)n;
            take_text(p, false);
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            return false;
        } else {
            pipe_close(p);
            return false;
        }
    }
    return p->fd >= 0;
}

static void
pipe_ready(struct source *source, uint32_t events)
{
    (void)events;
    (void)pipe_read((struct pipe *)source, 1);
}

void
output_add(struct output *o, uint64_t process, int fd, const struct output_target *target)
{
    struct stream *s = get_stream(o, target->worker, target->replica);
    struct pipe *p = calloc(1, sizeof *p);
    if (s == NULL || p == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        free(p);
        (void)close(fd);
        return;
    }
    s->file.bytes_max = target->file_bytes_max;
    s->file.backups = target->backups;
    if (target->is_old && s->pipes == 0 && s->lines == NULL) {
        logfile_mark_past(&s->file);
    }
    *p = (struct pipe){.source = {pipe_ready},
                       .output = o,
                       .stream = s,
                       .process = process,
                       .pid = target->pid,
                       .fd = fd,
                       .next = o->pipes};
    o->pipes = p;
    s->pipes++;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(o->options.epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
        pipe_close(p);
    }
}

void
output_end(struct output *o, uint64_t process)
{
    /* As much as a pipe can hold; who still writes into it (a grandchild) is not waited for. */
    enum { ALL = (1 << 20) / READ_BYTES_MAX };
    for (struct pipe *p = o->pipes; p != NULL; p = p->next) {
        if (p->process == process && p->fd >= 0) {
            (void)pipe_read(p, ALL);
            pipe_close(p);
        }
    }
    o->has_ended = true;
}

static void
stream_free(struct stream *s)
{
    while (s->count > 0) {
        forget_line(s);
    }
    logfile_deinit(&s->file);
    free(s->lines);
    free(s);
}

static bool
has_replica(const struct output *o, const struct stream *s)
{
    char name[96];
    (void)snprintf(name, sizeof name, "%s/%u", s->file.worker, (unsigned)s->file.replica);
    return o->options.has_replica(o->options.context, name);
}

void
output_sweep(struct output *o)
{
    size_t finished = 0;
    for (struct stream **at = &o->streams; *at != NULL;) {
        struct stream *s = *at;
        if (s->pipes == 0 && (++finished > OUTPUT_FINISHED_MAX || !has_replica(o, s))) {
            *at = s->next;
            stream_free(s);
        } else {
            at = &s->next;
        }
    }
}

void
output_turn(struct output *o)
{
    if (o->has_ended) {
        output_sweep(o);
        o->has_ended = false;
    }
    if (!o->has_closed) {
        return;
    }
    for (struct pipe **at = &o->pipes; *at != NULL;) {
        struct pipe *p = *at;
        if (p->fd < 0) {
            *at = p->next;
            free(p);
        } else {
            at = &p->next;
        }
    }
    o->has_closed = false;
}

void
output_free(struct output *o)
{
    if (o == NULL) {
        return;
    }
    for (struct pipe *p = o->pipes; p != NULL; p = p->next) {
        pipe_close(p);
    }
    output_turn(o);
    while (o->streams != NULL) {
        struct stream *s = o->streams;
        o->streams = s->next;
        stream_free(s);
    }
    free(o);
}

/* ---- the last lines ---------------------------------------------------------------------------
 */

static bool
is_wanted(const struct stream *s, const char *worker, int64_t only)
{
    return strcmp(s->file.worker, worker) == 0 && (only < 0 || s->file.replica == (uint64_t)only);
}

/* One line of the file, without its newline, before all lines of a stream; false when there is no
 * room for it, or when it and all before it are of an earlier hub. */
static bool
take_old_line(struct output *o, struct stream *s, struct span line)
{
    char who[HEADING_BYTES_MAX];
    struct line old = {.of = s};
    const size_t n =
        (size_t)snprintf(who, sizeof who, " %s/%u[", s->file.worker, (unsigned)s->file.replica);
    const char *at = (const char *)line.data, *end = at + line.len;
    if (line.len < LOG_TIME_CHARS + n || !log_time_read(line, &old.time_us) ||
        memcmp(at + LOG_TIME_CHARS, who, n) != 0) {
        return true; /* nothing that we wrote */
    }
    for (at += LOG_TIME_CHARS + n; at < end && *at >= '0' && *at <= '9' && old.pid < INT32_MAX / 16;
         at++) {
        old.pid = old.pid * 10 + (*at - '0');
    }
    if (end - at < 2 || at[0] != ']' || at[1] != ' ') {
        return true;
    }
    old.len = (size_t)(end - at) - 2;
    if (old.time_us < o->options.since_us || s->count == KEPT_LINES ||
        s->bytes + old.len > KEPT_BYTES_MAX) {
        return false;
    }
    old.text = copy_text(s, at + 2, old.len);
    if (old.text == NULL) {
        return false;
    }
    old.number = --o->oldest_line;
    s->first = (s->first + KEPT_LINES - 1) % KEPT_LINES;
    s->lines[s->first] = old;
    s->count++;
    s->bytes += old.len;
    return true;
}

/* The newest first, as long as there is room. */
static void
take_old_lines(struct output *o, struct stream *s)
{
    struct span past = logfile_take_past(&s->file, &o->batch);
    while (past.len > 0) {
        const uint8_t *newline = memrchr(past.data, '\n', past.len - 1);
        const size_t begin = newline == NULL ? 0 : (size_t)(newline - past.data) + 1;
        if (!take_old_line(o, s, (struct span){past.data + begin, past.len - 1 - begin})) {
            return;
        }
        past.len = begin;
    }
}

static int
by_age(const void *a, const void *b)
{
    const struct line *x = *(const struct line *const *)a, *y = *(const struct line *const *)b;
    if (x->number < FIRST_LINE && y->number < FIRST_LINE && x->time_us != y->time_us) {
        return x->time_us < y->time_us ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static void
write_line(struct buf *out, const struct line *l)
{
    char name[96];
    (void)snprintf(name, sizeof name, "%s/%u", l->of->file.worker, (unsigned)l->of->file.replica);
    const struct span text = {(const uint8_t *)l->text, l->len};
    write_map(out, 4);
    write_text(out, "time_us");
    write_uint(out, l->time_us);
    write_text(out, "replica");
    write_text(out, name);
    write_text(out, "pid");
    write_uint(out, (uint64_t)l->pid);
    write_text(out, "line");
    if (mp_is_utf8(text)) {
        write_str(out, text);
    } else {
        write_bin(out, text);
    }
}

void
output_last(struct output *o, const char *worker, int64_t only, uint32_t lines, struct buf *out)
{
    size_t count = 0, n = 0;
    for (struct stream *s = o->streams; s != NULL; s = s->next) {
        if (is_wanted(s, worker, only)) {
            take_old_lines(o, s);
            count += s->count;
        }
    }
    const struct line **all = calloc(count + 1, sizeof(const struct line *));
    for (const struct stream *s = o->streams; s != NULL && all != NULL; s = s->next) {
        for (size_t i = 0; is_wanted(s, worker, only) && i < s->count; i++) {
            all[n++] = &s->lines[(s->first + i) % KEPT_LINES];
        }
    }
    if (n > 0) {
        qsort(all, n, sizeof(const struct line *), by_age);
    }
    const size_t from = n > lines ? n - lines : 0;
    write_array(out, (uint32_t)(n - from));
    for (size_t i = from; i < n; i++) {
        write_line(out, all[i]);
    }
    free(all);
}
