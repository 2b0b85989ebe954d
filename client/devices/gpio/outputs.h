/* Which lines of a chip are taken with one request to the kernel, and so can be set by one, all of
 * them or none; and what is said when several could not all be set. Pure. */
#ifndef PRONG_DEVICES_GPIO_OUTPUTS_H
#define PRONG_DEVICES_GPIO_OUTPUTS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/device/gpio.h"

/* What is to become of a line. */
enum gpio_level { GPIO_LEAVE, GPIO_TO_0, GPIO_TO_1 };

/* Give each of `count` lines the number of its request, from 0 on; returns how many there are. An
 * input has one of its own. Outputs are together as far as may be: those that are the same but for
 * the place and the initial value, and up to `kinds_max` such kinds. */
uint32_t gpio_requests_make(const struct gpio_line *const *lines, uint32_t count,
                            uint32_t kinds_max, uint32_t *requests);

/* A set of several lines that has come to an end. */
struct gpio_set {
    uint32_t count; /* of all lines, those included that were not meant */
    const char *names[GPIO_LINES_MAX];
    enum gpio_level wanted[GPIO_LINES_MAX];
    enum gpio_level left[GPIO_LINES_MAX]; /* of these, what was not done */
};

/* How many lines were set. */
uint32_t gpio_set_done(const struct gpio_set *set);
/* The sentence for one that failed with an errno. */
void gpio_say_left(const struct gpio_set *set, int error, char *why, size_t why_bytes);

#endif
