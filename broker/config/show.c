/* A configuration with all its values, for people to read and for the reader to read again: see
 * config.h.
 *
 * Every text stands in double quotes with the escapes of JSON, which YAML has too. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/reader.h"
#include "broker/config/value.h"
#include "proto/mask.h"
#include "proto/mp.h"

/* A key of more than 1024 bytes, escapes included, has to be announced with a question mark. */
enum { SHORT_NAME_BYTES_MAX = 150 };

struct shower {
    FILE *out;
    bool as_json, reveals;
    bool is_first; /* of the map that is open: no comma yet */
    bool has_begun;
    int error; /* ENOMEM, EILSEQ */
};

/* ---- texts ------------------------------------------------------------------------------------
 */

/* A character that YAML does not have as it is: controls, C1 included, which a terminal obeys, the
 * separators that end a line in YAML, the byte order mark, and what is no character. */
static unsigned
control_at(const unsigned char *at, size_t *len)
{
    static const char *const others[] = {"\u2028", "\u2029", "\ufeff", "\xef\xbf\xbe",
                                         "\xef\xbf\xbf"};
    *len = 1;
    if (at[0] < 0x20 || at[0] == 0x7f) {
        return at[0];
    }
    if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) {
        *len = 2;
        return at[1];
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strncmp((const char *)at, others[i], 3) == 0) {
            *len = 3;
            return (at[0] & 0xfU) << 12 | (at[1] & 0x3fU) << 6 | (at[2] & 0x3fU);
        }
    }
    return 0;
}

/* `doubles`: a dollar that would begin a variable is written twice. */
static void
put_literal(struct shower *s, const char *text, bool doubles)
{
    size_t len;
    if (s->reveals && !mp_is_utf8((struct span){(const uint8_t *)text, strlen(text)})) {
        s->error = EILSEQ;
    }
    fputc('"', s->out);
    for (const char *at = text; *at != '\0'; at += len) {
        const unsigned control = control_at((const unsigned char *)at, &len);
        const bool begins_variable = at[0] == '$' && (at[1] == '$' || at[1] == '{');
        if (control > 0) {
            fprintf(s->out, "\\u%04x", control);
        } else if (*at == '"' || *at == '\\') {
            fprintf(s->out, "\\%c", *at);
        } else {
            fprintf(s->out, "%s%c", begins_variable && doubles ? "$" : "", *at);
        }
    }
    fputc('"', s->out);
}

static void
put_quoted(struct shower *s, const char *text)
{
    put_literal(s, text, !s->as_json);
}

/* A name in a map that is `depth` deep, where there are no variables. */
static void
put_name(struct shower *s, const char *name, int depth, bool is_comment)
{
    const bool is_long = !s->as_json && !is_comment && strlen(name) > SHORT_NAME_BYTES_MAX;
    fputs(is_comment ? "# " : is_long ? "? " : "", s->out);
    put_literal(s, name, false);
    if (is_long) {
        fprintf(s->out, "\n%*s", 2 * depth, "");
    }
    fputs(": ", s->out);
}

/* A text without the secrets in it; all of it is one when `is_secret`. One that begins as a URL is
 * one as a whole: a blank does not end a password in it. */
static void
put_text(struct shower *s, const char *text, bool is_secret)
{
    if (s->reveals) {
        put_quoted(s, text);
        return;
    }
    size_t (*const mask)(const char *, char *, size_t) =
        strncmp(text + strcspn(text, ": \t\n"), "://", 3) == 0 ? mask_url : mask_text;
    const size_t size = mask(text, (char[1]){0}, 1) + 1;
    char *masked = is_secret ? NULL : malloc(size);
    if (masked != NULL) {
        mask(text, masked, size);
    }
    s->error = masked == NULL && !is_secret ? ENOMEM : s->error;
    put_quoted(s, masked != NULL ? masked : MASK_SHOWN);
    free(masked);
}

static void
put_list(struct shower *s, const struct config_list *list)
{
    fputc('[', s->out);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i > 0 ? ", " : "", s->out);
        /* "--password" and behind it the password, as items of their own. */
        put_text(s, list->items[i],
                 i > 0 && mask_is_option(list->items[i - 1]) && list->items[i][0] != '-');
    }
    fputc(']', s->out);
}

/* ---- maps -------------------------------------------------------------------------------------
 */

