/* The broker's own log: see log.h. */
#include "broker/shell/log.h"

#include "broker/spawn/line.h"
#include "proto/clock/clock.h"
#include "proto/mp.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct log
log_start(void)
{
    return (struct log){.level = LOG_INFO, .journal = getenv("JOURNAL_STREAM") != NULL};
}

void
log_time(uint64_t wall_us, char out[LOG_TIME_BYTES])
{
    const time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    char date[24] = "";
    if (gmtime_r(&seconds, &tm) != NULL) {
        (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    }
    (void)snprintf(out, LOG_TIME_BYTES, "%s.%06uZ", date, (unsigned)(wall_us % 1000000));
}

bool
log_time_read(struct span text, uint64_t *wall_us)
{
    static const char shape[] = "0000-00-00T00:00:00.000000Z";
    int64_t numbers[7] = {0};
    size_t n = 0;
    if (text.len < LOG_TIME_CHARS) {
        return false;
    }
    for (size_t i = 0; i < LOG_TIME_CHARS; i++) {
        const unsigned digit = (unsigned)text.data[i] - '0';
        if (shape[i] == '0' ? digit > 9 : text.data[i] != shape[i]) {
            return false;
        }
        if (shape[i] == '0') {
            numbers[n] = numbers[n] * 10 + (int64_t)digit;
        } else {
            n++;
        }
    }
    struct tm tm = {.tm_year = (int)numbers[0] - 1900,
                    .tm_mon = (int)numbers[1] - 1,
                    .tm_mday = (int)numbers[2],
                    .tm_hour = (int)numbers[3],
                    .tm_min = (int)numbers[4],
                    .tm_sec = (int)numbers[5]};
    const time_t seconds = timegm(&tm);
    *wall_us = (uint64_t)seconds * 1000000 + (uint64_t)numbers[6];
    return seconds >= 0;
}

enum { TEXT_BYTES = 1024, LINE_BYTES = TEXT_BYTES + 128 };
_Static_assert(2 * (int)LINE_BYTES <= PIPE_BUF, "two lines are written at once");

static size_t
put_line(char line[LINE_BYTES], const struct log *log, enum log_level level, const char *text)
{
    static const struct {
        const char *name;
        int priority; /* as sd-daemon numbers them */
    } levels[] = {[LOG_ERROR] = {"ERROR", 3},
                  [LOG_WARN] = {"WARN", 4},
                  [LOG_INFO] = {"INFO", 6},
                  [LOG_DEBUG] = {"DEBUG", 7}};
    char when[LOG_TIME_BYTES], priority[8] = "";
    log_time((uint64_t)clock_wall_us(), when);
    if (log->journal) {
        (void)snprintf(priority, sizeof priority, "<%d>", levels[level].priority);
    }
    return (size_t)snprintf(line, LINE_BYTES, "%s%s %s broker[%d] %s\n", priority, when,
                            levels[level].name, (int)getpid(), text);
}

void
log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    char text[TEXT_BYTES], line[2 * LINE_BYTES];
    const uint64_t lost = log->lost != NULL ? *log->lost : 0;
    size_t n = 0;
    va_list args;
    if (level > log->level) {
        return;
    }
    if (lost > 0) {
        (void)snprintf(text, sizeof text, "%llu lines of this log were lost: nobody took them",
                       (unsigned long long)lost);
        n = put_line(line, log, LOG_WARN, text);
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n += put_line(line + n, log, level, text);
    const bool is_written = line_write(STDERR_FILENO, line, n);
    if (log->lost != NULL) {
        *log->lost = is_written ? 0 : lost + 1;
    }
}

bool
log_line(const struct log *log, unsigned priority, struct span heading, struct span text)
{
    char line[PIPE_BUF];
    size_t n = 0;
    if (log->journal) {
        n = (size_t)snprintf(line, sizeof line, "<%u>", priority);
    }
    memcpy(line + n, heading.data, heading.len);
    n += heading.len;
    const size_t room = sizeof line - n - 1, len = text.len < room ? text.len : room;
    memcpy(line + n, text.data, len);
    n += len;
    line[n++] = '\n';
    return line_write(STDERR_FILENO, line, n);
}

static int
put_value(char *out, size_t size, const struct mp_item *v)
{
    switch (v->kind) {
    case MP_STR:
        return snprintf(out, size, "'%.*s'", v->bytes.len > 200 ? 200 : (int)v->bytes.len,
                        (const char *)v->bytes.data);
    case MP_UINT:
        return snprintf(out, size, "%llu", (unsigned long long)v->uint);
    case MP_NEGATIVE:
        return snprintf(out, size, "%lld", (long long)v->negative);
    case MP_BOOL:
        return snprintf(out, size, v->boolean ? "true" : "false");
    case MP_NIL:
    case MP_FLOAT:
    case MP_BIN:
    case MP_EXT:
    case MP_MAP:
        break;
    case MP_ARRAY:
        return snprintf(out, size, "[%u]", (unsigned)v->count);
    }
    return snprintf(out, size, "...");
}

void
log_event(const struct log *log, struct span topic, struct span map)
{
    char text[900];
    struct mp_item head, name, value;
    struct span object;
    size_t n = 0;
    text[0] = '\0';
    if (mp_next(&map, &head) && head.kind == MP_MAP) {
        for (uint32_t i = 0; i < head.count && n < sizeof text - 300; i++) {
            if (!mp_next(&map, &name) || name.kind != MP_STR || !mp_skip(&map, &object) ||
                !mp_next(&object, &value)) {
                break;
            }
            n += (size_t)snprintf(text + n, sizeof text - n,
                                  " %.*s=", name.bytes.len > 64 ? 64 : (int)name.bytes.len,
                                  (const char *)name.bytes.data);
            n += (size_t)put_value(text + n, sizeof text - n, &value);
        }
    }
    log_write(log, LOG_INFO, "%.*s%s", (int)topic.len, (const char *)topic.data, text);
}
