/* One datagram to the service manager; when and what is the keeper's business. Runs in the keeper.
 */
#include "broker/spawn/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum notify_result
notify_send(const char *address, const char *text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const size_t length = strlen(address);
    if ((address[0] != '/' && address[0] != '@') || length < 2 || length >= sizeof to.sun_path) {
        return NOTIFY_FAILED;
    }
    memcpy(to.sun_path, address, length);
    if (address[0] == '@') {
        to.sun_path[0] = '\0';
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return NOTIFY_FAILED;
    }
    /* An abstract name ends with the address, not with a NUL. */
    const socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    ssize_t sent;
    do {
        sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to, bytes);
    } while (sent < 0 && errno == EINTR);
    const int error = sent < 0 ? errno : 0;
    close(fd);
    return error == 0                            ? NOTIFY_SENT
           : error == EAGAIN || error == ENOBUFS ? NOTIFY_LATER
                                                 : NOTIFY_FAILED;
}

/* Digits alone, above 0; 0 for everything else. */
static int64_t
read_number(const char *text)
{
    char *end;
    if (!text || text[0] < '0' || text[0] > '9') {
        return 0;
    }
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : 0;
}

int64_t
notify_watchdog_us(const char *usec, const char *pid, long own_pid)
{
    const int64_t watchdog_us = read_number(usec);
    const bool is_meant = !pid || pid[0] == '\0' || read_number(pid) == own_pid;
    /* So long that its nanoseconds do not fit is as good as none. */
    return is_meant && watchdog_us <= NOTIFY_WATCHDOG_US_MAX ? watchdog_us : 0;
}
