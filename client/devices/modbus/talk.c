/* The thread of prong-modbus: connect, read what is due, do what methods ask for, begin again. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/devices/modbus/kind.h"

enum { NS_PER_SECOND = 1000 * 1000 * 1000, NS_PER_MS = 1000 * 1000 };

void
modbus_count(struct modbus *m, uint64_t *counter, uint64_t more)
{
    pthread_mutex_lock(&m->lock);
    *counter += more;
    pthread_mutex_unlock(&m->lock);
}

/* ---- telling ----------------------------------------------------------------------------------
 */

void
modbus_tell(struct modbus *m, const struct modbus_note *note, const prong_value *value)
{
    const size_t len = value != NULL ? value->len : 0;
    struct modbus_note *kept = malloc(sizeof *kept + len);
    if (kept == NULL) {
        modbus_count(m, &m->counts.dropped, 1);
        return;
    }
    *kept = *note;
    kept->next = NULL;
    kept->len = len;
    if (len > 0) {
        memcpy(kept->value, value->data, len);
    }
    pthread_mutex_lock(&m->lock);
    if (m->first == NULL) {
        m->first = kept;
    } else {
        m->last_note->next = kept;
    }
    m->last_note = kept;
    m->untold++;
    pthread_mutex_unlock(&m->lock);
    bell_ring(m->note_fd);
}

static void
come_up(struct modbus *m)
{
    if (!m->is_up) {
        struct modbus_note note = {.what = MODBUS_UP, .stamp = stamp_now()};
        (void)snprintf(note.why, sizeof note.why, "%s", bus_peer(m->bus));
        m->is_up = true;
        modbus_tell(m, &note, NULL);
    }
}

void
modbus_answered(struct modbus *m)
{
    modbus_count(m, &m->counts.requests, 1);
    backoff_reset(&m->backoff);
    come_up(m);
}

/* Not connected; the next attempt is one of those that come later and later. */
static void
stay_down(struct modbus *m, const char *why)
{
    struct modbus_note note = {.what = MODBUS_DOWN, .stamp = stamp_now()};
    (void)snprintf(note.why, sizeof note.why, "%s", why);
    (void)snprintf(m->why, sizeof m->why, "%s", why);
    m->is_up = false;
    m->try_ns = note.stamp.mono_ns + backoff_next(&m->backoff) * NS_PER_MS;
    modbus_count(m, &m->counts.errors, 1);
    modbus_tell(m, &note, NULL);
}

void
modbus_lose(struct modbus *m, const struct bus_error *error)
{
    bus_close(m->bus);
    m->bus = NULL;
    if (m->is_up) {
        backoff_lasted(&m->backoff, (stamp_now().mono_ns - m->opened_ns) / NS_PER_MS);
    }
    modbus_count(m, &m->counts.timeouts, error->fault == BUS_TIMEOUT);
    modbus_count(m, &m->counts.malformed, error->fault == BUS_JUNK);
    modbus_count(m, &m->counts.exceptions, error->fault == BUS_EXCEPTION);
    stay_down(m, error->why);
}

static void
attempt(struct modbus *m)
{
    char why[DEVICE_WHY_BYTES_MAX];
    modbus_count(m, &m->counts.reconnects, m->why[0] != '\0');
    m->bus = bus_open(&m->bus_options, why, sizeof why);
    if (m->bus == NULL) {
        stay_down(m, why);
        return;
    }
    m->opened_ns = stamp_now().mono_ns;
    modbus_scan_begin(m);
    if (m->count == 0) { /* nobody is asked who could answer */
        come_up(m);
    }
}

/* ---- requests of methods ----------------------------------------------------------------------
 */

/* Whether there is a connection now. One that has ended since it was last used is made anew, before
 * anything is sent. */
static bool
is_connected(struct modbus *m)
{
    struct bus_error error;
    if (m->bus != NULL && !bus_is_quiet(m->bus, &error)) {
        modbus_lose(m, &error);
        m->try_ns = 0;
    }
    if (m->bus == NULL && stamp_now().mono_ns >= m->try_ns) {
        attempt(m);
    }
    return m->bus != NULL;
}

static bool
is_wanted(struct modbus *m)
{
    pthread_mutex_lock(&m->lock);
    const bool is = !m->is_unwanted;
    pthread_mutex_unlock(&m->lock);
    return is && !prong_worker_is_stopping(m->worker);
}

static bool
do_step(struct modbus *m, const struct modbus_request *request, const struct modbus_step *step,
        struct bus_error *error)
{
    return !request->is_write
               ? bus_read(m->bus, step->table, step->address, step->count, step->words, error)
           : step->bit >= 0
               ? bus_write_bit(m->bus, step->address, (unsigned)step->bit, step->words[0] != 0,
                               error)
               : bus_write(m->bus, step->table, step->address, step->count, step->words, error);
}

