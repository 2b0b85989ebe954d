/* What workers write: its levels and calls, the ways other than into a file, and last words. */
#include "tests/unit/shell/output_rig.h"
#include "proto/mp.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { PLENTY = 1 << 20 };

static const struct log quiet = {.level = LOG_ERROR}, loud = {.level = LOG_WARN};
static char *const text = rig_text;

/* ---- levels and calls
 * ------------------------------------------------------------------------ */

Test(output, a_prefix_is_the_level_and_the_pieces_of_a_line_have_that_of_its_beginning,
     .init = dir_enter, .fini = dir_leave)
{
    static char piece[9001];
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "<3>bad\n<7>why\nplain <3>\n");
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"),
                     "ERROR echo/0[7#7] bad\nDEBUG echo/0[7#7] why\nINFO echo/0[7#7] plain <3>\n",
                     "%s", text);
    cr_assert_str_eq(r.lines, "echo/0 0 bad|echo/0 3 why|echo/0 2 plain <3>|", "%s", r.lines);
    memset(piece, 'x', 9000);
    memcpy(piece, "<4>", 3);
    memcpy(piece + 8192, "<3>", 3); /* where the second piece begins */
    piece[8999] = '\n';
    r.lines[0] = '\0';
    rig_put(&r, fd, piece, 9000);
    cr_assert(strncmp(r.lines, "echo/0 1 xxx", 12) == 0 &&
                  strstr(r.lines, "|echo/0 1 <3>xxx") != NULL,
              "%s", r.lines);
    r.lines[0] = '\0';
    rig_say(&r, fd, "next\n");
    cr_assert_str_eq(r.lines, "echo/0 2 next|", "%s", r.lines);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, what_is_less_important_than_the_level_is_only_told, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    r.how.level = SPEC_LEVEL_WARN;
    r.how.is_events = true;
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "<6>info\n<4>warning\n");
    cr_assert_str_eq(r.lines, "echo/0 2 info!|echo/0 1 warning!|", "%s", r.lines);
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 warning|", "%s",
                     rig_last(&r, "echo", -1, 9));
    output_set_level(r.output, "echo", LOG_INFO);
    output_set_level(r.output, "other", LOG_ERROR);
    const int other = rig_add(&r, "other", 0, 8, PLENTY);
    rig_say(&r, fd, "<6>again\n<7>debug\n");
    rig_say(&r, other, "<4>warning\n<3>error\n");
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"),
                     "WARN echo/0[7#7] warning\nINFO echo/0[7#7] again\n", "%s", text);
    cr_assert_str_eq(rig_lines_of("log/other.0.log"), "ERROR other/0[8#8] error\n", "%s", text);
    rig_end(&r, 7, fd);
    rig_end(&r, 8, other);
    rig_close(&r);
}

Test(output, a_line_is_of_the_call_that_runs_unless_it_may_be_older, .init = dir_enter,
     .fini = dir_leave)
{
    static char lines[3001];
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    r.call = "first#1";
    rig_say(&r, fd, "a\n");
    r.call = "second#2";
    rig_say(&r, fd, "b\n");
    r.call = NULL;
    rig_say(&r, fd, "c\n");
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"),
                     "INFO echo/0[7#7 first#1] a\nINFO echo/0[7#7 second#2] b\n"
                     "INFO echo/0[7#7] c\n",
                     "%s", text);
    /* Three reads' worth comes in one turn; then another call begins. */
    for (size_t i = 0; i < 3000; i++) {
        lines[i] = i % 1000 == 999 ? '\n' : 'z';
    }
    r.call = "third#3";
    struct epoll_event event;
    cr_assert(write(fd, lines, 3000) == 3000 && epoll_wait(r.epoll_fd, &event, 1, 0) == 1, "ready");
    struct source *source = event.data.ptr;
    source->ready(source, event.events);
    output_turn(r.output, 0, false);
    r.call = "fourth#4";
    rig_say(&r, fd, "d\n"); /* may be of either */
    rig_say(&r, fd, "e\n"); /* the pipe was empty meanwhile */
    const char *found = rig_lines_of("log/echo.0.log");
    cr_assert(strstr(found, "[7#7 third#3] zzz") != NULL && strstr(found, "[7#7] zzz") != NULL &&
                  strstr(found, "fourth#4] zzz") == NULL &&
                  strstr(found, "[7#7 fourth#4] e") != NULL,
              "%s", found);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

