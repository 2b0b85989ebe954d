/* The listener of the server over libnng, and its watchdog: see nng_server.h.
 *
 * libnng 1.5 (Debian 12) stops taking connections from an ipc listener for ever when one peer connects
 * and leaves before the greeting (fixed in 1.6 by 9248ed74). Nothing reports it: the kernel goes on
 * accepting and libnng goes on greeting. So on such a version a timer connects to our own path and
 * expects that libnng reports a new connection (its own or any other, before the protocol is looked
 * at). When none is reported in time, a second listener of the same socket takes over the path and the
 * first is closed, which hangs up on its peers: those that were never served connect again. */
#include "proto/link/nng_server.h"

#include "proto/link/sp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    TICK_MS = 250,
    VERDICT_TICKS = 4, /* a busy machine is no reason to hang up on everybody */
};

/* ---- listening ------------------------------------------------------------------------------ */

static const char *
after_scheme(const char *url)
{
    return strstr(url, "://") + strlen("://");
}

static bool
is_ipc(const char *url)
{
    return strncmp(url, "ipc://", strlen("ipc://")) == 0;
}

/* What belongs to the transport is set on the listener before it starts. */
static int
configure(struct rep_server *s, nng_listener listener)
{
    int code =
        nng_listener_set_size(listener, NNG_OPT_RECVMAXSZ,
                              link_nng_receive_max(s->options.message_bytes_max));
    if (code == 0 && s->listener.path.path[0] != '\0') {
        code = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, (int)s->options.socket_mode);
    } else if (code == 0) {
        /* A peer whose machine vanished would hold its parked requests for ever. */
        code = nng_listener_set_bool(listener, NNG_OPT_TCP_KEEPALIVE, true);
    }
    if (code == 0 && s->listener.tls != NULL) {
        code = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, s->listener.tls);
    }
    return code;
}

static int
start_listener(struct rep_server *s, const char *url, nng_listener *out, struct link_error *error)
{
    int code = nng_listener_create(out, s->socket, url);
    if (code != 0) {
        return link_nng_fail(error, code, url);
    }
    code = configure(s, *out);
    if (code == 0) {
        code = nng_listener_start(*out, 0);
    }
    if (code != 0) {
        nng_listener_close(*out);
        return link_nng_fail(error, code, url);
    }
    return 0;
}

/* libnng would delete whatever stands at the path and probe it by a connection that kills a server of
 * its own kind; it never sees the public name. */
static int
start_ipc_listener(struct rep_server *s, nng_listener *out, struct link_error *error)
{
    char url[sizeof s->listener.path.temp + 8];
    snprintf(url, sizeof url, "ipc://%s", s->listener.path.temp);
    if (start_listener(s, url, out, error) < 0) {
        return -1;
    }
    if (local_path_publish(&s->listener.path, error) < 0) {
        nng_listener_close(*out);
        return -1;
    }
    return 0;
}

/* The URL as it was asked for, with the port that was given instead of 0. */
static int
fill_url(struct rep_server *s, const char *url, struct link_error *error)
{
    const char *colon = strrchr(after_scheme(url), ':');
    s->url = strdup(url);
    if (!is_ipc(url) && colon != NULL && strcmp(colon, ":0") == 0) {
        nng_sockaddr address;
        int code = nng_listener_get_addr(s->listener.listener, NNG_OPT_LOCADDR, &address);
        if (code != 0) {
            return link_nng_fail(error, code, "cannot find out the port");
        }
        const uint16_t wire = address.s_family == NNG_AF_INET6 ? address.s_in6.sa_port
                                                               : address.s_in.sa_port;
        const uint8_t *port = (const uint8_t *)&wire;
        free(s->url);
        if (asprintf(&s->url, "%.*s:%d", (int)(colon - url), url, port[0] << 8 | port[1]) < 0) {
            s->url = NULL;
        }
    }
    return s->url != NULL ? 0 : link_fail(error, ENOMEM, "out of memory");
}

/* ---- the watchdog --------------------------------------------------------------------------- */

static bool
needs_watchdog(void)
{
    int major = 0, minor = 0;
    return sscanf(nng_version(), "%d.%d", &major, &minor) == 2 && major == 1 && minor < 6;
}

