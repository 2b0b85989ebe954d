/* libgpiod 1, which speaks the first version of the kernel's interface: 16 edges are kept for each
 * line, and those that come when it is full are lost without a trace. */
#include "client/devices/gpio/chip.h"

#include <assert.h>
#include <errno.h>
#include <gpiod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/devices/gpio/file.h"

enum { NS_PER_S = 1000 * 1000 * 1000 };
static_assert(GPIO_READ_MAX == 16, "what the kernel keeps is read at once");

struct gpio_chip {
    struct gpiod_chip *chip;
    const char *consumer; /* borrowed */
    struct gpio_file file;
    struct gpiod_line *lines[GPIO_LINES_MAX]; /* the chip's; NULL: not found yet */
};

struct gpio_chip *
gpio_chip_open(const char *what, const char *consumer, char *why, size_t why_bytes)
{
    struct gpio_chip *chip = calloc(1, sizeof *chip);
    if (chip == NULL) {
        snprintf(why, why_bytes, "out of memory");
        return NULL;
    }
    chip->consumer = consumer;
    errno = 0;
    chip->chip = gpiod_chip_open_lookup(what);
    if (chip->chip == NULL) {
        /* The library does not always say why there is none. */
        snprintf(why, why_bytes, "no GPIO chip '%.64s': %s", what,
                 strerror(errno != 0 ? errno : ENOENT));
        gpio_chip_close(chip);
        return NULL;
    }
    gpio_file_note(&chip->file, gpio_chip_name(chip));
    return chip;
}

void
gpio_chip_close(struct gpio_chip *chip)
{
    if (chip != NULL && chip->chip != NULL) {
        gpiod_chip_close(chip->chip); /* its lines as well */
    }
    free(chip);
}

const char *
gpio_chip_name(const struct gpio_chip *chip)
{
    return gpiod_chip_name(chip->chip);
}

const char *
gpio_chip_label(const struct gpio_chip *chip)
{
    return gpiod_chip_label(chip->chip);
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
    for (unsigned i = 0; has_room && i < gpiod_chip_num_lines(chip->chip); i++) {
        struct gpiod_line *line = gpiod_chip_get_line(chip->chip, i);
        const char *name = line != NULL ? gpiod_line_name(line) : NULL;
        has_room = name == NULL || gpio_say_name(name, why, why_bytes);
    }
}

static struct gpiod_line *
find(struct gpio_chip *chip, const struct gpio_line *line, char *why, size_t why_bytes)
{
    const unsigned count = gpiod_chip_num_lines(chip->chip);
    struct gpiod_line *found = NULL;
    if (line->offset < 0) {
        found = gpiod_chip_find_line(chip->chip, line->name);
    } else if (line->offset < count) {
        found = gpiod_chip_get_line(chip->chip, (unsigned)line->offset);
    }
    if (found == NULL && line->offset < 0) {
        gpio_say_no_name(gpio_chip_name(chip), line->name, why, why_bytes);
        say_which_there_are(chip, why, why_bytes);
    } else if (found == NULL) {
        gpio_say_no_offset(gpio_chip_name(chip), count, (int)line->offset, why, why_bytes);
    }
    return found;
}

static void
say_who_holds(struct gpio_chip *chip, struct gpiod_line *line, char *why, size_t why_bytes)
{
    gpio_say_held(gpio_chip_name(chip), gpiod_line_offset(line), gpiod_line_consumer(line), why,
                  why_bytes);
}

bool
gpio_chip_find(struct gpio_chip *chip, uint32_t index, const struct gpio_line *line, char *why,
               size_t why_bytes)
{
    struct gpiod_line *found = find(chip, line, why, why_bytes);
    if (found == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < index; i++) {
        if (chip->lines[i] == found) {
            gpio_say_twice(gpio_chip_name(chip), gpiod_line_offset(found), why, why_bytes);
            return false;
        }
    }
    if (gpiod_line_is_used(found)) {
        say_who_holds(chip, found, why, why_bytes);
        return false;
    }
    chip->lines[index] = found;
    return true;
}

/* ---- taking -----------------------------------------------------------------------------------
 */

