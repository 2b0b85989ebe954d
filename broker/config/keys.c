/* The keys of the file's maps: what is known, what is there twice. See reader.h. */
#include <stdlib.h>
#include <string.h>

#include "broker/config/reader.h"
#include "proto/closest.h"

enum {
    DRAFTS_FIRST = 4,
    LISTED_MAX = 24, /* a longer list is not read in a message */
};

/* What is allowed: the keys of `table`, or the sections; of a long table where to find them. */
static void
list_keys(const struct config_table *table, struct closest *near, char *out, size_t out_bytes)
{
    const size_t count = table != NULL ? table->count : CONFIG_SECTION_COUNT;
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *key = table != NULL ? table->options[i].key : config_sections[i].key;
        closest_offer(near, key);
        if (count <= LISTED_MAX && used < out_bytes) {
            used += (size_t)snprintf(out + used, out_bytes - used, "%s%s",
                                     i > 0 ? ", " : " Allowed: ", key);
        }
    }
    if (count > LISTED_MAX && near->best == NULL) {
        snprintf(out, out_bytes, " All there are: prong config manual");
    }
}

/* "unknown key 'x' in Y; did you mean 'z'?", and what is allowed. */
static int
fail_unknown(struct config_reader *reader, const yaml_event_t *event,
             const struct config_table *table, const char *label)
{
    char quoted[CONFIG_QUOTE_BYTES_MAX], allowed[CONFIG_DIAG_BYTES_MAX / 2], hint[120] = ".";
    struct closest near = {.word = config_event_text(event), .loose = true};
    list_keys(table, &near, allowed, sizeof allowed);
    if (near.best != NULL) {
        snprintf(hint, sizeof hint, "; did you mean '%s'?", near.best);
    } else if (strcmp(near.word, "<<") == 0) {
        snprintf(hint, sizeof hint,
                 "; maps are not merged, put what workers share under 'defaults'.");
    }
    config_quote(near.word, quoted);
    return config_fail(reader, config_mark_of(reader, event), "unknown key %s in %s%s%s", quoted,
                       label, hint, allowed);
}

static int
refuse_again(struct config_reader *reader, const yaml_event_t *event, struct config_mark first,
             const char *label)
{
    char quoted[CONFIG_QUOTE_BYTES_MAX], place[CONFIG_PLACE_BYTES_MAX];
    const struct config_mark at = config_mark_of(reader, event);
    config_quote(config_event_text(event), quoted);
    config_place(reader, first, at, place);
    return config_fail(reader, at, "%s is given twice in %s; first in %s", quoted, label, place);
}

int
config_key_section(struct config_reader *reader, struct config_level *level,
                   const yaml_event_t *event)
{
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        if (strcmp(config_sections[i].key, config_event_text(event)) == 0) {
            if (reader->sections[i].line > 0) {
                return refuse_again(reader, event, reader->sections[i], "the file");
            }
            reader->sections[i] = config_mark_of(reader, event);
            level->section = &config_sections[i];
            level->has_key = true;
            return 0;
        }
    }
    return fail_unknown(reader, event, NULL, "the file");
}

int
config_key_option(struct config_reader *reader, struct config_level *level,
                  const yaml_event_t *event)
{
    char label[CONFIG_NAME_BYTES_MAX + 16];
    const bool is_worker =
        level->given != reader->hub_given && level->given != reader->defaults.given;
    snprintf(label, sizeof label, is_worker ? "worker '%s'" : "'%s'", level->label);
    const int index = config_option_find(level->table, config_event_text(event));
    if (index < 0) {
        return fail_unknown(reader, event, level->table, label);
    }
    if (level->given[index].line > 0) {
        return refuse_again(reader, event, level->given[index], label);
    }
    level->given[index] = config_mark_of(reader, event);
    level->option = &level->table->options[index];
    level->has_key = true;
    return 0;
}

static int
check_worker_name(struct config_reader *reader, const yaml_event_t *event, bool is_device)
{
    const char *name = config_event_text(event);
    const char *what = is_device ? "device" : "worker";
    char quoted[CONFIG_QUOTE_BYTES_MAX];
    if (strcmp(name, "hub") == 0) {
        return config_fail(reader, config_mark_of(reader, event),
                           "a %s cannot be called 'hub', which is the hub's own name", what);
    }
    if (!config_worker_name_is_valid(name)) {
        config_quote(name, quoted);
        return config_fail(reader, config_mark_of(reader, event),
                           "the name of a %s must be 1 to 64 of a-z, 0-9, _ and -, got %s", what,
                           quoted);
    }
    for (size_t i = 0; i < reader->draft_count; i++) {
        if (strcmp(reader->drafts[i].worker.name, name) == 0) {
            return refuse_again(reader, event, reader->drafts[i].at,
                                is_device != reader->drafts[i].is_device ? "'workers' and 'devices'"
                                : is_device                              ? "'devices'"
                                                                         : "'workers'");
        }
    }
    if (reader->draft_count == CONFIG_WORKERS_MAX) {
        return config_fail(reader, config_mark_of(reader, event),
                           "there may be at most %d workers%s", CONFIG_WORKERS_MAX,
                           is_device ? " and devices" : "");
    }
    return 0;
}

int
config_key_worker(struct config_reader *reader, struct config_level *level,
                  const yaml_event_t *event)
{
    const bool is_device = level->kind == CONFIG_LEVEL_DEVICES;
    if (check_worker_name(reader, event, is_device) != 0) {
        return -1;
    }
    /* Nothing points into the list here: the worker before this one is closed. */
    if (reader->draft_count == reader->draft_cap) {
        const size_t cap = reader->draft_cap > 0 ? 2 * reader->draft_cap : DRAFTS_FIRST;
        struct config_draft *grown = realloc(reader->drafts, cap * sizeof *grown);
        if (grown == NULL) {
            return config_fail_nomem(reader);
        }
        reader->drafts = grown;
        reader->draft_cap = cap;
    }
    struct config_draft *draft = &reader->drafts[reader->draft_count];
    *draft = (struct config_draft){.is_device = is_device};
    draft->worker.name = config_text_new(config_event_text(event), event->data.scalar.length);
    if (draft->worker.name == NULL) {
        return config_fail_nomem(reader);
    }
    draft->at = config_mark_of(reader, event);
    reader->draft_count++;
    level->has_key = true;
    return 0;
}
