/* libyaml's events, and the stack of what is open: see reader.h. */
#include "broker/config/reader.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_DIRECTIVES_MAX = 64 };

static struct config_level *
top(struct config_reader *reader)
{
    return &reader->levels[reader->depth - 1];
}

/* The parents of a list or map are checked before it is opened, so the stack cannot overflow. */
static void
push(struct config_reader *reader, struct config_level level)
{
    reader->levels[reader->depth++] = level;
}

static const char *
name_of(const yaml_event_t *event)
{
    return event->type == YAML_MAPPING_START_EVENT ? "a map" : "a list";
}

static int
open_document(struct config_reader *reader, const yaml_event_t *event)
{
    if (reader->has_document) {
        return config_fail(reader, config_mark_of(reader, event),
                           "a second document ('---') is not read: one file is one configuration");
    }
    reader->has_document = true;
    return 0;
}

/* Anchors, aliases and tags make files whose meaning depends on other lines and on YAML's versions;
 * `defaults:` and ${VAR} do their work here. Only the broker's own text has a tag. */
static int
refuse_properties(struct config_reader *reader, const yaml_event_t *event,
                  const yaml_char_t *anchor, const yaml_char_t *tag)
{
    char quoted[CONFIG_QUOTE_BYTES_MAX];
    if (anchor != NULL) {
        config_quote((const char *)anchor, quoted);
        return config_fail(
            reader, config_mark_of(reader, event),
            "anchors (&) and aliases (*) are not supported, got %s: put what workers "
            "share under 'defaults', or a text that begins with & or * in quotes",
            quoted);
    }
    if (tag != NULL &&
        (!reader->source.is_kept || strcmp((const char *)tag, CONFIG_TAG_ENV_FILE) != 0)) {
        config_quote((const char *)tag, quoted);
        return config_fail(reader, config_mark_of(reader, event),
                           "tags (!) are not supported, got %s: put a text that begins with ! in "
                           "quotes",
                           quoted);
    }
    return 0;
}

/* A scalar that is no value: a key, or an item of a list. */
static int
read_key_or_item(struct config_reader *reader, const yaml_event_t *event)
{
    switch (top(reader)->kind) {
    case CONFIG_LEVEL_ROOT:
        return config_key_section(reader, top(reader), event);
    case CONFIG_LEVEL_OPTIONS:
        return top(reader)->draft != NULL ? config_key_device(reader, top(reader), event)
                                          : config_key_option(reader, top(reader), event);
    case CONFIG_LEVEL_WORKERS:
    case CONFIG_LEVEL_DEVICES:
        return config_key_worker(reader, top(reader), event);
    case CONFIG_LEVEL_MAP:
        return config_store_name(reader, top(reader), event);
    case CONFIG_LEVEL_LIST:
        return top(reader)->object == NULL ? config_include_add(reader, event)
                                           : config_store_item(reader, top(reader), event);
    }
    return 0;
}

/* The file, a section or a worker has to be a map. Nothing at all counts as an empty one, because
 * that is what is left of a section when all of its options are commented out. */
static int
require_empty(struct config_reader *reader, const yaml_event_t *event, const char *what)
{
    char got[CONFIG_QUOTE_BYTES_MAX];
    if (config_event_is_null(event)) {
        return 0;
    }
    if (event->type == YAML_SCALAR_EVENT) {
        config_quote(config_event_text(event), got);
    } else {
        snprintf(got, sizeof got, "%s", name_of(event));
    }
    return config_fail(reader, config_mark_of(reader, event), "%s must be a map, got %s", what,
                       got);
}

static int
require_empty_value(struct config_reader *reader, const yaml_event_t *event)
{
    char what[CONFIG_NAME_BYTES_MAX + 16];
    const struct config_level *level = top(reader);
    if (level->kind == CONFIG_LEVEL_ROOT) {
        snprintf(what, sizeof what, "'%s'", level->section->key);
    } else {
        snprintf(what, sizeof what, "%s '%s'",
                 level->kind == CONFIG_LEVEL_DEVICES ? "device" : "worker",
                 reader->drafts[reader->draft_count - 1].worker.name);
    }
    return require_empty(reader, event, what);
}

static int
read_scalar(struct config_reader *reader, const yaml_event_t *event)
{
    if (strlen(config_event_text(event)) != event->data.scalar.length) {
        return config_fail(reader, config_mark_of(reader, event),
                           "a text must not have a NUL character in it");
    }
    if (reader->depth == 0) {
        return require_empty(reader, event, "the file");
    }
    struct config_level *level = top(reader);
    if (!level->has_key) {
        return read_key_or_item(reader, event);
    }
    level->has_key = false;
    switch (level->kind) {
    case CONFIG_LEVEL_ROOT:
        if (level->section->id == CONFIG_SECTION_INCLUDE && !config_event_is_null(event)) {
            return config_include_add(reader, event);
        }
        return require_empty_value(reader, event);
    case CONFIG_LEVEL_WORKERS:
    case CONFIG_LEVEL_DEVICES:
        return require_empty_value(reader, event);
    case CONFIG_LEVEL_OPTIONS:
        return config_store_scalar(reader, level->option, level->object, event);
    case CONFIG_LEVEL_MAP:
        return config_store_pair(reader, level, event);
    case CONFIG_LEVEL_LIST:
        break;
    }
    return 0;
}

