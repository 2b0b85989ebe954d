/* What the hub tells a device about itself: the JSON object in PRONG_DEVICE, read by the table
 * proto/tbl/devices.def, which also has the defaults.
 *
 * Owns the values. A getter is asked only for keys that the kind has, and for the type that the
 * table says; anything else is a bug and aborts. Texts are borrowed until options_deinit. */
#ifndef PRONG_DEVICES_OPTIONS_H
#define PRONG_DEVICES_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/device/device.h"

struct options {
    const struct device_kind *kind;
    void *json;
};

/* False with a sentence in `why` when the text is no object, its kind unknown, or an option
 * unknown, missing, of another type or out of its range. `options` is then empty. */
bool options_load(struct options *options, const char *json, char *why, size_t why_bytes);
void options_deinit(struct options *options);

/* INT, BOOL (0 or 1), DURATION (milliseconds), SIZE (bytes), and of an ENUM the place of the word
 * in the table. */
int64_t options_number(const struct options *options, const char *key);
/* STRING and PATH: NULL when it was not given and has no default. ENUM: the word. */
const char *options_text(const struct options *options, const char *key);
/* LIST: how many, and item `index`. */
size_t options_count(const struct options *options, const char *key);
const char *options_item(const struct options *options, const char *key, size_t index);
/* MAP: the next pair behind `*at`, which begins as NULL; false at the end. */
bool options_pair(const struct options *options, const char *key, void **at, const char **name,
                  const char **value);

#endif
