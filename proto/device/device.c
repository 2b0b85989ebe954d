/* The table of devices: see device.h. */
#include "proto/device/device.h"

#include <assert.h>
#include <string.h>

#include "proto/device/cron.h"
#include "proto/device/gpio.h"
#include "proto/device/modbus_point.h"
#include "proto/device/mqtt.h"
#include "proto/device/rate.h"

static_assert(DEVICE_SET_COUNT <= 64, "a kind's sets are bits of one number");

/* clang-format off */
const struct device_kind device_kinds[] = {
#define DEVICE_KIND(id_, name_, program_, sets_, help_)                                            \
    {.id = DEVICE_##id_, .name = (name_), .program = (program_), .help = (help_),                  \
     .sets = (sets_) | DEVICE_HAS(id_)},
#include "proto/tbl/devices.def"
};

const struct device_shared device_shared_sets[] = {
#define DEVICE_SHARED(id_, title_) {DEVICE_##id_, (title_)},
#include "proto/tbl/devices.def"
};

const struct device_option device_options[] = {
#define DEVICE_OPTION(set_, type_, key_, ...)                                                      \
    {.set = DEVICE_##set_, .type = DEVICE_TYPE_##type_, .key = #key_, __VA_ARGS__},
#include "proto/tbl/devices.def"
};
/* clang-format on */

const size_t device_kind_count = sizeof device_kinds / sizeof device_kinds[0];
const size_t device_shared_count = sizeof device_shared_sets / sizeof device_shared_sets[0];
const size_t device_option_count = sizeof device_options / sizeof device_options[0];

const struct device_kind *
device_kind_find(const char *name)
{
    for (size_t i = 0; i < device_kind_count; i++) {
        if (strcmp(device_kinds[i].name, name) == 0) {
            return &device_kinds[i];
        }
    }
    return NULL;
}

bool
device_kind_has(const struct device_kind *kind, enum device_set set)
{
    return (kind->sets >> set & 1) != 0;
}

int
device_option_find(const struct device_kind *kind, const char *key)
{
    for (size_t i = 0; i < device_option_count; i++) {
        if (device_kind_has(kind, device_options[i].set) &&
            strcmp(device_options[i].key, key) == 0) {
            return (int)i;
        }
    }
    return -1;
}
