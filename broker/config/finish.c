/* After the last event: see reader.h. */
#include <stdlib.h>
#include <string.h>

#include "broker/config/depends.h"
#include "broker/config/reader.h"
#include "broker/config/url.h"

/* The index of an option of the table, which is known to have it. */
#define HUB_INDEX(key)    ((size_t)config_option_find(&config_hub_table, key))
#define WORKER_INDEX(key) ((size_t)config_option_find(&config_worker_table, key))

/* On the machine of the hub, where it is looked for again when the socket is given to it. */
static int
check_group(struct config_reader *reader)
{
    const struct config_env *env = reader->env;
    const char *name = reader->hub.group;
    char quoted[CONFIG_QUOTE_BYTES_MAX], meant[CONFIG_MEANT_BYTES_MAX];
    if (name == NULL || env == NULL || env->has_group == NULL ||
        env->has_group(env->context, name)) {
        return 0;
    }
    config_quote(name, quoted);
    config_confine_hint(reader, CONFIG_NAMES_GROUPS, name, meant);
    return config_fail(reader, reader->hub_given[HUB_INDEX("group")], "there is no group %s%s",
                       quoted, meant);
}

static int
check_hub(struct config_reader *reader)
{
    const struct config_list *listen = &reader->hub.listen;
    const struct config_mark at = reader->hub_given[HUB_INDEX("listen")];
    for (size_t i = 0; i < listen->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(listen->items[i], listen->items[k]) == 0) {
                return config_fail(reader, at, "'listen' has %.200s twice", listen->items[i]);
            }
        }
        if (!config_url_needs_tls(listen->items[i])) {
            continue;
        }
        if (reader->hub.tls_cert_file == NULL || reader->hub.tls_key_file == NULL) {
            return config_fail(
                reader, at, "'listen' has %.200s, which needs '%s' in 'hub' too", listen->items[i],
                reader->hub.tls_cert_file == NULL ? "tls_cert_file" : "tls_key_file");
        }
    }
    return check_group(reader);
}

/* Every option that the file does not give gets its default of the table. */
static int
fill_hub(struct config_reader *reader)
{
    for (size_t i = 0; i < config_hub_table.count; i++) {
        if (reader->hub_given[i].line == 0 &&
            config_object_default(&config_hub_table.options[i], &reader->hub) != 0) {
            return config_fail_nomem(reader);
        }
    }
    return 0;
}

/* One option of one worker: its own value, else that of `defaults:`, else that of the table. */
static int
fill_option(struct config_reader *reader, struct config_draft *draft, size_t index)
{
    const struct config_option *option = &config_worker_table.options[index];
    struct config_draft *defaults = &reader->defaults;
    const bool is_shared = defaults->given[index].line > 0;
    const bool is_own = draft->given[index].line > 0;
    if (is_shared && (!is_own || option->kind == CONFIG_KIND_MAP)) {
        if (!is_own) {
            draft->given[index] = defaults->given[index];
        }
        if (config_store_charge(reader, draft->given[index],
                                config_object_size(option, &defaults->worker)) != 0) {
            return -1;
        }
        if (config_object_copy(option, &defaults->worker, &draft->worker) != 0) {
            return config_fail_nomem(reader);
        }
        return 0;
    }
    if (!is_own && config_object_default(option, &draft->worker) != 0) {
        return config_fail_nomem(reader);
    }
    return 0;
}

/* The two ends of the pause before a restart. A file that gives both the wrong way round is
 * refused; when it gives only one, the other one follows. */
static int
check_delays(struct config_reader *reader, struct config_draft *draft)
{
    struct config_worker *worker = &draft->worker;
    const struct config_mark low = draft->given[WORKER_INDEX("restart_delay")];
    const struct config_mark high = draft->given[WORKER_INDEX("max_restart_delay")];
    char place[CONFIG_PLACE_BYTES_MAX];
    if (worker->restart_delay_ms <= worker->restart_delay_ms_max) {
        return 0;
    }
    if (low.line > 0 && high.line > 0) {
        config_place(reader, low, high, place);
        return config_fail(reader, high,
                           "'max_restart_delay' of worker '%s' must not be less than its "
                           "'restart_delay' in %s",
                           worker->name, place);
    }
    if (low.line > 0) {
        worker->restart_delay_ms_max = worker->restart_delay_ms;
    } else {
        worker->restart_delay_ms = worker->restart_delay_ms_max;
    }
    return 0;
}

