/* What may stand as a Python module of `preload`: a pure check. */
#ifndef PRONG_CONFIG_MODULE_H
#define PRONG_CONFIG_MODULE_H

#include <stdbool.h>
#include <stddef.h>

/* A config_check (options.h): names of letters, digits and _ that begin with no digit, with dots
 * between. Python takes letters of other alphabets as well; nobody names a module so. */
bool config_module_check(const char *text, char *why, size_t why_bytes);

#endif
