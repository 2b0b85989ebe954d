/* The hub's side of shared memory: the ends of the processes that connected. See lender.h. */
#include "broker/shell/lender_inside.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
death_ready(struct source *source, uint32_t events)
{
    struct lend_peer *p = ((struct lend_death *)source)->peer;
    (void)events;
    if (p->fd < 0) {
        return; /* its end was seen by itself, in this turn */
    }
    if (!p->is_orphan) {
        log_write(p->lender->options.log, LOG_DEBUG,
                  "process %d has ended: what it was lent is given up", (int)p->pid);
    }
    p->is_orphan = true;
    lender_hear(p); /* what it said before counts; when there is more this comes again */
}

void
lender_death_watch(struct lend_peer *p)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &p->death.source};
    p->death = (struct lend_death){.source = {death_ready}, .peer = p, .fd = -1};
    if (p->pid <= 0) {
        return; /* in a namespace that is none of ours */
    }
    p->death.fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (p->death.fd < 0) {
        /* Without a descriptor it is watched by its connection alone. */
        p->is_orphan = errno == ESRCH;
    } else if (epoll_ctl(p->lender->options.epoll_fd, EPOLL_CTL_ADD, p->death.fd, &e) != 0) {
        lender_death_forget(p);
    }
    if (p->is_orphan) {
        lender_hear(p);
    }
}

void
lender_death_forget(struct lend_peer *p)
{
    if (p->death.fd >= 0) {
        (void)close(p->death.fd);
        p->death.fd = -1;
    }
}

/* A process closes what it has open before a pidfd tells of its end; from when it begins to die its
 * flags say so (PF_EXITING, the ninth field of its stat). */
static bool
is_dying(int32_t pid)
{
    enum { EXITING = 4 };
    char path[40], text[512];
    unsigned long flags = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return kill(pid, 0) != 0 && errno == ESRCH; /* of others it may be hidden */
    }
    const size_t n = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    const char *rest = strrchr(text, ')'); /* its name may have anything in it */
    return rest != NULL && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 &&
           (flags & EXITING) != 0;
}

bool
lender_has_died(const struct lend_peer *p)
{
    struct pollfd look = {.fd = p->death.fd, .events = POLLIN};
    return p->is_orphan || (p->death.fd >= 0 && poll(&look, 1, 0) == 1) ||
           (p->pid > 0 && is_dying(p->pid));
}