static int
finish_worker(struct config_reader *reader, struct config_draft *draft)
{
    struct config_worker *worker = &draft->worker;
    if (draft->is_device && worker->device == NULL) { /* its name and nothing else */
        return config_device_begin(reader, draft);
    }
    if (draft->is_device && config_device_finish(reader, draft) != 0) {
        return -1;
    }
    for (size_t i = 0; i < config_worker_table.count; i++) {
        if (fill_option(reader, draft, i) != 0) {
            return -1;
        }
    }
    if (worker->command.count == 0) {
        return config_fail(reader, draft->at,
                           "worker '%s' has no 'command', for example command: %s", worker->name,
                           config_worker_table.options[WORKER_INDEX("command")].example);
    }
    if (worker->command.items[0][0] == '\0') {
        return config_fail(reader, draft->given[WORKER_INDEX("command")],
                           "the first item of 'command' is the program and must not be empty");
    }
    if (check_delays(reader, draft) != 0 || config_confine_check(reader, draft) != 0) {
        return -1;
    }
    if (worker->working_dir == NULL) {
        const char *directory = reader->files[draft->at.file].directory;
        if (config_store_charge(reader, draft->at, strlen(directory) + 1) != 0) {
            return -1;
        }
        worker->working_dir = config_text_new(directory, strlen(directory));
        if (worker->working_dir == NULL) {
            return config_fail_nomem(reader);
        }
    }
    return 0;
}

/* Shared and own names are each within the limit of an environment; joined they may be above it. */
static int
check_joined(struct config_reader *reader, const struct config_draft *draft)
{
    const struct config_option *option = &config_worker_table.options[WORKER_INDEX("environment")];
    if ((int64_t)draft->worker.environment.count > option->max) {
        return config_fail(reader, draft->given[WORKER_INDEX("environment")],
                           "'environment' may have at most %d names, with those of 'defaults'",
                           (int)option->max);
    }
    return 0;
}

/* Move what was read into `config`; nothing in it can fail. */
static void
move(struct config_reader *reader, struct config *config)
{
    config->hub = reader->hub;
    reader->hub = (struct config_hub){0};
    for (size_t i = 0; i < reader->draft_count; i++) {
        config->workers[i] = reader->drafts[i].worker;
    }
    config->worker_count = reader->draft_count;
    reader->draft_count = 0;
}

int
config_reader_finish(struct config_reader *reader, struct config **out)
{
    if (check_hub(reader) != 0 || fill_hub(reader) != 0) {
        return -1;
    }
    for (size_t i = 0; i < reader->draft_count; i++) {
        if (finish_worker(reader, &reader->drafts[i]) != 0 ||
            check_joined(reader, &reader->drafts[i]) != 0 ||
            (!reader->source.is_kept && config_envfile_apply(reader, &reader->drafts[i]) != 0) ||
            (reader->drafts[i].is_device && config_device_tell(reader, &reader->drafts[i]) != 0)) {
            return -1;
        }
    }
    if (config_check_depends(reader) != 0) {
        return -1;
    }
    const char *directory = reader->files[0].directory;
    struct config *config = calloc(1, sizeof *config);
    if (config != NULL) {
        config->directory = config_text_new(directory, strlen(directory));
        config->workers = calloc(reader->draft_count + 1, sizeof *config->workers);
    }
    if (config == NULL || config->directory == NULL || config->workers == NULL) {
        config_free(config);
        return config_fail_nomem(reader);
    }
    move(reader, config);
    *out = config;
    return 0;
}
