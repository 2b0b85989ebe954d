/* What workers write: lines out of pipes into files and into the short memory. */
#include "broker/shell/output.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"
#include "tests/unit/shell/capture.h"

#include "proto/mp.h"
#include "proto/name.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLENTY = 1 << 20 };

static const struct log quiet = {LOG_ERROR, false}, loud = {LOG_WARN, false};
static char text[CAPTURE_TEXT];

struct rig {
    bool is_gone;      /* there is no such replica */
    bool is_old;       /* what is added began before this broker */
    uint64_t since_us; /* of the hub; for the next rig_open */
    int64_t now_ns;
    int epoll_fd;
    char dir[DIR_FILE_BYTES_MAX];
    struct output *output;
    uint64_t epoch;
    struct spec_output how; /* of what is added, but for the size and number of its files */
    const char *call;       /* that runs, or NULL */
    char lines[1000];       /* that were told as they came: "echo/0 2 text|" */
    uint64_t answered;      /* the call that was answered last, with */
    struct buf answer;
};

static bool
has_replica(void *context, const char *replica)
{
    const struct rig *r = context;
    cr_assert(strchr(replica, '/') != NULL, "%s is no replica", replica);
    return !r->is_gone;
}

static bool
running(void *context, uint64_t process, char out[HUB_CALL_BYTES])
{
    const struct rig *r = context;
    (void)snprintf(out, HUB_CALL_BYTES, "%s", r->call != NULL ? r->call : "");
    return r->call != NULL && process > 0;
}

static void
line(void *context, const struct output_line *l)
{
    struct rig *r = context;
    const size_t n = strlen(r->lines);
    (void)snprintf(r->lines + n, sizeof r->lines - n, "%s %d %.*s%s|", l->replica, (int)l->level,
                   (int)(l->len < 40 ? l->len : 40), l->text, l->is_event ? "!" : "");
}

static void
answer(void *context, uint64_t call, struct span payload)
{
    struct rig *r = context;
    r->answered = call;
    buf_reset(&r->answer, 0);
    buf_put(&r->answer, payload.data, payload.len);
}

static void
rig_open(struct rig *r, const struct log *log)
{
    r->is_gone = r->is_old = false;
    r->epoch++;
    r->how.level = SPEC_LEVEL_DEBUG;
    r->lines[0] = '\0';
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    (void)dir_file(r->dir, "log");
    r->output = output_new(&(struct output_options){.epoll_fd = r->epoll_fd,
                                                    .dir = r->dir,
                                                    .log = log,
                                                    .since_us = r->since_us,
                                                    .epoch = r->epoch,
                                                    .has_replica = has_replica,
                                                    .running = running,
                                                    .line = line,
                                                    .answer = answer,
                                                    .context = r});
    cr_assert_not_null(r->output, "no memory");
}

static void
rig_close(struct rig *r)
{
    output_free(r->output);
    buf_deinit(&r->answer);
    (void)close(r->epoll_fd);
}

static void
give(struct rig *r, const char *worker, uint32_t replica, int32_t process, int fd, size_t bytes,
     uint32_t backups)
{
    struct output_target target = {worker, replica, process, r->how, r->is_old};
    target.how.file_bytes_max = bytes;
    target.how.backups = backups;
    output_add(r->output, (uint64_t)process, fd, &target);
}

