/* The configuration of a hub, read from a YAML file and those that it names.
 *
 * Owns the texts of a configuration; keeps no file open and no state between calls. Reads the file
 * and asks the environment it is given, which also has the files that it names, and nothing else:
 * no socket, no clock, no log. Used by the broker and by the command line, on one thread at a time
 * per object. The options themselves stand in options.def.
 *
 * Functions that can fail return 0, or -1 with a filled `struct config_diag`; results are written
 * on success only. */
#ifndef PRONG_CONFIG_CONFIG_H
#define PRONG_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CONFIG_FILE_BYTES_MAX = 1024 * 1024,
    CONFIG_WORKERS_MAX = 256,
    CONFIG_NAME_BYTES_MAX = 64,
    CONFIG_TEXT_BYTES_MAX = 32 * 1024,         /* one value, after ${VAR} was put in */
    CONFIG_TOTAL_BYTES_MAX = 16 * 1024 * 1024, /* all values of one configuration */
    CONFIG_PATH_BYTES_MAX = 4096,
    CONFIG_FILES_MAX = 256,       /* of one configuration, with all that are included */
    CONFIG_INCLUDE_DEPTH_MAX = 8, /* a file that is included by one that is included ... */
    CONFIG_DIAG_BYTES_MAX = 2048,
};

/* The words of the ENUM options: CONFIG_RESTART_ON_FAILURE of enum config_restart, and so on. */
#define CONFIG_ENUM(key, set)                                                                      \
    enum config_##key                                                                              \
    {
#define CONFIG_VALUE(set, name, text) CONFIG_##set##_##name,
#define CONFIG_ENUM_END                                                                            \
    }                                                                                              \
    ;
#include "broker/config/options.def"

/* `items` is NULL when empty and otherwise ends with a NULL behind the last item, as exec wants it.
 */
struct config_list {
    char **items;
    size_t count;
};

struct config_pair {
    char *name, *value;
    int64_t number; /* of a map whose values are no texts: the value in the base unit */
    bool is_secret; /* of an environment: it came from an env_file, and is never shown; a percent
                       sign in it has no meaning */
};

struct config_map {
    struct config_pair *items;
    size_t count;
};

/* C type of a member by the kind of its option. DURATION is in milliseconds, SIZE in bytes, SIGNAL
 * a signal number. A STRING or PATH that was not given and has no default is NULL. */
#define CONFIG_TYPE_INT(key)      int64_t
#define CONFIG_TYPE_BOOL(key)     bool
#define CONFIG_TYPE_STRING(key)   char *
#define CONFIG_TYPE_ENUM(key)     enum config_##key
#define CONFIG_TYPE_DURATION(key) int64_t
#define CONFIG_TYPE_SIZE(key)     int64_t
#define CONFIG_TYPE_LIST(key)     struct config_list
#define CONFIG_TYPE_MAP(key)      struct config_map
#define CONFIG_TYPE_PATH(key)     char *
#define CONFIG_TYPE_SIGNAL(key)   int

struct config_hub {
#define CONFIG_HUB_OPTION(kind, key, member, ...) CONFIG_TYPE_##kind(key) member;
#include "broker/config/options.def"
};

struct config_device; /* device.h */

/* A device is a worker, too: `device` is then what its kind is told, and command and the like are
 * made from it. NULL for a worker. */
struct config_worker {
    char *name;
    struct config_device *device;
#define CONFIG_WORKER_OPTION(kind, key, member, ...) CONFIG_TYPE_##kind(key) member;
#include "broker/config/options.def"
};

/* `workers` are in the order of the file and of those that it includes, with `defaults:` and the
 * values of each env_file already applied.
 * `directory` is where relative paths of this configuration began; workers that name no working_dir
 * have it there. */
struct config {
    struct config_hub hub;
    struct config_worker *workers;
    size_t worker_count;
    char *directory;
};

/* The keys of hub options that differ, with commas between, as much as fits; "" when none does. */
void config_hub_differs(const struct config_hub *a, const struct config_hub *b, char *out,
                        size_t out_bytes);

/* What is wrong and where. `file` is the name that the caller gave (borrowed from that call), and
 * `included` the file at fault when that is another one, else empty: an included file or an
 * env_file. `line` and `column` count from 1 and are 0 when the fault belongs to the file as a
 * whole. `error` is 0 when the content is at fault, otherwise an errno value (ENOENT, EACCES,
 * ENOMEM, ...). */
struct config_diag {
    const char *file;
    char included[CONFIG_PATH_BYTES_MAX];
    uint32_t line, column;
    int error;
    char text[CONFIG_DIAG_BYTES_MAX];
};

/* A file that was read whole. `data` is owned by whoever asked for it (free). Device and inode tell
 * that two names are of one file; both are 0 where that is not known. */
struct config_file {
    char *data;
    size_t size_bytes;
    uint64_t device, inode;
};

