/* What programs say of themselves: see notice.h. */
#include "broker/shell/notice.h"

#include "proto/link/source.h"
#include "proto/mp.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    DATAGRAM_BYTES_MAX = 4096,
    DATAGRAMS_PER_TURN = 64,
    KNOCK_MS = 20, /* between two looks for a port: at first, and later */
    KNOCK_MS_MAX = 250,
    NS_PER_MS = 1000000,
};

/* A process that is watched, for one of three reasons. */
struct watched {
    struct source source; /* of `fd` */
    struct watched *next;
    struct notice *notice;
    uint64_t process;
    int fd; /* KNOCK: of a connection under way; EXTERNAL: its pidfd; else -1 */
    enum { WATCH_PORT, WATCH_LINE, WATCH_END } kind;
    char host[64], port[8];
    int64_t knock_ns, pause_ms;
    char text[257];
    bool over; /* to be freed when the turn ends */
};

struct notice {
    struct source source;
    struct notice_options options;
    int fd;
    struct watched *watched;
    bool has_over;
};

/* ---- the socket --------------------------------------------------------------------------------
 */

static void
read_word(struct notice_words *words, const char *line, size_t len)
{
    static const char status[] = "STATUS=", extend[] = "EXTEND_TIMEOUT_USEC=";
    if (len == 7 && memcmp(line, "READY=1", 7) == 0) {
        words->ready = true;
    } else if (len == 10 && memcmp(line, "WATCHDOG=1", 10) == 0) {
        words->sign = true;
    } else if (len >= sizeof status - 1 && memcmp(line, status, sizeof status - 1) == 0) {
        const size_t bytes = len - (sizeof status - 1);
        const struct span said = {(const uint8_t *)line + sizeof status - 1, bytes};
        words->has_status = mp_is_utf8(said) && bytes < sizeof words->status;
        (void)snprintf(words->status, sizeof words->status, "%.*s",
                       words->has_status ? (int)bytes : 0, (const char *)said.data);
    } else if (len > sizeof extend - 1 && memcmp(line, extend, sizeof extend - 1) == 0) {
        char digits[24];
        (void)snprintf(digits, sizeof digits, "%.*s", (int)(len - (sizeof extend - 1)),
                       line + sizeof extend - 1);
        const unsigned long long us = strtoull(digits, NULL, 10);
        words->extend_ms = us / 1000 > 86400000 ? 86400000 : (int64_t)(us / 1000);
    }
}

struct notice_words
notice_read(const char *text, size_t len)
{
    struct notice_words words = {0};
    for (const char *end = text + len; text < end;) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline != NULL ? newline : end;
        read_word(&words, text, (size_t)(stop - text));
        text = newline != NULL ? newline + 1 : end;
    }
    return words;
}

/* Whose it is: its process, or the process whose session it is in, because each worker has one. */
static uint64_t
owner(struct notice *n, int32_t pid)
{
    const uint64_t process = n->options.find(n->options.context, pid);
    const pid_t session = process == 0 ? getsid(pid) : -1;
    return session > 0 ? n->options.find(n->options.context, session) : process;
}

static int32_t
sender(struct msghdr *message)
{
    struct ucred who = {0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&who, CMSG_DATA(c), sizeof who);
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            /* A descriptor for the store of a service manager, which is not here. */
            int fds[8];
            const size_t bytes = c->cmsg_len - CMSG_LEN(0);
            memcpy(fds, CMSG_DATA(c), bytes < sizeof fds ? bytes : sizeof fds);
            for (size_t i = 0; i < bytes / sizeof(int) && i < 8; i++) {
                (void)close(fds[i]);
            }
        }
    }
    return who.pid;
}

static bool
take_datagram(struct notice *n)
{
    char text[DATAGRAM_BYTES_MAX];
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = text, .iov_len = sizeof text};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    const ssize_t got = recvmsg(n->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        return errno == EINTR;
    }
    const int32_t pid = sender(&message);
    const uint64_t process = pid > 0 ? owner(n, pid) : 0;
    const struct notice_words words = notice_read(text, (size_t)got);
    struct hub_input in = {.kind = HUB_IN_NOTIFY,
                           .notify = {.process = process,
                                      .ready = words.ready,
                                      .sign = words.sign,
                                      .extend_ms = words.extend_ms,
                                      .status = words.has_status ? words.status : NULL}};
    if (process != 0) {
        n->options.tell(n->options.context, &in);
    }
    return true;
}

static void
datagrams(struct source *source, uint32_t events)
{
    struct notice *n = (struct notice *)source;
    (void)events;
    for (int i = 0; i < DATAGRAMS_PER_TURN && take_datagram(n); i++) {
    }
}