/* The beginning of a member of a map that is `depth` deep. */
static void
put_key(struct shower *s, int depth, const char *key)
{
    fputs(s->as_json && !s->is_first ? "," : "", s->out);
    fprintf(s->out, "%s%*s", s->as_json || s->has_begun ? "\n" : "", 2 * depth, "");
    s->is_first = false;
    s->has_begun = true;
    if (s->as_json) {
        fprintf(s->out, "\"%s\":", key);
    } else {
        fprintf(s->out, "%s:", key);
    }
}

/* The same of a member that is no map. */
static void
put_value_key(struct shower *s, int depth, const char *key)
{
    put_key(s, depth, key);
    fputc(' ', s->out);
}

/* Maps inside: in YAML the indent is all there is. */
static void
open_map(struct shower *s)
{
    fputs(s->as_json ? " {" : "", s->out);
    s->is_first = true;
}

static void
close_map(struct shower *s, int depth)
{
    if (s->as_json) {
        fprintf(s->out, "\n%*s}", 2 * depth, "");
    }
    s->is_first = false;
}

static void
put_pair_value(struct shower *s, const struct config_option *option, const struct config_pair *pair)
{
    char number[CONFIG_NUMBER_BYTES_MAX];
    if (s->reveals) { /* as it was written, whatever else means the same */
        put_quoted(s, pair->value);
    } else if (option->each != NULL && option->each->kind == CONFIG_KIND_ENUM) {
        put_quoted(s, option->each->allowed[pair->number]);
    } else if (option->each != NULL) {
        config_number_format(option->each->kind, pair->number, number);
        put_quoted(s, number);
    } else {
        put_text(s, pair->value, pair->is_secret || mask_is_secret(pair->name));
    }
}

/* One name after the other. What came from an env_file is a comment in YAML: it will come again,
 * but for a text that the hub keeps. */
static void
put_map(struct shower *s, const struct config_option *option, const struct config_map *map,
        int depth)
{
    size_t own = 0;
    for (size_t i = 0; i < map->count; i++) {
        own += s->as_json || s->reveals || !map->items[i].is_secret;
    }
    fputs(s->as_json ? " {" : own == 0 ? " {}" : "", s->out);
    for (size_t i = 0, shown = 0; i < map->count; i++) {
        const struct config_pair *pair = &map->items[i];
        const bool is_comment = pair->is_secret && !s->as_json && !s->reveals;
        fprintf(s->out, "%s\n%*s", s->as_json && shown++ > 0 ? "," : "", 2 * (depth + 1), "");
        put_name(s, pair->name, depth + 1, is_comment);
        fputs(pair->is_secret && s->reveals ? CONFIG_TAG_ENV_FILE " " : "", s->out);
        put_pair_value(s, option, pair);
        fputs(is_comment ? "  from an env_file" : "", s->out);
    }
    if (s->as_json) {
        fprintf(s->out, "%s%*s}", own > 0 ? "\n" : "", own > 0 ? 2 * depth : 0, "");
    }
}

/* ---- options ----------------------------------------------------------------------------------
 */

static void
put_number(struct shower *s, const struct config_option *option, int64_t value)
{
    char number[CONFIG_NUMBER_BYTES_MAX];
    if (option->kind == CONFIG_KIND_BOOL) {
        fputs(value != 0 ? "true" : "false", s->out);
    } else if (option->kind == CONFIG_KIND_INT) {
        fprintf(s->out, "%" PRId64, value);
    } else if (option->kind == CONFIG_KIND_ENUM) {
        put_quoted(s, option->allowed[value]);
    } else {
        config_number_format(option->kind, value, number);
        put_quoted(s, number);
    }
}

/* One that may be missing is left out when it is, which is 0 inside; 0 of any other, such as the
 * port of a device, is what the file says. */
static void
put_number_option(struct shower *s, const struct config_option *option, const void *object,
                  int depth)
{
    const int64_t value = config_object_number(option, object);
    if (option->unset == NULL || value != 0) {
        put_value_key(s, depth, option->key);
        put_number(s, option, value);
    }
}

