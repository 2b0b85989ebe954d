/* libgpiod 2, which speaks the second version of the kernel's interface: edges are numbered, and
 * room for more of them can be asked for; when it is full the oldest are lost. Each input is a
 * request of its own, so that one can be told from the other by its descriptor. */
#include "client/devices/gpio/chip.h"

#include <dirent.h>
#include <errno.h>
#include <gpiod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/devices/gpio/file.h"

enum {
    QUEUE_MAX = 1024, /* edges; the kernel gives no more */
    KINDS_MAX = 8,    /* of outputs in a request, which has room for ten ways to differ */
    PATH_BYTES_MAX = 300,
};

struct found {
    const struct gpio_line *is; /* borrowed */
    unsigned offset;
    bool has_edges;
    uint32_t request;     /* the one that it was taken with */
    unsigned long number; /* of the edge that was read last */
};

struct gpio_chip {
    struct gpiod_chip *chip;
    struct gpiod_chip_info *info;
    struct gpiod_edge_event_buffer *events;
    const char *consumer; /* borrowed */
    struct gpio_file file;
    struct found lines[GPIO_LINES_MAX];
    struct gpiod_line_request *requests[GPIO_LINES_MAX]; /* NULL: not taken yet */
    uint32_t line_count, request_count;                  /* 0 until they are taken */
};

/* ---- opening ----------------------------------------------------------------------------------
 */

/* The chip of this file when it has this name, number or label, else NULL. */
static struct gpiod_chip *
open_if(const char *file, const char *what)
{
    static const char prefix[] = "gpiochip";
    char path[PATH_BYTES_MAX];
    if (strncmp(file, prefix, strlen(prefix)) != 0) {
        return NULL;
    }
    snprintf(path, sizeof path, "/dev/%s", file);
    struct gpiod_chip *chip = gpiod_chip_open(path);
    struct gpiod_chip_info *info = chip != NULL ? gpiod_chip_get_info(chip) : NULL;
    const bool is_it =
        info != NULL && (strcmp(file, what) == 0 || strcmp(file + strlen(prefix), what) == 0 ||
                         strcmp(gpiod_chip_info_get_label(info), what) == 0);
    gpiod_chip_info_free(info);
    if (chip != NULL && !is_it) {
        gpiod_chip_close(chip);
    }
    return is_it ? chip : NULL;
}

/* The first that is meant; else errno says why not. */
static struct gpiod_chip *
look_up(const char *what)
{
    struct gpiod_chip *found = NULL;
    const struct dirent *entry;
    DIR *folder = opendir("/dev");
    while (folder != NULL && found == NULL && (entry = readdir(folder)) != NULL) {
        found = open_if(entry->d_name, what);
    }
    if (folder != NULL) {
        (void)closedir(folder); /* it was only read */
    }
    errno = errno == 0 ? ENOENT : errno;
    return found;
}

struct gpio_chip *
gpio_chip_open(const char *what, const char *consumer, char *why, size_t why_bytes)
{
    struct gpio_chip *chip = calloc(1, sizeof *chip);
    if (chip == NULL) {
        snprintf(why, why_bytes, "out of memory");
        return NULL;
    }
    errno = 0;
    chip->consumer = consumer;
    chip->chip = strchr(what, '/') != NULL ? gpiod_chip_open(what) : look_up(what);
    chip->info = chip->chip != NULL ? gpiod_chip_get_info(chip->chip) : NULL;
    chip->events = chip->info != NULL ? gpiod_edge_event_buffer_new(GPIO_READ_MAX) : NULL;
    if (chip->events == NULL) {
        snprintf(why, why_bytes, "no GPIO chip '%.64s': %s", what, strerror(errno));
        gpio_chip_close(chip);
        return NULL;
    }
    gpio_file_note(&chip->file, gpio_chip_name(chip));
    return chip;
}

