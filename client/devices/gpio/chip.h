/* A GPIO chip and the lines that were taken of it: the only part that knows libgpiod. Its versions
 * 1 (from 1.6 on, which knows biases) and 2 have little in common but the name, so there are a
 * chip_v1.c and a chip_v2.c; what the two share is file.h.
 *
 * Lines are named by their place, 0..GPIO_LINES_MAX - 1. Nothing here waits. One thread. */
#ifndef PRONG_DEVICES_GPIO_CHIP_H
#define PRONG_DEVICES_GPIO_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/devices/gpio/outputs.h"
#include "client/devices/gpio/track.h"

/* How many edges are read at a time. */
enum { GPIO_READ_MAX = 16 };

struct gpio_chip;

/* Open a chip by its name ("gpiochip0"), number, label or path. Owned, freed with gpio_chip_close;
 * NULL, and `why` then has a sentence. `consumer`, borrowed until the close, is who holds the lines
 * to whoever asks the kernel. */
struct gpio_chip *gpio_chip_open(const char *what, const char *consumer, char *why,
                                 size_t why_bytes);
/* Gives the lines back. Accepts NULL. */
void gpio_chip_close(struct gpio_chip *chip);
/* Valid until the close. */
const char *gpio_chip_name(const struct gpio_chip *chip);
const char *gpio_chip_label(const struct gpio_chip *chip);
/* Whether it is still the chip that was opened, which may have been pulled out. */
bool gpio_chip_is_there(const struct gpio_chip *chip);

/* Find a line, and look whether it is free, without touching it; false with a sentence. `line` is
 * borrowed until the close. */
bool gpio_chip_find(struct gpio_chip *chip, uint32_t index, const struct gpio_line *line, char *why,
                    size_t why_bytes);
/* Take the `count` lines that were found: an output has its initial value from then on, an input
 * with edges reports them. False with a sentence about the line `*index`. Outputs are taken
 * together as far as the library can. */
bool gpio_chip_take(struct gpio_chip *chip, uint32_t count, uint32_t *index, char *why,
                    size_t why_bytes);
/* Where it is on the chip. */
uint32_t gpio_chip_offset(const struct gpio_chip *chip, uint32_t index);

/* The descriptor that is readable when there are edges; -1 for a line that reports none. */
int gpio_chip_fd(const struct gpio_chip *chip, uint32_t index);
/* Read edges that are there, of a descriptor that is readable. `is_full`: the kernel had no room
 * for more, or may have had none. How many; negative: errno says why. */
int gpio_chip_read(struct gpio_chip *chip, uint32_t index, struct gpio_edge edges[GPIO_READ_MAX],
                   bool *is_full);
/* What the library and the kernel do with edges that nobody has read yet. */
extern const struct gpio_queue {
    uint32_t max;     /* so many are kept for each line */
    bool is_numbered; /* `lost` of an edge tells all that are missing */
} gpio_queue;
/* 0 or 1, as the line says it (active-low: the other way round); negative: errno says why. */
int gpio_chip_get(struct gpio_chip *chip, uint32_t index);
/* Set outputs; those that were taken together are set at once, all of them or none. What was set
 * becomes GPIO_LEAVE in `wanted`. False: errno says why; `wanted` has what was not set. */
bool gpio_chip_set(struct gpio_chip *chip, enum gpio_level wanted[GPIO_LINES_MAX]);

#endif
