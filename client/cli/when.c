/* Points in time: see when.h. */
#include "client/cli/when.h"

#include <string.h>
#include <time.h>

#include "client/cli/unit.h"

enum { US_PER_S = 1000000 };

/* ".123456" or nothing: microseconds, and the rest of the text. */
static const char *
read_fraction(const char *text, int64_t *us)
{
    int64_t scale = US_PER_S / 10;
    *us = 0;
    if (*text != '.') {
        return text;
    }
    for (text++; *text >= '0' && *text <= '9'; text++) {
        *us += (*text - '0') * scale;
        scale /= 10;
    }
    return text;
}

/* "Z", "+01:00", "-0530": seconds to be added to that time for UTC. false when it is none. */
static bool
read_zone(const char *text, int64_t *seconds)
{
    int digits[4];
    const char sign = *text;
    if (strcmp(text, "Z") == 0) {
        *seconds = 0;
        return true;
    }
    if (sign != '+' && sign != '-') {
        return false;
    }
    text++;
    for (int i = 0; i < 4; i++) {
        text += i == 2 && *text == ':';
        if (*text < '0' || *text > '9') {
            return false;
        }
        digits[i] = *text++ - '0';
    }
    const int64_t offset =
        (digits[0] * 10 + digits[1]) * INT64_C(3600) + (digits[2] * 10 + digits[3]) * INT64_C(60);
    *seconds = sign == '+' ? -offset : offset;
    return *text == '\0';
}

static bool
make(struct tm *tm, const char *rest, int64_t *time_us)
{
    int64_t us, zone = 0;
    rest = read_fraction(rest, &us);
    const bool is_local = *rest == '\0';
    if (!is_local && !read_zone(rest, &zone)) {
        return false;
    }
    tm->tm_isdst = -1;
    const time_t seconds = is_local ? mktime(tm) : timegm(tm);
    *time_us = ((int64_t)seconds + zone) * US_PER_S + us;
    return *time_us >= 0;
}

bool
when_read(const char *text, int64_t now_us, int64_t *time_us)
{
    static const char *const dates[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                                        "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    static const char *const times[] = {"%H:%M:%S", "%H:%M"};
    const time_t now = (time_t)(now_us / US_PER_S);
    struct tm today;
    int64_t ms;
    if (unit_duration(text, &ms)) {
        *time_us = now_us - ms * 1000 > 0 ? now_us - ms * 1000 : 0;
        return true;
    }
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        struct tm tm = {.tm_mday = 1};
        const char *rest = strptime(text, dates[i], &tm);
        if (rest != NULL) {
            return make(&tm, rest, time_us);
        }
    }
    if (localtime_r(&now, &today) == NULL) {
        return false;
    }
    today.tm_hour = today.tm_min = today.tm_sec = 0;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct tm tm = today;
        const char *rest = strptime(text, times[i], &tm);
        if (rest != NULL) {
            return make(&tm, rest, time_us);
        }
    }
    return false;
}