static int
request_type(const struct gpio_line *line)
{
    static const int edges[] = {
        [GPIO_EDGE_BOTH] = GPIOD_LINE_REQUEST_EVENT_BOTH_EDGES,
        [GPIO_EDGE_RISING] = GPIOD_LINE_REQUEST_EVENT_RISING_EDGE,
        [GPIO_EDGE_FALLING] = GPIOD_LINE_REQUEST_EVENT_FALLING_EDGE,
        [GPIO_EDGE_NONE] = GPIOD_LINE_REQUEST_DIRECTION_INPUT,
    };
    if (line->direction == GPIO_OUT) {
        return GPIOD_LINE_REQUEST_DIRECTION_OUTPUT;
    }
    /* Where bounces are sorted out, both are needed whatever is told. */
    return edges[line->debounce_ms > 0 ? GPIO_EDGE_BOTH : line->edge];
}

static int
request_flags(const struct gpio_line *line)
{
    static const int biases[] = {
        [GPIO_BIAS_AS_IS] = 0,
        [GPIO_BIAS_PULL_UP] = GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_UP,
        [GPIO_BIAS_PULL_DOWN] = GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_DOWN,
        [GPIO_BIAS_OFF] = GPIOD_LINE_REQUEST_FLAG_BIAS_DISABLE,
    };
    static const int drives[] = {
        [GPIO_PUSH_PULL] = 0,
        [GPIO_OPEN_DRAIN] = GPIOD_LINE_REQUEST_FLAG_OPEN_DRAIN,
        [GPIO_OPEN_SOURCE] = GPIOD_LINE_REQUEST_FLAG_OPEN_SOURCE,
    };
    return biases[line->bias] | drives[line->drive] |
           (line->active_low != 0 ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0);
}

bool
gpio_chip_take(struct gpio_chip *chip, uint32_t index, const struct gpio_line *line, char *why,
               size_t why_bytes)
{
    struct gpiod_line *taken = chip->lines[index];
    const struct gpiod_line_request_config config = {
        .consumer = chip->consumer,
        .request_type = request_type(line),
        .flags = request_flags(line),
    };
    if (gpiod_line_request(taken, &config, line->initial) == 0) {
        return true;
    }
    const int error = errno;
    if (error == EBUSY && gpiod_line_update(taken) == 0) {
        say_who_holds(chip, taken, why, why_bytes);
    } else {
        gpio_say_not_taken(gpio_chip_name(chip), gpiod_line_offset(taken), error, why, why_bytes);
    }
    return false;
}

uint32_t
gpio_chip_offset(const struct gpio_chip *chip, uint32_t index)
{
    return gpiod_line_offset(chip->lines[index]);
}

/* ---- using ------------------------------------------------------------------------------------
 */

int
gpio_chip_fd(const struct gpio_chip *chip, uint32_t index)
{
    return gpiod_line_event_get_fd(chip->lines[index]);
}

const struct gpio_queue gpio_queue = {.max = GPIO_READ_MAX, .is_numbered = false};

int
gpio_chip_read(struct gpio_chip *chip, uint32_t index, struct gpio_edge edges[GPIO_READ_MAX],
               bool *is_full)
{
    struct gpiod_line_event events[GPIO_READ_MAX];
    const int count = gpiod_line_event_read_multiple(chip->lines[index], events, GPIO_READ_MAX);
    *is_full = count == GPIO_READ_MAX;
    for (int i = 0; i < count; i++) {
        edges[i] = (struct gpio_edge){
            .mono_ns = (int64_t)events[i].ts.tv_sec * NS_PER_S + events[i].ts.tv_nsec,
            .line = index,
            .value = events[i].event_type == GPIOD_LINE_EVENT_RISING_EDGE,
        };
    }
    return count;
}

int
gpio_chip_get(struct gpio_chip *chip, uint32_t index)
{
    return gpiod_line_get_value(chip->lines[index]);
}

bool
gpio_chip_set(struct gpio_chip *chip, uint32_t index, bool value)
{
    return gpiod_line_set_value(chip->lines[index], value) == 0;
}
