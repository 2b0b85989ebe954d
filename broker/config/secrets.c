/* The values of `env_file`, put in the environment of a worker: see reader.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/envfile.h"
#include "broker/config/reader.h"
#include "proto/mp.h"

/* The variable that the file is at: what is in `environment` wins, and else the last one. */
static int
add_variable(struct config_reader *reader, struct config_draft *draft,
             const struct config_option *option, const struct config_envfile *file)
{
    struct config_map *map = &draft->worker.environment;
    const struct config_mark at =
        draft->given[config_option_find(&config_worker_table, "env_file")];
    struct config_pair pair = {.is_secret = true};
    int rc = -1;
    if (config_store_charge(reader, at, file->name_len + file->value_len + 2 + sizeof pair) != 0) {
        return -1;
    }
    pair.name = config_text_new(file->name, file->name_len);
    pair.value = config_text_new(file->value, file->value_len);
    if (pair.name == NULL || pair.value == NULL) {
        config_fail_nomem(reader);
        goto out;
    }
    struct config_pair *there = NULL;
    for (size_t i = 0; there == NULL && i < map->count; i++) {
        there = strcmp(map->items[i].name, pair.name) == 0 ? &map->items[i] : NULL;
    }
    if (there == NULL && (int64_t)map->count >= option->max) {
        config_fail(reader, at,
                    "worker '%s' may have at most %d variables, with those of 'env_file'",
                    draft->worker.name, (int)option->max);
        goto out;
    }
    if (there != NULL && there->is_secret) {
        char *value = there->value;
        there->value = pair.value;
        pair.value = value;
    } else if (there == NULL) {
        if (config_map_add(map, pair) != 0) {
            config_fail_nomem(reader);
            goto out;
        }
        pair = (struct config_pair){0};
    }
    rc = 0;
out:
    free(pair.name);
    free(pair.value);
    return rc;
}

static int
read_variables(struct config_reader *reader, struct config_draft *draft, const char *path,
               const struct config_file *data)
{
    const struct config_option *option =
        &config_worker_table.options[config_option_find(&config_worker_table, "environment")];
    struct config_envfile *file = malloc(sizeof *file);
    int rc = 1;
    if (file == NULL) {
        return config_fail_nomem(reader);
    }
    config_envfile_init(file, data->data, data->size_bytes);
    while (rc == 1) {
        rc = config_envfile_next(file);
        if (rc == 1 && !mp_is_utf8((struct span){(const uint8_t *)file->value, file->value_len})) {
            snprintf(file->why, sizeof file->why, "a value has to be plain text in UTF-8");
            file->line = file->first_line;
            rc = -1;
        }
        if (rc < 0) {
            config_fail_other(reader, path, file->line, "%s", file->why);
        } else if (rc == 1 && add_variable(reader, draft, option, file) != 0) {
            rc = -1;
        }
    }
    free(file);
    return rc;
}

int
config_envfile_apply(struct config_reader *reader, struct config_draft *draft)
{
    const struct config_list *list = &draft->worker.env_file;
    const struct config_mark at =
        draft->given[config_option_find(&config_worker_table, "env_file")];
    const struct config_env *env = reader->env;
    if (list->count > 0 && (env == NULL || env->read_file == NULL)) {
        return config_fail(reader, at, "an 'env_file' cannot be read here");
    }
    for (size_t i = 0; i < list->count; i++) {
        const bool may_miss = list->items[i][0] == '-';
        const char *path = list->items[i] + may_miss;
        char quoted[CONFIG_QUOTED_PATH_BYTES_MAX];
        struct config_file file = {0};
        struct config_diag why = {0};
        if (env->read_file(env->context, path, &file, &why) != 0) {
            if (may_miss && why.error == ENOENT) {
                continue;
            }
            config_quote_path(reader, path, quoted);
            return why.error == ENOMEM
                       ? config_fail_nomem(reader)
                       : config_fail(reader, at, "'env_file' cannot be read, %s: %s", quoted,
                                     why.text);
        }
        const int rc = read_variables(reader, draft, path, &file);
        free(file.data);
        if (rc != 0) {
            return -1;
        }
    }
    return 0;
}
