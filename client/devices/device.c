/* Events, counters and the gate of a device: see device.h. */
#include "client/devices/device.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/devices/inside.h"
#include "proto/clock/clock.h"

/* An event that the hub did not take yet. */
struct device_waiting {
    struct device_waiting *next;
    char topic[DEVICE_TOPIC_BYTES_MAX];
    size_t len;
    uint8_t data[];
};

struct stamp
stamp_now(void)
{
    return (struct stamp){.time_us = clock_wall_us(), .mono_ns = clock_mono_ns()};
}

void
device_log(const struct device *d, int level, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, "<%d>%s: %s\n", level, d->name, text);
}

void
device_fault(struct device *d, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    d->count.errors++;
    device_log(d, 4, "%s", text);
}

/* ---- the gate ---------------------------------------------------------------------------------
 */

bool
device_is_open(const struct device *d)
{
    return !d->is_paused && d->first == NULL;
}

static void
called(prong_worker *worker, int fd, short revents, void *context)
{
    (void)worker;
    struct device_source *source = context;
    if (source->fd == fd) {
        source->function(source->device, fd, revents, source->context);
    }
}

static void
apply(struct device *d, struct device_source *source)
{
    const bool reads = (source->flags & DEVICE_ALWAYS) != 0 ||
                       ((source->flags & DEVICE_READ) != 0 && device_is_open(d));
    const int events = (reads ? POLLIN : 0) | ((source->flags & DEVICE_WRITE) != 0 ? POLLOUT : 0);
    if (prong_worker_watch(d->worker, source->fd, (short)events, called, source) != PRONG_OK &&
        events != 0) {
        device_fault(d, "descriptor %d cannot be watched", source->fd);
    }
}

bool
device_watch(struct device *d, int fd, unsigned flags,
             void (*function)(struct device *d, int fd, short revents, void *context),
             void *context)
{
    struct device_source *source = NULL;
    for (size_t i = 0; i < DEVICE_SOURCES_MAX; i++) {
        struct device_source *s = &d->sources[i];
        if (s->fd == fd) {
            source = s;
            break;
        }
        source = source == NULL && s->fd < 0 ? s : source;
    }
    if (source == NULL || (flags == 0 && source->fd != fd)) {
        return flags == 0;
    }
    *source = (struct device_source){fd, flags, function, context, d};
    apply(d, source);
    if (flags == 0) {
        source->fd = -1;
    }
    return true;
}

void
device_gate(struct device *d)
{
    /* Twice: those that have read more than they could tell go first, and may close it again. */
    for (size_t i = 0; i < DEVICE_SOURCES_MAX && device_is_open(d); i++) {
        struct device_source *source = &d->sources[i];
        if (source->fd >= 0 && (source->flags & DEVICE_READ) != 0) {
            source->function(d, source->fd, 0, source->context);
        }
    }
    for (size_t i = 0; i < DEVICE_SOURCES_MAX; i++) {
        if (d->sources[i].fd >= 0 && (d->sources[i].flags & DEVICE_READ) != 0) {
            apply(d, &d->sources[i]);
        }
    }
}

/* ---- events -----------------------------------------------------------------------------------
 */

static void
wait_for_hub(struct device *d, const char *topic, const prong_value *payload)
{
    struct device_waiting *w = malloc(sizeof *w + payload->len);
    if (w == NULL) {
        d->count.dropped++;
        device_fault(d, "an event was lost: out of memory");
        return;
    }
    w->next = NULL;
    w->len = payload->len;
    memcpy(w->data, payload->data, payload->len);
    (void)snprintf(w->topic, sizeof w->topic, "%s", topic);
    const bool was_open = device_is_open(d);
    if (d->last != NULL) {
        d->last->next = w;
    } else {
        d->first = w;
    }
    d->last = w;
    d->waiting_count++;
    if (was_open) {
        device_gate(d);
    }
}

/* False when the hub is slower than the device: it is to be tried again. */
static bool
post(struct device *d, const char *topic, const prong_value *payload)
{
    char why[DEVICE_WHY_BYTES_MAX];
    const prong_err code = prong_post(d->client, topic, payload);
    if (code == PRONG_RESOURCE_EXHAUSTED) {
        return false;
    }
    if (code != PRONG_OK) {
        prong_client_error_text(d->client, why, sizeof why);
        d->count.dropped++;
        device_fault(d, "an event %s was lost: %s", topic, why);
    }
    return true;
}