static bool
listen_at(struct notice *n, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &n->source};
    const int on = 1;
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    (void)unlink(path); /* of an earlier broker; when it cannot be removed bind says so */
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return n->fd >= 0 && setsockopt(n->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 &&
           bind(n->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
           chmod(path, 0600) == 0 && epoll_ctl(n->options.epoll_fd, EPOLL_CTL_ADD, n->fd, &e) == 0;
}

struct notice *
notice_new(const struct notice_options *options)
{
    struct notice *n = calloc(1, sizeof *n);
    if (n == NULL) {
        log_write(options->log, LOG_ERROR, "out of memory");
        return NULL;
    }
    n->options = *options;
    n->source.ready = datagrams;
    n->fd = -1;
    if (!listen_at(n, options->path)) {
        log_write(options->log, LOG_ERROR, "cannot listen on %s: %s", options->path,
                  strerror(errno));
        notice_free(n);
        return NULL;
    }
    return n;
}

/* ---- processes that are watched ----------------------------------------------------------------
 */

static struct watched *
add(struct notice *n, uint64_t process)
{
    struct watched *w = calloc(1, sizeof *w);
    if (w == NULL) {
        log_write(n->options.log, LOG_ERROR, "out of memory: a process is not watched");
        return NULL;
    }
    w->notice = n;
    w->process = process;
    w->fd = -1;
    w->next = n->watched;
    n->watched = w;
    return w;
}

static void
close_fd(struct watched *w)
{
    if (w->fd >= 0) {
        (void)close(w->fd);
        w->fd = -1;
    }
}

/* Its memory stays for the turn: epoll may have told of it already. */
static void
end(struct watched *w)
{
    close_fd(w);
    w->over = true;
    w->notice->has_over = true;
}

static void
is_ready(struct watched *w)
{
    struct notice *n = w->notice;
    struct hub_input in = {.kind = HUB_IN_NOTIFY, .notify = {.process = w->process, .ready = true}};
    end(w);
    n->options.tell(n->options.context, &in);
}

void
notice_forget(struct notice *n, uint64_t process)
{
    for (struct watched *w = n->watched; w != NULL; w = w->next) {
        if (w->process == process && !w->over) {
            end(w);
        }
    }
}

void
notice_free(struct notice *n)
{
    if (n == NULL) {
        return;
    }
    while (n->watched != NULL) {
        struct watched *w = n->watched;
        n->watched = w->next;
        close_fd(w);
        free(w);
    }
    if (n->fd >= 0) {
        (void)close(n->fd);
        (void)unlink(n->options.path);
    }
    free(n);
}

/* ---- a port ------------------------------------------------------------------------------------
 */

bool
notice_address(const char *at, uint32_t replica, char host[64], char port[8])
{
    char text[300];
    size_t n = 0;
    for (; *at != '\0' && n < sizeof text - 12; at++) {
        if (at[0] == '%' && at[1] == 'i') {
            n += (size_t)snprintf(text + n, 12, "%u", (unsigned)replica);
            at++;
        } else {
            text[n++] = *at;
        }
    }
    text[n] = '\0';
    char *colon = strrchr(text, ':');
    const char *from = colon != NULL ? text : "127.0.0.1";
    if (colon != NULL) {
        *colon = '\0';
    }
    const size_t len = strlen(from);
    const bool brackets = from[0] == '[' && from[len - 1] == ']';
    const int h = snprintf(host, 64, "%.*s", (int)(brackets ? len - 2 : len), from + brackets);
    const int p = snprintf(port, 8, "%s", colon != NULL ? colon + 1 : text);
    return *at == '\0' && h > 0 && h < 64 && p > 0 && p < 8;
}

static void
later(struct watched *w, int64_t now_ns)
{
    close_fd(w);
    w->knock_ns = now_ns + w->pause_ms * NS_PER_MS;
    w->pause_ms = w->pause_ms * 2 > KNOCK_MS_MAX ? KNOCK_MS_MAX : w->pause_ms * 2;
}

/* Only numbers, and localhost: a name server that does not answer would hold everybody up. */
static int
open_connection(const struct watched *w, int *error)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    const char *host = strcmp(w->host, "localhost") == 0 ? "127.0.0.1" : w->host;
    *error = EINVAL;
    if (getaddrinfo(host, w->port, &hints, &list) != 0) {
        return -1;
    }
    const int fd =
        socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, list->ai_protocol);
    *error = fd < 0 || connect(fd, list->ai_addr, list->ai_addrlen) != 0 ? errno : 0;
    freeaddrinfo(list);
    return fd;
}

