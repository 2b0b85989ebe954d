/* prong-gpio: lines of a GPIO chip. Edges come as events; outputs are set by methods.
 *
 * The kernel keeps some edges of each line while nobody reads them, and loses what it has no room
 * for; track.h says what is found of that. A chip that is pulled out is not told by every kernel
 * to who waits for its edges, so its file is looked at as well. */
#include "client/devices/gpio/kind.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_MS = 1000, NS_PER_MS = 1000 * 1000, EDGE_PAIRS = 4, UP_PAIRS = 3, STAT_PAIRS = 5 };

/* ---- events -----------------------------------------------------------------------------------
 */

/* The wall clock had that time, if nobody has set it since. */
static struct stamp
stamp_of(int64_t mono_ns)
{
    struct stamp stamp = stamp_now();
    stamp.time_us -= (stamp.mono_ns - mono_ns) / 1000;
    stamp.mono_ns = mono_ns;
    return stamp;
}

static void
put_value(prong_writer *out, const char *key, bool value)
{
    prong_writer_key(out, key);
    prong_writer_int(out, value);
}

static void
tell_edge(struct device *d, const struct gpio_edge *edge)
{
    struct gpio *g = d->state;
    const struct line *line = &g->lines[edge->line];
    const struct stamp stamp = stamp_of(edge->mono_ns);
    d->count.frames++;
    d->count.last_us = stamp.time_us;
    prong_writer *out = device_event(d, &stamp, EDGE_PAIRS);
    put_value(out, "value", edge->value);
    device_put_text(out, "line", line->name);
    device_put_text(out, "edge",
                    gpio_edge_word(edge->value ? GPIO_EDGE_RISING : GPIO_EDGE_FALLING));
    prong_writer_key(out, "sequence");
    prong_writer_uint(out, line->track.sequence);
    device_emit(d, "data");
}

/* The kernel had no room for more edges of a line: `value` is what it is now. */
static void
tell_overflow(struct device *d, uint32_t index)
{
    struct gpio *g = d->state;
    const int level = gpio_chip_get(g->chip, index);
    const struct stamp now = stamp_now();
    g->overflows++;
    if (level < 0) {
        return; /* the next look at the chip tells why */
    }
    device_log(d, 4, "the kernel's queue of line %s was full", g->lines[index].name);
    prong_writer *out = device_event(d, &now, 3);
    put_value(out, "value", level != 0);
    device_put_text(out, "line", g->lines[index].name);
    prong_writer_key(out, "count");
    prong_writer_uint(out, g->overflows);
    device_emit(d, "overflow");
}

static void
put_values(prong_writer *out, struct gpio *g)
{
    prong_writer_key(out, "lines");
    prong_writer_map(out, g->count);
    for (uint32_t i = 0; i < g->count; i++) {
        put_value(out, g->lines[i].name, gpio_chip_get(g->chip, i) > 0);
    }
}

static void
tell_up(struct device *d)
{
    struct gpio *g = d->state;
    device_log(d, 6, "up: %s [%s]", gpio_chip_name(g->chip), gpio_chip_label(g->chip));
    prong_writer *out = device_up_begin(d, UP_PAIRS);
    device_put_text(out, "chip", gpio_chip_name(g->chip));
    device_put_text(out, "label", gpio_chip_label(g->chip));
    put_values(out, g);
    device_emit(d, "up");
}

/* ---- edges ------------------------------------------------------------------------------------
 */