/* The end that a process of this number writes into; its pid is the same. */
static int
add(struct rig *r, const char *worker, uint32_t replica, int32_t process, size_t file_bytes_max)
{
    int ends[2];
    cr_assert(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    give(r, worker, replica, process, ends[0], file_bytes_max, 2);
    return ends[1];
}

static void
put(struct rig *r, int fd, const char *bytes, size_t len)
{
    struct epoll_event events[8];
    cr_assert(write(fd, bytes, len) == (ssize_t)len, "write");
    for (int n; (n = epoll_wait(r->epoll_fd, events, 8, 0)) > 0;) {
        for (int i = 0; i < n; i++) {
            struct source *source = events[i].data.ptr;
            source->ready(source, events[i].events);
        }
        output_turn(r->output, r->now_ns, false);
    }
}

static void
say(struct rig *r, int fd, const char *lines)
{
    put(r, fd, lines, strlen(lines));
}

static void
end(struct rig *r, int32_t process, int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
    output_end(r->output, (uint64_t)process);
    output_turn(r->output, r->now_ns, false);
}

/* The lines of a file without their times: "INFO echo/0[7#7] hello\n". */
static const char *
lines_of(const char *name)
{
    static char out[CAPTURE_TEXT];
    size_t n = 0;
    const char *p = capture_file(text, name);
    while (*p != '\0') {
        const size_t len = strcspn(p, "\n") + 1;
        cr_assert(len > LOG_TIME_BYTES - 5 && p[10] == 'T' && p[26] == 'Z' && p[27] == ' ', "%s",
                  p);
        memcpy(out + n, p + 28, len - 28);
        n += len - 28;
        p += len;
    }
    out[n] = '\0';
    return out;
}

static enum follow_outcome
ask(struct rig *r, const struct follow_question *question, struct buf *out)
{
    const char *refused = NULL;
    const enum follow_outcome outcome = output_ask(r->output, question, r->now_ns, out, &refused);
    cr_assert((outcome == FOLLOW_REFUSED) == (refused != NULL), "%s", refused);
    return outcome;
}

/* A list of the last lines of a worker, or of one replica when `only` >= 0. */
static void
output_last(struct rig *r, const char *worker, int64_t only, uint32_t count, struct buf *out)
{
    char name[100];
    (void)snprintf(name, sizeof name, only < 0 ? "%s" : "%s/%d", worker, (int)only);
    const struct follow_question question = {
        .names = {(const uint8_t *)name, strlen(name) + 1}, .lines = count, .level = LOG_DEBUG};
    cr_assert(ask(r, &question, out) == FOLLOW_ANSWERED, "no answer");
}

/* The last lines as "echo/0 7 hello|..."; bytes in <>. */
static const char *
last(struct rig *r, const char *worker, int64_t only, uint32_t count)
{
    static char out[CAPTURE_TEXT];
    struct buf b = {0};
    struct mp_item item, name = {0};
    size_t n = 0;
    output_last(r, worker, only, count, &b);
    struct span s = buf_span(&b);
    cr_assert(mp_next(&s, &item) && item.kind == MP_ARRAY, "no list");
    out[0] = '\0';
    while (s.len > 0 && mp_next(&s, &item)) {
        const bool is_key = item.kind == MP_STR && name.kind != MP_STR;
        if (name.kind == MP_STR && span_is(name.bytes, "line")) {
            n +=
                (size_t)snprintf(out + n, sizeof out - n, item.kind == MP_BIN ? "<%.*s>|" : "%.*s|",
                                 (int)item.bytes.len, (const char *)item.bytes.data);
        } else if (name.kind == MP_STR && span_is(name.bytes, "pid")) {
            n += (size_t)snprintf(out + n, sizeof out - n, "%llu ", (unsigned long long)item.uint);
        } else if (name.kind == MP_STR && span_is(name.bytes, "replica")) {
            n += (size_t)snprintf(out + n, sizeof out - n, "%.*s ", (int)item.bytes.len,
                                  (const char *)item.bytes.data);
        }
        name = is_key ? item : (struct mp_item){0};
    }
    buf_deinit(&b);
    return out;
}

/* ---- lines
 * --------------------------------------------------------------------------------------- */

Test(output, whole_lines_go_into_the_file_with_time_and_identity, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 3, 77, PLENTY);
    say(&r, fd, "hello\n\nwor");
    cr_assert_str_eq(lines_of("log/echo.3.log"), "INFO echo/3[77#77] hello\nINFO echo/3[77#77] \n",
                     "%s", text);
    say(&r, fd, "ld\n");
    cr_assert_str_eq(lines_of("log/echo.3.log"),
                     "INFO echo/3[77#77] hello\nINFO echo/3[77#77] \nINFO echo/3[77#77] world\n",
                     "%s", text);
    struct stat st;
    cr_assert(stat("log/echo.3.log", &st) == 0 && (st.st_mode & 07777) == 0600, "mode");
    cr_assert(stat("log", &st) == 0 && (st.st_mode & 07777) == 0700, "mode of the folder");
    end(&r, 77, fd);
    rig_close(&r);
}

Test(output, a_last_line_without_an_end_is_a_line, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "last words");
    cr_assert_str_eq(lines_of("log/echo.0.log"), "", "too early");
    end(&r, 7, fd);
    cr_assert_str_eq(lines_of("log/echo.0.log"), "INFO echo/0[7#7] last words\n", "%s", text);
    rig_close(&r);
}

