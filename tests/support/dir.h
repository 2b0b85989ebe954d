/* One fresh directory per test, below the working directory, removed at the end.
 *
 * As `.init = dir_enter, .fini = dir_leave` of a test, or called by its own init and fini. State is
 * per process, and every test is a process. A failure here ends the test with abort(). */
#ifndef PRONG_TESTS_SUPPORT_DIR_H
#define PRONG_TESTS_SUPPORT_DIR_H

#include <stdbool.h>
#include <stddef.h>

/* dir_path() is at most this long, so that "<dir_path>/<24 bytes>" still fits into sun_path (108).
 */
enum { DIR_PATH_BYTES_MAX = 80, DIR_FILE_BYTES_MAX = 256 };

/* Makes the directory and enters it. Where the working directory is too deep for a socket's path,
 * the directory is made in $TMPDIR or /tmp instead. */
void dir_enter(void);

/* Goes back and removes the directory with everything in it; nothing if there is none. */
void dir_leave(void);

/* Absolute path, borrowed, valid until dir_leave. */
const char *dir_path(void);

/* "<dir_path>/<name>" into the caller's storage, returned for convenience. */
const char *dir_file(char file[DIR_FILE_BYTES_MAX], const char *name);

/* Writes a whole file in the directory, for fixtures; names may not leave the directory. */
void dir_write(const char *name, const char *text, unsigned mode);

/* Removes a tree without following symbolic links; true when nothing is left of it. */
bool dir_remove(const char *path);

#endif
