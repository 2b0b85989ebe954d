/* Configurations of other process managers, written anew as one of Prong.
 *
 * What can be carried over becomes a configuration that the reader accepts: each option is tried
 * with the table of options before it is written, so that nothing here knows which there are. What
 * cannot be is told, a line each. Reads no file but the one it is given; one thread. */
#ifndef PRONG_IMPORT_IMPORT_H
#define PRONG_IMPORT_IMPORT_H

#include "broker/config/config.h"

enum import_kind { IMPORT_GUESS, IMPORT_SUPERVISOR, IMPORT_CIRCUS, IMPORT_PROCFILE };

/* "supervisor", "circus", "procfile", as --kind has it; IMPORT_GUESS for any other word. */
enum import_kind import_kind_find(const char *word);

/* The text of a file. `name` is for messages, `directory` (absolute) is where its own paths begin,
 * as those of the configuration will; all borrowed. */
struct import_source {
    const char *name, *directory;
    const char *data;
    size_t size_bytes;
};

/* Write the configuration to `out`, what could not be carried over to `lost` as
 * "FILE:LINE: [SECTION] KEY: why; what to do instead", and what is wrong altogether to `lost` too.
 * 0, or -1 when nothing came of it: not of that kind, not to be guessed, no memory, `out` not
 * written. */
int import_text(const struct import_source *source, enum import_kind kind, FILE *out, FILE *lost);
/* The same with a file. */
int import_file(const char *path, enum import_kind kind, FILE *out, FILE *lost);

#endif
