#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/spawn/notify.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"

static int
listen_at(const char *name, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, length);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                 0);
    return fd;
}

static void
expect_text(int fd, const char *text)
{
    char got[64] = "";
    cr_expect_eq(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), (ssize_t)strlen(text));
    cr_expect_str_eq(got, text);
}

Test(notify, reaches_a_path, .init = dir_enter, .fini = dir_leave)
{
    char path[DIR_FILE_BYTES_MAX];
    dir_file(path, "n");
    const int fd = listen_at(path, strlen(path) + 1);
    cr_expect_eq(notify_send(path, "READY=1"), NOTIFY_SENT);
    expect_text(fd, "READY=1");
    close(fd);
}

Test(notify, reaches_an_abstract_name)
{
    char name[64];
    snprintf(name, sizeof name, "@prong-test-notify-%d", (int)getpid());
    const size_t length = strlen(name);
    char bytes[64];
    memcpy(bytes, name, length);
    bytes[0] = '\0';
    const int fd = listen_at(bytes, length);
    cr_expect_eq(notify_send(name, "STOPPING=1"), NOTIFY_SENT);
    expect_text(fd, "STOPPING=1");
    close(fd);
}

Test(notify, a_watchdog_is_only_what_was_asked_of_this_process)
{
    static const struct {
        const char *usec, *pid;
        int64_t watchdog_us;
    } rows[] = {
        {"30000000", NULL, 30000000},
        {"30000000", "", 30000000},
        {"30000000", "77", 30000000},
        {"1", "77", 1},
        {"30000000", "78", 0},
        {"30000000", "77x", 0},
        {NULL, "77", 0},
        {"", NULL, 0},
        {"0", NULL, 0},
        {"-5", NULL, 0},
        {" 5", NULL, 0},
        {"5s", NULL, 0},
        {"31536000000001", NULL, 0},
        {"99999999999999999999", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_eq(notify_watchdog_us(rows[i].usec, rows[i].pid, 77), rows[i].watchdog_us,
                     "row %zu", i);
    }
}

Test(notify, a_full_receiver_is_tried_later_and_a_missing_one_never, .init = dir_enter,
     .fini = dir_leave, .timeout = 20)
{
    char path[DIR_FILE_BYTES_MAX];
    dir_file(path, "n");
    const int fd = listen_at(path, strlen(path) + 1);
    enum notify_result result = NOTIFY_SENT;
    for (int i = 0; i < 100000 && result == NOTIFY_SENT; i++) {
        result = notify_send(path, "x");
    }
    cr_expect_eq(result, NOTIFY_LATER);
    close(fd);
    cr_expect_eq(notify_send(path, "x"), NOTIFY_FAILED);
    cr_expect_eq(notify_send("relative", "x"), NOTIFY_FAILED);
    cr_expect_eq(notify_send("/", "x"), NOTIFY_FAILED);
    cr_expect_eq(notify_send("", "x"), NOTIFY_FAILED);
    char name[200];
    memset(name, 'x', sizeof name - 1);
    name[0] = '@';
    name[sizeof name - 1] = '\0';
    cr_expect_eq(notify_send(name, "x"), NOTIFY_FAILED);
}
