/* What programs that do not speak the protocol say of themselves: READY=1, WATCHDOG=1, STATUS=...
 * to the socket of NOTIFY_SOCKET as to a service manager (sd_notify(3) has the format), a port on
 * which they listen, a line that they write. And processes that the hub has not started: their end.
 *
 * Owns its sockets and pidfds. Runs on the loop thread. */
#ifndef PRONG_SHELL_NOTICE_H
#define PRONG_SHELL_NOTICE_H

#include "broker/core/hub.h"
#include "broker/shell/log.h"

struct notice;

struct notice_options {
    int epoll_fd;
    const char *path; /* of the socket, borrowed for ever */
    const struct log *log;
    /* To the core: HUB_IN_NOTIFY or HUB_IN_EXITED, without the time. */
    void (*tell)(void *context, struct hub_input *in);
    /* The process of a replica that has this pid, 0 when none has. */
    uint64_t (*find)(void *context, int32_t pid);
    void *context;
};

/* Listens already. NULL with a message in the log. */
struct notice *notice_new(const struct notice_options *options);
/* Accepts NULL. */
void notice_free(struct notice *n);
/* A process runs: look for its port, or for its line, if that is how it gets ready. */
void notice_watch(struct notice *n, uint64_t process, const struct worker_spec *spec,
                  uint32_t replica);
/* It wrote a line. */
void notice_line(struct notice *n, uint64_t process, const char *text, size_t len);
/* It is gone. */
void notice_forget(struct notice *n, uint64_t process);
/* Watch a process that is not the spawner's; false with errno when that cannot be. */
bool notice_adopt(struct notice *n, uint64_t process, int32_t pid);
/* Send it a signal. */
void notice_signal(struct notice *n, uint64_t process, int signal);
/* When notice_turn wants to be called at the latest, HUB_NEVER when never. */
int64_t notice_deadline_ns(const struct notice *n);
/* Once each turn of the loop. */
void notice_turn(struct notice *n, int64_t now_ns);

/* Take one datagram of sd_notify(3) apart: what it says of `ready`, `sign`, `extend_ms`; its status
 * as a text in `status`, "" when there is none. What is not known is left alone. */
struct notice_words {
    bool ready, sign;
    int64_t extend_ms;
    bool has_status;
    char status[96]; /* "" forgets what was said before */
};
struct notice_words notice_read(const char *text, size_t len);
/* "8080", "127.0.0.1:8080", "[::1]:80%i" of replica 2 to host and port. false when it does not fit.
 */
bool notice_address(const char *at, uint32_t replica, char host[64], char port[8]);

#endif
