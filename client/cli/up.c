/* `prong up`: start prongd, detached, and wait until the hub and its workers are ready.
 *
 * Nothing is polled: the socket's appearance is seen by inotify, the end of prongd by its pidfd,
 * the workers by their events. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/cli/hub.h"
#include "client/cli/hubdir.h"
#include "client/cli/output.h"
#include "client/cli/program.h"
#include "client/cli/status.h"
#include "client/cli/unit.h"

enum {
    LAST_LINES = 20,
    LAST_BYTES = 16 * 1024,
    LOG_BYTES_MAX = 1024 * 1024,
    REASON_BYTES = 8 * 1024, /* what must fit for prongd to say why it does not start */
    MEMORY_BYTES = 64 * 1024,
    PROGRAM_ARGS_MAX = 8,
};

struct up {
    struct cli *cli;
    char dir[PATH_MAX], url[PATH_MAX + 16];
    char prongd[PATH_MAX];
    int log_fd;      /* where prongd writes */
    off_t log_start; /* what is before is of an earlier hub */
    int inotify_fd;
    pid_t pid;     /* of prongd; 0 once it was waited for */
    int pid_fd;    /* -1 once it was waited for */
    bool is_other; /* ours ended because another one was faster: it is waited for */
};

/* ---- starting ------------------------------------------------------------------------------- */

static int
list_arguments(const struct up *up, const char *argv[PROGRAM_ARGS_MAX])
{
    int n = 0;
    argv[n++] = up->prongd;
    argv[n++] = "--runtime-dir";
    argv[n++] = up->dir;
    if (up->cli->options.config != NULL) {
        argv[n++] = "--config";
        argv[n++] = up->cli->options.config;
    }
    argv[n] = NULL;
    return n;
}

/* In the hub's directory, for its owner alone. One that has grown is put aside. -1 with errno, also
 * when it takes nothing: on a full disk prongd could not say that the disk is full. */
static int
open_log_file(const char *path)
{
    char aside[PATH_MAX + 24];
    struct stat status;
    const int flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    if (stat(path, &status) == 0 && status.st_size > LOG_BYTES_MAX) {
        (void)snprintf(aside, sizeof aside, "%s.1", path);
        (void)rename(path, aside); /* else it grows on, which is no reason not to start */
    }
    const int fd = open(path, flags, 0600);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))) {
        error = EEXIST;
    } else if (fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, status.st_size, REASON_BYTES) != 0 &&
               errno != EOPNOTSUPP && errno != ENOSYS) {
        error = errno;
    }
    if (error != 0 && fd >= 0) {
        close(fd);
    }
    errno = error;
    return error == 0 ? fd : -1;
}

