/* Making, loading and freeing configurations: see config.h. */
#include "broker/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "broker/config/reader.h"

struct config *
config_new(void)
{
    struct config *config = calloc(1, sizeof *config);
    if (config == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < config_hub_table.count; i++) {
        if (config_object_default(&config_hub_table.options[i], &config->hub) != 0) {
            config_free(config);
            return NULL;
        }
    }
    return config;
}

void
config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    config_object_clear_all(&config_hub_table, &config->hub);
    for (size_t i = 0; i < config->worker_count; i++) {
        config_worker_deinit(&config->workers[i]);
    }
    free(config->workers);
    free(config->directory);
    free(config);
}

int
config_defaults_worker(struct config_worker *worker)
{
    *worker = (struct config_worker){0};
    for (size_t i = 0; i < config_worker_table.count; i++) {
        if (config_object_default(&config_worker_table.options[i], worker) != 0) {
            config_worker_deinit(worker);
            return -1;
        }
    }
    return 0;
}

void
config_worker_deinit(struct config_worker *worker)
{
    free(worker->name);
    worker->name = NULL;
    config_object_clear_all(&config_worker_table, worker);
}

bool
config_worker_name_is_valid(const char *name)
{
    const size_t len = strlen(name);
    return len >= 1 && len <= CONFIG_NAME_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len &&
           strcmp(name, "hub") != 0;
}

void
config_diag_format(const struct config_diag *diag, char *out, size_t size_bytes)
{
    const char *file = diag->file != NULL ? diag->file : "configuration";
    if (diag->line > 0) {
        snprintf(out, size_bytes, "%s:%u:%u: %s", file, diag->line, diag->column, diag->text);
    } else {
        snprintf(out, size_bytes, "%s: %s", file, diag->text);
    }
}

static int
fail(struct config_diag *diag, int error, const char *text)
{
    diag->error = error;
    snprintf(diag->text, sizeof diag->text, "%s", text);
    return -1;
}

static int
fail_size(struct config_diag *diag)
{
    snprintf(diag->text, sizeof diag->text, "the file is larger than %d MiB",
             CONFIG_FILE_BYTES_MAX / (1024 * 1024));
    return -1;
}

int
config_load_text(const struct config_source *source, const struct config_env *env,
                 struct config **out, struct config_diag *diag)
{
    *diag = (struct config_diag){.file = source->name};
    struct config_source whole = *source;
    whole.directory =
        source->directory != NULL && source->directory[0] == '/' ? source->directory : "/";
    if (source->size_bytes == 0) {
        whole.data = "";
    }
    if (whole.size_bytes > CONFIG_FILE_BYTES_MAX) {
        return fail_size(diag);
    }
    struct config_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return fail(diag, ENOMEM, "out of memory");
    }
    reader->source = &whole;
    reader->env = env;
    reader->diag = diag;
    int rc = config_reader_run(reader);
    if (rc == 0) {
        rc = config_reader_finish(reader, out);
    }
    config_reader_deinit(reader);
    free(reader);
    return rc;
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
 * already. -1 with a filled `diag`. */
static int
open_file(const char *file, struct config_diag *diag)
{
    struct stat status;
    struct statfs system;
    int rc = -1;
    const int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENXIO ? fail_kind(diag, S_IFSOCK) : fail(diag, errno, strerror(errno));
    }
    if (fstat(fd, &status) != 0) {
        fail(diag, errno, strerror(errno));
    } else if (S_ISDIR(status.st_mode)) {
        fail(diag, EISDIR, strerror(EISDIR));
    } else if (S_ISREG(status.st_mode) ||
               (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3))) {
        rc = fd; /* a file, or /dev/null, which many take for an empty one */
    } else if (S_ISFIFO(status.st_mode) && fstatfs(fd, &system) == 0 &&
               system.f_type == PIPEFS_MAGIC) {
        rc = fcntl(fd, F_SETFL, 0) == 0 ? fd : fail(diag, errno, strerror(errno));
    } else {
        fail_kind(diag, status.st_mode);
    }
    if (rc < 0) {
        close(fd); /* Nothing was read. */
    }
    return rc;
}

