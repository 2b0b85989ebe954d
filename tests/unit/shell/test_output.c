/* What workers write: lines out of pipes into files and into the short memory. */
#include "tests/unit/shell/output_rig.h"
#include "proto/mp.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLENTY = 1 << 20 };

static const struct log quiet = {.level = LOG_ERROR}, loud = {.level = LOG_WARN};
static char *const text = rig_text;

/* ---- lines
 * --------------------------------------------------------------------------------------- */

Test(output, whole_lines_go_into_the_file_with_time_and_identity, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 3, 77, PLENTY);
    rig_say(&r, fd, "hello\n\nwor");
    cr_assert_str_eq(rig_lines_of("log/echo.3.log"),
                     "INFO echo/3[77#77] hello\nINFO echo/3[77#77] \n", "%s", text);
    rig_say(&r, fd, "ld\n");
    cr_assert_str_eq(rig_lines_of("log/echo.3.log"),
                     "INFO echo/3[77#77] hello\nINFO echo/3[77#77] \nINFO echo/3[77#77] world\n",
                     "%s", text);
    struct stat st;
    cr_assert(stat("log/echo.3.log", &st) == 0 && (st.st_mode & 07777) == 0600, "mode");
    cr_assert(stat("log", &st) == 0 && (st.st_mode & 07777) == 0700, "mode of the folder");
    rig_end(&r, 77, fd);
    rig_close(&r);
}

Test(output, a_last_line_without_an_end_is_a_line, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "last words");
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"), "", "too early");
    rig_end(&r, 7, fd);
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"), "INFO echo/0[7#7] last words\n", "%s", text);
    rig_close(&r);
}

Test(output, carriage_returns_at_the_end_of_a_line_are_dropped, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "dos\r\n\r\n10%\r20%\r\r\n");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 dos|echo/0 7 |echo/0 7 10%\r20%|", "%s",
                     rig_last(&r, "echo", -1, 9));
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, a_line_that_is_too_long_comes_in_pieces, .init = dir_enter, .fini = dir_leave)
{
    static char longest[20001];
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    memset(longest, 'x', sizeof longest - 1);
    longest[20000] = '\n';
    rig_put(&r, fd, longest, sizeof longest);
    const char *lines = rig_lines_of("log/echo.0.log");
    size_t bytes = 0, count = 0;
    for (const char *p = lines; *p != '\0'; p += strcspn(p, "\n") + 1) {
        const size_t len = strcspn(p, "\n") - strlen("INFO echo/0[7#7] ");
        cr_assert(len <= 8192, "a piece of %zu bytes", len);
        bytes += len;
        count++;
    }
    cr_assert(bytes == 20000 && count == 3, "%zu bytes in %zu pieces", bytes, count);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, what_is_not_utf_8_is_told_as_bytes, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "good \xc3\xa4\nbad \xff\n");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 good \xc3\xa4|echo/0 7 <bad \xff>|",
                     "%s", rig_last(&r, "echo", -1, 9));
    cr_assert(strstr(rig_lines_of("log/echo.0.log"), "bad \xff\n") != NULL,
              "the file has it as it came");
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, who_still_writes_after_the_end_is_not_waited_for, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    cr_assert(write(fd, "before\n", 7) == 7, "write");
    rig_end(&r, 7, -1); /* a grandchild holds the other end */
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 before|", "%s",
                     rig_last(&r, "echo", -1, 9));
    rig_end(&r, 7, -1); /* nothing is there any more */
    (void)close(fd);
    rig_close(&r);
}

Test(output, a_process_that_closes_its_output_lives_on, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY), other = rig_add(&r, "echo", 1, 8, PLENTY);
    rig_say(&r, fd, "one\n");
    (void)close(fd);
    rig_say(&r, other, "two\n");
    rig_end(&r, 7, -1);
    rig_end(&r, 8, other);
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 one|echo/1 8 two|", "%s",
                     rig_last(&r, "echo", -1, 9));
    rig_close(&r);
}

