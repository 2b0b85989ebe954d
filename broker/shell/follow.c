/* Questions about lines: see follow.h. */
#include "broker/shell/follow.h"

#include "proto/mp.h"
#include "proto/name.h"
#include "proto/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_BYTES_MAX = (FOLLOW_NAMES_MAX + 2) * 21, NS_PER_MS = 1000000 };

struct follow_waiting {
    struct follow_waiting *next;
    int64_t deadline_ns;
    struct follow_question question; /* `names` is owned, `after` is not used */
    struct follow_place place;
};

/* ---- who is asked about -----------------------------------------------------------------------
 */

/* One name of a question. */
struct name {
    struct span worker;
    int64_t replica; /* -1: all of them */
};

struct names {
    struct name list[FOLLOW_NAMES_MAX];
    uint32_t count; /* 0: everybody */
};

static void
read_names(struct span text, struct names *names)
{
    names->count = 0;
    while (text.len > 0 && names->count < FOLLOW_NAMES_MAX) {
        const uint8_t *end = memchr(text.data, '\0', text.len);
        const size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        struct target t;
        if (name_target((struct span){text.data, len}, &t)) {
            names->list[names->count++] = (struct name){t.worker, t.one ? (int64_t)t.index : -1};
        }
        const size_t used = end != NULL ? len + 1 : len;
        text.data += used;
        text.len -= used;
    }
}

static bool
is_of(const struct stream *s, const struct name *name)
{
    return span_is(name->worker, s->crowd->worker) &&
           (name->replica < 0 || s->file.replica == (uint64_t)name->replica);
}

static bool
is_wanted(const struct stream *s, const struct names *names)
{
    bool is = names->count == 0;
    for (uint32_t i = 0; i < names->count && !is; i++) {
        is = is_of(s, &names->list[i]);
    }
    return is;
}

/* The number that counts for the nth name, 0 for a line of an earlier broker. */
static uint64_t
number_of(const struct line *l, const struct names *names, uint32_t n)
{
    return l->number.all < STREAM_FIRST_LINE ? 0
           : names->count == 0               ? l->number.all
           : names->list[n].replica < 0      ? l->number.worker
                                             : l->number.replica;
}

/* First and last number so far of the nth name. */
struct range {
    uint64_t first, last;
};

/* `otherwise` when nobody of that name has written. */
static struct range
range_of(const struct streams *all, const struct names *names, uint32_t n, uint64_t otherwise)
{
    char worker[sizeof all->crowds->worker];
    if (names->count == 0) {
        return (struct range){STREAM_FIRST_LINE, all->last_line};
    }
    const struct name *name = &names->list[n];
    (void)snprintf(worker, sizeof worker, "%.*s", (int)name->worker.len,
                   (const char *)name->worker.data);
    if (name->replica < 0) {
        const struct crowd *c = crowd_find(all, worker);
        return c == NULL ? (struct range){otherwise, otherwise} : (struct range){c->first, c->last};
    }
    const struct stream *s = stream_find(all, worker, (uint32_t)name->replica);
    return s == NULL ? (struct range){otherwise, otherwise}
                     : (struct range){s->first_number, s->last_number};
}

static uint32_t
number_count(const struct names *names)
{
    return names->count == 0 ? 1 : names->count;
}

/* ---- places -----------------------------------------------------------------------------------
 */

/* Behind all that was ever written. */
static void
place_at_end(const struct follows *f, const struct names *names, struct follow_place *p)
{
    p->epoch = f->epoch;
    p->time_us = f->streams->last_time_us;
    p->count = number_count(names);
    for (uint32_t i = 0; i < p->count; i++) {
        p->numbers[i] = range_of(f->streams, names, i, f->streams->last_line).last;
    }
}

/* "EPOCH.TIME.NUMBER..." */
static void
write_place(struct buf *out, const struct follow_place *p)
{
    char text[PLACE_BYTES_MAX];
    int n = snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64, p->epoch, p->time_us);
    for (uint32_t i = 0; i < p->count; i++) {
        n += snprintf(text + n, sizeof text - (size_t)n, ".%" PRIu64, p->numbers[i]);
    }
    write_text(out, text);
}

