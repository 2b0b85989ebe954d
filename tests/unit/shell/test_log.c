/* The broker's own log: one line each, with a time, a level and, for the journal, a priority. */
#include "broker/shell/log.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"
#include "tests/unit/shell/capture.h"

#include "proto/write.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[CAPTURE_TEXT];

Test(log, times_are_utc_with_microseconds)
{
    char out[LOG_TIME_BYTES];
    log_time(0, out);
    cr_assert_str_eq(out, "1970-01-01T00:00:00.000000Z", "%s", out);
    log_time(1769860800123456u, out);
    cr_assert_str_eq(out, "2026-01-31T12:00:00.123456Z", "%s", out);
    log_time(4102444799999999u, out);
    cr_assert_str_eq(out, "2099-12-31T23:59:59.999999Z", "%s", out);
}

Test(log, a_line_has_time_level_process_and_text, .init = dir_enter, .fini = dir_leave)
{
    const struct log log = {.level = LOG_DEBUG};
    const int saved = capture_begin();
    log_write(&log, LOG_INFO, "listening on %s", "ipc:///x");
    capture_end(saved);
    char want[80];
    (void)snprintf(want, sizeof want, "Z INFO broker[%d] listening on ipc:///x\n", (int)getpid());
    const char *line = capture_file(text, "stderr");
    cr_assert(strlen(line) == 26 + strlen(want) && strcmp(line + 26, want) == 0, "%s", line);
    cr_assert(line[4] == '-' && line[10] == 'T' && line[19] == '.', "%s", line);
}

Test(log, less_important_lines_than_the_level_are_not_written, .init = dir_enter, .fini = dir_leave)
{
    static const char *const names[] = {" ERROR ", " WARN ", " INFO ", " DEBUG "};
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        const struct log log = {.level = (enum log_level)level};
        const int saved = capture_begin();
        for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
            log_write(&log, (enum log_level)i, "text");
        }
        capture_end(saved);
        (void)capture_file(text, "stderr");
        for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
            cr_assert((strstr(text, names[i]) != NULL) == (i <= level), "level %d: %s", level,
                      text);
        }
    }
}

