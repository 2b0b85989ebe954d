/* What a call of a device may have as arguments. Pure. */
#ifndef PRONG_DEVICES_ARGUMENTS_H
#define PRONG_DEVICES_ARGUMENTS_H

#include <prong/prong.h>

#include <stdbool.h>
#include <stddef.h>

/* Whether `args` has nothing that `method` does not know; else `why` is for people. `names` has a
 * space between the names, which stand in the order of positional arguments; NULL: anything goes.
 */
bool arguments_check(const char *method, const char *names, const prong_value *args, char *why,
                     size_t why_size);

#endif
