/* Points of a Modbus unit: see modbus_point.h. */
#include "proto/device/modbus_point.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES_MAX = 24, NAME_BYTES_MAX = 64, BITS_OF_REGISTER = 16 };

static const char *const tables[] = {[MODBUS_COIL] = "coil",
                                     [MODBUS_DISCRETE] = "discrete",
                                     [MODBUS_INPUT] = "input",
                                     [MODBUS_HOLDING] = "holding"};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

static const struct {
    const char *name;
    uint16_t registers; /* 0: it says so itself */
} types[] = {
    [MODBUS_BOOL] = {"bool", 1},       [MODBUS_UINT16] = {"uint16", 1},
    [MODBUS_INT16] = {"int16", 1},     [MODBUS_UINT32] = {"uint32", 2},
    [MODBUS_INT32] = {"int32", 2},     [MODBUS_UINT64] = {"uint64", 4},
    [MODBUS_INT64] = {"int64", 4},     [MODBUS_FLOAT32] = {"float32", 2},
    [MODBUS_FLOAT64] = {"float64", 4}, [MODBUS_TEXT] = {"text", 0},
};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };
#define TYPE_WORDS "bool, uint16, int16, uint32, int32, uint64, int64, float32, float64 and text N"

const char *
modbus_table_name(enum modbus_table table)
{
    return tables[table];
}

bool
modbus_table_find(const char *name, enum modbus_table *table)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (strcmp(tables[i], name) == 0) {
            *table = (enum modbus_table)i;
            return true;
        }
    }
    return false;
}

bool
modbus_table_has_bits(enum modbus_table table)
{
    return table == MODBUS_COIL || table == MODBUS_DISCRETE;
}

bool
modbus_table_is_writable(enum modbus_table table)
{
    return table == MODBUS_COIL || table == MODBUS_HOLDING;
}

const char *
modbus_type_name(enum modbus_type type)
{
    return types[type].name;
}

/* ---- words -------------------------------------------------------------------------------------
 */

/* A point while it is read. */
struct reading {
    const char *at;
    struct modbus_point *point;
    char *why;
    size_t why_bytes;
    char word[WORD_BYTES_MAX]; /* the last one; "" at the end */
};

__attribute__((format(printf, 2, 3))) static bool
fail(struct reading *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->why, r->why_bytes, format, args);
    va_end(args);
    return false;
}

/* The next word; false at the end. One that is too long is none that means anything, so it is cut.
 */
static bool
next(struct reading *r)
{
    r->at += strspn(r->at, " \t");
    const size_t len = strcspn(r->at, " \t");
    const size_t kept = len < sizeof r->word ? len : sizeof r->word - 1;
    memcpy(r->word, r->at, kept);
    r->word[kept] = '\0';
    r->at += len;
    return len > 0;
}

/* Decimal digits, or 0x and hexadecimal ones. */
static bool
take_number(const char *word, unsigned long max, unsigned long *number)
{
    const bool is_hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
    const char *digits = is_hex ? word + 2 : word;
    if (digits[0] == '\0' || strlen(digits) > 9 ||
        digits[strspn(digits, is_hex ? "0123456789abcdefABCDEF" : "0123456789")] != '\0') {
        return false;
    }
    *number = strtoul(digits, NULL, is_hex ? 16 : 10);
    return *number <= max;
}

/* What strtod takes beyond decimal numbers, such as "inf" and "0x1p3", is not meant. */
static bool
take_decimal(const char *word, double *number)
{
    char *end = NULL;
    if (word[0] == '\0' || word[strspn(word, "0123456789.eE+-")] != '\0') {
        return false;
    }
    *number = strtod(word, &end);
    return *end == '\0' && isfinite(*number);
}

/* ---- the words behind the type ----------------------------------------------------------------
 */

static bool
read_bit(struct reading *r)
{
    unsigned long bit;
    if (!next(r) || !take_number(r->word, BITS_OF_REGISTER - 1, &bit)) {
        return fail(r, "behind 'bit' stands a number from 0, the lowest one, to 15");
    }
    r->point->bit = (int)bit;
    return true;
}

static bool
read_words(struct reading *r)
{
    r->point->is_little = next(r) && strcmp(r->word, "little") == 0;
    return r->point->is_little || strcmp(r->word, "big") == 0 ||
           fail(r, "behind 'words' stands big or little: which register comes first");
}

static bool
read_scale(struct reading *r)
{
    r->point->is_scaled = true;
    return (next(r) && take_decimal(r->word, &r->point->scale) && r->point->scale != 0) ||
           fail(r, "behind 'scale' stands a number that is not 0");
}

static bool
read_offset(struct reading *r)
{
    r->point->is_scaled = true;
    return (next(r) && take_decimal(r->word, &r->point->offset)) ||
           fail(r, "behind 'offset' stands a number");
}

static bool
read_deadband(struct reading *r)
{
    return (next(r) && take_decimal(r->word, &r->point->deadband) && r->point->deadband > 0) ||
           fail(r, "behind 'deadband' stands a number above 0");
}