Test(output, carriage_returns_at_the_end_of_a_line_are_dropped, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "dos\r\n\r\n10%\r20%\r\r\n");
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 dos|echo/0 7 |echo/0 7 10%\r20%|", "%s",
                     last(&r, "echo", -1, 9));
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, a_line_that_is_too_long_comes_in_pieces, .init = dir_enter, .fini = dir_leave)
{
    static char longest[20001];
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    memset(longest, 'x', sizeof longest - 1);
    longest[20000] = '\n';
    put(&r, fd, longest, sizeof longest);
    const char *lines = lines_of("log/echo.0.log");
    size_t bytes = 0, count = 0;
    for (const char *p = lines; *p != '\0'; p += strcspn(p, "\n") + 1) {
        const size_t len = strcspn(p, "\n") - strlen("INFO echo/0[7#7] ");
        cr_assert(len <= 8192, "a piece of %zu bytes", len);
        bytes += len;
        count++;
    }
    cr_assert(bytes == 20000 && count == 3, "%zu bytes in %zu pieces", bytes, count);
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, what_is_not_utf_8_is_told_as_bytes, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "good \xc3\xa4\nbad \xff\n");
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 good \xc3\xa4|echo/0 7 <bad \xff>|", "%s",
                     last(&r, "echo", -1, 9));
    cr_assert(strstr(lines_of("log/echo.0.log"), "bad \xff\n") != NULL,
              "the file has it as it came");
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, who_still_writes_after_the_end_is_not_waited_for, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    cr_assert(write(fd, "before\n", 7) == 7, "write");
    end(&r, 7, -1); /* a grandchild holds the other end */
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 before|", "%s", last(&r, "echo", -1, 9));
    end(&r, 7, -1); /* nothing is there any more */
    (void)close(fd);
    rig_close(&r);
}

Test(output, a_process_that_closes_its_output_lives_on, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY), other = add(&r, "echo", 1, 8, PLENTY);
    say(&r, fd, "one\n");
    (void)close(fd);
    say(&r, other, "two\n");
    end(&r, 7, -1);
    end(&r, 8, other);
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 one|echo/1 8 two|", "%s",
                     last(&r, "echo", -1, 9));
    rig_close(&r);
}

Test(output, a_descriptor_that_cannot_be_waited_for_is_closed, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = open("plain file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    give(&r, "echo", 0, 7, fd, PLENTY, 1);
    cr_assert(fcntl(fd, F_GETFD) == -1, "it is open");
    give(&r, "echo", 0, 8, 1000, PLENTY, 1);
    rig_close(&r);
    output_free(NULL);
}

Test(output, the_end_of_the_hub_keeps_what_was_half_a_line, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "half a li");
    rig_close(&r);
    (void)close(fd);
    cr_assert_str_eq(lines_of("log/echo.0.log"), "INFO echo/0[7#7] half a li\n", "%s", text);
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
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    for (size_t i = 0; i < sizeof lines; i++) {
        lines[i] = i % 2 == 0 ? 'y' : '\n';
    }
    say(&r, fd, "first\n");
    writes = 0;
    put(&r, fd, lines, sizeof lines);
    cr_assert(writes == 2, "%zu writes, one of them into the pipe", writes);
    (void)capture_file(text, "log/echo.0.log");
    size_t count = 0;
    for (const char *p = text; (p = strstr(p, "INFO echo/0[7#7] y\n")) != NULL; p++) {
        count++;
    }
    cr_assert(count == sizeof lines / 2, "%zu lines", count);
    cr_assert_str_eq(last(&r, "echo", -1, 2), "echo/0 7 y|echo/0 7 y|", "memory");
    end(&r, 7, fd);
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
    const int fd = add(&r, "echo", 0, 7, 300);
    for (int i = 0; i < 40; i++) {
        (void)snprintf(line, sizeof line, "line %02d\n", i);
        say(&r, fd, line);
        cr_assert(size_of("log/echo.0.log") <= 300, "the file has %zu bytes",
                  size_of("log/echo.0.log"));
    }
    cr_assert(strstr(lines_of("log/echo.0.log"), "line 39") != NULL, "the newest: %s", text);
    cr_assert(size_of("log/echo.0.log.1") > 200 && size_of("log/echo.0.log.2") > 200, "backups");
    cr_assert(access("log/echo.0.log.3", F_OK) != 0, "one too many");
    /* No line is lost between the files. */
    const char *const newest = strstr(lines_of("log/echo.0.log"), "line ");
    char want[20];
    (void)snprintf(want, sizeof want, "line %02d", 10 * (newest[5] - '0') + newest[6] - '0' - 1);
    cr_assert(strstr(lines_of("log/echo.0.log.1"), want) != NULL, "no %s in %s", want, text);
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, without_backups_a_full_file_begins_anew, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    int ends[2];
    rig_open(&r, &quiet);
    cr_assert(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    give(&r, "echo", 0, 7, ends[0], 100, 0);
    for (int i = 0; i < 20; i++) {
        say(&r, ends[1], "some line\n");
    }
    cr_assert(size_of("log/echo.0.log") <= 100, "%zu bytes", size_of("log/echo.0.log"));
    cr_assert(access("log/echo.0.log.1", F_OK) != 0, "a backup");
    /* A line longer than the whole file may be is written all the same. */
    char line[301];
    memset(line, 'y', 300);
    line[300] = '\n';
    put(&r, ends[1], line, sizeof line);
    cr_assert(size_of("log/echo.0.log") > 300, "it was dropped");
    end(&r, 7, ends[1]);
    rig_close(&r);
}

Test(output, a_later_broker_goes_on_with_the_file, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    for (int i = 0; i < 2; i++) {
        rig_open(&r, &quiet);
        const int fd = add(&r, "echo", 0, 7 + i, 100);
        say(&r, fd, "12345678901234567890\n");
        end(&r, 7 + i, fd);
        rig_close(&r);
    }
    cr_assert_str_eq(lines_of("log/echo.0.log"), "INFO echo/0[8#8] 12345678901234567890\n", "%s",
                     text);
    cr_assert_str_eq(lines_of("log/echo.0.log.1"), "INFO echo/0[7#7] 12345678901234567890\n", "%s",
                     text);
}

Test(output, lines_that_cannot_be_written_are_counted_and_told, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    dir_write("log", "a file where the folder should be", 0600);
    rig_open(&r, &loud);
    const int saved = capture_begin();
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "one\ntwo\nthree\n");
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 one|echo/0 7 two|echo/0 7 three|",
                     "memory");
    cr_assert(unlink("log") == 0, "unlink");
    say(&r, fd, "four\n");
    capture_end(saved);
    cr_assert_str_eq(lines_of("log/echo.0.log"),
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
    end(&r, 7, fd);
    rig_close(&r);
}