void
gpio_chip_close(struct gpio_chip *chip)
{
    if (chip == NULL) {
        return;
    }
    for (uint32_t i = 0; i < GPIO_LINES_MAX; i++) {
        if (chip->requests[i] != NULL) {
            gpiod_line_request_release(chip->requests[i]);
        }
    }
    gpiod_edge_event_buffer_free(chip->events);
    gpiod_chip_info_free(chip->info);
    if (chip->chip != NULL) {
        gpiod_chip_close(chip->chip);
    }
    free(chip);
}

const char *
gpio_chip_name(const struct gpio_chip *chip)
{
    return gpiod_chip_info_get_name(chip->info);
}

const char *
gpio_chip_label(const struct gpio_chip *chip)
{
    return gpiod_chip_info_get_label(chip->info);
}

bool
gpio_chip_is_there(const struct gpio_chip *chip)
{
    return gpio_file_is_there(&chip->file, gpio_chip_name(chip));
}

/* ---- finding ----------------------------------------------------------------------------------
 */

static void
say_which_there_are(struct gpio_chip *chip, char *why, size_t why_bytes)
{
    bool has_room = true;
    for (unsigned i = 0; has_room && i < gpiod_chip_info_get_num_lines(chip->info); i++) {
        struct gpiod_line_info *info = gpiod_chip_get_line_info(chip->chip, i);
        const char *name = info != NULL ? gpiod_line_info_get_name(info) : NULL;
        has_room = name == NULL || gpio_say_name(name, why, why_bytes);
        gpiod_line_info_free(info);
    }
}

/* The offset of the line, or -1 with a sentence. */
static int
find(struct gpio_chip *chip, const struct gpio_line *line, char *why, size_t why_bytes)
{
    const size_t count = gpiod_chip_info_get_num_lines(chip->info);
    if (line->offset >= 0 && (size_t)line->offset < count) {
        return (int)line->offset;
    }
    if (line->offset >= 0) {
        gpio_say_no_offset(gpio_chip_name(chip), count, (int)line->offset, why, why_bytes);
        return -1;
    }
    const int offset = gpiod_chip_get_line_offset_from_name(chip->chip, line->name);
    if (offset < 0) {
        gpio_say_no_name(gpio_chip_name(chip), line->name, why, why_bytes);
        say_which_there_are(chip, why, why_bytes);
    }
    return offset;
}

/* Whether somebody has the line: then `why` says who. */
static bool
is_held(struct gpio_chip *chip, unsigned offset, char *why, size_t why_bytes)
{
    struct gpiod_line_info *info = gpiod_chip_get_line_info(chip->chip, offset);
    const bool is = info != NULL && gpiod_line_info_is_used(info);
    if (is) {
        gpio_say_held(gpio_chip_name(chip), offset, gpiod_line_info_get_consumer(info), why,
                      why_bytes);
    }
    gpiod_line_info_free(info);
    return is;
}

bool
gpio_chip_find(struct gpio_chip *chip, uint32_t index, const struct gpio_line *line, char *why,
               size_t why_bytes)
{
    const int offset = find(chip, line, why, why_bytes);
    if (offset < 0) {
        return false;
    }
    for (uint32_t i = 0; i < index; i++) {
        if (chip->lines[i].offset == (unsigned)offset) {
            gpio_say_twice(gpio_chip_name(chip), (unsigned)offset, why, why_bytes);
            return false;
        }
    }
    chip->lines[index] = (struct found){
        .is = line,
        .offset = (unsigned)offset,
        .has_edges = line->direction == GPIO_IN && line->edge != GPIO_EDGE_NONE,
    };
    return !is_held(chip, (unsigned)offset, why, why_bytes);
}

/* ---- taking -----------------------------------------------------------------------------------
 */

/* These are false when something cannot be, and errno then says why. */

