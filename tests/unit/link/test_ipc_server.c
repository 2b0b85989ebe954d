/* What only the native engine promises, and how it behaves when something runs out. */
#include "proto/link/link.h"

#include "proto/link/source.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"
#include "tests/unit/link/host.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID(n) (UINT32_C(0x80000000) | (uint32_t)(n))

static struct host host;
static int fds_before;

static void
begin(void)
{
    dir_enter();
    fds_before = procs_fd_count(getpid(), NULL);
    host_init(&host, HOST_IPC);
}

static void
end(void)
{
    host_stop(&host);
    cr_expect_eq(procs_fd_count(getpid(), NULL), fds_before, "descriptors leaked");
    dir_leave();
}

#define NATIVE_TEST(name) Test(ipc_server, name, .init = begin, .fini = end)

/* Serve and call in a child, which has one thread whatever the framework has. */
static int
count_threads(const char *url)
{
    host_start_at(&host, url);
    const int before = procs_thread_count(getpid()) - 1; /* without the host's */
    struct link_client *c = host_client(&host);
    client_call(c, ID(1), text("e"), text("e"));
    const int after = procs_thread_count(getpid()) - 1;
    link_client_free(c);
    host_stop(&host);
    return after - before + (before > 1 ? 0 : before - 1);
}

NATIVE_TEST(never_starts_libnng)
{
    char url[DIR_FILE_BYTES_MAX + 8];
    snprintf(url, sizeof url, "ipc://%s/s", dir_path());
    const pid_t parent = getpid(), pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        procs_die_with(parent);
        _exit(count_threads(url) == 0 ? 0 : 1);
    }
    int status;
    cr_assert(until_exit(pid, &status, until_scaled_ms(20000)));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "more than one thread: %d", status);
}

NATIVE_TEST(sets_the_permissions_of_the_socket)
{
    host.options.socket_mode = 0660;
    const mode_t old = umask(0);
    host_start(&host);
    umask(old);
    struct stat st;
    cr_assert_eq(stat(host.url + strlen("ipc://"), &st), 0);
    cr_assert(S_ISSOCK(st.st_mode));
    cr_assert_eq(st.st_mode & 0777, 0660);
}

NATIVE_TEST(says_why_it_cannot_open)
{
    const struct link_handler handler = {0};
    struct link_server *s = NULL;
    struct link_error error = {0};
    host.options.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    cr_assert_eq(link_server_open("ipc://missing/s", &host.options, &handler, &s, &error), -1);
    cr_assert_eq(error.code, ENOENT, "%s", error.text);
    dir_write("file", "x", 0600);
    cr_assert_eq(link_server_open("ipc://file", &host.options, &handler, &s, &error), -1);
    cr_assert_eq(error.code, EEXIST, "%s", error.text);
    cr_assert_eq(link_server_open("http://x", &host.options, &handler, &s, &error), -1);
    cr_assert_eq(error.code, EPROTONOSUPPORT, "%s", error.text);
    cr_assert_null(s);
    close(host.options.epoll_fd);
}

/* The last words of a peer that does not wait for its answers. */
NATIVE_TEST(hears_a_peer_out_that_reports_and_leaves)
{
    enum { ROUNDS = 50, REPORTS = 60 };
    host_start(&host);
    uint8_t *body = pattern(3000);
    for (int round = 0; round < ROUNDS; round++) {
        struct raw r = raw_open(&host);
        for (uint32_t i = 0; i < REPORTS; i++) {
            const uint32_t id = ID(i);
            cr_assert(raw_send(&r, &id, 1, (struct span){body, 3000}, 0));
        }
        raw_close(&r);
    }
    free(body);
    struct link_client *c = host_client(&host);
    int calls = 0;
    for (; atomic_load(&host.closed) < ROUNDS; calls++) {
        cr_assert_lt(calls, 100000);
        client_call(c, ID(1), text("e"), text("e"));
    }
    cr_assert_eq(atomic_load(&host.messages) - calls, ROUNDS * REPORTS, "reports were lost");
    link_client_free(c);
}

NATIVE_TEST(answers_who_has_closed_his_half)
{
    host_start(&host);
    struct raw r = raw_open(&host);
    const uint32_t id = ID(1);
    cr_assert(raw_send(&r, &id, 1, text("e last"), 0));
    shutdown(r.fd, SHUT_WR);
    struct buf got = {0};
    cr_assert(raw_recv(&r, &got));
    cr_assert_eq(got.w, 10);
    buf_deinit(&got);
    raw_close(&r);
}

NATIVE_TEST(lets_a_new_peer_in_by_closing_the_oldest_silent_one)
{
    host.options.peers_max = 4;
    host_start(&host);
    struct link_client *c = host_client(&host);
    client_call(c, ID(1), text("e"), text("e"));
    struct raw silent[3];
    for (int i = 0; i < 3; i++) {
        silent[i] = raw_connect(&host);
        uint8_t greeting[8];
        cr_assert_eq(recv(silent[i].fd, greeting, 8, MSG_WAITALL), 8);
    }
    struct link_client *other = host_client(&host);
    client_call(other, ID(1), text("e"), text("e"));
    cr_assert(raw_is_closed(&silent[0], 5000));
    struct link_client *third = host_client(&host);
    struct link_client *fourth = host_client(&host);
    client_call(third, ID(1), text("e"), text("e"));
    client_call(fourth, ID(1), text("e"), text("e"));
    cr_assert(raw_is_closed(&silent[1], 5000));
    cr_assert(raw_is_closed(&silent[2], 5000));
    /* Only greeted ones are left: the next is turned away and nobody else is touched. */
    struct raw late = raw_connect(&host);
    cr_assert(raw_is_closed(&late, 5000));
    client_call(c, ID(2), text("e"), text("e"));
    raw_close(&late);
    for (int i = 0; i < 3; i++) {
        raw_close(&silent[i]);
    }
    link_client_free(c);
    link_client_free(other);
    link_client_free(third);
    link_client_free(fourth);
}