/* A full disk takes a part of a line; a limit on the size of files does the same. */
Test(output, a_line_that_fits_only_in_part_leaves_nothing_behind, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    struct rlimit limit;
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "first\n");
    cr_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &limit) == 0, "limit");
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = size_of("log/echo.0.log") + 35;
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0, "limit");
    say(&r, fd, "second, which is too long for the disk\n");
    limit.rlim_cur = before;
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0, "limit");
    say(&r, fd, "third\n");
    cr_assert_str_eq(lines_of("log/echo.0.log"),
                     "INFO echo/0[7#7] first\nWARN echo/0[0#0] (prong: 1 line was lost here)\n"
                     "INFO echo/0[7#7] third\n",
                     "%s", text);
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, a_symbolic_link_is_not_followed, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    dir_write("victim", "untouched", 0600);
    cr_assert(mkdir("log", 0700) == 0 && symlink("../victim", "log/echo.0.log") == 0, "symlink");
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "one\n");
    cr_assert_str_eq(capture_file(text, "victim"), "untouched", "%s", text);
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, a_named_pipe_in_the_place_of_a_file_is_not_waited_for, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    cr_assert(mkdir("log", 0700) == 0 && mkfifo("log/echo.0.log", 0600) == 0, "mkfifo");
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "one\n");
    const int reader = open("log/echo.0.log", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    say(&r, fd, "two\n");
    cr_assert(read(reader, text, sizeof text) <= 0, "it was written into the pipe");
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 one|echo/0 7 two|", "memory");
    (void)close(reader);
    end(&r, 7, fd);
    rig_close(&r);
}

/* ---- the last lines
 * ------------------------------------------------------------------------------ */

