/* What a worker is: the part of the configuration that the hub's policy and the spawner need. */
#ifndef PRONG_CORE_SPEC_H
#define PRONG_CORE_SPEC_H

#include "proto/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum spec_restart { SPEC_RESTART_NO, SPEC_RESTART_ON_FAILURE, SPEC_RESTART_ALWAYS };
enum spec_ready { SPEC_READY_ATTACH, SPEC_READY_STARTED };

/* How important a line is, the most important first. */
enum spec_level { SPEC_LEVEL_ERROR, SPEC_LEVEL_WARN, SPEC_LEVEL_INFO, SPEC_LEVEL_DEBUG };
enum { SPEC_LEVEL_COUNT = SPEC_LEVEL_DEBUG + 1 };
/* "error", "warn", "info", "debug"; and back, false when it is none of them. */
const char *spec_level_word(enum spec_level level);
bool spec_level_read(struct span word, enum spec_level *level);

enum spec_log { SPEC_LOG_FILE, SPEC_LOG_JOURNAL, SPEC_LOG_INHERIT, SPEC_LOG_NONE };

/* What becomes of what it writes, and what it reads. The core only looks at `takes_input`. */
struct spec_output {
    enum spec_log log;
    enum spec_level level; /* the least important lines that are logged */
    size_t file_bytes_max;
    uint32_t backups;
    bool is_events;   /* each line is an event, too */
    bool takes_input; /* a pipe is its stdin, for what is sent to it */
};

/* How to start it. `text` is NUL-terminated strings in a row: the working folder, `argc` arguments,
 * `envc` settings NAME=value. The core carries it and never looks inside. */
struct launch {
    uint32_t argc, envc;
    const char *text;
    size_t text_bytes;
};

/* Times in milliseconds. A spec inside the core owns its texts; elsewhere they are borrowed. */
struct worker_spec {
    const char *name;
    struct launch launch;
    uint32_t replicas;
    bool autostart;
    enum spec_ready ready;
    enum spec_restart restart;
    int64_t start_timeout_ms;
    int64_t restart_delay_ms, restart_delay_ms_max;
    uint32_t restarts_max;
    int64_t restart_window_ms;
    int stop_signal;
    int64_t stop_timeout_ms;
    uint32_t queue_max;
    uint32_t batch_max; /* calls given to a replica at a time, short ones */
    struct spec_output output;
};

/* The defaults of every field but name and launch. */
void spec_defaults(struct worker_spec *spec);
/* A copy that owns its texts, NULL when memory is out; freed by spec_free, which accepts NULL. */
struct worker_spec *spec_copy(const struct worker_spec *spec);
void spec_free(struct worker_spec *spec);

#endif