Test(output, a_descriptor_that_cannot_be_waited_for_is_closed, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = open("plain file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    rig_give(&r, "echo", 0, 7, fd, PLENTY, 1);
    cr_assert(fcntl(fd, F_GETFD) == -1, "it is open");
    rig_give(&r, "echo", 0, 8, 1000, PLENTY, 1);
    rig_close(&r);
    output_free(NULL);
}

Test(output, the_end_of_the_hub_keeps_what_was_half_a_line, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "half a li");
    rig_close(&r);
    (void)close(fd);
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"), "INFO echo/0[7#7] half a li\n", "%s", text);
}

/* The linker puts it in the place of write(2). */
static size_t writes;
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t
__wrap_write(int fd, const void *bytes, size_t len)
{
    writes++;
    return __real_write(fd, bytes, len);
}

/* A worker that prints without end would hold up all calls: a line costs a copy, a read a write. */
Test(output, lines_that_come_together_are_written_together, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    char lines[1024];
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    for (size_t i = 0; i < sizeof lines; i++) {
        lines[i] = i % 2 == 0 ? 'y' : '\n';
    }
    rig_say(&r, fd, "first\n");
    writes = 0;
    rig_put(&r, fd, lines, sizeof lines);
    cr_assert(writes == 2, "%zu writes, one of them into the pipe", writes);
    (void)capture_file(text, "log/echo.0.log");
    size_t count = 0;
    for (const char *p = text; (p = strstr(p, "INFO echo/0[7#7] y\n")) != NULL; p++) {
        count++;
    }
    cr_assert(count == sizeof lines / 2, "%zu lines", count);
    cr_assert_str_eq(rig_last(&r, "echo", -1, 2), "echo/0 7 y|echo/0 7 y|", "memory");
    rig_end(&r, 7, fd);
    rig_close(&r);
}

/* ---- files
 * --------------------------------------------------------------------------------------- */

static size_t
size_of(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 ? (size_t)st.st_size : 0;
}

Test(output, a_full_file_becomes_a_backup_and_the_oldest_goes, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    char line[40];
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, 300);
    for (int i = 0; i < 40; i++) {
        (void)snprintf(line, sizeof line, "line %02d\n", i);
        rig_say(&r, fd, line);
        cr_assert(size_of("log/echo.0.log") <= 300, "the file has %zu bytes",
                  size_of("log/echo.0.log"));
    }
    cr_assert(strstr(rig_lines_of("log/echo.0.log"), "line 39") != NULL, "the newest: %s", text);
    cr_assert(size_of("log/echo.0.log.1") > 200 && size_of("log/echo.0.log.2") > 200, "backups");
    cr_assert(access("log/echo.0.log.3", F_OK) != 0, "one too many");
    /* No line is lost between the files. */
    const char *const newest = strstr(rig_lines_of("log/echo.0.log"), "line ");
    char want[20];
    (void)snprintf(want, sizeof want, "line %02d", 10 * (newest[5] - '0') + newest[6] - '0' - 1);
    cr_assert(strstr(rig_lines_of("log/echo.0.log.1"), want) != NULL, "no %s in %s", want, text);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, without_backups_a_full_file_begins_anew, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    int ends[2];
    rig_open(&r, &quiet);
    cr_assert(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    rig_give(&r, "echo", 0, 7, ends[0], 100, 0);
    for (int i = 0; i < 20; i++) {
        rig_say(&r, ends[1], "some line\n");
    }
    cr_assert(size_of("log/echo.0.log") <= 100, "%zu bytes", size_of("log/echo.0.log"));
    cr_assert(access("log/echo.0.log.1", F_OK) != 0, "a backup");
    /* A line longer than the whole file may be is written all the same. */
    char line[301];
    memset(line, 'y', 300);
    line[300] = '\n';
    rig_put(&r, ends[1], line, sizeof line);
    cr_assert(size_of("log/echo.0.log") > 300, "it was dropped");
    rig_end(&r, 7, ends[1]);
    rig_close(&r);
}

Test(output, a_later_broker_goes_on_with_the_file, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    for (int i = 0; i < 2; i++) {
        rig_open(&r, &quiet);
        const int fd = rig_add(&r, "echo", 0, 7 + i, 100);
        rig_say(&r, fd, "12345678901234567890\n");
        rig_end(&r, 7 + i, fd);
        rig_close(&r);
    }
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"), "INFO echo/0[8#8] 12345678901234567890\n",
                     "%s", text);
    cr_assert_str_eq(rig_lines_of("log/echo.0.log.1"), "INFO echo/0[7#7] 12345678901234567890\n",
                     "%s", text);
}

Test(output, lines_that_cannot_be_written_are_counted_and_told, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    dir_write("log", "a file where the folder should be", 0600);
    rig_open(&r, &loud);
    const int saved = capture_begin();
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "one\ntwo\nthree\n");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 one|echo/0 7 two|echo/0 7 three|",
                     "memory");
    cr_assert(unlink("log") == 0, "unlink");
    rig_say(&r, fd, "four\n");
    capture_end(saved);
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"),
                     "WARN echo/0[0#0] (prong: 3 lines were lost here)\nINFO echo/0[7#7] four\n",
                     "%s", text);
    (void)capture_file(text, "stderr");
    static const char *const told[] = {"echo.0.log: Not a directory\n",
                                       "echo/0: its log cannot be written, lines are dropped\n",
                                       "echo/0: 3 lines of its log were dropped\n"};
    for (size_t i = 0; i < 3; i++) {
        const char *first = strstr(text, told[i]);
        cr_assert(first != NULL && strstr(first + 1, told[i]) == NULL, "not once: %s in %s",
                  told[i], text);
    }
    rig_end(&r, 7, fd);
    rig_close(&r);
}