static void
end_probe(struct rep_listener *l)
{
    if (l->probe_fd >= 0) {
        close(l->probe_fd);
        l->probe_fd = -1;
    }
}

/* The probe greets as another protocol, so that libnng itself hangs up on it after it was reported; it
 * stays open until then, or it would be the very thing that kills the listener. */
static void
begin_probe(struct rep_listener *l)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, l->path.path, sizeof address.sun_path);
    l->accepted_at_start = atomic_load(&l->server->accepted);
    l->ticks = 0;
    l->probe_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->probe_fd < 0) {
        return; /* no descriptors: look again at the next tick */
    }
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting(greeting, SP_REP);
    if (connect(l->probe_fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        send(l->probe_fd, greeting, sizeof greeting, MSG_NOSIGNAL) != sizeof greeting) {
        end_probe(l); /* a full backlog, for example */
    }
}

static void
replace_listener(struct rep_listener *l)
{
    nng_listener fresh;
    local_path_renew(&l->path);
    if (start_ipc_listener(l->server, &fresh, NULL) < 0) {
        return; /* out of descriptors, perhaps: the next verdict tries again */
    }
    nng_listener_close(l->listener);
    l->listener = fresh;
}

static void
watchdog_ready(struct source *self, uint32_t events)
{
    (void)events;
    struct rep_listener *l = (struct rep_listener *)self;
    uint64_t expirations;
    if (read(l->timer_fd, &expirations, sizeof expirations) != sizeof expirations) {
        return;
    }
    if (!local_path_is_ours(&l->path)) {
        end_probe(l); /* another server has taken over: it must be neither probed nor displaced */
        return;
    }
    if (l->probe_fd >= 0 && atomic_load(&l->server->accepted) == l->accepted_at_start) {
        if (++l->ticks < VERDICT_TICKS) {
            return;
        }
        replace_listener(l);
    }
    end_probe(l);
    begin_probe(l);
}

static int
start_watchdog(struct rep_listener *l, struct link_error *error)
{
    const struct itimerspec every = {.it_value.tv_nsec = TICK_MS * 1000000L,
                                     .it_interval.tv_nsec = TICK_MS * 1000000L};
    l->source.ready = watchdog_ready;
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};
    if (l->timer_fd < 0 || timerfd_settime(l->timer_fd, 0, &every, NULL) != 0 ||
        epoll_ctl(l->server->options.epoll_fd, EPOLL_CTL_ADD, l->timer_fd, &event) != 0) {
        return link_fail(error, errno, "timerfd: %s", strerror(errno));
    }
    return 0;
}

/* ---- both ----------------------------------------------------------------------------------- */

int
link_rep_listen(struct rep_server *s, const char *url, struct link_error *error)
{
    struct rep_listener *l = &s->listener;
    const bool ipc = is_ipc(url);
    if (ipc && local_path_init(&l->path, url, error) < 0) {
        return -1;
    }
    if (strncmp(url, "tls", 3) == 0 &&
        link_nng_tls_server(&l->tls, s->options.tls_cert_file, s->options.tls_key_file, error) < 0) {
        return -1;
    }
    if ((ipc ? start_ipc_listener(s, &l->listener, error)
             : start_listener(s, url, &l->listener, error)) < 0) {
        return -1;
    }
    l->open = true;
    if (fill_url(s, url, error) < 0) {
        return -1;
    }
    return ipc && needs_watchdog() ? start_watchdog(l, error) : 0;
}

void
link_rep_unlisten(struct rep_server *s)
{
    struct rep_listener *l = &s->listener;
    local_path_unlink(&l->path);
    end_probe(l);
    if (l->timer_fd >= 0) {
        (void)epoll_ctl(s->options.epoll_fd, EPOLL_CTL_DEL, l->timer_fd, NULL); /* may not be in it */
        close(l->timer_fd);
        l->timer_fd = -1;
    }
    if (l->open) {
        nng_listener_close(l->listener);
        l->open = false;
    }
    if (l->tls != NULL) {
        nng_tls_config_free(l->tls);
        l->tls = NULL;
    }
}
