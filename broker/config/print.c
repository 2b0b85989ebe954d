/* The manual as Markdown and the commented default file, both from the table of options: see
 * config.h. */
#include "broker/config/print.h"

#include <assert.h>
#include <string.h>

#include "broker/config/value.h"

enum { COLUMNS_MAX = 98 };

const char *
config_type_name(const struct config_option *option)
{
    switch (option->kind) {
    case CONFIG_KIND_INT:
        return "whole number";
    case CONFIG_KIND_BOOL:
        return "true or false";
    case CONFIG_KIND_STRING:
        return "text";
    case CONFIG_KIND_ENUM:
        return "word";
    case CONFIG_KIND_DURATION:
        return "duration";
    case CONFIG_KIND_SIZE:
        return "size";
    case CONFIG_KIND_LIST:
        return option->has_paths         ? "path, or list of paths"
               : option->accepts != NULL ? "list"
                                         : "list of texts";
    case CONFIG_KIND_MAP:
        return option->each == NULL                         ? "map of texts"
               : option->each->kind == CONFIG_KIND_DURATION ? "map of durations"
                                                            : "map of words";
    case CONFIG_KIND_PATH:
        return "path";
    case CONFIG_KIND_SIGNAL:
        return "signal";
    }
    return "";
}

static void
describe_words(const struct config_option *option, char out[CONFIG_ALLOWED_BYTES_MAX])
{
    size_t used = 0;
    for (size_t i = 0; option->allowed[i] != NULL && used < CONFIG_ALLOWED_BYTES_MAX; i++) {
        used += (size_t)snprintf(out + used, CONFIG_ALLOWED_BYTES_MAX - used, "%s`%s`",
                                 i > 0 ? ", " : "", option->allowed[i]);
    }
}

void
config_allowed(const struct config_option *option, char out[CONFIG_ALLOWED_BYTES_MAX])
{
    const size_t size = CONFIG_ALLOWED_BYTES_MAX;
    char low[CONFIG_NUMBER_BYTES_MAX], high[CONFIG_NUMBER_BYTES_MAX];
    switch (option->kind) {
    case CONFIG_KIND_ENUM:
        describe_words(option, out);
        break;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
        config_number_format(option->kind, option->min, low);
        config_number_format(option->kind, option->max, high);
        snprintf(out, size, "`%s` to `%s`", low, high);
        break;
    case CONFIG_KIND_STRING:
        if (option->accepts != NULL) {
            snprintf(out, size, "%s", option->accepts);
            break;
        }
        snprintf(out, size, "%d to %d bytes", (int)option->min, (int)option->max);
        break;
    case CONFIG_KIND_LIST:
        if (option->accepts != NULL) {
            snprintf(out, size, "%s", option->accepts);
            break;
        }
        snprintf(out, size, "%d to %d items", (int)option->min, (int)option->max);
        break;
    case CONFIG_KIND_MAP:
        snprintf(out, size, "%d to %d items", (int)option->min, (int)option->max);
        break;
    case CONFIG_KIND_BOOL:
        snprintf(out, size, "`true`, `false`");
        break;
    case CONFIG_KIND_SIGNAL:
        snprintf(out, size, "`TERM`, `SIGTERM` or `15`");
        break;
    case CONFIG_KIND_PATH:
        snprintf(out, size, "a path");
        break;
    }
}

static void
print_table(FILE *out, const struct config_table *table)
{
    char allowed[CONFIG_ALLOWED_BYTES_MAX];
    fprintf(out, "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < table->count; i++) {
        const struct config_option *option = &table->options[i];
        const char *quote = option->fallback != NULL ? "`" : "";
        fprintf(out, "| `%s` | %s | %s%s%s | ", option->key, config_type_name(option), quote,
                option->fallback != NULL ? option->fallback : option->unset, quote);
        config_allowed(option, allowed);
        fprintf(out, "%s | %s", allowed, option->help);
        if (option->example != NULL) {
            fprintf(out, " Example: `%s`.", option->example);
        }
        fprintf(out, " |\n");
    }
}

