/* What a test of the shell reads back: whole files, and what was written to stderr. */
#ifndef PRONG_TESTS_SHELL_CAPTURE_H
#define PRONG_TESTS_SHELL_CAPTURE_H

#include <stddef.h>

enum { CAPTURE_TEXT = 65536 };

/* A file of the test's own directory, as text; "" when there is none. Ends the test with abort()
 * when it does not fit. */
const char *capture_file(char text[CAPTURE_TEXT], const char *name);
/* From now on stderr goes into the file "stderr" of the directory, until capture_end. */
int capture_begin(void);
/* `saved` as capture_begin gave it. */
void capture_end(int saved);

#endif
