/* prong-modbus: registers and bits of a unit that speaks Modbus. The worker's thread: events and
 * counters; talk.c has the thread that speaks with the unit, because libmodbus waits for answers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/devices/modbus/kind.h"

enum { NS_PER_MS = 1000 * 1000 };

/* ---- events -----------------------------------------------------------------------------------
 */

static void
tell_data(struct device *d, const struct modbus_note *note)
{
    const prong_value value = {note->value, note->len};
    prong_writer *w = device_event(d, &note->stamp, 1);
    prong_writer_key(w, "value");
    prong_writer_raw(w, &value);
    d->count.frames++;
    d->count.last_us = note->stamp.time_us;
    device_emit(d, "data");
}

static void
tell_fault(struct device *d, const struct modbus_note *note)
{
    const prong_value points = {note->value, note->len};
    prong_value first;
    const char *name = "";
    size_t len = 0;
    const uint32_t count = prong_value_count(&points);
    if (prong_value_at(&points, 0, &first)) {
        (void)prong_value_text(&first, &name, &len); /* empty then */
    }
    device_log(d, 4, "%.*s%s: %s", (int)len, name, count > 1 ? " and others" : "", note->why);
    prong_writer *w = device_event(d, &note->stamp, note->exception >= 0 ? 3 : 2);
    prong_writer_key(w, "why");
    prong_writer_string(w, note->why);
    prong_writer_key(w, "points");
    prong_writer_raw(w, &points);
    if (note->exception >= 0) {
        prong_writer_key(w, "exception");
        prong_writer_int(w, note->exception);
    }
    device_emit(d, "fault");
}

static void
tell(struct device *d, const struct modbus_note *note)
{
    switch (note->what) {
    case MODBUS_UP:
        device_up(d, note->why);
        break;
    case MODBUS_DOWN:
        device_down(d, note->why, NULL);
        break;
    case MODBUS_DATA:
        tell_data(d, note);
        break;
    case MODBUS_FAULT:
        tell_fault(d, note);
        break;
    }
}

/* Tell what the thread has noted. It reads on when all of it is told and the hub takes more. */
static void
take_notes(struct device *d)
{
    struct modbus *m = d->state;
    size_t told = 0;
    pthread_mutex_lock(&m->lock);
    struct modbus_note *note = m->first;
    m->first = NULL;
    pthread_mutex_unlock(&m->lock);
    while (note != NULL) {
        struct modbus_note *next = note->next;
        tell(d, note);
        free(note);
        note = next;
        told++;
    }
    pthread_mutex_lock(&m->lock);
    m->untold -= told;
    m->is_held = !device_is_open(d);
    pthread_mutex_unlock(&m->lock);
    bell_ring(m->wake_fd);
}

/* A note, or the gate has been opened (`revents` 0). */
static void
look_up(struct device *d, int fd, short revents, void *context)
{
    (void)context;
    if (revents != 0) {
        bell_hear(fd);
    }
    take_notes(d);
}

/* ---- counters ---------------------------------------------------------------------------------
 */

/* The worker was paused or resumed, or somebody wants to see its counters. */
static void
refresh(struct device *d)
{
    struct modbus *m = d->state;
    pthread_mutex_lock(&m->lock);
    m->is_held = !device_is_open(d);
    d->count.bytes = m->counts.bytes;
    d->count.malformed = m->counts.malformed;
    d->count.reconnects = m->counts.reconnects;
    d->count.errors += m->counts.errors;
    d->count.dropped += m->counts.dropped;
    m->counts.errors = 0;
    m->counts.dropped = 0;
    pthread_mutex_unlock(&m->lock);
    bell_ring(m->wake_fd);
}

enum { STAT_PAIRS = 7 };

static void
stats(struct device *d, prong_writer *w)
{
    struct modbus *m = d->state;
    pthread_mutex_lock(&m->lock);
    const struct modbus_counts counts = m->counts;
    pthread_mutex_unlock(&m->lock);
    const struct {
        const char *key;
        uint64_t value;
    } rows[STAT_PAIRS] = {
        {"unit", (uint64_t)m->bus_options.unit},
        {"points", m->count},
        {"groups", m->plan.count},
        {"requests", counts.requests},
        {"exceptions", counts.exceptions},
        {"timeouts", counts.timeouts},
        {"late", counts.late},
    };
    for (size_t i = 0; i < STAT_PAIRS; i++) {
        prong_writer_key(w, rows[i].key);
        prong_writer_uint(w, rows[i].value);
    }
}

/* ---- beginning and end ------------------------------------------------------------------------
 */

static bool
check(const struct options *options, char *why, size_t why_bytes)
{
    char reason[DEVICE_WHY_BYTES_MAX / 2];
    const int64_t unit = options_number(options, "unit");
    const bool is_serial = options_text(options, "path") != NULL;
    if (modbus_check_unit(unit, is_serial, reason, sizeof reason)) {
        return true;
    }
    snprintf(why, why_bytes, "'unit' cannot be %d: %s", (int)unit, reason);
    return false;
}

