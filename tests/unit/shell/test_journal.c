/* Lines for the journal: what it is sent, and what happens when it is not there or full. */
#include "broker/shell/journal.h"
#include "proto/name.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"
#include "tests/unit/shell/capture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct log loud = {.level = LOG_INFO};
static char text[CAPTURE_TEXT];

/* A journal that only listens, at "socket" of the test's directory, which the tests stand in. */
static int
listen_here(void)
{
    const struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "socket"};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert(fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0, "bind");
    cr_assert(setenv("PRONG_JOURNAL_SOCKET", "socket", 1) == 0, "setenv");
    return fd;
}

static const char *
hear(int fd)
{
    const ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static enum journal_outcome
say(struct journal *j, const char *what, uint64_t time_us)
{
    const struct journal_line line = {.worker = "echo",
                                      .replica = 3,
                                      .priority = 4,
                                      .pid = 77,
                                      .incarnation = 5,
                                      .time_us = time_us,
                                      .call = time_us == 1 ? "detect#9" : "",
                                      .text = span_text(what)};
    return journal_put(j, &line);
}

Test(journal, a_line_is_a_datagram_of_fields, .init = dir_enter, .fini = dir_leave)
{
    struct journal j;
    const int fd = listen_here();
    journal_init(&j, &loud);
    cr_expect(say(&j, "hello = \xff \t", 1) == JOURNAL_TAKEN, "first");
    cr_expect_str_eq(hear(fd), "PRIORITY=4\nSYSLOG_IDENTIFIER=echo\nSYSLOG_PID=77\n"
                               "PRONG_WORKER=echo\nPRONG_REPLICA=3\nPRONG_PID=77\n"
                               "PRONG_INCARNATION=5\nPRONG_CALL_ID=detect#9\n"
                               "MESSAGE=hello = \xff \t\n");
    cr_expect(say(&j, "", 2) == JOURNAL_TAKEN, "second");
    cr_expect(strstr(hear(fd), "PRONG_INCARNATION=5\nMESSAGE=\n") != NULL, "%s", text);
    journal_deinit(&j);
    (void)close(fd);
}

Test(journal, one_that_is_not_there_is_told_once_and_found_when_it_comes, .init = dir_enter,
     .fini = dir_leave)
{
    struct journal j;
    (void)setenv("PRONG_JOURNAL_SOCKET", "socket", 1);
    journal_init(&j, &loud);
    const int saved = capture_begin();
    cr_expect(say(&j, "a", 1000000) == JOURNAL_ABSENT, "absent");
    const int fd = listen_here();
    cr_expect(say(&j, "b", 1999999) == JOURNAL_ABSENT, "it is not looked for at each line");
    cr_expect(say(&j, "c", 2000000) == JOURNAL_TAKEN, "it is there");
    capture_end(saved);
    cr_expect(strstr(hear(fd), "MESSAGE=c\n") != NULL, "%s", text);
    (void)capture_file(text, "stderr");
    const char *told = strstr(text, "the journal socket is not there: No such file or directory");
    cr_expect(told != NULL && strstr(told + 1, "the journal socket is not") == NULL, "%s", text);
    cr_expect(strstr(text, "the journal socket is there") != NULL, "%s", text);
    journal_deinit(&j);
    (void)close(fd);
}

Test(journal, one_that_was_started_anew_has_the_next_line, .init = dir_enter, .fini = dir_leave)
{
    struct journal j;
    int fd = listen_here();
    journal_init(&j, &loud);
    cr_expect(say(&j, "a", 2) == JOURNAL_TAKEN, "first");
    (void)close(fd);
    cr_assert(unlink("socket") == 0, "unlink");
    fd = listen_here();
    cr_expect(say(&j, "b", 3) == JOURNAL_TAKEN, "second");
    cr_expect(strstr(hear(fd), "MESSAGE=b\n") != NULL, "%s", text);
    journal_deinit(&j);
    (void)close(fd);
}

Test(journal, one_that_does_not_read_is_not_waited_for, .init = dir_enter, .fini = dir_leave)
{
    struct journal j;
    const int fd = listen_here();
    size_t taken = 0;
    journal_init(&j, &loud);
    while (say(&j, "line", 2) == JOURNAL_TAKEN) {
        cr_assert(++taken < 100000, "there is no end to it");
    }
    cr_expect(say(&j, "line", 2) == JOURNAL_FULL, "it takes more");
    (void)hear(fd);
    cr_expect(say(&j, "line", 2) == JOURNAL_TAKEN, "there is room for one");
    journal_deinit(&j);
    (void)close(fd);
}

Test(journal, a_path_that_is_too_long_is_a_journal_that_is_not_there, .init = dir_enter,
     .fini = dir_leave)
{
    struct journal j;
    char path[300];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    (void)setenv("PRONG_JOURNAL_SOCKET", path, 1);
    journal_init(&j, &loud);
    const int saved = capture_begin();
    cr_expect(say(&j, "a", 1) == JOURNAL_ABSENT, "absent");
    capture_end(saved);
    cr_expect(strstr(capture_file(text, "stderr"), "File name too long") != NULL, "%s", text);
    journal_deinit(&j);
}