static void
knock(struct watched *w, int64_t now_ns)
{
    int error;
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = &w->source};
    w->fd = open_connection(w, &error);
    if (error == 0) {
        is_ready(w);
    } else if (error != EINPROGRESS ||
               epoll_ctl(w->notice->options.epoll_fd, EPOLL_CTL_ADD, w->fd, &e) != 0) {
        later(w, now_ns);
    } else {
        w->knock_ns = now_ns + 1000 * (int64_t)NS_PER_MS; /* then this try is given up */
    }
}

static void
connected(struct source *source, uint32_t events)
{
    struct watched *w = (struct watched *)source;
    int error = 0;
    socklen_t len = sizeof error;
    (void)events;
    if (w->over || w->fd < 0) {
        return;
    }
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0) {
        is_ready(w);
    } else {
        close_fd(w); /* knock_ns is at most a second away */
    }
}

void
notice_watch(struct notice *n, uint64_t process, const struct worker_spec *spec, uint32_t replica)
{
    if (spec->ready != SPEC_READY_TCP && spec->ready != SPEC_READY_LOG) {
        return;
    }
    struct watched *w = add(n, process);
    if (w == NULL) {
        return;
    }
    w->pause_ms = KNOCK_MS;
    w->source.ready = connected;
    w->kind = spec->ready == SPEC_READY_TCP ? WATCH_PORT : WATCH_LINE;
    if (w->kind == WATCH_LINE) {
        (void)snprintf(w->text, sizeof w->text, "%s", spec->ready_at);
    } else if (!notice_address(spec->ready_at, replica, w->host, w->port)) {
        end(w);
    }
}

/* ---- a line ------------------------------------------------------------------------------------
 */

void
notice_line(struct notice *n, uint64_t process, const char *text, size_t len)
{
    for (struct watched *w = n->watched; w != NULL; w = w->next) {
        if (w->process == process && !w->over && w->kind == WATCH_LINE &&
            memmem(text, len, w->text, strlen(w->text)) != NULL) {
            is_ready(w);
            return;
        }
    }
}

/* ---- processes of others -----------------------------------------------------------------------
 */

static void
ended(struct source *source, uint32_t events)
{
    struct watched *w = (struct watched *)source;
    struct notice *n = w->notice;
    struct hub_input in = {.kind = HUB_IN_EXITED, .process = {.id = w->process}};
    (void)events;
    if (!w->over) {
        end(w);
        n->options.tell(n->options.context, &in);
    }
}

bool
notice_adopt(struct notice *n, uint64_t process, int32_t pid)
{
    struct watched *w = add(n, process);
    if (w == NULL) {
        errno = ENOMEM;
        return false;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &w->source};
    w->kind = WATCH_END;
    w->source.ready = ended;
    w->fd = (int)syscall(SYS_pidfd_open, pid, 0); /* glibc 2.36 has no function for it everywhere */
    if (w->fd < 0 || epoll_ctl(n->options.epoll_fd, EPOLL_CTL_ADD, w->fd, &e) != 0) {
        const int error = errno;
        end(w);
        errno = error;
        return false;
    }
    return true;
}

void
notice_signal(struct notice *n, uint64_t process, int signal)
{
    for (struct watched *w = n->watched; w != NULL; w = w->next) {
        if (w->process == process && !w->over && w->kind == WATCH_END) {
            (void)syscall(SYS_pidfd_send_signal, w->fd, signal, NULL, 0); /* gone is gone */
        }
    }
}

/* ---- the turn ----------------------------------------------------------------------------------
 */

int64_t
notice_deadline_ns(const struct notice *n)
{
    int64_t at_ns = HUB_NEVER;
    for (const struct watched *w = n->watched; w != NULL; w = w->next) {
        if (!w->over && w->kind == WATCH_PORT && w->knock_ns < at_ns) {
            at_ns = w->knock_ns;
        }
    }
    return at_ns;
}

void
notice_turn(struct notice *n, int64_t now_ns)
{
    for (struct watched *w = n->watched; w != NULL; w = w->next) {
        if (!w->over && w->kind == WATCH_PORT && w->knock_ns <= now_ns) {
            if (w->fd >= 0) {
                later(w, now_ns);
            } else {
                knock(w, now_ns);
                if (!w->over && w->fd < 0 && w->knock_ns <= now_ns) {
                    later(w, now_ns);
                }
            }
        }
    }
    if (!n->has_over) {
        return;
    }
    n->has_over = false;
    for (struct watched **at = &n->watched; *at != NULL;) {
        struct watched *w = *at;
        if (w->over) {
            *at = w->next;
            free(w);
        } else {
            at = &w->next;
        }
    }
}
