/* The floor of a brokered call: client - relay - worker over socket pairs, bytes without a
 * protocol.
 *
 * The relay waits with epoll, as anything must that has more than one peer, and passes on what it
 * reads without looking at it. Client and worker block in read while they have nothing to write,
 * which is the least that a process can do. See bench.h. */
#include "bench/bench.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 * 1024, IN_FLIGHT_MAX = 1024 };

/* Of the case's process. */
static int to_relay = -1;
static pid_t relay_pid, worker_pid;
static uint8_t *buffer;

/* ---- worker --------------------------------------------------------------------------------- */

static _Noreturn void
work(int fd)
{
    uint8_t *bytes = malloc(BUFFER_BYTES);
    for (ssize_t n; bytes != NULL && (n = read(fd, bytes, BUFFER_BYTES)) > 0;) {
        for (ssize_t done = 0, w; done < n; done += w) {
            w = write(fd, bytes + done, (size_t)(n - done));
            if (w < 0) {
                _exit(1);
            }
        }
    }
    _exit(0);
}

/* ---- relay ---------------------------------------------------------------------------------- */

/* One direction. What the receiver does not take now waits, and meanwhile nothing more is read. */
struct direction {
    int from, to;
    uint8_t *bytes;
    size_t r, w;
};

static void
set_events(int epoll, int fd, const struct direction *in, const struct direction *out)
{
    struct epoll_event event = {.data.fd = fd};
    event.events = (in->r == in->w ? EPOLLIN : 0) | (out->r < out->w ? EPOLLOUT : 0);
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0) {
        _exit(1);
    }
}

static void
pass_on(struct direction *d)
{
    const ssize_t n = send(d->to, d->bytes + d->r, d->w - d->r, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        _exit(0);
    }
    d->r += n > 0 ? (size_t)n : 0;
    d->r = d->r == d->w ? (d->w = 0) : d->r;
}

static void
take(struct direction *d)
{
    const ssize_t n = recv(d->from, d->bytes, BUFFER_BYTES, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        _exit(0);
    }
    if (n > 0) {
        d->w = (size_t)n;
        pass_on(d);
    }
}

static _Noreturn void
relay(int client, int worker)
{
    struct direction there = {.from = client, .to = worker, .bytes = malloc(BUFFER_BYTES)};
    struct direction back = {.from = worker, .to = client, .bytes = malloc(BUFFER_BYTES)};
    struct epoll_event events[2] = {{.events = EPOLLIN, .data.fd = client},
                                    {.events = EPOLLIN, .data.fd = worker}};
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (there.bytes == NULL || back.bytes == NULL || epoll < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, client, &events[0]) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, worker, &events[1]) != 0) {
        _exit(1);
    }
    for (;;) {
        const int n = epoll_wait(epoll, events, 2, -1);
        const bool waited = there.r < there.w || back.r < back.w;
        for (int i = 0; i < n; i++) {
            struct direction *in = events[i].data.fd == client ? &there : &back;
            struct direction *out = events[i].data.fd == client ? &back : &there;
            if ((events[i].events & EPOLLOUT) != 0) {
                pass_on(out);
            }
            if ((events[i].events & (EPOLLIN | EPOLLHUP)) != 0 && in->r == in->w) {
                take(in);
            }
        }
        if (waited || there.r < there.w || back.r < back.w) {
            set_events(epoll, client, &there, &back);
            set_events(epoll, worker, &back, &there);
        }
    }
}

/* ---- client --------------------------------------------------------------------------------- */

static void
open_relay(const char *broker)
{
    int a[2], b[2];
    (void)broker;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, b) != 0) {
        bench_die("socketpair", errno);
    }
    worker_pid = bench_fork();
    if (worker_pid == 0) {
        close(a[0]), close(a[1]), close(b[0]);
        work(b[1]);
    }
    relay_pid = bench_fork();
    if (relay_pid == 0) {
        close(a[0]), close(b[1]);
        relay(a[1], b[0]);
    }
    close(a[1]), close(b[0]), close(b[1]);
    to_relay = a[0];
    buffer = calloc(1, BUFFER_BYTES);
    if (buffer == NULL) {
        bench_die("out of memory", 0);
    }
}

/* Some bytes of the answers; with something to write, some of that too. */
static size_t
exchange(size_t *to_write)
{
    if (*to_write > 0) {
        const size_t len = *to_write < BUFFER_BYTES ? *to_write : BUFFER_BYTES;
        const ssize_t n = send(to_relay, buffer, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            bench_die("the relay is gone", errno);
        }
        *to_write -= n > 0 ? (size_t)n : 0;
        struct pollfd fd = {.fd = to_relay, .events = POLLIN | POLLOUT};
        if (*to_write > 0 && poll(&fd, 1, -1) > 0 && (fd.revents & POLLIN) == 0) {
            return 0;
        }
    }
    const ssize_t n = recv(to_relay, buffer, BUFFER_BYTES, 0);
    if (n <= 0) {
        bench_die("the relay is gone", n < 0 ? errno : 0);
    }
    return (size_t)n;
}

static void
run_relay(const struct job *job, struct run *run)
{
    static uint64_t begun_ns[IN_FLIGHT_MAX]; /* answers come in order */
    uint64_t now_ns = bench_now_ns(), begun = 0, ended = 0;
    const uint64_t end_ns = now_ns + (uint64_t)(job->seconds * 1e9);
    size_t to_write = 0, have = 0;
    for (;;) {
        while (begun - ended < job->in_flight && now_ns < end_ns) {
            begun_ns[begun++ % IN_FLIGHT_MAX] = now_ns;
            to_write += job->bytes;
        }
        if (ended == begun) {
            return;
        }
        have += exchange(&to_write);
        now_ns = bench_now_ns();
        for (; have >= job->bytes; have -= job->bytes, ended++) {
            if (run != NULL) {
                samples_add(&run->samples, now_ns - begun_ns[ended % IN_FLIGHT_MAX]);
            }
        }
    }
}

static void
close_relay(void)
{
    close(to_relay);
    (void)waitpid(relay_pid, NULL, 0); /* both end when their socket does */
    (void)waitpid(worker_pid, NULL, 0);
    free(buffer);
}

static size_t
relay_pids(pid_t *pids, size_t max)
{
    pids[0] = relay_pid;
    if (max > 1) {
        pids[1] = worker_pid;
    }
    return max > 1 ? 2 : 1;
}

const struct way way_relay = {.name = "relay",
                              .open = open_relay,
                              .run = run_relay,
                              .close = close_relay,
                              .pids = relay_pids};
