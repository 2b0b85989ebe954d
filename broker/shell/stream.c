/* The lines that replicas wrote: see stream.h. */
#include "broker/shell/stream.h"

#include "proto/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A clock that was set back further than this counts as right. */
enum { STAMP_AHEAD_US_MAX = 1000000 };

void
streams_init(struct streams *all, const char *dir, const struct log *log, uint64_t since_us)
{
    *all = (struct streams){.dir = dir, .log = log, .since_us = since_us};
    all->last_line = all->oldest_line = STREAM_FIRST_LINE;
}

/* ---- replicas and workers ---------------------------------------------------------------------
 */

struct crowd *
crowd_find(const struct streams *all, const char *worker)
{
    struct crowd *c = all->crowds;
    while (c != NULL && strcmp(c->worker, worker) != 0) {
        c = c->next;
    }
    return c;
}

/* Its numbers begin above all that were ever given, so that a position which somebody has is never
 * one of another's. */
static struct crowd *
get_crowd(struct streams *all, const char *worker)
{
    struct crowd *c = crowd_find(all, worker);
    if (c == NULL && (c = calloc(1, sizeof *c)) != NULL) {
        (void)snprintf(c->worker, sizeof c->worker, "%s", worker);
        c->first = c->last = all->last_line;
        c->next = all->crowds;
        all->crowds = c;
    }
    return c;
}

bool
crowd_set_level(struct streams *all, const char *worker, enum log_level level)
{
    struct crowd *c = get_crowd(all, worker);
    if (c != NULL) {
        c->has_level = true;
        c->level = level;
    }
    return c != NULL;
}

enum log_level
stream_level(const struct stream *s)
{
    return s->crowd->has_level ? s->crowd->level : (enum log_level)s->output.level;
}

struct stream *
stream_find(const struct streams *all, const char *worker, uint32_t replica)
{
    struct stream *s = all->list;
    while (s != NULL && (s->file.replica != replica || strcmp(s->crowd->worker, worker) != 0)) {
        s = s->next;
    }
    return s;
}

struct stream *
stream_get(struct streams *all, const char *worker, uint32_t replica)
{
    char number[LOGLINE_NUMBER_BYTES];
    struct stream *s = stream_find(all, worker, replica);
    if (s != NULL) {
        return s;
    }
    struct crowd *crowd = get_crowd(all, worker);
    s = crowd != NULL ? calloc(1, sizeof *s) : NULL;
    if (s != NULL) {
        logfile_init(&s->file, all->dir, all->log, worker, replica);
        (void)snprintf(s->who, sizeof s->who, "%s/%s", crowd->worker,
                       logline_number(replica, number));
        s->crowd = crowd;
        s->first_number = s->last_number = all->last_line;
        s->next = all->list;
        all->list = s;
    }
    return s;
}

void
stream_rest(struct streams *all, struct stream *s)
{
    struct stream **at = &all->list;
    logfile_close(&s->file); /* a replica that has ended for good needs no descriptor */
    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
    s->next = all->list;
    all->list = s;
}

