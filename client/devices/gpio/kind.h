/* The device prong-gpio: what main.c, which brings in the edges, and its methods (methods.c) have
 * in common. Everything runs in the worker's thread. */
#ifndef PRONG_DEVICES_GPIO_KIND_H
#define PRONG_DEVICES_GPIO_KIND_H

#include "client/devices/device.h"
#include "client/devices/gpio/chip.h"

struct line {
    const char *name; /* the options' */
    struct gpio_line is;
    struct gpio_track track;
    int64_t pulse_ns; /* when the pulse of an output ends; 0: there is none */
    bool pulse_back;  /* the value that it has then */
};

struct gpio {
    struct retry retry;
    struct device_timer due;  /* the next pulse that ends, or edge that counts */
    struct device_timer look; /* whether the chip is still there */
    char consumer[GPIO_NAME_BYTES_MAX + 1];
    struct gpio_chip *chip; /* NULL while it is down */
    struct line lines[GPIO_LINES_MAX];
    uint32_t count;
    uint64_t overflows;
    struct gpio_edge edges[GPIO_LINES_MAX * GPIO_READ_MAX]; /* of one look at all lines */
};

extern const struct device_method gpio_methods[];
extern const size_t gpio_method_count;

/* The chip or one of its lines does not work any more: give it up and try again later. */
void gpio_lose(struct device *d, const char *why);
/* Set one output. False: errno says why. */
bool gpio_set_one(struct gpio *g, uint32_t index, bool value);
/* Wait for what is due next. */
void gpio_arm(struct device *d);

#endif