static bool
read_place(struct span text, uint32_t count, struct follow_place *p)
{
    uint64_t values[FOLLOW_NAMES_MAX + 2];
    uint32_t n = 0;
    for (size_t at = 0; at <= text.len; at++) {
        uint64_t value = 0;
        const size_t begin = at;
        for (; at < text.len && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
            value = value * 10 + text.data[at] - '0'; /* what is too large comes to another place */
        }
        if (at == begin || at - begin > 20 || (at < text.len && text.data[at] != '.') ||
            n == FOLLOW_NAMES_MAX + 2) {
            return false;
        }
        values[n++] = value;
    }
    if (n != count + 2) {
        return false;
    }
    *p = (struct follow_place){.epoch = values[0], .time_us = values[1], .count = count};
    memcpy(p->numbers, values + 2, count * sizeof values[0]);
    return true;
}

/* A place that an earlier broker gave: what that one wrote is found by its time, and of this one
 * all is new. And nothing is ahead of what there is, whoever says so. */
static void
place_here(const struct follows *f, const struct names *names, struct follow_place *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        const bool is_same = p->epoch == f->epoch;
        const struct range r =
            range_of(f->streams, names, i, is_same ? p->numbers[i] : STREAM_FIRST_LINE);
        const bool is_ours = is_same && p->numbers[i] >= r.first;
        p->numbers[i] = !is_ours ? r.first : p->numbers[i] < r.last ? p->numbers[i] : r.last;
    }
}

/* ---- which lines ------------------------------------------------------------------------------
 */

struct found {
    const struct line **list;
    size_t count, cap;
    bool older; /* there were lines that are not in memory any more */
    bool failed;
};

static void
found_add(struct found *found, const struct line *line)
{
    if (found->count == found->cap) {
        const size_t cap = found->cap > 0 ? 2 * found->cap : 256;
        const struct line **list = realloc(found->list, cap * sizeof(const struct line *));
        if (list == NULL) {
            found->failed = true;
            return;
        }
        found->list = list;
        found->cap = cap;
    }
    found->list[found->count++] = line;
}

static int
by_age(const void *a, const void *b)
{
    const struct line *x = *(const struct line *const *)a, *y = *(const struct line *const *)b;
    if (x->number.all < STREAM_FIRST_LINE && y->number.all < STREAM_FIRST_LINE &&
        x->time_us != y->time_us) {
        return x->time_us < y->time_us ? -1 : 1;
    }
    return x->number.all < y->number.all ? -1 : x->number.all > y->number.all;
}

static void
sort(struct found *found)
{
    if (found->count > 1) {
        qsort(found->list, found->count, sizeof(const struct line *), by_age);
    }
}

/* The newest lines that are there. */
static void
find_newest(const struct follows *f, const struct follow_question *q, const struct names *names,
            struct found *found)
{
    for (struct stream *s = f->streams->list; s != NULL; s = s->next) {
        if (!is_wanted(s, names)) {
            continue;
        }
        stream_take_old(f->streams, s);
        found->older |= s->forgotten_us > 0 && s->forgotten_us >= q->since_us;
        size_t wanted = 0;
        for (size_t i = s->count; i > 0 && wanted < q->lines; i--) {
            const struct line *l = stream_line(s, i - 1);
            if (l->level <= q->level && l->time_us >= q->since_us) {
                found_add(found, l);
                wanted++;
            }
        }
    }
    sort(found);
    if (found->count > q->lines) {
        memmove(found->list, found->list + (found->count - q->lines),
                q->lines * sizeof(const struct line *));
        found->count = q->lines;
    }
}

static bool
is_behind(const struct line *l, const struct names *names, const struct stream *s,
          const struct follow_place *p, bool is_foreign)
{
    if (l->number.all < STREAM_FIRST_LINE) {
        return is_foreign && l->time_us > p->time_us;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if ((names->count == 0 || is_of(s, &names->list[i])) &&
            number_of(l, names, i) > p->numbers[i]) {
            return true;
        }
    }
    return false;
}