static bool
read_every(struct reading *r)
{
    static const struct {
        const char *unit;
        unsigned long factor;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    unsigned long number = 0;
    bool is_time = false;
    if (next(r)) {
        char *unit = r->word + strspn(r->word, "0123456789");
        for (size_t i = 0; i < sizeof units / sizeof units[0] && !is_time; i++) {
            if (strcmp(units[i].unit, unit) == 0) {
                *unit = '\0';
                is_time = take_number(r->word, MODBUS_EVERY_MS_MAX / units[i].factor, &number) &&
                          number > 0;
                number *= units[i].factor;
                break;
            }
        }
    }
    r->point->every_ms = (int32_t)number;
    return is_time || fail(r, "behind 'every' stands a time from 1ms to 24h");
}

static bool
read_more(struct reading *r)
{
    static const struct {
        const char *word;
        bool (*read)(struct reading *r);
    } rows[] = {{"bit", read_bit},       {"words", read_words},       {"scale", read_scale},
                {"offset", read_offset}, {"deadband", read_deadband}, {"every", read_every}};
    enum { ROW_COUNT = sizeof rows / sizeof rows[0] };
    bool given[ROW_COUNT] = {false};
    while (r->word[0] != '\0') {
        size_t i = 0;
        while (i < ROW_COUNT && strcmp(rows[i].word, r->word) != 0) {
            i++;
        }
        if (i == ROW_COUNT) {
            return fail(r,
                        "'%s' is no type and no word that may stand here: the types are " TYPE_WORDS
                        ", the words bit, words, scale, offset, deadband and every",
                        r->word);
        }
        if (given[i]) {
            return fail(r, "'%s' stands there twice", rows[i].word);
        }
        given[i] = true;
        if (!rows[i].read(r)) {
            return false;
        }
        (void)next(r); /* the loop sees the end */
    }
    return true;
}

/* ---- the point --------------------------------------------------------------------------------
 */

/* The type, if one is given, and how many registers it has. */
static bool
read_type(struct reading *r)
{
    struct modbus_point *p = r->point;
    unsigned long registers = 0;
    p->type = modbus_table_has_bits(p->table) ? MODBUS_BOOL : MODBUS_UINT16;
    p->count = 1;
    if (!next(r)) {
        return true;
    }
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(types[i].name, r->word) != 0) {
            continue;
        }
        p->type = (enum modbus_type)i;
        p->count = types[i].registers;
        if (p->type == MODBUS_TEXT) {
            if (!next(r) || !take_number(r->word, MODBUS_REGISTERS_MAX, &registers) ||
                registers == 0) {
                return fail(r, "behind 'text' stands how many registers it has, from 1 to %d",
                            MODBUS_REGISTERS_MAX);
            }
            p->count = (uint16_t)registers;
        }
        (void)next(r); /* what reads on sees the end */
        return true;
    }
    return true; /* no type: the words behind it */
}

/* What fits together. */
static bool
check(struct reading *r)
{
    struct modbus_point *p = r->point;
    const char *type = types[p->type].name;
    if (modbus_table_has_bits(p->table) && p->type != MODBUS_BOOL) {
        return fail(r, "table %s has bits: its type is bool and not %s", tables[p->table], type);
    }
    if (modbus_table_has_bits(p->table) && p->bit >= 0) {
        return fail(r, "'bit' is for registers: table %s has bits itself", tables[p->table]);
    }
    if (p->bit >= 0 && p->type != MODBUS_UINT16 && p->type != MODBUS_BOOL) {
        return fail(r, "'bit' is one of a single register, and not of %s", type);
    }
    if (!modbus_table_has_bits(p->table) && p->type == MODBUS_BOOL && p->bit < 0) {
        return fail(r, "bool in table %s needs 'bit' and its number", tables[p->table]);
    }
    p->type = p->bit >= 0 ? MODBUS_BOOL : p->type;
    const bool is_number = p->type != MODBUS_BOOL && p->type != MODBUS_TEXT;
    if (!is_number && (p->is_scaled || p->deadband > 0)) {
        return fail(r, "'scale', 'offset' and 'deadband' are for numbers, and not for %s",
                    types[p->type].name);
    }
    if (p->address + p->count > MODBUS_ADDRESSES) {
        return fail(r, "it goes beyond the last address, %d", MODBUS_ADDRESSES - 1);
    }
    return true;
}

bool
modbus_point_parse(const char *text, struct modbus_point *point, char *why, size_t why_bytes)
{
    struct reading r = {.at = text, .point = point, .why = why, .why_bytes = why_bytes};
    unsigned long address = 0;
    *point = (struct modbus_point){.bit = -1, .scale = 1};
    if (!next(&r) || !modbus_table_find(r.word, &point->table)) {
        return fail(&r, "it begins with a table: coil, discrete, input or holding");
    }
    if (!next(&r) || !take_number(r.word, MODBUS_ADDRESSES - 1, &address)) {
        return fail(&r, "behind the table stands an address from 0 to %d", MODBUS_ADDRESSES - 1);
    }
    point->address = (uint16_t)address;
    return read_type(&r) && read_more(&r) && check(&r);
}

bool
modbus_point_check(const char *text, char *why, size_t why_bytes)
{
    struct modbus_point point;
    return modbus_point_parse(text, &point, why, why_bytes);
}

bool
modbus_point_check_name(const char *text, char *why, size_t why_bytes)
{
    const size_t len = strlen(text);
    if (len == 0 || len > NAME_BYTES_MAX) {
        snprintf(why, why_bytes, "a point's name has 1 to %d bytes", NAME_BYTES_MAX);
        return false;
    }
    return true;
}

bool
modbus_check_unit(int64_t unit, bool is_serial, char *why, size_t why_bytes)
{
    const bool is_own = unit > MODBUS_UNIT_BROADCAST && unit <= MODBUS_UNIT_MAX;
    if (is_own || (!is_serial && (unit == MODBUS_UNIT_BROADCAST || unit == MODBUS_UNIT_NONE))) {
        return true;
    }
    snprintf(why, why_bytes, "it is 1 to %d%s", MODBUS_UNIT_MAX,
             is_serial ? " on a serial line" : ", or 0 or 255");
    return false;
}
