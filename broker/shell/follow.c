/* Questions about lines: see follow.h. */
#include "broker/shell/follow.h"

#include "proto/mp.h"
#include "proto/name.h"
#include "proto/write.h"

#include <stdlib.h>
#include <string.h>

enum { NS_PER_MS = 1000000 };

struct follow_waiting {
    struct follow_waiting *next;
    int64_t deadline_ns;
    struct follow_question question; /* `names` is owned, `after` is not used */
    struct place place;
};

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
find_newest(const struct follows *f, const struct follow_question *q,
            const struct place_names *names, struct found *found)
{
    for (struct stream *s = f->streams->list; s != NULL; s = s->next) {
        if (!place_names_has(s, names)) {
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
is_behind(const struct line *l, const struct place_names *names, const struct stream *s,
          const struct place *p, bool is_foreign)
{
    if (l->number.all < STREAM_FIRST_LINE) {
        return is_foreign && l->time_us > p->time_us;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if ((names->count == 0 || place_name_is_of(s, &names->list[i])) &&
            place_number(l, names, i) > p->numbers[i]) {
            return true;
        }
    }
    return false;
}

/* All behind a place, of whatever level, in their order. */
static void
find_behind(const struct follows *f, const struct place_names *names, const struct place *p,
            bool is_foreign, struct found *found)
{
    for (struct stream *s = f->streams->list; s != NULL; s = s->next) {
        if (!place_names_has(s, names)) {
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
advance(const struct follows *f, const struct place_names *names, const struct found *found,
        size_t n, struct place *p)
{
    const bool is_all = n == found->count;
    uint64_t lost = 0;
    for (uint32_t k = 0; k < p->count; k++) {
        uint64_t to = p->numbers[k], here = 0;
        for (size_t i = 0; i < n; i++) {
            const struct line *l = found->list[i];
            const uint64_t number = place_number(l, names, k);
            if ((names->count == 0 || place_name_is_of(l->of, &names->list[k])) &&
                number > p->numbers[k]) {
                to = number > to ? number : to;
                here++;
            }
        }
        to = is_all ? place_range(f->streams, names, k, to).last : to;
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
             const struct place *p, uint64_t lost)
{
    write_map(out, 4);
    write_text(out, "lines");
    write_lines(out, found, n, level);
    write_text(out, "after");
    place_write(out, p);
    write_text(out, "lost");
    write_uint(out, lost);
    write_text(out, "older");
    write_bool(out, found->older);
}

/* What is behind the place, if there is anything to tell; the place goes on in any case. */
static bool
answer_behind(const struct follows *f, const struct follow_question *q, struct place *p,
              bool even_nothing, struct buf *out)
{
    struct place_names names;
    struct found found = {0};
    place_names_read(q->names, &names);
    const bool is_foreign = p->epoch != f->epoch;
    place_enter(f->streams, f->epoch, &names, p);
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
    struct place_names names;
    struct found found = {0};
    struct place place;
    place_names_read(q->names, &names);
    find_newest(f, q, &names, &found);
    if (q->follows) {
        place_end(f->streams, f->epoch, &names, &place);
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
keep_waiting(struct follows *f, const struct follow_question *q, const struct place *place,
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
    struct place place;
    struct place_names names;
    if (q->after.len == 0) {
        answer_newest(f, q, out);
        return FOLLOW_ANSWERED;
    }
    place_names_read(q->names, &names);
    if (!place_read(q->after, place_count(&names), &place)) {
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
