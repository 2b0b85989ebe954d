/* Files of /proc/PID that hold words with NUL between them: environ and cmdline. */
#ifndef PRONG_CLI_PROCFILE_H
#define PRONG_CLI_PROCFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The value of a variable, cut to `size`. False when it is not there, or cannot be read. */
bool procfile_variable(const char *path, const char *name, char *out, size_t size);
/* All words with blanks between them, cut to `size`. False and "" when it cannot be read. */
bool procfile_words(const char *path, char *out, size_t size);
/* The names of all variables, without their values, a line each. */
bool procfile_names(const char *path, FILE *out);

#endif
