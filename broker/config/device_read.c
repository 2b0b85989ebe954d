/* Devices while a file is read: see reader.h.
 *
 * Which options an entry has depends on its kind, which may stand behind them. So the events of an
 * entry are held back until its end, its kind is looked for, and then they are read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/reader.h"
#include "broker/config/value.h"
#include "proto/closest.h"
#include "proto/device/modbus_point.h"

#define WORKER_INDEX(key) ((size_t)config_option_find(&config_worker_table, key))

/* ---- holding back ------------------------------------------------------------------------------
 */

int
config_device_hold(struct config_reader *reader, yaml_event_t *event)
{
    struct config_held *held = &reader->held;
    if (held->count == CONFIG_HELD_MAX) {
        return config_fail(reader, config_mark_of(reader, event),
                           "a device may have at most %d keys and values", CONFIG_HELD_MAX);
    }
    if (held->count == held->cap) {
        const size_t cap = held->cap > 0 ? 2 * held->cap : 32;
        yaml_event_t *grown = realloc(held->events, cap * sizeof *grown);
        if (grown == NULL) {
            return config_fail_nomem(reader);
        }
        held->events = grown;
        held->cap = cap;
    }
    held->events[held->count++] = *event;
    *event = (yaml_event_t){0};
    const yaml_event_type_t type = held->events[held->count - 1].type;
    if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT) {
        held->depth++;
    } else if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT) {
        held->depth--;
    }
    return 0;
}

void
config_device_drop(struct config_reader *reader)
{
    struct config_held *held = &reader->held;
    for (size_t i = 0; i < held->count; i++) {
        yaml_event_delete(&held->events[i]);
    }
    free(held->events);
    *held = (struct config_held){0};
}

/* ---- the kind ----------------------------------------------------------------------------------
 */

/* The value of the key `kind` of the entry, NULL without one. */
static const yaml_event_t *
find_kind(const struct config_held *held)
{
    size_t depth = 0;
    bool is_key = true;
    for (size_t i = 0; i + 1 < held->count; i++) {
        const yaml_event_t *event = &held->events[i];
        if (depth == 0 && is_key && event->type == YAML_SCALAR_EVENT &&
            strcmp(config_event_text(event), "kind") == 0) {
            return &held->events[i + 1];
        }
        if (event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT) {
            depth++;
        } else if (event->type == YAML_MAPPING_END_EVENT ||
                   event->type == YAML_SEQUENCE_END_EVENT) {
            depth--;
        }
        is_key = depth == 0 ? !is_key : is_key;
    }
    return NULL;
}

static int
fail_kind(struct config_reader *reader, const yaml_event_t *event)
{
    char known[CONFIG_DIAG_BYTES_MAX / 2] = "", quoted[CONFIG_QUOTE_BYTES_MAX] = "a map or list";
    char hint[100] = "";
    size_t used = 0;
    struct closest near = {.word = event->type == YAML_SCALAR_EVENT ? config_event_text(event) : "",
                           .loose = true};
    for (size_t i = 0; i < device_kind_count && used < sizeof known; i++) {
        closest_offer(&near, device_kinds[i].name);
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                                 device_kinds[i].name);
    }
    if (event->type == YAML_SCALAR_EVENT) {
        config_quote(config_event_text(event), quoted);
    }
    if (near.best != NULL) {
        snprintf(hint, sizeof hint, ": did you mean '%s'?", near.best);
    }
    return config_fail(reader, config_mark_of(reader, event), "'kind' must be one of %s, got %s%s",
                       known, quoted, hint);
}

int
config_device_begin(struct config_reader *reader, struct config_draft *draft)
{
    const yaml_event_t *event = find_kind(&reader->held);
    if (event == NULL) {
        return config_fail(reader, draft->at, "device '%s' has no 'kind', for example kind: %s",
                           draft->worker.name, device_kinds[0].name);
    }
    const struct device_kind *kind =
        event->type == YAML_SCALAR_EVENT ? device_kind_find(config_event_text(event)) : NULL;
    if (kind == NULL) {
        return fail_kind(reader, event);
    }
    draft->worker.device = config_device_new(kind);
    return draft->worker.device != NULL ? 0 : config_fail_nomem(reader);
}

