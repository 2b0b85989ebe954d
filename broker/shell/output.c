/* What workers write: see output.h. Here is the way of a line: out of a pipe, and to where it goes.
 */
#include "broker/shell/output.h"
#include "broker/shell/journal.h"

#include "proto/clock/clock.h"
#include "proto/mp.h"
#include "proto/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A read is small because each line of it, of a byte even, costs its heading in the file: who
 * writes short lines without end may not hold up the calls of others for long. */
enum {
    LINE_BYTES_MAX = 8192,
    READ_BYTES_MAX = 1024,
    WORDS_MAX = 10, /* last words */
    WORDS_BYTES_MAX = 2048,
    WORD_BYTES_MAX = 512,
};

struct pipe {
    struct source source;
    struct pipe *next;
    struct output *output;
    struct stream *stream; /* NULL when closed */
    uint64_t process;
    int32_t pid;
    int fd; /* -1: closed, to be freed at the turn's end */
    /* Whose the lines of a read are: what was running when the pipe was read before, and whether it
     * was empty then. */
    char call[HUB_CALL_BYTES];
    bool is_behind, is_mixed;
    unsigned priority; /* of the line of which a piece was taken; */
    bool in_line;      /* the rest of it follows */
    size_t len;
    char text[LINE_BYTES_MAX];
};

struct output {
    struct output_options options;
    struct streams streams;
    struct follows follows;
    struct journal journal;
    struct pipe *pipes;
    bool has_closed, has_ended, has_come, is_crowded;
};

struct output *
output_new(const struct output_options *options)
{
    struct output *o = calloc(1, sizeof *o);
    if (o != NULL) {
        o->options = *options;
        streams_init(&o->streams, options->dir, options->log, options->since_us);
        journal_init(&o->journal, options->log);
        o->follows = (struct follows){.streams = &o->streams,
                                      .epoch = options->epoch,
                                      .answer = options->answer,
                                      .context = options->context};
    }
    return o;
}

/* ---- lines ------------------------------------------------------------------------------------
 */

/* What stands before each line in the file, for the lines of one read; made anew when it changes.
 */
struct heading {
    struct logline_head head;
    uint64_t read_us; /* when they came */
    size_t len;
    char text[LOGLINE_HEADING_BYTES];
};

static void
heading_init(struct heading *h, const struct pipe *p)
{
    h->read_us = (uint64_t)clock_wall_us();
    h->len = 0;
    h->head = (struct logline_head){.who = p->stream->who,
                                    .pid = p->pid,
                                    .incarnation = p->process,
                                    .call = p->is_mixed ? "" : p->call};
}

/* For the next line. Most differ from the one before in a microsecond alone. */
static void
heading_next(struct heading *h, struct streams *all, enum log_level level)
{
    const uint64_t before_us = h->head.time_us;
    h->head.time_us = streams_stamp(all, h->read_us);
    if (h->len == 0 || level != h->head.level || before_us / 1000000 != h->head.time_us / 1000000) {
        h->head.level = level;
        h->len = logline_write(&h->head, h->text);
    } else {
        logline_set_time(h->text, h->head.time_us);
    }
}

/* Lines that the journal or stderr did not take are told with the first one that goes through. */
static void
note_taken(struct stream *s, bool is_taken)
{
    if (is_taken && s->lost > 0) {
        log_write(s->file.log, LOG_WARN, "%s: %llu lines of its log were dropped", s->who,
                  (unsigned long long)s->lost);
    }
    s->lost = is_taken ? 0 : s->lost + 1;
}

/* false when there is no journal. */
static bool
put_journal(struct output *o, struct stream *s, const struct heading *h, unsigned priority,
            struct span text)
{
    const struct journal_line line = {.worker = s->crowd->worker,
                                      .replica = s->file.replica,
                                      .priority = priority,
                                      .pid = h->head.pid,
                                      .incarnation = h->head.incarnation,
                                      .time_us = h->head.time_us,
                                      .call = h->head.call,
                                      .text = text};
    const enum journal_outcome outcome = journal_put(&o->journal, &line);
    if (outcome != JOURNAL_ABSENT) {
        note_taken(s, outcome == JOURNAL_TAKEN);
    }
    return outcome != JOURNAL_ABSENT;
}

