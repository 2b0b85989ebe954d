/* The options of devices: see device.h. */
#include "broker/config/device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/buf.h"
#include "proto/device/cron.h"
#include "proto/device/gpio.h"
#include "proto/device/modbus_point.h"
#include "proto/device/mqtt.h"
#include "proto/device/rate.h"
#include "proto/mp.h"

/* clang-format off */
static const struct config_option options[CONFIG_DEVICE_SLOT_COUNT] = {
#define DEVICE_OPTION(set_, type_, key_, ...)                                                      \
    {.key = #key_, .kind = CONFIG_KIND_##type_,                                                    \
     .offset = CONFIG_DEVICE_##set_##_##key_ * sizeof(union config_slot), __VA_ARGS__},
#include "proto/tbl/devices.def"
    [CONFIG_DEVICE_KIND] = {.key = "kind", .kind = CONFIG_KIND_STRING, .min = 1, .max = 64,
                            .offset = CONFIG_DEVICE_KIND * sizeof(union config_slot)},
};
/* clang-format on */

const struct config_table config_device_table = {options, CONFIG_DEVICE_SLOT_COUNT};

struct config_device *
config_device_new(const struct device_kind *kind)
{
    struct config_device *device = calloc(1, sizeof *device);
    if (device != NULL) {
        device->kind = kind;
    }
    return device;
}

void
config_device_free(struct config_device *device)
{
    if (device != NULL) {
        config_object_clear_all(&config_device_table, device->slots);
        free(device);
    }
}

bool
config_device_refuses(const char *key)
{
    static const char *const refused[] = {"command", "args", "preload", "replicas", "stdin"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (strcmp(refused[i], key) == 0) {
            return true;
        }
    }
    return false;
}

size_t
config_device_options_of(enum device_set set, struct config_option out[CONFIG_DEVICE_OPTION_COUNT])
{
    size_t count = 0;
    for (size_t i = 0; i < CONFIG_DEVICE_OPTION_COUNT; i++) {
        if (device_options[i].set == set) {
            out[count] = options[i];
            if (options[i].fallback == NULL && options[i].unset == NULL) {
                out[count].unset = "it has to be given";
            }
            count++;
        }
    }
    return count;
}

/* ---- what the program is told -----------------------------------------------------------------
 */

static void
put(struct buf *out, const char *text)
{
    buf_put(out, text, strlen(text));
}

static void
put_text(struct buf *out, const char *text)
{
    put(out, "\"");
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            buf_put(out, (const char[]){'\\', *at}, 2);
        } else if ((unsigned char)*at < 0x20) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)*at);
            put(out, escape);
        } else {
            buf_put(out, at, 1);
        }
    }
    put(out, "\"");
}

static void
put_list(struct buf *out, const struct config_list *list)
{
    put(out, "[");
    for (size_t i = 0; i < list->count; i++) {
        put(out, i > 0 ? ", " : "");
        put_text(out, list->items[i]);
    }
    put(out, "]");
}

static void
put_map(struct buf *out, const struct config_map *map)
{
    put(out, "{");
    for (size_t i = 0; i < map->count; i++) {
        put(out, i > 0 ? ", " : "");
        put_text(out, map->items[i].name);
        put(out, ": ");
        put_text(out, map->items[i].value);
    }
    put(out, "}");
}

static void
put_value(struct buf *out, const struct config_option *option, void *object)
{
    char number[24];
    switch (option->kind) {
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        put_text(out, *config_object_text(option, object));
        break;
    case CONFIG_KIND_LIST:
        put_list(out, config_object_list(option, object));
        break;
    case CONFIG_KIND_MAP:
        put_map(out, config_object_map(option, object));
        break;
    case CONFIG_KIND_ENUM:
        put_text(out, option->allowed[config_object_number(option, object)]);
        break;
    case CONFIG_KIND_BOOL:
        put(out, config_object_number(option, object) != 0 ? "true" : "false");
        break;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_SIGNAL:
        snprintf(number, sizeof number, "%" PRId64, config_object_number(option, object));
        put(out, number);
        break;
    }
}

static bool
is_unset(const struct config_option *option, void *object)
{
    return (option->kind == CONFIG_KIND_STRING || option->kind == CONFIG_KIND_PATH) &&
           *config_object_text(option, object) == NULL;
}

char *
config_device_json(struct config_device *device)
{
    struct buf out = {0};
    put(&out, "{\"kind\": ");
    put_text(&out, device->kind->name);
    for (size_t i = 0; i < CONFIG_DEVICE_OPTION_COUNT; i++) {
        if (device_kind_has(device->kind, device_options[i].set) &&
            !is_unset(&options[i], device->slots)) {
            put(&out, ", ");
            put_text(&out, options[i].key);
            put(&out, ": ");
            put_value(&out, &options[i], device->slots);
        }
    }
    put(&out, "}");
    const bool is_utf8 = mp_is_utf8((struct span){out.data, out.w});
    char *text = !out.failed && is_utf8 ? config_text_new((const char *)out.data, out.w) : NULL;
    errno = out.failed || is_utf8 ? ENOMEM : EILSEQ;
    buf_deinit(&out);
    return text;
}
