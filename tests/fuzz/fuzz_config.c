/* Any bytes as a configuration file: no crash, no leak, and a result or a message, never both.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -std=c17 \
 *       -D_GNU_SOURCE -I. tests/fuzz/fuzz_config.c broker/config/<all>.c -lyaml
 *
 * Seeds: tests/fuzz/corpus/config and tests/unit/config/bad. */
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

static void
require(bool ok)
{
    if (!ok) {
        abort();
    }
}

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
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct config_env env = {.get = get};
    const struct config_source source = {
        .name = "fuzz.yaml", .directory = "/fuzz", .data = data, .size_bytes = size};
    struct config *config = NULL;
    struct config_diag diag;
    char text[2 * CONFIG_DIAG_BYTES_MAX];
    if (config_load_text(&source, &env, &config, &diag) == 0) {
        require(config != NULL);
        check_config(config);
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