static void
log_one(struct output *o, struct stream *s, const struct heading *h, unsigned priority,
        struct span text)
{
    const struct span heading = {(const uint8_t *)h->text, h->len};
    switch (s->output.log) {
    case SPEC_LOG_NONE:
        return;
    case SPEC_LOG_INHERIT:
        note_taken(s, log_line(s->file.log, priority, heading, text));
        return;
    case SPEC_LOG_JOURNAL:
        if (put_journal(o, s, h, priority, text)) {
            return;
        }
        break;
    case SPEC_LOG_FILE:
        break;
    }
    logfile_put(&s->file, &o->streams.batch, heading, text);
}

static void
take_line(struct pipe *p, struct heading *h, const char *from, size_t len)
{
    struct output *o = p->output;
    struct stream *s = p->stream;
    struct span text = {(const uint8_t *)from, len};
    const unsigned priority = p->in_line ? p->priority : logline_take_prefix(&text);
    const enum log_level level = logline_level(priority);
    p->priority = priority;
    while (text.len > 0 && text.data[text.len - 1] == '\r') {
        text.len--;
    }
    if (o->options.line != NULL) {
        const struct output_line line = {
            p->process,         s->who, p->pid, level, (const char *)text.data, text.len,
            s->output.is_events};
        o->options.line(o->options.context, &line);
    }
    if (level > stream_level(s)) {
        return;
    }
    heading_next(h, &o->streams, level);
    log_one(o, s, h, priority, text);
    const struct line kept = {.time_us = h->head.time_us,
                              .incarnation = p->process,
                              .level = level,
                              .pid = p->pid,
                              .call = h->head.call,
                              .text = (const char *)text.data,
                              .len = text.len};
    stream_keep(&o->streams, s, &kept);
    o->has_come = true;
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
        p->in_line = false;
        from = newline + 1;
    }
    p->len = (size_t)(end - from);
    if (p->len == sizeof p->text || (is_last && p->len > 0)) {
        take_line(p, &h, from, p->len);
        p->in_line = true;
        p->len = 0;
    }
    memmove(p->text, from, p->len);
    logfile_flush(&p->stream->file, &p->output->streams.batch);
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
        stream_rest(&p->output->streams, p->stream);
    }
    /* Closing alone would not take it out: the spawner holds the same open pipe. */
    (void)epoll_ctl(p->output->options.epoll_fd, EPOLL_CTL_DEL, p->fd, NULL);
    (void)close(p->fd);
    p->fd = -1;
    p->stream = NULL;
    p->output->has_closed = true;
}

/* Find out whose the lines are that are about to be read. Work is given out at the end of a turn,
 * when everything that was ready in it has been read: so a pipe that was empty the last time has
 * nothing in it of calls before the one that runs now, or that ended in this turn. Of one that was
 * not empty that cannot be said, until it is. */
static void
note_call(struct pipe *p)
{
    const struct output_options *o = &p->output->options;
    char call[HUB_CALL_BYTES] = "";
    if (o->running == NULL || !o->running(o->context, p->process, call)) {
        call[0] = '\0';
    }
    const bool is_behind = p->is_behind || p->output->is_crowded;
    p->is_mixed = is_behind && (p->is_mixed || strcmp(call, p->call) != 0);
    memcpy(p->call, call, sizeof call);
}

