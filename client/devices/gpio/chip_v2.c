/* libgpiod 2, which speaks the second version of the kernel's interface: edges are numbered, and
 * room for more of them can be asked for; when it is full the oldest are lost. Each line is a
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
    PATH_BYTES_MAX = 300,
};

struct taken {
    unsigned offset;
    bool has_edges;
    struct gpiod_line_request *request; /* NULL: only found yet */
    unsigned long number;               /* of the edge that was read last */
};

struct gpio_chip {
    struct gpiod_chip *chip;
    struct gpiod_chip_info *info;
    struct gpiod_edge_event_buffer *events;
    const char *consumer; /* borrowed */
    struct gpio_file file;
    struct taken lines[GPIO_LINES_MAX];
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
        if (chip->lines[i].request != NULL) {
            gpiod_line_request_release(chip->lines[i].request);
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
    chip->lines[index] = (struct taken){
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

bool
gpio_chip_take(struct gpio_chip *chip, uint32_t index, const struct gpio_line *line, char *why,
               size_t why_bytes)
{
    struct taken *taken = &chip->lines[index];
    struct gpiod_line_settings *settings = gpiod_line_settings_new();
    struct gpiod_line_config *config = gpiod_line_config_new();
    struct gpiod_request_config *request = gpiod_request_config_new();
    if (settings != NULL && config != NULL && request != NULL && set_up(settings, line) &&
        gpiod_line_config_add_line_settings(config, &taken->offset, 1, settings) == 0) {
        gpiod_request_config_set_consumer(request, chip->consumer);
        gpiod_request_config_set_event_buffer_size(request, taken->has_edges ? QUEUE_MAX : 0);
        taken->request = gpiod_chip_request_lines(chip->chip, request, config);
    }
    const int error = errno;
    if (taken->request == NULL &&
        (error != EBUSY || !is_held(chip, taken->offset, why, why_bytes))) {
        gpio_say_not_taken(gpio_chip_name(chip), taken->offset, error, why, why_bytes);
    }
    gpiod_request_config_free(request);
    gpiod_line_config_free(config);
    gpiod_line_settings_free(settings);
    return taken->request != NULL;
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
    const struct taken *taken = &chip->lines[index];
    return taken->has_edges ? gpiod_line_request_get_fd(taken->request) : -1;
}

const struct gpio_queue gpio_queue = {.max = QUEUE_MAX, .is_numbered = true};

int
gpio_chip_read(struct gpio_chip *chip, uint32_t index, struct gpio_edge edges[GPIO_READ_MAX],
               bool *is_full)
{
    struct taken *taken = &chip->lines[index];
    const int count =
        gpiod_line_request_read_edge_events(taken->request, chip->events, GPIO_READ_MAX);
    *is_full = false;
    for (int i = 0; i < count; i++) {
        struct gpiod_edge_event *event =
            gpiod_edge_event_buffer_get_event(chip->events, (unsigned long)i);
        const unsigned long number = gpiod_edge_event_get_line_seqno(event);
        edges[i] = (struct gpio_edge){
            .mono_ns = (int64_t)gpiod_edge_event_get_timestamp_ns(event),
            .line = index,
            .value = gpiod_edge_event_get_event_type(event) == GPIOD_EDGE_EVENT_RISING_EDGE,
            .lost = (uint32_t)(number - taken->number - 1),
        };
        *is_full = *is_full || edges[i].lost > 0;
        taken->number = number;
    }
    return count;
}

int
gpio_chip_get(struct gpio_chip *chip, uint32_t index)
{
    const struct taken *taken = &chip->lines[index];
    return gpiod_line_request_get_value(taken->request, taken->offset);
}

bool
gpio_chip_set(struct gpio_chip *chip, uint32_t index, bool value)
{
    const struct taken *taken = &chip->lines[index];
    return gpiod_line_request_set_value(taken->request, taken->offset,
                                        value ? GPIOD_LINE_VALUE_ACTIVE
                                              : GPIOD_LINE_VALUE_INACTIVE) == 0;
}