/* A full disk takes a part of a line; a limit on the size of files does the same. */
Test(output, a_line_that_fits_only_in_part_leaves_nothing_behind, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    struct rlimit limit;
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "first\n");
    cr_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &limit) == 0, "limit");
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = size_of("log/echo.0.log") + 35;
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0, "limit");
    rig_say(&r, fd, "second, which is too long for the disk\n");
    limit.rlim_cur = before;
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0, "limit");
    rig_say(&r, fd, "third\n");
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"),
                     "INFO echo/0[7#7] first\nWARN echo/0[0#0] (prong: 1 line was lost here)\n"
                     "INFO echo/0[7#7] third\n",
                     "%s", text);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, a_symbolic_link_is_not_followed, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    dir_write("victim", "untouched", 0600);
    cr_assert(mkdir("log", 0700) == 0 && symlink("../victim", "log/echo.0.log") == 0, "symlink");
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "one\n");
    cr_assert_str_eq(capture_file(text, "victim"), "untouched", "%s", text);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

Test(output, a_named_pipe_in_the_place_of_a_file_is_not_waited_for, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    cr_assert(mkdir("log", 0700) == 0 && mkfifo("log/echo.0.log", 0600) == 0, "mkfifo");
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "one\n");
    const int reader = open("log/echo.0.log", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    rig_say(&r, fd, "two\n");
    cr_assert(read(reader, text, CAPTURE_TEXT) <= 0, "it was written into the pipe");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 one|echo/0 7 two|", "memory");
    (void)close(reader);
    rig_end(&r, 7, fd);
    rig_close(&r);
}

/* ---- the last lines
 * ------------------------------------------------------------------------------ */

