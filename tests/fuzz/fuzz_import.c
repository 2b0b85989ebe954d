/* Any bytes as the configuration of another process manager: no crash, no leak, and whatever comes
 * of it is a configuration that the reader takes. The first byte says what it is: s, c, p, or else
 * to be guessed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/import/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
get_one(void *context, const char *name)
{
    (void)context;
    (void)name;
    return "1";
}

static int
read_nothing(void *context, const char *path, struct config_file *file, struct config_diag *diag)
{
    (void)context;
    (void)path;
    (void)diag;
    file->data = calloc(1, 1);
    return file->data != NULL ? 0 : -1;
}

static void
require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void
check(const char *yaml, size_t size)
{
    const struct config_env env = {.get = get_one, .read_file = read_nothing};
    const struct config_source source = {
        .name = "out", .directory = "/", .data = yaml, .size_bytes = size};
    struct config *config = NULL;
    struct config_diag diag;
    /* Together they may be more than a file may have. */
    require(config_load_text(&source, &env, &config, &diag) == 0 ||
            strstr(diag.text, "larger than") != NULL);
    config_free(config);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char letter = size > 0 ? (char)data[0] : '\0';
    const enum import_kind kind = letter == 's'   ? IMPORT_SUPERVISOR
                                  : letter == 'c' ? IMPORT_CIRCUS
                                  : letter == 'p' ? IMPORT_PROCFILE
                                                  : IMPORT_GUESS;
    const struct import_source source = {.name = "Procfile",
                                         .directory = "/fuzz",
                                         .data = (const char *)data + (size > 0),
                                         .size_bytes = size - (size > 0)};
    char *yaml = NULL, *told = NULL;
    size_t yaml_len = 0, told_len = 0;
    FILE *out = open_memstream(&yaml, &yaml_len), *lost = open_memstream(&told, &told_len);
    require(out != NULL && lost != NULL);
    const int rc = import_text(&source, kind, out, lost);
    require(fclose(out) == 0 && fclose(lost) == 0);
    require(rc == 0 || (yaml_len == 0 && told_len > 0));
    if (rc == 0) {
        check(yaml, yaml_len);
    }
    /* It goes to a terminal: nothing in it may be a command to one. */
    for (size_t i = 0; i < told_len; i++) {
        require((unsigned char)told[i] >= 0x20 || told[i] == '\n');
    }
    free(yaml);
    free(told);
    return 0;
}
