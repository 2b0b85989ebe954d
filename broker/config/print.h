/* What the printers of the manual share: words about the table of options. Private to
 * broker/config.
 *
 * In these texts a word between backticks is one that is written so in the file. */
#ifndef PRONG_CONFIG_PRINT_H
#define PRONG_CONFIG_PRINT_H

#include "broker/config/device.h"

enum { CONFIG_ALLOWED_BYTES_MAX = 400 };

/* The sets of options that a kind has beside its own, by title: "framing, decoding"; "" without. */
enum { CONFIG_SETS_BYTES_MAX = 200 };
void config_device_sets(const struct device_kind *kind, char out[CONFIG_SETS_BYTES_MAX]);

/* What holds for the whole file, a paragraph each; ends with NULL. */
extern const char *const config_notes[];

/* "whole number". */
const char *config_type_name(const struct config_option *option);
/* Words, a range, or how many. */
void config_allowed(const struct config_option *option, char out[CONFIG_ALLOWED_BYTES_MAX]);

#endif
