/* The options of a device: see options.h. */
#include "client/devices/options.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ----------------------------------------------------------------------------------
 */

static const char *
type_words(const struct device_option *option)
{
    static const char *const words[] = {
        [DEVICE_TYPE_INT] = "a number",         [DEVICE_TYPE_BOOL] = "true or false",
        [DEVICE_TYPE_STRING] = "a text",        [DEVICE_TYPE_ENUM] = "one of its words",
        [DEVICE_TYPE_DURATION] = "a number",    [DEVICE_TYPE_SIZE] = "a number",
        [DEVICE_TYPE_LIST] = "a list of texts", [DEVICE_TYPE_MAP] = "a map of texts",
        [DEVICE_TYPE_PATH] = "a text",
    };
    return words[option->type];
}

static int64_t
word_index(const struct device_option *option, const char *word)
{
    for (int64_t i = 0; option->allowed[i] != NULL; i++) {
        if (strcmp(option->allowed[i], word) == 0) {
            return i;
        }
    }
    return -1;
}

static bool
are_items(const struct device_option *option, const json_t *list)
{
    char why[200];
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        if (!json_is_string(item) ||
            (option->check != NULL && !option->check(json_string_value(item), why, sizeof why))) {
            return false;
        }
    }
    return true;
}

static bool
are_texts(const json_t *value)
{
    const char *key;
    void *at = json_object_iter((json_t *)(uintptr_t)value);
    for (; at != NULL; at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
        key = json_object_iter_key(at);
        if (key == NULL || !json_is_string(json_object_iter_value(at))) {
            return false;
        }
    }
    return true;
}

static bool
is_in_range(const struct device_option *option, int64_t number)
{
    return number >= option->min && number <= option->max;
}

/* Each name and each value of a map, as far as the table has a check for them. */
static bool
are_possible(const struct device_option *option, const json_t *map)
{
    char why[200];
    void *at = json_object_iter((json_t *)(uintptr_t)map);
    for (; at != NULL; at = json_object_iter_next((json_t *)(uintptr_t)map, at)) {
        const char *name = json_object_iter_key(at);
        const char *value = json_string_value(json_object_iter_value(at));
        if ((option->check != NULL && !option->check(name, why, sizeof why)) ||
            (option->check_each != NULL && !option->check_each(value, why, sizeof why))) {
            return false;
        }
    }
    return true;
}

static bool
is_possible(const struct device_option *option, const json_t *value)
{
    char why[200];
    switch (option->type) {
    case DEVICE_TYPE_INT:
    case DEVICE_TYPE_DURATION:
    case DEVICE_TYPE_SIZE:
        return json_is_integer(value) && is_in_range(option, json_integer_value(value));
    case DEVICE_TYPE_BOOL:
        return json_is_boolean(value);
    case DEVICE_TYPE_ENUM:
        return json_is_string(value) && word_index(option, json_string_value(value)) >= 0;
    case DEVICE_TYPE_STRING:
        return json_is_string(value) && is_in_range(option, (int64_t)json_string_length(value)) &&
               (option->check == NULL || option->check(json_string_value(value), why, sizeof why));
    case DEVICE_TYPE_PATH:
        return json_is_string(value) && json_string_length(value) > 0;
    case DEVICE_TYPE_LIST:
        return json_is_array(value) && is_in_range(option, (int64_t)json_array_size(value)) &&
               are_items(option, value);
    case DEVICE_TYPE_MAP:
        return json_is_object(value) && is_in_range(option, (int64_t)json_object_size(value)) &&
               are_texts(value) && are_possible(option, value);
    }
    return false;
}

/* A default as the table writes it: digits, with a unit where it has one. */
static int64_t
default_number(const char *text)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } units[] = {{"", 1},
                 {"ms", 1},
                 {"s", 1000},
                 {"m", 60000},
                 {"h", 3600000},
                 {"B", 1},
                 {"KiB", 1024},
                 {"MiB", 1024 * 1024},
                 {"GiB", 1024 * 1024 * 1024}};
    char *end = NULL;
    const int64_t number = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(units[i].unit, end) == 0) {
            return number * units[i].factor;
        }
    }
    assert(!"the table has a default that is no number");
    return 0;
}

static json_t *
default_of(const struct device_option *option)
{
    switch (option->type) {
    case DEVICE_TYPE_INT:
    case DEVICE_TYPE_DURATION:
    case DEVICE_TYPE_SIZE:
        return json_integer(default_number(option->fallback));
    case DEVICE_TYPE_BOOL:
        return json_boolean(strcmp(option->fallback, "true") == 0);
    case DEVICE_TYPE_STRING:
    case DEVICE_TYPE_ENUM:
    case DEVICE_TYPE_PATH:
        return json_string(option->fallback);
    case DEVICE_TYPE_LIST:
        return json_array();
    case DEVICE_TYPE_MAP:
        return json_object();
    }
    return NULL;
}

