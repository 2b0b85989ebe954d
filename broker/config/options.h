/* The table of options as data: what the reader, the printers and the tests walk over.
 *
 * Constant; nothing here allocates. Private to broker/config, broker/import and their tests. */
#ifndef PRONG_CONFIG_OPTIONS_H
#define PRONG_CONFIG_OPTIONS_H

#include "broker/config/config.h"

enum config_kind {
    CONFIG_KIND_INT,
    CONFIG_KIND_BOOL,
    CONFIG_KIND_STRING,
    CONFIG_KIND_ENUM,
    CONFIG_KIND_DURATION,
    CONFIG_KIND_SIZE,
    CONFIG_KIND_LIST,
    CONFIG_KIND_MAP,
    CONFIG_KIND_PATH,
    CONFIG_KIND_SIGNAL,
};

/* Tells whether one text (of a list: one item, of a map: one name) is possible; if not, `why` says
 * the reason. */
typedef bool config_check(const char *text, char *why, size_t why_bytes);

struct config_option {
    const char *key;
    enum config_kind kind;
    size_t offset; /* of the member in struct config_hub or struct config_worker */
    const char *fallback, *unset, *example, *help;
    const char *const *allowed; /* ends with NULL */
    int64_t min, max;
    config_check *check;
    const char *accepts;   /* STRING, LIST: what check lets pass, in words; NULL: any text */
    bool has_paths;        /* LIST: its items are paths; one alone may stand without a list */
    bool is_optional_path; /* with has_paths: a - in front says that the file may be missing */
    const struct config_option *each; /* MAP: what its values are; NULL: texts */
    config_check *check_each;         /* MAP of texts: each value; `check` is for its names */
    const char *either, *with, *needs, *without; /* of devices: see proto/device/device.h */
};

struct config_table {
    const struct config_option *options;
    size_t count;
};

enum config_section_id {
#define CONFIG_SECTION(id, key, help) CONFIG_SECTION_##id,
#include "broker/config/options.def"
    CONFIG_SECTION_COUNT
};

struct config_section {
    enum config_section_id id;
    const char *key, *help;
};

enum { CONFIG_OPTIONS_MAX = 96 }; /* of one table; static_assert in options.c */

extern const struct config_table config_hub_table, config_worker_table;
extern const struct config_option config_include_option; /* what stands in `include` */
extern const struct config_section config_sections[CONFIG_SECTION_COUNT];

/* Index in the table, or -1. */
int config_option_find(const struct config_table *table, const char *key);

/* "a whole number from 1 to 256": what the option accepts. */
void config_option_describe(const struct config_option *option, char *out, size_t size_bytes);

#endif