static size_t
count_points(const struct options *options)
{
    size_t count = 0;
    void *at = NULL;
    const char *name, *text;
    while (options_pair(options, "points", &at, &name, &text)) {
        count++;
    }
    return count;
}

static prong_err
make_points(struct modbus *m, const struct options *options)
{
    void *at = NULL;
    const char *name, *text;
    char why[DEVICE_WHY_BYTES_MAX];
    size_t words = 0;
    m->count = count_points(options);
    m->points = calloc(m->count + 1, sizeof *m->points); /* + 1: none at all is no want of memory */
    m->names = calloc(m->count + 1, sizeof *m->names);
    m->cells = calloc(m->count + 1, sizeof *m->cells);
    if (m->points == NULL || m->names == NULL || m->cells == NULL) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    for (size_t i = 0; options_pair(options, "points", &at, &name, &text); i++) {
        if (!modbus_point_parse(text, &m->points[i], why, sizeof why)) {
            return PRONG_INTERNAL; /* the table has let it pass */
        }
        m->names[i] = name;
        m->cells[i].at = words;
        words += m->points[i].count;
    }
    m->last = calloc(words + 1, sizeof *m->last);
    return m->last != NULL && plan_make(m->points, m->count, &m->plan) ? PRONG_OK
                                                                       : PRONG_RESOURCE_EXHAUSTED;
}

static void
configure(struct modbus *m, const struct options *options)
{
    static const char parities[] = {'N', 'E', 'O'}; /* in the order of the table */
    m->bus_options = (struct bus_options){
        .host = options_text(options, "host"),
        .path = options_text(options, "path"),
        .port = (int)options_number(options, "port"),
        .baud = (int)strtol(options_text(options, "baud"), NULL, 10),
        .bits = (int)strtol(options_text(options, "bits"), NULL, 10),
        .stop = (int)strtol(options_text(options, "stop"), NULL, 10),
        .parity = parities[options_number(options, "parity")],
        .unit = (int)options_number(options, "unit"),
        .timeout_ms = (int32_t)options_number(options, "timeout"),
        .stop_fd = prong_worker_stop_fd(m->worker),
    };
    m->poll_ns = options_number(options, "poll") * NS_PER_MS;
    m->tells_all = strcmp(options_text(options, "report"), "poll") == 0;
    m->backoff = (struct backoff){.min_ms = options_number(options, "reconnect_min"),
                                  .max_ms = options_number(options, "reconnect_max"),
                                  .seed = (uint64_t)stamp_now().mono_ns ^ (uint64_t)getpid() << 40};
}

static prong_err
start(struct device *d)
{
    struct modbus *m = d->state;
    m->worker = d->worker;
    configure(m, &d->options);
    m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    m->note_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    m->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    m->value = prong_writer_new();
    m->scratch = prong_writer_new();
    if (m->wake_fd < 0 || m->note_fd < 0 || m->done_fd < 0 || m->value == NULL ||
        m->scratch == NULL || make_points(m, &d->options) != PRONG_OK ||
        pthread_mutex_init(&m->lock, NULL) != 0 ||
        /* Notes are always taken; DEVICE_READ is for the call when the gate opens. */
        !device_watch(d, m->note_fd, DEVICE_ALWAYS | DEVICE_READ, look_up, NULL)) {
        device_log(d, 3, "no memory or descriptors");
        return PRONG_RESOURCE_EXHAUSTED;
    }
    return PRONG_OK;
}

/* The thread has ended. */
static void
stop(struct device *d)
{
    struct modbus *m = d->state;
    take_notes(d);
    device_watch(d, m->note_fd, 0, NULL, NULL);
    plan_deinit(&m->plan);
    prong_writer_free(m->value);
    prong_writer_free(m->scratch);
    free(m->points);
    free((void *)m->names);
    free(m->cells);
    free(m->last);
    close(m->wake_fd);
    close(m->note_fd);
    close(m->done_fd);
    pthread_mutex_destroy(&m->lock);
}

int
main(void)
{
    static const struct device_method methods[] = {
        {"read", modbus_call_read, PRONG_IDEMPOTENT,
         "read now: points=[names], or table=, address= and count=", "points table address count"},
        {"write", modbus_call_write, PRONG_ONCE,
         "write: point= and value=, points={name: value}, or table=, address= and values=[...]",
         "point value points table address values"},
    };
    static const struct device_kind_ops kinds[] = {{
        .kind = "modbus",
        .state_size = sizeof(struct modbus),
        .check = check,
        .start = start,
        .stop = stop,
        .loop = modbus_talk,
        .refresh = refresh,
        .stats = stats,
        .stat_count = STAT_PAIRS,
        .methods = methods,
        .method_count = sizeof methods / sizeof *methods,
    }};
    return device_main(kinds, sizeof kinds / sizeof *kinds);
}