static void
note_lost(struct device *d)
{
    const uint64_t lost = prong_post_failures(d->client);
    if (lost > d->lost_before) {
        d->count.dropped += lost - d->lost_before;
        device_fault(d, "the hub did not take %llu events",
                     (unsigned long long)(lost - d->lost_before));
        d->lost_before = lost;
    }
}

void
device_drain(struct device *d)
{
    const bool was_open = device_is_open(d);
    while (d->first != NULL) {
        struct device_waiting *w = d->first;
        if (!post(d, w->topic, &(prong_value){w->data, w->len})) {
            return;
        }
        d->first = w->next;
        d->last = w->next != NULL ? d->last : NULL;
        d->waiting_count--;
        free(w);
    }
    note_lost(d);
    if (!was_open && device_is_open(d)) {
        device_gate(d);
    }
}

enum device_safety
device_safety(struct device *d)
{
    if (d->first != NULL || prong_post_pending(d->client) > 0) {
        return DEVICE_ON_THE_WAY;
    }
    note_lost(d);
    const bool has_lost = d->count.dropped != d->dropped_asked;
    d->dropped_asked = d->count.dropped;
    return has_lost ? DEVICE_LOST : DEVICE_SAFE;
}

void
device_forget(struct device *d)
{
    while (d->first != NULL) {
        struct device_waiting *w = d->first;
        d->first = w->next;
        free(w);
    }
    d->last = NULL;
    d->waiting_count = 0;
}

prong_writer *
device_event(struct device *d, const struct stamp *stamp, uint32_t more)
{
    prong_writer_reset(d->event);
    prong_writer_map(d->event, 2 + more);
    prong_writer_key(d->event, "time_us");
    prong_writer_int(d->event, stamp->time_us);
    prong_writer_key(d->event, "mono_ns");
    prong_writer_int(d->event, stamp->mono_ns);
    return d->event;
}

void
device_emit(struct device *d, const char *what)
{
    char topic[DEVICE_TOPIC_BYTES_MAX];
    prong_value payload;
    (void)snprintf(topic, sizeof topic, "%s.%s", d->name, what);
    if (prong_writer_finish(d->event, &payload) != PRONG_OK) {
        d->count.dropped++;
        device_fault(d, "an event %s was lost: %s", topic, prong_writer_problem(d->event));
        return;
    }
    if (d->first != NULL || !post(d, topic, &payload)) {
        wait_for_hub(d, topic, &payload);
    }
}

static void
put_peer(prong_writer *out, const char *peer)
{
    if (peer != NULL) {
        prong_writer_key(out, "peer");
        prong_writer_string(out, peer);
    }
}

void
device_put_uint(prong_writer *w, const char *key, uint64_t value)
{
    prong_writer_key(w, key);
    prong_writer_uint(w, value);
}

void
device_put_text(prong_writer *w, const char *key, const char *text)
{
    prong_writer_key(w, key);
    prong_writer_string(w, text);
}

/* A reason may have been cut, or name what came: what is no UTF-8 in it would be the end of the
 * whole event. */
static void
copy_reason(char to[DEVICE_WHY_BYTES_MAX], const char *why)
{
    enum { HEAD_BYTES = 3, MSGPACK_STR16 = 0xda };
    uint8_t object[HEAD_BYTES + DEVICE_WHY_BYTES_MAX] = {MSGPACK_STR16};
    const char *text;
    size_t len = strnlen(why, DEVICE_WHY_BYTES_MAX - 1);
    while (len > 0 && ((unsigned char)why[len] & 0xc0) == 0x80) {
        len--;
    }
    object[1] = (uint8_t)(len >> 8);
    object[2] = (uint8_t)len;
    memcpy(object + HEAD_BYTES, why, len);
    const prong_value value = {object, HEAD_BYTES + len};
    const bool is_text = prong_value_text(&value, &text, &len);
    for (size_t i = 0; i < len; i++) {
        to[i] = is_text || (unsigned char)why[i] < 0x80 ? why[i] : '?';
    }
    to[len] = '\0';
}

void
device_malformed(struct device *d, const struct stamp *stamp, const char *why, const char *peer)
{
    d->count.malformed++;
    if (d->in_burst) {
        return;
    }
    char text[DEVICE_WHY_BYTES_MAX];
    copy_reason(text, why);
    d->in_burst = true;
    device_log(d, 4, "malformed%s%s: %s", peer != NULL ? " from " : "", peer != NULL ? peer : "",
               text);
    prong_writer *out = device_event(d, stamp, peer != NULL ? 3 : 2);
    prong_writer_key(out, "why");
    prong_writer_string(out, text);
    prong_writer_key(out, "count");
    prong_writer_uint(out, d->count.malformed);
    put_peer(out, peer);
    device_emit(d, "malformed");
}