/* ---- keys --------------------------------------------------------------------------------------
 */

static int
fail_unknown(struct config_reader *reader, const struct config_draft *draft,
             const yaml_event_t *event)
{
    const struct device_kind *kind = draft->worker.device->kind;
    const char *key = config_event_text(event);
    char quoted[CONFIG_QUOTE_BYTES_MAX], known[CONFIG_DIAG_BYTES_MAX / 2] = "", hint[120] = ".";
    size_t used = 0;
    struct closest near = {.word = key, .loose = true};
    config_quote(key, quoted);
    if (config_device_refuses(key)) {
        return config_fail(reader, config_mark_of(reader, event),
                           "%s is no option of a device: device '%s' is one process of %s", quoted,
                           draft->worker.name, kind->program);
    }
    for (size_t i = 0; i < device_option_count && used < sizeof known; i++) {
        if (device_kind_has(kind, device_options[i].set)) {
            closest_offer(&near, device_options[i].key);
            used +=
                (size_t)snprintf(known + used, sizeof known - used, "%s, ", device_options[i].key);
        }
    }
    for (size_t i = 0; i < config_worker_table.count; i++) {
        if (!config_device_refuses(config_worker_table.options[i].key)) {
            closest_offer(&near, config_worker_table.options[i].key);
        }
    }
    if (near.best != NULL) {
        snprintf(hint, sizeof hint, "; did you mean '%s'?", near.best);
    }
    return config_fail(
        reader, config_mark_of(reader, event),
        "unknown key %s in device '%s' of kind %s%s Allowed: %sand what workers have", quoted,
        draft->worker.name, kind->name, hint, known);
}

int
config_key_device(struct config_reader *reader, struct config_level *level,
                  const yaml_event_t *event)
{
    struct config_draft *draft = level->draft;
    struct config_device *device = draft->worker.device;
    const char *key = config_event_text(event);
    const int own =
        strcmp(key, "kind") == 0 ? (int)CONFIG_DEVICE_KIND : device_option_find(device->kind, key);
    const int shared =
        config_device_refuses(key) ? -1 : config_option_find(&config_worker_table, key);
    if (own < 0 && shared < 0) {
        return fail_unknown(reader, draft, event);
    }
    struct config_mark *given = own >= 0 ? &draft->device_given[own] : &draft->given[shared];
    if (given->line > 0) {
        char place[CONFIG_PLACE_BYTES_MAX];
        const struct config_mark at = config_mark_of(reader, event);
        config_place(reader, *given, at, place);
        return config_fail(reader, at, "'%s' is given twice in device '%s'; first in %s", key,
                           draft->worker.name, place);
    }
    *given = config_mark_of(reader, event);
    level->option =
        own >= 0 ? &config_device_table.options[own] : &config_worker_table.options[shared];
    level->object = own >= 0 ? (void *)device->slots : (void *)&draft->worker;
    level->has_key = true;
    return 0;
}

/* ---- after the last event ----------------------------------------------------------------------
 */

/* The options of the kind that the file does not give. */
static int
fill(struct config_reader *reader, struct config_draft *draft)
{
    struct config_device *device = draft->worker.device;
    for (size_t i = 0; i < CONFIG_DEVICE_OPTION_COUNT; i++) {
        const struct config_option *option = &config_device_table.options[i];
        if (!device_kind_has(device->kind, device_options[i].set) ||
            draft->device_given[i].line > 0) {
            continue;
        }
        if (option->fallback == NULL && option->unset == NULL) {
            return config_fail(
                reader, draft->at, "device '%s' of kind %s has no '%s', for example %s: %s",
                draft->worker.name, device->kind->name, option->key, option->key, option->example);
        }
        if (config_object_default(option, device->slots) != 0) {
            return config_fail_nomem(reader);
        }
    }
    return 0;
}

/* An option that is given beside another one that it cannot stand with, or without one that it
 * cannot do without. */
