/* See parent.h. Runs in the keeper, before it forks. */
#include "broker/spawn/parent.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int
parent_open(pid_t pid)
{
    /* glibc has had a function for it since 2.36 only. */
    const int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    /* Asked after the descriptor is there: while it is our parent its number is nobody else's. */
    if (fd >= 0 && getppid() != pid) {
        close(fd);
        errno = ESRCH;
        return -1;
    }
    return fd;
}
