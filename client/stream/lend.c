/* The connection to the hub's memory: see inside.h. */
#include "client/stream/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/clock/clock.h"

enum { SLICE_MS = 100, NS_PER_MS = 1000000 };

prong_err
fail(struct why why, prong_err code, const char *format, ...)
{
    if (why.text != NULL && why.size > 0) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(why.text, why.size, format, args);
        va_end(args);
    }
    return code;
}

int64_t
stream_until_ns(int32_t timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX : clock_mono_ns() + (int64_t)timeout_ms * 1000000;
}

int
stream_left_ms(int64_t until_ns)
{
    if (until_ns == INT64_MAX) {
        return -1;
    }
    const int64_t left_ns = until_ns - clock_mono_ns();
    return left_ns <= 0 ? 0 : (int)((left_ns + 999999) / 1000000);
}

bool
stream_name_is_good(const char *name)
{
    const size_t len = name == NULL ? 0 : strnlen(name, LEND_NAME_BYTES);
    return len > 0 && len < LEND_NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

prong_err
stream_bad_name(const char *name, struct why why)
{
    return fail(why, PRONG_INVALID_ARGUMENT,
                "a stream is named with 1 to 64 of a-z 0-9 _ -, not '%.80s'",
                name == NULL ? "" : name);
}

/* The folder of the socket in the URL, opened; so that the length of its path is no matter. */
static prong_err
open_folder(const char *url, int *folder, struct why why)
{
    static const char scheme[] = "ipc://";
    char path[4096];
    if (url == NULL || strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return fail(why, PRONG_UNIMPLEMENTED,
                    "streams are shared memory: they need the hub's local socket (ipc://PATH), "
                    "not %s",
                    url == NULL ? "nothing" : url);
    }
    const char *slash = strrchr(url, '/');
    const char *begin = url + sizeof scheme - 1;
    const int len = slash > begin ? (int)(slash - begin) : 0;
    if (len == 0 || len >= (int)sizeof path) {
        return fail(why, PRONG_INVALID_ARGUMENT, "%s is no path of a socket", url);
    }
    (void)snprintf(path, sizeof path, "%.*s", len, begin);
    *folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder < 0 && (errno == EMFILE || errno == ENFILE)) {
        return fail(why, PRONG_RESOURCE_EXHAUSTED, "no descriptors: %s", strerror(errno));
    }
    return *folder >= 0 ? PRONG_OK
                        : fail(why, PRONG_UNAVAILABLE, "no hub at %s: %s", path, strerror(errno));
}

prong_err
lend_connect(const char *url, int *out, struct why why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int folder = -1, fd = -1;
    prong_err err = open_folder(url, &folder, why);
    if (err != PRONG_OK) {
        return err;
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" LEND_SOCKET,
                   folder);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        err = fail(why, PRONG_RESOURCE_EXHAUSTED, "no socket: %s", strerror(errno));
    } else if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        err = fail(why, errno == EACCES ? PRONG_PERMISSION_DENIED : PRONG_UNAVAILABLE,
                   "cannot reach the memory of the hub at %s: %s", url, strerror(errno));
        (void)close(fd);
    } else {
        *out = fd;
    }
    (void)close(folder);
    return err;
}

void
lend_leave(int fd, pid_t owner)
{
    if (owner == getpid()) {
        (void)shutdown(fd, SHUT_RDWR); /* fails when the hub is gone, which is as good */
    }
    (void)close(fd);
}

/* Wait a moment, or until the socket is ready for this; how long that was. A process that is
 * stopped, or a machine that stands still, does not wait: the clock runs on, but the hub could not
 * answer, or its answer is only now to be seen. So a slice is never longer than it was meant to be.
 */
static int64_t
wait_slice(int fd, short events)
{
    struct pollfd wait = {.fd = fd, .events = events};
    const int64_t since_ns = clock_mono_ns();
    (void)poll(&wait, 1, SLICE_MS); /* what came is seen by the caller */
    const int64_t slept_ns = clock_mono_ns() - since_ns;
    const int64_t most_ns = (int64_t)SLICE_MS * NS_PER_MS;
    return slept_ns < most_ns ? slept_ns : most_ns;
}

/* One more slice, when there was not enough waiting yet. */
static prong_err
wait_for_hub(int fd, short events, int64_t *waited_ns, struct why why)
{
    if (*waited_ns >= (int64_t)ANSWER_MS * NS_PER_MS) {
        return fail(why, PRONG_DEADLINE_EXCEEDED, "the hub did not answer in %d s",
                    ANSWER_MS / 1000);
    }
    *waited_ns += wait_slice(fd, events);
    return PRONG_OK;
}

prong_err
lend_ask(int fd, struct lend_record *record, struct why why)
{
    int64_t waited_ns = 0;
    prong_err err = PRONG_OK;
    record->version = LEND_VERSION;
    while (err == PRONG_OK) {
        const enum pass_result sent = pass_send(fd, record, NULL, 0);
        if (sent == PASS_OK) {
            return PRONG_OK;
        }
        if (sent == PASS_GONE) {
            return fail(why, PRONG_UNAVAILABLE, "the hub is gone");
        }
        /* What needs no answer has filled the socket, and a connection is not given up for that:
         * what was lent over it would go. */
        err = wait_for_hub(fd, POLLOUT, &waited_ns, why);
    }
    return err;
}

prong_err
lend_answer(int fd, struct lend_record *record, int fds[LEND_FDS_MAX], struct why why)
{
    int64_t waited_ns = 0;
    prong_err err = PRONG_OK;
    while (err == PRONG_OK) {
        const enum pass_result got = pass_receive(fd, record, fds);
        if (got == PASS_OK && record->op == LEND_REFUSED) {
            pass_close(fds, record->fds);
            return fail(why, record->code != 0 ? (prong_err)record->code : PRONG_INTERNAL, "%s",
                        record->text);
        }
        if (got == PASS_OK) {
            return PRONG_OK;
        }
        if (got == PASS_GONE && errno == EMFILE) {
            return fail(why, PRONG_RESOURCE_EXHAUSTED, "no descriptors: %s", strerror(errno));
        }
        if (got == PASS_GONE) {
            return fail(why, PRONG_UNAVAILABLE, "the hub is gone");
        }
        err = wait_for_hub(fd, POLLIN, &waited_ns, why);
    }
    return err;
}

void *
lend_map(int fd, size_t bytes, bool writable)
{
    if (!pass_is_memory(fd, bytes)) {
        return NULL;
    }
    void *at = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}