static int
check_company(struct config_reader *reader, const struct config_draft *draft,
              const struct device_option *option, struct config_mark own)
{
    const struct device_kind *kind = draft->worker.device->kind;
    const struct {
        const char *other, *what, *how;
        bool is_wrong_when_given;
    } rules[] = {
        {option->with, "belongs to", "does not have", false},
        {option->needs, "needs", "does not have", false},
        {option->without, "cannot stand beside", "has, too", true},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const char *other = rules[i].other;
        if (other != NULL && (draft->device_given[device_option_find(kind, other)].line > 0) ==
                                 rules[i].is_wrong_when_given) {
            return config_fail(reader, own, "'%s' %s '%s', which device '%s' %s", option->key,
                               rules[i].what, other, draft->worker.name, rules[i].how);
        }
    }
    return 0;
}

/* Options of the table that have to do with another one. */
static int
check_pairs(struct config_reader *reader, struct config_draft *draft)
{
    const struct device_kind *kind = draft->worker.device->kind;
    for (size_t i = 0; i < CONFIG_DEVICE_OPTION_COUNT; i++) {
        const struct device_option *option = &device_options[i];
        if (!device_kind_has(kind, option->set)) {
            continue;
        }
        const char *other = option->either;
        const struct config_mark own = draft->device_given[i];
        const bool has_other =
            other != NULL && draft->device_given[device_option_find(kind, other)].line > 0;
        if (other != NULL && own.line == 0 && !has_other) {
            return config_fail(reader, draft->at, "device '%s' of kind %s needs '%s' or '%s'",
                               draft->worker.name, kind->name, option->key, other);
        }
        if (other != NULL && own.line > 0 && has_other) {
            return config_fail(reader, own, "device '%s' has '%s' or '%s', not both",
                               draft->worker.name, option->key, other);
        }
        if (own.line > 0 && check_company(reader, draft, option, own) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The two ends of the wait between attempts; when only one is given the other one follows. */
static int
check_waits(struct config_reader *reader, struct config_draft *draft)
{
    union config_slot *low = &draft->worker.device->slots[CONFIG_DEVICE_RECONNECTS_reconnect_min];
    union config_slot *high = &draft->worker.device->slots[CONFIG_DEVICE_RECONNECTS_reconnect_max];
    const struct config_mark least = draft->device_given[CONFIG_DEVICE_RECONNECTS_reconnect_min];
    const struct config_mark most = draft->device_given[CONFIG_DEVICE_RECONNECTS_reconnect_max];
    if (low->number <= high->number) {
        return 0;
    }
    if (least.line > 0 && most.line > 0) {
        return config_fail(reader, most,
                           "'reconnect_max' of device '%s' must not be less than its "
                           "'reconnect_min'",
                           draft->worker.name);
    }
    if (least.line > 0) {
        high->number = low->number;
    } else {
        low->number = high->number;
    }
    return 0;
}

/* Which addresses a unit can have depends on what it is reached by. */
static int
check_unit(struct config_reader *reader, struct config_draft *draft)
{
    char why[CONFIG_WHY_BYTES_MAX];
    const int64_t unit = draft->worker.device->slots[CONFIG_DEVICE_MODBUS_unit].number;
    const bool is_serial = draft->device_given[CONFIG_DEVICE_MODBUS_path].line > 0;
    if (modbus_check_unit(unit, is_serial, why, sizeof why)) {
        return 0;
    }
    return config_fail(reader, draft->device_given[CONFIG_DEVICE_MODBUS_unit],
                       "'unit' of device '%s' cannot be %d: %s", draft->worker.name, (int)unit,
                       why);
}

/* Options that only have a meaning together. */
static int
check_together(struct config_reader *reader, struct config_draft *draft)
{
    const struct config_device *device = draft->worker.device;
    const struct config_mark framing = draft->device_given[CONFIG_DEVICE_FRAMES_framing];
    const struct config_mark delimiter = draft->device_given[CONFIG_DEVICE_FRAMES_delimiter];
    const struct config_option *option = &config_device_table.options[CONFIG_DEVICE_FRAMES_framing];
    const bool is_delimited =
        device_kind_has(device->kind, DEVICE_FRAMES) &&
        strcmp(option->allowed[device->slots[CONFIG_DEVICE_FRAMES_framing].word], "delimiter") == 0;
    if (is_delimited && delimiter.line == 0) {
        return config_fail(reader, framing, "framing delimiter needs 'delimiter' in device '%s'",
                           draft->worker.name);
    }
    if (!is_delimited && delimiter.line > 0) {
        return config_fail(reader, delimiter, "'delimiter' belongs to framing: delimiter");
    }
    if (device->kind->id == DEVICE_MODBUS && check_unit(reader, draft) != 0) {
        return -1;
    }
    return device_kind_has(device->kind, DEVICE_RECONNECTS) ? check_waits(reader, draft) : 0;
}

static int
set_command(struct config_reader *reader, struct config_worker *worker)
{
    const struct config_env *env = reader->env;
    const char *program = worker->device->kind->program;
    char *path = env != NULL && env->find_program != NULL
                     ? env->find_program(env->context, program)
                     : config_text_new(program, strlen(program));
    if (path == NULL || config_list_add(&worker->command, path) != 0) {
        free(path);
        return config_fail_nomem(reader);
    }
    return 0;
}

int
config_device_finish(struct config_reader *reader, struct config_draft *draft)
{
    struct config_worker *worker = &draft->worker;
    if (check_pairs(reader, draft) != 0 || fill(reader, draft) != 0 ||
        check_together(reader, draft) != 0 || set_command(reader, worker) != 0) {
        return -1;
    }
    /* What `defaults:` says about these is for workers. */
    for (size_t i = 0; i < config_worker_table.count; i++) {
        if (config_device_refuses(config_worker_table.options[i].key)) {
            draft->given[i] = draft->at;
        }
    }
    worker->replicas = 1;
    worker->takes_stdin =
        worker->device->kind->id == DEVICE_STDIN ? CONFIG_STDIN_PIPE : CONFIG_STDIN_NONE;
    struct config_mark *restart = &draft->given[WORKER_INDEX("restart")];
    if (restart->line == 0 && reader->defaults.given[WORKER_INDEX("restart")].line == 0) {
        *restart = draft->at;
        worker->restart = CONFIG_RESTART_ALWAYS;
    }
    /* Two of them at a time would want the same port. */
    struct config_mark *order = &draft->given[WORKER_INDEX("update_order")];
    if (order->line == 0) {
        *order = draft->at;
        worker->update_order = CONFIG_UPDATE_STOP_FIRST;
    }
    return 0;
}

int
config_device_tell(struct config_reader *reader, struct config_draft *draft)
{
    static const char name[] = CONFIG_DEVICE_SETTING;
    struct config_worker *worker = &draft->worker;
    if (config_map_find(&worker->environment, name) != NULL) {
        return config_fail(reader, draft->at,
                           "the environment of device '%s' cannot have %s: there the hub tells it "
                           "its options",
                           worker->name, name);
    }
    const int64_t max = config_worker_table.options[WORKER_INDEX("environment")].max;
    if ((int64_t)worker->environment.count >= max) {
        return config_fail(reader, draft->at,
                           "'environment' of a device may have at most %d names, with those of "
                           "'defaults'",
                           (int)max - 1);
    }
    /* A percent sign in it has no meaning, and it may hold a password: as with an env_file. */
    struct config_pair pair = {.is_secret = true};
    errno = ENOMEM;
    pair.value = config_device_json(worker->device);
    if (pair.value == NULL && errno == EILSEQ) {
        return config_fail(reader, draft->at, "the options of device '%s' must be in UTF-8",
                           worker->name);
    }
    if (pair.value != NULL && strlen(pair.value) > CONFIG_DEVICE_SETTING_BYTES_MAX) {
        free(pair.value);
        return config_fail(reader, draft->at, "the options of device '%s' are more than %d KiB",
                           worker->name, CONFIG_DEVICE_SETTING_BYTES_MAX / 1024);
    }
    pair.name = config_text_new(name, sizeof name - 1);
    if (pair.name == NULL || pair.value == NULL ||
        config_map_add(&worker->environment, pair) != 0) {
        free(pair.name);
        free(pair.value);
        return config_fail_nomem(reader);
    }
    return 0;
}
