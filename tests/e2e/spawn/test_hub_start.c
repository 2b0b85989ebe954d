/* How prongd starts, refuses to start, and ends: arguments, runtime directory, broker, signals. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/e2e/spawn/hub.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

#define HUB_TEST(name) Test(hub_start, name, .init = hub_enter, .fini = hub_leave)

HUB_TEST(starts_the_broker_with_its_arguments_and_nothing_else_open)
{
    char expected[512];
    hub_start((const char *const[]){"--config", "some.yaml", NULL}, NULL);
    hub_accept(true);
    const struct fake_hello *hello = &hub_get()->hello;
    snprintf(expected, sizeof expected, "--runtime-dir\n%s/run\n--config\nsome.yaml\n", dir_path());
    cr_expect_str_eq(hello->arguments, expected);
    cr_expect_eq(hello->open_fds, 0xfU, "descriptors %llx", (unsigned long long)hello->open_fds);
    cr_expect_eq(hello->epoch, 1);
    cr_expect_eq(hello->keeper, (long)hub_get()->keeper);
    cr_expect_eq(procs_parent(hello->parent), hub_get()->keeper);
    const struct spawn_record greeting = hub_expect(SPAWN_ALIVE_END, 0, NULL);
    cr_expect_eq(greeting.epoch, 1U);
    hub_down();
}

HUB_TEST(passes_no_config_on)
{
    hub_start((const char *const[]){"--no-config", NULL}, NULL);
    hub_accept(false);
    cr_expect_not_null(strstr(hub_get()->hello.arguments, "\n--no-config\n"));
    hub_down();
}

HUB_TEST(keeper_and_spawner_have_one_thread_and_few_descriptors)
{
    hub_up();
    hub_expect_silence(); /* then the broker's birth is over for the spawner, too */
#if !defined(__SANITIZE_THREAD__)
    cr_expect_eq(procs_thread_count(hub_get()->keeper), 1);
    cr_expect_eq(procs_thread_count(hub_get()->spawner), 1);
#endif
    /* 0 to 2, directory, lock, pair, signalfd; the spawner has /dev/null and the broker's pair, too
     */
    cr_expect_eq(procs_fd_count(hub_get()->keeper, NULL), 7);
    cr_expect_eq(procs_fd_count(hub_get()->spawner, NULL), 9);
    hub_down();
}

HUB_TEST(a_second_hub_exits_75_and_leaves_the_first_untouched)
{
    char run[DIR_FILE_BYTES_MAX];
    char pid[64];
    hub_up();
    const int code = hub_run((const char *const[]){"--runtime-dir", dir_file(run, "run"),
                                                   "--broker", hub_fake_broker_path(), NULL},
                             NULL);
    cr_expect_eq(code, 75);
    snprintf(pid, sizeof pid, "(pid %d)", (int)hub_get()->keeper);
    cr_expect_not_null(strstr(hub_log(), pid), "%s", hub_log());
    hub_expect_silence();
    hub_down();
    /* And after the first is gone the place is free. */
    hub_up();
    hub_down();
}

HUB_TEST(two_hubs_with_names_live_side_by_side)
{
    char run[DIR_FILE_BYTES_MAX];
    hub_start((const char *const[]){"--name", "one", NULL}, NULL);
    hub_accept(false);
    snprintf(run, sizeof run, "--runtime-dir\n%s/run/one\n", dir_path());
    cr_expect_str_eq(hub_get()->hello.arguments, run);
    const char *const variables[] = {"FAKE_BROKER_EXIT=78", NULL};
    cr_expect_eq(hub_run((const char *const[]){"--runtime-dir", dir_file(run, "run"), "--name",
                                               "two", "--broker", hub_fake_broker_path(), NULL},
                         variables),
                 78);
    hub_down();
}

static void
make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

HUB_TEST(the_socket_of_a_dead_hub_is_removed)
{
    char path[DIR_FILE_BYTES_MAX];
    cr_assert_eq(mkdir("run", 0700), 0);
    make_socket(dir_file(path, "run/hub.sock"));
    hub_up();
    cr_expect_eq(access(path, F_OK), -1);
    make_socket(path);
    hub_down();
    cr_expect_eq(access(path, F_OK), -1);
}

