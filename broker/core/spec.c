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
        .ready_at = "",
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

/* ---- copies: one allocation that holds the spec, its lists and its texts -----------------------
 */

static size_t
texts_bytes(const struct spec_other *list, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += strlen(list[i].worker) + 1;
    }
    return bytes;
}

static const char *
put_bytes(char **at, const char *bytes, size_t len)
{
    char *to = *at;
    if (len > 0) {
        memcpy(to, bytes, len);
    }
    *at += len;
    return to;
}

static const char *
put_text(char **at, const char *text)
{
    return put_bytes(at, text, strlen(text) + 1);
}

static const struct spec_other *
put_others(struct spec_other *to, char **at, const struct spec_other *from, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = (struct spec_other){put_text(at, from[i].worker), from[i].when};
    }
    return to;
}

struct worker_spec *
spec_copy(const struct worker_spec *spec)
{
    const size_t others = spec->depend_count + spec->restart_with_count;
    const size_t texts = strlen(spec->name) + 1 + strlen(spec->ready_at) + 1 +
                         spec->launch.text_bytes + texts_bytes(spec->depends, spec->depend_count) +
                         texts_bytes(spec->restart_with, spec->restart_with_count);
    struct worker_spec *copy = malloc(sizeof *copy + others * sizeof(struct spec_other) + texts);
    if (copy == NULL) {
        return NULL;
    }
    struct spec_other *list = (struct spec_other *)(copy + 1);
    char *at = (char *)(list + others);
    *copy = *spec;
    copy->refs = 1;
    copy->in_effect = false;
    copy->name = put_text(&at, spec->name);
    copy->ready_at = put_text(&at, spec->ready_at);
    copy->launch.text = put_bytes(&at, spec->launch.text, spec->launch.text_bytes);
    copy->depends = put_others(list, &at, spec->depends, spec->depend_count);
    copy->restart_with =
        put_others(list + spec->depend_count, &at, spec->restart_with, spec->restart_with_count);
    return copy;
}

struct worker_spec *
spec_ref(struct worker_spec *spec)
{
    spec->refs++;
    return spec;
}

void
spec_unref(struct worker_spec *spec)
{
    if (spec != NULL && --spec->refs == 0) {
        free(spec);
    }
}

/* ---- what differs -----------------------------------------------------------------------------
 */

bool
spec_is_same_process(const struct worker_spec *a, const struct worker_spec *b)
{
    return a->launch.argc == b->launch.argc && a->launch.envc == b->launch.envc &&
           a->launch.limitc == b->launch.limitc && a->launch.is_warm == b->launch.is_warm &&
           a->launch.text_bytes == b->launch.text_bytes &&
           (a->launch.text_bytes == 0 ||
            memcmp(a->launch.text, b->launch.text, a->launch.text_bytes) == 0) &&
           a->ready == b->ready && strcmp(a->ready_at, b->ready_at) == 0 &&
           a->heartbeat_ms == b->heartbeat_ms && a->output.takes_input == b->output.takes_input;
}

static bool
are_same_others(const struct spec_other *a, const struct spec_other *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (a[i].when != b[i].when || strcmp(a[i].worker, b[i].worker) != 0) {
            return false;
        }
    }
    return true;
}

/* Every member that is a number and says something of the worker. */
static const struct {
    size_t offset, size;
} numbers[] = {
#define NUMBER(member)                                                                             \
    {                                                                                              \
        offsetof(struct worker_spec, member), sizeof((struct worker_spec *)0)->member              \
    }
    NUMBER(replicas),
    NUMBER(autostart),
    NUMBER(restart),
    NUMBER(start_timeout_ms),
    NUMBER(restart_delay_ms),
    NUMBER(restart_delay_ms_max),
    NUMBER(restarts_max),
    NUMBER(restart_window_ms),
    NUMBER(stop_signal),
    NUMBER(stop_timeout_ms),
    NUMBER(queue_max),
    NUMBER(batch_max),
    NUMBER(depend_count),
    NUMBER(calls_max),
    NUMBER(memory_bytes_max),
    NUMBER(restart_with_count),
    NUMBER(age_ms_max),
    NUMBER(stop_first),
    NUMBER(busy_ms_max),
    NUMBER(cancel_ms),
    NUMBER(replace_stuck),
    NUMBER(output.log),
    NUMBER(output.level),
    NUMBER(output.backups),
    NUMBER(output.file_bytes_max),
    NUMBER(output.is_events),
#undef NUMBER
};

bool
spec_is_same(const struct worker_spec *a, const struct worker_spec *b)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (memcmp((const char *)a + numbers[i].offset, (const char *)b + numbers[i].offset,
                   numbers[i].size) != 0) {
            return false;
        }
    }
    return spec_is_same_process(a, b) && are_same_others(a->depends, b->depends, a->depend_count) &&
           are_same_others(a->restart_with, b->restart_with, a->restart_with_count);
}