/* Read the line's edges behind the `count` that there are already. False: it does not work. */
static bool
read_line(struct gpio *g, uint32_t index, short revents, size_t *count, bool *is_full)
{
    *is_full = false;
    if ((revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
        errno = ENODEV;
        return false;
    }
    if ((revents & POLLIN) == 0) {
        return true;
    }
    const int n = gpio_chip_read(g->chip, index, g->edges + *count, is_full);
    *count += n > 0 ? (size_t)n : 0;
    return n >= 0;
}

/* Whatever all lines have, so that they are told in the order of their times. */
static bool
read_all(struct device *d, size_t *count, bool full[GPIO_LINES_MAX])
{
    struct gpio *g = d->state;
    struct pollfd fds[GPIO_LINES_MAX];
    for (uint32_t i = 0; i < g->count; i++) {
        fds[i] = (struct pollfd){.fd = gpio_chip_fd(g->chip, i), .events = POLLIN};
    }
    *count = 0;
    if (poll(fds, g->count, 0) < 0) {
        return true; /* woken by a signal: it is called again */
    }
    for (uint32_t i = 0; i < g->count; i++) {
        if (!read_line(g, i, fds[i].revents, count, &full[i])) {
            char why[DEVICE_WHY_BYTES_MAX];
            snprintf(why, sizeof why, "line %s: %s", g->lines[i].name, strerror(errno));
            gpio_lose(d, why);
            return false;
        }
    }
    return true;
}

static void
take_edges(struct device *d)
{
    struct gpio *g = d->state;
    bool full[GPIO_LINES_MAX];
    size_t count;
    struct gpio_edge told;
    if (!read_all(d, &count, full) || count == 0) {
        return;
    }
    gpio_edges_sort(g->edges, count);
    for (size_t i = 0; i < count; i++) {
        struct gpio_track *track = &g->lines[g->edges[i].line].track;
        const uint64_t missed = track->missed;
        if (gpio_track_edge(track, &g->edges[i], &told)) {
            tell_edge(d, &told);
        }
        d->count.dropped += track->missed - missed;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        if (full[i]) {
            tell_overflow(d, i);
        }
    }
}

static void
readable(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    (void)context;
    struct gpio *g = d->state;
    if (g->chip != NULL && device_is_open(d)) {
        take_edges(d);
        gpio_arm(d);
    }
}

/* ---- what is due ------------------------------------------------------------------------------
 */

void
gpio_arm(struct device *d)
{
    struct gpio *g = d->state;
    int64_t next_ns = INT64_MAX;
    for (uint32_t i = 0; i < g->count; i++) {
        const struct line *line = &g->lines[i];
        /* Nothing is told while the gate is closed; when it opens, this is called again. */
        const int64_t edge_ns = device_is_open(d) ? gpio_track_due_ns(&line->track) : INT64_MAX;
        next_ns = edge_ns < next_ns ? edge_ns : next_ns;
        next_ns = line->pulse_ns != 0 && line->pulse_ns < next_ns ? line->pulse_ns : next_ns;
    }
    const int64_t left_ns = next_ns - stamp_now().mono_ns;
    const int64_t left_ms = left_ns <= 0 ? 1 : (left_ns + NS_PER_MS - 1) / NS_PER_MS;
    device_timer_set(&g->due, g->chip == NULL || next_ns == INT64_MAX ? 0 : left_ms);
}

bool
gpio_set_one(struct gpio *g, uint32_t index, bool value)
{
    enum gpio_level wanted[GPIO_LINES_MAX] = {GPIO_LEAVE};
    wanted[index] = value ? GPIO_TO_1 : GPIO_TO_0;
    return gpio_chip_set(g->chip, wanted);
}

/* A chip that takes no value any more is given up, so that its outputs are what they were at first.
 */
static void
end_pulses(struct device *d, int64_t now_ns)
{
    struct gpio *g = d->state;
    for (uint32_t i = 0; g->chip != NULL && i < g->count; i++) {
        struct line *line = &g->lines[i];
        if (line->pulse_ns != 0 && line->pulse_ns <= now_ns) {
            line->pulse_ns = 0;
            if (!gpio_set_one(g, i, line->pulse_back)) {
                char why[DEVICE_WHY_BYTES_MAX];
                snprintf(why, sizeof why, "the pulse of line %s could not be ended: %s", line->name,
                         strerror(errno));
                gpio_lose(d, why);
            }
        }
    }
}

static void
settle_edges(struct device *d)
{
    struct gpio *g = d->state;
    for (uint32_t i = 0; g->chip != NULL && i < g->count; i++) {
        struct line *line = &g->lines[i];
        struct gpio_edge told;
        const struct stamp now = stamp_now();
        if (gpio_track_due_ns(&line->track) > now.mono_ns) {
            continue;
        }
        const int level = gpio_chip_get(g->chip, i);
        if (level < 0) {
            char why[DEVICE_WHY_BYTES_MAX];
            snprintf(why, sizeof why, "line %s: %s", line->name, strerror(errno));
            gpio_lose(d, why);
            return;
        }
        const struct gpio_edge is = {.mono_ns = now.mono_ns, .line = i, .value = level != 0};
        if (gpio_track_settle(&line->track, &is, &told)) {
            tell_edge(d, &told);
        }
    }
}

static void
is_due(struct device *d, uint64_t times, void *context)
{
    (void)times;
    (void)context;
    struct gpio *g = d->state;
    if (g->chip == NULL) {
        return;
    }
    end_pulses(d, stamp_now().mono_ns);
    if (g->chip == NULL) {
        return;
    }
    if (device_is_open(d)) {
        take_edges(d);
        settle_edges(d);
    }
    gpio_arm(d);
}

/* ---- the chip ---------------------------------------------------------------------------------
 */

static void
close_chip(struct device *d)
{
    struct gpio *g = d->state;
    if (g->chip == NULL) {
        return;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        const int fd = gpio_chip_fd(g->chip, i);
        if (fd >= 0) {
            device_watch(d, fd, 0, NULL, NULL);
        }
        g->lines[i].pulse_ns = 0;
        g->lines[i].track.is_waiting = false;
    }
    gpio_chip_close(g->chip);
    g->chip = NULL;
    device_timer_set(&g->due, 0);
    device_timer_set(&g->look, 0);
}

void
gpio_lose(struct device *d, const char *why)
{
    struct gpio *g = d->state;
    close_chip(d);
    retry_later(d, &g->retry, why);
}

static void
look(struct device *d, uint64_t times, void *context)
{
    (void)times;
    (void)context;
    struct gpio *g = d->state;
    if (g->chip != NULL && !gpio_chip_is_there(g->chip)) {
        char why[DEVICE_WHY_BYTES_MAX];
        snprintf(why, sizeof why, "%s is gone", gpio_chip_name(g->chip));
        gpio_lose(d, why);
        return;
    }
    device_timer_set(&g->look, LOOK_MS);
}

/* All lines or none: first it is seen that all can be had, so that no output changes for nothing.
 */
static bool
take_lines(struct gpio *g, char *why, size_t why_bytes)
{
    char text[DEVICE_WHY_BYTES_MAX];
    uint32_t i = 0;
    while (i < g->count && gpio_chip_find(g->chip, i, &g->lines[i].is, text, sizeof text)) {
        i++;
    }
    if (i == g->count && gpio_chip_take(g->chip, g->count, &i, text, sizeof text)) {
        return true;
    }
    snprintf(why, why_bytes, "%s: %.150s", g->lines[i].name, text);
    return false;
}

static void
attempt(struct device *d)
{
    struct gpio *g = d->state;
    char why[DEVICE_WHY_BYTES_MAX];
    g->chip = gpio_chip_open(options_text(&d->options, "chip"), g->consumer, why, sizeof why);
    if (g->chip == NULL || !take_lines(g, why, sizeof why)) {
        gpio_chip_close(g->chip);
        g->chip = NULL;
        retry_later(d, &g->retry, why);
        return;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        const int fd = gpio_chip_fd(g->chip, i);
        gpio_track_begin(&g->lines[i].track, &g->lines[i].is, gpio_chip_get(g->chip, i) > 0,
                         gpio_queue.is_numbered);
        if (fd >= 0 && !device_watch(d, fd, DEVICE_READ, readable, NULL)) {
            gpio_lose(d, "too many descriptors");
            return;
        }
    }
    retry_done(d, &g->retry);
    device_timer_set(&g->look, LOOK_MS);
    tell_up(d);
}

/* ---- the kind ---------------------------------------------------------------------------------
 */

static prong_err
start(struct device *d)
{
    struct gpio *g = d->state;
    char why[DEVICE_WHY_BYTES_MAX];
    void *at = NULL;
    const char *name, *value;
    snprintf(g->consumer, sizeof g->consumer, "%.*s", GPIO_NAME_BYTES_MAX, d->name);
    while (g->count < GPIO_LINES_MAX && options_pair(&d->options, "lines", &at, &name, &value)) {
        struct line *line = &g->lines[g->count++];
        line->name = name;
        if (!gpio_line_parse(value, &line->is, why, sizeof why)) {
            device_log(d, 3, "%s: %s", name, why); /* the table has checked it before */
            return PRONG_INVALID_ARGUMENT;
        }
    }
    return device_timer_start(d, &g->due, is_due, NULL) &&
                   device_timer_start(d, &g->look, look, NULL) && retry_start(d, &g->retry, attempt)
               ? PRONG_OK
               : PRONG_RESOURCE_EXHAUSTED;
}

static void
stop(struct device *d)
{
    struct gpio *g = d->state;
    retry_stop(d, &g->retry);
    if (g->chip != NULL) {
        end_pulses(d, INT64_MAX);
    }
    close_chip(d);
    device_timer_stop(d, &g->due);
    device_timer_stop(d, &g->look);
}

static void
stats(struct device *d, prong_writer *out)
{
    struct gpio *g = d->state;
    device_put_text(out, "chip", g->chip != NULL ? gpio_chip_name(g->chip) : "");
    device_put_text(out, "label", g->chip != NULL ? gpio_chip_label(g->chip) : "");
    prong_writer_key(out, "queue");
    prong_writer_uint(out, gpio_queue.max);
    prong_writer_key(out, "overflows");
    prong_writer_uint(out, g->overflows);
    prong_writer_key(out, "lines");
    prong_writer_map(out, g->count);
    for (uint32_t i = 0; i < g->count; i++) {
        const struct line *line = &g->lines[i];
        prong_writer_key(out, line->name);
        prong_writer_map(out, 3);
        prong_writer_key(out, "offset");
        prong_writer_int(out,
                         g->chip != NULL ? (int64_t)gpio_chip_offset(g->chip, i) : line->is.offset);
        prong_writer_key(out, "sequence");
        prong_writer_uint(out, line->track.sequence);
        prong_writer_key(out, "missed");
        prong_writer_uint(out, line->track.missed);
    }
}

int
main(void)
{
    const struct device_kind_ops kinds[] = {{
        .kind = "gpio",
        .state_size = sizeof(struct gpio),
        .start = start,
        .stop = stop,
        .stats = stats,
        .stat_count = STAT_PAIRS,
        .methods = gpio_methods,
        .method_count = gpio_method_count,
    }};
    return device_main(kinds, sizeof kinds / sizeof *kinds);
}