const char *const config_notes[] = {
    "One YAML file in UTF-8, and those that it names under `include`. Without an option that names "
    "it, "
    "the first of these that exists is read: `./prong.yaml`, `$XDG_CONFIG_HOME/prong/prong.yaml` "
    "(else "
    "`~/.config/prong/prong.yaml`), `/etc/prong/prong.yaml`. An empty file, and no file at all, "
    "are valid: "
    "every option has a default.",
    "A duration is a number with `ms`, `s`, `m` or `h`; a size a number with `B`, `KiB`, `MiB` or "
    "`GiB`. "
    "Numbers are decimal. Booleans are `true` and `false`, nothing else.",
    "A relative path begins at the directory of the file that it stands in.",
    "`${NAME}` in a value is the variable of the hub's environment, `${NAME:-text}` has a default "
    "for an "
    "unset or empty one, `${NAME:?text}` refuses the file with the text then, `$$` is a plain "
    "dollar. "
    "Inside `[ ]` and `{ }` such a value needs quotes.",
    "A line of an env_file is NAME=value, blank, or a comment that begins with `#`. A value may "
    "stand in "
    "'...', where everything stands for itself, or in \"...\", where a backslash stands before a "
    "quote, a backslash, a dollar, a backtick or "
    "the end of a line; without quotes it has no backslash and no # behind a blank. Variables are "
    "not put "
    "in.",
    "Anchors, aliases, tags and a second document are refused. A file has at most 1 MiB, a "
    "configuration "
    "256 files and 256 workers.",
    NULL,
};
static_assert(CONFIG_FILE_BYTES_MAX == 1024 * 1024 && CONFIG_FILES_MAX == 256 &&
                  CONFIG_WORKERS_MAX == 256,
              "the last note has these numbers");

void
config_device_sets(const struct device_kind *kind, char out[CONFIG_SETS_BYTES_MAX])
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < device_shared_count; i++) {
        if (device_kind_has(kind, device_shared_sets[i].id) && used < CONFIG_SETS_BYTES_MAX) {
            used += (size_t)snprintf(out + used, CONFIG_SETS_BYTES_MAX - used, "%s%s",
                                     used > 0 ? ", " : "", device_shared_sets[i].title);
        }
    }
}

static void
print_set(FILE *out, enum device_set set)
{
    struct config_option options[CONFIG_DEVICE_OPTION_COUNT];
    const struct config_table table = {options, config_device_options_of(set, options)};
    if (table.count > 0) {
        print_table(out, &table);
    }
}

static void
print_devices(FILE *out)
{
    char sets[CONFIG_SETS_BYTES_MAX];
    for (size_t i = 0; i < device_kind_count; i++) {
        config_device_sets(&device_kinds[i], sets);
        fprintf(out, "%s### kind `%s`\n\n%s%s%s%s\n\n", i > 0 ? "\n" : "", device_kinds[i].name,
                device_kinds[i].help, sets[0] != '\0' ? " It also has what is told below of " : "",
                sets, sets[0] != '\0' ? "." : "");
        print_set(out, device_kinds[i].id);
    }
    for (size_t i = 0; i < device_shared_count; i++) {
        fprintf(out, "\n### %s\n\n", device_shared_sets[i].title);
        print_set(out, device_shared_sets[i].id);
    }
}

int
config_print_manual(FILE *out)
{
    fprintf(out,
            "# The configuration file\n\n"
            "<!-- Made from broker/config/options.def by config_print_manual; do not edit. -->\n");
    for (size_t i = 0; config_notes[i] != NULL; i++) {
        fprintf(out, "\n%s\n", config_notes[i]);
    }
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        const struct config_section *section = &config_sections[i];
        fprintf(out, "\n## `%s`\n\n%s\n\n", section->key, section->help);
        switch (section->id) {
        case CONFIG_SECTION_INCLUDE:
            fprintf(out, "Example: `[\"conf.d/*.yaml\"]`.\n");
            break;
        case CONFIG_SECTION_HUB:
            print_table(out, &config_hub_table);
            break;
        case CONFIG_SECTION_DEFAULTS:
            fprintf(out, "The options are those of `workers`, below.\n");
            break;
        case CONFIG_SECTION_WORKERS:
            print_table(out, &config_worker_table);
            break;
        case CONFIG_SECTION_DEVICES:
            print_devices(out);
            break;
        case CONFIG_SECTION_COUNT:
            break;
        }
    }
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