/* What stands in the way, made by one of these; the broker would end with 42 if it were started. */
static void
make_open_directory(void)
{
    mkdir("run", 0700);
    chmod("run", 0777);
}
static void
make_group_directory(void)
{
    mkdir("run", 0700);
    chmod("run", 0770);
}
static void
make_link(void)
{
    mkdir("real", 0700);
    cr_assert_eq(symlink("real", "run"), 0);
}
static void
make_file(void)
{
    dir_write("run", "text", 0600);
}
static void
make_file_as_socket(void)
{
    mkdir("run", 0700);
    dir_write("run/hub.sock", "text", 0600);
}
static void
make_link_as_lock(void)
{
    mkdir("run", 0700);
    cr_assert_eq(symlink("/dev/null", "run/lock"), 0);
}
static void
make_fifo_as_lock(void)
{
    mkdir("run", 0700);
    cr_assert_eq(mkfifo("run/lock", 0600), 0);
}
static void
make_directory_as_lock(void)
{
    mkdir("run", 0700);
    mkdir("run/lock", 0700);
}
static void
make_foreign_directory(void)
{
    mkdir("run", 0700);
    if (chown("run", 12345, 12345) != 0) {
        test_skip("only root can give a folder away");
    }
}
static void
make_open_parent(void)
{
    chmod(dir_path(), 0777);
}
static void
make_private_directory(void)
{
    mkdir("run", 0750);
}

struct obstacle {
    const char *name;
    void (*make)(void);
    int exit_code;
    const char *text;
};

static const struct obstacle obstacles[] = {
    {"0777", make_open_directory, 77, "chmod go-w"},
    {"0770", make_group_directory, 77, "chmod go-w"},
    {"symbolic link", make_link, 73, "symbolic link"},
    {"file", make_file, 73, "no directory"},
    {"file as socket", make_file_as_socket, 73, "move it away"},
    {"link as lock", make_link_as_lock, 73, "symbolic link"},
    {"fifo as lock", make_fifo_as_lock, 73, "no regular file"},
    {"directory as lock", make_directory_as_lock, 73, "lock"},
    {"another's", make_foreign_directory, 77, "chown"},
    {"open parent", make_open_parent, 77, "rename"},
    {"0750 is fine", make_private_directory, 78, "exit code 78"},
};

HUB_TEST(refuses_a_runtime_directory_that_is_not_safe)
{
    char run[DIR_FILE_BYTES_MAX];
    for (size_t i = 0; i < sizeof obstacles / sizeof obstacles[0]; i++) {
        const struct obstacle *o = &obstacles[i];
        o->make();
        unlink("log");
        const int code = hub_run((const char *const[]){"--runtime-dir", dir_file(run, "run"),
                                                       "--broker", hub_fake_broker_path(), NULL},
                                 (const char *const[]){"FAKE_BROKER_EXIT=78", NULL});
        cr_expect_eq(code, o->exit_code, "%s: %d %s", o->name, code, hub_log());
        cr_expect_not_null(strstr(hub_log(), o->text), "%s: %s", o->name, hub_log());
        chmod(dir_path(), 0700);
        unlink("run");
        dir_remove(run);
    }
}

struct usage {
    const char *arguments[4];
    int exit_code;
    const char *text;
};

static const struct usage usages[] = {
    {{"--runtime-dri", "x"}, 64, "did you mean --runtime-dir?"},
    {{"--frobnicate"}, 64, "allowed: --config"},
    {{"--name", "A"}, 64, "a-z 0-9 _ -"},
    {{"--config"}, 64, "--config needs a value"},
    {{"--config", "a", "--no-config"}, 64, "exclude each other"},
    {{"--with-parent", "here"}, 64, "is not the number of a process"},
    {{"--with-parent", "1"}, 64, "that process did not start prongd, or has ended"},
    {{"start"}, 64, "unexpected argument 'start'"},
    {{"--broker", "/nonexistent/broker", "--runtime-dir", "run"}, 71, "No such file"},
    {{"--broker", "/etc/passwd", "--runtime-dir", "run"}, 71, "exec: Permission denied"},
    {{"--runtime-dir", "missing/run", "--broker=x"}, 73, "missing"},
    {{"--version"}, 0, ""},
    {{"--help"}, 0, ""},
};

HUB_TEST(says_what_is_wrong_with_its_arguments)
{
    for (size_t i = 0; i < sizeof usages / sizeof usages[0]; i++) {
        const char *arguments[5] = {NULL};
        memcpy(arguments, usages[i].arguments, sizeof usages[i].arguments);
        unlink("log");
        const int code = hub_run(arguments, NULL);
        cr_expect_eq(code, usages[i].exit_code, "%s: %d", arguments[0], code);
        cr_expect_not_null(strstr(hub_log(), usages[i].text), "%s: %s", arguments[0], hub_log());
        if (code == 64) {
            cr_expect_eq(strchr(hub_log(), '\n'), strrchr(hub_log(), '\n'), "one line: %s",
                         hub_log());
        }
    }
}

struct refusal {
    const char *variable;
    int exit_code;
};

