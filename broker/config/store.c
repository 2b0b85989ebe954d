/* One scalar to one member: see reader.h. */
#include <stdlib.h>
#include <string.h>

#include "broker/config/expand.h"
#include "broker/config/reader.h"
#include "broker/config/value.h"
#include "proto/mask.h"

/* Letters of words that show_as_list shows, and of those that need no quotes in YAML. */
#define PLAIN_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_"
#define SHOWN_LETTERS PLAIN_LETTERS " -+:=,@%[]"
/* Quotes and commas make each letter five at worst; that has to fit in CONFIG_WHY_BYTES_MAX. */
enum { LIST_HINT_BYTES_MAX = 80 };

int
config_store_charge(struct config_reader *reader, struct config_mark at, size_t size_bytes)
{
    reader->total_bytes += size_bytes;
    /* One that is kept was within it, but gives every option, and so takes more to read. */
    if (reader->total_bytes > CONFIG_TOTAL_BYTES_MAX && !reader->source.is_kept) {
        return config_fail(reader, at,
                           "the texts of the configuration are larger than %d MiB together",
                           CONFIG_TOTAL_BYTES_MAX / (1024 * 1024));
    }
    return 0;
}

/* The text of a scalar with ${VAR} put in, owned by the caller; NULL with the diagnosis filled. */
static char *
expand(struct config_reader *reader, const yaml_event_t *event)
{
    const struct config_mark at = config_mark_of(reader, event);
    struct config_expansion result = {0};
    char quoted[CONFIG_QUOTE_BYTES_MAX];
    switch (config_expand(config_event_text(event), reader->env, &result)) {
    case CONFIG_EXPAND_OK:
        if (config_store_charge(reader, at, result.len + sizeof(struct config_pair)) == 0) {
            return result.text;
        }
        free(result.text);
        break;
    case CONFIG_EXPAND_UNSET:
        config_fail(reader, at,
                    "the variable '%s' is not set; ${%s:-text} gives it a default, $$ is a plain "
                    "dollar",
                    result.name, result.name);
        break;
    case CONFIG_EXPAND_REQUIRED:
        config_quote(result.message, quoted);
        config_fail(reader, at, "the variable '%s' is not set or empty: %s", result.name,
                    result.message[0] != '\0' ? quoted : "the file needs it");
        break;
    case CONFIG_EXPAND_SYNTAX:
        config_fail(reader, at,
                    "after '${' has to come NAME}, NAME:-default} or NAME:?message}; $$ is a plain "
                    "dollar");
        break;
    case CONFIG_EXPAND_LONG:
        config_fail(reader, at, "a text may have at most %d KiB", CONFIG_TEXT_BYTES_MAX / 1024);
        break;
    case CONFIG_EXPAND_NOMEM:
        config_fail_nomem(reader);
        break;
    }
    return NULL;
}

/* What a value became, unless a variable brought a secret into it. */
static void
quote_value(const yaml_event_t *event, const char *value, char out[CONFIG_QUOTE_BYTES_MAX])
{
    config_quote(config_expand_has_secret(config_event_text(event)) ? MASK_SHOWN : value, out);
}

/* Whether `value`, the text of `option` after expansion, is possible; says what is wrong with it.
 */
static int
check_text(struct config_reader *reader, const struct config_option *option,
           const yaml_event_t *event, const char *value)
{
    char why[CONFIG_WHY_BYTES_MAX], quoted[CONFIG_QUOTE_BYTES_MAX];
    const size_t len = strlen(value);
    quote_value(event, value, quoted);
    if (option->check != NULL && !option->check(value, why, sizeof why)) {
        return config_fail(reader, config_mark_of(reader, event), "'%s' cannot be %s: %s",
                           option->key, quoted, why);
    }
    if (option->kind == CONFIG_KIND_STRING &&
        ((int64_t)len < option->min || (int64_t)len > option->max)) {
        return config_fail_value(reader, option, event, "");
    }
    if (option->kind != CONFIG_KIND_PATH && !option->has_paths) {
        return 0;
    }
    if (len == 0 || len >= CONFIG_PATH_BYTES_MAX) {
        return config_fail(reader, config_mark_of(reader, event),
                           "'%s' must be a path of 1 to %d bytes", option->key,
                           CONFIG_PATH_BYTES_MAX - 1);
    }
    if (value[0] == '~' && (value[1] == '/' || value[1] == '\0')) {
        return config_fail(reader, config_mark_of(reader, event),
                           "'%s' cannot be %s: ~ is not the home directory here, write ${HOME}",
                           option->key, quoted);
    }
    return 0;
}