static void
put_option(struct shower *s, const struct config_option *option, void *object, int depth)
{
    switch (option->kind) {
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        if (*config_object_text(option, object) != NULL) {
            put_value_key(s, depth, option->key);
            /* Where the key of a certificate lies is no secret. */
            put_text(s, *config_object_text(option, object),
                     option->kind == CONFIG_KIND_STRING && mask_is_secret(option->key));
        }
        break;
    case CONFIG_KIND_LIST:
        put_value_key(s, depth, option->key);
        put_list(s, config_object_list(option, object));
        break;
    case CONFIG_KIND_MAP:
        put_key(s, depth, option->key);
        put_map(s, option, config_object_map(option, object), depth);
        break;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_ENUM:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_SIGNAL:
        put_number_option(s, option, object, depth);
        break;
    }
}

static void
put_options(struct shower *s, const struct config_table *table, void *object, int depth)
{
    for (size_t i = 0; i < table->count; i++) {
        put_option(s, &table->options[i], object, depth);
    }
}

/* Whether an option belongs to a text that the device does not have: with it the file would be
 * refused. */
static bool
is_idle(struct config_device *device, const struct config_option *option)
{
    if (option->with == NULL) {
        return false;
    }
    const struct config_option *other =
        &config_device_table.options[device_option_find(device->kind, option->with)];
    return (other->kind == CONFIG_KIND_STRING || other->kind == CONFIG_KIND_PATH) &&
           *config_object_text(other, device->slots) == NULL;
}

/* The kind and its options, then those of workers but for what was made of the kind. */
static void
put_device(struct shower *s, struct config_worker *worker, int depth)
{
    struct config_device *device = worker->device;
    put_option(s, &config_device_table.options[CONFIG_DEVICE_KIND], device->slots, depth);
    for (size_t i = 0; i < CONFIG_DEVICE_OPTION_COUNT; i++) {
        const struct config_option *option = &config_device_table.options[i];
        if (device_kind_has(device->kind, device_options[i].set) && !is_idle(device, option)) {
            put_option(s, option, device->slots, depth);
        }
    }
    struct config_worker rest = *worker;
    rest.environment.count -= 1; /* the last one is what the device is told */
    for (size_t i = 0; i < config_worker_table.count; i++) {
        if (!config_device_refuses(config_worker_table.options[i].key)) {
            put_option(s, &config_worker_table.options[i], &rest, depth);
        }
    }
}

static void
put_workers(struct shower *s, const struct config *config, const char *only, bool devices)
{
    put_key(s, s->as_json ? 1 : 0, devices ? "devices" : "workers");
    open_map(s);
    for (size_t i = 0; i < config->worker_count; i++) {
        struct config_worker *worker = &config->workers[i];
        if (devices == (worker->device != NULL) &&
            (only == NULL || strcmp(worker->name, only) == 0)) {
            put_key(s, s->as_json ? 2 : 1, worker->name);
            open_map(s);
            if (devices) {
                put_device(s, worker, s->as_json ? 3 : 2);
            } else {
                put_options(s, &config_worker_table, worker, s->as_json ? 3 : 2);
            }
            close_map(s, 2);
        }
    }
    close_map(s, 1);
}

/* Whether there is one to show. */
static bool
has_device(const struct config *config, const char *only)
{
    bool found = false;
    for (size_t i = 0; i < config->worker_count; i++) {
        const struct config_worker *worker = &config->workers[i];
        found =
            found || (worker->device != NULL && (only == NULL || strcmp(worker->name, only) == 0));
    }
    return found;
}

int
config_show(FILE *out, const struct config *config, const struct config_show *how)
{
    struct shower s = {.out = out, .as_json = how->as_json, .reveals = how->reveal};
    struct config_hub hub = config->hub; /* looked at through the table, which has no const */
    s.is_first = true;
    fputs(s.as_json ? "{" : "", out);
    if (how->worker == NULL) {
        put_key(&s, s.as_json ? 1 : 0, "hub");
        open_map(&s);
        put_options(&s, &config_hub_table, &hub, s.as_json ? 2 : 1);
        close_map(&s, 1);
    }
    put_workers(&s, config, how->worker, false);
    if (has_device(config, how->worker)) {
        put_workers(&s, config, how->worker, true);
    }
    close_map(&s, 0);
    fputc('\n', out);
    if (fflush(out) != 0 || ferror(out)) {
        return -1;
    }
    errno = s.error;
    return s.error == 0 ? 0 : -1;
}
