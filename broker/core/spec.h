/* What a worker is: the part of the configuration that the hub's policy and the spawner need. */
#ifndef PRONG_CORE_SPEC_H
#define PRONG_CORE_SPEC_H

#include "proto/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum spec_restart { SPEC_RESTART_NO, SPEC_RESTART_ON_FAILURE, SPEC_RESTART_ALWAYS };
/* When a process counts as ready. The last three are found out by the shell, which says so. */
enum spec_ready {
    SPEC_READY_ATTACH,
    SPEC_READY_STARTED,
    SPEC_READY_NOTIFY, /* it says READY=1 as a service of systemd does */
    SPEC_READY_TCP,    /* somebody listens where `ready_at` says: HOST:PORT or PORT */
    SPEC_READY_LOG,    /* it writes a line that has `ready_at` in it */
};
/* How far another worker has to be. */
enum spec_when { SPEC_WHEN_READY, SPEC_WHEN_STARTED, SPEC_WHEN_COMPLETED, SPEC_WHEN_COUNT };

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
 * `envc` settings NAME=value, `limitc` limits of the process KEY=VALUE. The core carries it and
 * never looks inside. */
struct launch {
    uint32_t argc, envc;
    const char *text;
    size_t text_bytes;
    uint32_t limitc;
    bool is_warm; /* its processes are forked by a template; PRONG_PRELOAD among the settings says
                     how */
};

struct spec_other {
    const char *worker;
    enum spec_when when;
};

/* Times in milliseconds, 0 for never where that makes sense. A spec inside the core owns its texts;
 * elsewhere they are borrowed. */
struct worker_spec {
    const char *name;
    struct launch launch;
    uint32_t replicas;
    bool autostart;
    bool added; /* by somebody while the hub ran, not by the configuration */
    enum spec_ready ready;
    const char *ready_at;             /* "" when `ready` needs none */
    const struct spec_other *depends; /* start only when these are so far */
    uint32_t depend_count;
    const struct spec_other *restart_with; /* start again when these do; `when` means nothing */
    uint32_t restart_with_count;
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
    /* When a process is replaced by a new one though it is well. */
    uint64_t calls_max, memory_bytes_max;
    int64_t age_ms_max;
    bool stop_first; /* the old one ends before the new one starts */
    /* When it counts as hung. */
    int64_t busy_ms_max; /* it has calls, and tells nothing of any of them */
    int64_t cancel_ms;   /* it goes on with calls that nobody waits for */
    int64_t heartbeat_ms;
    bool replace_stuck; /* start another one beside a process that survives SIGKILL */
    uint32_t refs;      /* of a copy: who keeps it (spec_ref) */
    /* Of a copy: an effect points to it, and so does the one that was kept before (effect.c). */
    bool in_effect;
    struct worker_spec *next_in_effect;
};

/* The defaults of every field but name and launch. */
void spec_defaults(struct worker_spec *spec);
/* A copy that owns its texts, with one reference; NULL when memory is out. */
struct worker_spec *spec_copy(const struct worker_spec *spec);
/* One more who keeps it. */
struct worker_spec *spec_ref(struct worker_spec *spec);
/* One less; the last one frees it. Accepts NULL. */
void spec_unref(struct worker_spec *spec);
/* Whether a process made from one is what the other one wants: all that differs is for the hub. */
bool spec_is_same_process(const struct worker_spec *a, const struct worker_spec *b);
/* Whether nothing differs. */
bool spec_is_same(const struct worker_spec *a, const struct worker_spec *b);

#endif
