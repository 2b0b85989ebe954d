/* Times of the calendar: see cron.h. */
#include "proto/device/cron.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { YEARS_AHEAD = 8, WORD_BYTES_MAX = 64 };

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

/* The fields in their order. A weekday may be 7, which is Sunday again. */
static const struct field {
    const char *name;
    unsigned min, max;
    const char *const *names;
} fields[] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of the month", 1, 31, NULL},
    {"month", 1, 12, month_names},
    {"day of the week", 0, 7, day_names},
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

/* A number or a name at `*at`, which moves behind it. */
static bool
take_value(const struct field *field, const char **at, unsigned *value)
{
    for (unsigned i = 0; field->names != NULL && field->names[i] != NULL; i++) {
        if (strncasecmp(*at, field->names[i], 3) == 0) {
            *value = field->min + i;
            *at += 3;
            return true;
        }
    }
    unsigned sum = 0, digits = 0;
    for (; **at >= '0' && **at <= '9' && digits < 3; (*at)++, digits++) {
        sum = 10 * sum + (unsigned)(**at - '0');
    }
    *value = sum;
    return digits > 0;
}

/* One of the parts between commas: *, a, a-b, and /step behind a star or a range. */
static bool
take_part(const struct field *field, const char **at, uint64_t *bits)
{
    unsigned low = field->min, high = field->max, step = 1;
    bool is_range = true;
    if (**at == '*') {
        (*at)++;
    } else {
        if (!take_value(field, at, &low)) {
            return false;
        }
        high = low;
        is_range = **at == '-';
        if (is_range) {
            (*at)++;
            if (!take_value(field, at, &high)) {
                return false;
            }
        }
    }
    if (**at == '/' && is_range) {
        const struct field number = {.min = 1};
        (*at)++;
        if (!take_value(&number, at, &step) || step == 0) {
            return false;
        }
    }
    if (low < field->min || high > field->max || low > high) {
        return false;
    }
    for (unsigned i = low; i <= high; i += step) {
        *bits |= UINT64_C(1) << i;
    }
    return true;
}

static bool
parse_field(const struct field *field, const char *word, uint64_t *bits)
{
    const char *at = word;
    *bits = 0;
    while (take_part(field, &at, bits)) {
        if (*at == '\0') {
            return true;
        }
        if (*at++ != ',') {
            return false;
        }
    }
    return false;
}

/* The last one ends a block of YAML. */
#define BLANKS " \t\n"

bool
cron_parse(const char *text, struct cron *cron, char *why, size_t why_bytes)
{
    uint64_t bits[FIELD_COUNT];
    bool any[FIELD_COUNT];
    const char *at = text + strspn(text, BLANKS);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        char word[WORD_BYTES_MAX];
        const size_t len = strcspn(at, BLANKS);
        if (len == 0) {
            snprintf(why, why_bytes, "the %s is missing: there are five fields", fields[i].name);
            return false;
        }
        snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1), at);
        if (len >= sizeof word || !parse_field(&fields[i], word, &bits[i])) {
            snprintf(why, why_bytes, "the %s cannot be '%s': it goes from %u to %u", fields[i].name,
                     word, fields[i].min, fields[i].max);
            return false;
        }
        any[i] = word[0] == '*';
        at += len + strspn(at + len, BLANKS);
    }
    if (*at != '\0') {
        snprintf(why, why_bytes, "there is something behind the five fields");
        return false;
    }
    *cron = (struct cron){bits[0], bits[1], bits[2], bits[3], (bits[4] | bits[4] >> 7) & 0x7f,
                          any[2],  any[4]};
    return true;
}

static bool
has(uint64_t bits, int value)
{
    return (bits >> value & 1) != 0;
}

/* Both days have to fit when one of them is a star, else one of them is enough. */
static bool
fits_day(const struct cron *cron, const struct tm *tm)
{
    const bool day = has(cron->days, tm->tm_mday), weekday = has(cron->weekdays, tm->tm_wday);
    return cron->any_day || cron->any_weekday ? day && weekday : day || weekday;
}

/* Move `tm` to the first minute of the month, day or hour that comes next. */
static void
skip(struct tm *tm, int months, int days, int hours)
{
    tm->tm_mon += months;
    tm->tm_mday = months > 0 ? 1 : tm->tm_mday + days;
    tm->tm_hour = months > 0 || days > 0 ? 0 : tm->tm_hour + hours;
    tm->tm_min = 0;
}

time_t
cron_next(const struct cron *cron, time_t after)
{
    struct tm tm;
    time_t at = after - after % 60 + 60;
    if (localtime_r(&at, &tm) == NULL) {
        return -1;
    }
    const int last_year = tm.tm_year + YEARS_AHEAD;
    while (tm.tm_year <= last_year) {
        struct tm next = tm;
        if (!has(cron->months, tm.tm_mon + 1)) {
            skip(&next, 1, 0, 0);
        } else if (!fits_day(cron, &tm)) {
            skip(&next, 0, 1, 0);
        } else if (!has(cron->hours, tm.tm_hour)) {
            skip(&next, 0, 0, 1);
        } else if (!has(cron->minutes, tm.tm_min)) {
            next.tm_min++;
        } else {
            return at;
        }
        /* An hour or a minute more is one of time and not of the clock, which may be put back. */
        const bool is_near = next.tm_mon == tm.tm_mon && next.tm_mday == tm.tm_mday;
        next.tm_isdst = -1;
        time_t then =
            is_near ? at + 60 * (next.tm_hour > tm.tm_hour ? 60 - tm.tm_min : 1) : mktime(&next);
        at = then > at ? then : at + 60;
        if (localtime_r(&at, &tm) == NULL) {
            return -1;
        }
    }
    return -1;
}

bool
cron_check(const char *text, char *why, size_t why_bytes)
{
    struct cron cron;
    if (!cron_parse(text, &cron, why, why_bytes)) {
        return false;
    }
    /* From the first of 2024, so that what it says does not depend on the day: 29 feb comes. */
    if (cron_next(&cron, 1704067200) < 0) {
        snprintf(why, why_bytes, "no such day ever comes");
        return false;
    }
    return true;
}