/* Check what is there, and put in the defaults. */
static bool
complete(struct options *options, json_t *json, char *why, size_t why_bytes)
{
    for (size_t i = 0; i < device_option_count; i++) {
        const struct device_option *option = &device_options[i];
        const json_t *value = json_object_get(json, option->key);
        if (!device_kind_has(options->kind, option->set)) {
            continue;
        }
        if (value != NULL && !is_possible(option, value)) {
            snprintf(why, why_bytes, "'%s' of kind %s must be %s within its limits", option->key,
                     options->kind->name, type_words(option));
            return false;
        }
        if (value == NULL && option->fallback != NULL &&
            json_object_set_new(json, option->key, default_of(option)) != 0) {
            snprintf(why, why_bytes, "out of memory");
            return false;
        }
        if (value == NULL && option->fallback == NULL && option->unset == NULL) {
            snprintf(why, why_bytes, "'%s' of kind %s is missing", option->key,
                     options->kind->name);
            return false;
        }
    }
    return true;
}

static bool
has(json_t *json, const char *key)
{
    return key != NULL && json_object_get(json, key) != NULL;
}

/* Of options that stand for each other one is given, and none without what it needs. `with` is the
 * hub's to see to: what belongs to nothing has no effect. */
static bool
fits_together(const struct options *options, json_t *json, char *why, size_t why_bytes)
{
    for (size_t i = 0; i < device_option_count; i++) {
        const struct device_option *o = &device_options[i];
        const bool is_given = has(json, o->key);
        if (!device_kind_has(options->kind, o->set)) {
            continue;
        }
        if (o->either != NULL && is_given == has(json, o->either)) {
            snprintf(why, why_bytes, "kind %s needs either '%s' or '%s'", options->kind->name,
                     o->key, o->either);
            return false;
        }
        if (is_given && (has(json, o->without) || (o->needs != NULL && !has(json, o->needs)))) {
            snprintf(why, why_bytes, "'%s' %s '%s'", o->key,
                     has(json, o->without) ? "cannot stand beside" : "needs",
                     has(json, o->without) ? o->without : o->needs);
            return false;
        }
    }
    return true;
}

/* Every key has to be known. */
static bool
knows_all(const struct options *options, json_t *json, char *why, size_t why_bytes)
{
    for (void *at = json_object_iter(json); at != NULL; at = json_object_iter_next(json, at)) {
        const char *key = json_object_iter_key(at);
        if (strcmp(key, "kind") != 0 && device_option_find(options->kind, key) < 0) {
            snprintf(why, why_bytes, "'%.64s' is no option of kind %s", key, options->kind->name);
            return false;
        }
    }
    return true;
}

bool
options_load(struct options *options, const char *text, char *why, size_t why_bytes)
{
    json_error_t error;
    *options = (struct options){0};
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(json)) {
        snprintf(why, why_bytes, "the options are no JSON object%s%s", json == NULL ? ": " : "",
                 json == NULL ? error.text : "");
        json_decref(json);
        return false;
    }
    const char *kind = json_string_value(json_object_get(json, "kind"));
    options->kind = kind != NULL ? device_kind_find(kind) : NULL;
    options->json = json;
    if (options->kind == NULL) {
        snprintf(why, why_bytes, "there is no kind '%.64s'", kind != NULL ? kind : "");
        options_deinit(options);
        return false;
    }
    if (!knows_all(options, json, why, why_bytes) ||
        !fits_together(options, json, why, why_bytes) || !complete(options, json, why, why_bytes)) {
        options_deinit(options);
        return false;
    }
    return true;
}

void
options_deinit(struct options *options)
{
    json_decref(options->json);
    *options = (struct options){0};
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static json_t *
get(const struct options *options, const char *key, const struct device_option **option)
{
    const int index = device_option_find(options->kind, key);
    if (index < 0) {
        (void)fprintf(stderr, "<0>kind %s has no option %s\n", options->kind->name, key);
        abort();
    }
    *option = &device_options[index];
    return json_object_get(options->json, key);
}

int64_t
options_number(const struct options *options, const char *key)
{
    const struct device_option *option;
    const json_t *value = get(options, key, &option);
    return json_is_boolean(value)  ? json_is_true(value)
           : json_is_string(value) ? word_index(option, json_string_value(value))
                                   : json_integer_value(value);
}

const char *
options_text(const struct options *options, const char *key)
{
    const struct device_option *option;
    return json_string_value(get(options, key, &option));
}

size_t
options_count(const struct options *options, const char *key)
{
    const struct device_option *option;
    return json_array_size(get(options, key, &option));
}

const char *
options_item(const struct options *options, const char *key, size_t index)
{
    const struct device_option *option;
    return json_string_value(json_array_get(get(options, key, &option), index));
}

bool
options_pair(const struct options *options, const char *key, void **at, const char **name,
             const char **value)
{
    const struct device_option *option;
    json_t *map = get(options, key, &option);
    *at = *at == NULL ? json_object_iter(map) : json_object_iter_next(map, *at);
    if (*at == NULL) {
        return false;
    }
    *name = json_object_iter_key(*at);
    *value = json_string_value(json_object_iter_value(*at));
    return true;
}
