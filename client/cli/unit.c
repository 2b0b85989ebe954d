/* Durations, numbers and times: see unit.h. */
#include "client/cli/unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/clock/clock.h"

static const struct {
    const char *name;
    int64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};

bool
unit_duration(const char *text, int64_t *ms)
{
    const int64_t most = UNIT_DURATION_MS_MAX;
    int64_t whole = 0, fraction = 0, scale = 1;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && whole <= most; p++) {
        whole = whole * 10 + (*p - '0');
    }
    if (p == text || whole > most) {
        return false;
    }
    if (*p == '.') {
        for (p++; *p >= '0' && *p <= '9'; p++) {
            if (scale < 1000000) {
                fraction = fraction * 10 + (*p - '0');
                scale *= 10;
            }
        }
        if (scale == 1) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(p, units[i].name) == 0 && whole <= most / units[i].ms) {
            *ms = whole * units[i].ms + fraction * units[i].ms / scale;
            return true;
        }
    }
    if (*p == '\0' && whole == 0 && fraction == 0) {
        *ms = 0;
        return true;
    }
    return false;
}

void
unit_duration_text(int64_t ms, char out[UNIT_SPAN_BYTES])
{
    size_t i = sizeof units / sizeof units[0] - 1;
    while (i > 0 && ms % units[i].ms != 0) {
        i--;
    }
    (void)snprintf(out, UNIT_SPAN_BYTES, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
}

bool
unit_count(const char *text, int64_t *count)
{
    int64_t n = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        const int digit = *text - '0';
        if (digit < 0 || digit > 9 || n > (INT64_MAX - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *count = n;
    return true;
}

void
unit_time(int64_t time_us, char out[UNIT_TIME_BYTES])
{
    const time_t seconds = (time_t)(time_us / 1000000);
    struct tm utc;
    char text[24];
    if (gmtime_r(&seconds, &utc) == NULL || strftime(text, sizeof text, "%FT%T", &utc) == 0) {
        (void)snprintf(out, UNIT_TIME_BYTES, "?");
        return;
    }
    (void)snprintf(out, UNIT_TIME_BYTES, "%s.%06dZ", text, (int)(time_us % 1000000));
}

void
unit_time_local(int64_t time_us, char out[UNIT_TIME_BYTES])
{
    const time_t seconds = (time_t)(time_us / 1000000);
    struct tm local;
    char text[16];
    if (localtime_r(&seconds, &local) == NULL || strftime(text, sizeof text, "%T", &local) == 0) {
        (void)snprintf(out, UNIT_TIME_BYTES, "?");
        return;
    }
    (void)snprintf(out, UNIT_TIME_BYTES, "%s.%06d", text, (int)(time_us % 1000000));
}

void
unit_span(int64_t ms, char out[UNIT_SPAN_BYTES])
{
    const long long s = ms / 1000, m = s / 60, h = m / 60, d = h / 24;
    if (s == 0) {
        (void)snprintf(out, UNIT_SPAN_BYTES, "%dms", (int)ms);
    } else if (s < 120) {
        (void)snprintf(out, UNIT_SPAN_BYTES, "%llds", s);
    } else if (h == 0) {
        (void)snprintf(out, UNIT_SPAN_BYTES, "%lldm%02llds", m, s % 60);
    } else if (d == 0) {
        (void)snprintf(out, UNIT_SPAN_BYTES, "%lldh%02lldm", h, m % 60);
    } else {
        (void)snprintf(out, UNIT_SPAN_BYTES, "%lldd%02lldh", d, h % 24);
    }
}

void
unit_size(uint64_t bytes, char out[UNIT_SIZE_BYTES])
{
    static const char letters[] = "BKMGTP";
    size_t i = 0;
    double value = (double)bytes;
    /* What would be shown with four digits has the next letter. */
    while (value >= 999.95 && i + 2 < sizeof letters) {
        value /= 1024;
        i++;
    }
    (void)snprintf(out, UNIT_SIZE_BYTES, i == 0 ? "%.0f%c" : "%.1f%c", value, letters[i]);
}

int64_t
unit_now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

int32_t
unit_left_ms(int64_t deadline_ms, int32_t most_ms)
{
    const int64_t now = unit_now_ms();
    const int64_t left = deadline_ms > now ? deadline_ms - now : 0;
    return left > most_ms ? most_ms : (int32_t)left;
}
