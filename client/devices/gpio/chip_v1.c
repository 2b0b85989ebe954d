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

struct found {
    struct gpiod_line *line;    /* the chip's */
    const struct gpio_line *is; /* borrowed */
    int level;                  /* of an output: what it was set to last */
};

struct gpio_chip {
    struct gpiod_chip *chip;
    const char *consumer; /* borrowed */
    struct gpio_file file;
    struct found lines[GPIO_LINES_MAX];
    uint32_t requests[GPIO_LINES_MAX];  /* the one that a line was taken with */
    uint32_t line_count, request_count; /* 0 until they are taken */
};

/* The lines of one request, in the order in which it has them. The library knows nothing of what
 * was taken together, and the kernel takes and gives the values of a request as a whole. */
struct together {
    struct gpiod_line_bulk bulk;
    uint32_t lines[GPIO_LINES_MAX], count;
};

static void
gather(const struct gpio_chip *chip, uint32_t request, struct together *t)
{
    gpiod_line_bulk_init(&t->bulk);
    t->count = 0;
    for (uint32_t i = 0; i < chip->line_count; i++) {
        if (chip->requests[i] == request) {
            gpiod_line_bulk_add(&t->bulk, chip->lines[i].line);
            t->lines[t->count++] = i;
        }
    }
}

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
        if (chip->lines[i].line == found) {
            gpio_say_twice(gpio_chip_name(chip), gpiod_line_offset(found), why, why_bytes);
            return false;
        }
    }
    if (gpiod_line_is_used(found)) {
        say_who_holds(chip, found, why, why_bytes);
        return false;
    }
    chip->lines[index] = (struct found){.line = found, .is = line, .level = line->initial};
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

/* The kernel does not say which line it was about, but who holds which. */
static void
say_not_taken(struct gpio_chip *chip, const struct together *t, uint32_t *index, char *why,
              size_t why_bytes)
{
    const int error = errno;
    for (uint32_t i = 0; i < t->count && error == EBUSY; i++) {
        struct gpiod_line *line = chip->lines[t->lines[i]].line;
        if (gpiod_line_update(line) == 0 && gpiod_line_is_used(line)) {
            *index = t->lines[i];
            say_who_holds(chip, line, why, why_bytes);
            return;
        }
    }
    *index = t->lines[0];
    gpio_say_not_taken(gpio_chip_name(chip), gpio_chip_offset(chip, *index), error, why, why_bytes);
}

bool
gpio_chip_take(struct gpio_chip *chip, uint32_t count, uint32_t *index, char *why, size_t why_bytes)
{
    const struct gpio_line *lines[GPIO_LINES_MAX] = {NULL};
    for (uint32_t i = 0; i < count; i++) {
        lines[i] = chip->lines[i].is;
    }
    chip->line_count = count;
    /* A request has one set of flags. */
    chip->request_count = gpio_requests_make(lines, count, 1, chip->requests);
    for (uint32_t r = 0; r < chip->request_count; r++) {
        struct together t;
        int levels[GPIO_LINES_MAX];
        gather(chip, r, &t);
        for (uint32_t i = 0; i < t.count; i++) {
            levels[i] = chip->lines[t.lines[i]].level;
        }
        const struct gpiod_line_request_config config = {
            .consumer = chip->consumer,
            .request_type = request_type(lines[t.lines[0]]),
            .flags = request_flags(lines[t.lines[0]]),
        };
        if (gpiod_line_request_bulk(&t.bulk, &config, levels) != 0) {
            say_not_taken(chip, &t, index, why, why_bytes);
            return false;
        }
    }
    return true;
}

uint32_t
gpio_chip_offset(const struct gpio_chip *chip, uint32_t index)
{
    return gpiod_line_offset(chip->lines[index].line);
}

/* ---- using ------------------------------------------------------------------------------------
 */

int
gpio_chip_fd(const struct gpio_chip *chip, uint32_t index)
{
    return gpiod_line_event_get_fd(chip->lines[index].line);
}

const struct gpio_queue gpio_queue = {.max = GPIO_READ_MAX, .is_numbered = false};

int
gpio_chip_read(struct gpio_chip *chip, uint32_t index, struct gpio_edge edges[GPIO_READ_MAX],
               bool *is_full)
{
    struct gpiod_line_event events[GPIO_READ_MAX];
    const int count =
        gpiod_line_event_read_multiple(chip->lines[index].line, events, GPIO_READ_MAX);
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
    struct together t;
    int levels[GPIO_LINES_MAX];
    uint32_t place = 0;
    gather(chip, chip->requests[index], &t);
    while (t.lines[place] != index) {
        place++;
    }
    return gpiod_line_get_value_bulk(&t.bulk, levels) == 0 ? levels[place] : -1;
}

/* One request, if anything of it is wanted. */
static bool
set_together(struct gpio_chip *chip, const struct together *t,
             enum gpio_level wanted[GPIO_LINES_MAX])
{
    struct gpiod_line_bulk bulk = t->bulk; /* the library asks for one that is not constant */
    int levels[GPIO_LINES_MAX];
    bool is_wanted = false;
    for (uint32_t i = 0; i < t->count; i++) {
        const enum gpio_level level = wanted[t->lines[i]];
        levels[i] = level == GPIO_LEAVE ? chip->lines[t->lines[i]].level : level == GPIO_TO_1;
        is_wanted = is_wanted || level != GPIO_LEAVE;
    }
    if (!is_wanted) {
        return true;
    }
    if (gpiod_line_set_value_bulk(&bulk, levels) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        chip->lines[t->lines[i]].level = levels[i];
        wanted[t->lines[i]] = GPIO_LEAVE;
    }
    return true;
}

bool
gpio_chip_set(struct gpio_chip *chip, enum gpio_level wanted[GPIO_LINES_MAX])
{
    struct together t;
    bool is_set = true;
    for (uint32_t i = 0; i < chip->request_count && is_set; i++) {
        gather(chip, i, &t);
        is_set = set_together(chip, &t, wanted);
    }
    return is_set;
}
