/* Worker specifications: see spec.h. */
#include "broker/core/spec.h"

#include "proto/name.h"

#include <stdlib.h>
#include <string.h>

static const char *const level_words[SPEC_LEVEL_COUNT] = {[SPEC_LEVEL_ERROR] = "error",
                                                          [SPEC_LEVEL_WARN] = "warn",
                                                          [SPEC_LEVEL_INFO] = "info",
                                                          [SPEC_LEVEL_DEBUG] = "debug"};

const char *
spec_level_word(enum spec_level level)
{
    return level_words[level];
}

bool
spec_level_read(struct span word, enum spec_level *level)
{
    for (unsigned i = 0; i < SPEC_LEVEL_COUNT; i++) {
        if (span_is(word, level_words[i])) {
            *level = (enum spec_level)i;
            return true;
        }
    }
    return false;
}

void
spec_defaults(struct worker_spec *spec)
{
    *spec = (struct worker_spec){
        .replicas = 1,
        .autostart = true,
        .ready = SPEC_READY_ATTACH,
        .restart = SPEC_RESTART_ON_FAILURE,
        .start_timeout_ms = 120000,
        .restart_delay_ms = 100,
        .restart_delay_ms_max = 30000,
        .restarts_max = 5,
        .restart_window_ms = 60000,
        .stop_signal = 15,
        .stop_timeout_ms = 5000,
        .queue_max = 1024,
        .batch_max = 64,
        .output = {.level = SPEC_LEVEL_DEBUG, .file_bytes_max = 10 << 20, .backups = 3},
    };
}

struct worker_spec *
spec_copy(const struct worker_spec *spec)
{
    const size_t name_bytes = strlen(spec->name) + 1;
    struct worker_spec *copy = malloc(sizeof *copy + name_bytes + spec->launch.text_bytes);
    if (copy == NULL) {
        return NULL;
    }
    char *text = (char *)(copy + 1);
    *copy = *spec;
    memcpy(text, spec->name, name_bytes);
    copy->name = text;
    if (spec->launch.text_bytes > 0) {
        memcpy(text + name_bytes, spec->launch.text, spec->launch.text_bytes);
    }
    copy->launch.text = text + name_bytes;
    return copy;
}

void
spec_free(struct worker_spec *spec)
{
    free(spec);
}