Test(output, the_last_lines_of_all_replicas_come_in_the_order_in_which_they_came, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int a = add(&r, "echo", 0, 7, PLENTY), b = add(&r, "echo", 1, 8, PLENTY);
    const int other = add(&r, "other", 0, 9, PLENTY);
    say(&r, a, "1\n");
    say(&r, b, "2\n");
    say(&r, other, "not asked for\n");
    say(&r, b, "3\n");
    say(&r, a, "4\n");
    cr_assert_str_eq(last(&r, "echo", -1, 100), "echo/0 7 1|echo/1 8 2|echo/1 8 3|echo/0 7 4|",
                     "all");
    cr_assert_str_eq(last(&r, "echo", -1, 3), "echo/1 8 2|echo/1 8 3|echo/0 7 4|",
                     "the newest three");
    cr_assert_str_eq(last(&r, "echo", 0, 100), "echo/0 7 1|echo/0 7 4|", "one replica");
    cr_assert_str_eq(last(&r, "echo", 1, 1), "echo/1 8 3|", "its newest");
    cr_assert_str_eq(last(&r, "echo", 2, 9), "", "nobody");
    cr_assert_str_eq(last(&r, "nobody", -1, 9), "", "nobody");
    cr_assert_str_eq(last(&r, "echo", -1, 0), "", "none");
    end(&r, 7, a);
    end(&r, 8, b);
    end(&r, 9, other);
    rig_close(&r);
}

Test(output, the_last_lines_outlive_the_process, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "cannot open the device\n");
    end(&r, 7, fd);
    fd = add(&r, "echo", 0, 8, PLENTY);
    say(&r, fd, "again\n");
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 cannot open the device|echo/0 8 again|",
                     "%s", last(&r, "echo", -1, 9));
    end(&r, 8, fd);
    rig_close(&r);
}

/* ---- of an earlier broker
 * ------------------------------------------------------------------------ */

/* Everything of a worker, as bytes. */
static struct buf
all_of(struct rig *r, const char *worker)
{
    struct buf b = {0};
    output_last(r, worker, -1, 5000, &b);
    return b;
}

Test(output, the_next_broker_tells_the_same_lines, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int a = add(&r, "echo", 0, 7, PLENTY), b = add(&r, "echo", 1, 8, PLENTY);
    say(&r, a, "1\n\n[brackets] \xff\n");
    say(&r, b, "2\n");
    say(&r, a, "3\n");
    struct buf before = all_of(&r, "echo");
    rig_close(&r);
    rig_open(&r, &quiet);
    r.is_old = true;
    const int c = add(&r, "echo", 1, 8, PLENTY), d = add(&r, "echo", 0, 7, PLENTY);
    say(&r, c, "of the second broker\n");
    struct buf after = all_of(&r, "echo");
    cr_assert_str_eq(last(&r, "echo", -1, 9),
                     "echo/0 7 1|echo/0 7 |echo/0 7 <[brackets] \xff>|echo/1 8 2|echo/0 7 3|"
                     "echo/1 8 of the second broker|",
                     "%s", last(&r, "echo", -1, 9));
    /* All but the number of elements, which is the first byte, and the new one. */
    cr_assert(before.w < after.w && memcmp(before.data + 1, after.data + 1, before.w - 1) == 0,
              "not the same records");
    cr_assert_str_eq(last(&r, "echo", 1, 9), "echo/1 8 2|echo/1 8 of the second broker|", "one");
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
    int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "of a worker that was removed\n");
    end(&r, 7, fd);
    rig_close(&r);
    rig_open(&r, &quiet);
    fd = add(&r, "echo", 0, 8, PLENTY);
    say(&r, fd, "new\n");
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 8 new|", "%s", last(&r, "echo", -1, 9));
    end(&r, 8, fd);
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
    const int fd = add(&r, "echo", 0, 6, PLENTY);
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 6 first|echo/0 6 |", "%s",
                     last(&r, "echo", -1, 9));
    end(&r, 6, fd);
    rig_close(&r);
}

Test(output, at_most_64_kib_are_read_again_and_whole_lines_of_them, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    char line[1001];
    int ends[2];
    rig_open(&r, &quiet);
    ends[0] = add(&r, "echo", 0, 7, PLENTY);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(line, sizeof line, "%03d%0996d\n", i, 0);
        put(&r, ends[0], line, 1000);
    }
    rig_close(&r);
    rig_open(&r, &quiet);
    r.is_old = true;
    ends[1] = add(&r, "echo", 0, 7, PLENTY);
    /* 1045 bytes a line in the file: 62 of them, and the end of another one. */
    struct buf b = all_of(&r, "echo");
    struct mp_item item;
    struct span s = buf_span(&b);
    cr_assert(mp_next(&s, &item) && item.count == 62, "%u lines", item.count);
    buf_deinit(&b);
    cr_assert(strncmp(last(&r, "echo", -1, 1), "echo/0 7 0990", 13) == 0, "%.20s",
              last(&r, "echo", -1, 1));
    rig_close(&r);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