Test(output, the_last_lines_of_all_replicas_come_in_the_order_in_which_they_came, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int a = rig_add(&r, "echo", 0, 7, PLENTY), b = rig_add(&r, "echo", 1, 8, PLENTY);
    const int other = rig_add(&r, "other", 0, 9, PLENTY);
    rig_say(&r, a, "1\n");
    rig_say(&r, b, "2\n");
    rig_say(&r, other, "not asked for\n");
    rig_say(&r, b, "3\n");
    rig_say(&r, a, "4\n");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 100), "echo/0 7 1|echo/1 8 2|echo/1 8 3|echo/0 7 4|",
                     "all");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 3), "echo/1 8 2|echo/1 8 3|echo/0 7 4|",
                     "the newest three");
    cr_assert_str_eq(rig_last(&r, "echo", 0, 100), "echo/0 7 1|echo/0 7 4|", "one replica");
    cr_assert_str_eq(rig_last(&r, "echo", 1, 1), "echo/1 8 3|", "its newest");
    cr_assert_str_eq(rig_last(&r, "echo", 2, 9), "", "nobody");
    cr_assert_str_eq(rig_last(&r, "nobody", -1, 9), "", "nobody");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 0), "", "none");
    rig_end(&r, 7, a);
    rig_end(&r, 8, b);
    rig_end(&r, 9, other);
    rig_close(&r);
}

Test(output, the_last_lines_outlive_the_process, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "cannot open the device\n");
    rig_end(&r, 7, fd);
    fd = rig_add(&r, "echo", 0, 8, PLENTY);
    rig_say(&r, fd, "again\n");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 cannot open the device|echo/0 8 again|",
                     "%s", rig_last(&r, "echo", -1, 9));
    rig_end(&r, 8, fd);
    rig_close(&r);
}

/* ---- of an earlier broker
 * ------------------------------------------------------------------------ */

/* Everything of a worker, as bytes. */
static struct buf
all_of(struct rig *r, const char *worker)
{
    struct buf b = {0};
    rig_list(r, worker, -1, 5000, &b);
    return b;
}

Test(output, the_next_broker_tells_the_same_lines, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int a = rig_add(&r, "echo", 0, 7, PLENTY), b = rig_add(&r, "echo", 1, 8, PLENTY);
    rig_say(&r, a, "1\n\n[brackets] \xff\n");
    rig_say(&r, b, "2\n");
    rig_say(&r, a, "3\n");
    struct buf before = all_of(&r, "echo");
    rig_close(&r);
    rig_open(&r, &quiet);
    r.is_old = true;
    const int c = rig_add(&r, "echo", 1, 8, PLENTY), d = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, c, "of the second broker\n");
    struct buf after = all_of(&r, "echo");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9),
                     "echo/0 7 1|echo/0 7 |echo/0 7 <[brackets] \xff>|echo/1 8 2|echo/0 7 3|"
                     "echo/1 8 of the second broker|",
                     "%s", rig_last(&r, "echo", -1, 9));
    /* All but the number of elements, which is the first byte, and the new one. */
    cr_assert(before.w < after.w && memcmp(before.data + 1, after.data + 1, before.w - 1) == 0,
              "not the same records");
    cr_assert_str_eq(rig_last(&r, "echo", 1, 9), "echo/1 8 2|echo/1 8 of the second broker|",
                     "one");
    buf_deinit(&before);
    buf_deinit(&after);
    rig_close(&r);
    (void)close(a);
    (void)close(b);
    (void)close(c);
    (void)close(d);
}

Test(output, what_a_process_of_this_broker_says_follows_nothing, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "of a worker that was removed\n");
    rig_end(&r, 7, fd);
    rig_close(&r);
    rig_open(&r, &quiet);
    fd = rig_add(&r, "echo", 0, 8, PLENTY);
    rig_say(&r, fd, "new\n");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 8 new|", "%s",
                     rig_last(&r, "echo", -1, 9));
    rig_end(&r, 8, fd);
    rig_close(&r);
}

