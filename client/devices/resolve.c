/* Names to addresses: see resolve.h. */
#include "client/devices/resolve.h"

#include "client/devices/bell.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct resolve {
    atomic_int users; /* who asked, and the thread: the last one frees it */
    int fd;
    int type;
    char port[8];
    struct addrinfo *found;
    int code;  /* of getaddrinfo */
    int error; /* errno, for EAI_SYSTEM */
    char host[];
};

static void
leave(struct resolve *r)
{
    if (atomic_fetch_sub(&r->users, 1) == 1) {
        if (r->found != NULL) {
            freeaddrinfo(r->found);
        }
        (void)close(r->fd); /* of an eventfd: there is nothing to lose */
        free(r);
    }
}

static void *
look_up(void *context)
{
    struct resolve *r = context;
    const struct addrinfo wanted = {.ai_socktype = r->type, .ai_flags = AI_NUMERICSERV};
    r->code = getaddrinfo(r->host, r->port, &wanted, &r->found);
    r->error = errno;
    r->found = r->code == 0 ? r->found : NULL;
    bell_ring(r->fd);
    leave(r);
    return NULL;
}

/* No signal is for it: they are the program's. */
static int
run(struct resolve *r)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&thread, NULL, look_up, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        pthread_detach(thread);
    }
    return error;
}

struct resolve *
resolve_begin(const char *host, uint16_t port, int type)
{
    struct resolve *r = calloc(1, sizeof *r + strlen(host) + 1);
    if (r == NULL) {
        return NULL;
    }
    memcpy(r->host, host, strlen(host) + 1);
    (void)snprintf(r->port, sizeof r->port, "%u", port);
    r->type = type;
    r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&r->users, 2);
    const int error = r->fd < 0 ? errno : run(r);
    if (error != 0) {
        if (r->fd >= 0) {
            (void)close(r->fd);
        }
        free(r);
        errno = error;
        return NULL;
    }
    return r;
}

int
resolve_fd(const struct resolve *r)
{
    return r->fd;
}

const char *
resolve_take(struct resolve *r, struct addrinfo **found)
{
    uint64_t unused;
    if (read(r->fd, &unused, sizeof unused) != sizeof unused) {
        return "there is no answer yet";
    }
    if (r->code != 0) {
        return r->code == EAI_SYSTEM ? strerror(r->error) : gai_strerror(r->code);
    }
    *found = r->found;
    r->found = NULL;
    return NULL;
}

void
resolve_end(struct resolve **r)
{
    if (*r != NULL) {
        leave(*r);
        *r = NULL;
    }
}
