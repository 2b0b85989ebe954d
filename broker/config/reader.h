/* One reading of one file: what its parts share. Private to broker/config.
 *
 *   reader.c  libyaml's events, and the stack of what is open
 *   keys.c    keys of the file's maps: known, and not there before
 *   store.c   one scalar to one member: ${VAR}, checks, limits
 *   confine.c users, groups and CPUs: whether this system has them
 *   finish.c  after the last event: `defaults:`, the table's defaults, what must fit together
 *   report.c  messages
 *
 * The reader owns all it has read until config_reader_finish moves it into the result. Functions
 * that return int give -1 after they have filled the diagnosis. */
#ifndef PRONG_CONFIG_READER_H
#define PRONG_CONFIG_READER_H

#include <yaml.h>

#include "broker/config/object.h"

/* A place in the file, from 1; line 0 is no place: an option that was not given. */
struct config_mark {
    uint32_t line, column;
};

/* A worker, or `defaults:`, while it is read: only what the file says, the rest is zero. */
struct config_draft {
    struct config_worker worker;
    struct config_mark at;                        /* of its name */
    struct config_mark given[CONFIG_OPTIONS_MAX]; /* by index in the table: where its key stands */
};

enum config_level_kind {
    CONFIG_LEVEL_ROOT,
    CONFIG_LEVEL_OPTIONS, /* hub, defaults, or one worker */
    CONFIG_LEVEL_WORKERS,
    CONFIG_LEVEL_LIST,
    CONFIG_LEVEL_MAP,
};

/* One collection that is open. In a map the key comes first: `has_key` says that its value is due.
 */
struct config_level {
    enum config_level_kind kind;
    bool has_key;
    const struct config_section *section; /* ROOT: of the key that was read */
    const struct config_table *table;     /* OPTIONS */
    struct config_mark *given;            /* OPTIONS */
    const struct config_option *option;   /* OPTIONS: of the key; LIST, MAP: whose value this is */
    void *object;                         /* OPTIONS, LIST, MAP: where the values go */
    const char *label;                    /* OPTIONS: "hub", "defaults" or the worker's name */
    char *name;                           /* MAP: the key, owned */
};

/* A list inside a worker inside `workers` inside the file: nothing deeper has a meaning, so nothing
 * deeper is ever opened, whatever the file holds. */
enum { CONFIG_LEVELS_MAX = 4 };

struct config_reader {
    const struct config_source *source;
    const struct config_env *env;
    struct config_diag *diag;
    yaml_parser_t yaml;
    bool has_document;
    struct config_level levels[CONFIG_LEVELS_MAX];
    size_t depth;
    struct config_mark sections[CONFIG_SECTION_COUNT];
    struct config_hub hub;
    struct config_mark hub_given[CONFIG_OPTIONS_MAX];
    struct config_draft defaults;
    struct config_draft *drafts; /* CONFIG_WORKERS_MAX of them, made with the first */
    size_t draft_count;
    size_t total_bytes;
};

/* reader.c: read all of `source`. */
int config_reader_run(struct config_reader *reader);
void config_reader_deinit(struct config_reader *reader);

/* keys.c: take a key and remember in `level` what its value will belong to. */
int config_key_section(struct config_reader *reader, struct config_level *level,
                       const yaml_event_t *event);
int config_key_option(struct config_reader *reader, struct config_level *level,
                      const yaml_event_t *event);
int config_key_worker(struct config_reader *reader, struct config_level *level,
                      const yaml_event_t *event);

/* store.c: put a scalar in the member of `option`, a new item, or a new pair. */
int config_store_scalar(struct config_reader *reader, const struct config_option *option,
                        void *object, const yaml_event_t *event);
int config_store_item(struct config_reader *reader, struct config_level *level,
                      const yaml_event_t *event);
int config_store_name(struct config_reader *reader, struct config_level *level,
                      const yaml_event_t *event);
int config_store_pair(struct config_reader *reader, struct config_level *level,
                      const yaml_event_t *event);
/* Count bytes against CONFIG_TOTAL_BYTES_MAX. */
int config_store_charge(struct config_reader *reader, struct config_mark at, size_t size_bytes);

/* confine.c: what a worker names of the system has to be there. */
int config_confine_check(struct config_reader *reader, const struct config_draft *draft);
/* "; did you mean 'x'?" for a name that the system has not, or "". */
enum { CONFIG_MEANT_BYTES_MAX = CONFIG_NEAR_BYTES_MAX + 24 };
void config_confine_hint(const struct config_reader *reader, enum config_names names,
                         const char *name, char out[CONFIG_MEANT_BYTES_MAX]);

/* finish.c: make the configuration of what was read. */
int config_reader_finish(struct config_reader *reader, struct config **out);

/* report.c: all return -1, so that a caller can return them. */
__attribute__((format(printf, 3, 4))) int
config_fail(struct config_reader *reader, struct config_mark at, const char *format, ...);
int config_fail_nomem(struct config_reader *reader);
/* "'replicas' must be a whole number from 1 to 256, got 'two'", and `why` behind it if not empty.
 */
int config_fail_value(struct config_reader *reader, const struct config_option *option,
                      const yaml_event_t *event, const char *why);
/* What libyaml says about a file that is no YAML. */
int config_fail_yaml(struct config_reader *reader);

struct config_mark config_mark_of(const yaml_event_t *event);
/* A scalar that means "nothing" in YAML: no text, ~ or null, without quotes. */
bool config_event_is_null(const yaml_event_t *event);
/* The text of a scalar event, borrowed. */
const char *config_event_text(const yaml_event_t *event);

enum { CONFIG_QUOTE_BYTES_MAX = 72 };
/* 'text' in quotes, cut where it is long, without control characters: fit for a terminal. */
void config_quote(const char *text, char out[CONFIG_QUOTE_BYTES_MAX]);

#endif
