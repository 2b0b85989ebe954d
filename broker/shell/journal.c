/* Lines for the journal: see journal.h. */
#include "broker/shell/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { AGAIN_US = 1000000, FIELDS_BYTES = 600 };

static const char usual_path[] = "/run/systemd/journal/socket";

static const char *
path(void)
{
    const char *named = getenv("PRONG_JOURNAL_SOCKET");
    return named != NULL && named[0] != '\0' ? named : usual_path;
}

void
journal_init(struct journal *j, const struct log *log)
{
    *j = (struct journal){.log = log, .fd = -1};
}

void
journal_deinit(struct journal *j)
{
    if (j->fd >= 0) {
        (void)close(j->fd);
    }
    j->fd = -1;
}

/* false, after it was told for the first time. */
static bool
connect_to(struct journal *j, uint64_t now_us)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (j->fd >= 0) {
        return true;
    }
    /* A clock that was set back may not keep it away for ever. */
    if (now_us < j->again_us && j->again_us - now_us <= AGAIN_US) {
        return false;
    }
    j->again_us = now_us + AGAIN_US;
    const bool fits =
        (size_t)snprintf(to.sun_path, sizeof to.sun_path, "%s", path()) < sizeof to.sun_path;
    j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    errno = fits ? errno : ENAMETOOLONG;
    if (fits && j->fd >= 0 && connect(j->fd, (const struct sockaddr *)&to, sizeof to) == 0) {
        if (j->is_told) {
            log_write(j->log, LOG_INFO, "the journal %s is there: lines go to it", path());
        }
        j->is_told = false;
        return true;
    }
    if (!j->is_told) {
        log_write(j->log, LOG_WARN, "the journal %s is not there: %s; lines go to files", path(),
                  strerror(errno));
    }
    j->is_told = true;
    journal_deinit(j);
    return false;
}

/* An iovec is not const; sendmsg only reads it. */
static struct iovec
part(const void *bytes, size_t len)
{
    struct iovec p = {.iov_len = len};
    memcpy(&p.iov_base, &bytes, sizeof bytes);
    return p;
}

enum journal_outcome
journal_put(struct journal *j, const struct journal_line *l)
{
    char fields[FIELDS_BYTES], number[LOGLINE_NUMBER_BYTES];
    const int n = snprintf(
        fields, sizeof fields,
        "PRIORITY=%u\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%d\nPRONG_WORKER=%s\nPRONG_REPLICA=%s\n"
        "PRONG_PID=%d\nPRONG_INCARNATION=%llu\n%s%.90s%sMESSAGE=",
        l->priority, l->worker, (int)l->pid, l->worker, logline_number(l->replica, number),
        (int)l->pid, (unsigned long long)l->incarnation, l->call[0] != '\0' ? "PRONG_CALL_ID=" : "",
        l->call, l->call[0] != '\0' ? "\n" : "");
    /* A line has no newline, so the simple form of a field holds whatever else it has. */
    struct iovec parts[] = {part(fields, (size_t)n), part(l->text.data, l->text.len),
                            part("\n", 1)};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    /* Twice, because a journal that was started anew has another socket. */
    for (int i = 0; i < 2; i++) {
        if (!connect_to(j, l->time_us)) {
            return JOURNAL_ABSENT;
        }
        if (sendmsg(j->fd, &message, MSG_NOSIGNAL) >= 0) {
            return JOURNAL_TAKEN;
        }
        if (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE || errno == ENOMEM) {
            return JOURNAL_FULL;
        }
        journal_deinit(j);
        j->again_us = 0;
    }
    return JOURNAL_ABSENT;
}
