/* What the tests of the lender share: see lender_rig.h. */
#include "tests/unit/shell/lender_rig.h"
#include "proto/link/source.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_MS = 60000 };

static void
told(void *context, const struct hub_lent_news *n)
{
    static const char *const words[] = {
        [HUB_STREAM_STARTED] = "started", [HUB_STREAM_STOPPED] = "stopped",
        [HUB_STREAM_CHANGED] = "changed", [HUB_STREAM_DROPPED] = "dropped",
        [HUB_STREAM_SILENT] = "silent",   [HUB_STREAM_HEARD] = "heard",
        [HUB_MEMORY_REFUSED] = "refused"};
    struct lend_rig *r = context;
    const size_t at = strlen(r->news);
    (void)snprintf(r->news + at, sizeof r->news - at,
                   "%s '%s' %s generation %u number %u slots %u of %u group '%s' pid %d\n",
                   words[n->kind], n->stream, n->reason != NULL ? n->reason : "-",
                   (unsigned)n->generation, (unsigned)n->number, (unsigned)n->slots,
                   (unsigned)n->slot_bytes, n->group != NULL ? n->group : "", (int)n->pid);
}

static void
open_rig(struct lend_rig *r, struct lender_options options)
{
    *r = (struct lend_rig){.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .log = log_start()};
    options.epoll_fd = r->epoll_fd;
    options.path = dir_file(r->path, LEND_SOCKET);
    options.log = &r->log;
    options.tell = told;
    options.context = r;
    r->lender = lender_new(&options);
    cr_assert(r->lender != NULL, "no lender at %s", r->path);
}

void
lend_rig_open(struct lend_rig *r, uint64_t memory_bytes_max)
{
    open_rig(r, (struct lender_options){.memory_bytes_max = memory_bytes_max});
}

void
lend_rig_open_watching(struct lend_rig *r, const struct hub_silence *silences, size_t count)
{
    open_rig(r, (struct lender_options){
                    .memory_bytes_max = 1 << 30, .silences = silences, .silence_count = count});
}

void
lend_rig_wait(struct lend_rig *r, const char *line)
{
    const size_t len = strlen(line);
    struct pollfd ready = {.fd = r->epoll_fd, .events = POLLIN};
    for (;;) {
        lend_rig_turn(r);
        for (const char *at = r->news; *at != '\0'; at = strchr(at, '\n') + 1) {
            if (strncmp(at, line, len) == 0) {
                return;
            }
        }
        cr_assert(poll(&ready, 1, WAIT_MS) == 1, "nobody says '%s', only:\n%s", line, r->news);
    }
}

/* Nobody maps what was lent any more, neither the hub nor the test. */
static void
expect_no_maps(void)
{
    char line[600];
    FILE *maps = fopen("/proc/self/maps", "re");
    cr_assert(maps != NULL, "/proc");
    while (fgets(line, sizeof line, maps) != NULL) {
        cr_expect(strstr(line, "/memfd:prong") == NULL, "still mapped: %s", line);
    }
    (void)fclose(maps);
}

void
lend_rig_close(struct lend_rig *r)
{
    lender_free(r->lender);
    (void)close(r->epoll_fd);
    cr_expect(access(r->path, F_OK) != 0, "%s is left", r->path);
    expect_no_maps();
}

void
lend_rig_turn(struct lend_rig *r)
{
    struct epoll_event events[16];
    int n;
    do {
        n = epoll_wait(r->epoll_fd, events, 16, 0);
        for (int i = 0; i < n; i++) {
            struct source *source = events[i].data.ptr;
            source->ready(source, events[i].events);
        }
        lender_turn(r->lender);
    } while (n > 0);
}

int
lend_rig_connect(struct lend_rig *r)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert(strlen(r->path) < sizeof address.sun_path);
    memcpy(address.sun_path, r->path, strlen(r->path) + 1);
    cr_assert(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0,
              "cannot connect: %s", strerror(errno));
    return fd;
}

static void
send_it(int fd, struct lend_record ask)
{
    ask.version = LEND_VERSION;
    cr_assert(pass_send(fd, &ask, NULL, 0) == PASS_OK, "cannot ask: %s", strerror(errno));
}

void
lend_rig_ask(struct lend_rig *r, int fd, struct lend_record ask)
{
    send_it(fd, ask);
    lend_rig_turn(r);
}