static struct config_level
options_level(const char *label, const struct config_table *table, void *object,
              struct config_mark *given)
{
    return (struct config_level){.kind = CONFIG_LEVEL_OPTIONS,
                                 .label = label,
                                 .table = table,
                                 .object = object,
                                 .given = given};
}

static int
open_section(struct config_reader *reader)
{
    const struct config_section *section = top(reader)->section;
    switch (section->id) {
    case CONFIG_SECTION_INCLUDE:
        break; /* a list, see open_collection */
    case CONFIG_SECTION_HUB:
        push(reader,
             options_level(section->key, &config_hub_table, &reader->hub, reader->hub_given));
        break;
    case CONFIG_SECTION_DEFAULTS:
        push(reader, options_level(section->key, &config_worker_table, &reader->defaults.worker,
                                   reader->defaults.given));
        break;
    case CONFIG_SECTION_WORKERS:
        push(reader, (struct config_level){.kind = CONFIG_LEVEL_WORKERS});
        break;
    case CONFIG_SECTION_DEVICES:
        push(reader, (struct config_level){.kind = CONFIG_LEVEL_DEVICES});
        break;
    case CONFIG_SECTION_COUNT:
        break;
    }
    return 0;
}

static int
open_value(struct config_reader *reader, const yaml_event_t *event)
{
    const struct config_level *level = top(reader);
    const bool is_map = event->type == YAML_MAPPING_START_EVENT;
    if (level->option->kind != (is_map ? CONFIG_KIND_MAP : CONFIG_KIND_LIST)) {
        return config_fail_value(reader, level->option, event, "");
    }
    push(reader, (struct config_level){.kind = is_map ? CONFIG_LEVEL_MAP : CONFIG_LEVEL_LIST,
                                       .option = level->option,
                                       .object = level->object});
    return 0;
}

static int
open_include(struct config_reader *reader, const yaml_event_t *event)
{
    if (event->type == YAML_MAPPING_START_EVENT) {
        return config_fail_value(reader, &config_include_option, event, "");
    }
    push(reader,
         (struct config_level){.kind = CONFIG_LEVEL_LIST, .option = &config_include_option});
    return 0;
}

/* A list or map begins. */
static int
open_collection(struct config_reader *reader, const yaml_event_t *event)
{
    const bool is_map = event->type == YAML_MAPPING_START_EVENT;
    if (reader->depth == 0) {
        if (!is_map) {
            return require_empty(reader, event, "the file");
        }
        push(reader, (struct config_level){.kind = CONFIG_LEVEL_ROOT});
        return 0;
    }
    struct config_level *level = top(reader);
    if (level->kind == CONFIG_LEVEL_LIST || (level->kind == CONFIG_LEVEL_MAP && level->has_key)) {
        return config_fail(reader, config_mark_of(reader, event),
                           "what stands in '%s' must be texts, got %s", level->option->key,
                           name_of(event));
    }
    if (!level->has_key) {
        return config_fail(reader, config_mark_of(reader, event), "a key must be a text, got %s",
                           name_of(event));
    }
    level->has_key = false;
    if (level->kind == CONFIG_LEVEL_OPTIONS) {
        return open_value(reader, event);
    }
    if (level->kind == CONFIG_LEVEL_ROOT && level->section->id == CONFIG_SECTION_INCLUDE) {
        return open_include(reader, event);
    }
    if (!is_map) {
        return require_empty_value(reader, event);
    }
    if (level->kind == CONFIG_LEVEL_ROOT) {
        return open_section(reader);
    }
    struct config_draft *draft = &reader->drafts[reader->draft_count - 1];
    if (level->kind == CONFIG_LEVEL_DEVICES) {
        reader->held.depth = 1; /* see device_read.c */
        return 0;
    }
    push(reader,
         options_level(draft->worker.name, &config_worker_table, &draft->worker, draft->given));
    return 0;
}

