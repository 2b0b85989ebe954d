#include "tests/e2e/spawn/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

enum { ARGUMENTS_MAX = 16 };

static struct hub hub; /* a test is a process of its own */

struct hub *
hub_get(void)
{
    return &hub;
}

const char *
hub_probe_path(void)
{
    return TEST_BIN_DIR "/spawn_probe";
}

const char *
hub_fake_broker_path(void)
{
    return TEST_BIN_DIR "/spawn_fake_broker";
}

const char *
hub_prongd_path(void)
{
    return PRONGD_PATH;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

void
hub_enter(void)
{
    dir_enter();
    hub = (struct hub){.listener = -1, .broker_fd = -1, .link = -1};
}

void
hub_leave(void)
{
    if (hub.keeper > 0) {
        /* The test has failed: the rest of its processes carry the tag. */
        fprintf(stderr, "the hub's log:\n%s", hub_log());
        kill(hub.keeper, SIGKILL);
        waitpid(hub.keeper, NULL, 0);
    }
    procs_tagged_kill(dir_path());
    close_fd(&hub.listener);
    close_fd(&hub.broker_fd);
    close_fd(&hub.link);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    dir_leave();
}

static void
listen_for_brokers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    hub.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    cr_assert(hub.listener >= 0);
    cr_assert_eq(bind(hub.listener, (struct sockaddr *)&address, sizeof address), 0, "bind: %s",
                 strerror(errno));
    cr_assert_eq(listen(hub.listener, 16), 0);
}

/* exec wants char *, and does not write to them. */
static char *
plain(const char *text)
{
    union {
        const char *given;
        char *wanted;
    } both = {.given = text};
    return both.wanted;
}

