/* Members reached through the table: see object.h. */
#include "broker/config/object.h"

#include <stdlib.h>
#include <string.h>

#include "broker/config/value.h"

char *
config_text_new(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

static void *
member(const struct config_option *option, void *object)
{
    return (char *)object + option->offset;
}

static const void *
member_const(const struct config_option *option, const void *object)
{
    return (const char *)object + option->offset;
}

/* Numbers go through memcpy, because an enum and an int are different types to the compiler. */
void
config_object_set_number(const struct config_option *option, void *object, int64_t value)
{
    const int narrow = (int)value;
    const bool truth = value != 0;
    if (option->kind == CONFIG_KIND_BOOL) {
        memcpy(member(option, object), &truth, sizeof truth);
    } else if (option->kind == CONFIG_KIND_ENUM || option->kind == CONFIG_KIND_SIGNAL) {
        memcpy(member(option, object), &narrow, sizeof narrow);
    } else {
        memcpy(member(option, object), &value, sizeof value);
    }
}

int64_t
config_object_number(const struct config_option *option, const void *object)
{
    int64_t value = 0;
    int narrow = 0;
    bool truth = false;
    if (option->kind == CONFIG_KIND_BOOL) {
        memcpy(&truth, member_const(option, object), sizeof truth);
        value = truth;
    } else if (option->kind == CONFIG_KIND_ENUM || option->kind == CONFIG_KIND_SIGNAL) {
        memcpy(&narrow, member_const(option, object), sizeof narrow);
        value = narrow;
    } else {
        memcpy(&value, member_const(option, object), sizeof value);
    }
    return value;
}

char **
config_object_text(const struct config_option *option, void *object)
{
    return member(option, object);
}

struct config_list *
config_object_list(const struct config_option *option, void *object)
{
    return member(option, object);
}

struct config_map *
config_object_map(const struct config_option *option, void *object)
{
    return member(option, object);
}

int
config_list_add(struct config_list *list, char *item)
{
    char **items = realloc(list->items, (list->count + 2) * sizeof *items);
    if (items == NULL) {
        return -1;
    }
    items[list->count] = item;
    items[list->count + 1] = NULL;
    list->items = items;
    list->count++;
    return 0;
}

int
config_map_add(struct config_map *map, struct config_pair pair)
{
    struct config_pair *items = realloc(map->items, (map->count + 1) * sizeof *items);
    if (items == NULL) {
        return -1;
    }
    items[map->count] = pair;
    map->items = items;
    map->count++;
    return 0;
}

const struct config_pair *
config_map_find(const struct config_map *map, const char *name)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i].name, name) == 0) {
            return &map->items[i];
        }
    }
    return NULL;
}

static int
copy_list(const struct config_list *from, struct config_list *to)
{
    for (size_t i = 0; i < from->count; i++) {
        char *item = config_text_new(from->items[i], strlen(from->items[i]));
        if (item == NULL || config_list_add(to, item) != 0) {
            free(item);
            return -1;
        }
    }
    return 0;
}

static int
copy_map(const struct config_map *from, struct config_map *to)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct config_pair *pair = &from->items[i];
        if (config_map_find(to, pair->name) != NULL) {
            continue;
        }
        char *name = config_text_new(pair->name, strlen(pair->name));
        char *value = config_text_new(pair->value, strlen(pair->value));
        if (name == NULL || value == NULL ||
            config_map_add(to, (struct config_pair){name, value, pair->number, pair->is_secret}) !=
                0) {
            free(name);
            free(value);
            return -1;
        }
    }
    return 0;
}

size_t
config_object_size(const struct config_option *option, const void *object)
{
    size_t size = 0;
    const struct config_list *list = member_const(option, object);
    const struct config_map *map = member_const(option, object);
    const char *text = NULL;
    switch (option->kind) {
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        memcpy(&text, member_const(option, object), sizeof text);
        size = text != NULL ? strlen(text) + 1 : 0;
        break;
    case CONFIG_KIND_LIST:
        for (size_t i = 0; i < list->count; i++) {
            size += strlen(list->items[i]) + 1 + sizeof list->items[i];
        }
        break;
    case CONFIG_KIND_MAP:
        for (size_t i = 0; i < map->count; i++) {
            const struct config_pair *pair = &map->items[i];
            size += strlen(pair->name) + strlen(pair->value) + 2 + sizeof *pair;
        }
        break;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_ENUM:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_SIGNAL:
        break;
    }
    return size;
}

