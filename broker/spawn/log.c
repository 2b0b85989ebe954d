/* One line, one write; files are not rotated. Runs in prongd before it
 * forks, in the keeper and in the spawner. */
#include "broker/spawn/log.h"

#include "broker/spawn/line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct level {
    const char *word;
    int syslog_number;
};

static const struct level levels[] = {
    [LOGGER_ERROR] = {"ERROR", 3},
    [LOGGER_WARN] = {"WARN", 4},
    [LOGGER_INFO] = {"INFO", 6},
};

struct logger
logger_make(int fd, const char *journal_stream)
{
    struct logger made = {.fd = fd};
    uintmax_t device = 0;
    uintmax_t inode = 0;
    struct stat status;
    if (journal_stream && sscanf(journal_stream, "%ju:%ju", &device, &inode) == 2 &&
        fstat(fd, &status) == 0) {
        made.is_journal = status.st_dev == device && status.st_ino == inode;
    }
    return made;
}

/* Everything before the text; returns its length. */
static int
write_heading(char *line, size_t capacity, const struct logger *logger, enum logger_level level)
{
    struct timespec now = {0};
    struct tm utc = {0};
    clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock and a valid pointer */
    gmtime_r(&now.tv_sec, &utc);
    char prefix[8] = "";
    if (logger->is_journal) {
        snprintf(prefix, sizeof prefix, "<%d>", levels[level].syslog_number);
    }
    return snprintf(line, capacity, "%s%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ %s prongd[%d] ", prefix,
                    utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                    utc.tm_sec, now.tv_nsec / 1000, levels[level].word, (int)getpid());
}

void
logger_write(const struct logger *logger, enum logger_level level, const char *format, ...)
{
    if (logger->is_quiet && level == LOGGER_INFO) {
        return;
    }
    const int saved_errno = errno;
    char line[LOGGER_LINE_BYTES_MAX];
    const int heading = write_heading(line, sizeof line, logger, level);
    va_list arguments;
    va_start(arguments, format);
    const int wanted = vsnprintf(line + heading, sizeof line - (size_t)heading, format, arguments);
    va_end(arguments);
    const int room = (int)sizeof line - heading - 1;
    const int text = wanted < 0 ? 0 : wanted < room ? wanted : room;
    for (int i = heading; i < heading + text; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 127) {
            line[i] = '?';
        }
    }
    line[heading + text] = '\n'; /* over the NUL */
    /* One write keeps the lines of several processes apart. A broken stderr loses the line: there
     * is nobody left to tell. */
    (void)line_write(logger->fd, line, (size_t)(heading + text) + 1);
    errno = saved_errno;
}
