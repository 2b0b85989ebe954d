/* One line of a worker: its level, and its way into a file and back. */
#include "broker/shell/logline.h"
#include "proto/name.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

Test(logline, a_prefix_of_sd_daemon_is_taken_off_and_anything_else_is_text)
{
    static const struct {
        const char *line, *text;
        unsigned priority;
        enum log_level level;
    } rows[] = {
        {"<0>panic", "panic", 0, LOG_ERROR}, {"<3>bad", "bad", 3, LOG_ERROR},
        {"<4>look", "look", 4, LOG_WARN},    {"<5>note", "note", 5, LOG_INFO},
        {"<6>so", "so", 6, LOG_INFO},        {"<7>why", "why", 7, LOG_DEBUG},
        {"<3>", "", 3, LOG_ERROR},           {"<3> x", " x", 3, LOG_ERROR},
        {"plain", "plain", 6, LOG_INFO},     {"", "", 6, LOG_INFO},
        {"<8>x", "<8>x", 6, LOG_INFO},       {"<3x", "<3x", 6, LOG_INFO},
        {"<33>x", "<33>x", 6, LOG_INFO},     {" <3>x", " <3>x", 6, LOG_INFO},
        {"<3><4>x", "<4>x", 3, LOG_ERROR},   {"<", "<", 6, LOG_INFO},
        {"<-1>x", "<-1>x", 6, LOG_INFO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span text = span_text(rows[i].line);
        const unsigned priority = logline_take_prefix(&text);
        cr_expect(priority == rows[i].priority && span_is(text, rows[i].text), "%s: %u '%.*s'",
                  rows[i].line, priority, (int)text.len, (const char *)text.data);
        cr_expect(logline_level(priority) == rows[i].level, "%s", rows[i].line);
    }
}

Test(logline, what_is_written_is_read_back)
{
    static const struct logline_head heads[] = {
        {1769860800123456, LOG_INFO, "echo/0", 812, 3, "detect#99"},
        {1769860800000001, LOG_ERROR, "a-long_name/255", 1, UINT64_MAX, ""},
        {0, LOG_DEBUG, "e/1", INT32_MAX, 0, ""},
        {1769860800123456, LOG_WARN, "echo/0", 0, 0, ""},
    };
    static const char *const texts[] = {"hello", "", "] [", "with \xff and \1", "<3>twice"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            char line[LOGLINE_HEADING_BYTES + 40];
            struct logline read;
            const size_t n = logline_write(&heads[i], line);
            (void)snprintf(line + n, sizeof line - n, "%s", texts[k]);
            cr_assert(logline_read(span_text(line), heads[i].who, &read), "%s", line);
            cr_expect(read.time_us == heads[i].time_us && read.level == heads[i].level &&
                          read.pid == heads[i].pid && read.incarnation == heads[i].incarnation,
                      "%s", line);
            cr_expect(span_is(read.call, heads[i].call) && span_is(read.text, texts[k]), "%s",
                      line);
            cr_expect(!logline_read(span_text(line), "other/0", &read), "of another: %s", line);
        }
    }
}

Test(logline, the_longest_heading_fits)
{
    char who[200], call[200], line[LOGLINE_HEADING_BYTES];
    memset(who, 'w', sizeof who - 1);
    memset(call, 'c', sizeof call - 1);
    who[sizeof who - 1] = call[sizeof call - 1] = '\0';
    const struct logline_head head = {
        UINT64_C(253402300799999999), LOG_DEBUG, who, INT32_MIN, UINT64_MAX, call};
    cr_expect(logline_write(&head, line) == strlen(line) && strlen(line) < sizeof line, "%zu",
              strlen(line));
}

Test(logline, the_fraction_of_a_second_can_be_set_alone)
{
    char line[LOGLINE_HEADING_BYTES];
    const struct logline_head head = {1769860800123456, LOG_INFO, "e/0", 1, 1, ""};
    (void)logline_write(&head, line);
    logline_set_time(line, UINT64_C(1769860800000789));
    cr_expect_str_eq(line, "2026-01-31T12:00:00.000789Z INFO e/0[1#1] ");
}

Test(logline, what_is_no_line_of_ours_is_refused)
{
    static const char *const lines[] = {
        "",
        "2026-01-31T12:00:00.000001Z",
        "2026-01-31T12:00:00.000001Z INFO echo/0",
        "2026-01-31T12:00:00.000001Z NOTE echo/0[1#1] x",
        "2026-01-31T12:00:00.000001Z INFO echo/0[1] x",
        "2026-01-31T12:00:00.000001Z INFO echo/0[#1] x",
        "2026-01-31T12:00:00.000001Z INFO echo/0[1#] x",
        "2026-01-31T12:00:00.000001Z INFO echo/0[1#1",
        "2026-01-31T12:00:00.000001Z INFO echo/0[1#1]",
        "2026-01-31T12:00:00.000001Z INFO echo/0[1#1 call",
        "2026-01-31T12:00:00.000001Z INFO echo/0[2147483648#1] x",
        "2026-01-31T12:00:00.000001Z INFO echo/0[1#18446744073709551616] x",
        "2026-01-31T12:00:00.000001ZINFO echo/0[1#1] x",
        "2026-01-31T12:00:00.000001Z INFO  echo/0[1#1] x",
        "yesterday INFO echo/0[1#1] x",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct logline read;
        cr_expect(!logline_read(span_text(lines[i]), "echo/0", &read), "%s", lines[i]);
    }
}
