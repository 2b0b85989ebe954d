/* Values of points: see value.h. */
#include "client/devices/modbus/value.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 2 * MODBUS_REGISTERS_MAX };

/* What the whole numbers reach to; `max` of the one without a sign is cut here. */
static const struct range {
    int64_t min, max;
} ranges[] = {
    [MODBUS_UINT16] = {0, UINT16_MAX}, [MODBUS_INT16] = {INT16_MIN, INT16_MAX},
    [MODBUS_UINT32] = {0, UINT32_MAX}, [MODBUS_INT32] = {INT32_MIN, INT32_MAX},
    [MODBUS_UINT64] = {0, INT64_MAX},  [MODBUS_INT64] = {INT64_MIN, INT64_MAX},
};
#define TWO_TO_63 9223372036854775808.0
#define TWO_TO_64 18446744073709551616.0

/* ---- registers --------------------------------------------------------------------------------
 */

static uint64_t
join(const struct modbus_point *p, const uint16_t *words)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < p->count; i++) {
        bits = bits << 16 | words[p->is_little ? p->count - 1 - i : i];
    }
    return bits;
}

static void
split(const struct modbus_point *p, uint64_t bits, uint16_t *words)
{
    for (size_t i = 0; i < p->count; i++) {
        words[p->is_little ? i : p->count - 1U - i] = (uint16_t)bits;
        bits >>= 16;
    }
}

static double
float_of(uint32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return (double)number;
}

