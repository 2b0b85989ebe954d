/* Plays the broker's process in tests of prongd. It connects to the test ($FAKE_BROKER_SOCKET),
 * says who it is, and hands over a duplicate of its end of the pair: the test then speaks the
 * records itself, while this process lives and dies as it is told. With $FAKE_BROKER_EXIT it exits
 * at once with that code, with $FAKE_BROKER_SIGNAL it kills itself. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/e2e/spawn/fake_broker.h"

static int
connect_to_test(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        exit(99);
    }
    return fd;
}

static void
say_hello(int test, int argc, char *argv[])
{
    struct fake_hello hello = {.pid = getpid(), .parent = getppid()};
    const char *epoch = getenv("PRONG_EPOCH");
    const char *keeper = getenv("PRONG_KEEPER_PID");
    hello.epoch = epoch ? strtol(epoch, NULL, 10) : 0;
    hello.keeper = keeper ? strtol(keeper, NULL, 10) : 0;
    hello.has_notify_socket = getenv("NOTIFY_SOCKET") != NULL;
    for (int i = 1; i < argc; i++) {
        const size_t used = strlen(hello.arguments);
        snprintf(hello.arguments + used, sizeof hello.arguments - used, "%s\n", argv[i]);
    }
    for (int fd = 0; fd < 64; fd++) {
        if (fd != test && fcntl(fd, F_GETFD) >= 0) {
            hello.open_fds |= 1ULL << fd;
        }
    }
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof(int))}};
    memcpy(CMSG_DATA(&control.header), &(int){3}, sizeof(int));
    struct iovec part = {.iov_base = &hello, .iov_len = sizeof hello};
    const struct msghdr message = {.msg_iov = &part,
                                   .msg_iovlen = 1,
                                   .msg_control = control.bytes,
                                   .msg_controllen = sizeof control.bytes};
    if (sendmsg(test, &message, MSG_NOSIGNAL) != (ssize_t)sizeof hello) {
        exit(98);
    }
}

int
main(int argc, char *argv[])
{
    const char *path = getenv("FAKE_BROKER_SOCKET");
    const char *code = getenv("FAKE_BROKER_EXIT");
    const char *number = getenv("FAKE_BROKER_SIGNAL");
    if (number) {
        raise((int)strtol(number, NULL, 10));
    }
    if (code || !path) {
        return code ? (int)strtol(code, NULL, 10) : 97;
    }
    const int test = connect_to_test(path);
    say_hello(test, argc, argv);
    for (;;) {
        struct fake_command command;
        const ssize_t got = recv(test, &command, sizeof command, 0);
        if (got != (ssize_t)sizeof command) {
            return 96; /* the test is gone */
        }
        if (command.what == FAKE_EXIT) {
            _exit(command.value);
        }
        close(3); /* FAKE_CLOSE */
    }
}
