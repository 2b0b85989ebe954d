/* The table of options: see options.h. */
#include "broker/config/options.h"

#include <assert.h>
#include <string.h>

#include "broker/config/depends.h"
#include "broker/config/limit.h"
#include "broker/config/module.h"
#include "broker/config/topic.h"
#include "broker/config/url.h"
#include "broker/config/value.h"
#include "proto/wire.h"

#define SECONDS(n) ((int64_t)(n)*1000)
#define HOURS(n)   ((int64_t)(n)*3600 * 1000)
#define KIB(n)     ((int64_t)(n)*1024)
#define MIB(n)     ((int64_t)(n)*1024 * 1024)
#define GIB(n)     ((int64_t)(n)*1024 * 1024 * 1024)

/* What all options have that become a limit of the process (broker/spawn/limits.def). */
#define LIMIT_FIELDS(key)                                                                          \
    .min = 1, .max = 64, .check = config_limit_##key, .accepts = limits_accepts_##key
#define LIMIT_TEXT(key)  LIMIT_FIELDS(key), .unset = "as the hub has it"
#define CGROUP_TEXT(key) LIMIT_FIELDS(key), .unset = "none of its own"

/* clang-format off */
#define CONFIG_ENUM(key, set) static const char *const values_##key[] = {
#define CONFIG_VALUE(set, name, text) [CONFIG_##set##_##name] = (text),
#define CONFIG_ENUM_END NULL};
#include "broker/config/options.def"

static const struct config_option each_silence = {
    .key = "max_silence", .kind = CONFIG_KIND_DURATION, .min = 100, .max = HOURS(24)};

static const struct config_option each_stream_silence = {
    .key = "stream_silence", .kind = CONFIG_KIND_DURATION, .min = 100, .max = HOURS(24)};

static const struct config_option each_depends_on = {
    .key = "depends_on", .kind = CONFIG_KIND_ENUM, .allowed = values_depends_on};

static const struct config_option hub_options[] = {
#define CONFIG_HUB_OPTION(kind_, key_, member_, ...)                                               \
    {.key = #key_, .kind = CONFIG_KIND_##kind_, .offset = offsetof(struct config_hub, member_),    \
     __VA_ARGS__},
#include "broker/config/options.def"
};

static const struct config_option worker_options[] = {
#define CONFIG_WORKER_OPTION(kind_, key_, member_, ...)                                            \
    {.key = #key_, .kind = CONFIG_KIND_##kind_, .offset = offsetof(struct config_worker, member_), \
     __VA_ARGS__},
#include "broker/config/options.def"
};

const struct config_option config_include_option = {
    .key = "include", .kind = CONFIG_KIND_LIST, .max = CONFIG_FILES_MAX, .has_paths = true};

const struct config_section config_sections[CONFIG_SECTION_COUNT] = {
#define CONFIG_SECTION(id_, key_, help_) {CONFIG_SECTION_##id_, #key_, help_},
#include "broker/config/options.def"
};
/* clang-format on */

#define COUNT_OF(table) (sizeof(table) / sizeof(table)[0])
static_assert(COUNT_OF(hub_options) <= CONFIG_OPTIONS_MAX, "raise CONFIG_OPTIONS_MAX");
static_assert(COUNT_OF(worker_options) <= CONFIG_OPTIONS_MAX, "raise CONFIG_OPTIONS_MAX");
/* The reader stores the index of a word through an int. */
static_assert(sizeof(enum config_restart) == sizeof(int), "an enum has to be as wide as an int");

const struct config_table config_hub_table = {hub_options, COUNT_OF(hub_options)};
const struct config_table config_worker_table = {worker_options, COUNT_OF(worker_options)};

int
config_option_find(const struct config_table *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->options[i].key, key) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void
describe_range(const struct config_option *option, const char *what, const char *units, char *out,
               size_t size_bytes)
{
    char low[CONFIG_NUMBER_BYTES_MAX], high[CONFIG_NUMBER_BYTES_MAX];
    config_number_format(option->kind, option->min, low);
    config_number_format(option->kind, option->max, high);
    snprintf(out, size_bytes, "%s from %s to %s%s", what, low, high, units);
}

static void
describe_words(const struct config_option *option, char *out, size_t size_bytes)
{
    size_t used = (size_t)snprintf(out, size_bytes, "one of ");
    for (size_t i = 0; option->allowed[i] != NULL && used < size_bytes; i++) {
        used += (size_t)snprintf(out + used, size_bytes - used, "%s%s", i > 0 ? ", " : "",
                                 option->allowed[i]);
    }
}

void
config_option_describe(const struct config_option *option, char *out, size_t size_bytes)
{
    switch (option->kind) {
    case CONFIG_KIND_INT:
        describe_range(option, "a whole number", "", out, size_bytes);
        break;
    case CONFIG_KIND_DURATION:
        describe_range(option, "a duration", " (a number with ms, s, m or h)", out, size_bytes);
        break;
    case CONFIG_KIND_SIZE:
        describe_range(option, "a size", " (a number with B, KiB, MiB or GiB)", out, size_bytes);
        break;
    case CONFIG_KIND_ENUM:
        describe_words(option, out, size_bytes);
        break;
    case CONFIG_KIND_BOOL:
        snprintf(out, size_bytes, "true or false");
        break;
    case CONFIG_KIND_STRING:
        if (option->accepts != NULL) {
            snprintf(out, size_bytes, "%s", option->accepts);
            break;
        }
        snprintf(out, size_bytes, "a text of %d to %d bytes", (int)option->min, (int)option->max);
        break;
    case CONFIG_KIND_LIST:
        snprintf(out, size_bytes, "%s%s",
                 option->has_paths ? "a path or a list of paths" : "a list of ",
                 option->has_paths         ? ""
                 : option->accepts != NULL ? option->accepts
                                           : "texts");
        break;
    case CONFIG_KIND_MAP:
        snprintf(out, size_bytes, "a map of %s",
                 option->each == NULL                         ? "texts"
                 : option->each->kind == CONFIG_KIND_DURATION ? "durations"
                                                              : "words");
        break;
    case CONFIG_KIND_PATH:
        snprintf(out, size_bytes, "a path");
        break;
    case CONFIG_KIND_SIGNAL:
        snprintf(out, size_bytes,
                 "a signal: a name such as TERM or SIGTERM, or a number from %d to %d",
                 (int)option->min, (int)option->max);
        break;
    }
}
