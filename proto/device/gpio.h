/* What the option `lines` of the device prong-gpio says of a line:
 *
 *     17 edge=rising bias=pull-up debounce=5ms       input at offset 17 of the chip
 *     RELAY_1 out initial=1 active-low               output, found by its name
 *     "SD card" edge=none                            a name with a space in it
 *
 * Pure. */
#ifndef PRONG_PROTO_DEVICE_GPIO_H
#define PRONG_PROTO_DEVICE_GPIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GPIO_LINES_MAX = 64,
    GPIO_NAME_BYTES_MAX = 31, /* the kernel's, without its NUL */
    GPIO_DEBOUNCE_MS_MAX = 10 * 1000,
};

/* In the order of the words in gpio.c. */
enum gpio_direction { GPIO_IN, GPIO_OUT };
enum gpio_edge_kind { GPIO_EDGE_BOTH, GPIO_EDGE_RISING, GPIO_EDGE_FALLING, GPIO_EDGE_NONE };
enum gpio_bias { GPIO_BIAS_AS_IS, GPIO_BIAS_PULL_UP, GPIO_BIAS_PULL_DOWN, GPIO_BIAS_OFF };
enum gpio_drive { GPIO_PUSH_PULL, GPIO_OPEN_DRAIN, GPIO_OPEN_SOURCE };

struct gpio_line {
    int64_t offset; /* -1: it is found by its name */
    char name[GPIO_NAME_BYTES_MAX + 1];
    int direction, edge, bias, drive; /* of the enums above */
    int active_low, initial;          /* 0 or 1 */
    int debounce_ms;                  /* 0: none */
};

/* False, and `why` then says what is wrong. */
bool gpio_line_parse(const char *text, struct gpio_line *line, char *why, size_t why_bytes);
/* Checks of options: a line, and what it is called in events and methods. */
bool gpio_check_line(const char *text, char *why, size_t why_bytes);
bool gpio_check_name(const char *text, char *why, size_t why_bytes);
/* "both", "rising"..., static. */
const char *gpio_edge_word(enum gpio_edge_kind edge);

#endif
