/* Lines into one log file: batches, rotation, a disk that is full. */
#include "broker/shell/logfile.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"
#include "tests/unit/shell/capture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct log loud = {.level = LOG_WARN};
static char text[CAPTURE_TEXT];
static struct logfile_batch batch;

static void
begin(struct logfile *f, const char *folder, size_t bytes_max)
{
    static char dir[DIR_FILE_BYTES_MAX];
    logfile_init(f, dir_file(dir, folder), &loud, "echo", 3);
    f->bytes_max = bytes_max;
    f->backups = 2;
}

static void
put(struct logfile *f, const char *line)
{
    logfile_put(f, &batch, (struct span){(const uint8_t *)"> ", 2},
                (struct span){(const uint8_t *)line, strlen(line)});
}

static const char *
content(const char *name)
{
    return capture_file(text, name);
}

Test(logfile, lines_of_a_batch_come_with_its_end, .init = dir_enter, .fini = dir_leave)
{
    struct logfile f;
    begin(&f, "log", 1000);
    put(&f, "one");
    put(&f, "");
    put(&f, "two");
    cr_assert_str_eq(content("log/echo.3.log"), "", "too early");
    logfile_flush(&f, &batch);
    logfile_flush(&f, &batch); /* nothing is in it */
    cr_assert_str_eq(content("log/echo.3.log"), "> one\n> \n> two\n", "%s", text);
    logfile_deinit(&f);
}

/* The same files as if each line had been written by itself. */
Test(logfile, a_batch_is_cut_where_the_file_is_full, .init = dir_enter, .fini = dir_leave)
{
    static const char *const folders[] = {"single", "batch"};
    static char files[2][3][CAPTURE_TEXT];
    char line[80], name[80];
    for (int way = 0; way < 2; way++) {
        struct logfile f;
        begin(&f, folders[way], 100);
        for (int i = 0; i < 40; i++) {
            (void)snprintf(line, sizeof line, "%d %.*s", i, i * 7 % 40,
                           "----------------------------------------");
            put(&f, line);
            if (way == 0) {
                logfile_flush(&f, &batch);
            }
        }
        put(&f, "a line that is longer than the whole file may be, which is written all the same "
                "and then put aside");
        logfile_flush(&f, &batch);
        put(&f, "the last one");
        logfile_flush(&f, &batch);
        logfile_deinit(&f);
        for (int i = 0; i < 3; i++) {
            (void)snprintf(name, sizeof name, i == 0 ? "%s/echo.3.log" : "%s/echo.3.log.%d",
                           folders[way], i);
            (void)capture_file(files[way][i], name);
        }
    }
    cr_assert_str_eq(files[0][0], "> the last one\n", "%s", files[0][0]);
    for (int i = 0; i < 3; i++) {
        cr_assert(files[0][i][0] != '\0', "file %d is empty", i);
        cr_assert_str_eq(files[1][i], files[0][i], "file %d:\n%s\nexpected\n%s", i, files[1][i],
                         files[0][i]);
    }
}

Test(logfile, more_than_a_batch_holds_is_no_less, .init = dir_enter, .fini = dir_leave)
{
    enum { LINES = 20, LINE_BYTES = 8000 };
    static char line[LINE_BYTES + 1];
    struct logfile f;
    struct stat st;
    begin(&f, "log", 1 << 20);
    memset(line, 'x', LINE_BYTES);
    for (int i = 0; i < LINES; i++) {
        put(&f, line);
    }
    logfile_flush(&f, &batch);
    cr_assert(stat("log/echo.3.log", &st) == 0, "stat");
    cr_assert(st.st_size == LINES * (LINE_BYTES + 3), "%lld bytes", (long long)st.st_size);
    cr_assert(f.bytes == (size_t)st.st_size && f.dropped == 0, "%zu bytes", f.bytes);
    logfile_deinit(&f);
}

static void
limit_files(rlim_t bytes)
{
    struct rlimit limit;
    cr_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &limit) == 0, "limit");
    limit.rlim_cur = bytes;
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0, "limit");
}

/* A full disk takes a part of a batch; a limit on the size of files does the same. */
Test(logfile, what_fits_only_in_part_is_kept_in_whole_lines_and_the_rest_is_counted,
     .init = dir_enter, .fini = dir_leave)
{
    struct logfile f;
    begin(&f, "log", 1000);
    const int saved = capture_begin();
    put(&f, "0");
    logfile_flush(&f, &batch);
    limit_files(4 + 2 * 4 + 2); /* what is there, two lines and a half */
    for (const char *p = "1\0002\0003\0004\0005\0"; *p != '\0'; p += 2) {
        put(&f, p);
    }
    logfile_flush(&f, &batch);
    put(&f, "6");
    logfile_flush(&f, &batch);
    limit_files(RLIM_INFINITY);
    cr_assert_str_eq(content("log/echo.3.log"), "> 0\n> 1\n> 2\n", "%s", text);
    put(&f, "7");
    put(&f, "8");
    logfile_flush(&f, &batch);
    capture_end(saved);
    cr_assert_str_eq(
        content("log/echo.3.log"),
        "> 0\n> 1\n> 2\n"
        "1970-01-01T00:00:00.000000Z WARN echo/3[0#0] (prong: 4 lines were lost here)\n"
        "> 7\n> 8\n",
        "%s", text);
    cr_assert(strstr(content("stderr"), "echo/3: 4 lines of its log were dropped\n") != NULL, "%s",
              text);
    logfile_deinit(&f);
}

Test(logfile, what_was_dropped_is_told_at_the_end_at_the_latest, .init = dir_enter,
     .fini = dir_leave)
{
    struct logfile f;
    dir_write("log", "a file where the folder should be", 0600);
    begin(&f, "log", 1000);
    const int saved = capture_begin();
    put(&f, "1");
    put(&f, "2");
    logfile_flush(&f, &batch);
    logfile_close(&f);
    put(&f, "3");
    logfile_flush(&f, &batch);
    logfile_deinit(&f);
    capture_end(saved);
    (void)content("stderr");
    cr_assert(strstr(text, "echo/3: 3 lines of its log were dropped\n") != NULL, "%s", text);
}