/* A piece of memory that takes no more when it is full: a hub may run for long. */
static int
open_log_memory(void)
{
    const int fd = memfd_create(HUBDIR_LOG, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && (ftruncate(fd, MEMORY_BYTES) != 0 ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Where the log cannot be written memory takes its place: mostly prongd does not start either, and
 * says why. */
static bool
open_log(struct up *up, bool has_dir)
{
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/" HUBDIR_LOG, up->dir);
    up->log_fd = open_log_file(path);
    if (up->log_fd >= 0) {
        up->log_start = lseek(up->log_fd, 0, SEEK_END);
        return true;
    }
    if (has_dir) {
        output_say(up->cli, "cannot write %s, what the hub says will be lost: %s", path,
                   strerror(errno));
    }
    up->log_fd = open_log_memory();
    return up->log_fd >= 0;
}

static int
start(struct up *up)
{
    struct cli *cli = up->cli;
    const char *argv[PROGRAM_ARGS_MAX];
    const bool has_dir = hubdir_make(cli, up->dir); /* prongd says what is wrong with it */
    if (!open_log(up, has_dir)) {
        output_say(cli, "out of descriptors");
        return CLI_FAILED;
    }
    up->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    /* Where we may not even look prongd will not stay, and says why. */
    if (has_dir &&
        (up->inotify_fd < 0 ||
         inotify_add_watch(up->inotify_fd, up->dir, IN_CREATE | IN_MOVED_TO) < 0) &&
        errno != EACCES) {
        output_say(cli, "cannot watch %s: %s", up->dir, strerror(errno));
        return CLI_FAILED;
    }
    (void)list_arguments(up, argv);
    const int error = program_start(up->prongd, argv, up->log_fd, &up->pid);
    if (error != 0) {
        up->pid = 0;
        output_say(cli, "cannot start %s: %s", up->prongd, strerror(error));
        return CLI_FAILED;
    }
    up->pid_fd = (int)syscall(SYS_pidfd_open, up->pid, 0);
    if (up->pid_fd < 0) {
        output_say(cli, "cannot watch prongd (pid %d): %s", (int)up->pid, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_OK;
}

/* ---- waiting for the socket ----------------------------------------------------------------- */

/* The last lines that prongd wrote since it was started. */
static void
tell_log(const struct up *up)
{
    char text[LAST_BYTES];
    const off_t end = lseek(up->log_fd, 0, SEEK_CUR); /* prongd shares our place in it */
    off_t from = end - (off_t)sizeof text;
    from = from < up->log_start ? up->log_start : from;
    const ssize_t n = end > from ? pread(up->log_fd, text, (size_t)(end - from), from) : 0;
    size_t begin = n > 0 ? (size_t)n : 0, lines = 0;
    while (begin > 0 && lines <= LAST_LINES) {
        begin--;
        lines += text[begin] == '\n' && begin + 1 < (size_t)n;
    }
    begin += begin > 0;
    output_block("", text + begin, (n > 0 ? (size_t)n : 0) - begin);
}

/* prongd has ended before the hub was there. CLI_OK when another hub is to be waited for. */
static int
ended(struct up *up)
{
    const int code = program_wait(up->pid);
    close(up->pid_fd);
    up->pid_fd = -1;
    up->pid = 0;
    if (code == EX_TEMPFAIL) {
        up->is_other = true;
        return CLI_OK;
    }
    tell_log(up);
    output_say(up->cli, "the hub did not start: prongd ended with %d", code);
    return code == 0 ? CLI_FAILED : program_exit_code(code);
}

static int
late(const struct up *up)
{
    char span[UNIT_SPAN_BYTES];
    unit_span(up->cli->options.timeout_ms, span);
    tell_log(up);
    if (up->is_other) {
        output_say(up->cli, "another hub runs in %s, but it does not answer within %s", up->dir,
                   span);
        return CLI_TIMEOUT;
    }
    output_say(up->cli, "the hub did not open %s within %s; prongd (pid %d) goes on", up->url, span,
               (int)up->pid);
    return CLI_TIMEOUT;
}

/* Until something may have changed, or for `most_ms`. */
static int
wait_change(struct up *up, int32_t most_ms)
{
    struct cli *cli = up->cli;
    char ignored[4096];
    struct pollfd polls[] = {{.fd = up->inotify_fd, .events = POLLIN},
                             {.fd = up->pid_fd, .events = POLLIN},
                             {.fd = cli->signal_fd, .events = POLLIN}};
    const int n = poll(polls, 3, unit_left_ms(cli->deadline_ms, most_ms));
    if (n == 0 && unit_now_ms() >= cli->deadline_ms) {
        return late(up);
    }
    if (hub_read_signals(cli)) {
        if (up->pid > 0) {
            (void)kill(up->pid, SIGTERM); /* nothing is up yet, so nothing shall stay */
        }
        return 128 + cli->signal_number;
    }
    while (read(up->inotify_fd, ignored, sizeof ignored) > 0) {
    }
    return polls[1].revents != 0 ? ended(up) : CLI_OK;
}

/* CLI_OK with a client. */
static int
wait_socket(struct up *up)
{
    struct cli *cli = up->cli;
    if (!hub_take_signals(cli)) {
        output_say(cli, "out of descriptors");
        return CLI_FAILED;
    }
    for (;;) {
        char why[400];
        /* Before there is a socket inotify is what to wait for, and the end of prongd. */
        const prong_err err = access(up->url + strlen("ipc://"), F_OK) != 0 && errno == ENOENT
                                  ? PRONG_UNAVAILABLE
                                  : hub_try(cli, up->url, why, sizeof why);
        const bool is_late = err == PRONG_DEADLINE_EXCEEDED;
        if (err == PRONG_OK) {
            /* Ours may not have noticed yet that another one was faster. */
            up->is_other = up->is_other || hubdir_owner(up->dir) != up->pid;
            return CLI_OK;
        }
        /* In a folder of somebody else our prongd ends, and says whose it is. */
        if (err != PRONG_UNAVAILABLE && !is_late &&
            (err != PRONG_PERMISSION_DENIED || up->pid == 0)) {
            return output_error(cli, err, "connecting", why);
        }
        const int code = wait_change(up, is_late ? 0 : 3600000);
        if (code != CLI_OK) {
            return code;
        }
    }
}

/* ---- waiting for the workers ---------------------------------------------------------------- */

/* `may_end`: those that were stopped, or are done, are left alone. */
static int
wait_workers(struct cli *cli, bool may_end)
{
    const struct status_wish wish = {
        .goal = STATUS_READY, .choice = {.autostart = true}, .may_end = may_end, .replicas = -1};
    const struct status_choice all = {0};
    struct status_watch watch;
    enum status_verdict verdict = STATUS_DONE;
    int code = status_watch_begin(cli, &watch);
    if (code != CLI_OK) {
        return code;
    }
    code = status_watch_until(cli, &watch, &wish, &verdict);
    if (code == CLI_OK && verdict != STATUS_DONE) {
        code = status_tell_missing(cli, &watch.status, &wish);
        output_say(cli, "the hub stays up for the others; 'prong down' stops it");
    } else if (code == CLI_INTERRUPTED) {
        output_note(cli, "the hub stays up; 'prong down' stops it");
    }
    const int shown = code != CLI_INTERRUPTED ? status_print(cli, &watch.status, &all) : CLI_OK;
    status_watch_end(&watch);
    return code != CLI_OK ? code : shown;
}

/* A hub that is there already, or that somebody else is just starting. */
static int
join_running(struct cli *cli)
{
    output_note(cli, "a hub runs already: %s", prong_client_url(cli->client));
    return wait_workers(cli, true);
}

/* CLI_OK with a client when a hub runs already, and without when none does. */
static int
seek_running(struct up *up)
{
    struct cli *cli = up->cli;
    char why[400], span[UNIT_SPAN_BYTES];
    prong_err err = hub_try(cli, up->url, why, sizeof why);
    if (err == PRONG_DEADLINE_EXCEEDED) {
        output_note(cli, "a hub runs already in %s, but does not answer yet", up->dir);
    }
    while (err == PRONG_DEADLINE_EXCEEDED && unit_now_ms() < cli->deadline_ms) {
        err = hub_try(cli, up->url, why, sizeof why);
    }
    if (err == PRONG_INVALID_ARGUMENT) {
        return output_usage(cli, "%s", why); /* the path is too long for a socket */
    }
    if (err == PRONG_DEADLINE_EXCEEDED) {
        unit_span(cli->options.timeout_ms, span);
        output_say(cli, "the hub does not answer within %s (--timeout); 'prong down' ends it",
                   span);
        return CLI_TIMEOUT;
    }
    return CLI_OK; /* what else is wrong prongd says */
}

/* ---- the verb ------------------------------------------------------------------------------- */

static int
become_prongd(const struct up *up)
{
    const char *argv[PROGRAM_ARGS_MAX];
    (void)list_arguments(up, argv);
    program_become(up->prongd, argv);
    output_say(up->cli, "cannot start %s: %s", up->prongd, strerror(errno));
    return CLI_FAILED;
}

static void
close_all(struct up *up)
{
    const int fds[] = {up->log_fd, up->inotify_fd, up->pid_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

int
verb_up(struct cli *cli)
{
    struct up up = {.cli = cli, .log_fd = -1, .inotify_fd = -1, .pid_fd = -1};
    int code = hubdir_choose(cli, true, up.dir);
    if (code != CLI_OK) {
        return code;
    }
    (void)snprintf(up.url, sizeof up.url, "ipc://%s/" HUBDIR_SOCKET, up.dir);
    code = seek_running(&up);
    if (code != CLI_OK || cli->client != NULL) {
        return code != CLI_OK ? code : join_running(cli);
    }
    if (!program_find("prongd", up.prongd)) {
        output_say(cli, "prongd is neither beside prong nor in PATH");
        return CLI_FAILED;
    }
    if (cli->options.foreground) {
        return become_prongd(&up);
    }
    code = start(&up);
    code = code != CLI_OK ? code : wait_socket(&up);
    if (code == CLI_OK) {
        code = up.is_other ? join_running(cli) : wait_workers(cli, false);
    }
    close_all(&up);
    return code;
}
