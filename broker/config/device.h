/* What the file says about a device: the options of proto/tbl/devices.def in the form that the rest
 * of this module reads and shows options in, and what a device's program is told.
 *
 * Private to broker/config and its tests. The tables are constant. */
#ifndef PRONG_CONFIG_DEVICE_H
#define PRONG_CONFIG_DEVICE_H

#include "broker/config/object.h"
#include "proto/device/device.h"

enum {
#define DEVICE_OPTION(set, type, key, ...) CONFIG_DEVICE_##set##_##key,
#include "proto/tbl/devices.def"
    CONFIG_DEVICE_OPTION_COUNT,
    CONFIG_DEVICE_KIND = CONFIG_DEVICE_OPTION_COUNT, /* the key that says which kind it is */
    CONFIG_DEVICE_SLOT_COUNT,
};

/* A value of any kind of option. */
union config_slot {
    int64_t number;
    bool truth;
    int word;
    char *text;
    struct config_list list;
    struct config_map map;
};

/* Each option has its own slot, whether the kind has it or not. */
struct config_device {
    const struct device_kind *kind;
    union config_slot slots[CONFIG_DEVICE_SLOT_COUNT];
};

/* In the order of device_options, and `kind` behind them; the slots are their object. */
extern const struct config_table config_device_table;

/* What the program is told, as a setting of its environment; no longer than this. */
#define CONFIG_DEVICE_SETTING "PRONG_DEVICE"
enum { CONFIG_DEVICE_SETTING_BYTES_MAX = 120 * 1024 };

/* Empty; owned, freed with config_device_free, which accepts NULL. NULL when memory is out. */
struct config_device *config_device_new(const struct device_kind *kind);
void config_device_free(struct config_device *device);

/* Whether an option of workers is none of devices: it is made from the kind. */
bool config_device_refuses(const char *key);

/* The options of one set, for printing; returns how many. */
size_t config_device_options_of(enum device_set set,
                                struct config_option out[CONFIG_DEVICE_OPTION_COUNT]);

/* The options as a JSON object: numbers in the base unit, words and texts as texts. Owned (free);
 * NULL with errno when memory is out or a text is not in UTF-8 (EILSEQ). */
char *config_device_json(struct config_device *device);

#endif
