#include "proto/device/rate.h"

#include <stdio.h>
#include <string.h>

#define RATE_MIN 0.001
#define RATE_MAX 10000.0

/* Digits, with a point before some of them or not. strtod would also take "inf", "0x1p3" and the
 * comma of another language. */
static bool
read_decimal(const char *text, double *value)
{
    double scale = 0; /* ten for each digit behind the point; 0 before it */
    int digits = 0;
    *value = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '.' && scale == 0) {
            scale = 1;
        } else if (*at >= '0' && *at <= '9') {
            *value = *value * 10 + (*at - '0');
            scale *= 10;
            digits++;
        } else {
            return false;
        }
    }
    *value = scale > 0 ? *value / scale : *value;
    return digits > 0;
}

bool
rate_parse(const char *text, struct rate *rate, char *why, size_t why_bytes)
{
    double value;
    *rate = (struct rate){.is_source = strcmp(text, "source") == 0};
    if (rate->is_source || strcmp(text, "max") == 0) {
        return true;
    }
    if (!read_decimal(text, &value)) {
        snprintf(why, why_bytes, "it is source, max or a number of frames a second");
        return false;
    }
    if (value < RATE_MIN || value > RATE_MAX) {
        snprintf(why, why_bytes, "it goes from %g to %g frames a second", RATE_MIN, RATE_MAX);
        return false;
    }
    rate->per_second = value;
    return true;
}

bool
rate_check(const char *text, char *why, size_t why_bytes)
{
    struct rate rate;
    return rate_parse(text, &rate, why, why_bytes);
}

bool
rate_check_stream(const char *text, char *why, size_t why_bytes)
{
    if (text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0') {
        snprintf(why, why_bytes, "a stream is named with a-z 0-9 _ -");
        return false;
    }
    return true;
}