Test(output, a_file_that_was_put_aside_meanwhile_is_found, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, 100);
    say(&r, fd, "12345678901234567890\n");
    rig_close(&r);
    rig_open(&r, &quiet);
    r.is_old = true;
    const int again = add(&r, "echo", 0, 7, 100);
    say(&r, again, "abcdefghijabcdefghij\n");
    cr_assert(access("log/echo.0.log.1", F_OK) == 0, "it was not put aside");
    cr_assert_str_eq(last(&r, "echo", -1, 9),
                     "echo/0 7 12345678901234567890|echo/0 7 abcdefghijabcdefghij|", "%s",
                     last(&r, "echo", -1, 9));
    cr_assert_str_eq(last(&r, "echo", -1, 1), "echo/0 7 abcdefghijabcdefghij|", "only once");
    rig_close(&r);
    (void)close(fd);
    (void)close(again);
}

Test(output, what_a_replica_wrote_goes_with_it, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "of the first\n");
    end(&r, 7, fd);
    r.is_gone = true;
    output_sweep(r.output);
    cr_assert_str_eq(last(&r, "echo", -1, 9), "", "%s", last(&r, "echo", -1, 9));
    r.is_gone = false;
    fd = add(&r, "echo", 0, 8, PLENTY);
    say(&r, fd, "of the second\n");
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 8 of the second|", "%s",
                     last(&r, "echo", -1, 9));
    r.is_gone = true; /* its process, however, runs: it may write */
    output_sweep(r.output);
    say(&r, fd, "more\n");
    cr_assert_str_eq(last(&r, "echo", -1, 1), "echo/0 8 more|", "%s", last(&r, "echo", -1, 1));
    end(&r, 8, fd); /* and with its end it goes by itself */
    cr_assert_str_eq(last(&r, "echo", -1, 9), "", "%s", last(&r, "echo", -1, 9));
    rig_close(&r);
}

Test(output, who_has_ended_keeps_no_descriptor, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int before = procs_fd_count(getpid(), NULL);
    const int fd = add(&r, "echo", 0, 7, PLENTY), other = add(&r, "echo", 0, 8, PLENTY);
    say(&r, fd, "one\n");
    cr_assert(procs_fd_count(getpid(), NULL) == before + 5, "two pipes and a file");
    end(&r, 7, fd);
    say(&r, other, "two\n");
    end(&r, 8, other);
    cr_assert(procs_fd_count(getpid(), NULL) == before, "%d descriptors, there were %d",
              procs_fd_count(getpid(), NULL), before);
    cr_assert_str_eq(lines_of("log/echo.0.log"), "INFO echo/0[7#7] one\nINFO echo/0[8#8] two\n",
                     "%s", text);
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 one|echo/0 8 two|", "memory");
    rig_close(&r);
}

Test(output, of_many_that_have_ended_the_last_256_are_kept, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int first = add(&r, "first", 0, 9, PLENTY);
    say(&r, first, "it runs all the time\n");
    for (int i = 0; i < OUTPUT_FINISHED_MAX + 2; i++) {
        const int again = i == OUTPUT_FINISHED_MAX + 1 ? 1 : i; /* one comes once more */
        const int fd = add(&r, "echo", (uint32_t)again, 10 + i, PLENTY);
        say(&r, fd, "one\n");
        end(&r, 10 + i, fd);
    }
    cr_assert_str_eq(last(&r, "echo", 0, 9), "", "the oldest");
    cr_assert_str_eq(last(&r, "echo", 1, 9), "echo/1 11 one|echo/1 267 one|", "it ended last");
    cr_assert_str_eq(last(&r, "echo", 2, 9), "echo/2 12 one|", "the oldest that is kept");
    cr_assert_str_eq(last(&r, "echo", 256, 9), "echo/256 266 one|", "one of the newest");
    end(&r, 9, first);
    cr_assert_str_eq(last(&r, "first", 0, 9), "first/0 9 it runs all the time|", "it ended last");
    cr_assert_str_eq(last(&r, "echo", 2, 9), "", "in its place");
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
    const int fd = add(&r, "echo", 0, 7, PLENTY);
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
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    for (int i = 0; i < 1100; i++) {
        (void)snprintf(line, sizeof line, "%d\n", i);
        say(&r, fd, line);
    }
    cr_assert(strncmp(last(&r, "echo", -1, 5000), "echo/0 7 100|", 13) == 0, "%.40s",
              last(&r, "echo", -1, 5000));
    memset(line, 'z', 2000);
    line[2000] = '\n';
    for (int i = 0; i < 100; i++) {
        put(&r, fd, line, sizeof line);
    }
    struct buf b = {0};
    struct mp_item item;
    output_last(&r, "echo", -1, 5000, &b);
    struct span s = buf_span(&b);
    cr_assert(mp_next(&s, &item) && item.count == 128 * 1024 / 2000, "%u lines", item.count);
    buf_deinit(&b);
    end(&r, 7, fd);
    rig_close(&r);
}