/* Replace a relative path by one that begins at the file's directory. */
static int
resolve_path(struct config_reader *reader, struct config_mark at, char **path)
{
    if ((*path)[0] == '/') {
        return 0;
    }
    const char *directory = reader->files[at.file].directory;
    const char *rest = *path;
    while (rest[0] == '.' && rest[1] == '/') {
        rest += strspn(rest + 1, "/") + 1;
    }
    if (strcmp(rest, ".") == 0 || rest[0] == '\0') {
        rest = "";
    }
    const size_t length = strlen(directory) + 1 + strlen(rest);
    if (length >= CONFIG_PATH_BYTES_MAX) {
        return config_fail(reader, at,
                           "a path may have at most %d bytes, with the directory of the file",
                           CONFIG_PATH_BYTES_MAX - 1);
    }
    char *resolved = malloc(length + 1);
    if (resolved == NULL) {
        return config_fail_nomem(reader);
    }
    const bool needs_slash = rest[0] != '\0' && directory[strlen(directory) - 1] != '/';
    snprintf(resolved, length + 1, "%s%s%s", directory, needs_slash ? "/" : "", rest);
    free(*path);
    *path = resolved;
    return config_store_charge(reader, at, strlen(directory) + 1);
}

/* For someone who wrote a command line where a list belongs: the same words as a list. Only where
 * it is certain what they meant: quotes, variables and the like are a shell's. */
static void
show_as_list(const char *text, char why[CONFIG_WHY_BYTES_MAX])
{
    char masked[2 * LIST_HINT_BYTES_MAX];
    const char *at = text + strspn(text, " ");
    mask_text(text, masked, sizeof masked);
    if (strlen(text) > LIST_HINT_BYTES_MAX || strspn(text, SHOWN_LETTERS) != strlen(text) ||
        strcmp(masked, text) != 0) {
        snprintf(why, CONFIG_WHY_BYTES_MAX, "write [first, second], one item for each part");
        return;
    }
    size_t used = (size_t)snprintf(why, CONFIG_WHY_BYTES_MAX, "write [");
    while (*at != '\0') {
        const size_t word = strcspn(at, " ");
        const char *quote = strspn(at, PLAIN_LETTERS) < word ? "\"" : "";
        const char *next = at + word + strspn(at + word, " ");
        used += (size_t)snprintf(why + used, CONFIG_WHY_BYTES_MAX - used, "%s%.*s%s%s", quote,
                                 (int)word, at, quote, *next != '\0' ? ", " : "");
        at = next;
    }
    snprintf(why + used, CONFIG_WHY_BYTES_MAX - used, "]");
}

static int
fail_collection(struct config_reader *reader, const struct config_option *option,
                const yaml_event_t *event)
{
    char why[CONFIG_WHY_BYTES_MAX] = "write {NAME: value}";
    if (option->kind == CONFIG_KIND_LIST) {
        show_as_list(config_event_text(event), why);
    }
    return config_fail_value(reader, option, event, why);
}

/* `text` is borrowed. */
static int
store_number(struct config_reader *reader, const struct config_option *option, void *object,
             const yaml_event_t *event, const char *text)
{
    char why[CONFIG_WHY_BYTES_MAX], accepted[300], quoted[CONFIG_QUOTE_BYTES_MAX];
    int64_t value = 0;
    if (config_value_parse(option, text, &value, why)) {
        config_object_set_number(option, object, value);
        return 0;
    }
    if (strcmp(text, config_event_text(event)) == 0) {
        return config_fail_value(reader, option, event, why);
    }
    /* The text came from a variable: show what the file says and what it became. */
    char source[CONFIG_QUOTE_BYTES_MAX];
    config_option_describe(option, accepted, sizeof accepted);
    quote_value(event, text, quoted);
    config_quote(config_event_text(event), source);
    return config_fail(reader, config_mark_of(reader, event), "'%s' must be %s, got %s from %s%s%s",
                       option->key, accepted, quoted, source, why[0] != '\0' ? ": " : "", why);
}

