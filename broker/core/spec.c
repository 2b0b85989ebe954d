/* Worker specifications: see spec.h. */
#include "broker/core/spec.h"

#include <stdlib.h>
#include <string.h>

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
