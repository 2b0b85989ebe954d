/* One reading of a configuration: what its parts share. Private to broker/config.
 *
 *   reader.c  libyaml's events, and the stack of what is open
 *   include.c the files of one reading, one after the other
 *   secrets.c the values of `env_file`
 *   device_read.c  devices, of which the kind says what options they have
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

#include "broker/config/device.h"
#include "broker/config/object.h"

/* A place in a file, from 1; line 0 is no place: an option that was not given. `file` is the index
 * in `files` of the reader. */
struct config_mark {
    uint32_t line, column, file;
};

/* A file of the configuration. The first is the one that was asked for; its `path` is what it would
 * be called by the others, which is NULL where memory ends. */
struct config_origin {
    char *path, *directory; /* absolute, owned */
    struct config_mark at;  /* where it is included */
    uint32_t depth;         /* 0: the first */
    uint32_t next;          /* the file that is read after this one; 0: none */
    bool was_read;
    uint64_t device, inode;
};

/* A worker, or `defaults:`, while it is read: only what the file says, the rest is zero. */
struct config_draft {
    struct config_worker worker;
    struct config_mark at;                        /* of its name */
    struct config_mark given[CONFIG_OPTIONS_MAX]; /* by index in the table: where its key stands */
    bool is_device;
    struct config_mark device_given[CONFIG_DEVICE_SLOT_COUNT];
};

enum config_level_kind {
    CONFIG_LEVEL_ROOT,
    CONFIG_LEVEL_OPTIONS, /* hub, defaults, one worker, or one device */
    CONFIG_LEVEL_WORKERS,
    CONFIG_LEVEL_DEVICES,
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
    struct config_draft *draft;           /* OPTIONS of a device, else NULL */
    const struct config_option *option;   /* OPTIONS: of the key; LIST, MAP: whose value this is */
    void *object;                         /* OPTIONS, LIST, MAP: where the values go */
    const char *label;                    /* OPTIONS: "hub", "defaults" or the worker's name */
    char *name;                           /* MAP: the key, owned */
};

/* A list inside a worker inside `workers` inside the file: nothing deeper has a meaning, so nothing
 * deeper is ever opened, whatever the file holds. */
enum { CONFIG_LEVELS_MAX = 4 };

/* The events of a device, from behind its opening to its end. */
struct config_held {
    yaml_event_t *events; /* owned */
    size_t count, cap;
    size_t depth; /* 0: none are held back now */
};
enum { CONFIG_HELD_MAX = 8192 };

struct config_reader {
    struct config_source source; /* of the file that is read now, without its byte order mark */
    const struct config_env *env;
    struct config_origin *files; /* CONFIG_FILES_MAX of them, made at the beginning */
    uint32_t file_count, current;
    uint32_t last;    /* the next file to include comes behind this one */
    const char *name; /* of the first file, as the caller calls it */
    char *data;       /* of an included file that is read now; owned */
    struct config_diag *diag;
    yaml_parser_t yaml;
    bool has_document;
    struct config_level levels[CONFIG_LEVELS_MAX];
    size_t depth;
    struct config_held held;
    struct config_mark sections[CONFIG_SECTION_COUNT];
    struct config_hub hub;
    struct config_mark hub_given[CONFIG_OPTIONS_MAX];
    struct config_draft defaults;
    struct config_draft *drafts; /* the workers so far; it moves when one more is read */
    size_t draft_count, draft_cap;
    size_t total_bytes;
};

/* Of a text that is kept: what stands before a value that came from an env_file. */
#define CONFIG_TAG_ENV_FILE "!env_file"

/* include.c: begin with the file that was asked for. `source` is borrowed until the end. */
int config_include_begin(struct config_reader *reader, const struct config_source *source,
                         const struct config_file *file);
