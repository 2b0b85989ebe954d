#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/spawn/log.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"

static void
expect_match(const char *text, const char *pattern)
{
    regex_t compiled;
    cr_assert_eq(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
    cr_expect_eq(regexec(&compiled, text, 0, NULL, 0), 0, "%s", text);
    regfree(&compiled);
}

static char line[4096];

static const char *
read_line(int fd)
{
    const ssize_t got = read(fd, line, sizeof line - 1);
    line[got > 0 ? got : 0] = '\0';
    return line;
}

Test(log, a_line_has_time_level_process_and_text)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const struct logger logger = logger_make(ends[1], NULL);
    errno = EXDEV;
    logger_write(&logger, LOGGER_WARN, "%s is %d", "this", 5);
    cr_expect_eq(errno, EXDEV);
    expect_match(
        read_line(ends[0]),
        "^2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6}Z WARN "
        "prongd\\[[0-9]+\\] this is 5\n$");
    close(ends[0]);
    close(ends[1]);
}

Test(log, only_the_journals_own_stream_gets_a_severity)
{
    int ends[2];
    char stream[64];
    struct stat status;
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(fstat(ends[1], &status), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    struct logger logger = logger_make(ends[1], stream);
    logger_write(&logger, LOGGER_ERROR, "x");
    expect_match(read_line(ends[0]), "^<3>2.*Z ERROR prongd");
    logger_write(&logger, LOGGER_INFO, "x");
    expect_match(read_line(ends[0]), "^<6>2.*Z INFO prongd");
    static const char *const others[] = {"1:1", "", "rubbish"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        logger = logger_make(ends[1], others[i]);
        logger_write(&logger, LOGGER_ERROR, "x");
        expect_match(read_line(ends[0]), "^2");
    }
    close(ends[0]);
    close(ends[1]);
}

Test(log, long_and_hostile_text_stays_one_line)
{
    int ends[2];
    char text[3 * LOGGER_LINE_BYTES_MAX];
    cr_assert_eq(pipe(ends), 0);
    const struct logger logger = logger_make(ends[1], NULL);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    logger_write(&logger, LOGGER_INFO, "%s", text);
    cr_expect_eq(strlen(read_line(ends[0])), (size_t)LOGGER_LINE_BYTES_MAX);
    cr_expect_eq(strchr(line, '\n'), line + LOGGER_LINE_BYTES_MAX - 1);
    logger_write(&logger, LOGGER_INFO, "a\nb\033[2Jc\177");
    cr_expect_not_null(strstr(read_line(ends[0]), "] a?b?[2Jc?\n"), "%s", line);
    close(ends[0]);
    close(ends[1]);
}

Test(log, a_quiet_one_writes_no_information)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct logger logger = logger_make(ends[1], NULL);
    logger.is_quiet = true;
    logger_write(&logger, LOGGER_INFO, "news");
    logger_write(&logger, LOGGER_WARN, "trouble");
    cr_expect_not_null(strstr(read_line(ends[0]), " WARN prongd["), "%s", line);
    close(ends[0]);
    close(ends[1]);
}

/* Would hang for ever if a full pipe were waited for. */
Test(log, a_full_pipe_loses_lines_and_nothing_waits, .timeout = 20)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const struct logger logger = logger_make(ends[1], NULL);
    for (int i = 0; i < 5000; i++) {
        logger_write(&logger, LOGGER_INFO, "line %d of many that nobody reads", i);
    }
    close(ends[0]);
    close(ends[1]);
}

/* The same of a terminal, which says that it has room when it has some for a part of a line. */
Test(log, a_full_terminal_is_not_waited_for, .timeout = 20)
{
    const int screen = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert(screen >= 0 && grantpt(screen) == 0 && unlockpt(screen) == 0);
    const int terminal = open(ptsname(screen), O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert(terminal >= 0);
    const struct logger logger = logger_make(terminal, NULL);
    for (int i = 0; i < 5000; i++) {
        logger_write(&logger, LOGGER_INFO, "line %d of many that nobody looks at", i);
    }
    cr_expect_eq(fcntl(terminal, F_GETFL) & O_NONBLOCK, 0);
    close(terminal);
    close(screen);
}