static const struct refusal refusals[] = {
    {"FAKE_BROKER_EXIT=78", 78},  {"FAKE_BROKER_EXIT=64", 64},   {"FAKE_BROKER_EXIT=71", 71},
    {"FAKE_BROKER_EXIT=1", 69},   {"FAKE_BROKER_EXIT=0", 69},    {"FAKE_BROKER_EXIT=79", 69},
    {"FAKE_BROKER_SIGNAL=9", 69}, {"FAKE_BROKER_SIGNAL=15", 69},
};

HUB_TEST(a_broker_that_refuses_gives_the_exit_code_and_one_that_only_dies_gives_69)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        hub_start(NULL, (const char *const[]){refusals[i].variable, NULL});
        cr_expect_eq(hub_wait(), refusals[i].exit_code, "%s: %s", refusals[i].variable, hub_log());
        cr_expect_eq(hub_process_count(), 0);
    }
}

enum { VARIABLE_BYTES_MAX = DIR_FILE_BYTES_MAX + 32 };

static int
listen_for_news(struct sockaddr_un *address, socklen_t *length, bool is_abstract,
                char variable[VARIABLE_BYTES_MAX])
{
    char path[DIR_FILE_BYTES_MAX];
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "%s", dir_file(path, "notify"));
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (is_abstract) {
        path[0] = '@';
        address->sun_path[0] = '\0';
    }
    snprintf(variable, VARIABLE_BYTES_MAX, "NOTIFY_SOCKET=%s", path);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)address, *length), 0, "%s", strerror(errno));
    return fd;
}

static void
expect_news(int fd, const char *text)
{
    char got[256] = "";
    cr_assert(until_readable(fd, HUB_DEADLINE_MS), "%s did not come", text);
    cr_assert(recv(fd, got, sizeof got - 1, 0) > 0);
    cr_expect_str_eq(got, text);
}

static void
check_news(bool is_abstract)
{
    char variable[VARIABLE_BYTES_MAX];
    char ready[64];
    struct sockaddr_un address;
    socklen_t length;
    const int news = listen_for_news(&address, &length, is_abstract, variable);
    hub_start(NULL, (const char *const[]){variable, "WATCHDOG_USEC=3600000000", NULL});
    hub_accept(false);
    cr_expect_not(hub_get()->hello.has_notify_socket);
    kill(hub_get()->keeper, SIGHUP); /* a reload before the first READY=1 is no news */
    hub_expect(SPAWN_RELOAD, 0, NULL);
    const struct spawn_record is_ready = {.version = SPAWN_RECORDS_VERSION, .op = SPAWN_READY};
    hub_send(&is_ready, NULL);
    hub_send(&is_ready, NULL);
    snprintf(ready, sizeof ready, "READY=1\nMAINPID=%d", (int)hub_get()->keeper);
    expect_news(news, ready);
    if (is_abstract) {
        const struct spawn_record stopping = {.version = SPAWN_RECORDS_VERSION,
                                              .op = SPAWN_STOPPING};
        hub_send(&stopping, NULL);
    } else {
        kill(hub_get()->keeper, SIGTERM);
        cr_expect_eq(hub_expect(SPAWN_STOP, 0, NULL).status, 1);
    }
    expect_news(news, "STOPPING=1");
    hub_down();
    char rest[16];
    cr_expect_eq(recv(news, rest, sizeof rest, MSG_DONTWAIT), -1, "each is told once");
    close(news);
}

static void
answer(enum spawn_op op)
{
    hub_send(&(struct spawn_record){.version = SPAWN_RECORDS_VERSION, .op = (uint16_t)op}, NULL);
}

/* Past pings and what they led to: the next text that is no WATCHDOG=1. */
static void
next_news(int fd, char got[256])
{
    do {
        memset(got, 0, 256);
        cr_assert(until_readable(fd, HUB_DEADLINE_MS), "no news");
        cr_assert(recv(fd, got, 255, 0) > 0);
    } while (strcmp(got, "WATCHDOG=1") == 0);
}