/* At most `reads` pieces; true while there may be more. */
static bool
pipe_read(struct pipe *p, int reads)
{
    for (int i = 0; i < reads && p->fd >= 0; i++) {
        const size_t room = sizeof p->text - p->len;
        const size_t wanted = room < READ_BYTES_MAX ? room : READ_BYTES_MAX;
        note_call(p);
        const ssize_t n = read(p->fd, p->text + p->len, wanted);
        p->is_behind = n == (ssize_t)wanted;
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

static void
set_how(struct stream *s, const struct spec_output *how)
{
    s->output = *how;
    s->file.bytes_max = how->file_bytes_max;
    s->file.backups = how->backups;
}

void
output_change(struct output *o,
              const struct spec_output *(*how)(void *context, const char *replica), void *context)
{
    for (struct stream *s = o->streams.list; s != NULL; s = s->next) {
        const struct spec_output *now = how(context, s->who);
        if (now != NULL) {
            set_how(s, now);
        }
    }
}

void
output_add(struct output *o, uint64_t process, int fd, const struct output_target *target)
{
    struct stream *s = stream_get(&o->streams, target->worker, target->replica);
    struct pipe *p = calloc(1, sizeof *p);
    if (s == NULL || p == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        free(p);
        (void)close(fd);
        return;
    }
    set_how(s, &target->how);
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

/* ---- last words -------------------------------------------------------------------------------
 */

/* As much of a line as is told, as text whatever it is. */
static size_t
put_words(const struct line *l, char out[WORD_BYTES_MAX])
{
    const size_t len = l->len < WORD_BYTES_MAX ? l->len : WORD_BYTES_MAX;
    const bool is_text = mp_is_utf8((struct span){(const uint8_t *)l->text, l->len});
    size_t n = len;
    while (is_text && n < l->len && n > 0 && ((unsigned char)l->text[n] & 0xc0) == 0x80) {
        n--; /* not in the middle of a character */
    }
    memcpy(out, l->text, n);
    for (size_t i = 0; i < n && !is_text; i++) {
        out[i] = (unsigned char)out[i] > 0x7f ? '?' : out[i];
    }
    return n;
}

void
output_last_words(struct output *o, const char *replica, uint64_t process, struct buf *out)
{
    const struct line *found[WORDS_MAX];
    size_t count = 0, bytes = 0;
    struct stream *s = o->streams.list;
    while (s != NULL && strcmp(s->who, replica) != 0) {
        s = s->next;
    }
    if (s == NULL) {
        return;
    }
    stream_take_old(&o->streams, s);
    for (size_t i = s->count; i > 0 && count < WORDS_MAX; i--) {
        const struct line *l = stream_line(s, i - 1);
        const size_t len = l->len < WORD_BYTES_MAX ? l->len : WORD_BYTES_MAX;
        if (l->incarnation != process) {
            continue; /* of another process, or of the hub about a file */
        }
        if (bytes + len > WORDS_BYTES_MAX) {
            break;
        }
        bytes += len;
        found[count++] = l;
    }
    if (count > 0) {
        write_array(out, (uint32_t)count);
    }
    while (count > 0) {
        char text[WORD_BYTES_MAX];
        const size_t n = put_words(found[--count], text);
        write_str(out, (struct span){(const uint8_t *)text, n});
    }
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

void
output_sweep(struct output *o)
{
    streams_sweep(&o->streams, OUTPUT_FINISHED_MAX, o->options.has_replica, o->options.context);
}

static void
free_closed(struct output *o)
{
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
output_turn(struct output *o, int64_t now_ns, bool crowded)
{
    const bool has_come = o->has_come;
    o->has_come = false;
    o->is_crowded = crowded;
    if (o->follows.waiting != NULL) {
        follows_turn(&o->follows, has_come, now_ns);
    }
    if (o->has_ended) {
        output_sweep(o);
        o->has_ended = false;
    }
    if (o->has_closed) {
        free_closed(o);
    }
}

int64_t
output_deadline_ns(const struct output *o)
{
    return follows_deadline_ns(&o->follows);
}

enum follow_outcome
output_ask(struct output *o, const struct follow_question *question, int64_t now_ns,
           struct buf *out, const char **refused)
{
    return follow_ask(&o->follows, question, now_ns, out, refused);
}

void
output_set_level(struct output *o, const char *worker, enum log_level level)
{
    if (!crowd_set_level(&o->streams, worker, level)) {
        log_write(o->options.log, LOG_ERROR, "out of memory: the level of %s stays what it is",
                  worker);
    }
}

void
output_reopen(struct output *o)
{
    for (struct stream *s = o->streams.list; s != NULL; s = s->next) {
        logfile_close(&s->file);
    }
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
    free_closed(o);
    follows_deinit(&o->follows);
    streams_deinit(&o->streams);
    journal_deinit(&o->journal);
    free(o);
}
