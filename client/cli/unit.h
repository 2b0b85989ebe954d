/* Durations, numbers and times as people write and read them; and the clock. */
#ifndef PRONG_CLI_UNIT_H
#define PRONG_CLI_UNIT_H

#include <stdbool.h>
#include <stdint.h>

enum { UNIT_TIME_BYTES = 40, UNIT_SPAN_BYTES = 48, UNIT_SIZE_BYTES = 24 };

#define UNIT_DURATION_MS_MAX INT64_C(31536000000) /* 365 days */

/* "250ms", "1.5s", "2m", "1h", with no sign and at most 365 days; "0" needs no unit. */
bool unit_duration(const char *text, int64_t *ms);
/* The shortest text that unit_duration reads back: "1ms", "90s", "1h". */
void unit_duration_text(int64_t ms, char out[UNIT_SPAN_BYTES]);
/* Digits alone, from 0 to INT64_MAX. */
bool unit_count(const char *text, int64_t *count);
/* "2026-01-31T12:00:00.123456Z" (RFC 3339, UTC) of microseconds since 1970. */
void unit_time(int64_t time_us, char out[UNIT_TIME_BYTES]);
/* "12:00:00.123456" of the local day. */
void unit_time_local(int64_t time_us, char out[UNIT_TIME_BYTES]);
/* "250ms", "90s", "2m05s", "3h02m", "5d03h". */
void unit_span(int64_t ms, char out[UNIT_SPAN_BYTES]);
/* "512B", "15.4M", "2.0G": bytes by powers of 1024, at most six characters up to 999 PiB. */
void unit_size(uint64_t bytes, char out[UNIT_SIZE_BYTES]);
/* Monotonic. */
int64_t unit_now_ms(void);
/* From now until a deadline, at least 0 and at most `most_ms`. */
int32_t unit_left_ms(int64_t deadline_ms, int32_t most_ms);

#endif
