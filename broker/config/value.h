/* One text of the file to one number, and back: pure functions, no memory.
 *
 * INT, BOOL, ENUM, DURATION, SIZE and SIGNAL are numbers inside; the other kinds are texts. */
#ifndef PRONG_CONFIG_VALUE_H
#define PRONG_CONFIG_VALUE_H

#include "broker/config/options.h"

enum { CONFIG_NUMBER_BYTES_MAX = 32, CONFIG_WHY_BYTES_MAX = 256 };

/* False when `text` is no value for the option; `why` (CONFIG_WHY_BYTES_MAX bytes) then has the
 * reason, or is empty when the description of the option says all. */
bool config_value_parse(const struct config_option *option, const char *text, int64_t *value,
                        char *why);

/* The shortest text that reads as this number: 60000 is "1m", 65536 is "64KiB". SIGNAL gives the
 * name where there is one. For INT, DURATION, SIZE and SIGNAL. */
void config_number_format(enum config_kind kind, int64_t value, char out[CONFIG_NUMBER_BYTES_MAX]);

#endif