NATIVE_TEST(closes_who_parks_more_requests_than_there_may_be)
{
    host.options.requests_max = 100;
    host_start(&host);
    struct link_client *good = host_client(&host);
    struct link_client *greedy = host_client(&host);
    client_call(good, ID(1), text("e"), text("e"));
    for (uint32_t i = 0; i < 200; i++) {
        client_say(greedy, ID(i), text("p"));
    }
    uint32_t id;
    struct span body;
    cr_assert_not(client_hear(greedy, &id, &body, 5000));
    client_call(good, ID(2), text("e"), text("e"));
    link_client_free(greedy);
    link_client_free(good);
}

/* 64 peers announce 16 MiB each and send little: memory follows what came. */
NATIVE_TEST(allocates_for_what_came_and_not_for_what_was_announced)
{
    enum { PEERS = 64 };
    host_start(&host);
    struct raw peers[PEERS];
    struct link_client *c = host_client(&host);
    client_call(c, ID(1), text("e"), text("e"));
    const struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < PEERS; i++) {
        peers[i] = raw_open(&host);
        uint8_t frame[9];
        const size_t len = raw_frame(&peers[i], frame, HOST_BODY_MAX);
        cr_assert(raw_write(&peers[i], frame, len, 0));
        cr_assert(raw_write(&peers[i], "\x80\0\0\1some", 8, 0));
    }
    client_call(c, ID(2), text("e"), text("e"));
    client_call(c, ID(3), text("e"), text("e"));
    const struct mallinfo2 after = mallinfo2();
    const size_t grown = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    cr_assert_lt(grown, (size_t)PEERS * 512 * 1024, "%zu bytes", grown);
    for (int i = 0; i < PEERS; i++) {
        raw_close(&peers[i]);
    }
    link_client_free(c);
}

/* A peer that writes as fast as it can gets its share of a turn and no more. */
NATIVE_TEST(serves_others_while_one_peer_floods)
{
    host_start(&host);
    struct raw flood = raw_open(&host);
    cr_assert_eq(fcntl(flood.fd, F_SETFL, O_NONBLOCK), 0);
    struct link_client *c = host_client(&host);
    uint8_t message[17] = {1, 0, 0, 0, 0, 0, 0, 0, 8, 0x80, 0, 0, 1, 'd', 0, 0, 0};
    static uint8_t many[sizeof message * 4000];
    for (size_t i = 0; i < sizeof many; i += sizeof message) {
        memcpy(many + i, message, sizeof message);
    }
    size_t at = 0;
    for (uint32_t i = 0; i < 500; i++) {
        ssize_t n;
        while ((n = send(flood.fd, many + at, sizeof many - at, MSG_NOSIGNAL)) > 0) {
            at = (at + (size_t)n) % sizeof many;
        }
        cr_assert_eq(errno, EAGAIN);
        client_call(c, ID(i), text("e"), text("e"));
    }
    cr_assert_gt(atomic_load(&host.messages), 10000);
    link_client_free(c);
    raw_close(&flood);
}

/* ---- without descriptors: the loop by hand, to see how often it wakes -------------------------
 */

static int
turns(struct link_server *s, int epoll_fd, int64_t for_ms)
{
    const int64_t end_ms = clock_ms() + for_ms;
    int woken = 0;
    for (int64_t left; (left = end_ms - clock_ms()) > 0;) {
        struct epoll_event events[16];
        const int n = epoll_wait(epoll_fd, events, 16, (int)left);
        for (int i = 0; i < n; i++) {
            struct source *source = events[i].data.ptr;
            source->ready(source, events[i].events);
            woken++;
        }
        link_server_turn(s);
    }
    return woken;
}

static void
ignore_opened(void *context, struct link_server *s, uint64_t peer, const struct link_cred *cred)
{
    (void)s;
    (void)peer;
    (void)cred;
    ++*(int *)context;
}

static void
ignore_closed(void *context, struct link_server *s, uint64_t peer)
{
    (void)context;
    (void)s;
    (void)peer;
}

NATIVE_TEST(does_not_spin_without_descriptors_and_accepts_when_there_are_some)
{
    int opened = 0;
    const struct link_handler handler = {
        .context = &opened, .opened = ignore_opened, .closed = ignore_closed};
    struct link_server *s = NULL;
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    host.options.epoll_fd = epoll_fd;
    snprintf(host.url, sizeof host.url, "ipc://%s/s", dir_path());
    cr_assert_eq(link_server_open(host.url, &host.options, &handler, &s, NULL), 0);
    struct raw r = raw_connect(&host);
    cr_assert(raw_write(&r, "\0SP\0\0\x30\0\0", 8, 0));
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    const int woken = turns(s, epoll_fd, 450);
    setrlimit(RLIMIT_NOFILE, &old);
    cr_assert(woken >= 2 && woken <= 12, "woken %d times", woken);
    cr_assert_eq(opened, 0);
    const int64_t end_ms = clock_ms() + until_scaled_ms(5000);
    while (opened == 0 && clock_ms() < end_ms) {
        turns(s, epoll_fd, 20);
    }
    cr_assert_eq(opened, 1);
    raw_close(&r);
    turns(s, epoll_fd, 20);
    link_server_free(s);
    close(epoll_fd);
}