int
config_object_copy(const struct config_option *option, const void *from, void *to)
{
    const char *text = NULL;
    char *copy = NULL;
    switch (option->kind) {
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        memcpy(&text, member_const(option, from), sizeof text);
        if (text != NULL && (copy = config_text_new(text, strlen(text))) == NULL) {
            return -1;
        }
        *config_object_text(option, to) = copy;
        return 0;
    case CONFIG_KIND_LIST:
        return copy_list(member_const(option, from), member(option, to));
    case CONFIG_KIND_MAP:
        return copy_map(member_const(option, from), member(option, to));
    case CONFIG_KIND_INT:
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_ENUM:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_SIGNAL:
        config_object_set_number(option, to, config_object_number(option, from));
        return 0;
    }
    return -1;
}

int
config_object_default(const struct config_option *option, void *object)
{
    const char *text = option->fallback;
    char why[CONFIG_WHY_BYTES_MAX];
    int64_t value = 0;
    switch (option->kind) {
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        if (text != NULL) {
            *config_object_text(option, object) = config_text_new(text, strlen(text));
            return *config_object_text(option, object) != NULL ? 0 : -1;
        }
        return 0;
    case CONFIG_KIND_LIST:
    case CONFIG_KIND_MAP:
        return 0; /* The table's only default for these is the empty one; a test holds it to that.
                   */
    case CONFIG_KIND_INT:
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_ENUM:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_SIGNAL:
        /* A default that does not parse would be a fault of the table; a test reads each of them.
         */
        if (text == NULL) {
            config_object_set_number(option, object, 0); /* no such limit */
        } else if (config_value_parse(option, text, &value, why)) {
            config_object_set_number(option, object, value);
        }
        return 0;
    }
    return -1;
}

void
config_object_clear(const struct config_option *option, void *object)
{
    struct config_list *list = member(option, object);
    struct config_map *map = member(option, object);
    switch (option->kind) {
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        free(*config_object_text(option, object));
        *config_object_text(option, object) = NULL;
        break;
    case CONFIG_KIND_LIST:
        for (size_t i = 0; i < list->count; i++) {
            free(list->items[i]);
        }
        free(list->items);
        *list = (struct config_list){0};
        break;
    case CONFIG_KIND_MAP:
        for (size_t i = 0; i < map->count; i++) {
            free(map->items[i].name);
            free(map->items[i].value);
        }
        free(map->items);
        *map = (struct config_map){0};
        break;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_ENUM:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_SIGNAL:
        config_object_set_number(option, object, 0);
        break;
    }
}

void
config_object_clear_all(const struct config_table *table, void *object)
{
    for (size_t i = 0; i < table->count; i++) {
        config_object_clear(&table->options[i], object);
    }
}

static bool
is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
config_object_is_same(const struct config_option *option, const void *a, const void *b)
{
    const struct config_list *x = member_const(option, a), *y = member_const(option, b);
    const struct config_map *m = member_const(option, a), *n = member_const(option, b);
    char *text[2] = {NULL, NULL};
    bool same = true;
    switch (option->kind) {
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        memcpy(&text[0], member_const(option, a), sizeof text[0]);
        memcpy(&text[1], member_const(option, b), sizeof text[1]);
        return is_same_text(text[0], text[1]);
    case CONFIG_KIND_LIST:
        same = x->count == y->count;
        for (size_t i = 0; same && i < x->count; i++) {
            same = strcmp(x->items[i], y->items[i]) == 0;
        }
        return same;
    case CONFIG_KIND_MAP:
        same = m->count == n->count;
        for (size_t i = 0; same && i < m->count; i++) {
            same = strcmp(m->items[i].name, n->items[i].name) == 0 &&
                   strcmp(m->items[i].value, n->items[i].value) == 0;
        }
        return same;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_ENUM:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_SIGNAL:
        break;
    }
    return config_object_number(option, a) == config_object_number(option, b);
}

void
config_hub_differs(const struct config_hub *a, const struct config_hub *b, char *out,
                   size_t out_bytes)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < config_hub_table.count; i++) {
        const struct config_option *option = &config_hub_table.options[i];
        if (!config_object_is_same(option, a, b) &&
            used + strlen(option->key) + sizeof ", " < out_bytes) {
            used += (size_t)snprintf(out + used, out_bytes - used, "%s%s", used > 0 ? ", " : "",
                                     option->key);
        }
    }
}