void
lend_rig_ask_before_end(struct lend_rig *r, int fd, struct lend_record ask, int ends)
{
    send_it(fd, ask); /* epoll tells in the order in which they became ready */
    (void)close(ends);
    lend_rig_turn(r);
}

int
lend_rig_peer(struct lend_rig *r, struct lend_record ask)
{
    const int fd = lend_rig_connect(r);
    lend_rig_ask(r, fd, ask);
    return fd;
}

struct lend_record
lend_writer(const char *name, uint32_t slots, uint64_t bytes)
{
    struct lend_record ask = {.op = LEND_CREATE, .slots = slots, .bytes = bytes};
    (void)snprintf(ask.name, sizeof ask.name, "%s", name);
    return ask;
}

struct lend_record
lend_reader(const char *name, uint32_t policy, uint32_t hold, const char *group)
{
    struct lend_record ask = {.op = LEND_OPEN, .policy = policy, .hold = hold};
    (void)snprintf(ask.name, sizeof ask.name, "%s", name);
    (void)snprintf(ask.group, sizeof ask.group, "%s", group);
    return ask;
}

struct got
lend_get(int fd, enum lend_op op)
{
    struct got got = {.fds = {-1, -1, -1, -1}};
    const enum pass_result result = pass_receive(fd, &got.record, got.fds);
    cr_assert(result == PASS_OK, "no record %d: %d", (int)op, (int)result);
    cr_assert(got.record.op == op, "record %d, not %d: %s", (int)got.record.op, (int)op,
              got.record.text);
    return got;
}

void
lend_got_close(struct got *got)
{
    for (uint32_t i = 0; i < LEND_FDS_MAX; i++) {
        if (got->fds[i] >= 0) {
            (void)close(got->fds[i]);
            got->fds[i] = -1;
        }
    }
}

struct lend_record
lend_read(int fd, enum lend_op op)
{
    struct got got = lend_get(fd, op);
    lend_got_close(&got);
    return got.record;
}

void
lend_expect_refused(int fd, uint32_t code, const char *words)
{
    const struct lend_record record = lend_read(fd, LEND_REFUSED);
    cr_expect(record.code == code, "code %u: %s", (unsigned)record.code, record.text);
    cr_expect(strstr(record.text, words) != NULL, "'%s' is not in '%s'", words, record.text);
}

void
lend_expect_nothing(int fd)
{
    struct got got;
    cr_expect(pass_receive(fd, &got.record, got.fds) == PASS_EMPTY, "something came");
}

bool
lend_is_closed(int fd)
{
    struct got got;
    enum pass_result result;
    while ((result = pass_receive(fd, &got.record, got.fds)) == PASS_OK) {
        pass_close(got.fds, got.record.fds);
    }
    return result == PASS_GONE;
}

void
lend_hang_up(struct lend_rig *r, int fd)
{
    (void)close(fd);
    lend_rig_turn(r);
}

void *
lend_map(int *fd, size_t size, bool writable)
{
    cr_expect(pass_is_memory(*fd, size), "it is not %zu bytes", size);
    void *at = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, *fd, 0);
    cr_assert(at != MAP_FAILED, "mmap: %s", strerror(errno));
    if (!writable) {
        void *again = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
        cr_expect(again == MAP_FAILED, "it can be written to");
    }
    (void)close(*fd);
    *fd = -1;
    return at;
}

uint32_t
lend_open_fds(void)
{
    uint32_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    cr_assert(dir != NULL, "/proc");
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count - 3; /* ".", ".." and its own */
}

void
lend_allow_fds(uint32_t more)
{
    struct rlimit limit;
    int highest = -1;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    /* The limit is of the number, so holes below count, too: fill them up in the mind. */
    for (int fd = 0; more > 0; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            more--;
            highest = fd;
        }
    }
    if (highest < 0) {
        for (highest = 0; fcntl(highest, F_GETFD) >= 0; highest++) {
        }
        highest--; /* the first hole is not to be had */
    }
    limit.rlim_cur = (rlim_t)highest + 1;
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit: %s", strerror(errno));
}

bool
lend_raise_fds(uint32_t wanted)
{
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit: %s", strerror(errno));
    return limit.rlim_cur >= wanted;
}
