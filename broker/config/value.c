/* One text to one number: see value.h. */
#include "broker/config/value.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "proto/closest.h"
#include "proto/signals.h"

/* From the largest down, so that formatting takes the first that divides. */
static const struct unit {
    const char *name;
    enum config_kind kind;
    int64_t factor;
} units[] = {
    {"h", CONFIG_KIND_DURATION, 3600 * 1000},
    {"m", CONFIG_KIND_DURATION, 60 * 1000},
    {"s", CONFIG_KIND_DURATION, 1000},
    {"ms", CONFIG_KIND_DURATION, 1},
    {"GiB", CONFIG_KIND_SIZE, 1 << 30},
    {"MiB", CONFIG_KIND_SIZE, 1 << 20},
    {"KiB", CONFIG_KIND_SIZE, 1 << 10},
    {"B", CONFIG_KIND_SIZE, 1},
    {"", CONFIG_KIND_INT, 1},
};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Decimal digits at `*at`; false when they do not fit. A number that does not fit is too large for
 * every option, so the caller need not know more. */
static bool
take_digits(const char **at, int64_t *value)
{
    int64_t sum = 0;
    bool fits = true;
    for (; is_digit(**at); (*at)++) {
        fits = fits && !__builtin_mul_overflow(sum, 10, &sum) &&
               !__builtin_add_overflow(sum, **at - '0', &sum);
    }
    *value = sum;
    return fits;
}

static const struct unit *
find_unit(enum config_kind kind, const char *name)
{
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (units[i].kind == kind && strcmp(units[i].name, name) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

/* Why the text behind the digits is not the end of a number. */
static const char *
explain_rest(enum config_kind kind, const char *rest)
{
    if (*rest == '\0') {
        return "the unit is missing";
    }
    if (*rest == '.' || *rest == ',') {
        return "only whole numbers are read";
    }
    if (kind == CONFIG_KIND_INT) {
        return "only digits belong to it";
    }
    if (kind == CONFIG_KIND_SIZE && strchr("kKmMgG", *rest) != NULL) {
        return "the units are exactly B, KiB, MiB and GiB";
    }
    return "that is not one of the units";
}

static bool
parse_number(const struct config_option *option, const char *text, int64_t *value, char *why)
{
    const bool negative = text[0] == '-' && is_digit(text[1]);
    const char *at = text + (negative ? 1 : 0);
    if (!is_digit(*at)) {
        return false;
    }
    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X' || at[1] == 'o' || at[1] == 'b')) {
        snprintf(why, CONFIG_WHY_BYTES_MAX, "only decimal numbers are read");
        return false;
    }
    if (at[0] == '0' && is_digit(at[1])) {
        snprintf(why, CONFIG_WHY_BYTES_MAX,
                 "a number must not begin with 0, which elsewhere means octal");
        return false;
    }
    int64_t number = 0;
    bool fits = take_digits(&at, &number);
    const struct unit *unit = find_unit(option->kind, at);
    if (unit == NULL) {
        snprintf(why, CONFIG_WHY_BYTES_MAX, "%s", explain_rest(option->kind, at));
        return false;
    }
    fits = fits && !__builtin_mul_overflow(number, unit->factor, &number);
    if (negative || (fits && number < option->min)) {
        snprintf(why, CONFIG_WHY_BYTES_MAX, "that is too small");
        return false;
    }
    if (!fits || number > option->max) {
        snprintf(why, CONFIG_WHY_BYTES_MAX, "that is too large");
        return false;
    }
    *value = number;
    return true;
}

static bool
parse_bool(const char *text, int64_t *value, char *why)
{
    static const char *const also[2][6] = {{"no", "off", "n", "0", "false", NULL},
                                           {"yes", "on", "y", "1", "true", NULL}};
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        *value = text[0] == 't';
        return true;
    }
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; also[i][k] != NULL; k++) {
            if (strcasecmp(text, also[i][k]) == 0) {
                snprintf(why, CONFIG_WHY_BYTES_MAX, "write %s", i == 1 ? "true" : "false");
            }
        }
    }
    return false;
}

static bool
parse_word(const struct config_option *option, const char *text, int64_t *value, char *why)
{
    struct closest near = {.word = text, .loose = true};
    for (int i = 0; option->allowed[i] != NULL; i++) {
        if (strcmp(option->allowed[i], text) == 0) {
            *value = i;
            return true;
        }
        closest_offer(&near, option->allowed[i]);
    }
    if (near.best != NULL) {
        snprintf(why, CONFIG_WHY_BYTES_MAX, "did you mean '%s'?", near.best);
    }
    return false;
}

static bool
parse_signal(const struct config_option *option, const char *text, int64_t *value, char *why)
{
    if (is_digit(text[0]) || text[0] == '-') {
        const struct config_option number = {
            .kind = CONFIG_KIND_INT, .min = option->min, .max = option->max};
        return parse_number(&number, text, value, why);
    }
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    struct closest near = {.word = name, .loose = true};
    size_t count;
    const struct signals_row *rows = signals_table(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *value = rows[i].number;
            return true;
        }
        closest_offer(&near, rows[i].name);
    }
    if (near.best != NULL) {
        snprintf(why, CONFIG_WHY_BYTES_MAX, "did you mean '%s'?", near.best);
    }
    return false;
}

bool
config_value_parse(const struct config_option *option, const char *text, int64_t *value, char *why)
{
    why[0] = '\0';
    switch (option->kind) {
    case CONFIG_KIND_INT:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
        return parse_number(option, text, value, why);
    case CONFIG_KIND_BOOL:
        return parse_bool(text, value, why);
    case CONFIG_KIND_ENUM:
        return parse_word(option, text, value, why);
    case CONFIG_KIND_SIGNAL:
        return parse_signal(option, text, value, why);
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_LIST:
    case CONFIG_KIND_MAP:
    case CONFIG_KIND_PATH:
        return false;
    }
    return false;
}

void
config_number_format(enum config_kind kind, int64_t value, char out[CONFIG_NUMBER_BYTES_MAX])
{
    const char *unit = "";
    if (kind == CONFIG_KIND_SIGNAL) {
        const char *name = value > 0 && value <= SIGNALS_MAX ? signals_name((int)value) : NULL;
        if (name != NULL) {
            snprintf(out, CONFIG_NUMBER_BYTES_MAX, "%s", name);
            return;
        }
    } else if (value == 0 && kind != CONFIG_KIND_INT) {
        unit = kind == CONFIG_KIND_DURATION ? "s" : "B";
    } else {
        for (size_t i = 0; i < UNIT_COUNT; i++) {
            if (units[i].kind == kind && value % units[i].factor == 0) {
                value /= units[i].factor;
                unit = units[i].name;
                break;
            }
        }
    }
    snprintf(out, CONFIG_NUMBER_BYTES_MAX, "%" PRId64 "%s", value, unit);
}