/* ---- levels and calls
 * ------------------------------------------------------------------------ */

Test(output, a_prefix_is_the_level_and_the_pieces_of_a_line_have_that_of_its_beginning,
     .init = dir_enter, .fini = dir_leave)
{
    static char piece[9001];
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "<3>bad\n<7>why\nplain <3>\n");
    cr_assert_str_eq(lines_of("log/echo.0.log"),
                     "ERROR echo/0[7#7] bad\nDEBUG echo/0[7#7] why\nINFO echo/0[7#7] plain <3>\n",
                     "%s", text);
    cr_assert_str_eq(r.lines, "echo/0 0 bad|echo/0 3 why|echo/0 2 plain <3>|", "%s", r.lines);
    memset(piece, 'x', 9000);
    memcpy(piece, "<4>", 3);
    memcpy(piece + 8192, "<3>", 3); /* where the second piece begins */
    piece[8999] = '\n';
    r.lines[0] = '\0';
    put(&r, fd, piece, 9000);
    cr_assert(strncmp(r.lines, "echo/0 1 xxx", 12) == 0 &&
                  strstr(r.lines, "|echo/0 1 <3>xxx") != NULL,
              "%s", r.lines);
    r.lines[0] = '\0';
    say(&r, fd, "next\n");
    cr_assert_str_eq(r.lines, "echo/0 2 next|", "%s", r.lines);
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, what_is_less_important_than_the_level_is_only_told, .init = dir_enter,
     .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    r.how.level = SPEC_LEVEL_WARN;
    r.how.is_events = true;
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "<6>info\n<4>warning\n");
    cr_assert_str_eq(r.lines, "echo/0 2 info!|echo/0 1 warning!|", "%s", r.lines);
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 warning|", "%s", last(&r, "echo", -1, 9));
    output_set_level(r.output, "echo", LOG_INFO);
    output_set_level(r.output, "other", LOG_ERROR);
    const int other = add(&r, "other", 0, 8, PLENTY);
    say(&r, fd, "<6>again\n<7>debug\n");
    say(&r, other, "<4>warning\n<3>error\n");
    cr_assert_str_eq(lines_of("log/echo.0.log"),
                     "WARN echo/0[7#7] warning\nINFO echo/0[7#7] again\n", "%s", text);
    cr_assert_str_eq(lines_of("log/other.0.log"), "ERROR other/0[8#8] error\n", "%s", text);
    end(&r, 7, fd);
    end(&r, 8, other);
    rig_close(&r);
}