HUB_TEST(feeds_the_watchdog_for_an_answer_of_the_broker_and_tells_a_reload_from_start_to_end)
{
    char variable[VARIABLE_BYTES_MAX], got[256];
    struct sockaddr_un address;
    socklen_t length;
    const int news = listen_for_news(&address, &length, false, variable);
    hub_start(NULL, (const char *const[]){variable, "WATCHDOG_USEC=20000", NULL});
    hub_accept(false);
    hub_expect(SPAWN_PING, 0, NULL);
    /* Nobody answered, so there is no second question and nothing is fed. */
    cr_expect_not(until_readable(news, 100));
    cr_expect_not(until_readable(hub_get()->link, 1));
    answer(SPAWN_PONG);
    answer(SPAWN_PONG); /* one too many is worth nothing */
    expect_news(news, "WATCHDOG=1");
    hub_expect(SPAWN_PING, 0, NULL);
    /* The next broker is asked anew. */
    hub_broker_kill();
    hub_accept(false);
    hub_expect(SPAWN_PING, 0, NULL);
    answer(SPAWN_READY);
    next_news(news, got);
    cr_expect_eq(strncmp(got, "READY=1\n", 8), 0, "%s", got);
    kill(hub_get()->keeper, SIGHUP);
    hub_expect(SPAWN_RELOAD, 0, NULL);
    next_news(news, got);
    cr_expect_eq(strncmp(got, "RELOADING=1\nMONOTONIC_USEC=", 27), 0, "%s", got);
    cr_expect_gt(strtoll(got + 27, NULL, 10), 0);
    answer(SPAWN_RELOADED);
    next_news(news, got);
    cr_expect_eq(strncmp(got, "READY=1\n", 8), 0, "%s", got);
    /* A broker that dies while it reloads ends the reload, too. */
    kill(hub_get()->keeper, SIGHUP);
    hub_expect(SPAWN_RELOAD, 0, NULL);
    next_news(news, got);
    cr_expect_eq(strncmp(got, "RELOADING=1\n", 12), 0, "%s", got);
    hub_broker_kill();
    next_news(news, got);
    cr_expect_eq(strncmp(got, "READY=1\n", 8), 0, "%s", got);
    hub_accept(false);
    hub_down();
    close(news);
}

HUB_TEST(tells_the_service_manager_by_path)
{
    check_news(false);
}

HUB_TEST(tells_the_service_manager_by_abstract_name)
{
    check_news(true);
}

HUB_TEST(signals_stop_in_order_then_in_a_hurry_then_at_once)
{
    int output;
    hub_up();
    const pid_t worker = hub_probe(1, "stubborn", &output);
    cr_assert(hub_read_until(output, "up"));
    kill(hub_get()->keeper, SIGHUP);
    hub_expect(SPAWN_RELOAD, 0, NULL);
    kill(hub_get()->keeper, SIGUSR1);
    hub_expect(SPAWN_REOPEN, 0, NULL);
    kill(hub_get()->keeper, SIGUSR2); /* says nothing to a hub */
    kill(hub_get()->keeper, SIGTERM);
    cr_expect_eq(hub_expect(SPAWN_STOP, 0, NULL).status, 1);
    kill(hub_get()->spawner, SIGTERM); /* a manager that signals the whole group: no news here */
    hub_expect_silence();
    kill(hub_get()->keeper, SIGINT);
    cr_expect_eq(hub_expect(SPAWN_STOP, 0, NULL).status, 2);
    cr_expect(procs_is_alive(worker));
    kill(hub_get()->keeper, SIGTERM);
    cr_expect_eq(hub_wait(), 0);
    cr_expect_eq(hub_process_count(), 0);
    close(output);
}

HUB_TEST(a_stop_is_told_again_to_the_next_broker)
{
    hub_up();
    kill(hub_get()->keeper, SIGTERM);
    cr_expect_eq(hub_expect(SPAWN_STOP, 0, NULL).status, 1);
    hub_broker_kill();
    hub_accept(false);
    cr_expect_eq(hub_expect(SPAWN_STOP, 0, NULL).status, 1);
    hub_down();
}

HUB_TEST(the_exit_code_is_what_the_broker_says_at_the_end)
{
    hub_up();
    const struct spawn_record record = {
        .version = SPAWN_RECORDS_VERSION, .op = SPAWN_END, .status = 70};
    hub_send(&record, NULL);
    hub_broker_exit(3);
    cr_expect_eq(hub_wait(), 70);
}

HUB_TEST(a_broker_that_does_not_exit_after_its_end_is_swept)
{
    int output;
    hub_up();
    hub_probe(1, "stubborn", &output);
    const struct spawn_record record = {.version = SPAWN_RECORDS_VERSION, .op = SPAWN_END};
    hub_send(&record, NULL);
    cr_expect_eq(hub_wait(), 0);
    cr_expect_eq(hub_process_count(), 0);
    close(output);
}

HUB_TEST(starts_with_closed_standard_descriptors)
{
    /* The shell closes them; what then would be descriptor 2 may not be the lock. */
    char command[1024];
    snprintf(command, sizeof command,
             "FAKE_BROKER_EXIT=78 '%s' --runtime-dir '%s/run' --broker '%s' <&- >&- 2>&-",
             hub_prongd_path(), dir_path(), hub_fake_broker_path());
    const int status = system(command);
    cr_expect_eq(status, 78 << 8);
    char text[64] = "";
    const int fd = open("run/lock", O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0);
    cr_assert(read(fd, text, sizeof text - 1) > 0);
    cr_expect_eq(strspn(text, "0123456789\n"), strlen(text), "the log went into the lock: %s",
                 text);
    close(fd);
}
