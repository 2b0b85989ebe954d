/* Log lines of prongd on stderr: `2026-01-31T12:00:00.123456Z LEVEL prongd[pid] text`, each in one
 * write. If stderr is the journal, an sd-daemon prefix <N> tells it the severity. A line that
 * cannot be written is lost: the hub never waits for its log and never fails because of it. */
#ifndef PRONG_BROKER_SPAWN_LOG_H
#define PRONG_BROKER_SPAWN_LOG_H

#include <stdbool.h>

enum logger_level { LOGGER_ERROR, LOGGER_WARN, LOGGER_INFO };

enum { LOGGER_LINE_BYTES_MAX = 1024 };

struct logger {
    int fd;          /* borrowed: 2, or another one in tests */
    bool is_journal; /* put <N> before each line */
    bool is_quiet;   /* LOGGER_INFO is not written */
};

/* A logger to `fd`. `journal_stream` is $JOURNAL_STREAM or NULL: "device:inode" of the stream that
 * the journal gave us. It is inherited by everything below a service, so it counts only if `fd` is
 * still that stream (systemd.exec(5) asks for this check). */
struct logger logger_make(int fd, const char *journal_stream);

/* Write one line. Control characters in the text are shown as '?'; a longer line than
 * LOGGER_LINE_BYTES_MAX is cut. errno is left as it was. */
__attribute__((format(printf, 3, 4))) void
logger_write(const struct logger *logger, enum logger_level level, const char *format, ...);

#endif