static bool
set_input(struct gpiod_line_settings *settings, const struct gpio_line *line)
{
    static const enum gpiod_line_edge edges[] = {
        [GPIO_EDGE_BOTH] = GPIOD_LINE_EDGE_BOTH,
        [GPIO_EDGE_RISING] = GPIOD_LINE_EDGE_RISING,
        [GPIO_EDGE_FALLING] = GPIOD_LINE_EDGE_FALLING,
        [GPIO_EDGE_NONE] = GPIOD_LINE_EDGE_NONE,
    };
    /* Where bounces are sorted out, both are needed whatever is told. */
    const int edge = line->debounce_ms > 0 ? (int)GPIO_EDGE_BOTH : line->edge;
    return gpiod_line_settings_set_direction(settings, GPIOD_LINE_DIRECTION_INPUT) == 0 &&
           gpiod_line_settings_set_edge_detection(settings, edges[edge]) == 0;
}

static bool
set_output(struct gpiod_line_settings *settings, const struct gpio_line *line)
{
    static const enum gpiod_line_drive drives[] = {
        [GPIO_PUSH_PULL] = GPIOD_LINE_DRIVE_PUSH_PULL,
        [GPIO_OPEN_DRAIN] = GPIOD_LINE_DRIVE_OPEN_DRAIN,
        [GPIO_OPEN_SOURCE] = GPIOD_LINE_DRIVE_OPEN_SOURCE,
    };
    const enum gpiod_line_value initial =
        line->initial != 0 ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE;
    return gpiod_line_settings_set_direction(settings, GPIOD_LINE_DIRECTION_OUTPUT) == 0 &&
           gpiod_line_settings_set_drive(settings, drives[line->drive]) == 0 &&
           gpiod_line_settings_set_output_value(settings, initial) == 0;
}

static bool
set_up(struct gpiod_line_settings *settings, const struct gpio_line *line)
{
    static const enum gpiod_line_bias biases[] = {
        [GPIO_BIAS_AS_IS] = GPIOD_LINE_BIAS_AS_IS,
        [GPIO_BIAS_PULL_UP] = GPIOD_LINE_BIAS_PULL_UP,
        [GPIO_BIAS_PULL_DOWN] = GPIOD_LINE_BIAS_PULL_DOWN,
        [GPIO_BIAS_OFF] = GPIOD_LINE_BIAS_DISABLED,
    };
    gpiod_line_settings_set_active_low(settings, line->active_low != 0);
    return gpiod_line_settings_set_bias(settings, biases[line->bias]) == 0 &&
           (line->direction == GPIO_OUT ? set_output(settings, line) : set_input(settings, line));
}

/* The lines of one request and what they are. False, and errno says why. */
static bool
add_lines(struct gpio_chip *chip, uint32_t request, struct gpiod_line_config *config)
{
    struct gpiod_line_settings *settings = gpiod_line_settings_new();
    bool is_added = settings != NULL;
    for (uint32_t i = 0; i < chip->line_count && is_added; i++) {
        const struct found *line = &chip->lines[i];
        if (line->request == request) {
            gpiod_line_settings_reset(settings);
            is_added = set_up(settings, line->is) &&
                       gpiod_line_config_add_line_settings(config, &line->offset, 1, settings) == 0;
        }
    }
    const int error = errno;
    gpiod_line_settings_free(settings);
    errno = error;
    return is_added;
}

/* `first` is the first of its lines. False, and errno says why. */
static bool
take_together(struct gpio_chip *chip, uint32_t request, uint32_t first)
{
    struct gpiod_line_config *config = gpiod_line_config_new();
    struct gpiod_request_config *more = gpiod_request_config_new();
    if (config != NULL && more != NULL && add_lines(chip, request, config)) {
        gpiod_request_config_set_consumer(more, chip->consumer);
        gpiod_request_config_set_event_buffer_size(more,
                                                   chip->lines[first].has_edges ? QUEUE_MAX : 0);
        chip->requests[request] = gpiod_chip_request_lines(chip->chip, more, config);
    }
    const int error = errno;
    gpiod_request_config_free(more);
    gpiod_line_config_free(config);
    errno = error;
    return chip->requests[request] != NULL;
}

/* The kernel does not say which line it was about, but who holds which. */
static void
say_not_taken(struct gpio_chip *chip, uint32_t request, uint32_t *index, char *why,
              size_t why_bytes)
{
    const int error = errno;
    for (uint32_t i = *index; i < chip->line_count && error == EBUSY; i++) {
        if (chip->lines[i].request == request &&
            is_held(chip, chip->lines[i].offset, why, why_bytes)) {
            *index = i;
            return;
        }
    }
    gpio_say_not_taken(gpio_chip_name(chip), chip->lines[*index].offset, error, why, why_bytes);
}

