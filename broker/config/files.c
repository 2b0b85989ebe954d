/* Files, and what this process knows: see files.h. */
#include "broker/config/files.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "broker/config/object.h"

int
config_files_fail(struct config_diag *diag, int error, const char *text)
{
    diag->error = error;
    snprintf(diag->text, sizeof diag->text, "%s", text);
    return -1;
}

int
config_files_fail_size(struct config_diag *diag)
{
    snprintf(diag->text, sizeof diag->text, "the file is larger than %d MiB",
             CONFIG_FILE_BYTES_MAX / (1024 * 1024));
    return -1;
}

static int
fail_kind(struct config_diag *diag, mode_t mode)
{
    const char *kind = S_ISFIFO(mode)                   ? "a named pipe"
                       : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
                                                        : "a socket";
    diag->error = EINVAL;
    snprintf(diag->text, sizeof diag->text, "this is %s, a configuration has to be a file", kind);
    return -1;
}

/* Open what can be read to its end: a file, or a pipe that somebody handed to this process
 * (/dev/stdin, /dev/fd/63). Everything else would be waited for without end, a named pipe in open
 * already. -1 with a filled `diag`, else *status is what it is. */
static int
open_file(const char *file, struct stat *status, struct config_diag *diag)
{
    struct statfs system;
    int rc = -1;
    const int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENXIO ? fail_kind(diag, S_IFSOCK)
                              : config_files_fail(diag, errno, strerror(errno));
    }
    if (fstat(fd, status) != 0) {
        config_files_fail(diag, errno, strerror(errno));
    } else if (S_ISDIR(status->st_mode)) {
        config_files_fail(diag, EISDIR, strerror(EISDIR));
    } else if (S_ISREG(status->st_mode) ||
               (S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3))) {
        rc = fd; /* a file, or /dev/null, which many take for an empty one */
    } else if (S_ISFIFO(status->st_mode) && fstatfs(fd, &system) == 0 &&
               system.f_type == PIPEFS_MAGIC) {
        rc = fcntl(fd, F_SETFL, 0) == 0 ? fd : config_files_fail(diag, errno, strerror(errno));
    } else {
        fail_kind(diag, status->st_mode);
    }
    if (rc < 0) {
        close(fd); /* Nothing was read. */
    }
    return rc;
}

int
config_files_read(void *context, const char *path, struct config_file *file,
                  struct config_diag *diag)
{
    int rc = -1;
    size_t used = 0;
    char *bytes = NULL;
    struct stat status;
    const int fd = open_file(path, &status, diag);
    (void)context;
    if (fd < 0) {
        return -1;
    }
    /* One byte more than is allowed, to see that there is more. */
    bytes = malloc(CONFIG_FILE_BYTES_MAX + 1);
    if (bytes == NULL) {
        config_files_fail(diag, ENOMEM, "out of memory");
        goto out;
    }
    while (used <= CONFIG_FILE_BYTES_MAX) {
        const ssize_t got = read(fd, bytes + used, CONFIG_FILE_BYTES_MAX + 1 - used);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            config_files_fail(diag, errno, strerror(errno));
            goto out;
        }
        if (got == 0) {
            break;
        }
        used += (size_t)got;
    }
    if (used > CONFIG_FILE_BYTES_MAX) {
        config_files_fail_size(diag);
        goto out;
    }
    *file = (struct config_file){
        .data = bytes, .size_bytes = used, .device = status.st_dev, .inode = status.st_ino};
    bytes = NULL;
    rc = 0;
out:
    free(bytes);
    close(fd); /* Nothing was written, so its failure has nothing to tell. */
    return rc;
}

char *
config_files_directory(const char *file, struct config_diag *diag)
{
    const char *slash = strrchr(file, '/');
    const size_t len = slash == NULL ? 0 : slash == file ? 1 : (size_t)(slash - file);
    char base[CONFIG_PATH_BYTES_MAX] = "";
    if (file[0] != '/' && getcwd(base, sizeof base) == NULL) {
        config_files_fail(diag, errno, "the current directory cannot be told");
        return NULL;
    }
    if (len >= CONFIG_PATH_BYTES_MAX) {
        config_files_fail(diag, ENAMETOOLONG, strerror(ENAMETOOLONG));
        return NULL;
    }
    const bool is_here = len == 0 || (len == 1 && file[0] == '.');
    const size_t size = strlen(base) + 1 + len + 1;
    char *directory = malloc(size);
    if (directory == NULL) {
        config_files_fail(diag, ENOMEM, "out of memory");
        return NULL;
    }
    const bool needs_slash = file[0] != '/' && strcmp(base, "/") != 0 && !is_here;
    snprintf(directory, size, "%s%s%.*s", base, needs_slash ? "/" : "", is_here ? 0 : (int)len,
             file);
    return directory;
}

/* A folder that is not there has no files that match; one that may not be read could have some, and
 * passing over them in silence would start a hub without its workers. */
static int
is_no_match(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

int
config_files_find(void *context, const char *pattern, struct config_list *found,
                  struct config_diag *diag)
{
    glob_t matches = {0};
    int rc = 0;
    (void)context;
    switch (glob(pattern, 0, is_no_match, &matches)) {
    case 0:
        break;
    case GLOB_NOMATCH:
        return 0;
    case GLOB_ABORTED:
        return config_files_fail(diag, EACCES, "a folder in its path cannot be read");
    default:
        return config_files_fail(diag, ENOMEM, "out of memory");
    }
    for (size_t i = 0; rc == 0 && i < matches.gl_pathc; i++) {
        char *path = config_text_new(matches.gl_pathv[i], strlen(matches.gl_pathv[i]));
        if (path == NULL || config_list_add(found, path) != 0) {
            free(path);
            rc = config_files_fail(diag, ENOMEM, "out of memory");
        }
    }
    globfree(&matches);
    return rc;
}