static double
double_of(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static bool
has_sign(enum modbus_type type)
{
    return type == MODBUS_INT16 || type == MODBUS_INT32 || type == MODBUS_INT64;
}

static bool
is_float(enum modbus_type type)
{
    return type == MODBUS_FLOAT32 || type == MODBUS_FLOAT64;
}

/* A whole number with a sign, in as many bits as the type has. */
static int64_t
signed_of(const struct modbus_point *p, uint64_t bits)
{
    return p->type == MODBUS_INT16   ? (int16_t)bits
           : p->type == MODBUS_INT32 ? (int32_t)bits
                                     : (int64_t)bits;
}

/* The number in the unit, whatever its type, as far as a double has it. */
static double
number_of(const struct modbus_point *p, uint64_t bits)
{
    return p->type == MODBUS_FLOAT32   ? float_of((uint32_t)bits)
           : p->type == MODBUS_FLOAT64 ? double_of(bits)
           : has_sign(p->type)         ? (double)signed_of(p, bits)
                                       : (double)bits;
}

/* 0.1 is no number of a computer, but 10 is one: 3 / 10 is 0.3, and 3 * 0.1 is not. */
static double
divisor_of(double scale)
{
    const double divisor = nearbyint(1 / scale);
    return fabs(scale) < 1 && 1 / divisor == scale ? divisor : 0;
}

static double
to_value(const struct modbus_point *p, double number)
{
    const double divisor = divisor_of(p->scale);
    return (divisor != 0 ? number / divisor : number * p->scale) + p->offset;
}

static double
to_number(const struct modbus_point *p, double value)
{
    const double divisor = divisor_of(p->scale);
    return divisor != 0 ? (value - p->offset) * divisor : (value - p->offset) / p->scale;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Two bytes a register, up to the first zero byte. */
static bool
put_text(const struct modbus_point *p, const uint16_t *words, prong_writer *out)
{
    enum { HEAD_BYTES = 2, MSGPACK_STR8 = 0xd9 };
    uint8_t object[HEAD_BYTES + TEXT_BYTES_MAX] = {MSGPACK_STR8};
    const char *text = NULL;
    size_t len = 0;
    for (; len < 2U * p->count; len++) {
        const unsigned shift = (len % 2 == 0) != p->is_little ? 8 : 0;
        object[HEAD_BYTES + len] = (uint8_t)(words[len / 2] >> shift);
        if (object[HEAD_BYTES + len] == 0) {
            break;
        }
    }
    object[1] = (uint8_t)len;
    /* A writer that was given bytes that are no UTF-8 takes nothing more, a reader only says so. */
    const prong_value value = {object, HEAD_BYTES + len};
    if (!prong_value_text(&value, &text, &len)) {
        return false;
    }
    prong_writer_text(out, text, len);
    return true;
}

bool
modbus_value_put(const struct modbus_point *point, const uint16_t *words, prong_writer *out)
{
    if (point->type == MODBUS_TEXT) {
        return put_text(point, words, out);
    }
    if (point->type == MODBUS_BOOL) {
        prong_writer_bool(out, (words[0] >> (point->bit > 0 ? point->bit : 0) & 1) != 0);
        return true;
    }
    const uint64_t bits = join(point, words);
    if (point->is_scaled) {
        prong_writer_double(out, to_value(point, number_of(point, bits)));
    } else if (is_float(point->type)) {
        prong_writer_double(out, number_of(point, bits));
    } else if (has_sign(point->type)) {
        prong_writer_int(out, signed_of(point, bits));
    } else {
        prong_writer_uint(out, bits);
    }
    return true;
}

/* How far two values of a number are apart, without the errors that the offset and a difference of
 * fractions would bring in: 71.8 - 71.3 is less than 0.5 to a computer, and 5 / 10 is not. */
static double
distance(const struct modbus_point *p, uint64_t a, uint64_t b)
{
    const double divisor = divisor_of(p->scale);
    double number;
    if (is_float(p->type)) {
        number = number_of(p, a) - number_of(p, b);
    } else if (has_sign(p->type)) {
        const int64_t low = signed_of(p, a), high = signed_of(p, b);
        number =
            (double)(low < high ? (uint64_t)high - (uint64_t)low : (uint64_t)low - (uint64_t)high);
    } else {
        number = (double)(a < b ? b - a : a - b);
    }
    return fabs(divisor != 0 ? number / divisor : number * p->scale);
}

bool
modbus_value_differs(const struct modbus_point *point, const uint16_t *a, const uint16_t *b)
{
    const uint16_t mask = point->bit >= 0 ? (uint16_t)(1U << point->bit) : UINT16_MAX;
    for (size_t i = 0; i < point->count; i++) {
        if (((a[i] ^ b[i]) & mask) != 0) {
            /* What is not a number is at no distance from anything. */
            return point->deadband == 0 ||
                   !(distance(point, join(point, a), join(point, b)) < point->deadband);
        }
    }
    return false;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static bool
take_bool(const prong_value *value, uint16_t *words, char *why, size_t why_bytes)
{
    bool is_on = false;
    int64_t number = 0;
    if (!prong_value_bool(value, &is_on) &&
        (!prong_value_int(value, &number) || number >> 1 != 0)) {
        snprintf(why, why_bytes, "takes true or false");
        return false;
    }
    words[0] = is_on || number == 1;
    return true;
}

static bool
take_text(const struct modbus_point *p, const prong_value *value, uint16_t *words, char *why,
          size_t why_bytes)
{
    const char *text = NULL;
    size_t len = 0;
    if (!prong_value_text(value, &text, &len) || len > 2U * p->count ||
        memchr(text, '\0', len) != NULL) {
        snprintf(why, why_bytes, "takes a text of at most %d bytes, without a zero byte",
                 2 * p->count);
        return false;
    }
    memset(words, 0, p->count * sizeof *words);
    for (size_t i = 0; i < len; i++) {
        const unsigned shift = (i % 2 == 0) != p->is_little ? 8 : 0;
        words[i / 2] |= (uint16_t)((unsigned)(uint8_t)text[i] << shift);
    }
    return true;
}

static bool
fail_range(const struct modbus_point *p, char *why, size_t why_bytes)
{
    const struct range *range = &ranges[p->type];
    const double low = to_value(p, (double)range->min);
    const double high = to_value(p, p->type == MODBUS_UINT64 ? TWO_TO_64 : (double)range->max);
    if (p->is_scaled) {
        snprintf(why, why_bytes, "goes from %.15g to %.15g", low < high ? low : high,
                 low < high ? high : low);
    } else if (p->type == MODBUS_UINT64) {
        snprintf(why, why_bytes, "takes whole numbers from 0 to 18446744073709551615");
    } else {
        snprintf(why, why_bytes, "takes whole numbers from %lld to %lld", (long long)range->min,
                 (long long)range->max);
    }
    return false;
}

/* A whole number in the unit that is nearest to a scaled value. */
static bool
take_scaled(const struct modbus_point *p, double value, uint64_t *bits)
{
    const struct range *range = &ranges[p->type];
    const double number = nearbyint(to_number(p, value));
    const double end = p->type == MODBUS_UINT64  ? TWO_TO_64
                       : p->type == MODBUS_INT64 ? TWO_TO_63
                                                 : (double)range->max + 1;
    if (!(number >= (double)range->min && number < end)) { /* nor is it when it is not a number */
        return false;
    }
    *bits = number < 0 ? (uint64_t)(int64_t)number : (uint64_t)number;
    return true;
}

static bool
take_whole(const struct modbus_point *p, const prong_value *value, uint64_t *bits)
{
    const struct range *range = &ranges[p->type];
    int64_t number = 0;
    double real = 0;
    if (p->type == MODBUS_UINT64 && prong_value_uint(value, bits)) {
        return true;
    }
    if (prong_value_int(value, &number)) {
        *bits = (uint64_t)number;
        return number >= range->min && number <= range->max;
    }
    /* 20.0 is a whole number, too. */
    return prong_value_double(value, &real) && nearbyint(real) == real &&
           take_scaled(p, real, bits);
}

static bool
take_float(const struct modbus_point *p, double value, uint64_t *bits)
{
    const double number = p->is_scaled ? to_number(p, value) : value;
    if (p->type == MODBUS_FLOAT64) {
        memcpy(bits, &number, sizeof *bits);
        return true;
    }
    if (isfinite(number) && fabs(number) > (double)FLT_MAX) {
        return false;
    }
    const float small = (float)number;
    uint32_t half;
    memcpy(&half, &small, sizeof half);
    *bits = half;
    return true;
}

bool
modbus_value_take(const struct modbus_point *point, const prong_value *value, uint16_t *words,
                  char *why, size_t why_bytes)
{
    uint64_t bits = 0;
    double real = 0;
    if (point->type == MODBUS_BOOL) {
        return take_bool(value, words, why, why_bytes);
    }
    if (point->type == MODBUS_TEXT) {
        return take_text(point, value, words, why, why_bytes);
    }
    const bool is_number = prong_value_double(value, &real);
    if (is_float(point->type)) {
        if (!is_number || !take_float(point, real, &bits)) {
            snprintf(why, why_bytes, "takes numbers that a %s has", modbus_type_name(point->type));
            return false;
        }
    } else if (!is_number || !(point->is_scaled ? take_scaled(point, real, &bits)
                                                : take_whole(point, value, &bits))) {
        return fail_range(point, why, why_bytes);
    }
    split(point, bits, words);
    return true;
}
