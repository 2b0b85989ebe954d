/* Reading points again and again, and telling what has changed: see kind.h. The device's thread. */
#include <stdio.h>
#include <string.h>

#include "client/devices/modbus/kind.h"

enum { NS_PER_MS = 1000 * 1000 };

/* Why a point cannot be read, as a number that is the same as long as the reason is. */
enum { FAULT_TEXT = -1, FAULT_EXCEPTION = 1 /* and above: the exception's number more */ };

/* An answer and the points in it. */
struct answer {
    struct stamp stamp;
    const uint16_t *words;
    uint16_t address;    /* of the first word */
    const size_t *order; /* the points */
    size_t count;
};

static const uint16_t *
words_of(const struct modbus *m, const struct answer *answer, size_t point)
{
    return answer->words + (m->points[point].address - answer->address);
}

static int64_t
period_ns(const struct modbus *m, const struct plan_request *r)
{
    return r->every_ms > 0 ? (int64_t)r->every_ms * NS_PER_MS : m->poll_ns;
}

/* ---- telling ----------------------------------------------------------------------------------
 */

/* NAME.fault, for those of the points for which it is news; nothing is known about them then. */
static void
tell_fault(struct modbus *m, const struct answer *answer, int fault, const char *why)
{
    uint32_t news = 0;
    prong_value points;
    for (size_t i = 0; i < answer->count; i++) {
        struct modbus_cell *cell = &m->cells[answer->order[i]];
        cell->is_news = cell->fault != fault;
        news += cell->is_news;
        cell->fault = fault;
        cell->is_known = false;
    }
    if (news == 0) {
        return;
    }
    prong_writer_reset(m->value);
    prong_writer_array(m->value, news);
    for (size_t i = 0; i < answer->count; i++) {
        if (m->cells[answer->order[i]].is_news) {
            prong_writer_string(m->value, m->names[answer->order[i]]);
        }
    }
    struct modbus_note note = {
        .what = MODBUS_FAULT,
        .stamp = answer->stamp,
        .exception = fault >= FAULT_EXCEPTION ? fault - FAULT_EXCEPTION : -1,
    };
    (void)snprintf(note.why, sizeof note.why, "%s", why);
    if (prong_writer_finish(m->value, &points) == PRONG_OK) {
        modbus_tell(m, &note, &points);
    } else {
        modbus_count(m, &m->counts.dropped, 1);
    }
}

/* A text that is none is a fault of its point alone. */
static bool
is_readable(struct modbus *m, const struct answer *answer, size_t point)
{
    if (m->points[point].type != MODBUS_TEXT) {
        return true;
    }
    prong_writer_reset(m->scratch);
    if (modbus_value_put(&m->points[point], words_of(m, answer, point), m->scratch)) {
        return true;
    }
    const struct answer alone = {.stamp = answer->stamp, .order = &point, .count = 1};
    modbus_count(m, &m->counts.malformed, 1);
    tell_fault(m, &alone, FAULT_TEXT, "the text is not UTF-8");
    return false;
}

/* Mark what is to be told, and keep it. */
static uint32_t
find_news(struct modbus *m, const struct answer *answer)
{
    uint32_t news = 0;
    for (size_t i = 0; i < answer->count; i++) {
        const size_t at = answer->order[i];
        const struct modbus_point *point = &m->points[at];
        struct modbus_cell *cell = &m->cells[at];
        const uint16_t *words = words_of(m, answer, at);
        if (!is_readable(m, answer, at)) {
            cell->is_news = false; /* told as a fault */
            continue;
        }
        cell->is_news = m->tells_all || !cell->is_known ||
                        modbus_value_differs(point, words, m->last + cell->at);
        cell->is_known = true;
        cell->fault = 0;
        if (cell->is_news) { /* many small changes are a large one */
            memcpy(m->last + cell->at, words, point->count * sizeof *words);
        }
        news += cell->is_news;
    }
    return news;
}

