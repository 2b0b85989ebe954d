/* A tar archive (POSIX ustar), written front to back. */
#ifndef PRONG_CLI_TAR_H
#define PRONG_CLI_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TAR_NAME_LENGTH_MAX = 99 };

/* Add a regular file of mode 0600 that nobody in particular owns.
 *
 *   name    at most TAR_NAME_LENGTH_MAX bytes, relative, folders separated by '/'
 *   time_s  of its last change, since 1970
 *
 * False when the name is too long or it could not be written (errno). */
bool tar_add(FILE *out, const char *name, const char *data, size_t len, int64_t time_s);
/* The two empty blocks behind the last file. */
bool tar_end(FILE *out);

#endif
