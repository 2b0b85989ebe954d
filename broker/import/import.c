/* Other configurations as one of Prong: see import.h. */
#include "broker/import/import.h"

#include <stdlib.h>
#include <string.h>

#include "broker/config/files.h"
#include "broker/import/work.h"

static const struct {
    const char *word, *start; /* of a section that only this kind has */
    enum import_kind kind;
} kinds[] = {
    {"supervisor", "program:", IMPORT_SUPERVISOR},
    {"supervisor", "supervisord", IMPORT_SUPERVISOR},
    {"supervisor", "eventlistener:", IMPORT_SUPERVISOR},
    {"supervisor", "group:", IMPORT_SUPERVISOR},
    {"circus", "watcher:", IMPORT_CIRCUS},
    {"circus", "circus", IMPORT_CIRCUS},
    {"procfile", NULL, IMPORT_PROCFILE},
};

enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

enum import_kind
import_kind_find(const char *word)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (strcmp(kinds[i].word, word) == 0) {
            return kinds[i].kind;
        }
    }
    return IMPORT_GUESS;
}

/* By the first section that only one kind has; without any section by what a Procfile's lines look
 * like, and its name. */
static enum import_kind
guess(const struct import_source *source)
{
    struct import_ini ini;
    const char *slash = strrchr(source->name, '/');
    const char *base = slash != NULL ? slash + 1 : source->name;
    enum import_kind kind = IMPORT_GUESS;
    import_ini_read(source->data, source->size_bytes, true, &ini);
    for (size_t i = 0; kind == IMPORT_GUESS && i < ini.count; i++) {
        for (size_t k = 0; k < KIND_COUNT && kind == IMPORT_GUESS; k++) {
            if (kinds[k].start != NULL &&
                strncmp(ini.entries[i].section, kinds[k].start, strlen(kinds[k].start)) == 0) {
                kind = kinds[k].kind;
            }
        }
    }
    if (kind == IMPORT_GUESS && ini.count == 0 && strncmp(base, "Procfile", 8) == 0) {
        kind = IMPORT_PROCFILE;
    }
    import_ini_deinit(&ini);
    return kind;
}

static void
write_worker(FILE *out, const struct import_worker *worker)
{
    if (worker->body.w > 0) {
        (void)fwrite(worker->body.data, 1, worker->body.w, out);
    }
    if (worker->environment.w > 0) {
        (void)fprintf(out, "    environment:\n");
        (void)fwrite(worker->environment.data, 1, worker->environment.w, out);
    }
}

/* Workers without a command are told, and left out. */
static size_t
count_complete(struct import *import)
{
    size_t count = 0;
    for (size_t i = 0; i < import->worker_count; i++) {
        const struct import_worker *worker = &import->workers[i];
        const struct import_at at = {.import = import, .line = worker->line, .key = worker->name};
        if (worker->has_command) {
            count++;
        } else {
            import_lost(&at, "it has no command that could be taken, and is left out", NULL);
        }
        import->failed = import->failed || worker->body.failed || worker->environment.failed;
    }
    import->failed =
        import->failed || import->defaults.body.failed || import->defaults.environment.failed;
    return count;
}

static int
write_all(struct import *import, FILE *out)
{
    const struct import_worker *defaults = &import->defaults;
    const size_t count = count_complete(import);
    if (import->failed || count == 0) {
        (void)fprintf(import->lost, "%s: %s\n", import->source->name,
                      import->failed ? "out of memory"
                                     : "there is no program in it that could be taken");
        return -1;
    }
    (void)fprintf(out, "# Made by prong config import.\n");
    if (defaults->body.w > 0 || defaults->environment.w > 0) {
        (void)fprintf(out, "defaults:\n");
        write_worker(out, defaults);
    }
    (void)fprintf(out, "workers:\n");
    for (size_t i = 0; i < import->worker_count; i++) {
        if (import->workers[i].has_command) {
            (void)fprintf(out, "  %s:\n", import->workers[i].name);
            write_worker(out, &import->workers[i]);
        }
    }
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

static bool
read_ini(struct import *import, enum import_kind kind)
{
    struct import_ini ini;
    bool is_good = false;
    import_ini_read(import->source->data, import->source->size_bytes, kind == IMPORT_SUPERVISOR,
                    &ini);
    if (ini.failed) {
        (void)fprintf(import->lost, "%s: it is larger than a configuration can be\n",
                      import->source->name);
    } else if (ini.bad_line > 0) {
        (void)fprintf(import->lost, "%s:%u: a line is [SECTION], KEY = VALUE or a comment\n",
                      import->source->name, ini.bad_line);
    } else {
        is_good = kind == IMPORT_SUPERVISOR ? import_supervisor(import, &ini)
                                            : import_circus(import, &ini);
    }
    /* Workers are named by what is in it. */
    for (size_t i = 0; i < import->worker_count; i++) {
        import->workers[i].original = NULL;
    }
    import_ini_deinit(&ini);
    return is_good;
}

int
import_text(const struct import_source *source, enum import_kind kind, FILE *out, FILE *lost)
{
    struct import import = {.source = source, .lost = lost};
    bool is_good = false;
    if (kind == IMPORT_GUESS) {
        kind = guess(source);
    }
    import.workers = calloc(CONFIG_WORKERS_MAX, sizeof *import.workers);
    if (import.workers == NULL) {
        (void)fprintf(lost, "%s: out of memory\n", source->name);
        return -1;
    }
    switch (kind) {
    case IMPORT_GUESS:
        (void)fprintf(lost,
                      "%s: it cannot be told what it is of: say --kind supervisor, circus or "
                      "procfile\n",
                      source->name);
        break;
    case IMPORT_SUPERVISOR:
    case IMPORT_CIRCUS:
        is_good = read_ini(&import, kind);
        break;
    case IMPORT_PROCFILE:
        is_good = import_procfile(&import);
        break;
    }
    const int rc = is_good ? write_all(&import, out) : -1;
    for (size_t i = 0; i < CONFIG_WORKERS_MAX; i++) {
        buf_deinit(&import.workers[i].body);
        buf_deinit(&import.workers[i].environment);
    }
    buf_deinit(&import.defaults.body);
    buf_deinit(&import.defaults.environment);
    free(import.workers);
    return rc;
}

int
import_file(const char *path, enum import_kind kind, FILE *out, FILE *lost)
{
    struct config_diag diag = {.file = path};
    struct config_file file = {0};
    char text[CONFIG_DIAG_BYTES_MAX + CONFIG_PATH_BYTES_MAX];
    char *directory = NULL;
    int rc = -1;
    if (config_files_read(NULL, path, &file, &diag) == 0) {
        directory = config_files_directory(path, &diag);
    }
    if (directory != NULL) {
        const struct import_source source = {
            .name = path, .directory = directory, .data = file.data, .size_bytes = file.size_bytes};
        rc = import_text(&source, kind, out, lost);
    } else {
        config_diag_format(&diag, text, sizeof text);
        (void)fprintf(lost, "%s\n", text);
    }
    free(directory);
    free(file.data);
    return rc;
}
