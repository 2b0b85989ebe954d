/* Between a test and fake_broker.c, over a SOCK_SEQPACKET connection. */
#ifndef PRONG_TESTS_E2E_SPAWN_FAKE_BROKER_H
#define PRONG_TESTS_E2E_SPAWN_FAKE_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Its first message, with descriptor 3 of the broker. */
struct fake_hello {
    pid_t pid, parent;
    long epoch, keeper;
    uint64_t open_fds; /* bit n: descriptor n was open at the start */
    bool has_notify_socket;
    char arguments[1024]; /* one per line */
};

enum { FAKE_EXIT, FAKE_CLOSE };

struct fake_command {
    int what;
    int value; /* FAKE_EXIT: the exit code */
};

#endif
