/* How fast the device prong-video plays, as its option `rate` says it, and names of streams. Pure.
 */
#ifndef PRONG_PROTO_DEVICE_RATE_H
#define PRONG_PROTO_DEVICE_RATE_H

#include <stdbool.h>
#include <stddef.h>

struct rate {
    bool is_source;    /* the source's own */
    double per_second; /* 0: the source's, or as fast as it goes */
};

/* "source", "max", or frames a second as a decimal number. False, and `why` then says what is
 * wrong, when it is none of them. */
bool rate_parse(const char *text, struct rate *rate, char *why, size_t why_bytes);
/* Checks of options. */
bool rate_check(const char *text, char *why, size_t why_bytes);
bool rate_check_stream(const char *text, char *why, size_t why_bytes);

#endif
