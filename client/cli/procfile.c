/* Words of /proc/PID: see procfile.h. */
#include "client/cli/procfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 256 * 1024 };

/* The whole file up to a bound, with two NULs behind it; NULL with errno. The caller frees it. */
static char *
read_all(const char *path, size_t *len)
{
    char *text = calloc(1, FILE_BYTES_MAX + 2);
    const int fd = text != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = -1;
    *len = 0;
    while (fd >= 0 && *len < FILE_BYTES_MAX &&
           (n = read(fd, text + *len, FILE_BYTES_MAX - *len)) > 0) {
        *len += (size_t)n;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (n < 0) {
        free(text);
        return NULL;
    }
    return text;
}

bool
procfile_variable(const char *path, const char *name, char *out, size_t size)
{
    const size_t length = strlen(name);
    size_t len;
    bool is_there = false;
    char *text = read_all(path, &len);
    for (const char *at = text; text != NULL && at < text + len && !is_there;
         at += strlen(at) + 1) {
        if (strncmp(at, name, length) == 0 && at[length] == '=') {
            (void)snprintf(out, size, "%s", at + length + 1);
            is_there = true;
        }
    }
    free(text);
    return is_there;
}

bool
procfile_words(const char *path, char *out, size_t size)
{
    size_t len;
    char *text = read_all(path, &len);
    out[0] = '\0';
    for (size_t i = 0; text != NULL && i + 1 < len; i++) {
        text[i] = text[i] == '\0' ? ' ' : text[i];
    }
    if (text != NULL) {
        (void)snprintf(out, size, "%s", text);
    }
    free(text);
    return text != NULL;
}

bool
procfile_names(const char *path, FILE *out)
{
    size_t len;
    char *text = read_all(path, &len);
    for (const char *at = text; text != NULL && at < text + len; at += strlen(at) + 1) {
        (void)fprintf(out, "%.*s\n", (int)strcspn(at, "="), at);
    }
    free(text);
    return text != NULL;
}