static void
forget_line(struct stream *s)
{
    struct line *l = &s->lines[s->first];
    s->bytes -= l->len;
    s->forgotten_us = l->time_us > s->forgotten_us ? l->time_us : s->forgotten_us;
    free(l->memory);
    *l = (struct line){0};
    s->first = (s->first + 1) % STREAM_LINES_MAX;
    s->count--;
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

/* A crowd without replicas goes, and with it a level that was set. */
static void
sweep_crowds(struct streams *all, bool (*has_replica)(void *, const char *), void *context)
{
    for (struct crowd **at = &all->crowds; *at != NULL;) {
        struct crowd *c = *at;
        char who[LOGLINE_WHO_BYTES];
        bool is_used = false;
        for (const struct stream *s = all->list; s != NULL && !is_used; s = s->next) {
            is_used = s->crowd == c;
        }
        (void)snprintf(who, sizeof who, "%s/0", c->worker);
        if (is_used || has_replica(context, who)) {
            at = &c->next;
        } else {
            *at = c->next;
            free(c);
        }
    }
}

void
streams_sweep(struct streams *all, size_t finished_max,
              bool (*has_replica)(void *context, const char *replica), void *context)
{
    size_t finished = 0;
    for (struct stream **at = &all->list; *at != NULL;) {
        struct stream *s = *at;
        if (s->pipes == 0 && (++finished > finished_max || !has_replica(context, s->who))) {
            *at = s->next;
            stream_free(s);
        } else {
            at = &s->next;
        }
    }
    sweep_crowds(all, has_replica, context);
}

void
streams_deinit(struct streams *all)
{
    while (all->list != NULL) {
        struct stream *s = all->list;
        all->list = s->next;
        stream_free(s);
    }
    while (all->crowds != NULL) {
        struct crowd *c = all->crowds;
        all->crowds = c->next;
        free(c);
    }
}

/* ---- lines ------------------------------------------------------------------------------------
 */

uint64_t
streams_stamp(struct streams *all, uint64_t now_us)
{
    const uint64_t last = all->last_time_us;
    all->last_time_us = now_us <= last && last - now_us < STAMP_AHEAD_US_MAX ? last + 1 : now_us;
    return all->last_time_us;
}

/* Call and text in memory of their own, when there is a ring to keep them in. */
static bool
copy_texts(struct stream *s, const struct line *from, struct line *to)
{
    const size_t call_bytes = strlen(from->call) + 1;
    if (s->lines == NULL) {
        s->lines = calloc(STREAM_LINES_MAX, sizeof *s->lines);
    }
    char *copy = s->lines == NULL ? NULL : malloc(call_bytes + from->len);
    if (copy == NULL) {
        return false;
    }
    *to = *from;
    memcpy(copy, from->call, call_bytes);
    if (from->len > 0) {
        memcpy(copy + call_bytes, from->text, from->len);
    }
    to->memory = copy;
    to->call = copy;
    to->text = copy + call_bytes;
    to->of = s;
    return true;
}

void
stream_keep(struct streams *all, struct stream *s, const struct line *line)
{
    struct line kept;
    const struct line_numbers numbers = {++all->last_line, ++s->crowd->last, ++s->last_number};
    if (!copy_texts(s, line, &kept)) {
        return;
    }
    kept.number = numbers;
    while (s->count == STREAM_LINES_MAX ||
           (s->count > 0 && s->bytes + kept.len > STREAM_BYTES_MAX)) {
        forget_line(s);
    }
    s->lines[(s->first + s->count++) % STREAM_LINES_MAX] = kept;
    s->bytes += kept.len;
}

const struct line *
stream_line(const struct stream *s, size_t n)
{
    return &s->lines[(s->first + n) % STREAM_LINES_MAX];
}

/* ---- of an earlier broker ---------------------------------------------------------------------
 */

/* One line of the file, before all lines of a stream; false when there is no room for it, or when
 * it and all before it are of an earlier hub. */
static bool
take_old_line(struct streams *all, struct stream *s, struct span text)
{
    struct logline read;
    char call[LOGLINE_CALL_BYTES];
    if (!logline_read(text, s->who, &read)) {
        return true; /* nothing that we wrote */
    }
    if (read.time_us < all->since_us || s->count == STREAM_LINES_MAX ||
        s->bytes + read.text.len > STREAM_BYTES_MAX) {
        return false;
    }
    (void)snprintf(call, sizeof call, "%.*s", (int)read.call.len,
                   read.call.len > 0 ? (const char *)read.call.data : "");
    const struct line old = {.time_us = read.time_us,
                             .incarnation = read.incarnation,
                             .level = read.level,
                             .pid = read.pid,
                             .call = call,
                             .text = (const char *)read.text.data,
                             .len = read.text.len};
    struct line kept;
    if (!copy_texts(s, &old, &kept)) {
        return false;
    }
    kept.number.all = --all->oldest_line;
    all->last_time_us = kept.time_us > all->last_time_us ? kept.time_us : all->last_time_us;
    s->first = (s->first + STREAM_LINES_MAX - 1) % STREAM_LINES_MAX;
    s->lines[s->first] = kept;
    s->count++;
    s->bytes += kept.len;
    return true;
}

/* The newest first, as long as there is room. */
void
stream_take_old(struct streams *all, struct stream *s)
{
    struct span past = logfile_take_past(&s->file, &all->batch);
    while (past.len > 0) {
        const uint8_t *newline = memrchr(past.data, '\n', past.len - 1);
        const size_t begin = newline == NULL ? 0 : (size_t)(newline - past.data) + 1;
        if (!take_old_line(all, s, (struct span){past.data + begin, past.len - 1 - begin})) {
            return;
        }
        past.len = begin;
    }
}