prong_writer *
device_data_begin(struct device *d, const struct stamp *stamp, const uint8_t *data, size_t len,
                  uint32_t more, char why[DEVICE_WHY_BYTES_MAX])
{
    const enum coding coding = (enum coding)options_number(&d->options, "decode");
    prong_value value;
    prong_writer_reset(d->value);
    if (!coding_decode(coding, data, len, d->value, why, DEVICE_WHY_BYTES_MAX) ||
        prong_writer_finish(d->value, &value) != PRONG_OK) {
        return NULL;
    }
    d->in_burst = false;
    d->count.frames++;
    d->count.last_us = stamp->time_us;
    prong_writer *out = device_event(d, stamp, 1 + more);
    prong_writer_key(out, "value");
    prong_writer_raw(out, &value);
    return out;
}

void
device_frame(struct device *d, const struct stamp *stamp, const uint8_t *data, size_t len,
             const char *peer)
{
    char why[DEVICE_WHY_BYTES_MAX];
    prong_writer *out = device_data_begin(d, stamp, data, len, peer != NULL ? 1 : 0, why);
    if (out == NULL) {
        device_malformed(d, stamp, why, peer);
        return;
    }
    put_peer(out, peer);
    device_emit(d, "data");
}

/* What `prong status` shows beside it, in the way of sd_notify(3). False when the hub has no room
 * for it now; one that is away has forgotten what it was told before. */
static bool
say_status(const char *text)
{
    enum { STATUS_BYTES_MAX = 95 }; /* a longer one the hub does not take */
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    char message[sizeof "STATUS=" + STATUS_BYTES_MAX];
    size_t len = strlen(text);
    bool is_full = false;
    if (path == NULL || strlen(path) >= sizeof to.sun_path) {
        return true;
    }
    memcpy(to.sun_path, path, strlen(path) + 1);
    len = len <= STATUS_BYTES_MAX ? len : STATUS_BYTES_MAX;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
        len--; /* no half of a character */
    }
    (void)snprintf(message, sizeof message, "STATUS=%.*s", (int)len, text);
    for (char *end = message; (end = strchr(end, '\n')) != NULL;) {
        *end = ' '; /* the next line would be another word to the hub */
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        is_full = sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&to,
                         sizeof to) < 0 &&
                  errno == EAGAIN;
        (void)close(fd);
    }
    return !is_full;
}

void
device_tend_status(struct device *d)
{
    if (d->is_said && d->why[0] == '\0') {
        d->is_said = !say_status("");
    }
}

prong_writer *
device_up_begin(struct device *d, uint32_t more)
{
    const struct stamp now = stamp_now();
    if (d->count.up_since_us == 0) {
        d->count.up_since_us = now.time_us;
    }
    d->why[0] = '\0';
    device_tend_status(d);
    return device_event(d, &now, more);
}

void
device_up(struct device *d, const char *peer)
{
    device_log(d, 6, "up%s%s", peer != NULL ? ": " : "", peer != NULL ? peer : "");
    put_peer(device_up_begin(d, peer != NULL ? 1 : 0), peer);
    device_emit(d, "up");
}

void
device_listening(struct device *d, const char *own, uint16_t port)
{
    device_log(d, 6, "listening on %s", own);
    prong_writer *out = device_up_begin(d, 2);
    prong_writer_key(out, "address");
    prong_writer_string(out, own);
    prong_writer_key(out, "port");
    prong_writer_uint(out, port);
    device_emit(d, "listening");
}

void
device_down(struct device *d, const char *why, const char *peer)
{
    const struct stamp now = stamp_now();
    char text[DEVICE_WHY_BYTES_MAX];
    copy_reason(text, why);
    if (peer == NULL) {
        char status[DEVICE_WHY_BYTES_MAX + 8];
        (void)snprintf(status, sizeof status, "down: %s", text);
        d->is_said = true;
        (void)say_status(status); /* again each time: a hub that was started anew knows nothing */
        d->count.up_since_us = 0;
        if (strcmp(d->why, text) == 0) {
            return;
        }
        memcpy(d->why, text, strlen(text) + 1);
    }
    device_log(d, peer == NULL ? 4 : 6, "down%s%s: %s", peer != NULL ? " " : "",
               peer != NULL ? peer : "", text);
    prong_writer *out = device_event(d, &now, peer != NULL ? 2 : 1);
    prong_writer_key(out, "why");
    prong_writer_string(out, text);
    put_peer(out, peer);
    device_emit(d, "down");
}