/* ---- elsewhere than into files
 * --------------------------------------------------------------- */

Test(output, inherited_lines_go_to_stderr_with_who_wrote_them, .init = dir_enter, .fini = dir_leave)
{
    static char longest[8001];
    struct rig r = {0};
    rig_open(&r, &quiet);
    r.how.log = SPEC_LOG_INHERIT;
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    const int saved = capture_begin();
    rig_say(&r, fd, "<3>bad\n");
    memset(longest, 'y', 8000);
    longest[7999] = '\n';
    rig_put(&r, fd, longest, 8000);
    capture_end(saved);
    const char *found = rig_lines_of("stderr");
    cr_assert(strncmp(found, "ERROR echo/0[7#7] bad\nINFO echo/0[7#7] yyy", 42) == 0, "%.80s",
              found);
    cr_assert(access("log", F_OK) != 0, "there is a file");
    cr_assert(strncmp(rig_last(&r, "echo", -1, 9), "echo/0 7 bad|echo/0 7 yyy", 25) == 0, "memory");
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, a_stderr_that_nobody_reads_is_not_waited_for, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    int ends[2];
    char got[200000];
    rig_open(&r, &loud);
    r.how.log = SPEC_LOG_INHERIT;
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    const int saved = dup(2);
    cr_assert(saved >= 0 && pipe(ends) == 0 && dup2(ends[1], 2) == 2, "a pipe as stderr");
    for (int i = 0; i < 3000; i++) {
        rig_say(&r, fd, "a line that is a little longer than others\n");
    }
    const ssize_t n = read(ends[0], got, sizeof got);
    rig_say(&r, fd, "there is room\n");
    ssize_t more = read(ends[0], got, sizeof got - 1);
    (void)dup2(saved, 2);
    (void)close(saved);
    (void)close(ends[0]);
    (void)close(ends[1]);
    got[more > 0 ? more : 0] = '\0';
    cr_assert(n > 50000 && strstr(got, "there is room\n") != NULL &&
                  strstr(got, " lines of its log were dropped\n") != NULL,
              "%zd, then %s", n, got);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, lines_that_go_nowhere_are_in_memory, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    r.how.log = SPEC_LOG_NONE;
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "one\n");
    cr_assert(access("log", F_OK) != 0, "there is a file");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 one|", "memory");
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, without_a_journal_there_is_a_file, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    (void)setenv("PRONG_JOURNAL_SOCKET", "nobody", 1);
    rig_open(&r, &quiet);
    r.how.log = SPEC_LOG_JOURNAL;
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "one\n");
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"), "INFO echo/0[7#7] one\n", "%s", text);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

static struct spec_output new_ways;

static const struct spec_output *
how_of(void *context, const char *replica)
{
    (void)context;
    return strcmp(replica, "echo/0") == 0 ? &new_ways : NULL;
}

Test(output, another_configuration_holds_for_the_next_line, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY), other = rig_add(&r, "echo", 1, 8, PLENTY);
    rig_say(&r, fd, "one\n");
    new_ways = (struct spec_output){.log = SPEC_LOG_NONE, .level = SPEC_LEVEL_ERROR};
    output_change(r.output, how_of, NULL);
    rig_say(&r, fd, "two\n<3>three\n");
    rig_say(&r, other, "four\n");
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"), "INFO echo/0[7#7] one\n", "%s", text);
    cr_assert_str_eq(rig_lines_of("log/echo.1.log"), "INFO echo/1[8#8] four\n", "%s", text);
    cr_assert_str_eq(rig_last(&r, "echo", 0, 9), "echo/0 7 one|echo/0 7 three|", "%s",
                     rig_last(&r, "echo", 0, 9));
    rig_end(&r, 7, fd);
    rig_end(&r, 8, other);
    rig_close(&r);
}

Test(output, files_that_were_moved_away_are_opened_anew, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "one\n");
    cr_assert(rename("log/echo.0.log", "log/moved") == 0, "rename");
    rig_say(&r, fd, "two\n");
    output_reopen(r.output);
    rig_say(&r, fd, "three\n");
    cr_assert_str_eq(rig_lines_of("log/moved"), "INFO echo/0[7#7] one\nINFO echo/0[7#7] two\n",
                     "%s", text);
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"), "INFO echo/0[7#7] three\n", "%s", text);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

/* ---- last words
 * ------------------------------------------------------------------------------ */

/* As "one|two|", or "" for nothing at all. */
static const char *
words(struct rig *r, const char *replica, uint64_t process)
{
    static char out[CAPTURE_TEXT];
    struct buf b = {0};
    struct mp_item item;
    size_t n = 0;
    output_last_words(r->output, replica, process, &b);
    struct span s = buf_span(&b);
    out[0] = '\0';
    cr_assert(s.len == 0 || (mp_next(&s, &item) && item.kind == MP_ARRAY), "no list");
    while (s.len > 0) {
        cr_assert(mp_next(&s, &item) && item.kind == MP_STR && mp_is_utf8(item.bytes), "no text");
        n += (size_t)snprintf(out + n, sizeof out - n, "%.*s|", (int)item.bytes.len,
                              (const char *)item.bytes.data);
    }
    buf_deinit(&b);
    return out;
}

Test(output, last_words_are_those_of_one_process, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    const int other = rig_add(&r, "echo", 1, 9, PLENTY);
    rig_say(&r, fd, "of the first\n");
    rig_say(&r, other, "of another\n");
    rig_end(&r, 7, fd);
    fd = rig_add(&r, "echo", 0, 8, PLENTY);
    rig_say(&r, fd, "<3>one\ntwo \xff\xfe\nhalf a li");
    rig_end(&r, 8, fd);
    cr_assert_str_eq(words(&r, "echo/0", 8), "one|two ??|half a li|", "%s", words(&r, "echo/0", 8));
    cr_assert_str_eq(words(&r, "echo/0", 7), "of the first|", "%s", words(&r, "echo/0", 7));
    cr_assert_str_eq(words(&r, "echo/0", 6), "", "nobody");
    cr_assert_str_eq(words(&r, "echo/5", 8), "", "nobody");
    rig_end(&r, 9, other);
    rig_close(&r);
}

Test(output, last_words_are_at_most_ten_lines_of_two_kib, .init = dir_enter, .fini = dir_leave)
{
    static char line[601];
    struct rig r = {0};
    char number[8];
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    for (int i = 0; i < 12; i++) {
        (void)snprintf(number, sizeof number, "%d\n", i);
        rig_say(&r, fd, number);
    }
    cr_assert_str_eq(words(&r, "echo/0", 7), "2|3|4|5|6|7|8|9|10|11|", "%s",
                     words(&r, "echo/0", 7));
    for (size_t i = 0; i < 600; i += 3) {
        memcpy(line + i, "\xe2\x82\xac", 3); /* a character of three bytes, cut at 512 */
    }
    line[600] = '\n';
    for (int i = 0; i < 5; i++) {
        rig_put(&r, fd, line, 601);
    }
    cr_assert(strlen(words(&r, "echo/0", 7)) == 4 * (510 + 1), "%zu bytes",
              strlen(words(&r, "echo/0", 7)));
    rig_end(&r, 7, fd);
    rig_close(&r);
}