static int
close_collection(struct config_reader *reader, const yaml_event_t *event)
{
    const struct config_level level = *top(reader);
    reader->depth--;
    const bool is_list = level.kind == CONFIG_LEVEL_LIST;
    if (level.object == NULL || (!is_list && level.kind != CONFIG_LEVEL_MAP)) {
        return 0;
    }
    const size_t count = is_list ? config_object_list(level.option, level.object)->count
                                 : config_object_map(level.option, level.object)->count;
    if ((int64_t)count < level.option->min) {
        return config_fail(reader, config_mark_of(reader, event),
                           "'%s' must have at least %d item%s", level.option->key,
                           (int)level.option->min, level.option->min == 1 ? "" : "s");
    }
    return 0;
}

static int
read_event(struct config_reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return open_document(reader, event);
    case YAML_ALIAS_EVENT:
        return refuse_properties(reader, event, event->data.alias.anchor, NULL);
    case YAML_SCALAR_EVENT:
        if (refuse_properties(reader, event, event->data.scalar.anchor, event->data.scalar.tag) !=
            0) {
            return -1;
        }
        return read_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        if (refuse_properties(reader, event, event->data.sequence_start.anchor,
                              event->data.sequence_start.tag) != 0) {
            return -1;
        }
        return open_collection(reader, event);
    case YAML_MAPPING_START_EVENT:
        if (refuse_properties(reader, event, event->data.mapping_start.anchor,
                              event->data.mapping_start.tag) != 0) {
            return -1;
        }
        return open_collection(reader, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_collection(reader, event);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return 0;
    }
    return 0;
}

/* Read the events of a device, all of which are held back now. */
static int
read_device(struct config_reader *reader)
{
    struct config_draft *draft = &reader->drafts[reader->draft_count - 1];
    int rc = config_device_begin(reader, draft);
    if (rc == 0) {
        struct config_level level =
            options_level(draft->worker.name, &config_worker_table, &draft->worker, draft->given);
        level.draft = draft;
        push(reader, level);
    }
    for (size_t i = 0; rc == 0 && i < reader->held.count; i++) {
        rc = read_event(reader, &reader->held.events[i]);
    }
    config_device_drop(reader);
    return rc;
}

/* What is held back is moved out of `event`. */
static int
take_event(struct config_reader *reader, yaml_event_t *event)
{
    if (reader->held.depth == 0) {
        return read_event(reader, event);
    }
    if (config_device_hold(reader, event) != 0) {
        return -1;
    }
    return reader->held.depth == 0 ? read_device(reader) : 0;
}

/* libyaml compares each %TAG directive with all before it, and all of them within one call: a file
 * of 1 MiB took 16 s. None is needed here, so a small number is allowed and the rest not even
 * parsed. */
static int
check_directives(struct config_reader *reader)
{
    const char *at = reader->source.data, *end = at + reader->source.size_bytes;
    size_t count = 0;
    while ((at = memmem(at, (size_t)(end - at), "%TAG", 4)) != NULL) {
        at += 4;
        if (++count > TAG_DIRECTIVES_MAX) {
            return config_fail(reader, (struct config_mark){.file = reader->current},
                               "tags are not supported, and the file has more than %d times %%TAG",
                               TAG_DIRECTIVES_MAX);
        }
    }
    return 0;
}

static int
read_source(struct config_reader *reader)
{
    if (!reader->source.is_kept && check_directives(reader) != 0) {
        return -1;
    }
    if (!yaml_parser_initialize(&reader->yaml)) {
        return config_fail_nomem(reader);
    }
    reader->has_document = false;
    reader->depth = 0;
    memset(reader->sections, 0, sizeof reader->sections);
    /* Said outright, because libyaml would otherwise also take UTF-16. */
    yaml_parser_set_encoding(&reader->yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader->yaml, reader->source.data, reader->source.size_bytes);
    int rc = 0;
    bool at_end = false;
    while (rc == 0 && !at_end) {
        yaml_event_t event;
        if (!yaml_parser_parse(&reader->yaml, &event)) {
            rc = config_fail_yaml(reader);
            break;
        }
        at_end = event.type == YAML_STREAM_END_EVENT;
        rc = take_event(reader, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&reader->yaml);
    config_device_drop(reader);
    return rc;
}

int
config_reader_run(struct config_reader *reader)
{
    int more = 1;
    while (more == 1) {
        if (read_source(reader) != 0) {
            return -1;
        }
        more = config_include_next(reader);
    }
    return more;
}

void
config_reader_deinit(struct config_reader *reader)
{
    for (size_t i = 0; i < CONFIG_LEVELS_MAX; i++) {
        free(reader->levels[i].name);
        reader->levels[i].name = NULL;
    }
    config_object_clear_all(&config_hub_table, &reader->hub);
    config_worker_deinit(&reader->defaults.worker);
    for (size_t i = 0; i < reader->draft_count; i++) {
        config_worker_deinit(&reader->drafts[i].worker);
    }
    free(reader->drafts);
    reader->drafts = NULL;
    reader->draft_count = 0;
    config_include_deinit(reader);
}
