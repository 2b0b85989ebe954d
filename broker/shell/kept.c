/* What was read before: see kept.h. The text is that of config_show, with these lines before it:
 *
 *   # file: /etc/prong/prong.yaml
 *   # directory: /etc/prong */
#include "broker/shell/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/spawn/records.h"

static const char file_line[] = "# file: ", directory_line[] = "# directory: ";

/* Far more than the texts of a configuration can come to. */
enum { KEPT_BYTES_MAX = 16 * CONFIG_TOTAL_BYTES_MAX };

/* ---- writing ----------------------------------------------------------------------------------
 */

static bool
has_line_end(const char *text)
{
    return text != NULL && strchr(text, '\n') != NULL;
}

/* False with errno. */
static bool
write_text(FILE *out, const struct config *config, const char *path)
{
    const char *directory = config->directory;
    if (has_line_end(path) || has_line_end(directory)) {
        errno = EILSEQ;
        return false;
    }
    return fprintf(out, "%s%s\n%s%s\n", file_line, path != NULL ? path : "", directory_line,
                   directory != NULL ? directory : "") > 0 &&
           config_show(out, config, &(struct config_show){.reveal = true}) == 0;
}

static bool
write_file(const char *file, const struct config *config, const char *path)
{
    const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *out = fd >= 0 && fchmod(fd, 0600) == 0 ? fdopen(fd, "w") : NULL;
    if (out == NULL) {
        const int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        errno = error;
        return false;
    }
    bool ok = write_text(out, config, path);
    const int error = errno;
    if (fclose(out) != 0) {
        return false;
    }
    errno = error;
    return ok;
}

void
kept_write(const char *runtime_dir, const struct config *config, const char *path,
           const struct log *log)
{
    char file[CONFIG_PATH_BYTES_MAX + 100], new[CONFIG_PATH_BYTES_MAX + 100];
    (void)snprintf(file, sizeof file, "%s/" SPAWN_FILE_CONFIG, runtime_dir);
    (void)snprintf(new, sizeof new, "%s/" SPAWN_FILE_CONFIG_NEW, runtime_dir);
    if (write_file(new, config, path) && rename(new, file) == 0) {
        return;
    }
    log_write(log, LOG_WARN,
              "the configuration cannot be kept in %s: %s; it is lost if the broker has to be "
              "started anew while its file cannot be read",
              file,
              errno == EILSEQ ? "a text in it is not UTF-8, or a path has a newline"
                              : strerror(errno));
    (void)unlink(new); /* what stays of it is written over the next time */
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* The whole file, with a NUL behind it; NULL with errno. */
static char *
read_file(const char *path, size_t *len)
{
    struct stat st;
    char *text = NULL;
    size_t used = 0;
    ssize_t got = 1;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) == 0) {
        const bool is_ours = S_ISREG(st.st_mode) && (st.st_mode & 077) == 0 &&
                             st.st_size <= KEPT_BYTES_MAX && st.st_uid == geteuid();
        text = is_ours ? malloc((size_t)st.st_size + 1) : NULL;
        errno = is_ours ? ENOMEM : EPERM;
    }
    while (text != NULL && got > 0 && used < (size_t)st.st_size) {
        got = read(fd, text + used, (size_t)st.st_size - used);
        used += got > 0 ? (size_t)got : 0;
    }
    const int error = errno;
    (void)close(fd);
    if (text == NULL || got < 0) {
        free(text);
        errno = error;
        return NULL;
    }
    text[used] = '\0';
    *len = used;
    return text;
}

/* What stands behind the heading of the line at `*at`, which is left behind it: owned, "" when the
 * line has nothing, NULL when it is another line or memory is out. */
static char *
take_line(const char **at, const char *heading)
{
    const size_t len = strlen(heading);
    const char *end = strchr(*at, '\n');
    if (strncmp(*at, heading, len) != 0 || end == NULL) {
        return NULL;
    }
    char *text = strndup(*at + len, (size_t)(end - *at) - len);
    *at = end + 1;
    return text;
}

static struct config *
read_config(const char *text, size_t len, const char *file, const char *directory, char *why)
{
    const struct config_source source = {
        .name = file, .directory = directory, .data = text, .size_bytes = len, .is_kept = true};
    struct config *config = NULL;
    struct config_diag diag;
    /* Without an environment: users and groups were there when it was read, and whether they still
     * are is for those to say who look for them. */
    if (config_load_text(&source, NULL, &config, &diag) != 0) {
        config_diag_format(&diag, why, KEPT_WHY_BYTES_MAX);
    }
    return config;
}

void
kept_read(const char *runtime_dir, struct kept *kept)
{
    char file[CONFIG_PATH_BYTES_MAX + 100];
    size_t len = 0;
    *kept = (struct kept){0};
    (void)snprintf(file, sizeof file, "%s/" SPAWN_FILE_CONFIG, runtime_dir);
    char *text = read_file(file, &len);
    if (text == NULL) {
        (void)snprintf(kept->why, sizeof kept->why, "%s: %s", file, strerror(errno));
        return;
    }
    const char *at = text;
    char *path = take_line(&at, file_line), *directory = take_line(&at, directory_line);
    if (path == NULL || directory == NULL) {
        (void)snprintf(kept->why, sizeof kept->why, "%s: it is not complete", file);
    } else {
        kept->config = read_config(at, len - (size_t)(at - text), file, directory, kept->why);
    }
    if (kept->config != NULL && path[0] != '\0') {
        kept->path = path;
        path = NULL;
    }
    free(path);
    free(directory);
    free(text);
}

void
kept_deinit(struct kept *kept)
{
    config_free(kept->config);
    free(kept->path);
    *kept = (struct kept){0};
}