/* Where ${VAR} comes from: `get` returns a borrowed text, valid until the configuration was read,
 * or NULL. A NULL `struct config_env *` means that no variable is set. `has_group` and `has_user`
 * tell whether the system has a group or user of this name, `has_user` also of this number;
 * `find_near` writes the name that is closest to one that it has not, or "". `cpu_count` is how
 * many CPUs the machine can have, 0 if that is not known. Without one of these everything is taken.
 *
 * `find_program` gives the path of a program that comes with the hub (owned, free; NULL when memory
 * is out); without it the name is taken, and looked for in PATH.
 *
 * `read_file` reads a file for `include` and `env_file`, of at most CONFIG_FILE_BYTES_MAX;
 * `find_files` adds the paths that match a pattern of glob(7) to `found` (texts from malloc), in
 * order, and finds none without calling that an error. Paths are absolute. Both return -1 with the
 * text and the error of `diag` filled. Where they are NULL, both keys are refused. */
enum { CONFIG_NEAR_BYTES_MAX = 65 };
enum config_names { CONFIG_NAMES_USERS, CONFIG_NAMES_GROUPS };

struct config_env {
    const char *(*get)(void *context, const char *name);
    void *context;
    bool (*has_group)(void *context, const char *name);
    bool (*has_user)(void *context, const char *name);
    void (*find_near)(void *context, enum config_names names, const char *name,
                      char out[CONFIG_NEAR_BYTES_MAX]);
    int (*cpu_count)(void *context);
    char *(*find_program)(void *context, const char *name);
    int (*read_file)(void *context, const char *path, struct config_file *file,
                     struct config_diag *diag);
    int (*find_files)(void *context, const char *pattern, struct config_list *found,
                      struct config_diag *diag);
};

/* The environment of this process, and what its system has: users, groups, CPUs and files. */
extern const struct config_env config_env_process;

/* Text to read instead of a file. `name` is only used in messages, `directory` is where relative
 * paths begin (absolute; anything else counts as "/"). All borrowed for the call.
 * `is_kept` says that config_show wrote the text with `reveal`: it may be as large as it is, and
 * what came from an env_file stands in it, so that no such file is read. */
struct config_source {
    const char *name;
    const char *directory;
    const void *data;
    size_t size_bytes;
    bool is_kept;
};

/* Read a file, or a pipe that this process was given; nothing else is waited for. An empty file is
 * a valid configuration. On success *out is owned and freed with
 * config_free. Errors: -1 with *diag. */
int config_load(const char *file, const struct config_env *env, struct config **out,
                struct config_diag *diag);
int config_load_text(const struct config_source *source, const struct config_env *env,
                     struct config **out, struct config_diag *diag);
/* A hub without any file: every option has its default, there are no workers, `directory` is NULL.
 * Owned as above; NULL when memory is out. */
struct config *config_new(void);
/* Accepts NULL. */
void config_free(struct config *config);

/* Fill a worker that is added at run time with the defaults of the table; name and command are left
 * empty. The caller may put texts of its own (malloc) in the members and empties all of it with
 * config_worker_deinit. -1 when memory is out; `worker` is then empty. */
int config_defaults_worker(struct config_worker *worker);
void config_worker_deinit(struct config_worker *worker);
/* Whether a worker may have this name: 1..64 of a-z, 0-9, _ and -, and not "hub". */
bool config_worker_name_is_valid(const char *name);

/* Look for the configuration file: ./prong.yaml, $XDG_CONFIG_HOME/prong/prong.yaml (or
 * ~/.config/prong/prong.yaml), /etc/prong/prong.yaml. A file that exists but cannot be read is
 * found, so that config_load tells the reason instead of another file being taken in silence.
 * 0 with *out owned (free), or NULL when there is none; -1 when memory is out. */
int config_find(const struct config_env *env, char **out);

/* "file:line:column: text", cut to `size_bytes` with the NUL. */
void config_diag_format(const struct config_diag *diag, char *out, size_t size_bytes);

/* The manual as Markdown, the same as a man page of section 5, and a file with every option as a
 * comment. -1 when writing failed. */
int config_print_manual(FILE *out);
int config_print_man(FILE *out, const char *version);
int config_print_default(FILE *out);

/* What a configuration comes to: every option with its value. As YAML it reads back as the same
 * configuration, but for what is masked; as JSON a value is written as in the file, and an INT or
 * BOOL as number or truth value. Secrets are masked (see proto/mask.h, and is_secret of a pair,
 * which in YAML stands in a comment because env_file brings it again). `worker` is the name of the
 * only one to show, without the hub; NULL for all.
 *
 * With `reveal`, which is for YAML that the hub keeps for itself, nothing is masked, and what came
 * from an env_file is there with a mark: config_load_text reads it back with `is_kept` as exactly
 * the same configuration, without any other file.
 *
 * -1 with errno when writing failed; with `reveal` EILSEQ when a text is not in UTF-8, which YAML
 * cannot hold. */
struct config_show {
    const char *worker;
    bool as_json;
    bool reveal;
};
int config_show(FILE *out, const struct config *config, const struct config_show *how);

#endif