static void
do_request(struct modbus *m, struct modbus_request *request)
{
    struct bus_error error = {0};
    while (request->done < request->count && error.code == PRONG_OK) {
        if (!is_wanted(m)) {
            error.code = PRONG_CANCELLED;
            (void)snprintf(error.why, sizeof error.why, "nobody waits for it any more");
        } else if (!is_connected(m)) {
            error.code = PRONG_FAILED_PRECONDITION;
            (void)snprintf(error.why, sizeof error.why, "not connected: %.150s", m->why);
        } else if (do_step(m, request, &request->steps[request->done], &error)) {
            modbus_answered(m);
            request->done++;
            error = (struct bus_error){0}; /* a reading may have needed a second try */
        } else if (error.fault == BUS_EXCEPTION && !bus_is_gone(&error)) {
            modbus_answered(m);
            modbus_count(m, &m->counts.exceptions, 1);
        } else {
            modbus_lose(m, &error);
        }
    }
    request->error = error;
}

/* The request that waits, if one does. */
static struct modbus_request *
take_request(struct modbus *m)
{
    struct modbus_request *request = NULL;
    pthread_mutex_lock(&m->lock);
    if (m->stage == MODBUS_WAITING) {
        m->stage = MODBUS_RUNNING;
        request = m->request;
    }
    pthread_mutex_unlock(&m->lock);
    return request;
}

static void
end_request(struct modbus *m, enum modbus_stage stage)
{
    pthread_mutex_lock(&m->lock);
    m->stage = stage;
    pthread_mutex_unlock(&m->lock);
    bell_ring(m->done_fd);
}

/* ---- the thread -------------------------------------------------------------------------------
 */

/* Whether points may be read now. What was read before has to be told first, and what a pause has
 * held up is not caught up with. */
static bool
may_scan(struct modbus *m)
{
    pthread_mutex_lock(&m->lock);
    const bool is_held = m->is_held, is_told = m->untold == 0;
    pthread_mutex_unlock(&m->lock);
    if (m->was_held && !is_held && m->bus != NULL) {
        const int64_t now_ns = stamp_now().mono_ns;
        for (size_t i = 0; i < m->plan.count; i++) {
            struct plan_request *r = &m->plan.requests[i];
            r->due_ns = r->due_ns < now_ns ? now_ns : r->due_ns;
        }
    }
    m->was_held = is_held;
    return !is_held && is_told && m->bus != NULL;
}

/* Until this time (INT64_MAX: none), the end of the worker or of the connection, or a change of
 * what the lock guards. */
static void
wait_until(struct modbus *m, int64_t due_ns)
{
    const int64_t left_ns = due_ns == INT64_MAX ? 0 : due_ns - stamp_now().mono_ns;
    const struct timespec left = {left_ns / NS_PER_SECOND, left_ns % NS_PER_SECOND};
    struct bus_error error;
    struct pollfd fds[] = {{.fd = prong_worker_stop_fd(m->worker), .events = POLLIN},
                           {.fd = m->wake_fd, .events = POLLIN},
                           {.fd = m->bus != NULL ? bus_fd(m->bus) : -1, .events = POLLIN}};
    if (left_ns < 0 || ppoll(fds, 3, due_ns == INT64_MAX ? NULL : &left, NULL) <= 0) {
        return;
    }
    if (fds[1].revents != 0) {
        bell_hear(m->wake_fd);
    }
    if (fds[2].revents != 0 && !bus_is_quiet(m->bus, &error)) {
        modbus_lose(m, &error);
    }
}

void
modbus_talk(prong_worker *worker, void *device)
{
    struct modbus *m = ((const struct device *)device)->state;
    while (!prong_worker_is_stopping(worker)) {
        struct modbus_request *request = take_request(m);
        if (request != NULL) {
            do_request(m, request);
            end_request(m, MODBUS_DONE);
            continue;
        }
        if (m->bus == NULL && stamp_now().mono_ns >= m->try_ns) {
            attempt(m);
            continue;
        }
        const bool scans = may_scan(m);
        const int64_t due_ns = m->bus == NULL ? m->try_ns : scans ? modbus_scan_due(m) : INT64_MAX;
        if (scans && stamp_now().mono_ns >= due_ns) {
            modbus_scan_next(m);
        } else {
            wait_until(m, due_ns);
        }
    }
    bus_close(m->bus);
    m->bus = NULL;
    end_request(m, MODBUS_OVER);
}