/* Read a whole file of at most CONFIG_FILE_BYTES_MAX; *data is owned. */
static int
read_file(const char *file, struct config_diag *diag, char **data, size_t *size_bytes)
{
    int rc = -1;
    size_t used = 0;
    char *bytes = NULL;
    const int fd = open_file(file, diag);
    if (fd < 0) {
        return -1;
    }
    /* One byte more than is allowed, to see that there is more. */
    bytes = malloc(CONFIG_FILE_BYTES_MAX + 1);
    if (bytes == NULL) {
        fail(diag, ENOMEM, "out of memory");
        goto out;
    }
    while (used <= CONFIG_FILE_BYTES_MAX) {
        const ssize_t got = read(fd, bytes + used, CONFIG_FILE_BYTES_MAX + 1 - used);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            fail(diag, errno, strerror(errno));
            goto out;
        }
        if (got == 0) {
            break;
        }
        used += (size_t)got;
    }
    if (used > CONFIG_FILE_BYTES_MAX) {
        fail_size(diag);
        goto out;
    }
    *data = bytes;
    *size_bytes = used;
    bytes = NULL;
    rc = 0;
out:
    free(bytes);
    close(fd); /* Nothing was written, so its failure has nothing to tell. */
    return rc;
}

/* The directory of a file as an absolute path, by its name alone: where a symbolic link leads does
 * not matter. Owned by the caller; NULL with a filled `diag`. */
static char *
directory_of(const char *file, struct config_diag *diag)
{
    const char *slash = strrchr(file, '/');
    const size_t len = slash == NULL ? 0 : slash == file ? 1 : (size_t)(slash - file);
    char base[CONFIG_PATH_BYTES_MAX] = "";
    if (file[0] != '/' && getcwd(base, sizeof base) == NULL) {
        fail(diag, errno, "the current directory cannot be told");
        return NULL;
    }
    if (len >= CONFIG_PATH_BYTES_MAX) {
        fail(diag, ENAMETOOLONG, strerror(ENAMETOOLONG));
        return NULL;
    }
    const bool is_here = len == 0 || (len == 1 && file[0] == '.');
    const size_t size = strlen(base) + 1 + len + 1;
    char *directory = malloc(size);
    if (directory == NULL) {
        fail(diag, ENOMEM, "out of memory");
        return NULL;
    }
    const bool needs_slash = file[0] != '/' && strcmp(base, "/") != 0 && !is_here;
    snprintf(directory, size, "%s%s%.*s", base, needs_slash ? "/" : "", is_here ? 0 : (int)len,
             file);
    return directory;
}

int
config_load(const char *file, const struct config_env *env, struct config **out,
            struct config_diag *diag)
{
    struct config_source source = {.name = file};
    char *data = NULL, *directory = NULL;
    int rc = -1;
    *diag = (struct config_diag){.file = file};
    if (read_file(file, diag, &data, &source.size_bytes) != 0) {
        goto out;
    }
    directory = directory_of(file, diag);
    if (directory == NULL) {
        goto out;
    }
    source.data = data;
    source.directory = directory;
    rc = config_load_text(&source, env, out, diag);
out:
    free(directory);
    free(data);
    return rc;
}

/* Whether to take this file: yes unless it is certain that there is none. */
static bool
is_there(const char *file)
{
    struct stat status;
    return stat(file, &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

int
config_find(const struct config_env *env, char **out)
{
    const char *home = env != NULL ? env->get(env->context, "HOME") : NULL;
    const char *xdg = env != NULL ? env->get(env->context, "XDG_CONFIG_HOME") : NULL;
    /* The XDG specification wants a relative path here to be ignored. */
    const bool has_xdg = xdg != NULL && xdg[0] == '/', has_home = home != NULL && home[0] == '/';
    const struct {
        const char *base, *rest;
    } places[] = {
        {"", "./prong.yaml"},
        {has_xdg    ? xdg
         : has_home ? home
                    : NULL,
         has_xdg ? "/prong/prong.yaml" : "/.config/prong/prong.yaml"},
        {"", "/etc/prong/prong.yaml"},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i].base == NULL) {
            continue;
        }
        const size_t size = strlen(places[i].base) + strlen(places[i].rest) + 1;
        char *path = malloc(size);
        if (path == NULL) {
            return -1;
        }
        snprintf(path, size, "%s%s", places[i].base, places[i].rest);
        if (is_there(path)) {
            *out = path;
            return 0;
        }
        free(path);
    }
    *out = NULL;
    return 0;
}
