/* Times of the calendar as crontab(5) writes them: five fields. Pure but for the time zone, which
 * mktime(3) and localtime_r(3) know. */
#ifndef PRONG_PROTO_DEVICE_CRON_H
#define PRONG_PROTO_DEVICE_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* A bit for each value of a field that is meant. */
struct cron {
    uint64_t minutes, hours, days, months, weekdays; /* weekdays: 0 is Sunday */
    bool any_day, any_weekday;                       /* the field began with a star */
};

/* False when the text is no schedule; `why` then says what is wrong with it. */
bool cron_parse(const char *text, struct cron *cron, char *why, size_t why_bytes);
/* The same without keeping it, as a check of an option. Refuses what never comes, such as 31 feb.
 */
bool cron_check(const char *text, char *why, size_t why_bytes);
/* The first minute behind `after` that is meant, in seconds since 1970; -1 when there is none in
 * the next eight years. A time that the clock leaves out in spring is not caught up with. */
time_t cron_next(const struct cron *cron, time_t after);

#endif
