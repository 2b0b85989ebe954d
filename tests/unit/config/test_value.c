/* One text to one number, and back. */
#include "broker/config/value.h"

#include <stdint.h>
#include <string.h>

#include "tests/support/test.h"

static const struct config_option any_int = {.kind = CONFIG_KIND_INT, .min = 0, .max = INT64_MAX};
static const struct config_option any_duration = {
    .kind = CONFIG_KIND_DURATION, .min = 0, .max = INT64_MAX};
static const struct config_option any_size = {.kind = CONFIG_KIND_SIZE, .min = 0, .max = INT64_MAX};
static const struct config_option any_signal = {.kind = CONFIG_KIND_SIGNAL, .min = 1, .max = 64};
static const struct config_option any_bool = {.kind = CONFIG_KIND_BOOL};

Test(config_value, numbers_are_read_in_their_units)
{
    static const struct {
        const struct config_option *option;
        const char *text;
        int64_t value;
    } rows[] = {
        {&any_int, "0", 0},
        {&any_int, "42", 42},
        {&any_int, "9223372036854775807", INT64_MAX},
        {&any_duration, "500ms", 500},
        {&any_duration, "10s", 10000},
        {&any_duration, "5m", 300000},
        {&any_duration, "1h", 3600000},
        {&any_duration, "0s", 0},
        {&any_size, "1B", 1},
        {&any_size, "64KiB", 65536},
        {&any_size, "16MiB", 16777216},
        {&any_size, "1GiB", 1073741824},
        {&any_signal, "TERM", 15},
        {&any_signal, "SIGTERM", 15},
        {&any_signal, "15", 15},
        {&any_signal, "USR1", 10},
        {&any_signal, "64", 64},
        {&any_bool, "true", 1},
        {&any_bool, "false", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[CONFIG_WHY_BYTES_MAX];
        int64_t value = -1;
        cr_expect(config_value_parse(rows[i].option, rows[i].text, &value, why), "%s: %s",
                  rows[i].text, why);
        cr_expect_eq(value, rows[i].value, "%s", rows[i].text);
    }
}

Test(config_value, what_only_looks_like_a_number_is_refused)
{
    static const struct {
        const struct config_option *option;
        const char *text;
    } rows[] = {
        {&any_int, ""},
        {&any_int, " 1"},
        {&any_int, "1 "},
        {&any_int, "+1"},
        {&any_int, "-"},
        {&any_int, "1_000"},
        {&any_int, "1e3"},
        {&any_int, "0b1"},
        {&any_int, "0o7"},
        {&any_int, "00"},
        {&any_int, "9223372036854775808"},
        {&any_int, "1s"},
        {&any_int, "\xd9\xa1"},
        {&any_duration, "1"},
        {&any_duration, "s"},
        {&any_duration, "1S"},
        {&any_duration, "1h30m"},
        {&any_duration, "1.5s"},
        {&any_duration, "1KiB"},
        {&any_duration, "2562047788016h"},
        {&any_size, "1K"},
        {&any_size, "1kib"},
        {&any_size, "1 MiB"},
        {&any_size, "8589934592GiB"},
        {&any_signal, "SIG"},
        {&any_signal, "term"},
        {&any_signal, "-15"},
        {&any_signal, "SIGSIGTERM"},
        {&any_signal, ""},
        {&any_bool, "yes"},
        {&any_bool, "TRUE"},
        {&any_bool, "1"},
        {&any_bool, ""},
        {&any_bool, "truee"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[CONFIG_WHY_BYTES_MAX];
        int64_t value = -1;
        cr_expect_not(config_value_parse(rows[i].option, rows[i].text, &value, why), "'%s'",
                      rows[i].text);
        cr_expect_eq(value, -1, "results are written on success only");
    }
}

Test(config_value, numbers_are_written_in_the_largest_unit_that_fits)
{
    static const struct {
        enum config_kind kind;
        int64_t value;
        const char *text;
    } rows[] = {
        {CONFIG_KIND_INT, 1024, "1024"},
        {CONFIG_KIND_INT, 0, "0"},
        {CONFIG_KIND_DURATION, 0, "0s"},
        {CONFIG_KIND_DURATION, 100, "100ms"},
        {CONFIG_KIND_DURATION, 1500, "1500ms"},
        {CONFIG_KIND_DURATION, 90000, "90s"},
        {CONFIG_KIND_DURATION, 60000, "1m"},
        {CONFIG_KIND_DURATION, 86400000, "24h"},
        {CONFIG_KIND_SIZE, 0, "0B"},
        {CONFIG_KIND_SIZE, 65537, "65537B"},
        {CONFIG_KIND_SIZE, 65536, "64KiB"},
        {CONFIG_KIND_SIZE, 1 << 30, "1GiB"},
        {CONFIG_KIND_SIGNAL, 15, "TERM"},
        {CONFIG_KIND_SIGNAL, 40, "40"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[CONFIG_NUMBER_BYTES_MAX];
        config_number_format(rows[i].kind, rows[i].value, text);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(config_value, both_ends_of_every_range_are_accepted_and_no_more)
{
    static const struct config_table *const tables[] = {&config_hub_table, &config_worker_table};
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct config_option *option = &tables[t]->options[i];
            if (option->kind != CONFIG_KIND_INT && option->kind != CONFIG_KIND_DURATION &&
                option->kind != CONFIG_KIND_SIZE && option->kind != CONFIG_KIND_SIGNAL) {
                continue;
            }
            const int64_t values[] = {option->min - 1, option->min, option->max, option->max + 1};
            for (size_t k = 0; k < 4; k++) {
                char text[CONFIG_NUMBER_BYTES_MAX], why[CONFIG_WHY_BYTES_MAX];
                int64_t got = -1;
                config_number_format(option->kind, values[k], text);
                cr_expect_eq(config_value_parse(option, text, &got, why), k == 1 || k == 2,
                             "%s: %s", option->key, text);
                cr_expect(k == 0 || k == 3 || got == values[k], "%s: %s", option->key, text);
            }
        }
    }
}