Test(output, lines_of_an_earlier_hub_are_left_in_the_file, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    cr_assert(mkdir("log", 0700) == 0, "mkdir");
    dir_write("log/echo.0.log",
              "2026-01-31T12:00:00.000001Z INFO echo/0[5#5] of an earlier hub\n"
              "2026-01-31T12:00:00.000003Z INFO echo/0[6#6] first\n"
              "what is this?\n"
              "2026-01-31T12:00:00.000004Z INFO echo/1[6#6] of another\n"
              "2026-01-31T12:00:00.000004Z echo/0[6 no pid\n"
              "2026-01-31T12:00:00.000004Z echo/0[6]\n"
              "2026-01-31T12:00:00.000004Z INFO echo/0[6#6] \n"
              "2026-01-31T12:00:00.000004Z INFO echo/0[99999999999#99999999999] much\n"
              "\n"
              "2026-01-31T12:00:00.000005Z INFO echo/0[6#6] half a l",
              0600);
    r.since_us = UINT64_C(1769860800000002);
    rig_open(&r, &quiet);
    r.is_old = true;
    const int fd = rig_add(&r, "echo", 0, 6, PLENTY);
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 6 first|echo/0 6 |", "%s",
                     rig_last(&r, "echo", -1, 9));
    rig_end(&r, 6, fd);
    rig_close(&r);
}

Test(output, at_most_64_kib_are_read_again_and_whole_lines_of_them, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    char line[1001];
    int ends[2];
    rig_open(&r, &quiet);
    ends[0] = rig_add(&r, "echo", 0, 7, PLENTY);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(line, sizeof line, "%03d%0996d\n", i, 0);
        rig_put(&r, ends[0], line, 1000);
    }
    rig_close(&r);
    rig_open(&r, &quiet);
    r.is_old = true;
    ends[1] = rig_add(&r, "echo", 0, 7, PLENTY);
    /* 1045 bytes a line in the file: 62 of them, and the end of another one. */
    struct buf b = all_of(&r, "echo");
    struct mp_item item;
    struct span s = buf_span(&b);
    cr_assert(mp_next(&s, &item) && item.count == 62, "%u lines", item.count);
    buf_deinit(&b);
    cr_assert(strncmp(rig_last(&r, "echo", -1, 1), "echo/0 7 0990", 13) == 0, "%.20s",
              rig_last(&r, "echo", -1, 1));
    rig_close(&r);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

Test(output, a_file_that_was_put_aside_meanwhile_is_found, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, 100);
    rig_say(&r, fd, "12345678901234567890\n");
    rig_close(&r);
    rig_open(&r, &quiet);
    r.is_old = true;
    const int again = rig_add(&r, "echo", 0, 7, 100);
    rig_say(&r, again, "abcdefghijabcdefghij\n");
    cr_assert(access("log/echo.0.log.1", F_OK) == 0, "it was not put aside");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9),
                     "echo/0 7 12345678901234567890|echo/0 7 abcdefghijabcdefghij|", "%s",
                     rig_last(&r, "echo", -1, 9));
    cr_assert_str_eq(rig_last(&r, "echo", -1, 1), "echo/0 7 abcdefghijabcdefghij|", "only once");
    rig_close(&r);
    (void)close(fd);
    (void)close(again);
}

Test(output, what_a_replica_wrote_goes_with_it, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    rig_say(&r, fd, "of the first\n");
    rig_end(&r, 7, fd);
    r.is_gone = true;
    output_sweep(r.output);
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "", "%s", rig_last(&r, "echo", -1, 9));
    r.is_gone = false;
    fd = rig_add(&r, "echo", 0, 8, PLENTY);
    rig_say(&r, fd, "of the second\n");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 8 of the second|", "%s",
                     rig_last(&r, "echo", -1, 9));
    r.is_gone = true; /* its process, however, runs: it may write */
    output_sweep(r.output);
    rig_say(&r, fd, "more\n");
    cr_assert_str_eq(rig_last(&r, "echo", -1, 1), "echo/0 8 more|", "%s",
                     rig_last(&r, "echo", -1, 1));
    rig_end(&r, 8, fd); /* and with its end it goes by itself */
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "", "%s", rig_last(&r, "echo", -1, 9));
    rig_close(&r);
}