/* As expand(), for a text inside a list or map, where nothing at all is most likely a slip. */
static char *
expand_inner(struct config_reader *reader, const struct config_option *option,
             const yaml_event_t *event)
{
    if (config_event_is_null(event)) {
        config_fail(reader, config_mark_of(reader, event), "a value is missing in '%s'%s",
                    option->key, option->each != NULL ? "" : "; an empty text is written \"\"");
        return NULL;
    }
    return expand(reader, event);
}

/* One byte in front of a text. */
static int
put_in_front(struct config_reader *reader, char byte, char **text)
{
    const size_t size = strlen(*text) + 2;
    char *longer = malloc(size);
    if (longer == NULL) {
        return config_fail_nomem(reader);
    }
    snprintf(longer, size, "%c%s", byte, *text);
    free(*text);
    *text = longer;
    return 0;
}

/* An item of a list, of which `has_paths` says that it is a path. Owned; NULL with the diagnosis
 * filled. */
static char *
expand_item(struct config_reader *reader, const struct config_option *option,
            const yaml_event_t *event)
{
    char *item = expand_inner(reader, option, event);
    if (item == NULL || !option->has_paths) {
        return item;
    }
    const bool may_miss = option->is_optional_path && item[0] == '-';
    char *path = config_text_new(item + may_miss, strlen(item + may_miss));
    int rc = path != NULL ? check_text(reader, option, event, path) : config_fail_nomem(reader);
    if (rc == 0) {
        rc = resolve_path(reader, config_mark_of(reader, event), &path);
    }
    if (rc == 0 && may_miss) {
        rc = put_in_front(reader, '-', &path);
    }
    free(item);
    if (rc != 0) {
        free(path);
        path = NULL;
    }
    return path;
}

/* One more item of a list. */
static int
add_item(struct config_reader *reader, const struct config_option *option, void *object,
         const yaml_event_t *event)
{
    struct config_list *list = config_object_list(option, object);
    if ((int64_t)list->count >= option->max) {
        return config_fail(reader, config_mark_of(reader, event), "'%s' may have at most %d items",
                           option->key, (int)option->max);
    }
    char *item = expand_item(reader, option, event);
    if (item == NULL) {
        return -1;
    }
    int rc = option->has_paths ? 0 : check_text(reader, option, event, item);
    if (rc == 0 && config_list_add(list, item) != 0) {
        rc = config_fail_nomem(reader);
    }
    if (rc != 0) {
        free(item);
    }
    return rc;
}

int
config_store_item(struct config_reader *reader, struct config_level *level,
                  const yaml_event_t *event)
{
    return add_item(reader, level->option, level->object, event);
}

char *
config_store_path(struct config_reader *reader, const struct config_option *option,
                  const yaml_event_t *event)
{
    return expand_item(reader, option, event);
}

int
config_store_scalar(struct config_reader *reader, const struct config_option *option, void *object,
                    const yaml_event_t *event)
{
    if (config_event_is_null(event)) {
        return config_fail_value(reader, option, event, "give it a value or leave the line out");
    }
    if (option->has_paths) {
        return add_item(reader, option, object, event);
    }
    if (option->kind == CONFIG_KIND_LIST || option->kind == CONFIG_KIND_MAP) {
        return fail_collection(reader, option, event);
    }
    char *text = expand(reader, event);
    if (text == NULL) {
        return -1;
    }
    int rc = 0;
    if (option->kind == CONFIG_KIND_STRING || option->kind == CONFIG_KIND_PATH) {
        rc = check_text(reader, option, event, text);
        if (rc == 0 && option->kind == CONFIG_KIND_PATH) {
            rc = resolve_path(reader, config_mark_of(reader, event), &text);
        }
        if (rc == 0) {
            *config_object_text(option, object) = text;
            text = NULL;
        }
    } else {
        rc = store_number(reader, option, object, event, text);
    }
    free(text);
    return rc;
}

