/* One line of a worker: see logline.h. */
#include "broker/shell/logline.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *shown; /* in a file */
    unsigned priority;
} levels[] = {
    [LOG_ERROR] = {"ERROR", 3},
    [LOG_WARN] = {"WARN", 4},
    [LOG_INFO] = {"INFO", 6},
    [LOG_DEBUG] = {"DEBUG", 7},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

const char *
logline_number(uint32_t replica, char out[LOGLINE_NUMBER_BYTES])
{
    if (replica == LOGLINE_TEMPLATE) {
        memcpy(out, "template", sizeof "template");
    } else {
        (void)snprintf(out, LOGLINE_NUMBER_BYTES, "%u", (unsigned)replica);
    }
    return out;
}

unsigned
logline_take_prefix(struct span *text)
{
    if (text->len < 3 || text->data[0] != '<' || text->data[1] < '0' || text->data[1] > '7' ||
        text->data[2] != '>') {
        return LOGLINE_PRIORITY_UNSAID;
    }
    const unsigned priority = (unsigned)text->data[1] - '0';
    text->data += 3;
    text->len -= 3;
    return priority;
}

enum log_level
logline_level(unsigned priority)
{
    return priority <= 3   ? LOG_ERROR
           : priority == 4 ? LOG_WARN
           : priority < 7  ? LOG_INFO
                           : LOG_DEBUG;
}

unsigned
logline_priority(enum log_level level)
{
    return levels[level].priority;
}

size_t
logline_write(const struct logline_head *h, char out[LOGLINE_HEADING_BYTES])
{
    char when[LOG_TIME_BYTES];
    log_time(h->time_us, when);
    const int n =
        snprintf(out, LOGLINE_HEADING_BYTES, "%s %s %.90s[%d#%llu%s%.90s] ", when,
                 levels[h->level].shown, h->who, (int)h->pid, (unsigned long long)h->incarnation,
                 h->call[0] != '\0' ? " " : "", h->call);
    return (size_t)n;
}

void
logline_set_time(char heading[LOGLINE_HEADING_BYTES], uint64_t time_us)
{
    uint64_t rest = time_us % 1000000;
    for (int at = LOG_TIME_CHARS - 2; at >= LOG_TIME_CHARS - 7; at--) {
        heading[at] = (char)('0' + rest % 10);
        rest /= 10;
    }
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void
skip(struct span *s, size_t n)
{
    s->data += n;
    s->len -= n;
}

static bool
take_text(struct span *s, const char *text)
{
    const size_t n = strlen(text);
    if (s->len < n || memcmp(s->data, text, n) != 0) {
        return false;
    }
    skip(s, n);
    return true;
}

static bool
take_number(struct span *s, uint64_t max, uint64_t *out)
{
    size_t n = 0;
    *out = 0;
    for (; n < s->len && s->data[n] >= '0' && s->data[n] <= '9'; n++) {
        const unsigned digit = (unsigned)s->data[n] - '0';
        if (*out > (max - digit) / 10) {
            return false;
        }
        *out = *out * 10 + digit;
    }
    skip(s, n);
    return n > 0;
}

static bool
take_level(struct span *s, enum log_level *level)
{
    for (unsigned i = 0; i < LEVELS; i++) {
        if (take_text(s, levels[i].shown)) {
            *level = (enum log_level)i;
            return take_text(s, " ");
        }
    }
    return false;
}

bool
logline_read(struct span s, const char *who, struct logline *out)
{
    uint64_t pid;
    *out = (struct logline){0};
    if (!log_time_read(s, &out->time_us)) {
        return false;
    }
    skip(&s, LOG_TIME_CHARS);
    if (!take_text(&s, " ") || !take_level(&s, &out->level) || !take_text(&s, who) ||
        !take_text(&s, "[") || !take_number(&s, INT32_MAX, &pid) || !take_text(&s, "#") ||
        !take_number(&s, UINT64_MAX, &out->incarnation)) {
        return false;
    }
    out->pid = (int32_t)pid;
    if (take_text(&s, " ")) {
        const uint8_t *end = memchr(s.data, ']', s.len);
        if (end == NULL || (size_t)(end - s.data) >= LOGLINE_CALL_BYTES) {
            return false;
        }
        out->call = (struct span){s.data, (size_t)(end - s.data)};
        skip(&s, out->call.len);
    }
    out->text = s;
    return take_text(&out->text, "] ");
}