Test(output, who_has_ended_keeps_no_descriptor, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int before = procs_fd_count(getpid(), NULL);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY), other = rig_add(&r, "echo", 0, 8, PLENTY);
    rig_say(&r, fd, "one\n");
    cr_assert(procs_fd_count(getpid(), NULL) == before + 5, "two pipes and a file");
    rig_end(&r, 7, fd);
    rig_say(&r, other, "two\n");
    rig_end(&r, 8, other);
    cr_assert(procs_fd_count(getpid(), NULL) == before, "%d descriptors, there were %d",
              procs_fd_count(getpid(), NULL), before);
    cr_assert_str_eq(rig_lines_of("log/echo.0.log"), "INFO echo/0[7#7] one\nINFO echo/0[8#8] two\n",
                     "%s", text);
    cr_assert_str_eq(rig_last(&r, "echo", -1, 9), "echo/0 7 one|echo/0 8 two|", "memory");
    rig_close(&r);
}

Test(output, of_many_that_have_ended_the_last_256_are_kept, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int first = rig_add(&r, "first", 0, 9, PLENTY);
    rig_say(&r, first, "it runs all the time\n");
    for (int i = 0; i < OUTPUT_FINISHED_MAX + 2; i++) {
        const int again = i == OUTPUT_FINISHED_MAX + 1 ? 1 : i; /* one comes once more */
        const int fd = rig_add(&r, "echo", (uint32_t)again, 10 + i, PLENTY);
        rig_say(&r, fd, "one\n");
        rig_end(&r, 10 + i, fd);
    }
    cr_assert_str_eq(rig_last(&r, "echo", 0, 9), "", "the oldest");
    cr_assert_str_eq(rig_last(&r, "echo", 1, 9), "echo/1 11 one|echo/1 267 one|", "it ended last");
    cr_assert_str_eq(rig_last(&r, "echo", 2, 9), "echo/2 12 one|", "the oldest that is kept");
    cr_assert_str_eq(rig_last(&r, "echo", 256, 9), "echo/256 266 one|", "one of the newest");
    rig_end(&r, 9, first);
    cr_assert_str_eq(rig_last(&r, "first", 0, 9), "first/0 9 it runs all the time|",
                     "it ended last");
    cr_assert_str_eq(rig_last(&r, "echo", 2, 9), "", "in its place");
    rig_close(&r);
}

/* Events of one turn are carried out one after the other: what one of them closes may have another
 * one waiting. */
Test(output, a_sweep_in_the_middle_of_a_turn_leaves_pipes_alone, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    struct epoll_event event;
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    cr_assert(write(fd, "one\n", 4) == 4, "write");
    cr_assert(epoll_wait(r.epoll_fd, &event, 1, 0) == 1, "nothing to read");
    r.is_gone = true;
    output_end(r.output, 7);
    output_sweep(r.output);
    struct source *source = event.data.ptr;
    source->ready(source, event.events);
    output_turn(r.output, 0, false);
    (void)close(fd);
    rig_close(&r);
}

Test(output, at_most_1000_lines_and_128_kib_of_a_replica_are_kept, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    char line[2001];
    rig_open(&r, &quiet);
    const int fd = rig_add(&r, "echo", 0, 7, PLENTY);
    for (int i = 0; i < 1100; i++) {
        (void)snprintf(line, sizeof line, "%d\n", i);
        rig_say(&r, fd, line);
    }
    cr_assert(strncmp(rig_last(&r, "echo", -1, 5000), "echo/0 7 100|", 13) == 0, "%.40s",
              rig_last(&r, "echo", -1, 5000));
    memset(line, 'z', 2000);
    line[2000] = '\n';
    for (int i = 0; i < 100; i++) {
        rig_put(&r, fd, line, sizeof line);
    }
    struct buf b = {0};
    struct mp_item item;
    rig_list(&r, "echo", -1, 5000, &b);
    struct span s = buf_span(&b);
    cr_assert(mp_next(&s, &item) && item.count == 128 * 1024 / 2000, "%u lines", item.count);
    buf_deinit(&b);
    rig_end(&r, 7, fd);
    rig_close(&r);
}
