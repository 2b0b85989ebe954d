/* Any bytes as a configuration: no crash, no leak, and a result or a message, never both; a result
 * can be kept and read back.
 *
 * A byte 0x1c begins another file, which the first may include or name as env_file: its name in the
 * folder /fuzz up to the end of the line, then its text. No file of the machine is looked at.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -std=c17 \
 *       -D_GNU_SOURCE -I. tests/fuzz/fuzz_config.c broker/config/<all>.c proto/{closest,mask,mp}.c
 * -lyaml
 *
 * Seeds: tests/fuzz/corpus/config and tests/unit/config/bad. */
#include <errno.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Enough variables to reach every branch of the expansion. */
static const char *
get(void *context, const char *name)
{
    (void)context;
    if (strcmp(name, "A") == 0) {
        return "1";
    }
    return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

enum { FILE_BEGIN = 0x1c, NAME_BYTES_MAX = 100 };

/* All files but the first, as they stand in the input. */
struct files {
    const uint8_t *data;
    size_t size;
};

/* The next file of what is left; false when there is none. */
static bool
next_file(struct files *left, char path[NAME_BYTES_MAX], struct files *text)
{
    const uint8_t *begin = left->size > 0 ? memchr(left->data, FILE_BEGIN, left->size) : NULL;
    if (begin == NULL) {
        return false;
    }
    left->size -= (size_t)(begin + 1 - left->data);
    left->data = begin + 1;
    const uint8_t *end = left->size > 0 ? memchr(left->data, FILE_BEGIN, left->size) : NULL;
    const size_t all = end != NULL ? (size_t)(end - left->data) : left->size;
    const uint8_t *line = all > 0 ? memchr(left->data, '\n', all) : NULL;
    const size_t name = line != NULL ? (size_t)(line - left->data) : all;
    snprintf(path, NAME_BYTES_MAX, "/fuzz/%.*s", (int)(name < 90 ? name : 90),
             (const char *)left->data);
    text->data = line != NULL ? line + 1 : left->data + all;
    text->size = line != NULL ? all - name - 1 : 0;
    left->data += all;
    left->size -= all;
    return true;
}

static int
read_file(void *context, const char *path, struct config_file *file, struct config_diag *diag)
{
    struct files left = *(const struct files *)context, text;
    char name[NAME_BYTES_MAX];
    while (next_file(&left, name, &text)) {
        if (strcmp(name, path) == 0) {
            file->data = malloc(text.size + 1);
            file->size_bytes = text.size;
            if (file->data == NULL) {
                abort();
            }
            memcpy(file->data, text.data, text.size);
            return 0;
        }
    }
    diag->error = ENOENT;
    snprintf(diag->text, sizeof diag->text, "there is none");
    return -1;
}

static int
find_files(void *context, const char *pattern, struct config_list *found, struct config_diag *diag)
{
    struct files left = *(const struct files *)context, text;
    char name[NAME_BYTES_MAX];
    (void)diag;
    while (next_file(&left, name, &text)) {
        if (fnmatch(pattern, name, FNM_PATHNAME | FNM_PERIOD) == 0) {
            char **items = realloc(found->items, (found->count + 2) * sizeof *items);
            char *path = strdup(name);
            if (items == NULL || path == NULL) {
                abort();
            }
            items[found->count++] = path;
            items[found->count] = NULL;
            found->items = items;
        }
    }
    return 0;
}

static void
require_at(bool ok, int line)
{
    if (!ok) {
        fprintf(stderr, "line %d: what has to hold does not\n", line);
        abort();
    }
}

#define require(ok) require_at((ok), __LINE__)

/* What the rest of the hub relies on in every configuration that was accepted. */
static void
check_config(const struct config *config)
{
    require(config->worker_count <= CONFIG_WORKERS_MAX);
    require(config->directory != NULL);
    for (size_t i = 0; i < config->worker_count; i++) {
        const struct config_worker *worker = &config->workers[i];
        require(config_worker_name_is_valid(worker->name));
        require(worker->command.count > 0 && worker->command.items[worker->command.count] == NULL);
        require(worker->working_dir != NULL && worker->working_dir[0] == '/');
        require(worker->replicas >= 1 && worker->replicas <= 256);
        require(worker->restart_delay_ms <= worker->restart_delay_ms_max);
        require(worker->environment.count <= 256);
        for (size_t k = 0; k < worker->environment.count; k++) {
            const struct config_pair *pair = &worker->environment.items[k];
            require(pair->name[0] != '\0' && strchr(pair->name, '=') == NULL);
        }
    }
}

/* The text that the hub would keep; every member of a configuration is in it. */
static char *
reveal(const struct config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    require(out != NULL);
    require(config_show(out, config, &(struct config_show){.reveal = true}) == 0);
    require(fclose(out) == 0);
    return text;
}

/* What is kept reads back as the same, without any other file. */
static void
check_kept(const struct config *config)
{
    char *once = reveal(config);
    const struct config_source source = {.name = "kept",
                                         .directory = config->directory,
                                         .data = once,
                                         .size_bytes = strlen(once),
                                         .is_kept = true};
    struct config *again = NULL;
    struct config_diag diag;
    require(config_load_text(&source, NULL, &again, &diag) == 0);
    char *twice = reveal(again);
    require(strcmp(once, twice) == 0);
    config_free(again);
    free(once);
    free(twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *more = size > 0 ? memchr(data, FILE_BEGIN, size) : NULL;
    const size_t own = more != NULL ? (size_t)(more - data) : size;
    struct files files = {data + own, size - own};
    const struct config_env env = {
        .get = get, .context = &files, .read_file = read_file, .find_files = find_files};
    const struct config_source source = {
        .name = "fuzz.yaml", .directory = "/fuzz", .data = data, .size_bytes = own};
    struct config *config = NULL;
    struct config_diag diag;
    char text[2 * CONFIG_DIAG_BYTES_MAX];
    if (config_load_text(&source, &env, &config, &diag) == 0) {
        require(config != NULL);
        check_config(config);
        check_kept(config);
        config_free(config);
    } else {
        require(config == NULL && diag.text[0] != '\0' && diag.error == 0);
        config_diag_format(&diag, text, sizeof text);
        /* A message goes to a terminal: nothing in it may be a command to one. */
        for (const char *at = text; *at != '\0'; at++) {
            require((unsigned char)*at >= 0x20 && *at != 0x7f);
        }
    }
    return 0;
}
