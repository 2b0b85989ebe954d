/* Reading back what was written: see capture.h. */
#include "tests/unit/shell/capture.h"

#include "tests/support/dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *
capture_file(char text[CAPTURE_TEXT], const char *name)
{
    char path[DIR_FILE_BYTES_MAX];
    FILE *in = fopen(dir_file(path, name), "re");
    size_t n = 0;
    if (in != NULL) {
        n = fread(text, 1, CAPTURE_TEXT, in);
        (void)fclose(in); /* only read */
    }
    if (n == CAPTURE_TEXT) {
        abort();
    }
    text[n] = '\0';
    return text;
}

int
capture_begin(void)
{
    char path[DIR_FILE_BYTES_MAX];
    const int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    const int fd =
        open(dir_file(path, "stderr"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (saved < 0 || fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
        abort();
    }
    (void)close(fd);
    return saved;
}

void
capture_end(int saved)
{
    if (dup2(saved, STDERR_FILENO) < 0) {
        abort();
    }
    (void)close(saved);
}