/* Take a scalar of `include:`: a path, or a pattern of paths. */
int config_include_add(struct config_reader *reader, const yaml_event_t *event);
/* Make the next file the source. 1, or 0 when all were read. */
int config_include_next(struct config_reader *reader);
void config_include_deinit(struct config_reader *reader);
/* "line 3", or "conf.d/a.yaml:3:1" when that is another file than the one of `from`. */
enum { CONFIG_PLACE_BYTES_MAX = 300 };
void config_place(const struct config_reader *reader, struct config_mark at,
                  struct config_mark from, char out[CONFIG_PLACE_BYTES_MAX]);
/* How a file is called in messages: below the folder of the first file it begins as that file's own
 * name does. Cut to `size_bytes` with the NUL, without control characters. */
void config_shown_path(const struct config_reader *reader, const char *path, char *out,
                       size_t size_bytes);

/* secrets.c: add the variables of a worker's env_file to its environment. */
int config_envfile_apply(struct config_reader *reader, struct config_draft *draft);

/* reader.c: read all files. */
int config_reader_run(struct config_reader *reader);
void config_reader_deinit(struct config_reader *reader);

/* keys.c: take a key and remember in `level` what its value will belong to. */
int config_key_section(struct config_reader *reader, struct config_level *level,
                       const yaml_event_t *event);
int config_key_option(struct config_reader *reader, struct config_level *level,
                      const yaml_event_t *event);
int config_key_worker(struct config_reader *reader, struct config_level *level,
                      const yaml_event_t *event);

/* device_read.c: hold back an event, which is moved; `held.depth` is 0 when it was the last one. */
int config_device_hold(struct config_reader *reader, yaml_event_t *event);
void config_device_drop(struct config_reader *reader);
/* Look which kind of device is held back. */
int config_device_begin(struct config_reader *reader, struct config_draft *draft);
int config_key_device(struct config_reader *reader, struct config_level *level,
                      const yaml_event_t *event);
/* Defaults of its kind, what has to fit together, its command; before those of workers. */
int config_device_finish(struct config_reader *reader, struct config_draft *draft);
/* Put its options into its environment; after all else. */
int config_device_tell(struct config_reader *reader, struct config_draft *draft);

/* store.c: the text of a scalar that is a path, as an absolute one. Owned (free); NULL with the
 * diagnosis filled. A leading - stays in front of it where `option` is a list of paths. */
char *config_store_path(struct config_reader *reader, const struct config_option *option,
                        const yaml_event_t *event);
/* Put a scalar in the member of `option`, a new item, or a new pair. */
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
/* The same for a line of a file that is no part of the configuration itself. */
__attribute__((format(printf, 4, 5))) int config_fail_other(struct config_reader *reader,
                                                            const char *path, uint32_t line,
                                                            const char *format, ...);
int config_fail_nomem(struct config_reader *reader);
/* "'replicas' must be a whole number from 1 to 256, got 'two'", and `why` behind it if not empty.
 */
int config_fail_value(struct config_reader *reader, const struct config_option *option,
                      const yaml_event_t *event, const char *why);
/* What libyaml says about a file that is no YAML. */
int config_fail_yaml(struct config_reader *reader);

struct config_mark config_mark_of(const struct config_reader *reader, const yaml_event_t *event);
/* A scalar that means "nothing" in YAML: no text, ~ or null, without quotes. */
bool config_event_is_null(const yaml_event_t *event);
/* The text of a scalar event, borrowed. */
const char *config_event_text(const yaml_event_t *event);

enum { CONFIG_QUOTE_BYTES_MAX = 72 };
/* 'text' in quotes, cut where it is long, without control characters and without secrets (see
 * proto/mask.h): fit for a terminal and for a bug report. */
void config_quote(const char *text, char out[CONFIG_QUOTE_BYTES_MAX]);
/* A path in quotes, as config_shown_path has it, cut at the front: its end says more. */
enum { CONFIG_QUOTED_PATH_BYTES_MAX = 260 };
void config_quote_path(const struct config_reader *reader, const char *path,
                       char out[CONFIG_QUOTED_PATH_BYTES_MAX]);
/* A question mark for each control character. Used by broker/import, too. */
void config_make_harmless(char *text);

#endif
