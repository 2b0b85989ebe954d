/* A directory per test: see dir.h. */
#include "tests/support/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir_now[PATH_MAX];
static char dir_before[PATH_MAX];

static _Noreturn void
die(const char *what, const char *path)
{
    fprintf(stderr, "tests/support/dir.c: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

/* Fills `path` with a template below `base`; false when a directory there would be too long. */
static bool
template_fill(char path[PATH_MAX], const char *base)
{
    const int n = snprintf(path, PATH_MAX, "%s/t-XXXXXX", base);

    return n > 0 && n <= DIR_PATH_BYTES_MAX;
}

void
dir_enter(void)
{
    dir_leave();
    if (getcwd(dir_before, sizeof(dir_before)) == NULL) {
        die("getcwd", ".");
    }
    const char *tmp = getenv("TMPDIR");
    if (!template_fill(dir_now, dir_before) &&
        (tmp == NULL || tmp[0] != '/' || !template_fill(dir_now, tmp)) &&
        !template_fill(dir_now, "/tmp")) {
        die("no place for", dir_now);
    }
    if (mkdtemp(dir_now) == NULL) {
        die("mkdtemp", dir_now);
    }
    if (chdir(dir_now) != 0) {
        die("chdir", dir_now);
    }
}

void
dir_leave(void)
{
    if (dir_now[0] == '\0') {
        return;
    }
    if (chdir(dir_before) != 0) {
        die("chdir", dir_before);
    }
    if (!dir_remove(dir_now)) {
        die("cannot remove", dir_now);
    }
    dir_now[0] = '\0';
}

const char *
dir_path(void)
{
    return dir_now;
}

const char *
dir_file(char file[DIR_FILE_BYTES_MAX], const char *name)
{
    const int n = snprintf(file, DIR_FILE_BYTES_MAX, "%s/%s", dir_now, name);

    if (n < 0 || n >= DIR_FILE_BYTES_MAX) {
        errno = ENAMETOOLONG;
        die("path", name);
    }
    return file;
}

void
dir_write(const char *name, const char *text, unsigned mode)
{
    char file[DIR_FILE_BYTES_MAX];

    dir_file(file, name);
    const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
    if (fd < 0) {
        die("open", file);
    }
    size_t left = strlen(text);
    while (left > 0) {
        const ssize_t n = write(fd, text, left);
        if (n < 0 && errno != EINTR) {
            die("write", file);
        }
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        }
    }
    /* The mode given to open() went through the umask. */
    if (fchmod(fd, (mode_t)mode) != 0 || close(fd) != 0) {
        die("write", file);
    }
}

static int
entry_remove(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

/* A directory without permissions can only be emptied after it got some. */
static int
entry_open(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)walk;
    if (kind == FTW_D || kind == FTW_DNR) {
        return chmod(path, status->st_mode | S_IRWXU);
    }
    return 0;
}

bool
dir_remove(const char *path)
{
    enum { DIR_DEPTH_FDS = 16 };

    nftw(path, entry_open, DIR_DEPTH_FDS, FTW_PHYS);
    if (nftw(path, entry_remove, DIR_DEPTH_FDS, FTW_DEPTH | FTW_PHYS) == 0) {
        return true;
    }
    return errno == ENOENT && access(path, F_OK) != 0;
}
