/* What another process says: see capture.h. */
#include "client/cli/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/hub.h"
#include "client/cli/program.h"
#include "client/cli/unit.h"

enum { PIECE_BYTES = 16 * 1024 };

void
capture_deinit(struct capture *capture)
{
    free(capture->text);
    *capture = (struct capture){.code = -1};
}

static bool
keep(struct capture *c, const char *piece, size_t len, size_t bytes_max)
{
    const size_t room = bytes_max - c->len;
    const size_t n = len < room ? len : room;
    char *text = realloc(c->text, c->len + n + 1);
    c->is_cut |= n < len;
    if (text == NULL) {
        return false;
    }
    memcpy(text + c->len, piece, n);
    c->text = text;
    c->len += n;
    c->text[c->len] = '\0';
    return true;
}

/* Take what is there. False when memory is out; *is_over when nothing more can come. */
static bool
drain(struct capture *c, int fd, size_t bytes_max, bool *is_over)
{
    char piece[PIECE_BYTES];
    ssize_t n;
    while ((n = read(fd, piece, sizeof piece)) > 0) {
        if (!keep(c, piece, (size_t)n, bytes_max)) {
            return false;
        }
    }
    *is_over = n == 0 || (errno != EAGAIN && errno != EINTR);
    return true;
}

/* Until the process `pid`, which leads its group, has ended; a grandchild that still has the pipe
 * is not waited for. */
static bool
collect(struct cli *cli, int fd, pid_t pid, const struct capture_limits *limits, struct capture *c)
{
    const int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool is_over = false, has_ended = false, has_memory = true;
    while (!has_ended && has_memory && !c->is_late && !c->is_interrupted) {
        struct pollfd polls[] = {{.fd = is_over ? -1 : fd, .events = POLLIN},
                                 {.fd = pid_fd, .events = POLLIN},
                                 {.fd = cli->signal_fd, .events = POLLIN}};
        const int32_t left_ms = unit_left_ms(limits->deadline_ms, 3600000);
        const int n = poll(polls, 3, left_ms);
        c->is_interrupted = hub_read_signals(cli);
        has_ended = pid_fd < 0 ? is_over : polls[1].revents != 0;
        c->is_late = n == 0 && !has_ended && unit_now_ms() >= limits->deadline_ms;
        has_memory = is_over || drain(c, fd, limits->bytes_max, &is_over);
    }
    if (!has_ended) {
        (void)kill(-pid, SIGKILL); /* it cannot be gone: nobody has waited for it yet */
        (void)kill(pid, SIGKILL);  /* a child that has not made its group yet */
    }
    if (pid_fd >= 0) {
        (void)close(pid_fd);
    }
    c->code = program_wait(pid);
    return has_memory && (c->text != NULL || keep(c, "", 0, limits->bytes_max));
}

static bool
make_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
}

static bool
finish(struct cli *cli, int ends[2], pid_t pid, const struct capture_limits *limits,
       struct capture *out)
{
    (void)close(ends[1]);
    const bool ok =
        pid > 0 ? collect(cli, ends[0], pid, limits, out) : keep(out, "", 0, limits->bytes_max);
    (void)close(ends[0]);
    if (!ok) {
        capture_deinit(out);
    }
    return ok;
}

bool
capture_run(struct cli *cli, const char *path, const char *const argv[],
            const struct capture_limits *limits, struct capture *out)
{
    int ends[2];
    pid_t pid = 0;
    *out = (struct capture){.code = -1};
    if (!make_pipe(ends)) {
        return false;
    }
    out->error = program_start(path, argv, ends[1], &pid);
    return finish(cli, ends, out->error == 0 ? pid : 0, limits, out);
}

bool
capture_call(struct cli *cli, int (*run)(struct cli *cli, void *context, FILE *out), void *context,
             const struct capture_limits *limits, struct capture *out)
{
    int ends[2];
    *out = (struct capture){.code = -1};
    if (!make_pipe(ends)) {
        return false;
    }
    (void)fflush(stdout); /* or the child would write it, too */
    const pid_t pid = fork();
    if (pid == 0) {
        (void)setpgid(0, 0);
        (void)dup2(ends[1], STDERR_FILENO); /* what fails is told in the same place */
        FILE *file = fdopen(ends[1], "w");
        const int code = file != NULL ? run(cli, context, file) : CLI_FAILED;
        /* Not exit(): what is registered for that belongs to the parent. */
        _exit(file != NULL && fflush(file) == 0 ? code : CLI_FAILED);
    }
    out->error = pid < 0 ? errno : 0;
    return finish(cli, ends, pid > 0 ? pid : 0, limits, out);
}