/* Whoever started the hub may read it now and then, or never. */
Test(log, a_pipe_that_nobody_empties_is_not_waited_for)
{
    static char longest[1000];
    uint64_t lost = 0;
    const struct log log = {.level = LOG_INFO, .lost = &lost};
    int ends[2];
    const int saved = dup(STDERR_FILENO);
    memset(longest, 'x', sizeof longest - 1);
    cr_assert(pipe2(ends, O_CLOEXEC) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    while (lost < 3) {
        log_write(&log, LOG_INFO, "%s", longest);
    }
    ssize_t n = read(ends[0], text, sizeof text); /* all that fits into a pipe */
    log_write(&log, LOG_INFO, "the next line");
    const ssize_t more = read(ends[0], text, sizeof text - 1);
    text[more > 0 ? more : 0] = '\0';
    cr_assert(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
    cr_expect(n > 4096 && lost == 0, "%zd bytes, %llu lost", n, (unsigned long long)lost);
    const char *told = strstr(text, "] 3 lines of this log were lost: nobody took them\n");
    cr_expect(told != NULL && strstr(told, "] the next line\n") != NULL, "%s", text);
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(saved);
}

/* It says that it has room when it has some for a part of a line. */
Test(log, a_terminal_that_nobody_looks_at_is_not_waited_for)
{
    static char longest[200];
    uint64_t lost = 0;
    const struct log log = {.level = LOG_INFO, .lost = &lost};
    const int saved = dup(STDERR_FILENO), screen = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert(screen >= 0 && grantpt(screen) == 0 && unlockpt(screen) == 0);
    const int terminal = open(ptsname(screen), O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert(terminal >= 0 && dup2(terminal, STDERR_FILENO) == STDERR_FILENO);
    memset(longest, 'x', sizeof longest - 1);
    int len = 0;
    while (lost < 100) {
        log_write(&log, LOG_INFO, "%.*s", len++ % 200, longest);
    }
    cr_assert(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
    cr_expect((fcntl(terminal, F_GETFL) & O_NONBLOCK) == 0, "others write to it as well");
    (void)close(terminal);
    (void)close(screen);
    (void)close(saved);
}

/* As is a file on a full disk, which takes nothing, or a part. */
Test(log, lines_that_cannot_be_written_are_told_when_they_can_again, .init = dir_enter,
     .fini = dir_leave)
{
    uint64_t lost = 0;
    const struct log log = {.level = LOG_INFO, .lost = &lost};
    const int saved = dup(STDERR_FILENO), full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    cr_assert(full >= 0 && dup2(full, STDERR_FILENO) == STDERR_FILENO);
    log_write(&log, LOG_INFO, "one");
    log_write(&log, LOG_INFO, "two");
    cr_assert(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
    cr_expect_eq(lost, 2);
    const int before = capture_begin();
    log_write(&log, LOG_INFO, "three");
    capture_end(before);
    (void)capture_file(text, "stderr");
    cr_expect(strstr(text, "] 2 lines of this log were lost: nobody took them\n") != NULL &&
                  strstr(text, "] three\n") != NULL && lost == 0,
              "%s", text);
    (void)close(full);
    (void)close(saved);
}

Test(log, for_the_journal_a_priority_stands_in_front, .init = dir_enter, .fini = dir_leave)
{
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
    const struct log log = {.level = LOG_DEBUG, .journal = true};
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        const int saved = capture_begin();
        log_write(&log, (enum log_level)i, "text");
        capture_end(saved);
        cr_assert(strncmp(capture_file(text, "stderr"), priorities[i], 3) == 0, "%s", text);
    }
}

Test(log, the_journal_is_known_by_its_stream)
{
    cr_assert(unsetenv("JOURNAL_STREAM") == 0, "unsetenv");
    cr_assert(!log_start().journal && log_start().level == LOG_INFO, "a terminal");
    cr_assert(setenv("JOURNAL_STREAM", "8:12345", 1) == 0, "setenv");
    cr_assert(log_start().journal, "the journal");
}

Test(log, a_time_is_read_as_it_was_written)
{
    static const uint64_t times[] = {0,
                                     1,
                                     999999,
                                     UINT64_C(951782399123456), /* a 29th of February */
                                     UINT64_C(1767225599999999),
                                     UINT64_C(4102444800000000)};
    char when[LOG_TIME_BYTES + 4];
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        uint64_t got = 7;
        log_time(times[i], when);
        cr_assert(strlen(when) == LOG_TIME_CHARS, "%s", when);
        memcpy(when + LOG_TIME_CHARS, " x", sizeof " x");
        const struct span span = {(const uint8_t *)when, strlen(when)};
        cr_assert(log_time_read(span, &got) && got == times[i], "%s is %llu", when,
                  (unsigned long long)got);
    }
    static const char *const wrong[] = {"",
                                        "2026-01-31T12:00:00.123456",
                                        "2026-01-31 12:00:00.123456Z",
                                        "2026-01-31T12:00:00.12345xZ",
                                        "1969-12-31T23:59:59.000000Z",
                                        "a line of a worker that has no time"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint64_t got;
        const struct span span = {(const uint8_t *)wrong[i], strlen(wrong[i])};
        cr_assert(!log_time_read(span, &got), "%s is a time", wrong[i]);
    }
}

Test(log, a_line_that_is_too_long_is_cut, .init = dir_enter, .fini = dir_leave)
{
    const struct log log = {.level = LOG_INFO};
    static char longest[5000];
    memset(longest, 'x', sizeof longest - 1);
    const int saved = capture_begin();
    log_write(&log, LOG_INFO, "%s", longest);
    capture_end(saved);
    (void)capture_file(text, "stderr");
    const size_t len = strlen(text);
    cr_assert(len > 1000 && len < 1200 && text[len - 1] == '\n', "%zu bytes", len);
}

/* What log_event makes of a map. */
static const char *
event(const struct buf *map)
{
    const struct log log = {.level = LOG_INFO};
    const int saved = capture_begin();
    log_event(&log, (struct span){(const uint8_t *)"hub.worker.exited", 17}, buf_span(map));
    capture_end(saved);
    const char *line = strstr(capture_file(text, "stderr"), "] ");
    return line != NULL ? line + 2 : text;
}

Test(log, an_event_is_its_topic_and_its_flat_map, .init = dir_enter, .fini = dir_leave)
{
    struct buf b = {0};
    write_map(&b, 6);
    write_text(&b, "worker");
    write_text(&b, "echo");
    write_text(&b, "pid");
    write_uint(&b, 12);
    write_text(&b, "code");
    write_int(&b, -3);
    write_text(&b, "stopping");
    write_bool(&b, true);
    write_text(&b, "ready");
    write_bool(&b, false);
    write_text(&b, "nothing");
    write_nil(&b);
    cr_assert_str_eq(
        event(&b),
        "hub.worker.exited worker='echo' pid=12 code=-3 stopping=true ready=false nothing=...\n",
        "%s", text);
    buf_deinit(&b);
}

Test(log, an_event_that_is_no_map_is_its_topic, .init = dir_enter, .fini = dir_leave)
{
    struct buf b = {0};
    cr_assert_str_eq(event(&b), "hub.worker.exited\n", "%s", text);
    write_text(&b, "text");
    cr_assert_str_eq(event(&b), "hub.worker.exited\n", "%s", text);
    buf_reset(&b, 0);
    write_map(&b, 1);
    write_uint(&b, 1);
    write_uint(&b, 2);
    cr_assert_str_eq(event(&b), "hub.worker.exited\n", "%s", text);
    buf_deinit(&b);
}

Test(log, an_event_with_long_names_and_texts_is_cut, .init = dir_enter, .fini = dir_leave)
{
    static char longest[3001], name[701];
    memset(longest, 'x', sizeof longest - 1);
    memset(name, 'n', sizeof name - 1);
    for (int with_names = 0; with_names < 2; with_names++) {
        struct buf b = {0};
        write_map(&b, 40);
        for (int i = 0; i < 40; i++) {
            write_text(&b, i > 0 && with_names ? name : "short");
            write_text(&b, longest);
        }
        const size_t len = strlen(event(&b));
        cr_assert(len > 300 && len < 1100 && text[strlen(text) - 1] == '\n', "%zu bytes", len);
        buf_deinit(&b);
    }
}