static pid_t
run_prongd(char *const argv[], char *const envp[])
{
    const pid_t parent = getpid();
    char log_path[DIR_FILE_BYTES_MAX];
    const int log =
        open(dir_file(log_path, "log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    cr_assert(log >= 0);
    const pid_t pid = fork();
    if (pid == 0) {
        if (hub.user != 0 &&
            (setgroups(0, NULL) != 0 || setgid((gid_t)hub.user) != 0 || setuid(hub.user) != 0)) {
            _exit(92);
        }
        procs_die_with(parent);
        dup2(log, STDERR_FILENO);
        execve(hub_prongd_path(), argv, envp);
        _exit(93);
    }
    close(log);
    cr_assert(pid > 0);
    return pid;
}

int
hub_run(const char *const arguments[], const char *const variables[])
{
    char *argv[ARGUMENTS_MAX] = {plain("prongd")};
    char *envp[HUB_VARIABLES_MAX + 1] = {NULL};
    for (int i = 0; arguments && arguments[i] && i < ARGUMENTS_MAX - 2; i++) {
        argv[i + 1] = plain(arguments[i]);
    }
    for (int i = 0; variables && variables[i] && i < HUB_VARIABLES_MAX; i++) {
        envp[i] = plain(variables[i]);
    }
    const pid_t pid = run_prongd(argv, envp);
    int status = 0;
    if (!until_exit(pid, &status, HUB_DEADLINE_MS)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        cr_assert_fail("prongd does not end: %s", hub_log());
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void
hub_start(const char *const arguments[], const char *const variables[])
{
    char run_path[DIR_FILE_BYTES_MAX];
    char socket_path[DIR_FILE_BYTES_MAX];
    char socket_variable[DIR_FILE_BYTES_MAX + 32];
    if (hub.listener < 0) {
        listen_for_brokers(dir_file(socket_path, "brokers"));
    }
    snprintf(socket_variable, sizeof socket_variable, "FAKE_BROKER_SOCKET=%s",
             dir_file(socket_path, "brokers"));
    char *argv[ARGUMENTS_MAX] = {plain("prongd"), plain("--runtime-dir"),
                                 plain(dir_file(run_path, "run")), plain("--broker"),
                                 plain(hub_fake_broker_path())};
    char *envp[HUB_VARIABLES_MAX + 3] = {plain("PATH=/usr/bin:/bin"), socket_variable};
    for (int i = 0; arguments && arguments[i] && i < ARGUMENTS_MAX - 6; i++) {
        argv[5 + i] = plain(arguments[i]);
    }
    for (int i = 0; variables && variables[i] && i < HUB_VARIABLES_MAX; i++) {
        envp[2 + i] = plain(variables[i]);
    }
    hub.keeper = run_prongd(argv, envp);
}

void
hub_start_as(uid_t user)
{
    char path[DIR_FILE_BYTES_MAX];
    listen_for_brokers(dir_file(path, "brokers"));
    cr_assert(chmod(path, 0777) == 0, "the socket for brokers");
    hub.user = user;
    hub_start(NULL, NULL);
}

void
hub_accept(bool raw)
{
    cr_assert(until_readable(hub.listener, HUB_DEADLINE_MS), "no broker came: %s", hub_log());
    close_fd(&hub.broker_fd);
    close_fd(&hub.link);
    hub.broker_fd = accept4(hub.listener, NULL, NULL, SOCK_CLOEXEC);
    cr_assert(hub.broker_fd >= 0);
    cr_assert(until_readable(hub.broker_fd, HUB_DEADLINE_MS));
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = &hub.hello, .iov_len = sizeof hub.hello};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    cr_assert_eq(recvmsg(hub.broker_fd, &message, MSG_CMSG_CLOEXEC), (ssize_t)sizeof hub.hello);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    cr_assert(header != NULL && header->cmsg_type == SCM_RIGHTS);
    memcpy(&hub.link, CMSG_DATA(header), sizeof hub.link);
    hub.spawner = hub.hello.parent;
    if (!raw) {
        hub_expect(SPAWN_ALIVE_END, 0, NULL);
    }
}

void
hub_up(void)
{
    hub_start(NULL, NULL);
    hub_accept(false);
}

void
hub_send(const struct spawn_record *record, const char *text)
{
    enum spawn_io sent;
    while ((sent = spawn_record_send(hub.link, record, text, -1)) == SPAWN_IO_LATER) {
        struct pollfd state = {.fd = hub.link, .events = POLLOUT};
        cr_assert(poll(&state, 1, HUB_DEADLINE_MS) == 1, "the spawner does not read: %s",
                  hub_log());
    }
    cr_assert_eq(sent, SPAWN_IO_DONE);
}

static void
start_worker(uint64_t id, const char *folder, const char *const argv[], const char *const envp[],
             const char *const limits[])
{
    static char text[SPAWN_TEXT_BYTES_MAX];
    char incarnation[64];
    char *arguments[ARGUMENTS_MAX] = {NULL};
    char *variables[HUB_VARIABLES_MAX + 1] = {incarnation, plain("PATH=/usr/bin:/bin")};
    snprintf(incarnation, sizeof incarnation, "PRONG_INCARNATION=%" PRIu64, id);
    for (int i = 0; argv[i] && i < ARGUMENTS_MAX - 1; i++) {
        arguments[i] = plain(argv[i]);
    }
    for (int i = 0; envp && i < HUB_VARIABLES_MAX && (i == 0 || envp[i - 1]); i++) {
        variables[i] = plain(envp[i]);
    }
    struct spawn_record record = {.id = id};
    snprintf(record.name, sizeof record.name, "worker/%" PRIu64, id);
    cr_assert(spawn_text_pack(&record, text, sizeof text, folder, arguments, variables));
    for (int i = 0; limits && limits[i]; i++) {
        cr_assert(spawn_text_limit(&record, text, sizeof text, limits[i]));
    }
    hub_send(&record, text);
}

void
hub_start_worker(uint64_t id, const char *folder, const char *const argv[],
                 const char *const envp[])
{
    start_worker(id, folder, argv, envp, NULL);
}

void
hub_start_limited(uint64_t id, const char *folder, const char *const argv[],
                  const char *const limits[])
{
    start_worker(id, folder, argv, NULL, limits);
}

pid_t
hub_probe(uint64_t id, const char *mode, int *output)
{
    const char *const argv[] = {hub_probe_path(), mode, dir_path(), NULL};
    hub_start_worker(id, "", argv, NULL);
    return hub_expect(SPAWN_STARTED, id, output).pid;
}

void
hub_signal(uint64_t id, int signal_number, bool whole_group)
{
    const struct spawn_record record = {.version = SPAWN_RECORDS_VERSION,
                                        .op = SPAWN_SIGNAL,
                                        .id = id,
                                        .signal = signal_number,
                                        .whole_group = whole_group};
    hub_send(&record, NULL);
}

struct spawn_record
hub_receive(int *output)
{
    struct spawn_record record;
    int fd = -1;
    cr_assert(until_readable(hub.link, HUB_DEADLINE_MS), "nothing came: %s", hub_log());
    const enum spawn_io got = spawn_record_receive(hub.link, &record, NULL, 0, &fd);
    cr_assert_eq(got, SPAWN_IO_DONE, "got %d: %s", (int)got, hub_log());
    if (output) {
        *output = fd;
    } else if (fd >= 0) {
        close(fd);
        cr_assert_fail("a descriptor came with op %d", record.op);
    }
    return record;
}

struct spawn_record
hub_expect(enum spawn_op op, uint64_t id, int *output)
{
    const struct spawn_record record = hub_receive(output);
    cr_assert(record.op == op && record.id == id,
              "expected op %d id %" PRIu64 ", got op %d id %" PRIu64 " step %d error %d", (int)op,
              id, record.op, record.id, record.step, record.error);
    cr_assert_eq(record.epoch, (uint64_t)hub.hello.epoch);
    if (output) {
        cr_assert(*output >= 0, "no descriptor came with op %d", record.op);
    }
    return record;
}

void
hub_expect_silence(void)
{
    const uint64_t nobody = UINT64_MAX;
    hub_signal(nobody, SIGTERM, false);
    const struct spawn_record record = hub_expect(SPAWN_FAILED, nobody, NULL);
    cr_assert_eq(record.step, SPAWN_STEP_SIGNAL);
    cr_assert_eq(record.error, ESRCH);
}

void
hub_broker_exit(int exit_code)
{
    const struct fake_command command = {.what = FAKE_EXIT, .value = exit_code};
    close_fd(&hub.link);
    cr_assert_eq(send(hub.broker_fd, &command, sizeof command, MSG_NOSIGNAL),
                 (ssize_t)sizeof command);
}

void
hub_broker_kill(void)
{
    close_fd(&hub.link);
    cr_assert_eq(kill(hub.hello.pid, SIGKILL), 0);
}

int
hub_wait(void)
{
    int status = 0;
    cr_assert(until_exit(hub.keeper, &status, HUB_DEADLINE_MS), "prongd does not end: %s",
              hub_log());
    hub.keeper = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void
hub_down(void)
{
    const struct spawn_record record = {.version = SPAWN_RECORDS_VERSION, .op = SPAWN_END};
    hub_send(&record, NULL);
    hub_broker_exit(0);
    cr_assert_eq(hub_wait(), 0, "%s", hub_log());
    cr_assert_eq(hub_process_count(), 0);
}

bool
hub_read_until(int fd, const char *text)
{
    char buffer[4096];
    size_t used = 0;
    while (used < sizeof buffer - 1 && until_readable(fd, HUB_DEADLINE_MS)) {
        const ssize_t got = read(fd, buffer + used, 1);
        if (got <= 0) {
            return false;
        }
        buffer[++used] = '\0';
        if (strstr(buffer, text)) {
            return true;
        }
    }
    return false;
}

const char *
hub_read_all(int fd, char *buffer, size_t capacity)
{
    size_t used = 0;
    while (used < capacity - 1 && until_readable(fd, HUB_DEADLINE_MS)) {
        const ssize_t got = read(fd, buffer + used, capacity - 1 - used);
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
    }
    buffer[used] = '\0';
    return buffer;
}

int
hub_process_count(void)
{
    static struct procs found;
    procs_tagged(dir_path(), &found);
    return found.count;
}

static bool
is_nothing_left(void *unused)
{
    (void)unused;
    return hub_process_count() == 0;
}

bool
hub_until_nothing_left(int64_t deadline_ms)
{
    return until(deadline_ms, is_nothing_left, NULL);
}

const char *
hub_log(void)
{
    static char text[HUB_LOG_BYTES_MAX];
    char path[DIR_FILE_BYTES_MAX];
    const int fd = open(dir_file(path, "log"), O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    close_fd(&(int){fd});
    text[got > 0 ? got : 0] = '\0';
    return text;
}