int
config_store_name(struct config_reader *reader, struct config_level *level,
                  const yaml_event_t *event)
{
    const struct config_option *option = level->option;
    const struct config_map *map = config_object_map(option, level->object);
    const char *name = config_event_text(event);
    const size_t len = event->data.scalar.length;
    char quoted[CONFIG_QUOTE_BYTES_MAX], why[CONFIG_WHY_BYTES_MAX];
    config_quote(name, quoted);
    if (len == 0 || len > CONFIG_TEXT_BYTES_MAX || strchr(name, '=') != NULL) {
        return config_fail(reader, config_mark_of(reader, event),
                           "a name in '%s' must not be empty or have a = in it, got %s",
                           option->key, quoted);
    }
    if (option->check != NULL && !option->check(name, why, sizeof why)) {
        return config_fail(reader, config_mark_of(reader, event), "%s cannot stand in '%s': %s",
                           quoted, option->key, why);
    }
    if (config_map_find(map, name) != NULL) {
        return config_fail(reader, config_mark_of(reader, event), "%s is given twice in '%s'",
                           quoted, option->key);
    }
    if ((int64_t)map->count >= option->max) {
        return config_fail(reader, config_mark_of(reader, event), "'%s' may have at most %d names",
                           option->key, (int)option->max);
    }
    if (config_store_charge(reader, config_mark_of(reader, event), len + 1) != 0) {
        return -1;
    }
    level->name = config_text_new(name, len);
    if (level->name == NULL) {
        return config_fail_nomem(reader);
    }
    level->has_key = true;
    return 0;
}

/* The number that a value of a map stands for, where its values are no texts. */
static int
read_number(struct config_reader *reader, const struct config_level *level,
            const yaml_event_t *event, struct config_pair *pair)
{
    char why[CONFIG_WHY_BYTES_MAX], accepted[300];
    char name[CONFIG_QUOTE_BYTES_MAX], quoted[CONFIG_QUOTE_BYTES_MAX];
    const struct config_option *each = level->option->each;
    if (each == NULL || config_value_parse(each, pair->value, &pair->number, why)) {
        return 0;
    }
    config_option_describe(each, accepted, sizeof accepted);
    config_quote(level->name, name);
    quote_value(event, pair->value, quoted);
    return config_fail(reader, config_mark_of(reader, event), "%s in '%s' must be %s, got %s%s%s",
                       name, level->option->key, accepted, quoted, why[0] != '\0' ? ": " : "", why);
}

/* A value of a map of texts. */
static int
check_value(struct config_reader *reader, const struct config_level *level,
            const yaml_event_t *event, const char *value)
{
    char why[CONFIG_WHY_BYTES_MAX];
    char name[CONFIG_QUOTE_BYTES_MAX], quoted[CONFIG_QUOTE_BYTES_MAX];
    const struct config_option *option = level->option;
    if (option->check_each == NULL || option->check_each(value, why, sizeof why)) {
        return 0;
    }
    config_quote(level->name, name);
    quote_value(event, value, quoted);
    return config_fail(reader, config_mark_of(reader, event), "%s in '%s' cannot be %s: %s", name,
                       option->key, quoted, why);
}

int
config_store_pair(struct config_reader *reader, struct config_level *level,
                  const yaml_event_t *event)
{
    struct config_pair pair = {.name = level->name, .is_secret = event->data.scalar.tag != NULL};
    pair.value = expand_inner(reader, level->option, event);
    if (pair.value == NULL) {
        return -1;
    }
    int rc = read_number(reader, level, event, &pair);
    rc = rc == 0 ? check_value(reader, level, event, pair.value) : rc;
    if (rc == 0 && config_map_add(config_object_map(level->option, level->object), pair) != 0) {
        rc = config_fail_nomem(reader);
    }
    if (rc != 0) {
        free(pair.value);
        return rc;
    }
    level->name = NULL;
    return 0;
}
