/* Writing without waiting: see line.h. The descriptor is shared with whoever started the hub, so it
 * cannot be made non-blocking. */
#include "broker/spawn/line.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t
write_once(int fd, const char *line, size_t bytes)
{
    char path[32];
    struct stat status;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const bool is_device = fstat(fd, &status) == 0 && S_ISCHR(status.st_mode);
    const int own = is_device ? open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
    const ssize_t written = write(own >= 0 ? own : fd, line, bytes);
    if (own >= 0) {
        close(own); /* a terminal keeps nothing back */
    }
    return written;
}

/* A pipe or a socket that says that it can be written to has room for PIPE_BUF bytes, and for no
 * more; a terminal has room for one, and is opened once more, so that the rest is not waited for.
 */
bool
line_write(int fd, const char *line, size_t bytes)
{
    struct pollfd out = {.fd = fd, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0 &&
           write_once(fd, line, bytes) == (ssize_t)bytes;
}
