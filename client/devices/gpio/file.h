/* What chip_v1.c and chip_v2.c share: the file of a chip, by which it is seen that it was pulled
 * out (not every kernel wakes those who wait for its edges), and the sentences about lines. */
#ifndef PRONG_DEVICES_GPIO_FILE_H
#define PRONG_DEVICES_GPIO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct gpio_file {
    bool is_known; /* it stands under its own name in /dev, as a rule */
    struct stat file;
};

/* The chip of this name was opened. */
void gpio_file_note(struct gpio_file *file, const char *chip);
/* Whether the chip of this name is still that one. */
bool gpio_file_is_there(const struct gpio_file *file, const char *chip);

/* Why a line cannot be had. `who` is NULL when the kernel does not say it. */
void gpio_say_held(const char *chip, unsigned offset, const char *who, char *why, size_t why_bytes);
void gpio_say_twice(const char *chip, unsigned offset, char *why, size_t why_bytes);
void gpio_say_not_taken(const char *chip, unsigned offset, int error, char *why, size_t why_bytes);
void gpio_say_no_offset(const char *chip, size_t count, int offset, char *why, size_t why_bytes);
void gpio_say_no_name(const char *chip, const char *name, char *why, size_t why_bytes);
/* Behind the last one: a name that there is. False when there is no room for more. */
bool gpio_say_name(const char *name, char *why, size_t why_bytes);

#endif