bool
gpio_chip_take(struct gpio_chip *chip, uint32_t count, uint32_t *index, char *why, size_t why_bytes)
{
    const struct gpio_line *lines[GPIO_LINES_MAX] = {NULL};
    uint32_t requests[GPIO_LINES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        lines[i] = chip->lines[i].is;
    }
    chip->line_count = count;
    chip->request_count = gpio_requests_make(lines, count, KINDS_MAX, requests);
    for (uint32_t i = 0; i < count; i++) {
        chip->lines[i].request = requests[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        if (chip->requests[requests[i]] == NULL && !take_together(chip, requests[i], i)) {
            *index = i;
            say_not_taken(chip, requests[i], index, why, why_bytes);
            return false;
        }
    }
    return true;
}

uint32_t
gpio_chip_offset(const struct gpio_chip *chip, uint32_t index)
{
    return chip->lines[index].offset;
}

/* ---- using ------------------------------------------------------------------------------------
 */

int
gpio_chip_fd(const struct gpio_chip *chip, uint32_t index)
{
    const struct found *line = &chip->lines[index];
    return line->has_edges ? gpiod_line_request_get_fd(chip->requests[line->request]) : -1;
}

const struct gpio_queue gpio_queue = {.max = QUEUE_MAX, .is_numbered = true};

int
gpio_chip_read(struct gpio_chip *chip, uint32_t index, struct gpio_edge edges[GPIO_READ_MAX],
               bool *is_full)
{
    struct found *line = &chip->lines[index];
    const int count = gpiod_line_request_read_edge_events(chip->requests[line->request],
                                                          chip->events, GPIO_READ_MAX);
    *is_full = false;
    for (int i = 0; i < count; i++) {
        struct gpiod_edge_event *event =
            gpiod_edge_event_buffer_get_event(chip->events, (unsigned long)i);
        const unsigned long number = gpiod_edge_event_get_line_seqno(event);
        edges[i] = (struct gpio_edge){
            .mono_ns = (int64_t)gpiod_edge_event_get_timestamp_ns(event),
            .line = index,
            .value = gpiod_edge_event_get_event_type(event) == GPIOD_EDGE_EVENT_RISING_EDGE,
            .lost = (uint32_t)(number - line->number - 1),
        };
        *is_full = *is_full || edges[i].lost > 0;
        line->number = number;
    }
    return count;
}

int
gpio_chip_get(struct gpio_chip *chip, uint32_t index)
{
    const struct found *line = &chip->lines[index];
    return gpiod_line_request_get_value(chip->requests[line->request], line->offset);
}

/* Those of one request that are wanted. */
static bool
set_together(struct gpio_chip *chip, uint32_t request, enum gpio_level wanted[GPIO_LINES_MAX])
{
    unsigned offsets[GPIO_LINES_MAX];
    enum gpiod_line_value values[GPIO_LINES_MAX];
    uint32_t lines[GPIO_LINES_MAX], count = 0;
    for (uint32_t i = 0; i < chip->line_count; i++) {
        if (chip->lines[i].request == request && wanted[i] != GPIO_LEAVE) {
            offsets[count] = chip->lines[i].offset;
            values[count] =
                wanted[i] == GPIO_TO_1 ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE;
            lines[count++] = i;
        }
    }
    if (count > 0 && gpiod_line_request_set_values_subset(chip->requests[request], count, offsets,
                                                          values) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        wanted[lines[i]] = GPIO_LEAVE;
    }
    return true;
}

bool
gpio_chip_set(struct gpio_chip *chip, enum gpio_level wanted[GPIO_LINES_MAX])
{
    bool is_set = true;
    for (uint32_t i = 0; i < chip->request_count && is_set; i++) {
        is_set = set_together(chip, i, wanted);
    }
    return is_set;
}