/* All behind a place, of whatever level, in their order. */
static void
find_behind(const struct follows *f, const struct names *names, const struct follow_place *p,
            bool is_foreign, struct found *found)
{
    for (struct stream *s = f->streams->list; s != NULL; s = s->next) {
        if (!is_wanted(s, names)) {
            continue;
        }
        if (is_foreign) {
            stream_take_old(f->streams, s);
        }
        for (size_t i = s->count; i > 0; i--) {
            const struct line *l = stream_line(s, i - 1);
            if (!is_behind(l, names, s, p, is_foreign)) {
                break;
            }
            found_add(found, l);
        }
    }
    sort(found);
}

/* How many of what was found go into one answer. */
static size_t
fitting(const struct found *found)
{
    size_t n = 0, bytes = 0;
    while (n < found->count && n < FOLLOW_LINES_MAX &&
           (n == 0 || bytes + found->list[n]->len <= FOLLOW_BYTES_MAX)) {
        bytes += found->list[n++]->len;
    }
    return n;
}

/* Go on behind the first `n` of what was found; returns how many lines between were in memory no
 * more. */
static uint64_t
advance(const struct follows *f, const struct names *names, const struct found *found, size_t n,
        struct follow_place *p)
{
    const bool is_all = n == found->count;
    uint64_t lost = 0;
    for (uint32_t k = 0; k < p->count; k++) {
        uint64_t to = p->numbers[k], here = 0;
        for (size_t i = 0; i < n; i++) {
            const struct line *l = found->list[i];
            const uint64_t number = number_of(l, names, k);
            if ((names->count == 0 || is_of(l->of, &names->list[k])) && number > p->numbers[k]) {
                to = number > to ? number : to;
                here++;
            }
        }
        to = is_all ? range_of(f->streams, names, k, to).last : to;
        lost += to - p->numbers[k] - here;
        p->numbers[k] = to;
    }
    p->time_us = is_all ? f->streams->last_time_us : found->list[n - 1]->time_us;
    p->epoch = f->epoch;
    return lost;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void
write_line(struct buf *out, const struct line *l)
{
    const struct span text = {(const uint8_t *)l->text, l->len};
    const bool has_call = l->call[0] != '\0';
    write_map(out, 6U + has_call);
    write_text(out, "time_us");
    write_uint(out, l->time_us);
    write_text(out, "level");
    write_text(out, spec_level_word((enum spec_level)l->level));
    write_text(out, "replica");
    write_text(out, l->of->who);
    write_text(out, "pid");
    write_uint(out, (uint64_t)l->pid);
    write_text(out, "incarnation");
    write_uint(out, l->incarnation);
    if (has_call) {
        write_text(out, "call");
        write_text(out, l->call);
    }
    write_text(out, "line");
    if (mp_is_utf8(text)) {
        write_str(out, text);
    } else {
        write_bin(out, text);
    }
}

static size_t
count_level(const struct found *found, size_t n, enum log_level level)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += found->list[i]->level <= level;
    }
    return count;
}

static void
write_lines(struct buf *out, const struct found *found, size_t n, enum log_level level)
{
    write_array(out, (uint32_t)count_level(found, n, level));
    for (size_t i = 0; i < n; i++) {
        if (found->list[i]->level <= level) {
            write_line(out, found->list[i]);
        }
    }
}

static void
write_answer(struct buf *out, const struct found *found, size_t n, enum log_level level,
             const struct follow_place *p, uint64_t lost)
{
    write_map(out, 4);
    write_text(out, "lines");
    write_lines(out, found, n, level);
    write_text(out, "after");
    write_place(out, p);
    write_text(out, "lost");
    write_uint(out, lost);
    write_text(out, "older");
    write_bool(out, found->older);
}

/* What is behind the place, if there is anything to tell; the place goes on in any case. */
static bool
answer_behind(const struct follows *f, const struct follow_question *q, struct follow_place *p,
              bool even_nothing, struct buf *out)
{
    struct names names;
    struct found found = {0};
    read_names(q->names, &names);
    const bool is_foreign = p->epoch != f->epoch;
    place_here(f, &names, p);
    find_behind(f, &names, p, is_foreign, &found);
    const size_t n = fitting(&found);
    const uint64_t lost = advance(f, &names, &found, n, p);
    const bool is_told = even_nothing || lost > 0 || count_level(&found, n, q->level) > 0;
    if (is_told) {
        write_answer(out, &found, n, q->level, p, lost);
        out->failed |= found.failed;
    }
    free(found.list);
    return is_told;
}