/* NAME.data, with what has changed. */
static void
tell_data(struct modbus *m, const struct answer *answer)
{
    prong_value values;
    const uint32_t news = find_news(m, answer);
    if (news == 0) {
        return;
    }
    prong_writer_reset(m->value);
    prong_writer_map(m->value, news);
    for (size_t i = 0; i < answer->count; i++) {
        const size_t at = answer->order[i];
        if (m->cells[at].is_news) {
            prong_writer_key(m->value, m->names[at]);
            (void)modbus_value_put(&m->points[at], words_of(m, answer, at), m->value);
        }
    }
    const struct modbus_note note = {.what = MODBUS_DATA, .stamp = answer->stamp};
    if (prong_writer_finish(m->value, &values) == PRONG_OK) {
        modbus_tell(m, &note, &values);
    } else {
        modbus_count(m, &m->counts.dropped, 1);
    }
}

/* ---- reading ----------------------------------------------------------------------------------
 */

enum outcome { READ, REFUSED, LOST };

/* One request for some points. REFUSED: nothing was told, because `may_split`. */
static enum outcome
read_points(struct modbus *m, const struct plan_request *span, bool may_split)
{
    uint16_t words[MODBUS_BITS_MAX];
    struct bus_error error;
    struct answer answer = {.words = words,
                            .address = span->address,
                            .order = m->plan.order + span->first,
                            .count = span->points};
    const bool is_read = bus_read(m->bus, span->table, span->address, span->count, words, &error);
    answer.stamp = stamp_now();
    if (!is_read && (error.fault != BUS_EXCEPTION || bus_is_gone(&error))) {
        modbus_lose(m, &error);
        return LOST;
    }
    modbus_answered(m);
    if (is_read) {
        const uint64_t each = modbus_table_has_bits(span->table) ? 1 : 2;
        modbus_count(m, &m->counts.bytes, each * span->count);
        tell_data(m, &answer);
        return READ;
    }
    modbus_count(m, &m->counts.exceptions, 1);
    if (may_split && bus_is_refused(&error)) {
        return REFUSED;
    }
    tell_fault(m, &answer, FAULT_EXCEPTION + error.exception, error.why);
    return READ;
}

/* Each of its points with a request of its own. */
static void
read_alone(struct modbus *m, const struct plan_request *r)
{
    for (size_t i = 0; i < r->points; i++) {
        const struct modbus_point *point = &m->points[m->plan.order[r->first + i]];
        const struct plan_request one = {.table = point->table,
                                         .address = point->address,
                                         .count = point->count,
                                         .first = r->first + i,
                                         .points = 1};
        if (prong_worker_is_stopping(m->worker) || read_points(m, &one, false) == LOST) {
            return;
        }
    }
}

void
modbus_scan_begin(struct modbus *m)
{
    for (size_t i = 0; i < m->count; i++) {
        m->cells[i].is_known = false;
        m->cells[i].fault = 0;
    }
    for (size_t i = 0; i < m->plan.count; i++) {
        m->plan.requests[i].is_split = false;
        m->plan.requests[i].due_ns = stamp_now().mono_ns;
    }
}

static struct plan_request *
find_due(const struct modbus *m)
{
    struct plan_request *due = NULL;
    for (size_t i = 0; i < m->plan.count; i++) {
        struct plan_request *r = &m->plan.requests[i];
        due = due == NULL || r->due_ns < due->due_ns ? r : due;
    }
    return due;
}

int64_t
modbus_scan_due(const struct modbus *m)
{
    const struct plan_request *due = find_due(m);
    return due != NULL ? due->due_ns : INT64_MAX;
}

void
modbus_scan_next(struct modbus *m)
{
    struct plan_request *r = find_due(m);
    if (r == NULL) {
        return;
    }
    if (!r->is_split) {
        /* A whole that is refused may have one wrong address, or a hole that may not be read. */
        r->is_split = read_points(m, r, r->points > 1) == REFUSED;
    }
    if (r->is_split && m->bus != NULL) {
        read_alone(m, r);
    }
    const int64_t now_ns = stamp_now().mono_ns, period = period_ns(m, r);
    r->due_ns += period;
    if (r->due_ns <= now_ns) {
        const int64_t missed = (now_ns - r->due_ns) / period + 1;
        modbus_count(m, &m->counts.late, (uint64_t)missed);
        r->due_ns += missed * period;
    }
}
