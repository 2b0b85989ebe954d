/* Points in time as people write them. */
#ifndef PRONG_CLI_WHEN_H
#define PRONG_CLI_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since 1970 of
 *   "5m"                             so long before `now_us`
 *   "12:00", "12:00:05.25"           of the local day
 *   "2026-01-31", "2026-01-31 12:00", "2026-01-31T12:00:05.123456"   local
 *   the last ones with Z, +01:00 or -0530 behind them
 * false when it is none of them, or before 1970. */
bool when_read(const char *text, int64_t now_us, int64_t *time_us);

#endif