static void
answer_newest(const struct follows *f, const struct follow_question *q, struct buf *out)
{
    struct names names;
    struct found found = {0};
    struct follow_place place;
    read_names(q->names, &names);
    find_newest(f, q, &names, &found);
    if (q->follows) {
        place_at_end(f, &names, &place);
        write_answer(out, &found, found.count, LOG_DEBUG, &place, 0);
    } else {
        write_lines(out, &found, found.count, LOG_DEBUG);
    }
    out->failed |= found.failed;
    free(found.list);
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

/* Answer the one that `at` points to, with nothing when there is nothing. */
static void
end_waiting(struct follows *f, struct follow_waiting **at, struct buf *answer)
{
    struct follow_waiting *w = *at;
    *at = w->next;
    f->waiting_count--;
    if (answer->w == 0) {
        (void)answer_behind(f, &w->question, &w->place, true, answer);
    }
    /* An answer that found no memory would be half of one: the call ends with its deadline. */
    if (!answer->failed) {
        f->answer(f->context, w->question.call, buf_span(answer));
    }
    free(w);
}

/* In memory of its own; false when that is out. */
static bool
keep_waiting(struct follows *f, const struct follow_question *q, const struct follow_place *place,
             int64_t now_ns)
{
    struct follow_waiting *w = malloc(sizeof *w + q->names.len);
    if (w == NULL) {
        return false;
    }
    *w = (struct follow_waiting){
        .deadline_ns = now_ns + q->wait_ms * NS_PER_MS, .question = *q, .place = *place};
    uint8_t *names = (uint8_t *)(w + 1);
    if (q->names.len > 0) {
        memcpy(names, q->names.data, q->names.len);
    }
    w->question.names.data = names;
    struct follow_waiting **at = &f->waiting;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = w;
    f->waiting_count++;
    return true;
}

enum follow_outcome
follow_ask(struct follows *f, const struct follow_question *q, int64_t now_ns, struct buf *out,
           const char **refused)
{
    struct follow_place place;
    struct names names;
    if (q->after.len == 0) {
        answer_newest(f, q, out);
        return FOLLOW_ANSWERED;
    }
    read_names(q->names, &names);
    if (!read_place(q->after, number_count(&names), &place)) {
        *refused = "after is not that of an answer about the same workers";
        return FOLLOW_REFUSED;
    }
    if (answer_behind(f, q, &place, q->wait_ms == 0, out)) {
        return FOLLOW_ANSWERED;
    }
    if (keep_waiting(f, q, &place, now_ns)) {
        return FOLLOW_WAITS;
    }
    (void)answer_behind(f, q, &place, true, out);
    return FOLLOW_ANSWERED;
}

void
follows_turn(struct follows *f, bool came, int64_t now_ns)
{
    for (struct follow_waiting **at = &f->waiting; *at != NULL;) {
        struct follow_waiting *w = *at;
        struct buf answer = {0};
        const bool is_late = w->deadline_ns <= now_ns || f->waiting_count > FOLLOW_WAITING_MAX;
        if (is_late || (came && answer_behind(f, &w->question, &w->place, false, &answer))) {
            end_waiting(f, at, &answer);
        } else {
            at = &w->next;
        }
        buf_deinit(&answer);
    }
}

int64_t
follows_deadline_ns(const struct follows *f)
{
    int64_t first_ns = INT64_MAX;
    for (const struct follow_waiting *w = f->waiting; w != NULL; w = w->next) {
        first_ns = w->deadline_ns < first_ns ? w->deadline_ns : first_ns;
    }
    return first_ns;
}

void
follows_deinit(struct follows *f)
{
    while (f->waiting != NULL) {
        struct follow_waiting *w = f->waiting;
        f->waiting = w->next;
        free(w);
    }
}
