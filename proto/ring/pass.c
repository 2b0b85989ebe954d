/* Descriptors over a local socket: see pass.h. */
#include "proto/ring/pass.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3 */
#endif

union control {
    struct cmsghdr head; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(int) * LEND_FDS_MAX)];
};

enum pass_result
pass_send(int socket, const struct lend_record *record, const int *fds, uint32_t count)
{
    union control control;
    struct iovec part = {(void *)(uintptr_t)record, sizeof *record};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
    }
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)sizeof *record) {
        return PASS_OK;
    }
    return sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? PASS_EMPTY : PASS_GONE;
}

void
pass_close(int fds[LEND_FDS_MAX], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)close(fds[i]); /* nothing was written to it */
        fds[i] = -1;
    }
}

static uint32_t
take_fds(struct msghdr *message, int fds[LEND_FDS_MAX])
{
    uint32_t count = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const size_t n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
            if (count < LEND_FDS_MAX) {
                fds[count++] = fd;
            } else {
                (void)close(fd);
            }
        }
    }
    return count;
}

enum pass_result
pass_receive(int socket, struct lend_record *record, int fds[LEND_FDS_MAX])
{
    union control control;
    struct iovec part = {record, sizeof *record};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got;
    do {
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? PASS_EMPTY : PASS_GONE;
    }
    const uint32_t count = take_fds(&message, fds);
    if (got != (ssize_t)sizeof *record || record->version != LEND_VERSION ||
        (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        pass_close(fds, count);
        errno = (message.msg_flags & MSG_CTRUNC) != 0 ? EMFILE : EPROTO;
        return PASS_GONE;
    }
    record->fds = count;
    record->name[LEND_NAME_BYTES - 1] = '\0';
    record->group[LEND_NAME_BYTES - 1] = '\0';
    record->text[LEND_WHY_BYTES - 1] = '\0';
    return PASS_OK;
}

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

int
pass_memory(const char *name, size_t bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) { /* an older kernel */
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    if (fd < 0) {
        return -1;
    }
    if (ftruncate(fd, (off_t)bytes) != 0 || fchmod(fd, 0600) != 0 ||
        fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        const int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

bool
pass_is_memory(int fd, size_t bytes)
{
    struct stat st;
    const int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &st) == 0 &&
           st.st_size == (off_t)bytes;
}

int
pass_read_only(int fd)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}