Test(output, a_line_is_of_the_call_that_runs_unless_it_may_be_older, .init = dir_enter,
     .fini = dir_leave)
{
    static char lines[3001];
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    r.call = "first#1";
    say(&r, fd, "a\n");
    r.call = "second#2";
    say(&r, fd, "b\n");
    r.call = NULL;
    say(&r, fd, "c\n");
    cr_assert_str_eq(lines_of("log/echo.0.log"),
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
    say(&r, fd, "d\n"); /* may be of either */
    say(&r, fd, "e\n"); /* the pipe was empty meanwhile */
    const char *found = lines_of("log/echo.0.log");
    cr_assert(strstr(found, "[7#7 third#3] zzz") != NULL && strstr(found, "[7#7] zzz") != NULL &&
                  strstr(found, "fourth#4] zzz") == NULL &&
                  strstr(found, "[7#7 fourth#4] e") != NULL,
              "%s", found);
    end(&r, 7, fd);
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
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    const int saved = capture_begin();
    say(&r, fd, "<3>bad\n");
    memset(longest, 'y', 8000);
    longest[7999] = '\n';
    put(&r, fd, longest, 8000);
    capture_end(saved);
    const char *found = lines_of("stderr");
    cr_assert(strncmp(found, "ERROR echo/0[7#7] bad\nINFO echo/0[7#7] yyy", 42) == 0, "%.80s",
              found);
    cr_assert(access("log", F_OK) != 0, "there is a file");
    cr_assert(strncmp(last(&r, "echo", -1, 9), "echo/0 7 bad|echo/0 7 yyy", 25) == 0, "memory");
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, a_stderr_that_nobody_reads_is_not_waited_for, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    int ends[2];
    char got[200000];
    rig_open(&r, &loud);
    r.how.log = SPEC_LOG_INHERIT;
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    const int saved = dup(2);
    cr_assert(saved >= 0 && pipe(ends) == 0 && dup2(ends[1], 2) == 2, "a pipe as stderr");
    for (int i = 0; i < 3000; i++) {
        say(&r, fd, "a line that is a little longer than others\n");
    }
    const ssize_t n = read(ends[0], got, sizeof got);
    say(&r, fd, "there is room\n");
    ssize_t more = read(ends[0], got, sizeof got - 1);
    (void)dup2(saved, 2);
    (void)close(saved);
    (void)close(ends[0]);
    (void)close(ends[1]);
    got[more > 0 ? more : 0] = '\0';
    cr_assert(n > 50000 && strstr(got, "there is room\n") != NULL &&
                  strstr(got, " lines of its log were dropped\n") != NULL,
              "%zd, then %s", n, got);
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, lines_that_go_nowhere_are_in_memory, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    r.how.log = SPEC_LOG_NONE;
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "one\n");
    cr_assert(access("log", F_OK) != 0, "there is a file");
    cr_assert_str_eq(last(&r, "echo", -1, 9), "echo/0 7 one|", "memory");
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, without_a_journal_there_is_a_file, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    (void)setenv("PRONG_JOURNAL_SOCKET", "nobody", 1);
    rig_open(&r, &quiet);
    r.how.log = SPEC_LOG_JOURNAL;
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "one\n");
    cr_assert_str_eq(lines_of("log/echo.0.log"), "INFO echo/0[7#7] one\n", "%s", text);
    end(&r, 7, fd);
    rig_close(&r);
}

Test(output, files_that_were_moved_away_are_opened_anew, .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    say(&r, fd, "one\n");
    cr_assert(rename("log/echo.0.log", "log/moved") == 0, "rename");
    say(&r, fd, "two\n");
    output_reopen(r.output);
    say(&r, fd, "three\n");
    cr_assert_str_eq(lines_of("log/moved"), "INFO echo/0[7#7] one\nINFO echo/0[7#7] two\n", "%s",
                     text);
    cr_assert_str_eq(lines_of("log/echo.0.log"), "INFO echo/0[7#7] three\n", "%s", text);
    end(&r, 7, fd);
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
    int fd = add(&r, "echo", 0, 7, PLENTY);
    const int other = add(&r, "echo", 1, 9, PLENTY);
    say(&r, fd, "of the first\n");
    say(&r, other, "of another\n");
    end(&r, 7, fd);
    fd = add(&r, "echo", 0, 8, PLENTY);
    say(&r, fd, "<3>one\ntwo \xff\xfe\nhalf a li");
    end(&r, 8, fd);
    cr_assert_str_eq(words(&r, "echo/0", 8), "one|two ??|half a li|", "%s", words(&r, "echo/0", 8));
    cr_assert_str_eq(words(&r, "echo/0", 7), "of the first|", "%s", words(&r, "echo/0", 7));
    cr_assert_str_eq(words(&r, "echo/0", 6), "", "nobody");
    cr_assert_str_eq(words(&r, "echo/5", 8), "", "nobody");
    end(&r, 9, other);
    rig_close(&r);
}

Test(output, last_words_are_at_most_ten_lines_of_two_kib, .init = dir_enter, .fini = dir_leave)
{
    static char line[601];
    struct rig r = {0};
    char number[8];
    rig_open(&r, &quiet);
    const int fd = add(&r, "echo", 0, 7, PLENTY);
    for (int i = 0; i < 12; i++) {
        (void)snprintf(number, sizeof number, "%d\n", i);
        say(&r, fd, number);
    }
    cr_assert_str_eq(words(&r, "echo/0", 7), "2|3|4|5|6|7|8|9|10|11|", "%s",
                     words(&r, "echo/0", 7));
    for (size_t i = 0; i < 600; i += 3) {
        memcpy(line + i, "\xe2\x82\xac", 3); /* a character of three bytes, cut at 512 */
    }
    line[600] = '\n';
    for (int i = 0; i < 5; i++) {
        put(&r, fd, line, 601);
    }
    cr_assert(strlen(words(&r, "echo/0", 7)) == 4 * (510 + 1), "%zu bytes",
              strlen(words(&r, "echo/0", 7)));
    end(&r, 7, fd);
    rig_close(&r);
}
