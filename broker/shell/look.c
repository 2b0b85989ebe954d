/* Looks at configurations: see look.h. */
#include "broker/shell/look.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "broker/import/import.h"
#include "proto/closest.h"

struct config *
look_read(const char *file)
{
    struct config *config = NULL;
    struct config_diag diag;
    char text[CONFIG_DIAG_BYTES_MAX + CONFIG_PATH_BYTES_MAX];
    if (config_load(file, &config_env_process, &config, &diag) == 0) {
        return config;
    }
    config_diag_format(&diag, text, sizeof text);
    (void)fprintf(stderr, "%s\n", text);
    return NULL;
}

int
look_check(const char *file)
{
    struct config *config = look_read(file);
    const int code = config != NULL ? EX_OK : EX_CONFIG;
    config_free(config);
    return code;
}

static int
refuse_worker(const struct config *config, const char *file, const char *worker)
{
    struct closest near = {.word = worker};
    for (size_t i = 0; i < config->worker_count; i++) {
        closest_offer(&near, config->workers[i].name);
    }
    (void)fprintf(stderr, "there is no worker '%s' in %s%s%s%s\n", worker, file,
                  near.best != NULL ? "; did you mean '" : "", near.best != NULL ? near.best : "",
                  near.best != NULL ? "'?" : "");
    return EX_NOUSER;
}

int
look_show(const char *file, const struct config_show *how)
{
    struct config *config = look_read(file);
    bool is_there = how->worker == NULL;
    if (config == NULL) {
        return EX_CONFIG;
    }
    for (size_t i = 0; !is_there && i < config->worker_count; i++) {
        is_there = strcmp(config->workers[i].name, how->worker) == 0;
    }
    const int code = !is_there ? refuse_worker(config, file, how->worker)
                     : config_show(stdout, config, how) == 0 ? EX_OK
                                                             : EX_IOERR;
    config_free(config);
    return code;
}

int
look_import(const char *file, const char *kind)
{
    const enum import_kind found = kind != NULL ? import_kind_find(kind) : IMPORT_GUESS;
    if (kind != NULL && found == IMPORT_GUESS) {
        (void)fprintf(stderr, "--kind is supervisor, circus or procfile\n");
        return EX_USAGE;
    }
    const int rc = import_file(file, found, stdout, stderr);
    return rc == 0 ? EX_OK : ferror(stdout) ? EX_IOERR : EX_CONFIG;
}