/* Whole words as comment lines of at most COLUMNS_MAX columns. */
static void
print_wrapped(FILE *out, int indent, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        const size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > COLUMNS_MAX) {
            fputc('\n', out);
            column = 0;
        }
        if (column == 0) {
            fprintf(out, "%*s#", indent, "");
            column = (size_t)indent + 1;
        }
        fprintf(out, " %.*s", (int)word, text);
        column += word + 1;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

/* Whether an option stands there instead of another one, or belongs to one that does. */
static bool
is_instead(const struct config_table *table, const struct config_option *option)
{
    const char *key = option->with != NULL ? option->with : option->key;
    for (size_t i = 0; i < table->count; i++) {
        const char *either = table->options[i].either;
        if (either != NULL && strcmp(either, key) == 0) {
            return true;
        }
    }
    return option->without != NULL;
}

/* Every option as "  #key: value", so that taking away the # turns it on; one that stands there
 * instead of another has a second #. `inset` stands before the key of a map that is one comment as
 * a whole. */
static void
print_options(FILE *out, const struct config_table *table, const char *inset)
{
    char accepted[300], line[500];
    for (size_t i = 0; i < table->count; i++) {
        const struct config_option *option = &table->options[i];
        print_wrapped(out, 2, option->help);
        config_option_describe(option, accepted, sizeof accepted);
        snprintf(line, sizeof line, "Value: %s.%s%s%s", accepted,
                 option->unset != NULL ? " Without it: " : "",
                 option->unset != NULL ? option->unset : "", option->unset != NULL ? "." : "");
        print_wrapped(out, 2, line);
        fprintf(out, "  #%s%s%s: %s\n", inset, is_instead(table, option) ? "#" : "", option->key,
                option->fallback != NULL ? option->fallback : option->example);
    }
}

static void
print_default_set(FILE *out, enum device_set set)
{
    struct config_option options[CONFIG_DEVICE_OPTION_COUNT];
    const struct config_table table = {options, config_device_options_of(set, options)};
    print_options(out, &table, "  ");
}

/* One of each kind, named after it. What several kinds have stands at the first of them. */
static void
print_default_devices(FILE *out)
{
    char sets[CONFIG_SETS_BYTES_MAX], line[CONFIG_SETS_BYTES_MAX + 300];
    uint64_t told = 0;
    for (size_t i = 0; i < device_kind_count; i++) {
        const struct device_kind *kind = &device_kinds[i];
        config_device_sets(kind, sets);
        const bool is_told = sets[0] != '\0' && (told & kind->sets) != 0;
        snprintf(line, sizeof line, "%s%s%s%s", kind->help,
                 is_told ? " It also has the options of " : "", is_told ? sets : "",
                 is_told ? ", which stand above." : "");
        print_wrapped(out, 2, line);
        fprintf(out, "  #%s:\n  #  kind: %s\n", kind->name, kind->name);
        print_default_set(out, kind->id);
        for (size_t k = 0; k < device_shared_count; k++) {
            const enum device_set set = device_shared_sets[k].id;
            if (device_kind_has(kind, set) && (told >> set & 1) == 0) {
                print_default_set(out, set);
            }
        }
        told |= kind->sets;
    }
}

int
config_print_default(FILE *out)
{
    fprintf(out, "# Configuration of a Prong hub. Every option stands here as a comment, with its\n"
                 "# default, or with an example where there is none. All of it may be left out.\n");
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        const struct config_section *section = &config_sections[i];
        fputc('\n', out);
        print_wrapped(out, 0, section->help);
        fprintf(out, "%s:\n", section->key);
        switch (section->id) {
        case CONFIG_SECTION_INCLUDE:
            fprintf(out, "  #- conf.d/*.yaml\n");
            break;
        case CONFIG_SECTION_HUB:
            print_options(out, &config_hub_table, "");
            break;
        case CONFIG_SECTION_DEFAULTS:
            print_options(out, &config_worker_table, "");
            break;
        case CONFIG_SECTION_WORKERS:
            fprintf(out, "  #detector:\n  #  command: %s\n",
                    config_worker_table.options[0].example);
            break;
        case CONFIG_SECTION_DEVICES:
            print_default_devices(out);
            break;
        case CONFIG_SECTION_COUNT:
            break;
        }
    }
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}
