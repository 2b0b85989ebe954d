/* Making, loading and freeing configurations: see config.h. */
#include "broker/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/config/files.h"
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
    config_device_free(worker->device);
    worker->device = NULL;
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
    const char *file = diag->included[0] != '\0' ? diag->included
                       : diag->file != NULL      ? diag->file
                                                 : "configuration";
    if (diag->line > 0) {
        snprintf(out, size_bytes, "%s:%u:%u: %s", file, diag->line, diag->column, diag->text);
    } else {
        snprintf(out, size_bytes, "%s: %s", file, diag->text);
    }
}

/* `file` tells which file the text is of; its data is not looked at. */
static int
load(const struct config_source *source, const struct config_file *file,
     const struct config_env *env, struct config **out, struct config_diag *diag)
{
    struct config_source whole = *source;
    whole.directory =
        source->directory != NULL && source->directory[0] == '/' ? source->directory : "/";
    if (source->size_bytes == 0) {
        whole.data = "";
    }
    if (whole.size_bytes > CONFIG_FILE_BYTES_MAX && !source->is_kept) {
        return config_files_fail_size(diag);
    }
    struct config_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return config_files_fail(diag, ENOMEM, "out of memory");
    }
    reader->env = env;
    reader->diag = diag;
    int rc = config_include_begin(reader, &whole, file);
    if (rc == 0) {
        rc = config_reader_run(reader);
    }
    if (rc == 0) {
        rc = config_reader_finish(reader, out);
    }
    config_reader_deinit(reader);
    free(reader);
    return rc;
}

int
config_load_text(const struct config_source *source, const struct config_env *env,
                 struct config **out, struct config_diag *diag)
{
    const struct config_file unknown = {0};
    *diag = (struct config_diag){.file = source->name};
    return load(source, &unknown, env, out, diag);
}

int
config_load(const char *path, const struct config_env *env, struct config **out,
            struct config_diag *diag)
{
    struct config_source source = {.name = path};
    struct config_file file = {0};
    char *directory = NULL;
    int rc = -1;
    *diag = (struct config_diag){.file = path};
    if (config_files_read(NULL, path, &file, diag) != 0) {
        goto out;
    }
    directory = config_files_directory(path, diag);
    if (directory == NULL) {
        goto out;
    }
    source.data = file.data;
    source.size_bytes = file.size_bytes;
    source.directory = directory;
    rc = load(&source, &file, env, out, diag);
out:
    free(directory);
    free(file.data);
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
