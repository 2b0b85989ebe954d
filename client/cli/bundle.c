/* Files of a bug report: see bundle.h. */
#include "client/cli/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/output.h"
#include "client/cli/program.h"
#include "client/cli/tar.h"

static const struct {
    const char *suffix;
    enum bundle_form form;
} suffixes[] = {{".tar.gz", BUNDLE_TAR_GZ}, {".tgz", BUNDLE_TAR_GZ}, {".tar", BUNDLE_TAR}};

static int
fail(const struct cli *cli, const char *what, const char *path)
{
    const int error = errno;
    output_say(cli, "cannot %s %s: %s", what, path, strerror(error));
    return error == EACCES || error == EPERM ? CLI_DENIED : CLI_FAILED;
}

static enum bundle_form
form_of(const char *path)
{
    const size_t length = strlen(path);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const size_t n = strlen(suffixes[i].suffix);
        if (length > n && strcmp(path + length - n, suffixes[i].suffix) == 0) {
            return suffixes[i].form;
        }
    }
    return BUNDLE_FOLDER;
}

static bool
is_empty(const char *path)
{
    const struct dirent *entry;
    bool empty = true;
    DIR *dir = opendir(path);
    while (dir != NULL && empty && (entry = readdir(dir)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return dir != NULL && empty;
}

static int
open_folder(const struct cli *cli, const struct bundle *b)
{
    if (mkdir(b->path, 0700) == 0) {
        return CLI_OK;
    }
    if (errno == EEXIST && is_empty(b->path)) {
        return CLI_OK;
    }
    if (errno == EEXIST) {
        output_say(cli, "%s is there already and no empty folder; nothing is written over",
                   b->path);
        return CLI_FAILED;
    }
    return fail(cli, "make the folder", b->path);
}

static int
open_file(const struct cli *cli, struct bundle *b)
{
    b->fd = open(b->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (b->fd < 0) {
        return fail(cli, "make", b->path);
    }
    const int fd = b->form == BUNDLE_TAR ? dup(b->fd) : memfd_create("bundle", MFD_CLOEXEC);
    b->tar = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (b->tar == NULL) {
        const int code = fail(cli, "write", b->path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return bundle_close(cli, b, code);
    }
    return CLI_OK;
}

int
bundle_open(const struct cli *cli, const char *path, struct bundle *b)
{
    char gzip[PATH_MAX];
    const bool has_gzip = program_resolve("gzip", gzip);
    const time_t now = time(NULL);
    struct tm utc;
    *b = (struct bundle){.fd = -1, .time_s = now};
    (void)gmtime_r(&now, &utc);
    (void)strftime(b->root, sizeof b->root, "prong-doctor-%Y%m%d-%H%M%S", &utc);
    const int n = path != NULL ? snprintf(b->path, sizeof b->path, "%s", path)
                               : snprintf(b->path, sizeof b->path, "%s%s", b->root,
                                          has_gzip ? ".tar.gz" : ".tar");
    if (n >= (int)sizeof b->path) {
        return output_usage(cli, "the path of the bundle is too long");
    }
    b->form = form_of(b->path);
    if (b->form == BUNDLE_TAR_GZ && !has_gzip) {
        return output_usage(cli,
                            "gzip is not installed: name a file that ends with .tar, or a folder");
    }
    return b->form == BUNDLE_FOLDER ? open_folder(cli, b) : open_file(cli, b);
}

static int
add_to_folder(const struct cli *cli, const struct bundle *b, const char *name, const char *text,
              size_t len)
{
    char path[PATH_MAX + TAR_NAME_LENGTH_MAX + 2];
    const char *slash = strchr(name, '/');
    if (slash != NULL) {
        (void)snprintf(path, sizeof path, "%s/%.*s", b->path, (int)(slash - name), name);
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return fail(cli, "make the folder", path);
        }
    }
    (void)snprintf(path, sizeof path, "%s/%s", b->path, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    const bool ok = file != NULL && fwrite(text, 1, len, file) == len;
    if ((file != NULL && fclose(file) != 0) || !ok) {
        return fail(cli, "write", path);
    }
    return CLI_OK;
}

int
bundle_add(const struct cli *cli, struct bundle *b, const char *name, const char *text, size_t len)
{
    char inside[sizeof b->root + TAR_NAME_LENGTH_MAX + 2];
    if (b->form == BUNDLE_FOLDER) {
        return add_to_folder(cli, b, name, text, len);
    }
    (void)snprintf(inside, sizeof inside, "%s/%s", b->root, name);
    return tar_add(b->tar, inside, text, len, b->time_s) ? CLI_OK : fail(cli, "write", b->path);
}

/* gzip reads the archive from memory and writes the file. */
static bool
compress_to(int in, int out)
{
    char path[PATH_MAX];
    if (lseek(in, 0, SEEK_SET) != 0 || !program_resolve("gzip", path)) {
        return false;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        const char *const argv[] = {"gzip", "-c", "-n", NULL};
        if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) {
            program_become(path, argv);
        }
        _exit(127);
    }
    return pid > 0 && program_wait(pid) == 0;
}

static int
end_archive(const struct cli *cli, struct bundle *b)
{
    bool ok = tar_end(b->tar);
    if (ok && b->form == BUNDLE_TAR_GZ && !compress_to(fileno(b->tar), b->fd)) {
        output_say(cli, "gzip could not write %s", b->path);
        return CLI_FAILED;
    }
    return ok ? CLI_OK : fail(cli, "write", b->path);
}

int
bundle_close(const struct cli *cli, struct bundle *b, int code)
{
    code = code == CLI_OK && b->tar != NULL ? end_archive(cli, b) : code;
    if (b->tar != NULL && fclose(b->tar) != 0 && code == CLI_OK) {
        code = fail(cli, "write", b->path);
    }
    if (b->fd >= 0) {
        if (close(b->fd) != 0 && code == CLI_OK) {
            code = fail(cli, "write", b->path);
        }
        if (code != CLI_OK) {
            (void)unlink(b->path);
        }
    }
    *b = (struct bundle){.fd = -1};
    return code;
}
